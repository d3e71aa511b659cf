"""The server of the Model Context Protocol: its tools, resources and prompts, over HTTP and over
standard input and output.

The official SDK takes most of a second to import, so this module is imported by the first request
that needs it.

Sources: https://modelcontextprotocol.io/specification/, https://py.sdk.modelcontextprotocol.io/.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from difflib import get_close_matches
from importlib.metadata import version
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import CallToolResult, InputRequiredResult, ToolAnnotations
from pydantic import Field
from starlette.requests import Request
from starlette.types import Message, Receive, Scope, Send

from languages.request_locale import use_language
from publisher.apis.mcp.pinned import PinnedAnswer
from publisher.apis.mcp.tools import MAX_RESULTS, Tools
from publisher.errors import PublisherError, QuerySyntaxError
from publisher.portal.facet_labels import facet_title
from publisher.projections.facets.facets import FACETS
from publisher.sparql.examples import examples
from publisher.sparql.query_editor import completions
from publisher.store.query_service import QueryService
from publisher.store.workers.rate_limit import client_key
from web.formats import GRAPHS, TABLES
from web.links import origin
from web.problems import HTTPProblem

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
    dict[str, list[str]],
    Field(
        description=f"Accepted codes or English names by facet ({', '.join(FACETS)}), such as {{'country': ['Kenya']}}",
        max_length=20,
    ),
]
Bases = Annotated[
    list[str],
    Field(
        description="How links to action lines, goals and targets were made: declared, crosswalked, suggested",
        max_length=3,
    ),
]
Thing = Annotated[
    str, Field(description="The IRI of a thing, or the path of its page", max_length=2_000)
]
Words = Annotated[str, Field(description="Search words, in any language", max_length=1_000)]
Offset = Annotated[int, Field(ge=0, le=10_000)]


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

    def tools(context: Context[Any, Any]) -> Tools:
        request = context.request_context.request
        if isinstance(request, Request):
            return Tools(service, host or origin(request), client_key(request.scope))
        return Tools(service, host)

    _add_data_tools(server, tools)
    _add_query_tools(server, tools)
    _add_resources(server, service)
    _add_examples(server, service)
    _add_prompts(server, service)
    for tool in server._tool_manager.list_tools():
        tool.parameters["additionalProperties"] = False
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


async def run_on_standard_streams(server: MCPServer[Any]) -> None:
    """Answer the requests on standard input until it ends."""
    await server.run_stdio_async()


async def _answer(work: Coroutine[Any, Any, PinnedAnswer]) -> PinnedAnswer:
    """Return the answer; errors that the client can understand keep their text."""
    try:
        return await work
    except QuerySyntaxError as error:
        raise ToolError(
            f"line {error.line}, column {error.column}: {error}" if error.line else str(error)
        ) from error
    except PublisherError as error:
        raise ToolError(str(error)) from error
    except HTTPProblem as problem:
        raise ToolError(str(problem)) from problem


def _add_data_tools(server: MCPServer[Any], tools: Callable[[Context[Any, Any]], Tools]) -> None:
    @server.tool(title="What is here", annotations=_READ_ONLY)
    async def what_is_here(context: Context[Any, Any], release: Release = None) -> PinnedAnswer:
        """List what there is: registries, counts, dates, licences, languages, facets and
        vocabulary. Call it first.
        """
        return await _answer(tools(context).what_is_here(release))

    @server.tool(title="Search by words", annotations=_READ_ONLY)
    async def search(
        context: Context[Any, Any],
        words: Words,
        filters: Filters = {},  # noqa: B006 - never changed
        basis: Bases = ["declared"],  # noqa: B006
        limit: Annotated[int, Field(ge=1, le=MAX_RESULTS)] = 10,
        offset: Offset = 0,
        release: Release = None,
    ) -> PinnedAnswer:
        """Find things by words of their titles, descriptions and labels, the best first. Nothing
        found is an error.
        """
        return await _answer(tools(context).search(words, filters, basis, limit, offset, release))

    @server.tool(title="Describe a thing", annotations=_READ_ONLY)
    async def describe(
        context: Context[Any, Any], thing: Thing, release: Release = None
    ) -> PinnedAnswer:
        """Return every statement about a thing, with its registry's licence. An unknown thing is an
        error.
        """
        return await _answer(tools(context).describe(thing, release))

    @server.tool(title="Cite", annotations=_READ_ONLY)
    async def cite(
        context: Context[Any, Any], thing: Thing = "", release: Release = None
    ) -> PinnedAnswer:
        """Return how the release, and a thing in it if one is named, is cited."""
        return await _answer(tools(context).cite(thing, release))


def _add_query_tools(server: MCPServer[Any], tools: Callable[[Context[Any, Any]], Tools]) -> None:
    @server.tool(title="Count by a facet", annotations=_READ_ONLY)
    async def count(
        context: Context[Any, Any],
        by: Annotated[
            str,
            Field(
                description=f"A facet: {', '.join(FACETS)}; empty: the total only", max_length=40
            ),
        ] = "",
        filters: Filters = {},  # noqa: B006
        basis: Bases = ["declared"],  # noqa: B006
        release: Release = None,
    ) -> PinnedAnswer:
        """Count the things that match filters, in total and by the codes of a facet."""
        return await _answer(tools(context).count(by, filters, basis, release))

    @server.tool(title="Run a SPARQL query", annotations=_READ_ONLY)
    async def query(
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
        return await _answer(tools(context).query(sparql, format, release))


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

    @server.resource("stocktake://facets", title="Facets", mime_type="application/json")
    async def facets() -> str:
        """Return the facets by which things are counted and filtered, each with its title and
        SPARQL pattern.
        """
        with use_language("en"):
            rows = {
                name: {"title": facet_title(name), "pattern": facet.pattern}
                for name, facet in FACETS.items()
            }
        return json.dumps(rows, ensure_ascii=False)


def _add_examples(server: MCPServer[Any], service: QueryService) -> None:
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

    @server.resource(
        "stocktake://examples/{name}",
        title="An example query",
        mime_type="application/sparql-query",
    )
    async def example_text(name: str) -> str:
        """Return the text of an example query."""
        texts = {item.name: item.text for item in examples(service.iris)}
        if name not in texts:
            raise ResourceError(
                f"there is no example {name[:60]!r}; stocktake://examples lists them"
            )
        return texts[name]


def _add_prompts(server: MCPServer[Any], service: QueryService) -> None:
    @server.prompt(title="Answer a question from the data")
    def answer_from_data(question: str) -> str:
        """Answer a question with numbers that each have their link."""
        return f"{INSTRUCTIONS}\n\nQuestion: {question}"

    @server.prompt(title="Write a query with the vocabulary")
    def write_query(question: str) -> str:
        """Write a SPARQL query from the vocabulary and the examples, and run it."""
        titles = "\n".join(f"- {item.name}: {item.titles['en']}" for item in examples(service.iris))
        return (
            f"Write a SPARQL query that answers: {question}\nRead stocktake://vocabulary for the classes and properties, and the nearest "
            f"example at stocktake://examples/NAME:\n{titles}\nRun it with the tool query, and state the result with its link."
        )

    @server.prompt(title="Run an example query")
    def run_example(name: str) -> str:
        """Run one of the example queries and explain its result."""
        texts = {item.name: item for item in examples(service.iris)}
        if name not in texts:
            raise ValueError(f"there is no example {name[:60]!r}; there are {', '.join(texts)}")
        return f"Run this with the tool query and explain the result. {texts[name].comments['en']}\n\n{texts[name].text}"
