"""Run each action that writes to a data directory once, with a fixed clock. Run as a program,
execute actions from standard input.

A line on standard input is ``{"action": ..., "home": ..., "at": ...}``. The answer on standard
output is how the traced action ended or, for the action "snapshot", the contents of the directory.
All modules are imported before the program forks.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import structlog
import syscall_tracer
from data_snapshot import snapshot
from processes import end_with_parent
from projects import DEFINITION, NOON

from harvesters.ledger import operators
from harvesters.ledger.models import State
from harvesters.network.fetch import NetworkSettings
from harvesters.runs import operations
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.jobs import LocalJobs, claim_requests
from harvesters.runs.publish_graphs import publish_vocabulary
from harvesters.runs.run import harvest
from harvesters.runs.status_file import write_status as write_status
from harvesters.source import Source, parse
from journal.journal import Journal
from publisher.releases.builder import build_release
from publisher.releases.dump import write_dumps
from publisher.releases.signature import load_key
from publisher.store.changes import JournalReader
from publisher.store.follow import open_runner
from vocab.iris import BASE, Iris

PAGE = 8
# Two graphs of the vocabulary are enough: each snapshot reads all statements several times.
VOCABULARY = ("scheme/action-line", "scheme/status")
OLD = {f"p{number:02}": f"Project {number}, of water" for number in range(30)}
# The record p05 has no title, so it is withheld.
CHANGED = {**dict(list(OLD.items())[:28]), "p03": "Project 3, of wells", "p05": "", "new": "A new one"}  # fmt: skip
FEEDS = {
    "first": OLD,
    "second": CHANGED,
    "held": dict(list(OLD.items())[:3]),
    "asked": {**CHANGED, "p07": "Project 7, of schools"},
}
ORDER = [
    "first", "follow", "second", "held", "follow on", "approve", "follow further", "dump", "key", "release", "ask", "asked",
]  # fmt: skip


def registry(feed: dict[str, str]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        page = int(request.url.params.get("page", "1"))
        rows = [
            {"id": key, "name": name, "sdgs": "SDG 6", "owner": "Ministry"}
            for key, name in feed.items()
        ]
        return httpx.Response(
            200, json={"total": len(rows), "results": rows[page * PAGE - PAGE : page * PAGE]}
        )

    return answer


@contextmanager
def open_harvest(home: Path, action: str) -> Iterator[HarvestContext]:
    at = NOON + timedelta(days=ORDER.index(action))
    with open_context(
        home, f"sqlite:///{home}/ledger.sqlite", BASE, NetworkSettings("admin@example.org")
    ) as real:
        yield replace(
            real,
            network=replace(
                real.network, transport=httpx.MockTransport(registry(FEEDS.get(action, {})))
            ),
            now=lambda: at,
        )


def source() -> Source:
    return parse("projects", DEFINITION, "test")


def run(home: Path, action: str) -> None:
    """Harvest, unless the run already ended before a kill."""
    with open_harvest(home, action) as context:
        publish_vocabulary(context, VOCABULARY)
        last = context.ledger.last_run(
            "projects", [state for state in State if state not in (State.RUNNING, State.COMMITTING)]
        )
        if last is None or last.started < context.now():
            harvest(source(), context, full=True)
        write_status(context)


def approve(home: Path, action: str) -> None:
    with open_harvest(home, action) as context:
        open_run = context.ledger.open_run("projects")
        waiting = [*context.ledger.awaiting_review(), *([open_run] if open_run else [])]
        if waiting:
            operations.approve(
                context, source(), waiting[0].id, by="ann",
                override=operations.OverrideRequest("vanished", 0.9, 30),
            )  # fmt: skip
        write_status(context)


def follow(home: Path, action: str) -> None:
    at = NOON + timedelta(days=ORDER.index(action))
    follower = open_runner(
        JournalReader(Journal(home / "journal"), BASE), home / "store", home / "status.nq", BASE + "status",
        lambda: at,
    )  # fmt: skip
    follower.finish()
    follower.close()


def release(home: Path, action: str) -> None:
    if not (home / "releases" / "1").exists():
        build_release(home, Iris(BASE), NOON)


def request_run(home: Path, action: str) -> None:
    with open_harvest(home, action) as context:
        if not operators.run_requests(context.ledger):
            operators.request_run(context.ledger, "projects", True, "ann", context.now())


def execute_requests(home: Path, action: str) -> None:
    with open_harvest(home, action) as context:
        publish_vocabulary(context, VOCABULARY)
        jobs = LocalJobs(
            context, [source()], print, lambda source, full: harvest(source, context, full=full)
        )
        jobs.prepare()
        for request in claim_requests(context):
            jobs.run_requested(request)


ACTIONS: dict[str, Callable[[Path, str], Any]] = {
    **dict.fromkeys(("first", "second", "held"), run), **dict.fromkeys(("follow", "follow on", "follow further"), follow),
    "approve": approve, "dump": lambda home, _: write_dumps(Journal(home / "journal"), home / "dumps"),
    "key": lambda home, _: load_key(home / "signing"), "release": release, "ask": request_run, "asked": execute_requests,
}  # fmt: skip


def execute(home: Path, message: dict[str, Any]) -> syscall_tracer.TraceResult:
    action = message["action"]
    return syscall_tracer.trace(
        lambda: ACTIONS[action](home, action), message["at"], Path(message["errors"])
    )


def run_in_fork(work: Callable[[], str]) -> str:
    """Run *work* in a fork and return its result: an opened store leaves threads that later forks
    would lack.
    """
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        end_with_parent()
        try:
            with os.fdopen(writes, "w") as file:
                file.write(work())
        finally:
            os._exit(0)
    os.close(writes)
    with os.fdopen(reads) as file:
        result = file.read()
    os.waitpid(child, 0)
    return result


def main() -> None:
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    for line in sys.stdin:
        message = json.loads(line)
        home = Path(message["home"])
        if message["action"] == "snapshot":
            print(run_in_fork(lambda: json.dumps(snapshot(home))), flush=True)  # noqa: B023 - called at once
        else:
            print(json.dumps(asdict(execute(home, message))), flush=True)


if __name__ == "__main__":
    main()
