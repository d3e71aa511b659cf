"""Evaluate a query on a store, over the dataset of its FROM clauses or the protocol parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from difflib import get_close_matches
from itertools import dropwhile, islice, pairwise
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
from publisher.rdf.sparql_tokens import original_column, tokenize
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
_FORMS = frozenset({"SELECT", "CONSTRUCT", "DESCRIBE", "ASK"})


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
    default, named = request.default_graphs, request.named_graphs
    if default is None and named is None:
        graphs = _graphs(request.text, request.base)
        if graphs["FROM"] or graphs["NAMED"]:
            return graphs["FROM"], graphs["NAMED"]
    return (
        None if default is None else [NamedNode(iri) for iri in default],
        None if named is None else [NamedNode(iri) for iri in named],
    )


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
    has_variable = any(
        word.word() == "GRAPH" and following.kind == "variable"
        for word, following in pairwise(tokenize(text))
    )
    return sorted({graph.value for graph in _graphs(text, base)["GRAPH"]}), has_variable


def _graphs(text: str, base: str | None) -> dict[str, list[NamedNode]]:
    """Return the IRIs after FROM and NAMED outside of braces, and those after GRAPH; none if the
    text cannot be parsed (the engine reports the error).
    """
    graphs: dict[str, list[NamedNode]] = {"FROM": [], "NAMED": [], "GRAPH": []}
    if not _NAMED_GRAPH.search(text):
        return graphs
    tokens = tokenize(text)
    start = next((token.start for token in tokens if token.word() in _FORMS), 0)
    template, depth = "", 0
    for word, following in pairwise(tokens):
        depth += {"{": 1, "}": -1}.get(word.text, 0)
        is_clause = word.word() == "GRAPH" or (word.word() in graphs and not depth)
        if is_clause and following.kind in ("iri", "name"):
            template += f"<urn:{word.word()}> a {following.text} . "
    # the engine resolves the names by the prefixes and the base
    query = f"{text[:start]}\nCONSTRUCT {{ {template} }} {{}}"
    with suppress(SyntaxError):
        triples = Store().query(query, base_iri=base)
        assert isinstance(triples, QueryTriples)
        for keyword, _, graph in triples:
            graphs[keyword.value.removeprefix("urn:")].append(graph)
    return graphs


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
    selection = dropwhile(lambda token: token.word() not in _FORMS, tokens)
    form = next(selection, None)
    star = next((token for token in selection if token.word() not in ("DISTINCT", "REDUCED")), None)
    if form is None or form.word() != "SELECT" or star is None or star.text != "*":
        return text
    result = Store().query(text, base_iri=base)  # on an empty store, so only parsing takes time
    assert isinstance(result, QuerySolutions)
    names = {variable.value for variable in result.variables}
    variables = dict.fromkeys(token.text[1:] for token in tokens if token.kind == "variable")
    written = [f"?{name}" for name in variables if name in names]
    if not names or len(written) != len(names):
        return text
    before, after = text[: star.start], text[star.end :]
    return " ".join((before.removesuffix(" "), *written, after.removeprefix(" ")))


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
    listed = _CHARACTER_CLASSES.sub("", expected.removeprefix("expected one of ")).split(",\x20")
    words = dict.fromkeys(word.strip().removeprefix("expected ") for word in listed)
    tokens = [word for word in words if word and not word.startswith(("'", "[", "|"))]
    return "expected " + " or ".join(tokens[:8]) if tokens else "not SPARQL"
