"""Descriptions as nested JSON, and the JSON-LD context and frames of that JSON: expanded by its
context it has the same triples. In pages they are a JSON-LD block in schema.org's terms, for search
engines: data, not a script, so that a policy without scripts allows it.

Sources: https://www.w3.org/TR/json-ld11/#the-context, https://www.w3.org/TR/json-ld11-framing/,
https://schema.org/docs/full.html and
https://www.w3.org/TR/json-ld11/#embedding-json-ld-in-html-documents.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache

import orjson
from markupsafe import Markup

from publisher.data.properties import DATATYPES, PropertyRow, PropertyTable, published_properties
from publisher.rdf import Term, namespaces
from publisher.store.descriptions import Description, Statement
from vocab.iris import Iris, is_web
from vocab.schemes import provisional_mark
from vocab.terms import RDF

Json = object
Node = dict[str, Json]

# The schema.org type of each kind.
SCHEMA_TYPES = {
    "initiative": "Project",
    "event": "Event",
    "document": "DigitalDocument",
    "post": "SocialMediaPosting",
    "organization": "Organization",
}
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
# In schema.org a project is an organization.
_TYPES = SCHEMA_TYPES | {"document": "Article"}
_FIRST = ("name", "description", "identifier", "url", "keywords")
_LAST = ("areaServed", "location", "address", "author", "license")
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


def jsonld_block(markup: Node) -> Markup:
    """Return the text of the block, escaped so that no registry text can end it."""
    return Markup(json.dumps({"@context": "https://schema.org/", **markup}).translate(_ESCAPES))


def thing_markup(
    description: Description,
    kind: str,
    licence: str | None,
    properties: PropertyTable | None = None,
) -> Node:
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


def source_markup(description: Description, records: int | None, host: str) -> Node:
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


def concept_markup(description: Description, base: str) -> Node:
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


def scheme_markup(description: Description) -> Node:
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


def _named(description: Description, item: PropertyRow, term: Term) -> Node:
    name = description.one("skos:prefLabel", term.value)
    markup: Node = {
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


def _compact(markup: Node) -> Node:
    """Omit empty values and unwrap lists of one value."""
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in markup.items()
        if value
    }
