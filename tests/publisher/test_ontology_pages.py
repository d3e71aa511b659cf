"""The ontologies have pages with every term, and each version of them keeps its IRI."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from app_client import served
from lxml import html
from publish_fixture import copy_data
from rows import each

from journal.journal import Journal
from languages.request_locale import LANGUAGES
from publisher.history.change_reader import GraphChange
from publisher.portal.vocabulary_versions import former_versions
from vocab.iris import BASE
from vocab.schemes import ONTOLOGIES, graph_triples, label, ontology_triples

NS = f"{BASE}ns"
VERSION_IRI = "http://www.w3.org/2002/07/owl#versionIRI"
COVERAGE = f"{BASE}scheme/coverage"
LATER_LABEL = f'<{COVERAGE}/local> <http://www.w3.org/2004/02/skos/core#altLabel> "In one town"@en'
ADDED = f'<{NS}#goal> <http://www.w3.org/2004/02/skos/core#changeNote> "A later note."@en'

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def later(level: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a second version of the ontology, and of the scheme of coverage."""
    data = copy_data(level, tmp_path_factory.mktemp("later"), "store")
    version = f"<{NS}> <{VERSION_IRI}> <{NS}"
    rows = [f"D {version}/0.1.0> <{NS}> .", f"A {version}/0.2.0> <{NS}> .", f"A {ADDED} <{NS}> ."]
    scheme_version = f"<{COVERAGE}> <{VERSION_IRI}> <{COVERAGE}/version"
    rows += [
        f"D {scheme_version}/0.1.0> <{COVERAGE}> .",
        f"A {scheme_version}/0.2.0> <{COVERAGE}> .",
        f"A {LATER_LABEL} <{COVERAGE}> .",
    ]
    Journal(data / "journal").append(rows, run="run-9", time=datetime(2026, 6, 1, tzinfo=UTC))
    result: Path = data
    return result


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def second(later: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(later) as opened:
        yield opened


def terms(name: str) -> set[str]:
    return {
        iri.partition("#")[2]
        for triple in ontology_triples(name)
        if (iri := str(getattr(triple.subject, "value", ""))).startswith(f"{BASE}{name}#")
    }


@pytest.mark.parametrize("name", ["ns", "operations"])
async def test_every_link_to_a_concept_of_the_united_nations_leads_to_its_page(
    second: httpx.AsyncClient, name: str
) -> None:
    page: Any = html.fromstring(
        (await second.get(f"/{name}", headers={"Accept": "text/html"})).text
    )
    paths = {path for path in page.xpath("//a/@href") if path.startswith("/concept?")}

    assert {path: (await second.get(path)).status_code for path in paths} == dict.fromkeys(
        paths, 200
    )


@pytest.mark.parametrize("name", ONTOLOGIES)
async def test_the_page_of_an_ontology_has_every_term_with_a_definition_and_a_query(
    second: httpx.AsyncClient, name: str
) -> None:
    page: Any = html.fromstring(
        (await second.get(f"/{name}", headers={"Accept": "text/html"})).text
    )
    cards = {card.get("id"): card for card in page.xpath("//section[@class='card']")}
    listed = {
        link.removeprefix("#") for link in page.xpath("//nav[@aria-labelledby='contents']//a/@href")
    }

    assert set(cards) == terms(name)
    assert terms(name) <= listed
    assert [
        code
        for code, card in cards.items()
        if not card.xpath("p") or "SELECT" not in card.xpath("string(.//pre)")
    ] == []


async def test_the_page_counts_the_uses_of_a_property_and_draws_the_classes(
    second: httpx.AsyncClient,
) -> None:
    page: Any = html.fromstring((await second.get("/ns", headers={"Accept": "text/html"})).text)
    drawn = "".join(page.xpath("//*[local-name()='svg']//text()"))

    uses = page.xpath(
        "string(//section[@id='goal']//dt[text()='Uses in the data']/following-sibling::dd[1])"
    )

    assert int(re.sub(r"\D", "", uses)) > 100
    assert "wsis:Classification" in drawn
    assert "sourceWord" in drawn


@each("language", LANGUAGES)
async def test_terms_are_named_in_the_language_of_the_page_from_the_vocabulary(
    second: httpx.AsyncClient, language: str
) -> None:
    page: Any = html.fromstring(
        (await second.get("/ns", params={"lang": language}, headers={"Accept": "text/html"})).text
    )

    assert page.xpath("string(//section[@id='goal']/h3/span)") == label(f"{NS}#goal", language)


async def test_an_example_query_can_be_run(second: httpx.AsyncClient) -> None:
    page: Any = html.fromstring(
        (await second.get("/operations", headers={"Accept": "text/html"})).text
    )
    text = page.xpath("string(//section[@id='mapping']//pre)")

    answer = await second.get(
        "/sparql", params={"query": text}, headers={"Accept": "application/sparql-results+json"}
    )

    assert len(answer.json()["results"]["bindings"]) == 10


async def test_an_older_version_is_served_as_it_was_in_every_format(
    second: httpx.AsyncClient,
) -> None:
    older, current = await second.get("/ns/0.1.0.nt"), await second.get("/ns/0.2.0.nt")
    negotiated = await second.get("/ns/0.1.0", headers={"Accept": "text/turtle"})

    assert (older.status_code, current.status_code, negotiated.status_code) == (200, 200, 200)
    assert (ADDED in older.text, ADDED in current.text) == (False, True)
    assert f"<{VERSION_IRI}> <{NS}/0.1.0>" in older.text
    assert len(older.text.splitlines()) == len(ontology_triples("ns"))
    assert negotiated.headers["content-type"] == "text/turtle; charset=utf-8"
    assert "Accept" in negotiated.headers["vary"].split(", ")
    assert f'<{NS}/0.1.0>; rel="cite-as"' in negotiated.headers["link"]


async def test_the_page_of_an_older_version_leads_to_the_current_one_and_back(
    second: httpx.AsyncClient,
) -> None:
    answers = [
        await second.get(path, headers={"Accept": "text/html"}) for path in ("/ns/0.1.0", "/ns")
    ]
    older: Any
    current: Any
    older, current = (html.fromstring(answer.text) for answer in answers)

    assert older.xpath("//p[@role='note']//a/@href") == ["/ns"]
    assert current.xpath("//p[@role='note']") == []
    assert "/ns/0.1.0" in current.xpath("//dl[@class='facts']//a/@href")


async def test_an_older_version_of_a_scheme_is_served_as_it_was_in_every_format(
    second: httpx.AsyncClient,
) -> None:
    older, current = [
        await second.get(f"/scheme/coverage/version/{number}.nt") for number in ("0.1.0", "0.2.0")
    ]
    negotiated = await second.get(
        "/scheme/coverage/version/0.1.0", headers={"Accept": "application/ld+json"}
    )

    assert (older.status_code, current.status_code, negotiated.status_code) == (200, 200, 200)
    assert (LATER_LABEL in older.text, LATER_LABEL in current.text) == (False, True)
    assert set(older.text.splitlines()) == {f"{triple} ." for triple in graph_triples("coverage")}
    assert current.text == (await second.get("/scheme/coverage.nt")).text
    assert negotiated.headers["content-type"].partition(";")[0] == "application/ld+json"
    assert f'<{COVERAGE}/version/0.1.0>; rel="cite-as"' in negotiated.headers["link"]


async def test_the_page_of_an_older_version_of_a_scheme_leads_to_the_current_one_and_back(
    second: httpx.AsyncClient,
) -> None:
    paths = ("/scheme/coverage/version/0.1.0", "/scheme/coverage")
    older: Any
    current: Any
    older, current = [
        html.fromstring((await second.get(path, headers={"Accept": "text/html"})).text)
        for path in paths
    ]

    assert older.xpath("//p[@role='note']//a/@href") == ["/scheme/coverage"]
    assert current.xpath("//p[@role='note']") == []
    assert "/scheme/coverage/version/0.1.0" in current.xpath("//dl[@class='facts']//a/@href")
    assert older.xpath("count(//table[@class='concepts']/tbody/tr)") == 4


async def test_a_version_of_a_scheme_that_never_was_is_not_found(second: httpx.AsyncClient) -> None:
    answers = [
        await second.get(f"/scheme/{scheme}/version/0.0.1") for scheme in ("coverage", "nothing")
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert f"{COVERAGE}/version/0.2.0, {COVERAGE}/version/0.1.0" in answers[0].text


async def test_a_version_ends_with_the_entry_before_its_successor() -> None:
    rows = tuple(
        f"{sign} <{NS}> <{VERSION_IRI}> <{NS}/{version}>"
        for sign, version in (("D", "0.1.0"), ("A", "0.2.0"))
    )
    other = ("A <a:b> <a:c> <a:d>",)
    changes = [
        GraphChange(1, "a", 0, 9, 0, None),
        GraphChange(7, "b", 0, 1, 1, rows),
        GraphChange(8, "c", 0, 1, 0, other),
    ]

    assert former_versions(changes, NS) == {f"{NS}/0.1.0": 6}
