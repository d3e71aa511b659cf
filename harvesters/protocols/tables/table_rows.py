"""Convert lines of cells to records: find the header, name the columns, build the key."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from operator import itemgetter

import orjson

from harvesters.definition_faults import located
from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.network.reply import Reply
from harvesters.option_schema import Option, get_option, option_names
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record, Row
from harvesters.payloads.jmespath_search import compile_jmespath
from harvesters.protocols.paged_document import MAX_BYTES, paginate
from harvesters.protocols.tables.row_grouping import group_rows, merge_rows
from harvesters.reasons import Reason, Value, as_reason
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
    "carry": Option(
        (str, list),
        None,
        "The columns whose empty cells have the value above. "
        "A heading over a group of rows gives it too, also to one column that the table lacks.",
    ),
    "continued": Option(
        bool,
        False,
        "A row whose key is empty continues the record above; a column that differs becomes a list.",
    ),
    "skip": Option(
        int, 0, "The number of lines to skip; the header is searched in the next hundred."
    ),
}
# lines searched for the header: hand-made tables have titles, notes and empty lines before it
MAX_HEADER_LINE = 100
# records compared to find a column that tells rows with one key apart
_MAX_SAMPLE = 2000

# C0 and C1 controls without the white space of RFC 4180's lines: what a wrong charset leaves
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f]")
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
    """A table's columns, how many there are up to the last one with a name, its header, and how
    rows become records: *keys* are the columns of the key, *carried* those whose empty cells have
    the value above, *lacking* is the one of them that only headings have.
    """

    columns: tuple[str, ...]
    named: int
    header: tuple[str, ...]
    keys: tuple[str, ...]
    key: Callable[[Row], str]
    modified: str | None
    carried: tuple[str, ...]
    lacking: str | None
    continued: bool


def check(source: Source) -> None:
    """Raise SourceDefinitionError for two kinds of key."""
    if source.options.get("digest") and (source.options.get("key") or "key" in source.fields):
        raise SourceDefinitionError(
            located(source.name, Reason("two_keys", {"first": "'digest'", "second": "'key'"}))
        )


def make_pages(
    source: Source,
    reply: Reply,
    lines: Iterable[Line | InvalidRecord],
    cursor: str | None,
    joined: Mapping[str, Iterable[Item]] | None = None,
) -> Iterator[Page[Row]]:
    """Yield the pages of a table, its rows grouped if the source says so, with the records of the
    tables in *joined* by name. Raises ParseError as ``parse_rows``.
    """
    sample: list[Record[Row]] = []
    items = _keep_sample(parse_rows(source, reply.url, lines), sample)
    is_grouped = get_option(source, OPTIONS, "group")
    compared, composed_key = 0, ""
    items = group_rows(items) if is_grouped else items
    for page in paginate(_join(items, joined) if joined else items, reply, cursor):
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


def _join(items: Iterable[Item], joined: Mapping[str, Iterable[Item]]) -> Iterator[Item]:
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
            yield Record(item.key, row, orjson.dumps(row), item.modified)
        else:
            yield item
    for name, rows in tables.items():
        for key in sorted(rows.keys() - matched):
            yield InvalidRecord(None, Reason("joined_row_alone", {"sheet": name, "key": key}))


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
            and as_reason(item.cause).code not in {"row_without_key", "joined_row_alone"}
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
    table = _build_layout(source, url, header)
    below = chain(first_lines[first_lines.index(header) + 1 :], remaining)
    return _build_records(table, _read_rows(table, below))


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
    headings = option_names(source, OPTIONS, "carry")  # may be no columns
    needed = {*_key_columns(source), *([modified] if modified else [])} - {*headings}
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


def _build_layout(source: Source, url: str, header: Line) -> TableLayout:
    columns = name_columns(header.cells)
    carried = option_names(source, OPTIONS, "carry")
    lacking = tuple(name for name in carried if name not in columns)
    if len(lacking) > 1:
        names = ", ".join(map(repr, lacking))
        raise ParseError(
            Reason("no_carried_columns", {"source": source.name, "url": url, "names": names})
        )
    keys, digest = _key_columns(source), option_names(source, OPTIONS, "digest")
    return TableLayout(
        columns,
        max((number for number, cell in enumerate(header.cells, 1) if cell.strip()), default=0),
        tuple(" ".join(cell.split()) for cell in header.cells),
        keys,
        _digest_key(digest) if digest else _join_key(keys) if keys else _find_key(source),
        get_option(source, OPTIONS, "modified"),
        carried,
        lacking[0] if lacking else None,
        get_option(source, OPTIONS, "continued"),
    )


def _find_key(source: Source) -> Callable[[Row], str]:
    find = compile_jmespath(source.fields["key"], source.name)
    return lambda row: str(find(row) or "").strip()


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


def _read_rows(
    table: TableLayout, lines: Iterable[Line | InvalidRecord]
) -> Iterator[tuple[int, Row] | InvalidRecord]:
    """Yield the rows with the numbers of their lines, without headers that repeat and headings of
    groups.
    """
    above: dict[str, str] = {}  # what is carried into the rows below
    for line in lines:
        if isinstance(line, InvalidRecord):
            yield line
            continue
        if line.is_empty or _is_header(table, line.cells):
            continue
        row = _row(table, line.cells)
        if table.carried and _carry(table, row, above):
            continue
        if len(line.cells) < len(table.columns) or any(line.cells[len(table.columns) :]):
            values: dict[str, Value] = {"line": line.number, "count": len(line.cells)}
            reason = Reason("row_cells", {**values, "expected": len(table.columns)})
            yield InvalidRecord(table.key(row) or None, reason)
        else:
            yield line.number, row


def _is_header(table: TableLayout, cells: list[str]) -> bool:
    if not cells or " ".join(cells[0].split()) != table.header[0]:
        return False
    pairs = zip_longest(cells, table.header, fillvalue="")
    return all(" ".join(cell.split()) == text for cell, text in pairs)


def _row(table: TableLayout, cells: list[str]) -> dict[str, str]:
    """Return a row's cells by column; behind the last column with a name only those with a text,
    since there are as many as a sheet is wide.
    """
    row = dict(zip(table.columns, cells, strict=False))
    for name in table.columns[table.named :]:
        if not row.get(name):
            row.pop(name, None)
    return row


def _carry(table: TableLayout, row: dict[str, str], above: dict[str, str]) -> bool:
    """Fill the empty cells of the carried columns from *above*, and keep theirs there; return
    whether the row is a heading. A new text ends what later columns carried.

    A heading has texts in carried columns alone, or one text: repeated, as in merged cells, or in
    any column where the table lacks a carried one; in the first, where rows may be continued.
    """
    filled = [name for name, cell in row.items() if cell.strip()]
    texts = {row[name].strip() for name in filled}
    named = zip(table.columns, table.header, strict=True)
    first = next((name for name, text in named if text), None)
    alone = bool(table.lacking) and (not table.continued or filled[:1] == [first])
    is_single = len(texts) == 1 and (alone or len(filled) > 1)
    is_heading = is_single or set(filled) <= set(table.carried)
    given = {name: row[name] for name in filled if name in table.carried}
    if is_single:
        name = table.lacking or next(iter(given), table.carried[-1])
        given = {name: texts.pop()}
    changed = False
    for name in table.carried:
        if name in given:
            changed = changed or above.get(name) != given[name]
            above[name] = given[name]
        elif changed:
            above.pop(name, None)
        row[name] = given.get(name, above.get(name, ""))
    return is_heading


def _build_records(
    table: TableLayout, rows: Iterable[tuple[int, Row] | InvalidRecord]
) -> Iterator[Item]:
    """Yield the records; one that rows below may continue waits for them."""
    waiting: list[Row] = []
    for item in rows:
        key = "" if isinstance(item, InvalidRecord) else table.key(item[1])
        if waiting and table.continued and not isinstance(item, InvalidRecord) and not key:
            waiting.append(item[1])
            continue
        if waiting:
            yield _record(table, waiting)
            waiting = []
        if isinstance(item, InvalidRecord):
            yield item
        elif fault := _key_fault(table, *item, key):
            yield InvalidRecord(None, fault)
        else:
            waiting = [item[1]]
    if waiting:
        yield _record(table, waiting)


def _key_fault(table: TableLayout, line: int, row: Row, key: str) -> Reason | None:
    if not key:
        return Reason("row_without_key", {"line": line})
    texts = [str(row.get(name, "")) for name in table.keys] or [key]
    if control := next(filter(None, map(_CONTROL.search, texts)), None):
        character = f"U+{ord(control[0]):04X}"
        return Reason("row_key_control", {"line": line, "character": character})
    return None


def _record(table: TableLayout, rows: list[Row]) -> Record[Row]:
    row = rows[0] if len(rows) == 1 else merge_rows(rows)
    modified = rows[0][table.modified].strip() if table.modified else ""
    return Record(table.key(rows[0]), row, orjson.dumps(row), modified or None)
