"""A small simulated registry, its source definition, a harvest context for it, and the time of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import orjson

from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Run
from harvesters.network.fetch import NetworkSettings
from harvesters.runs import operations
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.plan import Plan
from harvesters.runs.run import harvest
from harvesters.source import Source, parse
from journal.entry import Entry
from journal.journal import Journal
from vocab.iris import BASE, Iris

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEFINITION: dict[str, Any] = {
    "title": "Projects", "protocol": "json", "mapping": "fields", "url": "https://registry.example/api",
    "licence": "https://creativecommons.org/licenses/by/4.0/", "language": "en", "pause": 0,
    "options": {"records": "results", "total": "total", "page": "page", "key": "id"},
    "fields": {"key": "id", "title@en": "name", "goals": "sdgs", "lead": "owner"},
}  # fmt: skip


@dataclass
class ProjectRegistry:
    """A registry with *size* projects per page; *total* is the total that it reports, *answer*
    may replace a page.
    """

    projects: list[dict[str, Any]] = field(default_factory=list)
    total: int | None = None
    size: int = 3
    answer: Callable[[int], httpx.Response | None] = lambda _: None
    request_log: list[int] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        page = int(request.url.params.get("page", "1"))
        self.request_log.append(page)
        if response := self.answer(page):
            return response
        total = len(self.projects) if self.total is None else self.total
        results = self.projects[(page - 1) * self.size : page * self.size]
        return httpx.Response(200, content=orjson.dumps({"total": total, "results": results}))


def project(number: int, name: str | None = None) -> dict[str, Any]:
    title = f"Project {number}" if name is None else name
    return {"id": f"p{number}", "name": title, "sdgs": "SDG 4", "owner": "Ministry"}


@cache
def empty_ledger() -> bytes:
    """Return the file of a ledger with its tables, made once: creating them takes 0.1 s."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.sqlite"
        Ledger(f"sqlite:///{file}").close()
        return file.read_bytes()


@contextmanager
def harvest_context(folder: Path, registry: ProjectRegistry) -> Iterator[HarvestContext]:
    ticks = iter(NOON + timedelta(minutes=number) for number in range(10_000))
    if not (ledger := folder / "ledger.sqlite").exists():
        ledger.write_bytes(empty_ledger())
    network = NetworkSettings("admin@example.org")
    with open_context(folder / "data", f"sqlite:///{ledger}", BASE, network) as real:
        yield asking(replace(real, now=lambda: next(ticks)), registry)


def asking(
    context: HarvestContext, answer: Callable[[httpx.Request], httpx.Response], **network: Any
) -> HarvestContext:
    transport = httpx.MockTransport(answer)
    return replace(context, network=replace(context.network, transport=transport, **network))


def serving(context: HarvestContext, content: Any) -> HarvestContext:
    def answer(request: httpx.Request) -> httpx.Response:
        is_robots = request.url.path == "/robots.txt"
        return httpx.Response(404) if is_robots else httpx.Response(200, json=content)

    return asking(context, answer)


def define_table(content: bytes) -> tuple[Source, NetworkSettings]:
    """Return a source of a CSV table with the columns id and name, and a network that serves it."""
    changed = {"protocol": "csv", "options": {"key": "id"}, "fields": {"title": "name"}}

    def answer(request: httpx.Request) -> httpx.Response:
        is_robots = "robots" in request.url.path
        return httpx.Response(404) if is_robots else httpx.Response(200, content=content)

    network = NetworkSettings("us@example.org", transport=httpx.MockTransport(answer))
    return parse("table", {**DEFINITION, **changed}, "test"), network


@dataclass(frozen=True)
class Harvester:
    source: Source
    context: HarvestContext
    registry: ProjectRegistry

    def harvest(self, **how: Any) -> Plan:
        return harvest(self.source, self.context, **how)

    def having(self, **changes: Any) -> Harvester:
        return replace(self, source=replace(self.source, **changes))

    def without_total(self) -> Harvester:
        options = {name: item for name, item in self.source.options.items() if name != "total"}
        return self.having(options=options)

    def approve(self, run: str, by: str = "ann", **more: Any) -> Run:
        return operations.approve(self.context, self.source, run, by=by, **more)

    def reject(self, run: str, reason: str = "") -> Run:
        return operations.reject(self.context, self.source, run, by="ann", reason=reason)

    def hold(self, reason: str = "") -> None:
        operations.hold(self.context, self.source, by="ann", reason=reason)

    @property
    def data(self) -> Path:
        return self.context.data

    @property
    def iris(self) -> Iris:
        return self.context.iris

    @property
    def journal(self) -> Journal:
        return self.context.journal

    @property
    def ledger(self) -> Ledger:
        return self.context.ledger

    @property
    def published(self) -> int:
        return self.ledger.count_published(self.source.name)

    @property
    def missing(self) -> int:
        return self.ledger.count_missing(self.source.name)

    @property
    def entries(self) -> list[Entry]:
        return list(self.journal.entries())

    def graphs(self) -> dict[str, set[str]]:
        """Return the statements of each graph after the last entry of the journal."""
        played: dict[str, set[str]] = {}
        for entry in self.entries:
            for row in entry.rows():
                statement, _, graph = row[2:].removesuffix(" .").rpartition(" ")
                lines = played.setdefault(graph.strip("<>"), set())
                (lines.add if row[0] == "A" else lines.remove)(statement)
        return {graph: lines for graph, lines in played.items() if lines}

    def record(self, key: str) -> set[str]:
        return self.graphs()[self.iris.record(self.source.name, key)]
