"""Reader: a worker process that opens a generation read-only and answers one question at a time, in frames.

It is started by ``pool`` with one end of a socket and runs until that is closed; ``pool`` kills it at a time limit.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from pyoxigraph import Literal, NamedNode, QueryBoolean, QuerySolutions, QueryTriples, RdfFormat, Store, Triple, Variable, parse, serialize

from publisher.formats import GRAPHS, TABLES
from publisher.frames import SIZE, Kind, pack, read
from publisher.question import Question
from publisher.sandbox import limit_memory, refuse_sockets

Result = QuerySolutions | QueryBoolean | QueryTriples

_PLACE = re.compile(r"error at (\d+):(\d+): (.*)", re.DOTALL)
_SETS = re.compile(r"\[[^\[\]]*\](?:,\s*|\s*\|\s*)?|'\\u\S+")


class Refusal(Exception):
    """The answer stops here: a reason by its name in ``publisher.errors``."""

    def __init__(self, reason: str, message: str = "", **more: int) -> None:
        super().__init__(message)
        self.payload = {"reason": reason, "message": message, **more}


class Generation:
    """The open generation, kept from removal by a shared lock on its folder."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = os.open(path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        self.store = Store.read_only(str(Path(path) / "store"))

    def close(self) -> None:
        """Let the folder go."""
        del self.store
        os.close(self._lock)


class Outlet:
    """A file to write an answer to: it leaves in frames as it grows; rows are counted as they pass."""

    def __init__(self, connection: socket.socket, suffix: str, mark: bytes = b"", most: int | None = None) -> None:
        self._connection = connection
        self._waiting = bytearray(pack(Kind.HEAD, suffix.encode()))
        self._data = bytearray()
        self._mark, self._most, self._rows, self._tail = mark, most, 0, b""

    def write(self, data: bytes) -> int:
        """Take *data*; raise Refusal above the most rows."""
        if self._most is not None and self._mark:
            text = self._tail + data
            self._rows += text.count(self._mark)
            self._tail = text[len(text) - len(self._mark) + 1 :] if len(self._mark) > 1 else b""
            if self._rows > self._most:
                raise Refusal("RowLimit", f"the answer has more than {self._most} rows")
        self._data += data
        if len(self._data) >= SIZE:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Send what waits."""
        if self._data:
            self._waiting += pack(Kind.DATA, bytes(self._data))
            self._data = bytearray()
        self._connection.sendall(self._waiting)
        self._waiting = bytearray()

    def end(self) -> None:
        """Send what waits and the end, together."""
        if self._data:
            self._waiting += pack(Kind.DATA, bytes(self._data))
        self._connection.sendall(self._waiting + pack(Kind.END))

    def writable(self) -> bool:
        """Say yes, as files do."""
        return True


def term(text: str) -> NamedNode | Literal:
    """Read one N-Triples term, an IRI or a literal."""
    quad = next(iter(parse(f"<x:s> <x:p> {text} .", RdfFormat.N_TRIPLES)))
    value: NamedNode | Literal = quad.object
    return value


def evaluate(store: Store, question: Question) -> Result:
    """Ask *store*; raise Refusal where the query is no query."""
    try:
        return store.query(
            question.text,
            base_iri=question.base,
            default_graph=None if question.default_graphs is None else [NamedNode(iri) for iri in question.default_graphs],
            named_graphs=None if question.named_graphs is None else [NamedNode(iri) for iri in question.named_graphs],
            substitutions={Variable(name): term(text) for name, text in question.bindings.items()} or None,
        )
    except SyntaxError as error:
        raise _fault(str(error)) from error


def _fault(message: str) -> Refusal:
    match = _PLACE.match(message)
    if match is None:
        return Refusal("SyntaxFault", message)
    return Refusal("SyntaxFault", _readable(match[3]), line=int(match[1]), column=int(match[2]))


def _readable(expected: str) -> str:
    """Leave out the parser's sets of characters, which no person reads."""
    words = [part.strip() for part in _SETS.sub("", expected.removeprefix("expected one of ")).split(",\x20")]
    kept = [word for word in dict.fromkeys(words) if word and not word.startswith(("'", "[", "|"))]
    return "expected " + " or ".join(word.removeprefix("expected ") for word in kept[:8]) if kept else "not SPARQL"


def answer(result: Result, question: Question, connection: socket.socket) -> None:
    """Write *result* in the format that was asked for its kind."""
    if isinstance(result, QueryTriples):
        if question.graph is None:
            raise Refusal("NoFormat", "the answer is a graph, and no format of graphs was asked for")
        row = GRAPHS[question.graph]
        out = Outlet(connection, row.suffix)
        serialize(_limited(result, question.rows), out, row.writer, prefixes=PREFIXES)  # type: ignore[arg-type]  # it needs only write
        return out.end()
    if question.table is None:
        raise Refusal("NoFormat", "the answer is a table, and no format of tables was asked for")
    table = TABLES[question.table]
    out = Outlet(connection, table.suffix, table.mark, question.rows)
    result.serialize(out, table.writer)  # type: ignore[arg-type]  # as above
    return out.end()


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


def _limited(triples: Iterable[Triple], most: int | None) -> Iterator[Triple]:
    for number, triple in enumerate(triples, 1):
        if most is not None and number > most:
            raise Refusal("RowLimit", f"the answer has more than {most} triples")
        yield triple


def attend(connection: socket.socket) -> None:
    """Answer question after question until the other side closes."""
    frames = connection.makefile("rb")
    generation: Generation | None = None
    while frame := read(frames):
        kind, payload = frame
        try:
            if kind is Kind.OPEN:
                if generation:
                    generation.close()
                generation = Generation(payload.decode())
                connection.sendall(pack(Kind.END))
            elif generation:
                question = Question.unpack(payload)
                answer(evaluate(generation.store, question), question, connection)
        except Refusal as refusal:
            connection.sendall(pack(Kind.FAULT, json.dumps(refusal.payload).encode()))
        except MemoryError:
            connection.sendall(pack(Kind.FAULT, b'{"reason": "MemoryLimit", "message": "the query was stopped at its memory limit"}'))
        except (OSError, RuntimeError, ValueError) as error:
            connection.sendall(pack(Kind.FAULT, json.dumps({"reason": "Broken", "message": str(error)}).encode()))


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def main() -> None:
    """Run a reader: arguments are the socket's number, the memory limit in bytes and the parent's process id."""
    handle, memory, parent = (int(text) for text in sys.argv[1:4])
    refuse_sockets()
    connection = socket.socket(fileno=handle)
    limit_memory(memory)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    attend(connection)


if __name__ == "__main__":
    main()
