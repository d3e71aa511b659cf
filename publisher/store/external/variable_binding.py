"""Insert values of variables, and filters for hidden graphs, into the text of a query.

Only internal queries have such values: their variables are in the projection, and the query text
does not bind them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from publisher.rdf.sparql_tokens import Token, tokenize

_LISTS = {
    "select": {"{", "where", "from"},
    "group": {"having", "order", "limit", "offset", "}", "values"},
}


def bind(query: str, bindings: Mapping[str, str]) -> str:
    """Replace variables by N-Triples terms; the terms are still columns of the result.

    >>> bind("SELECT ?a ?b { ?a <x:p> ?b }", {"a": "<x:s>"})
    'SELECT (<x:s> AS ?a) ?b { <x:s> <x:p> ?b }'
    """
    return "".join(_tokens(tokenize(query, with_gaps=True), bindings)) if bindings else query


def _tokens(tokens: Iterable[Token], bindings: Mapping[str, str]) -> Iterator[str]:
    clause, depth, brackets = "", 0, 0
    for token in tokens:
        word = token.text.lower()
        if not brackets and word in _LISTS.get(clause, ()):
            clause = ""
        if token.kind == "word" and word in _LISTS:
            clause = word
        depth += {"{": 1, "}": -1}.get(word, 0)
        brackets += {"(": 1, ")": -1}.get(word, 0)
        value = bindings.get(token.text[1:]) if token.kind == "variable" else None
        if value is None:
            yield token.text
        elif brackets or not clause:
            yield value
        elif clause == "select" and not depth:
            yield f"({value} AS {token.text})"


def hide_graphs(query: str, graphs: Iterable[str]) -> str:
    """Exclude *graphs* from ``GRAPH ?g``: put each such pattern into a group with a filter.

    >>> hide_graphs("SELECT ?g { GRAPH ?g { ?s ?p ?o } }", ["x:merge"])
    'SELECT ?g { { GRAPH ?g { ?s ?p ?o } FILTER(?g NOT IN (<x:merge>)) } }'
    """
    hidden = ", ".join(f"<{graph}>" for graph in graphs)
    tokens, depth, ends = list(tokenize(query, with_gaps=True)), 0, []
    out: list[str] = []
    for index, token in enumerate(tokens):
        name = _graph_variable(tokens, index)
        if name:
            ends.append((depth, name))
            out.append("{ ")
        out.append(token.text)
        depth += {"{": 1, "}": -1}.get(token.text, 0)
        if token.text == "}" and ends and ends[-1][0] == depth:
            out.append(f" FILTER({ends.pop()[1]} NOT IN ({hidden})) }}")
    return "".join(out)


def _graph_variable(tokens: list[Token], index: int) -> str:
    """Return the variable of a GRAPH pattern that begins at token *index*, "" if there is none."""
    if tokens[index].kind != "word" or tokens[index].text.lower() != "graph":
        return ""
    after = (token for token in tokens[index + 1 :] if token.kind != "gap")
    following = next(after, None)
    return following.text if following and following.kind == "variable" else ""
