from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from processes import end_with_parent
from waiting import WITHIN

from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Run, StagedRecord, State, StateChange
from harvesters.network.settings import NetworkSettings
from harvesters.pipeline.bounded_call import preload
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.harvest import harvest
from harvesters.runs.plans import plan_decisions
from harvesters.source import parse
from journal.entry import Entry
from journal.journal import Journal
from vocab.iris import BASE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAGES = ["collected", "planned", "committing", "written", "balanced", "settling"]
SPAWN = multiprocessing.get_context("forkserver")  # its processes have the program read already
preload(harvest, plan_decisions.approve)
DEFINITION = {
    "title": "A", "protocol": "json", "mapping": "fields", "url": "https://a.example/", "licence": "https://a.example/l", "pause": 0,
    "options": {"total": "n", "records": "r"}, "fields": {"key": "id", "title@en": "id"},
}  # fmt: skip
OLD = [f"p{number:02}" for number in range(30)]
FEEDS = [OLD, [*OLD[:28], "new"], OLD[:3]]  # the third is held, and approved


def die(at: str, stage: str) -> None:
    if at == stage:
        os.kill(os.getpid(), signal.SIGKILL)


class KilledLedger(Ledger):
    dies_at = ""

    def save_plan(
        self, run: Run, moved: Mapping[str, str], missed: Callable[[], Iterator[StagedRecord]]
    ) -> None:
        die("collected", self.dies_at)
        super().save_plan(run, moved, missed)
        die("planned", self.dies_at)

    def set_balance(self, entry: int, added: int, removed: int, after: int) -> None:
        super().set_balance(entry, added, removed, after)
        die("balanced", self.dies_at)

    def save(self, run: Run) -> None:
        super().save(run)
        if run.state is State.COMMITTING:
            die("committing", self.dies_at)

    def _apply_state_changes(
        self, connection: sa.Connection, run: Run, rewritten: Iterable[StateChange]
    ) -> None:
        super()._apply_state_changes(connection, run, rewritten)
        die("settling", self.dies_at)


class JournalKilledByEntry(Journal):
    def append(self, blocks: Iterable[str], *, run: str, time: datetime, **more: Any) -> Entry:
        entry = super().append(blocks, run=run, time=time, **more)
        os.kill(os.getpid(), signal.SIGKILL)
        return entry


def step(context: HarvestContext, number: int) -> None:
    source = parse("a", DEFINITION, "test")
    if number < len(FEEDS):
        feed = httpx.MockTransport(lambda request: answer(request, FEEDS[number]))
        harvest(
            source,
            replace(
                context,
                network=replace(context.network, transport=feed),
                now=lambda: NOON + timedelta(days=number),
            ),
            full=True,
        )
    else:
        plan_decisions.approve(
            replace(context, now=lambda: NOON + timedelta(days=number)), source, f"a.{len(FEEDS)}", by="ann",
        )  # fmt: skip


def answer(request: httpx.Request, keys: list[str]) -> httpx.Response:
    if request.url.path == "/robots.txt":
        return httpx.Response(404)
    return httpx.Response(200, json={"n": len(keys), "r": [{"id": key} for key in keys]})


def work(folder: str, number: int, stage: str = "") -> None:
    if multiprocessing.parent_process():
        end_with_parent()
    home = Path(folder)
    with open_context(
        home, f"sqlite:///{home}/ledger.sqlite", BASE, NetworkSettings("operator@example.org")
    ) as context:
        context.ledger.__class__ = KilledLedger
        context.ledger.dies_at = stage  # type: ignore[attr-defined]
        step(
            replace(context, journal=JournalKilledByEntry(home / "journal"))
            if stage == "written"
            else context,
            number,
        )


def journal(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "journal").glob("*.rdfp.gz"))]


@pytest.mark.parametrize("number", [1, 3], ids=["records vanish", "an approved plan"])
def test_a_commit_killed_at_any_stage_ends_as_an_undisturbed_one(
    tmp_path: Path, number: int
) -> None:
    for folder in ("undisturbed", "killed"):
        for earlier in range(number):
            work(str(tmp_path / folder), earlier)
    work(str(tmp_path / "undisturbed"), number)
    stages = STAGES if number < len(FEEDS) else STAGES[2:]

    exits = []
    for stage in stages:
        process = SPAWN.Process(target=work, args=(str(tmp_path / "killed"), number, stage))
        process.start()
        process.join(WITHIN)
        exits.append(process.exitcode)
    work(str(tmp_path / "killed"), number)

    whole = journal(tmp_path / "undisturbed")
    assert len(whole) == 2 + (number == len(FEEDS))
    assert journal(tmp_path / "killed") == whole
    assert exits == [-signal.SIGKILL] * len(stages)
