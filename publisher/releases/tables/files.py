"""Write the release tables: CSV row by row, and Parquet when all rows are written.

The initiatives are written last: which of them count once together depends on all rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import duckdb
import orjson

from publisher.projections.facets.facets import read_sql
from publisher.rdf.gzip_files import gzip_writer
from publisher.releases.sorting import Sorter
from publisher.releases.tables.record_rows import Row
from publisher.releases.tables.schema import (
    INITIATIVES,
    MERGED,
    TABLES,
    CellType,
    Table,
    TableColumn,
)

MEMORY = "192MiB"  # of memory for DuckDB; the rest is spilled
_DEFAULT_ROW_BYTES = 16 << 20  # DuckDB's default maximum
# rows of a group, which DuckDB holds in memory while it writes them, if they have at most so many
# bytes; a reader skips a group if its statistics exclude the condition
_ROW_GROUP, _ROW_GROUP_BYTES = 20_000, 24 << 20
_TYPES = {
    CellType.NUMBER: "BIGINT",
    CellType.DECIMAL: "DOUBLE",
    CellType.IRIS: "VARCHAR[]",
    CellType.WORDS: "VARCHAR[]",
}
# JSON lines of rows are sorted: by these columns first, then by all, so a release that is made again
# has the same bytes
_SORTED_NAMES = {
    name: list(dict.fromkeys([*table.order, *(column.name for column in table.columns)]))
    for name, table in TABLES.items()
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
    """Writes rows to CSV files in *folder*, and sorts them as JSON lines in *work_folder* for the
    conversion to Parquet.
    """

    def __init__(self, folder: Path, work_folder: Path, opened: ExitStack) -> None:
        work_folder.mkdir(parents=True, exist_ok=True)
        self._csv = {
            name: csv.writer(
                _TextWriter(opened.enter_context(gzip_writer(folder / f"{name}.csv.gz")))
            )
            for name in TABLES
            if name != INITIATIVES.name
        }
        self._sorters = {name: Sorter(work_folder / name) for name in TABLES}
        self.rows = dict.fromkeys(TABLES, 0)
        self.max_row_bytes = _DEFAULT_ROW_BYTES
        for name, lines in self._csv.items():
            lines.writerow(_NAMES[name])

    def put(self, table: str, row: Row) -> None:
        """Write a row."""
        line = orjson.dumps(
            {name: row[name] for name in _SORTED_NAMES[table]}, option=orjson.OPT_APPEND_NEWLINE
        )
        self._sorters[table].add([line])
        if table in self._csv:
            self._csv[table].writerow(_cells(table, row))
        self.rows[table] += 1
        self.max_row_bytes = max(self.max_row_bytes, len(line))

    def write_sorted(self, table: str, path: Path) -> None:
        """Write the rows of a table as JSON lines, in the order of the table's columns for that, to
        the file *path*; no row can be written afterwards.
        """
        with path.open("wb") as file:
            file.writelines(self._sorters[table].sorted())


@contextmanager
def write_tables(folder: Path, work_folder: Path) -> Iterator[TableWriter]:
    """Write all tables into *folder*: CSV while the context is open, Parquet at its end;
    *work_folder* is for temporary files.
    """
    with ExitStack() as opened:
        writer = TableWriter(folder, work_folder, opened)
        yield writer
    for name in TABLES:
        writer.write_sorted(name, work_folder / f"{name}.ndjson")
    _write_initiatives(folder, work_folder, writer.max_row_bytes)
    for name, table in TABLES.items():
        lines = work_folder / f"{name}.ndjson"
        _parquet(table, lines, folder / f"{name}.parquet", writer.rows[name], writer.max_row_bytes)
        lines.unlink()


def _cells(table: str, row: Row) -> list[object]:
    cells = [row[name] for name in _NAMES[table]]
    return [" ".join(map(str, cell)) if isinstance(cell, list) else cell for cell in cells]


def _write_initiatives(folder: Path, work_folder: Path, max_row_bytes: int) -> None:
    """Write the CSV of the initiatives, and their lines again, each with its cluster."""
    name, lines = INITIATIVES.name, work_folder / f"{INITIATIVES.name}.ndjson"
    before = lines.rename(lines.with_suffix(".before"))
    clusters = _clusters(before, work_folder / f"{MERGED.name}.ndjson", max_row_bytes)
    with (
        gzip_writer(folder / f"{name}.csv.gz") as file,
        before.open("rb") as rows,
        lines.open("wb") as out,
    ):
        table = csv.writer(_TextWriter(file))
        table.writerow(_NAMES[name])
        for line in rows:
            row = orjson.loads(line)
            row["cluster"] = clusters.get(row["thing"], row["thing"])
            table.writerow(_cells(name, row))
            out.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    before.unlink()


def _clusters(initiatives: Path, merged: Path, max_row_bytes: int) -> dict[str, str]:
    """Return the address under which each initiative counts that counts with others, as on pages."""
    spilled = str(initiatives.parent / "spilled")
    with duckdb.connect(
        config={"memory_limit": MEMORY, "threads": 1, "temp_directory": spilled}
    ) as connection:
        for table, lines, columns, selected in (
            ("things", initiatives, ("thing", "source", "title", "part_of"),
             "row_number() OVER () AS thing, thing AS iri, 1 AS kind, source, title, NULL::VARCHAR[] AS other_titles, "
             "list_filter([part_of], lambda one: one <> '') AS wholes"),
            ("clusters", merged, ("thing", "cluster"), "thing AS iri, cluster"),
        ):  # fmt: skip
            rows = connection.read_json(
                str(lines),
                columns=dict.fromkeys(columns, "VARCHAR"),
                format="newline_delimited",
                maximum_object_size=max_row_bytes,
            )
            rows.select(selected).create(table)
        connection.execute(read_sql("groups"))
        query = "SELECT iri, cluster FROM groups_now JOIN things USING (thing)"
        return dict(connection.execute(query).fetchall())


def _parquet(table: Table, lines: Path, path: Path, row_count: int, max_row_bytes: int) -> None:
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
        selected = rows.select(", ".join(map(_select_expression, table.columns)))
        row_bytes = lines.stat().st_size // max(1, row_count) + 1
        row_group = max(1, min(_ROW_GROUP, _ROW_GROUP_BYTES // row_bytes))
        selected.write_parquet(str(path), compression="zstd", row_group_size=row_group)


def _select_expression(column: TableColumn) -> str:
    return (
        f'TRY_CAST("{column.name}" AS TIMESTAMP) AS "{column.name}"'
        if column.kind is CellType.TIME
        else f'"{column.name}"'
    )
