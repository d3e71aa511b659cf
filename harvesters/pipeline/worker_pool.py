"""Map and validate records in this process, in worker processes on this machine, or on a Dask cluster."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import structlog
from lxml import etree
from lxml.etree import _Element
from lxml.html import HtmlElement

from harvesters.errors import ClusterError, ClusterLostError, ValidationCrashError
from harvesters.ledger.models import StagedRecord
from harvesters.optional_dependency import import_optional
from harvesters.page_model import Record
from harvesters.pipeline.gc_tuning import calmed
from harvesters.pipeline.process_limits import MEMORY_EXIT, Limits, Meter
from harvesters.pipeline.record_processor import Begin, Case, Craft, Task, prepared
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
                self._crew = import_optional("harvesters.pipeline.dask_executor", "dask").connect(self.dask)
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


_ROOMS = ("vocab", "shapes", "journal", "harvesters")
_ENGINES = ("lxml", "orjson", "py3langid", "pycountry", "pyoxigraph", "pyshacl", "shacl")  # whose other versions may say other things
# An XPath that may lead out of the record, into the page around it: such records are worked on where the page is.
_OUTSIDE = re.compile(r"ancestor|parent|preceding|following|\.\.|lang\s*\(|(?:^|[\s(|,=\[])/")
_UNPACKABLE = (pickle.PicklingError, TypeError, AttributeError, RecursionError)
_TASKS = 16  # whose mappings are kept ready: runs at once, and then some


@dataclass(frozen=True, slots=True)
class Parcel:
    """Work for another process: the *code* that it was packed by ("" for none in particular), and pickled its task and its cases."""

    code: str
    task: bytes
    cases: bytes


def travels(task: Task) -> bool:
    """Tell whether the task's records may leave the page that they came on."""
    return not any(_OUTSIDE.search(path) for path in task.source.fields.values())


def packed(task: bytes, cases: Sequence[Case], code: str = "") -> Parcel | None:
    """Pack work on *cases* for another process; None where one of them holds what cannot be packed.

    An XML element goes as its record's raw bytes, which are that element written out; of any other payload these stay here.
    """
    if any(isinstance(case.record.payload, HtmlElement) for case in cases):
        return None  # what a browser forgives is no XML that can be read again
    try:
        return Parcel(code, task, pickle.dumps([_bare(case) for case in cases], pickle.HIGHEST_PROTOCOL))
    except _UNPACKABLE:
        return None


def done(parcel: Parcel, begin: Begin = lambda _: None) -> list[StagedRecord]:
    """Do the work of *parcel*; raises ClusterError where it was packed by other code than ours. *begin* is called before each step."""
    if parcel.code and parcel.code != code():
        raise ClusterError(other(code(), parcel.code))
    return _ready(parcel.task).work([_whole(*bare) for bare in pickle.loads(parcel.cases)], begin)


def other(theirs: str, ours: str) -> str:
    """Tell that two processes have not the same code."""
    cure = "install the same version there, with the same Python and the same packages"
    return f"a worker has other code ({theirs}) than this process ({ours}), and might say other things; {cure}"


def _bare(it: Case) -> tuple[Any, ...]:
    record, payload = it.record, it.record.payload
    what = (None, record.raw) if isinstance(payload, _Element) else (payload, b"")
    return (record.key, *what, record.modified, it.digest, it.before, it.at, it.stands)  # a tuple is packed twice as fast


def _whole(key: str, payload: Any, raw: bytes, modified: str | None, *rest: Any) -> Case:
    return Case(Record(key, _element(raw) if payload is None else payload, raw, modified), *rest)


def _element(raw: bytes) -> _Element:
    return etree.fromstring(raw, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True))


@lru_cache(maxsize=_TASKS)
def _ready(task: bytes) -> Craft:
    return prepared(pickle.loads(task))


@lru_cache(maxsize=1)
def code() -> str:
    """Give the digest of all that decides what becomes of a record: our code and data, Python, and the packages that we ask."""
    told = hashlib.sha256(f"{sys.version_info[:2]} {[(name, version(name)) for name in _ENGINES]}".encode())
    for room in _ROOMS:
        folder = Path(str(files(room)))
        for file in sorted(it for it in folder.rglob("*") if it.is_file() and "__pycache__" not in it.parts):
            told.update(f"{room}/{file.relative_to(folder)}\0".encode())
            told.update(file.read_bytes())
    return told.hexdigest()[:16]


_LIVES = 3  # processes that a parcel may cost: what ends as many would end the next one too


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
