"""Map types to rows. Times are stored as UTC without a zone, since not every database supports
zones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from harvesters.ledger.compression import compress
from harvesters.ledger.models import Outcome, Run, StagedRecord
from harvesters.reasons import Reason, other
from harvesters.stored_response import SourcePosition

Item = TypeVar("Item")


def utc(value: datetime) -> datetime:
    """Return a stored time with its zone."""
    return value.replace(tzinfo=UTC)


def aware(value: datetime | None) -> datetime | None:
    """Return a stored time with its zone, or None."""
    return value.replace(tzinfo=UTC) if value else None


def naive(value: datetime | None) -> datetime | None:
    """Return a time as it is stored."""
    return value.astimezone(UTC).replace(tzinfo=None) if value else None


def run_row(run: Run) -> dict[str, object]:
    """Return a run as a row."""
    times = {
        name: naive(getattr(run, name))
        for name in ("since", "started", "planned", "ended", "last_fetched")
    }
    return {
        **asdict(run),
        **times,
        "state": run.state.value,
        "reasons": json.dumps([asdict(reason) for reason in run.reasons]),
        "incomplete_reason": json.dumps(asdict(run.incomplete_reason))
        if run.incomplete_reason
        else None,
        "counts": json.dumps(run.counts),
        "network": json.dumps(run.network),
        "responses": json.dumps(run.responses),
    }


def description_rows(
    run: Run, staged_records: Sequence[StagedRecord], first: int
) -> list[dict[str, object]]:
    """Return the descriptions of staged records, numbered from *first*, as rows."""
    texts = ((number, staged.description) for number, staged in enumerate(staged_records, first))
    return [
        {"run": run.id, "seq": number, "statements": compress(text)}
        for number, text in texts
        if text
    ]


def staged_row(run: Run, seq: int, staged: StagedRecord) -> dict[str, object]:
    """Return a staged record as a row."""
    return {
        "run": run.id,
        "seq": seq,
        "source": run.source,
        "key": staged.key,
        "outcome": staged.outcome.value,
        "digest": staged.digest,
        "content": staged.content,
        "first_seen": naive(staged.first_seen),
        "reason": staged.reason,
        "reasons": _coded(staged.reasons),
        "file": staged.position.file if staged.position else None,
        "offset": staged.position.offset if staged.position else None,
        "length": staged.position.length if staged.position else None,
        "other": staged.other,
        "fingerprint": staged.fingerprint,
        "page": staged.page,
    }


def _coded(reasons: tuple[Reason, ...]) -> str | None:
    """Return the codes and values of reasons as JSON; None where they are the text alone."""
    if all(reason.code == "other" for reason in reasons):
        return None
    return json.dumps([asdict(reason) for reason in reasons])


def staged_reasons(row: Any) -> tuple[Reason, ...]:
    """Return the reasons of a row of staged records; rows of older versions have a text alone."""
    if row.reasons:
        return tuple(map(Reason.from_json, json.loads(row.reasons)))
    return (other(row.reason),) if row.reason else ()


def row_to_staged(row: Any, description: str = "") -> StagedRecord:
    """Return the staged record of a row."""
    position = SourcePosition(row.file, row.offset, row.length) if row.file is not None else None
    first, outcome = aware(row.first_seen), Outcome(row.outcome)
    return StagedRecord(
        row.key,
        outcome,
        row.digest,
        row.content,
        first,
        description,
        staged_reasons(row),
        position,
        row.other,
        row.fingerprint,
        row.page,
    )


def unchanged_row(
    run: Run, staged_records: Sequence[StagedRecord], first: int
) -> dict[str, object] | None:
    """Return the unchanged ones of records numbered from *first* as one row, or None."""
    unchanged = [staged for staged in staged_records if staged.outcome is Outcome.UNCHANGED]
    if not unchanged:
        return None
    position, keys = unchanged[0].position, json.dumps([staged.key for staged in unchanged])
    columns = (
        {"file": position.file, "offset": position.offset, "length": position.length}
        if position
        else {}
    )
    return {
        "run": run.id,
        "page": first,
        **columns,
        "count": len(unchanged),
        "keys": compress(keys),
    }


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield *items* in lists of *size*, the last one shorter, so that few are in memory at once."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch
