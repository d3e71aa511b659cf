"""What each Accept and each suffix answers, with validators; the table of RFC 9110 for our
resources.
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
    """Ask for a path with an Accept header, or with none."""

    async def ask(path: str, accept: str | None = None, **headers: str) -> httpx.Response:
        request = client.build_request("GET", path, headers=headers)
        request.headers.pop("accept", None)
        if accept is not None:
            request.headers["accept"] = accept
        return await client.send(request)

    return ask


async def test_accept_chooses_where_a_thing_leads_to(fetch: Callable[..., Any]) -> None:
    results = {accept: await fetch(THING, accept) for accept, _ in ACCEPTED}

    wanted = {
        accept: "/page/initiative/demo/1" if suffix == "html" else f"{DATA}.{suffix}"
        for accept, suffix in ACCEPTED
    }
    assert {accept: answer.headers.get("location") for accept, answer in results.items()} == wanted
    assert {answer.status_code for answer in results.values()} == {303}
    assert {answer.headers["vary"].partition(",")[0] for answer in results.values()} == {"Accept"}


async def test_accept_chooses_the_form_of_a_document(fetch: Callable[..., Any]) -> None:
    results = {accept: await fetch("/source/demo", accept) for accept, _ in ACCEPTED}

    assert {accept: answer.headers["content-type"] for accept, answer in results.items()} == {
        item: MEDIA[end] for item, end in ACCEPTED
    }
    assert {accept: answer.headers["content-location"] for accept, answer in results.items()} == {
        accept: f"/source/demo.{suffix}" for accept, suffix in ACCEPTED
    }


async def test_a_suffix_chooses_whatever_accept_says(fetch: Callable[..., Any]) -> None:
    results = {
        f"{path}.{suffix}": await fetch(f"{path}.{suffix}", "image/png")
        for path in DOCUMENTS
        for suffix in MEDIA
    }

    assert {path: answer.headers["content-type"] for path, answer in results.items()} == {
        path: MEDIA[path.rpartition(".")[2]] for path in results
    }
    assert not any(
        "Accept" in answer.headers.get("vary", "").split(", ") for answer in results.values()
    )


async def test_ontology_and_matrix_have_forms_by_suffix_though_their_names_have_no_slash(
    fetch: Callable[..., Any],
) -> None:
    results = [await fetch(path) for path in ("/ns.ttl", "/matrix.json", "/ns.png")]

    assert [item.status_code for item in results] == [200, 200, 404]


async def test_a_suffix_of_a_things_address_leads_to_that_form(fetch: Callable[..., Any]) -> None:
    results = {suffix: await fetch(f"{THING}.{suffix}", "image/png") for suffix in MEDIA}

    assert {suffix: answer.headers["location"] for suffix, answer in results.items()} == {
        suffix: "/page/initiative/demo/1" if suffix == "html" else f"{DATA}.{suffix}"
        for suffix in MEDIA
    }
    assert not any(
        "Accept" in answer.headers.get("vary", "").split(", ") for answer in results.values()
    )


async def test_an_unavailable_format_is_406_with_the_available_ones(
    fetch: Callable[..., Any],
) -> None:
    paths = [
        THING, DATA, "/page/initiative/demo/1", "/source/demo", "/memento/20260302080000/record/demo/1",
    ]  # fmt: skip

    results = [await fetch(path, "image/png") for path in paths]

    assert {(item.status_code, item.headers["content-type"]) for item in results} == {
        (406, "application/problem+json")
    }
    assert all("Accept" in item.headers["vary"] for item in results)
    assert {item.headers["link"].count('rel="alternate"') for item in results} == {6}
    assert all(".jsonld (application/ld+json)" in item.json()["detail"] for item in results)


async def test_a_page_is_given_where_data_is_asked_for_at_its_address(
    fetch: Callable[..., Any],
) -> None:
    page = await fetch("/page/initiative/demo/1", "text/turtle")
    data = await fetch(DATA, "text/html")

    assert (page.status_code, page.headers["location"]) == (303, f"{DATA}.ttl")
    assert (data.status_code, data.headers["location"]) == (303, "/page/initiative/demo/1")


async def test_an_unchanged_format_is_304(fetch: Callable[..., Any]) -> None:
    first = [await fetch(f"/record/demo/1.{suffix}") for suffix in MEDIA]

    again = [
        await fetch(item.url.path, **{"If-None-Match": f'"other", W/{item.headers["etag"]}'})
        for item in first
    ]
    other = [await fetch(item.url.path, **{"If-None-Match": '"other"'}) for item in first]

    assert [(item.status_code, item.content, item.headers["etag"]) for item in again] == [
        (304, b"", item.headers["etag"]) for item in first
    ]
    assert {item.status_code for item in other} == {200}


async def test_each_form_has_an_etag_of_its_own(fetch: Callable[..., Any]) -> None:
    tags = {(await fetch(f"/record/demo/1.{suffix}")).headers["etag"] for suffix in MEDIA}

    assert len(tags) == len(MEDIA)


async def test_data_was_modified_when_the_journal_last_touched_it(
    fetch: Callable[..., Any],
) -> None:
    first = await fetch(f"{DATA}.ttl")

    conditions = {"If-Modified-Since": first.headers["last-modified"]}
    again = await fetch(f"{DATA}.ttl", **conditions)
    older = await fetch(f"{DATA}.ttl", **{"If-Modified-Since": "Sun, 01 Mar 2026 08:00:00 GMT"})
    both = await fetch(f"{DATA}.ttl", **conditions, **{"If-None-Match": '"other"'})
    none = await fetch(f"{DATA}.ttl", **{"If-Modified-Since": "yesterday"})

    assert first.headers["last-modified"] == "Mon, 02 Mar 2026 08:00:00 GMT"
    assert (again.status_code, older.status_code, both.status_code, none.status_code) == (
        304,
        200,
        200,
        200,
    )


async def test_head_is_get_without_a_body(client: httpx.AsyncClient) -> None:
    paths = [THING, f"{DATA}.ttl", "/page/initiative/demo/1", "/source/demo", "/record/demo/lost"]

    output = [await client.head(path) for path in paths]
    whole = [await client.get(path) for path in paths]

    names = ("content-type", "etag", "last-modified", "location", "link", "vary", "content-length")
    assert [item.status_code for item in output] == [303, 200, 200, 200, 410]
    assert {item.content for item in output} == {b""}
    assert [[item.headers.get(name) for name in names] for item in output] == [
        [item.headers.get(name) for name in names] for item in whole
    ]


async def test_what_is_gone_is_410_in_every_form(fetch: Callable[..., Any]) -> None:
    results = {
        suffix: await fetch(f"/data/initiative/demo/lost.{suffix}")
        for suffix in MEDIA
        if suffix != "html"
    }

    assert {item.status_code for item in results.values()} == {410}
    assert all("Lost project" in item.text for item in results.values())
    assert {suffix: item.headers["content-type"] for suffix, item in results.items()} == {
        suffix: MEDIA[suffix] for suffix in results
    }


async def test_what_is_gone_is_410_also_to_who_holds_it(fetch: Callable[..., Any]) -> None:
    first = await fetch("/data/initiative/demo/lost.ttl")

    again = await fetch(
        "/data/initiative/demo/lost.ttl", **{"If-None-Match": first.headers["etag"]}
    )

    assert again.status_code == 410
