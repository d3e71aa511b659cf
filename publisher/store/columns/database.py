"""The file of the columns: terms, sorted by their numbers, quads of numbers, sorted by graph, and the
triples of their merge, sorted by predicate.

One process writes it; copies are opened read-only
(https://duckdb.org/docs/stable/connect/concurrency). A copy is a base file, which all copies share
until it is written anew, and DuckDB's log of what has changed since, which is read when the copy is
opened.

The tables of things, by which pages count, are in the same file. The things that a transaction has
touched are read again, so that applying an entry twice changes nothing; what depends on several
things (clusters, regions, types of organizations) is compared with what is stored, so that only
differences are written.

The position in the journal is part of each transaction: after a crash the columns continue from
their last commit. An entry that changes much of them is committed in parts: after a crash within it
the columns are rebuilt.

Python splits the rows of the journal and hashes each new term once; DuckDB derives the parts of
terms from their texts.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple, cast

import duckdb
import numpy as np
import structlog
from numpy.typing import NDArray
from pyoxigraph import Quad, RdfFormat, parse

from journal.errors import JournalError
from publisher.data.properties import (
    areas_within,
    coded_properties,
    named_properties,
)
from publisher.data.tables import attach, connect, sql
from publisher.rdf import (
    DEFAULT_GRAPH,
    Term,
    TermKind,
    digest,
    is_unchanged,
    stored_rows,
    term_id,
    text_sql,
)
from publisher.store.changes import LEAD, ChangeWriter, JournalReader, in_batches, read_arrived
from publisher.store.process import trim_memory
from publisher.store.snapshots import newest_snapshot
from vocab.iris import KINDS, Iris
from vocab.lookup import AREA
from vocab.terms import ORG, PROV

log = structlog.get_logger(component="columns")

READ_BATCH = 10_000  # graphs or organizations that are read at once: about 0.7 s


# The terms of at most CACHED_LENGTH bytes whose numbers are cached: about 40 MB.
CACHED_TERMS, CACHED_LENGTH = 200_000, 400
_HASHES = np.dtype([("id", "<u8"), ("check", "<u4")])


class Stage:
    """Encoded rows in the temporary tables ``staged (n, added, g, s, p, o)`` and ``staged_terms``
    of *connection*.

    *fault* says why the columns lack something, "" if they do not: of two terms with the same
    number the first is kept.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, fault: str = "") -> None:
        self._connection, self.fault = connection, fault
        self._numbers = {b"": DEFAULT_GRAPH}  # of terms by their N-Triples forms
        self.rows = 0  # number of rows in ``staged``
        self.text_bytes = 0  # of the N-Triples forms of ``staged_terms``
        connection.execute(sql("staged"))

    def add(self, rows: Sequence[bytes]) -> None:
        """Encode the rows ``A <s> <p> <o> <g> .`` and ``D ...``. Raises ValueError if one is not a
        row, or has a quoted triple.
        """
        operations, *terms = _split(rows)
        arrived = [text for text in dict.fromkeys(chain(*terms)) if text not in self._numbers]
        self._stage_terms(arrived)
        columns: dict[str, NDArray[np.generic]] = {
            name: np.fromiter(map(self._numbers.__getitem__, column), np.uint64, len(column))
            for name, column in zip("spog", terms, strict=True)
        }
        columns["n"] = np.arange(self.rows, self.rows + len(rows), dtype=np.int64)
        columns["added"] = np.array([operation == b"A" for operation in operations], np.bool_)
        read_arrived(self._connection, "INSERT INTO staged BY NAME FROM arrived", columns)
        self.rows += len(rows)
        for text in arrived:
            if len(text) > CACHED_LENGTH:
                del self._numbers[text]
        if len(self._numbers) > CACHED_TERMS:
            self._numbers = {b"": DEFAULT_GRAPH}

    def insert_terms(self) -> None:
        if self._connection.execute(sql("collisions")).fetchall():
            self.fault = self.fault or "two terms have the same 64-bit hash"
        self._connection.execute(sql("insert-terms"))
        self.text_bytes = 0

    def clear(self) -> None:
        self._connection.execute("DELETE FROM staged")
        self.rows = 0

    def _stage_terms(self, texts: Sequence[bytes]) -> None:
        """Stage the terms *texts*, which get their numbers. Terms that the RDF store normalizes get
        the numbers of their normalized forms.
        """
        self.text_bytes += sum(map(len, texts))
        plain = [text for text in texts if is_unchanged(text)]
        columns = _hashed(plain)
        columns["text"] = _objects([text.decode() for text in plain])
        self._numbers.update(zip(plain, columns["id"].tolist(), strict=True))
        read_arrived(self._connection, sql("stage-terms"), columns)
        if special := [text for text in texts if not is_unchanged(text)]:
            rows = stored_rows(special)
            self._numbers.update(zip(special, (row.id for row in rows), strict=True))
            columns = _hashed([row.text.encode() for row in rows])
            columns["kind"] = np.array([row.kind for row in rows], np.uint8)
            columns["written"] = _objects([row.text for row in rows])
            for name in ("whole", "lexical", "datatype", "language"):
                columns[name] = _objects([getattr(row, name) for row in rows])
            read_arrived(self._connection, "INSERT INTO staged_terms BY NAME FROM arrived", columns)


def _split(rows: Sequence[bytes]) -> tuple[list[bytes], ...]:
    """Return the operations, subjects, predicates, objects and graphs of rows. Raises ValueError if
    one is not a row.

    >>> _split([b'A <s:s> <p:p> "a b" <g:g> .'])
    ([b'A'], [b'<s:s>'], [b'<p:p>'], [b'"a b"'], [b'<g:g>'])
    """
    operations, subjects, predicates, values, graphs = (list[bytes]() for _ in range(5))
    # Subject and graph are often those of the row before: reusing the object reuses its hash.
    last_subject = last_graph = b""
    for row in rows:  # A list for each row would slow down the garbage collector.
        operation, subject, predicate, rest = row.split(b" ", 3)
        value, graph, _ = rest.rsplit(b" ", 2)
        last_subject = subject = last_subject if subject == last_subject else subject
        last_graph = graph = last_graph if graph == last_graph else graph
        operations.append(operation)
        subjects.append(subject)
        predicates.append(predicate)
        values.append(value)
        graphs.append(graph)
    return operations, subjects, predicates, values, graphs


def _hashed(texts: Sequence[bytes]) -> dict[str, NDArray[np.generic]]:
    """Return the columns of the numbers and of the hashes that reveal collisions of terms."""
    hashes = np.frombuffer(b"".join(map(digest, texts)), _HASHES)
    return {name: hashes[name].copy() for name in ("id", "check")}


def _objects(values: Sequence[object]) -> NDArray[np.object_]:
    """Return an array in which None is SQL's NULL."""
    array: NDArray[np.object_] = np.empty(len(values), dtype=object)
    array[:] = values
    return array


MEMORY = "160MiB"  # the rest is spilled to a folder beside the file
# Rows that are encoded at once, and their bytes from which on no more are added: about 50 MB.
BATCH, BATCH_BYTES = 50_000, 16 << 20
# Staged rows are applied at this number, or at a share of the quads, so that many entries take
# linear time.
MIN_APPLIED = 500_000
STAGED_SHARE = 4  # one quarter of the quads
# Bytes of new terms that are stored before the quads: DuckDB has texts in memory, beyond its limit,
# until they are committed to the file.
MAX_STAGED_TEXT = 48 << 20
MAX_UNSORTED = 0.2  # share of quads added since the last sort at which they are sorted again
# DuckDB writes a transaction's new rows of a table into the file, not into the log, if they fill a
# row group of 122,880; a row of the journal adds at most four terms.
TERMS = 4
MAX_LOGGED = 30_000
FLUSHED = 10  # batches of things that are written before they are committed
MAX_LOG = 2 << 20  # bytes of the log: each process that opens a copy reads it, in about 0.05 s
# Bytes of a block, a quarter of DuckDB's own size: looking up some terms, which reads a block for each,
# takes two thirds of the time, and small files are a fifth smaller.
BLOCK = 64 << 10
# Bytes of texts that are sorted at once: DuckDB fails to sort texts larger than its memory.
SORTED_TEXT = 48 << 20
_NO_CHECKPOINT = "1TB"  # length of the log at which DuckDB would move it into the file

TABLES = sql("columns") + sql("schema")
_SORTED = ("quads", "triples", "terms", "predicates", "layout")


class ColumnDatabase:
    """The columns in the file *path*, open for writing, with the tables of things whose IRIs
    *iris* mints.
    """

    def __init__(self, path: Path, iris: Iris, memory: str = MEMORY) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._base_iri, self._memory = path, iris.base, memory
        self._variables, self._constants = _constants(iris)
        # The last full copy, while it and the log beside the file are all that is committed.
        self._base = path.with_name("base.duckdb")
        self._connection  # noqa: B018 - opens the file: an error is raised here

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        spilled = str(self._path.with_name("spilled"))
        connection = connect(
            self._path,
            memory_limit=self._memory,
            threads=2,
            temp_directory=spilled,
            checkpoint_threshold=_NO_CHECKPOINT,
            default_block_size=BLOCK,
        )
        try:
            connection.execute("PRAGMA disable_checkpoint_on_shutdown")
            tables = _tables(connection)
            if "checkpoint" not in tables:
                first = "INSERT INTO checkpoint VALUES (0, '', '')"
                connection.execute(f"BEGIN; {TABLES} {first}; COMMIT")
            if not self._base.exists():
                connection.execute("RESET checkpoint_threshold")
                connection.execute("PRAGMA enable_checkpoint_on_shutdown")
        except duckdb.Error:
            connection.close()  # otherwise a new file at this path would be opened as this one
            raise
        return connection

    def checkpoint(self) -> tuple[int, str, str]:
        """Return the number and id of the last journal entry, -1 if only a part of one is stored, and
        why queries must not be answered from the committed columns, "" if they may be.
        """
        query = "SELECT position, entry, fault FROM checkpoint"
        return next(iter(self._connection.execute(query).fetchall()), (-1, "", ""))

    def read(self, query: str, parameters: Mapping[str, object]) -> duckdb.DuckDBPyConnection:
        """Run *query* over the tables; the result must be fetched before the next call."""
        return self._connection.execute(query, dict(parameters))

    @property
    def quads(self) -> int:
        """Return the number of committed quads that are in the journal."""
        return self._count("quads") - self._count("status")

    def stated(self, rows: Sequence[bytes]) -> set[int]:
        """Return the places of those *rows*, as ``apply`` takes them, whose triple is in some graph.
        Raises ValueError if one is not a row.
        """
        stage = Stage(self._connection)
        stage.add(rows)
        query = "SELECT n FROM staged SEMI JOIN triples USING (s, p, o)"
        places = {n for (n,) in self._connection.execute(query).fetchall()}
        stage.clear()
        return places

    def begin(self) -> ChangeWriter:
        """Begin a transaction, which ``commit`` ends; return the writer of what entries change."""
        self._connection.execute("BEGIN")
        self._stage, self._applied = Stage(self._connection, self.checkpoint()[2]), 0
        self._connection.execute("CREATE OR REPLACE TEMP TABLE touched (g UBIGINT, s UBIGINT)")
        return ChangeWriter(self._connection, self._base_iri)

    def apply(self, rows: Iterable[bytes]) -> Iterator[None]:
        """Apply the rows ``A <s> <p> <o> <g> .`` and ``D ...`` in their order; yield between
        batches.

        Applying rows again changes nothing. What cannot be stored is left out, and ``fault`` says
        so once it is committed. Many rows are committed in parts, without a checkpoint. Raises
        ValueError if one is not a row.
        """
        for batch in in_batches(rows, BATCH, BATCH_BYTES):
            self._stage.add(batch)
            self._applied += len(batch)
            if self._stage.rows >= max(MIN_APPLIED, self._count("quads") // STAGED_SHARE):
                self._apply()
                self._commit_part()
            elif self._stage.text_bytes >= MAX_STAGED_TEXT:
                self._stage.insert_terms()
                self._commit_part()
            yield
        self._apply()
        for number, _ in enumerate(self._update_things(), 1):
            if number % FLUSHED == 0:
                self._commit_part()
            yield
        query = "SELECT count(*) FROM marks SEMI JOIN changed USING (thing)"
        ((marks,),) = self._run(query).fetchall()
        self._applied = max(self._applied, marks // TERMS)

    def _update_things(self) -> Iterator[None]:
        """Read the touched things again; yield between batches."""
        self._run(sql("temporary"))
        for name, value in self._variables.items():
            self._run(f"SET VARIABLE {name} = $value", value=value)
        for table, columns in self._constants.items():
            read_arrived(self._connection, f"INSERT INTO {table} FROM arrived", columns)
        self._run(sql("due"))
        for is_organization, kind in ((True, "organization"), (False, "record")):
            ((count,),) = self._run(
                "SELECT count(*) FROM due WHERE is_organization = $kind", kind=is_organization
            ).fetchall()
            for start in range(0, count, READ_BATCH):
                self._run(
                    """CREATE OR REPLACE TEMP TABLE batch AS SELECT id, iri FROM due
                    WHERE is_organization = $kind AND n > $start AND n <= $end""",
                    kind=is_organization,
                    start=start,
                    end=start + READ_BATCH,
                )
                for name in (f"{kind}-statements", "texts", f"{kind}-topics", "delete", "insert"):
                    self._run(sql(name))
                yield
        self._run(sql("relations"))
        self._run(sql("derive"))
        self._replace("containers", "area, facet, code")
        self._replace("clusters", "iri, cluster")
        self._run(sql("groups"))
        self._replace("groups", "thing, cluster")

    def _replace(self, table: str, columns: str) -> None:
        """Replace the rows of *table* by those of the temporary one; write only what differs."""
        self._run(
            f"""DELETE FROM {table} WHERE ({columns}) IN (FROM {table} EXCEPT FROM {table}_now);
            INSERT INTO {table} (FROM {table}_now EXCEPT FROM {table})"""
        )

    def _run(self, text: str, **parameters: object) -> duckdb.DuckDBPyConnection:
        return self._connection.execute(text, parameters)

    def _commit_part(self) -> None:
        """Commit what is applied, since DuckDB frees memory only then, and delete the checkpoint, so
        that the columns are rebuilt if this is not continued.
        """
        self._base.unlink(missing_ok=True)
        self._connection.execute("DELETE FROM checkpoint; COMMIT; BEGIN")

    def _apply(self, changes: str = "changes") -> None:
        """Apply the staged rows; the SQL file *changes* makes the table ``change`` of them."""
        self._stage.insert_terms()
        self._connection.execute(sql(changes))
        self._stage.clear()
        self._connection.execute("INSERT INTO touched SELECT DISTINCT g, s FROM change")
        kinds = self._connection.execute("SELECT DISTINCT added FROM change").fetchall()
        for added in (False, True):
            if (added,) in kinds:
                self._connection.execute(sql("add-quads") if added else sql("delete-quads"))

    def _count(self, table: str) -> int:
        ((number,),) = self._connection.execute(f"SELECT count(*) FROM {table}").fetchall()
        return int(number)

    def replace_status(self, rows: Sequence[bytes]) -> None:
        """Replace the quads that are not in the journal by *rows*, ``A <s> <p> <o> <g> .``."""
        self.begin()
        self._stage.add(rows)
        self._applied = len(rows)
        self._apply("status-changes")
        self._connection.execute("UPDATE checkpoint SET fault = ?", [self._stage.fault])
        self._commit()

    def announce(self, position: int, time: int) -> None:
        """Record that the entries up to *position*, except those announced before, were first
        announced at *time*.
        """
        query = "UPDATE entries SET announced = ? WHERE announced IS NULL AND number <= ?"
        self._connection.execute(query, [time, position])

    def commit(self, position: int, entry: str) -> None:
        """Commit the changes together with the journal entry that they lead up to."""
        self._connection.execute("DELETE FROM checkpoint")
        row = [position, entry, self._stage.fault]
        self._connection.execute("INSERT INTO checkpoint VALUES (?, ?, ?)", row)
        self._commit()

    def _commit(self) -> None:
        if self._applied > MAX_LOGGED or self._stage.fault:
            self._base.unlink(missing_ok=True)
        self._connection.execute("COMMIT")
        if not self._base.exists():
            self.close()  # which frees the memory of many changes before the other stores apply them

    @property
    def _is_unsorted(self) -> bool:
        query = "SELECT (SELECT max(sorted) FROM layout), (SELECT count(*) FROM quads)"
        ((before, now),) = self._connection.execute(query).fetchall()
        return before is None or now > before * (1 + MAX_UNSORTED)

    def copy(self, path: Path) -> None:
        """Copy the committed columns to the file *path*, sorted and counted; close the file until it
        is used again, which frees the memory that they took.
        """
        self._base.unlink(missing_ok=True)
        if self._is_unsorted:
            self._sort()
        self._connection.execute(sql("count-predicates"))
        self._connection.execute("CHECKPOINT")
        self.close()
        shutil.copyfile(self._path, path)

    def _sort(self) -> None:
        """Replace the file by a sorted one, which has no free blocks."""
        part = self._path.with_name("sorted.duckdb")
        for file in (part, log_file(part)):
            file.unlink(missing_ok=True)
        self._connection.execute("CHECKPOINT")  # the log, which would not fit the other file
        self._connection.execute("ATTACH ? AS sorted", [str(part)])
        self._connection.execute(f"USE sorted; {TABLES} USE {self._path.stem}; {sql('sort')}")
        after = -1
        parts = self._connection.execute(sql("term-parts"), {"size": SORTED_TEXT}).fetchall()
        for (last,) in parts:
            self._connection.execute(
                "INSERT INTO sorted.terms FROM terms WHERE id > $after AND id <= $last ORDER BY id",
                {"after": after, "last": last},
            )
            after = last
        for table in _tables(self._connection) - set(_SORTED):
            self._connection.execute(f"INSERT INTO sorted.{table} FROM {table}")
        self._connection.execute("CHECKPOINT sorted; DETACH sorted")
        self.close()
        log_file(self._path).unlink(missing_ok=True)
        part.replace(self._path)

    def link_copy(self, path: Path) -> None:
        """Copy the committed columns to the file *path*: as a link to the base, and a copy of the log
        of what has changed since. The counts are those of the base.

        A new base is written if there is none, the log is long, or many quads are unsorted.
        """
        log = log_file(self._path)
        is_long = log.exists() and log.stat().st_size > MAX_LOG
        if is_long or not self._base.exists() or self._is_unsorted:
            part = self._base.with_suffix(".part")
            self.copy(part)
            part.replace(self._base)
        os.link(self._base, path)
        if log.exists():
            shutil.copyfile(log, log_file(path))

    def close(self) -> None:
        """Close the file; what was not committed is lost. The memory goes back to the system."""
        if "_connection" in self.__dict__:
            self._connection.close()
            del self._connection
            trim_memory()


def _constants(iris: Iris) -> tuple[dict[str, object], dict[str, dict[str, NDArray[Any]]]]:
    """Return the variables, and the columns of the temporary tables, that are the same in each
    transaction.
    """
    variables = {
        "base": iris.base,
        "organization": f"{ORG}Organization",
        "country": AREA,
        "region": f"{iris.scheme('itu-region')}/",
        "in_region": term_id(f"<{iris.ns}ituRegion>"),
        "has_member": term_id(f"<{PROV}hadMember>"),
        "clusters": iris.clusters,
    }
    tables: dict[str, list[Any]] = {
        "kinds": list(enumerate(KINDS, 1)),
        "names": [(term_id(f"<{iri}>"), *row) for iri, *row in named_properties(iris)],
        "coded": coded_properties(iris),
        "areas": [
            (area, code) for code, within in areas_within().items() for area in sorted(within)
        ],
    }
    return variables, {
        table: {
            f"c{place}": _objects(values) for place, values in enumerate(zip(*rows, strict=True))
        }
        for table, rows in tables.items()
    }


def _tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    query = "SELECT table_name FROM duckdb_tables() WHERE NOT temporary"
    return {name for (name,) in connection.execute(query).fetchall()}


def log_file(path: Path) -> Path:
    """Return the file with DuckDB's log of the database file *path*."""
    return path.with_name(f"{path.name}.wal")


WORK = "work.duckdb"
FILE = "columns.duckdb"


class StatusGraph(NamedTuple):
    """The quads of the graph of the store that is not in the journal, and their *digest*."""

    digest: str
    quads: Iterable[Quad]


class ColumnUpdater:
    """The columns and tables in *folder*: the file ``work.duckdb``, with the current *status* graph,
    and the base of its copies in snapshots.

    A file that belongs to another journal, that has a part of an entry, or that cannot be opened is
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
            self.checkpoint, entry, _ = self._database.checkpoint()
            if not self._reader.contains(self.checkpoint, entry):
                self._database.close()
                raise ValueError("they are of another journal, or have a part of an entry")
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
        if self._stored_status != status.digest:
            self._database.replace_status(
                [f"A {' '.join(map(str, quad))} .".encode() for quad in status.quads]
            )
            self._stored_status = status.digest

    def write(self, folder: Path) -> None:
        """Write a copy of the file into *folder*, which does not exist yet."""
        if fault := self._database.checkpoint()[2]:
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


# The values of a subject by predicate, in no order.
Properties = dict[str, list[Term]]
Subjects = dict[str, Properties]

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

    def quads(self) -> Iterator[Quad]:
        """Yield all quads of the named graphs."""
        texts = ", ".join(f"{text_sql(f'{place}.')}" for place in "spog")
        terms = " ".join(f"JOIN terms {place} ON {place}.id = q.{place}" for place in "spog")
        rows = self._run(f"SELECT {texts} FROM quads q {terms} WHERE q.g <> 0", {})
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
