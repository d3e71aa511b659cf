"""A search by words has the same results as a page, as data and by SPARQL."""

from __future__ import annotations

import csv
import io
import json
import re
from typing import Any

import httpx
import pytest
from pyoxigraph import Store
from rows import each
from starlette.datastructures import QueryParams

from languages.translations import RequestLocale, use_language
from publisher.data.tables import NONE
from publisher.portal.facet_filters import filter_groups, parse_filters
from publisher.portal.facet_labels import FacetLabels
from vocab.iris import Iris
from web.templating import static_url

HTML = {"Accept": "text/html"}
# The page has no other scripts.
SCRIPTS = [
    f'<script src="{static_url(name)}" defer></script>' for name in ("suggest.js", "embed.js")
]
SPACE = "PREFIX text: <http://jena.apache.org/text#> "


def without_scripts(page: str) -> str:
    """Return a page without the first tag of each of its own scripts."""
    for script in SCRIPTS:
        page = page.replace(script, "", 1)
    return page


async def results_of(client: httpx.AsyncClient, **parameters: str) -> dict[str, Any]:
    answer = await client.get("/search", params={"format": "json", **parameters})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


async def test_a_search_finds_titles_and_descriptions_in_each_language(
    client: httpx.AsyncClient,
) -> None:
    english, french, arabic = [
        await results_of(client, q=words)
        for words in ("clinic satellite", "cliniques isolées", "عيادات")
    ]

    things = [
        [item["thing"].rpartition("/id/")[2] for item in page["results"]]
        for page in (english, french, arabic)
    ]
    assert things == [["initiative/demo/a%2F1"]] * 3
    assert english["results"][0]["passage"].startswith("Forty clinics")


async def test_an_organization_a_place_and_a_venue_are_found_by_their_names(
    client: httpx.AsyncClient,
) -> None:
    [body] = (await results_of(client, q='"clinics united"', kind="organization"))["results"]
    [place] = (await results_of(client, q="marsabit"))["results"]
    venues = (await results_of(client, q="geneva", kind="event"))["results"]
    html = await client.get("/search?q=marsabit", headers=HTML)

    assert (body["kind"], body["titles"][0]["text"]) == ("organization", "Clinics United")
    assert place["places"] == ["Marsabit"]
    assert ["Geneva"] in [item["places"] for item in venues]
    assert "<mark>Marsabit</mark>" in html.text


async def test_a_record_is_found_by_its_key_in_any_kind_of_search(
    client: httpx.AsyncClient,
) -> None:
    page = await results_of(client, q="a/1")
    answer = await sparql(client, 'SELECT ?thing { ?thing text:query "A/1" }')

    assert page["results"][0]["thing"].endswith("/id/initiative/demo/a%2F1")
    assert "initiative/demo/a%2F1" in answer.text


async def test_filters_narrow_a_search(client: httpx.AsyncClient) -> None:
    async def totals(q: str, name: str, *values: str) -> list[int]:
        return [(await results_of(client, q=q, **{name: item}))["total"] for item in values]

    every, *kinds = await totals("health", "kind", "", "event", "organization", "post")

    assert kinds == [1, 2, 0]
    assert every >= 3
    assert await totals("clinics", "language", "ar", "fr", "zh") == [1, 1, 0]
    assert await totals("network", "source", "demo", "other") == [120, 0]
    assert await totals("lost", "source", "demo") == [0]  # The record is gone.


async def test_pages_hold_each_result_once_and_lead_to_one_another(
    client: httpx.AsyncClient,
) -> None:
    things, address = [], "/search?q=network&format=json&per=50"
    while address:
        page = (await client.get(address)).json()
        things += [item["thing"] for item in page["results"]]
        address = page["next"]

    assert (page["total"], page["page"], page["pages"]) == (120, 3, 3)
    assert len(set(things)) == len(things) == 120
    assert "page=2" in page["previous"]


async def test_similar_words_are_reported(client: httpx.AsyncClient) -> None:
    page = await results_of(client, q="telemidicine")
    response = await client.get("/search?q=telemidicine", headers=HTML)

    assert (page["total"], page["similar"]) == (1, True)
    assert "No exact matches" in response.text


async def test_harvested_text_and_what_was_typed_are_escaped(client: httpx.AsyncClient) -> None:
    harvested = await client.get("/search?q=alert", headers=HTML)
    typed = await client.get(
        "/search", params={"q": '"><script>alert(1)</script>', "source": '"><b>'}, headers=HTML
    )

    assert "&lt;script&gt;" in harvested.text
    assert "<b>" not in typed.text
    for answer in (harvested, typed):
        assert answer.status_code == 200
        assert "<script" not in without_scripts(answer.text)


@each(
    "accept, kind",
    [("application/json", "application/json"), ("text/csv", "text/csv"), ("text/turtle", "text/turtle"),
     ("application/n-triples", "application/n-triples"), ("application/ld+json", "application/ld+json"),
     ("application/rdf+xml", "application/rdf+xml"), ("text/html,application/xhtml+xml,*/*;q=0.8", "text/html")],
)  # fmt: skip
async def test_findings_come_in_the_format_that_is_asked_for(
    client: httpx.AsyncClient, accept: str, kind: str
) -> None:
    answer = await client.get("/search?q=telemedicine", headers={"Accept": accept})

    assert answer.headers["content-type"].partition(";")[0] == kind
    assert "Telemedicine for remote clinics" in re.sub("</?mark>", "", answer.text)
    assert (await client.get("/search", headers={"Accept": "image/png"})).status_code == 406


async def test_csv_has_a_row_for_each_result(client: httpx.AsyncClient) -> None:
    answer = await client.get("/search?q=network&format=csv&per=7")

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 7
    assert rows[0]["kind"] == "initiative"
    assert rows[0]["title"].startswith("Community network")


HOSTILE = [
    '"' * 1000, "(" * 1000, "-" * 1000, "* " * 500, "a* " * 300, ".*.*.*.*.*.*[a-z]{1,9}+?|^$", "OR " * 300,
    "AND NOT OR \\ \x00 \ud7ff \u202e ~ ^9 title:x {x TO y} [a TO b] /re.*/", " ".join(f"abcdefgh{number}" for number in range(80)),
    "水" * 1000, "a" * 1000,
]  # fmt: skip


@each("words", HOSTILE)
async def test_no_search_is_an_error_of_ours(client: httpx.AsyncClient, words: str) -> None:
    answers = [
        await client.get("/search", params={"q": words}, headers=headers)
        for headers in (HTML, {"Accept": "application/json"})
    ]

    assert {answer.status_code for answer in answers} == {200}


async def sparql(client: httpx.AsyncClient, query: str) -> httpx.Response:
    return await client.post("/sparql", data={"query": SPACE + query, "format": "json"})


@each(
    "words",
    ["network", "health", "clinics", "telemidicine", "عيادات", "report -digital", '"good practice"', "minist*", "zzz", "santé", "肯尼亚",
     "africa"],
)  # fmt: skip
async def test_sparql_and_the_page_find_the_same(client: httpx.AsyncClient, words: str) -> None:
    page = await results_of(client, q=words, per="1000")

    answer = await sparql(
        client,
        f"SELECT ?thing ?score {{ (?thing ?score) text:query {json.dumps(words)} }} ORDER BY DESC(?score)",
    )

    rows = answer.json()["results"]["bindings"]
    assert {row["thing"]["value"] for row in rows} == {item["thing"] for item in page["results"]}
    assert [float(row["score"]["value"]) for row in rows] == pytest.approx(
        [item["score"] for item in page["results"]], rel=1e-3
    )
    assert ("similar" in answer.headers.get("stocktake-text", "")) == page["similar"]


async def test_a_search_joins_with_what_is_said_of_things(client: httpx.AsyncClient) -> None:
    answer = await sparql(
        client,
        'SELECT ?title { ?thing text:query "satellite" ; <http://purl.org/dc/terms/title> ?title FILTER(lang(?title) = "fr") }',
    )

    assert [row["title"]["value"] for row in answer.json()["results"]["bindings"]] == [
        "Télémédecine pour les cliniques isolées"
    ]


async def test_a_search_that_is_written_wrongly_is_reported_with_its_place(
    client: httpx.AsyncClient,
) -> None:
    # The fault is behind the search, and is reported at its place in the query as it was sent.
    later = 'SELECT * {\n ?thing text:query "network" FILTER(1 + ) }'
    with pytest.raises(SyntaxError) as written:
        Store().query(SPACE + later)

    answers = [
        await sparql(client, query)
        for query in (
            "SELECT * {\n ?thing text:query ?words }", 'SELECT * { ?thing a ?c OPTIONAL {\n ?thing text:query "x" } }', later,
        )
    ]  # fmt: skip

    assert [answer.status_code for answer in answers] == [400] * 3
    places = [(answer.json()["line"], answer.json()["column"]) for answer in answers]
    assert places[:2] == [(2, 20), (2, 9)]
    assert str(written.value).startswith("error at {}:{}:".format(*places[2]))
    remedy = 'write ?thing text:query "words" there and join the rest by ?thing'
    assert remedy in answers[1].text.replace('\\"', '"')


def test_a_value_of_a_facet_leads_to_the_first_page_of_the_search_with_it_or_without() -> None:
    locale = RequestLocale(query="q=clinic+%26+school&goal=4&page=3&lang=fr&sort=")
    counts = {"goal": {"4": NONE, "5": NONE}, "country": {"a & b": NONE}}
    with use_language("en", locale):
        filters = parse_filters(QueryParams("goal=4"))
        groups = filter_groups(filters, counts, FacetLabels(Iris()), has_parts=False)

    hrefs = {
        (group["facet"], item["code"]): item["href"] for group in groups for item in group["first"]
    }
    assert hrefs == {
        ("goal", "4"): "/search?q=clinic+%26+school",
        ("goal", "5"): "/search?q=clinic+%26+school&goal=4&goal=5",
        ("country", "a & b"): "/search?q=clinic+%26+school&goal=4&country=a+%26+b",
    }
