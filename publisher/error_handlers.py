"""The error handlers of the app: each error as a page for a browser, as problem details for other
clients.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

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
from web.endpoints import allowed_methods, describe_validation_error
from web.problems import HTTPProblem, problem_response, wants_page

log = structlog.get_logger(component="problems")

# What it has does not come from the journal, so it returns 404.
_LOCAL_PATH = "/exports"
# Elsewhere a query needs little memory, unless a damaged file has a wrong length in it.
_CLIENT_QUERIES = ("/sparql", "/exports")

Steps = Callable[[], Awaitable[Sequence[object]]]
REFRESH_SECONDS = 3  # seconds until a browser reloads a page that is not ready


_JOURNAL_RETRY = "600"  # seconds: a person has to restore an entry
_DAMAGED = TranslatableText(
    "A file of the database is damaged. It is being rebuilt; try again in some minutes. /health shows the progress."
)
_FAILED = TranslatableText("The server failed to answer; its log has the cause.")
_JOURNAL_UNREADABLE = TranslatableText(
    "The journal of this server cannot be read; /health says more."
)


class ErrorHandlers:
    """Responds to errors: with a page for a browser, with problem+json for any other client.

    *behind* returns the number of journal entries that are not published yet. While there are any,
    an unknown thing returns 503 instead of 404, since it may be among them. *steps* are those of
    the first start; *starting* returns why nothing is published yet, "" otherwise. *find_damage*
    checks the files of the store after a failure.
    """

    def __init__(
        self,
        pages: Pages,
        behind: Callable[[], int],
        steps: Steps,
        starting: Callable[[], str],
        find_damage: Callable[[], Awaitable[str]],
    ) -> None:
        self._pages, self._behind, self._steps, self._starting = pages, behind, steps, starting
        self._find_damage = find_damage

    async def handle_publisher_error(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, PublisherError)
        status, title, headers = describe_error(error)
        is_failure = status is HTTPStatus.INTERNAL_SERVER_ERROR
        if is_failure or (
            isinstance(error, MemoryLimit) and not request.url.path.startswith(_CLIENT_QUERIES)
        ):
            if await self._find_damage():
                return await self.handle_publisher_error(request, DamagedFiles(_DAMAGED))
            if is_failure:
                log.error("request failed", path=request.url.path, reason=str(error))
        detail = (self._starting() if isinstance(error, NotReady) else "") or _detail(error)
        if isinstance(error, NotReady) and wants_page(request) and (steps := await self._steps()):
            response = self._pages.page(
                "start.html", status, steps=steps, refresh=REFRESH_SECONDS, **_in_language(detail)
            )
            response.headers.update(headers)
            return response
        if isinstance(error, QuerySyntaxError):
            return self._respond(
                request, status, title, str(error), headers, line=error.line, column=error.column
            )
        return self._respond(request, status, title, detail, headers)

    async def handle_unexpected_error(self, request: Request, error: Exception) -> Response:
        """Respond to any other exception with 500.

        The exception is raised again by Starlette, so that it is logged; the server then closes the
        connection, as the response says.
        """
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        return self._respond(request, status, status.phrase, _FAILED, {"Connection": "close"})

    async def handle_damage(self, request: Request, error: Exception) -> Response | None:
        """Respond to an exception of the middleware: to a PublisherError as that of a route; with
        503, and a line in the log, if a file of the store or its indexes is damaged; else return
        None.
        """
        if isinstance(error, PublisherError):
            return await self.handle_publisher_error(request, error)
        if not await self._find_damage():
            return None
        log.warning(
            "request failed: files are damaged",
            path=request.url.path,
            reason=f"{type(error).__name__}: {error}",
        )
        return await self.handle_publisher_error(request, DamagedFiles(_DAMAGED))

    async def handle_journal_error(self, request: Request, error: Exception) -> Response:
        """Respond to a JournalError; its text contains paths of the server, so it is only logged."""
        log.error("the journal cannot be read", path=request.url.path, reason=str(error))
        status = HTTPStatus.SERVICE_UNAVAILABLE
        return self._respond(
            request, status, status.phrase, _JOURNAL_UNREADABLE, {"Retry-After": _JOURNAL_RETRY}
        )

    async def handle_http_problem(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPProblem)
        if (
            error.status is HTTPStatus.NOT_FOUND
            and not request.url.path.startswith(_LOCAL_PATH)
            and (missing := self._behind())
        ):
            text = TranslatableText(
                "{problem}; but {missing} journal entries are not loaded here yet; try again in a moment",
                problem=_detail(error),
                missing=missing,
            )
            return await self.handle_publisher_error(request, NotReady(text))
        return self._respond(
            request, error.status, error.status.phrase, _detail(error), error.headers
        )

    async def handle_validation_error(self, request: Request, error: Exception) -> Response:
        """Respond to invalid parameters with 400, to an invalid path with 404."""
        assert isinstance(error, RequestValidationError)
        is_path, detail = describe_validation_error(error)
        return await self.handle_http_problem(
            request,
            HTTPProblem(HTTPStatus.NOT_FOUND if is_path else HTTPStatus.BAD_REQUEST, detail),
        )

    async def handle_http_exception(self, request: Request, error: Exception) -> Response:
        """Respond to an unknown path with 404, to an unsupported method with 405 and the header
        Allow.
        """
        assert isinstance(error, HTTPException)
        status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
        # Several routes may share a path, each with other methods.
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(allowed_methods(request))
        return self._respond(
            request,
            status,
            status.phrase,
            f"{request.method} {request.url.path}: {error.detail}",
            headers,
        )

    def _respond(
        self,
        request: Request,
        status: HTTPStatus,
        title: str,
        detail: str,
        headers: dict[str, str],
        **more: int | None,
    ) -> Response:
        if not wants_page(request):
            return problem_response(status, title, detail, headers, **more)
        location = f" (line {more['line']}, column {more['column']})" if more.get("line") else ""
        values = _in_language(detail)
        values |= {
            "title": title,
            "detail": f"{values['detail']}{location}",
            "status": int(status),
            "export": "Link" in headers,
            "retry_after": headers.get("Retry-After", ""),
        }
        response = self._pages.page("problem.html", status, **values)
        response.headers.update(headers)
        return response


def _in_language(detail: str) -> dict[str, object]:
    """Return *detail* in the language of the request where it has translations, and whether it has."""
    if isinstance(detail, TranslatableText):
        return {"detail": detail.translated(), "translated": True}
    return {"detail": detail, "translated": False}


def _detail(error: Exception) -> str:
    """Return the text of an error, with its translations if there are any."""
    return (
        error.args[0] if error.args and isinstance(error.args[0], TranslatableText) else str(error)
    )
