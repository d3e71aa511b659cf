"""Grouping: rows of one key become one record, on disk where they are many, so that memory stays flat."""

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


def grouped(items: Iterable[Item]) -> Iterator[Item]:
    """Give one record a key, in the order of the keys; what is no record comes first, as it came.

    A column whose cells differ among the rows of a key is a list of them, in their order, without the empty ones.
    """
    with closing(sqlite3.connect("")) as store:  # "" is a file of its own, which goes with the connection
        store.execute("PRAGMA cache_size = -16000")  # 16 MB
        store.execute("CREATE TABLE rows (key TEXT, raw BLOB, modified TEXT)")
        yield from _stored(store, items)
        found = store.execute("SELECT key, raw, modified FROM rows ORDER BY key, rowid")
        for key, rows in groupby(found, key=itemgetter(0)):
            yield _record(key, list(rows))


def _stored(store: sqlite3.Connection, items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        if isinstance(item, Record):
            store.execute("INSERT INTO rows VALUES (?, ?, ?)", (item.key, item.raw, item.modified))
        else:
            yield item


def _record(key: str, rows: list[tuple[str, bytes, str | None]]) -> Record[Row]:
    row = merged([orjson.loads(raw) for _, raw, _ in rows])
    return Record(key, row, orjson.dumps(row), max((it for *_, it in rows if it), default=None))


def merged(rows: list[Mapping[str, Any]]) -> Row:
    """Put rows together.

    >>> merged([{"id": "1", "place": "a", "note": ""}, {"id": "1", "place": "b", "note": "x"}])
    {'id': '1', 'place': ['a', 'b'], 'note': 'x'}
    """
    values = {name: list(dict.fromkeys(row[name] for row in rows if row[name])) for name in rows[0]}
    return {name: found if len(found) > 1 else found[0] if found else "" for name, found in values.items()}
