"""A simulated registry of 300 projects, some invalid, and a harvest context with workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import orjson
import projects
from projects import NOON, asking

from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import HarvestContext, open_context
from harvesters.source import Source, parse
from vocab.iris import BASE

DEFINITION = projects.DEFINITION | {
    "limits": {"withheld": 0.5},
    "fields": projects.DEFINITION["fields"] | {"start": "from", "end": "to"},
}
SIZE, PAGE = 300, 25


def source() -> Source:
    return parse("projects", DEFINITION, "test")


def project(number: int, name: str = "Project") -> dict[str, Any]:
    """Return a project: valid, without a title (withheld), ending before its start (a warning), or
    with the key of another.
    """
    more = {"sdgs": f"SDG {number % 17 + 1}", "owner": f"Ministry {number % 7}"}
    kinds: Mapping[int, dict[str, Any]] = {
        3: {"name": ""},
        5: {"from": "2024-05-01", "to": "2023-01-01"},
        7: {"from": {"year": 2024}},
        9: {"id": f"p{number - 1}"},  # on the same page
    }
    valid: dict[str, Any] = projects.project(number, f"{name} {number}")
    return {**valid, **more, **kinds.get(number % 10, {})}


class Projects:
    def __init__(
        self, name: str = "Project", before: Callable[[int], None] = lambda _: None
    ) -> None:
        self.all, self._before = [project(number, name) for number in range(SIZE)], before

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        page = int(request.url.params.get("page", "1"))
        self._before(page)
        results = self.all[page * PAGE - PAGE : page * PAGE]
        return httpx.Response(200, content=orjson.dumps({"total": SIZE, "results": results}))


@contextmanager
def open_harvest(
    folder: Path, registry: Callable[[httpx.Request], httpx.Response], workers: int = 0, dask: str = ""
) -> Iterator[HarvestContext]:  # fmt: skip
    """Open a context that sends all work to the workers, with a clock that advances a minute at
    each call.
    """
    ticks = iter(NOON + timedelta(minutes=number) for number in range(10_000))
    how: dict[str, Any] = {"engine": "rust", "source_dir": None, "workers": workers, "dask": dask}
    ledger = f"sqlite:///{folder}/ledger.sqlite"
    with open_context(folder, ledger, BASE, NetworkSettings(""), **how) as context:
        context.pool.record_count = 10_000 if workers or dask else 0
        yield asking(replace(context, now=lambda: next(ticks)), registry)


def journal_digests(folder: Path) -> dict[str, str]:
    return {
        file.name: sha256(file.read_bytes()).hexdigest()
        for file in sorted((folder / "journal").iterdir())
        if file.is_file()
    }
