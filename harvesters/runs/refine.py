"""Refining: a page of records becomes drafts: sifted by key and digest, mapped, described, judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from harvesters.errors import JudgeError, ParseError
from harvesters.ledger.account import Draft, Known, Outcome, Presence, Run
from harvesters.payloads import tongue
from harvesters.record import Gone, Page, Position, Record, Unreadable
from harvesters.runs.bench import Bench, Verdicts
from harvesters.runs.likeness import likeness, page
from shapes.result import Result, Severity
from vocab.chronicle import Provenance, Remark, attest, comment
from vocab.describe import KIND, describe
from vocab.initiative import Resource
from vocab.iris import Iris

Item = Record[Any] | Gone | Unreadable
# What a mapping of ours raises on a payload that it did not foresee: that record is withheld, the others go on.
_FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_SAME = {Presence.PUBLISHED: Outcome.UNCHANGED, Presence.VANISHED: Outcome.RETURNED}
_DIGEST = 16  # bytes: 128 bits tell a hundred million records apart with room to spare


@dataclass(frozen=True, slots=True)
class Refiner:
    """What turns one run's records into drafts.

    *read* is the mapping; *tried* tells that the last run judged by the same mapping and shapes, so that what says the same
    as before has the same verdict.
    """

    run: Run
    mapping: str
    read: Callable[[Record[Any]], Resource]
    iris: Iris
    bench: Bench
    tried: bool

    def sift(self, its: Page[Any], known: Mapping[str, Known], met: set[str]) -> Batch:
        """Settle what needs no judge and send the rest to them; *met* are the keys that this run has had, and grows."""
        drafts: list[Draft | _Pending] = []
        twice = 0 if its.again else sum(item.key in met for item in its.items if item.key is not None)
        repeats = 0 < twice == len(its.items)
        for item in its.items:
            if its.again and item.key in met:
                continue
            drafts.append(self._sift_one(item, known, met, its.at))
            if item.key is not None:
                met.add(item.key)
        pending = [draft for draft in drafts if isinstance(draft, _Pending)]
        verdicts = self.bench.judge([draft.judged for draft in pending]) if pending else None
        return Batch(its, drafts, verdicts, repeats, twice if its.moves else 0)

    def _sift_one(self, item: Item, known: Mapping[str, Known], met: set[str], at: Position | None) -> Draft | _Pending:
        if item.key is not None and item.key in met:
            return Draft(item.key, Outcome.DUPLICATE, reason=f"the key {item.key!r} came before in this run; the first one counts", at=at)
        before = known.get(item.key) if item.key is not None else None
        if isinstance(item, Unreadable):
            return Draft(item.key, Outcome.UNREADABLE, reason=item.reason, at=at)
        if isinstance(item, Gone):
            there = before is not None and not before.gone
            return Draft(item.key, Outcome.DELETED if there else Outcome.ABSENT, first_seen=before.first_seen if before else None, at=at)
        return self._map(item, before, at)

    def _map(self, record: Record[Any], before: Known | None, at: Position | None) -> Draft | _Pending:
        digest = blake2b(record.raw, key=self.run.rules.encode()[:64], digest_size=_DIGEST).hexdigest()
        if before and before.digest == digest and not before.gone:
            return Draft(record.key, _SAME[before.state], digest, at=at)
        try:
            resource = tongue.told(self.read(record))
            statements = describe(resource, self.iris, self.run.source)
        except ParseError as error:
            return Draft(record.key, Outcome.UNREADABLE, reason=str(error), at=at)
        except _FAULTS as error:
            why = f"the mapping {self.mapping} is not ready for it ({type(error).__name__}: {error}); please report it"
            return Draft(record.key, Outcome.UNREADABLE, reason=why, at=at)
        text = "\n".join(statements)
        content = blake2b(text.encode(), digest_size=_DIGEST).hexdigest()
        if self.tried and before and before.content == content and not before.gone:
            return Draft(record.key, _SAME[before.state], digest, at=at)
        first = before.first_seen if before else self.run.started
        about = Provenance(self.run.source, self.run.id, self.mapping, digest, first, self.run.started)
        outcome = Outcome.CHANGED if before and not before.gone else Outcome.NEW
        judged = statements + attest(record.key, self.iris, about)
        thing = self.iris.thing(KIND[type(resource)], self.run.source, record.key)
        like = likeness(statements, thing, self.iris.record(self.run.source, record.key), self.run.source, record.key)
        return _Pending(record.key, outcome, about, content, judged, at, like, page(text))

    def finish(self, batch: Batch) -> list[Draft]:
        """Wait for the judges and give the page's drafts in their order; raises JudgeError where one of their processes died."""
        try:
            verdicts = iter(batch.verdicts.result() if batch.verdicts else [])
        except BrokenProcessPool as error:
            cure = "run again, with more memory where the system killed it for want of some"
            raise JudgeError(f"{self.run.source}: a process that judges records died; {cure}") from error
        return [self._decide(draft, next(verdicts)) if isinstance(draft, _Pending) else draft for draft in batch.drafts]

    def _decide(self, it: _Pending, results: Sequence[Result]) -> Draft:
        faults = [result for result in results if result.severity is Severity.VIOLATION]
        if faults:
            told = "; ".join(sorted({f"{fault.message} ({_local(fault.path)})" for fault in faults}))
            return Draft(it.key, Outcome.WITHHELD, it.about.digest, reason=told, at=it.at)
        remarks = {Remark(result.component, result.severity.value, result.message, result.path) for result in results}
        ordered = sorted(remarks, key=lambda remark: (remark.path or "", remark.component, remark.message))
        statements = sorted(it.judged + comment(it.key, self.iris, it.about.source, ordered))
        told = "\n".join(statements)
        about, like = it.about, it.likeness
        return Draft(it.key, it.outcome, about.digest, it.content, about.first_seen, told, at=it.at, likeness=like, page=it.page)


@dataclass(frozen=True, slots=True)
class _Pending:
    key: str
    outcome: Outcome
    about: Provenance
    content: str
    judged: list[str]
    at: Position | None
    likeness: int
    page: int | None


@dataclass(frozen=True, slots=True)
class Batch:
    """A page on its way through the judges; *repeats* tells that the run had met all its records before.

    *twice* counts those that it had met on earlier pages of a list that moves.
    """

    page: Page[Any]
    drafts: list[Draft | _Pending]
    verdicts: Future[Verdicts] | None
    repeats: bool = False
    twice: int = 0


def _local(path: str | None) -> str:
    return (path or "record").replace("#", "/").rpartition("/")[2]
