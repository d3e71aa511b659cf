"""Write the release tables: CSV row by row, and Parquet when all rows are written."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import duckdb
import orjson

from publisher.rdf.gzip_files import gzip_writer
from publisher.releases.tables.record_rows import Row
from publisher.releases.tables.schema import TABLES, CellType, Table, TableColumn

MEMORY = "192MiB"  # of memory for DuckDB; the rest is spilled
_DEFAULT_ROW_BYTES = 16 << 20  # DuckDB's default maximum
# rows of a group; a reader skips a group if its statistics exclude the condition
_ROW_GROUP = 20_000
_TYPES = {
    CellType.NUMBER: "BIGINT",
    CellType.DECIMAL: "DOUBLE",
    CellType.IRIS: "VARCHAR[]",
    CellType.WORDS: "VARCHAR[]",
}
_NAMES = {name: [column.name for column in table.columns] for name, table in TABLES.items()}


class _TextWriter:
    """A text writer for ``csv`` on a binary file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write a text."""
        self._file.write(text.encode())


class TableWriter:
    """Writes rows to CSV files in *folder*, and to JSON lines in *work_folder* for the conversion
    to Parquet.
    """

    def __init__(self, folder: Path, work_folder: Path, opened: ExitStack) -> None:
        work_folder.mkdir(parents=True, exist_ok=True)
        self._work_folder = work_folder
        self._csv = {
            name: csv.writer(
                _TextWriter(opened.enter_context(gzip_writer(folder / f"{name}.csv.gz")))
            )
            for name in TABLES
        }
        self._lines: dict[str, BinaryIO] = {
            name: opened.enter_context(rows_path(work_folder, name).open("wb")) for name in TABLES
        }
        self.rows = dict.fromkeys(TABLES, 0)
        self.max_row_bytes = _DEFAULT_ROW_BYTES
        for name, table in TABLES.items():
            self._csv[name].writerow([column.name for column in table.columns])

    def put(self, table: str, row: Row) -> None:
        """Write a row."""
        cells = [row[name] for name in _NAMES[table]]
        line = orjson.dumps(
            dict(zip(_NAMES[table], cells, strict=True)), option=orjson.OPT_APPEND_NEWLINE
        )
        self._lines[table].write(line)
        self._csv[table].writerow(
            [" ".join(map(str, cell)) if isinstance(cell, list) else cell for cell in cells]
        )
        self.rows[table] += 1
        self.max_row_bytes = max(self.max_row_bytes, len(line))


@contextmanager
def write_tables(folder: Path, work_folder: Path) -> Iterator[TableWriter]:
    """Write all tables into *folder*: CSV while the context is open, Parquet at its end;
    *work_folder* is for temporary files.
    """
    with ExitStack() as opened:
        writer = TableWriter(folder, work_folder, opened)
        yield writer
    for name, table in TABLES.items():
        _parquet(
            table, rows_path(work_folder, name), folder / f"{name}.parquet", writer.max_row_bytes
        )


def rows_path(work_folder: Path, table: str) -> Path:
    """Return the path of the JSON lines of a table."""
    return work_folder / f"{table}.ndjson"


def _parquet(table: Table, lines: Path, path: Path, max_row_bytes: int) -> None:
    columns = {column.name: _TYPES.get(column.kind, "VARCHAR") for column in table.columns}
    with duckdb.connect(
        config={
            "memory_limit": MEMORY,
            "threads": 1,
            "temp_directory": str(lines.parent / "spilled"),
        }
    ) as connection:
        connection.execute("SET preserve_insertion_order = true")
        rows = connection.read_json(
            str(lines),
            columns=columns,
            format="newline_delimited",
            maximum_object_size=max_row_bytes,
        )
        rest = [column.name for column in table.columns if column.name not in table.order]
        # all: a release made again has the same bytes
        ordered = rows.order(", ".join(f'"{name}"' for name in (*table.order, *rest)))
        selected = ordered.select(", ".join(map(_select_expression, table.columns)))
        selected.write_parquet(str(path), compression="zstd", row_group_size=_ROW_GROUP)


def _select_expression(column: TableColumn) -> str:
    return (
        f'TRY_CAST("{column.name}" AS TIMESTAMP) AS "{column.name}"'
        if column.kind is CellType.TIME
        else f'"{column.name}"'
    )
