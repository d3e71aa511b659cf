from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from damage import count_verified
from postgresql import Cluster
from queued import committed, put
from waiting import WITHIN

from harvesters.runs.workers import LOCK_LOST_EXIT
from journal.journal import Journal

from .conftest import WORKER, GatedRegistry, House

NAME = f"stocktake{os.getpid() % 10_000}"
NET = os.getpid() % 120 * 2  # differs from that of a killed test, whose links may be left
# The database and the registry have a link each, so that one can be cut alone.
DATABASE, REGISTRY = f"10.77.{NET}", f"10.77.{NET + 1}"


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def apart() -> Iterator[str]:
    """Create a network namespace, and yield the name of the link that leads to the database."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and the command ip: apt-get install iproute2")
    try:
        ip("netns", "add", NAME)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made here: {error.stderr.decode().strip()}")
    links = [(f"v{NAME[-5:]}{number}", net) for number, net in enumerate((DATABASE, REGISTRY))]
    try:
        for link, net in links:
            ip("link", "add", link, "type", "veth", "peer", "name", f"{link}p", "netns", NAME)
            ip("addr", "add", f"{net}.1/24", "dev", link)
            ip("link", "set", link, "up")
            ip("-n", NAME, "addr", "add", f"{net}.2/24", "dev", f"{link}p")
            ip("-n", NAME, "link", "set", f"{link}p", "up")
        yield links[0][0]
    finally:
        ip("netns", "del", NAME)


def test_a_disconnected_worker_commits_nothing_and_another_resumes_its_run(
    house: House, cluster: Cluster, database: str, registry: GatedRegistry, apart: str
) -> None:
    house.define_source("a", url=f"http://{REGISTRY}.1:{urlsplit(registry.url).port}")
    put(house.ledger, "a")
    registry.gate.clear()
    words = ("--allow-hosts", f"{REGISTRY}.1", *WORKER)
    inside = ("ip", "netns", "exec", NAME)
    cut_off = house.start(*words, before=inside, ledger=cluster.url(database, f"{DATABASE}.1"))
    house.wait_until_begun()

    ip("link", "set", apart, "down")
    registry.gate.set()
    house.start(*words)
    house.settle("a")
    ip("link", "set", apart, "up")  # the process that was cut off waits for the database

    assert cut_off.wait(WITHIN) == LOCK_LOST_EXIT, house.output_of(0)
    assert committed(house)["a"] == 1
    assert (
        count_verified(Journal(house.data / "journal")) == 2
    )  # the vocabulary's entry, and the run's
    assert house.rows("SELECT count(*) FROM run WHERE source = 'a'") == [(1,)]
    assert "worker cannot continue" in house.output_of(0)
