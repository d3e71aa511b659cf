"""The server of the Model Context Protocol, over HTTP and over standard input and output: its tools,
which only read and answer from releases, its resources and its prompts.

The official SDK takes most of a second to import, so this module is imported by the first request
that needs it.

Sources: https://modelcontextprotocol.io/specification/, https://py.sdk.modelcontextprotocol.io/.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import wraps
from importlib.metadata import version
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import Field, StringConstraints
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from languages.translations import use_language
from publisher.apis.pinned import (
    Part,
    PinnedAnswer,
    PinnedRelease,
    check_terms,
    pin_release,
)
from publisher.data import count_queries
from publisher.data.properties import FACETS
from publisher.data.tables import Filter
from publisher.errors import PublisherError, QueryError, QuerySyntaxError
from publisher.portal.facet_labels import FacetLabels, facet_title, get_names
from publisher.rdf import iri, is_iri
from publisher.releases.metadata import title as release_title
from publisher.sparql.examples import completions, examples
from publisher.store.query_service import QueryService
from publisher.store.query_service import query as stored_query
from publisher.store.search.query import MAX_LENGTH
from vocab.initiative import Basis
from vocab.iris import KINDS
from vocab.lookup import AREA, country
from web.middleware import client_key
from web.respond import GRAPHS, TABLES, HTTPProblem, origin

NAME = "stocktake"
INSTRUCTIONS = (
    "Registries of digital development initiatives, joined as linked data by WSIS action line and Sustainable Development Goal. Call "
    "what_is_here first. State only what a tool returned, and give its link with each number: the link returns the same bytes from a "
    "numbered release. A tool that finds nothing returns an error; do not answer from memory instead. Say whether a link between a thing "
    "and a goal is declared by the registry, crosswalked from its code, or suggested by a classifier (the field basis), how fresh the "
    "registry is (freshness), and under which licence (licences)."
)
_READ_ONLY = ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
_LONGEST = 32_000  # characters of a query: it must fit the link

Release = Annotated[
    int | None, Field(description="The number of a release; null: the newest", ge=1, le=999_999_999)
]
Filters = Annotated[
    dict[str, Annotated[list[str], Field(max_length=50)]],
    Field(
        description=f"Accepted codes or English names by facet ({', '.join(FACETS)}), such as {{'country': ['Kenya']}}",
        max_length=20,
    ),
]
Bases = Annotated[
    list[Basis],
    Field(
        description="How links to action lines, goals and targets were made: declared, crosswalked, suggested",
        max_length=3,
    ),
]
Thing = Annotated[
    str, Field(description="The IRI of a thing, or the path of its page", max_length=2_000)
]

OVERVIEW = ("kind", "source", "language", "basis", "year")  # facets of the overview
MAX_RESULTS = 100  # the most results of a search
NEAREST = 3  # suggestions for an unknown code
_TIES = {facet.link_property for facet in FACETS.values() if facet.link_property}


class _Server(MCPServer[Any]):
    """A server that refuses arguments that a tool does not have; the SDK ignores them."""

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool. Raises ToolError with the nearest argument, or all of them."""
        tool = self._tool_manager.get_tool(name)
        known = list(tool.parameters["properties"]) if tool else []
        unknown = [argument for argument in arguments if tool and argument not in known]
        if unknown:
            near = get_close_matches(unknown[0], known, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
            in_filters = unknown[0] in FACETS and "filters" in known
            raise ToolError(
                f"{name} has no argument {unknown[0][:40]!r}; "
                + (f"write filters={{'{unknown[0]}': [...]}}" if in_filters else hint)
            )
        return await super().call_tool(name, arguments, context)


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools over *service*: each is answered from a release by a SPARQL query that its link
    runs again. Links begin with *host*; "": with the address that the request names. All raise
    PublisherError.
    """

    service: QueryService
    host: str = ""

    async def what_is_here(
        self, context: Context[Any, Any], release: Release = None
    ) -> PinnedAnswer:
        """List what there is: registries, counts, dates, licences, languages, facets and
        vocabulary. Call it first.
        """
        pinned, names = await self._pin(context, release), await get_names(self.service)
        parts = [(await self._ask_total(pinned, Filter()))[0]]
        parts += [
            (await self._count(pinned, Filter(bases=tuple(Basis)), facet, names))[0]
            for facet in OVERVIEW
        ]
        registries, _ = await pinned.ask("registries", stored_query("sources"))
        years = sorted(code for code in _first_column(parts[-1]["data"]) if code > "0000")
        summary = (
            f"{release_title(pinned.release)}: {parts[0]['data'].split()[1]} things of {len(pinned.release.sources)} registries"
            f"{f', of the years {years[0]} to {years[-1]}' if years else ''}. Kinds: {', '.join(KINDS)}. Facets for count and filters: "
            f"{', '.join(FACETS)}. Vocabulary: the resources stocktake://vocabulary and stocktake://examples, "
            f"and {pinned.host}/ns. Tools answer from releases only; data that are newer than the release are not in the answers."
        )
        return await pinned.answer(
            summary, [*parts, registries], [basis.value for basis in Basis], []
        )

    async def search(
        self,
        context: Context[Any, Any],
        words: Annotated[
            str,
            StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_LENGTH),
            Field(description="Search words, in any language"),
        ],
        filters: Filters = {},  # noqa: B006 - never changed
        basis: Bases = [Basis.DECLARED],  # noqa: B006
        limit: Annotated[int, Field(ge=1, le=MAX_RESULTS)] = 10,
        offset: Annotated[int, Field(ge=0, le=10_000)] = 0,
        release: Release = None,
    ) -> PinnedAnswer:
        """Find things by words of their titles, descriptions and labels, the best first. Nothing
        found is an error.
        """
        pinned, names = await self._pin(context, release), await get_names(self.service)
        chosen = await self._filter(pinned, filters, basis, names, words=words)
        total, note = await self._ask_total(pinned, chosen)
        text = count_queries.result_table(chosen, self.service.iris, limit, offset)
        table, _ = await pinned.ask("results", text)
        having = "have words similar to" if "similar" in note else "have the words"
        summary = f"{total['data'].split()[1]} things {having} {words!r}; the table lists the best."
        return await pinned.answer(
            summary, [total, table], _values(chosen.bases), list(chosen.codes("source")), note
        )

    async def describe(
        self, context: Context[Any, Any], thing: Thing, release: Release = None
    ) -> PinnedAnswer:
        """Return every statement about a thing, with its registry's licence. An unknown thing is an
        error.
        """
        pinned, iris = await self._pin(context, release), self.service.iris
        address = self._address(pinned, thing)
        kind, _, rest = address.removeprefix(f"{iris.base}id/").partition("/")
        if address.startswith(f"{iris.base}id/") and kind != "organization" and kind in KINDS:
            text = (
                f"{stored_query('graph')}VALUES ?graph {{ {iri(f'{iris.base}record/{rest}')} }}\n"
            )
        else:
            text, rest = f"{stored_query('about')}VALUES ?subject {{ {iri(address)} }}\n", ""
        sources = [rest.partition("/")[0]] if rest else []
        nothing = f"release {pinned.release.number} says nothing about {address}; search finds things by words"
        part, note = await pinned.ask("statements", text, "tsv", nothing)
        return await pinned.answer(
            f"What is said of {address}.", [part], _mentioned(part["data"]), sources, note
        )

    async def count(
        self,
        context: Context[Any, Any],
        by: Annotated[
            str,
            Field(
                description=f"A facet: {', '.join(FACETS)}; empty: the total only", max_length=40
            ),
        ] = "",
        filters: Filters = {},  # noqa: B006
        basis: Bases = [Basis.DECLARED],  # noqa: B006
        release: Release = None,
    ) -> PinnedAnswer:
        """Count the things that match filters, in total and by the codes of a facet."""
        pinned, names = await self._pin(context, release), await get_names(self.service)
        chosen = await self._filter(pinned, filters, basis, names)
        parts = [(await self._ask_total(pinned, chosen))[0]]
        summary = f"{parts[0]['data'].split()[1]} things match."
        if by:
            part, facet = await self._count(pinned, chosen, _facet(by), names)
            parts.append(part)
            summary += f" The table counts them by {facet}; a thing with several codes counts for each, and the filter of {by} is left out."
        return await pinned.answer(
            summary, parts, _values(chosen.bases), list(chosen.codes("source"))
        )

    async def query(
        self,
        context: Context[Any, Any],
        sparql: Annotated[
            str,
            Field(
                description="A SPARQL 1.1 query; see stocktake://examples",
                min_length=1,
                max_length=_LONGEST,
            ),
        ],
        format: Annotated[
            str, Field(description=f"The format: {', '.join([*TABLES, *GRAPHS])}", max_length=20)
        ] = "csv",
        release: Release = None,
    ) -> PinnedAnswer:
        """Run a SPARQL query. An unknown property or class is an error that names the nearest ones;
        so is an empty result.
        """
        pinned = await self._pin(context, release)
        terms = await check_terms(self.service, sparql)
        part, note = await pinned.ask("result", sparql, format)
        basis = _mentioned(" ".join([*(iri for _kind, iri in terms), part["data"]]))
        return await pinned.answer("The result of the query.", [part], basis, [], note)

    async def cite(
        self, context: Context[Any, Any], thing: Thing = "", release: Release = None
    ) -> PinnedAnswer:
        """Return how the release, and a thing in it if one is named, is cited."""
        pinned = await self._pin(context, release)
        parts, sources, release_ = [pinned.citation()], list[str](), pinned.release
        text = f"{release_title(release_)}, {release_.day}. {release_.iri}"
        if thing:
            described = await self.describe(context, thing, release_.number)
            parts, sources = [*parts, *described["parts"]], list(described["licences"])
            text = f"{self._address(pinned, thing)}. In: {text}"
        return await pinned.answer(f"Cite as: {text}", parts, [], sources)

    async def _pin(self, context: Context[Any, Any], release: int | None) -> PinnedRelease:
        """Return the release to ask, for the client of the request, whose quota it uses."""
        request = context.request_context.request
        if isinstance(request, Request):
            host, client = self.host or origin(request), client_key(request.scope)
            return await pin_release(self.service, release, host, client)
        return await pin_release(self.service, release, self.host)

    async def _ask_total(self, pinned: PinnedRelease, chosen: Filter) -> tuple[Part, str]:
        text = count_queries.total(chosen, self.service.iris, has_parts=await pinned.has_parts())
        return await pinned.ask("total", text)

    async def _count(
        self, pinned: PinnedRelease, chosen: Filter, facet: str, names: FacetLabels
    ) -> tuple[Part, str]:
        """Return the counts of a facet, and its title."""
        text = count_queries.counts(
            chosen, facet, self.service.iris, has_parts=await pinned.has_parts()
        )
        nothing = f"nothing that matches has a value of the facet {facet}; leave out filters"
        part, _ = await pinned.ask(f"by {facet}", text, nothing=nothing)
        with use_language("en"):
            values = _first_column(part["data"])
            part["labels"] = {
                value: names.short(facet, FACETS[facet].code(value, self.service.iris))
                for value in values
            }
            return part, facet_title(facet)

    async def _filter(
        self,
        pinned: PinnedRelease,
        filters: Filters,
        bases: Bases,
        names: FacetLabels,
        words: str = "",
    ) -> Filter:
        """Return the filter; a code may be given by its English name. Raises QueryError with the
        nearest names.
        """
        chosen: dict[str, tuple[str, ...]] = {}
        for facet, values in filters.items():
            codes = await self._codes(pinned, _facet(facet), names)
            chosen[facet] = tuple(sorted({_code(facet, value, codes) for value in values}))
        pairs = tuple(sorted((facet, codes) for facet, codes in chosen.items() if codes))
        return Filter(pairs, tuple(bases) or (Basis.DECLARED,), words=words)

    async def _codes(self, pinned: PinnedRelease, facet: str, names: FacetLabels) -> dict[str, str]:
        """Return the codes of a facet in the release, with their names."""
        part, _ = await self._count(pinned, Filter(bases=tuple(Basis)), facet, names)
        return {
            FACETS[facet].code(value, self.service.iris): label
            for value, label in part["labels"].items()
        }

    def _address(self, pinned: PinnedRelease, thing: str) -> str:
        """Return the IRI of a thing by its IRI or by an address or path of its page."""
        path = thing.strip().removeprefix(pinned.host)
        path = re.sub(r"\A/(?:page|id|data)/", f"{self.service.iris.base}id/", path)
        if not is_iri(path):
            raise QueryError(
                f"{thing[:80]!r} is neither an IRI nor the path of a page, such as /id/initiative/demo/1"
            )
        return path


def _facet(name: str) -> str:
    if name not in FACETS:
        nearest = get_close_matches(name, FACETS, NEAREST, 0.5)
        raise QueryError(
            f"unknown facet {name[:40]!r}; {f'did you mean {nearest[0]}?' if nearest else 'facets: ' + ', '.join(FACETS)}"
        )
    return name


def _code(facet: str, value: str, codes: Mapping[str, str]) -> str:
    """Return the code that *value* is, or names in English. Raises QueryError with the nearest
    ones.
    """
    text = value.strip()
    area = (country(text) or "").removeprefix(AREA) if facet == "country" else ""
    by_name = {
        name.casefold(): code
        for code, label in codes.items()
        for name in (label, label.partition(" ")[2], code)
        if name
    }
    if code := area if area in codes else by_name.get(text.casefold()):
        return code
    nearest = get_close_matches(text.casefold(), by_name, NEAREST, 0.4)
    known = ", ".join(f"{by_name[name]} ({codes[by_name[name]]})" for name in nearest) or ", ".join(
        sorted(codes)[:10]
    )
    raise QueryError(f"nothing has the {facet} {text[:60]!r}; nearest: {known}")


def _first_column(data: str) -> list[str]:
    return [row[0] for row in list(csv.reader(io.StringIO(data)))[1:]]


def _values(bases: Iterable[Basis]) -> list[str]:
    return [basis.value for basis in bases]


def _mentioned(text: str) -> list[str]:
    """Return how the links that *text* mentions were made, by the names of their properties."""
    return [
        basis.value
        for basis in Basis
        if any(
            f"#{tie if basis is Basis.DECLARED else basis.value + tie[0].upper() + tie[1:]}" in text
            for tie in _TIES
        )
    ]


def _explained(
    tool: Callable[..., Awaitable[PinnedAnswer]],
) -> Callable[..., Awaitable[PinnedAnswer]]:
    """Return *tool* with the errors that the client can understand as errors that keep their text."""

    @wraps(tool)
    async def answer(*arguments: Any, **options: Any) -> PinnedAnswer:
        try:
            return await tool(*arguments, **options)
        except QuerySyntaxError as error:
            place = f"line {error.line}, column {error.column}: " if error.line else ""
            raise ToolError(f"{place}{error}") from error
        except (PublisherError, HTTPProblem) as error:
            raise ToolError(str(error)) from error

    return answer


def create_server(service: QueryService, host: str = "") -> MCPServer[Any]:
    """Return a server over *service*. Links begin with *host*; "": with the address that the
    request names.
    """
    server = _Server(
        NAME,
        title="Stocktake",
        instructions=INSTRUCTIONS,
        version=version("stocktake"),
        log_level="WARNING",
        subscriptions=False,
    )
    tools = Tools(service, host)
    for title, tool in (
        ("What is here", tools.what_is_here),
        ("Search by words", tools.search),
        ("Describe a thing", tools.describe),
        ("Cite", tools.cite),
        ("Count by a facet", tools.count),
        ("Run a SPARQL query", tools.query),
    ):
        server.tool(title=title, annotations=_READ_ONLY)(_explained(tool))
    for item in server._tool_manager.list_tools():
        item.parameters["additionalProperties"] = False
    _add_resources(server, service)

    @server.prompt(title="Answer a question from the data")
    def answer_from_data(question: str) -> str:
        """Answer a question with numbers that each have their link."""
        return f"{INSTRUCTIONS}\n\nQuestion: {question}"

    return server


async def handle(server: MCPServer[Any], scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one POST. No session is kept, and no stream: a request ends with its response."""
    # First the body: an error of the manager's task group would hide that the body is too large.
    unread: list[Message] = [
        {"type": "http.request", "body": await Request(scope, receive).body(), "more_body": False}
    ]

    async def receive_again() -> Message:
        return unread.pop() if unread else await receive()

    manager = StreamableHTTPSessionManager(
        server._lowlevel_server, json_response=True, stateless=True
    )
    async with manager.run():
        await manager.handle_request(scope, receive_again, send)


def _add_resources(server: MCPServer[Any], service: QueryService) -> None:
    @server.resource(
        "stocktake://vocabulary",
        title="Classes, properties and concepts",
        mime_type="application/json",
    )
    async def vocabulary() -> str:
        """Return the prefixes, and the classes, properties and concepts that are defined or in use,
        with their English labels.
        """
        try:
            return json.dumps(await completions(service), ensure_ascii=False)
        except PublisherError as error:
            raise ResourceError(str(error)) from error

    @server.resource("stocktake://examples", title="Example queries", mime_type="application/json")
    async def example_list() -> str:
        """Return the example queries: name, title, description and text."""
        rows = [
            {
                "name": item.name,
                "title": item.titles["en"],
                "description": item.comments["en"],
                "query": item.text,
            }
            for item in examples(service.iris)
        ]
        return json.dumps(rows, ensure_ascii=False)
