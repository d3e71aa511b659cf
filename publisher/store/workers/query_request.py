"""The request that the server sends to a query worker, and what its text may ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from publisher.rdf.sparql_tokens import Token, tokenize

# NOW(), RAND(), UUID() and STRUUID(), even with a comment before the bracket. One in a comment or a
# string counts too.
_VOLATILE = re.compile(r"(?:now|rand|uuid)\s*+[#(]", re.IGNORECASE)
# An IRI that may be an operator and the start of a string or a comment: the tokens after it may be
# wrong.
_AMBIGUOUS_IRI = re.compile(r"<(?!https?://)[^'#]*['#]", re.IGNORECASE)
_BEFORE_GRAPH = frozenset({"GRAPH", "FROM", "NAMED", "DESCRIBE"})


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """A query and how to answer it.

    *table* and *graph* are suffixes of result formats, None if no format of that kind is accepted.
    *default_graphs* None means the graphs of FROM or else the merge of all graphs, *named_graphs*
    None means all. *bindings* are N-Triples terms by variable; the variables must be in the
    projection. *rows* is the maximum number of rows. With *check* the query is only parsed.

    For a rewritten text, *inserted* are the line, column and width of each insertion, *note* is a
    message for the client, and *snapshot* is the folder of the snapshot that it was rewritten for,
    which is queried while it exists. If *release* is a number, that folder is the store of the
    release, and no other snapshot may be queried. With *explain* the result is a description of the
    evaluation, as JSON.
    """

    text: str
    table: str | None = "json"
    graph: str | None = "ttl"
    base: str | None = None
    default_graphs: tuple[str, ...] | None = None
    named_graphs: tuple[str, ...] | None = None
    bindings: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None
    inserted: tuple[tuple[int, int, int], ...] = ()
    note: str = ""
    check: bool = False
    snapshot: str = ""
    release: int | None = None
    explain: bool = False

    @property
    def volatile(self) -> bool:
        """Return whether the result may differ each time although the data are the same; True if in
        doubt.

        >>> QueryRequest("SELECT (NOW () AS ?now) {}").volatile, QueryRequest("SELECT ?now {}").volatile
        (True, False)
        """
        return _VOLATILE.search(self.text) is not None

    def pack(self) -> bytes:
        """Serialize as JSON; equal requests have equal bytes."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def unpack(cls, data: bytes) -> QueryRequest:
        """Parse what ``pack`` returned."""
        return cls(**json.loads(data))


def uses_service(query: str) -> bool:
    """Return whether *query* may contain a SERVICE clause; True if in doubt.

    The engine's grammar has no word boundaries: it accepts ``1service<x>{``, and ``servicex:y{`` or
    even ``service:y{`` where no triple is allowed. Source:
    https://www.w3.org/TR/sparql11-query/#sparqlGrammar

    >>> uses_service("SELECT * { SERVICE <http://example.org/> { ?s ?p ?o } }")
    True
    >>> uses_service("SELECT * { ?service a <http://example.org/SERVICE> } # SERVICE <x> {")
    False
    """
    if "service" not in query.lower():
        return False
    tokens = tokenize(query)
    before = [None, *tokens]
    after = [*tokens[1:], None]
    return any(_may_be_service(*context) for context in zip(before, tokens, after, strict=False))


def _may_be_service(before: Token | None, token: Token, after: Token | None) -> bool:
    if token.kind == "iri":
        return _AMBIGUOUS_IRI.match(token.text) is not None
    if token.kind == "name":
        is_keyword = "service" in token.text.partition(":")[0].lower()
        names_graph = before is not None and before.word() in _BEFORE_GRAPH
        return is_keyword and not names_graph and after is not None and after.text == "{"
    return "SERVICE" in token.word()
