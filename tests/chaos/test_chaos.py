"""Whatever is killed, filled, cut, flipped or set back, everything ends as in an undisturbed run
(``chaos.py``).

``make chaos MINUTES=60 SEED=1`` runs longer and prints what it does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx
import pytest
from chaos_registries import CHANGED, RECORDS, Link, Registries, records
from processes import Process

ROOT = Path(__file__).parents[2]
MINUTES = 15


@pytest.mark.timeout(3600)
def test_chaos_ends_with_the_dumps_of_an_undisturbed_run() -> None:
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "support")))
    command = [sys.executable, str(Path(__file__).with_name("chaos.py")), "--minutes", str(MINUTES)]
    process = Process(command, env={**os.environ, "PYTHONPATH": paths})

    assert process.wait(3500) == 0, process.output()


def test_registries_change_a_few_records_each_day_and_depend_on_the_seed_alone() -> None:
    before, after = ({row["id"]: row["name"] for row in records(3, "one", day)} for day in (4, 5))

    assert len([key for key in before if before[key] != after[key]]) == CHANGED
    assert len(after) > len(before) > RECORDS
    assert records(3, "one", 5) == records(3, "one", 5) != records(4, "one", 5)


def test_a_link_that_is_cut_resets_connections_until_it_is_restored() -> None:
    registries = Registries(1)
    link = Link(registries.port)
    url = f"http://127.0.0.1:{link.port}/one"
    try:
        before = httpx.get(url, trust_env=False).json()["total"]
        link.cut()
        with pytest.raises(httpx.TransportError):
            httpx.get(url, trust_env=False)
        link.restore()
        after = httpx.get(url, trust_env=False).json()["total"]
    finally:
        link.close()
        registries.close()

    assert before == after == RECORDS
