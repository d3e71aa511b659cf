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
from app_client import read_page, served
from publish_fixture import copy_data
from rows import each

from journal.journal import Journal
from languages.translations import LANGUAGES
from publisher.portal.vocabulary import former_versions
from publisher.store.descriptions import GraphChange
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
    """Return a data folder with a second version of the ontology and of the coverage scheme."""
    data: Path = copy_data(level, tmp_path_factory.mktemp("later"), "store")
    rows = [f"A {ADDED} <{NS}> .", f"A {LATER_LABEL} <{COVERAGE}> ."]
    for graph, versions in ((NS, NS), (COVERAGE, f"{COVERAGE}/version")):
        for sign, number in (("D", "0.1.0"), ("A", "0.2.0")):
            rows.append(f"{sign} <{graph}> <{VERSION_IRI}> <{versions}/{number}> <{graph}> .")
    Journal(data / "journal").append(rows, run="run-9", time=datetime(2026, 6, 1, tzinfo=UTC))
    return data


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


@pytest.mark.parametrize("name", ONTOLOGIES)
async def test_the_page_of_an_ontology_has_every_term_with_a_definition_and_a_query(
    second: httpx.AsyncClient, name: str
) -> None:
    page = await read_page(second, f"/{name}")
    cards = {card.get("id"): card for card in page.xpath("//section[@class='card']")}
    contents = page.xpath("//nav[@aria-labelledby='contents']//a/@href")
    concepts = {path for path in page.xpath("//a/@href") if path.startswith("/concept?")}

    assert set(cards) == terms(name)
    assert terms(name) <= {link.removeprefix("#") for link in contents}
    for code, card in cards.items():
        assert card.xpath("p"), code
        assert "SELECT" in card.xpath("string(.//pre)"), code
    # The addresses at /concept are those of concepts that the United Nations publish.
    for path in concepts:
        assert (await second.get(path)).status_code == 200, path


async def test_the_page_counts_the_uses_of_a_property_and_draws_the_classes(
    second: httpx.AsyncClient,
) -> None:
    page = await read_page(second, "/ns")
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
    page = await read_page(second, "/ns", language)

    assert page.xpath("string(//section[@id='goal']/h3/span)") == label(f"{NS}#goal", language)


async def test_an_example_query_can_be_run(second: httpx.AsyncClient) -> None:
    text = (await read_page(second, "/operations")).xpath("string(//section[@id='mapping']//pre)")

    answer = await second.get("/sparql", params={"query": text, "format": "json"})

    assert len(answer.json()["results"]["bindings"]) == 10


@each(
    "path, versions, added, triples",
    [("/ns", "/ns", ADDED, ontology_triples("ns")),
     ("/scheme/coverage", "/scheme/coverage/version", LATER_LABEL, graph_triples("coverage"))],
)  # fmt: skip
async def test_an_older_version_is_served_as_it_was_and_leads_to_the_current_one_and_back(
    second: httpx.AsyncClient, path: str, versions: str, added: str, triples: Any
) -> None:
    older, current, own = [
        await second.get(f"{address}.nt") for address in (f"{versions}/0.1.0", f"{versions}/0.2.0", path)
    ]  # fmt: skip
    negotiated = await second.get(f"{versions}/0.1.0", headers={"Accept": "application/ld+json"})
    old_page, page = await read_page(second, f"{versions}/0.1.0"), await read_page(second, path)

    lines = {line for line in older.text.splitlines() if "_:" not in line}
    assert {answer.status_code for answer in (older, current, own, negotiated)} == {200}
    assert (added in older.text, added in current.text) == (False, True)
    assert lines == {line for triple in triples if "_:" not in (line := f"{triple} .")}
    assert current.text == own.text
    assert negotiated.headers["content-type"].partition(";")[0] == "application/ld+json"
    assert "Accept" in negotiated.headers["vary"].split(", ")
    assert f'<{BASE}{versions[1:]}/0.1.0>; rel="cite-as"' in negotiated.headers["link"]
    assert old_page.xpath("//p[@role='note']//a/@href") == [path]
    assert page.xpath("//p[@role='note']") == []
    assert f"{versions}/0.1.0" in page.xpath("//dl[@class='facts']//a/@href")
    if path != "/ns":
        assert old_page.xpath("count(//table[@class='concepts']/tbody/tr)") == 4


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
