"""The Accept header or the suffix of an address chooses the format, and unchanged data answers 304
(RFC 9110).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
THING = "/id/initiative/demo/1"
DATA = "/data/initiative/demo/1"
MEDIA = {
    "ttl": "text/turtle; charset=utf-8", "nt": "application/n-triples", "jsonld": "application/ld+json", "rdf": "application/rdf+xml",
    "json": "application/json", "html": "text/html; charset=utf-8",
}  # fmt: skip
ACCEPTED = [
    (None, "ttl"), ("*/*", "ttl"), (BROWSER, "html"), ("text/html", "html"), ("application/xhtml+xml", "html"), ("text/turtle", "ttl"),
    ("TEXT/TURTLE", "ttl"), ("text/*", "ttl"), ("application/n-triples", "nt"), ("text/plain", "nt"), ("application/ld+json", "jsonld"),
    ('application/ld+json;profile="http://www.w3.org/ns/json-ld#compacted"', "jsonld"), ("application/rdf+xml", "rdf"),
    ("application/xml", "rdf"), ("application/json", "json"), ("application/json, application/ld+json;q=0.9", "json"),
    ("text/turtle;q=0.5, application/rdf+xml;q=0.7", "rdf"), ("text/turtle;q=0.5, text/html;q=0.4", "ttl"),
    ("text/html;q=0.5, text/turtle;q=0.5", "html"), ("text/turtle;q=0, */*;q=0.1", "nt"), ("image/png, */*;q=0.1", "ttl"),
    ("text/html;q=0, text/*", "ttl"),
]  # fmt: skip
DOCUMENTS = [
    "/record/demo/1", "/source/demo", "/run/run-2", "/matrix/C1-1", "/scheme/action-line/C4",
]  # fmt: skip


@pytest.fixture
def fetch(client: httpx.AsyncClient) -> Callable[..., Any]:
    """Return a function that requests a path with an Accept header, or with none."""

    async def ask(path: str, accept: str | None = None, **headers: str) -> httpx.Response:
        request = client.build_request("GET", path, headers=headers)
        request.headers.pop("accept", None)
        if accept is not None:
            request.headers["accept"] = accept
        return await client.send(request)

    return ask


async def test_accept_chooses_where_a_thing_leads_to_and_the_form_of_a_document(
    fetch: Callable[..., Any],
) -> None:
    for accept, suffix in ACCEPTED:
        sent, document = await fetch(THING, accept), await fetch("/source/demo", accept)

        place = "/page/initiative/demo/1" if suffix == "html" else f"{DATA}.{suffix}"
        assert (sent.status_code, sent.headers.get("location")) == (303, place), accept
        assert sent.headers["vary"].partition(",")[0] == "Accept"
        assert document.headers["content-type"] == MEDIA[suffix], accept
        assert document.headers["content-location"] == f"/source/demo.{suffix}", accept


async def test_a_suffix_chooses_whatever_accept_says(fetch: Callable[..., Any]) -> None:
    for suffix, media in MEDIA.items():
        place = "/page/initiative/demo/1" if suffix == "html" else f"{DATA}.{suffix}"
        for path in (THING, *DOCUMENTS):
            answer = await fetch(f"{path}.{suffix}", "image/png")
            if path == THING:
                assert answer.headers["location"] == place
            else:
                assert answer.headers["content-type"] == media, path
            assert "Accept" not in answer.headers.get("vary", "").split(", ")
    # A suffix also chooses the format at addresses with a single slash.
    results = [await fetch(path) for path in ("/ns.ttl", "/matrix.json", "/ns.png")]
    assert [item.status_code for item in results] == [200, 200, 404]


async def test_an_unavailable_format_is_406_with_the_available_ones(
    fetch: Callable[..., Any],
) -> None:
    for path in (
        THING, DATA, "/page/initiative/demo/1", "/source/demo", "/memento/20260302080000/record/demo/1",
    ):  # fmt: skip
        answer = await fetch(path, "image/png")
        assert answer.status_code == 406, path
        assert answer.headers["content-type"] == "application/problem+json"
        assert "Accept" in answer.headers["vary"]
        assert answer.headers["link"].count('rel="alternate"') == 6
        assert ".jsonld (application/ld+json)" in answer.json()["detail"]
    for path in ("/compare.alerts.html", "/compare.xls"):
        assert (await fetch(path, "*/*")).status_code == 406, path


async def test_a_page_is_given_where_data_is_asked_for_at_its_address(
    fetch: Callable[..., Any],
) -> None:
    page = await fetch("/page/initiative/demo/1", "text/turtle")
    data = await fetch(DATA, "text/html")

    assert (page.status_code, page.headers["location"]) == (303, f"{DATA}.ttl")
    assert (data.status_code, data.headers["location"]) == (303, "/page/initiative/demo/1")


async def test_an_unchanged_format_is_304(fetch: Callable[..., Any]) -> None:
    tags = set[str]()
    for suffix in MEDIA:
        path = f"/record/demo/1.{suffix}"
        etag = (await fetch(path)).headers["etag"]
        again = await fetch(path, **{"If-None-Match": f'"other", W/{etag}'})
        other = await fetch(path, **{"If-None-Match": '"other"'})

        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag), path
        assert other.status_code == 200, path
        tags.add(etag)

    assert len(tags) == len(MEDIA)


async def test_data_was_modified_when_the_journal_last_touched_it(
    fetch: Callable[..., Any],
) -> None:
    modified = (await fetch(f"{DATA}.ttl")).headers["last-modified"]

    assert modified == "Mon, 02 Mar 2026 08:00:00 GMT"
    for conditions, status in (
        ({"If-Modified-Since": modified}, 304), ({"If-Modified-Since": "Sun, 01 Mar 2026 08:00:00 GMT"}, 200),
        ({"If-Modified-Since": modified, "If-None-Match": '"other"'}, 200), ({"If-Modified-Since": "yesterday"}, 200),
    ):  # fmt: skip
        assert (await fetch(f"{DATA}.ttl", **conditions)).status_code == status, conditions


async def test_head_is_get_without_a_body(client: httpx.AsyncClient) -> None:
    names = ("content-type", "etag", "last-modified", "location", "link", "vary", "content-length")
    for path, status in (
        (THING, 303), (f"{DATA}.ttl", 200), ("/page/initiative/demo/1", 200), ("/source/demo", 200), ("/record/demo/lost", 410),
    ):  # fmt: skip
        head, whole = await client.head(path), await client.get(path)
        assert (head.status_code, head.content) == (status, b""), path
        for name in names:
            assert head.headers.get(name) == whole.headers.get(name), (path, name)


async def test_what_is_gone_is_410_in_every_form_also_to_who_holds_it(
    fetch: Callable[..., Any],
) -> None:
    for suffix in MEDIA.keys() - {"html"}:
        path = f"/data/initiative/demo/lost.{suffix}"
        first = await fetch(path)
        again = await fetch(path, **{"If-None-Match": first.headers["etag"]})

        assert (first.status_code, again.status_code) == (410, 410), path
        assert "Lost project" in first.text
        assert first.headers["content-type"] == MEDIA[suffix]
