"""Columns of the quads in a pyoxigraph store, for tests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import duckdb
from pyoxigraph import DefaultGraph, NamedNode, Quad, QueryBoolean, QuerySolutions, Store
from random_queries import SEPARATOR

from publisher.rdf import term_id
from publisher.store.columns.database import ColumnDatabase
from publisher.store.columns.engine import ColumnEngine
from publisher.store.snapshots import Snapshot, create_snapshot, prune
from publisher.store.workers.query_request import QueryRequest, Result, dataset_graphs
from publisher.store.workers.reader import evaluate, union
from vocab.iris import Iris

_SEPARATORS = re.compile(rf"{SEPARATOR}|\s+")  # between values of GROUP_CONCAT
_DEFAULT = NamedNode("urn:x-test:default")


def rows(quads: Iterable[Quad], sign: str = "A") -> list[bytes]:
    """Return the rows of a journal entry that adds *quads*."""
    return [
        f"{sign} {quad.subject} {quad.predicate} {quad.object} {quad.graph_name} .\n".encode()
        for quad in quads
    ]


def merged_store(quads: Iterable[Quad]) -> Store:
    """Return a store of *quads* whose default graph is the merge of all graphs, as the publisher's
    is.
    """
    store, stored = Store(), list(quads)
    store.extend([*stored, *(Quad(*quad.triple) for quad in stored)])
    return store


def evaluate_merged(store: Store, request: QueryRequest) -> Result:
    """Return the result of *request* on ``merged_store``, by pyoxigraph alone."""
    default, named = dataset_graphs(request)
    if default is None and named is None:
        return evaluate(request, store)
    dataset = union(
        lambda graph: store.quads_for_pattern(None, None, None, graph), default or [], named or []
    )
    return evaluate(request, *dataset)


def columns_of(quads: Iterable[Quad], folder: Path) -> ColumnEngine:
    """Write *quads* as columns in *folder* and open them."""
    return ColumnEngine(write_columns(rows(quads), folder))


def write_columns(added: Iterable[bytes], folder: Path) -> Path:
    """Write the rows *added* of a journal entry as columns in *folder*; return the file."""
    with closing(ColumnDatabase(folder / "work.duckdb", Iris())) as database:
        database.begin()
        for _ in database.apply(added):
            pass
        database.commit(1, "entry")
        database.copy(folder / "columns.duckdb")
    return folder / "columns.duckdb"


def write_columns_of_unmerged(store: Store, folder: Path) -> None:
    """Write a store whose default graph is not the merge of the others as columns in *folder*."""
    quads = store.quads_for_pattern(None, None, None, None)
    graphs = (
        (quad, _DEFAULT if isinstance(quad.graph_name, DefaultGraph) else quad.graph_name)
        for quad in quads
    )
    named = (Quad(quad.subject, quad.predicate, quad.object, graph) for quad, graph in graphs)
    with duckdb.connect(str(write_columns(rows(named), folder))) as connection:
        is_default = f"g = {term_id(str(_DEFAULT))}"
        connection.execute("DELETE FROM triples")
        connection.execute(f"INSERT INTO triples SELECT s, p, o FROM quads WHERE {is_default}")
        connection.execute(f"DELETE FROM quads WHERE {is_default}")


def create_unmerged_snapshot(folder: Path, store: Store, number: int) -> None:
    """Create the snapshot *number* of *store* in *folder*, with columns of what it holds now."""
    columns = {"columns": lambda part: write_columns_of_unmerged(store, part)}
    create_snapshot(folder, store, Snapshot(0, number, "w3c", len(store), ""), columns)
    prune(folder)


def solutions(answer_rows: object) -> list[tuple[str | None, ...]]:
    """Return rows of N-Triples terms, None where a variable is unbound; one row of a boolean, and a
    row of each triple.
    """
    if isinstance(answer_rows, QueryBoolean):
        return [(str(bool(answer_rows)),)]
    if not isinstance(answer_rows, QuerySolutions):
        assert isinstance(answer_rows, Iterable)
        return [tuple(map(str, triple)) for triple in answer_rows]
    names = [variable.value for variable in answer_rows.variables]
    return [
        tuple(None if row[name] is None else str(row[name]) for name in names)
        for row in answer_rows
    ]


def comparable(query: str, answer_rows: list[tuple[str | None, ...]]) -> object:
    """Return *answer_rows* as it is where *query* orders it, else without its order.

    Values of GROUP_CONCAT are in no order, and triples are a set: the RDF store may repeat some.
    """
    if query.startswith(("CONSTRUCT", "DESCRIBE")):
        return set(answer_rows)
    if "GROUP_CONCAT" in query:
        answer_rows = [
            tuple(
                cell and SEPARATOR.join(sorted(_SEPARATORS.split(cell.strip('"')))) for cell in row
            )
            for row in answer_rows
        ]
    return answer_rows if "ORDER BY" in query else Counter(answer_rows)
