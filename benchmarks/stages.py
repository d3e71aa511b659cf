"""One harvest as `stocktake harvest` does it, with the time and the memory that each of its stages
takes, as JSON.

By hand: ``python -m benchmarks.stages DATA --full``; the source definitions lie in DATA/sources.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from benchmarks.processes import fresh_peak, peak_of_own
from benchmarks.result_table import err
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Run, StagedRecord, State, StateChange, StoredRecord
from harvesters.network.settings import NetworkSettings
from harvesters.pipeline.gc_tuning import reduced_gc
from harvesters.pipeline.page_processor import Progress
from harvesters.pipeline.record_processor import RecordInput, RecordProcessor
from harvesters.pipeline.worker_pool import PendingResults, WorkerPool
from harvesters.runs import publish_vocabularies
from harvesters.runs.context import open_context
from harvesters.runs.run_logging import harvest_and_log
from harvesters.source import load_all
from journal.entry import Entry
from journal.journal import Journal
from vocab.iris import BASE

_HERE = frozenset({"127.0.0.1"})
_PROGRESS = 15.0  # seconds between two progress messages


@dataclass(slots=True)
class Clock:
    """Seconds by stage; *spans* follow one upon the other, with the greatest memory of each,
    *parts* lie in them.
    """

    parts: dict[str, float] = field(default_factory=dict)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    _now: str = ""
    _since: float = field(default_factory=time.perf_counter)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the seconds of the context to *name*."""
        since = time.perf_counter()
        try:
            yield
        finally:
            self.parts[name] = self.parts.get(name, 0.0) + time.perf_counter() - since

    def begin(self, name: str) -> None:
        """End the span before and begin the next; "" for none."""
        if name == self._now:
            return
        if self._now:
            seconds, most = self.spans.get(self._now, (0.0, 0.0))
            self.spans[self._now] = (
                seconds + time.perf_counter() - self._since,
                max(most, peak_of_own()),
            )
        fresh_peak()
        self._now, self._since = name, time.perf_counter()


class TimedLedger(Ledger):
    """A ledger whose work is timed, and whose calls show where a run is."""

    def __init__(self, url: str, clock: Clock) -> None:
        super().__init__(url)
        self._clock = clock

    def stored_records(self, source: str, keys: Sequence[str]) -> dict[str, StoredRecord]:
        """Look up what is known."""
        with self._clock.part("ledger: keys looked up"):
            return super().stored_records(source, keys)

    def already_staged(self, run: Run, keys: Sequence[str]) -> dict[str, str | None]:
        """Return which keys were met."""
        with self._clock.part("ledger: keys looked up"):
            return super().already_staged(run, keys)

    def stage(
        self,
        run: Run,
        staged_records: Sequence[StagedRecord],
        first: int,
        *,
        is_checkpoint: bool = True,
    ) -> None:
        """Keep a page's staged records."""
        with self._clock.part("ledger: staged_records kept"):
            super().stage(run, staged_records, first, is_checkpoint=is_checkpoint)

    def count_published(self, source: str) -> int:
        """Count what is published: a plan begins with it."""
        if self._clock._now == "collect":
            self._clock.begin("plan")
        return super().count_published(source)

    def save(self, run: Run) -> None:
        """Write a run's row: one that is committing begins its commit."""
        if run.state is State.COMMITTING:
            self._clock.begin("commit")
        super().save(run)

    def apply_run(self, run: Run, rewritten: Iterable[StateChange]) -> None:
        """Take a run's staged records over."""
        with self._clock.part("commit: ledger settled"):
            super().apply_run(run, rewritten)


class TimedJournal(Journal):
    """A journal that is timed while it is written."""

    clock: Clock

    def append(self, *words: Any, **more: Any) -> Entry:
        """Write an entry."""
        with self.clock.part("commit: journal written"):
            return super().append(*words, **more)


class TimedPool(WorkerPool):
    """A pool that is timed while records are handed to it, and while they are waited for."""

    clock: Clock

    def submit(self, processor: RecordProcessor, inputs: Sequence[RecordInput]) -> PendingResults:
        """Hand records over."""
        with self.clock.part("map and validate: packed, or done here"):
            pending = super().submit(processor, inputs)
        return TimedResults(self, pending.chunks)


class TimedResults(PendingResults):
    """Work that is waited for by the clock."""

    def results(self) -> list[StagedRecord]:
        """Wait for the staged records."""
        assert isinstance(self.pool, TimedPool)
        with self.pool.clock.part("map and validate: waited for"):
            return PendingResults.results(self)


def harvested(data: Path, clock: Clock, *, full: bool) -> Mapping[str, int]:
    """Harvest all sources once; return the runs' counts."""
    last = time.monotonic()

    def watch(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last > _PROGRESS:
            last = time.monotonic()
            err.print(
                f"  {progress.records:,} of {progress.reported_total or 0:,} records",
                highlight=False,
            )

    counts: dict[str, int] = {}
    url = f"sqlite:///{data}/ledger.sqlite"
    pool = TimedPool(BASE)
    pool.clock = clock
    with (
        open_context(
            data, url, BASE, NetworkSettings(allow=_HERE), source_dir=data / "sources"
        ) as plain,
        pool,
        reduced_gc(),
    ):
        journal = TimedJournal(data / "journal")
        journal.clock = clock
        ledger = TimedLedger(url, clock)
        try:
            publish_vocabularies.publish(plain)
            journal.refresh()
            context = replace(plain, ledger=ledger, pool=pool, journal=journal)
            for source in load_all(data / "sources").sources.values():
                clock.begin("collect")
                counts.update(harvest_and_log(source, context, full=full, watch=watch).run.counts)
                clock.begin("")
        finally:
            ledger.close()
    return counts


def main(
    data: Annotated[Path, typer.Argument(help="The data folder.")],
    full: Annotated[bool, typer.Option("--full", help="Read all.")] = False,
) -> None:
    """Harvest once and print the stages as JSON."""
    clock = Clock()
    counts = harvested(data, clock, full=full)
    result = asdict(clock)
    print(
        orjson.dumps(
            {"parts": result["parts"], "spans": result["spans"], "counts": counts}
        ).decode()
    )


if __name__ == "__main__":
    typer.run(main)
