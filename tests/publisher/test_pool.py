"""Readers are used again or replaced, follow the snapshot, and do not multiply; they are forked
from one process, have their limits, and leave nothing behind.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from processes import children
from pyoxigraph import Literal, NamedNode, Quad, Store
from rows import each
from waiting import wait_until_async

from publisher.errors import MemoryLimit, NotReady, PublisherError, QuerySyntaxError, StoreFailure
from publisher.limits import Limits
from publisher.store.snapshots import Snapshot, create_snapshot
from publisher.store.workers.pool import Pool, Worker
from publisher.store.workers.query_request import QueryRequest

COUNT = QueryRequest("SELECT (COUNT(*) AS ?n) { ?s ?p ?o }", table="csv")


def snapshot(data: Path, number: int) -> str:
    """Create a snapshot with one statement more, and return its folder."""
    store = Store(str(data / "store"))
    store.add(Quad(NamedNode("urn:s"), NamedNode("urn:p"), Literal(number)))
    return create_snapshot(data / "snapshots", store, Snapshot(0, number, "entry", number, "")).path


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    opened = Pool(2, Limits(seconds=240, wait=240))
    yield opened
    await opened.close()


async def text(pool: Pool, question: QueryRequest = COUNT) -> str:
    answer = await pool.ask(question)
    try:
        return b"".join([chunk async for chunk in answer.chunks()]).decode()
    finally:
        answer.close()


def readers(pool: Pool) -> set[int]:
    return set(map(pid_of, pool._workers))


async def all_settled(pool: Pool) -> None:
    await wait_until_async(lambda: not pool._tasks, "the pool's tasks to end", pause=0)


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    opened = await Worker.start(3_000_000_000)
    yield opened
    await opened.stop()


def pid_of(worker: Worker) -> int:
    assert worker.process.pid
    return worker.process.pid


@pytest.mark.smoke
async def test_all_readers_are_forked_from_one_process_without_threads(
    pool: Pool, tmp_path: Path
) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))
    answered = await text(pool)
    (parent,) = set(map(fork_server_of, readers(pool)))

    assert answered.split() == ["n", "1"]
    assert len(readers(pool)) == 2
    # Threads do not survive a fork, so the process that is forked must have only one.
    assert len(os.listdir(f"/proc/{parent}/task")) == 1


async def test_a_reader_has_its_memory_limit(worker: Worker) -> None:
    limits = Path(f"/proc/{pid_of(worker)}/limits")

    await wait_until_async(lambda: "3000000000" in limits.read_text(), "the limit")


async def test_a_reader_ends_with_its_pipe(worker: Worker, tmp_path: Path) -> None:
    await worker.ask(snapshot(tmp_path, 1))
    worker._writer.close()

    await wait_until_async(lambda: worker.has_exited, "the end of the reader")
    assert worker.process.exitcode == 0


async def test_readers_end_with_the_process_that_forked_them_and_are_replaced(
    pool: Pool, tmp_path: Path
) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))
    answer = await pool.ask(COUNT)
    before = readers(pool)
    forkserver = fork_server_of(pid_of(answer.worker))

    os.kill(forkserver, signal.SIGKILL)
    with pytest.raises(StoreFailure):
        await read_on(answer.worker)
    answer.close()
    await all_settled(pool)
    answers = [await text(pool) for _ in range(3)]

    assert answers[-1].split() == ["n", "1"]
    assert not before & readers(pool)
    await wait_until_async(lambda: not any(map(runs, before)), "the end of the readers")


async def read_on(worker: Worker) -> None:
    while True:
        await worker.receive()


def fork_server_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_module_that_cannot_be_imported_is_an_error(tmp_path: Path) -> None:
    worker = await Worker.start(Limits().memory, "publisher.no_such_module")

    with pytest.raises(StoreFailure, match="exited with code 1"):
        await worker.ask(snapshot(tmp_path, 1))
    await worker.stop()


@each("steps", range(8))
async def test_who_gives_up_while_a_reader_starts_leaves_no_process_behind(
    worker: Worker, steps: int
) -> None:
    before = children(os.getpid())
    starting = asyncio.ensure_future(Worker.start(Limits().memory))
    for _ in range(steps):
        await asyncio.sleep(0)

    starting.cancel()
    (created,) = await asyncio.gather(starting, return_exceptions=True)
    if isinstance(created, Worker):  # It had started before it was cancelled.
        await created.stop()

    await wait_until_async(lambda: children(os.getpid()) <= before, "the end of the reader")


async def test_a_new_snapshot_is_answered_from_at_once_and_starts_no_reader(
    pool: Pool, tmp_path: Path
) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))
    before = await text(pool)

    await pool.switch_snapshot(snapshot(tmp_path, 2))
    after = await text(pool)

    assert (before.split(), after.split()) == (["n", "1"], ["n", "2"])
    await all_settled(pool)
    running = readers(pool)
    path = snapshot(tmp_path, 3)

    _, answer = await asyncio.gather(pool.switch_snapshot(path), text(pool))
    await all_settled(pool)

    assert answer.split() in (["n", "2"], ["n", "3"])
    assert readers(pool) == running
    assert {worker.snapshot for worker in pool._idle} == {path}


async def test_readers_do_not_multiply_when_snapshots_change_under_load(
    pool: Pool, tmp_path: Path
) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))

    for number in range(2, 6):
        path = snapshot(tmp_path, number)
        await asyncio.gather(pool.switch_snapshot(path), *(text(pool) for _ in range(6)))
    await all_settled(pool)
    await text(pool)
    await all_settled(pool)

    assert len(readers(pool)) <= 3 + pool.limits.slow
    assert {worker.snapshot for worker in pool._idle} == {pool.snapshot}


async def test_a_query_that_ends_while_a_snapshot_is_opened_leaves_no_reader_at_the_old_one(
    pool: Pool, tmp_path: Path
) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))
    answer = await pool.ask(COUNT)

    switching = asyncio.ensure_future(pool.switch_snapshot(snapshot(tmp_path, 2)))
    await asyncio.sleep(0)  # the idle reader opens the new one now
    async for _ in answer.chunks():
        pass
    await switching
    await all_settled(pool)

    assert [worker.snapshot for worker in pool._idle] == [pool.snapshot] * 2


async def test_a_wrong_query_leaves_its_reader_at_work_which_opens_no_socket(
    pool: Pool, tmp_path: Path
) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))
    before = readers(pool)

    for _ in range(5):
        with pytest.raises(QuerySyntaxError):
            await pool.ask(QueryRequest("SELECT"))

    assert readers(pool) == before
    with pytest.raises(PublisherError, match="Permission denied"):
        await pool.ask(QueryRequest("SELECT * { SERVICE <http://127.0.0.1:8099/> { ?s ?p ?o } }"))


async def test_a_reader_that_was_killed_is_replaced(pool: Pool, tmp_path: Path) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))
    for reader in readers(pool):
        os.kill(reader, signal.SIGKILL)

    answers = []
    for _ in range(6):
        try:
            answers.append(await text(pool))
        except (MemoryLimit, StoreFailure):
            answers.append("lost")  # The pool did not know yet that the reader had ended.

    assert answers[-1].split() == ["n", "1"]
    assert answers.count("lost") <= 3


@pytest.mark.parametrize(("removed", "error"), [(False, MemoryLimit), (True, StoreFailure)])
async def test_an_abort_is_a_memory_limit_unless_the_files_were_removed(
    worker: Worker, tmp_path: Path, removed: bool, error: type[PublisherError]
) -> None:
    path = snapshot(tmp_path, 1)
    await worker.ask(path)
    if removed:
        Path(path).rename(tmp_path / "removed")
    os.kill(pid_of(worker), signal.SIGABRT)

    with pytest.raises(error):
        await worker.receive()


async def test_an_answer_that_is_not_read_to_its_end_ends_its_reader(
    pool: Pool, tmp_path: Path
) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))
    before = readers(pool)

    answer = await pool.ask(COUNT)
    answer.close()
    await all_settled(pool)

    assert len(readers(pool) & before) == len(before) - 1
    assert len(readers(pool)) == len(before)


async def test_askers_that_leave_while_a_reader_starts_leave_nothing_behind(tmp_path: Path) -> None:
    pool = Pool(1, Limits(seconds=240, wait=240))
    pool.snapshot = snapshot(tmp_path, 1)

    for _ in range(3):
        asking = asyncio.create_task(pool.ask(COUNT))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    answered = await text(pool)
    await pool.close()

    assert answered.split() == ["n", "1"]
    assert readers(pool) == set()


async def test_who_asks_when_all_is_closed_starts_no_reader(pool: Pool, tmp_path: Path) -> None:
    with pytest.raises(NotReady):  # There is no snapshot yet.
        await pool.ask(COUNT)
    await pool.switch_snapshot(snapshot(tmp_path, 1))
    await pool.close()

    with pytest.raises(NotReady):
        await pool.ask(COUNT)
    assert readers(pool) == set()


async def test_a_reader_that_was_asked_while_the_snapshot_changed_is_asked_first_again(
    pool: Pool, tmp_path: Path
) -> None:
    await pool.switch_snapshot(snapshot(tmp_path, 1))
    answer = await pool.ask(COUNT)
    pid = pid_of(answer.worker)

    await pool.switch_snapshot(snapshot(tmp_path, 2))
    b"".join([chunk async for chunk in answer.chunks()])
    answer.close()
    await all_settled(pool)
    again = await pool.ask(COUNT)
    again.close()

    assert pid_of(again.worker) == pid
