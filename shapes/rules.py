"""Read our shapes, their digest, and a summary of each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse

from shapes.result import Severity
from vocab.iris import BASE
from vocab.terms import SH


@dataclass(frozen=True, slots=True)
class Rule:
    """A shape: its IRI, severity, message and remedy."""

    iri: str
    severity: Severity
    message: str
    cure: str

    @property
    def name(self) -> str:
        """Return the shape's short name, e.g. ``ResourceTitle``."""
        return self.iri.rpartition("#")[2]


@lru_cache(maxsize=4)
def turtle(base: str = BASE) -> str:
    """Return all shapes as one Turtle text, to be parsed with *base* as its base IRI.

    Namespaces inside SPARQL constraints are literals, which a base does not resolve, so they are replaced here.
    """
    folder = files("shapes") / "data"
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".ttl"))
    return "\n".join((folder / name).read_text("utf-8") for name in names).replace(f'"{BASE}', f'"{base}')


@lru_cache(maxsize=4)
def shapes_digest(base: str = BASE) -> str:
    """Return the SHA-256 of the shapes in hexadecimal: if it changes, all records are validated again."""
    return hashlib.sha256(turtle(base).encode()).hexdigest()


@lru_cache(maxsize=4)
def triples(base: str = BASE) -> tuple[Triple, ...]:
    """Parse the shapes."""
    return tuple(quad.triple for quad in parse(turtle(base), format=RdfFormat.TURTLE, base_iri=base))


@lru_cache(maxsize=4)
def rules(base: str = BASE) -> dict[str, Rule]:
    """Return each shape with a severity, by IRI, in the order of the files.

    >>> rules()[BASE + "shapes#ResourceTitle"].message
    'It has no title.'
    """
    texts: dict[str, dict[str, str]] = {}
    for triple in triples(base):
        if isinstance(triple.subject, NamedNode) and isinstance(triple.object, NamedNode | Literal):
            texts.setdefault(triple.subject.value, {})[triple.predicate.value] = triple.object.value
    return {
        iri: Rule(iri, Severity(about[f"{SH}severity"].removeprefix(SH)), about[f"{SH}message"], about[f"{SH}description"])
        for iri, about in texts.items()
        if f"{SH}severity" in about
    }
