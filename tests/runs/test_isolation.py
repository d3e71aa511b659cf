from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import hostile
import httpx
import large_registry
import orjson
import pytest
from http_server import QuietHandler, answering, serving
from processes import children
from projects import DEFINITION, NOON, asking, project
from structlog.testing import capture_logs
from waiting import wait_until

from command_line.source_runs import run_all
from harvesters.errors import CrashingReplyError, CrashLoopError
from harvesters.ledger.models import Outcome, Run, State
from harvesters.network.fetch import NetworkSettings
from harvesters.page_model import Record
from harvesters.pipeline.processes import ChildProcesses, ProcessLimits
from harvesters.pipeline.record_processor import (
    ProcessExecutor,
    ProcessingTask,
    RecordInput,
    WorkerPool,
    create_processor,
)
from harvesters.runs import run as runs
from harvesters.runs.collect import collect
from harvesters.runs.context import HarvestContext
from harvesters.runs.plan import Plan
from harvesters.runs.run import harvest, harvest_and_log, remap
from harvesters.runs.run_report import FailedRun
from harvesters.source import Source, parse
from vocab.iris import BASE

SIZE = 40
KINDS = sorted(hostile.ATTACKS)


@dataclass
class PagedRegistry:
    """A registry of projects in pages of any size; *names* replaces the names of some by number;
    *before* is called before each answer.
    """

    names: dict[int, str] = field(default_factory=dict)
    before: Callable[[int], None] = lambda _: None
    request_log: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        page, size = (int(request.url.params.get(name, one)) for name, one in (("page", "1"), ("limit", "10")))  # fmt: skip
        self.before(page)
        self.request_log.append((page, size))
        rows = [project(number, self.names.get(number)) for number in range(SIZE)]
        return httpx.Response(200, json={"total": SIZE, "results": rows[page * size - size : page * size]})  # fmt: skip


@pytest.fixture
def registry() -> PagedRegistry:
    return PagedRegistry()


@pytest.fixture
def address(registry: PagedRegistry) -> Iterator[str]:
    with answering(registry) as url:
        yield url


@pytest.fixture
def isolated(
    context: HarvestContext, address: str, request: pytest.FixtureRequest
) -> HarvestContext:
    kind = request.node.callspec.params.get("kind", "") if hasattr(request.node, "callspec") else ""
    return replace(context, network=LOOPBACK, children=hostile.children(kind))


def definition(url: str = "https://registry.example", name: str = "projects", **options: Any) -> Source:  # fmt: skip
    more = {"limit": "limit", "size": 10, **options}
    changed = {"url": f"{url}/api", "options": DEFINITION["options"] | more}
    return parse(name, DEFINITION | changed, "test")


LOOPBACK = NetworkSettings("admin@example.org", frozenset({"127.0.0.1"}))
# A list in one response, without pages.
WHOLE = {"protocol": "json", "options": {"records": "results", "key": "id"}}


def outcomes(plan: Plan) -> dict[Outcome, int]:
    return {outcome: count for outcome, count in plan.outcomes.items() if count}


def reasons(context: HarvestContext, run: Run) -> list[str]:
    return [staged.reason or "" for staged in context.ledger.failures(run)]


def by_night(*kinds: str) -> list[object]:
    """Return all kinds; those in *kinds* wait for a time limit, so they run by night."""
    return [
        pytest.param(kind, marks=pytest.mark.nightly) if kind in kinds else kind for kind in KINDS
    ]


@pytest.mark.parametrize("kind", by_night("loop", "sleep"))
def test_record_whose_mapping_kills_or_stalls_is_withheld_with_its_reason(
    kind: str, isolated: HarvestContext, registry: PagedRegistry, address: str
) -> None:
    registry.names[17] = f"{kind} the mapping"

    plan = harvest(definition(address), isolated)

    assert plan.run.state is State.COMMITTED
    assert outcomes(plan) == {Outcome.NEW: SIZE - 1, Outcome.UNREADABLE: 1}
    (row,) = isolated.ledger.failures(plan.run)
    assert (row.key, row.reason) == ("p17", f"mapping it {hostile.REASONS[kind]}")


@pytest.mark.parametrize("kind", by_night("loop", "sleep"))
@pytest.mark.smoke
def test_page_whose_reading_kills_or_stalls_is_read_in_parts(
    kind: str, isolated: HarvestContext, registry: PagedRegistry, address: str
) -> None:
    registry.names[17] = f"{kind} the parser"

    plan = harvest(definition(address), isolated)

    assert plan.run.state is State.INCOMPLETE
    assert plan.run.reason is not None
    assert "the record at 18 of the list cannot be read" in plan.run.reason
    assert outcomes(plan) == {Outcome.NEW: SIZE - 1, Outcome.UNREADABLE: 1}
    assert "reading it" in reasons(isolated, plan.run)[0]


def test_lines_of_a_child_such_as_retries_are_logged_by_its_parent(
    context: HarvestContext, registry: PagedRegistry
) -> None:
    failures = [httpx.Response(503)]

    def answer(request: httpx.Request) -> httpx.Response:
        is_page = request.url.path != "/robots.txt"
        return failures.pop() if is_page and failures else registry(request)

    bounded = replace(context, network=LOOPBACK, children=ChildProcesses())
    with answering(answer) as url, capture_logs() as logs:
        plan = harvest(definition(url), bounded)

    assert plan.run.state is State.COMMITTED
    assert "retrying request" in [line["event"] for line in logs]


def test_no_page_is_asked_for_again_after_a_crash(
    isolated: HarvestContext, registry: PagedRegistry, address: str
) -> None:
    registry.names |= {5: "segfault the mapping", 25: "segfault the mapping", 26: "abort the mapping"}  # fmt: skip

    plan = harvest(definition(address), isolated)

    assert registry.request_log == [(page, 10) for page in range(1, 5)]
    assert plan.run.network == {"sent": 5, "answered": 5}  # robots.txt among them


def test_answer_that_cannot_be_read_in_parts_fails_its_run_alone(
    isolated: HarvestContext, registry: PagedRegistry, address: str
) -> None:
    bad = parse("bad", DEFINITION | WHOLE | {"url": f"{address}/bad"}, "test")
    registry.names[3] = "segfault the parser"

    with answering(PagedRegistry()) as other:
        sources = [bad, definition(other, "good")]
        plans = run_all(sources, isolated, harvest_and_log, dry_run=False, quiet=True)

    assert isinstance(plans["bad"], FailedRun)
    assert isinstance(plans["good"], Plan)
    assert plans["good"].run.state is State.COMMITTED
    failed = isolated.ledger.runs("bad")[0]
    assert (plans["bad"].run, plans["bad"].reason) == (failed, failed.reason)
    assert failed.state is State.FAILED
    reason = f"{address}/bad: reading it ends its process by SIGSEGV"
    assert (failed.reason or "").startswith(reason)
    assert isolated.ledger.open_run("bad") is None


def test_failed_answer_is_an_error_of_parsing(
    isolated: HarvestContext, registry: PagedRegistry, address: str
) -> None:
    registry.names[3] = "segfault the parser"

    with pytest.raises(CrashingReplyError, match="SIGSEGV"):
        harvest(parse("bad", DEFINITION | WHOLE | {"url": f"{address}/api"}, "test"), isolated)


def test_run_whose_process_keeps_exiting_fails_and_is_not_open(
    isolated: HarvestContext, registry: PagedRegistry, address: str
) -> None:
    registry.names |= {number: f"segfault the mapping {number}" for number in range(SIZE)}
    result = "has exited 4 times in this run; the last time, mapping a record ends its process by SIGSEGV"

    few = hostile.children(limits=replace(hostile.LIMITS, crashes=3))
    with pytest.raises(CrashLoopError, match=result):
        harvest(definition(address), replace(isolated, children=few))

    (run,) = isolated.ledger.runs("projects")
    assert (run.state, run.ended is not None) == (State.FAILED, True)
    assert isolated.ledger.open_run("projects") is None


def exit_at_once(*_: object) -> None:
    os._exit(3)


def test_process_that_cannot_start_fails_the_run(isolated: HarvestContext) -> None:
    reason = (
        "exited 4 times in this run; the last time, its own work ends its process with exit code 3"
    )

    with pytest.raises(CrashLoopError, match=reason):
        harvest(definition(), replace(isolated, children=ChildProcesses(run=exit_at_once)))

    assert isolated.ledger.runs("projects")[0].state is State.FAILED


def test_a_lack_of_file_descriptors_is_named(isolated: HarvestContext) -> None:
    run = isolated.ledger.create_run("projects", NOON, "rules")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
    try:
        with pytest.raises(CrashLoopError, match=r"can be started: .*Too many open files"):
            collect(exit_at_once, isolated, run, print)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def harvest_in_thread(source: Source, context: HarvestContext) -> Plan:
    """Harvest in a program with other threads, so that a fork server starts the children."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(harvest, source, context).result()


def test_a_fork_server_that_was_killed_is_replaced(
    isolated: HarvestContext, registry: PagedRegistry, address: str
) -> None:
    for number in range(2):
        registry.names[number] = f"segfault the mapping {number}"
        assert (
            harvest_in_thread(definition(address), isolated).outcomes[Outcome.UNREADABLE]
            == number + 1
        )
        for process in children(os.getpid()):
            if "forkserver" in Path(f"/proc/{process}/cmdline").read_text():
                os.kill(process, signal.SIGKILL)


def harvested(url: str, folder: Path, children: ChildProcesses | None, workers: int = 0) -> dict[str, str]:  # fmt: skip
    with large_registry.open_harvest(folder, PagedRegistry(), workers) as context:
        source = replace(large_registry.source(), url=f"{url}/api")
        plan = harvest(source, replace(context, network=LOOPBACK, children=children))

    assert plan.run.state is State.COMMITTED
    return large_registry.journal_digests(folder)


def test_journal_is_the_same_bytes_with_and_without_isolation(tmp_path: Path) -> None:
    with answering(large_registry.Projects()) as url:
        local = harvested(url, tmp_path / "local", None)
        isolated = [harvested(url, tmp_path / f"{number}", ChildProcesses(), number) for number in (0, 2)]  # fmt: skip

    assert isolated == [local, local]


@pytest.mark.nightly
def test_process_that_somebody_kills_costs_time_only(tmp_path: Path) -> None:
    pages, killed, others = [1, 4, 9], list[int](), set[int]()

    def kill(page: int) -> None:
        if page in pages and others:
            pages.remove(page)
            killed.extend(children(os.getpid()) - others)
            os.kill(killed[-1], signal.SIGKILL)

    with answering(large_registry.Projects(before=kill)) as url:
        harvested(url, tmp_path / "first", ChildProcesses())  # starts the fork server, which stays
        others |= children(os.getpid())
        disturbed = harvested(url, tmp_path / "killed", ChildProcesses())
        undisturbed = harvested(url, tmp_path / "local", None)

    assert disturbed == undisturbed
    assert len(set(killed)) == 3


def test_no_process_and_no_file_is_left_at_the_end_of_a_run(
    isolated: HarvestContext, registry: PagedRegistry, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    harvest_in_thread(definition(address), isolated)  # starts the fork server, which stays
    temporary = tmp_path / "temporary"  # tests beside this one have files in the usual folder
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    before = children(os.getpid())
    registry.names[5] = "segfault the mapping"

    harvest_in_thread(definition(address), isolated)

    assert not children(os.getpid()) - before
    assert not [*temporary.glob("stocktake-*")]


LATE = """
from harvesters.pipeline import processes
begin = processes._begin
def begin_late(*arguments): time.sleep(0.5); begin(*arguments)
processes._begin = begin_late
"""


@pytest.mark.parametrize(("threads", "delay"), [(0, ""), (1, ""), (0, LATE)])
def test_processes_exit_when_their_parent_is_killed(threads: int, delay: str) -> None:
    script = (
        "import threading, time; from multiprocessing.connection import Connection\n"
        "from harvesters.pipeline.processes import start_process\n"
        f"{delay}\n"
        f"for _ in range({threads}): threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "it, _ = start_process(Connection.recv); print(it.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child, below = int(parent.stdout.readline()), children(parent.pid)
        parent.kill()

    assert child in below
    wait_until(lambda: not any(map(is_running, below)), f"the end of {below}")


def is_running(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return "Z (" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_hostile_record_is_withheld_when_the_archive_is_mapped_again(
    isolated: HarvestContext, registry: PagedRegistry, address: str
) -> None:
    registry.names[17] = "segfault the mapping"
    harvest(definition(address), isolated)

    plan = remap(definition(address), isolated)

    assert plan.run.state is State.UNCHANGED
    assert outcomes(plan) == {Outcome.UNCHANGED: SIZE - 1, Outcome.UNREADABLE: 1}


class Bomb:
    def __init__(self, action: str) -> None:
        self.action = action

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (self.action,)


LOOP = "while True: pass"
SLEEP = "import time; time.sleep(3600)"
ALLOCATE = "all = [bytes(64 << 20) for _ in range(1 << 20)]"


@pytest.mark.parametrize("action", [LOOP, SLEEP, ALLOCATE])
@pytest.mark.nightly
def test_records_that_kill_the_pool_are_worked_on_by_the_bounded_process(action: str) -> None:
    record: Record[Any] = Record("a", Bomb(action), b"{}")
    cases = [RecordInput(record, "d" * 32, None, None)]
    run = Run("projects.1", "projects", 1, State.RUNNING, True, None, NOON, "rules")
    processor = create_processor(ProcessingTask(run, definition(), BASE, "rust", rules_unchanged=False))  # fmt: skip
    executor = ProcessExecutor(1, ProcessLimits(memory=1 << 30, seconds=1, silence=3))
    with WorkerPool(BASE, record_count=10_000, executor=executor) as pool, capture_logs() as logs:
        (withheld,) = pool.submit(processor, cases).results()

    assert (withheld.key, withheld.outcome) == ("a", Outcome.UNREADABLE)
    assert [line["event"] for line in logs] == ["worker process exited; repeating its work"]


class NestedHandler(QuietHandler):
    def do_GET(self) -> None:
        nested = b"<<( <urn:s> <urn:p> " * 60_000 + b"<urn:o>" + b" )>>" * 60_000
        projects = [{"id": f"p{n}", "name": f"Project {n}", "sdgs": "SDG 4"} for n in range(10)]
        self.answer(*{
            "/bad": (b"<urn:a> a <http://www.w3.org/ns/dcat#Dataset> ; <urn:p> " + nested + b" .", "text/turtle"),
            "/good": (orjson.dumps({"results": projects}), "application/json"),
        }.get(self.path, (b"", "text/plain", 404)))  # fmt: skip


@pytest.fixture
def server() -> Iterator[str]:
    with serving(NestedHandler) as url:
        yield url


def test_deeply_nested_triple_term_ends_neither_the_program_nor_the_next_source(
    server: str, tmp_path: Path
) -> None:
    common = 'title = "T"\nlicence = "https://a.example/l"\npause = 0\n'
    fields = '[options]\nrecords = "results"\nkey = "id"\n[fields]\nkey = "id"\n"title@en" = "name"\ngoals = "sdgs"\n'
    sources = tmp_path / "sources"
    sources.mkdir()
    for name, kind, more in (
        ("bad", 'protocol = "rdf"\nmapping = "dcat"', ""),
        ("good", 'protocol = "json"\nmapping = "fields"', fields),
    ):
        text = f'{common}{kind}\nurl = "{server}/{name}"\n{more}'
        (sources / f"{name}.toml").write_text(text)
    environment = {
        **os.environ, "STOCKTAKE_DATA": str(tmp_path / "data"), "STOCKTAKE_SOURCES": str(sources), "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
    }  # fmt: skip
    command = [sys.executable, "-m", "stocktake", "harvest", "--json"]

    completed = subprocess.run(command, env=environment, capture_output=True, timeout=240, check=False)  # fmt: skip

    rows = {row["run"].partition(".")[0]: row["outcome"] for row in orjson.loads(completed.stdout)}
    assert completed.returncode == 1, completed.stderr.decode()
    assert (rows["bad"], rows["good"]) == ("failed", "committed")


class CutOffError(BaseException):
    """Stands for kill -9 of the whole program."""


def test_run_that_is_cut_off_again_and_again_without_a_page_fails(
    context: HarvestContext, registry: PagedRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(page: int) -> None:
        if page == 2:
            raise CutOffError

    monkeypatch.setattr(runs, "_MAX_RESUMPTIONS", 2)
    registry.before = cut_off
    for _ in range(3):
        with pytest.raises(CutOffError):
            harvest(definition(), context)

    with pytest.raises(
        CrashLoopError,
        match=r"projects: projects\.1 was aborted: its process was killed 3 times after page 1",
    ):
        harvest(definition(), context)

    assert context.ledger.runs("projects")[0].state is State.FAILED
    assert context.ledger.open_run("projects") is None


def test_resumed_run_is_answered_from_the_archive_before_its_registry_is_asked(
    context: HarvestContext, registry: PagedRegistry
) -> None:
    checks, asked = iter([None, None, CutOffError()]), asking(context, registry)

    def cut_off() -> None:
        if error := next(checks):
            raise error

    with pytest.raises(CutOffError):
        harvest(definition(), replace(asked, check_lock=cut_off))
    run = harvest(definition(), asked).run

    assert registry.request_log == [(page, 10) for page in range(1, 5)]
    assert (run.state, run.network) == (State.COMMITTED, {"sent": 5, "answered": 5})


@pytest.mark.nightly
def test_run_that_gets_on_between_two_ends_is_resumed(
    context: HarvestContext, registry: PagedRegistry
) -> None:
    def cut_off(page: int, run: Run) -> None:
        if run.pages == page:
            raise CutOffError

    for page in range(1, 14):
        with pytest.raises(CutOffError):
            harvest(definition(size=3), context, watch=partial(cut_off, page))

    assert harvest(definition(size=3), context).run.state is State.COMMITTED
