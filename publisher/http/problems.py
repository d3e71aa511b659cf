"""Errors as problem details (RFC 9457, https://www.rfc-editor.org/rfc/rfc9457)."""

from __future__ import annotations

import json
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from publisher.errors import (
    DamagedFiles,
    DamagedRelease,
    FederationRefused,
    LimitError,
    NoFormat,
    NotReady,
    PublisherError,
    QueryError,
    QuerySyntaxError,
    QuotaExceeded,
    ReleaseNotFound,
    StoreBusy,
    TimeLimit,
    TooManyQueries,
    Withdrawn,
)
from publisher.http.negotiation import quality

MEDIA = "application/problem+json"

# The first matching row counts: subclasses before their base classes.
_STATUS: tuple[tuple[type[PublisherError], HTTPStatus, str], ...] = (
    (QuerySyntaxError, HTTPStatus.BAD_REQUEST, "Syntax error"),
    (FederationRefused, HTTPStatus.BAD_REQUEST, "SERVICE is not supported"),
    (NoFormat, HTTPStatus.NOT_ACCEPTABLE, "Format not available"),
    (QueryError, HTTPStatus.BAD_REQUEST, "The query failed"),
    (QuotaExceeded, HTTPStatus.TOO_MANY_REQUESTS, "Query quota reached"),
    (TooManyQueries, HTTPStatus.TOO_MANY_REQUESTS, "Too many queries at once"),
    (TimeLimit, HTTPStatus.GATEWAY_TIMEOUT, "Time limit reached"),
    (LimitError, HTTPStatus.UNPROCESSABLE_ENTITY, "Query limit exceeded"),
    (ReleaseNotFound, HTTPStatus.NOT_FOUND, "Release not found"),
    (Withdrawn, HTTPStatus.GONE, "Release withdrawn"),
    (NotReady, HTTPStatus.SERVICE_UNAVAILABLE, "Not ready yet"),
    (StoreBusy, HTTPStatus.SERVICE_UNAVAILABLE, "Server busy"),
    (DamagedFiles, HTTPStatus.SERVICE_UNAVAILABLE, "Damaged files are being rebuilt"),
    (DamagedRelease, HTTPStatus.SERVICE_UNAVAILABLE, "The database is unavailable"),
    (PublisherError, HTTPStatus.INTERNAL_SERVER_ERROR, "The database is unavailable"),
)


COST = "Stocktake-Cost"  # seconds of evaluation
EXPORTS = '</exports>; rel="related"; title="run the query as an export"'


class HTTPProblem(Exception):
    """An error that is sent as problem details, with *headers*."""

    def __init__(
        self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}


def problem_response(
    status: HTTPStatus,
    title: str,
    detail: str,
    headers: dict[str, str] | None = None,
    **extensions: int | None,
) -> Response:
    """Return a response with problem details; *extensions* are extra members, such as line and
    column, omitted if None.
    """
    members = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
    members |= {name: value for name, value in extensions.items() if value is not None}
    return Response(json.dumps(members), status, headers, MEDIA)


def describe_error(error: PublisherError) -> tuple[HTTPStatus, str, dict[str, str]]:
    """Return status, title and headers of the problem details for *error*."""
    status, title = next(
        (status, title) for kind, status, title in _STATUS if isinstance(error, kind)
    )
    headers = {COST: f"{error.seconds:.3f}"}
    if isinstance(error, QuotaExceeded):
        headers["Retry-After"] = str(error.wait)
    elif isinstance(error, DamagedFiles):
        headers["Retry-After"] = "60"
    elif isinstance(error, DamagedRelease):
        headers["Retry-After"] = "600"  # a person has to restore it
    elif status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = "2"
    elif isinstance(error, LimitError):
        headers["Link"] = EXPORTS
    return status, title, headers


def wants_page(request: Request) -> bool:
    """Return whether the client prefers a page to problem details: a browser does."""
    accept = request.headers.get("accept", MEDIA)
    return quality(accept, "text/html") > quality(accept, MEDIA)
