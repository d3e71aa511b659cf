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

from publisher.pages import PACKAGE_FOLDER, PagesDep
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
    text = (PACKAGE_FOLDER / "templates" / "llms.txt").read_text(encoding="utf-8")
    body = text.format(name=pages.branding.name, host=origin(request))
    return respond(request, body, "text/markdown; charset=utf-8")
