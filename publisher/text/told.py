"""Told: what a store says of a thing, as the index takes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from pyoxigraph import BlankNode, DefaultGraph, Literal, NamedNode, Quad, Triple

from publisher.text.index import Entry, Texts
from vocab.iris import KINDS
from vocab.terms import DCT, FOAF, RDF, SIOC, SKOS

_TITLES = (NamedNode(f"{DCT}title"), NamedNode(f"{SKOS}prefLabel"))
_TEXTS = (NamedNode(f"{DCT}description"), NamedNode(f"{SIOC}content"))
_TYPE, _MODIFIED, _TOPIC = NamedNode(f"{RDF}type"), NamedNode(f"{DCT}modified"), NamedNode(f"{FOAF}primaryTopic")
_MERGED = DefaultGraph()


class Quads(Protocol):
    """What is asked of a store, of our own or elsewhere."""

    def quads_for_pattern(
        self,
        subject: NamedNode | BlankNode | Triple | None,
        predicate: NamedNode | None,
        object: NamedNode | BlankNode | Literal | Triple | None,
        graph_name: NamedNode | BlankNode | DefaultGraph | None = None,
        /,
    ) -> Iterator[Quad]:
        """Give the quads of a pattern."""

    def named_graphs(self) -> Iterator[NamedNode | BlankNode]:
        """Give the graphs that it holds."""


def things(store: Quads, base: str) -> Iterator[str]:
    """Give all things of the kinds that are looked up, some twice."""
    for quad in store.quads_for_pattern(None, _TYPE, None, _MERGED):
        if isinstance(quad.subject, NamedNode) and parts(quad.subject.value, base):
            yield quad.subject.value


def parts(thing: str, base: str) -> tuple[str, str, str] | None:
    """Give kind, source and key of a thing's IRI, None where it is none of ours.

    >>> parts("https://x.org/id/event/demo/e1", "https://x.org/")
    ('event', 'demo', 'e1')
    """
    found = thing.removeprefix(f"{base}id/").split("/") if thing.startswith(f"{base}id/") else []
    return (found[0], found[1], found[2]) if len(found) == 3 and found[0] in KINDS else None


def entry(store: Quads, thing: str, base: str) -> Entry | None:
    """Read what is looked up of *thing*; None where the store says nothing of it, as of what is gone."""
    named, found = NamedNode(thing), parts(thing, base)
    if found is None or next(store.quads_for_pattern(named, _TYPE, None, _MERGED), None) is None:
        return None
    kind, source, key = found
    modified = _modified(store, f"{base}record/{source}/{key}")
    return Entry(thing, kind, source, modified, _texts(store, named, _TITLES), _texts(store, named, _TEXTS))


def records(things: Iterable[str], base: str) -> Iterator[str]:
    """Give the records of things of ours."""
    for thing in things:
        if found := parts(thing, base):
            yield f"{base}record/{found[1]}/{found[2]}"


def _texts(store: Quads, thing: NamedNode, properties: Iterable[NamedNode]) -> Texts:
    objects = (quad.object for name in properties for quad in store.quads_for_pattern(thing, name, None, _MERGED))
    return tuple(sorted(((it.value, it.language) for it in objects if isinstance(it, Literal)), key=lambda text: (text[1] or "", text[0])))


def _modified(store: Quads, record: str) -> int:
    for quad in store.quads_for_pattern(NamedNode(record), _MODIFIED, None, _MERGED):
        if isinstance(quad.object, Literal):
            with suppress(ValueError, OverflowError):
                return int(datetime.fromisoformat(quad.object.value).astimezone(UTC).timestamp())
    return 0


def touched(lines: Iterable[bytes], base: str, size: int) -> Iterator[set[str]]:
    """Give the things and records of which the rows of a patch say something, in sets of at most *size*; some come in two sets."""
    ours = tuple(f"{sign} <{base}{word}/".encode() for sign in "AD" for word in ("id", "record"))
    found: set[bytes] = set()
    for line in lines:
        if line.startswith(ours):
            found.add(line[3 : line.index(b">")])
            if len(found) >= size:
                yield {iri.decode() for iri in found}
                found.clear()
    yield {iri.decode() for iri in found}


def topics(store: Quads, found: Iterable[str], base: str) -> set[str]:
    """Give the things among what was found, and those whose records were found."""
    given: set[str] = set()
    for iri in found:
        if iri.startswith(f"{base}id/"):
            given.add(iri)
        elif "#" not in iri:
            objects = (quad.object for quad in store.quads_for_pattern(NamedNode(iri), _TOPIC, None, _MERGED))
            given.update(it.value for it in objects if isinstance(it, NamedNode))
    return given
