from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from clocks import NOON, TickingClock
from definitions import paged_json

from command_line.site import LedgerSubscriptions
from harvesters.admin.context import AdminContext
from harvesters.ledger import operators, outbox
from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import LINKS, LinkState, Message, State
from harvesters.ledger.participation import Notification, ProblemState, ReportedProblem
from harvesters.network.fetch import NetworkSettings
from harvesters.notifications.coar import add_notification, find_notification
from harvesters.notifications.delivery import Channels, deliver, parse_mail_server
from harvesters.participation.actions import CONFIRMATION_AGE
from harvesters.runs import operations
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.reported_problems import file_problem, reported_problem
from harvesters.runs.run import harvest
from harvesters.runs.upkeep import LinkProgress, check_source, links
from harvesters.source import Notify, Source, load
from publisher.portal.follow import ChangedThing, ComparedResults
from vocab.iris import BASE

DAY = timedelta(days=1)
NOTIFY = Notify(webhook=("https://registry.example/hook",))


@dataclass
class ProjectsWithPages:
    projects: list[dict[str, Any]]
    statuses: dict[str, int] = field(default_factory=dict)
    hooks: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            self.hooks.append(request)
            return httpx.Response(204)
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        if request.url.host == "pages.example":
            return httpx.Response(self.statuses.get(request.url.path, 206), content=b"x")
        page = int(request.url.params.get("page", "1"))
        rows = self.projects[page * 10 - 10 : page * 10]
        return httpx.Response(200, json={"total": len(self.projects), "results": rows})


@pytest.fixture
def clock() -> TickingClock:
    return TickingClock()


@pytest.fixture
def web() -> ProjectsWithPages:
    return ProjectsWithPages([{"id": f"p{number}", "name": f"Project {number}", "sdgs": "SDG 4", "page": f"https://pages.example/{number}"}
                for number in range(1, 13)])  # fmt: skip


@pytest.fixture
def source(tmp_path: Path) -> Source:
    file = tmp_path / "projects.toml"
    file.write_text(paged_json("https://registry.example/projects", every="0 0 1 1 *"))
    loaded = load(file)
    return replace(loaded, check_links=True, fields={**loaded.fields, "pages": "page"})


@pytest.fixture
def context(
    ledger: str, tmp_path: Path, web: ProjectsWithPages, clock: TickingClock
) -> Iterator[HarvestContext]:
    with open_context(
        tmp_path / "data", ledger, BASE, NetworkSettings("admin@example.org")
    ) as real:
        yield replace(
            real, network=replace(real.network, transport=httpx.MockTransport(web)), now=clock
        )


def message(number: int) -> Message:
    return Message(
        "webhook", f"https://a.example/{number}", f"t {number}", "", "text", {"number": number}
    )


def test_links_are_checked_published_and_forgotten(
    source: Source, context: HarvestContext, web: ProjectsWithPages, clock: TickingClock
) -> None:
    harvest(source, context)
    web.statuses = {"/1": 404, "/2": 403}
    for _ in range(5):
        check_source(context, source, LinkProgress(), lambda: True)
        clock.now += DAY
    states = {link.url.rpartition("/")[2]: link.state for link in links(context.ledger, "projects")}
    gone = [link.url for link in links(context.ledger, "projects") if link.state is LinkState.GONE]
    graph = context.ledger.graph(context.iris.links("projects"))
    web.projects[0]["page"] = "https://pages.example/new"
    harvest(source, context, full=True)
    check_source(context, source, LinkProgress(), lambda: True)

    assert (states.pop("1"), states.pop("2")) == (LinkState.GONE, LinkState.BLOCKED)
    assert set(states.values()) == {LinkState.ALIVE}
    assert gone == ["https://pages.example/1"]
    assert (graph.count('"gone"'), graph.count('"alive"')) == (1, 10)
    assert {link.url for link in links(context.ledger, "projects")}.isdisjoint(gone)
    assert context.ledger.last_run(LINKS, [State.COMMITTED]) is not None


def test_a_problem_is_sent_and_closed_by_the_harvest_that_changes_its_statements(
    source: Source, context: HarvestContext, web: ProjectsWithPages
) -> None:
    harvest(source, context)
    now, text = context.now(), ("title", "Wrong", None, "en", ProblemState.OPEN, "")
    numbers = [
        file_problem(context, ReportedProblem(0, "projects", key, *text, now, now), NOTIFY)
        for key in ("p1", "p2")
    ]
    sending = Channels(secret="s", network=NetworkSettings(transport=httpx.MockTransport(web)))
    delivered = deliver(context.ledger, sending, context.now)
    web.projects[0]["name"] = "Another name"
    harvest(source, context)

    problems = [reported_problem(context.ledger, number or 0) for number in numbers]
    assert (delivered, len(web.hooks)) == (2, 2)
    states = [problem and problem.state for problem in problems]
    assert states == [ProblemState.FIXED, ProblemState.SENT]
    undecided = context.ledger.undecided_problems("projects")
    assert [problem.id for problem in undecided] == numbers[1:]


def test_senders_at_once_send_each_message_once(ledger: str) -> None:
    with_messages = Ledger(ledger)
    outbox.queue_messages(with_messages, [message(number) for number in range(40)], NOON)
    barrier = threading.Barrier(4)

    def claim(_: int) -> list[int]:
        opened = Ledger(ledger)
        barrier.wait(60)
        claimed = [
            row.id for _ in range(8) for row in outbox.claim_messages(opened, NOON, NOON + DAY, 5)
        ]
        opened.close()
        return claimed

    with ThreadPoolExecutor(4) as pool:
        claimed = [id for part in pool.map(claim, range(4)) for id in part]
    outbox.settle_message(with_messages, claimed[0], sent=NOON)
    outbox.settle_message(with_messages, claimed[1], due=None, error="refused: é")
    retried = [outbox.retry_message(with_messages, id, NOON) for id in claimed[:2]]
    outbox.prune_messages(with_messages, NOON + DAY)

    assert sorted(claimed) == sorted(set(claimed))
    assert retried == [False, True]
    assert len(outbox.messages(with_messages, 100)) == 39
    with_messages.close()


def test_a_follower_confirms_gets_the_difference_and_ends_it(
    ledger: str, tmp_path: Path, clock: TickingClock
) -> None:
    Ledger(ledger).close()
    mail = parse_mail_server("smtp://mail.example?from=a@example.org")
    channels = Channels(mail, secret="s", public_url="https://site.example")
    admin = AdminContext(tmp_path, tmp_path, ledger, BASE, now=clock, channels=channels)
    store = LedgerSubscriptions(admin)
    for search in ("goal=3", "goal=4"):
        store.request("mail", "reader@example.org", search, "Health", "fr", "change")
    confirmation, old = (
        item.text.partition("/follow/confirm/")[2].split()[0]
        for item in outbox.messages(admin.ledger, 2)
    )
    store.confirm(confirmation)
    for position, results in ((1, {"https://x.example/a": "1"}), (2, {"https://x.example/b": "2"})):
        added = {"new": [ChangedThing("https://x.example/b", "B é", "/b")]} if position > 1 else {}
        for due in store.due(position):
            store.settle(due.key, ComparedResults(position, results, added))
    digest = outbox.messages(admin.ledger, 1)[0]
    outbox.prune_subscriptions(admin.ledger, clock.now + CONFIRMATION_AGE + DAY)
    ended = [store.end(confirmation), store.end(confirmation), store.end(old)]

    assert "- B é" in digest.text
    assert ended == [True, False, False]
    topics = [item.topic for item in outbox.messages(admin.ledger)]
    assert digest.topic not in topics
    admin.close()


def test_a_notification_is_stored_once(ledger: str) -> None:
    opened = Ledger(ledger)
    item = Notification(
        "urn:uuid:1", False, "https://a.example/inbox", "Offer", "https://a.example/x", {"é": [1]}, NOON,
    )  # fmt: skip
    barrier = threading.Barrier(2)

    def add(_: int) -> bool:
        barrier.wait(60)
        return add_notification(opened, item)

    with ThreadPoolExecutor(2) as pool:
        added = sorted(pool.map(add, range(2)))

    assert added == [False, True]
    assert find_notification(opened, id=item.id) == item
    opened.close()


@pytest.mark.smoke
def test_a_source_is_cleared_retired_and_resumed_and_a_record_forgotten(
    source: Source, context: HarvestContext
) -> None:
    harvest(source, context)
    harvest(source, context, full=True)

    def approve(run: Any) -> None:
        operations.approve(context, source, run.id, by="ann")

    approve(operations.forget(context, source, "p3", by="bob"))
    positions = operators.archived_positions(context.ledger, "projects", "p3")
    operators.erase_record(context.ledger, "projects", "p3")
    approve(operations.clear(context, source, by="bob"))
    cleared = context.ledger.count_published("projects")
    harvest(source, context)
    approve(operations.retire(context, source, by="bob"))
    retired = context.ledger.is_retired("projects")
    operations.resume(context, "projects", by="ann")

    assert (len(positions), cleared, context.ledger.count_published("projects")) == (2, 0, 11)
    assert retired
    assert not context.ledger.is_retired("projects")
    with context.ledger.transaction() as connection:
        assert connection.scalars(sa.select(t.undo.c.key).where(t.undo.c.key == "p3")).all() == []
