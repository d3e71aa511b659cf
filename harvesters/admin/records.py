"""List the records of a run by outcome, and what a plan would change in each."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from harvesters.admin.schemas import RecordView
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import (
    Outcome,
    Run,
    StagedDiff,
    State,
    decompress,
)
from harvesters.runs.commit import changed_statements
from vocab.iris import Iris

_TITLE = re.compile(r'<http://purl\.org/dc/terms/title> "((?:[^"\\]|\\.)*)"(@en)?')
_ESCAPED = re.compile(r"\\(.)")
# The position in a group at which unchanged records begin, beyond that of any staged one.
_UNCHANGED = 10**12
MAX_DIFF_LINES = 400  # statements of one record: a page must stay readable


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one outcome, in the order of the run; *next* is the value of ``after`` for the
    next page, None at the end.
    """

    items: list[RecordView]
    next: str | None


def list_records(
    ledger: Ledger,
    run: Run,
    outcomes: Sequence[Outcome],
    limit: int,
    after: int | None = None,
    *,
    diff: Iris | None = None,
) -> Records:
    """List the run's records with any of these outcomes; the unchanged ones come last.

    With *diff*, each has also its changes, which only an open plan has.
    """
    staged = [outcome for outcome in outcomes if outcome is not Outcome.UNCHANGED]
    if staged and (after is None or after < _UNCHANGED):
        page = _list_staged(ledger, run, staged, limit, after, diff)
        if page.next or Outcome.UNCHANGED not in outcomes:
            return page
        if page.items:
            is_more = ledger.outcomes(run)[Outcome.UNCHANGED] > 0
            return Records(page.items, str(_UNCHANGED) if is_more else None)
    return _list_unchanged(ledger, run, limit, (after or 0) % _UNCHANGED)


def _list_staged(
    ledger: Ledger,
    run: Run,
    outcomes: Sequence[Outcome],
    limit: int,
    after: int | None,
    diff: Iris | None,
) -> Records:
    changes = list(ledger.changes(run, outcomes, after=after, limit=limit + 1))
    iris = diff if run.state is State.HELD else None
    items = [_view(run, change, iris) for change in changes[:limit]]
    return Records(items, str(items[-1].seq) if len(changes) > limit else None)


def _view(run: Run, change: StagedDiff, iris: Iris | None) -> RecordView:
    staged = change.staged
    title, removed, added = None, list[str](), list[str]()
    if iris:
        title = _title(staged.description or change.previous)
        removed, added = changed_statements(run, change, iris, {})
    return RecordView(
        change.seq,
        staged.key,
        staged.outcome.value,
        staged.reason,
        [*staged.reasons],
        staged.other,
        title,
        removed[:MAX_DIFF_LINES],
        added[:MAX_DIFF_LINES],
    )


def _title(description: str) -> str | None:
    """Return the record's title, in English if there is one."""
    keys_found = _TITLE.findall(description)
    text = next(
        (text for text, english in keys_found if english), keys_found[0][0] if keys_found else None
    )
    return (
        None
        if text is None
        else _ESCAPED.sub(lambda match: " " if match[1] in "nrt" else match[1], text)
    )


def _list_unchanged(ledger: Ledger, run: Run, limit: int, after: int) -> Records:
    """List unchanged records, stored as one row for each source page; *after* is the number already
    shown.
    """
    u = t.unchanged.c
    with ledger.transaction() as connection:
        counts = connection.execute(
            sa.select(u.page, u["count"]).where(u.run == run.id).order_by(u.page)
        ).all()
        keys_found: list[str] = []
        offset = 0
        for page, count in counts:
            if offset + count > after and len(keys_found) <= limit:
                keys = json.loads(
                    decompress(
                        connection.scalar(
                            sa.select(u["keys"]).where(u.run == run.id, u.page == page)
                        )
                    )
                )
                keys_found += keys[max(0, after - offset) :]
            offset += count
    items = [
        RecordView(number, key, Outcome.UNCHANGED.value, None, [], None, None, [], [])
        for number, key in enumerate(keys_found[:limit], after)
    ]
    is_more = len(keys_found) > limit
    return Records(items, str(_UNCHANGED + after + limit) if is_more else None)
