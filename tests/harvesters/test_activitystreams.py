from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from rows import each
from simulated import Site, define_source, harvest, items

from harvesters.errors import ParseError
from harvesters.page_model import InvalidRecord, Page, Payload, Record
from harvesters.pipeline.record_processor import check_compatible
from harvesters.source import Source

HOST = "https://registry.example"


def act(kind: str, name: str, day: int, **more: object) -> dict[str, Any]:
    element = {"type": kind, "endTime": f"2026-01-{day:02}T00:00:00Z", **more}
    if kind == "Refresh":
        return element
    return {"object": {"id": f"{HOST}/{name}", "type": "Article", "name": f"{name} of day {day}"}, **element}  # fmt: skip


def page(*activities: object, **more: object) -> dict[str, object]:
    links = {name: f"{HOST}/{element}" for name, element in more.items()}
    return {"type": "OrderedCollectionPage", "orderedItems": list(activities), **links}


TURTLE = b"<https://registry.example/a> a <http://schema.org/Project> ."
COLLECTION = {
    "@context": "https://www.w3.org/ns/activitystreams",
    "type": "OrderedCollection",
    "last": f"{HOST}/p2",
    "first": f"{HOST}/p1",
}


def site(*activities: object, **pages: object) -> Site:
    return Site({"c": COLLECTION, "p2": page(*activities), **pages})


def source(**options: Any) -> Source:
    return define_source(
        "activitystreams", url=f"{HOST}/c", fields={"title": "name"}, options=options
    )


def summary(pages: Iterable[Page[Any]]) -> list[tuple[str, Any]]:
    return [
        (str(item.key).removeprefix(f"{HOST}/"), item.payload["name"] if isinstance(item, Record) else type(item).__name__)
        for item in items(pages)
    ]  # fmt: skip


def collection(**more: object) -> Site:
    return Site({
        "c": COLLECTION,
        "p1": page(act("Create", "a", 1), act("Create", "b", 2), act("Create", "c", 3), next="p2"),
        "p2": page(act("Update", "a", 11), act("Delete", "b", 12), act("Create", "d", 13), prev="p1"),
        **more,
    })  # fmt: skip


NEWEST = [("d", "d of day 13"), ("b", "DeletedRecord"), ("a", "a of day 11"), ("c", "c of day 3")]


def test_of_each_object_the_newest_activity_counts() -> None:
    pages = harvest(collection(), source())

    assert summary(pages) == NEWEST
    assert (pages[-1].cursor, pages[-1].incomplete_reason, pages[0].again) == (None, None, True)


def test_only_pages_with_news_are_asked_for_and_those_behind_a_cursor() -> None:
    registry = collection()
    cursor = harvest(collection(), source())[0].cursor

    assert summary(harvest(registry, source(), datetime(2026, 1, 12, tzinfo=UTC))) == NEWEST[:2]
    assert registry.request_log == ["c", "p2"]
    assert summary(harvest(registry, source(), cursor=cursor)) == [
        (name, f"{name} of day {day}") for name, day in (("c", 3), ("b", 2), ("a", 1))
    ]


def test_a_collection_without_pages_is_read() -> None:
    rows = [act("Create", "a", 1), act("Create", "b", 2), act("Update", "a", 3)]

    pages = harvest(Site({"c": {"type": "OrderedCollection", "orderedItems": rows}}), source())

    assert summary(pages) == [("a", "a of day 3"), ("b", "b of day 2")]


def test_what_moved_is_gone_there_and_comes_here() -> None:
    move = act("Move", "a", 12, target={"id": f"{HOST}/z", "name": "moved"})

    pages = harvest(site(act("Create", "a", 1), move), source())

    assert summary(pages) == [("a", "DeletedRecord"), ("z", "moved")]


def test_before_a_refresh_only_deletions_count() -> None:
    registry = site(act("Create", "old", 1), act("Delete", "gone", 2), act("Refresh", "", 3), act("Create", "new", 4))  # fmt: skip

    whole = harvest(registry, source())
    later = harvest(registry, source(), datetime(2026, 1, 1, tzinfo=UTC))

    assert summary(whole) == [("new", "new of day 4")]
    assert summary(later) == [("new", "new of day 4"), ("gone", "DeletedRecord")]


@each(
    "kind, content, payload",
    [("json", b'{"name": "A"}', Payload.ROW), ("xml", b"<a/>", Payload.XML), ("rdf", TURTLE, Payload.GRAPH)],
)  # fmt: skip
def test_an_object_is_brought_from_its_address_where_the_definition_says_so(
    kind: str, content: bytes, payload: Payload
) -> None:
    source = define_source(
        "activitystreams", url=f"{HOST}/c", fields={"title": "'x'"}, options={"format": kind}
    )

    (item,) = items(harvest(site(act("Create", "a", 1), a=content), source))

    assert (item.key, type(item)) == (f"{HOST}/a", Record)
    assert check_compatible(source)[0].payload_type is payload


def test_an_object_is_brought_once_however_often_it_changed() -> None:
    often = page(*(act("Update", "a", day) for day in range(1, 9)), prev="p1")
    registry = Site({"c": COLLECTION, "p2": often, "p1": page(act("Create", "a", 1)), "a": {}})

    harvest(registry, source(format="json"))

    assert registry.request_log.count("a") == 1


def test_pages_that_lead_in_circles_end_the_harvest() -> None:
    with pytest.raises(ParseError, match="repeats 'http"):
        harvest(collection(p1=page(act("Create", "a", 1), prev="p2")), source())


@each(
    "row",
    ["text", {"type": "Create"}, {"type": "Create", "object": {"name": "no id"}}, {"type": "Create", "object": [None]}],
)  # fmt: skip
def test_an_activity_that_cannot_be_read_is_reported(row: dict[str, Any] | str) -> None:
    result = items(harvest(site(row, act("Create", "a", 1)), source()))

    assert [type(item) for item in result] == [Record, InvalidRecord]
