"""``/openapi.json``: the OpenAPI description of the JSON API, generated from the routes, and
``/docs/api``, which shows it.

Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import gettext as _
from publisher.pages import BUNDLE_FOLDER, PagesDep
from web.endpoints import get
from web.respond import HTML, origin, respond

MEDIA = "application/json"
_SUMMARY = (
    "Initiatives for the information society, by WSIS action line and Sustainable Development Goal"
)
_DESCRIPTION = """The JSON API. The same data is available as RDF and as pages; the reference of all endpoints is at
[/docs/](/docs/), and `/.well-known/void` describes the data. The header `Stocktake-Position` of each response is the
number of the newest journal entry that the response shows. To copy all records, use `/oai`, `/ldes` or a feed.
"""
_TAGS = [
    {"name": "find", "description": "Search and lists"},
    {"name": "read", "description": "One thing, record, registry, run or concept"},
    {"name": "ask", "description": "SPARQL queries and exports"},
    {"name": "watch", "description": "State and changes"},
    {"name": "have", "description": "The catalog of data sets"},
]


router = APIRouter()


@get(router, "/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    body = orjson.dumps(
        openapi_description(request.app, origin(request)), option=orjson.OPT_INDENT_2
    )
    return respond(request, body, MEDIA)


@get(router, "/docs/api", include_in_schema=False)
async def api(request: Request, pages: PagesDep) -> Response:
    groups = _groups(openapi_description(request.app, ""))
    scripts = (BUNDLE_FOLDER / "api.js").exists()
    return respond(request, pages.page("api.html", scripts=scripts, groups=groups), HTML)


@cache
def response_schemas() -> dict[str, dict[str, Any]]:
    """Return JSON schemas by name, as the OpenAPI description has them."""
    schemas = tomllib.loads(Path(__file__).with_name("schemas.toml").read_text(encoding="utf-8"))
    for name, schema in schemas.items():
        members, optional = schema["properties"], schema.pop("optional", ())
        for member, value in members.items():
            if "$ref" not in value.get("anyOf", [value])[0]:
                value["title"] = member.replace("_", " ").title()
        schema.update(title=name, type="object")
        if required := [member for member in members if member not in optional]:
            schema["required"] = required
    return schemas


def openapi_description(app: FastAPI, host: str) -> dict[str, Any]:
    """Return the description of *app*, served at the origin *host*. The part without the host is
    generated once.
    """
    if app.openapi_schema is None:
        app.openapi_schema = _generate(app)
    return {**app.openapi_schema, "servers": [{"url": host}]}


def _groups(description: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    titles = {
        "find": _("Search and lists"),
        "read": _("Things, registries and concepts"),
        "ask": _("Queries"),
        "watch": _("State and changes"),
        "have": _("Data sets"),
    }
    operations = [
        (
            operation["tags"][0],
            {
                "method": method.upper(),
                "path": path,
                "summary": operation["summary"],
                "parameters": [parameter["name"] for parameter in operation.get("parameters", ())],
            },
        )
        for path, item in description["paths"].items()
        for method, operation in item.items()
    ]
    return [
        (title, [row for tag, row in operations if tag == name]) for name, title in titles.items()
    ]


def _generate(app: FastAPI) -> dict[str, Any]:
    description = get_openapi(
        title=app.title,
        version=version("stocktake"),
        summary=_SUMMARY,
        description=_DESCRIPTION,
        tags=_TAGS,
        routes=app.routes,
    )
    for item in description["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
            # FastAPI documents its own 422 for each endpoint with parameters; ours answers 400, or
            # 404 for the path.
            if operation["responses"].get("422", {}).get("description") == "Validation Error":
                del operation["responses"]["422"]
    schemas = description["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(response_schemas())
    return description


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter without the alternative null, which a URL cannot express."""
    alternatives = [item for item in schema.get("anyOf", ()) if item != {"type": "null"}]
    if len(alternatives) != 1:
        return schema
    return {**alternatives[0], **{name: value for name, value in schema.items() if name != "anyOf"}}
