from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from processes import free_port, started, wait_for_url
from typer.testing import CliRunner

from harvesters.admin.context import AdminContext
from harvesters.ledger import operators, outbox, submissions
from harvesters.ledger.models import Scope
from harvesters.ledger.participation import Submission, SubmissionState
from harvesters.network.fetch import NetworkSettings
from harvesters.notifications import coar
from harvesters.notifications.delivery import Channels, deliver
from harvesters.participation import moderation
from stocktake import app
from vocab.iris import BASE

from .conftest import INITIATIVE, bearer, definition

ROOT = Path(__file__).parents[2]
RUN = CliRunner()


@dataclass
class RunningSite:
    """An installation that runs on loopback: its address, the settings of its commands, and its
    ledger.
    """

    url: str
    settings: dict[str, str]
    admin: AdminContext

    @property
    def inbox(self) -> str:
        return f"{self.url}/inbox"

    def command(self, *words: str) -> str:
        answer = RUN.invoke(app, [*words], env=self.settings)
        assert answer.exit_code == 0, answer.output
        return answer.stdout.strip()

    def deliver(self) -> int:
        return deliver(self.admin.ledger, self.admin.channels, lambda: datetime.now(UTC))

    def submitted(self, token: str, title: str) -> Submission:
        content = {
            **INITIATIVE,
            "title": {"en": title},
            "description": {"en": f"{title}: computers and courses."},
        }
        answer = httpx.post(
            f"{self.url}/submissions", json=content, headers=bearer(token), timeout=60
        )
        assert answer.status_code == 201, answer.text
        return moderation.find(self.admin, answer.json()["id"])

    def waiting(self) -> list[Submission]:
        return submissions.in_states(self.admin.ledger, [SubmissionState.SUBMITTED], 10)

    def moderator(self) -> str:
        stored = operators.list_keys(self.admin.ledger)
        return next(key.display_name for key in stored if key.scope is Scope.OPERATE)


def prepared(home: Path, port: int, other: int) -> RunningSite:
    (home / "sources").mkdir(parents=True)
    inboxes = f'\n[options]\ninboxes = ["http://127.0.0.1:{other}/inbox"]\n'
    (home / "sources" / "submissions.toml").write_text(definition() + inboxes, encoding="utf-8")
    url, data = f"http://127.0.0.1:{port}", home / "data"
    settings = {
        "STOCKTAKE_DATA": str(data),
        "STOCKTAKE_SOURCES": str(home / "sources"),
        "STOCKTAKE_PUBLIC_URL": url,
        "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
    }
    channels = Channels(public_url=url, network=NetworkSettings(allow=frozenset({"127.0.0.1"})))
    admin = AdminContext(
        data, home / "sources", f"sqlite:///{data}/ledger.sqlite", BASE, channels=channels, lock_timeout=60,
    )  # fmt: skip
    return RunningSite(url, settings, admin)


@pytest.fixture(scope="module")
def sites(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningSite, RunningSite, str]]:
    """Yield two running installations that know each other's inbox, and the token of an
    organization at the first.
    """
    home, ports = tmp_path_factory.mktemp("inboxes"), (free_port(), free_port())
    one, two = prepared(home / "one", *ports), prepared(home / "two", *reversed(ports))
    token = one.command("keys", "create", "Ministry", "--scope", "submit")
    two.command("keys", "create", "Grace Hopper", "--scope", "operate")
    one.command("keys", "create", "Ada", "--scope", "operate")
    with ExitStack() as stack:
        for site, port in zip((one, two), ports, strict=True):
            line = [sys.executable, "-m", "stocktake", "serve", "--port", str(port)]
            environment = {**os.environ, **site.settings, "PYTHONPATH": str(ROOT)}
            process = stack.enter_context(started(line, env=environment, ended_by="TERM"))
            wait_for_url(f"{site.url}/inbox", process)
            stack.enter_context(closing(site.admin))
        yield one, two, token


def exchange(*sites: RunningSite) -> None:
    """Deliver until nothing is queued: an offer queues an answer, an answer queues nothing."""
    for _ in range(3):
        for site in sites:
            site.deliver()
    assert not any(
        message.error for site in sites for message in outbox.messages(site.admin.ledger, 50)
    )


def offered(one: RunningSite, two: RunningSite, token: str, title: str) -> tuple[str, Submission]:
    """Accept a submission at the first installation and offer it to the second; return the id of
    the offer, and the submission that it became.
    """
    item = one.submitted(token, title)
    moderation.accept(one.admin, one.moderator(), item, "")
    offer = one.command("inbox", "offer", item.id, two.inbox)
    exchange(one, two)
    (waiting,) = [each for each in two.waiting() if each.title == title]
    return offer, waiting


def answer_of(site: RunningSite, offer: str) -> str | None:
    notification = coar.find_notification(site.admin.ledger, id=offer, sent=True)
    assert notification
    return notification.answer


def test_an_offer_is_accepted_for_now_and_then_for_good(
    sites: tuple[RunningSite, RunningSite, str],
) -> None:
    one, two, token = sites
    offer, waiting = offered(one, two, token, "Village telecentres")
    tentative = answer_of(one, offer)

    moderation.accept(two.admin, two.moderator(), waiting, "")
    exchange(two, one)

    assert (tentative, answer_of(one, offer)) == ("TentativeAccept", "Accept")
    assert waiting.content["title"] == {"en": "Village telecentres"}


def test_an_announcement_arrives_and_a_replay_or_a_stranger_is_refused(
    sites: tuple[RunningSite, RunningSite, str],
) -> None:
    one, two, token = sites
    item = one.submitted(token, "Farm prices by text message")
    moderation.accept(one.admin, one.moderator(), item, "")
    id = one.command("inbox", "announce", item.id, two.inbox)
    exchange(one, two)
    sent = coar.find_notification(one.admin.ledger, id=id, sent=True)
    assert sent
    body, headers = dict(sent.body), {"Content-Type": "application/ld+json"}

    replayed = httpx.post(two.inbox, content=json.dumps(body), headers=headers, timeout=60)
    foreign = {
        **body,
        "id": "urn:uuid:1",
        "origin": {"id": "http://evil.example", "inbox": "http://evil.example/inbox"},
    }
    stranger = httpx.post(two.inbox, content=json.dumps(foreign), headers=headers, timeout=60)
    large = httpx.post(two.inbox, content=b" " * 10_000_000, headers=headers, timeout=60)

    arrived = coar.find_notification(two.admin.ledger, id=id, sent=False)
    assert arrived
    assert (arrived.kind, arrived.object) == ("Announce", sent.object)
    assert [answer.status_code for answer in (replayed, stranger, large)] == [409, 403, 413]
    assert coar.find_notification(two.admin.ledger, id="urn:uuid:1") is None
