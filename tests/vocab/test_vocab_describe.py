"""Describe: a store gives back what was written, whatever the texts, and every term of ours is
declared.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pyoxigraph
from hypothesis import given, settings
from hypothesis import strategies as st

from vocab.initiative import (
    Amount,
    Basis,
    Checksum,
    Claim,
    Document,
    Event,
    File,
    Initiative,
    Outcome,
    Party,
    Period,
    Place,
    Post,
    Prize,
    Resource,
    Role,
    Text,
)
from vocab.iris import BASE, Iris
from vocab.schemes import ONTOLOGIES, statements
from vocab.statements.describe import describe, quads
from vocab.statements.provenance import (
    Provenance,
    Registry,
    SourceStatus,
    ValidationNote,
    describe_record,
    describe_source,
    describe_source_statuses,
)
from vocab.statements.run_statistics import METRICS, RunStatistics, describe_run
from vocab.statements.tombstone import Deletion, mark_vanished, write_tombstone
from vocab.terms import DCT, FOAF, RDFS, literal

IRIS = Iris("https://example.org/")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SDG4 = "http://metadata.un.org/sdg/4"

HOSTILE = ["", '"', "\\", "\n\r\t", "\x00\x7f\ud800", "> <", "\u202e", "a" * 200, "\ufffe"]
DATES = [
    "2024",
    "2024-05",
    "2024-05-01",
    "2024-02-30",
    "0",
    "0001-01-01T00:00:00Z",
    "2024-05-01T24:00:00",
    "2024-05-01T12:00:00.5+02:00",
]

words = st.text(st.characters(), max_size=20) | st.sampled_from(HOSTILE)
tags = (
    st.none()
    | st.sampled_from(
        ["en", "zh-Hans", "EN-GB", "a", "en-", "en-12", "en-a", "x-y", "i-klingon", "english"]
    )
    | words
)
texts = st.builds(Text, words, tags)
webs = (
    words
    | words.map("https://example.org/".__add__)
    | words.map("http://".__add__)
    | st.just("https://example.org/a?b=c#d")
)
dates = words | st.sampled_from(DATES)
shares = st.none() | st.floats(0, 1)
degrees = st.floats(-180, 180)
claims = st.lists(
    st.builds(Claim, webs, st.sampled_from(Basis), st.none() | words, shares), max_size=3
).map(tuple)
maybe = st.none() | webs
parties = st.lists(
    st.builds(Party, st.sampled_from(Role), texts, st.none() | words, maybe, maybe, maybe),
    max_size=2,
)
places = st.lists(st.builds(Place, st.none() | texts, degrees, degrees), max_size=2).map(tuple)
prizes = st.lists(st.builds(Prize, webs, webs, st.none() | st.integers(1, 9999)), max_size=2).map(
    tuple
)


several = st.lists(texts, max_size=2).map(tuple)
checksums = st.none() | st.builds(Checksum, st.binary(min_size=1, max_size=4).map(bytes.hex), webs)
files = st.builds(
    File,
    maybe,
    maybe,
    several,
    maybe,
    maybe,
    several,
    st.none() | st.integers(0, 10**15),
    checksums,
)


def many(items: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(items, max_size=2).map(tuple)


COMMON = {
    "key": words.filter(bool),
    "titles": st.lists(texts, max_size=3).map(tuple),
    "descriptions": st.lists(texts, max_size=2).map(tuple),
    "identifiers": many(words),
    "pages": many(webs),
    "languages": many(words),
    "licences": many(webs),
    "issued": st.none() | dates,
    "modified": st.none() | dates,
    "countries": many(webs),
    "parties": parties.map(tuple),
    "action_lines": claims,
    "goals": claims,
    "targets": claims,
    "subjects": st.lists(texts, max_size=2).map(tuple),
    "themes": many(webs),
    "periods": st.lists(st.builds(Period, st.none() | dates, st.none() | dates), max_size=2).map(
        tuple
    ),
    "conforms_to": many(webs),
    "access_rights": st.none() | webs,
    "frequency": st.none() | webs,
    "files": st.lists(files, max_size=2).map(tuple),
    "part_of": many(webs),
}
PERIOD = {"start": st.none() | dates, "end": st.none() | dates, "places": places}
AMOUNTS = st.builds(
    Amount,
    st.floats(-1e12, 1e12),
    st.none() | words,
    st.none() | texts,
    st.none() | dates,
    st.none() | dates,
)
PROJECT = {
    "planned_start": st.none() | dates,
    "planned_end": st.none() | dates,
    "stage": maybe,
    "developed_in": many(webs),
    "amounts": st.lists(AMOUNTS, max_size=2).map(tuple),
    "outcomes": st.lists(st.builds(Outcome, several, several, maybe), max_size=2).map(tuple),
}
CODED = {
    "coverage": st.none() | webs,
    "status": st.none() | webs,
    "activity_types": many(webs),
    "prizes": prizes,
}

resources: st.SearchStrategy[Resource] = st.one_of(
    st.builds(Initiative, **COMMON, **PERIOD, **PROJECT, **CODED),
    st.builds(
        Event,
        **COMMON,
        **PERIOD,
        venue=st.none() | texts,
        registration=st.none() | webs,
        cancelled=st.booleans(),
    ),
    st.builds(
        Document, **COMMON, creators=st.lists(texts, max_size=2).map(tuple), kind=st.none() | webs
    ),
    st.builds(Post, **COMMON, content=st.none() | texts, container=st.none() | webs),
)


def dumped(lines: list[str]) -> list[str]:
    """Load lines into a store and return its dump, sorted."""
    store = pyoxigraph.Store()
    store.load("\n".join(lines).encode(), format=pyoxigraph.RdfFormat.N_QUADS)
    content = store.dump(format=pyoxigraph.RdfFormat.N_QUADS)
    assert content is not None
    return sorted(content.decode().removesuffix("\n").split("\n"))


@settings(max_examples=150, deadline=None)
@given(resources)
def test_a_store_gives_back_a_description_as_it_was_written(resource: Resource) -> None:
    lines = quads(describe(resource, IRIS, "source"), IRIS.record("source", resource.key))

    assert dumped(lines) == sorted(lines)


@settings(max_examples=50, deadline=None)
@given(words.filter(bool), words, st.none() | st.just("https://example.org/path"))
def test_a_store_gives_back_a_record_and_its_remarks_as_they_were_written(
    key: str, message: str, path: str | None
) -> None:
    remark = ValidationNote("MinCountConstraintComponent", "Warning", message, path)
    about = Provenance(
        "source", "20260131T120000Z-1", "ckan_package", "00ff", NOON, NOON, (remark,)
    )

    lines = quads(describe_record(key, IRIS, about), IRIS.record("source", key))

    assert dumped(lines) == sorted(lines)


def test_a_published_result_names_its_node_and_its_rule() -> None:
    note = ValidationNote(
        "c", "Warning", "m", None, "https://example.org/thing", f"{IRIS.base}shapes#Title"
    )
    about = Provenance("source", "r", "m", "00", NOON, NOON, (note,))

    lines = describe_record("k", IRIS, about)

    part = f"<{IRIS.record('source', 'k')}#result-1> <http://www.w3.org/ns/shacl#"
    assert f"{part}focusNode> <https://example.org/thing>" in lines
    assert f"{part}sourceShape> <{IRIS.base}shapes#Title>" in lines


@settings(max_examples=300, deadline=None)
@given(words, tags)
def test_every_language_tag_that_is_written_is_one_that_a_store_takes(
    value: str, tag: str | None
) -> None:
    line = f"<a:s> <a:p> {literal(value, tag)} <a:g> ."

    assert dumped([line]) == [line]


def full() -> Initiative:
    claims = tuple(Claim(SDG4, basis, "word", 0.5) for basis in Basis)
    party = Party(Role.PARTNER, Text("A body"))
    prize = Prize(IRIS.concept("prize-category", "C1"), IRIS.concept("prize-stage", "winner"), 2016)
    coded: dict[str, Any] = {name: IRIS.concept(name, "x") for name in ("coverage", "status")}
    return Initiative(
        key="1",
        action_lines=claims,
        goals=claims,
        targets=claims,
        parties=(party,),
        prizes=(prize,),
        activity_types=("x",),
        **coded,
    )


def written() -> list[str]:
    """Return an example of all that is ever written."""
    about = Provenance(
        "s", "r", "m", "00", NOON, NOON, (ValidationNote("c", "Warning", "m", None),)
    )
    numbers: dict[str, Any] = dict.fromkeys(METRICS, 1)
    return [
        *describe(full(), IRIS, "s"),
        *describe(
            Event(key="2", venue=Text("Hall"), registration="https://register.example/"), IRIS, "s"
        ),
        *describe_record("1", IRIS, about),
        *write_tombstone(
            "1",
            "s",
            Deletion("r", NOON, "deleted", IRIS.record("s", "2")),
            NOON,
            describe_record("1", IRIS, about),
            IRIS,
        ),
        *mark_vanished("\n".join(describe_record("1", IRIS, about)), "1", "s", NOON, IRIS).split(
            "\n"
        ),
        *describe_source(
            Registry("s", "S", "P", "https://s.org/", "", "csv", "fields", "0 3 * * *"), IRIS
        ),
        *describe_run(
            RunStatistics(
                run="r",
                source="s",
                started=NOON,
                ended=NOON,
                state="held",
                **numbers,
            ),
            IRIS,
        ),
        *describe_source_statuses([SourceStatus("s", NOON, NOON, "held", 1, "short")], IRIS),
    ]


def test_every_term_of_ours_that_is_written_is_declared_with_label_and_comment() -> None:
    graphs = dict(statements(IRIS.base))
    ontology = [line for name in ONTOLOGIES for line in graphs[IRIS.base + name]]
    results = {
        name: {t.split("> ")[0] for t in ontology if f"> <{RDFS}{name}> " in t}
        for name in ("label", "comment", "isDefinedBy")
    }

    used = set(
        re.findall(
            rf"<(?:{re.escape(IRIS.ns)}|{re.escape(IRIS.operations)})\w+(?=>)", "\n".join(written())
        )
    )

    assert used
    assert used - results["label"] == set()
    assert results["label"] == results["comment"] == results["isDefinedBy"]


def test_the_publisher_and_the_frequency_of_a_source_are_things() -> None:
    registry = Registry(
        "kenya", "ICT projects", "Ministry of ICT", "https://x.example/", "https://x.example/l",
        "oai", "dublin_core", "0 4 * * 0",
    )  # fmt: skip
    source = f"{BASE}source/kenya"

    lines = describe_source(registry, Iris(BASE))

    assert f"<{source}> <{DCT}publisher> <{source}#publisher>" in lines
    assert f'<{source}#publisher> <{FOAF}name> "Ministry of ICT"' in lines
    assert (
        f"<{source}> <{DCT}accrualPeriodicity> <http://publications.europa.eu/resource/authority/frequency/WEEKLY>"
        in lines
    )
    assert f'<{source}> <{BASE}operations#schedule> "0 4 * * 0"' in lines
