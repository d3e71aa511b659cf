"""Submit the rows of a table: each is stored for the moderators, or refused with its faults."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

import orjson
import structlog

from harvesters.ledger.participation import submissions
from harvesters.ledger.participation.models import Content, SubmissionState, Submitter
from harvesters.ledger.participation.submissions import new_id
from harvesters.participation.submissions.actions import MAX_OPEN, received
from harvesters.participation.submissions.check import Check, MemberFinding, check_many, violation
from harvesters.participation.submissions.duplicates import Duplicate
from harvesters.participation.submissions.model import InvalidMembersError, normalize, title_of
from harvesters.participation.submissions.submitters.identity import SubmissionContext, count_change
from harvesters.participation.submissions.tables import TableRow
from languages.translations import gettext

_CLOSED = (SubmissionState.DRAFT, SubmissionState.WITHDRAWN, SubmissionState.SPAM)
log = structlog.get_logger(component="submissions")


class RowOutcome(StrEnum):
    ACCEPTED = "accepted"  # it waits for the moderators, or would
    KNOWN = "known"  # the submitter has sent the same before, or an earlier row is the same
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class RowResult:
    """The outcome of the row *number* of a file; *id* is that of its submission, None if none was
    stored.
    """

    number: int
    outcome: RowOutcome
    title: str
    id: str | None = None
    findings: tuple[MemberFinding, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()


def submit_rows(
    context: SubmissionContext,
    submitter: Submitter,
    rows: Iterable[TableRow],
    language: str,
    *,
    dry_run: bool = False,
) -> list[RowResult]:
    """Check the rows and store the valid ones in one transaction; with *dry_run*, store nothing.

    Texts without a language are in *language*. Raises Closed, RateLimited.
    """
    source, ledger = context.source(), context.site.ledger
    if not dry_run:
        count_change(context, submitter)
    own = submissions.of_submitter(ledger, submitter.id)
    known = {_digest(item.content) for item in own if item.state not in _CLOSED}
    free = MAX_OPEN - sum(item.state is not SubmissionState.WITHDRAWN for item in own)
    read = [_normalized(row, context.site.base, language) for row in rows]
    contents = {item.id: item.content for item in read if item.content is not None}
    checks = check_many(ledger, contents, source, context.site.base, context.duplicates)
    results = list(_results(read, checks, known, free))
    if dry_run:
        return [replace(result, id=None) for result in results]
    accepted = {result.id: contents[result.id] for result in results if result.id}
    _store(context, submitter, accepted, language)
    log.info("table received", rows=len(results), submissions=len(accepted))
    return results


def count_outcomes(results: Iterable[RowResult]) -> dict[str, int]:
    counts = Counter(result.outcome for result in results)
    return {outcome.value: counts[outcome] for outcome in RowOutcome}


@dataclass(frozen=True, slots=True)
class _Item:
    """A row with its normalized content, None if it has faults."""

    row: TableRow
    id: str
    content: Content | None
    faults: Mapping[str, str]


def _normalized(row: TableRow, base: str, language: str) -> _Item:
    content, faults = None, dict(row.faults)
    try:
        content = normalize(row.members, base, language)
    except InvalidMembersError as error:
        faults = {**error.faults, **faults}
    return _Item(row, new_id(), None if faults else content, faults)


def _results(
    items: Iterable[_Item], checks: Mapping[str, Check], known: set[str], free: int
) -> Iterator[RowResult]:
    for item in items:
        faults = tuple(violation(*fault) for fault in item.faults.items())
        checked, digest = checks.get(item.id) or Check(faults, ()), _digest(item.content)
        outcome = RowOutcome.ACCEPTED
        if not checked.is_valid:
            outcome = RowOutcome.REFUSED
        elif digest in known:
            outcome = RowOutcome.KNOWN
        elif free <= 0:
            text = gettext(
                "You have %(count)s submissions; more are not possible. Withdraw some, or ask the operators for a source."
            )
            outcome = RowOutcome.REFUSED
            checked = Check((violation("record", text % {"count": MAX_OPEN}),), ())
        else:
            known.add(digest)
            free -= 1
        yield RowResult(
            item.row.number,
            outcome,
            title_of(item.row.members if item.content is None else item.content),
            item.id if outcome is RowOutcome.ACCEPTED else None,
            checked.findings,
            checked.duplicates,
        )


def _store(
    context: SubmissionContext, submitter: Submitter, contents: Mapping[str, Content], language: str
) -> None:
    now = context.site.now()
    rows = [(id, received(submitter, content, language, now)) for id, content in contents.items()]
    submissions.add_all(
        context.site.ledger, [(replace(item, id=id), event) for id, (item, event) in rows]
    )


def _digest(content: Content | None) -> str:
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
