"""Describe the subject of a page with schema.org terms, as a JSON-LD block for search engines.

Sources: https://schema.org/docs/full.html;
https://www.w3.org/TR/json-ld11/#embedding-json-ld-in-html-documents. The block is data, not a
script, so that a policy without scripts allows it.
"""

from __future__ import annotations

import json

from markupsafe import Markup

from publisher.linked_data.signposting import SCHEMA_TYPES
from publisher.rdf.results import Term
from publisher.store.descriptions import Description
from vocab.iris import is_web
from vocab.schemes import provisional_mark

Json = dict[str, object]

_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
_TYPES = SCHEMA_TYPES | {"document": "Article"}
# schema.org properties for ours, by kind. In schema.org a project is an organization.
_DATES = {
    "initiative": {"foundingDate": "schema:startDate", "dissolutionDate": "schema:endDate"},
    "event": {"startDate": "schema:startDate", "endDate": "schema:endDate"},
    "document": {
        "datePublished": "dct:issued",
        "dateModified": "dct:modified",
        "inLanguage": "dct:language",
    },
    "post": {
        "datePublished": "dct:issued",
        "dateModified": "dct:modified",
        "inLanguage": "dct:language",
    },
}
_WORK = {"publisher": "dct:publisher", "contributor": "wsis:partner", "funder": "schema:funder"}
_PARTIES = {
    "initiative": {
        "parentOrganization": "dct:publisher",
        "member": "wsis:partner",
        "funder": "schema:funder",
    },
    "event": {
        "organizer": "dct:publisher",
        "contributor": "wsis:partner",
        "funder": "schema:funder",
    },
    "document": _WORK,
    "post": _WORK,
}
_WHERE = {"initiative": "areaServed", "event": "location", "organization": "address"}


def jsonld_block(markup: Json) -> Markup:
    """Return the text of the block, escaped so that no registry text can end it."""
    return Markup(json.dumps({"@context": "https://schema.org/", **markup}).translate(_ESCAPES))


def thing_markup(description: Description, kind: str, licence: str | None) -> Json:
    """Describe an initiative, event, document, post or organization."""
    name = "skos:prefLabel" if kind == "organization" else "dct:title"
    markup: Json = {
        "@type": _TYPES[kind],
        "@id": description.iri,
        "name": _texts(description.all(name)),
    }
    markup |= {
        "description": _texts(description.all("dct:description") + description.all("sioc:content")),
        "identifier": _values(description, "dct:identifier"),
    }
    markup |= {
        "url": _links(description, "foaf:page") + _links(description, "foaf:homepage"),
        "keywords": _texts(description.all("dcat:keyword")),
    }
    markup |= {
        key: _values(description, property_) for key, property_ in _DATES.get(kind, {}).items()
    }
    markup |= {
        key: [_party(description, term) for term in description.all(property_)]
        for key, property_ in _PARTIES.get(kind, {}).items()
    }
    if kind in _WHERE:
        markup |= {
            _WHERE[kind]: [
                {"@type": "Country", "name": description.name(term)}
                for term in description.all("dct:spatial")
            ]
        }
    else:
        markup |= {
            "author": _values(description, "dct:creator"),
            "license": _links(description, "dct:license") or licence,
        }
    return _compact(markup)


def source_markup(description: Description, records: int | None, host: str) -> Json:
    """Describe a registry as a dataset published here."""
    markup: Json = {
        "@type": "Dataset",
        "@id": description.iri,
        "name": _texts(description.all("dct:title")),
    }
    title = description.one("dct:title")
    about = f"Records of {title.value if title else description.iri}, harvested and published as linked data by WSIS action line and goal."
    markup |= {
        "description": _texts(description.all("dct:description")) or about,
        "license": _links(description, "dct:license"),
    }
    markup |= {
        "creator": [
            {"@type": "Organization", "name": term.value}
            for term in description.all("dct:publisher")
        ],
        "url": description.iri,
    }
    markup |= {"size": f"{records} records" if records else None, "isAccessibleForFree": True}
    markup |= {
        "includedInDataCatalog": {
            "@type": "DataCatalog",
            "name": "WSIS Stocktaking",
            "url": f"{host}/",
        }
    }
    return _compact(markup)


def concept_markup(description: Description, base: str) -> Json:
    """Describe a concept as a defined term. It has no names that are provisional translations of
    ours, since schema.org cannot mark them.
    """
    names = [
        name
        for name in description.all("skos:prefLabel")
        if not provisional_mark(description.iri, name.language, base)
    ]
    markup: Json = {"@type": "DefinedTerm", "@id": description.iri, "name": _texts(names)}
    markup |= {
        "termCode": _values(description, "skos:notation"),
        "description": _texts(description.all("skos:definition")),
    }
    markup |= {
        "inDefinedTermSet": [term.value for term in description.all("skos:inScheme")],
        "sameAs": _links(description, "skos:exactMatch"),
    }
    return _compact(markup)


def scheme_markup(description: Description) -> Json:
    """Describe a concept scheme as a set of defined terms."""
    markup: Json = {
        "@type": "DefinedTermSet",
        "@id": description.iri,
        "name": _texts(description.all("dct:title")),
    }
    return _compact(
        markup | {"description": _texts(description.all("dct:description")), "url": description.iri}
    )


def _party(description: Description, term: Term) -> Json:
    name = description.one("skos:prefLabel", term.value)
    markup: Json = {"@type": "Organization", "name": name.value if name else description.name(term)}
    return markup | ({"@id": term.value} if term.is_iri else {})


def _texts(terms: list[Term]) -> list[object]:
    return [
        {"@value": term.value, "@language": term.language} if term.language else term.value
        for term in terms
    ]


def _values(description: Description, name: str) -> list[object]:
    return [term.value for term in description.all(name)]


def _links(description: Description, name: str) -> list[str]:
    return [term.value for term in description.all(name) if term.is_iri and is_web(term.value)]


def _compact(markup: Json) -> Json:
    """Omit empty values and unwrap lists of one value."""
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in markup.items()
        if value
    }
