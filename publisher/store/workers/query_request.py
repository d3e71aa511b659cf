"""What the server and a query worker send each other, the tokens of a query, and what its text asks
for.

Source: https://www.w3.org/TR/sparql11-query/#sparqlGrammar
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import dropwhile, islice, pairwise
from typing import NamedTuple

from pyoxigraph import (
    BlankNode,
    DefaultGraph,
    NamedNode,
    QueryBoolean,
    QuerySolutions,
    QueryTriples,
    Store,
    Triple,
)

from languages.translations import TranslatableText
from publisher.errors import QuerySyntaxError

# NOW(), RAND(), UUID() and STRUUID(), even with a comment before the bracket. One in a comment or a
# string counts too.
_VOLATILE = re.compile(r"(?:now|rand|uuid)\s*+[#(]", re.IGNORECASE)
# An IRI that may be an operator and the start of a string or a comment: the tokens after it may be
# wrong.
_AMBIGUOUS_IRI = re.compile(r"<(?!https?://)[^'#]*['#]", re.IGNORECASE)
_BEFORE_GRAPH = frozenset({"GRAPH", "FROM", "NAMED", "DESCRIBE"})
TEXT = "http://jena.apache.org/text#"  # the namespace of full-text search
_NAMED_GRAPH = re.compile(r"\b(?:from|graph)\b", re.IGNORECASE)
_FORMS = frozenset({"SELECT", "CONSTRUCT", "DESCRIBE", "ASK"})
FIELD = "Stocktake-Truncated"
# Bytes of a part: large enough for little overhead, small enough to stream.
CHUNK_SIZE = 64 * 1024
MEMORY_TEXT = TranslatableText(
    "the query was stopped at its memory limit; narrow it, sort or group fewer rows, run it as an export, "
    "or download a dump"
)


@dataclass(frozen=True, slots=True)
class QueryRequest:
    """A query and how to answer it.

    *table* and *graph* are suffixes of result formats, None if no format of that kind is accepted.
    *default_graphs* None means the graphs of FROM or else the merge of all graphs, *named_graphs*
    None means all. *bindings* are N-Triples terms by variable; the variables must be in the
    projection. *rows* is the maximum number of rows. With *check* the query is only parsed.

    For a rewritten text, *original* is the text as it was written, *note* is a message for the
    client, and *snapshot* is the folder of the snapshot that it was rewritten for, which is queried
    while it exists. If *release* is a number, that folder is the store of the release, and no other
    snapshot may be queried. With *explain* the result is a description of the evaluation, as JSON.
    """

    text: str
    table: str | None = "json"
    graph: str | None = "ttl"
    base: str | None = None
    default_graphs: tuple[str, ...] | None = None
    named_graphs: tuple[str, ...] | None = None
    bindings: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None
    original: str = ""
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

    @property
    def has_search(self) -> bool:
        """Return whether the query may contain a full-text search."""
        return TEXT in self.text

    def pack(self) -> bytes:
        """Serialize as JSON; equal requests have equal bytes."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def unpack(cls, data: bytes) -> QueryRequest:
        return cls(**json.loads(data))


@dataclass(frozen=True, slots=True)
class Truncation:
    """The limit at which a result was truncated, "rows", "seconds" or "memory", and its value in
    rows, seconds or bytes.
    """

    limit: str
    value: float

    @property
    def field(self) -> str:
        """Return the value of the header or trailer field, a dictionary
        (https://www.rfc-editor.org/rfc/rfc9651).

        >>> Truncation("rows", 5000).field
        'rows=5000'
        """
        return f"{self.limit}={self.value:.10g}"


class ResponsePart(NamedTuple):
    """A part of a response, the message that a worker sends: whole rows in the format *suffix*, and
    the engine. The last part has the number of rows of all parts, if known, and where the result is
    truncated.
    """

    data: bytes = b""
    suffix: str = ""
    engine: str = ""
    is_last: bool = True
    rows: int | None = None
    truncation: Truncation | None = None


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
    contexts = zip([None, *tokens], tokens, [*tokens[1:], None], strict=False)
    return any(_may_be_service(*context) for context in contexts)


def _may_be_service(before: Token | None, token: Token, after: Token | None) -> bool:
    if token.kind == "iri":
        return _AMBIGUOUS_IRI.match(token.text) is not None
    if token.kind == "name":
        is_keyword = "service" in token.text.partition(":")[0].lower()
        names_graph = before is not None and before.word() in _BEFORE_GRAPH
        return is_keyword and not names_graph and after is not None and after.text == "{"
    return "SERVICE" in token.word()


Result = QuerySolutions | QueryBoolean | QueryTriples | Iterator[Triple]


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
    # The engine resolves the names by the prefixes and the base.
    query = f"{text[:start]}\nCONSTRUCT {{ {template} }} {{}}"
    with suppress(SyntaxError):
        triples = Store().query(query, base_iri=base)
        assert isinstance(triples, QueryTriples)
        for keyword, _, graph in triples:
            graphs[keyword.value.removeprefix("urn:")].append(graph)
    return graphs


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
    around = text[: star.start].removesuffix(" "), text[star.end :].removeprefix(" ")
    return " ".join((around[0], *written, around[1]))


def count_rows(result: Result, limit: int | None) -> int:
    """Return the number of solutions or triples of *result*, at most *limit*; 1 for a boolean."""
    return 1 if isinstance(result, QueryBoolean) else sum(1 for _ in islice(result, limit))


_LOCAL = r"(?:[\w:.·-]|%[0-9A-Fa-f]{2}|\\[_~.\-!$&'()*+,;=/?\#@%])"
_TOKEN = re.compile(
    rf"""(?P<gap>(?:\s|\#[^\r\n]*+)++)
    |(?P<iri><[^<>"{{}}|^`\\\x00-\x20]*+>)
    |(?P<string>'''(?:[^'\\]|\\.|'(?!''))*+'''|\"\"\"(?:[^"\\]|\\.|"(?!""))*+\"\"\"|'(?:[^'\\\r\n]|\\.)*+'|"(?:[^"\\\r\n]|\\.)*+")
    |(?P<variable>[?$]\w++)
    |(?P<tag>@[A-Za-z]++(?:-[A-Za-z0-9]++)*+)
    |(?P<blank>_:[\w.·-]++)
    |(?P<name>(?:[^\W\d_](?:[\w.·-]*+)?)?:{_LOCAL}*+)
    |(?P<number>(?:\d++(?:\.\d++)?|\.\d++)(?:[eE][+-]?\d++)?)
    |(?P<word>\w++)
    |(?P<other>\^\^|.)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_CHARS = {"t": "\t", "b": "\b", "n": "\n", "r": "\r", "f": "\f", '"': '"', "'": "'", "\\": "\\"}


class Token(NamedTuple):
    """A token: *kind* is a group of the pattern, *start* its offset in the query."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def word(self) -> str:
        """Return a keyword in capitals, "" for other tokens."""
        return self.text.upper() if self.kind == "word" else ""


def tokenize(query: str, with_gaps: bool = False) -> list[Token]:
    """Return the tokens of *query*; with *with_gaps* also white space and comments, as tokens of
    the kind ``gap``.
    """
    tokens, offset = [], 0
    while match := _TOKEN.match(query, offset):
        kind, text = match.lastgroup or "other", match.group()
        if kind in ("name", "blank"):
            text = _without_final_dots(text)
        if with_gaps or kind != "gap":
            tokens.append(Token(kind, text, offset))
        offset += len(text)
    return tokens


def _without_final_dots(name: str) -> str:
    """Return a name without the dots at its end, which are tokens of their own unless they are
    escaped.
    """
    bare = name.rstrip(".")
    return name[: len(bare) + 1] if bare.endswith("\\") and len(bare) < len(name) else bare


def string_value(string: str) -> str:
    """Return the value of a string token.

    >>> string_value(r'"a\\tb\\u0041"')
    'a\\tbA'
    """
    quotes = 3 if string[:3] in ("'''", '"""') and len(string) >= 6 else 1
    return _ESCAPE.sub(_unescaped, string[quotes:-quotes])


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2]
    if code:
        number = int(code, 16)
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    return _CHARS.get(match[3], match[3])


def line_and_column(query: str, offset: int) -> tuple[int, int]:
    """Return line and column of *offset* in *query*; both count from 1."""
    before = query[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def syntax_error(query: str, offset: int, message: str) -> QuerySyntaxError:
    """Return the error that points to *offset* in *query*."""
    return QuerySyntaxError(message, *line_and_column(query, offset))
