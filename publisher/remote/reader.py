"""Reader: a worker process that puts its questions to a store elsewhere and answers in the same frames and formats as our own.

It is started by ``pool`` as ``publisher.shelf.reader`` is. Whatever the store, a text is first read by our own grammar, so that errors are
told alike and nothing of an engine's own is let in.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from typing import cast

from pyoxigraph import (
    NamedNode,
    Quad,
    QueryResultsFormat,
    QueryTriples,
    RdfFormat,
    Store,
    parse,
    parse_query_results,
)

from publisher.remote.address import told
from publisher.remote.bound import bind
from publisher.remote.client import TABLE, TRIPLES, Client, Refused
from publisher.remote.dialect import Dialect
from publisher.shelf.dataset import form, merged, named_by, names_graphs
from publisher.shelf.federation import tokens
from publisher.shelf.frames import Kind, pack, read
from publisher.shelf.question import Question
from publisher.shelf.reader import Outlet, Refusal, answer, ask, evaluate, stay_with
from publisher.shelf.sandbox import limit_memory

_OWN = re.compile(r"<(?:bif|sql):|(?:^|\s)define\s+\w+:", re.IGNORECASE)
_NOWHERE = "urn:stocktake:none"  # a graph that holds nothing
_ALL = "CONSTRUCT {{ ?s ?p ?o }} {{ GRAPH <{}> {{ ?s ?p ?o }} }}"


class Asking:
    """Where the questions go."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._dialect: Dialect | None = None

    def answer(self, question: Question, connection: socket.socket) -> None:
        """Answer *question*; raises Refusal and Refused."""
        evaluate(Store(), Question(question.text, base=question.base, bindings=question.bindings, inserted=question.inserted))
        if question.check:
            return Outlet(connection, "").end()
        if _OWN.search(_bare(question.text)):
            raise Refusal("QueryError", "functions and pragmas of the store's own are not answered here")
        default, named = named_by(question)
        if default and len(default) > 1:  # a merge is what few engines make of them: they are fetched and asked here
            return answer(ask(merged(self._held, default, named or []), question), question, connection)
        kind = form(question.text)
        if kind in ("construct", "describe"):
            return answer(_triples(self._asked(question, TRIPLES)), question, connection)
        found = self._asked(question, TABLE)
        most = _capped(found, self._known())
        result = parse_query_results(found, QueryResultsFormat.JSON)
        answer(result, question if most is None else _fewer(question, most), connection)

    def _asked(self, question: Question, accept: str) -> http.client.HTTPResponse:
        dialect = self._known()
        text = bind(question.text, question.bindings)
        base = f"BASE <{question.base}>\n" if question.base else ""
        prologue = f"{dialect.prologue}\n" if dialect.hidden else ""
        return self._client.ask(prologue + base + text, accept, list(_dataset(question, dialect)))

    def _known(self) -> Dialect:
        if self._dialect is None:
            self._dialect = self._client.dialect()
        return self._dialect

    def _held(self, graph: NamedNode) -> Iterator[Quad]:
        found = self._client.ask(_ALL.format(graph.value), TRIPLES)
        return (Quad(quad.subject, quad.predicate, quad.object, graph) for quad in parse(found, RdfFormat.N_TRIPLES, lenient=True))


def _bare(text: str) -> str:
    """Leave out comments and strings."""
    return "".join(" " if token.kind in ("comment", "text") else token.text for token in tokens(text))


def _dataset(question: Question, dialect: Dialect) -> Iterator[tuple[str, str]]:
    """Give the parameters that name the graphs."""
    if question.default_graphs is not None or question.named_graphs is not None:
        yield from (("default-graph-uri", graph) for graph in question.default_graphs or (_NOWHERE,))
        yield from (("named-graph-uri", graph) for graph in question.named_graphs or (_NOWHERE,))
    elif dialect.merged and not names_graphs(question.text):
        yield "default-graph-uri", dialect.merged


def _triples(found: http.client.HTTPResponse) -> QueryTriples:
    # It gives triples one by one, which is all that is asked of it.
    return cast(QueryTriples, (quad.triple for quad in parse(found, RdfFormat.N_TRIPLES, lenient=True)))


def _capped(found: http.client.HTTPResponse, dialect: Dialect) -> int | None:
    """Give the most rows that may be told as they are where the store itself has ended the answer early; None: it is whole."""
    if dialect.broken and (state := found.headers.get(dialect.broken)):
        raise Refusal("TimeLimit", f"this store stopped the query at its own limit ({state}); narrow it, or put it as an export")
    cap = found.headers.get(dialect.cap) if dialect.cap else None
    return max(0, int(cap) - 1) if cap else None


def _fewer(question: Question, most: int) -> Question:
    """One row fewer than there are, so that the answer is cut and says so as every cut answer does."""
    rows = most if question.rows is None else min(most, question.rows)
    return Question(question.text, question.table, question.graph, question.base, rows=rows)


class _Folder:
    """The open generation's folder, kept from removal by a shared lock."""

    def __init__(self, path: str) -> None:
        self._lock = os.open(path, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def close(self) -> None:
        os.close(self._lock)


def attend(connection: socket.socket) -> None:
    """Answer question after question until the other side closes."""
    frames, asking = connection.makefile("rb"), Asking(Client(told().query))
    folder: _Folder | None = None
    while frame := read(frames):
        kind, payload = frame
        try:
            if kind is Kind.OPEN:
                if folder:
                    folder.close()
                folder = _Folder(payload.decode())
                connection.sendall(pack(Kind.END))
            else:
                asking.answer(Question.unpack(payload), connection)
        except Refusal as refusal:
            _tell(connection, refusal.payload)
        except Refused as refused:
            _tell(connection, {"reason": refused.reason, "message": str(refused)})
        except MemoryError:
            _tell(connection, {"reason": "MemoryLimit", "message": ""})
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            _tell(connection, {"reason": "Broken", "message": str(error)})


def _tell(connection: socket.socket, told: Mapping[str, object]) -> None:
    connection.sendall(pack(Kind.FAULT, json.dumps(told).encode()))


def main() -> None:
    """Become a worker: arguments are the socket's number, the memory limit in bytes and the parent's process id."""
    handle, memory, parent = (int(text) for text in sys.argv[1:4])
    connection = socket.socket(fileno=handle)
    limit_memory(memory)
    stay_with(parent)
    attend(connection)


if __name__ == "__main__":
    main()
