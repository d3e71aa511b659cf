"""``/exports``: queue a query too large to wait for, and fetch its result as a file within a day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus

from fastapi import APIRouter, FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response

from publisher.formats import GRAPHS, TABLES
from publisher.http.negotiation import wants_html
from publisher.http.problems import HTTPProblem
from publisher.pages.templating import Pages
from publisher.sparql.exporter import Exporter
from publisher.sparql.exports import Export, ExportQueue, ExportState
from publisher.sparql.protocol import parse_request, read_body, read_parameters
from publisher.sparql.streaming import client_address
from publisher.store.query_service import QueryService

_NEVER_KEPT = {"Cache-Control": "no-store", "Vary": "Accept"}
_JSON = (TABLES["json"],)  # the default format


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

    def find_export(request: Request) -> Export:
        export = exports.get(request.path_params["name"])
        if export is None:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "Export not found. Exports are deleted a day after they end")
        return export

    async def start(request: Request) -> Response:
        if request.method == "POST":
            return await _submit(request, service, exports)
        if wants_html(request.headers.get("accept"), _JSON):
            return pages.page("exports.html", limits=service.limits, tables=TABLES.values(), graphs=GRAPHS.values())
        waiting = sum(export.open for export in exports.all())
        return JSONResponse({"waiting": waiting, "limits": _limits(service)}, headers=_NEVER_KEPT)

    async def one(request: Request) -> Response:
        export = find_export(request)
        if request.method == "DELETE":
            return delete(export)
        if wants_html(request.headers.get("accept"), _JSON):
            response: Response = pages.page("export.html", export=export, query=export.query.text, ahead=exports.ahead(export))
        else:
            response = JSONResponse(_describe(export, exports))
        response.headers.update(_NEVER_KEPT | ({"Retry-After": "2"} if export.open else {}))
        return response

    async def drop(request: Request) -> Response:
        delete(find_export(request))
        return RedirectResponse("/exports", HTTPStatus.SEE_OTHER)

    def delete(export: Export) -> Response:
        exports.delete(export.id)
        exporter.stop(export.id)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def result(request: Request) -> Response:
        return _file(find_export(request), exports)

    routes.add_route("/exports", start, methods=["GET", "HEAD", "POST"])
    routes.add_route("/exports/{name}", one, methods=["GET", "HEAD", "DELETE"])
    routes.add_route("/exports/{name}/delete", drop, methods=["POST"])
    routes.add_route("/exports/{name}/result", result, methods=["GET", "HEAD"])
    return routes


async def _submit(request: Request, service: QueryService, exports: ExportQueue) -> Response:
    params = read_parameters(request, await read_body(request))
    page = wants_html(request.headers.get("accept"), _JSON)
    query = parse_request(params, None if page else request.headers.get("accept"), service.iris.base, None).question
    await service.check(query)
    export = exports.add(query, client_address(request))
    location = f"/exports/{export.id}"
    if page:
        return RedirectResponse(location, HTTPStatus.SEE_OTHER)
    return JSONResponse(_describe(export, exports), HTTPStatus.ACCEPTED, {"Location": location, "Retry-After": "2", **_NEVER_KEPT})


def _describe(export: Export, exports: ExportQueue) -> dict[str, object]:
    document: dict[str, object] = {"id": export.id, "state": export.state.value, "query": export.query.text, "asked": export.asked}
    if export.state is ExportState.QUEUED:
        document["ahead"] = exports.ahead(export)
    more = {name: getattr(export, name) for name in ("began", "ended", "expires", "position", "rows", "sha256", "reason")}
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
