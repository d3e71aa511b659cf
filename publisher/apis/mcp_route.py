"""``/mcp``, the Model Context Protocol over HTTP, and ``/llms.txt``, which describes the site for
machines.

Sources: https://modelcontextprotocol.io/specification/ (streamable HTTP), https://llmstxt.org/.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from importlib import import_module

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from publisher.pages import PagesDep
from web.endpoints import contents, get
from web.respond import origin, problem_response, respond

MCP_SERVER = "publisher.apis.mcp_server"  # imported late, with the SDK


class McpEndpoint:
    """The endpoint as an ASGI app. Its server is created by the first request, one for each app."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. Only POST is supported: no stream is kept open for a client, and no
        session can be deleted.
        """
        if scope["method"] != "POST":
            status = HTTPStatus.METHOD_NOT_ALLOWED
            detail = "POST a JSON-RPC message of the Model Context Protocol; streams and sessions are not supported"
            return await problem_response(status, status.phrase, detail, {"Allow": "POST"})(
                scope, receive, send
            )
        # The import is late, since it takes most of a second.
        module = await asyncio.to_thread(import_module, MCP_SERVER)
        state = scope["app"].state
        if not hasattr(state, "mcp"):
            state.mcp = module.create_server(state.service)
        await module.handle(state.mcp, scope, receive, send)


router = APIRouter()
router.add_route("/mcp", McpEndpoint(), include_in_schema=False)  # type: ignore[arg-type]  # an ASGI app is allowed too


# Sections of /llms.txt: of each link the title, the path and what is there.
_LINKS = {
    "Ask": (
        (
            "MCP server",
            "/mcp",
            "Model Context Protocol over HTTP by POST: tools what_is_here, search, describe, count, query, cite",
        ),
        (
            "SPARQL endpoint",
            "/sparql",
            "SPARQL 1.1; `release=NUMBER` asks a release, so that the link always returns the same",
        ),
        ("Example queries", "/examples", "queries that run, with their results"),
        ("Search", "/search?format=json", "things by words and facets, as JSON"),
        (
            "OpenAPI description",
            "/openapi.json",
            "every endpoint with its parameters, formats and errors",
        ),
    ),
    "Data": (
        (
            "Releases",
            "/releases/",
            "numbered, signed and never changed: N-Quads, Turtle, CSV, Parquet, and how to cite them",
        ),
        ("Catalogue", "/catalog.jsonld", "DCAT-AP, with the licence of each registry"),
        ("Changes", "/ldes", "every change as a linked data event stream"),
    ),
    "Vocabulary": (
        ("Ontology", "/ns", "classes and properties"),
        ("Action lines", "/scheme/action-line", "the WSIS action lines, with their codes"),
        (
            "Goals and targets",
            "/scheme/sdg",
            "the Sustainable Development Goals, targets and indicators, with the UN's own IRIs",
        ),
        (
            "Names to query",
            "/sparql/words",
            "classes, properties and concepts in use, with labels, as JSON",
        ),
    ),
    "State": (
        ("Registries", "/sources", "how fresh each is, and its licence"),
        ("About", "/about", "what is published, by whom, and how"),
    ),
}


@get(
    router,
    "/llms.txt",
    operation_id="llms",
    summary="Describe the site for machines",
    tags=["have"],
    response_class=Response,
    response_description="Markdown",
    responses=contents("text/markdown"),
)
async def describe_site(request: Request, pages: PagesDep) -> Response:
    """The form is that of llmstxt.org."""
    host = origin(request)
    lines = [
        f"# {pages.branding.name}",
        "",
        "> Registries of digital development initiatives, joined as linked data by WSIS action line and Sustainable Development Goal.",
        "",
        "Links between an initiative and a goal or action line are declared by the registry, crosswalked from its code, or suggested by a "
        "classifier; queries keep the three apart. Each registry has its own licence. A number is cited with the link that returns it "
        "from a release.",
    ]
    for section, links in _LINKS.items():
        lines += [
            "",
            f"## {section}",
            "",
            *(f"- [{title}]({host}{path}): {text}" for title, path, text in links),
        ]
    body = "".join(f"{line}\n" for line in lines)
    return respond(request, body, "text/markdown; charset=utf-8")
