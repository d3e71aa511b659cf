"""Read from a store what the rows of records need of their graphs.

The engine looks up the text of each term that it returns, which is most of the time that reading
takes. So one query returns the needed properties of many graphs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from pyoxigraph import NamedNode, Quad, QuerySolutions, Store

from publisher.projections.facets.record_rows import Graph, parse_graph
from publisher.projections.quad_source import QuadSource
from publisher.rdf.ntriples_terms import Value, parse_term

_GRAPHS = 500  # graphs per query
_Term = object  # of pyoxigraph


def read_graphs(
    source: QuadSource, graphs: Collection[str], properties: Collection[str]
) -> Iterator[tuple[str, Graph]]:
    """Yield each of *graphs* with at least the statements that have one of *properties*; a graph
    that *source* lacks is empty.
    """
    if not isinstance(source, Store):
        yield from ((name, _read_graph(source, name)) for name in graphs)
        return
    names = iter(graphs)
    while batch := list(islice(names, _GRAPHS)):
        yield from _select(source, batch, properties).items()


def _read_graph(source: QuadSource, name: str) -> Graph:
    return parse_graph(sorted_lines(source.quads_for_pattern(None, None, None, NamedNode(name))))


def sorted_lines(quads: Iterator[Quad]) -> list[bytes]:
    """Return the statements of *quads* as sorted N-Triples, without their dots."""
    return sorted(str(quad.triple).encode() for quad in quads)


def _select(store: Store, graphs: Sequence[str], properties: Collection[str]) -> dict[str, Graph]:
    names = " ".join(f"<{name}>" for name in graphs)
    wanted = ", ".join(f"<{name}>" for name in properties)
    solutions = store.query(
        f"SELECT ?g ?s ?p ?o {{ VALUES ?g {{ {names} }} GRAPH ?g {{ ?s ?p ?o }} FILTER(?p IN ({wanted})) }}"
    )
    assert isinstance(solutions, QuerySolutions)
    terms: dict[str, dict[str, dict[str, list[_Term]]]] = {name: {} for name in graphs}
    for graph, subject, predicate, term in solutions:
        subjects = terms[graph.value].setdefault(subject.value, {})
        subjects.setdefault(predicate.value, []).append(term)
    return {
        name: Graph(
            {
                subject: {predicate: _values(terms) for predicate, terms in values.items()}
                for subject, values in subjects.items()
            }
        )
        for name, subjects in terms.items()
    }


def _values(terms: list[_Term]) -> list[Value]:
    """Return the values of *terms* in the order of their N-Triples."""
    if len(terms) > 1:
        terms.sort(key=lambda term: str(term).encode())
    return [
        Value(term.value, True) if isinstance(term, NamedNode) else parse_term(str(term).encode())
        for term in terms
    ]
