"""One harvest by every client that there is, begun before a commit and ended after it, beside one before and one after."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
from harvesting import (
    PATIENCE,
    Got,
    Scenario,
    all_at_once,
    by_activities,
    by_feedparser,
    by_ldes,
    by_scythe,
    by_sickle,
    now,
    taken,
    told,
    wait,
)
from moving import begin, held, move
from serving import ROOT, served

CLIENT = ROOT / "tests" / "clients" / "ldes"


@pytest.fixture(scope="session")
def ldes_client() -> list[str]:
    """Give the command that replicates a stream, installed once for each lock into a folder that is kept."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm")
    lock = (CLIENT / "package-lock.json").read_bytes()
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stocktake-clients" / sha256(lock).hexdigest()[:16]
    if not (home / "node_modules" / "ldes-client").exists():
        home.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CLIENT / name, home)
        line = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(line, cwd=home, capture_output=True, text=True, timeout=240)
        if done.returncode:
            pytest.skip(f"npm cannot install ldes-client: {done.stderr.strip()[-300:]}")
    shutil.copy(CLIENT / "replicate.mjs", home)
    return ["node", str(home / "replicate.mjs")]


@pytest.fixture(scope="session")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Serve the world that moves; give its folder and its address."""
    data = tmp_path_factory.mktemp("moving")
    begin(data)
    with served(data, {"STOCKTAKE_LIMITS": "budget=0, each=0", "STOCKTAKE_CONTACT": "help@example.org"}) as url:
        wait(lambda: told(url) == 380)
        yield data, url


@pytest.fixture(scope="session")
def scenario(moving: tuple[Path, str], ldes_client: list[str]) -> Scenario:
    """Harvest before, across and after the commit, by all clients."""
    data, url = moving
    got = {("before", name): it for name, it in all_at_once(url).items()}
    before, since = held(data), now(url)
    line = [*ldes_client, f"{url}/ldes", "follow"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as follower:
        assert follower.stdout
        first = [follower.stdout.readline() for _ in range(380)]
        across = {"sickle": by_sickle(url), "scythe": by_scythe(url), "feedparser": by_feedparser(url), "activities": by_activities(url)}
        begun = {name: taken(items, 60) for name, items in across.items()}
        touched = move(data)
        wait(lambda: told(url) == 380 + len(touched))
        for name, items in across.items():
            got["across", name] = Got(begun[name].items + list(items))
        later = [follower.stdout.readline() for _ in range(len(touched))]
        follower.kill()
    got["before", "ldes"], got["across", "ldes"] = Got(list(by_ldes(first))), Got(list(by_ldes([*first, *later])))
    got["since", "sickle"] = Got(list(by_sickle(url, **{"from": since})))
    got["since", "scythe"] = Got(list(by_scythe(url, from_=since)))
    got |= {("after", name): it for name, it in all_at_once(url).items()}
    done = subprocess.run([*ldes_client, f"{url}/ldes"], capture_output=True, text=True, timeout=PATIENCE, check=True)
    got["after", "ldes"] = Got(list(by_ldes(done.stdout.splitlines())))
    return Scenario(before, held(data), touched, got)


@pytest.fixture(scope="session")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, httpx.Client]]:
    """Serve the world as it is after the commit; give its folder and a client of it."""
    data = tmp_path_factory.mktemp("still")
    begin(data)
    move(data)
    with served(data, {"STOCKTAKE_LIMITS": "budget=0, each=0", "STOCKTAKE_CONTACT": "help@example.org"}) as url:
        wait(lambda: told(url) == 466)
        with httpx.Client(base_url=url) as client:
            yield data, client
