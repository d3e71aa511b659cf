"""Precompute bitmaps and orders of the tables, so that pages only look them up.

Things are sorted by their addresses, and the number of a thing in this order is its *place*. Files of numpy arrays hold the thing of each
place, the places in each order, and the participants; a file of Roaring bitmaps (https://roaringbitmap.org/) holds the places of each
mark. Readers map the files into memory: see ``bitmap_index``.
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

from publisher.facets.database import read_sql
from publisher.facets.facets import KEYS, ORDERS

MEMORY = "512MiB"  # what may be held; more of it waits beside
BITS = 3  # of a mark's key: the lowest bits are its bases, the others its value
_SORTED = "SELECT place FROM placed WHERE $key IS NOT NULL ORDER BY $key, place"
_FILES: dict[tuple[str, ...], str] = {  # each with the query that fills its arrays, one for each column
    ("thing",): "SELECT thing FROM placed ORDER BY place",
    ("address", "addressed"): "SELECT md5_number_lower(iri) AS address, place AS addressed FROM placed ORDER BY address",
    ("party", "body"): "SELECT place AS party, body FROM roles ORDER BY place, body",
    ("one", "other"): "SELECT DISTINCT one, other FROM pairs ORDER BY one, other",
    ("pair", "paired"): "SELECT (dense_rank() OVER (ORDER BY one, other) - 1)::UINTEGER AS pair, place AS paired FROM pairs",
    **{(f"by-{name}",): f"SELECT place FROM placed ORDER BY {order}, place" for name, order in ORDERS.items()},
    **{(f"key-{name}",): _SORTED.replace("$key", KEYS[name]) for name in ("title", "newest")},
}
_STEP = 2_000_000  # marks that are brought at once

Array = NDArray[Any]


class BitmapBuild:
    """Runs ``build_bitmaps`` on *tables* in a thread; *error* is what ended it, None if nothing did."""

    def __init__(self, tables: Path) -> None:
        self.tables = tables
        self.error: duckdb.Error | OSError | None = None
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            build_bitmaps(self.tables)
        except (duckdb.Error, OSError) as error:
            self.error = error

    @property
    def done(self) -> bool:
        """Return whether the thread has ended."""
        return not self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the thread has ended, for *seconds* at most."""
        self._thread.join(seconds)


def build_bitmaps(tables: Path, memory: str = MEMORY) -> None:
    """Write the files beside *tables*, a file of a state of its own that nobody reads yet; DuckDB holds at most *memory*."""
    spilled = str(tables.with_name("spilled"))
    with duckdb.connect(str(tables), config={"memory_limit": memory, "threads": 1, "temp_directory": spilled}) as held:
        held.execute(read_sql("placed"))
        held.execute(read_sql("bodies"))
        held.execute(read_sql("spans"))
        for names, query in _FILES.items():
            columns = held.execute(query).fetchnumpy()
            for name, column in zip(names, columns.values(), strict=True):
                np.save(tables.with_name(f"{name}.npy"), np.ascontiguousarray(column))
        _write_marks(held, tables)


def _write_marks(held: duckdb.DuckDBPyConnection, tables: Path) -> None:
    """Write the bitmaps one after the other, and an array of each one's mark, beginning and end."""
    rows = list[tuple[int, int, int]]()
    with tables.with_name("marks.bin").open("wb") as out:
        for first, last in _ranges(held):
            columns = held.execute(read_sql("marked"), {"bits": BITS, "first": first, "last": last}).fetchnumpy()
            marks, places = np.asarray(columns["mark"]), np.asarray(columns["place"], dtype=np.uint32)
            ends = [*np.flatnonzero(np.diff(marks)) + 1, len(marks)]
            for start, end in zip([0, *ends], ends, strict=False):
                bits = BitMap(array("I", places[start:end].tobytes()))
                bits.run_optimize()
                at = out.tell()
                out.write(bits.serialize())
                rows.append((int(marks[start]), at, out.tell()))
    np.save(tables.with_name("marks.npy"), np.array(rows, dtype=np.int64).reshape(-1, 3))


def _ranges(held: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    """Part the values so that each part has about as many marks as are brought at once."""
    ranges, first, marks = list[tuple[int, int]](), -1, 0
    for value, count in held.execute("SELECT value, count(*) FROM marks GROUP BY value ORDER BY value").fetchall():
        first, marks = value if first < 0 else first, marks + count
        ranges = [*ranges[:-1], (first, value)] if ranges and ranges[-1][0] == first else [*ranges, (first, value)]
        first, marks = (-1, 0) if marks >= _STEP else (first, marks)
    return ranges
