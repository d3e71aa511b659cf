"""Respond to a query: from the client's cache, from ours, from an identical query that is running,
or by running it.

A response that ends early says so, or the connection is closed: a partial response never looks
complete.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import closing
from dataclasses import dataclass, replace
from email.utils import formatdate
from hashlib import blake2b
from http import HTTPStatus
from typing import TypeVar

import pyoxigraph
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from publisher.errors import COST, EXPORTS, PublisherError
from publisher.store.cache import Cache, Entry, SharedResponse, digest
from publisher.store.query_service import QueryService
from publisher.store.snapshots import Snapshot
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.rate_limit import client_key
from publisher.store.workers.results import CHUNK_SIZE, FIELD
from publisher.store.workers.worker import Answer, DiskQuota, ResponseBuffer
from web.conditional import SAFE_METHODS, matches_etag, parse_http_date
from web.formats import GRAPHS, TABLES
from web.problems import HTTPProblem

log = structlog.get_logger(component="responses")

_WRITER = pyoxigraph.__version__  # another engine may serialize the same result differently

Result = TypeVar("Result")

ENGINE_HEADER = "Stocktake-Engine"  # columns or store
# values of Cache-Status (https://www.rfc-editor.org/rfc/rfc9211)
_HIT, _SHARED, _MISS, _BYPASS = ("hit", "fwd=miss; collapsed", "fwd=miss", "fwd=bypass")


@dataclass(frozen=True, slots=True)
class _Query:
    """A query of a client; *release* is the release that it queries, None for current data.
    *serialized* identifies its result, empty if that must not be cached.
    """

    request: Request
    service: QueryService
    query_request: QueryRequest
    seconds: float | None
    release: Snapshot | None
    serialized: bytes

    def evaluation(self) -> Coroutine[object, object, Answer]:
        client = client_key(self.request.scope)
        return self.service.query(self.query_request, self.seconds, client)

    def start(self) -> SharedResponse:
        return SharedResponse(self.evaluation(), self.store)

    def cache_of(self, snapshot: Snapshot) -> tuple[Cache, str]:
        """Return the cache and the version in it. For releases the key alone distinguishes them."""
        if self.release:
            return self.service.releases.cache, "releases"
        return self.service.cache, snapshot.version

    def snapshot_of(self, answer: Answer) -> Snapshot | None:
        """Return the snapshot to validate *answer* by, None if there is none."""
        if not self.serialized:
            return None
        return self.release or self.service.snapshot_of(answer)

    def store(self, answer: Answer, body: bytes) -> Entry:
        snapshot = None if answer.truncation else self.snapshot_of(answer)
        etag = entity_tag(snapshot, self.serialized) if snapshot else ""
        entry = Entry(answer.suffix, etag, body, answer.seconds, answer.truncation, answer.engine)
        if snapshot:
            cache, version = self.cache_of(snapshot)
            cache.put(version, digest(self.serialized), entry)
        return entry


async def answer_query(
    request: Request,
    service: QueryService,
    query_request: QueryRequest,
    seconds: float | None = None,
    request_key: bytes | None = None,
    release: Snapshot | None = None,
) -> Response:
    """Return the response to *query_request*; *seconds* may shorten the time limit. Raises
    PublisherError and HTTPProblem.

    *request_key* is a digest of the request, by which ``cached_response`` finds the response.
    *release* is the release to query, None for current data.
    """
    if query_request.volatile or not (release or service.is_consistent):
        query = _Query(request, service, query_request, seconds, release, b"")
        return await _respond(query, query.start(), _BYPASS)
    # Surrounding white space does not change the result; it only moves the position of a syntax
    # error.
    serialized = replace(query_request, text=query_request.text.strip(" \t\r\n")).pack()
    query = _Query(request, service, query_request, seconds, release, serialized)
    current = release or service.current
    if response := unchanged(request, entity_tag(current, serialized), current):
        return response
    (cache, version), key = query.cache_of(current), digest(serialized)
    if entry := cache.get(version, key):
        response = _complete(request, entry, _HIT, current)
    else:
        running = (current.version, query_request.pack(), seconds)
        shared, started = service.shared_responses.join(running, query.start)
        response = await _respond(query, shared, _MISS if started else _SHARED)
    if request_key:
        service.cache.link_request(current.version, request_key, key)
    return response


async def _respond(query: _Query, shared: SharedResponse, status: str) -> Response:
    """Return the response when it is complete, or streamed once it is too large to wait for."""
    streamed = None
    try:
        size = None if status is _SHARED else CHUNK_SIZE // 2
        await cancel_on_disconnect(query.request, shared.wait_for(size))
        snapshot = query.snapshot_of(shared.answer) if shared.answer else None
        if shared.entry:
            return _complete(query.request, shared.entry, status, snapshot)
        if shared.answer and status is not _SHARED:
            etag = entity_tag(snapshot, query.serialized) if snapshot else ""
            headers = _headers(shared.answer, status, etag, snapshot)
            streamed = StreamedAnswer(shared, shared.answer, headers, query.service.disk_quota)
            return streamed
    finally:
        if not streamed:
            shared.close()
    # only the request that started the shared response may stream it
    return await _respond(query, query.start(), _MISS)


async def explain_query(
    request: Request, service: QueryService, query_request: QueryRequest, seconds: float | None
) -> Response:
    """Return how *query_request* is evaluated, as JSON. It takes as long as the query, with the
    same limits. Raises HTTPProblem.
    """
    if service.probe:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            "Queries of an external store cannot be explained here; use that store's own tools",
        )
    explained = replace(query_request, explain=True)
    query = _Query(request, service, explained, seconds, None, b"")
    with closing(await cancel_on_disconnect(request, query.evaluation())) as answer:
        body = b"".join([chunk async for chunk in answer.chunks()])
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def cached_response(request: Request, service: QueryService, request_key: bytes) -> Response | None:
    """Return the cached response to an identical earlier request, without parsing it; None if there
    is none.
    """
    current = service.snapshot
    entry = service.cache.get_by_request(current.version, request_key) if current else None
    if current is None or entry is None:
        return None
    return unchanged(request, entry.etag, current) or _complete(request, entry, _HIT, current)


def with_validators(
    request: Request, response: Response, current: Snapshot, seed: bytes
) -> Response:
    """Add validators to *response*, made from the snapshot *current* and identified by *seed*; 304
    if the client has it.
    """
    etag = entity_tag(current, seed)
    response.headers.update(_validators(etag, current))
    return unchanged(request, etag, current) or response


def media_type(suffix: str) -> str:
    """Return the media type of the format *suffix*."""
    return (TABLES.get(suffix) or GRAPHS[suffix]).media


def _headers(
    result: Answer | Entry, status: str, etag: str, snapshot: Snapshot | None
) -> dict[str, str]:
    headers = {"Content-Type": media_type(result.suffix), "Cache-Status": f"stocktake; {status}"}
    headers |= {ENGINE_HEADER: result.engine} if result.engine else {}  # none of an external store
    headers |= _validators(etag, snapshot)
    return headers | ({"Cache-Control": "no-store"} if status is _BYPASS else {})


def _validators(etag: str, snapshot: Snapshot | None) -> dict[str, str]:
    date = last_modified(snapshot) if snapshot else None
    return {
        "Vary": "Accept",
        "Cache-Control": "public, no-cache",
        **({"ETag": etag} if etag else {}),
        **({"Last-Modified": date} if date else {}),
    }


def entity_tag(snapshot: Snapshot, request_key: bytes) -> str:
    """Return the entity tag of a response from *snapshot*; *request_key* identifies query, format
    and dataset.

    The tag is weak: another evaluation may label blank nodes differently.
    """
    seed = b"\0".join((_WRITER.encode(), snapshot.version.encode(), request_key))
    return f'W/"{snapshot.position}-{blake2b(seed, digest_size=12).hexdigest()}"'


def last_modified(snapshot: Snapshot) -> str | None:
    """Return when the data of *snapshot* last changed, as an HTTP date; None if unknown or if that
    second is not over.
    """
    is_over = 0 < snapshot.modified < time.time()
    return formatdate(snapshot.modified, usegmt=True) if is_over else None


def unchanged(request: Request, etag: str, current: Snapshot) -> Response | None:
    """Return 304 if the client has the current response, None to send it in full; raises
    HTTPProblem (412) for a POST.

    RFC 9110, section 13.2.2: If-Modified-Since counts only without If-None-Match, and only for GET
    and HEAD.
    """
    is_safe, headers = request.method in SAFE_METHODS, request.headers
    if "if-none-match" in headers:
        is_current = matches_etag(headers, etag)
        if is_current and not is_safe:
            status = HTTPStatus.PRECONDITION_FAILED
            raise HTTPProblem(status, "The response matches If-None-Match")
    else:
        since = parse_http_date(headers.get("if-modified-since")) if is_safe else None
        is_current = bool(since and last_modified(current) and current.modified <= since)
    if not is_current:
        return None
    return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=_validators(etag, current))


def _complete(request: Request, entry: Entry, status: str, snapshot: Snapshot | None) -> Response:
    # a response that another query computed costs nothing
    seconds = entry.seconds if status in (_MISS, _BYPASS) else 0.0
    headers = {
        **_headers(entry, status, entry.etag, snapshot),
        "Content-Length": str(len(entry.body)),
        COST: format_cost(seconds),
        **({FIELD: entry.truncation.field, "Link": EXPORTS} if entry.truncation else {}),
    }
    return Response(b"" if request.method == "HEAD" else entry.body, headers=headers)


def format_cost(seconds: float) -> str:
    """Format the cost of a query in seconds.

    >>> format_cost(0.12345)
    '0.123'
    """
    return f"{seconds:.3f}"


class StreamedAnswer(Response):
    """A streamed response. Trailer fields report its cost and whether it ended early.

    After an error, or a truncation that neither the format nor trailers can report, the end is not
    sent, so that the server closes the connection.
    """

    def __init__(
        self, shared: SharedResponse, answer: Answer, headers: dict[str, str], quota: DiskQuota
    ) -> None:
        super().__init__(None, headers=headers)
        del self.headers["content-length"]
        self._shared, self._answer = shared, answer
        self._buffer = ResponseBuffer(quota)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response until it ends or the client disconnects; to HEAD only the headers."""
        if scope["method"] == "HEAD":
            self._buffer.close()
            self._shared.close()
            return await super().__call__(scope, receive, send)
        reading = asyncio.ensure_future(self._read())
        sending = self._send(reading, send, *_trailer_support(scope))
        ends = [asyncio.ensure_future(work) for work in (sending, _wait_for_disconnect(receive))]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (reading, *ends):
                task.cancel()
            await asyncio.gather(reading, *ends, return_exceptions=True)
            self._buffer.close()
            self._shared.close()

    async def _read(self) -> None:
        """Read the result as fast as it arrives."""
        try:
            async for chunk in self._shared.chunks():
                await self._buffer.put(chunk)
        finally:
            self._buffer.end()

    async def _send(
        self, reading: asyncio.Future[None], send: Send, has_trailers: bool, client_accepts: bool
    ) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        announced = [(b"trailer", f"{FIELD}, {COST}".encode())] if has_trailers else []
        await send({**start, "headers": [*self.raw_headers, *announced], "trailers": has_trailers})
        while (chunk := await self._buffer.get()) is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        try:
            await reading
        except PublisherError as error:
            log.warning("response aborted", reason=str(error))
            return
        truncation = self._answer.truncation
        if truncation and not (self._answer.marked or client_accepts):
            log.warning(
                "response aborted: it was truncated, and its format cannot say so",
                truncation=truncation.field,
            )
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if has_trailers:
            fields = [(FIELD, truncation.field)] if truncation else []
            fields += [(COST, format_cost(self._answer.seconds))]
            trailers = [(name.lower().encode(), value.encode()) for name, value in fields]
            await send(
                {"type": "http.response.trailers", "headers": trailers, "more_trailers": False}
            )


def _trailer_support(scope: Scope) -> tuple[bool, bool]:
    """Return whether the server can send trailer fields, and whether the client accepts them (TE:
    trailers).
    """
    has_trailers = (
        "http.response.trailers" in (scope.get("extensions") or {})
        and scope.get("http_version") == "1.1"
    )
    accepted = b",".join(value for name, value in scope["headers"] if name == b"te").lower()
    return has_trailers, has_trailers and any(
        token.partition(b";")[0].strip() == b"trailers" for token in accepted.split(b",")
    )


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancel_on_disconnect(request: Request, work: Coroutine[object, object, Result]) -> Result:
    """Await *work*; cancel it and the request if the client disconnects first."""
    task = asyncio.ensure_future(work)
    disconnected = asyncio.ensure_future(_wait_for_disconnect(request.receive))
    try:
        await asyncio.wait({task, disconnected}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise asyncio.CancelledError
        return task.result()
    finally:
        task.cancel()
        disconnected.cancel()
