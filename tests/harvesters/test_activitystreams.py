"""ActivityStreams 2: change collections, read backwards from the newest page."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from harvesters.compatibility import check_compatible
from harvesters.errors import ParseError, SourceDefinitionError, UnavailableError
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Payload, Record
from harvesters.source import Source

from .conftest import DefineSource
from .simulated import Site, harvest

HOST = "https://registry.example"


def act(kind: str, name: str, day: int, **more: object) -> dict[str, Any]:
    element = {"type": kind, "endTime": f"2026-01-{day:02}T00:00:00Z", **more}
    return (
        element
        if kind == "Refresh"
        else {
            "object": {"id": f"{HOST}/{name}", "type": "Article", "name": f"{name} of day {day}"},
            **element,
        }
    )


def page(*activities: object, **more: object) -> dict[str, object]:
    return {
        "type": "OrderedCollectionPage",
        "orderedItems": list(activities),
        **{name: f"{HOST}/{element}" for name, element in more.items()},
    }


TURTLE = b"<https://registry.example/a> a <http://schema.org/Project> ."
COLLECTION = {
    "@context": "https://www.w3.org/ns/activitystreams",
    "type": "OrderedCollection",
    "last": f"{HOST}/p2",
    "first": f"{HOST}/p1",
}


class ActivitySite(Site):
    """A host of pages by their names."""


@pytest.fixture
def source(define_source: DefineSource) -> Callable[..., Source]:
    return lambda **options: define_source(
        "activitystreams", url=f"{HOST}/c", fields={"title": "name"}, options=options
    )


def summary(pages: Iterable[Page[Any]]) -> list[tuple[str, Any]]:
    """Return what came: the object and its name, or that it is gone."""
    items = [item for page in pages for item in page.items]
    return [
        (
            str(element.key).removeprefix(f"{HOST}/"),
            element.payload["name"] if isinstance(element, Record) else type(element).__name__,
        )
        for element in items
    ]


def collection(**more: object) -> ActivitySite:
    return ActivitySite({
        "c": COLLECTION,
        "p1": page(act("Create", "a", 1), act("Create", "b", 2), act("Create", "c", 3), next="p2"),
        "p2": page(act("Update", "a", 11), act("Delete", "b", 12), act("Create", "d", 13), prev="p1"),
        **more,
    })  # fmt: skip


def test_of_each_object_the_newest_activity_counts(source: Callable[..., Source]) -> None:
    pages = harvest(collection(), source())

    assert summary(pages) == [
        ("d", "d of day 13"),
        ("b", "DeletedRecord"),
        ("a", "a of day 11"),
        ("c", "c of day 3"),
    ]
    assert (pages[-1].cursor, pages[-1].incomplete_reason, pages[0].again) == (None, None, True)


def test_only_pages_with_news_are_asked_for(source: Callable[..., Source]) -> None:
    registry = collection()

    assert summary(harvest(registry, source(), datetime(2026, 1, 12, tzinfo=UTC))) == [
        ("d", "d of day 13"),
        ("b", "DeletedRecord"),
    ]
    assert registry.request_log == ["c", "p2"]


def test_a_collection_that_only_leads_on_is_read_from_its_end_too(
    source: Callable[..., Source],
) -> None:
    registry = collection(c={"type": "OrderedCollection", "first": f"{HOST}/p1"})

    assert summary(harvest(registry, source())) == summary(harvest(collection(), source()))


@pytest.mark.parametrize("name", ["orderedItems", "items"])
def test_a_collection_without_pages_is_read(name: str, source: Callable[..., Source]) -> None:
    rows = [act("Create", "a", 1), act("Update", "a", 3), act("Create", "b", 2)]
    rows = rows if name == "items" else sorted(rows, key=lambda row: str(row["endTime"]))

    assert summary(harvest(ActivitySite({"c": {"type": "Collection", name: rows}}), source())) == [
        ("a", "a of day 3"),
        ("b", "b of day 2"),
    ]


def test_what_moved_is_gone_there_and_comes_here(source: Callable[..., Source]) -> None:
    move = act("Move", "a", 12, target={"id": f"{HOST}/z", "name": "moved"})

    assert summary(
        harvest(ActivitySite({"c": COLLECTION, "p2": page(act("Create", "a", 1), move)}), source())
    ) == [
        ("a", "DeletedRecord"),
        ("z", "moved"),
    ]


def test_before_a_refresh_only_deletions_count(source: Callable[..., Source]) -> None:
    pages = {
        "c": COLLECTION, "p2": page(act("Create", "old", 1), act("Delete", "gone", 2), act("Refresh", "", 3), act("Create", "new", 4)),
    }  # fmt: skip

    assert summary(harvest(ActivitySite(pages), source())) == [("new", "new of day 4")]
    later = datetime(2026, 1, 1, tzinfo=UTC)
    assert summary(harvest(ActivitySite(pages), source(), later)) == [
        ("new", "new of day 4"),
        ("gone", "DeletedRecord"),
    ]


@pytest.mark.parametrize(
    ("kind", "content", "payload"),
    [("json", b'{"name": "A"}', Payload.ROW), ("xml", b"<a/>", Payload.XML), ("rdf", TURTLE, Payload.GRAPH)],
)  # fmt: skip
def test_an_object_is_brought_from_its_address_where_the_definition_says_so(
    kind: str, content: bytes, payload: Payload, define_source: DefineSource
) -> None:
    source = define_source(
        "activitystreams", url=f"{HOST}/c", fields={"title": "'x'"}, options={"format": kind}
    )

    (item,) = harvest(
        ActivitySite({"c": COLLECTION, "p2": page(act("Create", "a", 1)), "a": content}), source
    )[0].items

    assert (item.key, type(item)) == (f"{HOST}/a", Record)
    assert check_compatible(source)[0].payload_type is payload


def test_an_object_is_brought_once_however_often_it_changed(source: Callable[..., Source]) -> None:
    registry = ActivitySite(
        {
            "c": COLLECTION,
            "p2": page(*(act("Update", "a", day) for day in range(1, 9)), prev="p1"),
            "p1": page(act("Create", "a", 1)),
            "a": {},
        }
    )

    harvest(registry, source(format="json"))

    assert registry.request_log.count("a") == 1


def test_an_object_is_brought_from_where_it_says_also(source: Callable[..., Source]) -> None:
    element = act("Create", "a", 1)
    element["object"]["seeAlso"] = [{"id": f"{HOST}/meta", "format": "application/json"}]

    pages = harvest(
        ActivitySite(
            {"c": COLLECTION, "p2": page(element, act("Create", "b", 1)), "meta": {"name": "A"}}
        ),
        source(format="json", also=True),
    )

    assert summary(pages) == [("b", "InvalidRecord"), ("a", "A")]


@pytest.mark.parametrize(
    ("broken", "kind"),
    [(404, DeletedRecord), (410, DeletedRecord), (403, InvalidRecord), (500, InvalidRecord), (b"{", InvalidRecord)],
)  # fmt: skip
def test_an_object_that_cannot_be_brought_stops_nothing(
    broken: int | bytes,
    kind: type[DeletedRecord] | type[InvalidRecord],
    source: Callable[..., Source],
) -> None:
    registry = ActivitySite(
        {
            "c": COLLECTION,
            "p2": page(act("Create", "a", 1), act("Create", "b", 1)),
            "a": broken,
            "b": {"name": "B"},
        }
    )

    assert summary(harvest(registry, source(format="json"))) == [("b", "B"), ("a", kind.__name__)]


def test_a_registry_that_goes_down_ends_the_harvest(source: Callable[..., Source]) -> None:
    class FailingCollection(ActivitySite):
        def __call__(self, request: httpx.Request) -> httpx.Response:
            return super().__call__(request) if len(self.request_log) < 2 else httpx.Response(503)

    with pytest.raises(UnavailableError):
        harvest(
            FailingCollection({"c": COLLECTION, "p2": page(act("Create", "a", 1))}),
            source(format="json"),
        )


def test_a_harvest_goes_on_from_each_of_its_cursors(source: Callable[..., Source]) -> None:
    registry = collection()
    whole = harvest(registry, source())

    assert summary(harvest(registry, source(), cursor=whole[0].cursor)) == [
        ("c", "c of day 3"),
        ("b", "b of day 2"),
        ("a", "a of day 1"),
    ]


def test_pages_that_lead_in_circles_end_the_harvest(source: Callable[..., Source]) -> None:
    with pytest.raises(ParseError, match="repeats the page"):
        harvest(collection(p1=page(act("Create", "a", 1), prev="p2")), source())
    with pytest.raises(ParseError, match="repeats the page"):
        harvest(
            ActivitySite(
                {"c": {"type": "Collection", "first": f"{HOST}/p1"}, "p1": page(next="p1")}
            ),
            source(),
        )


@pytest.mark.parametrize(
    "row",
    ["text", {"type": "Create"}, {"type": "Create", "object": {"name": "no id"}}, {"type": "Create", "object": [None]}],
)  # fmt: skip
def test_an_activity_that_cannot_be_read_is_reported(
    row: dict[str, Any] | str, source: Callable[..., Source]
) -> None:
    items = harvest(
        ActivitySite({"c": COLLECTION, "p2": page(row, act("Create", "a", 1))}), source()
    )[0].items

    assert [type(item) for item in items] == [Record, InvalidRecord]


@pytest.mark.parametrize("content", [b"{}", b"[]", b"7", b'{"type": "Person"}', b"<html>", b""])
def test_what_is_no_collection_is_reported(content: bytes, source: Callable[..., Source]) -> None:
    with pytest.raises(ParseError):
        harvest(ActivitySite({"c": content}), source())


def test_an_unknown_format_is_refused(source: Callable[..., Source]) -> None:
    with pytest.raises(SourceDefinitionError, match="use one of inline, json, xml, rdf"):
        check_compatible(source(format="csv"))
