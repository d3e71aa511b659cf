"""The SPARQL update that is sent to a sandbox worker, with the graphs of the protocol parameters.

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
    """An update *text* with the base of its IRIs; the store may contain at most *max_quads* quads
    after it.
    """

    text: str
    base: str
    max_quads: int

    def pack(self) -> bytes:
        """Serialize as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, data: bytes) -> Update:
        """Parse what ``pack`` returned."""
        return cls(**json.loads(data))


def using(text: str, default: tuple[str, ...], named: tuple[str, ...]) -> str:
    """Insert the graphs of ``using-graph-uri`` and ``using-named-graph-uri`` into an update as
    USING clauses.

    Raises QueryError if it already has USING or WITH (section 2.2.3).

    >>> using("DELETE { ?s ?p ?o } WHERE { ?s ?p ?o }", ("http://x/g",), ())
    'DELETE { ?s ?p ?o } USING <http://x/g> WHERE { ?s ?p ?o }'
    >>> using("DELETE WHERE { ?s ?p 1 }", (), ("http://x/g",))
    'DELETE { ?s ?p 1 } USING NAMED <http://x/g> WHERE { ?s ?p 1 }'
    """
    if not default and not named:
        return text
    clauses = "".join(
        [*(f"USING <{iri}> " for iri in default), *(f"USING NAMED <{iri}> " for iri in named)]
    )
    outside = list(_outside(text))
    if any(token.text.lower() in ("using", "with") for token, _ in outside):
        raise QueryError(
            "both the request and the update (USING or WITH) name graphs; name them in one place only"
        )
    parts, copied = [], 0
    for (before, _), (token, close) in pairwise([(Token("", "", 0), 0), *outside]):
        if token.text.lower() == "where":
            # DELETE WHERE: the pattern is the template
            short = before.text.lower() == "delete" and "{" not in text[before.end : token.start]
            parts += [
                text[copied : token.start],
                text[token.end : close].lstrip() + " " if short else "",
                clauses,
            ]
            copied = token.start
    return "".join(parts) + text[copied:]


def _outside(text: str) -> Iterator[tuple[Token, int]]:
    """Yield the words outside of braces, each with the end position of the first group after it."""
    depth, closings, words = 0, [], []
    for token in tokenize(text):
        depth += {"{": 1, "}": -1}.get(token.text, 0) if token.kind == "other" else 0
        if depth == 0 and token.text == "}":
            closings.append(token.end)
        elif depth == 0 and token.kind == "word":
            words.append(token)
    for word in words:
        yield word, next((end for end in closings if end > word.start), len(text))
