"""Metrics are read by the library that Prometheus publishes, and agree with the other endpoints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from app_client import asking
from in_process import SITE, InProcess, running, serving
from prometheus_client.parser import text_string_to_metric_families
from publish_fixture import copy_data
from small_world import IRIS
from waiting import wait_until

from harvesters.admin.api import metrics
from journal import mirror_origin
from journal.mirror_origin import Origin, RefusedEntry
from publisher.app import create_app
from publisher.store.query_service import QueryService

ROOT = Path(__file__).parents[2]
RULES = ROOT / "compose" / "prometheus-rules.yml"


@pytest.fixture(scope="module")
def publisher(level: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """Yield a publisher that follows its journal: it has the metrics of its follower too."""
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
    mirror_origin.write(service.journal.folder, origin)

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
    source = Path(metrics.__file__).read_text()
    families = re.findall(r'(Counter|Gauge)MetricFamily\(\s*"(stocktake_\w+)"', source)
    return {f"{name}_total" if kind == "Counter" else name for kind, name in families}


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
