from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from rows import each

from demo.publications import DOCUMENTS, EVENTS, POSTS, PRIZES, PUBLICATIONS
from demo.registries import Demo
from demo.source_definitions import write_sources
from harvesters.mappings.mapping import MAPPINGS
from harvesters.network.fetch import Fetch, NetworkSettings
from harvesters.page_model import Record
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.source import load
from vocab.crosswalks import Crosswalks
from vocab.initiative import Document, Event, Initiative, Post
from vocab.iris import Iris

CLASSES = {
    "events": (Event, EVENTS),
    "news": (Post, POSTS),
    "documents": (Document, DOCUMENTS),
    "prizes": (Initiative, PRIZES),
}


@pytest.mark.parametrize("name", PUBLICATIONS)
def test_each_item_is_read_and_mapped_to_its_class(demo: Demo, tmp_path: Path, name: str) -> None:
    source = load(write_sources(demo.url, tmp_path, (name,))[0])
    protocol = PROTOCOLS[source.protocol]
    protocol.options.of(source)
    build = MAPPINGS[source.mapping].prepare(source, Crosswalks(Iris()))

    with Fetch(NetworkSettings(allow=frozenset({"127.0.0.1"})), pause=0) as fetch:
        pages = list(protocol.collect(source, fetch, None))

    items = [item for page in pages for item in page.items]
    kind, count = CLASSES[name]
    things = [build(item) for item in items if isinstance(item, Record)]
    assert len(things) == len(items) == count
    # Only complete lists show which records are deleted.
    assert [page.incomplete_reason for page in pages if page.incomplete_reason] == []
    assert {type(thing) for thing in things} == {kind}
    assert all(
        thing.titles and thing.action_lines and (thing.goals or thing.targets) for thing in things
    )
    if name == "prizes":
        received = [
            prize for thing in things if isinstance(thing, Initiative) for prize in thing.prizes
        ]
        assert {prize.stage.rpartition("/")[2] for prize in received} == {
            "winner",
            "champion",
            "nominated",
        }
        assert {prize.year for prize in received} == {2023, 2024, 2025}
    if name == "events":
        events = [thing for thing in things if isinstance(thing, Event)]
        assert all(event.countries and event.places for event in events)
        assert sum(event.cancelled for event in events) == EVENTS // 40


@each("name", PUBLICATIONS)
def test_the_same_seed_has_the_same_bytes_and_a_current_copy_is_not_sent_again(
    demo: Demo, name: str
) -> None:
    path, _, content = PUBLICATIONS[name]
    first = httpx.get(f"{demo.url}{path}")

    again = httpx.get(f"{demo.url}{path}", headers={"If-None-Match": first.headers["ETag"]})

    assert first.content == content(demo.seed) != content(demo.seed + 1)
    assert (again.status_code, again.content) == (304, b"")


def test_a_demo_of_chosen_registries_has_no_others() -> None:
    with Demo(10, 1, (), only=["all"]) as demo:
        assert {
            httpx.get(f"{demo.url}{path}").status_code for path, _, _ in PUBLICATIONS.values()
        } == {404}
