"""DCAT 2 and 3 and their application profiles: datasets, services, series and other resources.

Source: https://www.w3.org/TR/vocab-dcat-3/ and https://semiceu.github.io/DCAT-AP/releases/3.0.0/
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harvesters.errors import ParseError
from harvesters.mappings.graph_values import (
    LABELS,
    TAGGED,
    Find,
    GraphNode,
    contacts,
    countries,
    identifiers,
    inside,
    links,
    literals,
    nodes,
    organizations,
    places,
    root,
    tagged_words,
    texts,
    words,
)
from harvesters.mappings.mapping import Kind
from harvesters.mappings.schema import Entry, FieldTable, Part, Schema
from harvesters.options import Options
from harvesters.page_model import Payload
from harvesters.payloads.crosswalk_lookup import crosswalked, sort_claims
from harvesters.payloads.graph import iri
from harvesters.payloads.value_parsing import parse_checksum, parse_interval
from vocab.initiative import Resource, Role


class DcatOptions(Options):
    """The options of a source with this mapping."""

    kind: Kind = Field(
        "document",
        description="The class of the resources: `initiative`, `event`, `document` or `post`.",
    )


_TEXT = (
    "dct:description", "dct:abstract", "doap:description", "doap:shortdesc", "schema:description", "dc:description", "rdfs:comment",
)  # fmt: skip
_DATA_THEME = "http://publications.europa.eu/resource/authority/data-theme/"
# These classes say what a resource is if it has no dct:type.
_CLASSES = frozenset(
    map(iri, ("dcat:Dataset", "dcat:DataService", "dcat:DatasetSeries", "dcat:Catalog"))
)
_files = nodes("dcat:distribution")
_find_digits, _find_algorithm = words("spdx:checksumValue"), words("spdx:algorithm")
_find_keywords = tagged_words(
    "dcat:keyword", "dcat:theme", "dct:subject", "dc:subject", "foaf:topic", "foaf:theme"
)


def _themes(node: GraphNode) -> list[str]:
    """Return the links of themes but goals and targets, which are keywords."""
    lexicon, themes = node.table.lexicon, links("dcat:theme", "dct:subject")(node)
    return [theme for theme in themes if not lexicon.goal(theme) and not lexicon.target(theme)]


def _keywords(node: GraphNode) -> list[Any]:
    themes = set(_themes(node))
    return [text for text in _find_keywords(node) if text.value not in themes]


def _checksums(file: GraphNode) -> list[GraphNode]:
    """Return the checksums whose algorithm is stated."""
    return [
        node
        for node in nodes("spdx:checksum")(file)
        for digits in _find_digits(node)[:1]
        for algorithm in _find_algorithm(node)[:1]
        if parse_checksum(digits, algorithm)
    ]


def _classes(node: GraphNode) -> list[str]:
    return sorted(node.types() & _CLASSES)


def _interval(node: GraphNode) -> list[str]:
    return [word for word in [node.word()] if parse_interval(word)]


def _edit(table: FieldTable, node: GraphNode, _: type[Resource], values: dict[str, Any]) -> None:
    """Add the goals of the data themes of the European Union, and contacts. Raise ParseError for a
    resource without title and description.
    """
    if not values.get("titles") and not values.get("descriptions"):
        properties = ", ".join(node.graph.properties.get(node.graph.subject, {}))[:200]
        raise ParseError(
            f"{node.key}: no DCAT title or description, only {properties or 'nothing'}"
        )
    known = (*values["action_lines"], *values["goals"], *values["targets"])
    translated = (
        claim
        for theme in values.get("themes", ())
        if theme.startswith(_DATA_THEME)
        for claim in crosswalked(
            table.crosswalks, "eu-data-theme", theme.removeprefix(_DATA_THEME), theme
        )
    )
    values |= sort_claims((*known, *translated))
    values["contacts"] = tuple(contacts(node, values.get("parties", ()), "dcat:contactPoint"))


_START = literals("dcat:startDate", "schema:startDate")
_END = literals("dcat:endDate", "schema:endDate")
_format: Find = inside(
    nodes("dcat:mediaType", "dct:format"), lambda form: [form.word(), *words("rdf:value")(form)]
)
_FILE: dict[str, Entry] = {
    "access": links("dcat:accessURL"),
    "download": links("dcat:downloadURL"),
    "title": texts("dct:title"),
    "form": _format,  # In older profiles a format is a node with a value.
    "licence": links("dct:license"),
    "description": texts("dct:description"),
    "size": words("dcat:byteSize"),
    "checksum": inside(_checksums, _find_digits),
    "algorithm": inside(_checksums, _find_algorithm),
}
MAPPING = Schema(
    Payload.GRAPH,
    {
        "title": tuple(map(texts, ("dct:title", "doap:name", *LABELS))),
        "description": tuple(map(texts, _TEXT)),
        "identifiers": [
            words("dct:identifier"),
            identifiers("adms:identifier", notations=("skos:notation",)),
        ],
        "pages": (
            links("dcat:landingPage", "foaf:page", "foaf:homepage", "doap:homepage"),
            inside(_files, links("dcat:accessURL", "dcat:downloadURL")),
        ),
        "languages": words("dct:language", "dc:language"),
        "licences": (
            links("dct:license"),
            links("dct:rights"),
            inside(_files, links("dct:license")),
            words("dct:license"),
        ),
        "issued": literals("dct:issued", "dct:created"),
        "modified": literals("dct:modified"),
        "countries": countries("dct:spatial"),
        "keywords": _keywords,
        "themes": _themes,
        "related_addresses": links(
            "dct:relation", "dct:isReferencedBy", "dct:references", "dct:isVersionOf"
        ),
        "part_of": links("dct:isPartOf", "dcat:inSeries"),
        "conforms_to": words("dct:conformsTo"),
        "access_rights": words("dct:accessRights"),
        "frequency": words("dct:accrualPeriodicity"),
        "type": (links("dct:type"), words("dct:type"), _classes),
        "creators": texts("dct:creator"),  # They may be persons and lose their contacts.
        "start": _START,
        "end": _END,
    },
    {
        "parties": [
            organizations(Role.LEAD, nodes("dct:publisher")),
            organizations(Role.PARTNER, nodes("dct:creator", "dct:contributor")),
            organizations(
                Role.PARTNER, inside(nodes("prov:qualifiedAttribution"), nodes("prov:agent"))
            ),
            organizations(Role.FUNDER, nodes("schema:funder", "foaf:fundedBy")),
        ],
        "periods": [Part(nodes("dct:temporal"), {"start": (_START, _interval), "end": _END})],
        "files": [Part(_files, _FILE)],
        "places": [places("dct:spatial")],
    },
    root=root,
    edit=_edit,
    options=DcatOptions,
    untagged=TAGGED,
).mapping()
