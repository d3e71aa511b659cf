"""Tables: from lines of cells to records: where the header stands, how columns are called, what the key is."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import orjson

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.option_schema import Option, get_option, option_names
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record, Row
from harvesters.payloads.jmespath_compiler import compile_jmespath
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "key": Option((str, list), None, "The column of the key, or the columns that make it; else the field `key`, else `id`."),
    "digest": Option(list, None, "The columns of which a key is made where there is none: a digest of their cells."),
    "modified": Option(str, None, "The column that tells when a record changed."),
    "group": Option(bool, False, "Rows with one key are one record: a column that differs among them becomes a list of its values."),
    "skip": Option(int, 0, "How many lines stand before the header line; it is looked for in the next hundred."),
}
LOOK = 100  # lines in which the header is looked for: titles, notes and empty lines stand before it in tables made by hand

_MARK = "\x1f"  # between cells of a digest: the unit separator, which no cell holds
_KEYLESS = "the key is empty"

Item = Record[Row] | DeletedRecord | InvalidRecord


@dataclass(frozen=True, slots=True)
class Line:
    """A line's cells; *number* is where it begins."""

    number: int
    cells: list[str]

    @property
    def empty(self) -> bool:
        """Tell whether no cell says anything."""
        return not any(cell.strip() for cell in self.cells)


@dataclass(frozen=True, slots=True)
class _Table:
    """A table's columns and how its keys are made."""

    columns: tuple[str, ...]
    key: Callable[[Row], str]
    modified: str | None


def check(source: Source) -> None:
    """Refuse two ways to a key; raises SourceDefinitionError."""
    if source.options.get("digest") and (source.options.get("key") or "key" in source.fields):
        raise SourceDefinitionError(f"{source.name}: option 'digest' makes a key and 'key' names one; keep one")


def doubt(page: Page[Row]) -> str | None:
    """Doubt a sweep with a broken row: its key cannot be read, so it may be any record that seems to be missing."""
    lost = next((it for it in page.items if isinstance(it, InvalidRecord) and it.key is None and not it.reason.endswith(_KEYLESS)), None)
    return f"a row's key cannot be read ({lost.reason})" if lost else None


def records(source: Source, url: str, lines: Iterable[Line | InvalidRecord]) -> Iterator[Item]:
    """Give a table's records; raises ParseError where no line has the columns of the key."""
    left = iter(lines)
    begun = list(islice(left, LOOK))
    header = found(source, begun)
    if header is None:
        raise _headless(source, url, begun)
    table = _table(source, columns(header.cells))
    for it in begun[begun.index(header) + 1 :]:
        yield from _read(table, it)
    for it in left:
        yield from _read(table, it)


def found(source: Source, lines: Iterable[Line | InvalidRecord]) -> Line | None:
    """Find the header: the first line that has the columns of the card's key, and of the time of change."""
    wanted = _wanted(source)
    return next((it for it in lines if isinstance(it, Line) and wanted(columns(it.cells))), None)


def columns(cells: list[str]) -> tuple[str, ...]:
    """Name the columns: an empty name is its number, a second column of a name gets the number behind it.

    >>> columns(["id", "", " n ", "n"])
    ('id', 'column 2', 'n', 'n 2')
    """
    came: Counter[str] = Counter()
    named: list[str] = []
    for number, cell in enumerate(cells, 1):
        name = " ".join(cell.split()) or f"column {number}"
        came[name] += 1
        named.append(name if came[name] == 1 else f"{name} {came[name]}")
    return tuple(named)


def _keys(source: Source) -> tuple[str, ...]:
    """Name the columns of the key; none where the card's field finds it."""
    told = option_names(source, OPTIONS, "digest") or option_names(source, OPTIONS, "key")
    return told or (() if "key" in source.fields else ("id",))


def _wanted(source: Source) -> Callable[[tuple[str, ...]], bool]:
    modified = get_option(source, OPTIONS, "modified")
    needed = {*_keys(source), *([modified] if modified else [])}
    find = compile_jmespath(source.fields["key"], source.name) if not _keys(source) else None

    def wanted(named: tuple[str, ...]) -> bool:
        return needed <= set(named) and (find is None or bool(find({name: name for name in named})))

    return wanted


def _headless(source: Source, url: str, lines: list[Line | InvalidRecord]) -> ParseError:
    first = next((it for it in lines if isinstance(it, Line) and not it.empty), None)
    if first is None:
        fault = next((it.reason for it in lines if isinstance(it, InvalidRecord)), "")
        return ParseError(f"{source.name}: {url} holds no header line{': ' if fault else ''}{fault}")
    named = columns(first.cells)
    missing = next((name for name in _keys(source) if name not in named), None) or get_option(source, OPTIONS, "modified")
    told = f"column {missing!r}" if missing else f"column that the field 'key' ({source.fields['key']}) names"
    return ParseError(
        f"{source.name}: {url} has no {told}, only {', '.join(named)[:300]};"
        " set the option 'key' to the key's column, or 'digest' to columns that tell records apart"
    )


def _table(source: Source, named: tuple[str, ...]) -> _Table:
    modified = get_option(source, OPTIONS, "modified")
    if not _keys(source):
        find = compile_jmespath(source.fields["key"], source.name)
        return _Table(named, lambda row: str(find(row) or "").strip(), modified)
    digest = option_names(source, OPTIONS, "digest")
    return _Table(named, _digested(digest) if digest else _joined(_keys(source)), modified)


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


def _read(table: _Table, it: Line | InvalidRecord) -> Iterator[Item]:
    if isinstance(it, InvalidRecord):
        yield it
    elif not it.empty:
        yield _item(table, it.cells, it.number)


def _item(table: _Table, cells: list[str], line: int) -> Item:
    row = dict(zip(table.columns, cells, strict=False))
    key = table.key(row) or None
    if len(cells) < len(table.columns) or any(cells[len(table.columns) :]):
        return InvalidRecord(key, f"line {line}: {len(cells)} cells where the header has {len(table.columns)}")
    if key is None:
        return InvalidRecord(None, f"line {line}: {_KEYLESS}")
    modified = row[table.modified].strip() if table.modified else ""
    return Record(key, row, orjson.dumps(row), modified or None)
