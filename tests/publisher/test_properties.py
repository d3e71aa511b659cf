"""A property that is added to the table is in every format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from publisher.data import properties as module
from publisher.data.properties import Properties
from publisher.linked_data.jsonld import jsonld_context, plain_json
from publisher.linked_data.schema_org import thing_markup
from publisher.rdf.results import Term
from publisher.store.descriptions import Description, Statement, namespaces
from vocab.iris import Iris

IRIS = Iris()
THING = IRIS.thing("initiative", "demo", "a")
AUDIENCE = f"{IRIS.ns}audience"
ADDED = """
audience.iri = "wsis:audience"
audience.type = "text"
audience.schema_org = "audience"
"""


@pytest.fixture
def properties() -> Properties:
    published = Path(module.__file__).with_name("properties.toml").read_text(encoding="utf-8")
    return Properties(published + ADDED)


def described() -> Description:
    statement = Statement(THING, AUDIENCE, Term("Farmers", "literal", "en"))
    return Description(THING, (statement,), {}, namespaces(IRIS))


def test_an_added_property_is_in_the_json_and_its_context(properties: Properties) -> None:
    body = json.loads(plain_json(described(), IRIS, properties))

    assert body["audience"] == {"en": "Farmers"}
    assert jsonld_context(IRIS, properties)["audience"] == {
        "@id": AUDIENCE,
        "@container": "@language",
    }


def test_an_added_property_is_in_the_markup_of_the_page(properties: Properties) -> None:
    markup = thing_markup(described(), "initiative", None, properties)

    assert markup["audience"] == {"@value": "Farmers", "@language": "en"}


def test_a_row_that_is_wrong_is_named() -> None:
    with pytest.raises(ValidationError, match=r"audience\.kind"):
        Properties('audience = { iri = "wsis:audience", type = "text", kind = "x" }')
