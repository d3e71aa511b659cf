"""Every client harvests before a commit, after it, and across it: that harvest begins before the
commit and ends after it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import cast

import httpx
import mutating_source
import npm
import pytest
from feed_clients import (
    Got,
    Scenario,
    all_at_once,
    by_activities,
    by_feedparser,
    by_ldes,
    by_scythe,
    by_sickle,
    now,
    shown_count,
    take_items,
    wait,
)
from in_process import SITE, reading, running
from live_server import PATIENCE, ROOT, served
from mutating_source import begin, move, read_graphs
from prebuilt import prebuilt
from processes import Process
from publish_fixture import STORES, derive, published

CLIENT = ROOT / "tests" / "clients" / "ldes"


@pytest.fixture(scope="session")
def ldes_client() -> list[str]:
    """Return the command that replicates a stream, installed once for each lock into a folder that
    is kept.
    """
    home = npm.install(CLIENT)
    shutil.copy(CLIENT / "replicate.mjs", home)
    return ["node", str(home / "replicate.mjs")]


@contextmanager
def following(line: list[str]) -> Iterator[Iterator[str]]:
    """Follow a stream with ldes-client, and yield its lines as they come, each version once.

    It is stopped, since ldes-client 0.3.0 may end by itself too early on a busy machine: a page
    that moves from its list of waiting pages to that of requested ones is for a moment in neither.
    While it follows, it may print a version twice that it meets in two polls at once.
    """
    client = Process([*line, "follow"], stdout=subprocess.PIPE)
    try:
        assert client.stdout
        yield once(client.stdout)
    finally:
        client.discard()


def once(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield the first line of each version."""
    known = set[str]()
    for line in lines:
        if (version := json.loads(line)["id"]) not in known:
            known.add(version)
            yield line.decode()


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Serve the world whose records change; yield its folder and its address."""
    data = tmp_path_factory.mktemp("moving")
    begin(data)
    with served(
        data,
        {"STOCKTAKE_QUERY_LIMITS": "budget=0, each=0", "STOCKTAKE_CONTACT": "help@example.org"},
    ) as url:
        wait(lambda: shown_count(url) == 380)
        yield data, url


@pytest.fixture(scope="module")
def scenario(moving: tuple[Path, str], ldes_client: list[str]) -> Scenario:
    """Harvest before, across and after the commit, by all clients."""
    data, url = moving
    got = {("before", name): item for name, item in all_at_once(url).items()}
    before, since = read_graphs(data), now(url)
    line = [*ldes_client, f"{url}/ldes"]
    with following(line) as members:
        first = list(islice(members, 380))
        across = {
            "sickle": by_sickle(url),
            "scythe": by_scythe(url),
            "feedparser": by_feedparser(url),
            "activities": by_activities(url),
        }
        begun = {name: take_items(items, 60) for name, items in across.items()}
        touched = move(data)
        wait(lambda: shown_count(url) == 380 + len(touched))
        for name, items in across.items():
            got["across", name] = Got(begun[name].items + list(items))
        later = list(islice(members, len(touched)))
    got["before", "ldes"], got["across", "ldes"] = (
        Got(list(by_ldes(first))),
        Got(list(by_ldes([*first, *later]))),
    )
    got["since", "sickle"] = Got(list(by_sickle(url, **{"from": since})))
    got["since", "scythe"] = Got(list(by_scythe(url, from_=since)))
    got |= {("after", name): item for name, item in all_at_once(url).items()}
    with following(line) as members:
        got["after", "ldes"] = Got(list(by_ldes(islice(members, 380 + len(touched)))))
    return Scenario(before, read_graphs(data), touched, got)


Still = tuple[Path, httpx.Client]


@pytest.fixture(scope="session")
def still_data(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the world after the commit, which tests share and must not change."""

    def make(data: Path) -> None:
        begin(data, whole=True)
        move(data)
        derive(data)

    makers = [Path(mutating_source.__file__)]
    target = tmp_path_factory.mktemp("still") / "data"
    return prebuilt(pytestconfig, "still", makers, make, target)


@pytest.fixture(scope="package")
def still_inside(still_data: Path) -> Iterator[Still]:
    """Yield the world after the commit: its folder, and a client of the app in this process."""
    with (
        running(reading(still_data, url="", contact="help@example.org")) as transport,
        httpx.Client(transport=transport, base_url=SITE) as client,
    ):
        yield still_data, client


@pytest.fixture(scope="package")
def stills(
    still_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], Still]]:
    """Yield a function that serves the world after the commit over a store, once for each store."""
    with ExitStack() as open_ones:

        def opened(store: str) -> Still:
            # Without a public URL, links have the address that the server listens on.
            contact = {"STOCKTAKE_CONTACT": "help@example.org", "STOCKTAKE_PUBLIC_URL": ""}
            url = open_ones.enter_context(
                published(store, still_data, tmp_path_factory.mktemp(store), contact)
            )
            wait(lambda: shown_count(url) == 466)
            return still_data, open_ones.enter_context(
                httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE)
            )

        yield cache(opened)


@pytest.fixture
def still(store: str, request: pytest.FixtureRequest) -> Still:
    """Return the world as it is after the commit, over the store."""
    if store == STORES[0]:
        return cast(Still, request.getfixturevalue("still_inside"))
    # The fixture is requested by name, so that only a test over another store starts programs.
    return cast(Still, request.getfixturevalue("stills")(store))
