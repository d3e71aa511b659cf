"""A worker process that sends queries to an external store and answers in the same frames and formats as our own reader.

The pool starts it as it starts ``publisher.store.workers.reader``. Every query is first parsed by our own parser, so that errors
are the same for all stores and no extension of one engine is accepted.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

from pyoxigraph import (
    NamedNode,
    Quad,
    QueryResultsFormat,
    QuerySolutions,
    RdfFormat,
    Store,
    Triple,
    parse,
    parse_query_results,
)

from journal.file_lock import SharedLock
from publisher.rdf.sparql_tokens import tokenize
from publisher.store.external.client import TABLE, TRIPLES, Client, EndpointError
from publisher.store.external.endpoint import from_environment
from publisher.store.external.engine_quirks import Dialect
from publisher.store.external.variable_binding import bind, hide_graphs
from publisher.store.external.virtuoso_literals import RepairedLines
from publisher.store.process import exit_with_parent
from publisher.store.workers.dataset import graph_patterns, named_by, names_graphs, query_form, union
from publisher.store.workers.ipc_protocol import Kind, pack, read
from publisher.store.workers.process_limits import limit_memory
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import (
    FrameWriter,
    OpenSnapshot,
    QueryFailure,
    Result,
    answer,
    answer_graph,
    ask,
    error_name,
    evaluate,
    in_written_order,
)

_OWN = re.compile(r"<(?:bif|sql):|(?:^|\s)define\s+\w+:", re.IGNORECASE)
_NOWHERE = "urn:stocktake:none"  # a graph that holds nothing
_ALL = "CONSTRUCT {{ ?s ?p ?o }} {{ GRAPH <{}> {{ ?s ?p ?o }} }}"


TRUE_QUERY, FALSE_QUERY = "ASK {}", "ASK { FILTER(false) }"


class ExternalQueries:
    """Where the questions go."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._dialect: Dialect | None = None

    def answer(self, question: QueryRequest, connection: socket.socket) -> None:
        """Answer *question*; raises QueryFailure and EndpointError."""
        if _OWN.search(_bare(question.text)):
            raise QueryFailure("QueryError", "functions and pragmas of the store's own are not answered here")
        evaluate(Store(), QueryRequest(question.text, base=question.base, bindings=question.bindings, inserted=question.inserted))
        if question.check:
            return FrameWriter(connection, "").end()
        question = replace(question, text=in_written_order(question.text, question.base))
        default, named = named_by(question)
        if default and len(default) > 1:  # a merge is what few engines make of them: they are fetched and asked here
            return answer(ask(union(self._held, default, named or []), question), question, connection)
        kind = query_form(question.text)
        if kind in ("construct", "describe"):
            return answer_graph(_triples(self._repaired(self._asked(question, TRIPLES))), question, connection)
        response = self._asked(question, TABLE)
        most = _capped(response, self._known())
        result: Result = parse_query_results(self._repaired(response), QueryResultsFormat.JSON)
        if kind == "ask" and isinstance(result, QuerySolutions):  # Virtuoso answers a number in a table
            result = evaluate(Store(), QueryRequest(TRUE_QUERY if any(str(row[0].value) == "1" for row in result) else FALSE_QUERY))
        answer(result, question if most is None else _fewer(question, most), connection)

    def _asked(self, question: QueryRequest, accept: str) -> http.client.HTTPResponse:
        dialect = self._known()
        text = bind(question.text, question.bindings)
        if question.named_graphs is None and not names_graphs(text):
            text = hide_graphs(text, dialect.hidden)
        base = f"BASE <{question.base}>\n" if question.base and not _based(text) else ""
        return self._client.ask(base + text, accept, list(_dataset(question, text, dialect)))

    def _known(self) -> Dialect:
        if self._dialect is None:
            self._dialect = self._client.dialect()
        return self._dialect

    def _repaired(self, response: http.client.HTTPResponse) -> IO[bytes]:
        return cast(IO[bytes], RepairedLines(response) if self._known().merged else response)  # only ``read`` is asked of it

    def _held(self, graph: NamedNode) -> Iterator[Quad]:
        response = self._client.ask(_ALL.format(graph.value), TRIPLES)
        quads = parse(self._repaired(response), RdfFormat.N_TRIPLES, lenient=True)
        return (Quad(quad.subject, quad.predicate, quad.object, graph) for quad in quads)


def _based(text: str) -> bool:
    """Return whether a query begins with a base of its own: Virtuoso takes one, and only as the first word."""
    first = next(iter(tokenize(text)), None)
    return first is not None and first.kind == "word" and first.text.lower() == "base"


def _bare(text: str) -> str:
    """Leave out comments and strings."""
    return "".join(" " if token.kind in ("gap", "string") else token.text for token in tokenize(text, with_gaps=True))


def _dataset(question: QueryRequest, text: str, dialect: Dialect) -> Iterator[tuple[str, str]]:
    """Return the parameters that name the graphs."""
    if question.default_graphs is not None or question.named_graphs is not None:
        yield from (("default-graph-uri", graph) for graph in question.default_graphs or (_NOWHERE,))
        yield from (("named-graph-uri", graph) for graph in question.named_graphs or (_NOWHERE,))
    elif dialect.merged and not names_graphs(text):
        yield "default-graph-uri", dialect.merged
        # Where the default graph is named, Virtuoso finds any graph by a variable, but by an address only one that is named too.
        named, variable = graph_patterns(text, question.base)
        if named and variable:
            raise QueryFailure("QueryError", "this store cannot be asked of GRAPH with an address and GRAPH with a variable in one query")
        yield from (("named-graph-uri", graph) for graph in named)


def _triples(response: IO[bytes]) -> Iterator[Triple]:
    return (quad.triple for quad in parse(response, RdfFormat.N_TRIPLES, lenient=True))


def _capped(response: http.client.HTTPResponse, dialect: Dialect) -> int | None:
    """Return how many rows may be passed on if the store ended the response early; None if it is complete."""
    if dialect.broken and (state := response.headers.get(dialect.broken)):
        raise QueryFailure("TimeLimit", f"this store stopped the query at its own limit ({state}); narrow it, or put it as an export")
    cap = response.headers.get(dialect.cap) if dialect.cap else None
    return max(0, int(cap) - 1) if cap else None


def _fewer(question: QueryRequest, most: int) -> QueryRequest:
    """One row fewer than there are, so that the answer is cut and says so as every cut answer does."""
    rows = most if question.rows is None else min(most, question.rows)
    return QueryRequest(question.text, question.table, question.graph, question.base, rows=rows)


class _Folder:
    """The open snapshot's folder, protected from removal by a shared lock; its store is external."""

    def __init__(self, path: str) -> None:
        self._lock = SharedLock(path)

    def close(self) -> None:
        self._lock.close()


def open_snapshot(path: str) -> _Folder | OpenSnapshot:
    """Open a snapshot: a release has a store of its own here."""
    return OpenSnapshot(path) if (Path(path) / "store").is_dir() else _Folder(path)


def serve(connection: socket.socket) -> None:
    """Answer question after question until the other side closes."""
    frames, asking = connection.makefile("rb"), ExternalQueries(Client(from_environment().query))
    folder: _Folder | OpenSnapshot | None = None
    while frame := read(frames):
        kind, payload = frame
        try:
            if kind is Kind.OPEN:
                if folder:
                    folder.close()
                folder = open_snapshot(payload.decode())
                connection.sendall(pack(Kind.END))
            elif isinstance(folder, OpenSnapshot):
                question = QueryRequest.unpack(payload)
                answer(evaluate(folder.store, question), question, connection)
            else:
                asking.answer(QueryRequest.unpack(payload), connection)
        except QueryFailure as refusal:
            _send_error(connection, refusal.payload)
        except EndpointError as refused:
            _send_error(connection, {"reason": refused.reason, "message": str(refused)})
        except MemoryError:
            _send_error(connection, {"reason": "MemoryLimit", "message": ""})
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            _send_error(connection, {"reason": error_name(error), "message": str(error)})


def _send_error(connection: socket.socket, error: Mapping[str, object]) -> None:
    connection.sendall(pack(Kind.FAULT, json.dumps(error).encode()))


def main() -> None:
    """Become a worker: arguments are the socket's number, the memory limit in bytes and the parent's process id."""
    handle, memory, parent = (int(text) for text in sys.argv[1:4])
    connection = socket.socket(fileno=handle)
    limit_memory(memory)
    exit_with_parent(parent)
    serve(connection)


if __name__ == "__main__":
    main()
