from __future__ import annotations

from pathlib import Path
from typing import Any

from queued import put

from harvesters.admin.context import AdminContext
from harvesters.admin.system import system_view
from vocab.iris import BASE


def test_the_system_page_lists_workers_and_jobs(house: Any, registry: Any) -> None:
    office = AdminContext(Path(house.data), Path(house.data), house.ledger, BASE)
    house.data.mkdir(exist_ok=True)
    without = system_view(office)
    house.define_source("a")
    put(house.ledger, "a")
    waiting = system_view(office)
    registry.gate.clear()
    house.start("worker")
    house.wait_until_begun()

    running = system_view(office)
    registry.gate.set()
    house.settle("a")
    office.close()

    assert (without["workers"], without["jobs"]) == ([], {})
    assert (waiting["workers"], waiting["jobs"]) == ([], {"todo": 1})
    assert running["workers"] is not None
    assert [worker["sources"] for worker in running["workers"]] == [["a"]]
    assert running["jobs"] == {"doing": 1}
