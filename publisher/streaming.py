"""Streaming: an answer on its way to the client; it ends whole or the connection is cut, never a part that looks whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from publisher.errors import PublisherError
from publisher.frames import SIZE
from publisher.question import Question
from publisher.shelf import Shelf
from publisher.worker import Answer

log = structlog.get_logger(room="streaming")

GRACE = 0.05  # seconds before it is worth a task to look whether the client is still there


class Streamed(Response):
    """A response in pieces. Where an error ends it, its end is not sent, so that the server cuts the connection."""

    def __init__(self, first: bytes, rest: AsyncIterator[bytes], answer: Answer, headers: dict[str, str]) -> None:
        super().__init__(None, headers=headers)
        del self.headers["content-length"]
        self._first, self._rest, self._answer = first, rest, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, until it ends or the client is gone."""
        sending = asyncio.ensure_future(self._send(send))
        gone = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sending, gone):
                task.cancel()
            await asyncio.gather(sending, gone, return_exceptions=True)
            self._answer.close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        try:
            async for chunk in self._rest:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except PublisherError as error:
            log.warning("an answer was cut", reason=str(error))
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def ask(request: Request, shelf: Shelf, question: Question, seconds: float | None = None) -> Answer:
    """Ask the shelf; where the client leaves before the answer begins, the query is stopped."""
    asking = asyncio.ensure_future(shelf.ask(question, seconds))
    try:
        await asyncio.wait({asking}, timeout=GRACE)
        if not asking.done():
            gone = asyncio.ensure_future(_until_gone(request.receive))
            await asyncio.wait({asking, gone}, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
        if not asking.done():
            raise asyncio.CancelledError
        return asking.result()
    finally:
        asking.cancel()


async def respond(answer: Answer, headers: dict[str, str]) -> Response:
    """Send *answer*: at once where one frame holds it, else in pieces."""
    chunks = answer.chunks()
    try:
        first = await anext(chunks, b"")
        if len(first) < SIZE:
            whole = first + b"".join([chunk async for chunk in chunks])
            return Response(whole, headers=headers)
    except BaseException:
        answer.close()
        raise
    return Streamed(first, chunks, answer, headers)
