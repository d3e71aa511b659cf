"""A worker process that sends queries to an external store and answers in the same messages and
formats as ``publisher.store.workers.reader``.

Every query is first parsed by our own parser, so that errors are the same for all stores and no
extension of one engine is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from pyoxigraph import (
    QueryResultsFormat,
    QueryTriples,
    RdfFormat,
    Store,
    parse,
    parse_query_results,
)

from journal.files import SharedLock
from publisher.errors import NotReady, QueryError
from publisher.store.external.client import (
    TABLE,
    TRIPLES,
    Client,
    from_environment,
    max_rows,
    missing_data,
)
from publisher.store.snapshots import read_snapshot
from publisher.store.workers.query_request import (
    QueryRequest,
    ResponsePart,
    Result,
    dataset_graphs,
    graph_patterns,
    in_written_order,
    tokenize,
)
from publisher.store.workers.reader import (
    STORE,
    OpenSnapshot,
    QueriedSnapshot,
    evaluate,
    limit_process,
    send_result,
    serve,
    union,
)

_ENGINE_EXTENSION = re.compile(r"<(?:bif|sql):|(?:^|\s)define\s+\w+\s*:", re.IGNORECASE)
_BASE = re.compile(r"(?:\s|#[^\r\n]*)*+base\b", re.IGNORECASE)
_EMPTY_GRAPH = "urn:stocktake:none"
_LIST_ENDS = {"{", "}", "where", "from", "having", "order", "limit", "offset", "values"}


class ExternalSnapshot:
    """An open snapshot whose quads are in the store of *client*. A shared lock on its folder
    protects it from removal.
    """

    def __init__(self, path: str, client: Client) -> None:
        self._lock = SharedLock(path)
        self._snapshot, self._client = read_snapshot(Path(path)), client

    def answer(self, request: QueryRequest, connection: Connection) -> None:
        """Send the response to *request*, which may only check the query. Raises PublisherError if
        the query is not valid, or uses what only one engine has.
        """
        tokens = (token.text for token in tokenize(request.text) if token.kind != "string")
        if _ENGINE_EXTENSION.search(" ".join(tokens)):
            raise QueryError("functions and pragmas specific to the store are not supported here")
        form = evaluate(request, Store())
        if request.check:
            return connection.send(ResponsePart(engine=STORE))
        result, rows = self._ask(request, form)
        return send_result(result, replace(request, rows=rows), connection)

    def close(self) -> None:
        self._lock.close()

    def _ask(self, request: QueryRequest, form: Result) -> tuple[Result, int | None]:
        """Return the result of a query, which has the form of *form*, and how many of its rows may be
        sent.
        """
        snapshot, client = self._snapshot, self._client
        # The store was emptied, is being loaded again, or is another one.
        if reason := missing_data(client.state(), snapshot.position, snapshot.entry):
            raise NotReady(reason)
        default, named = dataset_graphs(request)
        # Few engines merge several default graphs, so these are fetched and queried here.
        if default and len(default) > 1:
            return evaluate(request, *union(client.quads, default, named or [])), request.rows
        written = in_written_order(request.text, request.base)
        text = rewrite(written, request.bindings, client.dialect.hidden)
        # Virtuoso accepts only one BASE, as the first word.
        base = f"BASE <{request.base}>\n" if request.base and not _BASE.match(text) else ""
        is_graph = isinstance(form, QueryTriples)
        response = client.ask(
            base + text, TRIPLES if is_graph else TABLE, self._dataset(request, text)
        )
        if is_graph:
            quads = parse(client.file(response), RdfFormat.N_TRIPLES, lenient=True)
            return (quad.triple for quad in quads), request.rows
        limits = [rows for rows in (request.rows, max_rows(response)) if rows is not None]
        table = parse_query_results(client.file(response), QueryResultsFormat.JSON)
        return table, min(limits, default=None)

    def _dataset(self, request: QueryRequest, text: str) -> Mapping[str, Sequence[str]]:
        merged = self._client.dialect.merged
        if request.default_graphs is not None or request.named_graphs is not None:
            return {
                "default-graph-uri": request.default_graphs or (_EMPTY_GRAPH,),
                "named-graph-uri": request.named_graphs or (_EMPTY_GRAPH,),
            }
        if not merged or dataset_graphs(request) != (None, None):
            return {}
        # If the default graph is named, Virtuoso matches all graphs by a variable, but by IRI only
        # graphs that are named too.
        named, has_variable = graph_patterns(text, request.base)
        if named and has_variable:
            raise QueryError(
                "this store does not support GRAPH with an IRI and GRAPH with a variable in one query"
            )
        return {"default-graph-uri": [merged], "named-graph-uri": named}


def rewrite(query: str, bindings: Mapping[str, str], hidden: str) -> str:
    """Replace variables by the N-Triples terms in *bindings*, and exclude the list *hidden* of graphs
    from ``GRAPH ?g``.

    Only internal queries have such values: their variables are in the projection, and the query
    text does not bind them. The terms are still columns of the result.

    >>> rewrite("SELECT ?a ?b { ?a <x:p> ?b }", {"a": "<x:s>"}, "")
    'SELECT (<x:s> AS ?a) ?b { <x:s> <x:p> ?b }'
    >>> rewrite("SELECT ?g { GRAPH ?g { ?s ?p ?o } }", {}, "<x:merge>")
    'SELECT ?g { { GRAPH ?g { ?s ?p ?o } FILTER(?g NOT IN (<x:merge>)) } }'
    """
    tokens = tokenize(query, with_gaps=True)
    clause, depth, brackets = "", 0, 0
    groups: list[tuple[int, str]] = []
    texts: list[str] = []
    for index, token in enumerate(tokens):
        text, word = token.text, token.text.lower()
        if word in ("select", "group"):
            clause = word
        elif word in _LIST_ENDS and not brackets:
            clause = ""
        depth += (word == "{") - (word == "}")
        brackets += (word == "(") - (word == ")")
        if token.kind == "variable" and text[1:] in bindings:
            value, is_listed = bindings[text[1:]], clause and not brackets
            column = f"({value} AS {text})" if clause == "select" and not depth else ""
            text = column if is_listed else value
        elif word == "graph":
            following = next((item for item in tokens[index + 1 :] if item.kind != "gap"), token)
            if following.kind == "variable" and following.text[1:] not in bindings:
                groups.append((depth, following.text))
                text = "{ GRAPH"
        elif word == "}" and groups and groups[-1][0] == depth:
            text = f"}} FILTER({groups.pop()[1]} NOT IN ({hidden})) }}"
        texts.append(text)
    return "".join(texts)


def run(connection: Connection, memory: int) -> None:
    """Limit this process to *memory* bytes, and answer queries until the server closes
    *connection*.
    """
    limit_process(memory)
    client = Client(from_environment().query)

    def open_snapshot(path: str) -> QueriedSnapshot:
        # Only releases have an embedded store.
        is_release = (Path(path) / "store").is_dir()
        return OpenSnapshot(path) if is_release else ExternalSnapshot(path, client)

    serve(connection, open_snapshot)
