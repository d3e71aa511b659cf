"""Merge rows with the same key into one record, on disk if there are many, so that memory use stays
constant.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import groupby
from operator import itemgetter
from typing import Any

import orjson

from harvesters.page_model import DeletedRecord, InvalidRecord, Record, Row

Item = Record[Row] | DeletedRecord | InvalidRecord


def group_rows(items: Iterable[Item]) -> Iterator[Item]:
    """Yield one record per key, sorted by key, after the items that are not records.

    A column whose cells differ among the rows of a key becomes a list of them, in order, without
    empty ones.
    """
    # "" is a temporary file, deleted with the connection
    with closing(sqlite3.connect("")) as store:
        store.execute("PRAGMA cache_size = -16000")  # 16 MB
        store.execute("CREATE TABLE rows (key TEXT, raw BLOB, modified TEXT)")
        yield from _store_rows(store, items)
        sorted_rows = store.execute("SELECT key, raw, modified FROM rows ORDER BY key, rowid")
        for key, rows in groupby(sorted_rows, key=itemgetter(0)):
            yield _merge_record(key, list(rows))


def _store_rows(store: sqlite3.Connection, items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Record):
            store.execute("INSERT INTO rows VALUES (?, ?, ?)", (item.key, item.raw, item.modified))
        else:
            yield item


def _merge_record(key: str, rows: list[tuple[str, bytes, str | None]]) -> Record[Row]:
    row = merge_rows([orjson.loads(raw) for _, raw, _ in rows])
    return Record(
        key,
        row,
        orjson.dumps(row),
        max((modified for *_, modified in rows if modified), default=None),
    )


def merge_rows(rows: list[Mapping[str, Any]]) -> Row:
    """Merge rows into one.

    >>> merge_rows([{"id": "1", "place": "a", "note": ""}, {"id": "1", "place": "b", "note": "x"}])
    {'id': '1', 'place': ['a', 'b'], 'note': 'x'}
    """
    names = dict.fromkeys(name for row in rows for name in row)
    values = {
        name: list(dict.fromkeys(row[name] for row in rows if row.get(name))) for name in names
    }
    return {
        name: cells if len(cells) > 1 else cells[0] if cells else ""
        for name, cells in values.items()
    }
