"""Files of the tables: CSV as the rows come, and Parquet of the same rows once they are all there."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import duckdb
import orjson

from publisher.facets.record_rows import Row
from publisher.facets.schema import TABLES, CellType, Table, TableColumn
from publisher.rdf.gzip_files import gzip_writer

MEMORY = "192MiB"  # what DuckDB may hold; more of it waits beside
_LONGEST = 16 << 20  # bytes of a row that DuckDB reads unless it is told
_GROUP = 20_000  # rows that a reader of Parquet takes at once
_TYPES = {CellType.NUMBER: "BIGINT", CellType.DECIMAL: "DOUBLE", CellType.IRIS: "VARCHAR[]", CellType.WORDS: "VARCHAR[]"}
_NAMES = {name: [column.name for column in table.columns] for name, table in TABLES.items()}


class _TextWriter:
    """A file of bytes that takes texts, as ``csv`` writes them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write a text."""
        self._file.write(text.encode())


class TableWriter:
    """The tables in *folder* while their rows come; *beside* holds them until they are Parquet."""

    def __init__(self, folder: Path, beside: Path, opened: ExitStack) -> None:
        beside.mkdir(parents=True, exist_ok=True)
        self._work_folder = beside
        self._csv = {name: csv.writer(_TextWriter(opened.enter_context(gzip_writer(folder / f"{name}.csv.gz")))) for name in TABLES}
        self._lines: dict[str, BinaryIO] = {name: opened.enter_context(rows_path(beside, name).open("wb")) for name in TABLES}
        self.rows = dict.fromkeys(TABLES, 0)
        self.longest = _LONGEST
        for name, table in TABLES.items():
            self._csv[name].writerow([column.name for column in table.columns])

    def put(self, table: str, row: Row) -> None:
        """Write a row."""
        cells = [row[name] for name in _NAMES[table]]
        line = orjson.dumps(dict(zip(_NAMES[table], cells, strict=True)), option=orjson.OPT_APPEND_NEWLINE)
        self._lines[table].write(line)
        self._csv[table].writerow([" ".join(map(str, cell)) if isinstance(cell, list) else cell for cell in cells])
        self.rows[table] += 1
        self.longest = max(self.longest, len(line))


@contextmanager
def write_tables(folder: Path, beside: Path) -> Iterator[TableWriter]:
    """Write all tables into *folder*: CSV while the context is open, Parquet at its end; *beside* is for what is temporary."""
    with ExitStack() as opened:
        made = TableWriter(folder, beside, opened)
        yield made
    for name, table in TABLES.items():
        _parquet(table, rows_path(beside, name), folder / f"{name}.parquet", made.longest)


def rows_path(beside: Path, table: str) -> Path:
    """Return where a table's rows wait as lines of JSON."""
    return beside / f"{table}.ndjson"


def _parquet(table: Table, lines: Path, path: Path, longest: int) -> None:
    columns = {column.name: _TYPES.get(column.kind, "VARCHAR") for column in table.columns}
    with duckdb.connect(config={"memory_limit": MEMORY, "threads": 1, "temp_directory": str(lines.parent / "spilled")}) as held:
        held.execute("SET preserve_insertion_order = true")
        rows = held.read_json(str(lines), columns=columns, format="newline_delimited", maximum_object_size=longest)
        rows.select(", ".join(map(_select_expression, table.columns))).write_parquet(str(path), compression="zstd", row_group_size=_GROUP)


def _select_expression(column: TableColumn) -> str:
    return f'TRY_CAST("{column.name}" AS TIMESTAMP) AS "{column.name}"' if column.kind is CellType.TIME else f'"{column.name}"'
