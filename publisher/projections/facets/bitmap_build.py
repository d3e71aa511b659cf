"""Precompute bitmaps and sort orders of the facet tables for the pages.

Things are sorted by their IRIs; the number of a thing in this order is its *index*. numpy files
contain the thing of each index, the indexes in each sort order, and the organizations; a file of
Roaring bitmaps (https://roaringbitmap.org/) contains the indexes of each mark (a facet value with
its bases). ``bitmap_index`` maps the files into memory.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from threading import Thread
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from publisher.projections.facets.database import read_sql
from publisher.projections.facets.facets import KEYS, ORDERS

MEMORY = "512MiB"  # of memory; the rest is spilled to a folder beside the file
BITS = 3  # of a mark's key: the lowest bits are its bases, the higher ones its value
_SORTED = "SELECT index FROM thing_index WHERE $key IS NOT NULL ORDER BY $key, index"
# arrays by file name, each with the query whose columns fill them
_FILES: dict[tuple[str, ...], str] = {
    ("thing",): "SELECT thing FROM thing_index ORDER BY index",
    (
        "address",
        "addressed",
    ): "SELECT md5_number_lower(iri) AS address, index AS addressed FROM thing_index ORDER BY address",
    ("party", "body"): "SELECT index AS party, body FROM roles ORDER BY index, body",
    ("one", "other"): "SELECT DISTINCT one, other FROM pairs ORDER BY one, other",
    (
        "pair",
        "paired",
    ): "SELECT (dense_rank() OVER (ORDER BY one, other) - 1)::UINTEGER AS pair, index AS paired FROM pairs ORDER BY pair, paired",
    ("member", "cluster"): read_sql("members"),
    **{
        (f"by-{name}",): f"SELECT index FROM thing_index ORDER BY {order}, index"
        for name, order in ORDERS.items()
    },
    **{(f"key-{name}",): _SORTED.replace("$key", KEYS[name]) for name in ("title", "newest")},
}
_MARKS_PER_FETCH = 2_000_000
_INDEX_BITS = 32  # of the pairs of a mark and an index that marked.sql selects

Array = NDArray[Any]


class BitmapBuild:
    """Runs ``build_bitmaps`` on *tables* in a thread; *error* is the error that ended it, None if
    there was none.
    """

    def __init__(self, tables: Path) -> None:
        self.tables = tables
        self.error: duckdb.Error | OSError | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            build_bitmaps(self.tables)
        except (duckdb.Error, OSError) as error:
            self.error = error

    @property
    def done(self) -> bool:
        """Return whether the thread has ended."""
        return not self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the thread has ended, for at most *seconds*."""
        self._thread.join(seconds)


def build_bitmaps(tables: Path, memory: str = MEMORY) -> None:
    """Write the files into the folder of *tables*, a copy that no process reads yet; DuckDB uses at
    most *memory*.
    """
    spilled = str(tables.with_name("spilled"))
    with duckdb.connect(
        str(tables), config={"memory_limit": memory, "threads": 2, "temp_directory": spilled}
    ) as connection:
        connection.execute(read_sql("thing_index"))
        connection.execute(read_sql("organizations"))
        connection.execute(read_sql("spans"))
        connection.execute(read_sql("groups"))
        connection.execute(read_sql("organization-list"))
        for names, query in _FILES.items():
            columns = connection.execute(query).fetchnumpy()
            for name, column in zip(names, columns.values(), strict=True):
                np.save(tables.with_name(f"{name}.npy"), np.ascontiguousarray(column))
        _write_marks(connection, tables)


def _write_marks(connection: duckdb.DuckDBPyConnection, tables: Path) -> None:
    """Write all bitmaps into one file, and an array with the mark, start and end of each."""
    rows = list[tuple[int, int, int]]()
    with tables.with_name("marks.bin").open("wb") as out:
        for first, last in _ranges(connection):
            columns = connection.execute(
                read_sql("marked"), {"bits": BITS, "first": first, "last": last}
            ).fetchnumpy()
            pairs = np.sort(np.asarray(columns["mark"], dtype=np.uint64))
            marks, indexes = (pairs >> _INDEX_BITS) + (first << BITS), pairs.astype(np.uint32)
            ends = [*np.flatnonzero(np.diff(marks)) + 1, len(marks)]
            for start, end in zip([0, *ends], ends, strict=False):
                bits = BitMap(array("I", indexes[start:end].tobytes()))
                bits.run_optimize()
                start_offset = out.tell()
                out.write(bits.serialize())
                rows.append((int(marks[start]), start_offset, out.tell()))
    np.save(tables.with_name("marks.npy"), np.array(rows, dtype=np.int64).reshape(-1, 3))


def _ranges(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    """Split the values into ranges of about _MARKS_PER_FETCH marks each."""
    ranges, first, marks = list[tuple[int, int]](), -1, 0
    for value, count in connection.execute(
        "SELECT value, count(*) FROM marks GROUP BY value ORDER BY value"
    ).fetchall():
        first, marks = value if first < 0 else first, marks + count
        ranges = (
            [*ranges[:-1], (first, value)]
            if ranges and ranges[-1][0] == first
            else [*ranges, (first, value)]
        )
        first, marks = (-1, 0) if marks >= _MARKS_PER_FETCH else (first, marks)
    return ranges
