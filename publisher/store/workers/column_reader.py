"""A query worker that answers from the columns of a snapshot what they answer faster, and all else from its RDF store."""

from __future__ import annotations

import json
import logging
import re
import resource
import sys
from pathlib import Path

import duckdb
from pyoxigraph import NamedNode, QuerySolutions, Store

from publisher.projections.position import read_position
from publisher.store.columns.engine import MEMORY, ColumnEngine
from publisher.store.columns.relations import NotCompiled
from publisher.store.columns.updater import FILE
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import OpenSnapshot, Result, in_written_order, serve, start_worker

COLUMNS = "columns"  # the name of the engine
SMALL = 5_000  # triples and solutions to visit up to which the RDF store is as fast
_MAX_LENGTH = 20_000  # characters of a query that is compiled

# Only such queries visit much and answer little, so that the columns pay; a word in a comment or a string counts too.
_BLOCKING = re.compile(r"\b(?:COUNT|SUM|MIN|MAX|DISTINCT|GROUP|ORDER)\b", re.IGNORECASE)


class ColumnSnapshot(OpenSnapshot):
    """An open snapshot with its columns, where they are at the same journal position as its store."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.columns = open_columns(Path(path), self.store)

    def evaluate(self, question: QueryRequest) -> tuple[Result, str]:
        """Return the result of *question* and the name of the engine that answers it; raise QueryFailure if it is no query."""
        if self.columns and may_compile(question):
            try:
                return compiled_answer(self.columns, question), COLUMNS
            except (NotCompiled, SyntaxError):  # what is no query gets its error from the store
                pass
        return super().evaluate(question)

    def close(self) -> None:
        """Close both and release the lock."""
        if self.columns:
            self.columns.close()
        super().close()


def open_columns(folder: Path, store: Store) -> ColumnEngine | None:
    """Open the columns of the snapshot in *folder*; None if it has none that are at the position of *store*."""
    about = json.loads((folder / "about.json").read_text()) if (folder / "about.json").exists() else {}
    if "position" not in about or read_position(folder / "columns") != about["position"]:
        return None
    memory, _ = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY if memory == resource.RLIM_INFINITY else min(MEMORY, memory // 4)
    try:
        return ColumnEngine(
            folder / "columns" / FILE, lambda graph: store.quads_for_pattern(None, None, None, NamedNode(graph)), limit
        )
    except (duckdb.Error, ValueError):
        return None


def may_compile(question: QueryRequest) -> bool:
    """Return whether it is worth the time to compile *question*."""
    is_plain = not question.bindings and question.default_graphs is None and question.named_graphs is None
    has_format = question.table is not None and len(question.text) <= _MAX_LENGTH
    return is_plain and has_format and _BLOCKING.search(question.text) is not None


def compiled_answer(columns: ColumnEngine, question: QueryRequest, small: float = SMALL) -> QuerySolutions:
    """Answer *question* from *columns*. Raises NotCompiled if the RDF store should answer, SyntaxError if it is no query."""
    query = columns.compile(in_written_order(question.text, question.base), question.base)
    if not query.is_blocking or query.cost < small:
        raise NotCompiled("the RDF store is as fast")
    return columns.answer(query)


if __name__ == "__main__":
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)  # it warns of every odd literal in a query
    serve(start_worker(sys.argv[1:4]), ColumnSnapshot)
