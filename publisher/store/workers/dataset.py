"""Determine the RDF dataset of a query from its FROM clauses or the protocol parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple

from pyoxigraph import BlankNode, DefaultGraph, NamedNode, Quad, QueryTriples, Store

from publisher.rdf.sparql_tokens import tokenize
from publisher.store.workers.query_request import QueryRequest

_NAMED_GRAPH = re.compile(r"\b(?:from|graph)\b", re.IGNORECASE)
_FORMS = frozenset({"select", "construct", "describe", "ask"})
_DEFAULT, _NAMED = NamedNode("urn:stocktake:default"), NamedNode("urn:stocktake:named")


class QueryDataset(NamedTuple):
    """A store and its graphs to query; None leaves the choice to the query."""

    store: Store
    default: list[NamedNode | BlankNode | DefaultGraph] | None
    named: list[NamedNode | BlankNode] | None


def uses_named_graphs(request: QueryRequest) -> bool:
    """Return whether *request* names the graphs of its dataset, or asks for a named graph.

    >>> uses_named_graphs(QueryRequest("ASK { GRAPH ?g {} }")), uses_named_graphs(QueryRequest("ASK {} # graph"))
    (True, False)
    """
    if request.default_graphs is not None or request.named_graphs is not None:
        return True
    return _NAMED_GRAPH.search(request.text) is not None and any(
        token.word() in ("FROM", "GRAPH") for token in tokenize(request.text)
    )


def dataset_graphs(request: QueryRequest) -> tuple[list[NamedNode] | None, list[NamedNode] | None]:
    """Return the default and named graphs of the protocol parameters, or of FROM and FROM NAMED;
    else None.
    """
    default = (
        None
        if request.default_graphs is None
        else [NamedNode(iri) for iri in request.default_graphs]
    )
    named = (
        None if request.named_graphs is None else [NamedNode(iri) for iri in request.named_graphs]
    )
    if (
        default is None
        and named is None
        and _NAMED_GRAPH.search(request.text)
        and (graphs := _from_clauses(request))
    ):
        return graphs
    return default, named


def union(
    quads: Callable[[NamedNode], Iterable[Quad]], default: list[NamedNode], named: list[NamedNode]
) -> QueryDataset:
    """Return a new store with the merge of the graphs *default* and with the graphs *named*;
    *quads* returns the quads of a graph. A triple of two graphs is in the merge once
    (https://www.w3.org/TR/sparql11-query/#unnamedGraph).
    """
    merged = Store()
    for graph in default:
        merged.bulk_extend(Quad(*quad.triple) for quad in quads(graph))
    for graph in named:
        merged.bulk_extend(quads(graph))
    return QueryDataset(merged, [DefaultGraph()], [*named])


def query_form(text: str) -> str:
    """Return the form of a query (select, construct, describe or ask), "" if none is found.

    >>> query_form("PREFIX select: <x:> CONSTRUCT WHERE { ?s select:p ?o }")
    'construct'
    """
    words = (token.text.lower() for token in tokenize(text) if token.kind == "word")
    return next((word for word in words if word in _FORMS), "")


def graph_patterns(text: str, base: str | None = None) -> tuple[list[str], bool]:
    """Return the graphs named by the GRAPH patterns of a query, and whether some GRAPH pattern has
    a variable.

    >>> graph_patterns("PREFIX x: <http://x.org/> SELECT * { GRAPH x:g { ?s ?p ?o } GRAPH ?g { ?s a ?t } }")
    (['http://x.org/g'], True)
    """
    tokens = tokenize(text)
    after = [
        second
        for word, second in pairwise(tokens)
        if word.kind == "word" and word.text.lower() == "graph"
    ]
    named = sorted({token.text for token in after if token.kind in ("iri", "name")})
    clauses = _clauses(text)
    resolved = (
        _resolve(clauses[0], [(_NAMED, iri) for iri in named], base) if named and clauses else []
    )
    return [graph.value for _, graph in resolved or ()], any(
        token.kind == "variable" for token in after
    )


def names_graphs(text: str) -> bool:
    """Return whether a query has FROM clauses."""
    clauses = _clauses(text)
    return clauses is not None and bool(clauses[1] or clauses[2])


def _from_clauses(request: QueryRequest) -> tuple[list[NamedNode], list[NamedNode]] | None:
    """Return the graphs of FROM and FROM NAMED; None if there are none or the text cannot be parsed
    (the engine reports the error).
    """
    clauses = _clauses(request.text)
    if clauses is None or not (clauses[1] or clauses[2]):  # a variable may be named ?from
        return None
    prologue, default, named = clauses
    names = [*((_DEFAULT, iri) for iri in default), *((_NAMED, iri) for iri in named)]
    graphs = _resolve(prologue, names, request.base)
    if graphs is None:
        return None
    return [iri for kind, iri in graphs if kind == _DEFAULT], [
        iri for kind, iri in graphs if kind == _NAMED
    ]


def _resolve(
    prologue: str, names: Iterable[tuple[NamedNode, str]], base: str | None
) -> list[tuple[NamedNode, NamedNode]] | None:
    """Resolve names of a query by its prefixes and base; None if it cannot be parsed."""
    template = " ".join(f"<{kind.value}> a {iri} ." for kind, iri in names)
    try:
        triples = Store().query(f"{prologue}\nCONSTRUCT {{ {template} }} {{}}", base_iri=base)
    except SyntaxError:
        return None
    assert isinstance(triples, QueryTriples)
    return [(_node(triple.subject), _node(triple.object)) for triple in triples]


def _node(term: object) -> NamedNode:
    assert isinstance(term, NamedNode)
    return term


def _clauses(text: str) -> tuple[str, list[str], list[str]] | None:
    """Return the prologue, and the names after FROM and after FROM NAMED outside of braces."""
    tokens = tokenize(text)
    start = next(
        (token.start for token in tokens if token.kind == "word" and token.text.lower() in _FORMS),
        None,
    )
    if start is None:
        return None
    default: list[str] = []
    named: list[str] = []
    depth = 0
    for word, second, third in zip(
        tokens, [*tokens[1:], tokens[-1]], [*tokens[2:], *tokens[-2:]], strict=False
    ):
        depth += {"{": 1, "}": -1}.get(word.text, 0)
        if depth == 0 and word.kind == "word" and word.text.lower() == "from":
            is_named = second.kind == "word" and second.text.lower() == "named"
            graph = third if is_named else second
            if graph.kind not in ("iri", "name"):
                return None
            (named if is_named else default).append(graph.text)
    return text[:start], default, named
