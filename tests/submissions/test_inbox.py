from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from shutil import copy
from typing import Any

import httpx
import pytest
from clocks import NOON, ManualClock
from rows import each
from starlette.responses import PlainTextResponse
from typer.testing import CliRunner

from command_line.curation import inbox as app
from command_line.settings import Settings
from command_line.site import InboxLink
from harvesters.admin.context import AdminContext
from harvesters.ledger import operators, submissions
from harvesters.ledger.models import Scope
from harvesters.ledger.participation import Notification, Submission, SubmissionState
from harvesters.network.fetch import NetworkSettings
from harvesters.notifications import coar
from harvesters.notifications.delivery import Channels, deliver
from harvesters.participation import moderation
from harvesters.participation.app import create_submissions
from harvesters.participation.submitters import SubmissionContext
from vocab.iris import BASE

from .conftest import INITIATIVE, SubmissionWorld, bearer, codes, definition, submitted

LATER = datetime(2100, 1, 1, tzinfo=UTC)  # after any message was queued
JSON_LD = {"Content-Type": "application/ld+json"}
CONTEXT = ["https://www.w3.org/ns/activitystreams", "https://coar-notify.net"]


class InboxPeer:
    def __init__(self, folder: Path, empty: Path, url: str, other: str) -> None:
        (folder / "sources").mkdir(parents=True)
        copy(empty, folder / "ledger.sqlite")
        self.url = url
        self.inbox = f"{url}/inbox"
        self.posted = list[httpx.Request]()
        clock = ManualClock()
        channels = Channels(
            name=url,
            public_url=url,
            network=NetworkSettings(transport=httpx.MockTransport(self._keep)),
        )
        address = f"sqlite:///{folder}/ledger.sqlite"
        place = (folder, folder / "sources", address, BASE, clock.now, clock.seconds)
        admin = AdminContext(*place, channels=channels)
        context = SubmissionContext(*place, channels=channels)
        self.world = SubmissionWorld(context, admin, clock, folder)
        self.world.set_definition(f'{definition()}\n[options]\ninboxes = ["{other}/inbox"]\n')
        self.key, _ = operators.create_key(self.world.ledger, "Grace", Scope.OPERATE, NOON)
        _, self.token = operators.create_key(self.world.ledger, "Ministry", Scope.SUBMIT, NOON)
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(create_submissions(self.world.context)), base_url=url
        )
        self.settings = Settings(
            folder, folder / "sources", BASE, address, frozenset(), "", "rust", public_url=url
        )

    def _keep(self, request: httpx.Request) -> httpx.Response:
        self.posted.append(request)
        return httpx.Response(201)

    def command(self, *words: str) -> str:
        answer = CliRunner().invoke(app, [*words], obj=self.settings)
        assert answer.exit_code == 0, answer.exception
        return answer.output.strip()

    async def deliver_to(self, other: InboxPeer) -> list[int]:
        deliver(self.world.ledger, self.world.context.channels, lambda: LATER)
        requests, self.posted = self.posted, []
        assert [f"{request.url}" for request in requests] == [other.inbox] * len(requests)
        answers = [
            await other.client.post("/inbox", content=each.content, headers=dict(each.headers))
            for each in requests
        ]
        return codes(*answers)

    def newest(self, kind: str, *, sent: bool) -> Notification:
        result = coar.find_notification(self.world.ledger, kind=kind, sent=sent)
        assert result
        return result

    def waiting(self) -> list[Submission]:
        return submissions.in_states(self.world.ledger, (SubmissionState.SUBMITTED,), 10)

    async def accepted(self) -> str:
        id = (await submitted(self.client, headers=bearer(self.token)))["id"]
        item = moderation.find(self.world.context, id)
        return moderation.accept(self.world.context, self.key.display_name, item, "").id


@pytest.fixture
async def pair(tmp_path: Path, empty: Path) -> AsyncIterator[tuple[InboxPeer, InboxPeer]]:
    urls = "http://one.example", "http://two.example"
    one = InboxPeer(tmp_path / "one", empty, *urls)
    two = InboxPeer(tmp_path / "two", empty, *reversed(urls))
    async with one.client, two.client:
        yield one, two
    for inbox in (one, two):
        inbox.world.context.close()


async def offered(one: InboxPeer, two: InboxPeer) -> Submission:
    one.command("offer", await one.accepted(), two.inbox)
    assert await one.deliver_to(two) == [201]
    (submission,) = two.waiting()
    return submission


async def test_an_offer_is_accepted_for_now_and_then_by_a_moderator(
    pair: tuple[InboxPeer, InboxPeer],
) -> None:
    one, two = pair
    submission = await offered(one, two)
    assert await two.deliver_to(one) == [201]
    tentative = one.newest("Offer", sent=True).answer

    moderation.accept(two.world.context, two.key.display_name, submission, "")
    statuses = await two.deliver_to(one)

    answers = [tentative, one.newest("Offer", sent=True).answer]
    assert submission.content["title"] == INITIATIVE["title"]
    assert (answers, statuses) == (["TentativeAccept", "Accept"], [201])
    assert two.newest("Offer", sent=False).answer == "Accept"


async def test_a_rejected_offer_is_answered_with_the_reason(
    pair: tuple[InboxPeer, InboxPeer],
) -> None:
    one, two = pair
    submission = await offered(one, two)

    moderation.reject(two.world.context, two.key.display_name, submission, "It is ours already.")
    await two.deliver_to(one)

    assert one.newest("Offer", sent=True).answer == "Reject"
    assert one.newest("Reject", sent=False).body["summary"] == "It is ours already."


async def test_an_offer_is_undone_by_who_made_it_and_an_announcement_is_listed(
    pair: tuple[InboxPeer, InboxPeer],
) -> None:
    one, two = pair
    submission = await offered(one, two)
    await two.deliver_to(one)

    one.command("undo", one.newest("Offer", sent=True).id)
    statuses = await one.deliver_to(two)

    after = submissions.find(two.world.ledger, submission.id)
    assert after
    assert (statuses, after.state) == ([201], SubmissionState.WITHDRAWN)
    received = two.newest("Offer", sent=False)
    assert "content" not in received.body["object"]
    assert two.url in json.dumps(received.body)

    one.command("announce", await one.accepted(), two.inbox)
    assert (await one.deliver_to(two), two.waiting()) == ([201], [])
    rows = json.loads(two.command("list", "--json"))
    assert ("Announce", "received") in [(row["kind"], row["direction"]) for row in rows]


def notification(one: InboxPeer, two: InboxPeer, **changes: Any) -> dict[str, Any]:
    content = json.dumps(INITIATIVE)
    sent = {
        "@context": CONTEXT, "id": "urn:uuid:6b6bcd5d-0f3c-4b0c-9f43-6c6f6b7c0001", "type": ["Offer", "coar-notify:IngestAction"],
        "origin": {"id": one.url, "inbox": one.inbox, "type": "Service"}, "target": {"id": two.url, "inbox": two.inbox, "type": "Service"},
        "object": {"id": f"{one.url}/a", "mediaType": "application/json", "content": content},
    }  # fmt: skip
    return {**sent, **changes}


async def test_a_notification_has_an_address_is_taken_once_and_the_inbox_is_described(
    pair: tuple[InboxPeer, InboxPeer],
) -> None:
    one, two = pair
    sent = notification(one, two)

    answer = await two.client.post("/inbox", json=sent, headers=JSON_LD)
    stored = await two.client.get(answer.headers["Location"])
    inbox = await two.client.get("/inbox")
    replayed = await two.client.post("/inbox", json=sent, headers=JSON_LD)

    assert codes(answer, replayed) == [201, 409]
    assert "received before" in replayed.json()["detail"]
    assert len(two.waiting()) == 1
    assert (stored.json(), stored.headers["Content-Type"]) == (sent, "application/ld+json")
    assert (inbox.json()["@id"], inbox.json()["contains"]) == (two.inbox, [])
    assert inbox.headers["Accept-Post"] == "application/ld+json"
    assert (await two.client.get("/inbox/other")).status_code == 404


Change = Callable[[InboxPeer, InboxPeer], dict[str, Any]]
REFUSED: dict[str, tuple[int, str, Change]] = {
    "unknown host": (403, "origin.inbox", lambda *_: {"origin": {"inbox": "http://evil.example/inbox"}}),
    "no origin": (400, "origin.inbox", lambda *_: {"origin": None}),
    "another target": (400, "target.inbox", lambda one, _: {"target": {"inbox": one.inbox}}),
    "no context": (400, "@context", lambda *_: {"@context": "https://schema.org/"}),
    "no id": (400, "id:", lambda *_: {"id": "1"}),
    "long id": (400, "id:", lambda *_: {"id": f"urn:{'a' * 600}"}),
    "unknown type": (400, "type:", lambda *_: {"type": "Delete"}),
    "two types": (400, "type:", lambda *_: {"type": ["Offer", "Undo"]}),
    "no object": (400, "object.id", lambda *_: {"object": "http://one.example/a"}),
    "no content": (422, "object:", lambda *_: {"object": {"id": "http://one.example/a"}}),
    "content that is no JSON": (
        422, "object.content", lambda *_: {"object": {"id": "http://one.example/a", "mediaType": "application/json", "content": "{"}},
    ),
    "a record with faults": (
        422, "object.content", lambda *_: {"object": {"id": "http://one.example/a", "mediaType": "application/json", "content": "{}"}},
    ),
    "an answer to nothing": (422, "inReplyTo", lambda *_: {"type": "Accept", "inReplyTo": "urn:uuid:none"}),
    "an answer to no id": (400, "inReplyTo", lambda *_: {"type": "Reject"}),
    "undo of nothing": (422, "object.id", lambda *_: {"type": "Undo", "object": {"id": "urn:uuid:none"}}),
    "announcement of no page": (422, "object.id", lambda *_: {"type": "Announce", "object": {"id": "urn:uuid:none"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
async def test_a_wrong_notification_is_refused_and_nothing_is_stored(
    pair: tuple[InboxPeer, InboxPeer], name: str
) -> None:
    one, two = pair
    status, detail, change = REFUSED[name]

    answer = await two.client.post(
        "/inbox", json=notification(one, two, **change(one, two)), headers=JSON_LD
    )

    assert (answer.status_code, detail in answer.json()["detail"]) == (status, True), answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (coar.notifications(two.world.ledger), two.waiting()) == ([], [])


async def test_a_body_that_is_large_another_type_or_no_json_is_refused(
    pair: tuple[InboxPeer, InboxPeer],
) -> None:
    one, two = pair
    deep = b"[" * 50_000

    answers = [
        await two.client.post("/inbox", content=body, headers=headers)
        for body, headers in (
            (b" " * 10_000_000, JSON_LD), (b"{}", {"Content-Type": "text/turtle"}), (b"{", JSON_LD), (b"[]", JSON_LD), (deep, JSON_LD),
        )
    ]  # fmt: skip

    assert [answer.status_code for answer in answers] == [413, 415, 400, 400, 400]
    assert coar.notifications(two.world.ledger) == []
    two.world.set_definition(definition())  # without named inboxes nothing is accepted
    refused = await two.client.post("/inbox", json=notification(one, two), headers=JSON_LD)
    assert refused.status_code == 403
    assert [each.world.context.takes_notifications() for each in pair] == [True, False]


async def test_an_offer_of_another_installation_cannot_be_undone(
    pair: tuple[InboxPeer, InboxPeer],
) -> None:
    one, two = pair
    third = "http://three.example/inbox"
    two.world.set_definition(f'{definition()}\n[options]\ninboxes = ["{one.inbox}", "{third}"]\n')
    sent = notification(one, two)
    await two.client.post("/inbox", json=sent, headers=JSON_LD)
    undo = notification(
        one, two, type="Undo", id="urn:uuid:2", origin={"inbox": third}, object={"id": sent["id"]}
    )

    answer = await two.client.post("/inbox", json=undo, headers=JSON_LD)

    assert (answer.status_code, len(two.waiting())) == (422, 1)


@each(
    "path, is_open, linked",
    [("/", True, True), ("/page/initiative/a/b", True, True), ("/about", True, False), ("/", False, False)],
)  # fmt: skip
async def test_pages_of_things_link_to_the_inbox_while_it_is_open(
    path: str, is_open: bool, linked: bool
) -> None:
    app = InboxLink(PlainTextResponse("", headers={"Link": "</>; rel=start"}), lambda: is_open)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://one.example"
    ) as client:
        answer = await client.get(path)

    assert ('rel="http://www.w3.org/ns/ldp#inbox"' in answer.headers["Link"]) == linked
    assert "rel=start" in answer.headers["Link"]
