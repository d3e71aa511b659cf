"""Rows: what the ledger's types are in its tables; its times are UTC without a zone, since not every database knows zones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from harvesters.ledger.account import Draft, Run
from harvesters.ledger.press import pack


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
    times = {name: naive(getattr(run, name)) for name in ("since", "started", "planned", "ended")}
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
    }
