"""Read a remote journal: verify its entries one by one, and replay what they say about records and
registries.

Source: docs/explanation/journal.md (RDF Patch, https://afs.github.io/rdf-delta/rdf-patch.html, with
a chain of hashes)
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from harvesters.errors import NotFoundError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.response_parsing import load_json
from harvesters.reasons import Reason
from harvesters.source import Source
from journal.entry import SUFFIX, Entry, read_header
from journal.errors import ChainError
from journal.verification import verify_file
from vocab.iris import is_web

# bytes of a decompressed entry: about a first harvest of ten million records
MAX_ENTRY_BYTES = 64 << 30
_LIST_SIZE = 1_000  # entries listed per request
_ID = re.compile(r"[0-9a-f]{64}")
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE statements (graph TEXT, line TEXT, PRIMARY KEY (graph, line)) WITHOUT ROWID;
CREATE TABLE changed (graph TEXT PRIMARY KEY, entry INTEGER) WITHOUT ROWID;
"""
Lines = list[str]  # statements of a graph, in N-Triples without the final dot


@dataclass(frozen=True, slots=True)
class JournalHead:
    """The newest entry of the journal at *url*: number 0 and no id if it is empty; all its IRIs
    begin with *base*.
    """

    url: str
    base: str
    number: int
    id: str


def home_url(source: Source) -> str:
    """Return the address of the peer's home page, with a slash at its end."""
    return source.url.rstrip("/") + "/"


def fetch_head(source: Source, fetch: Fetch) -> JournalHead | None:
    """Request the newest entry. Return None if it has not changed since the last run. Raise
    ParseError if there is no journal.
    """
    address = f"{home_url(source)}journal/head"
    try:
        reply = fetch.get(address, accept="application/json", conditional=True)
    except NotFoundError as error:
        raise ParseError(Reason("no_journal", {"source": source.name, "url": address})) from error
    if reply.not_modified:
        return None
    match load_json(reply):
        case {"base": str(base), "number": int(number), "id": str() | None as name} if (
            is_web(base) and base[-1] in "/#"
        ):
            if (number > 0 and _ID.fullmatch(name or "")) or (number == 0 and name is None):
                return JournalHead(home_url(source), base, number, name or "")
    raise ParseError(Reason("no_journal_head", {"source": source.name, "url": address}))


def last_entry_id(source: Source, fetch: Fetch) -> str | None:
    """Return the id of the entry at which the last good run ended, from the stored ETag; None if
    there was none.
    """
    validator = fetch.validator(f"{home_url(source)}journal/head")
    match = _ID.search(validator.etag or "") if validator else None
    return match[0] if match else None


def entry_number(source: Source, fetch: Fetch, head: JournalHead, name: str) -> int | None:
    """Return the number of the entry with the id *name*, or None if the journal lacks it: it was
    rewound or replaced.
    """
    before = head.number + 1
    while before > 1:
        reply = fetch.get(
            f"{head.url}journal/",
            {"format": "json", "before": str(before), "per": str(_LIST_SIZE)},
            accept="application/json",
        )
        listing = load_json(reply)
        entries: list[Any] = listing.get("entries", []) if isinstance(listing, dict) else []
        numbers = {
            entry.get("id"): entry.get("number") for entry in entries if isinstance(entry, dict)
        }
        if isinstance(number := numbers.get(name), int):
            return number
        least = min((entry for entry in numbers.values() if isinstance(entry, int)), default=before)
        if least >= before:
            raise ParseError(
                Reason(
                    "entries_not_listed",
                    {"source": source.name, "url": reply.url, "number": before},
                )
            )
        before = least
    return None


class JournalReplay:
    """The graphs that entries changed, in an SQLite file in *folder*, as they are after the last
    applied entry.
    """

    def __init__(self, folder: Path, base: str) -> None:
        self._folder, self._base = folder, base
        self._file = sqlite3.connect(folder / "replay.sqlite")
        self._file.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def apply_entries(
        self, source: Source, fetch: Fetch, head: JournalHead, after: int, previous: str | None
    ) -> None:
        """Apply the entries after the number *after*, whose entry has the id *previous*, up to
        *head*.

        Raises ParseError if an entry does not match its id or does not follow the one before.
        """
        for number in range(after + 1, head.number + 1):
            entry = self._verify_entry(
                source, fetch, f"{head.url}journal/{number}.gz", number, previous
            )
            self._apply_entry(entry)
            previous = entry.id
        if previous and previous != head.id:
            raise ParseError(
                Reason(
                    "wrong_entry_id",
                    {
                        "source": source.name,
                        "number": head.number,
                        "url": head.url,
                        "id": previous,
                        "expected": head.id,
                    },
                )
            )

    def _verify_entry(
        self, source: Source, fetch: Fetch, address: str, number: int, previous: str | None
    ) -> Entry:
        path = self._folder / f"{number:09d}{SUFFIX}"
        try:
            with fetch.download(address) as reply:
                if reply.path is not None:
                    shutil.move(reply.path, path)
                else:
                    path.write_bytes(reply.content)
            verify_file(path, number, previous, MAX_ENTRY_BYTES)
            return read_header(path)
        except NotFoundError as error:
            raise ParseError(
                Reason("journal_gap", {"source": source.name, "url": address})
            ) from error
        except ChainError as error:
            raise ParseError(
                Reason(
                    "journal_broken",
                    {"source": source.name, "url": address, "error": str(error)},
                )
            ) from error

    def _apply_entry(self, entry: Entry) -> None:
        rows = self._relevant_rows(entry)
        touched = set[str]()
        for sign, changes in groupby(rows, key=lambda row: row[0]):
            text = (
                "INSERT OR IGNORE INTO statements VALUES (?, ?)"
                if sign == "A"
                else "DELETE FROM statements WHERE graph = ? AND line = ?"
            )
            self._file.executemany(
                text, ((graph, line) for _, graph, line in _collect_graphs(changes, touched))
            )
        self._file.executemany(
            "INSERT OR REPLACE INTO changed VALUES (?, ?)",
            ((graph, entry.number) for graph in touched),
        )
        self._file.commit()
        entry.path.unlink()

    def _relevant_rows(self, entry: Entry) -> Iterator[tuple[str, str, str]]:
        """Yield sign, graph and statement of the rows about records and registries."""
        begins = (f"{self._base}record/", f"{self._base}source/")
        for row in entry.rows():
            border = row.rindex(" <")
            graph = row[border + 2 : -3]
            if graph.startswith(begins):
                yield row[0], graph, row[2:border]

    def changed_graphs(self, after: str, most: int) -> list[tuple[str, int]]:
        """Return up to *most* record graphs after *after* that were changed, each with the number
        of the last entry, sorted.
        """
        text = (
            "SELECT graph, entry FROM changed WHERE graph > ? AND graph < ? ORDER BY graph LIMIT ?"
        )
        return self._file.execute(
            text, (after or f"{self._base}record/", f"{self._base}record0", most)
        ).fetchall()  # "0" follows "/" in ASCII

    def count_changed(self) -> int:
        """Return the number of record graphs that were changed."""
        text = "SELECT count(*) FROM changed WHERE graph > ? AND graph < ?"
        return int(
            self._file.execute(text, (f"{self._base}record/", f"{self._base}record0")).fetchone()[0]
        )

    def statements(self, graph: str) -> Lines:
        """Return the statements of a graph after the applied entries."""
        return [
            row[0]
            for row in self._file.execute(
                "SELECT line FROM statements WHERE graph = ? ORDER BY line", (graph,)
            )
        ]


def _collect_graphs(
    rows: Iterator[tuple[str, str, str]], touched: set[str]
) -> Iterator[tuple[str, str, str]]:
    for row in rows:
        touched.add(row[1])
        yield row
