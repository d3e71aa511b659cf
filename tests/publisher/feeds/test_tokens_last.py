"""A list that was begun goes on by its token after a commit, a release, a restart and the loss of
every index.
"""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime
from pathlib import Path

import httpx
from app_client import asking
from feed_clients import OAI, shown_count, wait
from live_server import served
from lxml import etree
from mutating_source import IRIS, begin, is_gone, move, read_graphs
from waiting import WITHIN

from publisher.app import create_app
from publisher.releases.builder import build_release
from publisher.store.query_service import QueryService

SETTINGS = {"STOCKTAKE_QUERY_LIMITS": "budget=0, each=0"}
Page = tuple[list[str], str | None]  # The identifiers of a page, and the token of the next page.


def parse_page(content: bytes) -> Page:
    answer = etree.fromstring(content)
    assert answer.find(f"{OAI}error") is None
    return [str(item.text) for item in answer.iter(f"{OAI}identifier")], answer.findtext(
        f".//{OAI}resumptionToken"
    ) or None


async def first_page(data: Path) -> Page:
    """Return the first page of a server in this process."""
    async with QueryService(data, IRIS, readers=1) as service:
        await service.wait_until_current()
        async with asking(create_app(service)) as client:
            parameters = {"verb": "ListRecords", "metadataPrefix": "oai_dc"}
            return parse_page((await client.get("/oai", params=parameters)).content)


def test_a_token_outlives_a_commit_a_release_a_restart_and_the_loss_of_the_store(
    tmp_path: Path,
) -> None:
    begin(tmp_path)
    before = read_graphs(tmp_path)
    result, token = asyncio.run(first_page(tmp_path))
    move(tmp_path)
    build_release(tmp_path, IRIS, datetime(2026, 6, 1, tzinfo=UTC))
    shutil.rmtree(tmp_path / "store")

    with (
        served(tmp_path, SETTINGS) as url,
        httpx.Client(base_url=url, trust_env=False, verify=False, timeout=WITHIN) as client,
    ):
        wait(lambda: shown_count(url) == 466)
        while token:
            parameters = {"verb": "ListRecords", "resumptionToken": token}
            more, token = parse_page(client.get("/oai", params=parameters).content)
            result += more

    assert sorted(result) == sorted(before)
    assert not any(map(is_gone, before.values()))
