"""The rules are served as a page and as SHACL, and the remarks of a record link to them."""

from __future__ import annotations

import httpx
from pyoxigraph import Literal, NamedNode, RdfFormat, parse
from rows import each

from publisher.pages import Pages
from shapes.rules import rules
from vocab.iris import BASE, Iris

SH = "http://www.w3.org/ns/shacl#"


@each(
    "suffix, form",
    [("ttl", RdfFormat.TURTLE), ("nt", RdfFormat.N_TRIPLES), ("jsonld", RdfFormat.JSON_LD), ("rdf", RdfFormat.RDF_XML)],
)  # fmt: skip
async def test_shapes_have_messages_in_six_languages_in_every_format(
    client: httpx.AsyncClient, suffix: str, form: RdfFormat
) -> None:
    answer = await client.get(f"/shapes.{suffix}")

    triples = [quad.triple for quad in parse(answer.content, form)]
    title = NamedNode(f"{BASE}shapes#ResourceTitle")
    languages = {
        triple.object.language
        for triple in triples
        if triple.subject == title
        and triple.predicate.value == f"{SH}message"
        and isinstance(triple.object, Literal)
    }
    assert languages == {"en", "fr", "es", "ar", "zh", "ru"}


async def test_the_shapes_have_a_header_whose_version_is_served(client: httpx.AsyncClient) -> None:
    answer = await client.get("/shapes.ttl")
    header = {
        quad.predicate.value.replace("#", "/").rpartition("/")[2]: str(quad.object.value)
        for quad in parse(answer.content, RdfFormat.TURTLE)
        if quad.subject == NamedNode(f"{BASE}shapes")
        and isinstance(quad.object, Literal | NamedNode)
    }
    version = await client.get(
        "/" + header["versionIRI"].removeprefix(BASE), headers={"Accept": "text/turtle"}
    )
    other = await client.get("/shapes/9.9.9")

    assert header["versionIRI"] == f"{BASE}shapes/{header['versionInfo']}"
    assert header["license"] == "https://www.apache.org/licenses/LICENSE-2.0"
    assert (version.status_code, version.content) == (200, answer.content)
    assert (other.status_code, header["versionIRI"] in other.text) == (404, True)


async def test_the_page_of_the_rules_has_each_with_an_anchor_to_which_remarks_link(
    client: httpx.AsyncClient,
) -> None:
    pages = {
        path: (await client.get(path, headers={"Accept": "text/html"})).text
        for path in ("/shapes", "/shapes?lang=ru", "/page/initiative/demo/a%2F1")
    }
    listed = (await client.get("/shapes.json")).json()

    names = {rule.name for rule in rules().values()}
    assert [name for name in names if f'id="{name}"' not in pages["/shapes"]] == []
    assert {row["name"] for row in listed} == names
    assert "Нет названия." in pages["/shapes?lang=ru"]
    assert (
        '<a href="/shapes#NoTarget">No target is named.</a>' in pages["/page/initiative/demo/a%2F1"]
    )


def test_a_rule_has_its_message_and_another_shape_has_none() -> None:
    pages = Pages(Iris())

    assert pages.rule_message(f"{BASE}shapes#ResourceTitle") == "It has no title."
    assert pages.rule_message(f"{BASE}shapes#NoTarget") is None
