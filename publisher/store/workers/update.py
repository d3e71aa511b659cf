"""A SPARQL update for a sandbox worker, and the graphs that the protocol names for it.

Source: https://www.w3.org/TR/sparql11-protocol/#update-operation
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise

from publisher.errors import QueryError
from publisher.rdf.sparql_tokens import Token, tokenize


@dataclass(frozen=True, slots=True)
class Update:
    """*text* and the base of its IRIs; *most* is how many quads the store may hold after it."""

    text: str
    base: str
    most: int

    def pack(self) -> bytes:
        """Write it as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Update:
        """Read what ``pack`` wrote."""
        return cls(**json.loads(data))


def using(text: str, default: tuple[str, ...], named: tuple[str, ...]) -> str:
    """Return the update with the graphs of ``using-graph-uri`` and ``using-named-graph-uri`` put in as its clauses USING.

    Raises QueryError where it has USING or WITH itself (section 2.2.3).

    >>> using("DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }", ("http://x/g",), ())
    'DELETE { ?s ?p ?o } USING <http://x/g> WHERE { ?s ?p ?o }'
    >>> using("DELETE WHERE { ?s ?p 1 }", (), ("http://x/g",))
    'DELETE { ?s ?p 1 } USING NAMED <http://x/g> WHERE { ?s ?p 1 }'
    """
    if not default and not named:
        return text
    clauses = "".join([*(f"USING <{iri}> " for iri in default), *(f"USING NAMED <{iri}> " for iri in named)])
    outside = list(_outside(text))
    if any(token.text.lower() in ("using", "with") for token, _ in outside):
        raise QueryError("the graphs are named by the request and by USING or WITH in the update; name them once")
    parts, done = [], 0
    for (before, _), (token, close) in pairwise([(Token("", "", 0), 0), *outside]):
        if token.text.lower() == "where":
            short = (
                before.text.lower() == "delete" and "{" not in text[before.end : token.start]
            )  # DELETE WHERE: the pattern is the template
            parts += [text[done : token.start], text[token.end : close].lstrip() + " " if short else "", clauses]
            done = token.start
    return "".join(parts) + text[done:]


def _outside(text: str) -> Iterator[tuple[Token, int]]:
    """Return the words outside of braces, each with where the first group after it ends."""
    depth, closings, words = 0, [], []
    for token in tokenize(text):
        depth += {"{": 1, "}": -1}.get(token.text, 0) if token.kind == "other" else 0
        if depth == 0 and token.text == "}":
            closings.append(token.end)
        elif depth == 0 and token.kind == "word":
            words.append(token)
    for word in words:
        yield word, next((end for end in closings if end > word.start), len(text))
