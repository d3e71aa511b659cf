"""A query worker: opens a snapshot read-only and answers one query at a time, in frames.

It is started by ``pool`` with one end of a socket and runs until that is closed; ``pool`` kills it at a time limit.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
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
from publisher.store.workers.dataset import QueryDataset, dataset
from publisher.store.workers.ipc_protocol import SIZE, Kind, pack, pack_header, read
from publisher.store.workers.process_limits import limit_memory, refuse_sockets
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.row_boundaries import ROWS, Rows
from publisher.store.workers.truncation import LimitKind, Truncation

Result = QuerySolutions | QueryBoolean | QueryTriples
STORE = "store"  # the name of the engine that is the RDF store

_PLACE = re.compile(r"error at (\d+):(\d+): (.*)", re.DOTALL)
_UNKNOWN = "The custom function"  # how the engine's message begins where a query calls what it does not have
_SETS = re.compile(r"\[[^\[\]]*\](?:,\s*|\s*\|\s*)?|'\\u\S+")


class QueryFailure(Exception):
    """The answer stops here: a reason by its name in ``publisher.errors``."""

    def __init__(self, reason: str, message: str = "", **more: int) -> None:
        super().__init__(message)
        self.payload = {"reason": reason, "message": message, **more}


class RowLimitReached(Exception):
    """The answer has its most rows and another would follow."""


class OpenSnapshot:
    """The open snapshot, kept from removal by a shared lock on its folder."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.is_answering = False
        self._lock = SharedLock(path)
        self.store = Store.read_only(str(Path(path) / "store"))

    def evaluate(self, question: QueryRequest) -> tuple[Result, str]:
        """Return the result of *question* and the name of the engine that answers it; raise QueryFailure if it is no query."""
        return evaluate(self.store, question), STORE

    def explain(self, question: QueryRequest) -> dict[str, object]:
        """Evaluate *question*; return the ``engine``, the ``reason`` for it, and the number of ``rows``."""
        result = evaluate(self.store, question)
        rows = 1 if isinstance(result, QueryBoolean) else sum(1 for _ in islice(result, question.rows))
        return {"engine": STORE, "reason": "this store has no columns", "rows": rows}

    def close(self) -> None:
        """Close the store and release the lock."""
        del self.store
        self._lock.close()


class FrameWriter:
    """A file to write an answer to: it leaves in frames as it grows, each after a whole row; at most *most* rows leave."""

    def __init__(self, connection: socket.socket, suffix: str, most: int | None = None, engine: str = STORE) -> None:
        self._connection = connection
        self._written = replace_invalid_characters if suffix in ("xml", "rdf") else bytes
        self._waiting = [pack(Kind.HEAD, f"{suffix} {engine}".encode())]
        self._data = bytearray()
        self._rows, self._most, self._marks = ROWS.get(suffix), most, 0
        self._due, self._full = SIZE, False

    def write(self, data: bytes) -> int:
        """Take *data*; raise RowLimitReached above the most rows. What the writer still hands over then is not taken."""
        if self._full:
            return len(data)
        self._data += data
        if len(self._data) >= self._due:
            self._leave()
            self._due = len(self._data) + SIZE  # a row may be longer than a frame
        return len(data)

    def flush(self) -> None:
        """Do nothing: what waits leaves by ``end``, together with it."""

    def _leave(self) -> None:
        """Send what waits, up to the last border between two rows."""
        border = len(self._data)
        if self._rows:
            clear, marks = self._counted(self._rows)
            border = self._rows.border(clear)
            self._marks += marks - (
                1 if border and self._rows.before else 0
            )  # the mark at the border is the next one's
        self._push(border)
        self._send()

    def _counted(self, rows: Rows) -> tuple[bytes, int]:
        """Return the cleared data and the number of marks; at a row too many, keep the rows before it and raise RowLimitReached."""
        clear = rows.clear(bytes(self._data))
        marks = clear.count(rows.mark)
        if self._most is not None and self._marks + marks + rows.more > self._most:
            last = self._most - rows.more + (rows.before)  # the mark at which the last row ends
            del self._data[rows.boundary_at(clear, last - self._marks) :]
            self._full = True
            raise RowLimitReached
        return clear, marks

    def _push(self, border: int) -> None:
        if border:
            data = self._written(bytes(memoryview(self._data)[:border]))
            self._waiting += [pack_header(Kind.DATA, len(data)), data]
            del self._data[:border]

    def _send(self) -> None:
        self._connection.sendall(b"".join(self._waiting))
        self._waiting = []

    def end(self, rows: int | None = None, cut: Truncation | None = None) -> None:
        """Send what waits and the end, together; *rows* where they are not counted here. Raises RowLimitReached as ``write`` does."""
        if rows is None and cut is None and self._rows:
            marks = self._marks + self._counted(self._rows)[1]
            rows = 0 if self._data.endswith(b'"bindings":[]}}') else max(0, marks + self._rows.more)
        self._push(len(self._data))
        if cut:
            self._waiting.append(pack(Kind.CUT, cut.pack()))
        self._waiting.append(pack(Kind.END, b"" if rows is None else str(rows).encode()))
        self._send()

    def writable(self) -> bool:
        """Return True, as files do."""
        return True


def parse_term(text: str) -> NamedNode | Literal:
    """Read one N-Triples term, an IRI or a literal."""
    quad = next(iter(parse(f"<x:s> <x:p> {text} .", RdfFormat.N_TRIPLES)))
    value: NamedNode | Literal = quad.object
    return value


def evaluate(store: Store, question: QueryRequest) -> Result:
    """Ask *store*; raise QueryFailure where the query is no query."""
    return ask(dataset(store, question), question)


def ask(asked: QueryDataset, question: QueryRequest) -> Result:
    """Put *question* to the graphs of a store; raise QueryFailure where it is none."""
    try:
        return asked.store.query(
            in_written_order(question.text, question.base),
            base_iri=question.base,
            default_graph=asked.default,
            named_graphs=asked.named,
            substitutions={
                Variable(name): parse_term(text) for name, text in question.bindings.items()
            }
            or None,
        )
    except SyntaxError as error:
        raise parse_engine_error(str(error), question.inserted) from error


def in_written_order(text: str, base: str | None = None) -> str:
    """Return *text* with the star of its outermost SELECT replaced by its variables, in the order in which they are first written.

    The engine sorts the columns of ``SELECT *`` by name. Raises SyntaxError where *text* is not a query.

    >>> in_written_order("SELECT * { ?s ?p ?o }")
    'SELECT ?s ?p ?o { ?s ?p ?o }'
    """
    if "*" not in text:
        return text
    tokens = tokenize(text)
    star = _outermost_star(tokens)
    if star is None:
        return text
    result = Store().query(text, base_iri=base)  # on nothing, so that it costs no more than parsing
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
    """Return the star of the outermost SELECT; None if it has none, or the query is of another form."""
    forms = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE")
    head = next((at for at, token in enumerate(tokens) if token.word() in forms), None)
    if head is None or tokens[head].word() != "SELECT":
        return None
    modifiers = ("DISTINCT", "REDUCED")
    following = tokens[head + 1 : head + 3]
    first = next((token for token in following if token.word() not in modifiers), None)
    return first if first and first.text == "*" else None


def parse_engine_error(
    message: str, inserted: tuple[tuple[int, int, int], ...] = ()
) -> QueryFailure:
    """Read the engine's message about the grammar; *inserted* is what was put into the text before."""
    match = _PLACE.match(message)
    if match is None:
        return QueryFailure("QuerySyntaxError", message)
    line, column = int(match[1]), int(match[2])
    return QueryFailure(
        "QuerySyntaxError",
        _readable(match[3]),
        line=line,
        column=original_column(line, column, inserted),
    )


def _readable(expected: str) -> str:
    """Leave out the parser's sets of characters, which no person reads."""
    words = [
        part.strip()
        for part in _SETS.sub("", expected.removeprefix("expected one of ")).split(",\x20")
    ]
    kept = [word for word in dict.fromkeys(words) if word and not word.startswith(("'", "[", "|"))]
    return (
        "expected " + " or ".join(word.removeprefix("expected ") for word in kept[:8])
        if kept
        else "not SPARQL"
    )


def answer(result: Result, question: QueryRequest, connection: socket.socket, engine: str = STORE) -> None:
    """Write *result*, which comes from *engine*, in the format that was asked for its kind."""
    if isinstance(result, QueryTriples):
        return answer_graph(result, question, connection)
    if question.table is None:
        raise QueryFailure(
            "NoFormat", "the answer is a table, and no format of tables was asked for"
        )
    bounded = isinstance(result, QuerySolutions)  # a yes or no has no rows
    out = FrameWriter(connection, question.table, question.rows if bounded else None, engine)
    try:
        result.serialize(out, TABLES[question.table].writer)  # type: ignore[arg-type]  # it needs only write
        return out.end(rows=None if bounded else 1)
    except RowLimitReached:
        most = question.rows or 0
        return out.end(rows=most, cut=Truncation(LimitKind.ROWS, most))


def answer_graph(
    result: Iterable[Triple], question: QueryRequest, connection: socket.socket
) -> None:
    """Write triples in the format of graphs that was asked for."""
    if question.graph is None:
        raise QueryFailure(
            "NoFormat", "the answer is a graph, and no format of graphs was asked for"
        )
    out, passed = FrameWriter(connection, question.graph), 0
    cut: Truncation | None = None

    def limited() -> Iterator[Triple]:
        nonlocal passed, cut
        for triple in result:
            if question.rows is not None and passed >= question.rows:
                cut = Truncation(LimitKind.ROWS, passed)
                return
            passed += 1
            yield triple

    serialize(limited(), out, GRAPHS[question.graph].writer, prefixes=PREFIXES)  # type: ignore[arg-type]  # as above
    out.end(rows=passed, cut=cut)


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


def serve(connection: socket.socket, opened: Callable[[str], OpenSnapshot] = OpenSnapshot) -> None:
    """Answer queries from the snapshots that *opened* opens, until the other side closes the socket."""
    frames = connection.makefile("rb")
    snapshot: OpenSnapshot | None = None
    while frame := read(frames):
        kind, payload = frame
        try:
            if kind is Kind.OPEN:
                if snapshot:
                    snapshot.close()
                snapshot = opened(payload.decode())
                connection.sendall(pack(Kind.END))
            elif snapshot:
                _respond(snapshot, QueryRequest.unpack(payload), connection)
        except QueryFailure as refusal:
            connection.sendall(pack(Kind.FAULT, json.dumps(refusal.payload).encode()))
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


def _respond(snapshot: OpenSnapshot, question: QueryRequest, connection: socket.socket) -> None:
    snapshot.is_answering = True
    try:
        _answer(snapshot, question, connection)
    finally:
        snapshot.is_answering = False


def _answer(snapshot: OpenSnapshot, question: QueryRequest, connection: socket.socket) -> None:
    if question.check:
        evaluate(Store(), question)
        FrameWriter(connection, "").end()
    elif question.explain:
        out = FrameWriter(connection, "")
        out.write(json.dumps(snapshot.explain(question), ensure_ascii=False, indent=1).encode())
        out.end()
    else:
        result, engine = snapshot.evaluate(question)
        answer(result, question, connection, engine)


def error_name(error: Exception) -> str:
    """Name what the engine's *error* is by its name in ``publisher.errors``."""
    return "QueryError" if str(error).startswith(_UNKNOWN) else "StoreFailure"


def start_worker(arguments: list[str]) -> socket.socket:
    """Become a worker: *arguments* are the socket's number, the memory limit in bytes and the parent's process id."""
    handle, memory, parent = (int(text) for text in arguments)
    refuse_sockets()
    connection = socket.socket(fileno=handle)
    limit_memory(memory)
    exit_with_parent(parent)
    return connection


if __name__ == "__main__":
    serve(start_worker(sys.argv[1:4]))
