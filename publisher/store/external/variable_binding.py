"""Put values for variables, and filters for hidden graphs, into the text of a query.

Values in the place of variables are for our own queries: the variables stand in the projection, and nothing in the text binds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from publisher.rdf.sparql_tokens import Token, tokenize

_LISTS = {"select": {"{", "where", "from"}, "group": {"having", "order", "limit", "offset", "}", "values"}}


def bind(query: str, bindings: Mapping[str, str]) -> str:
    """Put N-Triples terms in the place of variables, so that the answer has them as columns too.

    >>> bind("SELECT ?a ?b { ?a <x:p> ?b }", {"a": "<x:s>"})
    'SELECT (<x:s> AS ?a) ?b { <x:s> <x:p> ?b }'
    """
    return "".join(_tokens(tokenize(query, with_gaps=True), bindings)) if bindings else query


def _tokens(tokens: Iterable[Token], bindings: Mapping[str, str]) -> Iterator[str]:
    within, depth, brackets = "", 0, 0
    for token in tokens:
        word = token.text.lower()
        if not brackets and word in _LISTS.get(within, ()):
            within = ""
        if token.kind == "word" and word in _LISTS:
            within = word
        depth += {"{": 1, "}": -1}.get(word, 0)
        brackets += {"(": 1, ")": -1}.get(word, 0)
        value = bindings.get(token.text[1:]) if token.kind == "variable" else None
        if value is None:
            yield token.text
        elif brackets or not within:
            yield value
        elif within == "select" and not depth:
            yield f"({value} AS {token.text})"


def hide_graphs(query: str, graphs: Iterable[str]) -> str:
    """Keep *graphs* from being found by ``GRAPH ?g``: each such pattern gets a group of its own with a filter.

    >>> hide_graphs("SELECT ?g { GRAPH ?g { ?s ?p ?o } }", ["x:merge"])
    'SELECT ?g { { GRAPH ?g { ?s ?p ?o } FILTER(?g NOT IN (<x:merge>)) } }'
    """
    hidden = ", ".join(f"<{graph}>" for graph in graphs)
    tokens, depth, ends = list(tokenize(query, with_gaps=True)), 0, []
    out: list[str] = []
    for place, token in enumerate(tokens):
        name = _named(tokens, place)
        if name:
            ends.append((depth, name))
            out.append("{ ")
        out.append(token.text)
        depth += {"{": 1, "}": -1}.get(token.text, 0)
        if token.text == "}" and ends and ends[-1][0] == depth:
            out.append(f" FILTER({ends.pop()[1]} NOT IN ({hidden})) }}")
    return "".join(out)


def _named(tokens: list[Token], place: int) -> str:
    """Return the variable of the pattern GRAPH that begins at *place*, "" where none does."""
    if tokens[place].kind != "word" or tokens[place].text.lower() != "graph":
        return ""
    after = (token for token in tokens[place + 1 :] if token.kind != "gap")
    following = next(after, None)
    return following.text if following and following.kind == "variable" else ""
