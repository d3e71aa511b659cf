"""The subject of a page in schema.org's terms, as a JSON-LD block for search engines.

Sources: https://schema.org/docs/full.html;
https://www.w3.org/TR/json-ld11/#embedding-json-ld-in-html-documents. The block is data, not a
script, so that a policy without scripts allows it.
"""

from __future__ import annotations

import json

from markupsafe import Markup

from publisher.data.properties import PropertyRow, PropertyTable, published_properties
from publisher.linked_data.signposting import SCHEMA_TYPES
from publisher.rdf.results import Term
from publisher.store.descriptions import Description
from vocab.iris import is_web
from vocab.schemes import provisional_mark

Json = dict[str, object]

_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
# In schema.org a project is an organization.
_TYPES = SCHEMA_TYPES | {"document": "Article"}
_FIRST = ("name", "description", "identifier", "url", "keywords")
_LAST = ("areaServed", "location", "address", "author", "license")


def jsonld_block(markup: Json) -> Markup:
    """Return the text of the block, escaped so that no registry text can end it."""
    return Markup(json.dumps({"@context": "https://schema.org/", **markup}).translate(_ESCAPES))


def thing_markup(
    description: Description,
    kind: str,
    licence: str | None,
    properties: PropertyTable | None = None,
) -> Json:
    """Describe an initiative, event, document, post or organization; *licence* is that of its
    registry.
    """
    values: dict[str, list[object]] = {key: [] for key in _FIRST}
    for item in properties or published_properties():
        if name := item.schema_org_name(kind):
            values.setdefault(name, []).extend(_values(description, item))
    if licence and values.get("license") == []:
        values["license"] = [licence]
    for name in _LAST:
        if name in values:
            values[name] = values.pop(name)
    return _compact({"@type": _TYPES[kind], "@id": description.iri, **values})


def source_markup(description: Description, records: int | None, host: str) -> Json:
    """Describe a registry as a dataset published here."""
    title = description.one("dct:title")
    about = f"Records of {title.value if title else description.iri}, harvested and published as linked data by WSIS action line and goal."
    return _compact(
        {
            "@type": "Dataset",
            "@id": description.iri,
            "name": _texts(description.all("dct:title")),
            "description": _texts(description.all("dct:description")) or about,
            "license": _links(description.all("dct:license")),
            "creator": [
                {"@type": "Organization", "name": term.value}
                for term in description.all("dct:publisher")
            ],
            "url": description.iri,
            "size": f"{records} records" if records else None,
            "isAccessibleForFree": True,
            "includedInDataCatalog": {
                "@type": "DataCatalog",
                "name": "WSIS Stocktaking",
                "url": f"{host}/",
            },
        }
    )


def concept_markup(description: Description, base: str) -> Json:
    """Describe a concept as a defined term. It has no names that are provisional translations of
    ours, since schema.org cannot mark them.
    """
    names = [
        name
        for name in description.all("skos:prefLabel")
        if not provisional_mark(description.iri, name.language, base)
    ]
    return _compact(
        {
            "@type": "DefinedTerm",
            "@id": description.iri,
            "name": _texts(names),
            "termCode": [term.value for term in description.all("skos:notation")],
            "description": _texts(description.all("skos:definition")),
            "inDefinedTermSet": [term.value for term in description.all("skos:inScheme")],
            "sameAs": _links(description.all("skos:exactMatch")),
        }
    )


def scheme_markup(description: Description) -> Json:
    """Describe a concept scheme as a set of defined terms."""
    return _compact(
        {
            "@type": "DefinedTermSet",
            "@id": description.iri,
            "name": _texts(description.all("dct:title")),
            "description": _texts(description.all("dct:description")),
            "url": description.iri,
        }
    )


def _values(description: Description, item: PropertyRow) -> list[object]:
    terms = description.all(item.iri)
    if item.schema_org_type:
        return [_named(description, item, term) for term in terms]
    return _links(terms) if item.type == "link" else _texts(terms)


def _named(description: Description, item: PropertyRow, term: Term) -> Json:
    name = description.one("skos:prefLabel", term.value)
    markup: Json = {
        "@type": item.schema_org_type,
        "name": name.value if name else description.name(term),
    }
    return markup | ({"@id": term.value} if term.is_iri and item.nested else {})


def _texts(terms: list[Term]) -> list[object]:
    return [
        {"@value": term.value, "@language": term.language} if term.language else term.value
        for term in terms
    ]


def _links(terms: list[Term]) -> list[object]:
    return [term.value for term in terms if term.is_iri and is_web(term.value)]


def _compact(markup: Json) -> Json:
    """Omit empty values and unwrap lists of one value."""
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in markup.items()
        if value
    }
