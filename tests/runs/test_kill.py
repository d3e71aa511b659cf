"""After kill -9 of a harvest, a commit, a mirror or the creation of a ledger, the next start ends
with the bytes of an undisturbed one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import syscall_tracer
from damage import count_verified
from fetch_client import fetch_with
from processes import end_with_parent
from projects import NOON, asking
from waiting import WITHIN

from demo.registries import Demo
from demo.source_definitions import write_sources
from harvesters.ledger.database import metadata
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import VOCABULARY, Run, StagedRecord, State, StateChange
from harvesters.mirror import Mirror, sync
from harvesters.network.fetch import NetworkSettings
from harvesters.pipeline.processes import preload
from harvesters.runs import operations
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.publish_graphs import publish_vocabulary
from harvesters.runs.run import harvest
from harvesters.source import load, parse
from journal.entry import Entry
from journal.journal import Journal
from vocab.iris import BASE

SPAWN = multiprocessing.get_context("forkserver")  # its processes have imported the program
preload(harvest, operations.approve)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_process(work: Callable[..., None], *arguments: Any) -> int | None:
    """Do *work* in a process and return its exit code."""
    process = SPAWN.Process(target=work, args=arguments)
    process.start()
    process.join(WITHIN)
    return process.exitcode


def entries(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.rdfp.gz"))}


class JournalKilledByRun(Journal):
    def append(self, blocks: Iterable[str], *, run: str, time: datetime, **more: Any) -> Entry:
        entry = super().append(blocks, run=run, time=time, **more)
        if not run.startswith(VOCABULARY):
            die()
        return entry


class KilledLedger(Ledger):
    dies_at = ""

    def _die(self, at: str) -> None:
        if at == self.dies_at:
            die()

    def save_plan(self, run: Run, moved: Mapping[str, str], missed: Iterable[StagedRecord]) -> None:
        self._die("collected")
        super().save_plan(run, moved, missed)
        self._die("planned")

    def set_balance(self, entry: int, added: int, removed: int, after: int) -> None:
        super().set_balance(entry, added, removed, after)
        self._die("balanced")

    def save(self, *runs: Run) -> None:
        super().save(*runs)
        if runs[-1].state is State.COMMITTING:
            self._die("committing")

    def _apply_state_changes(
        self, connection: sa.Connection, run: Run, rewritten: Iterable[StateChange]
    ) -> None:
        super()._apply_state_changes(connection, run, rewritten)
        self._die("settling")


@contextmanager
def killable(home: Path, stage: str) -> Iterator[HarvestContext]:
    """Open a context whose ledger or journal dies at *stage*, and whose clock stands still."""
    if multiprocessing.parent_process():
        end_with_parent()
    network = NetworkSettings("operator@example.org", frozenset({"127.0.0.1"}))
    with open_context(home, f"sqlite:///{home}/ledger.sqlite", BASE, network) as context:
        context.ledger.__class__ = KilledLedger
        context.ledger.dies_at = stage  # type: ignore[attr-defined]
        journal = JournalKilledByRun(home / "journal") if stage == "written" else context.journal
        yield replace(context, now=lambda: NOON, journal=journal)


# ---- a harvest


STAGES = ["page 1", "page 2", "page 17", "page 30", "page 45", "written", "settled"]
BY_DAY = ["page 17", "written", "settled"]
# One graph of the vocabulary is enough: each start compares it with what is published.
VOCABULARY_GRAPHS = ("scheme/action-line",)


def harvest_demo(home: Path, definition: Path, stage: str = "") -> None:
    with killable(home, stage) as context:
        publish_vocabulary(context, VOCABULARY_GRAPHS)
        source = replace(load(definition), pause=0.0)
        harvest(source, context, full=True, watch=lambda step: die() if stage == f"page {step.pages}" else None)  # fmt: skip
        if stage == "settled":
            die()


@contextmanager
def demo_definition(folder: Path, size: int) -> Iterator[Path]:
    """Serve a registry of *size* records in pages of 20, and yield its definition."""
    with Demo(size=size, seed=5, faults=(), only=("ckan",), page=20) as demo:
        (path,) = write_sources(demo.url, folder, ("ckan",))
        path.write_text(path.read_text().replace("rows = 500", "rows = 20"))
        yield path


@pytest.mark.parametrize(
    ("stages", "size"), [(BY_DAY, 360), pytest.param(STAGES, 900, marks=pytest.mark.nightly)]
)
@pytest.mark.smoke
def test_a_harvest_killed_repeatedly_ends_as_an_undisturbed_one(
    tmp_path: Path, stages: list[str], size: int
) -> None:
    whole, killed = tmp_path / "undisturbed", tmp_path / "killed"
    with demo_definition(tmp_path / "sources", size) as definition:
        harvest_demo(whole, definition)
        exits = [in_process(harvest_demo, killed, definition, stage) for stage in stages]
        harvest_demo(killed, definition)

    assert exits == [-signal.SIGKILL] * len(stages)
    assert len(entries(whole / "journal")) == 2
    assert entries(killed / "journal") == entries(whole / "journal")


# ---- a commit


COMMIT_STAGES = ["collected", "planned", "committing", "written", "balanced", "settling"]
DEFINITION = {
    "title": "A", "protocol": "json", "mapping": "fields", "url": "https://a.example/", "licence": "https://a.example/l", "pause": 0,
    "options": {"total": "n", "records": "r"}, "fields": {"key": "id", "title@en": "id"},
}  # fmt: skip
OLD = [f"p{number:02}" for number in range(30)]
FEEDS = [OLD, [*OLD[:28], "new"], OLD[:3]]  # the third is held, and approved


def take_step(home: Path, number: int, stage: str = "") -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        keys = FEEDS[number]
        content = {"n": len(keys), "r": [{"id": key} for key in keys]}
        is_robots = request.url.path == "/robots.txt"
        return httpx.Response(404) if is_robots else httpx.Response(200, json=content)

    source = parse("a", DEFINITION, "test")
    with killable(home, stage) as context:
        context = replace(context, now=lambda: NOON + timedelta(days=number))
        if number < len(FEEDS):
            harvest(source, asking(context, answer), full=True)
        else:
            operations.approve(context, source, f"a.{len(FEEDS)}", by="ann")


@pytest.mark.parametrize("number", [1, 3], ids=["records vanish", "an approved plan"])
def test_a_commit_killed_at_any_stage_ends_as_an_undisturbed_one(
    tmp_path: Path, number: int
) -> None:
    whole, killed = tmp_path / "undisturbed", tmp_path / "killed"
    for folder in (whole, killed):
        for earlier in range(number):
            take_step(folder, earlier)
    take_step(whole, number)
    stages = COMMIT_STAGES if number < len(FEEDS) else COMMIT_STAGES[2:]

    exits = [in_process(take_step, killed, number, stage) for stage in stages]
    take_step(killed, number)

    assert exits == [-signal.SIGKILL] * len(stages)
    assert len(entries(whole / "journal")) == 2 + (number == len(FEEDS))
    assert entries(killed / "journal") == entries(whole / "journal")


# ---- a mirror


def follow(origin: Path, folder: Path, last: int) -> None:
    """Follow the journal in *origin*; die at request *last*, 0 for never."""
    if multiprocessing.parent_process():
        end_with_parent()
    journal, requests = Journal(origin), list[httpx.Request]()

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if len(requests) == last:
            die()
        path = request.url.path
        if path == "/journal/head" and (head := journal.head):
            return httpx.Response(200, json={"base": BASE, "number": head.number, "id": head.id})
        if not path.endswith(".gz"):
            return httpx.Response(404)
        entry = journal.entry(int(path.removeprefix("/journal/").removesuffix(".gz")))
        assert entry
        content = entry.path.read_bytes()
        first, end = map(int, request.headers["range"].removeprefix("bytes=").split("-"))
        part = content[first : end + 1]
        place = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        headers = {"Content-Range": place, "ETag": f'"{entry.id}"'}
        return httpx.Response(206, content=part, headers=headers)

    client = fetch_with(httpx.MockTransport(answer), pause=0, robots=False)
    with pytest.MonkeyPatch.context() as small, client:
        small.setattr("harvesters.mirror.PIECE", 150)
        sync(Mirror(folder, "https://origin.example/", client, now=lambda: NOON))


@pytest.mark.parametrize("last", [1, 3, 4, 7])
def test_a_killed_mirror_ends_with_the_same_bytes(tmp_path: Path, last: int) -> None:
    origin, folder = tmp_path / "origin", tmp_path / "mirror"
    journal = Journal(origin)
    for number in (1, 2, 3):
        row = f'A <https://x.org/{number}> <https://x.org/p> "{number}" <https://x.org/g> .'
        journal.append([row], run=f"a.{number}", time=NOON)
    exit_code = in_process(follow, origin, folder, last)
    before = entries(folder / "journal")

    follow(origin, folder, 0)

    assert exit_code == -signal.SIGKILL
    assert before.items() <= entries(origin).items()
    assert entries(folder / "journal") == entries(origin)
    assert count_verified(Journal(folder / "journal")) == 3


# ---- the tables of a ledger


def opening(file: Path) -> Callable[[], None]:
    return lambda: Ledger(f"sqlite:///{file}").close()


def layout(file: Path) -> set[str]:
    return set(sa.inspect(sa.create_engine(f"sqlite:///{file}")).get_table_names())


@pytest.mark.parametrize("every", [48, pytest.param(16, marks=pytest.mark.nightly)])
def test_a_ledger_whose_creation_was_killed_opens_again(tmp_path: Path, every: int) -> None:
    if why := syscall_tracer.refusal():
        pytest.skip(why)
    errors = tmp_path / "errors"
    calls = syscall_tracer.trace(opening(tmp_path / "whole"), None, errors).calls

    ends = []
    for at in range(1, len(calls) + 1, every):
        file = tmp_path / f"{at}"
        killed = syscall_tracer.trace(opening(file), at, errors).killed
        again = syscall_tracer.trace(opening(file), None, errors).code
        ends.append((killed, again, layout(file) == layout(tmp_path / "whole")))

    assert len(ends) > 5
    assert ends == [(True, 0, True)] * len(ends)
    assert layout(tmp_path / "whole") > set(metadata.tables)
