"""What there is, how fresh it is, and where to go on."""

from __future__ import annotations

import re

import httpx
import pytest
from event_loops import session_loop

from publisher import dependencies
from web.static_files import static_url

HTML = {"Accept": "text/html"}


@session_loop
async def test_the_front_page_states_no_number_that_is_not_counted_yet(
    inside: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dependencies, "open_facet_index", lambda _: None)

    page = (await inside.get("/?at=first-start", headers={"Accept": "text/html"})).text

    assert "Charts are being prepared" in page
    assert 'href="/source/demo"' in page
    assert "<bdi>0</bdi>" not in page
    assert "No updates yet." not in page


async def test_every_link_of_the_front_page_leads_somewhere(client: httpx.AsyncClient) -> None:
    page = (await client.get("/", headers=HTML)).text

    links = {link.replace("&amp;", "&") for link in re.findall(r'(?:href|src)="(/[^"]*)"', page)}
    # one of each kind: of those that differ in the values of their parameters
    of_kinds = {re.sub(r"=[^&]*", "=", link): link for link in sorted(links)}
    assert len(links) > len(of_kinds) > 20
    for link in of_kinds.values():
        assert (await client.get(link, headers=HTML)).status_code == 200, link


async def test_a_page_asks_nothing_of_another_host_and_runs_only_the_suggestions_script(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/", headers={"Accept": "text/html"})).text
    style = (await client.get("/static/style.css")).text

    assert re.findall(r'(?:src|href)="(?:https?:)?//[^"]*\.(?:css|js|png|woff2?)', page) == []
    assert re.findall("<script[^>]*>", page) == [
        f'<script src="{static_url(name)}" defer>' for name in ("embed.js", "suggest.js")
    ]
    assert "url(" not in style
