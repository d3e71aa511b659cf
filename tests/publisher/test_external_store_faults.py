"""A publisher recovers when its external store is killed, stopped, restarted empty, or killed while
an entry is loaded.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from followers import follower_process
from live_server import served
from processes import ELSEWHERE, free_port
from publish_fixture import settle
from pyoxigraph import QueryBoolean, QueryResultsFormat, QuerySolutions, Store
from small_world import IRIS, plain, record_rows
from waiting import WITHIN, wait_until, wait_until_async

from benchmarks.columns import Engine, missing, started
from journal.journal import Journal
from publisher.app import create_app
from publisher.errors import NotReady, StoreFailure
from publisher.store.changes import JournalReader
from publisher.store.external.client import (
    MERGE,
    Client,
    State,
    StoreProbe,
    StoreURLs,
    missing_data,
)
from publisher.store.external.follow import (
    LEASE,
    ExternalStore,
    LeasedStore,
    RemoteStore,
    StoreWriter,
    open_external_runner,
)
from publisher.store.follow import Runner
from publisher.store.query_service import QueryService
from publisher.store.snapshots import Snapshot, newest_snapshot
from publisher.store.verification import compare, first_fault

WHEN = datetime(2026, 4, 1, tzinfo=UTC)


@dataclass
class StoreSite:
    """A publisher at *url* of the folder *data*, over a store on *port* with files in *folder*."""

    name: str
    data: Path
    folder: Path
    port: int
    engine: Engine
    engines: ExitStack
    url: str = ""

    def health(self) -> tuple[int, dict[str, Any]]:
        answer = httpx.get(f"{self.url}/health", trust_env=False, verify=False, timeout=60)
        return answer.status_code, answer.json()

    def count(self, unlike: int) -> tuple[int, str]:
        """Return the status and the result of a query; a new *unlike* keeps it out of the cache."""
        query = f"SELECT (COUNT(*) AS ?n) {{ ?s ?p ?o FILTER({unlike} = {unlike}) }}"
        answer = httpx.get(
            f"{self.url}/sparql",
            params={"query": query},
            headers={"Accept": "text/csv"},
            trust_env=False,
            verify=False,
            timeout=60,
        )
        return answer.status_code, answer.text if answer.is_success else ""

    def start_store(self) -> None:
        self.engine = self.engines.enter_context(started(self.name, self.folder, port=self.port))

    def kill_store(self) -> None:
        self.engine.process.kill()
        self.engine.process.wait()

    def append(self, count: int) -> int:
        """Append an entry of *count* new records; return its number."""
        journal = Journal(self.data / "journal")
        assert journal.head is not None
        first = 1_000 * journal.head.number
        rows = [
            row
            for number in range(first, first + count)
            for row in record_rows("demo", plain(number))
        ]
        entry = journal.append(rows, run="run-9", time=WHEN)
        assert entry is not None
        return entry.number

    def is_level(self, position: int) -> bool:
        status, answer = self.health()
        return (status, answer["status"], answer["position"], answer["lag"]) == (
            200,
            "ok",
            position,
            0,
        )

    def stored_position(self) -> int:
        """Return the position of the store by its own state, 0 where it is empty."""
        with closing(Client(self.engine.address.query)) as client:
            state = client.state()
        return state.position if state else 0

    def differences(self) -> list[str]:
        """Compare the store with the journal, graph by graph."""
        journal = Journal(self.data / "journal")
        store = ExternalStore(self.engine.address, journal, IRIS)
        try:
            return compare(journal, store)
        finally:
            store.close()


@contextmanager
def _site(name: str, small: Path, folder: Path) -> Iterator[StoreSite]:
    if why := missing(name):
        pytest.skip(why)
    data = shutil.copytree(small, folder / "data", ignore=shutil.ignore_patterns("store"))
    with ExitStack() as engines:
        port = free_port()
        engine = engines.enter_context(started(name, folder / "store", port=port))
        site = StoreSite(name, data, folder / "store", port, engine, engines)
        with served(data, engine.address.environment()) as site.url:
            settle(site.url)
            yield site


@pytest.fixture(scope="module", params=ELSEWHERE)
def site(
    request: pytest.FixtureRequest, small: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StoreSite]:
    """Yield a publisher over a store; each test leaves it up to date with the journal."""
    with _site(request.param, small, tmp_path_factory.mktemp(request.param)) as opened:
        yield opened


def test_a_rebuild_beside_a_server_fails_at_once_and_names_it(site: StoreSite) -> None:
    quads = site.health()[1]["quads"]
    environment = {
        **os.environ,
        "STOCKTAKE_DATA": str(site.data),
        **site.engine.address.environment(),
    }
    command = [sys.executable, "-m", "stocktake", "store", "rebuild"]

    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=WITHIN
    )

    assert result.returncode == 1
    assert re.search(r"process \d+: follower", " ".join(result.stderr.split()))
    assert site.health()[1]["quads"] == quads


async def test_damaged_indexes_beside_a_store_are_rebuilt(small: Path, tmp_path: Path) -> None:
    if why := missing("oxigraph"):
        pytest.skip(why)
    data = shutil.copytree(small, tmp_path / "data", ignore=shutil.ignore_patterns("store"))
    with started("oxigraph", tmp_path / "store") as engine:
        urls = StoreURLs(engine.address.query, engine.address.update, engine.address.graphs)
        snapshots = data / "store" / urls.folder / "snapshots"

        def is_built() -> bool:
            newest = newest_snapshot(snapshots)
            return (
                newest is not None
                and newest.is_indexed
                and newest.position == 3
                and not first_fault(Path(newest.path))
            )

        async with QueryService(data, IRIS, readers=1, elsewhere=urls):
            await wait_until_async(is_built, "the indexes to be built")
        damaged = newest_snapshot(snapshots)
        assert damaged is not None
        for path in Path(damaged.path).glob("columns/*"):
            path.write_bytes(bytes(byte ^ 0xFF for byte in path.read_bytes()))
        assert first_fault(Path(damaged.path))
        statuses: set[int] = set()

        async with QueryService(data, IRIS, readers=1, elsewhere=urls) as service:
            transport = httpx.ASGITransport(app=create_app(service), raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://x.test") as client:

                async def is_rebuilt() -> bool:
                    statuses.add(status := (await client.get("/topics")).status_code)
                    return status == 200 and is_built()

                await wait_until_async(is_rebuilt, "the indexes to be rebuilt", pause=0.2)

    assert statuses <= {200, 503}


def test_a_fresh_database_of_virtuoso_as_debian_packages_it_counts_as_empty(
    small: Path, tmp_path: Path
) -> None:
    if why := missing("virtuoso"):
        pytest.skip(why)
    with started("virtuoso", tmp_path / "store", memory=0) as engine:
        writer = StoreWriter(engine.address, MERGE)
        folder = "<http://localhost:8890/DAV/home/> <http://www.openlinksw.com/schemas/DAV#ownerUser> <mailto:somebody@example.domain>"
        writer.update(f"INSERT DATA {{ GRAPH <http://localhost:8890/DAV/> {{ {folder} }} }}")
        # The Conductor of Virtuoso, a package of its own, adds this graph.
        owl = "http://www.w3.org/2002/07/owl#"
        writer.update(f"INSERT DATA {{ GRAPH <{owl}> {{ <{owl}Class> a <{owl}Thing> }} }}")
        store = LeasedStore(engine.address, Journal(small / "journal"), tmp_path)

        with closing(store), closing(writer):
            assert store.read().position == 0
            assert "http://localhost:8890/DAV/" in store.client.dialect.hidden
            writer.update("DROP SILENT GRAPH <urn:stocktake:store>")
            other = "<http://other.example/a> <http://other.example/b> 1"
            writer.update(f"INSERT DATA {{ GRAPH <http://other.example/DAV/> {{ {other} }} }}")
            with pytest.raises(StoreFailure, match="contains other data"):
                store.read()


def test_a_store_that_answers_again_is_reported_before_it_is_loaded(
    small: Path, tmp_path: Path
) -> None:
    if why := missing("oxigraph"):
        pytest.skip(why)
    port = free_port()
    with started("oxigraph", tmp_path / "first", port=port) as engine:
        address = engine.address
    data = tmp_path / "data"
    shutil.copytree(small / "journal", data / "journal")
    shutil.copy(small / "status.nq", data)
    with follower_process(data, IRIS.status, address.environment()) as (_, received):
        reports = iter(received.recv, None)
        lines = (report["reason"] for report in reports if "reason" in report)
        reasons = [next(lines)]
        with started("oxigraph", tmp_path / "store", port=port):
            while reasons[-1]:
                reasons.append(next(lines))

    assert "does not answer" in reasons[0]
    assert reasons[-2:] == ["the store answers again; the journal is being loaded into it", ""]


def test_a_writer_says_which_store_does_not_answer_without_its_password() -> None:
    port = free_port()
    url = f"http://dba:secret@127.0.0.1:{port}/update"

    with (
        closing(StoreWriter(StoreURLs(url, url), "")) as writer,
        pytest.raises(
            NotReady, match=f"^the store at http://127.0.0.1:{port}/update does not answer"
        ),
    ):
        writer.update("CLEAR ALL")


def test_a_killed_store_is_reported_and_followed_again(site: StoreSite) -> None:
    site.kill_store()
    wait_until(lambda: site.health()[0] == 503, "/health to report the store")
    status = site.health()[1]
    position = site.append(3)
    site.start_store()
    wait_until(lambda: site.is_level(position), "the store to hold the new entry")

    assert (status["status"], bool(status["sparql_store"]["error"])) == ("unavailable", True)
    assert site.differences() == []


def test_a_stopped_store_is_reported_and_followed_again(site: StoreSite) -> None:
    os.kill(site.engine.process.pid, signal.SIGSTOP)
    position = site.append(3)
    wait_until(lambda: site.health()[0] == 503, "/health to report the store")
    os.kill(site.engine.process.pid, signal.SIGCONT)
    wait_until(lambda: site.is_level(position), "the store to hold the new entry")

    assert site.differences() == []


def test_a_store_that_is_restarted_empty_is_filled_again(site: StoreSite) -> None:
    position = site.health()[1]["position"]
    quads = site.health()[1]["quads"]
    count, number = site.count(0)
    counts, attempts = set[tuple[int, str]](), list[int]()
    site.kill_store()
    shutil.rmtree(site.folder)
    site.start_store()

    def is_loaded() -> bool:
        attempts.append(len(attempts) + 1)
        counts.add(site.count(attempts[-1]))
        return bool(site.stored_position() == position)

    wait_until(is_loaded, "the store to hold all entries")
    wait_until(lambda: site.is_level(position), "/health to report it")

    assert count == 200
    assert counts <= {(200, number), (503, "")}
    assert (503, "") in counts
    assert site.health()[1]["quads"] == quads
    assert site.differences() == []


def test_a_store_killed_in_the_middle_of_an_entry_holds_it_whole_in_the_end(
    site: StoreSite,
) -> None:
    snapshots = site.data / "store" / site.engine.address.folder / "snapshots"
    position = site.append(400)
    wait_until(
        lambda: (snapshot := newest_snapshot(snapshots)) and snapshot.applying == position,
        "the entry to be applied",
        pause=0.005,
    )
    site.kill_store()
    wait_until(lambda: site.health()[0] == 503, "/health to report the store")
    site.start_store()
    wait_until(lambda: site.is_level(position), "the store to hold the entry")

    assert site.differences() == []


@dataclass
class StoreHere:
    """A store in this process, which answers the SPARQL protocol at *url*."""

    store: Store
    url: str = ""

    def set_state(self, state: State | None) -> None:
        self.store.clear()
        if state is not None:
            self.store.update(state.update())


@pytest.fixture
def store_here() -> Iterator[StoreHere]:
    here = StoreHere(Store())

    class StoreHandler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(parse_qs(urlsplit(self.path).query))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(parse_qs(body))

        def _answer(self, form: dict[str, list[str]]) -> None:
            body = b""
            if "update" in form:
                here.store.update(form["update"][0])
            else:
                result = here.store.query(form["query"][0])
                assert isinstance(result, (QuerySolutions, QueryBoolean))
                body = result.serialize(format=QueryResultsFormat.JSON) or b""
            self.send_response(200)
            self.send_header("Content-Type", "application/sparql-results+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), StoreHandler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        here.url = f"http://127.0.0.1:{server.server_address[1]}/sparql"
        yield here
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (None, "the SPARQL store is empty"),
        (State(2, "b"), "at entry 2 of 3"),
        (State(3, "other"), "follows another journal"),
        (State(4, "other"), "follows another journal"),
        (State(3, "c"), ""),
        (State(3, "c", applying=4), ""),
        (State(4, "d"), ""),
    ],
    ids=["empty", "partial", "foreign", "foreign-ahead", "level", "applying", "ahead"],
)
def test_a_store_answers_only_with_all_that_is_published(
    store_here: StoreHere, tmp_path: Path, state: State | None, message: str
) -> None:
    journal = Journal(tmp_path / "journal")
    for number in range(4):
        journal.append(record_rows("demo", plain(number)), run=f"r.{number}", time=WHEN)
    ids = dict(zip("abcd", (entry.id for entry in journal.entries()), strict=True))
    snapshot = Snapshot(1, 3, ids["c"], 0, "")
    if state:
        state = State(state.position, ids.get(state.entry, "0" * 64), applying=state.applying)
    store_here.set_state(state)
    probe = StoreProbe(store_here.url, journal, lambda: snapshot)

    with closing(Client(store_here.url)) as client:
        failure = probe.check(client)
        refused = missing_data(client.state(), snapshot.position, snapshot.entry)

    assert message in failure
    assert bool(failure) is bool(message)
    assert probe.is_foreign is ("another journal" in message)
    # Only the probe has the journal, to see whether a store that is ahead follows another one.
    expected = message if not (state and state.position > 3) else ""
    assert expected in refused
    assert bool(refused) is bool(expected)


def test_a_store_that_lost_its_data_is_loaded_again_before_it_answers(
    store_here: StoreHere, small: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    waits: list[float] = []
    sizes: list[int] = []

    def open_store(time: datetime) -> Runner[RemoteStore]:
        def now() -> datetime:
            with closing(Client(store_here.url)) as client:
                state = client.state()
            if state and published() and state.position == published():
                sizes.append(len(store_here.store))
            return time

        return open_external_runner(
            StoreURLs(store_here.url, store_here.url),
            JournalReader(Journal(small / "journal"), IRIS.base),
            folder,
            small / "status.nq",
            IRIS.status,
            now=now,
            wait=waits.append,
        )

    def published() -> int:
        newest = newest_snapshot(folder / "snapshots")
        return newest.position if newest else 0

    runner = open_store(WHEN)
    runner.step()
    first, quads = published(), len(store_here.store)
    other = State(0, "", 0, 0, "another publisher", int(WHEN.timestamp()) + LEASE)
    store_here.set_state(other)
    with pytest.raises(NotReady, match=f"at entry 0 of {first}"):
        runner.step()
    runner.close()
    watcher = open_store(WHEN)
    with pytest.raises(NotReady, match=f"at entry 0 of {first}"):
        watcher.step()
    watcher.close()
    while_empty = published()
    sizes.clear()
    again = open_store(WHEN + timedelta(seconds=2 * LEASE))
    again.step()
    again.close()

    assert (while_empty, published()) == (first, first)
    assert waits == []  # No snapshot announced a store that lacks published data.
    assert {*sizes} == {quads}  # At the last entry it has all quads.
    assert len(store_here.store) == quads
