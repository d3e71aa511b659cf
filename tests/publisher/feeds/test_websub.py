"""The hub: pings of each commit once, again where it was down, and never at a private address."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl

import httpx
import pytest
from app_client import asking
from mutating_source import IRIS, begin, move
from publish_fixture import copy_data
from rows import each
from waiting import wait_until_async

from publisher.app import SiteOptions, create_app
from publisher.feeds.atom import FILE_NAME, WebSubNotifier
from publisher.history.change_reader import read_watermark
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from web.outbound_client import GuardedTransport, PrivateAddressError, create_client

HUB = "https://hub.example/publish"


class Hub:
    """A hub that keeps what it was pings, and answers as it is set to."""

    def __init__(self) -> None:
        self.status = 204
        self.pings: list[list[str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        form = parse_qsl(request.content.decode())
        assert (str(request.url), form[0]) == (HUB, ("hub.mode", "publish"))
        if self.status < 400:
            self.pings.append([value for name, value in form if name == "hub.url"])
        return httpx.Response(self.status)


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[QueryService]:
    begin(tmp_path)
    async with QueryService(tmp_path, IRIS, Limits(seconds=240, wait=240), readers=1) as service:
        await service.wait_until_current()
        yield service


async def until(service: QueryService, entry: int) -> None:
    """Wait until harvesters are pings of *entry*."""

    async def reached() -> bool:
        await service.refresh()
        return read_watermark(service).entry >= entry

    await wait_until_async(reached, f"entry {entry}", pause=0.01)


@pytest.mark.smoke
async def test_the_hub_is_pinged_once_per_change_and_again_after_an_outage(
    opened: QueryService,
) -> None:
    hub = Hub()
    transport = httpx.MockTransport(hub)
    announcer = WebSubNotifier(HUB, opened, transport=transport)

    first = announcer.step()  # what is there already is no news
    move(opened.data)
    await until(opened, 4)
    hub.status = 503
    with pytest.raises(httpx.HTTPStatusError):
        announcer.step()
    hub.status = 202
    later = WebSubNotifier(HUB, opened, transport=transport).step()  # as after a restart
    again = announcer.step()

    feeds = {item for result in hub.pings for item in result}
    assert (first, again) == (0, 0)
    assert later == len(feeds) == sum(map(len, hub.pings))
    assert {
        f"{IRIS.base}feeds/{name}.atom"
        for name in ("all", "source/demo", "country/404", "goal/4", "goal/4/declared")
    } <= feeds
    assert f"{IRIS.base}feeds/source/alpha.atom" not in feeds
    assert json.loads((opened.data / FILE_NAME).read_text()) == {"entry": 4}


async def test_a_feed_names_the_hub_and_the_address_by_which_the_hub_knows_it(
    small: Path, tmp_path: Path
) -> None:
    copy_data(small, tmp_path, "store")
    async with QueryService(tmp_path, IRIS, readers=1) as service:
        await service.wait_until_current()
        app = create_app(service, site=SiteOptions(hub=HUB))
        async with asking(app) as client:
            answer = await client.get("/feeds/goal/4.atom")

    assert f'<{HUB}>; rel="hub"' in answer.headers["link"]
    assert f'<{IRIS.base}feeds/goal/4.atom>; rel="self"' in answer.headers["link"]
    assert f'<link rel="hub" href="{HUB}"/>' in answer.text


@each(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:192.168.0.1", "64:ff9b::a00:1", "224.0.0.1"],
)  # fmt: skip
def test_a_hub_at_a_private_address_is_not_asked(address: str) -> None:
    # One good address does not excuse the other.
    transport = GuardedTransport(resolve=lambda host, port: ["93.184.216.34", address])

    with (
        create_client(transport) as client,
        pytest.raises(httpx.ConnectError, match="STOCKTAKE_ALLOW_HOSTS"),
    ):
        client.post("http://hub.example:9/")


def test_a_private_hub_that_the_operators_name_is_asked() -> None:
    transport = GuardedTransport(frozenset({"localhost"}))

    with create_client(transport) as client, pytest.raises(httpx.ConnectError) as caught:
        client.post("http://localhost:9/")  # Nobody listens there, which shows that it was tried.

    assert not isinstance(caught.value.__cause__, PrivateAddressError)
