"""Open the columns of a snapshot, and decide which queries they answer."""

from __future__ import annotations

import json
import logging
import resource
from pathlib import Path

import duckdb
from pyoxigraph import DefaultGraph, QuerySolutions, Store

from publisher.projections.position import read_position
from publisher.store.columns.compiler import CompiledQuery
from publisher.store.columns.database import BUILD_VERSION
from publisher.store.columns.engine import MEMORY, ColumnEngine
from publisher.store.columns.matching_quads import MatchingQuads
from publisher.store.columns.query_parser import parse
from publisher.store.columns.relations import NotCompiled
from publisher.store.columns.terms import term_id
from publisher.store.columns.updater import FILE, read_status
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import (
    QueryDataset,
    count_rows,
    dataset_graphs,
    in_written_order,
)

SMALL = 1_500  # triples and solutions to visit, up to which the RDF store is as fast
# one triple of the store in this number may be visited too: the columns read all terms to look up
# one
SHARE = 1_000

# After these errors the RDF store answers.
_FAILURES = (
    duckdb.Error,
    RuntimeError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)

log = logging.getLogger(__name__)


class SnapshotColumns:
    """The columns *engine*; a query that visits fewer than *small* triples and solutions is left to
    the RDF store.

    *small* None is SMALL and one in SHARE of the triples. With 0 every query that is compiled is
    answered.
    """

    def __init__(self, engine: ColumnEngine, small: float | None = None) -> None:
        self.engine, self._fixed = engine, small

    def _is_worth(self, query: CompiledQuery, small: float | None) -> bool:
        """Return whether *query* visits so much that the columns are faster than another engine."""
        least = self._least(small)
        return query.cost >= least and (query.is_blocking or least == 0 or small is not None)

    def _least(self, small: float | None) -> float:
        fixed = self._fixed if small is None else small
        return SMALL + self.engine.triples // SHARE if fixed is None else fixed

    def answer(
        self, query_request: QueryRequest, small: float | None = None
    ) -> QuerySolutions | None:
        """Answer *query_request*; None if the RDF store should answer. An invalid query is left to
        it too, for its error message. *small* takes the place of the number that was given first.
        """
        try:
            return self._answer(query_request, small)
        except _FAILURES:
            log.exception("columns failed; the RDF store answers")
            return None

    def _answer(self, query_request: QueryRequest, small: float | None) -> QuerySolutions | None:
        if query_request.bindings or self.engine.triples < min(self._least(small), SMALL):
            return None  # one thing has few solutions
        try:
            text = in_written_order(query_request.text, query_request.base)
            query = self.engine.compile(text, query_request.base)
            if self._is_worth(query, small):
                return self.engine.answer(query, query_request.rows)
        except (NotCompiled, SyntaxError):
            pass
        return None

    def matching(self, query_request: QueryRequest, merge: Store | None = None) -> QueryDataset:
        """Return a dataset in memory with all quads that *query_request*, a valid query over named
        graphs, can match; *merge* has the triples of all graphs. Raises MemoryError if the quads are
        too many.
        """
        default, named = dataset_graphs(query_request)
        graphs = None
        if default is not None or named is not None:
            merged, others = (
                {term_id(str(graph)) for graph in part or ()} for part in (default, named)
            )
            graphs = merged, others
        reading = MatchingQuads(self.engine, graphs, merge)
        try:
            parsed = parse(query_request.text, query_request.base)
        except NotCompiled:
            reading.read_all()
        else:
            reading.read_query(parsed.algebra, query_request.bindings)
        if graphs is None:
            return QueryDataset(reading.store(), None, None)
        return QueryDataset(reading.store(), [DefaultGraph()], [*(named or ())])

    def explain(self, query_request: QueryRequest, small: float | None = None) -> dict[str, object]:
        """Run *query_request* if it can be compiled; return the ``engine`` that answers it, and a
        description of the evaluation.

        The description has the ``reason``, the ``estimated`` number of triples and
        solutions to visit, the ``sql``, its ``steps`` and the number of ``rows``.
        """
        explanation: dict[str, object] = {"engine": "store"}
        try:
            text = in_written_order(query_request.text, query_request.base)
            query = self.engine.compile(text, query_request.base)
            explanation |= {"estimated": round(query.cost), "sql": query.sql}
            if not self._is_worth(query, small):
                return explanation | {
                    "reason": "the RDF store is as fast: few triples and solutions to visit"
                }
            rows = count_rows(self.engine.answer(query), query_request.rows)
            plan = f"EXPLAIN (ANALYZE, FORMAT JSON) {query.sql}"
            ((_, steps),) = self.engine.connection.execute(plan).fetchall()
        except (NotCompiled, SyntaxError) as error:
            return explanation | {"reason": str(error)}
        return explanation | {
            "engine": "columns",
            "reason": "compiled",
            "rows": rows,
            "steps": json.loads(steps)["operator"],
        }

    def close(self) -> None:
        """Close the file."""
        self.engine.close()


def open_columns(folder: Path, small: float | None = None) -> SnapshotColumns | None:
    """Open the columns of the snapshot in *folder*; None if it has none that are at its position,
    or another version wrote them: a query would look for other numbers of terms.

    Queries that visit fewer than *small* triples and solutions are left to the store, as
    ``SnapshotColumns`` does.
    """
    try:
        about = json.loads((folder / "about.json").read_text())
        columns = folder / "columns"
        if (read_position(columns), read_status(columns)) != (
            about["position"],
            about.get("status", ""),
        ):
            return None
        memory, _ = resource.getrlimit(resource.RLIMIT_AS)
        limit = MEMORY if memory == resource.RLIM_INFINITY else min(MEMORY, memory // 4)
        engine = ColumnEngine(columns / FILE, limit)
        if engine.version == BUILD_VERSION:
            return SnapshotColumns(engine, small)
        engine.close()
    # a damaged file, or a folder that was removed meanwhile
    except (duckdb.Error, OSError, ValueError, KeyError, MemoryError):
        pass
    return None
