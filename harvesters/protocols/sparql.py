"""The subjects of a SPARQL endpoint, listed in the order of their IRIs, then described in batches.

Queries go through ``Fetch`` and not through SPARQLWrapper, so that robots.txt, pauses, the check of
addresses and the archive apply to them.

Source: https://www.w3.org/TR/sparql11-protocol/
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pyoxigraph import Literal, NamedNode, Store

from harvesters.errors import HarvestError, ParseError, parser_errors
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, load_json
from harvesters.options import Count, Options, Positive, Texts
from harvesters.page_model import InvalidRecord, Payload
from harvesters.payloads.graph import PREFIXES, TYPE, Graph, iri
from harvesters.payloads.rdf_parser import builtin_context
from harvesters.payloads.value_parsing import natural
from harvesters.protocols.lists import (
    CURSOR_ERRORS,
    PAGE_ERRORS,
    RECORD_ERRORS,
    Batch,
    ListCursor,
    PagedProtocol,
    ServiceError,
)
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.rdf_reader import check_classes, describe, parse_rdf, query_template
from harvesters.reasons import Reason
from harvesters.source import Source

_TABLE = "application/sparql-results+json, application/json;q=0.9"
_GRAPH = "application/n-triples, text/turtle;q=0.9, application/rdf+xml;q=0.7"
_PAGE = 1000  # Subjects listed per query.
_MAX_SUBJECT_CHARS = 4000  # Keeps addresses below the usual limit of 8,000.
# No known endpoint truncates below this number of statements; Virtuoso's public ones do at 10,000.
_MIN_TRUNCATED = 1000

_LIST_ERRORS: tuple[type[HarvestError], ...] = (*PAGE_ERRORS, *CURSOR_ERRORS)


class SparqlOptions(Options):
    """The options of a SPARQL endpoint."""

    types: Annotated[Texts, AfterValidator(check_classes)] = Field(
        (), description="The classes whose instances are the records, e.g. `eurio:Project`."
    )
    pattern: str = Field(
        "",
        description="A graph pattern that binds `?subject` to the records, if classes do not select them.",
    )
    graph: str = Field(
        "", description="The named graph to query; without it the endpoint's default graph."
    )
    modified: str = Field(
        "dct:modified|schema:dateModified",
        description="The property path to the time when a record changed; empty if there is none.",
    )
    size: Positive = Field(
        20,
        description="The number of records described per query, fewer if the address would be too long.",
    )
    steps: Count = Field(1, description="How many steps away from a record its statements may be.")

    @model_validator(mode="after")
    def _check_queries(self) -> Self:
        if bool(self.types) == bool(self.pattern):
            raise ValueError(
                Reason(
                    "set either the option 'types' or the option 'pattern', which selects the records"
                )
            )
        path = f"({self.modified.strip() or 'a'})"
        try:
            for query in ("count", "undated"):
                Store().query(self.query(query, pattern=self.selection(), path=path))
        except (SyntaxError, ValueError) as error:
            text = "the options 'pattern', 'types' and 'modified' give an invalid SPARQL query: %(error)s"
            problem = " ".join(str(getattr(error, "msg", error)).split())
            raise ValueError(Reason(text, error=problem)) from error
        return self

    def selection(self, since: str = "") -> str:
        """Return the pattern of the records, or of those that changed since a day: dates and times
        are compared as text.
        """
        pattern = self.pattern
        if not pattern:
            names = [*map(iri, self.types)]
            # Both spellings of the namespace of schema.org are in use.
            names += [
                f"https:{name[5:]}" for name in names if name.startswith("http://schema.org/")
            ]
            classes = " ".join(str(NamedNode(name)) for name in names)
            pattern = f"VALUES ?class {{ {classes} }} ?subject a ?class ."
        if not since:
            return f"{{ {pattern} }}"
        changed = f"FILTER(STR(?modified) >= {Literal(since)})"
        return f"{{ {pattern} }} ?subject {self.modified.strip()} ?modified {changed}"

    def query(self, name: str, **terms: str) -> str:
        text = f"{self.pattern} {self.modified}"
        prologue = "".join(
            f"PREFIX {prefix}: {NamedNode(address)}\n"
            for prefix, address in PREFIXES.items()
            if f"{prefix}:" in text
        )
        return prologue + query_template(name).substitute(terms)


class Sparql(PagedProtocol[Graph]):
    """The subjects of an endpoint; the position is the IRI of the last one. A window is the day from
    which they changed, "" if open.
    """

    moves = False
    overlap = timedelta(days=1)

    def __init__(self, source: Source, fetch: Fetch, since: datetime | None) -> None:
        super().__init__(source, fetch, since)
        self.options = SparqlOptions.of(source)
        self.limit = _PAGE
        self.listed: list[str] = []  # The next subjects.

    def page_size(self, cursor: ListCursor) -> int:
        return self.options.size

    def start(self) -> ListCursor:
        """Begin with what changed if all subjects are dated, else with all, and the endpoint's
        count.
        """
        path = self.options.modified.strip()
        if self.since and path:
            with suppress(*PAGE_ERRORS):
                if not self._number("undated", pattern=self.options.selection(), path=f"({path})"):
                    self.windows = ((f"{self.since:%Y-%m-%d}",),)
        cursor = ListCursor(self.windows)
        try:
            pattern = self.options.selection(self.windows[0][0])
            return replace(cursor, total=self._number("count", pattern=pattern))
        except RECORD_ERRORS as error:
            # If this fails too, the endpoint is down.
            self._list(cursor, 1)
            text = "the endpoint does not count its records, so missing ones would not be noticed: %(error)s"
            return cursor.mark_incomplete(Reason(text, error=error.reason))

    def request(self, cursor: ListCursor, size: int) -> Batch:
        """Describe the next subjects. Raise ParseError if the endpoint truncates that, which its
        count shows.
        """
        self.listed = [name for name in self.listed if name > cursor.position]
        self.listed = self.listed or self._list_next(cursor)
        subjects = self.listed[:size]
        while len(subjects) > 1 and sum(map(len, subjects)) > _MAX_SUBJECT_CHARS:
            subjects.pop()
        if not subjects:
            return Batch(None, (), cursor.total, "")
        with parser_errors(Reason("the endpoint's name for it is not an IRI")):
            nodes = [*map(NamedNode, subjects)]
        branches = self._branches(nodes)
        reply = self._send(_GRAPH, "description", branches=branches)
        with parse_rdf(reply, builtin_context) as store:
            if _MIN_TRUNCATED <= len(store) < self._number("size", branches=branches):
                text = "%(url)s: truncates its responses (here to %(count)s statements)"
                raise ParseError(text, url=self.source.url, count=len(store))
            steps = self.options.steps
            items = [describe(store, node.value, node, steps) for node in nodes]
        return Batch(reply, items, cursor.total, subjects[-1])

    def probe(self, cursor: ListCursor, error: HarvestError) -> int | None:
        """List one subject, unless the endpoint has answered."""
        if not isinstance(error, ParseError):
            try:
                self._list(replace(cursor, position=""), 1)
            except RECORD_ERRORS as failure:
                raise error from failure
        return None

    def skip(self, cursor: ListCursor, error: HarvestError) -> tuple[InvalidRecord, ListCursor]:
        name = self.listed[0]
        return InvalidRecord(name, error.reason), replace(cursor, position=name)

    def _list_next(self, cursor: ListCursor) -> list[str]:
        """List the next subjects; fewer at once if the endpoint refuses so many or lists none."""
        while True:
            try:
                listed = self._list(cursor, self.limit)
                if listed or self.limit == 1 or cursor.offset >= (cursor.total or 0):
                    return listed
            except _LIST_ERRORS as error:
                if self.limit == 1:
                    raise ServiceError(error.reason) from error
            self.limit = max(1, self.limit // 4)

    def _list(self, cursor: ListCursor, limit: int) -> list[str]:
        after, pattern = cursor.position, self.options.selection(cursor.windows[0][0])
        rows = self._table("subjects", pattern=pattern, after=str(Literal(after)), limit=str(limit))
        listed = [row.get("subject", "") for row in rows]
        if any(later <= earlier for earlier, later in pairwise((after, *listed))):
            text = "%(source)s: %(url)s does not list its subjects sorted by IRI"
            raise ParseError(text, source=self.source.name, url=self.source.url)
        return listed

    def _branches(self, subjects: Sequence[NamedNode]) -> str:
        """Return the UNION of the subjects' statements and those of the nodes that they point to,
        step by step, except classes.
        """
        iris = " ".join(map(str, subjects))
        parts = [f"{{ VALUES ?node {{ {iris} }} ?node ?property ?value }}"]
        for steps in range(1, self.options.steps + 1):
            nodes = ["?start", *(f"?n{number}" for number in range(1, steps)), "?node"]
            path = " ".join(
                f"{a} ?p{n} {b} . FILTER(?p{n} != <{TYPE}>)"
                for n, (a, b) in enumerate(pairwise(nodes))
            )
            parts.append(f"{{ VALUES ?start {{ {iris} }} {path} ?node ?property ?value }}")
        return " UNION ".join(parts)

    def _number(self, query: str, **terms: str) -> int:
        rows = self._table(query, **terms)
        number = natural(rows[0].get("count")) if len(rows) == 1 else None
        if number is None:
            raise ParseError(
                "%(source)s: %(url)s returned no number for a COUNT query",
                source=self.source.name,
                url=self.source.url,
            )
        return number

    def _table(self, query: str, **terms: str) -> list[dict[str, str]]:
        """Send a SELECT query. Return its rows of IRIs and literals as texts; an IRI may be
        invalid.
        """
        document = load_json(self._send(_TABLE, query, **terms))
        text = "%(source)s: %(url)s did not answer a SELECT query with SPARQL results"
        with parser_errors(Reason(text, source=self.source.name, url=self.source.url)):
            rows = document["results"]["bindings"]
            return [{name: str(term["value"]) for name, term in row.items()} for row in rows]

    def _send(self, accept: str, query: str, **terms: str) -> Reply:
        parameters = {"query": self.options.query(query, **terms)}
        if self.options.graph:
            parameters["default-graph-uri"] = self.options.graph
        reply = self.fetch.get(self.source.url, parameters, accept=accept)
        # Virtuoso reached its time limit and returns a partial result.
        if state := reply.headers.get("x-sql-state"):
            raise ParseError(
                "%(source)s: %(url)s returned a partial result (%(state)s); reduce the "
                "option `size`",
                source=self.source.name,
                url=self.source.url,
                state=state,
            )
        return reply


PROTOCOL = Protocol(
    Sparql.collect,
    Payload.GRAPH,
    SparqlOptions,
    incremental=True,
    is_incremental=lambda source: bool(SparqlOptions.of(source).modified.strip()),
)
