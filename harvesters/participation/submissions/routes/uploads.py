"""Upload a table of submissions, by HTTP and by the form; and the template of such a table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from harvesters.errors import ParseError
from harvesters.participation.submissions.model import labels
from harvesters.participation.submissions.routes.api import Body
from harvesters.participation.submissions.routes.form import (
    ROOT,
    PagesDep,
    Writing,
    require_session,
    session_of,
)
from harvesters.participation.submissions.submitters.identity import (
    COOKIE,
    SubmissionContext,
    SubmissionContextDep,
    SubmitterDep,
    count_write,
)
from harvesters.participation.submissions.tables import (
    CSV,
    MAX_ROWS,
    XLSX,
    read_table,
    template_csv,
    template_xlsx,
)
from harvesters.participation.submissions.uploads import RowResult, count_outcomes, submit_rows
from harvesters.problems import HTTPProblem, InvalidValue
from harvesters.site import check_same_site, render_errors_as_pages
from languages.request_locale import current_locale
from web.sessions import csrf_token
from web.templating import Pages

API_PATH, FORM_PATH = "/submissions/upload", f"{ROOT}/upload"
_FILE = {
    "requestBody": {
        "required": True,
        "content": {
            media: {"schema": {"type": "string", "format": "binary"}} for media in (CSV, XLSX)
        },
    }
}
_SUFFIXES = {"csv": CSV, "xlsx": XLSX}
_MAX_FIELDS = 4  # of the form

routes = APIRouter(prefix="/submissions", tags=["submissions"])
pages = APIRouter(
    prefix=ROOT, include_in_schema=False, dependencies=[Depends(render_errors_as_pages)]
)


@routes.get("/template.csv", summary="Download the template of a table as CSV")
def csv_template(context: SubmissionContextDep) -> Response:
    """Return the header, with columns for texts in the language of the request."""
    text = template_csv(context.site.base, current_locale().language)
    return Response(
        text, media_type=f"{CSV}; charset=utf-8", headers=_attachment("submissions.csv")
    )


@routes.get("/template.xlsx", summary="Download the template of a table as a workbook")
def xlsx_template(context: SubmissionContextDep) -> Response:
    """Return an empty table whose cells offer the values that they may have."""
    content = template_xlsx(context.site.base, current_locale().language)
    return Response(content, media_type=XLSX, headers=_attachment("submissions.xlsx"))


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Vary": "Accept-Language"}


@routes.post(
    "/upload",
    summary="Submit the rows of a table",
    openapi_extra=_FILE,
    dependencies=[Depends(count_write)],
)
def upload(
    request: Request,
    body: Body,
    context: SubmissionContextDep,
    submitter: SubmitterDep,
    dry_run: Annotated[bool, Query()] = False,
) -> Response:
    """Each row is stored for the moderators, known from before, or refused with the member and what
    to correct.

    With `dry_run=true` nothing is stored. A corrected file may be sent again: rows that were sent
    before stay as they are.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    rows = _read(body, media)
    results = submit_rows(context, submitter, rows, current_locale().language, dry_run=dry_run)
    return JSONResponse(
        {
            "dry_run": dry_run,
            **count_outcomes(results),
            "rows": [_row(context, result) for result in results],
        }
    )


def _read(body: bytes, media: str) -> list[Any]:
    try:
        return read_table(body, media)
    except ParseError as error:
        raise InvalidValue("The file cannot be read: %(why)s", why=str(error)) from error


def _row(context: SubmissionContext, result: RowResult) -> dict[str, Any]:
    url = f"{context.url}/submissions/{result.id}" if result.id else None
    findings, duplicates = (
        [asdict(item) for item in items] for items in (result.findings, result.duplicates)
    )
    about = {
        "row": result.number,
        "outcome": result.outcome.value,
        "title": result.title,
        "id": result.id,
        "url": url,
    }
    return {**about, "results": findings, "duplicates": duplicates}


@pages.get("/upload")
def show_upload(request: Request, context: SubmissionContextDep, templates: PagesDep) -> Response:
    """Show the form for a file; without a session, ask for the address."""
    context.source()
    if session_of(request, context) is None:
        return templates.render("identify.html", {"error": "", "mail": ""})
    return _page(request, templates)


async def read_upload(request: Request) -> AsyncIterator[FormData]:
    """Yield the form with the file, and close it. Raises CSRFError, InvalidValue."""
    check_same_site(request)
    try:
        form = await request.form(max_files=1, max_fields=_MAX_FIELDS)
    except (HTTPException, ValueError) as error:
        raise InvalidValue("The request body is not a valid form.") from error
    try:
        yield form
    finally:
        await form.close()


@pages.post("/upload", dependencies=[Writing])
def send_upload(
    request: Request,
    form: Annotated[FormData, Depends(read_upload)],
    context: SubmissionContextDep,
    templates: PagesDep,
) -> Response:
    """Check a file, or submit its rows, and show what became of each."""
    if session_of(request, context) is None:
        return RedirectResponse(FORM_PATH, HTTPStatus.SEE_OTHER)
    submitter = require_session(
        request,
        context,
        {name: [str(value)] for name, value in form.items() if isinstance(value, str)},
    )
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        return _page(request, templates, InvalidValue("Choose a file."))
    media = _SUFFIXES.get(file.filename.rpartition(".")[2].lower(), "")
    dry_run = form.get("then") != "send"
    try:
        results = submit_rows(
            context,
            submitter,
            _read(file.file.read(), media),
            current_locale().language,
            dry_run=dry_run,
        )
    except HTTPProblem as error:
        return _page(request, templates, error)
    return _page(request, templates, results=results, dry_run=dry_run)


def _page(
    request: Request,
    templates: Pages,
    error: HTTPProblem | None = None,
    results: Sequence[RowResult] = (),
    *,
    dry_run: bool = True,
) -> Response:
    values = {
        "error": error.localized if error else "",
        "results": results,
        "counts": count_outcomes(results),
        "dry_run": dry_run,
        "labels": labels(),
        "max_rows": MAX_ROWS,
        "csrf": csrf_token(request.cookies[COOKIE]),
    }
    return templates.render("upload.html", values, error.status if error else HTTPStatus.OK)
