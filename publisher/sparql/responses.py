"""Respond to a query: from the client's cache, from ours, from an identical query that is running,
or by running it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import GRAPHS, TABLES
from publisher.http.conditional import entity_tag, evaluate_conditions, last_modified
from publisher.http.problems import HTTPProblem
from publisher.sparql.streaming import (
    StreamedAnswer,
    cancel_on_disconnect,
    cost_headers,
    run_query,
    send_answer,
)
from publisher.store.cache import Cache, Entry, SharedResponse, digest
from publisher.store.query_service import QueryService
from publisher.store.snapshots import Snapshot
from publisher.store.workers.ipc_protocol import FRAME_SIZE
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.rate_limit import client_key
from publisher.store.workers.worker import Answer

ENGINE_HEADER = "Stocktake-Engine"  # columns or store

# Values of Cache-Status (https://www.rfc-editor.org/rfc/rfc9211)
_HIT, _SHARED, _MISS, _BYPASS = (
    f"stocktake; {cache_status}"
    for cache_status in ("hit", "fwd=miss; collapsed", "fwd=miss", "fwd=bypass")
)


@dataclass(frozen=True, slots=True)
class _PendingQuery:
    """A query and its cache keys; *release* is the release that it queries, None for current data."""

    request: Request
    service: QueryService
    query_request: QueryRequest
    seconds: float | None
    serialized: bytes
    release: Snapshot | None

    @property
    def key(self) -> bytes:
        return digest(self.serialized)

    @property
    def snapshot(self) -> Snapshot:
        return self.release or self.service.current

    @property
    def cache_and_version(self) -> tuple[Cache, str]:
        """Return the cache and the version in it. For releases the key alone distinguishes them."""
        return (
            (self.service.releases.cache, "releases")
            if self.release
            else (self.service.cache, self.snapshot.version)
        )

    async def evaluate(self) -> Answer:
        return await self.service.query(
            self.query_request, self.seconds, client_key(self.request.scope)
        )

    def store(self, answer: Answer, body: bytes) -> Entry:
        snapshot = self.release or self.service.snapshot_of(answer)
        if snapshot is None or answer.truncation:
            return Entry(answer.suffix, "", body, answer.seconds, answer.truncation, answer.engine)
        entry = Entry(
            answer.suffix,
            entity_tag(snapshot, self.serialized),
            body,
            answer.seconds,
            engine=answer.engine,
        )
        cache, version = (
            self.cache_and_version if self.release else (self.service.cache, snapshot.version)
        )
        cache.put(version, self.key, entry)
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
        answer = await run_query(request, service, query_request, seconds)
        headers = {
            "Content-Type": media_type(answer.suffix),
            "Vary": "Accept",
            "Cache-Control": "no-store",
            "Cache-Status": _BYPASS,
        }
        headers |= _engine_header(answer.engine)
        return await send_answer(answer, headers, service.disk_quota)
    # Surrounding white space does not change the result; it only moves the position of a syntax
    # error.
    serialized = replace(query_request, text=query_request.text.strip(" \t\r\n")).pack()
    pending = _PendingQuery(request, service, query_request, seconds, serialized, release)
    current, (cache, version) = pending.snapshot, pending.cache_and_version
    etag = entity_tag(current, serialized)
    if response := _unchanged(request, etag, current):
        return response
    entry = cache.get(version, pending.key)
    response = _complete(request, entry, current, _HIT) if entry else await _coalesced(pending)
    if request_key:
        service.cache.link_request(current.version, request_key, pending.key)
    return response


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
    answer = await run_query(request, service, replace(query_request, explain=True), seconds)
    try:
        body = b"".join([chunk async for chunk in answer.chunks()])
    finally:
        answer.close()
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


def cached_response(request: Request, service: QueryService, request_key: bytes) -> Response | None:
    """Return the cached response to an identical earlier request, without parsing it; None if there
    is none.
    """
    current = service.snapshot
    if current is None:
        return None
    entry = service.cache.get_by_request(current.version, request_key)
    return (
        (_unchanged(request, entry.etag, current) or _complete(request, entry, current, _HIT))
        if entry
        else None
    )


def with_validators(
    request: Request, response: Response, current: Snapshot, seed: bytes
) -> Response:
    """Add validators to *response*, made from the snapshot *current* and identified by *seed*; 304
    if the client has it.
    """
    etag = entity_tag(current, seed)
    response.headers.update(_validators(etag, current))
    return _unchanged(request, etag, current) or response


def media_type(suffix: str) -> str:
    """Return the media type of the format *suffix*."""
    return (TABLES.get(suffix) or GRAPHS[suffix]).media


async def _coalesced(pending: _PendingQuery) -> Response:
    shared, current = pending.service.shared_responses, pending.snapshot
    key = (current.version, pending.query_request.pack(), pending.seconds)
    response, started = shared.join(key, lambda: SharedResponse(pending.evaluate(), pending.store))
    streaming = False
    try:
        await cancel_on_disconnect(
            pending.request, response.wait_for(FRAME_SIZE // 2 if started else None)
        )
        if response.entry:
            return _complete(
                pending.request,
                response.entry,
                _snapshot(pending, response),
                _MISS if started else _SHARED,
            )
        streaming = started
        if started:
            return _streamed(pending, response)
    finally:
        if not streaming:
            response.close()
    # the shared response was too large to wait for
    answer = await run_query(
        pending.request, pending.service, pending.query_request, pending.seconds
    )
    return await send_answer(
        answer,
        _headers(answer, pending, pending.release or pending.service.snapshot_of(answer)),
        pending.service.disk_quota,
    )


def _streamed(pending: _PendingQuery, response: SharedResponse) -> Response:
    assert response.answer
    headers = _headers(response.answer, pending, _snapshot(pending, response))
    return StreamedAnswer(
        response.chunks(), response, response.answer, headers, pending.service.disk_quota
    )


def _snapshot(pending: _PendingQuery, response: SharedResponse) -> Snapshot | None:
    return pending.release or (
        pending.service.snapshot_of(response.answer) if response.answer else None
    )


def _headers(answer: Answer, pending: _PendingQuery, snapshot: Snapshot | None) -> dict[str, str]:
    etag = entity_tag(snapshot, pending.serialized) if snapshot else ""
    headers = {
        "Content-Type": media_type(answer.suffix),
        "Cache-Status": _MISS,
        **_validators(etag, snapshot),
    }
    return headers | _engine_header(answer.engine)


def _engine_header(engine: str) -> dict[str, str]:
    """Return the header that names the engine; empty for an external store."""
    return {ENGINE_HEADER: engine} if engine else {}


def _validators(etag: str, snapshot: Snapshot | None) -> dict[str, str]:
    headers = {"Vary": "Accept", "Cache-Control": "public, no-cache"}
    if etag:
        headers["ETag"] = etag
    if snapshot and (date := last_modified(snapshot)):
        headers["Last-Modified"] = date
    return headers


def _unchanged(request: Request, etag: str, current: Snapshot) -> Response | None:
    status = evaluate_conditions(request.method, request.headers, etag, current)
    if status is HTTPStatus.PRECONDITION_FAILED:
        raise HTTPProblem(status, "The response matches If-None-Match")
    return Response(status_code=status, headers=_validators(etag, current)) if status else None


def _complete(
    request: Request, entry: Entry, snapshot: Snapshot | None, cache_status: str
) -> Response:
    headers = {
        "Content-Type": media_type(entry.suffix),
        "Cache-Status": cache_status,
        **_validators(entry.etag, snapshot),
    }
    headers["Content-Length"] = str(len(entry.body))
    headers |= _engine_header(entry.engine)
    # a cached response costs nothing
    headers |= cost_headers(entry.seconds if cache_status is _MISS else 0.0, entry.truncation)
    return Response(b"" if request.method == "HEAD" else entry.body, headers=headers)
