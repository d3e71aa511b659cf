"""Example queries, described in RDF as the SIB does (https://github.com/sib-swiss/sparql-examples)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pyoxigraph import Literal, RdfFormat, Triple, parse

from publisher.store.workers.query_request import QueryRequest
from vocab.iris import BASE, Iris
from vocab.terms import RDFS, SCHEMA, SH

HERE = Path(__file__).parent
KINDS = ("select", "ask", "construct")


@dataclass(frozen=True, slots=True)
class Example:
    """An example query; *kind* is one of KINDS, *position* its position in the list, *titles* and
    *comments* are pairs of language and text.
    """

    name: str
    iri: str
    kind: str
    titles: tuple[tuple[str, str], ...]
    comments: tuple[tuple[str, str], ...]
    keywords: tuple[str, ...]
    text: str
    position: int

    @property
    def title(self) -> str:
        """Return the English title."""
        return self.title_in("en")

    def title_in(self, language: str) -> str:
        """Return the title in one of the six languages of the pages."""
        return dict(self.titles)[language]

    def comment_in(self, language: str) -> str:
        """Return the description in one of the six languages of the pages."""
        return dict(self.comments)[language]

    def query_request(self, base: str, rows: int | None = None) -> QueryRequest:
        """Return the query with countable formats: JSON for tables, N-Triples for graphs."""
        return QueryRequest(self.text, "json", "nt", base, rows=rows)


@lru_cache(maxsize=4)  # bases in one process
def examples(iris: Iris) -> tuple[Example, ...]:
    """Return all examples in order; their IRIs are under the base of *iris*."""
    return tuple(
        sorted(
            (_read(path, iris) for path in HERE.glob("*.ttl")),
            key=lambda item: (item.position, item.name),
        )
    )


def example(iris: Iris, name: str) -> Example | None:
    """Return an example by name, None if there is none."""
    return next((example for example in examples(iris) if example.name == name), None)


def triples(iris: Iris, name: str | None = None) -> list[Triple]:
    """Return the RDF description of all examples, or of the named one."""
    names = [example.name for example in examples(iris) if name in (None, example.name)]
    return [triple for name in names for triple in _parse(HERE / f"{name}.ttl", iris)]


def _parse(path: Path, iris: Iris) -> list[Triple]:
    # The files use the default base, so that queries can be copied from them; they run with the
    # store's own.
    text = path.read_text(encoding="utf-8").replace(BASE, iris.base)
    return [quad.triple for quad in parse(text, RdfFormat.TURTLE, base_iri=iris.base)]


def _read(path: Path, iris: Iris) -> Example:
    values: dict[str, list[str]] = {}
    texts: dict[str, dict[str, str]] = {f"{RDFS}label": {}, f"{RDFS}comment": {}}
    for triple in _parse(path, iris):
        if triple.predicate.value in texts and isinstance(triple.object, Literal):
            texts[triple.predicate.value][triple.object.language or ""] = triple.object.value
        values.setdefault(triple.predicate.value, []).append(
            str(getattr(triple.object, "value", ""))
        )
    ((kind, text),) = ((kind, text) for kind in KINDS for text in values.get(SH + kind, []))
    (position,) = values[f"{SCHEMA}position"]
    titles, comments = (tuple(by_language.items()) for by_language in texts.values())
    keywords = tuple(values[f"{SCHEMA}keywords"])
    address, query = f"{iris.base}examples/{path.stem}", text.strip() + "\n"
    return Example(path.stem, address, kind, titles, comments, keywords, query, int(position))
