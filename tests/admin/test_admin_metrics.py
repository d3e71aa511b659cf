"""The metrics of the harvests are read with a key, by the library that Prometheus publishes, and
agree with the ledger.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from harvesters.ledger.models import State

from .conftest import bearer, staged


async def test_runs_and_their_records_are_counted(world: Any) -> None:
    run = world.add_held_plan((staged("a"), staged("b")))
    failed = world.ledger.create_run(
        "projects", world.clock.now(), "rules", is_full=True, since=None
    )
    world.ledger.save(
        replace(failed, state=State.FAILED, ended=world.clock.now(), counts={"new": 3}, fetched=5)
    )

    (world.context.source_dir / "wrong.toml").write_text("title = 1", encoding="utf-8")

    answer = await world.client.get("/admin/metrics", headers=bearer(world.tokens["read"]))

    families = text_string_to_metric_families(answer.text)
    results = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }
    assert results["stocktake_runs_total", ("projects", "failed")] == 1
    assert results["stocktake_runs_total", ("projects", run.state.value)] == 1
    assert results["stocktake_records_fetched_total", ("projects",)] == 5 + run.fetched
    assert results["stocktake_last_run_records", ("new", "projects")] == 3
    assert (
        results["stocktake_last_run_end_timestamp_seconds", ("projects",)]
        == world.clock.now().timestamp()
    )
    assert results["stocktake_disk_free_bytes", ()] > 0
    assert results["stocktake_invalid_definitions", ()] == 1


async def test_the_metrics_need_a_key(world: Any) -> None:
    assert (await world.client.get("/admin/metrics")).status_code == 401
