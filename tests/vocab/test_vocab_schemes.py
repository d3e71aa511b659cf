from __future__ import annotations

from collections import Counter

import pyoxigraph
import pytest
from rows import each

from vocab.iris import BASE, Iris
from vocab.schemes import Concept, concepts, graph_triples, label, schemes, statements
from vocab.terms import DCT, SKOS

SIX = {"en", "ar", "zh", "fr", "ru", "es"}
SDGO = "http://metadata.un.org/sdg/ontology#"
COUNTRY = "http://metadata.un.org/sdg/codes/geoArea/co"
IRIS = Iris("https://example.org/")


def preferred() -> dict[str, Counter[str]]:
    results: dict[str, Counter[str]] = {}
    for _, lines in statements():
        for line in lines:
            subject, predicate, rest = line.split(" ", 2)
            if predicate == f"<{SKOS}prefLabel>":
                results.setdefault(subject.strip("<>"), Counter())[rest.rpartition("@")[2]] += 1
    return results


def of_kind(kind: str) -> list[Concept]:
    return [concept for concept in concepts("sdg").values() if f"{SDGO}{kind}" in concept.types]


def test_each_scheme_collection_and_ontology_is_described_in_six_languages_or_not_at_all() -> None:
    texts: dict[str, dict[str, str]] = {}
    for _, lines in statements():
        for line in lines:
            subject, predicate, rest = line.split(" ", 2)
            if predicate == f"<{DCT}description>":
                text, _, language = rest.rpartition("@")
                assert texts.setdefault(subject.strip("<>"), {}).setdefault(language, text) == text

    assert {
        f"{BASE}{name}"
        for name in ("ns", "operations", "labels", "matrix", "scheme/status", "scheme/sdg")
    } <= set(texts)
    assert {subject: set(by_language) for subject, by_language in texts.items()} == dict.fromkeys(
        texts, SIX
    )
    assert all(len(set(by_language.values())) == len(SIX) for by_language in texts.values())


@each("scheme", schemes())
def test_the_notes_of_each_concept_are_in_six_languages_or_not_there(scheme: str) -> None:
    members, notes = concepts(scheme), dict[str, Counter[str]]()
    for triple in graph_triples(scheme):
        subject, text = str(getattr(triple.subject, "value", "")), triple.object
        if triple.predicate.value in (f"{SKOS}editorialNote", f"{SKOS}scopeNote") and isinstance(
            text, pyoxigraph.Literal
        ):
            notes.setdefault(subject, Counter())[text.language or ""] += 1

    incomplete = {
        iri
        for iri, count in notes.items()
        if iri in members and (set(count) != SIX or len(set(count.values())) != 1)
    }

    assert incomplete == set()


def test_there_are_eighteen_leaf_lines_eight_of_them_under_c7() -> None:
    lines = concepts("action-line", IRIS.base)

    parents = {parent for line in lines.values() for parent in line.broader}
    leaves = [iri for iri in lines if iri not in parents]

    assert len(lines) == 19
    assert parents == {IRIS.concept("action-line", "C7")}
    assert len(leaves) == 18
    assert sum("C7-" in iri for iri in leaves) == 8


def current(kind: str) -> list[Concept]:
    """Return the concepts of a kind that the framework still has; retired ones have no number."""
    return [concept for concept in of_kind(kind) if concept.notations]


@pytest.mark.parametrize(
    ("kind", "concepts_of_kind", "numbers"),
    [("Goal", 17, 17), ("Target", 169, 169), ("Indicator", 232, 248)],
)
def test_the_framework_has_its_goals_targets_and_indicators(
    kind: str, concepts_of_kind: int, numbers: int
) -> None:
    kinds = current(kind)

    assert len(kinds) == concepts_of_kind
    assert sum(len(concept.notations) for concept in kinds) == numbers


def test_no_number_is_of_a_retired_indicator() -> None:
    numbers = {number for concept in of_kind("Indicator") for number in concept.notations}

    assert numbers.isdisjoint({"1.a.3", "8.9.2", "11.c.1", "13.3.2", "17.6.2"})
    assert numbers >= {
        "2.2.3", "3.d.2", "4.1.2", "10.4.2", "10.7.3", "10.7.4", "11.5.3", "13.2.2", "16.3.3",
    }  # fmt: skip


def test_every_goal_is_labelled_in_six_languages_and_every_target_in_english() -> None:
    languages = preferred()

    assert [
        item.iri for item in of_kind("Goal") if languages[item.iri] != dict.fromkeys(SIX, 1)
    ] == []
    assert [
        item.iri
        for item in of_kind("Target") + of_kind("Indicator")
        if languages[item.iri]["en"] != 1
    ] == []


def test_every_retired_indicator_is_deprecated_and_what_replaces_it_is_current() -> None:
    ((_, lines),) = [
        (graph, lines) for graph, lines in statements() if graph.endswith("/scheme/sdg")
    ]
    deprecated = {
        line.split(" ")[0].strip("<>")
        for line in lines
        if " <http://www.w3.org/2002/07/owl#deprecated> " in line
    }
    replacements = {
        line.split(" ")[2].strip("<>")
        for line in lines
        if " <http://purl.org/dc/terms/isReplacedBy> " in line
    }

    assert deprecated == {item.iri for item in of_kind("Indicator") if not item.notations}
    assert len(deprecated) == 19
    assert replacements <= {item.iri for item in current("Indicator")}


def test_every_target_belongs_to_its_goal_and_every_indicator_to_its_targets() -> None:
    wrong = [
        (item.iri, parent)
        for item in current("Target") + current("Indicator")
        for parent in item.broader
        if parent.rpartition("/")[2] not in {code.rpartition(".")[0] for code in item.notations}
    ]

    assert wrong == []


def test_every_country_has_its_name_in_six_languages_and_its_codes() -> None:
    languages = preferred()
    countries = [concept for concept in concepts("area").values() if COUNTRY in concept.types]

    assert len(countries) == 248
    assert [
        country.iri for country in countries if languages[country.iri] != dict.fromkeys(SIX, 1)
    ] == []
    assert [
        country.iri for country in countries if [len(code) for code in country.codes] != [2, 3]
    ] == []
    assert [
        country.iri for country in countries if not country.iri.endswith(f"/{country.notations[0]}")
    ] == []


@each(
    "region, count",
    [("africa", 44), ("arab-states", 22), ("asia-and-pacific", 39), ("americas", 35), ("cis", 9), ("europe", 46)],
)  # fmt: skip
def test_each_itu_region_has_its_countries(region: str, count: int) -> None:
    term, value = f"<{Iris().ns}ituRegion>", f"<{Iris().concept('itu-region', region)}>"
    members = [
        line
        for line in dict(statements())[Iris().scheme("area")]
        if line.endswith(f"{term} {value}")
    ]

    assert len(members) == count


def test_every_scheme_has_a_title_and_every_concept_one_preferred_english_label() -> None:
    languages = preferred()

    untitled = [name for name in schemes() if label(Iris().scheme(name)) is None]
    unlabelled = [
        iri
        for name in schemes()
        for iri in concepts(name)
        if languages.get(iri, Counter())["en"] != 1
    ]

    assert untitled == []
    assert unlabelled == []


def test_every_notation_is_given_once_in_its_scheme() -> None:
    doubles = {
        name: [
            code
            for code, count in Counter(
                code for concept in concepts(name).values() for code in concept.notations
            ).items()
            if count > 1
        ]
        for name in schemes()
    }

    assert {name: codes for name, codes in doubles.items() if codes} == {}


def test_every_link_and_match_leads_to_a_concept_that_is_there() -> None:
    known = {iri for name in schemes(IRIS.base) for iri in concepts(name, IRIS.base)}
    ours = (IRIS.base + "scheme/", "http://metadata.un.org/sdg/")
    result = (
        "Match>", "broader>", "narrower>", "linkLine>", "linkGoal>", "linkTarget>", "hasTopConcept>",
    )  # fmt: skip

    lost = [
        line
        for _, lines in statements(IRIS.base)
        for line in lines
        if line.split(" ", 2)[1].endswith(result)
        if line.split(" ", 2)[2].strip("<>").startswith(ours)
        if line.split(" ", 2)[2].strip("<>") not in known
    ]

    assert lost == []


@pytest.mark.parametrize("base", [BASE, IRIS.base])
def test_a_store_gives_back_the_vocabulary_as_it_was_handed_in(base: str) -> None:
    written = sorted(f"{line} <{graph}> ." for graph, lines in statements(base) for line in lines)
    store = pyoxigraph.Store()
    store.load("\n".join(written).encode(), format=pyoxigraph.RdfFormat.N_QUADS)

    content = store.dump(format=pyoxigraph.RdfFormat.N_QUADS)
    assert content is not None
    assert sorted(content.decode().removesuffix("\n").split("\n")) == written


def test_the_vocabulary_has_no_blank_nodes_and_follows_its_base() -> None:
    lines = [line for _, lines in statements(IRIS.base) for line in lines]

    assert [line for line in lines if line.startswith("_:") or " _:" in line.split('"')[0]] == []
    assert [line for line in lines if BASE in line] == []
    assert all(graph.startswith(IRIS.base) for graph, _ in statements(IRIS.base))


def test_a_label_falls_back_to_english() -> None:
    assert label("http://metadata.un.org/sdg/4", "ru") != label("http://metadata.un.org/sdg/4")
    assert label(Iris().concept("iati-region", "298"), "ru") == "Africa, regional"
    assert label("https://example.org/unknown") is None
