"""Recorded responses through their own source definition: each record is mapped, or withheld with
its reason.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import replay
from rdf_terms import value

from harvesters.compatibility import check_compatible
from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.settings import NetworkSettings
from harvesters.page_model import InvalidRecord, Record
from harvesters.source import load
from vocab.crosswalks import Crosswalks
from vocab.initiative import Basis, Document, Initiative, Resource, concept_of
from vocab.iris import Iris
from vocab.normalization import fold
from vocab.schemes import concepts, graph_triples
from vocab.statements.describe import describe

from .conftest import DefineSource

pytestmark = pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)

# there is no other yet; two of our own stand for item in
# tests/publisher/test_federated_instances.py
UNRECORDED = {"another-stocktake"}
CARDS = sorted(
    path
    for path in (Path(__file__).parent / "source_definitions").glob("*.toml")
    if path.stem not in UNRECORDED
)

# The contents of each registry: records, announced deletions, unreadable ones; keys that are
# distinguished; what item claims.
TRUTH = {
    "dpg-nominees": ({"Record": 228}, 228, 228),
    "dpg-archive": ({"Record": 486}, 486, 486),
    "mit-set": ({"Record": 58}, 58, None),
    "mit-singles": ({"Record": 26, "DeletedRecord": 1}, 27, 27),
    "ckan-samples": ({"Record": 8}, 7, 8),  # two samples bear one name
    "world-bank": ({"Record": 20}, 20, 79),
    "wsis-prizes-2015": ({"Record": 302}, 302, None),
    "red-cross": ({"Record": 140}, 140, None),
    "legacy-workbook": ({"Record": 1}, 1, None),
    "dcat-germany": ({"Record": 1}, 1, None),
    "schema-org-datasets": ({"Record": 2}, 2, None),
    "rss-one": ({"Record": 1}, 1, None),
    "ical-zones": ({"Record": 3}, 3, None),
    "mods-library": ({"Record": 1}, 1, None),
    "datacite-repository": ({"Record": 2}, 2, None),
    "wsis-prize-page": ({"Record": 302}, 302, None),
    "iati-standard": ({"Record": 1}, 1, None),
    "cordis": ({"Record": 3}, 3, None),
    "dcat-catalogue": ({"Record": 2}, 2, None),
    "dcat-endpoint": ({"Record": 13}, 13, 13),
    "pod-inventory": ({"Record": 6}, 6, None),
    "ldes-members": ({"Record": 2}, 2, 2),  # three members, two of them versions of one
    "dpg-activities": ({"Record": 40}, 40, None),
    "dpg-resources": ({"Record": 40}, 40, None),
    "csw-service": ({"Record": 26}, 26, 26),
    "dpg-tree": ({"Record": 228}, 228, None),
    "web-pages": ({"Record": 23}, 23, None),
    "nde-pages": ({"Record": 3}, 3, None),
}


def harvested(
    definition: Path, words: Any
) -> tuple[list[Any], list[Resource], list[str], int | None]:
    """Return what came, what was mapped, and why the rest was not."""
    source = load(definition)
    protocol, reader = check_compatible(source)
    read = reader.prepare(source, words)
    with Fetch(NetworkSettings(transport=replay.transport()), pause=0) as fetch:
        pages = list(protocol.collect(source, fetch, None))
    items = [item for page in pages for item in page.items]
    mapped, reasons = [], [item.reason for item in items if isinstance(item, InvalidRecord)]
    for item in items:
        if isinstance(item, Record):
            try:
                mapped.append(read(item))
            except ParseError as error:
                reasons.append(str(error))
    return items, mapped, reasons, pages[0].reported_total


@pytest.mark.parametrize("definition", CARDS, ids=lambda definition: definition.stem)
def test_all_that_a_real_registry_holds_comes_and_is_mapped(
    definition: Any, words: Crosswalks
) -> None:
    counts, keys, total = TRUTH[definition.stem]

    items, mapped, reasons, output = harvested(definition, words)

    assert Counter(type(item).__name__ for item in items) == counts
    assert len({item.key for item in items if item.key}) == keys
    assert output == total
    assert len(mapped) == counts["Record"], reasons


@pytest.mark.parametrize("definition", CARDS, ids=lambda definition: definition.stem)
def test_every_real_record_has_a_title_and_no_address_of_a_person(
    definition: Any, words: Crosswalks
) -> None:
    _, mapped, _, _ = harvested(definition, words)

    texts = [text for element in mapped for text in describe(element, Iris(), definition.stem)]

    assert [element.key for element in mapped if not element.titles] == []
    of_organizations = "#hasEmail> <mailto:"
    assert [text for text in texts if "mailto" in text and of_organizations not in text] == []


def test_every_goal_of_the_nominees_is_found(words: Crosswalks) -> None:
    definition = next(definition for definition in CARDS if definition.stem == "dpg-nominees")

    _, mapped, _, _ = harvested(definition, words)

    assert sum(goal.basis is Basis.DECLARED for element in mapped for goal in element.goals) == 574
    assert not any(text.value.isdigit() for element in mapped for text in element.subjects)


# Records with an action line, goal or target that the source declares, and with one that a
# crosswalk gives; other registries have none.
LINKED = {
    "datacite-repository": (0, 2), "dcat-endpoint": (0, 1), "dpg-activities": (40, 18), "dpg-archive": (486, 36),
    "dpg-nominees": (228, 93), "dpg-resources": (40, 18), "dpg-tree": (228, 93), "iati-standard": (0, 1), "mods-library": (0, 1),
    "red-cross": (0, 49), "world-bank": (0, 18), "wsis-prize-page": (302, 0), "wsis-prizes-2015": (302, 0),
}  # fmt: skip


@pytest.mark.parametrize("definition", CARDS, ids=lambda definition: definition.stem)
def test_links_of_real_records_are_declared_by_their_fields_and_crosswalked_by_their_words(
    definition: Any, words: Crosswalks
) -> None:
    _, mapped, _, _ = harvested(definition, words)

    bases = [
        {claim.basis for claim in (*element.action_lines, *element.goals, *element.targets)}
        for element in mapped
    ]
    unexplained = [
        claim
        for element in mapped
        for claim in (*element.action_lines, *element.goals, *element.targets)
        if claim.basis is Basis.CROSSWALKED and not (claim.word and claim.crosswalk)
    ]

    linked = tuple(
        sum(basis in result for result in bases) for basis in (Basis.DECLARED, Basis.CROSSWALKED)
    )
    assert linked == LINKED.get(definition.stem, (0, 0))
    assert unexplained == []


def test_ninety_of_the_nominees_have_an_action_line_by_their_sector(words: Crosswalks) -> None:
    definition = next(definition for definition in CARDS if definition.stem == "dpg-nominees")

    _, mapped, _, _ = harvested(definition, words)

    assert sum(bool(element.action_lines) for element in mapped) == 90


def test_every_sector_that_occurs_twice_has_a_match_or_a_reason(words: Crosswalks) -> None:
    mapped = [
        element
        for definition in CARDS
        if definition.stem in {"dpg-nominees", "dpg-archive"}
        for element in harvested(definition, words)[1]
    ]
    counter = Counter(fold(text.value) for element in mapped for text in element.subjects)
    schemes = ("dpga-sector", "dpga-type", "dpga-stage")
    known = {
        fold(name.value)
        for scheme in schemes
        for sector in concepts(scheme).values()
        for name in sector.labels
    }

    assert {word for word, count in counter.items() if count > 1} - known == set()


def mapped_initiatives(name: str, words: Any) -> dict[str, Initiative]:
    result = harvested(next(definition for definition in CARDS if definition.stem == name), words)[
        1
    ]
    return {item.key: item for item in result if isinstance(item, Initiative)}


def test_amounts_of_the_world_bank_keep_their_currency_and_name(words: Crosswalks) -> None:
    roads = mapped_initiatives("world-bank", words)["P174379"]

    results = {
        (amount.name.value if amount.name else None, amount.value, amount.currency)
        for amount in roads.amounts
    }

    assert results == {
        ("total commitment", 65_000_000, "USD"),
        ("total amount", 65_000_000, "USD"),
        ("IBRD commitment", 65_000_000, "USD"),
        ("project cost", 95_880_000, "USD"),
    }


def test_additional_financing_is_part_of_the_project_that_it_finances(words: Crosswalks) -> None:
    result = mapped_initiatives("world-bank", words)
    wholes = {key: item.part_of for key, item in result.items() if item.part_of}
    titles = {item.titles[0].value: key for key, item in result.items() if not item.part_of}

    assert len(wholes) == 6
    assert titles[wholes["P181649"][0]] == "P171250"  # Employment Support Project
    assert titles[wholes["P155110"][0]] == "P122943"  # IDP Living Standards and Livelihoods Project


def test_the_cost_of_a_project_is_not_counted_again_with_its_additional_financing(
    words: Crosswalks,
) -> None:
    result = mapped_initiatives("world-bank", words)

    def cost(key: str) -> list[float]:
        return [
            amount.value
            for amount in result[key].amounts
            if amount.name and amount.name.value == "project cost"
        ]

    # Both records of the answer have 78,530,000: P155110 is the additional financing of P122943.
    assert (cost("P122943"), cost("P155110")) == ([78_530_000], [])


def test_nominees_have_their_evidence_licences_and_stage(words: Crosswalks) -> None:
    result = mapped_initiatives("dpg-nominees", words).values()

    assert sum(any(goal.evidence for goal in item.goals) for item in result) == 189
    assert sum(len(item.licences) > 1 for item in result) == 16
    assert Counter((item.stage or "").rpartition("/")[2] for item in result) == {
        "nominee": 63,
        "DPG": 165,
    }
    assert (
        sum(
            "software" in {concept_of(word).rpartition("/")[2] for word in item.activity_types}
            for item in result
        )
        == 196
    )


def test_articles_of_a_real_repository_are_documents_with_their_creators(words: Crosswalks) -> None:
    _, mapped, _, _ = harvested(
        next(definition for definition in CARDS if definition.stem == "mit-singles"), words
    )

    assert {type(item) for item in mapped} == {Document}
    # one names none
    assert sum(bool(item.creators) for item in mapped if isinstance(item, Document)) == 25


def test_every_nominated_project_of_2015_has_its_line_and_its_prize(words: Crosswalks) -> None:
    definition = next(definition for definition in CARDS if definition.stem == "wsis-prizes-2015")

    _, mapped, _, _ = harvested(definition, words)

    prizes = [prize for element in mapped for prize in element.prizes]  # type: ignore[attr-defined]
    assert [len(element.action_lines) for element in mapped] == [1] * 302
    assert {(prize.stage.rpartition("/")[2], prize.year) for prize in prizes} == {
        ("nominated", 2015)
    }
    assert len({prize.category for prize in prizes}) == 18
    unknown = Counter(
        word
        for element in mapped
        for word in element.countries
        if isinstance(word, str) and not word.startswith("http")
    )
    assert unknown == {"INTERNATIONAL": 9, "Ltd., THAILAND": 1}


def test_recorded_pages_that_repeat_are_reported_and_end_the_harvest(
    define_source: DefineSource,
) -> None:
    # its four pages hold the same two records
    source = define_source("oai-pmh", "oai_dc", url="https://registry.example/sickle/oai")

    with (
        Fetch(NetworkSettings(transport=replay.transport()), pause=0) as fetch,
        pytest.raises(ParseError, match="repeats the records"),
    ):
        list(check_compatible(source)[0].collect(source, fetch, None))


@pytest.mark.parametrize(
    "file",
    ["badArgument", "cannotDisseminateFormat", "idDoesNotExist", "noSetHierarchy", "undefinedError"],
)  # fmt: skip
def test_each_error_of_a_repository_is_reported_with_its_code(
    file: str, define_source: DefineSource
) -> None:
    content = (replay.FEEDS / "oai" / f"sickle_{file}.xml").read_bytes()
    source = define_source("oai-pmh", "oai_dc")
    client = Fetch(
        NetworkSettings(
            transport=httpx.MockTransport(lambda _: httpx.Response(200, content=content))
        ),
        pause=0,
    )

    with client as fetch, pytest.raises(ParseError, match=f"says {file}"):
        list(check_compatible(source)[0].collect(source, fetch, None))


# Fields of sectors and themes in recorded responses, and the crosswalks of their words.
SECTORS = {
    "dpg-nominees": (("sectors", "type"), ("dpga-sector", "dpga-type")),
    "dpg-archive": (("sectors", "type"), ("dpga-sector", "dpga-type")),
    "red-cross": (("SctrCluster",), ("red-cross-sector",)),
    "world-bank": (
        ("sector.Name", "sector_namecode.name", "mjsector_namecode.name", "theme_namecode.name", "mjtheme_namecode.name", "theme_list.name",
         "theme_list.theme2.name", "theme_list.theme2.theme3.name"),
        ("world-bank-sector", "world-bank-theme"),
    ),
}  # fmt: skip


def texts(value: Any, path: tuple[str, ...]) -> set[str]:
    """Return the texts at a path of names in rows, through all lists."""
    if isinstance(value, list):
        return {text for item in value for text in texts(item, path)}
    if path:
        return texts(value.get(path[0]), path[1:]) if isinstance(value, dict) else set()
    return {value} if isinstance(value, str) and value.strip() else set()


@pytest.mark.parametrize("name", SECTORS)
def test_every_sector_or_theme_that_occurs_twice_has_a_row_with_a_concept_or_a_reason(
    name: str,
) -> None:
    fields, schemes = SECTORS[name]
    source = load(Path(__file__).parent / "source_definitions" / f"{name}.toml")
    protocol, _ = check_compatible(source)
    with Fetch(NetworkSettings(transport=replay.transport()), pause=0) as fetch:
        records = [
            item
            for page in protocol.collect(source, fetch, None)
            for item in page.items
            if isinstance(item, Record)
        ]
    counts = Counter[str]()
    for record in records:
        counts.update(
            {text for field in fields for text in texts(record.payload, tuple(field.split(".")))}
        )
    table = {
        fold(name.value): concept
        for scheme in schemes
        for concept in concepts(scheme).values()
        for name in concept.labels
    }
    notes = {
        value(triple.subject)
        for scheme in schemes
        for triple in graph_triples(scheme)
        if triple.predicate.value.endswith("#editorialNote")
    }

    repeated = {word for word, count in counts.items() if count > 1}

    assert len(repeated) > 6
    assert {word for word in repeated if fold(word) not in table} == set()
    assert {
        word
        for word in repeated
        if not table[fold(word)].matches and table[fold(word)].iri not in notes
    } == set()
