"""Registries, records, runs, schemes and the vocabulary at their own addresses."""

from __future__ import annotations

import re

import httpx
from pyoxigraph import RdfFormat, parse
from rows import each

BASE = "https://w3id.org/wsis-stocktaking/"
PATHS = [
    "/record/demo/a%2F1", "/source/demo", "/run/run-2", "/ns", "/matrix", "/matrix/C1-1", "/scheme/action-line", "/scheme/action-line/C4",
]  # fmt: skip


@each("path", PATHS)
async def test_a_document_describes_itself_in_rdf(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path, headers={"Accept": "text/turtle"})

    subjects = {str(quad.subject).strip("<>") for quad in parse(answer.content, RdfFormat.TURTLE)}

    assert answer.headers["content-type"].startswith("text/turtle")
    assert BASE + path[1:] in subjects


@each(
    "path",
    ["/record/demo/none", "/record/demo", "/source/none", "/run/none", "/scheme/none", "/scheme/a/b/c", "/concept"],
)  # fmt: skip
async def test_what_is_not_known_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)

    assert answer.status_code == 404


async def test_a_format_may_be_named_by_its_suffix(client: httpx.AsyncClient) -> None:
    answer = await client.get("/source/demo?format=jsonld", headers={"Accept": "text/html"})

    assert answer.headers["content-type"] == "application/ld+json"


async def test_addresses_and_times_of_harvests_run_from_left_to_right_on_an_arabic_page(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/source/demo?lang=ar", headers={"Accept": "text/html"})).text

    assert "03:15 UTC" in page
    assert re.search(r'href="https://creativecommons\.org/[^"]+"><bdi>CC', page)


async def test_all_that_a_registry_has_is_reached_by_going_on(client: httpx.AsyncClient) -> None:
    path: str | None = "/source/demo"
    seen: list[str] = []
    while path:
        page = (await client.get(path, headers={"Accept": "text/html"})).text
        named = [part.partition('"')[0] for part in page.split('<a href="/page/')[1:]]
        # those of its records are named beside the list
        seen += [item for item in named if not item.startswith("organization/")]
        path = (
            page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
            if 'rel="next"' in page
            else None
        )

    # and one that is gone, which is listed by itself
    assert (len(seen), len(set(seen))) == (124, 124)


async def test_an_iri_with_what_no_iri_holds_finds_nothing(client: httpx.AsyncClient) -> None:
    answer = await client.get("/concept", params={"iri": 'x:y> ?p ?o } # "'})

    assert answer.status_code == 404
