"""Check the Host header of requests, and keep it out of responses; check which site sends a form.

Sources: https://www.rfc-editor.org/rfc/rfc9112 section 3.2 (Host),
https://www.rfc-editor.org/rfc/rfc3986 section 3.2.2 (its form).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from web.problems import HTTPProblem, problem_response

_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?\Z")
# who may send a form; browsers state it (https://www.w3.org/TR/fetch-metadata/)
_OURS = ("same-origin", "none")


def check_origin(request: Request) -> None:
    """Raise HTTPProblem if a page of another site sends the request: older browsers name the site
    in Origin alone (https://www.rfc-editor.org/rfc/rfc6454#section-7).
    """
    host = request.headers.get("host", "")
    origin = request.headers.get("origin", f"//{host}")
    site = request.headers.get("sec-fetch-site", "none")
    if site not in _OURS or origin.rpartition("//")[2] != host:
        raise HTTPProblem(HTTPStatus.FORBIDDEN, "The form is sent from our own page only")


class HostCheck:
    """Answer 400 to a request with no Host, several, or an invalid one; HTTP/1.0 requests need
    none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request before routing."""
        if scope["type"] == "http" and not _is_valid(scope):
            detail = (
                "A request names the host that it is for in one header Host (RFC 9112, section 3.2)"
            )
            status = HTTPStatus.BAD_REQUEST
            return await problem_response(status, status.phrase, detail, {"Connection": "close"})(
                scope, receive, send
            )
        return await self._app(scope, receive, send)


def _is_valid(scope: Scope) -> bool:
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if not hosts:
        return bool(scope["http_version"] == "1.0")
    return len(hosts) == 1 and _HOST.match(hosts[0]) is not None


def with_public_host(scope: Mapping[str, Any], url: str) -> dict[str, Any]:
    """Return the scope of a request as if it had been sent to *url*, scheme and authority, whatever
    Host it named.

    Links that a route builds from its request begin with *url*, so a client cannot inject another
    host into cached pages.
    """
    parts = urlsplit(url)
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    return {
        **scope,
        "scheme": parts.scheme,
        "headers": [(b"host", parts.netloc.encode("ascii")), *headers],
    }


def own_path(location: str, url: str) -> str | None:
    """Return the path of a redirect to *url* itself, so that the client stays on the host that it
    used; None for other targets.

    >>> own_path("https://a.example/dumps/", "https://a.example"), own_path("https://a.example//b.example/", "https://a.example")
    ('/dumps/', None)
    """
    path = location.removeprefix(url)
    return path if location.startswith(f"{url}/") and not path.startswith("//") else None
