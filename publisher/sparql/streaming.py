"""Stream a response. One that ends early says so, or the connection is closed: a partial response
never looks complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Protocol, TypeVar

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from publisher.errors import PublisherError
from publisher.http.problems import COST, EXPORTS
from publisher.store.query_service import QueryService
from publisher.store.workers.ipc_protocol import FRAME_SIZE
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.rate_limit import client_key
from publisher.store.workers.response_buffer import DiskQuota, ResponseBuffer
from publisher.store.workers.truncation import FIELD, Truncation
from publisher.store.workers.worker import Answer

log = structlog.get_logger(component="streaming")

Result = TypeVar("Result")

DISCONNECT_CHECK_DELAY = 0.05  # seconds before a task watches for a disconnect


class Closable(Protocol):
    """A resource that is closed when the response ends, complete or not."""

    def close(self) -> None: ...  # noqa: D102


class StreamedAnswer(Response):
    """A streamed response. Trailer fields report its cost and whether it ended early.

    After an error, or a truncation that neither the format nor trailers can report, the end is not
    sent, so that the server closes the connection.
    """

    def __init__(
        self,
        rest: AsyncIterator[bytes],
        resource: Closable,
        answer: Answer,
        headers: dict[str, str],
        quota: DiskQuota,
    ) -> None:
        super().__init__(None, headers=headers)
        del self.headers["content-length"]
        self._rest, self._resource, self._answer = rest, resource, answer
        self._buffer = ResponseBuffer(quota)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response until it ends or the client disconnects; to HEAD only the headers."""
        if scope["method"] == "HEAD":
            self._resource.close()
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            return await send({"type": "http.response.body", "body": b"", "more_body": False})
        reading = asyncio.ensure_future(self._read())
        sending = asyncio.ensure_future(self._send(reading, send, *_trailer_support(scope)))
        disconnected = asyncio.ensure_future(_wait_for_disconnect(receive))
        try:
            await asyncio.wait({sending, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, sending, disconnected):
                task.cancel()
            await asyncio.gather(reading, sending, disconnected, return_exceptions=True)
            self._buffer.close()
            self._resource.close()

    async def _read(self) -> None:
        """Read the result as fast as it arrives."""
        try:
            async for chunk in self._rest:
                await self._buffer.put(chunk)
        finally:
            self._buffer.end()

    async def _send(
        self, reading: asyncio.Future[None], send: Send, supported: bool, client_accepts: bool
    ) -> None:
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        if supported:
            start |= {
                "headers": [*self.raw_headers, (b"trailer", f"{FIELD}, {COST}".encode())],
                "trailers": True,
            }
        await send(start)
        while (chunk := await self._buffer.get()) is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        try:
            await reading
        except PublisherError as error:
            log.warning("response aborted", reason=str(error))
            return
        if (truncation := self._answer.truncation) and not (self._answer.marked or client_accepts):
            log.warning(
                "response aborted: it was truncated, and its format cannot say so",
                truncation=truncation.field,
            )
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if supported:
            values = {
                **({FIELD: truncation.field} if truncation else {}),
                COST: format_cost(self._answer.seconds),
            }
            fields = [(name.lower().encode(), value.encode()) for name, value in values.items()]
            await send(
                {"type": "http.response.trailers", "headers": fields, "more_trailers": False}
            )


def _trailer_support(scope: Scope) -> tuple[bool, bool]:
    """Return whether the server can send trailer fields, and whether the client accepts them (TE:
    trailers).
    """
    supported = (
        "http.response.trailers" in (scope.get("extensions") or {})
        and scope.get("http_version") == "1.1"
    )
    tokens = (
        b",".join(value for name, value in scope["headers"] if name == b"te").lower().split(b",")
    )
    return supported, supported and any(
        token.partition(b";")[0].strip() == b"trailers" for token in tokens
    )


def format_cost(seconds: float) -> str:
    """Format the cost of a query in seconds.

    >>> format_cost(0.12345)
    '0.123'
    """
    return f"{seconds:.3f}"


def cost_headers(seconds: float, truncation: Truncation | None = None) -> dict[str, str]:
    """Return the headers for cost and truncation of a response that is complete before it is sent."""
    return {
        COST: format_cost(seconds),
        **({FIELD: truncation.field, "Link": EXPORTS} if truncation else {}),
    }


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def run_query(
    request: Request,
    service: QueryService,
    query_request: QueryRequest,
    seconds: float | None = None,
) -> Answer:
    """Run the query; it is cancelled if the client disconnects before the response starts."""
    return await cancel_on_disconnect(
        request, service.query(query_request, seconds, client_key(request.scope))
    )


async def cancel_on_disconnect(request: Request, work: Coroutine[object, object, Result]) -> Result:
    """Await *work*; cancel it and the request if the client disconnects first."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=DISCONNECT_CHECK_DELAY)
        if not task.done():
            disconnected = asyncio.ensure_future(_wait_for_disconnect(request.receive))
            await asyncio.wait({task, disconnected}, return_when=asyncio.FIRST_COMPLETED)
            disconnected.cancel()
        if not task.done():
            raise asyncio.CancelledError
        return task.result()
    finally:
        task.cancel()


async def send_answer(answer: Answer, headers: dict[str, str], quota: DiskQuota) -> Response:
    """Return *answer* as one response if it fits in a frame, else streamed."""
    chunks = answer.marked_chunks()
    try:
        first = await anext(chunks, b"")
        if len(first) < FRAME_SIZE:
            body = first + b"".join([chunk async for chunk in chunks])
            return Response(
                body, headers={**headers, **cost_headers(answer.seconds, answer.truncation)}
            )
    except BaseException:
        answer.close()
        raise
    return StreamedAnswer(_chain(first, chunks), answer, answer, headers, quota)


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
