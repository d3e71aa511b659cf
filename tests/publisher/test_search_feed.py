"""A search as a feed: whoever applies each feed has the results of the search, entry by entry."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from app_client import asking
from lxml import etree
from waiting import wait_until_async

from journal.journal import Journal
from publisher.app import create_app
from publisher.limits import Limits
from publisher.portal.follow import ComparedResults, DueSubscription, settle_due
from publisher.store.query_service import QueryService
from vocab.annotations import Deletion, write_tombstone
from vocab.describe import describe, quads
from vocab.initiative import Claim, Initiative, Text
from vocab.iris import Iris
from vocab.provenance import Provenance, describe_record

IRIS = Iris()
START = datetime(2026, 1, 1, tzinfo=UTC)
RECORDS = 24
SEARCHES = ("", "q=network", "goal=4", "q=network&goal=4", "source=other", "kind=event")
ATOM = {"a": "http://www.w3.org/2005/Atom", "at": "http://purl.org/atompub/tombstones/1.0"}
Results = dict[str, str]  # The time of the last change of each thing.


class Registry:
    """Two sources whose records change at random: titles, goals, deletions, returns."""

    def __init__(self, data: Path, seed: int) -> None:
        self._journal = Journal(data / "journal")
        self._random = random.Random(seed)
        self._records = dict[tuple[str, str], list[str]]()
        self._number = 0

    def commit(self) -> int:
        """Append an entry that changes one to four records; return its number."""
        self._number += 1
        at, rows = START + timedelta(hours=self._number), list[str]()
        for number in self._random.sample(range(RECORDS), self._random.randint(1, 4)):
            source, key = ("demo", "other")[number % 2], f"r{number}"
            before = self._records.get((source, key), [])
            is_deleted = before and self._random.random() < 0.3
            after = (
                self._tombstone(source, key, before, at)
                if is_deleted
                else self._describe(source, key, at)
            )
            graph = IRIS.record(source, key)
            rows += [f"D {quad}" for quad in quads(sorted({*before} - {*after}), graph)]
            rows += [f"A {quad}" for quad in quads(sorted({*after} - {*before}), graph)]
            self._records[source, key] = after
        return self._journal.append(rows, run=f"run-{self._number}", time=at).number

    def forget(self, number: int) -> int:
        """Append an entry that replaces a record by a tombstone that says nothing of it; return its
        number.
        """
        self._number += 1
        at = START + timedelta(hours=self._number)
        source = ("demo", "other")[number % 2]
        key = f"r{number}"
        after = self._tombstone(source, key, [], at)
        rows = [f"A {quad}" for quad in quads(after, IRIS.record(source, key))]
        return self._journal.append(rows, run=f"run-{self._number}", time=at).number

    def _describe(self, source: str, key: str, at: datetime) -> list[str]:
        titles = ("Village network", "School for teachers", "Health network & <clinics>")
        title = self._random.choice(titles)
        [code] = self._random.sample(("3", "4", "9"), 1)
        goals = (Claim(f"http://metadata.un.org/sdg/{code}"),)
        thing = Initiative(key=key, titles=(Text(f"{title} {self._number}", "en"),), goals=goals)
        about = Provenance(source, f"run-{self._number}", "fields", "ab" * 32, START, at)
        return sorted([*describe(thing, IRIS, source), *describe_record(key, IRIS, about)])

    def _tombstone(self, source: str, key: str, before: list[str], at: datetime) -> list[str]:
        return write_tombstone(
            key, source, Deletion(f"run-{self._number}", at, "deleted"), START, before, IRIS
        )


@pytest.fixture
async def following(
    tmp_path: Path,
) -> AsyncIterator[tuple[Registry, QueryService, httpx.AsyncClient]]:
    data = tmp_path / "data"
    registry = Registry(data, seed=29)  # With this seed, the second entry deletes a record.
    registry.commit()
    async with QueryService(data, IRIS, Limits(seconds=240, wait=240), readers=1) as service:
        app = create_app(service)
        async with asking(app) as client:
            yield registry, service, client


async def show(service: QueryService, entry: int) -> None:
    """Wait until the publisher shows an entry, with all its indexes."""

    def is_shown() -> bool:
        snapshot = service.snapshot
        return snapshot is not None and snapshot.position >= entry and snapshot.is_indexed

    await wait_until_async(is_shown, f"entry {entry} to be shown", output=str)


async def results(client: httpx.AsyncClient, search: str) -> Results:
    answer = await client.get(f"/search?{search}&format=json&per=1000")
    assert answer.status_code == 200, answer.text
    return {row["thing"]: row["modified"] for row in answer.json()["results"]}


def apply_atom(results: Results, text: bytes) -> Results:
    root = etree.fromstring(text)
    gone = {item.get("ref") for item in root.iterfind("at:deleted-entry", ATOM)}
    entries = {
        str(item.findtext("{*}id")): str(item.findtext("{*}updated"))
        for item in root.iterfind("a:entry", ATOM)
    }
    return {thing: time for thing, time in results.items() if thing not in gone} | entries


def apply_json(results: Results, feed: dict[str, Any]) -> Results:
    gone = {item["id"] for item in feed["_stocktake"]["removed"]}
    entries = {item["id"]: item["date_modified"] for item in feed["items"]}
    return {thing: time for thing, time in results.items() if thing not in gone} | entries


class Followers:
    """One subscription to each of SEARCHES; what its messages say is applied to ``seen``."""

    def __init__(self) -> None:
        self._results: dict[str, dict[str, str]] = {}
        self.seen: dict[str, Results] = {}
        self.named: list[int] = []  # The number of things that each message names.

    def due(self, position: int) -> list[DueSubscription]:
        return [
            DueSubscription(search, search, "en", self._results.get(search)) for search in SEARCHES
        ]

    def settle(self, key: Any, comparison: ComparedResults) -> None:
        changes = {kind: [row.iri for row in rows] for kind, rows in comparison.changes.items()}
        assert comparison.results is not None
        seen = self.seen.setdefault(key, dict(comparison.results))
        new, changed, removed = (
            set(changes.get(kind, ())) for kind in ("new", "changed", "removed")
        )
        assert not new & seen.keys() or not changes
        assert changed | removed <= seen.keys()
        self.seen[key] = {iri: time for iri, time in seen.items() if iri not in removed}
        self.seen[key] |= {iri: comparison.results[iri] for iri in new | changed}
        self._results[key] = dict(comparison.results)
        self.named.append(len(new | changed | removed))


@pytest.mark.parametrize("entry_count", [8, pytest.param(50, marks=pytest.mark.nightly)])
async def test_after_each_entry_each_feed_is_the_difference_of_the_results(
    following: Any, entry_count: int
) -> None:
    registry, service, client = following
    atom: dict[str, Results] = {search: {} for search in SEARCHES}
    json: dict[str, Results] = {search: {} for search in SEARCHES}
    seen, followers = set[str](), Followers()
    for _ in range(entry_count):
        entry = registry.commit()
        await show(service, entry)
        assert await asyncio.to_thread(settle_due, service, followers) == len(SEARCHES)  # type: ignore[arg-type]
        for search in SEARCHES:
            answer = await client.get(f"/feeds/search.atom?{search}")
            feed = (await client.get(f"/feeds/search.json?{search}")).json()
            atom[search] = apply_atom(atom[search], answer.content)
            json[search] = apply_json(json[search], feed)
            expected = await results(client, search)
            states = (atom[search], json[search], followers.seen[search])
            assert states == (expected,) * 3, (entry, search)
            seen |= expected.keys()

    assert min(RECORDS, entry_count) <= len(seen) <= RECORDS
    assert 0 < len(atom["q=network&goal=4"]) < len(atom["q=network"]) < len(atom[""])
    assert atom["kind=event"] == {}
    assert max(followers.named) <= 4  # An entry changes at most four records.


async def test_nothing_is_compared_before_each_index_has_the_entry(following: Any) -> None:
    _registry, service, _client = following
    await show(service, 1)
    complete, followers = service.snapshot, Followers()

    counts = []
    for behind in ({"text": 0}, {"columns": 0}, {"columns": -1}, {"applying": 2}, {}):
        service.snapshot = replace(complete, **behind)
        counts.append(settle_due(service, followers))  # type: ignore[arg-type]

    assert counts == [0, 0, 0, 0, len(SEARCHES)]


async def test_a_feed_names_itself_and_its_search_and_is_escaped(following: Any) -> None:
    _registry, service, client = following
    await show(service, 1)

    atom = await client.get(
        "/feeds/search.atom", params={"q": "network <b>&", "page": "3", "sort": "title"}
    )
    feed = (await client.get("/feeds/search.json", params={"goal": "4"})).json()
    page = await client.get("/search?q=network&goal=4&page=1", headers={"Accept": "text/html"})
    wrong = await client.get("/feeds/search.rss?q=x")
    unknown = await client.get("/feeds/search.atom?kind=nonsense")

    root = etree.fromstring(atom.content)
    assert atom.headers["content-type"].startswith("application/atom+xml")
    assert str(root.findtext("a:title", namespaces=ATOM)).endswith(": network <b>&")
    link = root.find("a:link[@rel='self']", ATOM)
    assert link is not None
    assert link.get("href") == "http://stocktake.test/feeds/search.atom?q=network+%3Cb%3E%26"
    assert feed["version"] == "https://jsonfeed.org/version/1.1"
    assert feed["home_page_url"] == "http://stocktake.test/search?goal=4"
    assert page.text.count("/feeds/search.json?q=network&amp;goal=4") == 2
    assert (wrong.status_code, unknown.status_code) == (404, 400)


async def test_a_feed_of_one_thing_has_that_thing_until_it_is_removed(following: Any) -> None:
    registry, service, client = following
    removed, entry = list[dict[str, Any]](), 1
    while not removed:
        entry = registry.commit()
        assert entry < 50
        await show(service, entry)
        whole = (await client.get("/feeds/search.json")).json()
        removed = whole["_stocktake"]["removed"]
    gone, there = removed[0]["id"], whole["items"][0]["id"]
    wrong = await client.get("/feeds/search.json?thing=initiative/demo")

    for iri, items, deletions in ((gone, [], [gone]), (there, [there], [])):
        thing = iri.removeprefix(f"{IRIS.base}id/")
        feed = (await client.get("/feeds/search.json", params={"thing": thing})).json()
        assert [item["id"] for item in feed["items"]] == items
        assert [item["id"] for item in feed["_stocktake"]["removed"]] == deletions
        assert feed["home_page_url"] == f"http://stocktake.test/page/{thing}"
    assert wrong.status_code == 400


async def test_the_page_of_a_forgotten_record_says_that_it_was_removed(following: Any) -> None:
    registry, service, client = following
    await show(service, registry.forget(RECORDS))

    pages = [
        await client.get(f"/{path}/demo/r{RECORDS}", headers={"Accept": "text/html"})
        for path in ("page/initiative", "record")
    ]

    assert [page.status_code for page in pages] == [410, 410]
    assert "This record has been removed" in pages[0].text
