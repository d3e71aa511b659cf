"""The catalogue as a CKAN portal and as data.json, for portals that harvest either."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, NotRequired

import orjson
from fastapi import APIRouter, Depends, Path, Query
from pydantic import WithJsonSchema
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from publisher.dependencies import ServiceDep
from publisher.linked_data.catalog.ckan import ROWS, Json, PackageSearch, packages, search_packages
from publisher.linked_data.catalog.data_json import data_json
from publisher.linked_data.catalog.datasets import load_catalog
from web.endpoints import WebAddress, get, problems
from web.representation import Representation, build_response

_ACTIONS = ("package_list", "package_search", "package_show", "status_show")


Number = Annotated[str | None, WithJsonSchema({"type": "integer", "minimum": 0})]


class CkanAnswer(TypedDict):
    """A response of CKAN's Action API: *result* if *success* is true, else *error*."""

    help: NotRequired[WebAddress]
    success: bool
    result: NotRequired[object]
    error: NotRequired[dict[str, object]]


async def action_parameters(
    action: Annotated[
        str, Path(description="The action", json_schema_extra={"enum": list(_ACTIONS)})
    ],
    id: Annotated[
        str | None, Query(description="For package_show: the name or id of a package")
    ] = None,
    q: Annotated[str | None, Query(description="For package_search: words")] = None,
    fq: Annotated[str | None, Query(description="For package_search: a filter query")] = None,
    sort: Annotated[
        str | None, Query(description="For package_search: the order, such as `name asc`")
    ] = None,
    rows: Annotated[Number, Query(description="For package_search: packages a response")] = None,
    start: Annotated[Number, Query(description="For package_search: packages to skip")] = None,
    limit: Annotated[Number, Query(description="For package_list: names a response")] = None,
    offset: Annotated[Number, Query(description="For package_list: names to skip")] = None,
) -> None:
    """Declare the parameters. Clients may send them in a JSON body too; invalid ones get CKAN's own
    errors.
    """


router = APIRouter()


@get(
    router,
    "/data.json",
    operation_id="dataJson",
    summary="List all data sets by Project Open Data 1.1",
    tags=["have"],
    response_model=dict[str, object],
    response_description="The catalog",
    responses=problems(503),
)
async def project_open_data(request: Request, service: ServiceDep) -> Response:
    """Portals that harvest `data.json` read this."""
    document = data_json(await load_catalog(service, request), service.iris.base)
    return build_response(
        request,
        Representation(orjson.dumps(document, option=orjson.OPT_INDENT_2), "application/json"),
    )


@router.post("/api/3/action/{action}", include_in_schema=False)
@router.post("/api/action/{action}", include_in_schema=False)
@get(router, "/api/action/{action}", include_in_schema=False)
@get(
    router,
    "/api/3/action/{action}",
    operation_id="ckan",
    summary="List all data sets as CKAN's Action API does",
    tags=["have"],
    dependencies=[Depends(action_parameters)],
    response_model=CkanAnswer,
    response_description="The result of the action",
    responses={
        404: {"model": CkanAnswer, "description": "The action or the package does not exist"},
        409: {"model": CkanAnswer, "description": "A parameter is invalid"},
        **problems(503),
    },
)
async def action(request: Request, service: ServiceDep) -> Response:
    """Portals that harvest CKAN read this."""
    name = request.path_params["action"]
    try:
        params = await _read_parameters(request)
        result = _result(name, params, packages(await load_catalog(service, request)))
    except (ValueError, TypeError) as error:
        return _error_response(HTTPStatus.CONFLICT, "Validation Error", str(error))
    except LookupError as error:
        return _error_response(HTTPStatus.NOT_FOUND, "Not Found Error", str(error.args[0]))
    help_ = f"{service.iris.base}api/3/action/help_show?name={name}"
    return build_response(
        request,
        Representation(
            orjson.dumps({"help": help_, "success": True, "result": result}), "application/json"
        ),
    )


async def _read_parameters(request: Request) -> Mapping[str, object]:
    """Return the parameters of the URL and, as CKAN's own clients send them, of a JSON body; raises
    ValueError.
    """
    params: dict[str, object] = dict(request.query_params)
    if request.method == "POST" and (body := await request.body()):
        payload = orjson.loads(body)
        if not isinstance(payload, dict):
            raise ValueError("the body must be a JSON object")
        params |= payload
    return params


def _result(action: str, params: Mapping[str, object], candidates: list[Json]) -> object:
    """Return the result of one of CKAN's actions; raises LookupError and ValueError."""
    if action == "package_search":
        q, fq, sort = (str(params.get(name) or "") for name in ("q", "fq", "sort"))
        return search_packages(
            candidates, PackageSearch(q, fq, sort, *_window(params, "start", "rows", ROWS))
        )
    if action == "package_list":
        start, rows = _window(params, "offset", "limit", len(candidates))
        return sorted(str(package["name"]) for package in candidates)[start : start + rows]
    if action == "package_show":
        for package in candidates:
            if params.get("id") in (package["name"], package["id"]):
                return package
        raise LookupError(f"Package {params.get('id')} not found")
    if action == "status_show":
        return {"ckan_version": "2.10.0", "site_title": candidates[0]["title"], "extensions": []}
    raise LookupError(f"Unknown action; available: {', '.join(_ACTIONS)}")


def _window(params: Mapping[str, object], first: str, most: str, otherwise: int) -> tuple[int, int]:
    start, rows = int(str(params.get(first, 0))), int(str(params.get(most, otherwise)))
    if start < 0 or rows < 0:
        raise ValueError(f"{first} and {most} must be numbers from 0")
    return start, rows


def _error_response(status: HTTPStatus, kind: str, message: str) -> Response:
    """Return an error as CKAN does."""
    body = orjson.dumps({"success": False, "error": {"__type": kind, "message": message}})
    return Response(body, status, media_type="application/json")
