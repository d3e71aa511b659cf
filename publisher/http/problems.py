"""Problems: how an error is told to the reader, as RFC 9457 says (https://www.rfc-editor.org/rfc/rfc9457)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from publisher.errors import (
    Busy,
    Crowded,
    FederationRefused,
    LimitError,
    LoadRefused,
    NoFormat,
    NoRelease,
    NotReady,
    PublisherError,
    QueryError,
    Spent,
    SyntaxFault,
    TimeLimit,
    Withdrawn,
)
from publisher.http.negotiation import quality
from publisher.pages.pages import Pages

MEDIA = "application/problem+json"
log = structlog.get_logger(room="problems")

# The first row that fits is told; the tree of errors is walked from its leaves.
_STATUS: tuple[tuple[type[PublisherError], HTTPStatus, str], ...] = (
    (SyntaxFault, HTTPStatus.BAD_REQUEST, "Syntax error"),
    (LoadRefused, HTTPStatus.BAD_REQUEST, "LOAD is not supported"),
    (FederationRefused, HTTPStatus.BAD_REQUEST, "SERVICE is not supported"),
    (NoFormat, HTTPStatus.NOT_ACCEPTABLE, "Format not available"),
    (QueryError, HTTPStatus.BAD_REQUEST, "The query failed"),
    (Spent, HTTPStatus.TOO_MANY_REQUESTS, "Query quota reached"),
    (Crowded, HTTPStatus.TOO_MANY_REQUESTS, "Too many queries at once"),
    (TimeLimit, HTTPStatus.GATEWAY_TIMEOUT, "Time limit reached"),
    (LimitError, HTTPStatus.UNPROCESSABLE_ENTITY, "Query limit exceeded"),
    (NoRelease, HTTPStatus.NOT_FOUND, "Release not found"),
    (Withdrawn, HTTPStatus.GONE, "Release withdrawn"),
    (NotReady, HTTPStatus.SERVICE_UNAVAILABLE, "Not ready yet"),
    (Busy, HTTPStatus.SERVICE_UNAVAILABLE, "Server busy"),
    (PublisherError, HTTPStatus.INTERNAL_SERVER_ERROR, "The database is unavailable"),
)


COST = "Stocktake-Cost"  # seconds of evaluation
EXPORTS = '</exports>; rel="related"; title="run the query as an export"'


class Refused(Exception):
    """A request that is answered by a problem; *headers* go with it."""

    def __init__(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}


def problem(status: HTTPStatus, title: str, detail: str, headers: dict[str, str] | None = None, **more: int | None) -> Response:
    """Write a problem; *more* are members of its own, such as line and column, left out where None."""
    told = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
    told |= {name: value for name, value in more.items() if value is not None}
    return Response(json.dumps(told), status, headers, MEDIA)


def of_error(error: PublisherError) -> tuple[HTTPStatus, str, dict[str, str]]:
    """Give status, title and headers of the problem that *error* is."""
    status, title = next((status, title) for kind, status, title in _STATUS if isinstance(error, kind))
    headers = {COST: f"{error.seconds:.3f}"}
    if isinstance(error, Spent):
        headers["Retry-After"] = str(error.wait)
    elif status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = "2"
    elif isinstance(error, LimitError):
        headers["Link"] = EXPORTS
    return status, title, headers


_HERE_ALONE = ("/scratch", "/exports")  # what lies there is of no journal, so waiting for entries brings none of it


Steps = Callable[[], Awaitable[Sequence[object]]]
REFRESH = 3  # seconds until a browser asks again for a page that is not ready


async def _no_steps() -> Sequence[object]:
    return []


def wants_page(request: Request) -> bool:
    """Return whether the client prefers a page to problem details: a browser does."""
    accept = request.headers.get("accept", MEDIA)
    return quality(accept, "text/html") > quality(accept, MEDIA)


class Problems:
    """Tell errors to readers: as a page to a browser, as problem+json to any other client.

    *behind* tells how many entries of the journal are not shown yet. While there are such, what is not found may be among them, and another
    publisher of the same journal may have linked it: so it is no 404. *steps* are those of the first start, shown while it is not ready;
    *starting* returns why nothing is shown yet, "" once something is.
    """

    def __init__(
        self, pages: Pages, behind: Callable[[], int] = lambda: 0, steps: Steps = _no_steps, starting: Callable[[], str] = str
    ) -> None:
        self._pages, self._behind, self._steps, self._starting = pages, behind, steps, starting

    async def on_error(self, request: Request, error: Exception) -> Response:
        """Answer a PublisherError that a route raised."""
        assert isinstance(error, PublisherError)
        status, title, headers = of_error(error)
        detail = (self._starting() if isinstance(error, NotReady) else "") or str(error)
        if isinstance(error, NotReady) and wants_page(request) and (steps := await self._steps()):
            response = self._pages.page("start.html", status, steps=steps, reason=detail, refresh=REFRESH)
            response.headers.update(headers)
            return response
        if isinstance(error, SyntaxFault):
            return self._tell(request, status, title, str(error), headers, line=error.line, column=error.column)
        return self._tell(request, status, title, detail, headers)

    async def on_journal(self, request: Request, error: Exception) -> Response:
        """Answer a JournalError that a route raised; its text names files of ours, so it goes into the log alone."""
        log.error("the journal cannot be read", path=request.url.path, reason=str(error))
        status, detail = HTTPStatus.INTERNAL_SERVER_ERROR, "The journal of this server cannot be read; /health says more."
        return self._tell(request, status, status.phrase, detail, {})

    async def on_refused(self, request: Request, error: Exception) -> Response:
        """Answer a Refused that a route raised."""
        assert isinstance(error, Refused)
        if error.status is HTTPStatus.NOT_FOUND and not request.url.path.startswith(_HERE_ALONE) and (missing := self._behind()):
            late = NotReady(f"{error}; but {missing} journal entries are not loaded here yet; try again in a moment")
            return await self.on_error(request, late)
        return self._tell(request, error.status, error.status.phrase, str(error), error.headers)

    async def on_http(self, request: Request, error: Exception) -> Response:
        """Answer what the framework refuses: an unknown address, a wrong method."""
        assert isinstance(error, HTTPException)
        status = HTTPStatus(error.status_code)
        return self._tell(request, status, status.phrase, f"{request.method} {request.url.path}: {error.detail}", dict(error.headers or {}))

    def _tell(self, request: Request, status: HTTPStatus, title: str, detail: str, headers: dict[str, str], **more: int | None) -> Response:
        if not wants_page(request):
            return problem(status, title, detail, headers, **more)
        place = f" (line {more['line']}, column {more['column']})" if more.get("line") else ""
        told = {"title": title, "detail": detail + place, "status": int(status), "export": "Link" in headers}
        response = self._pages.page("problem.html", status, **told)
        response.headers.update(headers)
        return response
