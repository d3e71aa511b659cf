"""Processes: workers beside this one, on the same machine."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import structlog

from harvesters.errors import ValidationCrashError
from harvesters.ledger.models import StagedRecord
from harvesters.runs.bounds import MEMORY_EXIT, Limits, Meter
from harvesters.runs.craft import Case
from harvesters.runs.memory import calmed
from harvesters.runs.parcel import Parcel, done

_LIVES = 3  # processes that a parcel may cost: what ends as many would end the next one too

log = structlog.get_logger()

_meter: Meter | None = None  # of a process of the pool; None in the process that has the pool


def _start(limits: Limits) -> None:
    """Prepare a process of the pool, which waits for work for ever: it ends with the process that started it, however that ends."""
    global _meter
    calmed()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _meter = Meter(limits, alarm=True)


def _bounded(parcel: Parcel) -> list[StagedRecord]:
    """Do the work of *parcel* in a process of the pool: the kernel ends it where a record takes more than the limits."""
    assert _meter is not None
    _meter.step()
    try:
        return done(parcel, _step)
    except MemoryError:
        os._exit(MEMORY_EXIT)
    finally:
        _meter.rest()


def _step(_case: Case | None) -> None:
    assert _meter is not None
    _meter.step()


class Processes:
    """So many processes, which begin with the first parcel; where one dies, others take their place and do its work again.

    The kernel ends a process that takes more than *limits* for a record.
    """

    code = ""  # they are started from the same folder

    def __init__(self, hands: int, limits: Limits | None = None) -> None:
        self.hands = hands
        self._limits = limits or Limits()
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def begin(self, parcel: Parcel) -> Future[list[StagedRecord]]:
        """Hand out a parcel; where a process died the others take none any more, and new ones come."""
        with self._lock:
            try:
                self._pool = self._pool or self._begun()
                return self._pool.submit(_bounded, parcel)
            except BrokenProcessPool:
                self._pool = self._begun()
                return self._pool.submit(_bounded, parcel)

    def end(self, parcel: Parcel, begun: Future[list[StagedRecord]]) -> list[StagedRecord]:
        """Wait for a parcel's drafts; raises ValidationCrashError where every process dies that works on it."""
        for _ in range(_LIVES - 1):
            try:
                return begun.result()
            except BrokenProcessPool:
                log.warning("worker process exited; repeating its work")
                begun = self.begin(parcel)
        try:
            return begun.result()
        except BrokenProcessPool as error:
            cure = "run again, with more memory where the system killed them for want of some"
            raise ValidationCrashError(f"{_LIVES} processes that judge the same records died; {cure}") from error

    def close(self) -> None:
        """End the processes."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _begun(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.hands, multiprocessing.get_context("spawn"), _start, (self._limits,))


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)
