"""``/exports``: queue a query too large to wait for, and fetch its result as a file within a day."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, cast

from fastapi import APIRouter, Depends, Path
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from typing_extensions import TypedDict

from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep
from publisher.sparql.export_queue import Export, Exporter, ExportJson, ExportQueue, is_open
from publisher.sparql.protocol import parse_request, read_body, read_parameters
from publisher.store.workers.rate_limit import client_key
from web.endpoints import Count, get, other_contents, problems
from web.formats import GRAPHS, TABLES
from web.host import check_origin
from web.negotiation import wants_html
from web.problems import HTTPProblem

_NO_STORE = {"Cache-Control": "no-store", "Vary": "Accept"}
_JSON = (TABLES["json"],)  # the default format
_FORM = {
    "type": "object",
    "required": ["query"],
    "properties": {
        "query": {"type": "string"},
        "format": {"type": "string", "enum": [*TABLES, *GRAPHS]},
    },
}
_BODY = {
    "required": True,
    "content": {
        "application/x-www-form-urlencoded": {"schema": _FORM},
        "application/sparql-query": {"schema": {"type": "string"}},
    },
}


class QueueJson(TypedDict):
    """The number of open exports, and the limits of one: seconds, bytes of memory, rows, and bytes
    of the result.
    """

    waiting: Count
    limits: dict[str, float]


async def get_exporter(request: Request) -> Exporter:
    """Return the exporter of the app."""
    return cast(Exporter, request.app.state.exporter)


ExporterDep = Annotated[Exporter, Depends(get_exporter)]


async def find_export(
    exporter: ExporterDep,
    name: Annotated[str, Path(min_length=1, description="The id of the export")],
) -> Export:
    """Return the export of the path; raises HTTPProblem (404)."""
    if export := exporter.exports.get(name):
        return export
    raise HTTPProblem(
        HTTPStatus.NOT_FOUND,
        TranslatableText("Export not found. Exports are deleted a day after they end"),
    )


FoundExport = Annotated[Export, Depends(find_export)]


router = APIRouter()


@get(
    router,
    "/exports",
    operation_id="exports",
    summary="Return the length of the export queue and the limits of an export",
    tags=["ask"],
    response_model=QueueJson,
    response_description="The queue",
)
async def queue(
    request: Request, service: ServiceDep, pages: PagesDep, exporter: ExporterDep
) -> Response:
    """Exports run one at a time."""
    if wants_html(request.headers.get("accept"), _JSON):
        return pages.page(
            "exports.html", limits=service.limits, tables=TABLES.values(), graphs=GRAPHS.values()
        )
    limits = {
        name: getattr(service.limits, f"export_{name}")
        for name in ("seconds", "memory", "rows", "size")
    }
    waiting = sum(map(is_open, exporter.exports.all()))
    return JSONResponse({"waiting": waiting, "limits": limits}, headers=_NO_STORE)


@router.post(
    "/exports",
    operation_id="export",
    summary="Queue a query whose result is too large to wait for",
    tags=["ask"],
    status_code=HTTPStatus.ACCEPTED,
    response_model=ExportJson,
    response_description="The export is queued",
    responses=problems(400, 403, 406, 413, 415, 429, 503),
    openapi_extra={"requestBody": _BODY},
)
async def submit(request: Request, service: ServiceDep, exporter: ExporterDep) -> Response:
    """Location is the address of the export."""
    check_origin(request)
    params = read_parameters(request, await read_body(request))
    accept = request.headers.get("accept")
    page = wants_html(accept, _JSON)
    query = parse_request(params, None if page else accept, service.iris.base, None)
    await service.check(query)
    export = exporter.exports.add(query, client_key(request.scope))
    location = f"/exports/{export['id']}"
    if page:
        return RedirectResponse(location, HTTPStatus.SEE_OTHER)
    headers = {"Location": location, "Retry-After": "2", **_NO_STORE}
    return JSONResponse(_describe(export, exporter.exports), HTTPStatus.ACCEPTED, headers)


@get(
    router,
    "/exports/{name}",
    operation_id="exportState",
    summary="Return the state of an export",
    tags=["ask"],
    response_model=ExportJson,
    response_description="The export",
    responses=problems(404),
)
async def show(
    request: Request, pages: PagesDep, exporter: ExporterDep, export: FoundExport
) -> Response:
    """Retry-After says when to ask again."""
    if wants_html(request.headers.get("accept"), _JSON):
        response: Response = pages.page(
            "export.html",
            export=export,
            is_open=is_open(export),
            ahead=exporter.exports.ahead(export),
        )
    else:
        response = JSONResponse(_describe(export, exporter.exports))
    response.headers.update(_NO_STORE | ({"Retry-After": "2"} if is_open(export) else {}))
    return response


@router.delete(
    "/exports/{name}",
    operation_id="dropExport",
    summary="Delete an export",
    tags=["ask"],
    status_code=HTTPStatus.NO_CONTENT,
    response_description="The export is deleted",
    responses=problems(404),
)
async def delete(exporter: ExporterDep, export: FoundExport) -> Response:
    """A running export is stopped."""
    exporter.delete(export)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.post(
    "/exports/{name}/delete", include_in_schema=False, dependencies=[Depends(check_origin)]
)
async def delete_from_page(exporter: ExporterDep, export: FoundExport) -> Response:
    """Delete an export, for a form."""
    exporter.delete(export)
    return RedirectResponse("/exports", HTTPStatus.SEE_OTHER)


@get(
    router,
    "/exports/{name}/result",
    operation_id="exportResult",
    summary="Return the result of an export",
    tags=["ask"],
    response_class=Response,
    response_description="The result, in the format that the query asked for",
    responses=other_contents((*TABLES.values(), *GRAPHS.values())) | problems(404, 409),
)
async def result(exporter: ExporterDep, export: FoundExport) -> Response:
    """Range requests are supported."""
    if export["state"] != "done":
        raise HTTPProblem(
            HTTPStatus.CONFLICT,
            TranslatableText("The export is {state} and has no result", state=export["state"]),
            {"Retry-After": "2"} if is_open(export) else {},
        )
    return FileResponse(
        exporter.exports.folder / export["id"] / "result",
        media_type=export["media"],
        headers={"Cache-Control": "private, no-cache", "ETag": f'"{export["sha256"]}"'},
        filename=f"export-{export['id'][:8]}.{export['suffix']}",
    )


def _describe(export: Export, exports: ExportQueue) -> dict[str, object]:
    """Return what is reported of *export*."""
    ahead = {"ahead": exports.ahead(export)} if export["state"] == "queued" else {}
    members = {**export, **ahead}
    return {name: members[name] for name in ExportJson.__annotations__ if name in members}
