from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from rdf_terms import value
from rows import each
from simulated import Site, define_source, harvest, items, keys

from harvesters.errors import NotFoundError, ParseError
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record
from harvesters.payloads.paths import compile_property_path
from harvesters.protocols.document import MAX_RECORDS
from harvesters.source import Source

HOST = "https://registry.example"
HEAD = """@prefix ldes: <https://w3id.org/ldes#> . @prefix tree: <https://w3id.org/tree#> . @prefix dct: <http://purl.org/dc/terms/> .
@prefix as: <https://www.w3.org/ns/activitystreams#> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> . @prefix : <https://registry.example/> .
"""
STREAM = ":s a ldes:EventStream ; ldes:timestampPath dct:created ; ldes:versionOfPath dct:isVersionOf .\n"


def version(name: str, day: int, title: str = "", more: str = "") -> str:
    turtle = f"dct:isVersionOf :{name} ; dct:created '2026-01-{day:02}T00:00:00Z'^^xsd:dateTime ; dct:title '{title or name}' {more} .\n"
    return f":s tree:member :{name}-{day} .\n:{name}-{day} {turtle}"


def link(page: str, target: str, below: int = 0, kind: str = "LessThanRelation") -> str:
    bound = (
        f"a tree:{kind} ; tree:path dct:created ; tree:value '2026-01-{below:02}T00:00:00Z'^^xsd:dateTime ;"
        if below
        else "a tree:Relation ;"
    )
    return f":{page} tree:relation [ {bound} tree:node :{target} ] .\n"


class StreamSite(Site):
    def __init__(self, **pages: str | int) -> None:
        super().__init__({
            name: page if isinstance(page, int) or page.startswith("<") else HEAD + page for name, page in pages.items()
        })  # fmt: skip


def source(url: str = "/s", **options: Any) -> Source:
    return define_source("ldes", url=HOST + url, fields={"title": "dct:title"}, options=options)


def summary(pages: Iterable[Page[Any]]) -> dict[str, str]:
    return {
        item.key.removeprefix(f"{HOST}/"): value(
            compile_property_path("dct:title")(item.payload)[0]
        )
        for item in items(pages)
        if isinstance(item, Record)
    }


def by_time() -> StreamSite:
    return StreamSite(
        s=STREAM + ":s tree:view :root .",
        root=STREAM + link("root", "a", 10) + link("root", "b", 20) + link("root", "c"),
        a=STREAM + version("x", 1, "old") + version("y", 2, "Y"),
        b=version("x", 11, "new") + version("z", 12, "Z"),
        c=version("z", 21, "", "; a as:Delete"),
    )


def test_the_latest_version_of_each_entity_comes_and_what_was_deleted_is_gone() -> None:
    pages = harvest(by_time(), source())

    assert summary(pages) == {"x": "new", "y": "Y"}
    assert [item for item in items(pages) if isinstance(item, DeletedRecord)] == [
        DeletedRecord(f"{HOST}/z", "2026-01-21T00:00:00Z")
    ]
    assert (pages[0].reported_total, pages[-1].incomplete_reason) == (3, None)


def test_only_pages_that_may_hold_what_came_since_are_asked_for() -> None:
    registry = by_time()

    pages = harvest(registry, source(), datetime(2026, 1, 12, tzinfo=UTC))

    assert registry.request_log == ["s", "root", "b", "c"]
    assert [item.key for item in items(pages)] == [f"{HOST}/z"]


@each("kind", ["LessThanOrEqualToRelation", "EqualToRelation", "LessThanRelation"])
def test_each_relation_that_bounds_time_spares_its_page(kind: str) -> None:
    stream = STREAM + link("s", "a", 10, kind) + link("s", "b")
    registry = StreamSite(s=stream, a=version("x", 10), b=version("y", 12))

    harvest(registry, source(), datetime(2026, 1, 11, tzinfo=UTC))

    assert {*registry.request_log} == {"s", "b"}


def test_the_digest_rests_on_the_entity_and_not_on_its_version() -> None:
    streams = [StreamSite(s=STREAM + version("x", day, "same")) for day in (1, 9)]

    first, second = (items(harvest(stream, source()))[0] for stream in streams)

    assert first.raw == second.raw
    assert first.modified != second.modified


def test_a_member_that_is_a_graph_is_read_as_that_graph() -> None:
    turtle = ":s tree:member :v1 . :v1 dct:isVersionOf :x ; dct:created '2026-01-01T00:00:00Z' . "
    trig = STREAM + turtle + ":v1 { :x dct:title 'X' } :other { :x dct:title 'no' }"

    assert summary(harvest(StreamSite(s=trig), source())) == {"x": "X"}


def test_a_stream_without_versions_brings_its_members() -> None:
    stream = ":s a ldes:EventStream ; tree:member :m1 , :m2 . :m1 dct:title 'A' . :m2 dct:title 'B' ; foaf:maker [ foaf:name 'Water' ] ."

    pages = harvest(StreamSite(s=stream), source())

    assert summary(pages) == {"m1": "A", "m2": "B"}
    assert (
        value(compile_property_path("foaf:maker/foaf:name")(items(pages)[1].payload)[0]) == "Water"
    )


@each("path, deleted", [("dct:type", "'gone'"), ("a", ":Tombstone")])
def test_a_stream_states_its_deletion_property(path: str, deleted: str) -> None:
    name = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>" if path == "a" else path
    stream = STREAM + f":s ldes:versionDeletePath {name} ; ldes:versionDeleteObject {deleted} .\n"
    versions = version("x", 1, "X") + version("x", 2, "X", f"; {path} {deleted}")

    (item,) = items(harvest(StreamSite(s=stream + versions), source()))

    assert type(item) is DeletedRecord


def test_a_place_in_the_stream_decides_between_versions_of_one_time() -> None:
    stream = STREAM + ":s ldes:sequencePath <https://schema.org/position> .\n"
    version_of = ":s tree:member :v{0} . :v{0} dct:isVersionOf :x ; dct:created '2026-01-01' ; "
    turtle = version_of + "<https://schema.org/position> {0} ; dct:title '{0}' .\n"
    members = "".join(turtle.format(number) for number in (2, 10, 9))

    assert summary(harvest(StreamSite(s=stream + members), source())) == {"x": "10"}


def test_pages_that_lead_in_circles_are_read_once() -> None:
    registry = StreamSite(
        s=STREAM + link("s", "a"),
        a=version("x", 1) + link("a", "b"),
        b=link("b", "a") + link("b", "s") + version("y", 1),
    )

    assert summary(harvest(registry, source())) == {"x": "x", "y": "y"}
    assert sorted(registry.request_log) == ["a", "b", "s"]


def test_a_page_that_is_missing_ends_the_harvest_since_it_may_hold_the_latest() -> None:
    stream = STREAM + link("s", "a") + link("s", "b")

    with pytest.raises(NotFoundError):
        harvest(StreamSite(s=stream, a=version("x", 1), b=404), source())


def test_a_full_harvest_takes_the_view_of_the_latest_versions_and_changes_the_other() -> None:
    views = ":s tree:view :all , :latest . :latest ldes:retentionPolicy [ a ldes:LatestVersionSubset ; ldes:amount 1 ] ."
    registry = StreamSite(
        s=STREAM + views, all=STREAM + version("x", 1), latest=STREAM + version("x", 2, "latest")
    )

    assert summary(harvest(registry, source())) == {"x": "latest"}
    assert summary(harvest(registry, source(), datetime(2026, 1, 1, tzinfo=UTC))) == {"x": "x"}


@each(
    "policy, doubted",
    [("a ldes:LatestVersionSubset ; ldes:amount 1", False), ("a ldes:RetentionPolicy ; ldes:versionAmount 3", False),
     ("a ldes:DurationAgoPolicy ; tree:value 'P1Y'", True), ("a ldes:RetentionPolicy ; ldes:fullLogDuration 'P1Y'", True),
     ("a ldes:RetentionPolicy ; ldes:versionAmount 1 ; ldes:versionDuration 'P1Y'", True)],
)  # fmt: skip
def test_a_stream_that_lets_members_go_leaves_the_harvest_incomplete(
    policy: str, doubted: bool
) -> None:
    stream = StreamSite(s=f"{STREAM}:s ldes:retentionPolicy [ {policy} ] . {version('x', 1)}")

    assert (harvest(stream, source())[-1].incomplete_reason is not None) is doubted


def test_a_harvest_goes_on_from_its_cursor() -> None:
    member = ":s tree:member :m{0:04} . :m{0:04} dct:title '{0}' .\n"
    members = "".join(map(member.format, range(MAX_RECORDS + 1)))
    registry = StreamSite(s=":s a ldes:EventStream ." + members)

    pages = harvest(registry, source())
    rest = harvest(registry, source(), cursor=pages[0].cursor)

    assert [len(page.items) for page in pages] == [MAX_RECORDS, 1]
    assert keys(rest) == [f"{HOST}/m{MAX_RECORDS:04}"]


def test_a_member_that_cannot_be_read_is_unreadable_alone() -> None:
    stream = STREAM + version("a", 1, "", "; dct:relation <http://a b>") + version("b", 1)

    bad, good = items(harvest(StreamSite(s=stream), source()))

    assert (type(bad), bad.key[-1]) == (InvalidRecord, "a")
    assert (type(good), good.key[-1]) == (Record, "b")


@each("content", [":a :b :c .", "<html>", "<a", ""])
def test_what_is_no_stream_is_reported(content: str) -> None:
    with pytest.raises(ParseError):
        harvest(StreamSite(s=content), source())
