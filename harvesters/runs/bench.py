"""The bench: where the judges sit, in this process for little work and in a process of their own for much."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType

from harvesters.runs.memory import calmed
from shapes.result import Result
from shapes.validate import Name, judge

Verdicts = list[tuple[Result, ...]]

_LITTLE = 2000  # descriptions judged at home before a process is started, which takes about a second


@dataclass(slots=True)
class Bench:
    """Judge descriptions by our shapes under *base* with the engine *name*; use it as a context.

    *workers* are the processes beside this one, 0 for none; the verdicts are the same whatever their number.
    """

    base: str
    name: Name = "rust"
    workers: int = max(1, (os.cpu_count() or 1) - 1)
    _judged: int = 0
    _pool: ProcessPoolExecutor | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)  # sources are harvested side by side

    def __enter__(self) -> Bench:
        """Begin; nothing is started yet."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the processes."""
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def judge(self, descriptions: Sequence[Sequence[str]]) -> Future[Verdicts]:
        """Have descriptions judged; the future gives each one's results, in their order."""
        self._judged += len(descriptions)
        work = partial(judge, descriptions, base=self.base, name=self.name)
        if self.workers and self._judged > _LITTLE:
            return self._handed(work)
        done: Future[Verdicts] = Future()
        done.set_result(work())
        return done

    def _handed(self, work: Callable[[], Verdicts]) -> Future[Verdicts]:
        """Hand work to the processes; where one died they take none any more, and others come in their place."""
        with self._lock:
            try:
                self._pool = self._pool or self._begun()
                return self._pool.submit(work)
            except BrokenProcessPool:
                self._pool = self._begun()
                return self._pool.submit(work)

    def _begun(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"), calmed)
