"""Tidy: a description as nested JSON, whose names are those of our context; expanded as JSON-LD it is the same triples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import orjson

from publisher.linked_data.jsonld_context import CLASSES, CONTEXT_PATH, TERMS, TermDefinition, ValueKind
from publisher.rdf.results import Term
from publisher.store.descriptions import Description, Statement, namespaces
from vocab.iris import Iris
from vocab.terms import RDF

Json = object
Node = dict[str, Json]

_TYPE = f"{RDF}type"
_PLAIN = (ValueKind.STRING, ValueKind.STRINGS)
_LISTS = (ValueKind.STRINGS, ValueKind.LINKS)


def plain_json(it: Description, iris: Iris) -> bytes:
    """Write *it* as JSON: the thing outermost, its parts inside, what hangs on neither under ``included``."""
    return orjson.dumps({"@context": iris.base + CONTEXT_PATH, **_Tree(it, iris).whole()}, option=orjson.OPT_INDENT_2)


@lru_cache(maxsize=8)
def _names(iris: Iris) -> dict[str, list[TermDefinition]]:
    """Give the names of each property, by its IRI."""
    found: dict[str, list[TermDefinition]] = {}
    known = namespaces(iris)
    for it in TERMS:
        prefix, _, local = it.property.partition(":")
        found.setdefault(known[prefix] + local, []).append(it)
    return found


@lru_cache(maxsize=8)
def _classes(iris: Iris) -> dict[str, str]:
    known = namespaces(iris)
    return {known[prefix] + local: name for name, (prefix, _, local) in ((name, text.partition(":")) for name, text in CLASSES.items())}


class _Tree:
    """What of a description is not yet written, and what is."""

    def __init__(self, it: Description, iris: Iris) -> None:
        self._root, self._names, self._classes = it.iri, _names(iris), _classes(iris)
        self._of: dict[str, list[Statement]] = {}
        self._to: dict[tuple[str, str], list[Statement]] = {}
        for told in it.statements:
            self._of.setdefault(told.subject, []).append(told)
            if told.object.is_iri:
                self._to.setdefault((told.predicate, told.object.value), []).append(told)
        self._written: set[Statement] = set()
        self._begun: set[str] = set()

    def whole(self) -> Node:
        root = self._node(self._root)
        rest = [self._node(subject) for subject in self._of if subject not in self._begun]
        return root | ({"included": rest} if rest else {})

    def _node(self, subject: str) -> Node:
        self._begun.add(subject)
        members: dict[str, Json] = {}
        types = [self._class(it.object.value) for it in self._of.get(subject, ()) if it.predicate == _TYPE and it.object.is_iri]
        groups = self._grouped(subject)
        for name in TERMS:
            if name.back:
                self._back(members, name, subject)
            elif name.name in groups:
                members[name.name] = self._values(name, groups[name.name])
        others = {key: _one([self._loose(it) for it in groups[key]]) for key in sorted(groups.keys() - {name.name for name in TERMS})}
        return {"id": subject, **({"type": _one(types)} if types else {}), **members, **others}

    def _grouped(self, subject: str) -> dict[str, list[Term]]:
        """Give the objects by the name that tells them, or by the property where no name fits."""
        groups: dict[str, list[Term]] = {}
        for it in self._of.get(subject, ()):
            if it not in self._written and not (it.predicate == _TYPE and it.object.is_iri):
                self._written.add(it)
                groups.setdefault(self._named(it), []).append(it.object)
        return groups

    def _named(self, it: Statement) -> str:
        names = (name for name in self._names.get(it.predicate, ()) if not name.back and _fits(name.kind, it.object))
        return next((name.name for name in names), None) or it.predicate

    def _back(self, members: dict[str, Json], name: TermDefinition, subject: str) -> None:
        predicate = next(iri for iri, known in self._names.items() if name in known)
        found = [it for it in self._to.get((predicate, subject), ()) if it.subject not in self._begun]
        self._written.update(found)
        nodes = [_link(self._node(it.subject)) for it in found if it.subject not in self._begun]
        if nodes:
            members[name.name] = nodes if name.kind is ValueKind.LINKS else _one(nodes)

    def _values(self, name: TermDefinition, terms: list[Term]) -> Json:
        if name.kind is ValueKind.TEXT:
            return _by_language(terms)
        values = [self._linked(term.value, name.nested) if term.is_iri else _native(name.kind, term.value) for term in terms]
        return values if name.kind in _LISTS else _one(values)

    def _linked(self, iri: str, nested: bool) -> Json:
        return _link(self._node(iri)) if nested and iri in self._of and iri not in self._begun else iri

    def _loose(self, term: Term) -> Json:
        """Write a value under a property that has no name of ours for it."""
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
    return term.datatype is not None and term.datatype == kind.datatype and (kind is not ValueKind.BOOLEAN or term.value in _BOOLEANS)


_BOOLEANS = {"true": True, "false": False}


def _canonical(text: str) -> bool:
    """Tell whether a number of JSON says the same integer in the same digits, for every reader (RFC 8259, section 6)."""
    return text.removeprefix("-").isdecimal() and str(int(text)) == text and abs(int(text)) < 1 << 53


def _native(kind: ValueKind, text: str) -> Json:
    if kind is ValueKind.INTEGER:
        return int(text)
    return _BOOLEANS[text] if kind is ValueKind.BOOLEAN else text


def _link(node: Node) -> Json:
    """Give a node of which nothing else is told as its address."""
    return node["id"] if len(node) == 1 else node


def _by_language(terms: Iterable[Term]) -> Json:
    found: dict[str, list[str]] = {}
    for term in terms:
        found.setdefault(term.language or "@none", []).append(term.value)
    return {language: _one(texts) for language, texts in sorted(found.items())}


def _one(values: Sequence[Json]) -> Json:
    return values[0] if len(values) == 1 else values
