"""Find the protocol and the mapping of a source, and check them against each other and against its
options; map, serialize and validate its records: in this process, in worker processes on this
machine, or on a Dask cluster. The result does not depend on the process or on the batch.

A record's fingerprint is a number from its description without its key, by which it is recognized
under another key.
"""

from __future__ import annotations

import copyreg
import multiprocessing
import os
import pickle
import re
import socket
import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import blake2b, sha256
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import structlog
from lxml import etree

from harvesters.errors import (
    ClusterError,
    ClusterLostError,
    ParseError,
    SourceDefinitionError,
    import_optional,
)
from harvesters.ledger.models import (
    ERASED,
    Outcome,
    RecordState,
    Run,
    StagedRecord,
    StoredRecord,
    decompress,
    key_digest,
)
from harvesters.mappings import fields
from harvesters.mappings.mapping import MAPPINGS, RecordMapping, detect_languages
from harvesters.mappings.topics import add_suggestions, model_fault
from harvesters.options import located, suggestion
from harvesters.page_model import Record, SourcePosition
from harvesters.payloads.paths import READS
from harvesters.pipeline.processes import (
    DEFAULT_WORKERS,
    MEMORY_EXIT,
    Meter,
    Phase,
    ProcessLimits,
    Steps,
    enable_reduced_gc,
)
from harvesters.protocols.protocol import PROTOCOLS, Protocol
from harvesters.reasons import Reason
from harvesters.source import MODEL, NOTHING, Source
from journal import processes as fork_server
from shapes.rules import Severity, rules
from shapes.validate import EngineName, Result, describe_results, validate_many
from vocab.crosswalks import Crosswalks
from vocab.describe import KIND, describe
from vocab.initiative import Resource
from vocab.iris import Iris, encode
from vocab.provenance import Provenance, describe_record
from vocab.terms import DCT, FOAF, PROV, literal

RecordMapper = Callable[[Record[Any]], Resource]
# Called with the digest of each record before it is mapped, and of the last before the batch is validated.
StepCallback = Callable[[Phase, str], None]
# A record whose mapping raises one of these is withheld, and the others are processed.
MAPPING_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
UNCHANGED_OUTCOMES = {
    RecordState.PUBLISHED: Outcome.UNCHANGED,
    RecordState.VANISHED: Outcome.RETURNED,
}
DIGEST_SIZE = 16  # bytes: 128 bits distinguish a hundred million records

# The datestamps of this protocol are published, since a repository must pass them on.
_OAI = "oai-pmh"


def check_compatible(source: Source) -> tuple[Protocol, RecordMapping]:
    """Return the protocol and the mapping of a source, the protocol as this source can use it.

    Raises SourceDefinitionError if either is unknown, if the mapping does not accept the protocol's
    payload, or if options or fields are unknown or invalid; the message names the source, the key
    and the remedy of each fault.
    """
    if faults := compatibility_faults(source):
        raise SourceDefinitionError(*faults)
    protocol = _resolve_payload(source, PROTOCOLS[source.protocol])
    incremental = protocol.incremental and protocol.is_incremental(source)
    return replace(protocol, incremental=incremental), MAPPINGS[source.mapping]


def compatibility_faults(source: Source) -> list[Reason]:
    """Return a reason for each fault that ``check_compatible`` would raise."""
    unknown = [
        located(source.name, Reason(text, name=repr(name), suggestion=suggestion(name, registry)))
        for text, name, registry in (
            ("protocol %(name)s is unknown; %(suggestion)s", source.protocol, PROTOCOLS),
            ("mapping %(name)s is unknown; %(suggestion)s", source.mapping, MAPPINGS),
        )
        if name not in registry
    ]
    if unknown:
        return unknown
    try:
        mapping, protocol = MAPPINGS[source.mapping], PROTOCOLS[source.protocol]
    except SourceDefinitionError as error:
        return [located(source.name, fault) for fault in error.faults]
    faults = [*_option_faults(source, mapping, protocol)]
    try:
        protocol = _resolve_payload(source, protocol)
    except SourceDefinitionError:  # The faults of the options have the same causes.
        return faults
    if protocol.payload_type not in mapping.accepts:
        return [_payload_fault(source, protocol), *faults]
    try:
        faults += _field_faults(source, protocol)
    except SourceDefinitionError as error:
        faults.extend(error.faults)
    if source.suggest == MODEL and (fault := model_fault()):
        faults.append(
            located(source.name, Reason("suggest is 'model', but %(error)s", error=fault))
        )
    return faults


def _resolve_payload(source: Source, protocol: Protocol) -> Protocol:
    return (
        protocol
        if protocol.payload_type_for is None
        else replace(protocol, payload_type=protocol.payload_type_for(source))
    )


def _payload_fault(source: Source, protocol: Protocol) -> Reason:
    payload = protocol.payload_type
    fit = ", ".join(name for name, other in MAPPINGS.items() if payload in other.accepts)
    return located(
        source.name,
        Reason(
            "mapping %(mapping)s cannot read the payload of protocol %(protocol)s, %(payload)s; "
            "these can: %(mappings)s",
            mapping=repr(source.mapping),
            protocol=repr(source.protocol),
            payload=payload.value,
            mappings=fit,
        ),
    )


def _option_faults(source: Source, mapping: RecordMapping, protocol: Protocol) -> Iterator[Reason]:
    known: set[str] = set()
    for model in (mapping.options, protocol.options):
        known |= model.names().keys()
        try:
            model.of(source)
        except SourceDefinitionError as error:
            yield from error.faults
    for name in source.options:
        if name not in known:
            yield located(
                source.name,
                Reason(
                    "unknown option %(name)s of %(protocol)s with %(mapping)s; %(suggestion)s",
                    name=repr(name),
                    protocol=source.protocol,
                    mapping=source.mapping,
                    suggestion=suggestion(name, known),
                ),
            )


def _field_faults(source: Source, protocol: Protocol) -> Iterator[Reason]:
    if source.mapping == "fields":
        yield from fields.faults(source, protocol.payload_type)
    elif source.fields:
        yield located(
            source.name,
            Reason(
                "[fields] is for mapping 'fields'; mapping %(mapping)s has its own, so remove the table",
                mapping=repr(source.mapping),
            ),
        )


# ---- processing


@dataclass(frozen=True, slots=True)
class ProcessingTask:
    """The data that processing a run's records needs, in this process or another.

    *rules_unchanged*: the last run used the same mapping and shapes, so a record with the same
    content need not be validated again. *is_remap*: archived records are mapped again, and a result
    equal to the current description is unchanged. *forgotten*: digests of keys that are withheld.
    """

    run: Run
    source: Source
    base: str
    engine: EngineName
    rules_unchanged: bool
    is_remap: bool = False
    forgotten: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RecordInput:
    """A record to process, its *digest*, its *stored* state (None: new), and its *position* in the
    archive.

    *current_description* is the published description as the ledger compresses it; None if it is
    not needed.
    """

    record: Record[Any]
    digest: str
    stored: StoredRecord | None
    position: SourcePosition | None
    current_description: bytes | None = None


@lru_cache(maxsize=4)
def load_crosswalks(base: str) -> Crosswalks:
    """Return the crosswalks for IRIs under *base*, cached because parsing them is slow."""
    return Crosswalks(Iris(base))


def create_processor(task: ProcessingTask) -> RecordProcessor:
    """Return the processor for *task*."""
    crosswalks = load_crosswalks(task.base)
    if task.source.words:
        crosswalks = replace(crosswalks, words=task.source.words)
    mapping = MAPPINGS[task.source.mapping].prepare(task.source, crosswalks)
    return RecordProcessor(task, mapping, Iris(task.base))


@dataclass(frozen=True, slots=True)
class RecordProcessor:
    """Maps, serializes and validates the records of a task; *map_record* is its mapping."""

    task: ProcessingTask
    map_record: RecordMapper
    iris: Iris

    def process(
        self, inputs: Sequence[RecordInput], on_step: StepCallback = lambda *_: None
    ) -> list[StagedRecord]:
        """Return the result for each record, in order. A result does not depend on the other
        records of the batch.
        """
        mapped = []
        for item in inputs:
            on_step(Phase.MAPPING, item.digest)
            mapped.append(self._map(item))
        on_step(Phase.VALIDATING, inputs[-1].digest if inputs else "")
        descriptions = [item[1] for item in mapped if isinstance(item, tuple)]
        reports = iter(
            validate_many(descriptions, base=self.task.base, name=self.task.engine)
            if descriptions
            else ()
        )
        return [
            self._finish(*item, next(reports)) if isinstance(item, tuple) else item
            for item in mapped
        ]

    def resource(self, record: Record[Any]) -> Resource:
        """Return what a record is mapped to. Raises ParseError, or one of MAPPING_ERRORS."""
        record = reads.open(record) if (reads := READS.get()) else record.parsed()
        resource = detect_languages(self.map_record(record))
        if record.lineage and not resource.lineage:
            resource = replace(resource, lineage=record.lineage)
        source = self.task.source
        return (
            resource
            if source.suggest == NOTHING and not source.decisions
            else add_suggestions(resource, self.iris, source)
        )

    def _map(
        self, item: RecordInput
    ) -> StagedRecord | tuple[StagedRecord, list[str], RecordInput, tuple[Result, ...]]:
        """Return the result for a record; before its validation, with its statements, its input and
        the remarks on its markup.
        """
        record, stored, run = item.record, item.stored, self.task.run
        if self.task.forgotten and key_digest(record.key) in self.task.forgotten:
            return StagedRecord(
                record.key, Outcome.WITHHELD, item.digest, reasons=ERASED, position=item.position
            )
        try:
            resource = self.resource(record)
            statements = describe(resource, self.iris, run.source)
        except ParseError as error:
            return _unreadable(item, error.reason)
        except MAPPING_ERRORS as error:
            return _unreadable(
                item,
                Reason(
                    "mapping %(mapping)s failed on this record (%(error)s): this is a bug, please report it",
                    mapping=self.task.source.mapping,
                    error=f"{type(error).__name__}: {error}",
                ),
            )
        text = "\n".join(statements)
        # A record that loses its markup keeps its description, but has one remark less.
        content = blake2b(
            "\n".join((text, *resource.markup)).encode(), digest_size=DIGEST_SIZE
        ).hexdigest()
        same = stored and stored.content == content and not stored.is_deleted
        if self.task.rules_unchanged and stored and same:
            return StagedRecord(
                record.key, UNCHANGED_OUTCOMES[stored.state], item.digest, position=item.position
            )
        thing = self.iris.thing(KIND[type(resource)], run.source, record.key)
        record_iri = self.iris.record(run.source, record.key)
        provenance = self._provenance(item)
        staged = StagedRecord(
            record.key,
            Outcome.CHANGED if stored and not stored.is_deleted else Outcome.NEW,
            item.digest,
            content,
            provenance.first_seen,
            position=item.position,
            fingerprint=content_fingerprint(statements, thing, record_iri, run.source, record.key),
            page=page_fingerprint(text),
        )
        statements = statements + describe_record(record.key, self.iris, provenance)
        markup = tuple(self._markup_result(thing, field) for field in resource.markup)
        return staged, statements, item, markup

    def _provenance(self, item: RecordInput) -> Provenance:
        run, stored, source = self.task.run, item.stored, self.task.source
        return Provenance(
            run.source,
            run.id,
            source.mapping,
            item.digest,
            stored.first_seen if stored else run.started,
            run.started,
            datestamp=item.record.modified if source.protocol == _OAI else None,
        )

    def _markup_result(self, thing: str, field: str) -> Result:
        """Return the remark on HTML that was removed from the texts of a field: validation does not
        see it any more.
        """
        rule = rules(self.task.base)[f"{self.task.base}shapes#ResourceMarkup"]
        return Result(
            thing,
            f"{DCT}{field}",
            "NotConstraintComponent",
            rule.severity,
            None,
            rule.message,
            rule.iri,
        )

    def _finish(
        self,
        staged: StagedRecord,
        statements: list[str],
        item: RecordInput,
        markup: Sequence[Result],
        results: Sequence[Result],
    ) -> StagedRecord:
        """Withhold a record with violations; else add its warnings to its description."""
        key, digest, source = item.record.key, item.digest, self.task.run.source
        violations = {
            (result.message, (result.path or "record").replace("#", "/").rpartition("/")[2])
            for result in results
            if result.severity is Severity.VIOLATION
        }
        if violations:
            reasons = tuple(
                Reason("broken_rule", message=message, property=name)
                for message, name in sorted(violations)
            )
            return StagedRecord(
                key, Outcome.WITHHELD, digest, reasons=reasons, position=item.position
            )
        record = self.iris.record(source, key)
        statements = sorted(statements + describe_results(record, self.iris, (*markup, *results)))
        if item.current_description is not None and self._equals_current(item, statements):
            return StagedRecord(key, Outcome.UNCHANGED, digest, position=item.position)
        return replace(staged, description="\n".join(statements))

    def _equals_current(self, item: RecordInput, statements: Sequence[str]) -> bool:
        """Return whether a description equals the current one, except for its run and time."""
        record = f"<{self.iris.record(self.task.run.source, item.record.key)}> "
        ignored = tuple(
            record + name
            for name in (
                f"<{DCT}modified> ",
                f"<{DCT}date> ",
                f"<{PROV}wasGeneratedBy> ",
                f"<{self.iris.operations}digest> ",
            )
        )
        current = decompress(item.current_description).split("\n")
        new_lines, current_lines = (
            {line for line in lines if not line.startswith(ignored)}
            for lines in (statements, current)
        )
        return new_lines == current_lines


def _unreadable(item: RecordInput, reason: Reason) -> StagedRecord:
    return StagedRecord(
        item.record.key, Outcome.UNREADABLE, reasons=(reason,), position=item.position
    )


# Shorter keys are not removed from addresses, which also end in numbers of goals and areas.
_MIN_KEY_LENGTH = 3
_PAGE = f"<{FOAF}page> <"


def content_fingerprint(
    statements: Sequence[str], thing: str, record: str, source: str, key: str
) -> int:
    """Return the fingerprint of a sorted description, a signed number of 64 bits, without the key
    of the *thing*.

    *thing* and *record* are their IRIs. The name of the source does not count, and http is https.

    >>> one = ["<b:s/a1> <p:page> <https://x.example/a1>", "<b:s/a1> <p:title> 'A'"]
    >>> other = ["<b:s/b2345> <p:page> <http://x.example/a1>", "<b:s/b2345> <p:title> 'A'"]
    >>> content_fingerprint(one, "b:s/a1", "", "s", "a1") == content_fingerprint(other, "b:s/b2345", "", "s", "b2345")
    True
    """
    prefix = f"<{thing}> "
    # "!" sorts next after a space.
    own = statements[bisect_left(statements, prefix) : bisect_left(statements, prefix[:-1] + "!")]
    start = len(prefix)
    # Bytes are searched three times as fast as a text with letters of many scripts.
    text = ("\n" + "\n".join([statement[start:] for statement in own])).encode()
    for what, instead in _exclusions(record, source, key):
        text = text.replace(what, instead)
    return _number(text)


def _exclusions(record: str, source: str, key: str) -> Iterator[tuple[bytes, bytes]]:
    """Return the parts of a description that do not count, each with its replacement, in the order
    of application.
    """
    yield f"\n<{DCT}identifier> {literal(key)}".encode(), b""
    yield f" <{record}#".encode(), b" <#"
    if len(segment := encode(key)) > _MIN_KEY_LENGTH:
        yield f"/{segment}>".encode(), b"/>"
        yield f"={segment}>".encode(), b"=>"
    yield f"/{source}/".encode(), b"//"
    yield b"https://", b"http://"


def page_fingerprint(text: str) -> int | None:
    """Return the hash of a description's first web address, None if it has none; http and https are
    the same.
    """
    address = text.partition(_PAGE)[2].partition(">")[0].rstrip("/")
    address = address.removeprefix("https://").removeprefix("http://")
    return _number(address.encode()) if address else None


def _number(text: bytes) -> int:
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big", signed=True)


# ---- where records are processed

# So many records are processed in this process before worker processes are started, which takes
# half a second.
_INLINE_LIMIT = 2000
# A work unit has four validation batches; sending it takes 1 % of the time of processing it.
_CHUNK_RECORDS = 200
_CHUNK_BYTES = 4 << 20  # bytes of a work unit, unless a single record is larger
_CONNECT_TIMEOUT = 10.0  # seconds to connect to a Dask scheduler
_PACKAGES = ("vocab", "shapes", "journal", "harvesters")
# Results may differ between their versions.
_LIBRARIES = ("lxml", "orjson", "py3langid", "pycountry", "pyoxigraph", "pyshacl", "shacl")
# An XPath that matches can leave the record, which is then processed in the process of its page.
_OUTSIDE_RECORD = re.compile(
    r"ancestor|parent|preceding|following|\.\.|lang\s*\(|(?:^|[\s(|,=\[])/"
)
_SERIALIZATION_ERRORS = (pickle.PicklingError, TypeError, AttributeError, RecursionError)
_MAX_CACHED_TASKS = 16  # tasks whose processor is cached: more than there are concurrent runs

Results = list[StagedRecord]
Inputs = Sequence[RecordInput]
# Records, the executor that works on them, and the future of their results.
SubmittedPart = tuple[Inputs, Any, Future[Results]]

log = structlog.get_logger()


@dataclass(slots=True)
class WorkerPool:
    """Processes records with the SHACL engine *name* and IRIs under *base*; use it as a context
    manager.

    *workers* is the number of worker processes, 0 for none; *dask* the address of a Dask scheduler,
    whose workers are used instead. Results and their order do not depend on where records are
    processed. *steps* are those of the work in this process, which repeats that of workers that died.
    *executor* is a ``ProcessExecutor``, or that of ``dask_executor``, which has the same methods.
    """

    base: str
    name: EngineName = "rust"
    workers: int = DEFAULT_WORKERS
    dask: str = ""
    record_count: int = 0  # records submitted so far
    steps: Steps = field(default_factory=Steps)
    executor: Any = None
    # Sources are harvested concurrently.
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __enter__(self) -> WorkerPool:
        """Return the pool. Workers are started when they are needed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the worker processes, or disconnect from the cluster."""
        if self.executor:
            self.executor.shutdown(cancel_futures=True)

    @property
    def concurrency(self) -> int:
        """Return how many work units are processed at once."""
        return max(1, self.executor.concurrency if self.executor else self.workers)

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

    def process_locally(self, processor: RecordProcessor, inputs: Inputs) -> Results:
        batches = [[item] for item in inputs] if self.steps.one_by_one else [inputs]
        results = [
            staged for batch in batches for staged in processor.process(batch, self.steps.begin)
        ]
        self.steps.begin(Phase.OTHER)
        return results

    def submit(self, processor: RecordProcessor, inputs: Inputs) -> PendingResults:
        """Submit records for processing. Raises ClusterError if the Dask cluster does not answer."""
        self.record_count += len(inputs)
        is_small = self.record_count <= _INLINE_LIMIT or not (self.workers or self.dask)
        if is_small or not is_distributable(processor.task):
            return PendingResults(self, processor, [self.process_locally(processor, inputs)])
        task = pickle.dumps(processor.task, pickle.HIGHEST_PROTOCOL)
        parts = [self._submit_part(processor, part, task) for part in _split_records(inputs)]
        return PendingResults(self, processor, parts)

    def _submit_part(
        self, processor: RecordProcessor, inputs: Inputs, task: bytes
    ) -> Results | SubmittedPart:
        if (records := serialize(inputs)) is None:
            return self.process_locally(processor, inputs)
        with self._lock:
            with suppress(BrokenExecutor):  # An executor whose process died takes no more work.
                self.executor = self.executor or self._start()
                return inputs, self.executor, self.executor.send(task, records)
            self.executor = self._start()
            return inputs, self.executor, self.executor.send(task, records)

    def _start(self) -> Any:
        if self.dask:
            return import_optional("harvesters.pipeline.dask_executor", "dask").connect(self.dask)
        return ProcessExecutor(self.workers)

    def leave_cluster(self, executor: Any, reason: str) -> None:
        """Continue with local worker processes after the cluster was lost."""
        with self._lock:
            if self.executor is executor:
                log.warning(
                    "Dask cluster lost; continuing with local worker processes", reason=reason
                )
                executor.shutdown()
                self.executor, self.dask = None, ""


@dataclass(frozen=True, slots=True)
class PendingResults:
    """Records that are being processed, in *parts* that have their results or were submitted."""

    pool: WorkerPool
    processor: RecordProcessor
    parts: Sequence[Results | SubmittedPart]

    @property
    def is_ready(self) -> bool:
        """Return whether ``results`` returns without waiting."""
        return all(isinstance(part, list) or part[2].done() for part in self.parts)

    def results(self) -> Results:
        """Wait for the results, and return them in order."""
        return [record for part in self.parts for record in self._results(part)]

    def _results(self, part: Results | SubmittedPart) -> Results:
        if isinstance(part, list):
            return part
        inputs, executor, future = part
        try:
            return [*executor.result(future)]
        except ClusterLostError as error:
            self.pool.leave_cluster(executor, str(error))
        except BrokenExecutor:
            log.warning("worker process exited; repeating its work")
        return self.pool.process_locally(self.processor, inputs)


def _split_records(inputs: Inputs) -> Iterator[Inputs]:
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


def is_distributable(task: ProcessingTask) -> bool:
    """Return whether the task's records can be processed without the page that contains them."""
    return not any(_OUTSIDE_RECORD.search(path) for path in task.source.fields.values())


def serialize(inputs: Inputs) -> bytes | None:
    """Return records for another process, or None if one cannot be serialized, as one of HTML, which
    need not be well-formed XML.
    """
    try:
        return pickle.dumps(inputs, pickle.HIGHEST_PROTOCOL)
    except _SERIALIZATION_ERRORS:
        return None


def execute(
    task: bytes, records: bytes, code: str = "", on_step: StepCallback = lambda *_: None
) -> Results:
    """Process serialized records; raise ClusterError if other *code* serialized them, by its
    fingerprint ("" for any). *on_step* is called before each step.
    """
    if code and code != code_fingerprint():
        raise ClusterError(
            f"a worker has other code ({code_fingerprint()}) than this process ({code}), so results could "
            "differ; install the same version there, with the same Python and the same packages"
        )
    return _cached_processor(task).process(pickle.loads(records), on_step)


def _parse_element(raw: bytes) -> etree._Element:
    return etree.fromstring(
        raw, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    )


copyreg.pickle(
    etree._Element, lambda element: (_parse_element, (etree.tostring(element, with_tail=False),))
)


@lru_cache(maxsize=_MAX_CACHED_TASKS)
def _cached_processor(task: bytes) -> RecordProcessor:
    return create_processor(pickle.loads(task))


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """Return a digest of everything that results depend on: our code and data, Python, and the
    libraries.
    """
    digest = sha256(
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


_meter: Meter | None = None  # None outside of worker processes


def _init_worker(limits: ProcessLimits) -> None:
    """Prepare a worker process, which exits when its parent has ended."""
    global _meter
    enable_reduced_gc()
    fork_server.exit_with_parent()
    _meter = Meter(limits, alarm=True)


def _execute_with_limits(task: bytes, records: bytes) -> Results:
    """Process records in a worker process, which the kernel ends if one exceeds the limits."""
    assert _meter is not None
    meter = _meter
    meter.step()
    try:
        return execute(task, records, on_step=lambda *_: meter.step())
    except MemoryError:
        os._exit(MEMORY_EXIT)
    finally:
        meter.stop_alarm()


class ProcessExecutor(ProcessPoolExecutor):
    """Worker processes; the kernel ends one that exceeds *limits* for a record."""

    def __init__(self, concurrency: int, limits: ProcessLimits | None = None) -> None:
        self.concurrency = concurrency
        fork_server.preload(__name__)
        context = multiprocessing.get_context(fork_server.start_method())
        super().__init__(concurrency, context, _init_worker, (limits or ProcessLimits(),))

    def send(self, task: bytes, records: bytes) -> Future[Results]:
        return self.submit(_execute_with_limits, task, records)

    def result(self, future: Future[Results]) -> Results:
        """Wait for results; raise BrokenExecutor if any of the processes died."""
        return future.result()
