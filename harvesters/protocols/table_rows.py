"""Convert lines of cells to records: find the header, name the columns, build the key, merge rows."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import chain, groupby, islice, zip_longest
from operator import itemgetter
from typing import Annotated, Any, Self, TypeGuard

import orjson
from pydantic import BeforeValidator, Field, model_validator

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.options import Options, Texts
from harvesters.page_model import InvalidRecord, Item, Pages, Record, Row
from harvesters.payloads.paths import compile_jmespath
from harvesters.protocols.document import read_document
from harvesters.protocols.protocol import Items
from harvesters.reasons import Reason, as_reason
from harvesters.source import Source


def _only(value: object) -> object:
    """Return the only text of a list, anything else as it is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class TableOptions(Options):
    """The options of a table."""

    key: Texts = Field(
        (),
        description="The column or columns of the key; without it the field `key`, else the column `id`.",
    )
    digest: list[str] = Field(
        [], description="The columns whose cells are hashed into a key, if there is no key column."
    )
    modified: str = Field("", description="The column with the time of change.")
    group: bool = Field(
        False,
        description="Merge rows with the same key into one record; a column that differs among them becomes a list.",
    )
    carry: Annotated[str, BeforeValidator(_only)] = Field(
        "",
        description="The column whose empty cells take the value above. "
        "A heading over a group of rows sets it too, even if the table lacks the column.",
    )
    continued: bool = Field(
        False,
        description="A row whose key is empty continues the record above; a column that differs becomes a list.",
    )

    @model_validator(mode="after")
    def _check_key(self) -> Self:
        if self.digest and self.key:
            text = "options %(first)s and %(second)s both define the key; keep one"
            raise ValueError(Reason(text, first="'digest'", second="'key'"))
        return self


# Hand-made tables have titles, notes and empty lines before their header: at most so many lines.
MAX_HEADER_LINE = 100
# C0 and C1 controls without the white space of RFC 4180's lines: what a wrong charset leaves.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_SEPARATOR = "\x1f"  # The unit separator, which no cell contains.


@dataclass(frozen=True, slots=True)
class Line:
    """A line's cells; *number* is where it begins."""

    number: int
    cells: list[str]


def read_table(
    source: Source,
    fetch: Fetch,
    cursor: str | None,
    accept: str,
    read_lines: Callable[[Reply], Iterable[Line | InvalidRecord]],
    read_joined: Callable[[Reply], Mapping[str, Iterable[Item[Row]]]] | None = None,
    *,
    on_disk: bool = False,
) -> Pages[Row]:
    """Yield the pages of a table, its rows grouped if the source says so, with the records of other
    tables (*read_joined*, by name) that have their key.

    Raises ParseError if no line has the columns of the key.
    """
    is_grouped = TableOptions.of(source).group

    def read_items(reply: Reply) -> Iterator[Item[Row]]:
        items = parse_rows(source, reply.url, read_lines(reply))
        grouped = _group_rows(items) if is_grouped else items
        return _join(grouped, read_joined(reply)) if read_joined else grouped

    for page in read_document(source, fetch, cursor, accept, read_items, on_disk=on_disk):
        lost = next((item.cause for item in page.items if _is_key_lost(item)), None)
        reason = Reason("a row's key cannot be read (%(error)s)", error=lost) if lost else None
        composed_key = "" if is_grouped else _composed_key(source, page.items)
        yield replace(page, incomplete_reason=reason, composed_key=composed_key)


def _is_key_lost(item: Item[Row]) -> TypeGuard[InvalidRecord]:
    """Return whether the key of an item cannot be read, so that it may be any missing record."""
    if not isinstance(item, InvalidRecord) or item.key is not None:
        return False
    return as_reason(item.cause).code not in {"row_without_key", "joined_row_alone"}


def _composed_key(source: Source, items: Items) -> str:
    """Return the option, as TOML, by which the different records of a page have different keys: the
    columns of today's key, and the one with the fewest values that tells them apart.

    Return "" if no key is repeated, or if no column is enough.
    """
    columns = _key_columns(source)
    records = [*{item.raw: item for item in items if isinstance(item, Record)}.values()]
    if not columns or len({record.key for record in records}) == len(records):
        return ""

    def cells(name: str) -> list[str]:
        return [_cell(record.payload, name) for record in records]

    keys, names = [record.key for record in records], records[0].payload
    usable = [
        name
        for name in names
        if name not in columns
        and all(cells(name))
        and len({*zip(keys, cells(name), strict=True)}) == len(keys)
    ]
    if not usable:
        return ""
    chosen = min(usable, key=lambda name: len({*cells(name)}))
    listed = ", ".join(orjson.dumps(n).decode() for n in names if n in (*columns, chosen))
    return f"{'digest' if TableOptions.of(source).digest else 'key'} = [{listed}]"


def _join(
    items: Iterable[Item[Row]], joined: Mapping[str, Iterable[Item[Row]]]
) -> Iterator[Item[Row]]:
    """Yield the records with the rows of the *joined* tables that have their key, as a list by the
    table's name, then the rows that no record has.
    """
    tables: dict[str, dict[str, list[Row]]] = {name: {} for name in joined}
    for name, others in joined.items():
        for item in others:
            if isinstance(item, Record):
                tables[name].setdefault(item.key, []).append(item.payload)
            else:
                yield item
    matched = set[str]()
    for item in items:
        if isinstance(item, Record):
            matched.add(item.key)
            more = {name: rows.get(item.key, []) for name, rows in tables.items()}
            row = {**item.payload, **more}
            item = Record(item.key, row, orjson.dumps(row), item.modified)
        yield item
    for name, rows in tables.items():
        for key in sorted(rows.keys() - matched):
            yield InvalidRecord(None, Reason("joined_row_alone", sheet=name, key=key))


def _group_rows(items: Iterable[Item[Row]]) -> Iterator[Item[Row]]:
    """Yield one record per key, sorted by key, after the items that are not records. The rows are
    kept on disk, so that memory use stays constant.
    """
    # "" is a temporary file, deleted with the connection.
    with closing(sqlite3.connect("")) as store:
        store.execute("PRAGMA cache_size = -16000")  # 16 MB
        store.execute("CREATE TABLE rows (key TEXT, raw BLOB, modified TEXT)")
        for item in items:
            if isinstance(item, Record):
                values = (item.key, item.raw, item.modified)
                store.execute("INSERT INTO rows VALUES (?, ?, ?)", values)
            else:
                yield item
        stored = store.execute("SELECT key, raw, modified FROM rows ORDER BY key, rowid")
        for key, group in groupby(stored, key=itemgetter(0)):
            _, raws, stamps = zip(*group, strict=True)
            row = merge_rows([orjson.loads(raw) for raw in raws])
            yield Record(key, row, orjson.dumps(row), max(filter(None, stamps), default=None))


def merge_rows(rows: list[Mapping[str, Any]]) -> Row:
    """Merge rows into one: a column whose cells differ becomes a list of them, without empty ones.

    >>> merge_rows([{"id": "1", "place": "a", "note": ""}, {"id": "1", "place": "b", "note": "x"}])
    {'id': '1', 'place': ['a', 'b'], 'note': 'x'}
    """
    merged: dict[str, dict[Any, None]] = {}
    for row in rows:
        for name, cell in row.items():
            merged.setdefault(name, {}).update({cell: None} if cell else {})
    return {
        name: list(cells) if len(cells) > 1 else next(iter(cells), "")
        for name, cells in merged.items()
    }


def parse_rows(
    source: Source, url: str, lines: Iterable[Line | InvalidRecord]
) -> Iterator[Item[Row]]:
    """Yield a table's records. Raise ParseError if no line has the columns of the key."""
    remaining = iter(lines)
    first_lines = list(islice(remaining, MAX_HEADER_LINE))
    header = find_header(source, first_lines)
    if header is None:
        raise _header_error(source, url, first_lines)
    table = _Table(source, header)
    below = chain(first_lines[first_lines.index(header) + 1 :], remaining)
    return table.records(below)


def find_header(source: Source, lines: Iterable[Line | InvalidRecord]) -> Line | None:
    """Return the header: the first line with the columns of the key and of the time of change."""
    keys, options = _key_columns(source), TableOptions.of(source)
    # A heading may have what a carried column would.
    needed = {*keys, options.modified} - {options.carry, ""}
    find = None if keys else compile_jmespath(source.fields["key"], source.name)
    for line in lines:
        if isinstance(line, Line):
            names = name_columns(line.cells)
            if needed <= {*names} and (find is None or find({name: name for name in names})):
                return line
    return None


def name_columns(cells: list[str]) -> tuple[str, ...]:
    """Name the columns: an empty name becomes its number, a repeated name gets a number.

    >>> name_columns(["id", "", " n ", "n"])
    ('id', 'column 2', 'n', 'n 2')
    """
    counts: Counter[str] = Counter()
    names: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = " ".join(cell.split()) or f"column {number}"
        counts[name] += 1
        names.append(name if counts[name] == 1 else f"{name} {counts[name]}")
    return tuple(names)


def _key_columns(source: Source) -> tuple[str, ...]:
    """Return the names of the key's columns; none if the field `key` finds it."""
    options = TableOptions.of(source)
    return (*options.digest,) or options.key or (() if "key" in source.fields else ("id",))


def _header_error(source: Source, url: str, lines: list[Line | InvalidRecord]) -> ParseError:
    texts = (line.cells for line in lines if isinstance(line, Line))
    names = name_columns(next((cells for cells in texts if any(map(str.strip, cells))), []))
    if not names:
        return ParseError("%(source)s: %(url)s has no header line", source=source.name, url=url)
    wanted = (*_key_columns(source), TableOptions.of(source).modified)
    return ParseError(
        "%(source)s: %(url)s has no column '%(column)s', only %(available)s; set the option "
        "'key' to the key's column, or 'digest' to columns that identify records",
        source=source.name,
        url=url,
        column=next(
            (name for name in wanted if name and name not in names), source.fields.get("key", "")
        ),
        available=", ".join(names)[:300],
    )


def _cell(row: Row, name: str) -> str:
    return " ".join(str(row.get(name, "")).split())


class _Table:
    """How the rows below a header become records."""

    def __init__(self, source: Source, header: Line) -> None:
        self.options, self.keys = TableOptions.of(source), _key_columns(source)
        self.find = None if self.keys else compile_jmespath(source.fields["key"], source.name)
        self.columns = name_columns(header.cells)
        self.header = [" ".join(cell.split()) for cell in header.cells]
        # A sheet may be far wider than its last column with a name.
        self.named = max((number for number, text in enumerate(self.header, 1) if text), default=0)
        self.above = ""  # The text that is carried into the rows below.

    def key(self, row: Row) -> str:
        if self.find:
            return str(self.find(row) or "").strip()
        cells = [_cell(row, name) for name in self.keys]
        if self.options.digest:
            return blake2b(_SEPARATOR.join(cells).encode(), digest_size=8).hexdigest()
        return ":".join(cells) if all(cells) else ""

    def records(self, lines: Iterable[Line | InvalidRecord]) -> Iterator[Item[Row]]:
        """Yield the records; one that rows below may continue waits for them."""
        waiting: list[Row] = []
        for line in lines:
            may_continue = self.options.continued and bool(waiting)
            item = self._row(line, may_continue) if isinstance(line, Line) else line
            if item is None:
                continue
            if isinstance(item, dict) and may_continue and not self.key(item):
                waiting.append(item)
                continue
            if waiting:
                yield self._record(waiting)
            waiting = [item] if isinstance(item, dict) else []
            if isinstance(item, InvalidRecord):
                yield item
        if waiting:
            yield self._record(waiting)

    def _row(self, line: Line, may_continue: bool) -> dict[str, str] | InvalidRecord | None:
        """Return the row of a line; None if it is empty, the header again, or the heading of a group.
        A row without a key is invalid, unless it *may_continue* the row above.
        """
        cells, width = line.cells, len(self.columns)
        if not any(map(str.strip, cells)) or self._is_header(cells):
            return None
        named = enumerate(zip(self.columns, cells, strict=False))
        row = {name: cell for number, (name, cell) in named if cell or number < self.named}
        if self.options.carry and self._carry(row):
            return None
        key = self.key(row)
        if len(cells) < width or any(cells[width:]):
            text = "line %(line)s: %(count)s cells where the header has %(expected)s"
            reason = Reason(text, line=line.number, count=len(cells), expected=width)
            return InvalidRecord(key or None, reason)
        if not key and not may_continue:
            return InvalidRecord(None, Reason("row_without_key", line=line.number))
        texts = [row.get(name, "") for name in self.keys] or [key]
        if control := next(filter(None, map(_CONTROL.search, texts)), None):
            reason = Reason(
                "line %(line)s: the key has the control character %(character)s; set the option "
                "'charset' to that of the text",
                line=line.number,
                character=f"U+{ord(control[0]):04X}",
            )
            return InvalidRecord(None, reason)
        return row

    def _is_header(self, cells: list[str]) -> bool:
        # The first cell alone is compared in most rows.
        return " ".join(cells[0].split()) == self.header[0] and all(
            " ".join(cell.split()) == text
            for cell, text in zip_longest(cells, self.header, fillvalue="")
        )

    def _carry(self, row: dict[str, str]) -> bool:
        """Fill an empty cell of the carried column from above, or note the text of a filled one.
        Return whether the row is a heading.

        A heading has a text in the carried column alone, or a single text. That text is repeated, as
        in merged cells, or the table lacks the carried column; it is then in the first column if rows
        may be continued.
        """
        name = self.options.carry
        filled = [column for column, cell in row.items() if cell.strip()]
        texts = {row[column].strip() for column in filled}
        named = zip(self.columns, self.header, strict=True)
        first = next((column for column, text in named if text), None)
        is_free = not self.options.continued or filled[:1] == [first]
        is_alone = name not in self.columns and is_free
        is_heading = len(texts) == 1 and (is_alone or len(filled) > 1)
        if is_heading:
            self.above = texts.pop()
        elif name in filled:
            self.above = row[name]
        row[name] = self.above
        return is_heading or set(filled) <= {name}

    def _record(self, rows: list[Row]) -> Record[Row]:
        row = rows[0] if len(rows) == 1 else merge_rows(rows)
        modified = rows[0][self.options.modified].strip() if self.options.modified else ""
        return Record(self.key(rows[0]), row, orjson.dumps(row), modified or None)
