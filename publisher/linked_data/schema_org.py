"""Markup: what a page is about in the words of schema.org, as a block of JSON-LD for search engines.

Sources: https://schema.org/docs/full.html; https://www.w3.org/TR/json-ld11/#embedding-json-ld-in-html-documents. The block is data, not
a script, so that a policy without scripts lets it stand.
"""

from __future__ import annotations

import json

from markupsafe import Markup

from publisher.linked_data.signposting import SCHEMA_TYPES
from publisher.rdf.results import Term
from publisher.store.descriptions import Description
from vocab.iris import is_web

Json = dict[str, object]

_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
_TYPES = SCHEMA_TYPES | {"document": "Article"}
# What a property of ours is called for each kind: schema.org has a project among the organizations.
_DATES = {
    "initiative": {"foundingDate": "schema:startDate", "dissolutionDate": "schema:endDate"},
    "event": {"startDate": "schema:startDate", "endDate": "schema:endDate"},
    "document": {"datePublished": "dct:issued", "dateModified": "dct:modified", "inLanguage": "dct:language"},
    "post": {"datePublished": "dct:issued", "dateModified": "dct:modified", "inLanguage": "dct:language"},
}
_WORK = {"publisher": "dct:publisher", "contributor": "wsis:partner", "funder": "schema:funder"}
_PARTIES = {
    "initiative": {"parentOrganization": "dct:publisher", "member": "wsis:partner", "funder": "schema:funder"},
    "event": {"organizer": "dct:publisher", "contributor": "wsis:partner", "funder": "schema:funder"},
    "document": _WORK,
    "post": _WORK,
}
_WHERE = {"initiative": "areaServed", "event": "location", "organization": "address"}


def jsonld_block(told: Json) -> Markup:
    """Write the block's text; no text from a registry can end it."""
    return Markup(json.dumps({"@context": "https://schema.org/", **told}).translate(_ESCAPES))


def thing_markup(it: Description, kind: str, licence: str | None) -> Json:
    """Tell of an initiative, event, document, post or organization."""
    name = "skos:prefLabel" if kind == "organization" else "dct:title"
    told: Json = {"@type": _TYPES[kind], "@id": it.iri, "name": _texts(it.all(name))}
    told |= {"description": _texts(it.all("dct:description") + it.all("sioc:content")), "identifier": _values(it, "dct:identifier")}
    told |= {"url": _links(it, "foaf:page") + _links(it, "foaf:homepage"), "keywords": _texts(it.all("dct:subject"))}
    told |= {key: _values(it, property_) for key, property_ in _DATES.get(kind, {}).items()}
    told |= {key: [_party(it, term) for term in it.all(property_)] for key, property_ in _PARTIES.get(kind, {}).items()}
    if kind in _WHERE:
        told |= {_WHERE[kind]: [{"@type": "Country", "name": it.name(term)} for term in it.all("dct:spatial")]}
    else:
        told |= {"author": _values(it, "dct:creator"), "license": _links(it, "dct:license") or licence}
    return _compact(told)


def source_markup(it: Description, records: int | None, host: str) -> Json:
    """Tell of a registry as a data set that can be had here."""
    told: Json = {"@type": "Dataset", "@id": it.iri, "name": _texts(it.all("dct:title"))}
    title = it.one("dct:title")
    about = f"Records of {title.value if title else it.iri}, harvested and published as linked data by WSIS action line and goal."
    told |= {"description": _texts(it.all("dct:description")) or about, "license": _links(it, "dct:license")}
    told |= {"creator": [{"@type": "Organization", "name": term.value} for term in it.all("dct:publisher")], "url": it.iri}
    told |= {"size": f"{records} records" if records else None, "isAccessibleForFree": True}
    told |= {"includedInDataCatalog": {"@type": "DataCatalog", "name": "WSIS Stocktaking", "url": f"{host}/"}}
    return _compact(told)


def concept_markup(it: Description) -> Json:
    """Tell of a concept as a defined term."""
    told: Json = {"@type": "DefinedTerm", "@id": it.iri, "name": _texts(it.all("skos:prefLabel"))}
    told |= {"termCode": _values(it, "skos:notation"), "description": _texts(it.all("skos:definition"))}
    told |= {"inDefinedTermSet": [term.value for term in it.all("skos:inScheme")], "sameAs": _links(it, "skos:exactMatch")}
    return _compact(told)


def scheme_markup(it: Description) -> Json:
    """Tell of a concept scheme as a set of defined terms."""
    told: Json = {"@type": "DefinedTermSet", "@id": it.iri, "name": _texts(it.all("dct:title"))}
    return _compact(told | {"description": _texts(it.all("dct:description")), "url": it.iri})


def _party(it: Description, term: Term) -> Json:
    name = it.one("skos:prefLabel", term.value)
    told: Json = {"@type": "Organization", "name": name.value if name else it.name(term)}
    return told | ({"@id": term.value} if term.is_iri else {})


def _texts(terms: list[Term]) -> list[object]:
    return [{"@value": it.value, "@language": it.language} if it.language else it.value for it in terms]


def _values(it: Description, name: str) -> list[object]:
    return [term.value for term in it.all(name)]


def _links(it: Description, name: str) -> list[str]:
    return [term.value for term in it.all(name) if term.is_iri and is_web(term.value)]


def _compact(told: Json) -> Json:
    """Leave out what is empty, and give what stands alone without its list."""
    return {key: value[0] if isinstance(value, list) and len(value) == 1 else value for key, value in told.items() if value}
