"""A query worker: a process that opens a snapshot read-only and answers one query at a time, by the
columns of the snapshot if that is faster, else by its RDF store.

``pool`` starts it with one end of a pipe. It runs until the pipe is closed; it is killed at the time
limit. The response is sent in messages of whole rows. A truncated one ends after a whole row; then
the document is closed and marked, if its format allows a mark that parsers ignore: an extra member in
JSON, a processing instruction in XML and RDF/XML, a comment in Turtle and N-Triples.
"""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import logging
import platform
import re
import resource
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from difflib import get_close_matches
from itertools import count, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from pyoxigraph import (
    BlankNode,
    DefaultGraph,
    NamedNode,
    Quad,
    QueryBoolean,
    QuerySolutions,
    Store,
    Triple,
    Variable,
    serialize,
)

from journal.files import SharedLock
from publisher.errors import (
    MemoryLimit,
    NoFormat,
    PublisherError,
    QueryError,
    QuerySyntaxError,
    StoreFailure,
)
from publisher.rdf import PREFIXES, parse_node, replace_invalid_characters
from publisher.store.columns.engine import open_columns, parse
from publisher.store.process import prepare_child
from publisher.store.workers.query_request import (
    CHUNK_SIZE,
    MEMORY_TEXT,
    QueryDataset,
    QueryRequest,
    ResponsePart,
    Result,
    Truncation,
    count_rows,
    in_written_order,
    tokenize,
    uses_named_graphs,
)
from web.respond import GRAPHS, TABLES

STORE, COLUMNS = "store", "columns"  # the names of the engines
_MAX_LENGTH = 20_000  # characters of a query that is compiled

# Only such queries read many triples for a small result. A word in a comment or a string counts
# too.
_BLOCKING = re.compile(
    r"\b(?:COUNT|SUM|MIN|MAX|AVG|SAMPLE|GROUP_CONCAT|DISTINCT|GROUP|ORDER)\b", re.IGNORECASE
)
_FIRST_QUERY = 'SELECT (COUNT(?s) AS ?n) { ?s <x:p> ?o FILTER(?o != "") } GROUP BY ?o ORDER BY ?n'
_OTHER_FORM = re.compile(r"\b(?:CONSTRUCT|DESCRIBE)\b", re.IGNORECASE)  # which is not compiled
_FIRST_TERM = re.compile(r"\{\s*+([<?$\w]?)")  # first character of each group
# The start of a group whose first subject is an IRI.
_POINT = re.compile(r"\{\s*+(?:<[^<>{\s]*+>|[\w-]*+:[\w.-]*+)\s++[^\s{]")
# The start of the engine's message if a query calls an unknown function.
_UNKNOWN_FUNCTION = "The custom function"
# The clauses of https://www.w3.org/TR/sparql11-query/#sparqlGrammar and of updates.
_KEYWORDS = (
    *("ASK", "BASE", "BIND", "CLEAR", "CONSTRUCT", "COPY", "CREATE", "DELETE", "DESCRIBE"),
    *("DISTINCT", "DROP", "FILTER", "FROM", "GRAPH", "GROUP", "HAVING", "INSERT", "LIMIT", "LOAD"),
    *("MINUS", "MOVE", "NAMED", "OFFSET", "OPTIONAL", "ORDER", "PREFIX", "REDUCED", "SELECT"),
    *("SERVICE", "SILENT", "UNION", "USING", "VALUES", "WHERE", "WITH"),
)
_POSITION = re.compile(r"error at (\d+):(\d+): (.*)", re.DOTALL)
_CHARACTER_CLASSES = re.compile(r"\[[^\[\]]*\](?:,\s*|\s*\|\s*)?|'\\u\S+")
# Constants of <linux/prctl.h> and <linux/seccomp.h>.
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_SOCKET = {"x86_64": 41, "aarch64": 198, "riscv64": 198}  # the number of socket(2)


class QueriedSnapshot(Protocol):
    """What a worker has open."""

    def answer(self, request: QueryRequest, connection: Connection) -> None:
        """Send the response to *request*. Raises PublisherError."""

    def close(self) -> None:
        """Close it."""


def run(
    connection: Connection,
    memory: int,
    open_snapshot: Callable[[str], QueriedSnapshot] | None = None,
) -> None:
    """Limit this process to *memory* bytes and no sockets, and answer queries from *connection*."""
    limit_process(memory)
    # The engine would send SERVICE requests to the network, and ``uses_service`` should not be the
    # only protection against that.
    refuse_sockets()
    # rdflib logs a warning for every ill-typed literal in a query.
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)
    # The first query to be parsed takes 50 ms more, since a forked process copies what it changes.
    parse(_FIRST_QUERY)
    serve(connection, open_snapshot or OpenSnapshot)


def serve(connection: Connection, open_snapshot: Callable[[str], QueriedSnapshot]) -> None:
    """Answer queries from the snapshots that *open_snapshot* opens, until the server closes the
    pipe. A message is the folder of a snapshot, and a query or None only to open it.
    """
    path, snapshot = "", None
    with suppress(EOFError, ConnectionError):
        while True:
            message: tuple[str, QueryRequest | None] = connection.recv()
            try:
                if snapshot and path != message[0]:
                    snapshot.close()
                    snapshot = None
                path, request = message
                snapshot = snapshot or open_snapshot(path)
                if request:
                    snapshot.answer(request, connection)
                else:
                    connection.send(ResponsePart())
            except PublisherError as error:
                connection.send(error)
            except MemoryError:
                connection.send(MemoryLimit(MEMORY_TEXT))
            except (OSError, RuntimeError, ValueError) as error:
                is_query = str(error).startswith(_UNKNOWN_FUNCTION)
                kind = QueryError if is_query else StoreFailure
                connection.send(kind(str(error)))


def limit_process(memory: int) -> None:
    """Limit the address space of this process to *memory* bytes, and disable core dumps, which would
    fill the disk.
    """
    prepare_child("reader")
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def refuse_sockets() -> bool:
    """Forbid this process to open sockets by a seccomp filter; return whether the system supports
    that (Linux on a known architecture).

    Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
    """
    number = _SOCKET.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return False
    instructions = (
        (0x20, 0, 0, 0),  # load the number of the system call
        (0x15, 0, 1, number),  # unless it is socket(2), skip one
        (0x06, 0, 0, 0x00050000 | errno.EACCES),  # let it fail
        (0x06, 0, 0, 0x7FFF0000),  # allow it
    )
    steps = b"".join(struct.pack("HBBI", *instruction) for instruction in instructions)
    steps_buffer = ctypes.create_string_buffer(steps)
    program = struct.pack("HP", len(instructions), ctypes.addressof(steps_buffer))
    libc = ctypes.CDLL(None)
    return bool(
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0
        and libc.prctl(_SECCOMP, _FILTER, program, 0, 0) == 0
    )


class OpenSnapshot:
    """An open snapshot with its columns, if these are at the same journal position as its store. A
    shared lock on its folder protects it from removal.
    """

    def __init__(self, path: str) -> None:
        self._lock = SharedLock(path)
        self.store = Store.read_only(str(Path(path) / "store"))
        self.columns = open_columns(Path(path))

    def answer(self, request: QueryRequest, connection: Connection) -> None:
        """Send the response to *request*, which may only check or explain the query."""
        if request.check:
            evaluate(request, Store())
            connection.send(ResponsePart(engine=STORE))
        elif request.explain:
            explanation = json.dumps(self.explain(request), ensure_ascii=False, indent=1)
            connection.send(ResponsePart(explanation.encode()))
        else:
            result, engine = self.evaluate(request)
            send_result(result, request, connection, engine)

    def evaluate(
        self, request: QueryRequest, notes: dict[str, object] | None = None
    ) -> tuple[Result, str]:
        """Return the result of *request* and the name of the engine that answers it. Raises
        QueryError if it is not a query, MemoryError if it would have to read too many quads of named
        graphs. *notes* receives what ``ColumnEngine.answer`` notes.
        """
        is_named = uses_named_graphs(request)
        if is_named:
            evaluate(request, Store())  # raises QueryError if it is not a query
            if self.columns is None:
                raise StoreFailure("the named graphs of this state cannot be read")
        is_plain = {request.default_graphs, request.named_graphs, request.release} == {None}
        if self.columns and (is_plain if is_named else may_compile(request)):
            result = self.columns.answer(request, 0 if is_named else None, notes)
            if result is not None:
                return result, COLUMNS
        # The RDF store does not have the named graphs.
        dataset = self.columns.matching(request) if self.columns and is_named else [self.store]
        return evaluate(request, *dataset), STORE

    def explain(self, request: QueryRequest) -> dict[str, object]:
        """Evaluate *request*; return the ``engine``, the ``reason`` for it, and the number of
        ``rows``, with SQL and steps where it is compiled.
        """
        notes: dict[str, object] = {
            "reason": "not parsed: it does not count, sort or group, or begins at known subjects"
            if self.columns
            else "the columns of this state are not open"
        }
        result, engine = self.evaluate(request, notes)
        rows = count_rows(result, request.rows)
        if self.columns and engine == COLUMNS:
            notes["steps"] = self.columns.steps(str(notes["sql"]))
        return {"engine": engine, **notes, "rows": rows}

    def close(self) -> None:
        """Close the store and the columns, and release the lock.

        Frames of the query parser's exceptions refer to results, and these to the store: without a
        collection its files would stay open, even after they are deleted.
        """
        if self.columns:
            self.columns.close()
        del self.store
        gc.collect()
        self._lock.close()


def may_compile(request: QueryRequest) -> bool:
    """Return whether *request* is worth parsing for the columns, which takes ten milliseconds.

    A client's query of a release is not: its answer must be the same, byte for byte, whenever it is
    sent.
    """
    return (
        request.default_graphs is None
        and request.named_graphs is None
        and request.release is None
        and not request.bindings  # what is bound has few solutions
        and request.table is not None
        and len(request.text) <= _MAX_LENGTH
        and _OTHER_FORM.search(request.text) is None
        and _BLOCKING.search(request.text) is not None
        and not is_point_query(request.text)
    )


def is_point_query(text: str) -> bool:
    """Return whether each group begins with a triple whose subject is an IRI: the RDF store is fast
    for such queries.

    >>> is_point_query("SELECT DISTINCT ?o { <x:s> ?p ?o }"), is_point_query("SELECT (COUNT(*) AS ?n) { ?s <x:p> <x:o> }")
    (True, False)
    """
    groups = len(_FIRST_TERM.findall(text))
    return groups > 0 and len(_POINT.findall(text)) == groups


def union(
    quads: Callable[[NamedNode], Iterable[Quad]], default: list[NamedNode], named: list[NamedNode]
) -> QueryDataset:
    """Return a new store with the merge of the graphs *default* and with the graphs *named*;
    *quads* returns the quads of a graph. A triple of two graphs is in the merge once
    (https://www.w3.org/TR/sparql11-query/#unnamedGraph).
    """
    merged = Store()
    for graph in default:
        merged.bulk_extend(Quad(*quad.triple) for quad in quads(graph))
    for graph in named:
        merged.bulk_extend(quads(graph))
    return QueryDataset(merged, [DefaultGraph()], [*named])


def evaluate(
    request: QueryRequest,
    store: Store,
    default: list[NamedNode | BlankNode | DefaultGraph] | None = None,
    named: list[NamedNode | BlankNode] | None = None,
) -> Result:
    """Return the result of *request* on the graphs *default* and *named* of *store*; None leaves
    the choice to the query. Raises QuerySyntaxError if the query is not valid.
    """
    bindings: dict[Variable, Any] = {
        Variable(name): parse_node(text) for name, text in request.bindings.items()
    }
    try:
        return store.query(
            in_written_order(request.text, request.base),
            base_iri=request.base,
            default_graph=default,
            named_graphs=named,
            substitutions=bindings or None,
        )
    except SyntaxError as error:
        if request.original:  # report an error at its place in the original text
            return evaluate(replace(request, text=request.original, original=""), Store())
        raise parse_engine_error(str(error), request.text) from error


def parse_engine_error(message: str, text: str) -> QuerySyntaxError:
    """Return the syntax error that the engine reports in *text*."""
    match = _POSITION.match(message)
    hint = _misspelled_keyword(text)
    if match is None:
        return QuerySyntaxError(message + hint)
    return QuerySyntaxError(_readable(match[3]) + hint, int(match[1]), int(match[2]))


def _misspelled_keyword(text: str) -> str:
    """Return a question after the keyword that a word of *text* almost is; "" if there is none.

    >>> _misspelled_keyword("SELECT * WHER { ?s ?p ?o }")
    '; did you mean WHERE for WHER?'
    """
    words = dict.fromkeys(token.word() for token in tokenize(text) if token.word())
    for word in words:
        near = get_close_matches(word, _KEYWORDS, 1, 0.8)
        if near and near[0] != word:
            return f"; did you mean {near[0]} for {word[:40]}?"
    return ""


def _readable(expected: str) -> str:
    """Return the parser's list of expected tokens without character classes."""
    listed = _CHARACTER_CLASSES.sub("", expected.removeprefix("expected one of ")).split(",\x20")
    words = dict.fromkeys(word.strip().removeprefix("expected ") for word in listed)
    tokens = [word for word in words if word and not word.startswith(("'", "[", "|"))]
    return "expected " + " or ".join(tokens[:8]) if tokens else "not SPARQL"


class RowMark(NamedTuple):
    """Where the rows of a format are: each row begins with *mark* if *before*, else it ends with it.

    *more* is the number of rows minus the number of marks: 1 if the first row has no mark, -1 if a
    header has one. *mask* replaces everything in a text that only looks like a mark by other bytes
    of the same length; the text must begin at a row boundary.
    """

    mark: bytes
    before: bool
    more: int = 0
    mask: Callable[[bytes], bytes] = bytes


def _mask_json(text: bytes) -> bytes:
    """Make empty rows begin with the mark too. Without an empty row the text is returned as it is."""
    if b",{}" not in text:
        return text
    return _JSON_ROW.sub(_JSON_MARK, _JSON_TEXT.sub(_blank_out, text))


def _mask_csv(text: bytes) -> bytes:
    return _CSV_TEXT.sub(_blank_out, text) if b'"' in text else text


def _blank_out(match: re.Match[bytes]) -> bytes:
    return b"x" * len(match[0])


_JSON_TEXT, _JSON_ROW = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'), re.compile(rb",\{.")
_CSV_TEXT = re.compile(rb'"[^"]*+(?:"|\Z)')
_JSON_MARK = b',{"'  # in a text the quote would be escaped
_ROW_MARKS = {
    "json": RowMark(_JSON_MARK, True, 1, _mask_json),
    "xml": RowMark(b"<result>", True),
    "csv": RowMark(b"\r\n", False, -1, _mask_csv),
    "tsv": RowMark(b"\n", False, -1),
    "nt": RowMark(b"\n", False),
    "ttl": RowMark(b" .\n", False),
}


class RowLimitReached(Exception):
    """The response has its maximum number of rows and another row would follow."""


class ResultWriter:
    """A file that sends what is written to it in messages of whole rows, at most *max_rows* rows."""

    def __init__(
        self,
        connection: Connection,
        suffix: str,
        max_rows: int | None = None,
        engine: str = STORE,
    ) -> None:
        self._connection, self._suffix, self._engine = connection, suffix, engine
        self._rows = _ROW_MARKS.get(suffix)
        self._clean = replace_invalid_characters if suffix in ("xml", "rdf") else bytes
        self._data, self._send_at = bytearray(), CHUNK_SIZE
        self._max_rows, self._marks, self._is_full = max_rows, 0, False

    def write(self, data: bytes) -> int:
        """Write *data*. Raises RowLimitReached at a row too many; data written after that are
        ignored.
        """
        if self._is_full:
            return len(data)
        self._data += data
        if len(self._data) >= self._send_at:
            boundary = len(self._data)
            if self._rows:
                masked, marks = self._mask_and_count(self._rows)
                before, mark, _ = masked.rpartition(self._rows.mark)
                boundary = len(before) if self._rows.before else len(before + mark)
                # The mark at the boundary belongs to the next row.
                self._marks += marks - (1 if boundary and self._rows.before else 0)
            self._send(boundary, is_last=False)
            self._send_at = len(self._data) + CHUNK_SIZE  # a row may be longer than a chunk
        return len(data)

    def flush(self) -> None:
        """Do nothing: ``end`` sends buffered data."""

    def end(self, rows: int | None = None, truncation: Truncation | None = None) -> None:
        """Send the buffered data and the end; *rows* if they are not counted here. Raises
        RowLimitReached as ``write`` does.
        """
        if rows is None and self._rows:
            marks = self._marks + self._mask_and_count(self._rows)[1]
            rows = 0 if self._data.endswith(b'"bindings":[]}}') else max(0, marks + self._rows.more)
        self._send(len(self._data), is_last=True, rows=rows, truncation=truncation)

    def _mask_and_count(self, rows: RowMark) -> tuple[bytes, int]:
        """Return the masked data and their number of marks. At a row too many, drop it and the rest
        and raise RowLimitReached.
        """
        masked = rows.mask(bytes(self._data))
        marks = masked.count(rows.mark)
        if self._max_rows is not None and self._marks + marks + rows.more > self._max_rows:
            # The mark at which the last row ends.
            last = self._max_rows - rows.more + rows.before - self._marks
            after = masked.split(rows.mark, last)[-1]
            del self._data[len(masked) - len(after) - len(rows.mark) * rows.before :]
            self._is_full = True
            raise RowLimitReached
        return masked, marks

    def _send(
        self,
        boundary: int,
        *,
        is_last: bool,
        rows: int | None = None,
        truncation: Truncation | None = None,
    ) -> None:
        data = self._clean(bytes(memoryview(self._data)[:boundary]))
        part = ResponsePart(data, self._suffix, self._engine, is_last, rows, truncation)
        self._connection.send(part)
        del self._data[:boundary]


def send_result(
    result: Result, request: QueryRequest, connection: Connection, engine: str = STORE
) -> None:
    """Send *result* of *engine* in the requested format. Raises NoFormat if no such format was
    requested.
    """
    if not isinstance(result, QuerySolutions | QueryBoolean):
        return _send_graph(iter(result), request, connection, engine)
    if request.table is None:
        raise NoFormat("the result is a table, but no table format was requested")
    has_rows = isinstance(result, QuerySolutions)  # a boolean has no rows
    writer = ResultWriter(connection, request.table, request.rows if has_rows else None, engine)
    try:
        result.serialize(writer, TABLES[request.table].writer)  # type: ignore[arg-type]  # it needs only write
        return writer.end(rows=None if has_rows else 1)
    except RowLimitReached:
        rows = request.rows or 0
        return writer.end(rows, Truncation("rows", rows))


def _send_graph(
    triples: Iterator[Triple], request: QueryRequest, connection: Connection, engine: str
) -> None:
    if request.graph is None:
        raise NoFormat("the result is a graph, but no graph format was requested")
    writer, numbers = ResultWriter(connection, request.graph, engine=engine), count()
    # Each triple takes a number, so that the next number is how many were sent.
    sent = (triple for triple, _ in zip(islice(triples, request.rows), numbers, strict=False))
    serialize(sent, writer, GRAPHS[request.graph].writer, prefixes=PREFIXES)  # type: ignore[arg-type]  # as above
    rows, is_cut = next(numbers), next(triples, None) is not None
    writer.end(rows, Truncation("rows", rows) if is_cut else None)
