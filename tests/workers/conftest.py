"""A PostgreSQL server on loopback, a simulated registry, and worker processes."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import psycopg
import pytest
import waiting
from definitions import paged_json
from http_server import QuietHandler, serving
from postgresql import Cluster, missing, running_cluster
from processes import Process
from waiting import WITHIN

sys.path.insert(0, str(Path(__file__).parent))  # the folder of `queued`

from queued import BEAT, put, settled

ROOT = Path(__file__).parents[2]
WORKER = ("worker", "--heartbeat", BEAT)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(reason)
    with running_cluster() as item:
        yield item


_COUNT = iter(range(1_000_000))


@pytest.fixture
def database(cluster: Cluster) -> str:
    name = f"stocktake_{os.getpid()}_{next(_COUNT)}"
    with cluster.admin() as admin:
        admin.execute(f"CREATE DATABASE {name}")
    return name


@pytest.fixture
def ledger(cluster: Cluster, database: str) -> str:
    return cluster.url(database)


@dataclass
class GatedRegistry:
    """A registry with pages of ten projects for each source; while *gate* is not set, every page
    after the first waits.
    """

    url: str = ""
    projects: int = 100
    request_log: list[tuple[float, str, int]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)  # of all requests, even for robots.txt
    gate: threading.Event = field(default_factory=threading.Event)

    def page(self, source: str, number: int) -> bytes:
        self.request_log.append((time.time(), source, number))
        if number > 1:
            self.gate.wait(WITHIN)
        every = [
            {"id": f"{source}-{item}", "name": f"Project {item} of {source}", "sdgs": "SDG 4"}
            for item in range(self.projects)
        ]
        return orjson.dumps(
            {"total": self.projects, "results": every[number * 10 - 10 : number * 10]}
        )


@pytest.fixture
def registry() -> Iterator[GatedRegistry]:
    item = GatedRegistry()
    item.gate.set()

    class ProjectsHandler(QuietHandler):
        def do_GET(self) -> None:
            item.times.append(time.time())
            parts = urlsplit(self.path)
            if parts.path == "/robots.txt":
                self.send_error(404)
                return
            number = int(parse_qs(parts.query).get("page", ["1"])[0])
            self.answer(item.page(parts.path.strip("/"), number), "application/json")

    with serving(ProjectsHandler, "0.0.0.0") as item.url:
        yield item
        item.gate.set()


@dataclass
class House:
    folder: Path
    ledger: str
    registry: GatedRegistry
    children: list[Process] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def define_source(
        self, name: str, *, every: str = "0 0 1 1 *", pause: float = 0, url: str = ""
    ) -> None:
        cards = self.folder / "cards"
        cards.mkdir(parents=True, exist_ok=True)
        (cards / f"{name}.toml").write_text(
            paged_json(f"{url or self.registry.url}/{name}", every=every, pause=pause)
        )

    def environment(self, ledger: str = "") -> dict[str, str]:
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("STOCKTAKE_")
        }
        results = {
            "DATA": self.data,
            "SOURCES": self.folder / "cards",
            "LEDGER": ledger or self.ledger,
            "ALLOW_HOSTS": "127.0.0.1,10.77.0.1",
        }
        return {
            **inherited,
            **{f"STOCKTAKE_{name}": str(value) for name, value in results.items()},
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *words: str, before: tuple[str, ...] = (), ledger: str = "") -> Process:
        child = Process(
            [*before, sys.executable, "-m", "stocktake", *words],
            env=self.environment(ledger),
            cwd=self.folder,
        )
        self.children.append(child)
        return child

    def begin(self, *words: str) -> Process:
        """Start a worker, or a process with the arguments *words*, and wait until its run of the
        source a waits for its second page.
        """
        self.define_source("a")
        put(self.ledger, "a")
        self.registry.gate.clear()
        child = self.start(*(words or WORKER))
        self.wait_until_begun()
        return child

    def output_of(self, number: int) -> str:
        return self.children[number].text()

    def wait_for(self, text: str, number: int = 0) -> None:
        """Wait until process *number* has printed *text*."""
        self.wait_until(lambda: text in self.output_of(number), f"{text!r} in output {number}")

    def wait_until_begun(self) -> None:
        log = self.registry.request_log
        self.wait_until(
            lambda: any(page > 1 for _, _, page in log), "the second page to be asked for"
        )

    def wait_until(
        self, condition: Callable[[], bool], what: str, pause: float = waiting.PAUSE
    ) -> None:
        waiting.wait_until(
            condition, what, output=lambda: "\n".join(child.output() for child in self.children), pause=pause,
        )  # fmt: skip

    def settle(self, *names: str) -> None:
        """Wait until each of these sources has been harvested and nothing is queued."""
        self.wait_until(
            lambda: settled(self, [*names]),
            f"the runs of {', '.join(names)} to be committed",
            pause=0.5,  # each look opens two connections, for which the server forks processes
        )

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.ledger.replace("+psycopg", "")) as connection:
            connection.execute(statement)

    def rows(self, query: str) -> list[Any]:
        with psycopg.connect(self.ledger.replace("+psycopg", "")) as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def house(tmp_path: Path, ledger: str, registry: GatedRegistry) -> Iterator[House]:
    item = House(tmp_path, ledger, registry)
    yield item
    registry.gate.set()
    for child in item.children:
        child.discard()
