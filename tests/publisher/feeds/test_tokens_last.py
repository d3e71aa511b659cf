"""Tokens: a list that was begun goes on after a commit, a release, a restart and the loss of every
index.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
from feed_clients import OAI, shown_count, wait
from live_server import ROOT, served
from lxml import etree
from mutating_source import begin, is_gone, move, read_graphs

SETTINGS = {"STOCKTAKE_QUERY_LIMITS": "budget=0, each=0"}


def page(url: str, **arguments: str) -> tuple[list[str], str | None]:
    """Return the identifiers of a page of a list, and the token of the next."""
    answer = etree.fromstring(
        httpx.get(f"{url}/oai", params={"verb": "ListRecords", **arguments}).content
    )
    assert answer.find(f"{OAI}error") is None
    return [str(item.text) for item in answer.iter(f"{OAI}identifier")], answer.findtext(
        f".//{OAI}resumptionToken"
    ) or None


def test_a_token_outlives_a_commit_a_release_a_restart_and_the_loss_of_the_store(
    tmp_path: Path,
) -> None:
    begin(tmp_path)
    before = read_graphs(tmp_path)
    with served(tmp_path, SETTINGS) as url:
        wait(lambda: shown_count(url) == 380)
        result, token = page(url, metadataPrefix="oai_dc")
        move(tmp_path)
    line = [sys.executable, "-m", "stocktake", "release"]
    subprocess.run(
        line,
        env={**os.environ, "STOCKTAKE_DATA": str(tmp_path)},
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    shutil.rmtree(tmp_path / "store")

    with served(tmp_path, SETTINGS) as url:
        wait(lambda: shown_count(url) == 466)
        while token:
            more, token = page(url, resumptionToken=token)
            result += more

    assert sorted(result) == sorted(before)
    assert not any(map(is_gone, before.values()))
