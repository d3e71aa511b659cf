"""``/openapi.json``: the OpenAPI description of the JSON API (https://spec.openapis.org/oas/v3.1.0)."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.http.links import origin
from publisher.http.representation import Representation, build_response
from publisher.pages.templating import Pages
from publisher.store.query_service import QueryService

MEDIA = "application/json"


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of ``/openapi.json``."""
    routes = APIRouter()

    async def openapi(request: Request) -> Response:
        return build_response(
            request, Representation(orjson.dumps(openapi_description(origin(request)), option=orjson.OPT_INDENT_2), MEDIA)
        )

    routes.add_route("/openapi.json", openapi, methods=["GET", "HEAD"])
    return routes


def openapi_description(host: str) -> dict[str, Any]:
    """Return the description of this version at the address *host*."""
    description = _read()
    return {**description, "info": {**description["info"], "version": version("stocktake")}, "servers": [{"url": host}]}


@cache
def _read() -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads((files("publisher.openapi") / "openapi.json").read_bytes())
    return read
