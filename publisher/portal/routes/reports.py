"""Reports: ``/reports/`` lists the stocktaking reports that were made, each with its pages, its print and its numbers."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from languages.request_locale import LANGUAGES
from publisher.http.entity_tags import send_file
from publisher.http.negotiation import quality
from publisher.http.problems import HTTPProblem
from publisher.pages.templating import Pages
from publisher.portal.report.builder import NUMBERS, PRINT, REPORT, STYLE, list_reports
from publisher.store.query_service import QueryService

_MEDIA = {
    REPORT: "text/html; charset=utf-8",
    PRINT: "application/pdf",
    STYLE: "text/css; charset=utf-8",
    NUMBERS: "application/json",
    "SHA256SUMS": "text/plain; charset=utf-8",
}


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/reports/``."""
    routes = APIRouter()
    folder = service.data / "reports"

    async def listing(request: Request) -> Response:
        found = await run_in_threadpool(list_reports, folder)
        accept = request.headers.get("accept")
        if accept and quality(accept, "application/json") > quality(accept, "text/html"):
            reports = [
                {"name": item.name, "title": item.title, "release": item.release, "language": item.language, "files": item.files}
                for item in found
            ]
            return JSONResponse({"reports": reports}, headers={"Vary": "Accept"})
        return pages.page("reports.html", reports=found, languages=LANGUAGES)

    async def report(request: Request) -> Response:
        name = await _name(request)
        return RedirectResponse(f"{request.scope.get('root_path', '')}/reports/{name}/{REPORT}", HTTPStatus.SEE_OTHER)

    async def file(request: Request) -> Response:
        wanted = request.path_params["file"]
        path = folder / await _name(request) / wanted
        if wanted not in _MEDIA or not path.is_file():
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "There is no such report; /reports/ lists them")
        return await run_in_threadpool(send_file, request, path, _MEDIA[wanted])

    async def _name(request: Request) -> str:
        """Return the name of the report that the path names; raise Refused (404) where there is none."""
        name: str = request.path_params["name"]
        if name not in {item.name for item in await run_in_threadpool(list_reports, folder)}:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "There is no such report; /reports/ lists them")
        return name

    for path, endpoint in (("/reports/", listing), ("/reports/{name}/", report), ("/reports/{name}/{file}", file)):
        routes.add_route(path, endpoint, methods=["GET", "HEAD"])
    return routes
