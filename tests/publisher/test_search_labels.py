"""A search finds things by the labels of what they are linked to, in six languages, and ranks them
below those that have the words in their texts.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any

import httpx
import pytest
from column_store import write_columns
from event_loops import session_loop
from rows import each
from search_index import search_index

from languages.translations import LANGUAGES
from publisher.store.columns.database import open_statements
from publisher.store.search.index import SearchEntry, read_topics, write_topics
from publisher.store.search.query import SYNONYMS, SearchRequest
from publisher.store.search.searcher import Searcher, suggest_spelling
from vocab.describe import quads
from vocab.iris import Iris
from vocab.schemes import concepts, statements

IRIS = Iris()
HTML = {"Accept": "text/html"}
RICH = "initiative/demo/a%2F1"
HEALTH = IRIS.concept("action-line", "C7-ehea")
OCEAN = "http://metadata.un.org/sdg/14.a"
KENYA = "http://metadata.un.org/sdg/codes/geoArea/404"


async def results_of(client: httpx.AsyncClient, **parameters: str) -> dict[str, Any]:
    answer = await client.get("/search", params={"format": "json", "per": "1000", **parameters})
    assert answer.status_code == 200, answer.text
    result: dict[str, Any] = answer.json()
    return result


@each(
    "words",
    ["health", "santé", "salud", "здоровье", "صحة", "健康", "e-health", "Télésanté", "电子卫生", "SDG 3", "肯尼亚", "كينيا",
     "Кения", "Afrique", "projet", "Gobierno", '"universal health coverage"', "telemedicine Kenya"],
)  # fmt: skip
async def test_a_thing_is_found_by_the_labels_of_what_it_is_linked_to(
    client: httpx.AsyncClient, words: str
) -> None:
    page = await results_of(client, q=words, kind="initiative")

    assert not page["similar"]
    assert RICH in [item["thing"].rpartition("/id/")[2] for item in page["results"]]


async def test_things_are_found_by_names_of_organizations_and_not_by_links_that_are_not_declared(
    client: httpx.AsyncClient,
) -> None:
    page = await results_of(client, q="clinics united", kind="initiative")

    assert [
        (item["thing"].rpartition("/id/")[2], item["organizations"]) for item in page["results"]
    ] == [(RICH, ["Clinics United"])]

    # The word is in a label of C2, to which the record is linked by a crosswalk alone.
    page = await results_of(client, q="broadband")

    assert page["total"] > 0
    assert RICH not in [item["thing"].rpartition("/id/")[2] for item in page["results"]]


async def test_topics_come_with_their_numbers_and_lead_to_their_pages(
    client: httpx.AsyncClient,
) -> None:
    page = await results_of(client, q="health")
    html = await client.get("/search?q=health", headers=HTML)

    topics = [
        (item["name"], item["label"], item["initiatives"], item["page"]) for item in page["topics"]
    ]
    assert topics[0] == ("C7-ehea E-health", "Action line", 1, "/scheme/action-line/C7-ehea")
    assert (
        "3. Good health and well-being",
        "SDG",
        8,
        "/concept?iri=http://metadata.un.org/sdg/3",
    ) in topics
    assert (
        "Ministry of Health",
        "Organization",
        121,
        "/page/organization/demo/ministry-of-health",
    ) in topics
    for *_, path in topics:
        assert f'<a class="card" href="{path}">' in html.text
        assert (await client.get(path, headers=HTML)).status_code == 200


async def test_topics_are_named_in_the_language_of_the_reader_and_alike_in_data(
    client: httpx.AsyncClient,
) -> None:
    html = await client.get("/search?q=santé", headers={**HTML, "Accept-Language": "fr"})
    data = [
        await client.get("/search?q=santé&format=json", headers={"Accept-Language": language})
        for language in ("fr", "ar")
    ]

    assert "Télésanté" in html.text
    assert data[0].content == data[1].content


async def test_what_a_result_is_linked_to_is_said(client: httpx.AsyncClient) -> None:
    html = await client.get("/search", params={"q": "santé"}, headers=HTML)

    linked = html.text.partition("Linked to:")[2].partition("</p>")[0]
    assert '<a href="/scheme/action-line/C7-ehea"><bdi>C7-ehea E-health</bdi></a>' in linked


async def test_a_slip_leads_to_the_word_that_was_meant(client: httpx.AsyncClient) -> None:
    page = await results_of(client, q="netwrok -fire")
    html = await client.get("/search", params={"q": "netwrok -fire", "goal": "4"}, headers=HTML)

    assert (page["similar"], page["suggestion"]) == (True, "network -fire")
    assert (
        '<a rel="nofollow" href="/search?goal=4&amp;q=network+-fire"><bdi>network -fire</bdi></a>'
        in html.text
    )


@each("words", ["network", "zzzzzz", "清华", '"<script>alert(1)</script>"', "-helth", ""])
async def test_nothing_is_meant_where_words_are_found_or_like_none(
    client: httpx.AsyncClient, words: str
) -> None:
    assert (await results_of(client, q=words))["suggestion"] is None


async def test_a_field_of_sparql_leaves_labels_out(client: httpx.AsyncClient) -> None:
    query = "PREFIX text: <http://jena.apache.org/text#> PREFIX dct: <http://purl.org/dc/terms/> SELECT ?thing { ?thing text:query %s }"

    answers = [
        await client.get("/sparql", params={"query": query % words, "format": "json"})
        for words in ('(dct:title "santé")', '"santé"')
    ]

    rows = [len(answer.json()["results"]["bindings"]) for answer in answers]
    assert rows[0] == 0
    assert rows[1] > 0


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """Return an index of things that have a word in their title or text, or by a link, an
    organization, a place or a key.
    """
    tmp_path = tmp_path_factory.mktemp("search")
    texts = {
        "link": SearchEntry("", "event", "a", (("One", "en"),), (), (HEALTH,)),
        "party": SearchEntry(
            "", "event", "a", (("Two", "en"),), (), (), (("Health for all", "en"),)
        ),
        "text": SearchEntry(
            "",
            "event",
            "a",
            (("Three", "en"),),
            (("Many words, and among them health, in a text that is long.", "en"),),
        ),
        "title": SearchEntry("", "event", "a", (("Four for health", "en"),), ()),
        "both": SearchEntry("", "event", "a", (("Health", "en"),), (), (HEALTH,)),
        "ocean": SearchEntry("", "event", "a", (("Five", "en"),), (), (OCEAN,)),
        "farms": SearchEntry("", "event", "a", (("An e-agriculture portal", "en"),), ()),
        "joined": SearchEntry("", "event", "a", (("eAgriculture days", "en"),), ()),
        "vitamin": SearchEntry("", "event", "a", (("Agriculture and vitamin E", "en"),), ()),
        "spot": SearchEntry(
            "", "event", "a", (("Six", "en"),), (), places=(("Nairobi West", "en"),)
        ),
        "KE%2F17": SearchEntry("", "event", "a", (("Seven", "fr"),), (), (KENYA,)),
        "KE%2F18": SearchEntry("", "event", "a", (("Eight", "es"),), (), (KENYA,)),
    }
    (tmp_path / "index").mkdir()
    rows = (
        f"A {quad}\n".encode()
        for graph, lines in statements(IRIS.base)
        for quad in quads(lines, graph)
    )
    with open_statements(write_columns(rows, tmp_path)) as vocabulary:
        write_topics(tmp_path / "index", read_topics(vocabulary, IRIS.base))
    entries = (
        item._replace(thing=f"https://x.org/id/event/a/{name}") for name, item in texts.items()
    )
    index: Searcher = search_index(tmp_path, entries)
    return index


def test_titles_come_before_texts_and_texts_before_labels(search: Searcher) -> None:
    hits = search.find(SearchRequest("health"), 10)

    order = [thing.rpartition("/")[2] for thing in hits.scores]
    assert order[:3] == ["both", "title", "text"]
    assert {*order[3:5]} == {"link", "party"}


@each(
    "words, is_listed, similar",
    [("health", False, False), ('"health"', False, False), ("ocean health", True, False),
     ('"ocean health"', True, False), ("biodiversity", True, True)],
)  # fmt: skip
def test_a_word_of_the_label_of_a_target_finds_its_things_only_where_nothing_else_matches(
    search: Searcher, words: str, is_listed: bool, similar: bool
) -> None:
    hits = search.find(SearchRequest(words), 20)

    listed = [thing.rpartition("/")[2] for thing in hits.scores]
    assert ("ocean" in listed, hits.is_fuzzy) == (is_listed, similar)


@each(
    "typed, things",
    [(["KE/17", "ke/17 ", "https://x.org/id/event/a/KE%2F17", "https://x.org/record/a/KE%2F17"], {"KE%2F17"}), (["nairobi"], {"spot"}),
     (["e-agriculture"], {"farms", "joined"})],
)  # fmt: skip
def test_a_record_is_found_by_key_address_place_and_a_word_with_a_hyphen(
    search: Searcher, typed: list[str], things: set[str]
) -> None:
    for words in typed:
        hits = search.find(SearchRequest(words), 10)
        assert {thing.rpartition("/")[2] for thing in hits.scores} == things, words
        assert not hits.is_fuzzy


@each("language, first", [("fr", "KE%2F17"), ("es", "KE%2F18"), (None, "KE%2F17")])
def test_the_language_of_the_reader_comes_first_among_equals(
    search: Searcher, language: str | None, first: str
) -> None:
    hits = search.find(SearchRequest("kenya", first=language), 10)

    assert next(iter(hits.scores)).rpartition("/")[2] == first
    assert hits.total == 2


def test_a_word_that_most_labels_have_finds_nothing_and_spelling_is_corrected_from_labels(
    search: Searcher,
) -> None:
    assert search.find(SearchRequest("the"), 10).total == 0
    assert search.topics is not None
    assert search.topics.search("the") == {}

    assert suggest_spelling("telemedicnie", search) == "telemedicine"
    assert suggest_spelling("health", search) is None


def test_synonyms_name_topics_that_exist_in_the_six_languages() -> None:
    with SYNONYMS.open("rb") as file:
        rows = tomllib.load(file)["topic"]
    known = {iri for scheme in ("action-line", "sdg", "itu-region") for iri in concepts(scheme)}

    topics = [
        row["topic"] if row["topic"].startswith("http") else IRIS.base + row["topic"]
        for row in rows
    ]
    assert {*topics} - known == set()
    assert len({*topics}) == len(topics)
    assert [
        row["topic"]
        for row in rows
        if row.keys() - {"topic", "note", *LANGUAGES} or not row.keys() >= {*LANGUAGES}
    ] == []
    assert [
        (row["topic"], language)
        for row in rows
        for language in LANGUAGES
        if len({*row[language]}) != len(row[language])
    ] == []


async def suggested(client: httpx.AsyncClient, typed: str, **more: str) -> list[dict[str, Any]]:
    answer = await client.get("/search/suggest", params={"q": typed, "format": "json", **more})
    assert answer.status_code == 200, answer.text
    assert answer.json()["query"] == typed.lstrip()
    result: list[dict[str, Any]] = answer.json()["suggestions"]
    return result


async def test_suggestions_are_topics_first_then_titles(client: httpx.AsyncClient) -> None:
    rows = await suggested(client, "telemed")

    assert [(row["text"], row["kind"], row["initiatives"]) for row in rows] == [
        ("C7-ehea E-health", "line", 1),
        ("Telemedicine for remote clinics", "initiative", None),
    ]
    assert [row["page"] for row in rows] == [
        "/scheme/action-line/C7-ehea",
        "/page/initiative/demo/a%2F1",
    ]


@each(
    "typed, language, text",
    [("kén", "fr", "Kenya"), ("肯", "zh", "肯尼亚"), ("كين", "ar", "كينيا"), ("Ken", "ru", "Кения"), ("health ken", "en", "Kenya")],
)  # fmt: skip
async def test_suggestions_are_in_the_language_that_is_asked_for(
    client: httpx.AsyncClient, typed: str, language: str, text: str
) -> None:
    assert text in [row["text"] for row in await suggested(client, typed, lang=language)]


async def test_suggestions_are_a_page_for_who_has_no_script(client: httpx.AsyncClient) -> None:
    some = await client.get("/search/suggest?q=telemed", headers=HTML)
    none = await client.get("/search/suggest", headers=HTML)
    hostile = await client.get("/search/suggest?q=alert", headers=HTML)
    picture = await client.get("/search/suggest?q=a", headers={"Accept": "image/png"})

    assert '<a href="/scheme/action-line/C7-ehea">C7-ehea E-health</a>' in some.text
    assert '<a href="/search?q=telemed"' in re.sub(r' rel="nofollow"', "", some.text)
    assert "&lt;script&gt;" in hostile.text
    assert "<script" not in some.text + hostile.text
    # Without words, the page has the most common topics.
    assert none.text.count("Initiatives: ") >= 6
    assert picture.status_code == 406


HOSTILE = [
    '"' * 100, "(" * 100, "*" * 100, ".*.*.*[a-z]{1,9}+?|^$", "a" * 100, "水" * 100, "\x00 \ud7ff \u202e", "</script><b>", " ", "-",
    "OR OR",
]  # fmt: skip


@each("typed", HOSTILE)
async def test_nothing_that_is_typed_is_an_error_of_ours(
    client: httpx.AsyncClient, typed: str
) -> None:
    data = await client.get("/search/suggest", params={"q": typed, "format": "json"})
    page = await client.get("/search/suggest", params={"q": typed}, headers=HTML)

    assert (data.status_code, page.status_code) == (200, 200)
    assert "<script" not in page.text
    assert "<b>" not in page.text


@session_loop
async def test_a_client_over_its_budget_gets_retry_after(inside: httpx.AsyncClient) -> None:
    codes: list[int] = []
    while 429 not in codes and len(codes) < 1_000:
        answer = await inside.get("/search/suggest?q=&limit=1&format=json")
        codes.append(answer.status_code)

    assert {*codes[:300]} == {200}
    assert codes[-1] == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert (await inside.get("/search?q=network&format=json")).status_code == 200
