"""Descriptions as nested JSON, and the JSON-LD context and frames of that JSON: expanded by its
context it has the same triples.

Sources: https://www.w3.org/TR/json-ld11/#the-context, https://www.w3.org/TR/json-ld11-framing/.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import orjson

from publisher.data.properties import DATATYPES, PropertyRow, PropertyTable, published_properties
from publisher.rdf import Term, namespaces
from publisher.store.descriptions import Description, Statement
from vocab.iris import Iris
from vocab.terms import RDF

Json = object
Node = dict[str, Json]

CONTEXT_PATH = "context.jsonld"  # the path below our base
CLASSES = {
    "Initiative": "wsis:Initiative",
    "Event": "schema:Event",
    "Document": "foaf:Document",
    "Post": "sioc:Post",
    "Organization": "org:Organization",
    "Record": "dcat:CatalogRecord",
    "Registry": "dcat:Catalog",
    "Run": "prov:Activity",
    "Claim": "wsis:Classification",
    "Place": "schema:Place",
    "Picture": "schema:ImageObject",
    "Award": "vivo:AwardReceipt",
    "Amount": "schema:MonetaryAmount",
    "ProjectOutcome": "wsis:ProjectOutcome",
    "Period": "dct:PeriodOfTime",
    "Distribution": "dcat:Distribution",
    "Checksum": "spdx:Checksum",
    "ContactPoint": "vcard:Organization",
    "Remark": "sh:ValidationResult",
    "Measurement": "dqv:QualityMeasurement",
    "Concept": "skos:Concept",
    "ConceptScheme": "skos:ConceptScheme",
    "MatrixLink": "wsis:MatrixLink",
}
_TYPE = f"{RDF}type"
_BOOLEANS = {"true": True, "false": False}

Frame = dict[str, object]
# Processors read this flag of each property, not only of the whole frame.
_OMITTED: Frame = {"@omitDefault": True}
_NEVER: Frame = {"@embed": "@never", **_OMITTED}


def _only(names: str, **nested: Frame) -> Frame:
    """Return a frame with these terms alone; otherwise the inverse statement would appear twice."""
    return {"@explicit": True, **_OMITTED, **dict.fromkeys(names.split(), _OMITTED), **nested}


# The embedded nodes of each class that has a frame.
_REGISTRY = _only("")
_RECORD = _only(
    "identifier issuedAt modifiedAt state run mapping digest remarks "
    "title page documentType vanishedSince goneSince goneBy reason replacedBy",
    registry=_REGISTRY,
)
_CLAIMS = _only(
    "concept basis sourceWord crosswalk confidence percentage evidence source method methodVersion"
)
_CONCEPTS = _only(
    "name otherNames notation definition scopeNote editorialNote comment source exactMatch "
    "closeMatch broadMatch relatedMatch concerns ituRegion",
    topConceptOf=_NEVER,
    broader=_NEVER,
    narrower=_NEVER,
)
_THING: Frame = {"claims": _CLAIMS, "record": _RECORD}
FRAMES: dict[str, Frame] = {
    "Initiative": _THING,
    "Event": _THING,
    "Document": _THING,
    "Post": _THING,
    "Organization": {},
    "Registry": {},
    "Record": {"topic": {"claims": _CLAIMS, **_OMITTED}, "registry": _REGISTRY},
    "Concept": {},
    "ConceptScheme": {"topConcept": _NEVER, "concepts": _CONCEPTS},
}


def jsonld_context(iris: Iris, properties: PropertyTable | None = None) -> dict[str, object]:
    """Return the value of ``@context``. It has no prefixes, so that properties without a term keep
    their full IRI.
    """
    spaces = namespaces(iris)
    definitions: dict[str, object] = {
        "@version": 1.1,
        "id": "@id",
        "type": "@type",
        "included": "@included",
    }
    definitions |= {name: _expand(class_, spaces) for name, class_ in CLASSES.items()}
    for item in properties or published_properties():
        definition = {"@reverse" if item.inverse else "@id": item.expand(spaces)}
        if datatype := "@id" if item.type == "link" else DATATYPES.get(item.type):
            definition["@type"] = datatype
        if container := "@language" if item.type == "text" else "@set" if item.many else "":
            definition["@container"] = container
        definitions[item.name] = definition
    return definitions


def jsonld_frame(name: str, iris: Iris) -> Frame:
    """Return the frame of the class *name*, a key of FRAMES."""
    return {
        "@context": iris.base + CONTEXT_PATH,
        "@type": name,
        **_OMITTED,
        **_with_addresses(FRAMES[name], namespaces(iris)),
    }


def _with_addresses(frame: Frame, spaces: Mapping[str, str]) -> Frame:
    """Replace terms of texts by their properties: a frame cannot contain a language map."""
    known = published_properties().by_name
    result: Frame = {}
    for name, value in frame.items():
        is_text = name in known and known[name].type == "text"
        key = known[name].expand(spaces) if is_text else name
        result[key] = _with_addresses(value, spaces) if isinstance(value, dict) else value
    return result


def _expand(name: str, spaces: Mapping[str, str]) -> str:
    prefix, _, local = name.partition(":")
    return spaces[prefix] + local


def plain_json(
    description: Description, iris: Iris, properties: PropertyTable | None = None
) -> bytes:
    """Serialize *description* as JSON: the thing outermost, its parts nested, everything else under
    ``included``.
    """
    tree = _Tree(description, iris, properties or published_properties())
    return orjson.dumps(
        {"@context": iris.base + CONTEXT_PATH, **tree.to_json()}, option=orjson.OPT_INDENT_2
    )


@lru_cache(maxsize=8)
def _by_iri(
    iris: Iris, properties: PropertyTable
) -> tuple[dict[str, list[PropertyRow]], dict[str, str], dict[str, str]]:
    """Return the properties by IRI, the IRIs of the inverse ones by name, and the classes by IRI."""
    spaces = namespaces(iris)
    by_iri, inverse = defaultdict[str, list[PropertyRow]](list), dict[str, str]()
    for item in properties:
        if item.inverse:
            inverse[item.name] = item.expand(spaces)
        else:
            by_iri[item.expand(spaces)].append(item)
    return by_iri, inverse, {_expand(class_, spaces): name for name, class_ in CLASSES.items()}


class _Tree:
    """A description that is being serialized, with the statements that are written so far."""

    def __init__(self, description: Description, iris: Iris, properties: PropertyTable) -> None:
        self._root, self._properties = description.iri, properties
        self._by_iri, self._inverse, self._classes = _by_iri(iris, properties)
        self._by_subject = defaultdict[str, list[Statement]](list)
        self._by_object = defaultdict[tuple[str, str], list[Statement]](list)
        for statement in description.statements:
            self._by_subject[statement.subject].append(statement)
            if statement.object.is_iri:
                self._by_object[statement.predicate, statement.object.value].append(statement)
        self._serialized = set[Statement]()
        self._visited = set[str]()

    def to_json(self) -> Node:
        root = self._node(self._root)
        rest = [self._node(subject) for subject in self._by_subject if subject not in self._visited]
        return root | ({"included": rest} if rest else {})

    def _node(self, subject: str) -> Node:
        self._visited.add(subject)
        types, groups = list[str](), defaultdict[str, list[Term]](list)
        for statement in self._by_subject.get(subject, ()):
            if statement.predicate == _TYPE and statement.object.is_iri:
                types.append(self._classes.get(statement.object.value, statement.object.value))
            elif statement not in self._serialized:
                self._serialized.add(statement)
                groups[self._member_name(statement)].append(statement.object)
        node: Node = {"id": subject}
        if types:
            node["type"] = _single_or_list(types)
        for item in self._properties:
            if item.inverse:
                if nodes := self._inverse_nodes(item, subject):
                    node[item.name] = nodes if item.many else _single_or_list(nodes)
            elif item.name in groups:
                node[item.name] = self._values(item, groups.pop(item.name))
        for predicate in sorted(groups):
            node[predicate] = _single_or_list(list(map(_expanded_value, groups[predicate])))
        return node

    def _member_name(self, statement: Statement) -> str:
        """Return the name of the first property that fits, or the IRI of the predicate."""
        rows = self._by_iri.get(statement.predicate, ())
        return next((row.name for row in rows if _fits(row, statement.object)), statement.predicate)

    def _inverse_nodes(self, item: PropertyRow, subject: str) -> list[Json]:
        statements = [
            statement
            for statement in self._by_object.get((self._inverse[item.name], subject), ())
            if statement.subject not in self._visited
        ]
        self._serialized.update(statements)
        return [
            _link(self._node(statement.subject))
            for statement in statements
            if statement.subject not in self._visited
        ]

    def _values(self, item: PropertyRow, terms: list[Term]) -> Json:
        if item.type == "text":
            by_language = defaultdict[str, list[str]](list)
            for term in terms:
                by_language[term.language or "@none"].append(term.value)
            return {tag: _single_or_list(texts) for tag, texts in sorted(by_language.items())}
        values = [self._value(item, term.value) for term in terms]
        return values if item.many else _single_or_list(values)

    def _value(self, item: PropertyRow, text: str) -> Json:
        if item.type == "integer":
            return int(text)
        if item.type == "boolean":
            return _BOOLEANS[text]
        is_inside = item.nested and text in self._by_subject and text not in self._visited
        return _link(self._node(text)) if is_inside else text


def _expanded_value(term: Term) -> Json:
    """Return the expanded form of a value whose property has no row for it."""
    if term.is_iri:
        return {"id": term.value}
    if term.language:
        return {"@value": term.value, "@language": term.language}
    return {"@value": term.value, "@type": term.datatype} if term.datatype else term.value


def _fits(item: PropertyRow, term: Term) -> bool:
    if term.is_iri:
        return item.type == "link"
    if item.type in ("text", "string"):
        return term.datatype is None and (item.type == "text" or term.language is None)
    is_readable = {"integer": _is_exact, "boolean": _BOOLEANS.__contains__}.get(item.type)
    has_type = term.datatype is not None and term.datatype == DATATYPES.get(item.type)
    return has_type and (is_readable is None or is_readable(term.value))


def _is_exact(text: str) -> bool:
    """Return whether a JSON number represents the integer exactly for every parser (RFC 8259,
    section 6).
    """
    return (
        text.removeprefix("-").isdecimal() and str(int(text)) == text and abs(int(text)) < 1 << 53
    )


def _link(node: Node) -> Json:
    """Return the IRI of a node that has no other member, else the node."""
    return node["id"] if len(node) == 1 else node


def _single_or_list(values: Sequence[Json]) -> Json:
    return values[0] if len(values) == 1 else values
