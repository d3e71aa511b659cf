"""The terms of an ontology as its page shows them, in the manner of pyLODE: in groups, with their
use in the data, a query and a diagram.

Source: https://github.com/RDFLib/pyLODE.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from markupsafe import Markup

from languages.request_locale import current_locale
from publisher.errors import LimitError
from publisher.portal.entity_pages import in_language
from publisher.store.descriptions import Description
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from web.charts.svg import draw

OWL = "http://www.w3.org/2002/07/owl#"
_GROUPS = {
    "classes": "Class",
    "object-properties": "ObjectProperty",
    "datatype-properties": "DatatypeProperty",
}
_OTHER = "other-terms"
# What is stated of a term, besides its label and definition, in the order of the page.
FACTS = (
    "rdf:type", "rdfs:subClassOf", "rdfs:subPropertyOf", "rdfs:domain", "rdfs:range", "owl:inverseOf", "owl:disjointWith",
    "dqv:inDimension", "owl:deprecated", "dct:isReplacedBy", "dct:source", "rdfs:seeAlso",
)  # fmt: skip

OntologyTerm = dict[str, Any]  # as ontology.html names its values


def term_groups(
    description: Description, ontology: str, uses: Mapping[str, int] | None
) -> dict[str, list[OntologyTerm]]:
    """Return the terms of *ontology* by their kind, which is the anchor of the group, each kind by
    label. A term has its label and definition in the language of the page, else in English, its
    facts, an example query, and its uses in the data: None if *uses* is None.
    """
    namespace, language = f"{ontology}#", current_locale().language
    groups: dict[str, list[OntologyTerm]] = {code: [] for code in (*_GROUPS, _OTHER)}
    for iri in dict.fromkeys(statement.subject for statement in description.statements):
        if not iri.startswith(namespace):
            continue
        types = {term.value for term in description.all("rdf:type", iri)}
        code = next((code for code, name in _GROUPS.items() if OWL + name in types), _OTHER)
        facts = {
            fact: [term for term in description.all(fact, iri) if not term.value.startswith(OWL)]
            for fact in FACTS
        }
        groups[code].append(
            {
                "iri": iri,
                "name": iri.removeprefix(namespace),
                "label": in_language(description.all("rdfs:label", iri), language),
                "definition": in_language(description.all("rdfs:comment", iri), language),
                "facts": {fact: values for fact, values in facts.items() if values},
                "uses": uses.get(iri, 0) if uses is not None else None,
                "query": example_query(description, iri, types),
            }
        )
    return {
        code: sorted(terms, key=lambda term: (str(term["label"] or "").casefold(), term["name"]))
        for code, terms in groups.items()
        if terms
    }


def example_query(description: Description, iri: str, types: Collection[str]) -> str:
    """Return a query that lists ten uses of a term of the classes *types*."""
    short = description.short(iri)
    prefix = f"PREFIX {short.partition(':')[0]}: <{iri.partition('#')[0]}#>\n"
    if f"{OWL}Class" in types:
        pattern, variables = f"?thing a {short}", "?thing"
    elif f"{OWL}ObjectProperty" in types or f"{OWL}DatatypeProperty" in types:
        pattern, variables = f"?thing {short} ?value", "?thing ?value"
    else:
        pattern, variables = f"?thing ?property {short}", "?thing ?property"
    return f"{prefix}\nSELECT {variables} WHERE {{\n  {pattern}\n}}\nLIMIT 10\n"


async def count_uses(service: QueryService) -> Mapping[str, int] | None:
    """Return how many statements use each property and how many things are of each class; None if
    counting takes too long.
    """
    try:
        classes = await service.rows(query("void-classes"))
        properties = await service.rows(query("void-properties"))
    except LimitError:
        return None
    counted = {row["class"].value: int(row["entities"].value) for row in classes}
    return counted | {row["property"].value: int(row["triples"].value) for row in properties}


def diagram(
    groups: Mapping[str, Iterable[OntologyTerm]], description: Description, label: str
) -> Markup | None:
    """Draw the classes and the properties that lead from them: one row a property, from its domain
    to its range; None if there are none.
    """
    by_domain: dict[str, list[tuple[str, str]]] = {}
    for term in (term for terms in groups.values() for term in terms):
        ranges = [description.short(value.value) for value in term["facts"].get("rdfs:range", ())]
        target = ranges[0] if ranges else ""
        target = target.replace("#", "/").rpartition("/")[2] if "://" in target else target
        for domain in term["facts"].get("rdfs:domain", ())[:1]:
            by_domain.setdefault(domain.value, []).append((term["name"], target))
    groups_by_name = [
        (description.short(domain), rows) for domain, rows in sorted(by_domain.items())
    ]
    return draw("properties", groups=groups_by_name, label=label) if by_domain else None
