"""List the records of a run by outcome, and what a plan would change in each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from harvesters.admin.schemas import RecordView
from harvesters.ledger import tables as t
from harvesters.ledger.compression import decompress
from harvesters.ledger.ledger import Ledger, staged_reasons
from harvesters.ledger.models import (
    UPSERTED,
    Outcome,
    Run,
    StagedDiff,
    StagedRecord,
    State,
)
from harvesters.runs.commit import state_change
from vocab.iris import Iris

_TITLE = re.compile(r'<http://purl\.org/dc/terms/title> "((?:[^"\\]|\\.)*)"(@en)?')
_ESCAPED = re.compile(r"\\(.)")
# The position in a group at which unchanged records begin, beyond that of any staged one.
_UNCHANGED = 10**12
MAX_DIFF_LINES = 400  # statements of one record: a page must stay readable


_Diff = tuple[str | None, list[str], list[str]]  # title, removed and added statements


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
    outcome: Outcome,
    limit: int,
    after: int | None = None,
    *,
    diff: Iris | None = None,
) -> Records:
    """List the run's records with this outcome; with *diff*, also the changes in each, which only
    an open plan has.
    """
    if outcome is Outcome.UNCHANGED:
        return _list_unchanged(ledger, run, limit, after or 0)
    return _list_staged(ledger, run, [outcome], limit, after, diff)


def list_group(
    ledger: Ledger, run: Run, outcomes: Sequence[Outcome], limit: int, after: int | None = None
) -> Records:
    """List the run's records with any of these outcomes; the unchanged ones come last."""
    staged = [outcome for outcome in outcomes if outcome is not Outcome.UNCHANGED]
    if after is None or after < _UNCHANGED:
        page = _list_staged(ledger, run, staged, limit, after, None)
        if page.next or Outcome.UNCHANGED not in outcomes:
            return page
        return (
            Records(page.items, str(_UNCHANGED))
            if page.items and ledger.outcomes(run)[Outcome.UNCHANGED]
            else (page if page.items else list_group(ledger, run, outcomes, limit, _UNCHANGED))
        )
    page = _list_unchanged(ledger, run, limit, after - _UNCHANGED)
    return Records(page.items, str(_UNCHANGED + int(page.next)) if page.next else None)


def _list_staged(
    ledger: Ledger,
    run: Run,
    outcomes: Sequence[Outcome],
    limit: int,
    after: int | None,
    diff: Iris | None,
) -> Records:
    s = t.staged.c
    columns = (s.seq, s.key, s.outcome, s.reason, s.reasons, s.other, s.first_seen)
    query = sa.select(*columns).where(s.run == run.id, s.outcome.in_(outcomes))
    query = query.where(s.seq > after) if after is not None else query
    with ledger.transaction() as connection:
        rows = connection.execute(query.order_by(s.seq).limit(limit + 1)).all()
        visible_rows = rows[:limit]
        diffs = (
            _differences(connection, run, visible_rows, diff)
            if diff and run.state is State.HELD
            else {}
        )
    items = [
        RecordView(
            row.seq,
            row.key,
            row.outcome.value,
            row.reason,
            [*staged_reasons(row.reason, row.reasons)],
            row.other,
            *diffs.get(row.seq, (None, [], [])),
        )
        for row in visible_rows
    ]
    return Records(items, str(visible_rows[-1].seq) if len(rows) > limit else None)


def _differences(
    connection: sa.Connection, run: Run, rows: Sequence[Any], iris: Iris
) -> Mapping[int, _Diff]:
    """Return each staged record's title, and the statements that it removes and adds."""
    r, d = t.record.c, t.description.c
    stored = t.record.join(t.description, sa.and_(d.run == r.run, d.seq == r.seq))
    keys = [key for row in rows for key in (row.key, row.other) if key is not None]
    old = (
        sa.select(r.key, r.state, r.first_seen, d.statements)
        .select_from(stored)
        .where(r.source == run.source, r.key.in_(keys))
    )
    new = sa.select(d.seq, d.statements).where(
        d.run == run.id, d.seq.in_([row.seq for row in rows])
    )
    before = {row.key: row for row in connection.execute(old).all()}
    after = {seq: decompress(packed) for seq, packed in connection.execute(new).all()}
    changes = [_change(row, before.get(row.key), after.get(row.seq, "")) for row in rows]
    return {
        change.seq: (
            _title(change.staged.description or change.previous),
            *_difference(change, run, iris),
        )
        for change in changes
    }


def _change(row: Any, stored: Any | None, description: str) -> StagedDiff:
    first = row.first_seen or (stored.first_seen if stored else None)
    staged = StagedRecord(
        row.key,
        row.outcome,
        None,
        None,
        first,
        description,
        staged_reasons(row.reason, row.reasons),
        other=row.other,
    )
    return StagedDiff(
        row.seq,
        staged,
        decompress(stored.statements) if stored else "",
        stored.state if stored else None,
    )


def _difference(change: StagedDiff, run: Run, iris: Iris) -> tuple[list[str], list[str]]:
    """Compare the stored description with the one the plan would store: a new one, a tombstone, or
    a mark set or removed.
    """
    becoming = state_change(run, change, iris, {})
    after = (
        change.staged.description
        if change.staged.outcome in UPSERTED
        else becoming.description
        if becoming
        else change.previous
    )
    old, new = ({line for line in text.split("\n") if line} for text in (change.previous, after))
    return sorted(old - new)[:MAX_DIFF_LINES], sorted(new - old)[:MAX_DIFF_LINES]


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
    return Records(items, str(after + limit) if len(keys_found) > limit else None)
