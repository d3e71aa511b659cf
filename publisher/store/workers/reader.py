"""Evaluate a query on a store, over the dataset of its FROM clauses or the protocol parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from itertools import islice, pairwise
from typing import NamedTuple

from pyoxigraph import (
    BlankNode,
    DefaultGraph,
    Literal,
    NamedNode,
    Quad,
    QueryBoolean,
    QuerySolutions,
    QueryTriples,
    RdfFormat,
    Store,
    Variable,
    parse,
)

from publisher.errors import QuerySyntaxError
from publisher.rdf.sparql_tokens import Token, original_column, tokenize
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.results import Result

# the clauses of https://www.w3.org/TR/sparql11-query/#sparqlGrammar and of updates
_KEYWORDS = (
    *("ASK", "BASE", "BIND", "CLEAR", "CONSTRUCT", "COPY", "CREATE", "DELETE", "DESCRIBE"),
    *("DISTINCT", "DROP", "FILTER", "FROM", "GRAPH", "GROUP", "HAVING", "INSERT", "LIMIT", "LOAD"),
    *("MINUS", "MOVE", "NAMED", "OFFSET", "OPTIONAL", "ORDER", "PREFIX", "REDUCED", "SELECT"),
    *("SERVICE", "SILENT", "UNION", "USING", "VALUES", "WHERE", "WITH"),
)
_POSITION = re.compile(r"error at (\d+):(\d+): (.*)", re.DOTALL)
_CHARACTER_CLASSES = re.compile(r"\[[^\[\]]*\](?:,\s*|\s*\|\s*)?|'\\u\S+")
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


def parse_term(text: str) -> NamedNode | Literal:
    """Parse one N-Triples term, an IRI or a literal."""
    quad = next(iter(parse(f"<x:s> <x:p> {text} .", RdfFormat.N_TRIPLES)))
    value: NamedNode | Literal = quad.object
    return value


def evaluate(store: Store, query_request: QueryRequest) -> Result:
    """Return the result of *request* on *store*. Raises QuerySyntaxError if the query is not valid."""
    return ask(QueryDataset(store, None, None), query_request)


def ask(queried: QueryDataset, query_request: QueryRequest) -> Result:
    """Return the result of *request* on a dataset. Raises QuerySyntaxError if the query is not valid."""
    try:
        return queried.store.query(
            in_written_order(query_request.text, query_request.base),
            base_iri=query_request.base,
            default_graph=queried.default,
            named_graphs=queried.named,
            substitutions={
                Variable(name): parse_term(text) for name, text in query_request.bindings.items()
            }
            or None,
        )
    except SyntaxError as error:
        raise parse_engine_error(str(error), query_request.text, query_request.inserted) from error


def count_rows(result: Result, limit: int | None) -> int:
    """Return the number of solutions or triples of *result*, at most *limit*; 1 for a boolean."""
    return 1 if isinstance(result, QueryBoolean) else sum(1 for _ in islice(result, limit))


def in_written_order(text: str, base: str | None = None) -> str:
    """Return *text* with the star of its outermost SELECT replaced by its variables, in the order
    of their first occurrence.

    The engine sorts the columns of ``SELECT *`` by name. Raises SyntaxError if *text* is not a
    query.

    >>> in_written_order("SELECT * { ?s ?p ?o }")
    'SELECT ?s ?p ?o { ?s ?p ?o }'
    """
    if "*" not in text:
        return text
    tokens = tokenize(text)
    star = _outermost_star(tokens)
    if star is None:
        return text
    result = Store().query(text, base_iri=base)  # on an empty store, so only parsing takes time
    names = (
        [variable.value for variable in result.variables]
        if isinstance(result, QuerySolutions)
        else []
    )
    variables = dict.fromkeys(token.text[1:] for token in tokens if token.kind == "variable")
    written = [name for name in variables if name in names]
    if not names or len(written) != len(names):
        return text
    columns = " ".join(f"?{name}" for name in written)
    before, after = text[: star.start], text[star.end :]
    return (
        before
        + ("" if before[-1:].isspace() else " ")
        + columns
        + ("" if after[:1].isspace() else " ")
        + after
    )


def _outermost_star(tokens: list[Token]) -> Token | None:
    """Return the star of the outermost SELECT; None if it has none, or the query is of another
    form.
    """
    forms = ("SELECT", "ASK", "CONSTRUCT", "DESCRIBE")
    head = next((index for index, token in enumerate(tokens) if token.word() in forms), None)
    if head is None or tokens[head].word() != "SELECT":
        return None
    modifiers = ("DISTINCT", "REDUCED")
    following = tokens[head + 1 : head + 3]
    first = next((token for token in following if token.word() not in modifiers), None)
    return first if first and first.text == "*" else None


def parse_engine_error(
    message: str, text: str, inserted: tuple[tuple[int, int, int], ...] = ()
) -> QuerySyntaxError:
    """Return the syntax error that the engine reports in *text*; *inserted* are the insertions of a
    rewritten text.
    """
    match = _POSITION.match(message)
    hint = _misspelled_keyword(text)
    if match is None:
        return QuerySyntaxError(message + hint)
    line, column = int(match[1]), int(match[2])
    return QuerySyntaxError(
        _readable(match[3]) + hint, line, original_column(line, column, inserted)
    )


def _misspelled_keyword(text: str) -> str:
    """Return a question after the keyword that a word of *text* almost is; "" if there is none.

    >>> _misspelled_keyword("SELECT * WHER { ?s ?p ?o }")
    '; did you mean WHERE for WHER?'
    """
    words = dict.fromkeys(token.word() for token in tokenize(text) if token.word())
    for word in words:
        near = get_close_matches(word, _KEYWORDS, 1, 0.8)
        if near and near[0] != word:
            return f"; did you mean {near[0]} for {word[:40]}?"
    return ""


def _readable(expected: str) -> str:
    """Return the parser's list of expected tokens without character classes."""
    words = [
        part.strip()
        for part in _CHARACTER_CLASSES.sub("", expected.removeprefix("expected one of ")).split(
            ",\x20"
        )
    ]
    tokens = [
        word for word in dict.fromkeys(words) if word and not word.startswith(("'", "[", "|"))
    ]
    return (
        "expected " + " or ".join(word.removeprefix("expected ") for word in tokens[:8])
        if tokens
        else "not SPARQL"
    )
