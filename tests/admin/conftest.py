"""Admin pages over a source with a held plan, with a key of each scope and a test clock."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from shutil import copy
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from clocks import NOON, ManualClock
from starlette.applications import Starlette
from starlette.routing import Mount

from harvesters.admin.app import create_admin
from harvesters.admin.context import AdminContext
from harvesters.ledger import operators
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Key, Outcome, Run, Scope, StagedRecord, State, compress
from harvesters.network.fetch import NetworkSettings
from harvesters.reasons import REVIEW, Reason, as_reason, other
from vocab.describe import describe
from vocab.initiative import Initiative
from vocab.iris import BASE, Iris

sys.path.insert(0, str(Path(__file__).parents[1] / "publisher"))  # the folder of `browser`

HOSTILE = '<script>alert("x")</script>\u202egnp.exe'
DEFINITION = """
title = "Projects <b>of</b> the ministry"
protocol = "json"
mapping = "fields"
url = "https://registry.example/api"
licence = "https://creativecommons.org/licenses/by/4.0/"

[options]
records = "results"

[fields]
key = "id"
"title@en" = "name"
"""


def store_record(
    connection: sa.Connection, number: int, record: Initiative, source: str = "projects"
) -> None:
    row = {"source": source, "key": record.key, "state": "published", "run": "r", "seq": number}
    more = {
        "first_seen": datetime(2026, 1, 1, tzinfo=UTC),
        "digest": "",
        "content": "",
        "misses": 0,
    }
    connection.execute(sa.insert(t.record).values(**row, **more))
    text = compress("\n".join(describe(record, Iris(), source)))
    connection.execute(sa.insert(t.description).values(run="r", seq=number, statements=text))


@dataclass
class World:
    context: AdminContext
    clock: ManualClock
    ledger: Ledger
    client: httpx.AsyncClient
    tokens: dict[str, str] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)

    async def sign_in(self, who: str, path: str = "/admin/") -> httpx.Response:
        key = self.tokens.get(who, who)
        return await self.client.post("/admin/sign-in", data={"key": key, "path": path})

    async def csrf(self) -> str:
        match = re.search(r'name="csrf" value="([^"]+)"', await self.page("/admin/"))
        assert match
        return match[1]

    async def page(self, path: str, language: str = "") -> str:
        """Return the text of a page in *language*, if one is named."""
        headers = {"Accept-Language": language} if language else {}
        return (await self.client.get(path, headers=headers)).text

    async def api(
        self, path: str, who: str = "operate", method: str = "GET", **body: Any
    ) -> httpx.Response:
        headers, path = bearer(self.tokens[who]), f"/admin{path}"
        return await self.client.request(method, path, json=body or None, headers=headers)

    async def send(self, path: str, form: Mapping[str, Any] | None = None) -> httpx.Response:
        return await self.client.post(path, data={"csrf": await self.csrf(), **(form or {})})

    def create_run(self, **changes: Any) -> Run:
        run = self.ledger.create_run("projects", NOON, "rules", is_full=True, since=None)
        self.ledger.save(run := replace(run, **changes))
        return run

    def add_held_plan(
        self, staged_records: tuple[StagedRecord, ...] = (), source: str = "projects", reason: Reason | str = "too few came"
    ) -> Run:  # fmt: skip
        why, at = reason if isinstance(reason, Reason) else other(reason), self.clock.now()
        run = self.ledger.create_run(source, at, "rules", is_full=True, since=None)
        self.ledger.stage(run, staged_records, 0)
        outcomes, fetched = [item.outcome for item in staged_records], len(staged_records)
        counts = {"fetched": fetched, **{item.value: outcomes.count(item) for item in Outcome}}
        ended = replace(run, state=State.HELD, planned=at, ended=at, counts=counts, fetched=fetched)
        run = replace(ended, reasons=(why, Reason(REVIEW, run=run.id)))
        self.ledger.save(run)
        return run


def staged(
    key: str, outcome: Outcome = Outcome.NEW, title: str = "A project", reason: str | Reason | None = None
) -> StagedRecord:  # fmt: skip
    has_statements = outcome in (Outcome.NEW, Outcome.CHANGED)
    text = f'<{BASE}id/initiative/projects/{key}> <http://purl.org/dc/terms/title> "{title}"'
    reasons = (as_reason(reason),) if reason else ()
    return StagedRecord(key, outcome, "aa", "bb", NOON, text if has_statements else "", reasons)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger with its tables, which tests copy: creating the tables takes longer than most
    tests.
    """
    file = tmp_path_factory.mktemp("admin") / "ledger.sqlite"
    Ledger(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def world(tmp_path: Path, empty: Path) -> Iterator[World]:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "projects.toml").write_text(DEFINITION, encoding="utf-8")
    copy(empty, tmp_path / "ledger.sqlite")
    clock = ManualClock()
    url, folder = f"sqlite:///{tmp_path}/ledger.sqlite", tmp_path / "sources"
    context = AdminContext(tmp_path, folder, url, BASE, clock.now, clock.seconds, lock_timeout=1)
    ledger = context.ledger
    app = Starlette(routes=[Mount("/admin", create_admin(context))])
    browser = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin.example")
    world = World(context, clock, ledger, browser)
    for scope in (Scope.READ, Scope.OPERATE, Scope.ADMIN):
        world.keys[scope.label], world.tokens[scope.label] = operators.create_key(
            ledger, f"a person who may {scope.label}", scope, NOON
        )
    yield world
    context.close()


@pytest.fixture
async def reader(world: World) -> World:
    await world.sign_in("read")
    return world


@pytest.fixture
async def operator(world: World) -> World:
    await world.sign_in("operate")
    return world


@pytest.fixture
async def admin(world: World) -> World:
    await world.sign_in("admin")
    return world


@pytest.fixture
def client(world: World) -> httpx.AsyncClient:
    return world.client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def registry(status: int = 200, **content: Any) -> NetworkSettings:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        return httpx.Response(status, **content)

    return NetworkSettings(transport=httpx.MockTransport(answer))
