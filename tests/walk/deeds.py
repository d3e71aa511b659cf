"""Deeds: each thing that writes, done once over a folder with a clock that stands still; run as a program, it does what it is told.

A line on standard input is ``{"deed": ..., "home": ..., "at": ...}``, the answer is how the traced deed ended, or what is held there. The
program has read all that a deed needs before it forks, so that a deed takes its own time only.
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
import tracer
from held import held
from processes import end_with_parent
from projects import CARD, NOON

from harvesters.ledger.models import State
from harvesters.ledger.operator_actions import Override
from harvesters.runs import plan_decisions, publish_vocabularies, run_requests
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.harvest import harvest
from harvesters.runs.status_file import write_status as write_status
from harvesters.source import Source, parse
from journal.journal import Journal
from publisher.history.updater import HistoryUpdater
from publisher.projections.journal_reader import JournalReader
from publisher.releases.builder import build_release
from publisher.releases.dump import write_dumps
from publisher.releases.signature import load_key
from publisher.store.embedded import open_runner
from publisher.store.snapshots import Snapshot, newest_snapshot
from vocab.iris import BASE, Iris

PAGE = 8
OLD = {f"p{number:02}": f"Project {number}, of water" for number in range(30)}
CHANGED = {**dict(list(OLD.items())[:28]), "p03": "Project 3, of wells", "p05": "", "new": "A new one"}  # p05 is withheld
FEEDS = {"first": OLD, "second": CHANGED, "held": dict(list(OLD.items())[:3]), "asked": {**CHANGED, "p07": "Project 7, of schools"}}
ORDER = ["first", "follow", "second", "held", "follow on", "approve", "follow further", "note", "dump", "key", "release", "ask", "asked"]


def registry(feed: dict[str, str]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        page = int(request.url.params.get("page", "1"))
        rows = [{"id": key, "name": name, "sdgs": "SDG 6", "owner": "Ministry"} for key, name in feed.items()]
        return httpx.Response(200, json={"total": len(rows), "results": rows[page * PAGE - PAGE : page * PAGE]})

    return answer


@contextmanager
def context(home: Path, deed: str) -> Iterator[HarvestContext]:
    at = NOON + timedelta(days=ORDER.index(deed))
    with open_context(home, f"sqlite:///{home}/ledger.sqlite", BASE, "desk@example.org", frozenset()) as real:
        yield replace(real, transport=httpx.MockTransport(registry(FEEDS.get(deed, {}))), now=lambda: at)


def source() -> Source:
    return parse("projects", CARD, "card")


def run(home: Path, deed: str) -> None:
    """Harvest, unless that was done: who starts again after a kill behind a run's end does not harvest once more."""
    with context(home, deed) as it:
        publish_vocabularies.publish(it)
        last = it.ledger.last_run("projects", [state for state in State if state not in (State.RUNNING, State.COMMITTING)])
        if last is None or last.started < it.now():
            harvest(source(), it, full=True)
        write_status(it)


def approve(home: Path, deed: str) -> None:
    with context(home, deed) as it:
        held = it.ledger.awaiting_review()
        begun = it.ledger.open_run("projects")
        if held or begun:
            plan_decisions.approve(
                it, source(), (held or [begun])[0].id, by="ann", override=Override("vanished", 0.9, NOON + timedelta(days=40))
            )
        write_status(it)


def note(home: Path, deed: str) -> None:
    """Go on as the process does that notes what touched each graph."""
    history = HistoryUpdater(home / "store" / "history", JournalReader(Journal(home / "journal"), BASE))
    history.step()
    history.close()


def follow(home: Path, deed: str) -> None:
    at = NOON + timedelta(days=ORDER.index(deed))
    follower = open_runner(JournalReader(Journal(home / "journal"), BASE), home / "store", home / "status.nq", BASE + "status", lambda: at)
    while follower.step() is not None or not _is_level(newest_snapshot(follower.snapshots)):
        pass
    follower.close()


def _is_level(shown: Snapshot | None) -> bool:
    """Return whether tables and texts are shown for the same entry as the store: on a busy machine they come later."""
    return shown is not None and shown.text == shown.tables == shown.position


def release(home: Path, deed: str) -> None:
    if not (home / "releases" / "1").exists():
        build_release(home, Iris(BASE), NOON)


def ask(home: Path, deed: str) -> None:
    with context(home, deed) as it:
        if not it.ledger.run_requests():
            it.ledger.request_run("projects", True, "ann", it.now())


def asked(home: Path, deed: str) -> None:
    """Do what the schedule does when it starts and finds an errand."""
    with context(home, deed) as it:
        publish_vocabularies.publish(it)
        run_requests.recover_requests(it)
        for errand in run_requests.claim_requests(it):
            run_requests.execute_request(errand, [source()], it, lambda card, full: harvest(card, it, full=full))


DEEDS: dict[str, Callable[[Path, str], Any]] = {
    **dict.fromkeys(("first", "second", "held"), run),
    **dict.fromkeys(("follow", "follow on", "follow further"), follow),
    "approve": approve,
    "note": note,
    "dump": lambda home, _: write_dumps(Journal(home / "journal"), home / "dumps"),
    "key": lambda home, _: load_key(home / "signing"),
    "release": release,
    "ask": ask,
    "asked": asked,
}


def done(home: Path, told: dict[str, Any]) -> tracer.Ended:
    return tracer.traced(lambda: DEEDS[told["deed"]](home, told["deed"]), told["at"], Path(told["errors"]))


def beside(work: Callable[[], str]) -> str:
    """Do work in a fork, since a store that was opened leaves threads behind, which later forks would miss."""
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
        told = file.read()
    os.waitpid(child, 0)
    return told


def main() -> None:
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    for line in sys.stdin:
        told = json.loads(line)
        home = Path(told["home"])
        print(beside(lambda: json.dumps(held(home))) if told["deed"] == "held?" else json.dumps(asdict(done(home, told))), flush=True)  # noqa: B023 - done now


if __name__ == "__main__":
    main()
