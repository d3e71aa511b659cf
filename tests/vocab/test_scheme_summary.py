from __future__ import annotations

import json

from pyoxigraph import NamedNode
from rows import each
from typer.testing import CliRunner

from command_line.vocabulary import vocabulary as app
from vocab.check import SchemeSummary, summaries
from vocab.schemes import ONTOLOGIES, concepts, graph_triples, ontology_triples, schemes
from vocab.terms import DCT, LANGUAGES, RDFS

EVERY = {item.name: item for item in summaries()}


def test_every_scheme_and_the_ontology_have_a_row() -> None:
    assert list(EVERY) == [*schemes(), "ns", "operations"]


@each("name", schemes())
def test_counts_are_those_of_the_concepts(name: str) -> None:
    members = concepts(name).values()
    complete = tuple(
        tag
        for tag in LANGUAGES
        if all(any(label.language == tag for label in item.labels) for item in members)
    )

    assert EVERY[name].concepts == len(members)
    assert set(EVERY[name].languages) <= set(complete)
    assert "en" in EVERY[name].languages


def test_what_is_ours_is_not_counted_as_sourced_and_a_note_of_the_scheme_counts_for_all() -> None:
    assert (EVERY["status"].sourced, EVERY["status"].ours, EVERY["status"].unverified) == (0, 5, 5)
    assert (EVERY["dac-purpose"].sourced, EVERY["dac-purpose"].unverified) == (
        EVERY["dac-purpose"].concepts,
        0,
    )


@each("name", [*schemes(), "ns", "operations"])
def test_every_concept_has_a_source_or_says_that_it_is_ours(name: str) -> None:
    either = {
        triple.subject.value
        for triple in (ontology_triples(name) if name in ONTOLOGIES else graph_triples(name))
        if triple.predicate.value in (f"{DCT}source", f"{RDFS}isDefinedBy")
        and isinstance(triple.subject, NamedNode)
    }

    assert name in ONTOLOGIES or set(concepts(name)) - either == set()
    assert EVERY[name].sourced + EVERY[name].ours >= EVERY[name].concepts


def test_the_command_prints_a_row_for_each_scheme_and_the_same_as_json() -> None:
    text, rows = (CliRunner().invoke(app, ["summary", *flags]).stdout for flags in ([], ["--json"]))

    first = [line.split()[0] for line in text.splitlines() if line[2:3].strip()]
    assert first[3:] == list(EVERY)
    read = [
        {**row, "languages": tuple(row["languages"]), "defined": tuple(row["defined"])}
        for row in json.loads(rows)
    ]
    assert [SchemeSummary(**row) for row in read] == list(EVERY.values())


@each(
    "name",
    ["status", "coverage", "activity-type", "stakeholder-type", "prize-stage", "ns", "operations"],
)
def test_what_is_ours_is_defined_in_six_languages_and_marked_as_unverified(name: str) -> None:
    assert EVERY[name].defined == LANGUAGES
    assert EVERY[name].unverified == EVERY[name].concepts
