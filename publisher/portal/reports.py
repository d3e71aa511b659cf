"""Serve ``/reports/``: the stocktaking reports, each as a page, as PDF and as numbers."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from typing_extensions import TypedDict

from languages.request_locale import LANGUAGES
from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep
from publisher.portal.report.builder import NUMBERS, PRINT, REPORT, STYLE, list_reports
from publisher.store.query_service import QueryService
from web.endpoints import Count, contents, get, problems
from web.formats import quality
from web.problems import HTTPProblem
from web.respond import respond

_MEDIA = {
    REPORT: "text/html; charset=utf-8",
    PRINT: "application/pdf",
    STYLE: "text/css; charset=utf-8",
    NUMBERS: "application/json",
    "SHA256SUMS": "text/plain; charset=utf-8",
}


router = APIRouter()
ReportName = Annotated[str, Path(description="The name of the report")]
FileName = Annotated[str, Path(description="The file", json_schema_extra={"enum": list(_MEDIA)})]


class ReportJson(TypedDict):
    """A report on a release in a language; *files* are their sizes in bytes."""

    name: str
    title: str
    release: Count
    language: str
    files: dict[str, Count]


class ReportsJson(TypedDict):
    """All reports."""

    reports: list[ReportJson]


@get(
    router,
    "/reports/",
    operation_id="reports",
    summary="List the stocktaking reports",
    tags=["have"],
    response_model=ReportsJson,
    response_description="The reports",
    responses=contents("text/html"),
)
def listing(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """A report describes the data of a release in sentences, figures and numbers."""
    published = list_reports(service.data / "reports")
    accept = request.headers.get("accept")
    if accept and quality(accept, "application/json") > quality(accept, "text/html"):
        names = ReportJson.__annotations__
        reports = [{name: getattr(item, name) for name in names} for item in published]
        return JSONResponse({"reports": reports}, headers={"Vary": "Accept"})
    return pages.page("reports.html", reports=published, languages=LANGUAGES)


@get(router, "/reports/{name}/", include_in_schema=False)
def report(request: Request, service: ServiceDep, name: ReportName) -> Response:
    """Redirect to the report itself."""
    _find_file(service, name, REPORT)
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}/reports/{name}/{REPORT}", HTTPStatus.SEE_OTHER)


@get(
    router,
    "/reports/{name}/{file}",
    operation_id="reportFile",
    summary="Return a file of a report",
    tags=["have"],
    response_class=Response,
    response_description="The file",
    responses=contents(*_MEDIA.values()) | problems(404),
)
def file(request: Request, service: ServiceDep, name: ReportName, file: FileName) -> Response:
    """The report as a page and as PDF, its numbers as JSON, and the checksums."""
    return respond(request, _find_file(service, name, file), _MEDIA[file])


def _find_file(service: QueryService, name: str, file: str) -> FilePath:
    """Return the path of a file of a report; raises HTTPProblem (404) if there is none."""
    reports = service.data / "reports"
    path = reports / name / file
    if (
        file not in _MEDIA
        or name not in {item.name for item in list_reports(reports)}
        or not path.is_file()
    ):
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND, TranslatableText("There is no such report; /reports/ lists them")
        )
    return path
