"""Answering: a question's way to an HTTP response: held by the client, held by us, under way already, or evaluated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import GRAPHS, TABLES
from publisher.http.conditional import entity_tag, evaluate_conditions, last_modified
from publisher.http.problems import HTTPProblem
from publisher.sparql.streaming import StreamedAnswer, cancel_on_disconnect, client_address, cost_headers, run_query, send_answer
from publisher.store.cache import Cache, Entry, digest
from publisher.store.query_service import QueryService
from publisher.store.snapshots import Snapshot
from publisher.store.workers.ipc_protocol import SIZE
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.request_coalescing import SharedResponse
from publisher.store.workers.worker import Answer

# How an answer came to be, by https://www.rfc-editor.org/rfc/rfc9211
_HIT, _SHARED, _MISS, _BYPASS = (f"stocktake; {how}" for how in ("hit", "fwd=miss; collapsed", "fwd=miss", "fwd=bypass"))


@dataclass(frozen=True, slots=True)
class _PendingQuery:
    """A question that was put, and what its answer is kept by; *of* is the release that it is asked of, None of what is shown."""

    request: Request
    service: QueryService
    question: QueryRequest
    seconds: float | None
    packed: bytes
    of: Snapshot | None

    @property
    def key(self) -> bytes:
        return digest(self.packed)

    @property
    def shown(self) -> Snapshot:
        return self.of or self.service.current

    @property
    def kept(self) -> tuple[Cache, str]:
        """Give where its answer is kept, and the version there; the key tells one release from another."""
        return (self.service.releases.cache, "releases") if self.of else (self.service.cache, self.shown.version)

    async def fresh(self) -> Answer:
        return await self.service.query(self.question, self.seconds, client_address(self.request))

    def land(self, answer: Answer, body: bytes) -> Entry:
        snapshot = self.of or self.service.snapshot_of(answer)
        if snapshot is None or answer.cut:
            return Entry(answer.suffix, "", body, answer.seconds, answer.cut)
        entry = Entry(answer.suffix, entity_tag(snapshot, self.packed), body, answer.seconds)
        cache, version = self.kept if self.of else (self.service.cache, snapshot.version)
        cache.put(version, self.key, entry)
        return entry


async def answer_query(
    request: Request,
    service: QueryService,
    question: QueryRequest,
    seconds: float | None = None,
    name: bytes | None = None,
    of: Snapshot | None = None,
) -> Response:
    """Answer *question* to *request*; *seconds* may shorten the time limit. Raises PublisherError and Refused.

    *name* is a digest of the request; what is put in the same bytes again is then answered by ``repeated``. *of* is the release that the
    question is asked of.
    """
    if question.volatile or not (of or service.is_consistent):
        answer = await run_query(request, service, question, seconds)
        told = {"Content-Type": media_type(answer.suffix), "Vary": "Accept", "Cache-Control": "no-store", "Cache-Status": _BYPASS}
        return await send_answer(answer, told, service.disk_quota)
    # White space at the ends means nothing, so it makes no other answer; it only moves the place of a fault.
    packed = replace(question, text=question.text.strip(" \t\r\n")).pack()
    asked = _PendingQuery(request, service, question, seconds, packed, of)
    shown, (cache, version) = asked.shown, asked.kept
    etag = entity_tag(shown, packed)
    if done := _unchanged(request, etag, shown):
        return done
    entry = cache.get(version, asked.key)
    response = _complete(request, entry, shown, _HIT) if entry else await _coalesced(asked)
    if name:
        service.cache.name(shown.version, name, asked.key)
    return response


def cached_response(request: Request, service: QueryService, name: bytes) -> Response | None:
    """Answer a request that was put before in the same bytes, without reading it; None where its answer is not held."""
    shown = service.snapshot
    if shown is None:
        return None
    entry = service.cache.known(shown.version, name)
    return (_unchanged(request, entry.etag, shown) or _complete(request, entry, shown, _HIT)) if entry else None


def with_validators(request: Request, response: Response, shown: Snapshot, seed: bytes) -> Response:
    """Give *response*, made from *shown* and told apart by *seed*, with its validators; 304 where the client holds it."""
    etag = entity_tag(shown, seed)
    response.headers.update(_validators(etag, shown))
    return _unchanged(request, etag, shown) or response


def media_type(suffix: str) -> str:
    """Give the media type of the format *suffix*."""
    return (TABLES.get(suffix) or GRAPHS[suffix]).media


async def _coalesced(asked: _PendingQuery) -> Response:
    flights, shown = asked.service.shared_responses, asked.shown
    key = (shown.version, asked.question.pack(), asked.seconds)
    flight, first = flights.join(key, lambda: SharedResponse(asked.fresh(), asked.land))
    streams = False
    try:
        await cancel_on_disconnect(asked.request, flight.until(SIZE // 2 if first else None))
        if flight.entry:
            return _complete(asked.request, flight.entry, _snapshot(asked, flight), _MISS if first else _SHARED)
        streams = first
        if first:
            return _streamed(asked, flight)
    finally:
        if not streams:
            flight.close()
    answer = await run_query(asked.request, asked.service, asked.question, asked.seconds)  # it was too large to wait for
    return await send_answer(
        answer, _headers(answer.suffix, asked, asked.of or asked.service.snapshot_of(answer)), asked.service.disk_quota
    )


def _streamed(asked: _PendingQuery, flight: SharedResponse) -> Response:
    assert flight.answer
    headers = _headers(flight.answer.suffix, asked, _snapshot(asked, flight))
    return StreamedAnswer(flight.chunks(), flight, flight.answer, headers, asked.service.disk_quota)


def _snapshot(asked: _PendingQuery, flight: SharedResponse) -> Snapshot | None:
    return asked.of or (asked.service.snapshot_of(flight.answer) if flight.answer else None)


def _headers(suffix: str, asked: _PendingQuery, snapshot: Snapshot | None) -> dict[str, str]:
    etag = entity_tag(snapshot, asked.packed) if snapshot else ""
    return {"Content-Type": media_type(suffix), "Cache-Status": _MISS, **_validators(etag, snapshot)}


def _validators(etag: str, snapshot: Snapshot | None) -> dict[str, str]:
    told = {"Vary": "Accept", "Cache-Control": "public, no-cache"}
    if etag:
        told["ETag"] = etag
    if snapshot and (date := last_modified(snapshot)):
        told["Last-Modified"] = date
    return told


def _unchanged(request: Request, etag: str, shown: Snapshot) -> Response | None:
    status = evaluate_conditions(request.method, request.headers, etag, shown)
    if status is HTTPStatus.PRECONDITION_FAILED:
        raise HTTPProblem(status, "The answer is the one that If-None-Match names")
    return Response(status_code=status, headers=_validators(etag, shown)) if status else None


def _complete(request: Request, entry: Entry, snapshot: Snapshot | None, how: str) -> Response:
    headers = {"Content-Type": media_type(entry.suffix), "Cache-Status": how, **_validators(entry.etag, snapshot)}
    headers["Content-Length"] = str(len(entry.body))
    headers |= cost_headers(entry.seconds if how is _MISS else 0.0, entry.cut)  # what is held costs nothing
    return Response(b"" if request.method == "HEAD" else entry.body, headers=headers)
