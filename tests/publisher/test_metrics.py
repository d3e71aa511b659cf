"""Metrics are read by the library that Prometheus publishes, and agree with the other endpoints."""

from __future__ import annotations

from pathlib import Path

import httpx
import yaml
from conftest import IRIS
from prometheus_client.parser import text_string_to_metric_families

from publisher.app import create_app
from publisher.store.query_service import QueryService

RULES = Path(__file__).parents[2] / "compose" / "prometheus-rules.yml"


async def samples(client: httpx.AsyncClient) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = await client.get("/metrics")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    families = text_string_to_metric_families(answer.text)
    return {(sample.name, tuple(sample.labels.values())): sample.value for family in families for sample in family.samples}


async def test_metrics_agree_with_health_and_status(client: httpx.AsyncClient) -> None:
    health, status = (await client.get("/health")).json(), (await client.get("/status.json")).json()

    found = await samples(client)

    assert found["stocktake_position", ()] == health["position"]
    assert found["stocktake_statements", ()] == health["quads"]
    assert found["stocktake_up", ()] == 1
    for source in status["sources"]:
        name = source["source"]
        assert found["stocktake_source_records", (name,)] == source["published"]
        assert found["stocktake_source_consecutive_failures", (name,)] == source["consecutive_failures"]
        assert found["stocktake_source_state", (name, source["state"])] == 1


async def test_requests_are_counted_by_path_and_status(client: httpx.AsyncClient) -> None:
    before = await samples(client)
    for path in ("/status", "/status.json", "/nothing-here", "/sparql?query=x"):
        await client.get(path)

    after = await samples(client)

    def grown(*labels: str) -> float:
        key = ("stocktake_http_requests_total", labels)
        return after.get(key, 0) - before.get(key, 0)

    assert (grown("/status", "200"), grown("/other", "404"), grown("/sparql", "400")) == (2, 1, 1)


async def test_before_the_first_snapshot_a_server_is_live_and_not_ready(tmp_path: Path) -> None:
    app = create_app(QueryService(tmp_path, IRIS))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://stocktake.test") as client:
        found = await samples(client)
        answers = [(await client.get(path)).status_code for path in ("/livez", "/readyz")]

    assert (found["stocktake_up", ()], answers) == (0, [200, 503])


async def test_a_server_with_data_is_ready(client: httpx.AsyncClient) -> None:
    answers = [(await client.get(path)).text for path in ("/livez", "/readyz")]

    assert answers == ["ok\n", "ok\n"]


async def test_rules_name_metrics_that_exist_and_a_section_of_the_guide(client: httpx.AsyncClient) -> None:
    names = {name for name, _ in await samples(client)}
    guide = (RULES.parents[1] / "docs" / "how-to" / "watch.md").read_text()

    [group] = yaml.safe_load(RULES.read_text())["groups"]

    for rule in group["rules"]:
        assert any(name in rule["expr"] for name in names), rule
        assert f"| `{rule['alert']}` |" in guide
