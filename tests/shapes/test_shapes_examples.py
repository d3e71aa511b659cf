"""Each shape passes its good example, fails its bad one in both engines, and is documented."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from generated import generate
from rows import each

from shapes.examples import Example, examples
from shapes.result import Result, Severity
from shapes.rules import message, remedy, rules, shapes_digest, turtle
from shapes.validate import EngineName, validate, validate_many
from vocab.iris import BASE, Iris
from vocab.schemes import concepts, schemes, statements
from vocab.statements.run_statistics import RunStatistics, describe_run

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "shapes.md"
EVERY = list(examples())


@pytest.fixture(scope="module", params=get_args(EngineName))
def validated(request: pytest.FixtureRequest) -> list[tuple[Example, tuple[Result, ...]]]:
    """Return each example with what an engine says of it."""
    return list(
        zip(
            EVERY,
            validate_many([one.statements for one in EVERY], name=request.param, size=100),
            strict=True,
        )
    )


def test_each_shape_has_a_good_and_a_bad_example() -> None:
    seen = [(one.shape, one.good) for one in EVERY]

    assert sorted(seen) == sorted((shape, good) for shape in rules() for good in (True, False))


def test_each_shape_passes_its_good_example_and_fails_its_bad_one(
    validated: list[tuple[Example, tuple[Result, ...]]],
) -> None:
    wrong = [
        one.shape
        for one, results in validated
        if one.good == any(result.shape == one.shape for result in results)
    ]

    assert wrong == []


def test_a_result_says_what_its_shape_says(
    validated: list[tuple[Example, tuple[Result, ...]]],
) -> None:
    known = rules()

    findings = {
        (result.shape, result.severity, result.message)
        for _, results in validated
        for result in results
    }

    assert findings <= {(rule.iri, rule.severity, rule.message) for rule in known.values()}


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


@each(
    "scheme",
    ["action-line", "coverage", "status", "activity-type", "prize-category", "prize-stage", "stakeholder-type"],
)  # fmt: skip
def test_a_list_of_codes_is_its_scheme(scheme: str) -> None:
    listed = set(re.findall(rf"<(scheme/{scheme}/[^>]+)>", turtle()))

    assert listed == {iri.removeprefix(BASE) for iri in concepts(scheme)}


def test_the_list_of_areas_is_the_countries_and_regions_of_the_vocabulary() -> None:
    listed = set(re.findall(r"\barea:(\d{3})\b", turtle()))

    assert listed == {
        code for iri in concepts("area") if (code := iri.rpartition("/")[2]).isdigit()
    }


def test_the_regions_of_a_rule_are_the_areas_that_are_no_countries() -> None:
    (regions,) = re.findall(r"sh:maxCount 1 ; sh:not \[ sh:in \(([^)]*)\)", turtle())
    country = "http://metadata.un.org/sdg/codes/geoArea/co"

    areas = {
        iri.rpartition("/")[2]
        for iri, area in concepts("area").items()
        if country not in area.types
    }

    assert set(re.findall(r"area:(\d{3})", regions)) == {code for code in areas if code.isdigit()}


@each("scheme", schemes())
def test_every_concept_keeps_the_rules(scheme: str) -> None:
    (lines,) = (lines for graph, lines in statements() if graph == f"{BASE}scheme/{scheme}")

    assert validate(lines).results == ()


def test_the_description_of_a_run_keeps_the_rules() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    run = RunStatistics(
        run="kenya.1",
        source="kenya",
        started=noon,
        ended=noon,
        state="committed",
        fetched=3,
        network={"sent": 2},
    )

    without_outcome = [
        statement for statement in describe_run(run, Iris()) if "#outcome>" not in statement
    ]

    assert validate(describe_run(run, Iris())).results == ()
    assert {result.shape.rpartition("#")[2] for result in validate(without_outcome).results} >= {
        "RunOutcome"
    }


def test_every_link_of_the_matrix_keeps_the_rules() -> None:
    (links,) = (lines for graph, lines in statements() if graph == f"{BASE}matrix")

    report = validate(links)

    assert report.results == ()


@each("language", ["fr", "es", "ar", "zh", "ru"])
def test_each_rule_has_its_own_message_in_each_language(language: str) -> None:
    messages = {rule.name: message(rule.iri, language) for rule in rules().values()}

    assert [rule.name for rule in rules().values() if messages[rule.name] == rule.message] == []


@each("language", ["fr", "es", "ar", "zh", "ru"])
def test_each_rule_has_its_own_remedy_in_each_language(language: str) -> None:
    assert [
        rule.name for rule in rules().values() if remedy(rule.iri, language) == rule.remedy
    ] == []


def test_rules_have_a_title_and_an_order_of_their_own() -> None:
    listed = list(rules().values())

    assert [rule.order for rule in listed] == list(range(1, len(listed) + 1))
    assert all(rule.title for rule in listed)


@pytest.mark.parametrize("end", ["2024", "2024-05", "2024-05-01"])
def test_an_end_in_the_time_of_the_run_is_not_before_it(end: str) -> None:
    subject, record = f"<{BASE}id/initiative/example/e>", f"<{BASE}record/example/e>"
    kind = {4: "gYear", 7: "gYearMonth", 10: "date"}[len(end)]
    xsd = "http://www.w3.org/2001/XMLSchema#"
    lines = [
        f"{subject} <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{BASE}ns#Initiative>",
        f"{subject} <{BASE}ns#status> <{BASE}scheme/status/ongoing>",
        f'{subject} <https://schema.org/endDate> "{end}"^^<{xsd}{kind}>',
        f"{record} <http://xmlns.com/foaf/0.1/primaryTopic> {subject}",
        f'{record} <http://purl.org/dc/terms/modified> "2024-05-01T12:00:00Z"^^<{xsd}dateTime>',
    ]

    (results,) = validate_many([lines])

    assert [result for result in results if result.shape.endswith("Ended")] == []


def test_the_list_of_targets_is_the_targets_of_the_vocabulary() -> None:
    listed = set(re.findall(r" sdg:([0-9a-z.]+)", turtle()))
    targets = [
        iri
        for iri, concept in concepts("sdg").items()
        if "http://metadata.un.org/sdg/ontology#Target" in concept.types
    ]

    assert listed == {iri.removeprefix("http://metadata.un.org/sdg/") for iri in targets}


@pytest.mark.parametrize("name", get_args(EngineName))
def test_a_word_that_is_no_target_has_one_result(name: EngineName) -> None:
    subject = f"<{BASE}id/initiative/example/word>"
    statements = (
        f"{subject} <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{BASE}ns#Initiative>",
        f'{subject} <{BASE}ns#target> "target three"',
    )

    (results,) = validate_many([statements], name=name)

    assert [result.shape for result in results if "Target" in result.shape] == [
        f"{BASE}shapes#ResourceTarget"
    ]


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
    statements = (
        f"{part} <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{kind}>",
        f'{part} <{predicate}> "Write to jane.doe@example.org."@en',
    )

    (results,) = validate_many([statements], name=name)

    assert (f"{BASE}shapes#ResourceMail", Severity.VIOLATION) in {
        (result.shape, result.severity) for result in results
    }


@pytest.mark.parametrize("name", get_args(EngineName))
def test_a_champion_without_a_year_passes(name: EngineName) -> None:
    subject = f"<{BASE}record/example/1#prize-1>"
    statements = (
        f"{subject} <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> "
        "<http://vivoweb.org/ontology/core#AwardReceipt>",
        f"{subject} <{BASE}ns#prizeStage> <{BASE}scheme/prize-stage/champion>",
    )

    (results,) = validate_many([statements], name=name)

    assert results == ()


def test_the_digest_of_the_shapes_follows_their_base() -> None:
    other = shapes_digest("https://example.org/")

    assert re.fullmatch(r"[0-9a-f]{64}", other)
    assert other != shapes_digest()


def test_no_namespace_is_left_at_another_base() -> None:
    text = turtle("https://example.org/")

    assert BASE not in text
