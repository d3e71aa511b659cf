"""Two installations harvest each other without echoes; a mirror answers as its origin does and
refuses forged entries.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.robotparser import RobotFileParser

import httpx
import orjson
import pytest
from app_client import asking
from fastapi import FastAPI
from feed_clients import wait
from in_process import listening
from live_server import served
from processes import Process, free_port, started
from publish_fixture import copy_data
from small_world import IRIS
from waiting import wait_until, wait_until_async

from harvesters.ledger import operators
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Scope
from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.run import harvest
from harvesters.source import Source, parse
from journal.journal import Journal
from publisher.app import SiteOptions, create_app
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from vocab.terms import DCT, PROV, SCHEMA
from web.branding import PLAIN

LICENCE = "https://k.example/licence"
LOOSE = {"vanished": 1, "changed": 1, "withheld": 1}
DEFINITION: dict[str, Any] = {
    "title": "Projects", "publisher": "Ministry of ICT", "protocol": "json", "mapping": "fields", "url": "https://k.example/all",
    "licence": LICENCE, "fields": {"key": "id", "title@en": "name", "goals": "sdgs", "lead": "owner"}, "limits": LOOSE, "pause": 0,
}  # fmt: skip


@dataclass
class Stocktake:
    """An installation: its context, its address, and the rows of its own registry."""

    context: HarvestContext
    url: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)

    def harvest_own(self) -> int:
        """Harvest its own registry; return the number of the newest entry."""
        there = httpx.MockTransport(self._answer)
        network = replace(self.context.network, transport=there)
        source = parse("ministry", DEFINITION, "test")
        harvest(source, replace(self.context, network=network), full=True)
        return self.newest

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        return httpx.Response(200, content=orjson.dumps(self.rows))

    def harvest(self, other: Stocktake, name: str) -> dict[str, int]:
        """Harvest *other*; return the number of records of each outcome."""
        outcomes = harvest(sibling(other.url, name), self.context).outcomes
        return {outcome.value: count for outcome, count in outcomes.items() if count}

    @property
    def newest(self) -> int:
        return self.context.journal.head.number if self.context.journal.head else 0

    def graphs(self) -> dict[str, list[str]]:
        """Return the statements of each record that is not gone, by a replay of the journal."""
        out, gone = dict[str, set[str]](), f"{self.context.iris.operations}gone>"
        for entry in self.context.journal.entries():
            for row in entry.rows():
                line, _, graph = row[2:-3].rpartition(" <")
                lines = out.setdefault(graph, set())
                (lines.add if row[0] == "A" else lines.discard)(line)
        return {
            graph: sorted(lines)
            for graph, lines in out.items()
            if "/record/" in graph and not any(gone in line for line in lines)
        }

    def titles(self) -> dict[str, str]:
        """Return the title of each record that is not gone, by its source and key."""
        before = f"{self.context.iris.base}record/"
        results = (
            (graph, line.partition(f"> <{DCT}title> ")[2])
            for graph, lines in self.graphs().items()
            for line in lines
        )
        return {
            graph.removeprefix(before): title.split('"')[1] for graph, title in results if title
        }


def sibling(url: str, name: str) -> Source:
    definition = {
        "title": f"Records of {name}", "protocol": "stocktake", "mapping": "stocktake_record", "url": url, "licence": LICENCE,
    }  # fmt: skip
    return parse(f"from-{name}", {**definition, "pause": 0, "limits": LOOSE}, "test")


def project(number: int, name: str = "") -> dict[str, Any]:
    return {
        "id": f"p/{number}",
        "name": name or f"Project {number}",
        "sdgs": "SDG 4",
        "owner": "Ministry",
    }


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stocktake, Stocktake]]:
    with ExitStack() as stack:
        both = []
        network = NetworkSettings("operator@example.org", frozenset({"127.0.0.1"}))
        for name in ("a", "b"):
            data, base = tmp_path_factory.mktemp(name), f"https://{name}.example/"
            ledger = f"sqlite:///{data}/ledger.sqlite"
            context = stack.enter_context(open_context(data, ledger, base, network))
            rows = [project(number, f"{name.upper()} {number}") for number in range(1, 4)]
            stocktake = Stocktake(context, rows=rows)
            stocktake.harvest_own()
            stocktake.url = stack.enter_context(served(data, {"STOCKTAKE_BASE": base}))
            both.append(stocktake)
        yield both[0], both[1]


def test_what_is_new_changed_and_gone_comes_over_and_nothing_goes_round(
    two: tuple[Stocktake, Stocktake],
) -> None:
    a, b = two

    first = b.harvest(a, "a"), a.harvest(b, "b")
    a.rows = [project(1, "A 1"), project(2, "A two"), project(4, "A 4")]
    for _ in range(3):  # A record is gone if three full harvests in a row missed it.
        a.harvest_own()
    # The feed of *a* must be up to date with its journal before it is harvested again.
    wait(lambda: httpx.get(f"{a.url}/ldes/version/{a.newest}/ministry/p%2F3").status_code == 200)
    second = b.harvest(a, "a")
    rest = [a.harvest(b, "b"), b.harvest(a, "a")]
    entries = a.newest, b.newest
    rest += [
        item.harvest(other, name)
        for _ in range(2)
        for item, other, name in ((a, b, "b"), (b, a, "a"))
    ]

    assert [counts["new"] for counts in first] == [3, 3]
    assert second == {"new": 1, "changed": 1, "deleted": 1}
    assert (a.newest, b.newest) == entries
    assert not any(counts.keys() & {"new", "changed", "deleted"} for counts in rest)
    own_a, own_b = {"1": "A 1", "2": "A two", "4": "A 4"}, {"1": "B 1", "2": "B 2", "3": "B 3"}
    assert a.titles() == named("ministry/p%2F", own_a) | named("from-b/ministry%2Fp%2F", own_b)
    assert b.titles() == named("ministry/p%2F", own_b) | named("from-a/ministry%2Fp%2F", own_a)


def named(before: str, titles: dict[str, str]) -> dict[str, str]:
    return {before + name: title for name, title in titles.items()}


def test_what_came_over_keeps_where_it_came_from_whom_to_name_and_its_licence(
    two: tuple[Stocktake, Stocktake],
) -> None:
    a, b = two

    b.harvest(a, "a")

    record = "https://b.example/record/from-a/ministry%2Fp%2F1"
    theirs = "https://a.example/record/ministry/p%2F1"
    statements = b.graphs()[record]
    assert {
        f"<{record}> <{PROV}wasDerivedFrom> <{theirs}>",
        f"<{record}> <{PROV}hadPrimarySource> <{theirs}>",
        f'<{record}> <{SCHEMA}creditText> "Projects, Ministry of ICT"',
        f"<https://b.example/id/initiative/from-a/ministry%2Fp%2F1> <{DCT}license> <{LICENCE}>",
    } <= set(statements)


ROOT = Path(__file__).parents[2]
ALL = "SELECT * { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g ?s ?p ?o"


@contextmanager
def running(data: Path, *words: str) -> Iterator[Process]:
    settings = {
        "STOCKTAKE_DATA": str(data),
        "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
        "STOCKTAKE_QUERY_LIMITS": "seconds=100",
    }
    line = [sys.executable, "-m", "stocktake", *words]
    with started(
        line, cwd=data, env={**os.environ, **settings, "PYTHONPATH": str(ROOT)}
    ) as process:
        yield process


def health(address: str) -> dict[str, object]:
    try:
        return dict(get(address, "/health").json())
    except (httpx.TransportError, ValueError):
        return {}


CLIENT: dict[str, Any] = {"trust_env": False, "verify": False, "timeout": 120}


def get(address: str, path: str, **how: Any) -> httpx.Response:
    return httpx.get(address + path, **{**CLIENT, **how})


def ask(address: str, path: str, **params: str) -> bytes:
    answer = get(address, path, params=params)
    assert answer.status_code == 200
    return answer.content


@contextmanager
def mirroring(data: Path, origin: str, address: str) -> Iterator[Process]:
    """Run a mirror that serves at *address*."""
    port = address.rpartition(":")[2]
    options = ("--serve", "--every", "1", "--pause", "0", "--port", port)
    with running(data, "mirror", origin, *options) as process:
        yield process


def create_origin(data: Path, url: str) -> FastAPI:
    """Create a publisher of *data* at *url*, which is not the base of its IRIs."""
    service = QueryService(data, Iris("https://data.example/"), readers=1)
    return create_app(service, site=SiteOptions(PLAIN, url=url))


@pytest.fixture(scope="module")
def both(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    origin, mirror = tmp_path_factory.mktemp("origin"), tmp_path_factory.mktemp("mirror")
    copy_data(small, origin)
    there = f"http://127.0.0.1:{free_port()}"
    with listening(lambda url: partial(create_origin, origin, url)) as here:
        wait_until(lambda: health(here).get("position") == 3, "the origin to show entry 3")
        with mirroring(mirror, here, there) as server:
            wait_until(
                lambda: health(there).get("position") == 3,
                "the mirror to show entry 3",
                output=server.output,
            )
            yield here, there


@pytest.mark.smoke
def test_a_mirror_answers_as_its_origin(both: tuple[str, str]) -> None:
    theirs, ours = (ask(address, "/sparql", query=ALL, format="tsv") for address in both)
    head, journal = [[ask(url, path) for url in both] for path in ("/journal/head", "/journal/2")]

    assert theirs.count(b"\n") > 1000
    assert ours == theirs
    assert b'"base":"https://data.example/"' in head[0]
    assert head[0] == head[1]
    assert journal[0] == journal[1]
    # The origin demands no delay, so that mirrors set their own pause.
    robots = RobotFileParser()
    robots.parse(ask(both[0], "/robots.txt").decode().splitlines())
    assert robots.crawl_delay("Stocktake") is None
    assert str(robots.crawl_delay("another")) == "1"


def test_a_mirror_says_that_it_is_one(both: tuple[str, str]) -> None:
    origin, mirror = both

    result = health(mirror)["mirror"]
    page = get(mirror, "/status", headers={"Accept": "text/html"})

    assert isinstance(result, dict)
    expected = {"url": f"{origin}/", "base": "https://data.example/", "head": 3, "error": ""}
    assert expected.items() <= result.items()
    assert "mirror" not in health(origin)
    assert f"{origin}/".encode() in ask(mirror, "/status.json")
    assert b"This is a mirror" in page.content


def _id(file: bytes) -> str:
    match = re.match(rb"H id <urn:sha256:([0-9a-f]{64})>", gzip.decompress(file))
    assert match
    return match[1].decode()


@dataclass
class Forger:
    """An origin that serves the journal in *folder*, then forged entries whose hashes are right."""

    folder: Path
    base: str = "https://data.example/"
    forged: list[bytes] = field(default_factory=list)

    @property
    def chain(self) -> list[tuple[str, bytes]]:
        """Return the id and the file of each entry."""
        files = [entry.path.read_bytes() for entry in Journal(self.folder).entries()] + self.forged
        return [(_id(file), file) for file in files]

    def forge(self, row: str, time: str = "2026-03-09T12:00:00Z") -> None:
        """Make *row* the next entry, in place of any that was forged before."""
        self.forged.clear()
        header = f'H prev <urn:sha256:{self.chain[-1][0]}> .\nH run "forged.1" .\nH time "{time}" .\nTX .\n'
        rest = f"{header}{row}\nTC .\n".encode()
        self.forged.append(
            gzip.compress(
                f"H id <urn:sha256:{hashlib.sha256(rest).hexdigest()}> .\n".encode() + rest
            )
        )


class ForgerHandler(BaseHTTPRequestHandler):
    def __init__(self, forger: Forger, *args: object) -> None:
        self.forger = forger
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        chain = self.forger.chain
        if self.path == "/journal/head":
            head = {"base": self.forger.base, "number": len(chain), "id": chain[-1][0]}
            self.answer(json.dumps(head).encode(), chain[-1][0], "application/json")
        elif match := re.fullmatch(r"/journal/([1-9]\d*)\.gz", self.path):
            self.answer(
                chain[int(match[1]) - 1][1], chain[int(match[1]) - 1][0], "application/gzip"
            )
        else:
            self.send_error(404)

    def answer(self, content: bytes, tag: str, media: str) -> None:
        self.send_response(200)
        for name, value in (
            ("ETag", f'"{tag}"'),
            ("Content-Type", media),
            ("Content-Length", str(len(content))),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


@pytest.fixture
def forger(small: Path) -> Iterator[tuple[Forger, str]]:
    item = Forger(small / "journal")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(ForgerHandler, item)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield item, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def text(value: str) -> str:
    return f"A <https://data.example/record/forged/1> <http://purl.org/dc/terms/title> {value} <https://data.example/record/forged/1> ."


FORGED = {
    "time": (text('"A title"'), "yesterday"),
    "surrogate": (text(r'"\uD800"'), "2026-03-09T12:00:00Z"),
    "language": (text('"A title"@abcdefghijk'), "2026-03-09T12:00:00Z"),
}


def refused(address: str) -> dict[str, object]:
    mirror = health(address).get("mirror")
    return (mirror.get("refused") or {}) if isinstance(mirror, dict) else {}


def admin_page(data: Path, address: str) -> str:
    """Sign in with a new key; return the overview."""
    with closing(Ledger(f"sqlite:///{data}/ledger.sqlite")) as ledger:
        _, token = operators.create_key(ledger, "Ada", Scope.READ, datetime.now(UTC))
    with httpx.Client(base_url=address, follow_redirects=True, **CLIENT) as browser:
        return browser.post("/admin/sign-in", data={"key": token, "path": "/admin/"}).text


@pytest.mark.parametrize("fault", FORGED)
def test_mirror_serves_on_beside_a_forged_entry_and_reports_it(
    forger: tuple[Forger, str], tmp_path: Path, fault: str
) -> None:
    there, here = forger
    there.forge(*FORGED[fault])
    address = f"http://127.0.0.1:{free_port()}"

    with mirroring(tmp_path, here, address):
        wait_until(
            lambda: health(address).get("position") == 3 and bool(refused(address)),
            "the mirror to refuse an entry and to go on",
        )
        output, page = health(address), admin_page(tmp_path, address)
        for path in ("/", "/status", "/journal/", "/status.json"):
            assert get(address, path).status_code == 200, path
        wait_until(
            lambda: get(address, "/record/none/1").status_code == 404,
            "the record of the refused entry to be absent",
        )
        there.forge(text('"A title"'))
        wait_until(lambda: health(address).get("position") == 4, "entry 4")
        wait_until(lambda: health(address).get("status") == "ok", "a healthy mirror")

    assert (output["status"], output["lag"]) == ("degraded", 1)
    assert "Entry 4 was refused" in page
    assert not list((tmp_path / "mirror" / "refused").iterdir())


async def test_server_answers_on_when_the_newest_entry_cannot_be_read(
    small: Path, tmp_path: Path
) -> None:
    copy_data(small, tmp_path, "store")

    async with (
        QueryService(tmp_path, IRIS, readers=1) as service,
        asking(create_app(service)) as client,
    ):

        async def is_degraded() -> bool:
            return bool((await client.get("/health")).json()["status"] == "degraded")

        await service.wait_until_current()
        (tmp_path / "journal" / "000000004.rdfp.gz").write_bytes(b"no gzip")
        await wait_until_async(is_degraded, "/health to report the entry")
        result = (await client.get("/health")).json()
        home, status = await client.get("/"), await client.get("/status.json")

    assert "000000004" in str(result["journal"])
    assert str(tmp_path) not in str(result)
    assert home.status_code == 200
    assert (status.status_code, status.headers["content-type"]) == (503, "application/problem+json")
