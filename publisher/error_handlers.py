"""The error handlers of the app: each error as a page for a browser, as problem details for other
clients.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from journal.errors import JournalError
from languages.translations import TranslatableText
from publisher.errors import (
    DamagedFiles,
    MemoryLimit,
    NotReady,
    PublisherError,
    QuerySyntaxError,
    describe_error,
)
from publisher.pages import Pages
from publisher.store.query_service import QueryService
from web.endpoints import allowed_methods, describe_validation_error
from web.respond import HTTPProblem, Problem, install_error_handler, wants_page

_ERRORS: tuple[type[Exception], ...] = (
    *(PublisherError, JournalError, HTTPProblem),
    *(RequestValidationError, HTTPException, Exception),
)
log = structlog.get_logger(component="problems")

# Exports do not come from the journal: an unknown one stays 404 while entries are being loaded.
_LOCAL_PATH = "/exports"
# Queries of other paths need little memory: if one exceeds its limit, a damaged file may have a
# wrong length in it.
_CLIENT_QUERIES = ("/sparql", "/exports")
REFRESH_SECONDS = 3  # seconds until a browser reloads a page that is not ready
_JOURNAL_RETRY = "600"  # seconds: a person has to restore an entry
_DAMAGED = TranslatableText(
    "A file of the database is damaged. It is being rebuilt; try again in some minutes. /health shows the progress."
)
_FAILED = TranslatableText("The server failed to answer; its log has the cause.")
_JOURNAL_UNREADABLE = TranslatableText(
    "The journal of this server cannot be read; /health says more."
)


class ErrorHandler:
    """Responds to errors: with a page for a browser, with problem+json for any other client. *steps*
    are those of the first start.
    """

    def __init__(
        self,
        app: FastAPI,
        pages: Pages,
        service: QueryService,
        steps: Callable[[], Awaitable[Sequence[object]]],
    ) -> None:
        self._pages, self._service, self._steps = pages, service, steps
        self._respond = install_error_handler(app, _ERRORS, self.describe, self._render)

    async def describe(self, request: Request, error: Exception) -> Problem:
        """Describe an error by its class. Starlette raises an unexpected one again, so that it is
        logged; the server then closes the connection, as the response says.
        """
        path = request.url.path
        match error:
            case PublisherError():
                return await self._describe_publisher_error(request, error)
            case RequestValidationError():  # 400 for a parameter, 404 for a path
                is_path, detail = describe_validation_error(error)
                status = HTTPStatus.NOT_FOUND if is_path else HTTPStatus.BAD_REQUEST
                return await self.describe(request, HTTPProblem(status, detail))
            case HTTPProblem(status=HTTPStatus.NOT_FOUND) if self._service.awaited and not (
                path.startswith(_LOCAL_PATH)
            ):  # what is missing may be in a journal entry that is not loaded yet
                text = TranslatableText(
                    "{problem}; but {missing} journal entries are not loaded here yet; try again in a moment",
                    problem=_detail(error),
                    missing=self._service.awaited,
                )
                return await self.describe(request, NotReady(text))
            case HTTPProblem():
                return Problem(error.status, _detail(error), error.headers)
            case HTTPException():  # Starlette raises it: 404 for an unknown path, 405
                status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
                # Several routes may share a path, each with other methods.
                if status is HTTPStatus.METHOD_NOT_ALLOWED:
                    headers["Allow"] = ", ".join(allowed_methods(request))
                return Problem(status, f"{request.method} {path}: {error.detail}", headers)
            case JournalError():  # its text has paths of the server, so it is only logged
                log.error("the journal cannot be read", path=path, reason=str(error))
                headers = {"Retry-After": _JOURNAL_RETRY}
                return Problem(HTTPStatus.SERVICE_UNAVAILABLE, _JOURNAL_UNREADABLE, headers)
        return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, _FAILED, {"Connection": "close"})

    async def handle_damage(self, request: Request, error: Exception) -> Response | None:
        """Respond to an exception that the middleware caught: to a PublisherError as to that of a
        route; with 503 and a log line if a file of the store or its indexes is damaged. Return None
        for any other.
        """
        if isinstance(error, PublisherError):
            return await self._respond(request, error)
        if not await self._service.find_damage():
            return None
        log.warning(
            "request failed: files are damaged",
            path=request.url.path,
            reason=f"{type(error).__name__}: {error}",
        )
        return await self._respond(request, DamagedFiles(_DAMAGED))

    async def _describe_publisher_error(self, request: Request, error: PublisherError) -> Problem:
        status, title, headers = describe_error(error)
        path, is_failure = request.url.path, status is HTTPStatus.INTERNAL_SERVER_ERROR
        is_odd = isinstance(error, MemoryLimit) and not path.startswith(_CLIENT_QUERIES)
        if (is_failure or is_odd) and await self._service.find_damage():
            return await self.describe(request, DamagedFiles(_DAMAGED))
        if is_failure:
            log.error("request failed", path=path, reason=str(error))
        problem = Problem(status, _detail(error), headers, title)
        if isinstance(error, QuerySyntaxError):
            return problem._replace(extensions={"line": error.line, "column": error.column})
        if isinstance(error, NotReady):
            problem = problem._replace(detail=self._service.starting or problem.detail)
            if wants_page(request) and (steps := await self._steps()):
                values = {"steps": steps, "refresh": REFRESH_SECONDS}
                problem = problem._replace(template="start.html", values=values)
        return problem

    def _render(self, request: Request, problem: Problem) -> Response | None:
        if not wants_page(request):
            return None
        detail, place = problem.detail, problem.extensions
        text = detail.translated() if isinstance(detail, TranslatableText) else detail
        location = f" (line {place['line']}, column {place['column']})" if place.get("line") else ""
        values: dict[str, object] = {
            "title": problem.title or problem.status.phrase,
            "detail": f"{text}{location}",
            "translated": isinstance(detail, TranslatableText),
            "status": int(problem.status),
            "export": "Link" in problem.headers,
            "retry_after": problem.headers.get("Retry-After", ""),
            **problem.values,
        }
        return self._pages.page(problem.template, problem.status, **values)


def _detail(error: Exception) -> str:
    """Return the text of an error, with its translations if there are any."""
    text = error.args[0] if error.args else ""
    return text if isinstance(text, TranslatableText) else str(error)
