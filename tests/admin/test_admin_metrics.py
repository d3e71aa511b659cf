from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from harvesters.ledger.models import State

from .conftest import staged


async def test_runs_and_their_records_are_counted(world: Any) -> None:
    run, now = world.add_held_plan((staged("a"), staged("b"))), world.clock.now()
    world.create_run(state=State.FAILED, ended=now, counts={"new": 3}, fetched=5)
    (world.context.source_dir / "wrong.toml").write_text("title = 1", encoding="utf-8")

    answer = await world.api("/metrics", "read")

    results = {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert results["stocktake_runs_total", ("projects", "failed")] == 1
    assert results["stocktake_runs_total", ("projects", run.state.value)] == 1
    assert results["stocktake_records_fetched_total", ("projects",)] == 5 + run.fetched
    assert results["stocktake_last_run_records", ("new", "projects")] == 3
    assert results["stocktake_last_run_end_timestamp_seconds", ("projects",)] == now.timestamp()
    assert results["stocktake_disk_free_bytes", ()] > 0
    assert results["stocktake_invalid_definitions", ()] == 1
