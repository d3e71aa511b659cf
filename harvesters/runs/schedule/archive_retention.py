"""Delete archived responses by age and size, except those that releases, remaps and explanations
need.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from harvesters.errors import ArchiveError
from harvesters.ledger import tables as t
from harvesters.ledger.models import OPEN_STATES, PUBLISHED_RUNS
from harvesters.runs.context import HarvestContext
from vocab.terms import PROV

_SUFFIX = ".warc.gz"


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """The archived responses of one run: *bytes* long, last written at *written* (UTC)."""

    name: str
    run: str
    bytes: int
    written: datetime


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a pruning deletes, oldest first, and what it keeps: *remaining* counts files by reason;
    *bytes_after* is what is left.
    """

    deleted: tuple[ArchiveFile, ...]
    remaining: dict[str, int]
    bytes_after: int


def plan_pruning(
    context: HarvestContext, *, before: datetime | None, max_bytes: int | None
) -> Pruning:
    """Return what to delete: files last written before *before*, then the oldest until *max_bytes*
    are left.

    Never deleted: files of runs that a release cites as the origin of a record, that published a
    current record, that a remap reads, and that are open. So more than *max_bytes* may be left.
    """
    needed = _needed_runs(context)
    files = sorted(_files(context.data / "archive"), key=lambda file: (file.written, file.name))
    total = sum(file.bytes for file in files)
    deleted = []
    remaining: dict[str, int] = {}
    for file in files:
        is_old = before is not None and file.written < before
        is_surplus = max_bytes is not None and total > max_bytes
        if file.run in needed:
            remaining[needed[file.run]] = remaining.get(needed[file.run], 0) + 1
        elif is_old or is_surplus:
            deleted.append(file)
            total -= file.bytes
        else:
            remaining["within the limits"] = remaining.get("within the limits", 0) + 1
    return Pruning(tuple(deleted), remaining, total)


def prune(context: HarvestContext, pruning: Pruning) -> None:
    """Delete the files of a pruning. Raises ArchiveError if one cannot be deleted."""
    for file in pruning.deleted:
        path = context.data / "archive" / file.name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ArchiveError(
                f"archive {path}: {error.strerror}; make the directory writable, then run again"
            ) from error


def _files(folder: Path) -> Iterator[ArchiveFile]:
    for path in folder.glob(f"*/*{_SUFFIX}"):
        status = path.stat()
        written = datetime.fromtimestamp(status.st_mtime).astimezone()
        yield ArchiveFile(
            str(path.relative_to(folder)), path.name.removesuffix(_SUFFIX), status.st_size, written
        )


def _needed_runs(context: HarvestContext) -> dict[str, str]:
    """Return why the files of runs must be kept, by run."""
    ledger, needed = context.ledger, dict.fromkeys(_cited_runs(context), "cited by a release")
    queries = {
        "published a current record": sa.select(t.record.c.run).distinct(),
        "open": sa.select(t.run.c.id).where(t.run.c.state.in_(OPEN_STATES)),
    }
    for reason, query in queries.items():
        for run in ledger.scalars(query):
            needed.setdefault(run, reason)
    for source in ledger.sources():
        for fetched in ledger.fetched_runs(source, PUBLISHED_RUNS):
            needed.setdefault(fetched.id, "needed by a remap")
    return needed


def _cited_runs(context: HarvestContext) -> set[str]:
    """Return the runs that the records of a release with files name as their origin, by the journal
    up to each release.
    """
    positions = sorted(release["position"] for release in existing_releases(context.data))
    cited: set[str] = set()
    runs: dict[str, str] = {}
    if not positions:
        return cited
    prefix, start = f" <{PROV}wasGeneratedBy> <{context.iris.run('')}", len("A <")
    for entry in context.journal.entries():
        if entry.number > positions[-1]:
            break
        for row in entry.rows():
            at = row.find(prefix)
            if at < 0:
                continue
            record, run = row[start : at - 1], row[at + len(prefix) :].partition(">")[0]
            if row[0] == "A":
                runs[record] = run
            elif runs.get(record) == run:
                del runs[record]
        if entry.number in positions:
            cited |= set(runs.values())
    return cited


def existing_releases(data: Path) -> Iterator[dict[str, Any]]:
    """Yield the descriptions of the releases of a data directory that have files."""
    for path in sorted((data / "releases").glob("*/release.json")):
        release = json.loads(path.read_text(encoding="utf-8"))
        if release["withdrawn"] is None:
            yield release
