"""Versions of the ontology, SSSOM tables and facilitators are served by their IRIs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from lxml import html
from markupsafe import escape
from pyoxigraph import Literal, NamedNode, Triple
from rows import each

from languages.request_locale import LANGUAGES
from vocab.iris import BASE
from vocab.product.mapping_sets import mapped_schemes, sssom_table
from vocab.product.release import FORMS, whole_vocabulary
from vocab.schemes import graph_triples, label, ontology_triples, schemes
from vocab.terms import DCT, SKOS

VERSION_IRI = "http://www.w3.org/2002/07/owl#versionIRI"


@pytest.mark.parametrize("path", ["/ns/0.1.0", "/ns/0.1.0.ttl"])
async def test_the_version_iri_answers_with_the_ontology(
    client: httpx.AsyncClient, path: str
) -> None:
    answer, current = await client.get(path), await client.get("/ns.ttl")

    assert (answer.status_code, answer.content) == (200, current.content)


@each("scheme", mapped_schemes())
async def test_a_sssom_table_is_beside_each_scheme_with_mappings(
    client: httpx.AsyncClient, scheme: str
) -> None:
    answer = await client.get(f"/scheme/{scheme}.sssom.tsv")

    assert answer.headers["content-type"] == "text/tab-separated-values; charset=utf-8"
    assert answer.text == sssom_table(scheme)


async def test_a_scheme_without_mappings_has_no_sssom_table(client: httpx.AsyncClient) -> None:
    answer = await client.get("/scheme/coverage.sssom.tsv")

    assert answer.status_code == 404


async def test_the_whole_vocabulary_is_one_file(client: httpx.AsyncClient) -> None:
    page = await client.get("/data", headers={"Accept": "text/html"})
    answer = await client.get("/vocabulary.nt")
    unknown = await client.get("/vocabulary.zip")

    assert answer.content == whole_vocabulary("nt")
    assert answer.headers["content-type"] == "application/n-triples"
    assert {f'"/vocabulary.{suffix}"' in page.text for suffix in FORMS} == {True}
    assert (unknown.status_code, "/vocabulary.ttl" in unknown.text) == (404, True)


async def test_a_country_of_a_list_has_the_years_in_which_it_was_added_and_left(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/country-lists/ldc/072", headers={"Accept": "text/turtle"})

    assert answer.status_code == 200
    assert all(year in answer.text for year in ('"1971"', '"1994"'))


@pytest.mark.parametrize(
    ("language", "word"), [("en", "Concerns"), ("fr", "Concerne"), ("ru", "Касается")]
)
async def test_the_page_of_a_purpose_names_its_goal_and_its_source(
    client: httpx.AsyncClient, language: str, word: str
) -> None:
    answer = await client.get(
        "/scheme/dac-purpose/11220", headers={"Accept": "text/html", "Accept-Language": language}
    )

    assert f"<dt>{word}</dt>" in answer.text
    assert "iatistandard.org" in answer.text


@each("language", LANGUAGES)
async def test_schemes_are_named_by_the_vocabulary_in_the_language_of_the_page(
    client: httpx.AsyncClient, language: str
) -> None:
    name = label(f"{BASE}scheme/prize-stage", language)
    headers = {"Accept": "text/html"}

    pages = [
        (await client.get(path, params={"lang": language}, headers=headers)).text
        for path in ("/data", "/scheme/prize-stage")
    ]

    assert name
    assert [str(escape(name)) in page for page in pages] == [True, True]


def texts(triples: Iterable[Triple], subject: str, predicate: str, language: str) -> list[str]:
    """Return the texts of *subject* in *language*."""
    return [
        triple.object.value
        for triple in triples
        if triple.subject == NamedNode(subject) and triple.predicate.value == predicate
        if isinstance(triple.object, Literal) and triple.object.language == language
    ]


@each("language", LANGUAGES)
async def test_a_scheme_is_described_in_the_language_of_the_page_alone(
    client: httpx.AsyncClient, language: str
) -> None:
    described = texts(
        graph_triples("status"), f"{BASE}scheme/status", f"{DCT}description", language
    )

    page: Any = html.fromstring(
        (
            await client.get(
                "/scheme/status", params={"lang": language}, headers={"Accept": "text/html"}
            )
        ).text
    )

    assert len(described) == 1
    assert [lead.text_content() for lead in page.xpath("//p[@class='lead']")] == described


@each("language", LANGUAGES)
async def test_the_deprecation_policy_is_in_the_language_of_the_page_alone(
    client: httpx.AsyncClient, language: str
) -> None:
    notes = texts(ontology_triples("ns"), f"{BASE}ns", f"{SKOS}editorialNote", language)

    page: Any = html.fromstring(
        (await client.get("/ns", params={"lang": language}, headers={"Accept": "text/html"})).text
    )
    in_page = [
        note.text_content()
        for note in page.xpath("//dl[1]/following-sibling::p[following-sibling::nav]")
    ]

    assert any("owl:deprecated" in note for note in notes)
    assert sorted(in_page) == sorted(notes)


@each("language", LANGUAGES)
async def test_the_notes_of_a_concept_are_in_the_language_of_the_page_alone(
    client: httpx.AsyncClient, language: str
) -> None:
    line = f"{BASE}scheme/action-line/C1"
    by_language = {
        tag: texts(graph_triples("action-line"), line, f"{SKOS}editorialNote", tag)
        for tag in LANGUAGES
    }

    page: Any = html.fromstring(
        (
            await client.get(
                "/scheme/action-line/C1", params={"lang": language}, headers={"Accept": "text/html"}
            )
        ).text
    )
    in_page = {item.text_content() for item in page.xpath("//dd/span[@lang]")}

    assert {len(notes) for notes in by_language.values()} == {3}
    assert {tag for tag, notes in by_language.items() if in_page & set(notes)} == {language}
    assert set(by_language[language]) <= in_page


@each("language, code", [("ar", "C7-ehea"), ("zh", "C8")])
async def test_a_provisional_title_is_marked_wherever_it_stands(
    client: httpx.AsyncClient, language: str, code: str
) -> None:
    title = texts(
        graph_triples("action-line"),
        f"{BASE}scheme/action-line/{code}",
        f"{SKOS}prefLabel",
        language,
    )[0]
    mark = label(f"{BASE}ns#provisional", language)
    headers = {"Accept": "text/html"}

    for path in (f"/scheme/action-line/{code}", "/matrix", "/scheme/action-line"):
        for other in (language, "en"):
            page: Any = html.fromstring(
                (await client.get(path, params={"lang": other}, headers=headers)).text
            )
            text = " ".join(page.text_content().split())
            marked = re.findall(rf"{title}(?: {language})? \({mark}\)", text)
            assert text.count(title) == len(marked)
            assert (title in text) or other == "en"


@each("language", LANGUAGES)
async def test_a_collection_is_named_in_the_language_of_the_page(
    client: httpx.AsyncClient, language: str
) -> None:
    page: Any = html.fromstring(
        (
            await client.get("/labels", params={"lang": language}, headers={"Accept": "text/html"})
        ).text
    )

    assert [page.xpath("string(//h1)")] == texts(
        ontology_triples("labels"), f"{BASE}labels", f"{DCT}title", language
    )


@each("scheme", schemes())
def test_every_scheme_is_named_in_six_languages(scheme: str) -> None:
    titles = [
        t.object.language
        for t in graph_triples(scheme)
        if t.predicate.value == f"{DCT}title" and isinstance(t.object, Literal)
    ]

    assert sorted(map(str, titles)) == sorted(LANGUAGES)


@each("scheme", schemes())
async def test_every_scheme_answers_at_its_version_iri(
    client: httpx.AsyncClient, scheme: str
) -> None:
    (version,) = [
        t.object.value
        for t in graph_triples(scheme)
        if t.predicate.value == VERSION_IRI and isinstance(t.object, NamedNode)
    ]

    answer = await client.get(f"/{version.removeprefix(BASE)}.ttl")
    current = await client.get(f"/scheme/{scheme}.ttl")

    assert version.startswith(f"{BASE}scheme/{scheme}/version/")
    assert (answer.status_code, answer.content) == (200, current.content)
