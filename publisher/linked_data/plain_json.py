"""Serialize a description as nested JSON with the terms of our context. Expanded as JSON-LD it has
the same triples.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import orjson

from publisher.linked_data.jsonld_context import (
    CLASSES,
    CONTEXT_PATH,
    TERMS,
    TermDefinition,
    ValueKind,
)
from publisher.rdf.results import Term
from publisher.store.descriptions import Description, Statement, namespaces
from vocab.iris import Iris
from vocab.terms import RDF

Json = object
Node = dict[str, Json]

_TYPE = f"{RDF}type"
_PLAIN = (ValueKind.STRING, ValueKind.STRINGS)
_LISTS = (ValueKind.STRINGS, ValueKind.LINKS)


def plain_json(description: Description, iris: Iris) -> bytes:
    """Serialize *description* as JSON: the thing outermost, its parts nested, everything else under
    ``included``.
    """
    return orjson.dumps(
        {"@context": iris.base + CONTEXT_PATH, **_Tree(description, iris).to_json()},
        option=orjson.OPT_INDENT_2,
    )


@lru_cache(maxsize=8)
def _names(iris: Iris) -> dict[str, list[TermDefinition]]:
    """Return the terms of each property, by IRI."""
    by_property: dict[str, list[TermDefinition]] = {}
    known = namespaces(iris)
    for term in TERMS:
        prefix, _, local = term.property.partition(":")
        by_property.setdefault(known[prefix] + local, []).append(term)
    return by_property


@lru_cache(maxsize=8)
def _classes(iris: Iris) -> dict[str, str]:
    known = namespaces(iris)
    return {
        known[prefix] + local: name
        for name, (prefix, _, local) in (
            (name, text.partition(":")) for name, text in CLASSES.items()
        )
    }


class _Tree:
    """A description that is being serialized, with the statements that are written so far."""

    def __init__(self, description: Description, iris: Iris) -> None:
        self._root, self._names, self._classes = description.iri, _names(iris), _classes(iris)
        self._by_subject: dict[str, list[Statement]] = {}
        self._by_object: dict[tuple[str, str], list[Statement]] = {}
        for statement in description.statements:
            self._by_subject.setdefault(statement.subject, []).append(statement)
            if statement.object.is_iri:
                self._by_object.setdefault(
                    (statement.predicate, statement.object.value), []
                ).append(statement)
        self._written: set[Statement] = set()
        self._visited: set[str] = set()

    def to_json(self) -> Node:
        root = self._node(self._root)
        rest = [self._node(subject) for subject in self._by_subject if subject not in self._visited]
        return root | ({"included": rest} if rest else {})

    def _node(self, subject: str) -> Node:
        self._visited.add(subject)
        members: dict[str, Json] = {}
        types = [
            self._class(statement.object.value)
            for statement in self._by_subject.get(subject, ())
            if statement.predicate == _TYPE and statement.object.is_iri
        ]
        groups = self._grouped(subject)
        for name in TERMS:
            if name.inverse:
                self._add_inverse(members, name, subject)
            elif name.name in groups:
                members[name.name] = self._values(name, groups[name.name])
        others = {
            key: _single_or_list([self._expanded_value(statement) for statement in groups[key]])
            for key in sorted(groups.keys() - {name.name for name in TERMS})
        }
        return {
            "id": subject,
            **({"type": _single_or_list(types)} if types else {}),
            **members,
            **others,
        }

    def _grouped(self, subject: str) -> dict[str, list[Term]]:
        """Return the objects by term, or by property IRI if no term fits."""
        groups: dict[str, list[Term]] = {}
        for statement in self._by_subject.get(subject, ()):
            if statement not in self._written and not (
                statement.predicate == _TYPE and statement.object.is_iri
            ):
                self._written.add(statement)
                groups.setdefault(self._term_name(statement), []).append(statement.object)
        return groups

    def _term_name(self, statement: Statement) -> str:
        names = (
            name
            for name in self._names.get(statement.predicate, ())
            if not name.inverse and _fits(name.kind, statement.object)
        )
        return next((name.name for name in names), None) or statement.predicate

    def _add_inverse(self, members: dict[str, Json], name: TermDefinition, subject: str) -> None:
        predicate = next(iri for iri, known in self._names.items() if name in known)
        statements = [
            statement
            for statement in self._by_object.get((predicate, subject), ())
            if statement.subject not in self._visited
        ]
        self._written.update(statements)
        nodes = [
            _link(self._node(statement.subject))
            for statement in statements
            if statement.subject not in self._visited
        ]
        if nodes:
            members[name.name] = nodes if name.kind is ValueKind.LINKS else _single_or_list(nodes)

    def _values(self, name: TermDefinition, terms: list[Term]) -> Json:
        if name.kind is ValueKind.TEXT:
            return _by_language(terms)
        values = [
            self._linked(term.value, name.nested) if term.is_iri else _native(name.kind, term.value)
            for term in terms
        ]
        return values if name.kind in _LISTS else _single_or_list(values)

    def _linked(self, iri: str, nested: bool) -> Json:
        return (
            _link(self._node(iri))
            if nested and iri in self._by_subject and iri not in self._visited
            else iri
        )

    def _expanded_value(self, term: Term) -> Json:
        """Return the expanded form of a value whose property has no term for it."""
        if term.is_iri:
            return {"id": term.value}
        if term.language:
            return {"@value": term.value, "@language": term.language}
        return {"@value": term.value, "@type": term.datatype} if term.datatype else term.value

    def _class(self, iri: str) -> str:
        return self._classes.get(iri, iri)


def _fits(kind: ValueKind, term: Term) -> bool:
    if term.is_iri:
        return kind in (ValueKind.LINK, ValueKind.LINKS)
    if kind is ValueKind.TEXT:
        return term.datatype is None
    if kind in _PLAIN:
        return term.datatype is None and term.language is None
    if kind is ValueKind.INTEGER and not _canonical(term.value):
        return False
    return (
        term.datatype is not None
        and term.datatype == kind.datatype
        and (kind is not ValueKind.BOOLEAN or term.value in _BOOLEANS)
    )


_BOOLEANS = {"true": True, "false": False}


def _canonical(text: str) -> bool:
    """Return whether a JSON number represents the integer exactly for every parser (RFC 8259,
    section 6).
    """
    return (
        text.removeprefix("-").isdecimal() and str(int(text)) == text and abs(int(text)) < 1 << 53
    )


def _native(kind: ValueKind, text: str) -> Json:
    if kind is ValueKind.INTEGER:
        return int(text)
    return _BOOLEANS[text] if kind is ValueKind.BOOLEAN else text


def _link(node: Node) -> Json:
    """Return the IRI of a node that has no other member, else the node."""
    return node["id"] if len(node) == 1 else node


def _by_language(terms: Iterable[Term]) -> Json:
    by_language: dict[str, list[str]] = {}
    for term in terms:
        by_language.setdefault(term.language or "@none", []).append(term.value)
    return {language: _single_or_list(texts) for language, texts in sorted(by_language.items())}


def _single_or_list(values: Sequence[Json]) -> Json:
    return values[0] if len(values) == 1 else values
