"""The queries behind pages and the examples have equal answers from the columns and from the RDF
store.

The queries of pages are compared without bindings: with them the RDF store answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import pytest
from column_store import comparable, merged_store, solutions
from event_loops import session_loop
from pyoxigraph import Store
from rows import each
from small_world import IRIS
from waiting import wait_until_async

from publisher import store as store_package
from publisher.portal.quality import indicators, rule_query
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import (
    counts,
    cross_tabulate,
    listing,
    make_filter,
    organizations,
    total,
)
from publisher.sparql.examples import examples
from publisher.store.columns.algebra import NotCompiled
from publisher.store.columns.engine import ColumnEngine, open_columns
from publisher.store.columns.updater import FILE, open_statements
from publisher.store.query_service import QueryService
from publisher.store.snapshots import newest_snapshot
from publisher.store.workers.query_request import QueryRequest, in_written_order

FOLDER = Path(store_package.__file__).parent / "queries"
PLACEHOLDER = re.compile(r"\b(?:THINGS|PROPERTIES|GRAPHS|SPACES|PATTERN)\b")
STORED = {
    path.stem: path.read_text()
    for path in sorted(FOLDER.glob("*.rq"))
    if not PLACEHOLDER.search(path.read_text())
}
SOURCE = IRIS.source("demo")
QUALITY = {
    **{f"{item.name} of all": item.query(IRIS) for item in indicators()},
    **{f"{item.name} of one": item.query(IRIS, source=SOURCE) for item in indicators()},
    **{f"without {item.name}": rule_query(IRIS, SOURCE, item) for item in indicators() if item.property},
    "of one rule only": rule_query(IRIS, SOURCE),
}  # fmt: skip
EXAMPLES = {item.name: item.text for item in examples(IRIS) if item.kind == "select"}
# LIMIT without ORDER BY; GROUP_CONCAT; MAX of what may be unbound; other functions.
EXAMPLES_OF_THE_STORE = {
    *("indicators-of-initiatives", "full-text-and-goals", "places"),
    *("near-nairobi", "run-accounts"),
}
ALL = make_filter()
INITIATIVES = make_filter(kind="initiative", goal="4")
FILTERS = {
    **{f"count by {facet}": counts(ALL, facet, IRIS, has_parts=False) for facet in FACETS},
    **{f"count by {facet} with parts": counts(INITIATIVES, facet, IRIS, has_parts=True) for facet in ("goal", "source")},
    "count of all": total(ALL, IRIS, has_parts=True), "goals by line": cross_tabulate(INITIATIVES, "goal", "line", IRIS, has_parts=False),
    "organizations": organizations(ALL, IRIS, has_parts=False), "list of things": listing(INITIATIVES, IRIS),
}  # fmt: skip
# of the benchmark and of researchers
QUESTIONS = {
    f"question {path.stem}": path.read_text()
    for path in sorted((Path(__file__).parents[2] / "benchmarks" / "queries").rglob("*.rq"))
}
# An empty GRAPH; LIMIT without ORDER BY; more than triples and a filter in EXISTS; an alternative that is computed.
LEFT_TO_THE_STORE = {
    "named-graphs", "run-records", "without licence", "without known-licence", "without page-not-gone", "count by basis",
    # LIMIT alone; a path from a variable; CONSTRUCT; arithmetic; a backslash
    *(f"question {name}" for name in ("rows", "areas-within", "graph-of-goal")),
    "question remarks-by-registry", "question titles-on-women",
}  # fmt: skip

# Asked of the larger world, where each is answered in less than a tenth of a second.
OF_LITTLE = STORED.keys() - {
    *("about", "graph", "source-remark-results", "sources"),
    *(
        "completions",
        "matrix",
        "registries",
        "source-remarks",
        "source-remark-examples",
        "newest-runs",
    ),
}

_CUT = re.compile(r"^(?!.*ORDER BY).*GRAPH.*LIMIT", re.DOTALL)
Engines = tuple[Store, ColumnEngine]
Rows = list[tuple[str | None, ...]]


@contextmanager
def opened(data: Path) -> Iterator[Engines]:
    """Open a store of all that *data* holds, and its columns."""
    snapshot = newest_snapshot(data / "store" / "snapshots")
    assert snapshot
    with open_statements(Path(snapshot.path) / "columns" / FILE) as statements:
        store = merged_store(statements.quads())
    columns = open_columns(Path(snapshot.path))
    assert columns
    with closing(columns):
        yield store, columns


@pytest.fixture(scope="module")
def engines(level: Path) -> Iterator[Engines]:
    """Open the RDF store and the columns of the world."""
    with opened(level) as result:
        yield result


@pytest.fixture(scope="module")
def small_engines(small: Path) -> Iterator[Engines]:
    """Open the RDF store and the columns of the world of few things."""
    with opened(small) as result:
        yield result


@each("name", [*STORED, *QUALITY, *FILTERS, *QUESTIONS])
def test_columns_answer_a_page_query_as_the_store_does(
    name: str, engines: Engines, small_engines: Engines
) -> None:
    store, columns = engines if name in OF_LITTLE else small_engines
    query = in_written_order({**STORED, **QUALITY, **FILTERS, **QUESTIONS}[name], IRIS.base)

    is_compiled = _is_equal(columns, store, query)

    assert is_compiled == (name not in LEFT_TO_THE_STORE)


@each("name", EXAMPLES)
def test_columns_answer_an_example_as_the_store_does(name: str, engines: Engines) -> None:
    store, columns = engines

    is_compiled = _is_equal(columns, store, in_written_order(EXAMPLES[name], IRIS.base))

    assert is_compiled == (name not in EXAMPLES_OF_THE_STORE)


def _is_equal(columns: ColumnEngine, store: Store, query: str) -> bool:
    """Assert that the answers are equal if the query is compiled; return whether it is."""
    try:
        answer = solutions(columns.solutions(columns.compile(query, IRIS.base)))
    except NotCompiled:
        return False
    expected = solutions(store.query(query, base_iri=IRIS.base))
    if _CUT.search(query):  # any of its solutions may be left out
        assert len(answer) == len(expected)
        return True
    kind = "GROUP_CONCAT" if "GROUP_CONCAT" in query else ""
    assert comparable(kind, answer) == comparable(kind, expected)
    return True


@session_loop
async def test_pages_are_answered_from_the_columns(service: QueryService) -> None:
    numbers = count()

    async def is_open() -> bool:
        text = f"SELECT ?p (COUNT(*) AS ?n) {{ ?s ?p ?o }} GROUP BY ?p # {next(numbers)}"
        explanation, _ = await service.query_internal(
            QueryRequest(text, base=service.iris.base, explain=True)
        )
        result: bool = json.loads(explanation)["engine"] == "columns"
        return result

    await wait_until_async(is_open, "columns that a worker of the pages has opened")
    assert await is_open()
