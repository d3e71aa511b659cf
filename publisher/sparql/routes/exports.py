"""``/exports``: queue a query too large to wait for, and fetch its result as a file within a day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Annotated, Literal, NotRequired

from fastapi import APIRouter, FastAPI, Path
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from typing_extensions import TypedDict

from publisher.formats import GRAPHS, TABLES
from publisher.http.endpoints import Count, Instant, get, problems
from publisher.http.negotiation import wants_html
from publisher.http.problems import HTTPProblem
from publisher.pages.templating import Pages
from publisher.sparql.exporter import Exporter
from publisher.sparql.exports import Export, ExportQueue, ExportState
from publisher.sparql.protocol import parse_request, read_body, read_parameters
from publisher.store.query_service import QueryService
from publisher.store.workers.rate_limit import client_key

_NEVER_KEPT = {"Cache-Control": "no-store", "Vary": "Accept"}
_JSON = (TABLES["json"],)  # the default format
ExportId = Annotated[str, Path(min_length=1, description="The id of the export")]
_FORM = {
    "type": "object",
    "required": ["query"],
    "properties": {"query": {"type": "string"}, "format": {"type": "string", "enum": [*TABLES, *GRAPHS]}},
}
_BODY = {
    "required": True,
    "content": {
        "application/x-www-form-urlencoded": {"schema": _FORM},
        "application/sparql-query": {"schema": {"type": "string"}},
    },
}


class QueueJson(TypedDict):
    """The number of open exports, and the limits of one: seconds, bytes of memory, rows, and bytes of the result."""

    waiting: Count
    limits: dict[str, float]


class ExportJson(TypedDict):
    """An export. *ahead* is its place in the queue; *result* is the path of the result once it is done."""

    id: str
    state: Literal["queued", "running", "done", "failed"]
    query: str
    requested: Instant
    ahead: NotRequired[Count]
    started: NotRequired[Instant]
    ended: NotRequired[Instant]
    expires: NotRequired[Instant]
    position: NotRequired[Count]
    rows: NotRequired[Count]
    sha256: NotRequired[str]
    reason: NotRequired[str]
    size: NotRequired[Count]
    result: NotRequired[str]
    media: NotRequired[str]


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/exports``; the exporter runs while they are served."""
    exports = ExportQueue(service.data / "exports", service.limits)
    exporter = Exporter(service, exports)

    @asynccontextmanager
    async def working(app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(exporter.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    routes = APIRouter(lifespan=working)

    def find_export(name: str) -> Export:
        export = exports.get(name)
        if export is None:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "Export not found. Exports are deleted a day after they end")
        return export

    @get(
        routes,
        "/exports",
        operation_id="exports",
        summary="Return the length of the export queue and the limits of an export",
        tags=["ask"],
        response_model=QueueJson,
        response_description="The queue",
    )
    async def queue(request: Request) -> Response:
        if wants_html(request.headers.get("accept"), _JSON):
            return pages.page("exports.html", limits=service.limits, tables=TABLES.values(), graphs=GRAPHS.values())
        waiting = sum(export.open for export in exports.all())
        return JSONResponse({"waiting": waiting, "limits": _limits(service)}, headers=_NEVER_KEPT)

    @routes.post(
        "/exports",
        operation_id="export",
        summary="Queue a query whose result is too large to wait for",
        tags=["ask"],
        status_code=HTTPStatus.ACCEPTED,
        response_model=ExportJson,
        response_description="The export is queued",
        responses=problems(400, 406, 413, 415, 429, 503),
        openapi_extra={"requestBody": _BODY},
    )
    async def submit(request: Request) -> Response:
        return await _submit(request, service, exports)

    @get(
        routes,
        "/exports/{name}",
        operation_id="exportState",
        summary="Return the state of an export",
        tags=["ask"],
        response_model=ExportJson,
        response_description="The export",
        responses=problems(404),
    )
    async def show(request: Request, name: ExportId) -> Response:
        export = find_export(name)
        if wants_html(request.headers.get("accept"), _JSON):
            response: Response = pages.page("export.html", export=export, query=export.query.text, ahead=exports.ahead(export))
        else:
            response = JSONResponse(_describe(export, exports))
        response.headers.update(_NEVER_KEPT | ({"Retry-After": "2"} if export.open else {}))
        return response

    @routes.delete(
        "/exports/{name}",
        operation_id="dropExport",
        summary="Delete an export",
        tags=["ask"],
        status_code=HTTPStatus.NO_CONTENT,
        response_description="The export is deleted",
        responses=problems(404),
    )
    async def delete(name: ExportId) -> Response:
        remove(find_export(name))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @routes.post("/exports/{name}/delete", include_in_schema=False)
    async def delete_from_page(name: ExportId) -> Response:
        remove(find_export(name))
        return RedirectResponse("/exports", HTTPStatus.SEE_OTHER)

    def remove(export: Export) -> None:
        exports.delete(export.id)
        exporter.stop(export.id)

    @get(routes, "/exports/{name}/result", include_in_schema=False)
    async def result(name: ExportId) -> Response:
        return _file(find_export(name), exports)

    return routes


async def _submit(request: Request, service: QueryService, exports: ExportQueue) -> Response:
    params = read_parameters(request, await read_body(request))
    page = wants_html(request.headers.get("accept"), _JSON)
    query = parse_request(params, None if page else request.headers.get("accept"), service.iris.base, None).question
    await service.check(query)
    export = exports.add(query, client_key(request.scope))
    location = f"/exports/{export.id}"
    if page:
        return RedirectResponse(location, HTTPStatus.SEE_OTHER)
    return JSONResponse(_describe(export, exports), HTTPStatus.ACCEPTED, {"Location": location, "Retry-After": "2", **_NEVER_KEPT})


def _describe(export: Export, exports: ExportQueue) -> dict[str, object]:
    document: dict[str, object] = {"id": export.id, "state": export.state.value, "query": export.query.text, "requested": export.requested}
    if export.state is ExportState.QUEUED:
        document["ahead"] = exports.ahead(export)
    more = {name: getattr(export, name) for name in ("started", "ended", "expires", "position", "rows", "sha256", "reason")}
    document |= {name: value for name, value in more.items() if value is not None}
    if export.state in (ExportState.RUNNING, ExportState.DONE):
        document["size"] = export.size
    if export.state is ExportState.DONE:
        document |= {"result": f"/exports/{export.id}/result", "media": _media(export)}
    return document


def _media(export: Export) -> str:
    suffix = export.suffix or ""
    return (TABLES.get(suffix) or GRAPHS[suffix]).media


def _file(export: Export, exports: ExportQueue) -> Response:
    if export.state is not ExportState.DONE:
        raise HTTPProblem(
            HTTPStatus.CONFLICT, f"The export is {export.state.value} and has no result", {"Retry-After": "2"} if export.open else {}
        )
    headers = {"Cache-Control": "private, no-cache", "ETag": f'"{export.sha256}"'}
    name = f"export-{export.id[:8]}.{export.suffix}"
    return FileResponse(exports.result(export), media_type=_media(export), headers=headers, filename=name)


def _limits(service: QueryService) -> dict[str, float]:
    limits = service.limits
    return {"seconds": limits.export_seconds, "memory": limits.export_memory, "rows": limits.export_rows, "size": limits.export_size}
