"""Serve all registries of the demo under one address, with their faults and a control endpoint for
tests: CKAN's Action API (https://docs.ckan.org/en/latest/api/), JSON lists with the usual kinds of
paging (page, offset, cursor, next link, a single document, a folder), CSV, and OAI-PMH.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
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

_MAX_PAGE_SIZE = 1000  # records a page, even if a request asks for more; CKAN's rows_max
_SINCE = re.compile(r"^metadata_modified:\[(\S+)Z TO \*\]\Z")


def search(index: RecordIndex, parameters: Mapping[str, str], url: str) -> tuple[int, bytes]:
    """Respond to package_search: all packages, or those modified since a time, by their ids."""
    since, fq = 0, parameters.get("fq", "")
    try:
        start, rows = int(parameters.get("start", "0")), int(parameters.get("rows", "10"))
        if fq:
            [text] = _SINCE.findall(fq)
            since = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
    except ValueError:
        message = "the demo's search knows start, rows and fq=metadata_modified:[... TO *]"
        error = {"__type": "Validation Error", "message": message}
        return 409, orjson.dumps({"success": False, "error": error})
    selected = index.select(since)
    records = index.read_many(index.slice(selected, start, min(rows, _MAX_PAGE_SIZE)))
    head = f'{{"help":"{url}/help_show?name=package_search","success":true,"result":{{"count":{index.total(selected, start)},'
    return (
        200,
        head.encode()
        + b'"facets":{},"sort":"id asc","search_facets":{},"results":['
        + records[:-2]
        + b"]}}",
    )


def _number(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else default


# The members before the list of records, the name of the list, and its position and size.
Page = tuple[Mapping[str, object], str, int, int]


def projects(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> Page:
    """Page by number, from 1."""
    number = max(1, _number(parameters, "page", 1))
    size = min(_number(parameters, "page_size", page) or page, _MAX_PAGE_SIZE)
    total = index.total(index.select(), number - 1)
    head = {
        "count": total,
        "page_size": size,
        "next_page": f"{url}?page={number + 1}&page_size={size}" if number * size < total else None,
        "previous_page": f"{url}?page={number - 1}&page_size={size}" if number > 1 else None,
    }
    return head, "results", (number - 1) * size, size


def offset(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> Page:
    """Page by offset and limit."""
    first = _number(parameters, "offset", 0)
    size = min(_number(parameters, "limit", page) or page, _MAX_PAGE_SIZE)
    head = {"total": index.total(index.select(), first), "offset": first, "limit": size}
    return head, "items", first, size


def cursor(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> Page:
    """Page by an opaque cursor, which is null at the end."""
    first = _number({"cursor": parameters.get("cursor", "").removeprefix("c")}, "cursor", 0)
    faults, selected = index.state.faults, index.select()
    after = page if Fault.TOKEN in faults else first + page
    is_last = after >= len(selected) and not faults & {Fault.TOKEN, Fault.ENDLESS}
    following = None if is_last else f"c{after}"
    head = {"meta": {"total": index.total(selected, first), "next_cursor": following}}
    return head, "data", first, page


def next_links(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> Page:
    """Page by links, of which the next one is null at the end."""
    first = _number(parameters, "after", 0)
    later = f"{url}?after={first + page}" if first + page < len(index.select()) else None
    return {"links": {"self": f"{url}?after={first}", "next": later}}, "value", first, page


LISTS = {"projects": projects, "offset": offset, "cursor": cursor, "next": next_links}


_JSON = "application/json"
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

    def reply(
        self,
        name: str,
        body: bytes,
        kind: str,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Return the response of a registry, with the faults that change a part of it."""
        faults, number, now = self.state.faults, self.since_change[name], self.state.now
        if self.state.fault_active(Fault.CHARSET, number):
            body = body.decode().encode("latin-1", "replace")
        if Fault.BOM in faults and kind.startswith(_JSON):
            body = codecs.BOM_UTF8 + body
        if Fault.CLOCK in faults:
            now -= timedelta(hours=number)
        stamped = {"Date": format_datetime(now, usegmt=True), **(headers or {})}
        return Response(body, status, stamped, kind)

    def fault(self, name: str, url: str) -> Response | None:
        """Count a request; return the response of a fault that replaces the whole one, or None."""
        self.requests[name] += 1
        self.since_change[name] += 1
        number, faults = self.since_change[name], self.state.faults
        if Fault.BUSY in faults and number == 2 and name in {"oai", "projects"}:
            body = b"busy, come back in a second\n"
            return self.reply(name, body, "text/plain", 503, {"Retry-After": "1"})
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


def _url(request: Request) -> str:
    return str(request.url.replace(query=""))


def _oai(request: Request, demo: DemoState) -> Response:
    pairs = request.query_params.multi_items()
    body = oai.answer(demo.indexes["oai"], pairs, _url(request), demo.page)
    return demo.reply("oai", body, "text/xml; charset=utf-8")


def _ckan(request: Request, demo: DemoState) -> Response:
    url = _url(request).rpartition("/")[0]
    status, body = search(demo.indexes["ckan"], request.query_params, url)
    return demo.reply("ckan", body, f"{_JSON};charset=utf-8", status)


def _file(request: Request, demo: DemoState) -> Response:
    """Return the list of the files, or the file of a record."""
    name, index = request.path_params["name"], demo.indexes["files"]
    body = orjson.dumps({"files": [f"{key}.json" for key in index.keys]})
    if name not in ("", "index.json"):
        body = index.read(index.positions[name.removesuffix(".json")])[:-2]
    return demo.cached(request, "files", body, _JSON)


def _csv(request: Request, demo: DemoState) -> Response:
    index = demo.indexes["csv"]
    body = csv_line(list(COLUMNS)) + index.read_many(index.select())
    return demo.cached(request, "csv", body, "text/csv; charset=utf-8")


def _all(request: Request, demo: DemoState) -> Response:
    index = demo.indexes["all"]
    return demo.cached(request, "all", _page(index, 0, len(index)), _JSON)


def _list(name: str, request: Request, demo: DemoState) -> Response:
    """Return a page: an object with the list of records as its last member."""
    index = demo.indexes[name]
    head, member, first, size = LISTS[name](index, request.query_params, _url(request), demo.page)
    body = orjson.dumps(head)[:-1] + f',"{member}":'.encode() + _page(index, first, size) + b"}"
    return demo.cached(request, name, body, _JSON)


def _page(index: RecordIndex, first: int, size: int) -> bytes:
    return b"[" + index.read_many(index.slice(index.select(), first, size))[:-2] + b"]"


def _publication(name: str, request: Request, demo: DemoState) -> Response:
    _, kind, content = PUBLICATIONS[name]
    return demo.cached(request, name, content(demo.seed), kind)


# The path and the handler of each registry.
_REGISTRIES: Mapping[str, tuple[str, Callable[[Request, DemoState], Response]]] = {
    "oai": ("/oai", _oai),
    "ckan": ("/ckan/api/3/action/package_search", _ckan),
    "csv": ("/csv/projects.csv", _csv),
    "files": ("/json/files/{name:path}", _file),
    "all": ("/json/all", _all),
    **{name: (f"/json/{name}", partial(_list, name)) for name in LISTS},
    **{name: (PUBLICATIONS[name][0], partial(_publication, name)) for name in PUBLICATIONS},
}


def _endpoint(
    demo: DemoState, name: str, answer: Callable[[Request, DemoState], Response]
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of a registry; a fault may replace its response."""

    async def endpoint(request: Request) -> Response:
        fault = demo.fault(name, str(request.url))
        return fault if fault and name not in PUBLICATIONS else answer(request, demo)

    return endpoint


def create_app(demo: DemoState) -> Starlette:
    """Create the demo's ASGI app; paths of registries not in the demo are 404."""

    async def control(request: Request) -> Response:
        """Return the state and the counters; a POST of version, faults and stays changes the state."""
        if request.method == "POST":
            try:
                requested = orjson.loads(await request.body())
                demo.set_state(
                    ScenarioState(
                        int(requested.get("version", demo.state.version)),
                        frozenset(map(Fault, requested.get("faults", demo.state.faults))),
                        bool(requested.get("stays", demo.state.persistent)),
                    )
                )
            except (ValueError, TypeError) as error:
                message = f"post version and faults ({', '.join(Fault)}): {error}"
                raise HTTPException(400, message) from error
        return JSONResponse(
            {
                "version": demo.state.version,
                "faults": sorted(demo.state.faults),
                "now": demo.state.now.isoformat(),
                "requests": dict(demo.requests),
            }
        )

    def robots_txt(request: Request) -> Response:
        return PlainTextResponse(*robots(demo.state.faults))

    return Starlette(
        routes=[
            Route("/control", control, methods=["GET", "POST"]),
            Route("/robots.txt", robots_txt),
            *(
                Route(path, _endpoint(demo, name, answer))
                for name, (path, answer) in _REGISTRIES.items()
                if name in demo.indexes or name in demo.publications
            ),
        ]
    )
