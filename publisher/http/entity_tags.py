"""Add entity tags to responses whose routes set none, and answer 304 where a tag matches.

Source: https://www.rfc-editor.org/rfc/rfc9110 sections 8.8.3 (ETag) and 13.1.2 (If-None-Match).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from http import HTTPStatus
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from publisher.http.conditional import SAFE_METHODS, matches_etag

_BODY_HEADERS = ("content-length", "content-type", "content-encoding")


class ETagMiddleware:
    """Set the hash of the body as ETag of complete responses to GET and HEAD, and answer 304 to a client that has it.

    Responses that have an ETag, must not be stored, or are streamed pass unchanged.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the app."""
        if scope["type"] != "http" or scope["method"] not in SAFE_METHODS:
            return await self._app(scope, receive, send)
        waiting: list[Message] = []

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and _needs_etag(message):
                waiting.append(message)
                return
            if waiting:
                start = waiting.pop()
                if not message.get("more_body", False):
                    message = _set_etag(scope, start, message)
                await send(start)
            await send(message)

        return await self._app(scope, receive, sending)


def _needs_etag(start: Message) -> bool:
    headers = Headers(raw=start["headers"])
    return start["status"] == HTTPStatus.OK and "etag" not in headers and "no-store" not in headers.get("cache-control", "")


def _set_etag(scope: Scope, start: Message, last: Message) -> Message:
    """Set the ETag of the response *start* with the body *last*; return the body message to send."""
    headers = MutableHeaders(raw=start["headers"])
    headers["ETag"] = f'"{blake2b(last.get("body", b""), digest_size=12).hexdigest()}"'
    headers.setdefault("Cache-Control", "no-cache")
    if not matches_etag(Headers(scope=scope), headers["etag"]):
        return last
    start["status"] = int(HTTPStatus.NOT_MODIFIED)
    for name in _BODY_HEADERS:
        del headers[name]
    return {**last, "body": b""}


def send_file(request: Request, path: Path, media: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response with the file at *path*, or the requested ranges of it; 304 if the client has the file.

    Without an ETag in *headers*, size and modification time make one.
    """
    response = FileResponse(path, media_type=media, headers=dict(headers or {}), stat_result=path.stat())
    response.headers.setdefault("Cache-Control", "no-cache")
    if not matches_etag(request.headers, response.headers["etag"]):
        return response
    remaining = {name: text for name, text in response.headers.items() if name not in _BODY_HEADERS and name != "accept-ranges"}
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=remaining)
