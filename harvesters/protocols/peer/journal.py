"""A Stocktake's journal, read from afar: entries that are proved one by one, and what the graphs that they touch hold after them.

Source: docs/explanation/journal.md (RDF Patch, https://afs.github.io/rdf-delta/rdf-patch.html, with a chain of hashes)
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
from harvesters.source import Source
from journal.entry import SUFFIX, Entry, read_header
from journal.errors import ChainError
from journal.verification import verify_file
from vocab.iris import is_web

LARGEST = 64 << 30  # bytes of an entry when unpacked: the first harvest of ten million records has about that
_PER = 1_000  # entries that are listed at once
_ID = re.compile(r"[0-9a-f]{64}")
_TABLES = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE held (graph TEXT, line TEXT, PRIMARY KEY (graph, line)) WITHOUT ROWID;
CREATE TABLE touched (graph TEXT PRIMARY KEY, entry INTEGER) WITHOUT ROWID;
"""
Lines = list[str]  # the statements of a graph, in N-Triples without the closing dot


@dataclass(frozen=True, slots=True)
class Head:
    """The newest entry of the journal at *url*: number 0 and no id while it has none; *base* begins all its IRIs."""

    url: str
    base: str
    number: int
    id: str


def front(source: Source) -> str:
    """Give the address of the other's front page, with a slash at its end."""
    return source.url.rstrip("/") + "/"


def meet(source: Source, fetch: Fetch) -> Head | None:
    """Ask for the newest entry; None where it is still the one that the last run saw. Raises ParseError where there is no journal."""
    address = f"{front(source)}journal/head"
    try:
        reply = fetch.get(address, accept="application/json", conditional=True)
    except NotFoundError as error:
        raise ParseError(f"{source.name}: {address}: there is no journal; give the address of a Stocktake's front page") from error
    if reply.not_modified:
        return None
    match load_json(reply):
        case {"base": str(base), "number": int(number), "id": str() | None as name} if is_web(base) and base[-1] in "/#":
            if (number > 0 and _ID.fullmatch(name or "")) or (number == 0 and name is None):
                return Head(front(source), base, number, name or "")
    raise ParseError(f"{source.name}: {address}: does not tell base, number and id of a newest entry")


def known(source: Source, fetch: Fetch) -> str | None:
    """Give the id of the entry at which the last good run ended, which the address's ETag tells; None where there was none."""
    told = fetch.validators.get(f"{front(source)}journal/head")
    match = _ID.search(told.etag or "") if told else None
    return match[0] if match else None


def number_of(source: Source, fetch: Fetch, head: Head, name: str) -> int | None:
    """Give the number of the entry with the id *name*; None where the journal has none, since it was set back or is another one."""
    before = head.number + 1
    while before > 1:
        reply = fetch.get(f"{head.url}journal/", {"format": "json", "before": str(before), "per": str(_PER)}, accept="application/json")
        told = load_json(reply)
        entries: list[Any] = told.get("entries", []) if isinstance(told, dict) else []
        numbers = {it.get("id"): it.get("number") for it in entries if isinstance(it, dict)}
        if isinstance(found := numbers.get(name), int):
            return found
        least = min((it for it in numbers.values() if isinstance(it, int)), default=before)
        if least >= before:
            raise ParseError(f"{source.name}: {reply.url} does not list the entries before {before}")
        before = least
    return None


class Replay:
    """The graphs that entries touch, on disk in *folder*, as they are after the last one that was taken."""

    def __init__(self, folder: Path, base: str) -> None:
        self._folder, self._base = folder, base
        self._file = sqlite3.connect(folder / "held.sqlite")
        self._file.executescript(_TABLES)

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def take(self, source: Source, fetch: Fetch, head: Head, after: int, previous: str | None) -> None:
        """Take the entries above the number *after*, whose entry has the id *previous*, up to *head*.

        Raises ParseError where one is not what its id says or does not follow the one before.
        """
        for number in range(after + 1, head.number + 1):
            entry = self._prove(source, fetch, f"{head.url}journal/{number}.gz", number, previous)
            self._apply(entry)
            previous = entry.id
        if previous and previous != head.id:
            raise ParseError(f"{source.name}: entry {head.number} of {head.url}journal/ is {previous}, but its head was told as {head.id}")

    def _prove(self, source: Source, fetch: Fetch, address: str, number: int, previous: str | None) -> Entry:
        path = self._folder / f"{number:09d}{SUFFIX}"
        try:
            with fetch.download(address) as reply:
                if reply.path is not None:
                    shutil.move(reply.path, path)
                else:
                    path.write_bytes(reply.content)
            verify_file(path, number, previous, LARGEST)
            return read_header(path)
        except NotFoundError as error:
            raise ParseError(f"{source.name}: {address} is missing, though later entries are there: its journal has a gap") from error
        except ChainError as error:
            raise ParseError(f"{source.name}: {address}: {error}; nothing of this run is published") from error

    def _apply(self, entry: Entry) -> None:
        rows = self._rows(entry)
        touched = set[str]()
        for sign, those in groupby(rows, key=lambda it: it[0]):
            text = "INSERT OR IGNORE INTO held VALUES (?, ?)" if sign == "A" else "DELETE FROM held WHERE graph = ? AND line = ?"
            self._file.executemany(text, ((graph, line) for _, graph, line in _noted(those, touched)))
        self._file.executemany("INSERT OR REPLACE INTO touched VALUES (?, ?)", ((graph, entry.number) for graph in touched))
        self._file.commit()
        entry.path.unlink()

    def _rows(self, entry: Entry) -> Iterator[tuple[str, str, str]]:
        """Give sign, graph and statement of the rows that are of a record or a registry."""
        begins = (f"{self._base}record/", f"{self._base}source/")
        for row in entry.rows():
            border = row.rindex(" <")
            graph = row[border + 2 : -3]
            if graph.startswith(begins):
                yield row[0], graph, row[2:border]

    def touched(self, after: str, most: int) -> list[tuple[str, int]]:
        """Give the records' graphs behind *after* that an entry touched, each with the last one, in their order."""
        text = "SELECT graph, entry FROM touched WHERE graph > ? AND graph < ? ORDER BY graph LIMIT ?"
        return self._file.execute(text, (after or f"{self._base}record/", f"{self._base}record0", most)).fetchall()  # 0 comes after /

    def count(self) -> int:
        """Count the records' graphs that an entry touched."""
        text = "SELECT count(*) FROM touched WHERE graph > ? AND graph < ?"
        return int(self._file.execute(text, (f"{self._base}record/", f"{self._base}record0")).fetchone()[0])

    def held(self, graph: str) -> Lines:
        """Give what a graph holds by the entries that were taken."""
        return [row[0] for row in self._file.execute("SELECT line FROM held WHERE graph = ? ORDER BY line", (graph,))]


def _noted(rows: Iterator[tuple[str, str, str]], touched: set[str]) -> Iterator[tuple[str, str, str]]:
    for row in rows:
        touched.add(row[1])
        yield row
