"""Turn errors into responses: a page for pages, else problem+json (RFC 9457,
https://www.rfc-editor.org/rfc/rfc9457).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from harvesters.admin.errors import DatabaseUnavailable, HTTPProblem, SessionRequired
from harvesters.admin.pages import Pages
from harvesters.errors import (
    HarvestError,
    LedgerError,
    PlanError,
    SourceDefinitionError,
    SourceLockedError,
    error_reason,
)
from journal.errors import JournalError
from languages.translations import format_number, gettext
from web.problems import MEDIA, problem_response

_PROBLEM_SCHEMA = {
    "type": "object",
    "properties": {
        "type": {},
        "title": {},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_ERRORS = {
    401: "No key, or no valid one.",
    403: "The key's scope does not allow this.",
    404: "Not found.",
    409: "The plan is no longer open, or another run of the source is in progress.",
    422: "A value is not allowed.",
    429: "Too many invalid keys from this client.",
    503: "The ledger is locked, missing or not reachable.",
}
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {  # of each route of the API
    code: {"description": text, "content": {MEDIA: {"schema": _PROBLEM_SCHEMA}}}
    for code, text in _ERRORS.items()
}
# logged as information, since no operator has to act
_CLIENT_ERRORS = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
log = structlog.get_logger(component="admin")

# The first matching row applies.
_STATUS: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (PlanError, HTTPStatus.CONFLICT),
    (SourceLockedError, HTTPStatus.CONFLICT),
    (LedgerError, HTTPStatus.SERVICE_UNAVAILABLE),
    (SourceDefinitionError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (HarvestError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (JournalError, HTTPStatus.INTERNAL_SERVER_ERROR),
)


def install_error_handlers(app: FastAPI, pages: Pages) -> None:
    """Install the error handlers on *app*."""

    async def on_error(request: Request, error: Exception) -> Response:
        status, headers = _status(error)
        # its text may name hosts and files, which must not be disclosed
        if isinstance(error, LedgerError):
            log.error("ledger unavailable", reason=str(error))
            error = DatabaseUnavailable(
                "The database is locked, missing or unreachable. The server's log has details."
            )
        return _problem_response(request, pages, error, status, str(error), headers)

    async def on_wrong(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # Do not echo the input: it may contain a key.
        messages = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()
        )
        return _problem_response(
            request, pages, error, HTTPStatus.UNPROCESSABLE_ENTITY, messages, {}
        )

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _problem_response(
            request, pages, error, HTTPStatus(error.status_code), error.detail, error.headers or {}
        )

    for error_type in (HarvestError, JournalError):
        app.add_exception_handler(error_type, on_error)
    app.add_exception_handler(RequestValidationError, on_wrong)
    app.add_exception_handler(HTTPException, on_http)


def _status(error: Exception) -> tuple[HTTPStatus, Mapping[str, str]]:
    if isinstance(error, HTTPProblem):
        return error.status, error.headers
    status = next(status for error_type, status in _STATUS if isinstance(error, error_type))
    return status, {"Retry-After": "5"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}


def _problem_response(
    request: Request,
    pages: Pages,
    error: Exception,
    status: HTTPStatus,
    text: str,
    headers: Mapping[str, str],
) -> Response:
    _log_refusal(request, status, text)
    if not getattr(request.state, "page", False):
        return problem_response(status, status.phrase, text, dict(headers))
    localized = _localized(error)
    if isinstance(error, SessionRequired):
        values = {"why": localized, "failed": error.token_sent, "path": pages.return_path(request)}
        response: Response = pages.render("sign-in.html", values, status)
    else:
        language = None if localized else "en"  # other messages of the harvester are not translated
        detail = localized or text
        page = {"title": status.phrase, "detail": detail, "detail_language": language}
        response = pages.render("problem.html", {**page, "code": int(status)}, status)
    response.headers.update(headers)
    return response


def describe_error(error: Exception) -> str:
    """Return the error's message, in the language of the request if it is translated."""
    return _localized(error) or str(error)


def _localized(error: Exception) -> str | None:
    """Return the error's message in the language of the request, None if it is in English only."""
    if not isinstance(error, HarvestError | JournalError):
        return None
    reason = error_reason(error)
    return None if reason.code == "other" else reason.describe(gettext, format_number)


def _log_refusal(request: Request, status: HTTPStatus, text: str) -> None:
    """Log a refused request with its route template instead of its path, which may contain a key by
    mistake.
    """
    route = getattr(request.scope.get("route"), "path", "none")
    client = request.client.host if request.client else "unknown"
    who = getattr(request.state, "who", None)
    write = log.info if status in _CLIENT_ERRORS else log.warning
    write(
        "refused",
        status=int(status),
        method=request.method,
        route=route,
        client=client,
        who=who,
        reason=text,
    )
