from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from processes import end_with_parent
from waiting import WITHIN

from demo.registries import Demo
from demo.source_definitions import write_sources
from harvesters.ledger.models import VOCABULARY
from harvesters.network.settings import NetworkSettings
from harvesters.pipeline.bounded_call import preload
from harvesters.runs import publish_vocabularies
from harvesters.runs.context import open_context
from harvesters.runs.harvest import harvest
from harvesters.source import load
from journal.entry import Entry
from journal.journal import Journal
from vocab.iris import BASE

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STAGES = ["page 1", "page 2", "page 17", "page 30", "page 45", "written", "settled"]
BY_DAY = ["page 17", "written", "settled"]
# a graph of the vocabulary, which each start compares with what is published
VOCABULARY_GRAPHS = ("scheme/action-line",)
SPAWN = multiprocessing.get_context("forkserver")  # its processes have the program read already
preload(harvest)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class JournalKilledByRun(Journal):
    def append(self, blocks: Iterable[str], *, run: str, time: datetime, **more: Any) -> Entry:
        entry = super().append(blocks, run=run, time=time, **more)
        if not run.startswith(VOCABULARY):
            die()
        return entry


def work(folder: str, definition: str, stage: str = "") -> None:
    if multiprocessing.parent_process():
        end_with_parent()
    home = Path(folder)
    with open_context(
        home,
        f"sqlite:///{home}/ledger.sqlite",
        BASE,
        NetworkSettings("operator@example.org", frozenset({"127.0.0.1"})),
    ) as context:
        log = JournalKilledByRun(home / "journal") if stage == "written" else context.journal
        still = replace(context, now=lambda: NOON, journal=log)
        publish_vocabularies.publish(still, VOCABULARY_GRAPHS)
        source = replace(load(Path(definition)), pause=0.0)
        harvest(
            source, still, full=True, watch=lambda step: die() if stage == f"page {step.pages}" else None,
        )  # fmt: skip
        if stage == "settled":
            die()


def journal(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((folder / "journal").glob("*.rdfp.gz"))]


@contextmanager
def demo_definition(folder: Path, size: int) -> Iterator[str]:
    """Serve a registry of *size* records in pages of 20, and yield its definition."""
    with Demo(size=size, seed=5, faults=(), only=("ckan",), page=20) as demo:
        (path,) = write_sources(demo.url, folder, ("ckan",))
        path.write_text(path.read_text().replace("rows = 500", "rows = 20"))
        yield str(path)


@pytest.mark.parametrize(
    ("stages", "size"), [(BY_DAY, 360), pytest.param(STAGES, 900, marks=pytest.mark.nightly)]
)
@pytest.mark.smoke
def test_a_harvest_killed_repeatedly_ends_as_an_undisturbed_one(
    tmp_path: Path, stages: list[str], size: int
) -> None:
    exits = []
    with demo_definition(tmp_path / "sources", size) as definition:
        work(str(tmp_path / "undisturbed"), definition)
        for stage in stages:
            process = SPAWN.Process(target=work, args=(str(tmp_path / "killed"), definition, stage))
            process.start()
            process.join(WITHIN)
            exits.append(process.exitcode)
        work(str(tmp_path / "killed"), definition)

    assert exits == [-signal.SIGKILL] * len(stages)
    assert len(journal(tmp_path / "undisturbed")) == 2
    assert journal(tmp_path / "killed") == journal(tmp_path / "undisturbed")
