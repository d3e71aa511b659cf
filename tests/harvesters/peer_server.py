"""A simulated peer: another Stocktake with a journal, served at the URLs that a peer source
requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from harvesters.network.fetch import Fetch, NetworkSettings, RetryPolicy
from harvesters.page_model import Validator
from journal.journal import Journal
from vocab.annotations import Deletion, write_tombstone
from vocab.describe import describe, quads
from vocab.initiative import Initiative, Resource, Text
from vocab.iris import Iris
from vocab.provenance import Provenance, Registry, describe_record, describe_source

URL = "https://other.example/"
BASE = "https://other.example/id/"
OURS = "https://ours.example/"
WHEN = datetime(2026, 3, 1, 12, tzinfo=UTC)
KENYA = Registry(
    "kenya", "Kenya ICT projects", "ICT Authority", "https://k.example/", "https://k.example/licence", "json",
    "fields", "1 * * * *",
)  # fmt: skip


def initiative(key: str, title: str = "Wells", **more: Any) -> Initiative:
    return Initiative(key=key, titles=(Text(title, "en"),), **more)


@dataclass
class Peer:
    """A peer that records each path in *requested* and answers those of *overrides* by their
    functions. Its feed lacks the newest entry unless *is_feed_current*.
    """

    journal: Journal
    base: str = BASE
    is_feed_current: bool = True
    overrides: dict[str, Callable[[httpx.Request], httpx.Response]] = field(default_factory=dict)
    requested: list[str] = field(default_factory=list)
    stored: dict[str, set[str]] = field(default_factory=dict)

    @property
    def iris(self) -> Iris:
        return Iris(self.base)

    def commit(
        self, registry: str, *things: Resource, gone: Iterable[Resource] = (), run: str = "r.1"
    ) -> None:
        rows = [
            row
            for thing in things
            for row in self._put(registry, thing.key, self._described(registry, thing, run))
        ]
        for item in gone:
            before = self._described(registry, item, run)
            rows += self._put(
                registry,
                item.key,
                write_tombstone(
                    item.key, registry, Deletion(run, WHEN, "deleted"), WHEN, before, self.iris
                ),
            )
        self.journal.append(rows, run=run, time=WHEN)

    def describe(self, registry: Registry = KENYA) -> None:
        graph = self.iris.source(registry.name)
        self.journal.append(
            [f"A {quad}" for quad in quads(describe_source(registry, self.iris), graph)],
            run="r.0",
            time=WHEN,
        )

    def _described(self, registry: str, resource: Resource, run: str) -> list[str]:
        about = Provenance(registry, run, "fields", "ab" * 32, WHEN, WHEN)
        return sorted(
            {
                *describe(resource, self.iris, registry),
                *describe_record(resource.key, self.iris, about),
            }
        )

    def _put(self, registry: str, key: str, lines: Iterable[str]) -> Iterator[str]:
        graph, new = self.iris.record(registry, key), set(lines)
        old = self.stored.get(graph, set())
        self.stored[graph] = new
        yield from (f"D {quad}" for quad in quads(sorted(old - new), graph))
        yield from (f"A {quad}" for quad in quads(sorted(new - old), graph))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.requested.append(path)
        if path in self.overrides:
            return self.overrides[path](request)
        if path == "/journal/head":
            return self._head(request)
        if path == "/journal/":
            return self._list(int(request.url.params["before"]), int(request.url.params["per"]))
        if path.startswith("/ldes/version/"):
            entry, registry, key = path.removeprefix("/ldes/version/").split("/")
            known = self.is_feed_current or int(entry) < self._newest
            return (
                self._graph(
                    self.iris.record(registry, key),
                    f"{self.base}ldes/version/{entry}/{registry}/{key}",
                )
                if known
                else httpx.Response(404)
            )
        if path.startswith("/source/"):
            return self._graph(self.iris.source(path.removeprefix("/source/")), "")
        stored = self.journal.entry(int(path.removeprefix("/journal/").removesuffix(".gz")))
        return (
            httpx.Response(200, content=stored.path.read_bytes()) if stored else httpx.Response(404)
        )

    @property
    def _newest(self) -> int:
        return self.journal.head.number if self.journal.head else 0

    def _head(self, request: httpx.Request) -> httpx.Response:
        newest = self.journal.head
        etag = f'"{newest.id}-head"' if newest else '"empty"'
        if request.headers.get("if-none-match") == etag:
            return httpx.Response(304)
        head = {"base": self.base, "number": self._newest, "id": newest.id if newest else None}
        return httpx.Response(200, json=head, headers={"ETag": etag})

    def _list(self, before: int, per: int) -> httpx.Response:
        entries = [
            entry for entry in self.journal.entries() if before - per <= entry.number < before
        ]
        return httpx.Response(
            200,
            json={
                "entries": [{"number": entry.number, "id": entry.id} for entry in reversed(entries)]
            },
        )

    def _graph(self, name: str, version: str) -> httpx.Response:
        rows = [
            row[2:]
            for entry in self.journal.entries()
            for row in entry.rows()
            if row[0] == "A" and row.endswith(f"<{name}> .")
        ]
        triples = [
            row.rpartition(" <")[0]
            for row in rows
            if not self.stored.get(name) or row.rpartition(" <")[0] in self.stored[name]
        ]
        text = "".join(
            f"{line}{f' <{version}>' if version else ''} .\n" for line in dict.fromkeys(triples)
        )
        return httpx.Response(200, text=text, headers={"content-type": "application/n-quads"})

    def client(self, seen: dict[str, Validator] | None = None, base: str = OURS) -> Fetch:
        return Fetch(
            NetworkSettings(
                retry_policy=RetryPolicy(max_attempts=1), transport=httpx.MockTransport(self)
            ),
            pause=0,
            robots=False,
            validators=seen or {},
            base=base,
        )


def peer(folder: Path, base: str = BASE) -> Peer:
    return Peer(Journal(folder / "journal"), base)
