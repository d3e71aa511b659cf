"""`/health` and the metrics report the faults of each part, and answer whatever is damaged."""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import httpx
import pytest
import yaml
from app_client import asking
from fastapi import FastAPI
from in_process import SITE, InProcess, running, serving
from prometheus_client.parser import text_string_to_metric_families
from publish_fixture import copy_data
from small_world import IRIS
from waiting import wait_until, wait_until_async

from harvesters.admin import system
from journal.store import Origin, RefusedEntry, write_origin
from publisher.app import create_app
from publisher.errors import DamagedFiles
from publisher.store.query_service import QueryService
from publisher.store.search.query import build_topics
from publisher.store.snapshots import newest_snapshot
from publisher.store.verification import discard_damaged, repair_files, store_faults
from vocab.iris import Iris


async def test_health_has_the_position_of_each_projection_and_is_starting_until_they_are_built(
    small: Path, tmp_path: Path
) -> None:
    copy_data(small, tmp_path)
    expected = {name: {"position": 3} for name in ("store", "search", "columns")}

    async with (
        QueryService(tmp_path, IRIS, readers=1) as service,
        visitor(create_app(service)) as client,
    ):

        async def is_level() -> bool:
            answer = (await client.get("/health")).json()
            return (answer.get("projections"), answer["status"]) == (expected, "ok")

        def state() -> str:
            return f"{service.follower.projections} {service.snapshot}"

        await wait_until_async(is_level, "all projections to be level", output=state)
        search = await client.get("/search?q=a")
        service.snapshot = replace(service.current, text=-1, columns=-1)
        answer = await client.get("/health")

    assert search.status_code == 200
    assert (answer.status_code, answer.json()["status"]) == (200, "starting")
    assert answer.json()["reason"] == "still to be built: the search index, the facet tables"


def visitor(app: FastAPI) -> httpx.AsyncClient:
    client: httpx.AsyncClient = asking(app)
    return client


async def test_before_the_first_snapshot_health_is_unavailable(tmp_path: Path) -> None:
    app = create_app(QueryService(tmp_path, Iris()))

    async with visitor(app) as client:
        health = await client.get("/health")
        query = await client.get("/sparql", params={"query": "ASK {}"})
        home = await client.get("/")

    assert (health.status_code, query.status_code, home.status_code) == (503, 503, 503)
    assert query.headers["retry-after"] == "2"


ORIGIN = Origin("https://origin.example/", IRIS.base, 3, "2026-03-01T03:15:00Z")
REFUSED = RefusedEntry(4, "it has no title", "2026-03-01T03:15:00Z", "mirror/refused/4", "x")
INVALID = (
    b"", b"{", b"[]", b"null", b"7", b'"x"', b"[" * 100_000, b"\xff\xfe", b'{"url": 1, "base": "x"}', b'{"url": "x"}',
    b'{"url": "x", "base": "\\ud800"}', b'{"url": "x", "base": "y", "head": NaN}', b'{"url": "x", "base": "y", "head": "3"}',
    b'{"url": "x", "base": "y", "head": 1e400}', b'{"url": "x", "base": "y", "refused": "z"}', b'{"url": "x", "base": "y", "more": 1}',
    b'{"url": "x", "base": "y", "error": null}', b'{"url": "x", "base": "y", "refused": {"number": "4"}}',
)  # fmt: skip


@pytest.fixture(scope="module")
def mirrored(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of a mirror whose store is up to date with its journal."""
    data: Path = copy_data(small, tmp_path_factory.mktemp("mirrored"), "store")
    write_origin(data / "journal", ORIGIN)
    return data


@pytest.fixture
def data(mirrored: Path, tmp_path: Path) -> Path:
    """Return a copy of the mirror's data folder that a test may damage."""
    return Path(copytree(mirrored, tmp_path / "data"))


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[tuple[QueryService, httpx.AsyncClient]]:
    async with (
        QueryService(data, IRIS, readers=1, follow=False) as service,
        asking(create_app(service), raises=False) as client,
    ):
        yield service, client


async def faults_of(client: httpx.AsyncClient) -> dict[str, dict[str, str]]:
    """Return the faults by part; each has a cause and a remedy, and the metrics say degraded."""
    answer, metrics = await client.get("/health"), await client.get("/metrics")
    body = answer.json()
    assert (answer.status_code, metrics.status_code) == (200, 200)
    faults = {fault["part"]: fault for fault in body.get("faults", [])}
    assert body["status"] == ("degraded" if faults else "ok")
    assert all(fault["cause"] and fault["remedy"] for fault in faults.values())
    return faults


async def test_a_sound_mirror_has_no_faults(mirrored: Path) -> None:
    async with opened(mirrored) as (_, client):
        faults = await faults_of(client)

    assert faults == {}


async def test_invalid_description_of_the_origin_is_a_fault(data: Path) -> None:
    async with opened(data) as (_, client):
        for content in INVALID:
            (data / "journal" / "origin.json").write_bytes(content)
            fault = (await faults_of(client))["origin of the mirror"]
            assert "journal/origin.json cannot be read" in fault["cause"]
            assert "stocktake mirror" in fault["remedy"]


@pytest.mark.parametrize(
    ("origin", "remedy"),
    [
        (Origin("https://o.example/", IRIS.base, 3, "", "could not connect"), "check the address"),
        (Origin("https://o.example/", IRIS.base, 4, "", "it has no title", REFUSED), "report it"),
    ],
)
async def test_mirror_that_cannot_follow_is_degraded(
    data: Path, origin: Origin, remedy: str
) -> None:
    write_origin(data / "journal", origin)

    async with opened(data) as (_, client):
        faults = await faults_of(client)

    assert faults["origin of the mirror"]["cause"] == origin.error
    assert remedy in faults["origin of the mirror"]["remedy"]


@pytest.mark.parametrize("left", [None, Path.mkdir, Path.touch])
async def test_damaged_newest_entry_is_a_fault_of_the_journal(
    data: Path, left: Callable[[Path], None] | None
) -> None:
    newest = max((data / "journal").glob("*.rdfp.gz"))

    async with opened(data) as (_, client):
        newest.unlink()
        if left:
            left(newest)
        faults = await faults_of(client)
        pages = {
            path: (await client.get(path)).status_code
            for path in ("/", "/search", "/status", "/journal/", "/sparql?query=ASK%7B%7D")
        }

    assert set(faults) == ({"journal"} if left else set())
    assert set(pages.values()) <= {200, 503}, pages
    assert pages["/sparql?query=ASK%7B%7D"] == 200


async def test_flipped_bytes_of_any_file_never_are_a_500(data: Path) -> None:
    dice = random.Random(21)
    paths = [path for name in ("journal", "store") for path in sorted((data / name).rglob("*"))]

    async with opened(data) as (service, client):
        for path in [*paths, data / "status.nq"]:
            whole = path.read_bytes() if path.is_file() else b""
            if not whole:
                continue
            start = dice.randrange(len(whole))
            flipped = bytes(byte ^ 0xFF for byte in whole[start : start + 64])
            path.write_bytes(whole[:start] + flipped + whole[start + 64 :])
            for address in ("/health", "/metrics", "/livez", "/readyz"):
                answer = await client.get(address)
                assert answer.status_code == 200, f"{address}: {path} at {start}"
            path.write_bytes(whole)
            service.follower.projections.clear()


@pytest.mark.smoke
async def test_an_unexpected_error_of_a_part_is_a_fault_with_its_type(mirrored: Path) -> None:
    async def fail() -> list[object]:
        raise RuntimeError("nobody expected \udcff this")

    async with opened(mirrored) as (service, client):
        app = client._transport.app  # type: ignore[attr-defined]
        app.state.start.steps = fail
        service.follower.projections["search"] = {"position": 2, "error": "OSError: disk full"}
        faults = await faults_of(client)

    assert faults["first start"]["cause"] == "RuntimeError: nobody expected ? this"
    assert "disk full" in faults["search"]["cause"]


async def test_server_starts_with_a_damaged_description_of_its_snapshot(data: Path) -> None:
    snapshot = max((data / "store" / "snapshots").glob("[0-9]*"))
    about = json.loads((snapshot / "about.json").read_text())
    text = json.dumps({**about, "position": "3"}).encode()
    problem = f"snapshots/{snapshot.name}/about.json cannot be read"

    for content in (b"", b"[]", b"\xff", b'{"number": 1}', text):
        (snapshot / "about.json").write_bytes(content)
        with pytest.raises(DamagedFiles, match=problem):
            newest_snapshot(data / "store" / "snapshots")
    async with opened(data) as (_, client):
        answer = await client.get("/health")
    problem = discard_damaged(data / "store")

    assert (answer.status_code, answer.json()["status"]) == (503, "starting")
    assert "about.json cannot be read" in problem
    assert newest_snapshot(data / "store" / "snapshots") is None


def test_damaged_checksums_are_a_fault_and_are_rebuilt(data: Path) -> None:
    checksums = max((data / "store" / "snapshots").glob("*/checksums.json"))
    checksums.write_bytes(checksums.read_bytes()[:-9])

    faults = list(store_faults(data))
    repair_files(data, IRIS, faults)

    assert [fault.name.endswith("checksums.json") for fault in faults] == [True]
    assert not list(store_faults(data))


ROOT = Path(__file__).parents[2]
RULES = ROOT / "compose" / "prometheus-rules.yml"


@pytest.fixture(scope="module")
def publisher(level: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """Yield a publisher that follows its journal, and so has the metrics of the follower."""
    data = copy_data(level, tmp_path_factory.mktemp("metrics"), "store")
    with (
        running(serving(data)) as following,
        httpx.Client(transport=following, base_url=SITE) as client,
    ):
        wait_until(lambda: "projection_failed{" in client.get("/metrics").text, "the follower")
        yield following


async def samples(client: httpx.AsyncClient) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = await client.get("/metrics")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


async def test_metrics_agree_with_health_and_status(client: httpx.AsyncClient) -> None:
    health, status = (await client.get("/health")).json(), (await client.get("/status.json")).json()

    result = await samples(client)

    assert result["stocktake_position", ()] == health["position"]
    assert result["stocktake_statements", ()] == health["quads"]
    assert result["stocktake_up", ()] == 1
    for source in status["sources"]:
        name = source["source"]
        assert result["stocktake_source_records", (name,)] == source["published"]
        assert (
            result["stocktake_source_consecutive_failures", (name,)]
            == source["consecutive_failures"]
        )
        assert result["stocktake_source_state", (name, source["state"])] == 1


@pytest.mark.parametrize("refused", [True, False])
async def test_a_refused_origin_degrades_health_and_metrics(tmp_path: Path, refused: bool) -> None:
    service = QueryService(tmp_path, IRIS)
    reason = "entry 7 follows another entry 6"
    entry = RefusedEntry(7, reason, "2026-03-01T12:00:00Z", "quarantine/7")
    origin = Origin("https://origin.example/", IRIS.base, refused=entry if refused else None)
    write_origin(service.journal.folder, origin)

    async with asking(create_app(service)) as client:
        health, result = (await client.get("/health")).json(), await samples(client)

    causes = [fault["cause"] for fault in health.get("faults", [])]
    assert causes == ([reason] if refused else [])
    assert result["stocktake_degraded", ()] == int(refused)


async def test_requests_are_counted_by_path_and_status(client: httpx.AsyncClient) -> None:
    before = await samples(client)
    for path in ("/status", "/status.json", "/nothing-here", "/sparql?query=x"):
        await client.get(path)

    after = await samples(client)

    def grown(*labels: str) -> float:
        key = ("stocktake_http_requests_total", labels)
        return after.get(key, 0) - before.get(key, 0)

    assert (grown("/status", "200"), grown("/other", "404"), grown("/sparql", "400")) == (2, 1, 1)


async def test_queries_and_cached_pages_are_counted_by_outcome(client: httpx.AsyncClient) -> None:
    before = await samples(client)
    for query in ("ASK {?s ?p ?o}", "ASK {?s ?p", "SELECT * WHERE {?s ?p ?o} LIMIT 1"):
        await client.get(
            "/sparql",
            params={"query": query},
            headers={"Accept": "application/sparql-results+json"},
        )
    for _ in range(2):
        await client.get("/sources", headers={"Accept": "text/html"})

    after = await samples(client)

    grown = {
        key: after[key] - before.get(key, 0)
        for key in after
        if key[0] in {"stocktake_queries_total", "stocktake_page_cache_total"}
    }
    assert grown["stocktake_queries_total", ("answered",)] == 2
    assert grown["stocktake_page_cache_total", ("hit",)] >= 1
    assert after["stocktake_query_workers_replaced_total", ()] >= 0


async def test_before_the_first_snapshot_a_server_is_live_and_not_ready(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    async with asking(create_app(QueryService(tmp_path, IRIS))) as early:
        result = await samples(early)
        answers = [(await early.get(path)).status_code for path in ("/livez", "/readyz")]
    later = [(await client.get(path)).text for path in ("/livez", "/readyz")]

    assert (result["stocktake_up", ()], answers) == (0, [200, 503])
    assert later == ["ok\n", "ok\n"]


def harvest_names() -> set[str]:
    """Return the names of the metrics of the admin API; those of counters end in _total."""
    source = Path(system.__file__).read_text()
    families = re.findall(r'(CounterMetricFamily\()?\s*"(stocktake_\w+)"', source)
    return {f"{name}_total" if counter else name for counter, name in families}


async def test_rules_name_metrics_that_exist_and_a_section_of_the_guide(
    client: httpx.AsyncClient,
) -> None:
    names = {name for name, _ in await samples(client)} | harvest_names()
    guide = (ROOT / "docs" / "how-to" / "watch.md").read_text()

    [group] = yaml.safe_load(RULES.read_text())["groups"]

    for rule in group["rules"]:
        assert set(re.findall(r"stocktake_\w+", rule["expr"])) <= names, rule
        assert f"| `{rule['alert']}` |" in guide


async def test_the_dashboard_names_metrics_that_exist(client: httpx.AsyncClient) -> None:
    await client.get("/sources", headers={"Accept": "text/html"})
    await client.get("/sparql", params={"query": "ASK {?s ?p ?o}"})
    names = {name for name, _ in await samples(client)} | harvest_names()
    dashboard = json.loads((ROOT / "deploy" / "grafana" / "stocktake.json").read_text())

    named = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"stocktake_\w+", target["expr"])
    }

    assert named - names == set()


async def test_topics_are_loaded_once_health_is_ok(small: Path, tmp_path: Path) -> None:
    copy_data(small, tmp_path)
    build_topics.cache_clear()
    service = QueryService(tmp_path, IRIS, readers=1)
    app = create_app(service)
    client = asking(app)
    statuses: list[tuple[str, int]] = []

    async def is_ok() -> bool:
        status = (await client.get("/health")).json()["status"]
        statuses.append((status, build_topics.cache_info().currsize))
        return bool(status == "ok")

    async with app.router.lifespan_context(app), client:
        await wait_until_async(is_ok, "the server to be ready", output=lambda: str(statuses))
        before = build_topics.cache_info().misses
        search = await client.get("/search?q=a")

    assert search.status_code == 200
    assert build_topics.cache_info().misses == before == 1
