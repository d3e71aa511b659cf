"""The projection of the journal into the columns and the tables of things.

The position in the journal is part of each transaction: after a crash the columns continue from
their last commit. An entry that changes much of them is committed in parts: after a crash within it
the columns are rebuilt.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

import duckdb
import numpy as np
import structlog
from numpy.typing import NDArray
from pyoxigraph import Quad, RdfFormat, parse

from journal.errors import JournalError
from publisher.database import attach, sql
from publisher.projections.projection import JournalReader, Subjects
from publisher.rdf.results import Term
from publisher.store.change_writer import LEAD
from publisher.store.columns.database import BUILD_VERSION, MEMORY, ColumnDatabase
from publisher.store.columns.terms import TermKind, term_id, text_sql
from publisher.store.snapshots import newest_snapshot
from vocab.iris import Iris

WORK = "work.duckdb"
FILE = "columns.duckdb"

log = structlog.get_logger(component="columns")


class StatusGraph(NamedTuple):
    """The quads of the graph of the store that is not in the journal, and their *digest*."""

    digest: str
    quads: Iterable[Quad]


class ColumnUpdater:
    """The columns and tables in *folder*: the file ``work.duckdb``, with the current *status* graph,
    and the base of its copies in snapshots.

    A file that another version wrote, that belongs to another journal, or that cannot be opened is
    built again.
    """

    name = subfolder = "columns"
    errors: tuple[type[Exception], ...] = (duckdb.Error, OSError, ValueError)
    snapshot_wait = 1.0

    def __init__(
        self,
        folder: Path,
        reader: JournalReader,
        status: Callable[[], StatusGraph] = lambda: StatusGraph("", ()),
    ) -> None:
        self._folder, self._reader, self._status = folder, reader, status
        self._open()

    def _open(self) -> None:
        path, iris = self._folder / WORK, Iris(self._reader.base)
        try:
            self._database = ColumnDatabase(path, iris)
            self.checkpoint, entry, version, _ = self._database.checkpoint()
            if version != BUILD_VERSION or not self._reader.contains(self.checkpoint, entry):
                self._database.close()
                raise ValueError(f"they are of another version ({version}) or journal")
        except (duckdb.Error, ValueError) as error:
            log.info("no usable columns; building them", reason=str(error))
            shutil.rmtree(self._folder, ignore_errors=True)
            self._database, self.checkpoint = ColumnDatabase(path, iris), 0
        self.quads = self._database.quads  # without the status graph
        self._stored_status: str | None = None  # its digest, None until it is stored again

    @property
    def statements(self) -> ColumnStatements:
        return ColumnStatements(lambda query, values: self._database.read(query, values))

    def stated(self, rows: Sequence[bytes]) -> set[int]:
        """Return the places of those *rows* of the journal whose triple is in some graph."""
        return self._database.stated(rows)

    def is_at(self, position: int) -> bool:
        """Return whether it has stored all up to the entry *position*, and the current status graph."""
        return self.checkpoint == position and self._stored_status == self._status().digest

    def advance(self, position: int, entry: str) -> Iterator[None]:
        """Store the changes up to *position*, the entry with the id *entry*; yield between batches."""
        if self.checkpoint != position:
            changes = self._database.begin()
            entries = self._reader.journal.entries(self.checkpoint)
            try:
                new = islice(entries, position - self.checkpoint)
                yield from self._database.apply(changes.read(new))
            except JournalError:
                self._database.close()  # which forgets what was begun
                raise
            self._database.commit(position, entry)
            self.checkpoint, self.quads = position, self._database.quads
        status = self._status()
        self._database.replace_status(
            [f"A {' '.join(map(str, quad))} .".encode() for quad in status.quads]
        )
        self._stored_status = status.digest

    def write(self, folder: Path) -> None:
        """Write a copy of the file into *folder*, which does not exist yet."""
        if fault := self._database.checkpoint()[3]:
            log.error(
                "columns cannot hold the data; the RDF store answers queries, but none of named graphs",
                error=fault,
            )
        if newest := newest_snapshot(self._folder.parent / "snapshots"):
            self._database.announce(newest.columns, newest.first_appeared + LEAD)
        folder.mkdir(parents=True)
        self._database.link_copy(folder / FILE)

    def reset(self) -> None:
        """Delete the file, so that it is rebuilt."""
        self._database.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._open()

    def close(self) -> None:
        """Close the file; what was not committed is lost."""
        self._database.close()


_PAGE = 20_000  # numbers whose names are looked up at once: 2 MB


class ColumnStatements:
    """The statements in the columns over which *read* runs a query with parameters."""

    def __init__(
        self, read: Callable[[str, Mapping[str, object]], duckdb.DuckDBPyConnection]
    ) -> None:
        self._run = read

    def graphs(self, names: Collection[str], predicates: Collection[str]) -> dict[str, Subjects]:
        """Return the statements of each of the graphs *names* with one of *predicates*; a graph
        without any is empty.
        """
        return self._read("quads", "g", names, predicates)

    def subjects(self, names: Collection[str], predicates: Collection[str]) -> Subjects:
        """Return the statements of the default graph about each of *names* with one of
        *predicates*; a subject without any is empty.
        """
        read = self._read("triples", "s", names, predicates)
        return {name: subjects.get(name, {}) for name, subjects in read.items()}

    def quads(self, graph: str | None = None) -> Iterator[Quad]:
        """Yield all quads of the named graphs, or those of *graph*."""
        texts = ", ".join(f"{text_sql(f'{place}.')}" for place in "spog")
        terms = " ".join(f"JOIN terms {place} ON {place}.id = q.{place}" for place in "spog")
        where = "q.g <> 0" if graph is None else f"q.g = {_number(graph)}::UBIGINT"
        rows = self._run(f"SELECT {texts} FROM quads q {terms} WHERE {where}", {})
        while page := rows.fetchmany(_PAGE):
            lines = "".join(" ".join(row) + " .\n" for row in page)
            yield from parse(lines, RdfFormat.N_QUADS, lenient=True)

    def subjects_with(
        self, predicates: Collection[str], objects: Collection[str] = ()
    ) -> Iterator[str]:
        """Yield each subject of the default graph with one of *predicates* once; with one of
        *objects* if there are any, which are IRIs.
        """
        query = f"SELECT DISTINCT s AS id FROM triples WHERE p IN ({_numbers_sql(predicates)})"
        if objects:
            query += " AND o IN (SELECT unnest($objects::UBIGINT[]))"
        parameters = {"objects": list(map(_number, objects))} if objects else {}
        read = self._run(f"{query} ORDER BY id", parameters).fetchnumpy()
        ids = cast("NDArray[np.uint64]", read["id"])  # only the numbers are in memory
        for start in range(0, len(ids), _PAGE):
            rows = self._run(
                f"""SELECT lexical FROM terms
                WHERE kind = {TermKind.IRI:d} AND id IN (SELECT unnest($page::UBIGINT[])) ORDER BY id""",
                {"page": ids[start : start + _PAGE].tolist()},
            ).fetchall()
            yield from (name for (name,) in rows)

    def _read(
        self, table: str, place: str, names: Collection[str], predicates: Collection[str]
    ) -> dict[str, Subjects]:
        """Return the statements by the graph or subject, as the column *place* says."""
        results: dict[str, Subjects] = {name: {} for name in names}
        if not results:
            return results
        places, properties = (
            {_number(name): name for name in iris} for iris in (results, predicates)
        )
        self._run(
            f"""CREATE OR REPLACE TEMP TABLE selected AS SELECT {place} AS place, s, p, o FROM {table}
            WHERE p IN ({_numbers_sql(predicates)}) AND {place} IN (SELECT unnest($places::UBIGINT[]))""",
            {"places": list(places)},
        )
        self._run(sql("selected-texts"), {})
        # Each term is read once, since most are repeated.
        values = [Term(*row) for row in self._run(sql("selected-values"), {}).fetchall()]
        columns = self._run(sql("selected-rows"), {}).fetchnumpy()
        self._run("DROP TABLE selected; DROP TABLE texts", {})
        rows = zip(*(columns[name].tolist() for name in ("place", "s", "p", "o")), strict=True)
        for number, subject, predicate, value in rows:
            statements = results[places[number]].setdefault(values[subject].value, {})
            statements.setdefault(properties[predicate], []).append(values[value])
        return results


@contextmanager
def open_statements(path: Path) -> Iterator[ColumnStatements]:
    """Open the file *path* of columns, which no process writes."""
    with attach(path, memory_limit=MEMORY, threads=2) as connection:
        yield ColumnStatements(lambda query, values: connection.execute(query, dict(values)))


def _number(iri: str) -> int:
    return term_id(f"<{iri}>")


def _numbers_sql(iris: Collection[str]) -> str:
    return ", ".join(str(_number(iri)) for iri in iris)
