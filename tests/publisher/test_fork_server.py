"""Query workers that a fork server starts: as limited as others, reported when they end, and started
again after it was killed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from processes import children
from rows import each
from test_pool import COUNT, readers, snapshot, text
from waiting import WITHIN, wait_until_async

from publisher.errors import MemoryLimit, PublisherError, StoreFailure
from publisher.limits import Limits
from publisher.store.query_service import COLUMN_ENVIRONMENT, COLUMN_READER
from publisher.store.workers import fork_server as fork_server_process
from publisher.store.workers.launchers import ForkServer
from publisher.store.workers.pool import Pool
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.worker import Worker


@pytest.fixture
async def fork_server() -> AsyncIterator[ForkServer]:
    before = children(os.getpid())
    server = ForkServer(COLUMN_READER, COLUMN_ENVIRONMENT)
    yield server
    await server.close()
    await wait_until_async(lambda: children(os.getpid()) <= before, "the end of all processes")


@pytest.fixture
async def pool(fork_server: ForkServer) -> AsyncIterator[Pool]:
    opened = Pool(2, Limits(seconds=240, wait=240), spares=1, launcher=fork_server)
    yield opened
    await opened.close()


@pytest.mark.smoke
async def test_all_workers_are_forked_from_one_process(pool: Pool, tmp_path: Path) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))
    answered = await text(pool)
    parents = {
        int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        for pid in readers(pool)
    }

    assert answered.split() == ["n", "1"]
    assert len(readers(pool)) == 3
    (parent,) = parents
    assert parent in children(os.getpid())
    # threads do not survive a fork
    assert len(os.listdir(f"/proc/{parent}/task")) == 1


async def test_a_forked_worker_opens_no_socket(pool: Pool, tmp_path: Path) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))

    with pytest.raises(PublisherError, match="Permission denied"):
        await pool.ask(QueryRequest("SELECT * { SERVICE <http://127.0.0.1:8099/> { ?s ?p ?o } }"))


async def test_a_forked_worker_has_its_memory_limit(fork_server: ForkServer) -> None:
    worker = await Worker.start(3_000_000_000, fork_server)
    limits = Path(f"/proc/{worker.process.pid}/limits")
    await wait_until_async(lambda: "3000000000" in limits.read_text(), "the limit")
    await worker.stop()

    assert worker.process.returncode == -signal.SIGKILL


async def test_a_worker_ends_with_its_socket(fork_server: ForkServer, tmp_path: Path) -> None:
    worker = await Worker.start(Limits().memory, fork_server)
    await worker.open(snapshot(tmp_path, 1))
    worker._writer.close()

    async with asyncio.timeout(WITHIN):
        assert await worker.process.wait() == 0
    await worker.stop()


async def test_an_abort_of_a_forked_worker_is_reported(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    worker = await Worker.start(Limits().memory, fork_server)
    await worker.open(snapshot(tmp_path, 1))
    worker.process.send_signal(signal.SIGABRT)

    with pytest.raises(MemoryLimit):
        await worker.frame()
    await worker.stop()


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancelled_start_leaves_no_worker_behind(
    fork_server: ForkServer, steps: int
) -> None:
    first = await Worker.start(Limits().memory, fork_server)
    before = children(os.getpid())
    starting = asyncio.ensure_future(Worker.start(Limits().memory, fork_server))
    for _ in range(steps):
        await asyncio.sleep(0)

    starting.cancel()
    (created,) = await asyncio.gather(starting, return_exceptions=True)
    if isinstance(created, Worker):  # it was there already
        await created.stop()

    await wait_until_async(lambda: children(os.getpid()) <= before, "the end of the worker")
    await first.stop()
    assert first.process.returncode is not None


@each("is_cancelled", [False, True])
@each("steps", [0, 1, 2, 4, 8, 16])
async def test_a_fork_server_that_is_closed_while_it_starts_has_ended(
    steps: int, is_cancelled: bool
) -> None:
    before = children(os.getpid())
    server = ForkServer(COLUMN_READER, COLUMN_ENVIRONMENT)
    starting = asyncio.ensure_future(Worker.start(Limits().memory, server))
    for _ in range(steps):
        await asyncio.sleep(0)

    if is_cancelled:
        starting.cancel()
    await server.close()

    (created,) = await asyncio.gather(starting, return_exceptions=True)
    assert isinstance(created, asyncio.CancelledError if is_cancelled else StoreFailure)
    assert children(os.getpid()) <= before


async def test_a_killed_fork_server_is_started_again(
    fork_server: ForkServer, pool: Pool, tmp_path: Path
) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))
    answer = await pool.ask(COUNT)
    before = readers(pool)
    assert fork_server._server

    fork_server._server.kill()
    with pytest.raises(StoreFailure):
        await _read_on(answer._worker)
    answer.close()
    async with asyncio.timeout(WITHIN):
        while True:
            try:
                answered = await text(pool)
                break
            except StoreFailure:
                await asyncio.sleep(0.05)

    assert answered.split() == ["n", "1"]
    assert not before & readers(pool)
    assert not [pid for pid in before if Path(f"/proc/{pid}/fd").exists() and _runs(pid)]


async def _read_on(worker: Worker) -> None:
    while True:
        await worker.frame()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_module_that_cannot_be_imported_fails_the_start() -> None:
    server = ForkServer("publisher.no_such_module")

    with pytest.raises(StoreFailure, match="has ended"):
        await Worker.start(Limits().memory, server)
    await server.close()


def test_a_failed_fork_is_reported_and_the_fork_server_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, "too many processes")

    monkeypatch.setattr(os, "fork", refuse)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(ours, [fork_server_process.REQUEST.pack(1)], [theirs.fileno()])
        goes_on = fork_server_process._fork(theirs, lambda *_: None, ())
        report = fork_server_process.REPORT.unpack(ours.recv(64))

    assert goes_on
    assert report == (fork_server_process.FAILED, 0, errno.EAGAIN)


async def test_a_start_that_the_fork_server_refuses_is_an_error(fork_server: ForkServer) -> None:
    worker = await Worker.start(Limits().memory, fork_server)
    requested = asyncio.get_running_loop().create_future()
    fork_server._requested.append(requested)

    fork_server._read_report(fork_server_process.FAILED, 0, errno.EAGAIN)

    with pytest.raises(StoreFailure, match="can be started: Resource temporarily unavailable"):
        await requested
    await worker.stop()


async def test_a_fork_server_that_hangs_is_replaced(
    fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await Worker.start(Limits().memory, fork_server)
    assert fork_server._server
    hung = fork_server._server
    hung.send_signal(signal.SIGSTOP)

    with monkeypatch.context() as patch:
        patch.setattr("publisher.store.workers.launchers._START_LIMIT", 0.1)
        with pytest.raises(StoreFailure, match=r"within 0\.1 seconds"):
            await Worker.start(Limits().memory, fork_server)
    await first.process.wait()
    second = await Worker.start(Limits().memory, fork_server)

    assert hung.returncode == -signal.SIGKILL
    assert second.process.returncode is None
    await second.stop()
    await first.stop()
