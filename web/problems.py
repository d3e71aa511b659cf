"""Errors as problem details (RFC 9457, https://www.rfc-editor.org/rfc/rfc9457)."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from web.formats import quality

MEDIA = "application/problem+json"


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
    **extensions: Any,
) -> Response:
    """Return a response with problem details; *extensions* are extra members, such as line and
    column, omitted if None.
    """
    members = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
    members |= {name: value for name, value in extensions.items() if value is not None}
    return Response(json.dumps(members), status, headers, MEDIA)


def wants_page(request: Request) -> bool:
    """Return whether the client prefers a page to problem details: a browser does."""
    accept = request.headers.get("accept", MEDIA)
    return quality(accept, "text/html") > quality(accept, MEDIA)
