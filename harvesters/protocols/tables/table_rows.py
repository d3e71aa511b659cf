"""Convert lines of cells to records: find the header, name the columns, build the key."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from operator import itemgetter

import orjson

from harvesters.definition_faults import located
from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.reply import Reply
from harvesters.option_schema import Option, get_option, option_names
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record, Row
from harvesters.payloads.jmespath_compiler import compile_jmespath
from harvesters.protocols.paged_document import MAX_BYTES, paginate
from harvesters.protocols.tables.row_grouping import group_rows
from harvesters.reasons import Reason, as_reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "key": Option(
        (str, list), None, "The column or columns of the key; else the field `key`, else `id`."
    ),
    "digest": Option(
        list, None, "The columns whose cells are hashed into a key, if there is no key column."
    ),
    "modified": Option(str, None, "The column with the time of change."),
    "group": Option(
        bool,
        False,
        "Merge rows with the same key into one record; a column that differs among them becomes a list.",
    ),
    "skip": Option(
        int, 0, "The number of lines to skip; the header is searched in the next hundred."
    ),
}
# lines searched for the header: hand-made tables have titles, notes and empty lines before it
MAX_HEADER_LINE = 100
# records compared to find a column that tells rows with one key apart
_MAX_SAMPLE = 2000

_SEPARATOR = "\x1f"  # the unit separator, which no cell contains

Item = Record[Row] | DeletedRecord | InvalidRecord


@dataclass(frozen=True, slots=True)
class Line:
    """A line's cells; *number* is where it begins."""

    number: int
    cells: list[str]

    @property
    def is_empty(self) -> bool:
        """Return whether all cells are blank."""
        return not any(cell.strip() for cell in self.cells)


@dataclass(frozen=True, slots=True)
class TableLayout:
    """A table's columns, how many there are up to the last one with a name, and how keys are built."""

    columns: tuple[str, ...]
    named: int
    key: Callable[[Row], str]
    modified: str | None


def check(source: Source) -> None:
    """Raise SourceDefinitionError for two kinds of key."""
    if source.options.get("digest") and (source.options.get("key") or "key" in source.fields):
        raise SourceDefinitionError(
            located(source.name, Reason("two_keys", {"first": "'digest'", "second": "'key'"}))
        )


def make_pages(
    source: Source, reply: Reply, lines: Iterable[Line | InvalidRecord], cursor: str | None
) -> Iterator[Page[Row]]:
    """Yield the pages of a table, its rows grouped if the source says so. Raises ParseError as
    ``parse_rows``.
    """
    sample: list[Record[Row]] = []
    items = _keep_sample(parse_rows(source, reply.url, lines), sample)
    is_grouped = get_option(source, OPTIONS, "group")
    compared, composed_key = 0, ""
    for page in paginate(group_rows(items) if is_grouped else items, reply, cursor):
        if compared < len(sample) and not is_grouped:
            compared, composed_key = len(sample), _composed_key(source, sample)
        yield replace(page, incomplete_reason=_incomplete_reason(page), composed_key=composed_key)


def _keep_sample(items: Iterable[Item], sample: list[Record[Row]]) -> Iterator[Item]:
    """Yield the items, and keep the first records in *sample*."""
    size = 0
    for item in items:
        if isinstance(item, Record) and len(sample) < _MAX_SAMPLE and size < MAX_BYTES:
            sample.append(item)
            size += len(item.raw)
        yield item


def _composed_key(source: Source, sample: Sequence[Record[Row]]) -> str:
    """Return the option, as TOML, by which the different records of *sample* have different keys:
    the columns of today's key, and the one with the fewest values that tells them apart.

    Return "" if no key is repeated, or if no column is enough.
    """
    columns = _key_columns(source)
    records = list({record.raw: record for record in sample}.values())
    if not columns or len({record.key for record in records}) == len(records):
        return ""
    candidates = []
    for name in records[0].payload:
        cells = [_cell(record.payload, name) for record in records]
        keys = {(record.key, cell) for record, cell in zip(records, cells, strict=True)}
        if name not in columns and all(cells) and len(keys) == len(records):
            candidates.append((len(set(cells)), name))
    if not candidates:
        return ""
    _, chosen = min(candidates, key=itemgetter(0))
    names = [name for name in records[0].payload if name in (*columns, chosen)]
    option = "digest" if option_names(source, OPTIONS, "digest") else "key"
    return f"{option} = [{', '.join(orjson.dumps(name).decode() for name in names)}]"


def _incomplete_reason(page: Page[Row]) -> Reason | None:
    """Return why a page leaves the full harvest incomplete: a row whose key cannot be read may be
    any record that seems missing.
    """
    keyless = next(
        (
            item
            for item in page.items
            if isinstance(item, InvalidRecord)
            and item.key is None
            and as_reason(item.cause).code != "row_without_key"
        ),
        None,
    )
    return Reason("row_key_unreadable", {"error": keyless.cause}) if keyless else None


def parse_rows(source: Source, url: str, lines: Iterable[Line | InvalidRecord]) -> Iterator[Item]:
    """Yield a table's records. Raise ParseError if no line has the columns of the key."""
    remaining = iter(lines)
    first_lines = list(islice(remaining, MAX_HEADER_LINE))
    header = find_header(source, first_lines)
    if header is None:
        raise _header_error(source, url, first_lines)
    table = _build_layout(source, header)
    for line in first_lines[first_lines.index(header) + 1 :]:
        yield from _parse_line(table, line)
    for line in remaining:
        yield from _parse_line(table, line)


def find_header(source: Source, lines: Iterable[Line | InvalidRecord]) -> Line | None:
    """Return the header: the first line with the columns of the key and of the time of change."""
    is_header = _header_test(source)
    return next(
        (line for line in lines if isinstance(line, Line) and is_header(name_columns(line.cells))),
        None,
    )


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
    chosen = option_names(source, OPTIONS, "digest") or option_names(source, OPTIONS, "key")
    return chosen or (() if "key" in source.fields else ("id",))


def _header_test(source: Source) -> Callable[[tuple[str, ...]], bool]:
    modified = get_option(source, OPTIONS, "modified")
    needed = {*_key_columns(source), *([modified] if modified else [])}
    find = compile_jmespath(source.fields["key"], source.name) if not _key_columns(source) else None

    def wanted(named: tuple[str, ...]) -> bool:
        return needed <= set(named) and (find is None or bool(find({name: name for name in named})))

    return wanted


def _header_error(source: Source, url: str, lines: list[Line | InvalidRecord]) -> ParseError:
    first = next((line for line in lines if isinstance(line, Line) and not line.is_empty), None)
    if first is None:
        fault = next((line.cause for line in lines if isinstance(line, InvalidRecord)), "")
        code = "no_header_because" if fault else "no_header"
        return ParseError(Reason(code, {"source": source.name, "url": url, "error": fault}))
    named = name_columns(first.cells)
    missing = next(
        (name for name in _key_columns(source) if name not in named), None
    ) or get_option(source, OPTIONS, "modified")
    values = {"source": source.name, "url": url, "available": ", ".join(named)[:300]}
    if missing:
        return ParseError(Reason("no_column", {**values, "column": str(missing)}))
    return ParseError(Reason("no_key_column", {**values, "field": source.fields["key"]}))


def _build_layout(source: Source, header: Line) -> TableLayout:
    columns = name_columns(header.cells)
    named = max(number for number, cell in enumerate(header.cells, 1) if cell.strip())
    modified = get_option(source, OPTIONS, "modified")
    if not _key_columns(source):
        find = compile_jmespath(source.fields["key"], source.name)
        return TableLayout(columns, named, lambda row: str(find(row) or "").strip(), modified)
    digest = option_names(source, OPTIONS, "digest")
    key = _digest_key(digest) if digest else _join_key(_key_columns(source))
    return TableLayout(columns, named, key, modified)


def _cell(row: Row, name: str) -> str:
    return " ".join(str(row.get(name, "")).split())


def _join_key(keys: tuple[str, ...]) -> Callable[[Row], str]:
    def key(row: Row) -> str:
        parts = [_cell(row, name) for name in keys]
        return ":".join(parts) if all(parts) else ""

    return key


def _digest_key(keys: tuple[str, ...]) -> Callable[[Row], str]:
    def key(row: Row) -> str:
        text = _SEPARATOR.join(_cell(row, name) for name in keys)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    return key


def _parse_line(table: TableLayout, line: Line | InvalidRecord) -> Iterator[Item]:
    if isinstance(line, InvalidRecord):
        yield line
    elif not line.is_empty:
        yield _parse_row(table, line.cells, line.number)


def _parse_row(table: TableLayout, cells: list[str], line: int) -> Item:
    # Columns behind the last one with a name are as many as a sheet is wide: empty cells are left out.
    row = {
        name: cell
        for number, (name, cell) in enumerate(zip(table.columns, cells, strict=False))
        if cell or number < table.named
    }
    key = table.key(row) or None
    if len(cells) < len(table.columns) or any(cells[len(table.columns) :]):
        return InvalidRecord(
            key,
            Reason(
                "row_cells", {"line": line, "count": len(cells), "expected": len(table.columns)}
            ),
        )
    if key is None:
        return InvalidRecord(None, Reason("row_without_key", {"line": line}))
    modified = row[table.modified].strip() if table.modified else ""
    return Record(key, row, orjson.dumps(row), modified or None)
