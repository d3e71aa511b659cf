"""Read as JSON-LD, plain JSON states the same triples as the other formats, and our frames make it
from triples that come from elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from pyld import jsonld
from pyoxigraph import RdfFormat, parse
from rows import each

from publisher.apis.matching import read_properties
from publisher.data import properties as module
from publisher.data.properties import PropertyTable, published_properties
from publisher.feeds.oai import FORMATS
from publisher.feeds.records import ChangedRecord
from publisher.history.change_reader import Change, ChangeType
from publisher.linked_data.entities import thing_markup
from publisher.linked_data.jsonld import (
    CLASSES,
    FRAMES,
    jsonld_context,
    jsonld_frame,
    plain_json,
)
from publisher.rdf import Term, namespaces
from publisher.releases.dump import write_texts
from publisher.releases.tables import compute_tables, open_tables, read_tables
from publisher.store.columns.database import ColumnStatements, Subjects
from publisher.store.descriptions import Description, Statement, serialize_description
from publisher.store.search.index import EntryReader
from vocab.iris import Iris
from vocab.terms import DCT, FOAF, RDF, SCHEMA, XSD
from web.respond import GRAPHS

IRIS = Iris()
THING = IRIS.thing("initiative", "demo", "a/1")
PATHS = {
    "/data/initiative/demo/a%2F1": "Initiative", "/data/initiative/demo/evil": "Initiative", "/data/event/demo/e1": "Event",
    "/data/document/demo/file.ttl": "Document", "/data/organization/demo/ministry-of-health": "Organization",
    "/record/demo/a%2F1": "Record", "/record/demo/lost": "Record", "/source/demo": "Registry", "/scheme/action-line": "ConceptScheme",
    "/scheme/action-line/C4": "Concept", "/ns": "", "/operations": "", "/matrix/C1-1": "",
}  # fmt: skip


def local(address: str, options: dict[str, object]) -> dict[str, object]:
    """Return our context, and no other document, to a processor of JSON-LD."""
    assert address == f"{IRIS.base}context.jsonld"
    return {
        "contentType": "application/ld+json",
        "contextUrl": None,
        "documentUrl": address,
        "document": {"@context": jsonld_context(IRIS)},
    }


def triples(content: object) -> set[str]:
    """Expand JSON by its context, and return its triples as canonical N-Triples."""
    text = jsonld.to_rdf(
        content, {"format": "application/n-quads", "documentLoader": local, "useNativeTypes": False}
    )
    return {str(quad.triple) for quad in parse(str(text).encode(), RdfFormat.N_QUADS)}


def described(*statements: tuple[str, Term]) -> Description:
    return Description(
        THING,
        tuple(Statement(THING, name, value) for name, value in statements),
        {},
        namespaces(IRIS),
    )


def typed(value: str, kind: str) -> Term:
    return Term(value, "literal", None, XSD + kind)


def loose(content: Any) -> Any:
    """Return JSON without the order of its lists, which frames do not keep."""
    if isinstance(content, dict):
        return {key: loose(value) for key, value in content.items()}
    return (
        sorted((loose(item) for item in content), key=repr)
        if isinstance(content, list)
        else content
    )


async def test_expanded_it_says_the_same_triples(client: httpx.AsyncClient) -> None:
    results = {
        path: ((await client.get(f"{path}.json")).json(), (await client.get(f"{path}.nt")).content)
        for path in PATHS
    }

    graphs = {path: triples(tidied) for path, (tidied, _) in results.items()}

    assert graphs == {
        path: {str(quad.triple) for quad in parse(plain, RdfFormat.N_TRIPLES)}
        for path, (_, plain) in results.items()
    }
    assert all(graphs.values())


async def test_our_frames_make_it_of_the_n_triples(client: httpx.AsyncClient) -> None:
    paths = {path: name for path, name in PATHS.items() if name}
    results = {path: (await client.get(f"{path}.json")).json() for path in paths}
    forms = {name: (await client.get(f"/frame/{name}.jsonld")).json() for name in paths.values()}

    framed = {}
    for path, name in paths.items():
        flat = jsonld.from_rdf(
            (await client.get(f"{path}.nt")).text, {"format": "application/n-quads"}
        )
        # A thing may link to others of its class, so the frame names the one to begin with.
        frame = {**forms[name], "@id": results[path]["id"]}
        framed[path] = jsonld.frame(
            flat, frame, {"documentLoader": local, "omitGraph": True, "embed": "@once"}
        )

    assert loose(framed) == loose(results)


async def test_every_frame_is_of_a_class_that_has_a_name_and_no_two_names_are_alike(
    client: httpx.AsyncClient,
) -> None:
    names = [item.name for item in published_properties()] + list(CLASSES)
    none = await client.get("/frame/Nothing.jsonld")

    for name in FRAMES:
        assert jsonld_frame(name, IRIS)["@type"] in CLASSES, name
    assert len(set(names)) == len(names)
    assert (none.status_code, "Initiative" in none.json()["detail"]) == (404, True)


@each(
    "name, value",
    [(f"{DCT}title", Term("no language", "literal")), (f"{DCT}title", typed("2024", "gYear")),
     (f"{DCT}title", Term("https://example.org/")), (f"{SCHEMA}startDate", typed("2024-02", "gYearMonth")),
     (f"{SCHEMA}startDate", Term("soon", "literal")), (f"{DCT}spatial", Term("Atlantis", "literal", "en")),
     (f"{DCT}identifier", Term("one", "literal", "en")), (f"{DCT}license", Term("by", "literal")),
     (f"{IRIS.operations}journalEntry", typed("007", "integer")),
     (f"{IRIS.operations}journalEntry", typed("9007199254740993", "integer")), (f"{IRIS.operations}fullHarvest", typed("1", "boolean")),
     (f"{IRIS.ns}confidence", typed("0.50", "decimal")), ("https://other.example/ns#x", Term("y", "literal", "zh-hans")),
     ("https://other.example/ns#x", typed("1.0E0", "double")), (f"{RDF}type", Term("https://other.example/Class"))],
)  # fmt: skip
def test_a_value_of_any_kind_keeps_what_it_says(name: str, value: Term) -> None:
    item = described((name, value))

    body = jsonld.json.loads(plain_json(item, IRIS))

    assert triples(body) == {
        str(quad.triple)
        for quad in parse(serialize_description(item, GRAPHS["nt"]), RdfFormat.N_TRIPLES)
    }


def test_what_hangs_on_nothing_is_included() -> None:
    title = f"{DCT}title"
    apart = Statement("https://example.org/apart", title, Term("Apart", "literal", "en"))
    own = Statement(THING, title, Term("Thing", "literal", "en"))
    description = Description(THING, (own, apart), {}, namespaces(IRIS))

    body = jsonld.json.loads(plain_json(description, IRIS))

    assert body["included"] == [{"id": "https://example.org/apart", "title": {"en": "Apart"}}]
    assert len(triples(body)) == 2


def test_two_resources_that_link_to_each_other_are_shown_once_each() -> None:
    other = IRIS.thing("organization", "demo", "o")
    back = Statement(other, f"{DCT}publisher", Term(THING))
    description = Description(
        THING, (Statement(THING, f"{DCT}publisher", Term(other)), back), {}, namespaces(IRIS)
    )

    body = jsonld.json.loads(plain_json(description, IRIS))

    assert body["publisher"] == [{"id": other, "publisher": [THING]}]


RICH = IRIS.thing("initiative", "demo", "a")
AUDIENCE = f"{IRIS.ns}audience"
ADDED = """
[audience]
iri = "wsis:audience"
type = "text"
schema_org = "audience"
metadata = "subjects"
search = ["text"]
reconcile = { name = "audience", types = ["initiative"] }
column = { name = "audience", type = "text", description = "for whom it is", take = "best" }
"""


@pytest.fixture
def properties() -> PropertyTable:
    published = Path(module.__file__).with_name("properties.toml").read_text(encoding="utf-8")
    return PropertyTable(published + ADDED)


def thing_with() -> Description:
    statement = Statement(RICH, AUDIENCE, Term("Farmers", "literal", "en"))
    return Description(RICH, (statement,), {}, namespaces(IRIS))


def test_an_added_property_is_in_json_markup_search_and_tables_of_clients(
    properties: PropertyTable,
) -> None:
    body = json.loads(plain_json(thing_with(), IRIS, properties))

    assert body["audience"] == {"en": "Farmers"}
    assert jsonld_context(IRIS, properties)["audience"] == {
        "@id": AUDIENCE,
        "@container": "@language",
    }

    markup = thing_markup(thing_with(), "initiative", None, properties)

    assert markup["audience"] == {"@value": "Farmers", "@language": "en"}

    entry = EntryReader(OneThing(), IRIS.base, properties).entries([RICH])[RICH]

    assert entry is not None
    assert entry.texts == (("Farmers", "en"),)

    item = read_properties(properties)["audience"]

    assert (item.types, item.predicate) == (("initiative",), "wsis:audience")


def test_an_added_property_is_in_dublin_core_and_datacite(properties: PropertyTable) -> None:
    change = Change(1, 1, 0, "demo/a", 1, ChangeType.NEW, "initiative", (), 0, 0)
    record = f"{IRIS.base}record/demo/a"
    topic = Statement(record, f"{FOAF}primaryTopic", Term(RICH))
    statements = (topic, Statement(RICH, AUDIENCE, Term("Farmers", "literal", "en")))

    item = ChangedRecord(record, statements, {}, namespaces(IRIS), change, IRIS, properties)

    assert '<dc:subject xml:lang="en">Farmers</dc:subject>' in FORMATS["oai_dc"].write(item)
    assert '<subject xml:lang="en">Farmers</subject>' in FORMATS["datacite"].write(item)


class OneThing(ColumnStatements):
    """The statements of one initiative."""

    def __init__(self) -> None: ...

    def subjects(self, names: Collection[str], predicates: Collection[str]) -> Subjects:
        stated = {
            f"{RDF}type": [Term(f"{IRIS.ns}Initiative")],
            AUDIENCE: [Term("Farmers", "literal", "en")],
        }
        return {name: {one: stated[one] for one in predicates if one in stated} for name in names}


def test_an_added_property_is_a_column_of_the_initiatives(
    properties: PropertyTable, tmp_path: Path
) -> None:
    record, thing_with = f"{IRIS.base}record/demo/a", read_tables(properties)
    statements = [
        f'<{RICH}> <{AUDIENCE}> "Farmers"@en',
        f"<{record}> <{FOAF}primaryTopic> <{RICH}>",
    ]
    lines = sorted(f"{statement} <{record}> .\n".encode() for statement in statements)

    written = write_texts(lines, tmp_path, "quads")
    with closing(open_tables(tmp_path / "work", IRIS, thing_with)) as tables:
        compute_tables(
            tables, tmp_path / "work", tmp_path / "quads.nq.gz", written, IRIS, thing_with
        )
        rows = tables.execute("SELECT thing, audience FROM initiatives").fetchall()

    assert rows == [(RICH, "Farmers")]


def test_a_row_that_is_wrong_is_named() -> None:
    with pytest.raises(ValidationError, match=r"audience\.kind"):
        PropertyTable('audience = { iri = "wsis:audience", type = "text", kind = "x" }')
