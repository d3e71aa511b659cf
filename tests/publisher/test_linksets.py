"""Signposts, by FAIR Signposting level 2: typed links in the headers of page and data, and all of
them in a set of links.
"""

from __future__ import annotations

import re

import httpx
from rows import each

HOST = "http://stocktake.test"
THING = "initiative/demo/a%2F1"
PAGE = f"{HOST}/page/{THING}"
DATA = {
    f"{HOST}/data/{THING}.{suffix}": media
    for suffix, media in (
        ("ttl", "text/turtle"),
        ("nt", "application/n-triples"),
        ("jsonld", "application/ld+json"),
        ("rdf", "application/rdf+xml"),
        ("json", "application/json"),
    )
}
_LINK = re.compile(r'<([^>]*)>((?:; [\w-]+="[^"]*")*)')
_ATTRIBUTE = re.compile(r'; ([\w-]+)="([^"]*)"')


def read(text: str) -> list[dict[str, str]]:
    """Read links as RFC 8288 writes them."""
    return [
        {"href": target, **dict(_ATTRIBUTE.findall(rest))} for target, rest in _LINK.findall(text)
    ]


async def test_the_set_has_every_link_of_the_page_and_the_links_back(
    client: httpx.AsyncClient,
) -> None:
    page = read(
        (await client.get(f"/page/{THING}", headers={"Accept": "text/html"})).headers["link"]
    )
    result = (await client.get(f"/linkset/{THING}.json")).json()["linkset"]

    first, *others = result
    known = {
        (rel, link["href"]) for rel, links in first.items() if rel != "anchor" for link in links
    }
    assert first["anchor"] == PAGE
    assert {
        (item["rel"], item["href"]) for item in page if item["rel"] not in ("linkset", "alternate")
    } == known
    assert {other["anchor"] for other in others if "describes" in other} == DATA.keys()
    assert [other["anchor"] for other in others if "collection" in other] == [
        "https://example.org/telemedicine"
    ]


async def test_both_forms_of_the_set_say_the_same(client: httpx.AsyncClient) -> None:
    text = await client.get(f"/linkset/{THING}.txt")
    output = (await client.get(f"/linkset/{THING}.json")).json()

    links = {(item["anchor"], item["rel"], item["href"]) for item in read(text.text)}

    assert text.headers["content-type"].startswith("application/linkset")
    assert links == {
        (context["anchor"], rel, link["href"])
        for context in output["linkset"]
        for rel in context
        if rel != "anchor"
        for link in context[rel]
    }


@each(
    "accept, media",
    [("*/*", "application/linkset+json"), ("application/linkset", "application/linkset"),
     ("application/linkset;q=0.4, application/linkset+json;q=0.5", "application/linkset+json"),
     ("application/json", "application/linkset+json"), ("text/turtle", "application/problem+json")],
)  # fmt: skip
async def test_accept_chooses_the_form_of_the_set(
    client: httpx.AsyncClient, accept: str, media: str
) -> None:
    answer = await client.get(f"/linkset/{THING}", headers={"Accept": accept})

    assert answer.headers["content-type"].partition(";")[0] == media
    assert "Accept" in answer.headers["vary"]
    assert answer.status_code == (406 if "problem" in media else 200)


async def test_an_organization_and_what_is_gone_have_their_sets(client: httpx.AsyncClient) -> None:
    there = await client.get("/linkset/organization/demo/clinics-united.json")
    gone = await client.get("/linkset/initiative/demo/lost.json")
    none = await client.get("/linkset/initiative/demo/none.json")

    assert [item["href"] for item in there.json()["linkset"][0]["type"]][
        1
    ] == "https://schema.org/Organization"
    assert (there.status_code, gone.status_code, none.status_code) == (200, 410, 404)


async def test_links_of_an_address_beyond_ascii_stand_in_ascii(client: httpx.AsyncClient) -> None:
    answer = await client.get("/linkset/initiative/demo/1.txt")

    assert answer.text.isascii()
