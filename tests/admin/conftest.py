"""Admin pages over a source with a held plan, with a key of each scope and a given clock."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copy

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from harvesters.admin import key_store
from harvesters.admin.app import create_admin
from harvesters.admin.context import AdminContext
from harvesters.admin.keys import Key, Scope
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Outcome, Run, StagedRecord, State
from harvesters.reasons import REVIEW, Reason, other
from vocab.iris import BASE

sys.path.insert(0, str(Path(__file__).parents[1] / "publisher"))  # where `browser` lies

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = '<script>alert("x")</script>\u202egnp.exe'
CARD = """
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


@dataclass
class AdminClock:
    """A clock that moves when a test moves it."""

    at: datetime = NOON
    passed: float = 0.0

    def now(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.passed

    def on(self, by: timedelta) -> None:
        self.at += by
        self.passed += by.total_seconds()


@dataclass
class World:
    """The admin application with its clock, a valid key of each scope, and the ledger."""

    office: AdminContext
    clock: AdminClock
    ledger: Ledger
    tokens: dict[str, str] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)

    def held(
        self, staged_records: tuple[StagedRecord, ...] = (), source: str = "projects", reason: Reason | str = "too few came"
    ) -> Run:
        """Return a run whose plan waits, with these staged records."""
        why = reason if isinstance(reason, Reason) else other(reason)
        run = self.ledger.create_run(source, self.clock.now(), "rules", is_full=True, since=None)
        self.ledger.stage(run, staged_records, 0)
        outcomes = [item.outcome for item in staged_records]
        counts = {"fetched": len(staged_records), **{outcome.value: outcomes.count(outcome) for outcome in Outcome}}
        at = self.clock.now()
        held = replace(run, state=State.HELD, planned=at, ended=at, counts=counts, fetched=len(staged_records))
        held = replace(held, reasons=(why, Reason(REVIEW, {"run": run.id})))
        self.ledger.save(held)
        return held


def staged(key: str, outcome: Outcome = Outcome.NEW, title: str = "A project", reason: str | None = None) -> StagedRecord:
    """Return what a run makes of one record."""
    subject = f"<{BASE}id/initiative/projects/{key}>"
    said = f'{subject} <http://purl.org/dc/terms/title> "{title}"' if outcome in (Outcome.NEW, Outcome.CHANGED) else ""
    return StagedRecord(key, outcome, "aa", "bb", NOON, said, reason)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with its tables, to be copied: creating the tables takes longer than most tests."""
    file = tmp_path_factory.mktemp("admin") / "ledger.sqlite"
    Ledger(f"sqlite:///{file}").close()
    return file


@pytest.fixture
def world(tmp_path: Path, empty: Path) -> Iterator[World]:
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "projects.toml").write_text(CARD, encoding="utf-8")
    copy(empty, tmp_path / "ledger.sqlite")
    clock = AdminClock()
    office = AdminContext(
        tmp_path, tmp_path / "sources", f"sqlite:///{tmp_path}/ledger.sqlite", BASE, clock.now, clock.seconds, lock_timeout=1
    )
    ledger = office.ledger
    made = World(office, clock, ledger)
    for scope in (Scope.READ, Scope.OPERATE, Scope.ADMIN):
        made.keys[scope.label], made.tokens[scope.label] = key_store.create(ledger, f"a person who may {scope.label}", scope, NOON)
    yield made
    office.close()


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Mount("/admin", create_admin(world.office))])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://admin.example") as made:
        yield made


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows a key."""
    return {"Authorization": f"Bearer {token}"}
