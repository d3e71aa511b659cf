"""Problems: how the desk tells an error (RFC 9457, https://www.rfc-editor.org/rfc/rfc9457): to a page as a page, else as problem+json."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from harvesters.desk.errors import DeskError, SignedOut
from harvesters.desk.pages import Pages
from harvesters.errors import BusyError, CardError, HarvestError, LedgerError, PlanError
from journal.errors import JournalError

MEDIA = "application/problem+json"
_PLAIN = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.UNPROCESSABLE_ENTITY)  # slips, which nobody has to mend
log = structlog.get_logger(room="desk")

# The first row that fits is told.
_STATUS: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (PlanError, HTTPStatus.CONFLICT),
    (BusyError, HTTPStatus.CONFLICT),
    (LedgerError, HTTPStatus.SERVICE_UNAVAILABLE),
    (CardError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (HarvestError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (JournalError, HTTPStatus.INTERNAL_SERVER_ERROR),
)


def told(app: FastAPI, pages: Pages) -> None:
    """Have *app* tell its errors."""

    async def on_error(request: Request, error: Exception) -> Response:
        status, headers = _status(error)
        if isinstance(error, LedgerError):  # its text may name hosts and files; who has no key must not read them
            log.error("the ledger cannot be used", reason=str(error))
            error = LedgerError("the ledger is locked, missing or out of reach; the log of the server says more")
        return _answer(request, pages, error, status, str(error), headers)

    async def on_wrong(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # What was sent is not repeated: it may be a key.
        faults = "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors())
        return _answer(request, pages, error, HTTPStatus.UNPROCESSABLE_ENTITY, faults, {})

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _answer(request, pages, error, HTTPStatus(error.status_code), error.detail, error.headers or {})

    for kind in (HarvestError, JournalError):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(RequestValidationError, on_wrong)
    app.add_exception_handler(HTTPException, on_http)


def _status(error: Exception) -> tuple[HTTPStatus, Mapping[str, str]]:
    if isinstance(error, DeskError):
        return error.status, error.headers
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return status, {"Retry-After": "5"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}


def _answer(request: Request, pages: Pages, error: Exception, status: HTTPStatus, text: str, headers: Mapping[str, str]) -> Response:
    _note(request, status, text)
    if not getattr(request.state, "page", False):
        body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": text}
        return JSONResponse(body, status, headers, MEDIA)
    if isinstance(error, SignedOut):
        response: Response = pages.page("sign-in.html", {"why": text, "path": pages.way(request)}, status)
    else:
        response = pages.page("problem.html", {"title": status.phrase, "detail": text, "code": int(status)}, status)
    response.headers.update(headers)
    return response


def _note(request: Request, status: HTTPStatus, text: str) -> None:
    """Log what was refused; the route's form stands for the address, since a key may have been put into it by mistake."""
    route = getattr(request.scope.get("route"), "path", "none")
    client = request.client.host if request.client else "unknown"
    who = getattr(request.state, "who", None)
    tell = log.info if status in _PLAIN else log.warning
    tell("refused", status=int(status), method=request.method, route=route, client=client, who=who, reason=text)
