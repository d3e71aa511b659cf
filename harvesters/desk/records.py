"""Records: those behind a number of a run's account, a page at a time, and what a plan would change in each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from harvesters.desk.views import RecordView
from harvesters.ledger import tables as t
from harvesters.ledger.account import FRESH, Change, Draft, Outcome, Presence, Run, State
from harvesters.ledger.book import Ledger
from harvesters.ledger.press import unpack
from harvesters.ledger.rows import aware
from harvesters.runs.commit import becomes
from vocab.iris import Iris

_TITLE = re.compile(r'<http://purl\.org/dc/terms/title> "((?:[^"\\]|\\.)*)"(@en)?')
_ESCAPED = re.compile(r"\\(.)")
LINES = 400  # statements shown of one record's difference: a page must stay readable, whatever a registry sends


_Told = tuple[str | None, list[str], list[str]]  # title, and the statements that go and come


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one outcome, in the order in which they came; *next* is what to ask for with ``after``, None at the end."""

    items: list[RecordView]
    next: str | None


def listed(ledger: Ledger, run: Run, outcome: Outcome, limit: int, after: int | None = None, *, diff: Iris | None = None) -> Records:
    """List the run's records with this outcome; with *diff*, our IRIs, what changes in each, which only an open plan can tell."""
    if outcome is Outcome.UNCHANGED:
        return _unchanged(ledger, run, limit, after or 0)
    s = t.staged.c
    query = sa.select(s.seq, s.key, s.outcome, s.reason, s.other, s.first_seen).where(s.run == run.id, s.outcome == outcome.value)
    query = query.where(s.seq > after) if after is not None else query
    with ledger.transaction() as connection:
        rows = connection.execute(query.order_by(s.seq).limit(limit + 1)).all()
        shown = rows[:limit]
        told = _differences(connection, run, shown, diff) if diff and run.state is State.HELD else {}
    items = [RecordView(row.seq, row.key, row.outcome, row.reason, row.other, *told.get(row.seq, (None, [], []))) for row in shown]
    return Records(items, str(shown[-1].seq) if len(rows) > limit else None)


def _differences(connection: sa.Connection, run: Run, rows: Sequence[Any], iris: Iris) -> Mapping[int, _Told]:
    """Give, for each draft, its record's title, and the statements that it loses and gains."""
    r, d = t.record.c, t.description.c
    stands = t.record.join(t.description, sa.and_(d.run == r.run, d.seq == r.seq))
    keys = [key for row in rows for key in (row.key, row.other) if key is not None]
    old = sa.select(r.key, r.state, r.first_seen, d.statements).select_from(stands).where(r.source == run.source, r.key.in_(keys))
    new = sa.select(d.seq, d.statements).where(d.run == run.id, d.seq.in_([row.seq for row in rows]))
    before = {row.key: row for row in connection.execute(old).all()}
    after = {seq: unpack(packed) for seq, packed in connection.execute(new).all()}
    changes = [_change(row, before.get(row.key), after.get(row.seq, "")) for row in rows]
    return {it.seq: (_title(it.draft.description or it.before), *_difference(it, run, iris)) for it in changes}


def _change(row: Any, stands: Any | None, description: str) -> Change:
    first = row.first_seen or (stands.first_seen if stands else None)
    draft = Draft(row.key, Outcome(row.outcome), None, None, aware(first), description, row.reason, other=row.other)
    return Change(row.seq, draft, unpack(stands.statements) if stands else "", Presence(stands.state) if stands else None)


def _difference(it: Change, run: Run, iris: Iris) -> tuple[list[str], list[str]]:
    """Compare what stands with what the plan makes of it: a new description, a tombstone, or a mark set or taken away."""
    becoming = becomes(run, it, iris)
    after = it.draft.description if it.draft.outcome in FRESH else becoming.description if becoming else it.before
    old, new = ({line for line in text.split("\n") if line} for text in (it.before, after))
    return sorted(old - new)[:LINES], sorted(new - old)[:LINES]


def _title(description: str) -> str | None:
    """Find what the record is called, in English where it is."""
    found = _TITLE.findall(description)
    text = next((text for text, english in found if english), found[0][0] if found else None)
    return None if text is None else _ESCAPED.sub(lambda match: " " if match[1] in "nrt" else match[1], text)


def _unchanged(ledger: Ledger, run: Run, limit: int, after: int) -> Records:
    """List unchanged records, which are kept a page of the source in one row; *after* counts those that were shown."""
    u = t.unchanged.c
    with ledger.transaction() as connection:
        counts = connection.execute(sa.select(u.page, u["count"]).where(u.run == run.id).order_by(u.page)).all()
        found: list[str] = []
        begins = 0
        for page, count in counts:
            if begins + count > after and len(found) <= limit:
                keys = json.loads(unpack(connection.scalar(sa.select(u["keys"]).where(u.run == run.id, u.page == page))))
                found += keys[max(0, after - begins) :]
            begins += count
    items = [RecordView(number, key, Outcome.UNCHANGED.value, None, None, None, [], []) for number, key in enumerate(found[:limit], after)]
    return Records(items, str(after + limit) if len(found) > limit else None)
