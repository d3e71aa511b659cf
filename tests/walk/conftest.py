"""A small simulated registry, and a harvest context for it with a given clock."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import stamina

from harvesters.runs.context import HarvestContext, open_context
from harvesters.source import Source, parse
from vocab.iris import BASE

# for `projects` and the other modules beside the tests
sys.path.insert(0, str(Path(__file__).parent))

from projects import DEFINITION, NOON


@dataclass
class ProjectRegistry:
    """A registry with three projects per page; *total* is the reported total, *answer* may replace
    a page.
    """

    projects: list[dict[str, Any]] = field(default_factory=list)
    total: int | None = None
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
                {"total": total, "results": self.projects[page * 3 - 3 : page * 3]}
            ),
        )


@pytest.fixture(name="project")
def _project() -> Callable[..., dict[str, Any]]:
    return project


def project(number: int, name: str | None = None) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "name": f"Project {number}" if name is None else name,
        "sdgs": "SDG 4",
        "owner": "Ministry",
    }


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@pytest.fixture
def registry() -> ProjectRegistry:
    return ProjectRegistry([project(number) for number in range(1, 11)])


@pytest.fixture
def source() -> Source:
    return parse("projects", DEFINITION, "test")


@pytest.fixture
def context(tmp_path: Path, registry: ProjectRegistry) -> Iterator[HarvestContext]:
    """A harvest context whose clock advances a minute at each call."""
    ticks = iter(NOON + timedelta(minutes=number) for number in range(10_000))
    with open_context(
        tmp_path / "data",
        f"sqlite:///{tmp_path}/ledger.sqlite",
        BASE,
        "admin@example.org",
        frozenset(),
    ) as real:
        yield replace(real, transport=httpx.MockTransport(registry), now=lambda: next(ticks))
