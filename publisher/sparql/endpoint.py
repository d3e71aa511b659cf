"""``/sparql``: the endpoint of the SPARQL 1.1 Protocol and its page; and ``/rdf-graph-store``: the
SPARQL 1.1 Graph Store HTTP Protocol, read-only. A request is parsed, and answered from the client's
cache, from ours, from an identical query that is running, or by running it.

Cached responses are always current, because the data change only with the snapshot. A response that
ends early says so, or the connection is closed: a partial response never looks complete.

Source: https://www.w3.org/TR/sparql11-protocol/#protocol and https://www.w3.org/TR/sparql11-http-rdf-update/#http-get
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import partial
from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated, TypeVar
from urllib.parse import parse_qs

import pyoxigraph
import structlog
from cachetools import LRUCache
from fastapi import APIRouter, Depends, Query
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from publisher.catalog.void import service_description
from publisher.errors import COST, EXPORTS, FederationRefused, PublisherError
from publisher.limits import MAX_QUERY_BYTES
from publisher.middleware import RELEASE_HEADER
from publisher.pages import ServiceDep, get_pages
from publisher.rdf import iri, is_iri
from publisher.sparql.examples import completions, editor_state, is_built, script_texts
from publisher.sparql.rewriting import TEXT_HEADER, rewrite
from publisher.store.query_service import QueryService
from publisher.store.snapshots import Snapshot
from publisher.store.workers.pool import Answer
from publisher.store.workers.query_request import (
    CHUNK_SIZE,
    FIELD,
    QueryRequest,
    Truncation,
    uses_service,
)
from web.endpoints import contents, format_parameter, get, problems, schema_of
from web.middleware import client_key
from web.respond import (
    GRAPHS,
    HTML,
    SAFE_METHODS,
    TABLES,
    Format,
    HTTPProblem,
    best_match,
    choose_format,
    matches_etag,
    media_types,
    not_acceptable,
    require,
    respond,
    wants_html,
)
from web.respond import unchanged as unchanged_response

log = structlog.get_logger(component="responses")

_WRITER = pyoxigraph.__version__  # another engine may serialize the same result differently
ENGINE_HEADER = "Stocktake-Engine"  # columns or store
# Values of Cache-Status (https://www.rfc-editor.org/rfc/rfc9211).
_HIT, _SHARED, _MISS, _BYPASS = ("hit", "fwd=miss; collapsed", "fwd=miss", "fwd=bypass")

MAX_ENTRY_BYTES = 4 << 20  # larger responses are not cached
MAX_TOTAL_BYTES = 128 << 20
_OVERHEAD = 1_000  # bytes of a cached response besides its body
BUFFER_MEMORY = 1 << 20  # bytes of a response; enough for a client that reads steadily
MAX_BUFFERED = 2 << 30  # bytes of all responses that wait for their clients
FORM = "application/x-www-form-urlencoded"
QUERY = "application/sparql-query"
UPDATE = "application/sparql-update"
_TOO_LONG = f"The query is longer than {MAX_QUERY_BYTES} {{}}"
_INVALID = HTTPStatus.BAD_REQUEST
_NO_UPDATES = "Updates are not supported: published data changes by harvests only"
_NUMBERS = {
    "release": (re.compile("[0-9]{1,9}"), "the number of a release"),
    "timeout": (
        re.compile(r"\A(?=[0-9.]*[1-9])([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"),
        "a number of seconds above 0",
    ),
}

# Other names that clients use for a format.
_FORMAT_NAMES = {
    "Turtle": ("turtle", "n3"),
    "N-Triples": ("ntriples", "n-triples"),
    "JSON-LD": ("json-ld", "json"),
    "RDF/XML": ("rdf+xml", "rdfxml", "xml"),
}

Parameters = dict[str, list[str]]
Result = TypeVar("Result")


async def read_body(request: Request, limit: int = 3 * MAX_QUERY_BYTES) -> bytes:
    """Read the body of a POST, at most *limit* bytes (percent-encoding triples a byte); empty for
    other methods.
    """
    data = bytearray()
    if request.method == "POST":
        async for chunk in request.stream():
            # The rest is read too: a client that still sends when we close loses the response.
            data += chunk[: limit + 1 - len(data)]
        require(len(data) <= limit, _TOO_LONG.format("bytes"), HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return bytes(data)


def read_parameters(request: Request, data: bytes, kinds: tuple[str, ...] = (QUERY,)) -> Parameters:
    """Read the parameters of the URL and the body *data*; *kinds* are the media types of bodies
    other than forms.

    Such a body is the value of the parameter that the type is named after. Raises HTTPProblem; it
    is 403 for a SPARQL update.
    """
    parameters = parse_form(request.scope["query_string"])
    if request.method != "POST":
        return parameters
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    kind, charset = kind.strip().lower(), rest.lower().partition("charset=")[2].strip(' "')
    require(kind != UPDATE, _NO_UPDATES, HTTPStatus.FORBIDDEN)
    accepted = ", ".join((FORM, *kinds))
    require(
        kind in (FORM, *kinds) and charset in ("", "utf-8", "utf8", "us-ascii"),
        f"POST one of {accepted}, in UTF-8",
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        {"Accept-Post": accepted},
    )
    if kind == FORM:
        more = parse_form(data)
        return {name: parameters.get(name, []) + more.get(name, []) for name in (parameters | more)}
    name = kind.rpartition("-")[2]
    require(
        name not in parameters,
        f"The {name} is in both the body and the URL; send it once",
        _INVALID,
    )
    try:
        return {**parameters, name: [data.decode()]}
    except UnicodeDecodeError as error:
        raise HTTPProblem(_INVALID, f"The {name} is not valid UTF-8") from error


def parse_form(data: bytes) -> Parameters:
    """Parse percent-encoded parameters, each with all its values in order."""
    try:
        return parse_qs(data.decode(), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise HTTPProblem(_INVALID, f"The parameters cannot be read: {error}") from error


def parse_request(
    parameters: Parameters, accept: str | None, base: str, rows: int | None
) -> QueryRequest:
    """Read the query in the parameters; *base* resolves its IRIs, *rows* limits the result."""
    require("update" not in parameters, _NO_UPDATES, HTTPStatus.FORBIDDEN)
    text = require(single_value(parameters, "query"), "The parameter query is missing", _INVALID)
    require(
        len(text) <= MAX_QUERY_BYTES,
        _TOO_LONG.format("characters"),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )
    if uses_service(text):
        raise FederationRefused(
            "SERVICE is not supported: query the other endpoint yourself and join the results"
        )
    table, graph = _formats(parameters.get("format", []), accept)
    default = graph_parameters(parameters, "default-graph-uri")
    named = graph_parameters(parameters, "named-graph-uri")
    # A dataset in the protocol replaces FROM (section 2.1.4).
    if default is not None or named is not None:
        default, named = default or (), named or ()
    return QueryRequest(text, table, graph, base, default, named, rows=rows)


def single_value(parameters: Parameters, name: str) -> str | None:
    """Return the value of a parameter that may occur once; raises HTTPProblem (400) if it is
    repeated.
    """
    values = parameters.get(name, [])
    require(
        len(values) < 2,
        f"The parameter {name} occurs {len(values)} times; send it once",
        _INVALID,
    )
    return values[0] if values else None


def _formats(named: list[str], accept: str | None) -> tuple[str | None, str | None]:
    """Return the table and graph formats, by the parameter ``format`` or else by Accept.

    No specification defines the parameter. Clients send a suffix, a name of their own or a media
    type, some several at once; the first known one counts.
    """
    if named := [name.strip().lower() for name in named if name.strip()]:
        table, graph = _first_known(named, TABLES), _first_known(named, GRAPHS)
        require(
            table or graph,
            f"Unknown format {named[0]!r}; available: {', '.join([*TABLES, *GRAPHS])}",
            _INVALID,
        )
        return table or "json", graph or "ttl"
    tables, graphs = TABLES.values(), GRAPHS.values()
    best_table, best_graph = best_match(accept, tables), best_match(accept, graphs)
    if best_table is None and best_graph is None:
        raise not_acceptable((*tables, *graphs))
    return best_table.suffix if best_table else None, best_graph.suffix if best_graph else None


def _first_known(named: list[str], rows: Mapping[str, Format]) -> str | None:
    return next(
        (
            candidate.suffix
            for name in named
            for candidate in rows.values()
            if name
            in (candidate.suffix, *_FORMAT_NAMES.get(candidate.label, ()), *media_types(candidate))
        ),
        None,
    )


def graph_parameters(parameters: Parameters, name: str) -> tuple[str, ...] | None:
    """Read a parameter whose values are graph IRIs; None if it is absent."""
    for value in parameters.get(name, ()):
        require(
            is_iri(value),
            f"The parameter {name} must be an absolute IRI, not {value}",
            _INVALID,
        )
    return tuple(parameters[name]) if name in parameters else None


def parse_number(parameters: Parameters, name: str) -> str:
    """Return a parameter of _NUMBERS as it was sent, "" if it was not."""
    (pattern, meaning), text = _NUMBERS[name], single_value(parameters, name) or ""
    wrong = f"The parameter {name} must be {meaning}, not {text!r}"
    require(not text or bool(pattern.fullmatch(text)), wrong, _INVALID)
    return text


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A complete response; *snapshot* and *etag* validate it, None and "" if it must not be cached.
    *seconds* is its evaluation time, *truncation* is set if it ends early.
    """

    headers: Mapping[str, str]
    body: bytes
    snapshot: Snapshot | None
    etag: str
    seconds: float
    truncation: Truncation | None


class Responses:
    """The cached responses of the app by version and digest of their query, the running queries, and
    the number of bytes that wait for clients.
    """

    def __init__(self, max_bytes: int = MAX_TOTAL_BYTES, max_buffered: int = MAX_BUFFERED) -> None:
        self.cached: LRUCache[Hashable, CachedResponse] = LRUCache(
            max_bytes, lambda response: len(response.body) + _OVERHEAD
        )
        self.running: dict[Hashable, RunningQuery] = {}
        self.buffered, self.max_buffered = 0, max_buffered

    def add(self, response: CachedResponse, serialized: bytes) -> None:
        """Cache the response to the query *serialized*, if it has a validator."""
        if response.snapshot and response.etag:
            with suppress(ValueError):  # larger than all that may be cached
                self.cached[response.snapshot.version, digest(serialized)] = response


class RunningQuery:
    """A running query and its response, shared by all requests for the same query.

    It is read as fast as the worker sends it, whatever its client takes: BUFFER_MEMORY bytes wait
    in memory, more in a temporary file; when MAX_BUFFERED bytes of all responses wait, it waits for
    its client. The request that started the query may stream it. Other requests wait until it is
    *complete*, or too large for that. Each request must call ``close``.

    *release* is the release that it queries, None for current data. *serialized* identifies its
    result, empty if that must not be cached.
    """

    def __init__(
        self,
        request: Request,
        service: QueryService,
        query_request: QueryRequest,
        seconds: float | None,
        release: Snapshot | None = None,
        serialized: bytes = b"",
    ) -> None:
        self.answer: Answer | None = None
        self.complete: CachedResponse | None = None
        self.requests, self.size = 1, 0
        self._responses: Responses = request.app.state.responses
        self._service, self._release, self._serialized = service, release, serialized
        self._file = tempfile.SpooledTemporaryFile(BUFFER_MEMORY)  # noqa: SIM115 - closed by _clear()
        self._written = self._read = 0
        self._changed = asyncio.Event()
        query = service.query(query_request, seconds, client_key(request.scope))
        self.task = asyncio.create_task(self._run(query))
        self.task.add_done_callback(self._notify)

    @property
    def is_large(self) -> bool:
        """Return whether the response is too large for the cache."""
        return self.size > MAX_ENTRY_BYTES

    async def wait_for(self, size: int) -> None:
        """Wait until the response is complete or has *size* bytes. Raises the error that ended it."""
        while not self.task.done() and self.size < size:
            await self._changed.wait()
        if self.task.done():
            self.task.result()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the response from its first byte as it arrives; only for the request that started
        the query. Raises the error that ended it.
        """
        while not self.task.done() or self._read < self._written:
            if self._read == self._written:
                await self._changed.wait()
                continue
            self._file.seek(self._read)
            chunk = self._file.read(CHUNK_SIZE)
            self._read += len(chunk)
            if self.is_large and self._read == self._written:
                self._clear()  # the client has caught up: the next bytes may wait in memory again
                self._file = tempfile.SpooledTemporaryFile(BUFFER_MEMORY)  # noqa: SIM115 - as above
            self._notify()
            yield chunk
        self.task.result()

    def close(self) -> None:
        """Unregister a request; the query is cancelled after the last one."""
        self.requests -= 1
        if self.requests == 0:
            self.task.cancel()
            self._clear()

    async def _run(self, query: Coroutine[object, object, Answer]) -> None:
        self.answer = await query
        with closing(self.answer):
            async for chunk in self.answer.chunks(mark=True):
                room = self._responses.max_buffered - len(chunk)
                while self._read < self._written and self._responses.buffered > room:
                    await self._changed.wait()
                self._file.seek(0, os.SEEK_END)
                self._file.write(chunk)
                self.size += len(chunk)
                self._written += len(chunk)
                self._responses.buffered += len(chunk)
                self._notify()
        if not self.is_large:
            self._file.seek(0)
            self.complete = self.describe(self.answer, self._file.read())
            self._responses.add(self.complete, self._serialized)

    def describe(self, answer: Answer, body: bytes = b"") -> CachedResponse:
        """Return the response with *body*, which may follow later."""
        snapshot = self._release or self._service.snapshot_of(answer) if self._serialized else None
        etag = entity_tag(snapshot, self._serialized) if snapshot and not answer.truncation else ""
        headers = {"Content-Type": media_type(answer.suffix)}
        # The engine of an external store has no name.
        headers |= {ENGINE_HEADER: answer.engine} if answer.engine else {}
        return CachedResponse(headers, body, snapshot, etag, answer.seconds, answer.truncation)

    def _clear(self) -> None:
        self._responses.buffered -= self._written
        self._read = self._written = 0
        self._file.close()

    def _notify(self, task: asyncio.Task[None] | None = None) -> None:
        if task and not task.cancelled():
            task.exception()  # it is raised for each request that waits, if one still does
        self._changed.set()
        self._changed = asyncio.Event()


def digest(*parts: bytes) -> bytes:
    """Return a 16-byte digest of *parts*; different lists of parts have different digests."""
    return blake2b(repr(parts).encode(), digest_size=16).digest()


async def answer_query(
    request: Request,
    service: QueryService,
    query_request: QueryRequest,
    seconds: float | None = None,
    release: Snapshot | None = None,
) -> Response:
    """Return the response to *query_request*; *seconds* may shorten the time limit. Raises
    PublisherError and HTTPProblem.

    *release* is the release to query, None for current data.
    """
    start = partial(RunningQuery, request, service, query_request, seconds)
    if query_request.volatile or not (release or service.is_consistent):
        return await _respond(request, start(), _BYPASS, start)
    # Surrounding white space does not change the result; it only moves the position of a syntax
    # error.
    serialized = replace(query_request, text=query_request.text.strip(" \t\r\n")).pack()
    responses: Responses = request.app.state.responses
    current = release or service.current
    if response := unchanged(request, entity_tag(current, serialized), current):
        return response
    key = current.version, digest(serialized)
    if cached := responses.cached.get(key):
        return _send_complete(request, cached, _HIT)
    start = partial(start, release, serialized)
    identical = current.version, query_request.pack(), seconds
    running, status = responses.running.get(identical), _SHARED
    if running and not running.task.done():
        running.requests += 1
    else:
        running, status = start(), _MISS
        responses.running[identical] = running
        running.task.add_done_callback(lambda _task: responses.running.pop(identical, None))
    return await _respond(request, running, status, start)


async def _respond(
    request: Request, running: RunningQuery, status: str, start: Callable[[], RunningQuery]
) -> Response:
    """Return the response when it is complete, or streamed once it is too large to wait for."""
    streamed = None
    try:
        size = MAX_ENTRY_BYTES + 1 if status is _SHARED else CHUNK_SIZE // 2
        await cancel_on_disconnect(request, running.wait_for(size))
        if running.complete:
            return _send_complete(request, running.complete, status)
        if running.answer and status is not _SHARED:
            headers = _headers(running.describe(running.answer), status)
            streamed = StreamedAnswer(running, running.answer, headers)
            return streamed
    finally:
        if not streamed:
            running.close()
    # Only the request that started a query may stream its response.
    return await _respond(request, start(), _MISS, start)


async def explain_query(
    request: Request, service: QueryService, query_request: QueryRequest, seconds: float | None
) -> Response:
    """Return how *query_request* is evaluated, as JSON. It takes as long as the query, with the
    same limits. Raises HTTPProblem.
    """
    require(
        not service.probe,
        "Queries of an external store cannot be explained here; use that store's own tools",
        _INVALID,
    )
    explained = replace(query_request, explain=True)
    query = service.query(explained, seconds, client_key(request.scope))
    with closing(await cancel_on_disconnect(request, query)) as answer:
        body = b"".join([chunk async for chunk in answer.chunks()])
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


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
    return (TABLES.get(suffix) or GRAPHS[suffix]).media


def _headers(response: CachedResponse, status: str) -> dict[str, str]:
    return {
        **response.headers,
        "Cache-Status": f"stocktake; {status}",
        **_validators(response.etag, response.snapshot),
        **({"Cache-Control": "no-store"} if status is _BYPASS else {}),
    }


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
    HTTPProblem (412) for a POST (RFC 9110, section 13.2.2).
    """
    require(
        request.method in SAFE_METHODS or not matches_etag(request.headers, etag),
        "The response matches If-None-Match",
        HTTPStatus.PRECONDITION_FAILED,
    )
    validators = _validators(etag, current)
    modified = current.modified if "Last-Modified" in validators else None
    return unchanged_response(request, validators, modified)


def _send_complete(request: Request, cached: CachedResponse, status: str) -> Response:
    # A response that another query computed costs nothing.
    seconds = cached.seconds if status in (_MISS, _BYPASS) else 0.0
    headers = {
        **_headers(cached, status),
        "Content-Length": str(len(cached.body)),
        COST: f"{seconds:.3f}",
        **({FIELD: cached.truncation.field, "Link": EXPORTS} if cached.truncation else {}),
    }
    return Response(b"" if request.method == "HEAD" else cached.body, headers=headers)


class StreamedAnswer(Response):
    """A streamed response. Trailer fields report its cost and whether it ended early.

    After an error, or a truncation that neither the format nor trailers can report, the end is not
    sent, so that the server closes the connection.
    """

    def __init__(self, running: RunningQuery, answer: Answer, headers: Mapping[str, str]) -> None:
        super().__init__(None, headers=headers)
        del self.headers["content-length"]
        self._running, self._answer = running, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response until it ends or the client disconnects; to HEAD only the headers."""
        try:
            if scope["method"] == "HEAD":
                await super().__call__(scope, receive, send)
            else:
                await _until_disconnect(receive, self._send(send, *_trailer_support(scope)))
        finally:
            self._running.close()

    async def _send(self, send: Send, has_trailers: bool, client_accepts: bool) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        announced = [(b"trailer", f"{FIELD}, {COST}".encode())] if has_trailers else []
        await send({**start, "headers": [*self.raw_headers, *announced], "trailers": has_trailers})
        try:
            async for chunk in self._running.chunks():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except PublisherError as error:
            log.warning("response aborted", reason=str(error))
            return
        truncation = self._answer.truncation
        if truncation and not (self._answer.marked or client_accepts):
            text = "response aborted: it was truncated, and its format cannot say so"
            log.warning(text, truncation=truncation.field)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        if has_trailers:
            fields = {FIELD: truncation.field} if truncation else {}
            fields[COST] = f"{self._answer.seconds:.3f}"
            trailers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
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


async def cancel_on_disconnect(request: Request, work: Coroutine[object, object, Result]) -> Result:
    """Await *work*; cancel it and the request if the client disconnects first."""
    return (await _until_disconnect(request.receive, work)).result()


async def _until_disconnect(
    receive: Receive, work: Coroutine[object, object, Result]
) -> asyncio.Task[Result]:
    """Run *work* until it ends or the client disconnects, and return its task, which has ended."""
    task = asyncio.create_task(work)
    disconnected = asyncio.create_task(_wait_for_disconnect(receive))
    try:
        await asyncio.wait({task, disconnected}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        task.cancel()
        disconnected.cancel()
        await asyncio.gather(task, disconnected, return_exceptions=True)
    return task


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


_ALL = "CONSTRUCT { ?s ?p ?o } { ?s ?p ?o }"
_ANY_TRIPLE = "SELECT ?graph { GRAPH ?graph { ?s ?p ?o } } LIMIT 1"
_CONTENTS = {
    TABLES["json"].media: {"schema": schema_of("ResultsJson")},
    **contents(*(row.media for row in (*list(TABLES.values())[1:], *GRAPHS.values())))[200][
        "content"
    ],
}
router, graphs = APIRouter(), APIRouter()


@router.post("/sparql", include_in_schema=False)
async def answer_request(request: Request) -> Response:
    service: QueryService = request.app.state.service
    params = read_parameters(request, await read_body(request))
    if request.method != "POST" and not params.keys() - {"example", "show", "lang"}:
        return await _introduction(
            request, service, single_value(params, "example"), single_value(params, "show")
        )
    accept = request.headers.get("accept")
    query = parse_request(params, accept, service.iris.base, service.limits.rows)
    timeout, number = (parse_number(params, name) for name in ("timeout", "release"))
    seconds, release = float(timeout) if timeout else None, None
    if number:
        release = await service.release(int(number), texts=query.has_search)
        query = replace(query, snapshot=release.path, release=int(number))
    rewritten = await rewrite(service, query, release) if query.has_search else query
    if release is None and single_value(params, "explain") not in (None, "", "0"):
        return await explain_query(request, service, rewritten, seconds)
    response = await answer_query(request, service, rewritten, seconds, release)
    if rewritten.note:
        response.headers[TEXT_HEADER] = rewritten.note
    if release:
        response.headers[RELEASE_HEADER] = str(query.release)
        response.headers["Stocktake-Position"] = str(release.position)
    return response


class QueryRoute(APIRoute):
    """A route whose parameters are declared for its description alone: they may also be in a body,
    and parsing them here would cost more than a cached response.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        return answer_request


@get(
    router,
    "/sparql",
    route_class_override=QueryRoute,
    operation_id="sparql",
    summary="Answer a SPARQL 1.1 query",
    tags=["ask"],
    response_class=Response,
    response_description="Query solutions, a boolean, or a graph",
    responses={200: {"content": _CONTENTS}} | problems(400, 404, 406, 410, 413, 422, 429, 503, 504),
)
async def sparql(
    request: Request,
    query: Annotated[str, Query(description="The query")],
    format: Annotated[str | None, format_parameter([*TABLES, *GRAPHS])] = None,
    timeout: Annotated[
        float | None, Query(gt=0, description="Seconds, to shorten the time limit")
    ] = None,
    release: Annotated[
        str | None,
        Query(description="The number of a release to query instead of the current data"),
    ] = None,
    explain: Annotated[
        str | None,
        Query(
            description="1 returns how the query is evaluated, as JSON: engine, reason, SQL, rows"
        ),
    ] = None,
) -> None:
    """The parameters may be in the body of a POST instead."""


async def _introduction(
    request: Request, service: QueryService, example: str | None, text: str | None
) -> Response:
    pages = await get_pages(request)
    if wants_html(request.headers.get("accept"), GRAPHS.values()):
        page = pages.page(
            "sparql.html",
            editor=editor_state(service, example, text),
            scripts=is_built(),
            texts=script_texts(),
            limits=service.limits,
            tables=TABLES.values(),
            graphs=GRAPHS.values(),
        )
        return respond(request, page, HTML, headers={"Vary": "Accept"})
    graph_format = choose_format(request, GRAPHS)
    current = service.current
    body = await service_description(service, graph_format)
    # The limits are part of the seed, since they are fixed when the server starts.
    seed = f"service {graph_format.suffix} {service.limits}".encode()
    return with_validators(
        request, Response(body, headers={"Content-Type": graph_format.media}), current, seed
    )


@get(router, "/sparql/words", include_in_schema=False)
async def completion(request: Request, service: ServiceDep) -> Response:
    """Return the names that the query editor completes."""
    current = service.current
    body = json.dumps(await completions(service), ensure_ascii=False, separators=(",", ":"))
    return with_validators(
        request, Response(body, media_type="application/json"), current, b"words"
    )


async def graph_store_parameters(
    graph: Annotated[str | None, Query(description="The IRI of a graph")] = None,
    default: Annotated[
        str | None,
        Query(description="Without a value: the default graph, which is all graphs together"),
    ] = None,
    format: Annotated[str | None, format_parameter(GRAPHS)] = None,
) -> None:
    """Declare the parameters; they are read by the rules of the protocol, which refuses repeated
    ones.
    """


@get(
    graphs,
    "/rdf-graph-store",
    operation_id="graphStore",
    summary="Return a graph, by the SPARQL 1.1 Graph Store HTTP Protocol",
    tags=["ask"],
    dependencies=[Depends(graph_store_parameters)],
    response_class=Response,
    response_description="The graph",
    responses=contents(*(graph_format.media for graph_format in GRAPHS.values()))
    | problems(400, 404, 406, 422, 429, 503, 504),
)
async def graph_store(request: Request, service: ServiceDep) -> Response:
    """Either `graph` or `default` is required."""
    params = parse_form(request.scope["query_string"])
    name = single_value(params, "graph")
    named = graph_parameters(params, "graph")
    wanted = "Specify one graph: ?default or ?graph=IRI"
    require(("default" in params) is (named is None), wanted, _INVALID)
    suffix = choose_format(request, GRAPHS, single_value(params, "format")).suffix
    is_known = not name or bool(await service.rows(_ANY_TRIPLE, {"graph": iri(name)}))
    require(is_known, f"Graph {name} not found")
    rows = service.limits.rows
    query = QueryRequest(
        _ALL, None, suffix, service.iris.base, named, () if named else None, rows=rows
    )
    return await answer_query(request, service, query)
