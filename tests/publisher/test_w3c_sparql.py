"""The W3C SPARQL 1.1 tests of queries and result formats are sent to our endpoint over a store with
their data.

They test the whole way: protocol, pool, reader process, engine and writer.

Source: https://www.w3.org/2009/sparql/docs/tests/
"""

from __future__ import annotations

import csv
import io
import tomllib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from shutil import copytree

import httpx
import pytest
import pytest_asyncio
from column_store import write_columns_of_unmerged
from pyoxigraph import QueryResultsFormat, RdfFormat, Store
from suites import origin
from w3c_suite import SUITE, SparqlCase, cases, graph, load, result_set, table

from publisher.app import create_app
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from publisher.store.snapshots import Snapshot, create_snapshot, prune
from publisher.store.workers.query_request import QueryRequest, uses_named_graphs
from vocab.iris import Iris

_ALL_KNOWN = tomllib.loads((Path(__file__).parent / "w3c_known.toml").read_text("utf-8"))
_KNOWN_EARLIER: dict[str, str] = _ALL_KNOWN.pop("earlier")
IS_EARLIER = origin("w3c-sparql11") != "../shared"
KNOWN: dict[str, str] = _ALL_KNOWN | (_KNOWN_EARLIER if IS_EARLIER else {})
QUERY = ("QueryEvaluationTest", "CSVResultFormatTest")
ELSEWHERE = ("service", "syntax-fed")  # Their queries use SERVICE, which is refused.
NONE = "entailment"  # The service description states that we have none.

CASES = (
    [case for case in cases(SUITE / "manifest-all.ttl") if not case.name.startswith(f"{NONE}/")]
    if SUITE.exists()
    else []
)
HERE = [case for case in CASES if case.name.partition("/")[0] not in ELSEWHERE]
# Cases of the same data follow one another, since each change of the data needs a snapshot.
EVALUATED = sorted(
    (case for case in HERE if case.kind in QUERY), key=lambda case: (case.default, case.named)
)
RIGHT = [case for case in HERE if case.kind == "PositiveSyntaxTest11"]
WRONG = [case for case in HERE if case.kind == "NegativeSyntaxTest11"]
REFUSED = [
    case
    for case in CASES
    if case.name.partition("/")[0] in ELSEWHERE and case.kind in (*QUERY, "PositiveSyntaxTest11")
]

# The columns answer at least so many cases of a group; the earlier suite has fewer cases.
COMPILED = {"aggregates": 13, "bind": 3, "bindings": 10, "exists": 3, "functions": 4, "grouping": 3}
COMPILED |= {"negation": 4, "property-path": 9, "subquery": 7}
if IS_EARLIER:
    COMPILED = {}

DAILY = ("aggregates",)  # The columns of these groups are tested by day.

# The files of the default graph, and those of the named graphs.
Data = tuple[tuple[Path, ...], tuple[Path, ...]]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class SuiteEndpoint:
    """A store whose data change with the case, and a client of its endpoint; *columns* are written
    for cases that ask for named graphs, or for all cases if *is_forced*.
    """

    service: QueryService
    store: Store
    client: httpx.AsyncClient
    is_forced: bool = False
    columns: dict[Data, Path] = field(default_factory=dict)
    stored: tuple[object, ...] = ()
    number: int = 0
    engine: str = ""  # This engine answered last.

    async def show(self, case: SparqlCase) -> None:
        """Put the data of *case* in the store."""
        request = QueryRequest(case.query.read_text("utf-8"))
        has_columns = self.is_forced or uses_named_graphs(request)
        if (case.default, case.named, has_columns) != self.stored:
            load(self.store, case)
            self.number += 1
            folder = self.service.data / "store" / "snapshots"
            columns = self._columns_of(case) if has_columns else None
            # The columns of the snapshot before are of another position.
            indexes = {"columns": partial(copytree, columns)} if columns else {}
            create_snapshot(folder, self.store, Snapshot(0, self.number, case.name, 0, ""), indexes)
            prune(folder)
            await self.service.refresh()
            self.stored = (case.default, case.named, has_columns)

    def _columns_of(self, case: SparqlCase) -> Path:
        """Return the folder with the columns of the store; write them where no test has done so."""
        data = (case.default, case.named)
        if data not in self.columns:
            self.columns[data] = self.service.data.parent / f"columns{len(self.columns)}"
            write_columns_of_unmerged(self.store, self.columns[data])
        return self.columns[data]

    async def ask(self, case: SparqlCase, form: str) -> httpx.Response:
        """Send the query of *case*; the IRI of its file is the base of relative IRIs."""
        text = f"BASE <{case.query.as_uri()}>\n" + case.query.read_text("utf-8")
        headers = {"Content-Type": "application/sparql-query", "Accept": form}
        answer = await self.client.post("/sparql", content=text.encode(), headers=headers)
        self.engine = answer.headers.get("Stocktake-Engine", "")
        return answer


@asynccontextmanager
async def open_endpoint(data: Path, *, is_forced: bool = False) -> AsyncIterator[SuiteEndpoint]:
    """Yield an endpoint over a store in the folder *data*."""
    service = QueryService(data, Iris(), Limits(), readers=1, follow=False)
    async with (
        service,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(create_app(service)), base_url="http://w3c.test"
        ) as client,
    ):
        yield SuiteEndpoint(service, Store(str(data / "store")), client, is_forced)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def endpoint(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SuiteEndpoint]:
    """Yield an endpoint that answers from the RDF store, as the program does where a query visits
    as few statements as each case has.
    """
    async with open_endpoint(tmp_path_factory.mktemp("w3c") / "data") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def forced(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SuiteEndpoint]:
    """Yield an endpoint that answers from columns all that they can answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("publisher.store.query_service.READER", "forced_reader")
        async with open_endpoint(
            tmp_path_factory.mktemp("forced") / "data", is_forced=True
        ) as opened:
            yield opened


@pytest.fixture(autouse=True)
def known(request: pytest.FixtureRequest) -> None:
    case = request.node.callspec.params.get("case") if hasattr(request.node, "callspec") else None
    if case and (reason := KNOWN.get(case.name)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))


async def test_the_suite_is_there() -> None:
    if not SUITE.exists():
        pytest.skip(f"no W3C SPARQL suite at {SUITE}")

    kinds = Counter(case.kind for case in HERE)

    assert tuple(
        kinds[kind] for kind in (*QUERY, "PositiveSyntaxTest11", "NegativeSyntaxTest11")
    ) == ((180, 3, 60, 43) if IS_EARLIER else (232, 3, 63, 48))
    assert IS_EARLIER or set(KNOWN) <= {case.name for case in HERE}


@pytest.mark.suite("w3c-sparql11")
@pytest.mark.parametrize("case", EVALUATED, ids=lambda case: case.name)
async def test_a_query_has_the_answer_of_the_suite(
    case: SparqlCase, endpoint: SuiteEndpoint
) -> None:
    await endpoint.show(case)
    assert case.result

    wanted, actual = await _compared(case, case.result, endpoint)

    assert actual == wanted


@pytest.mark.suite("w3c-sparql11")
@pytest.mark.parametrize(
    "group",
    [
        # By day, test_columns.py compares the answers to random queries, with paths.
        pytest.param(group, marks=() if group in DAILY else pytest.mark.nightly)
        for group in sorted({case.name.partition("/")[0] for case in EVALUATED})
    ],
)
async def test_suite_passes_where_columns_answer_all_they_can(
    group: str, forced: SuiteEndpoint
) -> None:
    group_cases = [case for case in EVALUATED if case.name.startswith(f"{group}/")]
    failed, engines = set(), Counter[str]()
    for case in group_cases:
        await forced.show(case)
        assert case.result
        wanted, actual = await _compared(case, case.result, forced)
        failed |= {case.name} if actual != wanted else set()
        engines[forced.engine] += 1

    assert sorted(failed) == sorted(KNOWN.keys() & {case.name for case in group_cases})
    assert engines["columns"] >= COMPILED.get(group, 0)


@pytest.mark.suite("w3c-sparql11")
@pytest.mark.parametrize("case", RIGHT, ids=lambda case: case.name)
async def test_a_right_query_is_answered(case: SparqlCase, endpoint: SuiteEndpoint) -> None:
    await endpoint.show(SparqlCase("", "", case.query))

    answer = await endpoint.ask(case, "*/*")

    assert answer.status_code == 200, answer.text


@pytest.mark.suite("w3c-sparql11")
@pytest.mark.parametrize("case", WRONG, ids=lambda case: case.name)
async def test_a_wrong_query_is_refused(case: SparqlCase, endpoint: SuiteEndpoint) -> None:
    await endpoint.show(SparqlCase("", "", case.query))

    answer = await endpoint.ask(case, "*/*")

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.suite("w3c-sparql11")
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
async def test_a_query_that_asks_elsewhere_is_refused(
    case: SparqlCase, endpoint: SuiteEndpoint
) -> None:
    await endpoint.show(SparqlCase("", "", case.query))

    answer = await endpoint.ask(case, "*/*")

    assert (answer.status_code, answer.json()["title"]) == (400, "SERVICE is not supported")


async def _compared(
    case: SparqlCase, result: Path, endpoint: SuiteEndpoint
) -> tuple[object, object]:
    """Return what the suite wants and what was answered, in the same format where the suite's is
    one of ours.
    """
    data, suffix = result.read_bytes(), result.suffix
    if suffix == ".csv":
        return _cells(data), _cells(await _answer(case, endpoint, "text/csv"))
    if form := _TABLES.get(suffix):
        return table(data, form), table(await _answer(case, endpoint, form.media_type), form)
    wanted = result_set(result) if suffix == ".ttl" else None
    if wanted is not None:
        return wanted, table(await _answer(case, endpoint, _JSON.media_type), _JSON)
    form_of_graph = RdfFormat.from_extension(suffix[1:])
    assert form_of_graph
    results = await _answer(case, endpoint, form_of_graph.media_type)
    return graph(data, form_of_graph, result.as_uri()), graph(
        results, form_of_graph, "http://w3c.test/"
    )


async def _answer(case: SparqlCase, endpoint: SuiteEndpoint, form: str) -> bytes:
    answer = await endpoint.ask(case, form)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(form)
    return answer.content


_JSON = QueryResultsFormat.JSON
_TABLES = {".srx": QueryResultsFormat.XML, ".srj": _JSON, ".tsv": QueryResultsFormat.TSV}


def _cells(data: bytes) -> list[list[str]]:
    """Read CSV, and sort its rows and columns: the suite asks for SELECT *, whose columns have no
    order.

    Blank nodes have no names (section 3.2), so all are read as equal.
    """
    head, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    columns = sorted(range(len(head)), key=lambda column: head[column])
    results = [
        ["_:" if row[column].startswith("_:") else row[column] for column in columns]
        for row in rows
    ]
    return [[head[column] for column in columns], *sorted(results)]
