"""Determine how each record changes between versions, which faults it and its registry have, and the
bytes of responses with a fault.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from functools import partial

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from demo.generate import Project, generate_record, random_values

_FIRST = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())  # the oldest datestamp of the demo
_SPAN = 900 * 86400  # seconds; the period of the first version's modification dates
_SHARED = 3  # one record in this many of the registry `all` repeats one of `oai`
_FAULT_RATE = 50  # one in this many records has a fault, and as many are deleted from the start
_UNREADABLE = ("2021-02-30", "31/12/2019", "0000-00-00", "soon", "2020-13-01")
_UNKNOWN = ("Atlantis", "Sub-region East", "Worldwide", "Country office", "n/a")


class Fault(StrEnum):
    """A fault of a registry; the first five are on by default."""

    DATES = "dates"  # some start dates are invalid
    TITLES = "titles"  # some records have no title
    COUNTRIES = "countries"  # some countries are unknown
    DELETIONS = "deletions"  # some records are deleted from the start
    BUSY = "busy"  # the second request gets 503 with Retry-After, once
    REPEAT = "repeat"  # each page is the first one again
    HTML = "html"  # a web page instead of data
    TWICE = "twice"  # each page begins with the last record of the page before
    SHRINK = "shrink"  # the total is smaller from the second page on
    TOKEN = "token"  # the second page's token repeats
    ENDLESS = "endless"  # empty pages after the end, each with a new token
    BOM = "bom"  # JSON starts with a byte order mark
    CLOCK = "clock"  # the registry's clock runs backwards
    FORBIDS = "forbids"  # robots.txt disallows all
    MUTE = "mute"  # robots.txt returns 503
    CRAWL = "crawl"  # robots.txt sets a crawl delay of 1.5 seconds
    # The following faults affect the second request, or each one from it on if they are persistent.
    LIMITED = "limited"  # 429 with Retry-After in seconds
    DATED = "dated"  # 503 with Retry-After as a date
    DOWN = "down"  # 503
    DENIED = "denied"  # 403, by the registry itself
    WALL = "wall"  # 403, by bot protection
    INWARD = "inward"  # a redirect to a private address
    ROUND = "round"  # a redirect to itself
    CHARSET = "charset"  # Latin-1 declared as UTF-8
    LORIS = "loris"  # endless headers, byte by byte
    DRIP = "drip"  # a body, byte by byte
    STALL = "stall"  # a body that stalls
    SHORT = "short"  # a body that ends before its Content-Length
    CHUNK = "chunk"  # a body with invalid chunks
    BOMB = "bomb"  # a body that decompresses to gigabytes
    SCRAP = "scrap"  # a body declared as gzip that is not
    ALIEN = "alien"  # not HTTP


DEFAULT = frozenset({Fault.DATES, Fault.TITLES, Fault.COUNTRIES, Fault.DELETIONS, Fault.BUSY})


@dataclass(frozen=True, slots=True)
class Registry:
    name: str
    seed: int
    size: int


SHARES = {
    "oai": 30,
    "ckan": 25,
    "projects": 14,
    "csv": 14,
    "offset": 5,
    "cursor": 4,
    "next": 4,
    "all": 3,
    "files": 1,
}


def registries(size: int, seed: int, only: Collection[str] = ()) -> list[Registry]:
    """Distribute *size* records over the registries, or over those named in *only*; each has at
    least one record.

    >>> [(it.name, it.size) for it in registries(100, 1, ["oai", "ckan"])]
    [('oai', 55), ('ckan', 45)]
    """
    for name in only:
        if name not in SHARES:
            raise ValueError(f"{name!r} is not a registry of the demo; known: {', '.join(SHARES)}")
    selected = [name for name in SHARES if not only or name in only]
    total = sum(SHARES[name] for name in selected)
    sizes = {name: max(1, size * SHARES[name] // total) for name in selected}
    sizes[selected[0]] += max(0, size - sum(sizes.values()))
    return [
        Registry(name, seed * len(SHARES) + list(SHARES).index(name), sizes[name])
        for name in selected
    ]


@dataclass(frozen=True, slots=True)
class ScenarioState:
    """The demo's *version* and its faults. If *persistent*, faults of the second request also affect
    all later ones.
    """

    version: int = 1
    faults: frozenset[Fault] = DEFAULT
    persistent: bool = False

    def fault_active(self, fault: Fault, nth: int) -> bool:
        """Return whether *fault* affects a registry's *nth* request."""
        return fault in self.faults and (nth == 2 or (self.persistent and nth > 2))

    @property
    def now(self) -> datetime:
        """Return the demo's time: after every datestamp and before the next version's."""
        if self.version < 2:
            return datetime(2025, 7, 1, tzinfo=UTC)
        return datetime.fromtimestamp(_release_time(self.version), UTC) + timedelta(days=1)


def _release_time(version: int) -> int:
    """Return the time of a version from 2 on, in seconds since 1970."""
    return int((datetime(2025, 9, 1, tzinfo=UTC) + timedelta(days=30 * (version - 2))).timestamp())


@dataclass(frozen=True, slots=True)
class RecordHistory:
    """A record in a state: whether it is deleted, its revision, when it was modified (seconds since
    1970), and its faults.
    """

    number: int
    deleted: bool
    revision: int
    modified: int
    faults: frozenset[Fault]


def _record_faults(state: ScenarioState, d: tuple[int, ...]) -> frozenset[Fault]:
    faults = (Fault.DATES, Fault.TITLES, Fault.COUNTRIES)
    return frozenset(
        kind
        for n, kind in enumerate(faults)
        if d[40 + n] % _FAULT_RATE == 0 and kind in state.faults
    )


def _seed_of(registry: Registry, number: int) -> int:
    """Return the seed of a record's project: one record in three of the registry ``all`` describes
    a project of ``oai`` again.
    """
    if registry.name == "all" and number % _SHARED == 0:
        return registry.seed - list(SHARES).index(registry.name)
    return registry.seed


def _growth(size: int) -> int:
    return max(1, size // 50)


def record_history(registry: Registry, number: int, state: ScenarioState) -> RecordHistory:
    """Return a record's history up to *state*: a version changes about 5 % of the records and
    deletes about 1 %.
    """
    d = random_values(registry.seed, number, "fate")
    first_version = (
        1 if number < registry.size else 2 + (number - registry.size) // _growth(registry.size)
    )
    modified = (
        _FIRST + (d[50] << 16 | d[51]) % _SPAN
        if first_version == 1
        else _release_time(first_version) + d[50] % 86400
    )
    deleted = first_version == 1 and Fault.DELETIONS in state.faults and d[43] % _FAULT_RATE == 0
    revision = 0
    for version in range(first_version + 1, state.version + 1):
        roll = d[(version - 2) % 40]
        if deleted or roll > 14:
            continue
        deleted = roll < 3  # 3 of 256
        revision += not deleted  # 12 of 256
        modified = _release_time(version) + d[50] % 86400
    return RecordHistory(
        number, deleted, revision, modified, frozenset() if deleted else _record_faults(state, d)
    )


def record_histories(registry: Registry, state: ScenarioState) -> Iterator[RecordHistory]:
    """Yield the histories of all records that the registry ever had, by number."""
    for number in range(registry.size + (state.version - 1) * _growth(registry.size)):
        yield record_history(registry, number, state)


def serialize_record(registry: Registry, history: RecordHistory) -> Project:
    """Return a record that is not deleted, with its faults."""
    project = generate_record(_seed_of(registry, history.number), history.number, history.revision)
    project["updated"] = format_time(history.modified)
    if Fault.TITLES in history.faults:
        project["title"] = {}
    if Fault.DATES in history.faults:
        project["period"]["from"] = _UNREADABLE[history.number % len(_UNREADABLE)]
    if Fault.COUNTRIES in history.faults:
        project["countries"] = [_UNKNOWN[history.number % len(_UNKNOWN)]]
    return project


def format_time(seconds: int) -> str:
    """Return a time as UTC in whole seconds.

    >>> format_time(0)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_BYTE_INTERVAL = 0.02  # seconds between two bytes of a slow response
_MAX_BLOCKS = 4096  # megabytes of the decompressed bomb

Script = Callable[[], AsyncIterator[bytes]]


class RawProtocol(HttpToolsProtocol):
    """uvicorn's protocol, extended to pass the connection to the app."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"wire": {"transport": self.transport}}


class RawResponse(Response):
    """A response whose bytes a script yields; the connection is closed afterwards."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script = script

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = scope.get("extensions", {}).get("wire")
        if wire is None:
            await Response("this fault needs a real connection\n", 501)(scope, receive, send)
            return
        transport = wire["transport"]
        async for part in self.script():
            if transport.is_closing():
                break
            transport.write(part)
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass


async def _send(start: bytes, again: bytes | None = None) -> AsyncIterator[bytes]:
    """Yield *start*, then *again* without end if it is given."""
    yield start
    while again is not None:
        await asyncio.sleep(_BYTE_INTERVAL)
        yield again


async def _bomb() -> AsyncIterator[bytes]:
    yield _HEAD + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n"
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    blank = b" " * 1_000_000
    for _ in range(_MAX_BLOCKS):
        yield pack.compress(blank) + pack.flush(zlib.Z_SYNC_FLUSH)
        await asyncio.sleep(0)
    yield pack.flush()


SCRIPTS: Mapping[Fault, Script] = {
    Fault.LORIS: partial(_send, _HEAD + b"X-Wait: ", b"."),
    Fault.DRIP: partial(_send, _HEAD + b"Content-Length: 100000\r\n\r\n[", b" "),
    Fault.STALL: partial(_send, _HEAD + b"Content-Length: 1000\r\n\r\n[1, 2", b""),
    Fault.SHORT: partial(_send, _HEAD + b"Content-Length: 1000\r\n\r\n[1, 2]"),
    Fault.CHUNK: partial(
        _send,
        _HEAD + b"Transfer-Encoding: chunked\r\n\r\n6\r\n[1, 2,\r\nno number\r\n3]\r\n0\r\n\r\n",
    ),
    Fault.BOMB: _bomb,
    Fault.SCRAP: partial(
        _send, _HEAD + b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\n[1, 2]"
    ),
    Fault.ALIEN: partial(_send, b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
}


ErrorResponse = tuple[int, Mapping[str, str], str, bytes]  # status, headers, media type, body

_BOT_PROTECTION_PAGE = (
    b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><noscript>Enable JavaScript and cookies to continue"
    b'</noscript><script>window._cf_chl_opt={};</script><script src="/cdn-cgi/challenge-platform/h/g/orchestrate"></script></body></html>\n'
)
_ROBOTS = "User-agent: *\nDisallow: /control\n"
# Clients must refuse private addresses, so that this one is never requested.
_PRIVATE_URL = "http://10.0.0.1/latest/meta-data/"


def error_responses(url: str, now: datetime) -> Mapping[Fault, ErrorResponse]:
    """Return the response of each fault; *url* is the requested address, *now* the registry's time."""
    later = format_datetime(now + timedelta(seconds=2), usegmt=True)
    wall = {"cf-mitigated": "challenge", "Server": "cloudflare"}
    return {
        Fault.LIMITED: (429, {"Retry-After": "2"}, "text/plain", b"too many requests\n"),
        Fault.DATED: (503, {"Retry-After": later}, "text/plain", b"back soon\n"),
        Fault.DOWN: (503, {}, "text/plain", b"out of service\n"),
        Fault.DENIED: (403, {}, "application/json", b'{"error": "no key"}\n'),
        Fault.WALL: (403, wall, "text/html; charset=UTF-8", _BOT_PROTECTION_PAGE),
        Fault.INWARD: (302, {"Location": _PRIVATE_URL}, "text/plain", b""),
        Fault.ROUND: (302, {"Location": url}, "text/plain", b""),
    }


def robots(faults: frozenset[Fault]) -> tuple[str, int]:
    if Fault.MUTE in faults:
        return "out of service\n", 503
    lines = "Disallow: /\n" if Fault.FORBIDS in faults else ""
    lines += "Crawl-delay: 1.5\n" if Fault.CRAWL in faults else ""
    return _ROBOTS + (f"\nUser-agent: Stocktake\n{lines}Disallow: /control\n" if lines else ""), 200
