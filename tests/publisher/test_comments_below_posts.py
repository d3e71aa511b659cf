"""Comments are below posts alone, as text, and there is no form for them unless the site takes
comments.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from app_client import asking
from small_world import IRIS, SEEN, record_rows

from journal.journal import Journal
from publisher.app import create_app
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from vocab.initiative import Document, Post, Text

HOSTILE = '<script>alert(1)</script>\n"two" & three'
PAGE = {"Accept": "text/html"}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[QueryService]:
    things = (
        Post(key="a b", titles=(Text("We opened", "en"),), content=Text("Come in.", "en")),
        Document(key="a b", titles=(Text("Report", "en"),)),
    )
    rows = [row for item in things for row in record_rows("demo", item)]
    Journal(tmp_path / "journal").append(rows, run="demo.1", time=SEEN)
    async with QueryService(tmp_path, IRIS, Limits(seconds=240, wait=240), readers=1) as opened:
        await opened.wait_until_current()
        yield opened


def client_of(service: QueryService, comments: object) -> httpx.AsyncClient:
    app = create_app(service)
    if comments is not None:
        app.state.comments = comments
    client: httpx.AsyncClient = asking(app)
    return client


async def test_accepted_comments_are_shown_as_text_with_a_form(service: QueryService) -> None:
    posts: list[str] = []

    def read(post: str) -> list[tuple[datetime, str]]:
        posts.append(post)
        return [(SEEN, HOSTILE), (SEEN, "Second")]

    async with client_of(service, read) as client:
        page = await client.get("/page/post/demo/a%20b", headers=PAGE)
        other = await client.get("/page/document/demo/a%20b", headers=PAGE)

    assert posts == ["post/demo/a%20b"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "<script>alert" not in page.text
    assert page.text.index("alert(1)") < page.text.index("Second")
    assert (
        'action="/submit/comments"><input type="hidden" name="about" value="post/demo/a%20b">'
        in page.text
    )
    assert 'action="/submit/comments"' not in other.text


async def test_site_without_comments_shows_no_form(service: QueryService) -> None:
    async with client_of(service, None) as client:
        page = await client.get("/page/post/demo/a%20b", headers=PAGE)

    assert page.status_code == 200
    assert "/submit/comments" not in page.text
    assert 'id="comments"' not in page.text
