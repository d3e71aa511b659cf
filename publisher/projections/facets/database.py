"""The file of the facet tables, open for writing by one process; a crash leaves it consistent.

Source: https://duckdb.org/docs/stable/connect/concurrency (one process writes; copies are opened
read-only).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

import duckdb
import orjson

from publisher.projections.facets.thing_rows import Row

FORMAT = 7  # increase it with every change of the stored form, so that the tables are rebuilt
BUILD_VERSION = f"{FORMAT} duckdb-{version('duckdb').partition('.')[0]}"
MEMORY = "512MiB"  # of memory; the rest is spilled to a folder beside the file
_SQL = Path(__file__).parent / "sql"
_COLUMNS = {
    **dict.fromkeys(("iri", "source", "record", "title", "language", "begins", "ends"), "VARCHAR"),
    **dict.fromkeys(("issued", "first_seen", "changed", "venue", "whole"), "VARCHAR"),
    "kind": "UTINYINT",
    "cancelled": "BOOLEAN",
    "marks": "STRUCT(facet VARCHAR, code VARCHAR, bases UTINYINT)[]",
    "parties": "STRUCT(organization VARCHAR, roles UTINYINT)[]",
    "prizes": "STRUCT(category VARCHAR, stage VARCHAR, year VARCHAR)[]",
    "classes": "VARCHAR[]",
}
_MAX_ROW_BYTES = 64 << 20


@cache
def read_sql(name: str) -> str:
    """Return the text of the file *name*."""
    return (_SQL / f"{name}.sql").read_text()


class Database:
    """The tables in the file *path*; rows to insert are written to a file beside it."""

    def __init__(self, path: Path, memory: str = MEMORY) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._lines, self._memory = path, path.with_name("new-rows.ndjson"), memory
        self._connection = self._connect()
        try:
            self._create_tables()
        except duckdb.Error:
            self.close()  # otherwise a new file at this path would be opened as this one
            raise

    def _connect(self) -> duckdb.DuckDBPyConnection:
        spilled = str(self._path.with_name("spilled"))
        return duckdb.connect(
            str(self._path),
            config={"memory_limit": self._memory, "threads": 2, "temp_directory": spilled},
        )

    def _create_tables(self) -> None:
        """Create the tables if there are none, in one transaction."""
        if not self._connection.execute(
            "SELECT 1 FROM duckdb_tables() WHERE table_name = 'checkpoint'"
        ).fetchall():
            self._connection.execute(f"BEGIN; {read_sql('schema')} COMMIT")
        self._connection.execute("CREATE TEMP TABLE changed (thing UINTEGER)")

    def checkpoint(self) -> tuple[int, str, str]:
        """Return the number and id of the last journal entry, and the version that wrote the
        tables.
        """
        rows = self._connection.execute(
            "SELECT position, entry, version FROM checkpoint"
        ).fetchall()  # an open result blocks `read_json`
        return rows[0] if rows else (0, "", "")

    @property
    def has_rows(self) -> bool:
        """Return whether the tables have rows, committed with a checkpoint or not."""
        ((has_rows,),) = self._connection.execute(
            "SELECT EXISTS (FROM things) OR EXISTS (FROM checkpoint)"
        ).fetchall()
        return bool(has_rows)

    def begin(self) -> None:
        """Begin a transaction, which ``commit`` ends."""
        self._connection.execute("BEGIN")
        self._connection.execute("DELETE FROM changed")

    def flush(self) -> None:
        """Write the new rows to disk to free memory; the checkpoint changes only by ``commit``."""
        self._connection.execute("COMMIT; BEGIN")

    def replace(self, iris: Iterable[str], rows: Iterable[Row]) -> None:
        """Replace the rows of *iris* by *rows*."""
        self._lines.write_bytes(b"".join(map(serialize_row, rows)))
        if removed := list(iris):
            self._connection.execute(
                "CREATE OR REPLACE TEMP TABLE removed_iris AS SELECT unnest($iris) AS iri",
                {"iris": removed},
            )
            self._connection.execute(read_sql("delete"))
        self.load(self._lines)
        self._lines.unlink()

    def load(self, lines: Path, max_row_bytes: int = _MAX_ROW_BYTES) -> None:
        """Insert new rows from a file of JSON lines, compressed or not; a row has at most
        *max_row_bytes* bytes.
        """
        relation = self._connection.read_json(
            str(lines),
            columns=_COLUMNS,
            format="newline_delimited",
            maximum_object_size=max_row_bytes,
        )
        relation.create_view("new_rows", replace=True)
        self._connection.execute(read_sql("insert"))
        self._connection.execute("INSERT INTO changed SELECT thing FROM inserted")

    def set_regions(self, pairs: set[tuple[str, str]]) -> None:
        """Store the pairs of area and region; if they changed, recompute the facets of all things."""
        if pairs != set(self._connection.execute("SELECT area, region FROM regions").fetchall()):
            self._connection.execute("DELETE FROM regions")
            areas = [area for area, _ in sorted(pairs)]
            regions = [region for _, region in sorted(pairs)]
            self._connection.execute(
                "INSERT INTO regions SELECT unnest($areas), unnest($regions)",
                {"areas": areas, "regions": regions},
            )
            self._connection.execute(
                "DELETE FROM changed; INSERT INTO changed SELECT thing FROM things"
            )

    def set_clusters(self, pairs: set[tuple[str, str]]) -> None:
        """Store the pairs of a member and its cluster, both IRIs."""
        self._connection.execute("DELETE FROM clusters")
        members = [member for member, _ in sorted(pairs)]
        clusters = [cluster for _, cluster in sorted(pairs)]
        text = "INSERT INTO clusters SELECT unnest($members), unnest($clusters)"
        self._connection.execute(text, {"members": members, "clusters": clusters})

    def commit(self, position: int, entry: str) -> None:
        """Commit the changes up to a journal entry, with their derived rows."""
        self._connection.execute(read_sql("changed-parties"))
        self._connection.execute(read_sql("derive"))
        self._connection.execute("DELETE FROM checkpoint")
        self._connection.execute(
            "INSERT INTO checkpoint VALUES ($position, $entry, $version)",
            {"position": position, "entry": entry, "version": BUILD_VERSION},
        )
        self._connection.execute("COMMIT")

    def copy(self, path: Path) -> None:
        """Copy the committed tables to the file *path*, and free the memory that they took."""
        self._connection.execute("CHECKPOINT")
        self.close()
        shutil.copyfile(self._path, path)
        self._connection = self._connect()
        self._create_tables()

    def close(self) -> None:
        """Close the file; what was not committed is lost."""
        self._connection.close()


def serialize_row(row: Row) -> bytes:
    """Return a row as a JSON line for ``load``."""
    return orjson.dumps(_with_field_names(row), option=orjson.OPT_APPEND_NEWLINE)


def _with_field_names(row: Row) -> Row:
    marks, parties, prizes = row["marks"], row["parties"], row["prizes"]
    assert isinstance(marks, list)
    assert isinstance(parties, list)
    assert isinstance(prizes, list)
    return {
        **row,
        "marks": [{"facet": facet, "code": code, "bases": bases} for facet, code, bases in marks],
        "parties": [
            {"organization": organization, "roles": roles} for organization, roles in parties
        ],
        "prizes": [
            {"category": category, "stage": stage, "year": year} for category, stage, year in prizes
        ],
    }
