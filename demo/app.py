"""Serve all registries of the demo under one address, with their faults and a control endpoint for
tests.
"""

from __future__ import annotations

import asyncio
import codecs
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl
from zlib import crc32

import orjson
from starlette.applications import Starlette
from starlette.datastructures import Headers as ResponseHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from demo import ckan, list_endpoints, oai
from demo.publications import PUBLICATIONS
from demo.raw_http import ERROR_FAULTS, SCRIPTS, RawResponse, error_response, robots
from demo.record_index import RecordIndex
from demo.scenario import Fault, Registry, ScenarioState

Headers = Mapping[str, str]
Pairs = list[tuple[str, str]]
Endpoint = Callable[[Request], Awaitable[Response]]

_NONE: Headers = {}
_JSON = "application/json"
_SLOW = 0.3  # seconds
_PAGE = b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body><h1>We will be back soon</h1></body></html>\n"


class DemoState:
    """The indexes of all registries in their current state, and request counters by registry.

    *publications* are the keys of PUBLICATIONS that are served too, with content that depends on
    *seed*.
    """

    def __init__(
        self,
        registries: list[Registry],
        state: ScenarioState,
        page: int,
        publications: Collection[str] = (),
        seed: int = 1,
    ) -> None:
        self.registries = registries
        self.publications = publications
        self.seed = seed
        self.page = page
        self.requests: Counter[str] = Counter()
        self.responses: Counter[str] = Counter()
        # requests since the last change; one-time faults depend on it
        self.since_change: Counter[str] = Counter()
        self.state = state
        self.indexes = {registry.name: RecordIndex(registry, state) for registry in registries}

    def set_state(self, state: ScenarioState) -> None:
        """Change the state of all registries."""
        self.close()
        self.state = state
        self.indexes = {registry.name: RecordIndex(registry, state) for registry in self.registries}
        self.since_change.clear()

    def close(self) -> None:
        """Close the indexes' files."""
        for index in self.indexes.values():
            index.close()

    def count(self, name: str) -> int:
        """Count a request; return the registry's number of requests since the last change."""
        self.requests[name] += 1
        self.since_change[name] += 1
        return self.since_change[name]


def _get_state(request: Request) -> DemoState:
    demo = request.app.state.playground
    assert isinstance(demo, DemoState)
    return demo


async def _read_arguments(request: Request) -> Pairs:
    """Return the arguments in order, from the query and from a posted form or JSON object."""
    pairs = list(request.query_params.multi_items())
    if request.method != "POST":
        return pairs
    body = await request.body()
    if not request.headers.get("content-type", "").startswith(_JSON):
        return pairs + parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
    posted = _read_json(body)
    return pairs + [
        (name, value if isinstance(value, str) else orjson.dumps(value).decode())
        for name, value in posted.items()
    ]


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        posted = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"no JSON: {error}") from error
    if not isinstance(posted, dict):
        raise HTTPException(400, "post a JSON object")
    return posted


Answer = Callable[[Request, DemoState, Pairs], Response]


async def _fault_response(demo: DemoState, name: str, url: str) -> Response | None:
    """Return the response of a fault that replaces the whole response, or None."""
    request_number, faults = demo.count(name), demo.state.faults
    if Fault.BUSY in faults and request_number == 2 and name in {"oai", "projects"}:
        return _reply(
            demo, name, b"busy, come back in a second\n", "text/plain", 503, {"Retry-After": "1"}
        )
    if Fault.SLOW in faults and request_number == 2 and name in {"ckan", "offset"}:
        await asyncio.sleep(_SLOW)
    if Fault.HTML in faults:
        return Response(_PAGE, media_type="text/html")
    if fault := next(
        (fault for fault in SCRIPTS if demo.state.fault_active(fault, request_number)), None
    ):
        return RawResponse(SCRIPTS[fault])
    if fault := next(
        (fault for fault in ERROR_FAULTS if demo.state.fault_active(fault, request_number)), None
    ):
        status, headers, kind, body = error_response(fault, url, demo.state.now)
        return _reply(demo, name, body, kind, status, headers)
    return None


def _reply(
    demo: DemoState, name: str, body: bytes, kind: str, status: int = 200, headers: Headers = _NONE
) -> Response:
    if Fault.CUT in demo.state.faults and demo.since_change[name] == 2:
        body = body[: len(body) // 2]
    now = demo.state.now
    if demo.state.fault_active(Fault.CHARSET, demo.since_change[name]):
        body = body.decode().encode("latin-1", "replace")
    if Fault.BOM in demo.state.faults and kind.startswith(_JSON):
        body = codecs.BOM_UTF8 + body
    if Fault.CLOCK in demo.state.faults:
        now -= timedelta(hours=demo.since_change[name])
    stamped = {"Date": format_datetime(now, usegmt=True), **headers}
    demo.responses[f"{name} {status}"] += 1
    return Response(body, status, stamped, kind)


def _cached(request: Request, index: RecordIndex, body: bytes, kind: str) -> Response:
    """Respond with Last-Modified and ETag, or 304 if the client's copy is current."""
    newest = datetime.fromtimestamp(index.newest, _get_state(request).state.now.tzinfo)
    modified = {"Last-Modified": format_datetime(newest, usegmt=True)}
    return _conditional(request, index.registry.name, body, kind, modified)


def _conditional(
    request: Request, name: str, body: bytes, kind: str, headers: Headers = _NONE
) -> Response:
    """Respond with ETag and *headers*, or 304 if the client's copy is current."""
    headers = {**headers, "ETag": f'"{crc32(body):08x}-{len(body):x}"'}
    demo = _get_state(request)
    if StaticFiles().is_not_modified(ResponseHeaders(headers), request.headers):
        return _reply(demo, name, b"", kind, 304, headers)
    return _reply(demo, name, body, kind, 200, headers)


def _url(request: Request) -> str:
    return str(request.url.replace(query=""))


def _oai(request: Request, demo: DemoState, pairs: Pairs) -> Response:
    if Fault.EXPIRED in demo.state.faults and demo.since_change["oai"] == 3:
        pairs = [(name, "expired" if name == "resumptionToken" else value) for name, value in pairs]
    body = oai.answer(demo.indexes["oai"], pairs, _url(request), demo.page)
    return _reply(demo, "oai", body, "text/xml; charset=utf-8")


def _ckan(request: Request, demo: DemoState, pairs: Pairs) -> Response:
    url, _, action = _url(request).rpartition("/")
    answer = {"package_search": ckan.search, "package_show": ckan.show}.get(action)
    if answer is None:
        body = ckan.error_body(url, "Not Found Error", f"no action {action}")
        return _reply(demo, "ckan", body, _JSON, 404)
    status, body = answer(demo.indexes["ckan"], dict(pairs), url)
    return _reply(demo, "ckan", body, f"{_JSON};charset=utf-8", status)


def _file(request: Request, demo: DemoState, pairs: Pairs) -> Response:
    name, index = request.path_params["name"], demo.indexes["files"]
    is_list = name in {"", "index.json"}
    body = list_endpoints.list_files(index) if is_list else list_endpoints.get_file(index, name)
    if body is None:
        return PlainTextResponse("no such file\n", 404)
    return _cached(request, index, body, _JSON)


def _csv(request: Request, demo: DemoState, pairs: Pairs) -> Response:
    index = demo.indexes["csv"]
    return _cached(request, index, list_endpoints.csv_table(index), "text/csv; charset=utf-8")


def _registry(name: str, answer: Answer) -> Endpoint:
    """Return the endpoint of a registry: a fault may replace what *answer* returns."""

    async def endpoint(request: Request) -> Response:
        demo, pairs = _get_state(request), await _read_arguments(request)
        fault = await _fault_response(demo, name, str(request.url))
        return fault or answer(request, demo, pairs)

    return endpoint


async def _list(request: Request) -> Response:
    demo, name = _get_state(request), request.path_params["name"]
    if name not in list_endpoints.LISTS or name not in demo.indexes:
        return PlainTextResponse("no such registry\n", 404)
    index = demo.indexes[name]
    body = list_endpoints.LISTS[name](index, request.query_params, _url(request), demo.page)
    fault = await _fault_response(demo, name, str(request.url))
    return fault or _cached(request, index, body, _JSON)


async def _publication(request: Request) -> Response:
    demo = _get_state(request)
    name = next(name for name, (path, _, _) in PUBLICATIONS.items() if path == request.url.path)
    demo.count(name)
    _, kind, content = PUBLICATIONS[name]
    return _conditional(request, name, content(demo.seed), kind)


def _next_state(state: ScenarioState, requested: Mapping[str, Any]) -> ScenarioState:
    version = int(requested.get("version", state.version))
    release_times = (
        {**state.release_times, version: datetime.fromisoformat(requested["at"])}
        if requested.get("at")
        else state.release_times
    )
    return ScenarioState(
        version,
        frozenset(map(Fault, requested.get("faults", state.faults))),
        release_times,
        bool(requested.get("stays", state.persistent)),
    )


async def _control(request: Request) -> Response:
    """Return the state and the counters; a POST of version, faults, stays and at (ISO 8601, the
    version's time) changes the state.
    """
    demo = _get_state(request)
    if request.method == "POST":
        try:
            demo.set_state(_next_state(demo.state, _read_json(await request.body())))
        except (ValueError, TypeError) as error:
            raise HTTPException(
                400, f"post version, faults ({', '.join(Fault)}) and at: {error}"
            ) from error
    result = {
        "version": demo.state.version,
        "faults": sorted(demo.state.faults),
        "now": demo.state.now.isoformat(),
    }
    return JSONResponse(
        {**result, "requests": dict(demo.requests), "answers": dict(demo.responses)}
    )


async def _robots(request: Request) -> Response:
    status, text = robots(_get_state(request).state.faults)
    return PlainTextResponse(text, status)


def create_app(demo: DemoState) -> Starlette:
    """Create the demo's ASGI app; paths of registries not in the demo are 404."""
    routes = [Route("/control", _control, methods=["GET", "POST"]), Route("/robots.txt", _robots)]
    registries: dict[str, tuple[str, Answer, list[str]]] = {
        "oai": ("/oai", _oai, ["GET", "POST"]),
        "ckan": ("/ckan/api/3/action/{action}", _ckan, ["GET", "POST"]),
        "csv": ("/csv/projects.csv", _csv, ["GET"]),
        "files": ("/json/files/{name:path}", _file, ["GET"]),
    }
    routes += [
        Route(path, _registry(name, answer), methods=methods)
        for name, (path, answer, methods) in registries.items()
        if name in demo.indexes
    ]
    routes += [Route(PUBLICATIONS[name][0], _publication) for name in demo.publications]
    app = Starlette(routes=[*routes, Route("/json/{name}", _list)])
    app.state.playground = demo
    return app
