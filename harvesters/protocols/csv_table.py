"""CSV: a table with a header line, one record a row.

Source: https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from harvesters.errors import CardError, ParseError
from harvesters.network.answer import table_text
from harvesters.network.fetch import Fetch, Reply
from harvesters.option import Option, names, value
from harvesters.payloads.path import compiled
from harvesters.protocols.document import cut
from harvesters.record import Gone, Page, Pages, Record, Row, Unreadable
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "key": Option((str, list), None, "The column of the key, or the columns that make it; without it the card's field `key`, else `id`."),
    "digest": Option(list, None, "The columns of which a key is made where there is none: a digest of their cells."),
    "delimiter": Option(str, None, "What parts cells; without it the comma, semicolon, tab or bar, as the header line has most."),
    "charset": Option(str, None, "The text's charset; without it UTF-8, else what the reply's Content-Type says."),
    "skip": Option(int, 0, "How many lines stand before the header line."),
    "modified": Option(str, None, "The column that tells when a record changed."),
}

_DELIMITERS = (",", ";", "\t", "|")
_CELL = 16 * 1024 * 1024  # characters: Python's own limit of 131,072 would cut long descriptions
_MARK = "\x1f"  # between cells of a digest: the unit separator, which no cell holds
_KEYLESS = "the key is empty"

Item = Record[Row] | Gone | Unreadable


@dataclass(frozen=True, slots=True)
class _Table:
    """A table's columns and how its keys are made."""

    columns: tuple[str, ...]
    key: Callable[[Row], str]
    modified: str | None


def check(source: Source) -> None:
    """Refuse a delimiter of more than one character, and two ways to a key; raises CardError."""
    delimiter = source.options.get("delimiter")
    if delimiter is not None and len(delimiter) != 1:
        raise CardError(f"{source.name}: option 'delimiter' is {delimiter!r}; give one character")
    if source.options.get("digest") and (source.options.get("key") or "key" in source.fields):
        raise CardError(f"{source.name}: option 'digest' makes a key and 'key' names one; keep one")


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Row]:
    """Collect all rows; *since* cannot be asked for, but a table that its server calls unchanged is not read again.

    A row with more or fewer cells than the header, or with broken quotes, is unreadable. Raises ParseError where the
    answer is no table, lacks the key's columns, or ends in the middle of a quoted cell.
    """
    reply = fetch.get(source.url, accept="text/csv, text/plain;q=0.9, */*;q=0.5", conditional=cursor is None)
    if reply.unchanged:
        yield Page((), None, at=reply.at, unchanged=True)
        return
    for page in cut(_items(source, reply), reply, cursor):
        yield replace(page, doubt=_doubt(page))


def _doubt(page: Page[Row]) -> str | None:
    """Doubt a sweep with a broken row: its key cannot be read, so it may be any record that seems to be missing."""
    lost = next((it for it in page.items if isinstance(it, Unreadable) and it.key is None and not it.reason.endswith(_KEYLESS)), None)
    return f"a row's key cannot be read ({lost.reason})" if lost else None


def _items(source: Source, reply: Reply) -> Iterator[Item]:
    csv.field_size_limit(_CELL)
    text = io.StringIO(table_text(reply, value(source, OPTIONS, "charset")), newline="")
    for _ in range(value(source, OPTIONS, "skip")):
        text.readline()
    start = text.tell()
    header = text.readline()
    text.seek(start)
    reader = csv.reader(text, delimiter=value(source, OPTIONS, "delimiter") or _delimiter(header), strict=True)
    table: _Table | None = None
    while True:
        begun = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            if table is None or "unexpected end" in str(error):
                raise ParseError(f"{source.name}: {reply.url} is no whole table: {error}, in what begins at line {begun}") from error
            yield Unreadable(None, f"line {begun}: {error}")
            continue
        if cells is None:
            break
        if not any(cell.strip() for cell in cells):
            continue
        if table is None:
            table = _table(source, reply, cells)
        else:
            yield _item(table, cells, begun)
    if table is None:
        raise ParseError(f"{source.name}: {reply.url} holds no header line")


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=lambda mark: header.count(mark))  # the comma where there is none


def _table(source: Source, reply: Reply, cells: list[str]) -> _Table:
    """Name the columns: an empty name is its number, a second column of a name gets the number behind it."""
    came: Counter[str] = Counter()
    columns: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = " ".join(cell.split()) or f"column {number}"
        came[name] += 1
        columns.append(name if came[name] == 1 else f"{name} {came[name]}")
    modified = value(source, OPTIONS, "modified")
    digest = names(source, OPTIONS, "digest")
    keys = digest or names(source, OPTIONS, "key")
    if not keys and "key" in source.fields:
        found = compiled(source.fields["key"], source.name)
        return _Table(tuple(columns), lambda row: str(found(row) or "").strip(), modified)
    keys = keys or ("id",)
    missing = [name for name in (*keys, *([modified] if modified else [])) if name not in columns]
    if missing:
        raise ParseError(
            f"{source.name}: {reply.url} has no column {missing[0]!r}, only {', '.join(columns)[:300]};"
            " set the option 'key' to the key's column, or 'digest' to columns that tell records apart"
        )
    return _Table(tuple(columns), _digested(keys) if digest else _joined(keys), modified)


def _cell(row: Row, name: str) -> str:
    return " ".join(str(row.get(name, "")).split())


def _joined(keys: tuple[str, ...]) -> Callable[[Row], str]:
    def key(row: Row) -> str:
        parts = [_cell(row, name) for name in keys]
        return ":".join(parts) if all(parts) else ""

    return key


def _digested(keys: tuple[str, ...]) -> Callable[[Row], str]:
    def key(row: Row) -> str:
        text = _MARK.join(_cell(row, name) for name in keys)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    return key


def _item(table: _Table, cells: list[str], line: int) -> Item:
    row = dict(zip(table.columns, cells, strict=False))
    key = table.key(row) or None
    if len(cells) < len(table.columns) or any(cells[len(table.columns) :]):
        return Unreadable(key, f"line {line}: {len(cells)} cells where the header has {len(table.columns)}")
    if key is None:
        return Unreadable(None, f"line {line}: {_KEYLESS}")
    modified = row[table.modified].strip() if table.modified else ""
    return Record(key, row, orjson.dumps(row), modified or None)
