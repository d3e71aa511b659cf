"""Write the triples of a release as N-Triples, Turtle and JSON-LD, subject by subject, from sorted
N-Quads.

A triple of several graphs is written once: in sorted N-Quads its lines are adjacent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from publisher.rdf.ntriples_terms import split_literal
from publisher.store.workers.results import PREFIXES
from vocab.terms import RDF

Triples = Sequence[bytes]  # of one subject, each ``<s> <p> o`` without its dot, sorted
Parts = Sequence[Sequence[bytes]]  # the same, each in its three terms

_A = f"<{RDF}type>".encode()
_PREDICATE = itemgetter(1)


class TextFormat(NamedTuple):
    """A serialization of RDF: the beginning, the text of each subject, the separator, and the end."""

    media: str
    head: Callable[[str], bytes]
    subject: Callable[[Triples, Parts], bytes]
    between: bytes = b""
    tail: bytes = b""


def triple(line: bytes) -> bytes:
    """Return the triple of a line of N-Quads, without graph and dot."""
    return line[: line.rindex(b" <")]


def _n_triples(triples: Triples, _: Parts) -> bytes:
    return b" .\n".join(triples) + b" .\n"


def _turtle(_: Triples, parts: Parts) -> bytes:
    parts_written = []
    for predicate, group in groupby(parts, key=_PREDICATE):
        parts_written.append(
            _short(predicate) + b" " + b" , ".join([_object(predicate, part[2]) for part in group])
        )
    return parts[0][0] + b" " + b" ;\n\t".join(parts_written) + b" .\n"


def _object(predicate: bytes, term: bytes) -> bytes:
    return _short(term) if predicate == _A else term


@lru_cache(maxsize=1024)  # properties and classes
def _short(iri: bytes) -> bytes:
    """Return a property or class as a prefixed name, or as an IRI if no prefix fits."""
    if iri == _A:
        return b"a"
    text = iri[1:-1].decode()
    for prefix, space in PREFIXES.items():
        if text.startswith(space) and text[len(space) :].isidentifier() and text.isascii():
            return f"{prefix}:{text[len(space) :]}".encode()
    return iri


def _prefixes(_: str) -> bytes:
    return "".join(
        f"@prefix {prefix}: <{space}> .\n" for prefix, space in PREFIXES.items()
    ).encode()


def _json_ld(_: Triples, parts: Parts) -> bytes:
    members = [b'{"@id":"' + parts[0][0][1:-1] + b'"']
    for predicate, group in groupby(parts, key=_PREDICATE):
        if predicate == _A:
            members.append(
                b'"@type":[' + b",".join([b'"' + part[2][1:-1] + b'"' for part in group]) + b"]"
            )
        else:
            members.append(
                b'"'
                + predicate[1:-1]
                + b'":['
                + b",".join([_json_value(part[2]) for part in group])
                + b"]"
            )
    return b",".join(members) + b"}"


def _json_value(term: bytes) -> bytes:
    if term.startswith(b"<"):
        return b'{"@id":"' + term[1:-1] + b'"}'
    text, rest = split_literal(term)
    if not rest:
        return b'{"@value":' + text + b"}"
    if rest.startswith(b"@"):
        return b'{"@value":' + text + b',"@language":"' + rest[1:] + b'"}'
    return b'{"@value":' + text + b',"@type":"' + rest[3:-1] + b'"}'


def _no_header(_: str) -> bytes:
    return b""


TEXT_FORMATS = {
    "nt": TextFormat("application/n-triples", _no_header, _n_triples),
    "ttl": TextFormat("text/turtle", _prefixes, _turtle),
    # Expanded, a subject a line: no context needs to be fetched, and it can be read line by line.
    "jsonld": TextFormat("application/ld+json", lambda _: b"[\n", _json_ld, b",\n", b"\n]\n"),
}
