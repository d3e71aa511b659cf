"""Count the changes since the previous release by kind, source and action line."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from publisher.rdf.gzip_files import gzip_lines

csv.field_size_limit(sys.maxsize)  # titles have no maximum length

CHANGE_TYPES = ("new", "changed", "vanished", "gone")


class ReleasedRecord(NamedTuple):
    """The fields of a record that are compared; *lines* are pairs of basis and action line code."""

    record: str
    kind: str
    source: str
    state: str
    digest: str
    lines: tuple[tuple[str, str], ...]


def read_records(path: Path) -> Iterator[ReleasedRecord]:
    """Read the table of records of a release, in its order."""
    text = (line.decode() for line in gzip_lines(path))
    for row in csv.DictReader(text):
        bases = (
            ("declared", row["action_lines"]),
            ("crosswalked", row["action_lines_crosswalked"]),
        )
        lines = tuple((basis, code) for basis, codes in bases for code in codes.split())
        yield ReleasedRecord(
            row["record"], row["kind"], row["source"], row["state"], row["sha256"], lines
        )


def count_changes(
    before: Iterator[ReleasedRecord], now: Iterator[ReleasedRecord]
) -> dict[str, object]:
    """Count new, changed, vanished and deleted records from the states of two releases, both sorted
    by IRI.

    Action lines that sources declare and those that were crosswalked are counted separately.
    """
    counts: Counter[tuple[str, str, str]] = Counter()
    for old, new in _merge_join(before, now):
        change_type = _change_type(old, new)
        record = new if new and new.state != "gone" else old
        if change_type and record:
            groups = [
                ("all", ""),
                ("kind", record.kind),
                ("source", record.source),
                *((f"line {basis}", code) for basis, code in record.lines),
            ]
            counts.update((group, name, change_type) for group, name in groups)
    return {
        **{change_type: counts["all", "", change_type] for change_type in CHANGE_TYPES},
        "kinds": _by_name(counts, "kind"),
        "sources": _by_name(counts, "source"),
        "action_lines": {
            basis: _by_name(counts, f"line {basis}") for basis in ("declared", "crosswalked")
        },
    }


def _by_name(counts: Counter[tuple[str, str, str]], group: str) -> dict[str, dict[str, int]]:
    names = sorted({name for kind, name, _ in counts if kind == group})
    return {
        name: {change_type: counts[group, name, change_type] for change_type in CHANGE_TYPES}
        for name in names
    }


def _change_type(old: ReleasedRecord | None, new: ReleasedRecord | None) -> str | None:
    was_published = old is not None and old.state != "gone"
    is_published = new is not None and new.state != "gone"
    if was_published and not is_published:
        return "gone"
    if is_published and not was_published:
        return "new"
    if not was_published or old is None or new is None or old.digest == new.digest:
        return None
    return "vanished" if (old.state, new.state) == ("published", "vanished") else "changed"


def _merge_join(
    before: Iterator[ReleasedRecord], now: Iterator[ReleasedRecord]
) -> Iterator[tuple[ReleasedRecord | None, ReleasedRecord | None]]:
    old, new = next(before, None), next(now, None)
    while old or new:
        first = min(_sort_key(record) for record in (old, new) if record)
        yield (
            (old if old and _sort_key(old) == first else None),
            (new if new and _sort_key(new) == first else None),
        )
        if old and _sort_key(old) == first:
            old = next(before, None)
        if new and _sort_key(new) == first:
            new = next(now, None)


def _sort_key(record: ReleasedRecord) -> bytes:
    """Return the sort key of the table: the IRI as N-Quads writes it."""
    return f"{record.record}>".encode()
