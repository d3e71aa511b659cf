"""The bench: where records are worked on: in this process for little work, for much in processes beside it or on a Dask cluster."""

from __future__ import annotations

import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol

import structlog

from harvesters.errors import ClusterError, ClusterLostError, ValidationCrashError
from harvesters.ledger.models import StagedRecord
from harvesters.queue.extra import room
from harvesters.runs.craft import Case, Craft
from harvesters.runs.parcel import Parcel, packed, travels
from harvesters.runs.processes import Processes
from shapes.validate import EngineName

BESIDE = max(1, (os.cpu_count() or 1) - 1)  # processes: one core is for this one, which reads and writes
_LITTLE = 2000  # records worked on at home before a process is started, which takes about a second
_CHUNK = 200  # records of a parcel: four batches of the judges; sending one takes a hundredth of the time of working on it
_BYTES = 4 << 20  # of a parcel's records, unless a single one is larger
_PATIENCE = 10.0  # seconds for a scheduler to take a connection

log = structlog.get_logger()


class Crew(Protocol):
    """Those who work elsewhere."""

    @property
    def code(self) -> str: ...  # noqa: D102 - what they must have, "" where they have it anyway
    @property
    def hands(self) -> int: ...  # noqa: D102 - how many parcels they work on at once
    def begin(self, parcel: Parcel) -> Future[list[StagedRecord]]: ...  # noqa: D102
    def end(self, parcel: Parcel, begun: Future[list[StagedRecord]]) -> list[StagedRecord]: ...  # noqa: D102 - raises ClusterLostError, ValidationCrashError
    def close(self) -> None: ...  # noqa: D102


@dataclass(slots=True)
class Bench:
    """Have records worked on, judged with the engine *name* by our shapes under *base*; use it as a context.

    *workers* are the processes beside this one, 0 for none; *dask* is the address of a Dask scheduler, whose workers take their place.
    What comes is the same, in the same order, wherever it is done. *local* works on records in this process. Where this process is
    itself *bounded*, it also works on those that end the processes beside it; *connect* then returns who works elsewhere.
    """

    base: str
    name: EngineName = "rust"
    workers: int = BESIDE
    dask: str = ""
    local: Callable[[Craft, Sequence[Case]], list[StagedRecord]] = Craft.work
    bounded: bool = False
    connect: Callable[[], Crew | None] | None = None
    had: int = 0  # records so far
    _crew: Crew | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)  # sources are harvested side by side

    def __enter__(self) -> Bench:
        """Begin; nothing is started yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the processes, or leave the cluster."""
        if self._crew:
            self._crew.close()
            self._crew = None

    @property
    def hands(self) -> int:
        """Give how many parcels are worked on at once."""
        return max(1, self._crew.hands if self._crew else self.workers)

    def ask(self) -> None:
        """Raise ClusterError where a Dask scheduler is named and nobody listens there, before any work is begun."""
        if not self.dask:
            return
        host, _, port = self.dask.partition("://")[2].rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
        except (OSError, OverflowError) as error:
            raise ClusterError(f"nobody answers at {self.dask} ({error}); start `dask scheduler` there, or unset STOCKTAKE_DASK") from error

    def work(self, craft: Craft, cases: Sequence[Case]) -> Work:
        """Have *cases* worked on.

        Raises ClusterError where no Dask cluster answers at the address that was given, or its workers have other code.
        """
        self.had += len(cases)
        if self.had <= _LITTLE or not travels(craft.task) or not (crew := self.crew()):
            return Work(self, [_Part(craft, cases, self.local(craft, cases))])
        task = pickle.dumps(craft.task, pickle.HIGHEST_PROTOCOL)
        return Work(self, [self._sent(craft, chunk, task, crew) for chunk in _chunks(cases)])

    def _sent(self, craft: Craft, cases: Sequence[Case], task: bytes, crew: Crew) -> _Part:
        parcel = packed(task, cases, crew.code)
        if parcel is None:
            return _Part(craft, cases, self.local(craft, cases))
        return _Part(craft, cases, [], (crew, parcel, crew.begin(parcel)))

    def crew(self) -> Crew | None:
        """Return those who work elsewhere, None where nobody does; raises ClusterError as ``work`` does."""
        with self._lock:
            if self._crew is None and self.connect:
                self._crew = self.connect()
                return self._crew
            if self._crew is None and self.dask:
                self._crew = room("harvesters.runs.cluster", "dask").join(self.dask)
            if self._crew is None and self.workers:
                self._crew = Processes(self.workers)
            return self._crew

    def dismiss(self, crew: Crew, reason: str) -> None:
        """Go on without a cluster that was lost, in processes beside this one."""
        with self._lock:
            if self._crew is crew:
                if not self.bounded:  # else the parent, which has lost it too, says so
                    log.warning("Dask cluster lost; continuing with local worker processes", reason=reason)
                crew.close()
                self._crew, self.dask = None, ""


@dataclass(slots=True)
class Work:
    """Records on their way; ``drafts`` waits for them."""

    bench: Bench
    parts: Sequence[_Part]

    @property
    def ready(self) -> bool:
        """Return whether ``drafts`` has nothing to wait for."""
        return all(part.sent is None or part.sent[2].done() for part in self.parts)

    def drafts(self) -> list[StagedRecord]:
        """Give each record's draft, in their order; raises ValidationCrashError where some records end every process that works on them."""
        return [draft for part in self.parts for draft in self._of(part)]

    def _of(self, part: _Part) -> list[StagedRecord]:
        if part.sent is None:
            return part.drafts
        crew, parcel, begun = part.sent
        try:
            return crew.end(parcel, begun)
        except ClusterLostError as error:
            self.bench.dismiss(crew, str(error))
            return self.bench.local(part.craft, part.cases)
        except ValidationCrashError:
            if not self.bench.bounded:
                raise
            return self.bench.local(part.craft, part.cases)


@dataclass(frozen=True, slots=True)
class _Part:
    """Records that were worked on together: their *drafts*, or to whom they were *sent*."""

    craft: Craft
    cases: Sequence[Case]
    drafts: list[StagedRecord]
    sent: tuple[Crew, Parcel, Future[list[StagedRecord]]] | None = None


def _chunks(cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
    """Cut cases into parcels, by their number and their bytes."""
    begin, size = 0, 0
    for number, case in enumerate(cases):
        if number > begin and (number - begin == _CHUNK or size + len(case.record.raw) > _BYTES):
            yield cases[begin:number]
            begin, size = number, 0
        size += len(case.record.raw)
    if begin < len(cases):
        yield cases[begin:]
