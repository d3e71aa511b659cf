from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from generated import generate
from rows import each

from shapes.rules import Example, Severity, examples, message, remedy, rules, shapes_digest, turtle
from shapes.validate import EngineName, Result, validate, validate_many
from vocab.iris import BASE, Iris
from vocab.provenance import RunStatistics, describe_run
from vocab.schemes import concepts, schemes, statements

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "shapes.md"
EVERY = list(examples())


@pytest.fixture(scope="module", params=get_args(EngineName))
def validated(request: pytest.FixtureRequest) -> list[tuple[Example, tuple[Result, ...]]]:
    results = validate_many([one.statements for one in EVERY], name=request.param, size=100)
    return list(zip(EVERY, results, strict=True))


def test_each_shape_has_a_good_and_a_bad_example() -> None:
    seen = [(one.shape, one.good) for one in EVERY]

    assert sorted(seen) == sorted((shape, good) for shape in rules() for good in (True, False))


def test_each_shape_passes_its_good_example_and_fails_its_bad_one_in_its_own_words(
    validated: list[tuple[Example, tuple[Result, ...]]],
) -> None:
    wrong = [one.shape for one, results in validated if one.good == any(result.shape == one.shape for result in results)]  # fmt: skip
    findings = {(result.shape, result.severity, result.message) for _, results in validated for result in results}  # fmt: skip

    assert wrong == []
    assert findings <= {(rule.iri, rule.severity, rule.message) for rule in rules().values()}


def test_a_bad_example_is_met_where_the_shape_looks() -> None:
    bad = [one for one in EVERY if not one.good]

    actual = validate_many([one.statements for one in bad])

    for one, results in zip(bad, actual, strict=True):
        subjects = {statement.partition(" ")[0].strip("<>") for statement in one.statements}
        assert {result.focus for result in results} <= subjects


def test_only_what_cannot_be_published_is_withheld() -> None:
    grave = {rule.name for rule in rules().values() if rule.severity is Severity.VIOLATION}

    results = {name for name in grave if not name.startswith(("Record", "Catalogue"))}

    assert results == {
        "ResourceTitle", "ResourceTitleBlank", "ResourceIdentifier", "ResourceIdentifierBlank", "ResourceParty",
        "ClassificationBasis", "OrganizationName", "OrganizationNameMail", "EventStartGiven", "PostContentActive",
        "MatrixLine", "MatrixConcept", "MatrixStatus", "MatrixSource", "PlaceMail", "ResourceMail",
        "ConceptLabel", "ConceptOneLabel", "ConceptScheme", "ConceptBroader", "RunSource", "RunStart", "RunEnd", "RunOrder", "RunOutcome",
    }  # fmt: skip


def test_each_shape_has_its_row_in_the_documentation() -> None:
    page = generate("reference/shapes", DOCS.read_text("utf-8"))
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (\w+) \| (.*?) \|$", page, re.MULTILINE)

    assert rows == [
        (rule.name, rule.message, rule.severity.value, rule.remedy) for rule in rules().values()
    ]


SDG, AREA = "http://metadata.un.org/sdg/", "http://metadata.un.org/sdg/codes/geoArea/"
OURS = ["action-line", "coverage", "status", "activity-type", "prize-category", "prize-stage", "stakeholder-type"]  # fmt: skip
AREAS = {iri.removeprefix(AREA): area.types for iri, area in concepts("area").items() if iri[-3:].isdigit()}  # fmt: skip


@each(
    "pattern, expected",
    [*((rf"<(scheme/{scheme}/[^>]+)>", {iri.removeprefix(BASE) for iri in concepts(scheme)}) for scheme in OURS),
     (r"\barea:(\d{3})\b", {*AREAS}),
     (r" sdg:([0-9a-z.]+)", {iri.removeprefix(SDG) for iri, item in concepts("sdg").items() if f"{SDG}ontology#Target" in item.types})],
)  # fmt: skip
def test_a_list_of_codes_is_its_scheme(pattern: str, expected: set[str]) -> None:
    assert set(re.findall(pattern, turtle())) == expected


def test_the_regions_of_a_rule_are_the_areas_that_are_no_countries() -> None:
    (regions,) = re.findall(r"sh:maxCount 1 ; sh:not \[ sh:in \(([^)]*)\)", turtle())

    areas = {code for code, types in AREAS.items() if f"{AREA}co" not in types}
    assert set(re.findall(r"area:(\d{3})", regions)) == areas


@each("graph", ["matrix", *(f"scheme/{scheme}" for scheme in schemes())])
def test_every_concept_and_link_of_the_matrix_keeps_the_rules(graph: str) -> None:
    (lines,) = (lines for name, lines in statements() if name == BASE + graph)

    assert validate(lines) == ()


def test_the_description_of_a_run_keeps_the_rules() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    run = RunStatistics(
        run="kenya.1", source="kenya", started=noon, ended=noon, state="committed", counts={"fetched": 3}, network={"sent": 2}
    )  # fmt: skip
    lines = describe_run(run, Iris())

    without = validate([line for line in lines if "#outcome>" not in line])

    assert validate(lines) == ()
    assert "RunOutcome" in {result.shape.rpartition("#")[2] for result in without}


@each("language", ["fr", "es", "ar", "zh", "ru"])
def test_each_rule_has_its_own_message_and_remedy_in_each_language(language: str) -> None:
    english = [
        rule.name
        for rule in rules().values()
        if rule.message == message(rule.iri, language) or rule.remedy == remedy(rule.iri, language)
    ]

    assert english == []


def test_rules_have_a_title_and_an_order_of_their_own() -> None:
    assert [rule.order for rule in rules().values()] == list(range(1, len(rules()) + 1))
    assert all(rule.title for rule in rules().values())


@each("name", get_args(EngineName))
@each("end", ["2024", "2024-05", "2024-05-01"])
def test_an_end_in_the_time_of_the_run_is_not_before_it(name: EngineName, end: str) -> None:
    subject, record = f"<{BASE}id/initiative/example/e>", f"<{BASE}record/example/e>"
    kind = {4: "gYear", 7: "gYearMonth", 10: "date"}[len(end)]
    xsd = "http://www.w3.org/2001/XMLSchema#"
    lines = [
        f"{subject} {TYPE} <{BASE}ns#Initiative>", f"{subject} <{BASE}ns#status> <{BASE}scheme/status/ongoing>",
        f'{subject} <https://schema.org/endDate> "{end}"^^<{xsd}{kind}>', f"{record} <http://xmlns.com/foaf/0.1/primaryTopic> {subject}",
        f'{record} <http://purl.org/dc/terms/modified> "2024-05-01T12:00:00Z"^^<{xsd}dateTime>',
    ]  # fmt: skip

    assert not any(shape.endswith("Ended") for shape, _ in findings(name, lines))


TYPE = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"


def findings(name: EngineName, lines: list[str]) -> list[tuple[str, Severity]]:
    (results,) = validate_many([lines], name=name)
    return [(result.shape.removeprefix(f"{BASE}shapes#"), result.severity) for result in results]


@each("name", get_args(EngineName))
def test_a_word_that_is_no_target_has_one_result_and_a_champion_needs_no_year(
    name: EngineName,
) -> None:
    initiative, prize = f"<{BASE}id/initiative/example/word>", f"<{BASE}record/example/1#prize-1>"
    word = [f"{initiative} {TYPE} <{BASE}ns#Initiative>", f'{initiative} <{BASE}ns#target> "target three"']  # fmt: skip
    champion = [f"{prize} {TYPE} <http://vivoweb.org/ontology/core#AwardReceipt>",
    f"{prize} <{BASE}ns#prizeStage> <{BASE}scheme/prize-stage/champion>"]  # fmt: skip

    assert [shape for shape, _ in findings(name, word) if "Target" in shape] == ["ResourceTarget"]
    assert findings(name, champion) == []


@each("name", get_args(EngineName))
@each(
    "kind, predicate",
    [(f"{BASE}ns#Classification", f"{BASE}ns#evidence"), ("https://schema.org/ImageObject", "https://schema.org/caption"),
     ("https://schema.org/MonetaryAmount", "https://schema.org/name"),
     (f"{BASE}ns#ProjectOutcome", "http://purl.org/dc/terms/description"),
     ("http://www.w3.org/ns/dcat#Distribution", "http://purl.org/dc/terms/title")],
)  # fmt: skip
def test_an_address_in_a_part_of_a_record_withholds_it(
    name: EngineName, kind: str, predicate: str
) -> None:
    part = f"<{BASE}record/example/1#part-1>"
    lines = [f"{part} {TYPE} <{kind}>", f'{part} <{predicate}> "Write to jane.doe@example.org."@en']

    assert ("ResourceMail", Severity.VIOLATION) in findings(name, lines)


def test_the_shapes_and_their_digest_follow_their_base() -> None:
    other = shapes_digest("https://example.org/")

    assert re.fullmatch(r"[0-9a-f]{64}", other)
    assert other != shapes_digest()
    assert BASE not in turtle("https://example.org/")
