"""Read everything in a data directory that must be equal after equal runs."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
from fetch_client import read_body
from pyoxigraph import Store

from harvesters.page_model import SourcePosition
from publisher.store.columns.database import FILE
from publisher.store.search.query import SearchRequest
from publisher.store.search.searcher import Searcher
from publisher.store.snapshots import newest_snapshot

# Equal runs differ in these fields: counts, sizes and times of requests, and positions in the
# archive, whose records have random ids.
_OWN = {
    "run": {"network", "archived", "responses"},
    "staged": {"file", "offset", "length"},
    "unchanged": {"file", "offset", "length"},
    "notice": {"id"},
}
_IGNORED = {"run_log"}  # the log says when a run was interrupted
_WORDS = ("water", "project", "wells", "new", "ministry", "p07", "")
_ENGINE_FOLDERS = {"store", "index", "snapshots"}  # files named by the engines


def snapshot(home: Path) -> dict[str, Any]:
    return {
        "journal": digests(home / "journal", "*.gz"), "status": digests(home, "status.nq"), "dumps": digests(home / "dumps", "*"),
        "releases": digests(home / "releases", "*/*"), "ledger": ledger(home), "archive": archived(home), "store": store(home),
        "files": names(home),
    }  # fmt: skip


def digests(folder: Path, pattern: str) -> dict[str, str]:
    matches = sorted(path for path in folder.glob(pattern) if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in matches
    }


def ledger(home: Path) -> dict[str, list[str]]:
    return rows(home / "ledger.sqlite", _OWN)


def rows(path: Path, own: dict[str, set[str]]) -> dict[str, list[str]]:
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as file:
        file.row_factory = sqlite3.Row
        tables = [
            name
            for (name,) in file.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            )
        ]
        return {
            table: _rows(file, table, own.get(table, set()))
            for table in sorted(tables)
            if table not in _IGNORED
        }


def _rows(file: sqlite3.Connection, table: str, own: set[str]) -> list[str]:
    matches = (dict(row) for row in file.execute(f'SELECT * FROM "{table}"'))
    return sorted(
        repr({name: value for name, value in row.items() if name not in own}) for row in matches
    )


def archived(home: Path) -> list[str]:
    path = home / "ledger.sqlite"
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as file:
        query = "SELECT {} , file, offset, length FROM {} WHERE file IS NOT NULL"
        positions = [
            *file.execute(query.format("run, seq", "staged")),
            *file.execute(query.format("run, page", "unchanged")),
        ]
    return sorted(
        f"{run} {seq} {hashlib.sha256(read_body(home / 'archive', SourcePosition(*position))).hexdigest()}"
        for run, seq, *position in positions
    )


def store(home: Path) -> dict[str, Any]:
    newest = newest_snapshot(home / "store" / "snapshots")
    if newest is None:
        return {}
    folder = Path(newest.path)
    quads = sorted(map(str, Store.read_only(str(folder / "store"))))
    search = Searcher(folder / "text")
    matches = {word: search.find_entries(SearchRequest(word), 100) for word in _WORDS}
    answers = {
        word: sorted((entry.thing, entry.titles) for entry in entries)
        for word, entries in matches.items()
    }
    about = {
        name: getattr(newest, name)
        for name in ("position", "entry", "quads", "status", "text", "columns")
    }
    mark = json.loads((home / "store" / "position.json").read_text())
    results = {
        "quads": quads, "answers": answers, "about": about, "mark": mark, "languages": sorted(search.languages),
    }  # fmt: skip
    return {**results, "columns": columns(folder / "columns" / FILE)}


def columns(path: Path) -> dict[str, Any]:
    contents = {
        "terms": "id, kind, lexical, datatype, language, whole, written",
        "quads": "g, s, p, o",
        "triples": "s, p, o",
        "entries": "number, run, time, stamp, sequence",
        "graph_changes": 'graph, entry, "rows", sequence, previous, record, sets, type, size',
    }
    with duckdb.connect(str(path), read_only=True, config={"threads": 1}) as file:
        return {
            table: file.execute(f"SELECT count(*), bit_xor(hash({names})) FROM {table}").fetchall()[
                0
            ]
            for table, names in contents.items()
        }


def names(home: Path) -> list[str]:
    matches = (path.relative_to(home) for path in home.rglob("*") if path.is_file())
    return sorted(
        str(path)
        for path in matches
        # A recovery may copy DuckDB's file as a whole, after which its log is short or missing.
        if path.suffix != ".wal" and not _ENGINE_FOLDERS & set(path.parts[1:])
    )
