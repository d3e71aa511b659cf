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
from harvesters.network.settings import NetworkSettings
from harvesters.runs.context import HarvestContext, open_context
from vocab.iris import BASE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEFINITION: dict[str, Any] = {
    "title": "Projects", "protocol": "json", "mapping": "fields", "url": "https://registry.example/api",
    "licence": "https://creativecommons.org/licenses/by/4.0/", "language": "en", "pause": 0,
    "options": {"records": "results", "total": "total", "page": "page", "key": "id"},
    "fields": {"key": "id", "title@en": "name", "goals": "sdgs", "lead": "owner"},
}  # fmt: skip


@dataclass
class ProjectRegistry:
    """A registry with *size* projects per page; *total* is the reported total, *answer* may replace
    a page.
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
        return httpx.Response(
            200,
            content=orjson.dumps(
                {
                    "total": total,
                    "results": self.projects[(page - 1) * self.size : page * self.size],
                }
            ),
        )


def project(number: int, name: str | None = None) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "name": f"Project {number}" if name is None else name,
        "sdgs": "SDG 4",
        "owner": "Ministry",
    }


@cache
def empty_ledger() -> bytes:
    """Return the file of a ledger with its tables: creating them takes a tenth of a second."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.sqlite"
        Ledger(f"sqlite:///{file}").close()
        return file.read_bytes()


@contextmanager
def harvest_context(folder: Path, registry: ProjectRegistry) -> Iterator[HarvestContext]:
    """Open a harvest context in *folder* that asks *registry*; its clock advances a minute at each call."""
    ticks = iter(NOON + timedelta(minutes=number) for number in range(10_000))
    if not (ledger := folder / "ledger.sqlite").exists():
        ledger.write_bytes(empty_ledger())
    with open_context(
        folder / "data",
        f"sqlite:///{folder}/ledger.sqlite",
        BASE,
        NetworkSettings("admin@example.org"),
    ) as real:
        yield replace(
            real,
            network=replace(real.network, transport=httpx.MockTransport(registry)),
            now=lambda: next(ticks),
        )
