"""Craft: records become drafts: mapped, described, judged; the same wherever it is done and in whatever company."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from harvesters.errors import ParseError
from harvesters.ledger.compression import decompress
from harvesters.ledger.models import Outcome, RecordState, Run, StagedRecord, StoredRecord
from harvesters.mappings.registry import MAPPINGS
from harvesters.page_model import Record, SourcePosition
from harvesters.payloads import language_detection
from harvesters.pipeline.fingerprint import likeness, page
from harvesters.source import Source
from shapes.result import Result, Severity
from shapes.validate import EngineName, validate_many
from vocab import properties as p
from vocab.crosswalks import Crosswalks
from vocab.describe import KIND, describe
from vocab.initiative import Resource
from vocab.iris import Iris
from vocab.provenance import Provenance, ValidationNote, describe_record, describe_results

Read = Callable[[Record[Any]], Resource]
Begin = Callable[["Case | None"], None]  # called before each record is mapped, and with None before the batch is validated
# What a mapping of ours raises on a payload that it did not foresee: that record is withheld, the others go on.
_FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
SAME = {RecordState.PUBLISHED: Outcome.UNCHANGED, RecordState.VANISHED: Outcome.RETURNED}
DIGEST = 16  # bytes: 128 bits tell a hundred million records apart with room to spare


@dataclass(frozen=True, slots=True)
class Task:
    """All that must be known of a run to do its work, here or elsewhere.

    *tried* tells that the last run judged by the same mapping and shapes, so that what says the same as before has the same
    verdict; *anew* that archived records are mapped again, so that what comes out as it stands is unchanged.
    """

    run: Run
    source: Source
    base: str
    engine: EngineName
    tried: bool
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """A record to be worked on, its *digest*, what is known of it *before*, and *at* which reply it came.

    *stands* is its present description as the ledger packs it, None where it is not asked for.
    """

    record: Record[Any]
    digest: str
    before: StoredRecord | None
    at: SourcePosition | None
    stands: bytes | None = None


@lru_cache(maxsize=4)
def words(base: str) -> Crosswalks:
    """Give the crosswalks under *base*, which take a while to read."""
    return Crosswalks(Iris(base))


def prepared(task: Task, known: Crosswalks | None = None) -> Craft:
    """Make ready to work on *task*, with crosswalks that are *known* already or are read."""
    return Craft(task, MAPPINGS[task.source.mapping].prepare(task.source, known or words(task.base)), Iris(task.base))


@dataclass(frozen=True, slots=True)
class Craft:
    """What turns a task's records into drafts; *read* is its mapping."""

    task: Task
    read: Read
    iris: Iris

    def work(self, cases: Sequence[Case], begin: Begin = lambda _: None) -> list[StagedRecord]:
        """Give each record's draft, in their order; the verdicts depend on no other record. *begin* is called before each step."""
        drafts = []
        for case in cases:
            begin(case)
            drafts.append(self._map(case))
        begin(None)
        pending = [draft.judged for draft in drafts if isinstance(draft, _Pending)]
        verdicts = iter(validate_many(pending, base=self.task.base, name=self.task.engine) if pending else ())
        return [self._decide(draft, next(verdicts)) if isinstance(draft, _Pending) else draft for draft in drafts]

    def _map(self, it: Case) -> StagedRecord | _Pending:
        record, before, run = it.record, it.before, self.task.run
        try:
            resource = language_detection.detect_languages(self.read(record))
            statements = describe(resource, self.iris, run.source)
        except ParseError as error:
            return StagedRecord(record.key, Outcome.UNREADABLE, reason=str(error), position=it.at)
        except _FAULTS as error:
            mapping = self.task.source.mapping
            why = f"mapping {mapping} failed on this record ({type(error).__name__}: {error}): this is a bug, please report it"
            return StagedRecord(record.key, Outcome.UNREADABLE, reason=why, position=it.at)
        text = "\n".join(statements)
        content = blake2b(text.encode(), digest_size=DIGEST).hexdigest()
        if self.task.tried and before and before.content == content and not before.is_deleted:
            return StagedRecord(record.key, SAME[before.state], it.digest, position=it.at)
        first = before.first_seen if before else run.started
        about = Provenance(run.source, run.id, self.task.source.mapping, it.digest, first, run.started)
        outcome = Outcome.CHANGED if before and not before.is_deleted else Outcome.NEW
        judged = statements + describe_record(record.key, self.iris, about)
        thing = self.iris.thing(KIND[type(resource)], run.source, record.key)
        like = likeness(statements, thing, self.iris.record(run.source, record.key), run.source, record.key)
        return _Pending(record.key, outcome, about, content, judged, it.at, like, page(text), it.stands)

    def _decide(self, it: _Pending, results: Sequence[Result]) -> StagedRecord:
        faults = [result for result in results if result.severity is Severity.VIOLATION]
        if faults:
            told = "; ".join(sorted({f"{fault.message} ({_local(fault.path)})" for fault in faults}))
            return StagedRecord(it.key, Outcome.WITHHELD, it.about.digest, reason=told, position=it.at)
        remarks = {ValidationNote(result.component, result.severity.value, result.message, result.path) for result in results}
        ordered = sorted(remarks, key=lambda remark: (remark.path or "", remark.component, remark.message))
        statements = sorted(it.judged + describe_results(it.key, self.iris, it.about.source, ordered))
        if it.stands is not None and self._says_the_same(it, statements):
            return StagedRecord(it.key, Outcome.UNCHANGED, it.about.digest, position=it.at)
        told = "\n".join(statements)
        about, like = it.about, it.likeness
        return StagedRecord(
            it.key, it.outcome, about.digest, it.content, about.first_seen, told, position=it.at, likeness=like, page=it.page
        )

    def _says_the_same(self, it: _Pending, statements: Sequence[str]) -> bool:
        """Tell whether a description is the one that stands, but for which run made it, and when."""
        its = f"<{self.iris.record(it.about.source, it.key)}> "
        made = tuple(its + name for name in (p.MODIFIED, p.GENERATED, p.ontology_terms(self.iris.ns).digest))
        now, stands = ({line for line in lines if not line.startswith(made)} for lines in (statements, decompress(it.stands).split("\n")))
        return now == stands


@dataclass(frozen=True, slots=True)
class _Pending:
    key: str
    outcome: Outcome
    about: Provenance
    content: str
    judged: list[str]
    at: SourcePosition | None
    likeness: int
    page: int | None
    stands: bytes | None


def _local(path: str | None) -> str:
    return (path or "record").replace("#", "/").rpartition("/")[2]
