"""A small published world: the vocabulary, two registries, a few things, one tombstone, hostile
texts.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import cast

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from journal.journal import Journal
from publisher import damaged_files
from publisher.app import create_app
from publisher.releases.builder import build_release
from publisher.store.query_service import QueryService
from publisher.store.workers.pool import Limits
from vocab.initiative import (
    Amount,
    Basis,
    Claim,
    Contact,
    Document,
    Event,
    File,
    Initiative,
    Outcome,
    Party,
    Period,
    Place,
    Prize,
    Resource,
    Role,
    Text,
)
from vocab.iris import Iris
from vocab.schemes import statements
from vocab.statements.describe import describe, quads
from vocab.statements.provenance import (
    Provenance,
    Registry,
    SourceStatus,
    ValidationNote,
    describe_record,
    describe_source,
    describe_source_statuses,
)
from vocab.statements.run_statistics import RunStatistics, describe_run
from vocab.statements.tombstone import Deletion, write_tombstone

sys.path.insert(0, str(Path(__file__).parent))  # where `suite` and `serving` lie

from in_process import InProcess, reading, running
from live_server import served
from prebuilt import prebuilt
from publish_fixture import STORES, copy_data, derive, published, visiting

IRIS = Iris()
SEEN = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
CHANGED = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
RELEASED = datetime(2026, 4, 1, 6, 0, tzinfo=UTC)
KENYA = "http://metadata.un.org/sdg/codes/geoArea/404"
# graphs of the vocabulary for tests to which its size does not matter
SMALL_SCHEMES = {"scheme/action-line", "scheme/coverage", "scheme/status", "labels"}
HOSTILE = '<script>alert("x")</script>'

RICH = Initiative(
    key="a/1",
    titles=(
        Text("Telemedicine for remote clinics", "en"),
        Text("Télémédecine pour les cliniques isolées", "fr"),
        Text("التطبيب عن بعد للعيادات النائية", "ar"),
    ),
    descriptions=(
        Text(
            "Forty clinics in the north get a link by satellite and a nurse who is trained to use it.\nA doctor in the capital sees "
            "the patient the same day; prescriptions travel as structured data.",
            "en",
        ),
        Text(
            "Quarante cliniques du nord reçoivent une liaison par satellite et une infirmière formée.",
            "fr",
        ),
    ),
    identifiers=("urn:example:1",),
    pages=("https://example.org/telemedicine",),
    languages=("en", "fr"),
    licences=("https://creativecommons.org/licenses/by/4.0/",),
    issued="2024-01-15",
    modified="2025-06-30T10:00:00Z",
    countries=(KENYA,),
    parties=(
        Party(
            Role.LEAD,
            Text("Ministry of Health", "en"),
            kind=IRIS.concept("stakeholder-type", "government"),
            country=KENYA,
        ),
        Party(Role.PARTNER, Text("Clinics United", "en"), page="https://example.org/clinics"),
        Party(Role.FUNDER, Text("Fund for Health", "en")),
    ),
    action_lines=(
        Claim(IRIS.concept("action-line", "C7-ehea")),
        Claim(IRIS.concept("action-line", "C2"), Basis.CROSSWALKED, "infrastructure"),
        Claim(IRIS.concept("action-line", "C4"), Basis.SUGGESTED, None, 0.81),
    ),
    goals=(
        Claim(
            "http://metadata.un.org/sdg/3",
            percentage=60,
            evidence=Text("It heals.", "en"),
            evidence_page="https://example.org/why",
        ),
        Claim("http://metadata.un.org/sdg/9", Basis.CROSSWALKED, "SDG9"),
    ),
    targets=(Claim("http://metadata.un.org/sdg/3.8"),),
    subjects=(Text("telehealth", "en"),),
    start="2024-02-01",
    end="2027-01-31",
    planned_end="2026-12-31",
    amounts=(
        Amount(1_250_000.5, "KES", Text("original budget", "en"), "2024-01-01", "2024-12-31"),
    ),
    outcomes=(
        Outcome((Text("Clinics connected", "en"),), (Text("Ten clinics.", "en"),), "output"),
    ),
    coverage=IRIS.concept("coverage", "national"),
    status=IRIS.concept("status", "ongoing"),
    activity_types=(IRIS.concept("activity-type", "project"),),
    places=(Place(Text("Marsabit", "en"), 2.3284, 37.9899),),
    prizes=(
        Prize(IRIS.concept("prize-category", "12"), IRIS.concept("prize-stage", "champion"), 2025),
    ),
)


def plain(number: int) -> Initiative:
    """Return one of many alike."""
    return Initiative(
        key=str(number),
        titles=(Text(f"Community network {number}", "en"),),
        descriptions=(Text("A village builds its own network.", "en"),),
        countries=(KENYA,),
        parties=(Party(Role.LEAD, Text("Ministry of Health", "en")),),
        action_lines=(Claim(IRIS.concept("action-line", f"C{1 + number % 6}")),),
        goals=(Claim(f"http://metadata.un.org/sdg/{1 + number % 17}"),),
        start="2023-01-01",
    )


THINGS: tuple[Resource, ...] = (
    RICH,
    Initiative(
        key="evil",
        titles=(Text(HOSTILE, "en"),),
        pages=("https://example.org/?a=1&b='x'",),
        subjects=(Text("javascript:alert(1)"),),
    ),
    Event(
        key="e1",
        titles=(Text("Forum on digital health", "en"),),
        start="2025-05-01",
        venue=Text("Geneva", "en"),
    ),
    Document(
        key="file.ttl",
        titles=(Text("Good practice report", "en"),),
        periods=(Period("1990", "1999"),),
        files=(
            File(
                "https://example.org/report",
                "https://example.org/report.pdf",
                (Text("As PDF", "en"),),
                "application/pdf",
            ),
            File(f"https://example.org/download/{'report' * 20}.csv"),
        ),
        contacts=(Contact((Text("Registry office", "en"),), "office@example.org"),),
        access_rights="Open to all",
        frequency="R/P1Y",
    ),
    *(plain(number) for number in range(120)),
)

REMARKS = (
    ValidationNote(
        "MinCountConstraintComponent",
        "Warning",
        "No target is named.",
        IRIS.ns + "target",
        None,
        IRIS.base + "shapes#NoTarget",
    ),
)


def provenance(source: str, remarks: tuple[ValidationNote, ...] = ()) -> Provenance:
    """Return the provenance of all records of the world."""
    return Provenance(source, "run-2", "fields", "ab" * 32, SEEN, CHANGED, remarks)


def record_rows(source: str, resource: Resource) -> list[str]:
    """Return the additions that publish *it*."""
    remarks = REMARKS if resource is RICH else ()
    results = [
        *describe(resource, IRIS, source),
        *describe_record(resource.key, IRIS, provenance(source, remarks)),
    ]
    return [f"A {quad}" for quad in quads(results, IRIS.record(source, resource.key))]


def _vocabulary(keep: Callable[[str, str], bool]) -> Iterator[str]:
    for graph, lines in statements(IRIS.base):
        path = graph.removeprefix(IRIS.base)
        chosen = (line for line in lines if keep(path, line))
        yield from (f"A {quad}" for quad in quads(chosen, graph))


def _registry(name: str) -> Registry:
    licence = "https://creativecommons.org/licenses/by/4.0/"
    return Registry(
        name,
        f"Registry of {name}",
        "ICT Authority",
        f"https://{name}.example/oai",
        licence,
        "oai_pmh",
        "oai_dc",
        "15 3 * * *",
    )


def _gone_rows(source: str, resource: Resource) -> Iterator[str]:
    before = [
        *describe(resource, IRIS, source),
        *describe_record(resource.key, IRIS, provenance(source)),
    ]
    after = write_tombstone(
        resource.key,
        source,
        Deletion("run-3", CHANGED, "its source says that it was deleted"),
        SEEN,
        before,
        IRIS,
    )
    graph = IRIS.record(source, resource.key)
    yield from (f"D {quad}" for quad in quads(sorted({*before} - {*after}), graph))
    yield from (f"A {quad}" for quad in quads(sorted({*after} - {*before}), graph))


def build(
    data: Path,
    things: Sequence[Resource] = THINGS,
    keep: Callable[[str, str], bool] = lambda graph, statement: True,
) -> None:
    """Write the journal and the status file of a world of *things* under *data*, with the
    statements of the vocabulary that *keep* wants, by the path of their graph.
    """
    journal = Journal(data / "journal")
    journal.append(_vocabulary(keep), run="run-1", time=SEEN)
    run = RunStatistics(
        run="run-2",
        source="demo",
        started=SEEN,
        ended=CHANGED,
        state="committed",
        is_full=True,
        reported=len(things),
        fetched=len(things),
        new=len(things),
    )
    rows = [row for item in things for row in record_rows("demo", item)]
    rows += [
        f"A {quad}" for quad in quads(describe_source(_registry("demo"), IRIS), IRIS.source("demo"))
    ]
    rows += [f"A {quad}" for quad in quads(describe_run(run, IRIS), IRIS.run("run-2"))]
    rows += record_rows("demo", Initiative(key="lost", titles=(Text("Lost project", "en"),)))
    journal.append(rows, run="run-2", time=CHANGED)
    journal.append(
        _gone_rows("demo", Initiative(key="lost", titles=(Text("Lost project", "en"),))),
        run="run-3",
        time=CHANGED,
    )
    result = describe_source_statuses(
        [SourceStatus("demo", CHANGED, CHANGED, "published", len(things), None)], IRIS
    )
    write_status(data, result)


def write_status(data: Path, content: Iterable[str]) -> None:
    """Write the status file."""
    (data / "status.nq").write_text("\n".join(quads(content, IRIS.status)) + "\n")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the world; read it, do not change it."""
    data = tmp_path_factory.mktemp("world")
    build(data)
    return data


@pytest.fixture(scope="session")
def level(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the world, with a store, indexes and a history that are level with
    its journal; read it, copy it to change it.
    """
    target = tmp_path_factory.mktemp("level") / "data"
    return prebuilt(pytestconfig, "world", [Path(__file__)], build_level, target)


def build_level(data: Path) -> None:
    """Write a world with all that the publisher derives from its journal."""
    build(data)
    derive(data)


@pytest.fixture(scope="session")
def release_data(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with the journal and the status of the world and one release; read it,
    do not change it.
    """
    data: Path = copy_data(world, tmp_path_factory.mktemp("release"))
    build_release(data, IRIS, RELEASED)
    return data


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of a world of few things and few terms, with a store, indexes and a
    history that are level with its journal; copy it to open it.
    """
    data = tmp_path_factory.mktemp("small")
    build(data, THINGS[:8], lambda graph, _: graph in SMALL_SCHEMES)
    damaged_files.build(data, IRIS)
    return data


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def service(level: Path) -> AsyncIterator[QueryService]:
    """Yield the open store of the world, which no longer changes; tests that ask it have the mark
    `session_loop`.
    """
    async with QueryService(
        level, IRIS, Limits(seconds=240, wait=240), readers=2, follow=False
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def app(service: QueryService) -> FastAPI:
    """Return the app over the open store; its first request builds all routes, for 0.4 s."""
    return create_app(service)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of modules with the mark ``every_store`` over each of STORES, and all others
    over the first.

    `test_engines.py` compares the answers of all endpoints over the others with those over the
    first.
    """
    if "store" in metafunc.fixturenames and metafunc.definition.get_closest_marker("every_store"):
        metafunc.parametrize("store", STORES, indirect=True, scope="session")


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest) -> str:
    """Return the name of the store that the publisher of the world has."""
    return str(getattr(request, "param", STORES[0]))


@pytest.fixture(scope="package")
def publishers(
    level: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """Yield what starts a publisher of the world over a store, once."""
    with ExitStack() as open_ones:
        yield cache(
            lambda name: open_ones.enter_context(
                published(name, level, tmp_path_factory.mktemp(name))
            )
        )


@pytest.fixture(scope="package")
def endpoint(level: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of the endpoint of a real server over a copy of the world: `service`
    follows the world itself.
    """
    copied = copy_data(level, tmp_path_factory.mktemp("endpoint"), "store")
    with served(copied, {"STOCKTAKE_QUERY_LIMITS": "budget=0, seconds=240, wait=240"}) as url:
        yield f"{url}/sparql"


@pytest.fixture(scope="package")
def reader(level: Path) -> Iterator[InProcess]:
    """Yield the publisher of the world over a store of our own, in this process."""
    with running(reading(level)) as publisher:
        yield publisher


@pytest.fixture
def publisher(store: str, request: pytest.FixtureRequest) -> str | InProcess:
    """Return the publisher of the world over the store: in this process, or at a URL."""
    if store == STORES[0]:
        return cast(InProcess, request.getfixturevalue("reader"))
    # by name: only a test over another store starts programs
    return str(request.getfixturevalue("publishers")(store))


@pytest.fixture
async def client(publisher: str | InProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a publisher of the world over the store; it follows no redirect."""
    async with visiting(publisher) as opened:
        yield opened


@pytest.fixture
async def inside(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the app in this process, over a store of our own."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://stocktake.test"
    ) as opened:
        yield opened
