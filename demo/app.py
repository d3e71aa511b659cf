"""Serve all registries of the demo under one address, with their faults and a control endpoint for
tests.
"""

from __future__ import annotations

import asyncio
import codecs
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from functools import partial
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
from demo.raw_http import SCRIPTS, RawResponse, error_responses, robots
from demo.record_index import RecordIndex
from demo.scenario import Fault, Registry, ScenarioState

Headers = Mapping[str, str]
Pairs = list[tuple[str, str]]

_JSON = "application/json"
_SLOW = 0.3  # seconds
_PAGE = b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body><h1>We will be back soon</h1></body></html>\n"


@dataclass(slots=True)
class DemoState:
    """The indexes of all registries in their current state, and request counters by registry.

    *page* is the default number of records per page. *publications* are the keys of PUBLICATIONS
    that are served too; their content depends on *seed*. A one-time fault depends on
    *since_change*, the number of requests since the last change of the state.
    """

    registries: list[Registry]
    state: ScenarioState
    page: int
    publications: Collection[str] = ()
    seed: int = 1
    requests: Counter[str] = field(default_factory=Counter)
    responses: Counter[str] = field(default_factory=Counter)
    since_change: Counter[str] = field(default_factory=Counter)
    indexes: dict[str, RecordIndex] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.set_state(self.state)

    def set_state(self, state: ScenarioState) -> None:
        self.close()
        self.state = state
        self.indexes = {registry.name: RecordIndex(registry, state) for registry in self.registries}
        self.since_change.clear()

    def close(self) -> None:
        for index in self.indexes.values():
            index.close()

    def count(self, name: str) -> int:
        """Count a request; return the registry's number of requests since the last change."""
        self.requests[name] += 1
        self.since_change[name] += 1
        return self.since_change[name]

    def reply(
        self, name: str, body: bytes, kind: str, status: int = 200, headers: Headers | None = None
    ) -> Response:
        """Return the response of a registry, with the faults that change a part of it."""
        faults, number, now = self.state.faults, self.since_change[name], self.state.now
        if Fault.CUT in faults and number == 2:
            body = body[: len(body) // 2]
        if self.state.fault_active(Fault.CHARSET, number):
            body = body.decode().encode("latin-1", "replace")
        if Fault.BOM in faults and kind.startswith(_JSON):
            body = codecs.BOM_UTF8 + body
        if Fault.CLOCK in faults:
            now -= timedelta(hours=number)
        self.responses[f"{name} {status}"] += 1
        stamped = {"Date": format_datetime(now, usegmt=True), **(headers or {})}
        return Response(body, status, stamped, kind)

    async def fault(self, name: str, url: str) -> Response | None:
        """Count a request; return the response of a fault that replaces the whole one, or None."""
        number, faults = self.count(name), self.state.faults
        if Fault.BUSY in faults and number == 2 and name in {"oai", "projects"}:
            body = b"busy, come back in a second\n"
            return self.reply(name, body, "text/plain", 503, {"Retry-After": "1"})
        if Fault.SLOW in faults and number == 2 and name in {"ckan", "offset"}:
            await asyncio.sleep(_SLOW)
        if Fault.HTML in faults:
            return Response(_PAGE, media_type="text/html")
        for fault, script in SCRIPTS.items():
            if self.state.fault_active(fault, number):
                return RawResponse(script)
        for fault, (status, headers, kind, body) in error_responses(url, self.state.now).items():
            if self.state.fault_active(fault, number):
                return self.reply(name, body, kind, status, headers)
        return None

    def cached(self, request: Request, name: str, body: bytes, kind: str) -> Response:
        """Respond with ETag, and Last-Modified if it is known, or 304 if the client's copy is
        current.
        """
        headers = {"ETag": f'"{crc32(body):08x}-{len(body):x}"'}
        if name in self.indexes:
            newest = datetime.fromtimestamp(self.indexes[name].newest, self.state.now.tzinfo)
            headers["Last-Modified"] = format_datetime(newest, usegmt=True)
        is_current = StaticFiles().is_not_modified(ResponseHeaders(headers), request.headers)
        return self.reply(
            name, b"" if is_current else body, kind, 304 if is_current else 200, headers
        )


async def _read_arguments(request: Request) -> Pairs:
    """Return the arguments in order, from the query and from a posted form or JSON object."""
    pairs = list(request.query_params.multi_items())
    body = await request.body()
    if not request.headers.get("content-type", "").startswith(_JSON):
        return pairs + parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
    return pairs + [
        (name, value if isinstance(value, str) else orjson.dumps(value).decode())
        for name, value in _read_json(body).items()
    ]


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        posted = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"not JSON: {error}") from error
    if not isinstance(posted, dict):
        raise HTTPException(400, "post a JSON object")
    return posted


def _url(request: Request) -> str:
    return str(request.url.replace(query=""))


def _oai(request: Request, demo: DemoState, pairs: Pairs) -> Response:
    if Fault.EXPIRED in demo.state.faults and demo.since_change["oai"] == 3:
        pairs = [(name, "expired" if name == "resumptionToken" else value) for name, value in pairs]
    body = oai.answer(demo.indexes["oai"], pairs, _url(request), demo.page)
    return demo.reply("oai", body, "text/xml; charset=utf-8")


def _ckan(request: Request, demo: DemoState, pairs: Pairs) -> Response:
    url, _, action = _url(request).rpartition("/")
    answer = {"package_search": ckan.search, "package_show": ckan.show}.get(action)
    if answer is None:
        body = ckan.error_body(url, "Not Found Error", f"no action {action}")
        return demo.reply("ckan", body, _JSON, 404)
    status, body = answer(demo.indexes["ckan"], dict(pairs), url)
    return demo.reply("ckan", body, f"{_JSON};charset=utf-8", status)


def _file(request: Request, demo: DemoState, pairs: Pairs) -> Response:
    name, index = request.path_params["name"], demo.indexes["files"]
    is_list = name in {"", "index.json"}
    body = list_endpoints.list_files(index) if is_list else list_endpoints.get_file(index, name)
    if body is None:
        return PlainTextResponse("no such file\n", 404)
    return demo.cached(request, "files", body, _JSON)


def _csv(request: Request, demo: DemoState, pairs: Pairs) -> Response:
    body = list_endpoints.csv_table(demo.indexes["csv"])
    return demo.cached(request, "csv", body, "text/csv; charset=utf-8")


def _list(name: str, request: Request, demo: DemoState, pairs: Pairs) -> Response:
    answer = list_endpoints.LISTS[name]
    body = answer(demo.indexes[name], request.query_params, _url(request), demo.page)
    return demo.cached(request, name, body, _JSON)


# The path and the handler of each registry.
_REGISTRIES: Mapping[str, tuple[str, Callable[[Request, DemoState, Pairs], Response]]] = {
    "oai": ("/oai", _oai),
    "ckan": ("/ckan/api/3/action/{action}", _ckan),
    "csv": ("/csv/projects.csv", _csv),
    "files": ("/json/files/{name:path}", _file),
    **{name: (f"/json/{name}", partial(_list, name)) for name in list_endpoints.LISTS},
}
_POSTED = {"oai", "ckan"}  # these registries accept POST too


def _endpoint(demo: DemoState, name: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a registry; a fault may replace its response."""

    async def endpoint(request: Request) -> Response:
        pairs, fault = await _read_arguments(request), await demo.fault(name, str(request.url))
        return fault or _REGISTRIES[name][1](request, demo, pairs)

    return endpoint


def _publication(demo: DemoState, name: str) -> Callable[[Request], Response]:
    def endpoint(request: Request) -> Response:
        demo.count(name)
        _, kind, content = PUBLICATIONS[name]
        return demo.cached(request, name, content(demo.seed), kind)

    return endpoint


def _next_state(state: ScenarioState, requested: Mapping[str, Any]) -> ScenarioState:
    version, times = int(requested.get("version", state.version)), state.release_times
    if requested.get("at"):
        times = {**times, version: datetime.fromisoformat(requested["at"])}
    faults = frozenset(map(Fault, requested.get("faults", state.faults)))
    return ScenarioState(version, faults, times, bool(requested.get("stays", state.persistent)))


def create_app(demo: DemoState) -> Starlette:
    """Create the demo's ASGI app; paths of registries not in the demo are 404."""

    async def control(request: Request) -> Response:
        """Return the state and the counters; a POST of version, faults, stays and at (ISO 8601, the
        version's time) changes the state.
        """
        if request.method == "POST":
            try:
                demo.set_state(_next_state(demo.state, _read_json(await request.body())))
            except (ValueError, TypeError) as error:
                message = f"post version, faults ({', '.join(Fault)}) and at: {error}"
                raise HTTPException(400, message) from error
        state = {
            "version": demo.state.version,
            "faults": sorted(demo.state.faults),
            "now": demo.state.now.isoformat(),
        }
        counters = {"requests": dict(demo.requests), "answers": dict(demo.responses)}
        return JSONResponse(state | counters)

    async def robots_txt(request: Request) -> Response:
        status, text = robots(demo.state.faults)
        return PlainTextResponse(text, status)

    routes = [
        Route("/control", control, methods=["GET", "POST"]),
        Route("/robots.txt", robots_txt),
    ]
    for name in demo.indexes:
        methods = ["GET", "POST"] if name in _POSTED else ["GET"]
        routes.append(Route(_REGISTRIES[name][0], _endpoint(demo, name), methods=methods))
    for name in demo.publications:
        routes.append(Route(PUBLICATIONS[name][0], _publication(demo, name)))
    return Starlette(routes=routes)
