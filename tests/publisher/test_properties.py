"""A property that is added to the table is in every format."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from publisher.apis.matching import read_properties
from publisher.data import properties as module
from publisher.data.properties import PropertyTable
from publisher.feeds.oai import FORMATS
from publisher.feeds.records import ChangedRecord
from publisher.history.change_reader import Change, ChangeType
from publisher.linked_data.jsonld import jsonld_context, plain_json, thing_markup
from publisher.projections.projection import Subjects
from publisher.projections.search.updater import EntryReader
from publisher.rdf.ntriples_terms import Value
from publisher.rdf.results import Term
from publisher.releases.dump import write_texts
from publisher.releases.tables import compute_tables, open_tables, read_tables
from publisher.store.descriptions import Description, Statement, namespaces
from vocab.iris import Iris
from vocab.terms import FOAF, RDF

IRIS = Iris()
THING = IRIS.thing("initiative", "demo", "a")
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


def described() -> Description:
    statement = Statement(THING, AUDIENCE, Term("Farmers", "literal", "en"))
    return Description(THING, (statement,), {}, namespaces(IRIS))


def test_an_added_property_is_in_the_json_and_its_context(properties: PropertyTable) -> None:
    body = json.loads(plain_json(described(), IRIS, properties))

    assert body["audience"] == {"en": "Farmers"}
    assert jsonld_context(IRIS, properties)["audience"] == {
        "@id": AUDIENCE,
        "@container": "@language",
    }


def test_an_added_property_is_in_the_markup_of_the_page(properties: PropertyTable) -> None:
    markup = thing_markup(described(), "initiative", None, properties)

    assert markup["audience"] == {"@value": "Farmers", "@language": "en"}


def test_an_added_property_is_in_dublin_core_and_datacite(properties: PropertyTable) -> None:
    change = Change(1, 1, 0, "demo/a", 1, ChangeType.NEW, "initiative", (), 0, 0)
    record = f"{IRIS.base}record/demo/a"
    topic = (record, f"{FOAF}primaryTopic", Term(THING))
    statements = (topic, (THING, AUDIENCE, Term("Farmers", "literal", "en")))

    item = ChangedRecord(change, record, statements, IRIS, properties)

    assert '<dc:subject xml:lang="en">Farmers</dc:subject>' in FORMATS["oai_dc"].write(item)
    assert '<subject xml:lang="en">Farmers</subject>' in FORMATS["datacite"].write(item)


class OneThing:
    """The statements of one initiative."""

    def subjects(self, names: Collection[str], predicates: Collection[str]) -> Subjects:
        stated = {
            f"{RDF}type": [Value(f"{IRIS.ns}Initiative", True)],
            AUDIENCE: [Value("Farmers", False, "en")],
        }
        return {name: {one: stated[one] for one in predicates if one in stated} for name in names}

    def subjects_with(
        self, predicates: Collection[str], objects: Collection[str] = ()
    ) -> Iterator[str]:
        return iter([THING])

    def graphs(self, names: Collection[str], predicates: Collection[str]) -> dict[str, Subjects]:
        return {}

    def graph_names(self, prefix: str) -> Iterator[str]:
        return iter(())


def test_an_added_property_is_searched(properties: PropertyTable) -> None:
    entry = EntryReader(OneThing(), IRIS.base, properties).entries([THING])[THING]

    assert entry is not None
    assert entry.texts == (("Farmers", "en"),)


def test_an_added_property_is_a_column_of_the_initiatives(
    properties: PropertyTable, tmp_path: Path
) -> None:
    record, described = f"{IRIS.base}record/demo/a", read_tables(properties)
    statements = [
        f'<{THING}> <{AUDIENCE}> "Farmers"@en',
        f"<{record}> <{FOAF}primaryTopic> <{THING}>",
    ]
    lines = sorted(f"{statement} <{record}> .\n".encode() for statement in statements)

    written = write_texts(lines, tmp_path, "quads")
    with closing(open_tables(tmp_path / "work", IRIS, described)) as tables:
        compute_tables(tables, tmp_path / "quads.nq.gz", written, IRIS, described)
        rows = tables.execute("SELECT thing, audience FROM initiatives").fetchall()

    assert rows == [(THING, "Farmers")]


def test_an_added_property_extends_tables_of_clients(properties: PropertyTable) -> None:
    item = read_properties(properties)["audience"]

    assert (item.types, item.predicate) == (("initiative",), "wsis:audience")


def test_a_row_that_is_wrong_is_named() -> None:
    with pytest.raises(ValidationError, match=r"audience\.kind"):
        PropertyTable('audience = { iri = "wsis:audience", type = "text", kind = "x" }')
