"""Examples: queries to begin with, each told in RDF as the SIB does (https://github.com/sib-swiss/sparql-examples)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pyoxigraph import RdfFormat, Triple, parse

from publisher.store.workers.query_request import QueryRequest
from vocab.iris import BASE, Iris
from vocab.terms import RDFS, SCHEMA, SH

HERE = Path(__file__).parent
KINDS = ("select", "ask", "construct")


@dataclass(frozen=True, slots=True)
class Example:
    """A query that is kept as an example; *kind* is one of KINDS, *place* its place among all."""

    name: str
    iri: str
    kind: str
    title: str
    comment: str
    keywords: tuple[str, ...]
    text: str
    place: int

    def question(self, base: str, rows: int | None = None) -> QueryRequest:
        """Give it as a question: a table in JSON, a graph in N-Triples, whose rows can be counted."""
        return QueryRequest(self.text, "json", "nt", base, rows=rows)


@lru_cache(maxsize=4)  # bases in one process
def examples(iris: Iris) -> tuple[Example, ...]:
    """Read all examples in their order; their own addresses of ours stand under the base of *iris*."""
    return tuple(sorted((_read(path, iris) for path in HERE.glob("*.ttl")), key=lambda it: (it.place, it.name)))


def example(iris: Iris, name: str) -> Example | None:
    """Give one example by its name, None where there is none."""
    return next((it for it in examples(iris) if it.name == name), None)


def triples(iris: Iris, name: str | None = None) -> list[Triple]:
    """Give what tells of all examples, or of the one that is named."""
    names = [it.name for it in examples(iris) if name in (None, it.name)]
    return [triple for name in names for triple in _parsed(HERE / f"{name}.ttl", iris)]


def _parsed(path: Path, iris: Iris) -> list[Triple]:
    # The queries name the default base, so that they can be copied from the files; they are asked of the store's own.
    text = path.read_text(encoding="utf-8").replace(BASE, iris.base)
    return [quad.triple for quad in parse(text, RdfFormat.TURTLE, base_iri=iris.base)]


def _read(path: Path, iris: Iris) -> Example:
    told: dict[str, list[str]] = {}
    for triple in _parsed(path, iris):
        told.setdefault(triple.predicate.value, []).append(str(getattr(triple.object, "value", "")))
    ((kind, text),) = ((kind, text) for kind in KINDS for text in told.get(SH + kind, []))
    (title,), (comment,), (place,) = told[f"{RDFS}label"], told[f"{RDFS}comment"], told[f"{SCHEMA}position"]
    keywords = tuple(told[f"{SCHEMA}keywords"])
    return Example(path.stem, f"{iris.base}examples/{path.stem}", kind, title, comment, keywords, text.strip() + "\n", int(place))
