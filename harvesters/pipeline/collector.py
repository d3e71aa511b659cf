"""Run in the process that reads a source's responses and maps its records. It has neither network
nor ledger.

Its parent (``harvesters.pipeline.collector_processes``) starts it with a socket and shared memory,
and answers its calls: for the network, the ledger, and work in other processes. It writes nothing
but temporary files, so that it may be killed at any moment.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, cast

from harvesters import errors
from harvesters.compatibility import check_compatible
from harvesters.errors import HarvestError
from harvesters.ledger.models import Outcome, Run, StagedRecord, StoredRecord
from harvesters.network.reply import Reply
from harvesters.pipeline.bounded_call import forward_logs
from harvesters.pipeline.gc_tuning import enable_reduced_gc
from harvesters.pipeline.page_processor import (
    SOURCE_ERRORS,
    PageProcessor,
    StagingQueue,
    archived_page,
)
from harvesters.pipeline.process_limits import MEMORY_EXIT, Marks, Meter, Phase, ProcessLimits
from harvesters.pipeline.record_processor import (
    ProcessingTask,
    RecordInput,
    RecordProcessor,
    create_processor,
)
from harvesters.pipeline.worker_pool import Executor, WorkerPool, WorkUnit
from harvesters.stored_response import Validator

_STAGED_FIELDS = tuple(field.name for field in fields(StagedRecord))  # begins with key and outcome


@dataclass(frozen=True, slots=True)
class CollectorJob:
    """Collect a run's pages from *cursor* on.

    *rejected* maps the digests of records that are not mapped to the reasons; with *one_by_one*,
    records are processed one at a time. *record_count* is the number of records that the parent has
    processed; *base* and *max_answer_size* (bytes of a response) are those of its network client.
    """

    task: ProcessingTask
    run: Run
    since: datetime | None
    cursor: str | None
    rejected: Mapping[str, str]
    one_by_one: bool
    record_count: int
    base: str
    max_answer_size: int


class ResultReference(NamedTuple):
    """A staged record that the parent has: the one at *position* of the results of work unit
    *number*.
    """

    number: int
    position: int


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to the parent; its exceptions are raised here."""

    connection: Connection

    def call(self, name: str, *arguments: Any) -> Any:
        """Call, and wait for the result."""
        self.notify(name, *arguments)
        try:
            raised, result = self.connection.recv()
        except (EOFError, ConnectionResetError):
            sys.exit(0)  # the parent has ended
        if raised:
            raise result
        return result

    def notify(self, name: str, *arguments: Any) -> None:
        """Call without waiting for a result."""
        try:
            self.connection.send((name, arguments))
        except (BrokenPipeError, ConnectionResetError):
            sys.exit(0)


@dataclass(frozen=True, slots=True)
class _RetryPolicy:
    max_bytes: int


class ClientProxy:
    """The network client as protocols use it; each request is made by the parent."""

    def __init__(self, calls: Calls, meter: Meter, job: CollectorJob) -> None:
        self._calls, self._meter = calls, meter
        self.base, self.retry_policy = job.base, _RetryPolicy(job.max_answer_size)

    def validator(self, address: str) -> Validator | None:
        """Return the validator of the last run for *address*, None if it has none."""
        validator: Validator | None = self._calls.call("validator", address)
        return validator

    def forget(self, address: str) -> None:
        """Drop the validator of this run for *address*."""
        self._calls.call("forget", address)

    def now(self) -> datetime:
        """Return the time by the parent's clock."""
        now: datetime = self._calls.call("now")
        return now

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        *,
        accept: str = "*/*",
        conditional: bool = False,
    ) -> Reply:
        """Return a response as ``Fetch.get`` does."""
        return self._received(
            self._calls.call(
                "get", url, None if params is None else dict(params), accept, conditional
            )
        )

    def post(self, url: str, body: Mapping[str, str] | bytes, *, accept: str = "*/*") -> Reply:
        """Return a response as ``Fetch.post`` does."""
        return self._received(
            self._calls.call("post", url, body if isinstance(body, bytes) else dict(body), accept)
        )

    def get_range(self, url: str, byte_range: range, etag: str | None = None) -> Reply:
        """Return a part of a file as ``Fetch.get_range`` does."""
        return self._received(self._calls.call("get_range", url, byte_range, etag))

    @contextmanager
    def download(
        self, url: str, *, accept: str = "*/*", conditional: bool = False
    ) -> Iterator[Reply]:
        """Return a response as ``Fetch.download`` does; the parent removes the file at the end of
        the context.
        """
        number, reply = self._calls.call("download", url, accept, conditional)
        try:
            yield self._received(reply)
        finally:
            self._calls.call("close_file", number)

    def _received(self, reply: Reply) -> Reply:
        self._meter.answer(max(len(reply.content), reply.path.stat().st_size if reply.path else 0))
        return reply


@dataclass(frozen=True, slots=True)
class _LedgerProxy:
    """The ledger of ``StagingQueue``: each call is answered by the parent."""

    calls: Calls

    def discard_part(self, run: Run) -> None:
        self.calls.call("discard_part", run)

    def already_staged(self, run: Run, keys: Sequence[str]) -> dict[str, str | None]:
        staged_keys: dict[str, str | None] = self.calls.call("already_staged", run, keys)
        return staged_keys

    def stored_records(self, source: str, keys: Sequence[str]) -> dict[str, StoredRecord]:
        records: dict[str, StoredRecord] = self.calls.call("stored_records", source, keys)
        return records

    def current_descriptions(self, source: str, keys: Sequence[str]) -> dict[str, bytes]:
        descriptions: dict[str, bytes] = self.calls.call("current_descriptions", source, keys)
        return descriptions

    def stage(
        self,
        run: Run,
        staged_records: Sequence[StagedRecord],
        first: int,
        *,
        is_checkpoint: bool = True,
    ) -> None:
        packed = [pack_result(staged) for staged in staged_records]
        self.calls.call("stage", run, packed, first, is_checkpoint)


@dataclass(slots=True)
class _ParentExecutor:
    """The parent's executor: its processes, or its cluster."""

    calls: Calls
    code: str
    concurrency: int

    def submit(self, unit: WorkUnit) -> Future[list[StagedRecord]]:
        future: Future[list[StagedRecord]] = Future()
        future.number, self.concurrency = self.calls.call("submit", unit)  # type: ignore[attr-defined]
        return future

    def result(self, unit: WorkUnit, future: Future[list[StagedRecord]]) -> list[StagedRecord]:
        number: int = future.number  # type: ignore[attr-defined]
        references = [
            ResultReference(number, position)
            for position in range(self.calls.call("result", number))
        ]
        # Staging needs only their number.
        return cast(list[StagedRecord], references)

    def close(self) -> None:
        """Do nothing: the parent closes its executor."""


@dataclass(slots=True)
class Collector:
    """Does jobs, with *calls* to the parent, *marks* of what it is doing, and a *meter* of its
    limits.
    """

    calls: Calls
    marks: Marks
    meter: Meter

    def collect(self, job: CollectorJob) -> None:
        """Do one job: stage every page, or report the error that ended it."""
        task = job.task
        processor = create_processor(task)
        pool = WorkerPool(
            task.base,
            task.engine,
            process_locally=self._worker(job),
            is_isolated=True,
            connect=self._connect,
        )
        # This process works alone if the parent has no executor.
        pool.workers, pool.record_count = 1, job.record_count
        queue = StagingQueue(
            _LedgerProxy(self.calls),
            PageProcessor(processor, pool, job.rejected),
            job.run,
            lambda _: None,
        )
        try:
            self._pages(job, queue)
        except HarvestError as error:
            self.calls.notify("failed", _portable(error), queue.irregularities)
            return
        self.calls.notify("ended", queue.run, queue.irregularities)

    def _pages(self, job: CollectorJob, queue: StagingQueue) -> None:
        protocol, _ = check_compatible(job.task.source)
        client = ClientProxy(self.calls, self.meter, job)
        self.marks.set(Phase.READING)
        try:
            for page in protocol.collect(job.task.source, client, job.since, job.cursor):
                self.marks.set(Phase.OTHER)
                queue.submit_page(
                    archived_page(page) if job.task.is_remap else page, *self.calls.call("page")
                )
                self.meter.step()
                self.marks.set(Phase.READING)
        except SOURCE_ERRORS:
            self.marks.set(Phase.OTHER)
            queue.flush()  # the pages before the error are good
            raise
        self.marks.set(Phase.OTHER)
        queue.flush()

    def _worker(self, job: CollectorJob) -> Any:
        def local(processor: RecordProcessor, inputs: Sequence[RecordInput]) -> list[StagedRecord]:
            batches = [[item] for item in inputs] if job.one_by_one else [inputs]
            staged_records = [
                staged for batch in batches for staged in self._process(processor, batch)
            ]
            self.marks.set(Phase.OTHER)
            return staged_records

        return local

    def _process(
        self, processor: RecordProcessor, inputs: Sequence[RecordInput]
    ) -> list[StagedRecord]:
        digest = ""

        def mark_step(item: RecordInput | None) -> None:
            nonlocal digest
            digest = item.digest if item else digest
            self.meter.step()
            self.marks.set(Phase.MAPPING if item else Phase.VALIDATING, digest)

        return processor.process(inputs, mark_step)

    def _connect(self) -> Executor | None:
        description = self.calls.call("executor")
        return None if description is None else _ParentExecutor(self.calls, *description)


def pack_result(staged: StagedRecord | ResultReference) -> tuple[Any, ...] | ResultReference:
    """Return a staged record as a tuple, which is pickled twice as fast."""
    if isinstance(staged, ResultReference):
        return staged
    return tuple(
        staged.outcome.value if name == "outcome" else getattr(staged, name)
        for name in _STAGED_FIELDS
    )


def unpack_result(values: tuple[Any, ...]) -> StagedRecord:
    """Return the staged record of a tuple made by ``pack_result``."""
    key, outcome, *rest = values
    return StagedRecord(key, Outcome(outcome), *rest)


def _portable(error: HarvestError) -> HarvestError:
    """Return the error, or an error of its nearest base class that the parent can import."""
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return error if kind is type(error) else kind(error.reason)


def run_job(
    connection: Connection, marks: Marks, limits: ProcessLimits, temporary_folder: str
) -> None:
    """Do one job for the parent at the other end of *connection*."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 1)  # what libraries print is no result
    enable_reduced_gc()
    tempfile.tempdir = temporary_folder
    calls = Calls(connection)
    forward_logs(partial(calls.notify, "log"))
    try:
        Collector(calls, marks, Meter(limits)).collect(connection.recv())
    except MemoryError:
        os._exit(MEMORY_EXIT)
    except (SystemExit, EOFError, ConnectionResetError):  # the parent has ended
        raise
    except BaseException as error:
        expected = isinstance(error, Exception) and not isinstance(error, RecursionError)
        calls.notify("fault", expected, f"{type(error).__name__}: {error}", traceback.format_exc())
        raise
    finally:
        os._exit(0)  # with no traceback: the parent has it
