"""Every endpoint answers over an external store as over the embedded one; where an engine cannot,
the answer says so.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from app_client import asking
from processes import Process
from publish_fixture import visiting
from pyoxigraph import RdfFormat, parse
from small_world import IRIS, SMALL_SCHEMES, THINGS, build, plain, record_rows
from waiting import wait_until

from benchmarks.columns import Engine, missing, started
from journal.journal import Journal
from publisher.app import create_app
from publisher.errors import StoreFailure
from publisher.limits import Limits
from publisher.sparql.examples import examples
from publisher.store.changes import JournalReader
from publisher.store.external.follow import LEASE, ExternalStore, LeasedStore, open_external_runner
from publisher.store.query_service import QueryService
from publisher.store.snapshots import newest_snapshot
from publisher.store.verification import compare
from vocab.iris import BASE

ENGINES = ("oxigraph", "virtuoso")
WHEN = datetime(2026, 4, 1, tzinfo=UTC)
# The examples that an engine cannot answer, with the error that it reports.
CANNOT = {("virtuoso", "near-nairobi"): "this store does not know a function of the query"}
# These examples have a LIMIT without a total order, so that the engine chooses among rows. It is
# only tested that there are some.
ANY_OF_THEM = frozenset(
    {
        "provenance-of-a-record", "one-initiative-as-a-graph", "organization-networks", "full-text", "languages", "matrix",
    }
)  # fmt: skip
# Virtuoso returns the booleans of expressions as integers.
WITH_BOOLEANS = frozenset({("virtuoso", "matrix-and-practice")})
# An address of each endpoint; `_heard` returns the part of an answer that is compared.
PATHS = (
    "/page/organization/demo/ministry-of-health", "/data/initiative/demo/a%2F1?format=nt", "/record/demo/1?format=nt",
    "/record/demo/lost?format=nt", "/source/demo?format=nt", "/run/run-2?format=nt", "/ns?format=nt", "/scheme/action-line",
    "/scheme/action-line/C7-ehea?format=nt", "/matrix", "/concept?iri=http://metadata.un.org/sdg/3", "/.well-known/void?format=nt",
    "/status?format=json", "/search?q=clinics&format=json", "/search?q=cliniques&language=fr&format=json",
    f"/rdf-graph-store?graph={BASE}record/demo/2&format=nt", "/rdf-graph-store?graph=urn:none",
    "/sparql?format=json&query=ASK { ?s a <urn:none> }", "/sparql?format=json&query=SELECT (COUNT(*) AS ?n) { ?s ?p ?o }",
    "/sparql?format=json&query=SELECT (COUNT(*) AS ?n) (COUNT(DISTINCT ?g) AS ?graphs) { GRAPH ?g { ?s ?p ?o } }",
    "/sparql?format=json&query=SELECT * { ?s ?p", "/sparql?format=nt&query=DESCRIBE <urn:none>",
    f"/sparql?format=json&default-graph-uri={BASE}record/demo/1&query=SELECT (COUNT(*) AS ?n) {{ ?s ?p ?o }}",
    f"/sparql?format=json&query=SELECT (COUNT(*) AS ?n) FROM <{BASE}record/demo/1> FROM <{BASE}record/demo/2> {{ ?s ?p ?o }}",
    f"/sparql?format=json&query=BASE <{BASE}> SELECT (COUNT(*) AS ?n) {{ ?s a <ns%23Initiative> }}", "/sparql/words", "/catalog.ttl",
    "/data.json", "/api/3/action/package_search?q=network", "/timemap/record/demo/a%2F1", "/memento/20260302080000/record/demo/a%2F1.nt",
    "/things.json?source=demo&sort=title", "/organizations.json", "/linkset/initiative/demo/a%2F1", "/", "/map?format=json",
    "/trends?format=json", "/gaps", "/events", "/documents", "/prizes", "/sources", "/join", "/page/initiative/demo/a%2F1",
    "/scheme/sdg", "/releases/", "/dumps/", "/oai?verb=ListIdentifiers&metadataPrefix=oai_dc",
    "/oai?verb=GetRecord&metadataPrefix=rdf&identifier=https://w3id.org/wsis-stocktaking/record/demo/1", "/ldes/time/2026-03-02/1",
    "/ldes/latest", "/feeds/all.atom", "/feeds/events.ics", "/activities/1", "/sitemap.xml", "/robots.txt", "/openapi.json", "/health",
)  # fmt: skip
# Times, costs and numbers that differ from one publisher to the other.
_OWN = re.compile(
    r"<responseDate>[^<]*<|Stocktake-Cost[^\n]*|\"at\":\"[^\"]*\"|\"(snapshot|quads)\":\d+|\"columns\":\{[^}]*\}"
)
OVER_EACH = pytest.mark.parametrize("store", ENGINES, indirect=True)


@pytest.fixture(scope="module", params=ENGINES)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    if why := missing(request.param):
        pytest.skip(why)
    with started(request.param, tmp_path_factory.mktemp(request.param), start=Process) as item:
        yield item


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of a small world, without a store."""
    folder = tmp_path_factory.mktemp("elsewhere")
    build(folder, THINGS[:14], lambda graph, _: graph in SMALL_SCHEMES)
    return folder


@pytest.fixture(scope="module")
def followed(engine: Engine, data: Path) -> Iterator[Engine]:
    """Yield the engine with all entries of the journal, and with its search index and tables."""
    follower = open_external_runner(
        engine.address,
        JournalReader(Journal(data / "journal"), IRIS.base),
        data / "store" / engine.address.folder,
        data / "status.nq",
        IRIS.status,
    )
    try:

        def is_level() -> bool:
            snapshot = follower.step()
            return snapshot is not None and snapshot.text == snapshot.columns == snapshot.position

        wait_until(is_level, "texts and tables to be level with the store", pause=0)
        yield engine
    finally:
        follower.close()


@pytest.fixture
async def elsewhere(followed: Engine, data: Path) -> AsyncIterator[QueryService]:
    async with QueryService(
        data,
        IRIS,
        Limits(seconds=240, wait=240),
        readers=2,
        follow=False,
        elsewhere=followed.address,
    ) as opened:
        await opened.wait_until_current()
        yield opened


@pytest.fixture
async def both(
    store: str, publishers: Callable[[str], str]
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """Yield a client of the publisher over the external store, and one over the embedded store."""
    async with visiting(publishers(store)) as theirs, visiting(publishers("own")) as ours:
        yield theirs, ours


def _client(service: QueryService) -> httpx.AsyncClient:
    client: httpx.AsyncClient = asking(create_app(service))
    return client


def _heard(answer: httpx.Response) -> object:
    """Return the content of an answer without the order of its rows, statements or words."""
    media = answer.headers["content-type"].partition(";")[0]
    if media == "application/n-triples":
        return Counter(str(quad) for quad in parse(answer.content, RdfFormat.N_TRIPLES))
    if media == "application/sparql-results+json":
        body = answer.json()
        return (
            body["boolean"]
            if "boolean" in body
            else Counter(json.dumps(row, sort_keys=True) for row in body["results"]["bindings"])
        )
    return Counter(re.findall(r"\w+", _OWN.sub("", answer.text)))


@OVER_EACH
async def test_every_endpoint_answers_as_over_our_own_store(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    different = []
    for path in PATHS:
        theirs, ours = [await client.get(path, headers={"Accept": "text/html"}) for client in both]
        if (theirs.status_code, _heard(theirs)) != (ours.status_code, _heard(ours)):
            different.append((path, theirs.status_code, ours.status_code))

    assert different == []


@OVER_EACH
async def test_every_example_answers_as_over_our_own_store(
    both: tuple[httpx.AsyncClient, httpx.AsyncClient], store: str
) -> None:
    different = []
    for example in examples(IRIS):
        form = "nt" if example.kind == "construct" else "json"
        theirs, ours = [
            await client.get("/sparql", params={"query": example.text, "format": form})
            for client in both
        ]
        if cannot := CANNOT.get((store, example.name)):
            assert (theirs.status_code, cannot in theirs.text) == (400, True)
        elif example.name in ANY_OF_THEM or (store, example.name) in WITH_BOOLEANS:
            assert (theirs.status_code, bool(_heard(theirs))) == (200, True)
        elif _heard(theirs) != _heard(ours):
            different.append(example.name)

    assert different == []


@pytest.mark.smoke("virtuoso")
async def test_an_answer_that_the_engine_cannot_sort_is_an_error_and_not_short(
    elsewhere: QueryService, followed: Engine
) -> None:
    async with _client(elsewhere) as client:
        often = " ".join(map(str, range(20)))  # The world has fewer than 10,005 triples.
        query = f"SELECT ?s ?o {{ VALUES ?n {{ {often} }} ?s ?p ?o }} ORDER BY ?o LIMIT 10005"
        answer = await client.get("/sparql", params={"query": query, "format": "csv"})

    if followed.name == "virtuoso":
        assert answer.status_code == 422
        assert "cannot sort so many rows" in answer.text
    else:
        assert len(answer.text.splitlines()) == 10_006


async def test_a_value_that_is_no_date_stops_the_year_of_others_only_with_a_word(
    elsewhere: QueryService, followed: Engine
) -> None:
    async with _client(elsewhere) as client:
        query = """PREFIX xsd: <http://www.w3.org/2001/XMLSchema#>
            SELECT (YEAR(xsd:date(?d)) AS ?year) { VALUES ?d { "2024-01-15" "soon" } }"""
        answer = await client.get("/sparql", params={"query": query, "format": "csv"})

    if answer.status_code == 200:
        assert sorted(answer.text.split()) == ["2024", "year"]
    else:
        assert answer.status_code == 400
        assert "is not a date" in answer.text


async def test_the_engines_own_language_is_not_let_in(elsewhere: QueryService) -> None:
    async with _client(elsewhere) as client:
        texts = [
            "SELECT (<bif:user>() AS ?u) {}",
            "define sql:log-enable 3 SELECT * {}",
            "SELECT (<sql:exec>('x') AS ?u) {}",
        ]
        answers = [await client.get("/sparql", params={"query": text}) for text in texts]

    assert {answer.status_code for answer in answers} == {400}


def test_graphs_that_differ_from_the_journal_are_named_and_a_rebuild_loads_them(
    followed: Engine, data: Path, tmp_path: Path
) -> None:
    journal, address = Journal(data / "journal"), followed.address
    store, leased = ExternalStore(address, journal, IRIS), LeasedStore(address, journal, data)
    update, stray = leased.writer.update, f'<{BASE}x> <urn:label> "astray"'

    before = compare(journal, store)
    update(f"DELETE WHERE {{ GRAPH <{BASE}record/demo/5> {{ ?s ?p ?o }} }}")
    update(f"INSERT DATA {{ GRAPH <{BASE}record/nobody/1> {{ {stray} }} }}")
    update(f"INSERT DATA {{ GRAPH <{BASE}record/demo/4> {{ {stray} }} }}")
    spoilt = compare(journal, store)
    store.empty()
    parts = JournalReader(journal, IRIS.base), tmp_path, data / "status.nq", IRIS.status
    with closing(open_external_runner(address, *parts)) as follower:
        follower.finish()
    after = compare(journal, store)
    for item in (store, leased):
        item.close()

    graphs = [f"{BASE}record/{name}" for name in ("demo/4", "demo/5", "nobody/1")]
    # The graph without a name is the merge of all graphs.
    assert (before, spoilt, after) == ([], [*graphs, ""], [])


def test_a_change_is_loaded_while_queries_get_a_retry_answer(
    engine: Engine, followed: Engine, data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data / "journal", tmp_path / "journal")
    journal, service = Journal(tmp_path / "journal"), tmp_path / "store" / engine.address.folder
    # By this time the lease of the last writer is over, so that the follower does not wait for it.
    later = datetime.now(UTC) + timedelta(seconds=12 * LEASE)
    meanwhile: list[tuple[str | None, str | None]] = []

    def now() -> datetime:
        if (snapshot := newest_snapshot(service / "snapshots")) and snapshot.applying:
            meanwhile.append(asyncio.run(_marks(tmp_path, engine)))
        return later

    follower = open_external_runner(
        engine.address,
        JournalReader(journal, IRIS.base),
        service,
        data / "status.nq",
        IRIS.status,
        now=now,
        wait=lambda _: None,
    )
    follower.finish()  # pages need the tables, which one step may not finish on a busy machine
    before = follower.store.leased.read()
    changed = [row for number in range(500, 520) for row in record_rows("demo", plain(number))]
    rows = [*changed, *(f"D {row[2:]}" for row in record_rows("demo", plain(7)))]
    journal.append(rows, run="run-9", time=WHEN)

    snapshot = follower.step()
    after = asyncio.run(_marks(tmp_path, engine))
    # The follower builds its texts and tables until there is nothing left to do.
    again = [step.position for step in iter(follower.step, None)]
    back = _undone(rows, tmp_path / "journal")
    last = follower.step()
    follower.close()

    assert snapshot is not None
    assert (snapshot.position, snapshot.quads) == (
        4,
        before.quads + len(changed) - len(record_rows("demo", plain(7))),
    )
    # The answer may show a part of entry 4, so it has no tag and is not cached.
    assert meanwhile[:2] == [("4", None), ("4", None)]
    assert (after[0], bool(after[1])) == (None, True)
    assert set(again) <= {4}
    assert last is not None
    assert (last.position, last.quads) == (back, before.quads)


async def _marks(data: Path, engine: Engine) -> tuple[str | None, str | None]:
    """Query the endpoint; return the entry that is being applied and the tag of the answer."""
    service = QueryService(
        data, IRIS, Limits(seconds=240, wait=240), readers=1, follow=False, elsewhere=engine.address
    )
    async with service, _client(service) as client:
        answer = await client.get("/sparql", params={"query": "ASK { ?s ?p ?o }"})
        record = await client.get("/record/demo/3.ttl")
    assert (answer.status_code, record.status_code) == (200, 200), record.text
    entry, tag = (answer.headers.get(name) for name in ("Stocktake-Applying-Entry", "ETag"))
    assert record.headers.get("Stocktake-Applying-Entry") == entry
    assert ("ETag" in record.headers) is (tag is not None)
    assert record.headers["Cache-Control"] == answer.headers["Cache-Control"]
    return entry, tag


def _undone(rows: list[str], journal: Path) -> int:
    """Append an entry that undoes *rows*; return its number."""
    other = {"A": "D", "D": "A"}
    entry = Journal(journal).append(
        [other[row[0]] + row[1:] for row in reversed(rows)], run="run-10", time=WHEN
    )
    assert entry is not None
    return entry.number


def test_a_store_that_follows_another_journal_is_left_alone(
    engine: Engine, followed: Engine, tmp_path: Path
) -> None:
    Journal(tmp_path / "journal").append(
        [f"A <{BASE}a> <{BASE}b> <{BASE}c> <{BASE}d> ."], run="other", time=WHEN
    )
    follower = open_external_runner(
        engine.address,
        JournalReader(Journal(tmp_path / "journal"), IRIS.base),
        tmp_path / "store",
        tmp_path / "none",
        IRIS.status,
    )

    with pytest.raises(StoreFailure, match="another journal"):
        follower.step()

    follower.close()


async def test_a_reader_without_a_store_reports_it(
    data: Path, tmp_path: Path, followed: Engine
) -> None:
    gone = followed.address.__class__("http://127.0.0.1:9/query", "http://127.0.0.1:9/update")
    shutil.copytree(data / "store" / followed.address.folder, tmp_path / "store" / gone.folder)
    shutil.copytree(data / "journal", tmp_path / "journal")

    async with (
        QueryService(
            tmp_path, IRIS, Limits(seconds=5), readers=1, follow=False, elsewhere=gone
        ) as opened,
        _client(opened) as client,
    ):
        answer = await client.get("/sparql", params={"query": "ASK {}"})

    assert answer.status_code == 503
    assert "does not answer" in answer.text
