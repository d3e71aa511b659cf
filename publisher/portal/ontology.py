"""The terms of an ontology as its page shows them, in the manner of pyLODE: in groups, with their
use in the data, a query and a diagram.

Source: https://github.com/RDFLib/pyLODE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from languages.request_locale import current_locale
from publisher.errors import LimitError
from publisher.rdf.results import Term
from publisher.store.descriptions import Description
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from web.charts.svg import element, linked, svg

OWL = "http://www.w3.org/2002/07/owl#"
_GROUPS = (
    ("classes", "Class"),
    ("object-properties", "ObjectProperty"),
    ("datatype-properties", "DatatypeProperty"),
)
_OTHER = "other-terms"
# What is stated of a term, besides its label and definition, in the order of the page.
FACTS = (
    "rdf:type", "rdfs:subClassOf", "rdfs:subPropertyOf", "rdfs:domain", "rdfs:range", "owl:inverseOf", "owl:disjointWith",
    "dqv:inDimension", "owl:deprecated", "dct:isReplacedBy", "dct:source", "rdfs:seeAlso",
)  # fmt: skip
# pixels of the diagram: height of a row, width, and where columns begin
_ROW, _WIDTH, _PROPERTY, _RANGE = 22, 760, 250, 530


class TermView(NamedTuple):
    """A term: its label and definition in the language of the page if there is one, else in
    English; *uses* in the data, None if unknown.

    *facts* are the values of FACTS that it has, *query* is SPARQL.
    """

    iri: str
    name: str
    label: Term | None
    definition: Term | None
    facts: tuple[tuple[str, tuple[Term, ...]], ...]
    uses: int | None
    query: str


class TermGroup(NamedTuple):
    """The terms of a kind, by label; *code* is the anchor of the group."""

    code: str
    terms: tuple[TermView, ...]


def term_groups(
    description: Description, ontology: str, uses: Mapping[str, int] | None
) -> list[TermGroup]:
    """Return the terms of *ontology*, classes first; *uses* counts them by IRI, None if they are
    not counted.
    """
    namespace, language = f"{ontology}#", current_locale().language
    kinds: dict[str, list[str]] = {code: [] for code in (*dict(_GROUPS), _OTHER)}
    for iri in dict.fromkeys(
        row.subject for row in description.statements if row.subject.startswith(namespace)
    ):
        types = {term.value for term in description.all("rdf:type", iri)}
        kinds[next((code for code, name in _GROUPS if OWL + name in types), _OTHER)].append(iri)
    views = {
        code: [_view(description, iri, namespace, language, uses) for iri in iris]
        for code, iris in kinds.items()
    }
    return [
        TermGroup(
            code,
            tuple(
                sorted(
                    terms,
                    key=lambda view: (view.label.value.casefold() if view.label else "", view.name),
                )
            ),
        )
        for code, terms in views.items()
        if terms
    ]


def _view(
    description: Description,
    iri: str,
    namespace: str,
    language: str,
    uses: Mapping[str, int] | None,
) -> TermView:
    name = iri.removeprefix(namespace)
    facts = (
        (fact, tuple(term for term in description.all(fact, iri) if not term.value.startswith(OWL)))
        for fact in FACTS
    )
    return TermView(
        iri,
        name,
        in_language(description.all("rdfs:label", iri), language),
        in_language(description.all("rdfs:comment", iri), language),
        tuple((fact, values) for fact, values in facts if values),
        uses.get(iri, 0) if uses is not None else None,
        example_query(description, iri),
    )


def in_language(texts: Sequence[Term], language: str) -> Term | None:
    """Return the text in *language*, else in English, else any."""
    by_language = {text.language: text for text in texts}
    return by_language.get(language) or by_language.get("en") or next(iter(texts), None)


def example_query(description: Description, iri: str) -> str:
    """Return a query that lists ten uses of a term."""
    types = {term.value for term in description.all("rdf:type", iri)}
    short = description.short(iri)
    prefix = f"PREFIX {short.partition(':')[0]}: <{iri.partition('#')[0]}#>\n"
    if f"{OWL}Class" in types:
        pattern, variables = f"?thing a {short}", "?thing"
    elif types & {f"{OWL}ObjectProperty", f"{OWL}DatatypeProperty"}:
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


def diagram(groups: Iterable[TermGroup], description: Description, label: str) -> Markup | None:
    """Draw the classes and the properties that lead from them: one row a property, from its domain
    to its range; None if there are none.
    """
    rows: dict[str, list[tuple[TermView, str]]] = {}
    for view in (view for group in groups for view in group.terms):
        facts = dict(view.facts)
        if domain := facts.get("rdfs:domain"):
            values = facts.get("rdfs:range", ())
            target = description.short(values[0].value) if values else ""
            short = target.replace("#", "/").rpartition("/")[2] if "://" in target else target
            rows.setdefault(domain[0].value, []).append((view, short))
    parts, top = list[Markup](), 6
    for domain_iri, properties in sorted(rows.items()):
        parts += _rows(top, description.short(domain_iri), properties)
        top += _ROW * len(properties) + 14
    return svg(_WIDTH, top, label, *parts, class_="terms") if rows else None


def _rows(top: int, domain: str, properties: Sequence[tuple[TermView, str]]) -> Iterator[Markup]:
    height = _ROW * len(properties)
    name = domain.rpartition(":")[2]
    yield element(
        "rect",
        x=4,
        y=top,
        width=190,
        height=height,
        class_="box",
        fill="none",
        stroke="currentColor",
    )
    yield linked(f"#{name}", element("text", domain, x=14, y=top + height / 2 + 5))
    for number, (view, target) in enumerate(properties):
        middle = top + _ROW * number + _ROW / 2
        yield element("line", x1=194, y1=middle, x2=_PROPERTY - 8, y2=middle, stroke="currentColor")
        yield linked(f"#{view.name}", element("text", view.name, x=_PROPERTY, y=middle + 5))
        if target:
            yield element(
                "path",
                d=f"M{_RANGE - 70} {middle:g} H{_RANGE - 10} l-6 -4 m6 4 l-6 4",
                fill="none",
                stroke="currentColor",
            )
            yield element("text", target, x=_RANGE, y=middle + 5)
