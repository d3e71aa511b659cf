"""A query worker: opens a snapshot read-only and answers one query at a time, in frames.

``pool`` starts it with one end of a socket. It runs until the socket is closed; ``pool`` kills it
at the time limit.
"""

from __future__ import annotations

import gc
import json
import re
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from pyoxigraph import (
    Literal,
    NamedNode,
    QueryBoolean,
    QuerySolutions,
    QueryTriples,
    RdfFormat,
    Store,
    Triple,
    Variable,
    parse,
    serialize,
)

from journal.file_lock import SharedLock
from publisher.formats import GRAPHS, TABLES
from publisher.rdf.results import replace_invalid_characters
from publisher.rdf.sparql_tokens import Token, original_column, tokenize
from publisher.store.process import exit_with_parent
from publisher.store.workers.dataset import QueryDataset
from publisher.store.workers.ipc_protocol import FRAME_SIZE, Kind, pack, pack_header, read
from publisher.store.workers.process_limits import limit_memory, refuse_sockets
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.row_boundaries import ROWS, Rows
from publisher.store.workers.truncation import LimitKind, Truncation

Result = QuerySolutions | QueryBoolean | QueryTriples | Iterator[Triple]
STORE = "store"  # engine name of the RDF store

# the clauses of https://www.w3.org/TR/sparql11-query/#sparqlGrammar and of updates
_KEYWORDS = (
    *("ASK", "BASE", "BIND", "CLEAR", "CONSTRUCT", "COPY", "CREATE", "DELETE", "DESCRIBE"),
    *("DISTINCT", "DROP", "FILTER", "FROM", "GRAPH", "GROUP", "HAVING", "INSERT", "LIMIT", "LOAD"),
    *("MINUS", "MOVE", "NAMED", "OFFSET", "OPTIONAL", "ORDER", "PREFIX", "REDUCED", "SELECT"),
    *("SERVICE", "SILENT", "UNION", "USING", "VALUES", "WHERE", "WITH"),
)
_POSITION = re.compile(r"error at (\d+):(\d+): (.*)", re.DOTALL)
# start of the engine's message if a query calls an unknown function
_UNKNOWN_FUNCTION = "The custom function"
_CHARACTER_CLASSES = re.compile(r"\[[^\[\]]*\](?:,\s*|\s*\|\s*)?|'\\u\S+")


class QueryFailure(Exception):
    """The query failed: *reason* is the name of a class in ``publisher.errors``."""

    def __init__(self, reason: str, message: str = "", **more: int) -> None:
        super().__init__(message)
        self.payload = {"reason": reason, "message": message, **more}


class RowLimitReached(Exception):
    """The response has its maximum number of rows and another row would follow."""


class OpenSnapshot:
    """An open snapshot, protected from removal by a shared lock on its folder."""

    def __init__(self, path: str, store: Store | None = None) -> None:
        self.path = path
        self._lock = SharedLock(path)
        self.store = Store.read_only(str(Path(path) / "store")) if store is None else store

    def check(self, query_request: QueryRequest) -> Result:
        """Return the result on an empty store; raise QueryFailure if the query is not valid."""
        return evaluate(Store(), query_request)

    def answer(self, query_request: QueryRequest, connection: socket.socket) -> None:
        """Send the result of *query_request* to *connection*. Raises QueryFailure."""
        result, engine = self.evaluate(query_request)
        answer(result, query_request, connection, engine)

    def evaluate(self, query_request: QueryRequest) -> tuple[Result, str]:
        """Return the result of *query_request* and the name of the engine that answers it; raise
        QueryFailure if it is not valid.
        """
        return evaluate(self.store, query_request), STORE

    def explain(self, query_request: QueryRequest) -> dict[str, object]:
        """Evaluate *query_request*; return the ``engine``, the ``reason`` for it, and the number of
        ``rows``.
        """
        rows = count_rows(evaluate(self.store, query_request), query_request.rows)
        return {"engine": STORE, "reason": "this store has no columns", "rows": rows}

    def close(self) -> None:
        """Close the store and release the lock.

        Frames of the query parser's exceptions refer to results, and these to the store: without a
        collection its files would stay open, even after they are deleted.
        """
        del self.store
        gc.collect()
        self._lock.close()


class FrameWriter:
    """A file that sends what is written to it in frames of whole rows, at most *max_rows* rows."""

    def __init__(
        self,
        connection: socket.socket,
        suffix: str,
        max_rows: int | None = None,
        engine: str = STORE,
    ) -> None:
        self._connection = connection
        self._clean = replace_invalid_characters if suffix in ("xml", "rdf") else bytes
        self._frames = [pack(Kind.HEAD, f"{suffix} {engine}".encode())]
        self._data = bytearray()
        self._rows, self._max_rows, self._marks = ROWS.get(suffix), max_rows, 0
        self._flush_at, self._is_full = FRAME_SIZE, False

    def write(self, data: bytes) -> int:
        """Write *data*. Raises RowLimitReached at a row too many; data written after that are
        ignored.
        """
        if self._is_full:
            return len(data)
        self._data += data
        if len(self._data) >= self._flush_at:
            self._send_whole_rows()
            self._flush_at = len(self._data) + FRAME_SIZE  # a row may be longer than a frame
        return len(data)

    def flush(self) -> None:
        """Do nothing: ``end`` sends buffered data."""

    def _send_whole_rows(self) -> None:
        """Send the buffered data up to the last row boundary."""
        boundary = len(self._data)
        if self._rows:
            masked, marks = self._mask_and_count(self._rows)
            boundary = self._rows.last_boundary(masked)
            # the mark at the boundary belongs to the next row
            self._marks += marks - (1 if boundary and self._rows.before else 0)
        self._add_frame(boundary)
        self._send()

    def _mask_and_count(self, rows: Rows) -> tuple[bytes, int]:
        """Return the masked data and their number of marks. At a row too many, drop it and the rest
        and raise RowLimitReached.
        """
        masked = rows.mask(bytes(self._data))
        marks = masked.count(rows.mark)
        if self._max_rows is not None and self._marks + marks + rows.more > self._max_rows:
            last = self._max_rows - rows.more + (rows.before)  # the mark at which the last row ends
            del self._data[rows.boundary_at(masked, last - self._marks) :]
            self._is_full = True
            raise RowLimitReached
        return masked, marks

    def _add_frame(self, boundary: int) -> None:
        if boundary:
            data = self._clean(bytes(memoryview(self._data)[:boundary]))
            self._frames += [pack_header(Kind.DATA, len(data)), data]
            del self._data[:boundary]

    def _send(self) -> None:
        self._connection.sendall(b"".join(self._frames))
        self._frames = []

    def end(self, rows: int | None = None, truncation: Truncation | None = None) -> None:
        """Send the buffered data and the end; *rows* if they are not counted here. Raises
        RowLimitReached as ``write`` does.
        """
        if rows is None and truncation is None and self._rows:
            marks = self._marks + self._mask_and_count(self._rows)[1]
            rows = 0 if self._data.endswith(b'"bindings":[]}}') else max(0, marks + self._rows.more)
        self._add_frame(len(self._data))
        if truncation:
            self._frames.append(pack(Kind.TRUNCATED, truncation.pack()))
        self._frames.append(pack(Kind.END, b"" if rows is None else str(rows).encode()))
        self._send()

    def writable(self) -> bool:
        """Return True, as files do."""
        return True


def parse_term(text: str) -> NamedNode | Literal:
    """Parse one N-Triples term, an IRI or a literal."""
    quad = next(iter(parse(f"<x:s> <x:p> {text} .", RdfFormat.N_TRIPLES)))
    value: NamedNode | Literal = quad.object
    return value


def evaluate(store: Store, query_request: QueryRequest) -> Result:
    """Return the result of *request* on *store*. Raises QueryFailure if the query is not valid."""
    return ask(QueryDataset(store, None, None), query_request)


def ask(queried: QueryDataset, query_request: QueryRequest) -> Result:
    """Return the result of *request* on a dataset. Raises QueryFailure if the query is not valid."""
    try:
        return queried.store.query(
            in_written_order(query_request.text, query_request.base),
            base_iri=query_request.base,
            default_graph=queried.default,
            named_graphs=queried.named,
            substitutions={
                Variable(name): parse_term(text) for name, text in query_request.bindings.items()
            }
            or None,
        )
    except SyntaxError as error:
        raise parse_engine_error(str(error), query_request.text, query_request.inserted) from error


def count_rows(result: Result, limit: int | None) -> int:
    """Return the number of solutions or triples of *result*, at most *limit*; 1 for a boolean."""
    return 1 if isinstance(result, QueryBoolean) else sum(1 for _ in islice(result, limit))


def in_written_order(text: str, base: str | None = None) -> str:
    """Return *text* with the star of its outermost SELECT replaced by its variables, in the order
    of their first occurrence.

    The engine sorts the columns of ``SELECT *`` by name. Raises SyntaxError if *text* is not a
    query.

    >>> in_written_order("SELECT * { ?s ?p ?o }")
    'SELECT ?s ?p ?o { ?s ?p ?o }'
    """
    if "*" not in text:
        return text
    tokens = tokenize(text)
    star = _outermost_star(tokens)
    if star is None:
        return text
    result = Store().query(text, base_iri=base)  # on an empty store, so only parsing takes time
    names = (
        [variable.value for variable in result.variables]
        if isinstance(result, QuerySolutions)
        else []
    )
    variables = dict.fromkeys(token.text[1:] for token in tokens if token.kind == "variable")
    written = [name for name in variables if name in names]
    if not names or len(written) != len(names):
        return text
    columns = " ".join(f"?{name}" for name in written)
    before, after = text[: star.start], text[star.end :]
    return (
        before
        + ("" if before[-1:].isspace() else " ")
        + columns
        + ("" if after[:1].isspace() else " ")
        + after
    )


def _outermost_star(tokens: list[Token]) -> Token | None:
    """Return the star of the outermost SELECT; None if it has none, or the query is of another
    form.
    """
    forms = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE")
    head = next((index for index, token in enumerate(tokens) if token.word() in forms), None)
    if head is None or tokens[head].word() != "SELECT":
        return None
    modifiers = ("DISTINCT", "REDUCED")
    following = tokens[head + 1 : head + 3]
    first = next((token for token in following if token.word() not in modifiers), None)
    return first if first and first.text == "*" else None


def parse_engine_error(
    message: str, text: str, inserted: tuple[tuple[int, int, int], ...] = ()
) -> QueryFailure:
    """Return the syntax error that the engine reports in *text*; *inserted* are the insertions of a
    rewritten text.
    """
    match = _POSITION.match(message)
    hint = _misspelled_keyword(text)
    if match is None:
        return QueryFailure("QuerySyntaxError", message + hint)
    line, column = int(match[1]), int(match[2])
    return QueryFailure(
        "QuerySyntaxError",
        _readable(match[3]) + hint,
        line=line,
        column=original_column(line, column, inserted),
    )


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
    words = [
        part.strip()
        for part in _CHARACTER_CLASSES.sub("", expected.removeprefix("expected one of ")).split(
            ",\x20"
        )
    ]
    tokens = [
        word for word in dict.fromkeys(words) if word and not word.startswith(("'", "[", "|"))
    ]
    return (
        "expected " + " or ".join(word.removeprefix("expected ") for word in tokens[:8])
        if tokens
        else "not SPARQL"
    )


def answer(
    result: Result, query_request: QueryRequest, connection: socket.socket, engine: str = STORE
) -> None:
    """Send *result* of *engine* in the requested format. Raises QueryFailure if no such format was
    requested.
    """
    if not isinstance(result, QuerySolutions | QueryBoolean):
        return answer_graph(result, query_request, connection, engine)
    if query_request.table is None:
        raise QueryFailure("NoFormat", "the result is a table, but no table format was requested")
    has_rows = isinstance(result, QuerySolutions)  # a boolean has no rows
    out = FrameWriter(
        connection, query_request.table, query_request.rows if has_rows else None, engine
    )
    try:
        result.serialize(out, TABLES[query_request.table].writer)  # type: ignore[arg-type]  # it needs only write
        return out.end(rows=None if has_rows else 1)
    except RowLimitReached:
        rows = query_request.rows or 0
        return out.end(rows=rows, truncation=Truncation(LimitKind.ROWS, rows))


def answer_graph(
    result: Iterable[Triple],
    query_request: QueryRequest,
    connection: socket.socket,
    engine: str = STORE,
) -> None:
    """Send triples in the requested format. Raises QueryFailure if no graph format was requested."""
    if query_request.graph is None:
        raise QueryFailure("NoFormat", "the result is a graph, but no graph format was requested")
    out, sent = FrameWriter(connection, query_request.graph, engine=engine), 0
    truncation: Truncation | None = None

    def limited_triples() -> Iterator[Triple]:
        nonlocal sent, truncation
        for triple in result:
            if query_request.rows is not None and sent >= query_request.rows:
                truncation = Truncation(LimitKind.ROWS, sent)
                return
            sent += 1
            yield triple

    serialize(limited_triples(), out, GRAPHS[query_request.graph].writer, prefixes=PREFIXES)  # type: ignore[arg-type]  # as above
    out.end(rows=sent, truncation=truncation)


PREFIXES = {
    "dct": "http://purl.org/dc/terms/",
    "dcat": "http://www.w3.org/ns/dcat#",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "prov": "http://www.w3.org/ns/prov#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "schema": "https://schema.org/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}


def serve(
    connection: socket.socket, open_snapshot: Callable[[str], OpenSnapshot] = OpenSnapshot
) -> None:
    """Answer queries from the snapshots that *open_snapshot* opens, until the server closes the
    socket.
    """
    frames = connection.makefile("rb")
    snapshot: OpenSnapshot | None = None
    while frame := read(frames):
        kind, payload = frame
        try:
            if kind is Kind.OPEN:
                if snapshot:
                    snapshot.close()
                snapshot = open_snapshot(payload.decode())
                connection.sendall(pack(Kind.END))
            elif snapshot:
                _answer(snapshot, QueryRequest.unpack(payload), connection)
        except QueryFailure as failure:
            connection.sendall(pack(Kind.FAULT, json.dumps(failure.payload).encode()))
        except MemoryError:
            connection.sendall(
                pack(
                    Kind.FAULT,
                    b'{"reason": "MemoryLimit", "message": "the query was stopped at its memory limit"}',
                )
            )
        except (OSError, RuntimeError, ValueError) as error:
            connection.sendall(
                pack(
                    Kind.FAULT,
                    json.dumps({"reason": error_name(error), "message": str(error)}).encode(),
                )
            )
    if snapshot:
        snapshot.close()


def _answer(snapshot: OpenSnapshot, query_request: QueryRequest, connection: socket.socket) -> None:
    if query_request.check:
        snapshot.check(query_request)
        FrameWriter(connection, "").end()
    elif query_request.explain:
        out = FrameWriter(connection, "")
        out.write(
            json.dumps(snapshot.explain(query_request), ensure_ascii=False, indent=1).encode()
        )
        out.end()
    else:
        snapshot.answer(query_request, connection)


def error_name(error: Exception) -> str:
    """Return the name in ``publisher.errors`` of an error of the engine."""
    return "QueryError" if str(error).startswith(_UNKNOWN_FUNCTION) else "StoreFailure"


def run(
    connection: socket.socket,
    memory: int,
    parent: int,
    open_snapshot: Callable[[str], OpenSnapshot] = OpenSnapshot,
) -> None:
    """Limit this process to *memory* bytes and no sockets, end it with the process *parent*, and
    serve *connection*.
    """
    limit_worker(memory, parent)
    serve(connection, open_snapshot)


def limit_worker(memory: int, parent: int) -> None:
    """Limit this process to *memory* bytes and no sockets, and end it with the process *parent*."""
    refuse_sockets()
    limit_memory(memory)
    exit_with_parent(parent)


def parse_arguments(arguments: list[str]) -> tuple[socket.socket, int, int]:
    """Return the socket, the memory limit in bytes and the parent's process id of a worker that
    was started as a command.
    """
    handle, memory, parent = (int(text) for text in arguments)
    return socket.socket(fileno=handle), memory, parent


if __name__ == "__main__":
    run(*parse_arguments(sys.argv[1:4]))
