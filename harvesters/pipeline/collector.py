"""Collector: the process that reads a source's answers and maps its records, with neither network nor ledger of its own.

Its parent (``harvesters.pipeline.isolation``) has it forked with a socket and a piece of shared memory, and answers its calls: for the
network, for what the ledger knows, and for work in other processes. It writes nothing but temporary files, so that it may die at any
moment.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, NoReturn, cast

import structlog
from structlog.typing import EventDict, WrappedLogger

from harvesters import errors
from harvesters.compatibility import check_compatible
from harvesters.errors import HarvestError
from harvesters.ledger.models import Outcome, Run, StagedRecord, StoredRecord
from harvesters.network.fetch import Reply, Validator
from harvesters.pipeline.gc_tuning import calmed
from harvesters.pipeline.page_processor import Desk, Refiner, archived_page
from harvesters.pipeline.process_limits import MEMORY_EXIT, Marks, Meter, Phase
from harvesters.pipeline.record_processor import Case, Craft, Task, prepared
from harvesters.pipeline.record_processor import words as crosswalks
from harvesters.pipeline.worker_pool import Bench, Crew, Parcel

_DRAFT = tuple(field.name for field in fields(StagedRecord))  # begins with key and outcome
NUMBER = struct.Struct("<q")  # the number of a process, or its exit code


@dataclass(frozen=True, slots=True)
class Job:
    """A run's collecting, from *cursor* on.

    *refused* are the digests of records that are not mapped, with the reasons; with *singly* records are worked on one at a time.
    *had* is how many records the parent has met; *base* and *largest* (bytes of an answer) are those of its network client.
    """

    task: Task
    run: Run
    since: datetime | None
    cursor: str | None
    refused: Mapping[str, str]
    singly: bool
    had: int
    base: str
    largest: int


class DraftReference(NamedTuple):
    """A draft that the parent has: the one at *place* of what came of the parcel with this *number*."""

    number: int
    place: int


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to the parent; what it raises is raised here."""

    connection: Connection

    def ask(self, name: str, *arguments: Any) -> Any:
        """Call, and wait for the result."""
        self.tell(name, *arguments)
        try:
            raised, result = self.connection.recv()
        except (EOFError, ConnectionResetError):
            sys.exit(0)  # nobody is left who could use a result
        if raised:
            raise result
        return result

    def tell(self, name: str, *arguments: Any) -> None:
        """Call, and wait for nothing."""
        try:
            self.connection.send((name, arguments))
        except (BrokenPipeError, ConnectionResetError):
            sys.exit(0)


class _Validators(Mapping[str, Validator]):
    """The validators of the parent's client, each looked up when it is wanted."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def __getitem__(self, address: str) -> Validator:
        found: Validator | None = self._calls.ask("validator", address)
        if found is None:
            raise KeyError(address)
        return found

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError


class _Seen:
    """The validators of this run's answers, which the parent gathers."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def pop(self, address: str, default: None) -> None:
        self._calls.ask("forget", address)


@dataclass(frozen=True, slots=True)
class _RetryPolicy:
    max_bytes: int


class Client:
    """The network client as protocols use it; each request is made by the parent."""

    def __init__(self, calls: Calls, meter: Meter, job: Job) -> None:
        self._calls, self._meter = calls, meter
        self.base, self.retry_policy = job.base, _RetryPolicy(job.largest)
        self.validators, self.seen = _Validators(calls), _Seen(calls)

    def now(self) -> datetime:
        """Return the time by the parent's clock."""
        now: datetime = self._calls.ask("now")
        return now

    def get(self, url: str, params: Mapping[str, str] | None = None, *, accept: str = "*/*", conditional: bool = False) -> Reply:
        """Get an answer as ``Fetch.get`` does."""
        return self._received(self._calls.ask("get", url, None if params is None else dict(params), accept, conditional))

    def post(self, url: str, asked: Mapping[str, str] | bytes, *, accept: str = "*/*") -> Reply:
        """Get an answer as ``Fetch.post`` does."""
        return self._received(self._calls.ask("post", url, asked if isinstance(asked, bytes) else dict(asked), accept))

    def get_range(self, url: str, wanted: range, etag: str | None = None) -> Reply:
        """Get a part of a file as ``Fetch.get_range`` does."""
        return self._received(self._calls.ask("piece", url, wanted, etag))

    @contextmanager
    def download(self, url: str, *, accept: str = "*/*", conditional: bool = False) -> Iterator[Reply]:
        """Get an answer as ``Fetch.download`` does; the parent removes the file at the end of the context."""
        number, reply = self._calls.ask("file", url, accept, conditional)
        try:
            yield self._received(reply)
        finally:
            self._calls.ask("close_file", number)

    def _received(self, reply: Reply) -> Reply:
        self._meter.answer(max(len(reply.content), reply.path.stat().st_size if reply.path else 0))
        return reply


@dataclass(frozen=True, slots=True)
class _Ledger:
    """What ``Desk`` asks of a ledger."""

    calls: Calls

    def count_staged(self, run: Run) -> int:
        count: int = self.calls.ask("count_staged", run)
        return count

    def already_staged(self, run: Run, keys: Sequence[str]) -> set[str]:
        found: set[str] = self.calls.ask("already_staged", run, keys)
        return found

    def stored_records(self, source: str, keys: Sequence[str]) -> dict[str, StoredRecord]:
        found: dict[str, StoredRecord] = self.calls.ask("stored_records", source, keys)
        return found

    def current_descriptions(self, source: str, keys: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = self.calls.ask("current_descriptions", source, keys)
        return found

    def stage(self, run: Run, drafts: Sequence[StagedRecord], first: int) -> None:
        self.calls.ask("stage", run, [pack_draft(draft) for draft in drafts], first)


@dataclass(slots=True)
class _Crew:
    """The parent's processes, or its cluster."""

    calls: Calls
    code: str
    hands: int

    def begin(self, parcel: Parcel) -> Future[list[StagedRecord]]:
        begun: Future[list[StagedRecord]] = Future()
        begun.number, self.hands = self.calls.ask("begin", parcel)  # type: ignore[attr-defined]
        return begun

    def end(self, parcel: Parcel, begun: Future[list[StagedRecord]]) -> list[StagedRecord]:
        number: int = begun.number  # type: ignore[attr-defined]
        references = [DraftReference(number, place) for place in range(self.calls.ask("end", number))]
        return cast(list[StagedRecord], references)  # staging asks no more of them than how many there are

    def close(self) -> None:
        """Do nothing: the parent has closed its own side."""


@dataclass(slots=True)
class Collector:
    """A process of this kind, with its *calls*, *marks* and *meter*."""

    calls: Calls
    marks: Marks
    meter: Meter

    def collect(self, job: Job) -> None:
        """Do one job: stage every page, or report what ended the job."""
        task = job.task
        craft = prepared(task)
        bench = Bench(task.base, task.engine, local=self._worker(job), bounded=True, connect=self._connect)
        bench.workers, bench.had = 1, job.had  # one process, where the parent has no others
        desk = Desk(_Ledger(self.calls), Refiner(craft, bench, job.refused), job.run, lambda _: None)  # type: ignore[arg-type]
        try:
            self._pages(job, desk)
        except HarvestError as error:
            self.calls.tell("failed", _portable(error), desk.met)
            return
        self.calls.tell("ended", desk.run, desk.met)

    def _pages(self, job: Job, desk: Desk) -> None:
        protocol, _ = check_compatible(job.task.source)
        client = Client(self.calls, self.meter, job)
        self.marks.set(Phase.READING)
        for page in protocol.collect(job.task.source, client, job.since, job.cursor):
            self.marks.set(Phase.OTHER)
            desk.take(archived_page(page) if job.task.anew else page, *self.calls.ask("page"))
            self.meter.step()
            self.marks.set(Phase.READING)
        self.marks.set(Phase.OTHER)
        desk.clear()

    def _worker(self, job: Job) -> Any:
        def local(craft: Craft, cases: Sequence[Case]) -> list[StagedRecord]:
            batches = [[case] for case in cases] if job.singly else [cases]
            drafts = [draft for batch in batches for draft in self._work(craft, batch, job.refused)]
            self.marks.set(Phase.OTHER)
            return drafts

        return local

    def _work(self, craft: Craft, cases: Sequence[Case], refused: Mapping[str, str]) -> list[StagedRecord]:
        last = ""

        def begin(case: Case | None) -> None:
            nonlocal last
            last = case.digest if case else last
            self.meter.step()
            self.marks.set(Phase.MAPPING if case else Phase.VALIDATING, last)

        return craft.work(cases, begin)

    def _connect(self) -> Crew | None:
        there = self.calls.ask("crew")
        return None if there is None else _Crew(self.calls, *there)


def pack_draft(draft: StagedRecord | DraftReference) -> tuple[Any, ...] | DraftReference:
    """Return a draft as a tuple, which travels in half of the time."""
    if isinstance(draft, DraftReference):
        return draft
    return tuple(draft.outcome.value if name == "outcome" else getattr(draft, name) for name in _DRAFT)


def unpack_draft(values: tuple[Any, ...]) -> StagedRecord:
    """Return the draft that was packed."""
    key, outcome, *rest = values
    return StagedRecord(key, Outcome(outcome), *rest)


def _portable(error: HarvestError) -> HarvestError:
    """Return the error, or one of the nearest class that another process knows."""
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == errors.__name__)
    return error if kind is type(error) else kind(str(error))


def _forward(calls: Calls) -> None:
    """Send log lines to the parent, which writes them as its own."""

    def send(_logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        calls.tell("log", level, {name: value if isinstance(value, int | float | None) else str(value) for name, value in event.items()})
        raise structlog.DropEvent

    structlog.configure(processors=[structlog.processors.format_exc_info, send])


def work(connection: int, marks: int) -> None:
    """Do one job for the parent at the other end of *connection*, a file descriptor; *marks* is one of shared memory."""
    calls = Calls(Connection(connection))
    _forward(calls)
    memory = Marks(marks)
    try:
        limits, tempfile.tempdir = calls.connection.recv()
        collector = Collector(calls, memory, Meter(limits))
        collector.collect(calls.connection.recv())
    except BaseException as error:
        if isinstance(error, MemoryError):
            os._exit(MEMORY_EXIT)
        if not isinstance(error, SystemExit | EOFError | ConnectionResetError):
            expected = isinstance(error, Exception) and not isinstance(error, RecursionError)
            calls.tell("fault", expected, f"{type(error).__name__}: {error}", traceback.format_exc())
        raise


def serve(control: int, base: str) -> None:
    """Fork collectors for the parent at the other end of *control*, a file descriptor, until it closes it.

    A message with two file descriptors asks for a process, and is answered with its number; a number asks for the exit code of that
    process, once it has exited.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    crosswalks(base)
    calmed()
    with socket.socket(fileno=control) as link:
        while True:
            request, descriptors, _, _ = socket.recv_fds(link, NUMBER.size, 2)
            if not request:
                return
            if not descriptors:
                link.send(NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(NUMBER.unpack(request)[0], 0)[1])))
                continue
            child = os.fork()
            if child == 0:
                link.close()
                exit_after(lambda given=descriptors: work(*given))  # type: ignore[misc]
            for descriptor in descriptors:
                os.close(descriptor)
            link.send(NUMBER.pack(child))


def exit_after(work: Callable[[], None]) -> NoReturn:
    """Do *work* and end this process, a fork, whatever comes of it: it must not go on with what its parent does."""
    try:
        work()
    finally:
        sys.stderr.flush()
        os._exit(0)
