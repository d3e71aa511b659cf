from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import replay
from rdf_terms import value
from rows import each
from simulated import define_source, harvest

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch, NetworkSettings
from harvesters.page_model import InvalidRecord, Record
from harvesters.pipeline.record_processor import check_compatible
from harvesters.source import load
from vocab.crosswalks import Crosswalks
from vocab.describe import describe
from vocab.initiative import Basis, Document, Initiative, concept_of
from vocab.iris import Iris
from vocab.lookup import fold
from vocab.schemes import concepts, graph_triples

pytestmark = pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)

# No other instance of Stocktake could be recorded yet. Two of our own replace it in
# tests/publisher/test_federated_instances.py.
UNRECORDED = {"another-stocktake"}
CARDS = sorted(
    path
    for path in (Path(__file__).parent / "source_definitions").glob("*.toml")
    if path.stem not in UNRECORDED
)


TRUTH: dict[str, tuple[dict[str, int], int, int | None]] = {
    "dpg-nominees": ({"Record": 228}, 228, 228), "dpg-archive": ({"Record": 486}, 486, 486), "mit-set": ({"Record": 58}, 58, None),
    # Two of the samples of CKAN have one name.
    "mit-singles": ({"Record": 26, "DeletedRecord": 1}, 27, 27), "ckan-samples": ({"Record": 8}, 7, 8),
    "world-bank": ({"Record": 20}, 20, 79), "wsis-prizes-2015": ({"Record": 302}, 302, None), "red-cross": ({"Record": 140}, 140, None),
    "legacy-workbook": ({"Record": 1}, 1, None), "dcat-germany": ({"Record": 1}, 1, None), "schema-org-datasets": ({"Record": 2}, 2, None),
    "rss-one": ({"Record": 1}, 1, None), "ical-zones": ({"Record": 3}, 3, None), "mods-library": ({"Record": 1}, 1, None),
    "datacite-repository": ({"Record": 2}, 2, None), "wsis-prize-page": ({"Record": 302}, 302, None), "iati-standard": ({"Record": 1},
    1, None),
    "cordis": ({"Record": 3}, 3, None), "dcat-catalogue": ({"Record": 2}, 2, None), "dcat-endpoint": ({"Record": 13}, 13, 13),
    # The stream has three members, two of which are versions of one record.
    "pod-inventory": ({"Record": 6}, 6, None), "ldes-members": ({"Record": 2}, 2, 2),
    "dpg-activities": ({"Record": 40}, 40, None), "dpg-resources": ({"Record": 40}, 40, None), "csw-service": ({"Record": 26}, 26, 26),
    "dpg-tree": ({"Record": 228}, 228, None), "web-pages": ({"Record": 23}, 23, None), "nde-pages": ({"Record": 3}, 3, None),
}  # fmt: skip


@cache
def harvested(name: str) -> tuple[list[Any], list[Any], list[str], int | None]:
    source = load(Path(__file__).parent / "source_definitions" / f"{name}.toml")
    protocol, reader = check_compatible(source)
    read = reader.prepare(source, Crosswalks(Iris()))
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


# The number of records with an action line, goal or target that the source declares, and of those
# with one from a crosswalk. Other registries have none.
LINKED = {
    "datacite-repository": (0, 2), "dcat-endpoint": (0, 1), "dpg-activities": (40, 18), "dpg-archive": (486, 36),
    "dpg-nominees": (228, 93), "dpg-resources": (40, 18), "dpg-tree": (228, 93), "iati-standard": (0, 1), "mods-library": (0, 1),
    "red-cross": (0, 49), "world-bank": (0, 18), "wsis-prize-page": (302, 0), "wsis-prizes-2015": (302, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", [definition.stem for definition in CARDS])
def test_all_that_a_real_registry_holds_comes_and_is_mapped(name: str) -> None:
    counts, keys, total = TRUTH[name]

    items, mapped, reasons, output = harvested(name)

    assert Counter(type(item).__name__ for item in items) == counts
    assert (len({item.key for item in items if item.key}), output) == (keys, total)
    assert len(mapped) == counts["Record"], reasons
    texts = [text for element in mapped for text in describe(element, Iris(), name)]
    assert [element.key for element in mapped if not element.titles] == []
    of_organizations = "#hasEmail> <mailto:"
    assert [text for text in texts if "mailto" in text and of_organizations not in text] == []
    # Fields of a record declare a link; words of a record lead to one by a crosswalk.
    claims = [(*element.action_lines, *element.goals, *element.targets) for element in mapped]
    linked = [sum(any(claim.basis is basis for claim in of) for of in claims) for basis in (Basis.DECLARED, Basis.CROSSWALKED)]  # fmt: skip
    assert tuple(linked) == LINKED.get(name, (0, 0))
    crosswalked = [claim for of in claims for claim in of if claim.basis is Basis.CROSSWALKED]
    assert [claim for claim in crosswalked if not (claim.word and claim.crosswalk)] == []


def test_goals_and_lines_of_nominees_are_those_of_sectors_that_have_a_match_or_a_reason() -> None:
    _, mapped, _, _ = harvested("dpg-nominees")

    assert sum(goal.basis is Basis.DECLARED for element in mapped for goal in element.goals) == 574
    assert not any(text.value.isdigit() for element in mapped for text in element.subjects)
    assert sum(bool(element.action_lines) for element in mapped) == 90

    mapped = [*harvested("dpg-nominees")[1], *harvested("dpg-archive")[1]]
    counter = Counter(fold(text.value) for element in mapped for text in element.subjects)
    sectors = [sector for scheme in ("dpga-sector", "dpga-type", "dpga-stage") for sector in concepts(scheme).values()]  # fmt: skip
    known = {fold(name.value) for sector in sectors for name in sector.labels}

    assert {word for word, count in counter.items() if count > 1} - known == set()


def mapped_initiatives(name: str) -> dict[str, Initiative]:
    return {item.key: item for item in harvested(name)[1] if isinstance(item, Initiative)}


def test_amounts_of_the_world_bank_keep_their_currency_and_name() -> None:
    roads = mapped_initiatives("world-bank")["P174379"]

    assert {(amount.name and amount.name.value, amount.value, amount.currency) for amount in roads.amounts} == {
        ("total commitment", 65_000_000, "USD"), ("total amount", 65_000_000, "USD"), ("IBRD commitment", 65_000_000, "USD"),
        ("project cost", 95_880_000, "USD"),
    }  # fmt: skip


def test_additional_financing_is_part_of_the_project_that_it_finances() -> None:
    result = mapped_initiatives("world-bank")
    wholes = {key: item.part_of for key, item in result.items() if item.part_of}
    titles = {item.titles[0].value: key for key, item in result.items() if not item.part_of}
    costs = {
        key: [amount.value for amount in item.amounts if amount.name and amount.name.value == "project cost"]
        for key, item in result.items()
    }  # fmt: skip

    assert len(wholes) == 6
    # The titles are Employment Support Project, and IDP Living Standards and Livelihoods Project.
    assert titles[wholes["P181649"][0]] == "P171250"
    assert titles[wholes["P155110"][0]] == "P122943"
    # Both records of the answer have 78,530,000: P155110 is the additional financing of P122943.
    assert (costs["P122943"], costs["P155110"]) == ([78_530_000], [])


def test_nominees_have_their_evidence_licences_and_stage() -> None:
    result = mapped_initiatives("dpg-nominees").values()

    types = [{concept_of(word).rpartition("/")[2] for word in item.activity_types} for item in result]  # fmt: skip
    stages = Counter((item.stage or "").rpartition("/")[2] for item in result)
    assert sum(any(goal.evidence for goal in item.goals) for item in result) == 189
    assert sum(len(item.licences) > 1 for item in result) == 16
    assert stages == {"nominee": 63, "DPG": 165}
    assert sum("software" in words for words in types) == 196


def test_articles_of_a_real_repository_are_documents_with_their_creators() -> None:
    _, mapped, _, _ = harvested("mit-singles")

    assert {type(item) for item in mapped} == {Document}
    # One of the 26 articles names no creator.
    assert sum(bool(item.creators) for item in mapped) == 25


def test_every_nominated_project_of_2015_has_its_line_and_its_prize() -> None:
    _, mapped, _, _ = harvested("wsis-prizes-2015")

    prizes = [prize for element in mapped for prize in element.prizes]
    assert [len(element.action_lines) for element in mapped] == [1] * 302
    assert {(prize.stage.rpartition("/")[2], prize.year) for prize in prizes} == {("nominated", 2015)}  # fmt: skip
    assert len({prize.category for prize in prizes}) == 18
    countries = [word for element in mapped for word in element.countries if isinstance(word, str)]
    unknown = Counter(word for word in countries if not word.startswith("http"))
    assert unknown == {"INTERNATIONAL": 9, "Ltd., THAILAND": 1}


def test_recorded_pages_that_repeat_are_reported_and_end_the_harvest() -> None:
    # The four recorded pages have the same two records.
    source = define_source("oai-pmh", "oai_dc", url="https://registry.example/sickle/oai")

    with (
        Fetch(NetworkSettings(transport=replay.transport()), pause=0) as fetch,
        pytest.raises(ParseError, match="repeats the records"),
    ):
        list(check_compatible(source)[0].collect(source, fetch, None))


@each(
    "file",
    ["badArgument", "cannotDisseminateFormat", "idDoesNotExist", "noSetHierarchy", "undefinedError"],
)  # fmt: skip
def test_each_error_of_a_repository_is_reported_with_its_code(file: str) -> None:
    response = httpx.Response(200, content=(replay.FEEDS / "oai" / f"sickle_{file}.xml").read_bytes())  # fmt: skip

    with pytest.raises(ParseError, match=f"reports an error: {file}"):
        harvest(lambda _: response, define_source("oai-pmh", "oai_dc"))


# These fields of recorded responses have sectors and themes, whose words these crosswalks map.
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
    records = [item for item in harvested(name)[0] if isinstance(item, Record)]
    counts = Counter[str]()
    for record in records:
        counts.update(
            {text for field in fields for text in texts(record.payload, tuple(field.split(".")))}
        )
    listed = [concept for scheme in schemes for concept in concepts(scheme).values()]
    table = {fold(name.value): concept for concept in listed for name in concept.labels}
    notes = {
        value(triple.subject)
        for scheme in schemes
        for triple in graph_triples(scheme)
        if triple.predicate.value.endswith("#editorialNote")
    }

    repeated = {word for word, count in counts.items() if count > 1}

    assert len(repeated) > 6
    assert {word for word in repeated if fold(word) not in table} == set()
    rows = [table[fold(word)] for word in repeated]
    assert [row for row in rows if not row.matches and row.iri not in notes] == []
