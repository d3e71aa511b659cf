"""A page at a time, sorted, each thing once, whatever comes or goes between two pages."""

from __future__ import annotations

import httpx
import pytest

BASE = "https://w3id.org/wsis-stocktaking/"
HTML = {"Accept": "text/html"}
LINE = f"{BASE}scheme/action-line/C4"
MINISTRY = f"{BASE}id/organization/demo/ministry-of-health"


async def walked(client: httpx.AsyncClient, path: str, rel: str = "next") -> list[list[str]]:
    """Follow a list to its end; return the things of each page."""
    pages = []
    address: str | None = path
    while address:
        body = (await client.get(address)).json()
        pages.append([item["id"] for item in body["items"]])
        address = body.get(rel)
    return pages


@pytest.mark.parametrize("sort", ["address", "title", "newest"])
async def test_following_a_list_meets_each_thing_once(client: httpx.AsyncClient, sort: str) -> None:
    pages = await walked(client, f"/things.json?source=demo&sort={sort}")

    things = [thing for page in pages for thing in page]
    assert [len(page) for page in pages] == [50, 50, 24]
    assert len(set(things)) == 124


async def test_a_list_is_walked_back_as_it_was_walked(client: httpx.AsyncClient) -> None:
    path = "/things.json?source=demo&sort=title"
    first = (await client.get(path)).json()
    second = (await client.get(first["next"])).json()
    third = (await client.get(second["next"])).json()

    back = (await client.get(third["prev"])).json()
    start = (await client.get(back["prev"])).json()

    assert back["items"] == second["items"]
    assert start["items"] == first["items"]
    assert "prev" not in first


async def test_titles_are_sorted_and_english_ones_come_first(client: httpx.AsyncClient) -> None:
    body = (await client.get("/things.json?source=demo&sort=title")).json()

    titles = [item["title"].lower() for item in body["items"]]

    assert titles == sorted(titles)
    assert titles[0].startswith("<script>")


async def test_what_bears_a_concept_is_listed_with_how(client: httpx.AsyncClient) -> None:
    body = (await client.get("/things.json", params={"concept": LINE})).json()

    ways = {
        item["id"].rpartition("/")[2]: item["property"].rpartition("#")[2] for item in body["items"]
    }

    assert len(ways) == 21
    assert (ways["a%2F1"], ways["105"]) == ("suggestedActionLine", "actionLine")


async def test_what_an_organization_has_a_part_in_is_listed(client: httpx.AsyncClient) -> None:
    pages = await walked(client, f"/things.json?organization={MINISTRY}")

    assert sum(len(page) for page in pages) == 121


async def test_places_goals_and_countries_have_pages_and_data_of_their_things(
    client: httpx.AsyncClient,
) -> None:
    address = "/concept?iri=http://metadata.un.org/sdg/codes/geoArea/404"
    page, data = await client.get(address, headers=HTML), await client.get(f"{address}&format=json")

    assert data.json()["name"]["en"] == "Kenya"
    assert 'rel="next"' in page.headers["link"]
    assert page.text.count('<a href="/page/initiative/') == 50
    again = await client.get(
        page.text.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&"),
        headers=HTML,
    )
    assert again.status_code == 200
    assert 'rel="prev"' in again.text


async def test_organizations_are_filtered_by_a_part_of_their_names(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/organizations?q=hEALTH&sort=title", headers=HTML)).text
    items = (await client.get("/organizations.json?q=hEALTH&sort=title")).json()["items"]

    assert [item["title"] for item in items] == ["Fund for Health", "Ministry of Health"]
    assert "Clinics United" not in page
    assert 'name="q" type="search" dir="auto" maxlength="200" value="hEALTH"' in page
