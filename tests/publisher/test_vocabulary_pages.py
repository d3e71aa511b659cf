"""Versions of the ontology, SSSOM tables and facilitators are served by their IRIs."""

from __future__ import annotations

import re
from collections.abc import Iterable

import httpx
from app_client import read_page
from pyoxigraph import Literal, NamedNode, Triple
from rows import each

from languages.translations import LANGUAGES
from vocab.iris import BASE
from vocab.mapping_sets import mapped_schemes, sssom_table
from vocab.release import FORMS, whole_vocabulary
from vocab.schemes import graph_triples, label, ontology_triples, schemes
from vocab.terms import DCT, SKOS

VERSION_IRI = "http://www.w3.org/2002/07/owl#versionIRI"


@each("scheme", [*mapped_schemes(), "coverage"])
async def test_a_sssom_table_is_beside_each_scheme_with_mappings_and_no_other(
    client: httpx.AsyncClient, scheme: str
) -> None:
    answer = await client.get(f"/scheme/{scheme}.sssom.tsv")

    if scheme == "coverage":
        assert answer.status_code == 404
    else:
        assert answer.headers["content-type"] == "text/tab-separated-values; charset=utf-8"
        assert answer.text == sssom_table(scheme)


async def test_the_whole_vocabulary_is_one_file(client: httpx.AsyncClient) -> None:
    page = await client.get("/data", headers={"Accept": "text/html"})
    answer = await client.get("/vocabulary.nt")
    unknown = await client.get("/vocabulary.zip")

    assert answer.content == whole_vocabulary("nt")
    assert answer.headers["content-type"] == "application/n-triples"
    assert {f'"/vocabulary.{suffix}"' in page.text for suffix in FORMS} == {True}
    assert (unknown.status_code, "/vocabulary.ttl" in unknown.text) == (404, True)


async def test_a_country_of_a_list_has_its_years_and_a_purpose_its_goal_and_source(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/country-lists/ldc/072", headers={"Accept": "text/turtle"})

    assert answer.status_code == 200
    assert all(year in answer.text for year in ('"1971"', '"1994"'))

    for language, word in (("en", "Concerns"), ("fr", "Concerne"), ("ru", "Касается")):
        page = await read_page(client, "/scheme/dac-purpose/11220", language)

        assert word in page.xpath("//dt/text()")
        assert "iatistandard.org" in page.text_content() + "".join(page.xpath("//a/@href"))


def texts(triples: Iterable[Triple], subject: str, predicate: str, language: str) -> list[str]:
    """Return the texts of *subject*, a path below BASE, in *language*."""
    return [
        triple.object.value
        for triple in triples
        if triple.subject == NamedNode(BASE + subject) and triple.predicate.value == predicate
        if isinstance(triple.object, Literal) and triple.object.language == language
    ]


@each("language", LANGUAGES)
async def test_texts_of_the_vocabulary_are_in_the_language_of_the_page_alone(
    client: httpx.AsyncClient, language: str
) -> None:
    name = label(f"{BASE}scheme/prize-stage", language)
    policy = texts(ontology_triples("ns"), "ns", f"{SKOS}editorialNote", language)
    [described] = texts(graph_triples("status"), "scheme/status", f"{DCT}description", language)
    titles = texts(ontology_triples("labels"), "labels", f"{DCT}title", language)

    data, stages, status, ontology, labels = [
        await read_page(client, path, language)
        for path in ("/data", "/scheme/prize-stage", "/scheme/status", "/ns", "/labels")
    ]

    assert name
    assert name in data.text_content()
    assert name in stages.text_content()
    assert [lead.text_content() for lead in status.xpath("//p[@class='lead']")] == [described]
    notes = ontology.xpath("//dl[1]/following-sibling::p[following-sibling::nav]")
    assert any("owl:deprecated" in note for note in policy)
    assert sorted(note.text_content() for note in notes) == sorted(policy)
    assert [labels.xpath("string(//h1)")] == titles


@each("language", LANGUAGES)
async def test_the_notes_of_a_concept_are_in_the_language_of_the_page_alone(
    client: httpx.AsyncClient, language: str
) -> None:
    triples, line = graph_triples("action-line"), "scheme/action-line/C1"
    notes = {tag: texts(triples, line, f"{SKOS}editorialNote", tag) for tag in LANGUAGES}

    page = await read_page(client, f"/{line}", language)

    in_page = {item.text_content() for item in page.xpath("//dd/span[@lang]")}
    assert {len(own) for own in notes.values()} == {3}
    assert {tag for tag, own in notes.items() if in_page & set(own)} == {language}
    assert set(notes[language]) <= in_page


@each("language, code", [("ar", "C7-ehea"), ("zh", "C8")])
async def test_a_provisional_title_is_marked_wherever_it_stands(
    client: httpx.AsyncClient, language: str, code: str
) -> None:
    line, mark = f"scheme/action-line/{code}", label(f"{BASE}ns#provisional", language)
    title = texts(graph_triples("action-line"), line, f"{SKOS}prefLabel", language)[0]

    for path in (f"/{line}", "/matrix", "/scheme/action-line"):
        for other in (language, "en"):
            text = " ".join((await read_page(client, path, other)).text_content().split())
            marked = re.findall(rf"{title}(?: {language})? \({mark}\)", text)
            assert text.count(title) == len(marked)
            assert (title in text) or other == "en"


@each("scheme", schemes())
def test_every_scheme_is_named_in_six_languages(scheme: str) -> None:
    titles = [
        t.object.language
        for t in graph_triples(scheme)
        if t.predicate.value == f"{DCT}title" and isinstance(t.object, Literal)
    ]

    assert sorted(map(str, titles)) == sorted(LANGUAGES)


@each("path", ["ns", *(f"scheme/{scheme}" for scheme in schemes())])
async def test_the_ontology_and_every_scheme_answer_at_their_version_iri(
    client: httpx.AsyncClient, path: str
) -> None:
    triples = ontology_triples("ns") if path == "ns" else graph_triples(path.partition("/")[2])
    (version,) = [
        t.object.value
        for t in triples
        if t.predicate.value == VERSION_IRI and isinstance(t.object, NamedNode)
    ]

    answer = await client.get(f"/{version.removeprefix(BASE)}.ttl")
    current = await client.get(f"/{path}.ttl")

    assert version.startswith(f"{BASE}{path}/" if path == "ns" else f"{BASE}{path}/version/")
    assert (answer.status_code, answer.content) == (200, current.content)
