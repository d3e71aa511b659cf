from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pyoxigraph
from hypothesis import given, settings
from hypothesis import strategies as st

from shapes.rules import Severity
from shapes.validate import Result, describe_results
from vocab.annotations import Deletion, mark_vanished, write_tombstone
from vocab.describe import describe, quads
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
from vocab.provenance import (
    METRICS,
    Provenance,
    Registry,
    RunStatistics,
    SourceStatus,
    describe_record,
    describe_run,
    describe_source,
    describe_source_statuses,
)
from vocab.schemes import ONTOLOGIES, statements
from vocab.terms import DCT, FOAF, RDFS, literal

IRIS = Iris("https://example.org/")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SDG4 = "http://metadata.un.org/sdg/4"

HOSTILE = ["", '"', "\\", "\n\r\t", "\x00\x7f\ud800", "> <", "\u202e", "a" * 200, "\ufffe"]


DATES = ["2024", "2024-05", "2024-05-01", "2024-02-30", "0", "0001-01-01T00:00:00Z", "2024-05-01T24:00:00",
"2024-05-01T12:00:00.5+02:00"]  # fmt: skip
TAGS = ["en", "zh-Hans", "EN-GB", "a", "en-", "en-12", "en-a", "x-y", "i-klingon", "english"]


def many(items: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, max_size=most).map(tuple)


def maybe(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | items


words = st.text(st.characters(), max_size=20) | st.sampled_from(HOSTILE)
tags = st.none() | st.sampled_from(TAGS) | words
texts = st.builds(Text, words, tags)
webs = (
    words
    | words.map("https://example.org/".__add__)
    | words.map("http://".__add__)
    | st.just("https://example.org/a?b=c#d")
)
dates = maybe(words | st.sampled_from(DATES))
degrees = st.floats(-180, 180)
claims = many(
    st.builds(Claim, webs, st.sampled_from(Basis), maybe(words), maybe(st.floats(0, 1))), 3
)
parties = many(
    st.builds(
        Party, st.sampled_from(Role), texts, maybe(words), maybe(webs), maybe(webs), maybe(webs)
    )
)
checksums = maybe(st.builds(Checksum, st.binary(min_size=1, max_size=4).map(bytes.hex), webs))
size = maybe(st.integers(0, 10**15))
files = st.builds(
    File, maybe(webs), maybe(webs), many(texts), maybe(webs), maybe(webs), many(texts), size, checksums,
)  # fmt: skip
amounts = st.builds(Amount, st.floats(-1e12, 1e12), maybe(words), maybe(texts), dates, dates)
prizes = st.builds(Prize, webs, webs, maybe(st.integers(1, 9999)))
COMMON = {
    "key": words.filter(bool), "titles": many(texts, 3), "descriptions": many(texts), "identifiers": many(words), "pages": many(webs),
    "languages": many(words), "licences": many(webs), "issued": dates, "modified": dates, "countries": many(webs), "parties": parties,
    "action_lines": claims, "goals": claims, "targets": claims, "subjects": many(texts), "themes": many(webs),
    "periods": many(st.builds(Period, dates, dates)), "conforms_to": many(webs), "access_rights": maybe(webs), "frequency": maybe(webs),
    "files": many(files), "part_of": many(webs),
}  # fmt: skip
PERIOD = {
    "start": dates,
    "end": dates,
    "places": many(st.builds(Place, maybe(texts), degrees, degrees)),
}
PROJECT = {
    "planned_start": dates, "planned_end": dates, "stage": maybe(webs), "developed_in": many(webs), "amounts": many(amounts),
    "outcomes": many(st.builds(Outcome, many(texts), many(texts), maybe(webs))), "coverage": maybe(webs), "status": maybe(webs),
    "activity_types": many(webs), "prizes": many(prizes),
}  # fmt: skip
OTHERS = {"venue": maybe(texts), "registration": maybe(webs), "cancelled": st.booleans()}
resources: st.SearchStrategy[Resource] = st.one_of(
    st.builds(Initiative, **COMMON, **PERIOD, **PROJECT), st.builds(Event, **COMMON, **PERIOD, **OTHERS),
    st.builds(Document, **COMMON, creators=many(texts), kind=maybe(webs)),
    st.builds(Post, **COMMON, content=maybe(texts), container=maybe(webs)),
)  # fmt: skip


def dumped(lines: list[str]) -> list[str]:
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
    remark = Result("", path, "MinCountConstraintComponent", Severity.WARNING, None, message, "")
    about = Provenance("source", "20260131T120000Z-1", "ckan_package", "00ff", NOON, NOON)
    record = IRIS.record("source", key)

    lines = quads(
        [*describe_record(key, IRIS, about), *describe_results(record, IRIS, [remark])], record
    )

    assert dumped(lines) == sorted(lines)


def test_a_published_result_names_its_node_and_its_rule() -> None:
    node, shape = "https://example.org/thing", f"{IRIS.base}shapes#Title"
    result = Result(node, None, "c", Severity.WARNING, None, "m", shape)

    lines = describe_results(IRIS.record("source", "k"), IRIS, [result])

    part = f"<{IRIS.record('source', 'k')}#result-1> <http://www.w3.org/ns/shacl#"
    assert {f"{part}focusNode> <{node}>", f"{part}sourceShape> <{shape}>"} <= {*lines}


@settings(max_examples=300, deadline=None)
@given(words, tags)
def test_every_language_tag_that_is_written_is_one_that_a_store_takes(
    value: str, tag: str | None
) -> None:
    line = f"<a:s> <a:p> {literal(value, tag)} <a:g> ."

    assert dumped([line]) == [line]


def full() -> Initiative:
    claims = tuple(Claim(SDG4, basis, "word", 0.5) for basis in Basis)
    prize = Prize(IRIS.concept("prize-category", "C1"), IRIS.concept("prize-stage", "winner"), 2016)
    coded: dict[str, Any] = {name: IRIS.concept(name, "x") for name in ("coverage", "status")}
    return Initiative(
        key="1", action_lines=claims, goals=claims, targets=claims, parties=(Party(Role.PARTNER, Text("A body")),), prizes=(prize,),
        activity_types=("x",), **coded,
    )  # fmt: skip


def written() -> list[str]:
    result = Result("", None, "c", Severity.WARNING, None, "m", "")
    record = describe_record("1", IRIS, Provenance("s", "r", "m", "00", NOON, NOON))
    record += describe_results(IRIS.record("s", "1"), IRIS, [result])
    deletion = Deletion("r", NOON, "deleted", IRIS.record("s", "2"))
    event = Event(key="2", venue=Text("Hall"), registration="https://register.example/")
    registry = Registry("s", "S", "P", "https://s.org/", "", "csv", "fields", "0 3 * * *")
    counts = dict.fromkeys(METRICS, 1)
    run = RunStatistics(run="r", source="s", started=NOON, ended=NOON, state="held", counts=counts)
    return [
        *describe(full(), IRIS, "s"), *describe(event, IRIS, "s"), *record, *write_tombstone("1", "s", deletion, NOON, record, IRIS),
        *mark_vanished("\n".join(record), "1", "s", NOON, IRIS).split("\n"), *describe_source(registry, IRIS), *describe_run(run, IRIS),
        *describe_source_statuses([SourceStatus("s", NOON, NOON, "held", 1, "short")], IRIS),
    ]  # fmt: skip


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
