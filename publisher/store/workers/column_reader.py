"""A query worker that evaluates a query by the columns of a snapshot if that is faster, else by its
RDF store.
"""

from __future__ import annotations

import logging
import re
import socket
from pathlib import Path

from pyoxigraph import Store

from publisher.store.columns.query_parser import parse
from publisher.store.columns.snapshot_columns import SMALL, open_columns
from publisher.store.workers import reader
from publisher.store.workers.dataset import uses_named_graphs
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import (
    STORE,
    OpenSnapshot,
    QueryFailure,
    Result,
    ask,
    count_rows,
    evaluate,
)

COLUMNS = "columns"  # the name of the engine
_MAX_LENGTH = 20_000  # characters of a query that is compiled

# Only such queries read many triples for a small result. A word in a comment or a string counts
# too.
_BLOCKING = re.compile(
    r"\b(?:COUNT|SUM|MIN|MAX|AVG|SAMPLE|GROUP_CONCAT|DISTINCT|GROUP|ORDER)\b", re.IGNORECASE
)
_FIRST_QUERY = 'SELECT (COUNT(?s) AS ?n) { ?s <x:p> ?o FILTER(?o != "") } GROUP BY ?o ORDER BY ?n'
_OTHER_FORM = re.compile(r"\b(?:CONSTRUCT|DESCRIBE)\b", re.IGNORECASE)  # which is not compiled
_FIRST_TERM = re.compile(r"\{\s*+([<?$\w]?)")  # first character of each group
# a group whose first subject is an IRI
_POINT = re.compile(r"\{\s*+(?:<[^<>{\s]*+>|[\w-]*+:[\w.-]*+)\s++[^\s{]")


class ColumnSnapshot(OpenSnapshot):
    """An open snapshot with its columns, if these are at the same journal position as its store."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        # None if there are none at the position of the store
        self.columns = open_columns(Path(path))

    def evaluate(self, request: QueryRequest) -> tuple[Result, str]:
        """Return the result of *request* and the name of the engine that answers it; raise
        QueryFailure if it is not a query.
        """
        if uses_named_graphs(request):
            return self._evaluate_named(request)
        if (
            may_compile(request)
            and self.columns
            and (result := self.columns.answer(request)) is not None
        ):
            return result, COLUMNS
        return super().evaluate(request)

    def _evaluate_named(self, request: QueryRequest) -> tuple[Result, str]:
        """Return the result of a query over named graphs, which the RDF store does not have, as
        ``evaluate``. Raises MemoryError if it would have to read too many quads.
        """
        evaluate(Store(), request)  # raises QueryFailure if it is not a query
        if self.columns is None:
            raise QueryFailure("StoreFailure", "the named graphs of this state cannot be read")
        is_plain = request.default_graphs is None and request.named_graphs is None
        is_look_up = bool(request.bindings) or request.release is not None
        compiled = None if not is_plain or is_look_up else self.columns.answer(request, SMALL)
        if compiled is not None:
            return compiled, COLUMNS
        try:
            return ask(self.columns.matching(request, self.store), request), STORE
        except MemoryError:
            if is_plain and (result := self.columns.answer(request, 0)) is not None:
                return result, COLUMNS
            raise

    def explain(self, request: QueryRequest) -> dict[str, object]:
        """Evaluate *request*; return how, as ``OpenSnapshot.explain``, with SQL and steps where it is
        compiled.
        """
        if not self.columns:
            return super().explain(request) | {"reason": "the columns of this state are not open"}
        if uses_named_graphs(request):
            explanation = self.columns.explain(request, SMALL)
            if explanation["engine"] == COLUMNS:
                return explanation
            result, _ = self._evaluate_named(request)
            return explanation | {"rows": count_rows(result, request.rows)}
        if not may_compile(request):
            return super().explain(request) | {
                "reason": "not parsed: it does not count, sort or group, or begins at known subjects"
            }
        explanation = self.columns.explain(request)
        return (
            explanation
            if explanation["engine"] == COLUMNS
            else super().explain(request) | explanation
        )

    def close(self) -> None:
        """Close the store and the columns, and release the lock."""
        if self.columns:
            self.columns.close()
        super().close()


def may_compile(request: QueryRequest) -> bool:
    """Return whether *request* is worth parsing for the columns, which takes ten milliseconds.

    A client's query of a release is not: its answer must be the same, byte for byte, whenever it is
    sent.
    """
    is_plain = (
        request.default_graphs is None and request.named_graphs is None and request.release is None
    )
    return (
        is_plain
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


def run(connection: socket.socket, memory: int, parent: int) -> None:
    """Serve *connection* as ``reader.run``."""
    # it logs a warning for every ill-typed literal in a query
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)
    parse(_FIRST_QUERY)  # the first takes 50 ms more: a forked process copies what it changes
    reader.run(connection, memory, parent, ColumnSnapshot)
