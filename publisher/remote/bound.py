"""Bound: values put in the place of variables, for engines that take a text and nothing else.

It is for our own queries: the variables stand in the projection, and nothing in the text binds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from publisher.shelf.federation import Token, tokens

_LISTS = {"select": {"{", "where", "from"}, "group": {"having", "order", "limit", "offset", "}", "values"}}


def bind(query: str, bindings: Mapping[str, str]) -> str:
    """Put N-Triples terms in the place of variables, so that the answer has them as columns too.

    >>> bind("SELECT ?a ?b { ?a <x:p> ?b }", {"a": "<x:s>"})
    'SELECT (<x:s> AS ?a) ?b { <x:s> <x:p> ?b }'
    """
    return "".join(_told(tokens(query), bindings)) if bindings else query


def _told(found: Iterable[Token], bindings: Mapping[str, str]) -> Iterator[str]:
    within, depth, brackets = "", 0, 0
    for token in found:
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
