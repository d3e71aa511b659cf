"""Serve all registries of the demo under one address, with their faults and a control endpoint for
tests: CKAN's Action API (https://docs.ckan.org/en/latest/api/), JSON lists with the usual kinds of
paging (page, offset, cursor, next link, a single document, a folder), CSV, and OAI-PMH.
"""

from __future__ import annotations

import asyncio
import codecs
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
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

from demo import oai
from demo.publications import PUBLICATIONS
from demo.records import COLUMNS, RecordIndex, csv_line
from demo.scenario import (
    SCRIPTS,
    Fault,
    RawResponse,
    Registry,
    ScenarioState,
    error_responses,
    robots,
)

_MAX_ROWS = 1000  # ckan.search.rows_max
_RANGE = re.compile(r"\s*metadata_modified:\s*([\[{])\s*(\S+)\s+TO\s+(\S+?)\s*([\]}])\s*\Z")
_SORTS = re.compile(r"\s*(?:metadata_modified|metadata_created|id|name|score)\s+(?:asc|desc)\s*\Z")


def error_body(url: str, kind: str, message: str) -> bytes:
    return orjson.dumps(
        {
            "help": f"{url}/help_show",
            "success": False,
            "error": {"__type": kind, "message": message},
        }
    )


def search(index: RecordIndex, parameters: Mapping[str, str], url: str) -> tuple[int, bytes]:
    """Respond to package_search; *parameters* has the query or the posted object, all values as
    text.
    """
    try:
        start = int(parameters.get("start") or 0)
        rows = min(int(parameters.get("rows") or 10), _MAX_ROWS)
        selected = _sort(index, _select(index, parameters), parameters.get("sort", ""))
    except ValueError as error:
        return 409, error_body(url, "Validation Error", str(error))
    if start < 0 or rows < 0:
        return 409, error_body(url, "Validation Error", "start and rows are natural numbers")
    records = index.read_many(index.slice(selected, start, rows)) if start < len(selected) else b""
    count = index.total(selected, start)
    sort = parameters.get("sort") or "score desc, metadata_modified desc"
    head = f'{{"help":"{url}/help_show?name=package_search","success":true,"result":{{"count":{count},"facets":{{}},"sort":'
    return 200, head.encode() + orjson.dumps(sort) + b',"search_facets":{},"results":[' + records[
        :-2
    ] + b"]}}"


def show(index: RecordIndex, parameters: Mapping[str, str], url: str) -> tuple[int, bytes]:
    """Respond to package_show, by name or by id."""
    name_or_id = parameters.get("id", "")
    position = index.positions.get(name_or_id.upper())
    if position is None:
        marker = f'{{"id":"{name_or_id}",'.encode()
        position = next((n for n in range(len(index)) if index.read(n).startswith(marker)), None)
    if position is None:
        return 404, error_body(url, "Not Found Error", "Not found")
    head = f'{{"help":"{url}/help_show?name=package_show","success":true,"result":'
    return 200, head.encode() + index.read(position)[:-2] + b"}"


def _select(index: RecordIndex, parameters: Mapping[str, str]) -> Sequence[int]:
    start, until = 0, 1 << 40
    for text in (parameters.get("q", ""), parameters.get("fq", "")):
        if text.strip() in {"", "*:*"}:
            continue
        match = _RANGE.match(text)
        if not match:
            raise ValueError(
                f"the demo's search knows *:* and metadata_modified:[... TO ...], not {text!r}"
            )
        start = max(start, _second(match[2], 0) + (match[1] == "{"))
        until = min(until, _second(match[3], 1 << 40) - (match[4] == "}"))
    return index.select(start, until)


def _second(text: str, otherwise: int) -> int:
    if text == "*":
        return otherwise
    time = datetime.fromisoformat(text.removesuffix("Z"))
    return int(time.replace(tzinfo=UTC).timestamp())


def _sort(index: RecordIndex, selected: Sequence[int], sort: str) -> Sequence[int]:
    first = sort.partition(",")[0]
    if first and not _SORTS.match(first):
        raise ValueError(f"cannot sort by {first!r}")
    field, _, order = first.strip().partition(" ")
    is_descending = order.strip() == "desc"
    if field == "metadata_modified":
        return index.sort_by_time(selected, is_descending)
    if field == "name":
        return sorted(selected, key=index.keys.__getitem__, reverse=is_descending)
    return selected[::-1] if is_descending and field != "score" else selected


_MAX_PAGE_SIZE = 1000  # records a page, even if a request asks for more


def _number(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else default


def _page(index: RecordIndex, first: int, size: int) -> bytes:
    return b"[" + index.read_many(index.slice(index.select(), first, size))[:-2] + b"]"


def _total(index: RecordIndex, first: int) -> int:
    return index.total(index.select(), first)


def _cursor(index: RecordIndex, first: int, page: int) -> str | None:
    if Fault.TOKEN in index.state.faults:
        return f"c{page}"
    return (
        f"c{first + page}"
        if first + page < len(index.select()) or Fault.ENDLESS in index.state.faults
        else None
    )


def _wrap(head: Mapping[str, object], name: str, records: bytes) -> bytes:
    """Return an object with the list of records as its last member."""
    return orjson.dumps(head)[:-1] + f',"{name}":'.encode() + records + b"}"


def projects(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> bytes:
    """Page by number: count, page_size, next_page, previous_page, results; pages start at 1."""
    number = max(1, _number(parameters, "page", 1))
    size = min(_number(parameters, "page_size", page) or page, _MAX_PAGE_SIZE)
    total = _total(index, number - 1)
    later = f"{url}?page={number + 1}&page_size={size}" if number * size < total else None
    earlier = f"{url}?page={number - 1}&page_size={size}" if number > 1 else None
    head = {"count": total, "page_size": size, "next_page": later, "previous_page": earlier}
    return _wrap(head, "results", _page(index, (number - 1) * size, size))


def offset(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> bytes:
    """Page by offset and limit: total, offset, limit, items."""
    first = _number(parameters, "offset", 0)
    size = min(_number(parameters, "limit", page) or page, _MAX_PAGE_SIZE)
    return _wrap(
        {"total": _total(index, first), "offset": first, "limit": size},
        "items",
        _page(index, first, size),
    )


def cursor(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> bytes:
    """Page by an opaque cursor: meta.next_cursor (null at the end) and data."""
    first = _number({"cursor": parameters.get("cursor", "").removeprefix("c")}, "cursor", 0)
    after = _cursor(index, first, page)
    return _wrap(
        {"meta": {"total": _total(index, first), "next_cursor": after}},
        "data",
        _page(index, first, page),
    )


def next_links(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> bytes:
    """Page by links: links.self, links.next (null at the end) and value."""
    first = _number(parameters, "after", 0)
    later = f"{url}?after={first + page}" if first + page < len(index.select()) else None
    return _wrap(
        {"links": {"self": f"{url}?after={first}", "next": later}},
        "value",
        _page(index, first, page),
    )


def all_records(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> bytes:
    return _page(index, 0, len(index))


def list_files(index: RecordIndex) -> bytes:
    return orjson.dumps({"files": [f"{index.keys[position]}.json" for position in index.select()]})


def get_file(index: RecordIndex, name: str) -> bytes | None:
    position = index.positions.get(name.removesuffix(".json"))
    return None if position is None else index.read(position)[:-2]


def csv_table(index: RecordIndex) -> bytes:
    return csv_line(list(COLUMNS)) + index.read_many(index.select())


LISTS = {
    "projects": projects,
    "offset": offset,
    "cursor": cursor,
    "next": next_links,
    "all": all_records,
}


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
    answer = {"package_search": search, "package_show": show}.get(action)
    if answer is None:
        body = error_body(url, "Not Found Error", f"no action {action}")
        return demo.reply("ckan", body, _JSON, 404)
    status, body = answer(demo.indexes["ckan"], dict(pairs), url)
    return demo.reply("ckan", body, f"{_JSON};charset=utf-8", status)


def _file(request: Request, demo: DemoState, pairs: Pairs) -> Response:
    name, index = request.path_params["name"], demo.indexes["files"]
    is_list = name in {"", "index.json"}
    body = list_files(index) if is_list else get_file(index, name)
    if body is None:
        return PlainTextResponse("no such file\n", 404)
    return demo.cached(request, "files", body, _JSON)


def _csv(request: Request, demo: DemoState, pairs: Pairs) -> Response:
    body = csv_table(demo.indexes["csv"])
    return demo.cached(request, "csv", body, "text/csv; charset=utf-8")


def _list(name: str, request: Request, demo: DemoState, pairs: Pairs) -> Response:
    answer = LISTS[name]
    body = answer(demo.indexes[name], request.query_params, _url(request), demo.page)
    return demo.cached(request, name, body, _JSON)


# The path and the handler of each registry.
_REGISTRIES: Mapping[str, tuple[str, Callable[[Request, DemoState, Pairs], Response]]] = {
    "oai": ("/oai", _oai),
    "ckan": ("/ckan/api/3/action/{action}", _ckan),
    "csv": ("/csv/projects.csv", _csv),
    "files": ("/json/files/{name:path}", _file),
    **{name: (f"/json/{name}", partial(_list, name)) for name in LISTS},
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
