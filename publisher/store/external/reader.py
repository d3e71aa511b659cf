"""A worker process that sends queries to an external store and answers in the same frames and
formats as our own reader.

The pool starts it as it starts ``publisher.store.workers.reader``. Every query is first parsed by
our own parser, so that errors are the same for all stores and no extension of one engine is
accepted.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
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
from publisher.store.external.state import ASK, missing_data, parse_state
from publisher.store.external.variable_binding import bind, hide_graphs
from publisher.store.external.virtuoso_literals import RepairedLines
from publisher.store.process import exit_with_parent
from publisher.store.snapshots import Snapshot, read_snapshot
from publisher.store.workers.column_reader import ColumnSnapshot
from publisher.store.workers.dataset import (
    dataset_graphs,
    graph_patterns,
    names_graphs,
    query_form,
    union,
)
from publisher.store.workers.ipc_protocol import Kind, pack, read
from publisher.store.workers.process_limits import limit_memory
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import (
    FrameWriter,
    QueryFailure,
    Result,
    answer,
    answer_graph,
    ask,
    error_name,
    evaluate,
    in_written_order,
)

_ENGINE_EXTENSION = re.compile(r"<(?:bif|sql):|(?:^|\s)define\s+\w+:", re.IGNORECASE)
_EMPTY_GRAPH = "urn:stocktake:none"  # an empty graph
_ALL = "CONSTRUCT {{ ?s ?p ?o }} {{ GRAPH <{}> {{ ?s ?p ?o }} }}"


TRUE_QUERY, FALSE_QUERY = "ASK {}", "ASK { FILTER(false) }"


class ExternalQueries:
    """Evaluates queries on the store of *client*."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._dialect: Dialect | None = None

    def require_level(self, snapshot: Snapshot) -> None:
        """Raise EndpointError if the store lacks data that the snapshot was published with: it was
        emptied, is being loaded again, or is another one.
        """
        rows = ((row["name"], row["value"]) for row in self._client.rows(ASK))
        if reason := missing_data(parse_state(rows), snapshot.position, snapshot.entry):
            raise EndpointError("NotReady", reason)

    def answer(self, request: QueryRequest, connection: socket.socket) -> None:
        """Send the result of *request* to *connection*. Raises QueryFailure and EndpointError."""
        if _ENGINE_EXTENSION.search(_without_text(request.text)):
            raise QueryFailure(
                "QueryError", "functions and pragmas specific to the store are not supported here"
            )
        evaluate(
            Store(),
            QueryRequest(
                request.text,
                base=request.base,
                bindings=request.bindings,
                inserted=request.inserted,
            ),
        )
        if request.check:
            return FrameWriter(connection, "").end()
        request = replace(request, text=in_written_order(request.text, request.base))
        default, named = dataset_graphs(request)
        # few engines merge them, so they are fetched and queried here
        if default and len(default) > 1:
            return answer(
                ask(union(self._graph_quads, default, named or []), request), request, connection
            )
        kind = query_form(request.text)
        if kind in ("construct", "describe"):
            return answer_graph(
                _triples(self._repaired(self._send(request, TRIPLES))), request, connection
            )
        response = self._send(request, TABLE)
        max_rows = _row_limit(response, self._get_dialect())
        result: Result = parse_query_results(self._repaired(response), QueryResultsFormat.JSON)
        # Virtuoso returns a number in a table
        if kind == "ask" and isinstance(result, QuerySolutions):
            result = evaluate(
                Store(),
                QueryRequest(
                    TRUE_QUERY if any(str(row[0].value) == "1" for row in result) else FALSE_QUERY
                ),
            )
        answer(
            result, request if max_rows is None else _with_row_limit(request, max_rows), connection
        )

    def _send(self, request: QueryRequest, accept: str) -> http.client.HTTPResponse:
        dialect = self._get_dialect()
        text = bind(request.text, request.bindings)
        if request.named_graphs is None and not names_graphs(text):
            text = hide_graphs(text, dialect.hidden)
        base = f"BASE <{request.base}>\n" if request.base and not _has_base(text) else ""
        return self._client.ask(base + text, accept, list(_dataset(request, text, dialect)))

    def _get_dialect(self) -> Dialect:
        if self._dialect is None:
            self._dialect = self._client.dialect()
        return self._dialect

    def _repaired(self, response: http.client.HTTPResponse) -> IO[bytes]:
        # only ``read`` is called
        return cast(IO[bytes], RepairedLines(response) if self._get_dialect().merged else response)

    def _graph_quads(self, graph: NamedNode) -> Iterator[Quad]:
        response = self._client.ask(_ALL.format(graph.value), TRIPLES)
        quads = parse(self._repaired(response), RdfFormat.N_TRIPLES, lenient=True)
        return (Quad(quad.subject, quad.predicate, quad.object, graph) for quad in quads)


def _has_base(text: str) -> bool:
    """Return whether a query begins with BASE: Virtuoso accepts only one, as the first word."""
    first = next(iter(tokenize(text)), None)
    return first is not None and first.kind == "word" and first.text.lower() == "base"


def _without_text(text: str) -> str:
    """Return *text* without comments and strings."""
    return "".join(
        " " if token.kind in ("gap", "string") else token.text
        for token in tokenize(text, with_gaps=True)
    )


def _dataset(request: QueryRequest, text: str, dialect: Dialect) -> Iterator[tuple[str, str]]:
    """Yield the protocol parameters that name the graphs."""
    if request.default_graphs is not None or request.named_graphs is not None:
        yield from (
            ("default-graph-uri", graph) for graph in request.default_graphs or (_EMPTY_GRAPH,)
        )
        yield from (("named-graph-uri", graph) for graph in request.named_graphs or (_EMPTY_GRAPH,))
    elif dialect.merged and not names_graphs(text):
        yield "default-graph-uri", dialect.merged
        # If the default graph is named, Virtuoso matches all graphs by a variable, but by IRI only
        # graphs that are named too.
        named, variable = graph_patterns(text, request.base)
        if named and variable:
            raise QueryFailure(
                "QueryError",
                "this store does not support GRAPH with an IRI and GRAPH with a variable in one query",
            )
        yield from (("named-graph-uri", graph) for graph in named)


def _triples(response: IO[bytes]) -> Iterator[Triple]:
    return (quad.triple for quad in parse(response, RdfFormat.N_TRIPLES, lenient=True))


def _row_limit(response: http.client.HTTPResponse, dialect: Dialect) -> int | None:
    """Return how many rows may be sent if the store truncated the result; None if it is complete."""
    if dialect.broken and (state := response.headers.get(dialect.broken)):
        raise QueryFailure(
            "TimeLimit",
            f"this store stopped the query at its own limit ({state}); narrow it, or run it as an export",
        )
    cap = response.headers.get(dialect.cap) if dialect.cap else None
    return max(0, int(cap) - 1) if cap else None


def _with_row_limit(request: QueryRequest, max_rows: int) -> QueryRequest:
    """Return *request* with a limit of one row fewer than there are, so that the result is marked
    as truncated.
    """
    rows = max_rows if request.rows is None else min(max_rows, request.rows)
    return QueryRequest(request.text, request.table, request.graph, request.base, rows=rows)


class _Folder:
    """The open snapshot's folder, protected from removal by a shared lock; its store is external."""

    def __init__(self, path: str) -> None:
        self._lock = SharedLock(path)
        self.snapshot = read_snapshot(Path(path))

    def close(self) -> None:
        self._lock.close()


def open_snapshot(path: str) -> _Folder | ColumnSnapshot:
    """Open the folder of a snapshot. Only releases have an embedded store."""
    return ColumnSnapshot(path) if (Path(path) / "store").is_dir() else _Folder(path)


def serve(connection: socket.socket) -> None:
    """Answer queries until the server closes the socket."""
    frames, queries = connection.makefile("rb"), ExternalQueries(Client(from_environment().query))
    folder: _Folder | ColumnSnapshot | None = None
    while frame := read(frames):
        kind, payload = frame
        try:
            if kind is Kind.OPEN:
                if folder:
                    folder.close()
                folder = open_snapshot(payload.decode())
                connection.sendall(pack(Kind.END))
            elif isinstance(folder, ColumnSnapshot):
                request = QueryRequest.unpack(payload)
                result, engine = folder.evaluate(request)
                answer(result, request, connection, engine)
            else:
                if folder:
                    queries.require_level(folder.snapshot)
                queries.answer(QueryRequest.unpack(payload), connection)
        except QueryFailure as failure:
            _send_error(connection, failure.payload)
        except EndpointError as failure:
            _send_error(connection, {"reason": failure.reason, "message": str(failure)})
        except MemoryError:
            _send_error(connection, {"reason": "MemoryLimit", "message": ""})
        except (OSError, RuntimeError, ValueError, http.client.HTTPException) as error:
            _send_error(connection, {"reason": error_name(error), "message": str(error)})


def _send_error(connection: socket.socket, error: Mapping[str, object]) -> None:
    connection.sendall(pack(Kind.FAULT, json.dumps(error).encode()))


def run(connection: socket.socket, memory: int, parent: int) -> None:
    """Limit this process to *memory* bytes, end it with the process *parent*, and serve
    *connection*.
    """
    limit_memory(memory)
    exit_with_parent(parent)
    serve(connection)
