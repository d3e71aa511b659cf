"""FAIR Signposting, level 2: typed links in headers of pages and data, and sets of all links."""

from __future__ import annotations

import re

import httpx
from rows import each

HOST = "http://stocktake.test"
THING = "initiative/demo/a%2F1"
PAGE = f"{HOST}/page/{THING}"
DATA = {f"{HOST}/data/{THING}.{suffix}" for suffix in ("ttl", "nt", "jsonld", "rdf", "json")}
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
    page = await client.get(f"/page/{THING}", headers={"Accept": "text/html"})
    first, *others = (await client.get(f"/linkset/{THING}.json")).json()["linkset"]

    known = {
        (rel, link["href"]) for rel, links in first.items() if rel != "anchor" for link in links
    }
    links = {(item["rel"], item["href"]) for item in read(page.headers["link"])}
    assert first["anchor"] == PAGE
    assert {(rel, href) for rel, href in links if rel not in ("linkset", "alternate")} == known
    assert {other["anchor"] for other in others if "describes" in other} == DATA
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
    there, gone, none, ascii_only = [
        await client.get(f"/linkset/{path}")
        for path in (
            "organization/demo/clinics-united.json", "initiative/demo/lost.json", "initiative/demo/none.json", "initiative/demo/1.txt",
        )
    ]  # fmt: skip

    types = [item["href"] for item in there.json()["linkset"][0]["type"]]
    assert types[1] == "https://schema.org/Organization"
    assert (there.status_code, gone.status_code, none.status_code) == (200, 410, 404)
    assert ascii_only.text.isascii()
