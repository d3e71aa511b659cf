"""The app: all registries of the demo under one address, their faults, and a control desk for tests."""

from __future__ import annotations

import asyncio
import codecs
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl
from zlib import crc32

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from harvesters.demo import ckan, oai, rows
from harvesters.demo.book import Book
from harvesters.demo.fate import Age, Fault, Registry
from harvesters.demo.refusals import REFUSALS, refusal, robots
from harvesters.demo.wire import PLAYS, Wire

Headers = Mapping[str, str]

_NONE: Headers = {}
_JSON = "application/json"
_SLOW = 0.3  # seconds: long enough to be seen, short enough for tests
_PAGE = b"<!DOCTYPE html>\n<html><head><title>Maintenance</title></head><body><h1>We will be back soon</h1></body></html>\n"


class Playground:
    """What the demo holds open: the books at their present age and the counters of requests by registry."""

    def __init__(self, registries: list[Registry], age: Age, page: int) -> None:
        self.registries = registries
        self.page = page
        self.requests: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.since: Counter[str] = Counter()  # requests since the last move: the faults that come once go by it
        self.age = age
        self.books = {registry.name: Book(registry, age) for registry in registries}

    def move(self, age: Age) -> None:
        """Bring all registries to another age."""
        self.close()
        self.age = age
        self.books = {registry.name: Book(registry, age) for registry in self.registries}
        self.since.clear()

    def close(self) -> None:
        """Give the books' files back."""
        for book in self.books.values():
            book.close()

    def count(self, name: str) -> int:
        """Count a request; tells how many the registry has had since the last move."""
        self.requests[name] += 1
        self.since[name] += 1
        return self.since[name]


def _playground(request: Request) -> Playground:
    playground = request.app.state.playground
    assert isinstance(playground, Playground)
    return playground


async def _given(request: Request) -> list[tuple[str, str]]:
    """Read the arguments in order, from the query and from a posted form or JSON object."""
    pairs = list(request.query_params.multi_items())
    if request.method != "POST":
        return pairs
    body = await request.body()
    if not request.headers.get("content-type", "").startswith(_JSON):
        return pairs + parse_qsl(body.decode(errors="replace"), keep_blank_values=True)
    posted = _posted(body)
    return pairs + [(name, value if isinstance(value, str) else orjson.dumps(value).decode()) for name, value in posted.items()]


def _posted(body: bytes) -> dict[str, Any]:
    try:
        posted = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"no JSON: {error}") from error
    if not isinstance(posted, dict):
        raise HTTPException(400, "post a JSON object")
    return posted


async def _trouble(playground: Playground, name: str, url: str) -> Response | None:
    """Play the faults that strike a whole answer, whatever was asked."""
    nth, faults = playground.count(name), playground.age.faults
    if Fault.BUSY in faults and nth == 2 and name in {"oai", "projects"}:
        return _reply(playground, name, b"busy, come back in a second\n", "text/plain", 503, {"Retry-After": "1"})
    if Fault.SLOW in faults and nth == 2 and name in {"ckan", "offset"}:
        await asyncio.sleep(_SLOW)
    if Fault.HTML in faults:
        return Response(_PAGE, media_type="text/html")
    if fault := next((fault for fault in PLAYS if playground.age.strikes(fault, nth)), None):
        return Wire(PLAYS[fault])
    if fault := next((fault for fault in REFUSALS if playground.age.strikes(fault, nth)), None):
        status, headers, kind, body = refusal(fault, url, playground.age.now)
        return _reply(playground, name, body, kind, status, headers)
    return None


def _reply(playground: Playground, name: str, body: bytes, kind: str, status: int = 200, headers: Headers = _NONE) -> Response:
    if Fault.CUT in playground.age.faults and playground.since[name] == 2:
        body = body[: len(body) // 2]
    now = playground.age.now
    if playground.age.strikes(Fault.CHARSET, playground.since[name]):
        body = body.decode().encode("latin-1", "replace")
    if Fault.BOM in playground.age.faults and kind.startswith(_JSON):
        body = codecs.BOM_UTF8 + body
    if Fault.CLOCK in playground.age.faults:
        now -= timedelta(hours=playground.since[name])
    stamped = {"Date": format_datetime(now, usegmt=True), **headers}
    playground.answers[f"{name} {status}"] += 1
    return Response(body, status, stamped, kind)


def _cached(request: Request, book: Book, body: bytes, kind: str) -> Response:
    """Answer with ETag and Last-Modified, or 304 where the client has it already."""
    playground, name = _playground(request), book.registry.name
    tag = f'"{crc32(body):08x}-{len(body):x}"'
    headers = {"ETag": tag, "Last-Modified": format_datetime(datetime.fromtimestamp(book.newest, playground.age.now.tzinfo), usegmt=True)}
    asked = request.headers.get("if-none-match")
    known = tag in asked if asked else request.headers.get("if-modified-since") == headers["Last-Modified"]
    return _reply(playground, name, b"", kind, 304, headers) if known else _reply(playground, name, body, kind, 200, headers)


def _url(request: Request) -> str:
    return str(request.url.replace(query=""))


async def _oai(request: Request) -> Response:
    playground = _playground(request)
    trouble = await _trouble(playground, "oai", str(request.url))
    if trouble:
        return trouble
    pairs = await _given(request)
    if Fault.EXPIRED in playground.age.faults and playground.since["oai"] == 3:
        pairs = [(name, "expired" if name == "resumptionToken" else value) for name, value in pairs]
    body = oai.answer(playground.books["oai"], pairs, _url(request), playground.page)
    return _reply(playground, "oai", body, "text/xml; charset=utf-8")


async def _ckan(request: Request) -> Response:
    playground = _playground(request)
    trouble = await _trouble(playground, "ckan", str(request.url))
    if trouble:
        return trouble
    url, _, action = _url(request).rpartition("/")
    deeds = {"package_search": ckan.search, "package_show": ckan.show}
    if action not in deeds:
        return _reply(playground, "ckan", ckan.failed(url, "Not Found Error", f"no action {action}"), _JSON, 404)
    status, body = deeds[action](playground.books["ckan"], dict(await _given(request)), url)
    return _reply(playground, "ckan", body, f"{_JSON};charset=utf-8", status)


async def _list(request: Request) -> Response:
    playground, name = _playground(request), request.path_params["name"]
    if name not in rows.LISTS or name not in playground.books:
        return PlainTextResponse("no such registry\n", 404)
    book = playground.books[name]
    body = rows.LISTS[name](book, request.query_params, _url(request), playground.page)
    return await _trouble(playground, name, str(request.url)) or _cached(request, book, body, _JSON)


async def _file(request: Request) -> Response:
    playground, name = _playground(request), request.path_params["name"]
    trouble = await _trouble(playground, "files", str(request.url))
    if trouble:
        return trouble
    book = playground.books["files"]
    body = rows.index(book) if name in {"", "index.json"} else rows.one(book, name)
    return PlainTextResponse("no such file\n", 404) if body is None else _cached(request, book, body, _JSON)


async def _csv(request: Request) -> Response:
    playground = _playground(request)
    book = playground.books["csv"]
    return await _trouble(playground, "csv", str(request.url)) or _cached(request, book, rows.table(book), "text/csv; charset=utf-8")


def _moved(age: Age, asked: Mapping[str, Any]) -> Age:
    version = int(asked.get("version", age.version))
    came = {**age.came, version: datetime.fromisoformat(asked["at"])} if asked.get("at") else age.came
    return Age(version, frozenset(map(Fault, asked.get("faults", age.faults))), came, bool(asked.get("stays", age.stays)))


async def _control(request: Request) -> Response:
    """Tell the age and the counters; a POST of version, faults, stays and at (ISO 8601, when the version came) moves to another age."""
    playground = _playground(request)
    if request.method == "POST":
        try:
            playground.move(_moved(playground.age, _posted(await request.body())))
        except (ValueError, TypeError) as error:
            raise HTTPException(400, f"post version, faults ({', '.join(Fault)}) and at: {error}") from error
    told = {"version": playground.age.version, "faults": sorted(playground.age.faults), "now": playground.age.now.isoformat()}
    return JSONResponse({**told, "requests": dict(playground.requests), "answers": dict(playground.answers)})


async def _robots(request: Request) -> Response:
    status, text = robots(_playground(request).age.faults)
    return PlainTextResponse(text, status)


def build(playground: Playground) -> Starlette:
    """Make the ASGI app of a playground; what it does not play is 404."""
    routes = [Route("/control", _control, methods=["GET", "POST"]), Route("/robots.txt", _robots)]
    places = {
        "oai": Route("/oai", _oai, methods=["GET", "POST"]),
        "ckan": Route("/ckan/api/3/action/{action}", _ckan, methods=["GET", "POST"]),
        "csv": Route("/csv/projects.csv", _csv),
        "files": Route("/json/files/{name:path}", _file),
    }
    routes += [route for name, route in places.items() if name in playground.books]
    app = Starlette(routes=[*routes, Route("/json/{name}", _list)])
    app.state.playground = playground
    return app
