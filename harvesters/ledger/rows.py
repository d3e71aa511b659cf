"""Rows: what the ledger's types are in its tables; its times are UTC without a zone, since not every database knows zones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from harvesters.ledger.account import Draft, Outcome, Run
from harvesters.ledger.press import pack
from harvesters.record import Position


def utc(value: datetime) -> datetime:
    """Give a time of the ledger its zone."""
    return value.replace(tzinfo=UTC)


def aware(value: datetime | None) -> datetime | None:
    """Give a time of the ledger its zone, where there is one."""
    return value.replace(tzinfo=UTC) if value else None


def naive(value: datetime | None) -> datetime | None:
    """Write a time as the ledger keeps it."""
    return value.astimezone(UTC).replace(tzinfo=None) if value else None


def run_row(run: Run) -> dict[str, object]:
    """Write a run as a row."""
    times = {name: naive(getattr(run, name)) for name in ("since", "started", "planned", "ended", "heard")}
    return {**asdict(run), **times, "state": run.state.value, "counts": json.dumps(run.counts), "network": json.dumps(run.network)}


def descriptions(run: Run, drafts: Sequence[Draft], first: int) -> list[dict[str, object]]:
    """Write the descriptions of drafts, which are numbered from *first*, as rows."""
    told = ((number, draft.description) for number, draft in enumerate(drafts, first))
    return [{"run": run.id, "seq": number, "statements": pack(text)} for number, text in told if text]


def staged_row(run: Run, seq: int, draft: Draft) -> dict[str, object]:
    """Write a draft as a row."""
    return {
        "run": run.id,
        "seq": seq,
        "source": run.source,
        "key": draft.key,
        "outcome": draft.outcome.value,
        "digest": draft.digest,
        "content": draft.content,
        "first_seen": naive(draft.first_seen),
        "reason": draft.reason,
        "file": draft.at.file if draft.at else None,
        "offset": draft.at.offset if draft.at else None,
        "length": draft.at.length if draft.at else None,
        "other": draft.other,
        "likeness": draft.likeness,
        "page": draft.page,
    }


def draft_of(row: Any, description: str = "") -> Draft:
    """Read a draft's row."""
    at = Position(row.file, row.offset, row.length) if row.file is not None else None
    first, outcome = aware(row.first_seen), Outcome(row.outcome)
    return Draft(row.key, outcome, row.digest, row.content, first, description, row.reason, at, row.other, row.likeness, row.page)


def unchanged_row(run: Run, drafts: Sequence[Draft]) -> dict[str, object] | None:
    """Write what was unchanged of a page, the run's last, as one row; None where nothing was."""
    same = [draft for draft in drafts if draft.outcome is Outcome.UNCHANGED]
    if not same:
        return None
    at, keys = same[0].at, json.dumps([draft.key for draft in same])
    place = {"file": at.file, "offset": at.offset, "length": at.length} if at else {}
    return {"run": run.id, "page": run.pages, **place, "count": len(same), "keys": pack(keys)}
