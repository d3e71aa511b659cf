"""The page `/explain`: what the command finds, as a page, JSON and Turtle."""

from __future__ import annotations

import os
import sys
from typing import Any

import httpx
import orjson
import pytest
from app_client import asking
from event_loops import session_loop

from publisher.app import SiteOptions, create_app
from publisher.portal.source_preview import PreviewRunner
from publisher.store.query_service import QueryService

NO_FIELD: dict[str, Any] = {
    "fields": [], "value": "", "place": None, "classification": None, "is_constant": False,
}  # fmt: skip
FOUND = {
    "record": "https://x.example/record/demo/a%2F1", "source": "demo", "key": "a/1", "run": "demo.1", "started": "2026-03-01T12:00:00Z",
    "mapping": "fields", "rules": "abc", "note": "", "history": [{"run": "demo.1", "started": "2026-03-01T12:00:00Z", "outcome": "new"}],
    "request": {"url": "https://r.example/?a=1&b=2", "status": 200, "media_type": "", "file": "demo/demo.1.warc.gz", "offset": 12345,
                "length": 9, "size": 10, "digest": "ff00"},
    "statements": [
        {"statement": "<a> <b> <script>", "origin": "source", "fields": ["na<me"], "value": "",
         "place": {"offset": 3, "length": 2, "before": "<i>", "value": "A&B", "after": "</i>"},
         "classification": {"basis": "crosswalked", "word": "He<lth", "crosswalk": "https://x.example/crosswalk/1", "confidence": ""},
         "is_constant": False},
        {"statement": "<a> <c> 1", "origin": "ours", **NO_FIELD},
        {"statement": "<a> <d> 1", "origin": "validation", **NO_FIELD},
        {"statement": "<a> <e> 1", "origin": "source", **NO_FIELD, "is_constant": True},
    ],
}  # fmt: skip
ECHO = "import sys; sys.stdout.write(sys.argv[1])"
ARGUMENTS = "import sys; sys.stdout.write(repr(sys.argv[1:]))"


def visitor(service: QueryService, code: str, *arguments: str) -> httpx.AsyncClient:
    explainer = PreviewRunner(
        (),
        {},
        check_command=(sys.executable, "-c", code, *arguments),
        check_environment=dict(os.environ),
        quota=3,
    )
    app = create_app(
        service, site=SiteOptions(preview_runner=PreviewRunner((), {}, explainer=explainer))
    )
    client: httpx.AsyncClient = asking(app)
    return client


@session_loop
async def test_value_is_highlighted_in_its_bytes(service: QueryService) -> None:
    async with visitor(service, ECHO, orjson.dumps(FOUND).decode()) as client:
        page = await client.get(
            "/explain?iri=/record/demo/a", headers={"Accept": "text/html", "Accept-Language": "es"}
        )

    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    main = page.text.split("<main")[1]
    classification = (
        "resultado de la validación",
        "<q>He&lt;lth</q>",
        'href="https://x.example/crosswalk/1"',
    )
    statement = (
        "&lt;i&gt;<mark>A&amp;B</mark>&lt;/i&gt;", "na&lt;me", "de la fuente", "ninguna fuente", "cada ficha lo tiene",
    )  # fmt: skip
    for text in (*statement, *classification, "ff00", "/record/demo/a%2F1"):
        assert text in main
    assert "<script>" not in main


@session_loop
async def test_nothing_found_for_a_property_says_that_the_record_may_lack_it(
    service: QueryService,
) -> None:
    async with visitor(service, "") as client:
        pages = [
            await client.get(f"/explain?iri=/record/demo/a{rest}", headers={"Accept": "text/html"})
            for rest in ("", "&property=no")
        ]

    assert [page.status_code for page in pages] == [404, 404]
    assert ["has no such property" in page.text for page in pages] == [False, True]


@session_loop
@pytest.mark.parametrize(
    ("accept", "name"), [("application/json", "json"), ("text/turtle", "turtle")]
)
async def test_data_are_negotiated_and_an_iri_is_never_an_option(
    service: QueryService, accept: str, name: str
) -> None:
    async with visitor(service, ARGUMENTS) as client:
        answer = await client.get(
            "/explain", params={"iri": "--help", "property": "title"}, headers={"Accept": accept}
        )

    assert answer.headers["content-type"].startswith(accept)
    assert answer.text == repr([f"--format={name}", "--", "--help", "title"])


@session_loop
async def test_unknown_record_is_404_and_too_many_requests_429(service: QueryService) -> None:
    async with visitor(service, "pass") as client:
        page = await client.get("/explain?iri=/record/demo/b", headers={"Accept": "text/html"})
        data = [
            (
                await client.get(
                    "/explain?iri=/record/demo/b", headers={"Accept": "application/json"}
                )
            ).status_code
            for _ in range(3)
        ]

    assert page.status_code == 404
    assert "nothing to explain" in page.text
    assert data == [404, 404, 429]
