"""Map and validate records in this process, in worker processes on this machine, or on a Dask
cluster.
"""

from __future__ import annotations

import copyreg
import hashlib
import multiprocessing
import os
import pickle
import re
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Protocol

import structlog
from lxml import etree
from lxml.etree import _Element

from harvesters.errors import ClusterError, ClusterLostError, ValidationCrashError, import_optional
from harvesters.ledger.models import StagedRecord
from harvesters.pipeline.processes import (
    DEFAULT_WORKERS,
    MEMORY_EXIT,
    Meter,
    Phase,
    ProcessLimits,
    Steps,
    enable_reduced_gc,
)
from harvesters.pipeline.record_processor import (
    ProcessingTask,
    RecordInput,
    RecordProcessor,
    StepCallback,
    create_processor,
)
from journal import processes as fork_server
from shapes.validate import EngineName

# So many records are processed in this process before worker processes are started, which takes
# half a second.
_INLINE_LIMIT = 2000
# A work unit has four validation batches; sending it takes 1 % of the time of processing it.
_CHUNK_RECORDS = 200
_CHUNK_BYTES = 4 << 20  # bytes of a work unit, unless a single record is larger
_CONNECT_TIMEOUT = 10.0  # seconds to connect to a Dask scheduler

log = structlog.get_logger()


class Executor(Protocol):
    """Processes work units elsewhere: in worker processes or on a Dask cluster."""

    @property
    def code(self) -> str: ...  # the fingerprint that workers must have; "" if theirs is the same
    @property
    def concurrency(self) -> int: ...
    def submit(self, unit: WorkUnit) -> Future[list[StagedRecord]]: ...
    def result(self, unit: WorkUnit, future: Future[list[StagedRecord]]) -> list[StagedRecord]: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class WorkerPool:
    """Processes records with the SHACL engine *name* and IRIs under *base*; use it as a context
    manager.

    *workers* is the number of worker processes, 0 for none; *dask* the address of a Dask scheduler,
    whose workers are used instead. Results and their order do not depend on where records are
    processed. *steps* are those of the work in this process. If it is watched, it also processes the
    records that crash worker processes.
    """

    base: str
    name: EngineName = "rust"
    workers: int = DEFAULT_WORKERS
    dask: str = ""
    record_count: int = 0  # records submitted so far
    steps: Steps = field(default_factory=Steps)
    _executor: Executor | None = field(default=None, init=False)
    # Sources are harvested concurrently.
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __enter__(self) -> WorkerPool:
        """Return the pool. Workers are started when they are needed."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the worker processes, or disconnect from the cluster."""
        if self._executor:
            self._executor.close()
            self._executor = None

    @property
    def concurrency(self) -> int:
        """Return how many work units are processed at once."""
        return max(1, self._executor.concurrency if self._executor else self.workers)

    def check_cluster(self) -> None:
        """Raise ClusterError if the configured Dask scheduler does not accept connections."""
        if not self.dask:
            return
        host, _, port = self.dask.partition("://")[2].rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT).close()
        except (OSError, OverflowError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at {self.dask} ({error}); start `dask scheduler` there, or unset STOCKTAKE_DASK"
            ) from error

    def process_locally(
        self, processor: RecordProcessor, inputs: Sequence[RecordInput]
    ) -> list[StagedRecord]:
        batches = [[item] for item in inputs] if self.steps.one_by_one else [inputs]
        results = [
            staged for batch in batches for staged in processor.process(batch, self.steps.begin)
        ]
        self.steps.begin(Phase.OTHER)
        return results

    def submit(self, processor: RecordProcessor, inputs: Sequence[RecordInput]) -> PendingResults:
        """Submit records for processing.

        Raises ClusterError if the Dask cluster does not answer.
        """
        self.record_count += len(inputs)
        if (
            self.record_count <= _INLINE_LIMIT
            or not is_distributable(processor.task)
            or not (executor := self.executor())
        ):
            return PendingResults(
                self, [_Chunk(processor, inputs, self.process_locally(processor, inputs))]
            )
        task = pickle.dumps(processor.task, pickle.HIGHEST_PROTOCOL)
        return PendingResults(
            self,
            [
                self._submit_chunk(processor, chunk, task, executor)
                for chunk in _split_records(inputs)
            ],
        )

    def _submit_chunk(
        self,
        processor: RecordProcessor,
        inputs: Sequence[RecordInput],
        task: bytes,
        executor: Executor,
    ) -> _Chunk:
        unit = serialize(task, inputs, executor.code)
        if unit is None:
            return _Chunk(processor, inputs, self.process_locally(processor, inputs))
        return _Chunk(processor, inputs, [], (executor, unit, executor.submit(unit)))

    def executor(self) -> Executor | None:
        """Return the executor, started if necessary; None if all work is done in this process.
        Raise ClusterError as ``submit`` does.
        """
        with self._lock:
            if self._executor is None and self.dask:
                self._executor = import_optional(
                    "harvesters.pipeline.dask_executor", "dask"
                ).connect(self.dask)
            if self._executor is None and self.workers:
                self._executor = ProcessExecutor(self.workers)
            return self._executor

    def fall_back_to_local(self, executor: Executor, reason: str) -> None:
        """Continue with local worker processes after the cluster was lost."""
        with self._lock:
            if self._executor is executor:
                log.warning(
                    "Dask cluster lost; continuing with local worker processes", reason=reason
                )
                executor.close()
                self._executor, self.dask = None, ""


@dataclass(slots=True)
class PendingResults:
    """Records that are being processed; ``results`` waits for them."""

    pool: WorkerPool
    chunks: Sequence[_Chunk]

    @property
    def is_ready(self) -> bool:
        """Return whether ``results`` returns without waiting."""
        return all(chunk.submitted is None or chunk.submitted[2].done() for chunk in self.chunks)

    def results(self) -> list[StagedRecord]:
        """Return the results in order; raise ValidationCrashError if some records crash every
        process that validates them.
        """
        return [record for chunk in self.chunks for record in self._chunk_results(chunk)]

    def _chunk_results(self, chunk: _Chunk) -> list[StagedRecord]:
        if chunk.submitted is None:
            return chunk.results
        executor, unit, future = chunk.submitted
        try:
            return executor.result(unit, future)
        except ClusterLostError as error:
            self.pool.fall_back_to_local(executor, str(error))
        except ValidationCrashError:
            if self.pool.steps.marks is None:
                raise
        return self.pool.process_locally(chunk.processor, chunk.records)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Records processed together: their *results*, or where they were *submitted*."""

    processor: RecordProcessor
    records: Sequence[RecordInput]
    results: list[StagedRecord]
    submitted: tuple[Executor, WorkUnit, Future[list[StagedRecord]]] | None = None


def _split_records(inputs: Sequence[RecordInput]) -> Iterator[Sequence[RecordInput]]:
    """Split records into chunks by number and size."""
    start, size = 0, 0
    for number, item in enumerate(inputs):
        if number > start and (
            number - start == _CHUNK_RECORDS or size + len(item.record.raw) > _CHUNK_BYTES
        ):
            yield inputs[start:number]
            start, size = number, 0
        size += len(item.record.raw)
    if start < len(inputs):
        yield inputs[start:]


_PACKAGES = ("vocab", "shapes", "journal", "harvesters")
# Results may differ between their versions.
_LIBRARIES = ("lxml", "orjson", "py3langid", "pycountry", "pyoxigraph", "pyshacl", "shacl")
# An XPath that matches can leave the record, which is then processed in the process of its page.
_OUTSIDE_RECORD = re.compile(
    r"ancestor|parent|preceding|following|\.\.|lang\s*\(|(?:^|[\s(|,=\[])/"
)
_SERIALIZATION_ERRORS = (pickle.PicklingError, TypeError, AttributeError, RecursionError)
_MAX_CACHED_TASKS = 16  # tasks whose processor is cached: more than there are concurrent runs


@dataclass(frozen=True, slots=True)
class WorkUnit:
    """Serialized work for another process: the fingerprint of the *code* that made it ("" for any),
    the task and its records.
    """

    code: str
    task: bytes
    records: bytes


def is_distributable(task: ProcessingTask) -> bool:
    """Return whether the task's records can be processed without the page that contains them."""
    return not any(_OUTSIDE_RECORD.search(path) for path in task.source.fields.values())


def serialize(task: bytes, inputs: Sequence[RecordInput], code: str = "") -> WorkUnit | None:
    """Return a work unit for another process, or None if a record cannot be serialized, as one of
    HTML, which need not be well-formed XML.
    """
    try:
        return WorkUnit(code, task, pickle.dumps(inputs, pickle.HIGHEST_PROTOCOL))
    except _SERIALIZATION_ERRORS:
        return None


def execute(unit: WorkUnit, on_step: StepCallback = lambda *_: None) -> list[StagedRecord]:
    """Process a work unit; raise ClusterError if it was made by other code. *on_step* is called
    before each step.
    """
    if unit.code and unit.code != code_fingerprint():
        raise ClusterError(
            f"a worker has other code ({code_fingerprint()}) than this process ({unit.code}), so results could "
            "differ; install the same version there, with the same Python and the same packages"
        )
    return _cached_processor(unit.task).process(pickle.loads(unit.records), on_step)


def _parse_element(raw: bytes) -> _Element:
    return etree.fromstring(
        raw, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    )


copyreg.pickle(
    _Element, lambda element: (_parse_element, (etree.tostring(element, with_tail=False),))
)


@lru_cache(maxsize=_MAX_CACHED_TASKS)
def _cached_processor(task: bytes) -> RecordProcessor:
    return create_processor(pickle.loads(task))


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """Return a digest of everything that results depend on: our code and data, Python, and the
    libraries.
    """
    digest = hashlib.sha256(
        f"{sys.version_info[:2]} {[(name, version(name)) for name in _LIBRARIES]}".encode()
    )
    for package in _PACKAGES:
        folder = Path(str(files(package)))
        for file in sorted(
            path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts
        ):
            digest.update(f"{package}/{file.relative_to(folder)}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


_MAX_ATTEMPTS = 3  # processes that a work unit may crash before it counts as the cause


_meter: Meter | None = None  # None outside of worker processes


def _init_worker(limits: ProcessLimits) -> None:
    """Prepare a worker process, which exits when its parent has ended."""
    global _meter
    enable_reduced_gc()
    fork_server.exit_with_parent()
    _meter = Meter(limits, alarm=True)


def _execute_with_limits(unit: WorkUnit) -> list[StagedRecord]:
    """Process a work unit in a worker process, which the kernel ends if a record exceeds the
    limits.
    """
    assert _meter is not None
    meter = _meter
    meter.step()
    try:
        return execute(unit, lambda *_: meter.step())
    except MemoryError:
        os._exit(MEMORY_EXIT)
    finally:
        meter.stop_alarm()


class ProcessExecutor:
    """Processes work units in worker processes, started with the first unit. If one dies, new ones
    repeat its work.

    The kernel ends a process that exceeds *limits* for a record.
    """

    code = ""  # Workers are started from the same directory.

    def __init__(self, concurrency: int, limits: ProcessLimits | None = None) -> None:
        self.concurrency = concurrency
        self._limits = limits or ProcessLimits()
        self._pool: ProcessPoolExecutor | None = None
        self._lock = threading.Lock()

    def submit(self, unit: WorkUnit) -> Future[list[StagedRecord]]:
        """Submit a work unit. If a process died, the pool is broken and is replaced."""
        with self._lock:
            try:
                self._pool = self._pool or self._start_pool()
                return self._pool.submit(_execute_with_limits, unit)
            except BrokenProcessPool:
                self._pool = self._start_pool()
                return self._pool.submit(_execute_with_limits, unit)

    def result(self, unit: WorkUnit, future: Future[list[StagedRecord]]) -> list[StagedRecord]:
        """Wait for the results of a work unit; raise ValidationCrashError if it crashes every
        process.
        """
        for _ in range(_MAX_ATTEMPTS - 1):
            try:
                return future.result()
            except BrokenProcessPool:
                log.warning("worker process exited; repeating its work")
                future = self.submit(unit)
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise ValidationCrashError(
                f"{_MAX_ATTEMPTS} processes that validate the same records died; "
                "run again, with more memory if the system killed them for lack of it"
            ) from error

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _start_pool(self) -> ProcessPoolExecutor:
        fork_server.preload(__name__)
        context = multiprocessing.get_context(fork_server.start_method())
        return ProcessPoolExecutor(self.concurrency, context, _init_worker, (self._limits,))
