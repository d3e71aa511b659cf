"""The file of the facet tables, open for writing by one process; a crash leaves it consistent.

Source: https://duckdb.org/docs/stable/connect/concurrency (one process writes; copies are opened
read-only).
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from functools import cache
from importlib.metadata import version
from pathlib import Path

import duckdb

from publisher.projections.facets.properties import coded_properties
from publisher.projections.statement_source import STATEMENTS, TEXTS
from vocab.iris import KINDS, Iris
from vocab.terms import ORG

FORMAT = 11  # increase it with every change of the stored form, so that the tables are rebuilt
BUILD_VERSION = f"{FORMAT} duckdb-{version('duckdb').partition('.')[0]}"
MEMORY = "512MiB"  # of memory; the rest is spilled to a folder beside the file
_SQL = Path(__file__).parent / "sql"


@cache
def read_sql(name: str) -> str:
    """Return the text of the file *name*."""
    return (_SQL / f"{name}.sql").read_text()


class Database:
    """The tables in the file *path*; statements that rows are made of are in the folder *files*."""

    def __init__(self, path: Path, iris: Iris, memory: str = MEMORY) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._iris, self._memory = path, iris, memory
        self.files = path.with_name("statements")
        shutil.rmtree(self.files, ignore_errors=True)
        self.files.mkdir()
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
        """Create the tables if there are none, in one transaction, and the temporary ones."""
        if not self._connection.execute(
            "SELECT 1 FROM duckdb_tables() WHERE table_name = 'checkpoint'"
        ).fetchall():
            self._connection.execute(f"BEGIN; {read_sql('schema')} COMMIT")
        self._connection.execute(read_sql("temporary"))
        for name, value in (("base", self._iris.base), ("organization", f"{ORG}Organization")):
            self._connection.execute(f"SET VARIABLE {name} = $value", {"value": value})
        self._connection.executemany("INSERT INTO kinds VALUES (?, ?)", list(enumerate(KINDS, 1)))
        self._connection.executemany(
            "INSERT INTO coded VALUES (?, ?, ?, ?, ?, ?, ?)", coded_properties(self._iris)
        )

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

    def replace_records(self, iris: Collection[str]) -> None:
        """Replace the rows of *iris*, and of the things of the records whose statements are in
        *files*, by what these say of them.
        """
        self._replace("record-topics", iris)

    def replace_organizations(self, iris: Collection[str]) -> None:
        """Replace the rows of *iris* by those of the organizations whose statements are in *files*."""
        self._replace("organization-topics", iris)

    def _replace(self, topics: str, iris: Collection[str]) -> None:
        for name in (STATEMENTS, TEXTS):
            self._connection.read_parquet(str(self.files / name)).create_view(Path(name).stem)
        self._connection.execute(read_sql(topics))
        if iris:  # new tables have no rows to replace
            self._connection.execute(
                "CREATE OR REPLACE TEMP TABLE removed_iris AS SELECT unnest($iris) AS iri UNION SELECT iri FROM topics",
                {"iris": list(iris)},
            )
            self._connection.execute(read_sql("delete"))
        self._connection.execute(read_sql("insert"))
        self._connection.execute("INSERT INTO changed SELECT thing FROM inserted")
        for name in (STATEMENTS, TEXTS):
            (self.files / name).unlink()

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
