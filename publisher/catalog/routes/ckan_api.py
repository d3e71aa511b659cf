"""The catalogue as a CKAN portal and as data.json, for portals that harvest either."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.catalog.ckan import ROWS, Json, PackageSearch, packages, search_packages
from publisher.catalog.data_json import data_json
from publisher.catalog.datasets import load_catalog
from publisher.http.representation import Representation, build_response
from publisher.pages.templating import Pages
from publisher.store.query_service import QueryService

_ACTIONS = ("package_list", "package_search", "package_show", "status_show")


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/data.json`` and of CKAN's Action API."""
    routes = APIRouter()

    async def pod(request: Request) -> Response:
        document = data_json(await load_catalog(service, request), service.iris.base)
        return build_response(request, Representation(orjson.dumps(document, option=orjson.OPT_INDENT_2), "application/json"))

    async def action(request: Request) -> Response:
        name = request.path_params["action"]
        try:
            params = await _read_parameters(request)
            result = _result(name, params, packages(await load_catalog(service, request)))
        except (ValueError, TypeError) as error:
            return _error_response(HTTPStatus.CONFLICT, "Validation Error", str(error))
        except LookupError as error:
            return _error_response(HTTPStatus.NOT_FOUND, "Not Found Error", str(error.args[0]))
        help_ = f"{service.iris.base}api/3/action/help_show?name={name}"
        return build_response(request, Representation(orjson.dumps({"help": help_, "success": True, "result": result}), "application/json"))

    routes.add_route("/data.json", pod, methods=["GET", "HEAD"])
    for path in ("/api/action/{action}", "/api/3/action/{action}"):
        routes.add_route(path, action, methods=["GET", "HEAD", "POST"])
    return routes


async def _read_parameters(request: Request) -> Mapping[str, object]:
    """Read what is asked, from the address or, as CKAN's own clients send it, from a body of JSON; raises ValueError."""
    params: dict[str, object] = dict(request.query_params)
    if request.method == "POST" and (body := await request.body()):
        payload = orjson.loads(body)
        if not isinstance(payload, dict):
            raise ValueError("the body is an object of JSON")
        params |= payload
    return params


def _result(action: str, params: Mapping[str, object], candidates: list[Json]) -> object:
    """Answer one of CKAN's actions; raises LookupError and ValueError."""
    if action == "package_search":
        q, fq, sort = (str(params.get(name) or "") for name in ("q", "fq", "sort"))
        return search_packages(candidates, PackageSearch(q, fq, sort, *_window(params, "start", "rows", ROWS)))
    if action == "package_list":
        start, rows = _window(params, "offset", "limit", len(candidates))
        return sorted(str(package["name"]) for package in candidates)[start : start + rows]
    if action == "package_show":
        for package in candidates:
            if params.get("id") in (package["name"], package["id"]):
                return package
        raise LookupError(f"There is no package {params.get('id')}")
    if action == "status_show":
        return {"ckan_version": "2.10.0", "site_title": candidates[0]["title"], "extensions": []}
    raise LookupError(f"There are the actions {', '.join(_ACTIONS)}")


def _window(params: Mapping[str, object], first: str, most: str, otherwise: int) -> tuple[int, int]:
    start, rows = int(str(params.get(first, 0))), int(str(params.get(most, otherwise)))
    if start < 0 or rows < 0:
        raise ValueError(f"{first} and {most} are numbers from 0")
    return start, rows


def _error_response(status: HTTPStatus, kind: str, message: str) -> Response:
    """Tell an error as CKAN does."""
    body = orjson.dumps({"success": False, "error": {"__type": kind, "message": message}})
    return Response(body, status, media_type="application/json")
