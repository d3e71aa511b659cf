from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from http_server import QuietHandler, serving
from rows import each

from harvesters.ledger import outbox
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import Message, QueuedMessage
from harvesters.network.fetch import NetworkSettings
from harvesters.notifications.delivery import (
    MAIL,
    MAX_AGE,
    WEBHOOK,
    Channels,
    MailServer,
    deliver,
    parse_mail_server,
    sign,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = "a long secret"


class Inbox:
    def __init__(self) -> None:
        self.received: list[Any] = []
        self.senders: list[str | None] = []
        self.refusals: dict[str, str] = {}

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if answer := self.refusals.get(address):
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.received.append(message_from_bytes(envelope.content, policy=default))
        self.senders.append(envelope.mail_from)
        return "250 OK"


@contextmanager
def mail_server(inbox: Inbox, port: int = 0, **options: Any) -> Iterator[int]:
    controller = Controller(inbox, hostname="127.0.0.1", port=port or free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(f"sqlite:///{tmp_path}/ledger.sqlite")
    yield opened
    opened.close()


def channels(port: int, **options: Any) -> Channels:
    server = MailServer("127.0.0.1", port, "none", "stocktake@example.org")
    return Channels(
        **{
            "mail": server,
            "secret": SECRET,
            "network": NetworkSettings(allow=frozenset({"127.0.0.1"})),
            **options,
        }
    )


def mail(
    address: str = "ops@example.org", subject: str = "A change waits", text: str = "Look at it.\n"
) -> Message:
    return Message(MAIL, address, "alert it", subject, text)


def test_mail_arrives_once_with_its_texts(ledger: Ledger) -> None:
    inbox = Inbox()
    sly = mail(subject="A\r\nBcc: victim@example.org")
    outbox.queue_messages(
        ledger, [mail(subject="Тревога: الرياض", text="第一行\nsecond\n"), sly], NOON
    )

    with mail_server(inbox) as port:
        delivered = deliver(ledger, channels(port, name="ITU Stocktaking"), lambda: NOON)
        several = [mail(f"ops{number}@example.org") for number in range(5)]
        outbox.queue_messages(ledger, several, NOON)
        counts = [deliver(ledger, channels(port), lambda: NOON) for _ in range(2)]

    received, broken, *others = inbox.received
    assert counts == [5, 0]
    assert len({message["Message-ID"] for message in others}) == 5
    assert (delivered, outbox.count_undelivered(ledger)) == (2, 0)
    assert broken["Bcc"] is None  # line breaks in a subject add no header
    assert received["Subject"] == "Тревога: الرياض"
    assert received["From"] == "ITU Stocktaking <stocktake@example.org>"
    assert received["Auto-Submitted"] == "auto-generated"
    assert received.get_content().splitlines() == ["第一行", "second"]


def test_mail_uses_tls_and_signs_in(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    inbox, signed_in = Inbox(), []

    def sign_in(
        server: Any, session: Any, envelope: Any, mechanism: Any, data: LoginPassword
    ) -> AuthResult:
        signed_in.append((data.login, data.password, session.ssl is not None))
        return AuthResult(success=True)

    outbox.queue_messages(ledger, [mail()], NOON)
    with mail_server(
        inbox, tls_context=context, require_starttls=True, authenticator=sign_in, auth_required=True
    ) as port:
        server = parse_mail_server(f"smtp://ann:s%40fe@127.0.0.1:{port}?from=stocktake@example.org")
        delivered = deliver(ledger, Channels(mail=server), lambda: NOON)

    assert (delivered, signed_in) == (1, [(b"ann", b"s@fe", True)])


def test_a_server_with_an_unknown_certificate_gets_no_password(ledger: Ledger) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    outbox.queue_messages(ledger, [mail()], NOON)

    with mail_server(Inbox(), tls_context=context) as port:
        server = parse_mail_server(f"smtp://ann:secret@127.0.0.1:{port}?from=stocktake@example.org")
        delivered = deliver(ledger, Channels(mail=server), lambda: NOON)

    assert (delivered, outbox.count_undelivered(ledger)) == (0, 1)
    assert "certificate verify failed" in (outbox.messages(ledger)[0].error or "")


def test_a_message_waits_while_the_server_is_down_also_over_a_restart(tmp_path: Path) -> None:
    url, inbox, port = f"sqlite:///{tmp_path}/ledger.sqlite", Inbox(), free_port()
    before = Ledger(url)
    outbox.queue_messages(before, [mail(), mail("other@example.org")], NOON)
    deliver(before, channels(port), lambda: NOON)
    before.close()

    after = Ledger(url)
    too_early = outbox.claim_messages(after, NOON, NOON, 9)
    with mail_server(inbox, port):
        delivered = deliver(after, channels(port), lambda: NOON + timedelta(minutes=2))
    after.close()

    assert (too_early, delivered, len(inbox.received)) == ([], 2, 2)


def test_attempts_are_rarer_and_end_after_a_week_but_the_message_stays(ledger: Ledger) -> None:
    outbox.queue_messages(ledger, [mail()], NOON)
    now, moments = NOON, []
    while (queued := outbox.messages(ledger)[0]).due is not None:
        now = queued.due
        moments.append(now)
        deliver(ledger, channels(free_port()), lambda at=now: at)  # type: ignore[misc]

    pauses = [after - before for before, after in pairwise(moments)]
    assert pauses[:3] == [timedelta(minutes=1), timedelta(minutes=2), timedelta(minutes=4)]
    assert max(pauses) == timedelta(hours=6)
    assert MAX_AGE - timedelta(hours=6) <= moments[-1] - NOON <= MAX_AGE
    assert (outbox.count_undelivered(ledger), outbox.retry_message(ledger, 1, now)) == (1, True)


def test_a_refused_recipient_stops_no_other(ledger: Ledger) -> None:
    inbox = Inbox()
    inbox.refusals = {
        "gone@example.org": "550 no such user",
        "full@example.org": "452 mailbox full",
    }
    outbox.queue_messages(
        ledger, [mail("gone@example.org"), mail("full@example.org"), mail()], NOON
    )

    with mail_server(inbox) as port:
        deliver(ledger, channels(port), lambda: NOON)

    last, full, gone = outbox.messages(ledger)
    assert [message["To"] for message in inbox.received] == ["ops@example.org"]
    assert (gone.due, gone.error) == (None, "550 no such user")
    assert (full.due, full.error) == (NOON + timedelta(minutes=1), "452 mailbox full")
    assert last.sent == NOON


def test_a_server_that_says_nothing_is_left_after_the_time_limit(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harvesters.notifications.delivery.MAIL_TIMEOUT_SECONDS", 0.2)
    outbox.queue_messages(ledger, [mail(), mail()], NOON)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        delivered = deliver(ledger, channels(silent.getsockname()[1]), lambda: NOON)

    assert delivered == 0
    assert [queued.error for queued in outbox.messages(ledger)] == [
        outbox.messages(ledger)[0].error
    ] * 2
    assert "timed out" in (outbox.messages(ledger)[0].error or "")


def test_a_message_whose_sender_died_is_sent_after_the_lease_and_deleted_once_it_is_old(
    ledger: Ledger,
) -> None:
    outbox.queue_messages(ledger, [mail()], NOON)
    lease = NOON + timedelta(minutes=30)

    claimed = outbox.claim_messages(ledger, NOON, lease, 9)
    by_another = outbox.claim_messages(ledger, NOON, lease, 9)
    after = outbox.claim_messages(ledger, lease, lease + timedelta(minutes=30), 9)

    assert [len(claimed), len(by_another), len(after)] == [1, 0, 1]
    outbox.queue_messages(ledger, [mail()], NOON)
    outbox.settle_message(ledger, 1, sent=NOON)
    outbox.prune_messages(ledger, NOON + timedelta(days=1))
    assert [queued.id for queued in outbox.messages(ledger)] == [2]


def test_without_a_mail_server_a_message_says_which_setting_is_missing(ledger: Ledger) -> None:
    outbox.queue_messages(
        ledger, [mail(), Message(WEBHOOK, "https://a.example/", "", "", "")], NOON
    )

    deliver(ledger, Channels(), lambda: NOON)

    assert [queued.error for queued in outbox.messages(ledger)] == [
        "no secret to sign webhooks is set: STOCKTAKE_WEBHOOK_SECRET",
        "no mail server is set: STOCKTAKE_SMTP_URL",
    ]


# ---- webhooks


class Receiver:
    def __init__(self) -> None:
        self.status, self.url = 204, ""
        self.posts: list[tuple[dict[str, str], bytes]] = []


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    created = Receiver()

    class ReceiverHandler(QuietHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            created.posts.append((headers, self.body()))
            self.answer(status=created.status, Location="http://127.0.0.1:1/")

    with serving(ReceiverHandler) as url:
        created.url = f"{url}/hook"
        yield created


def hook(url: str) -> Message:
    return Message(
        WEBHOOK, url, "alert it", "", "", {"type": "alert.opened", "data": {"text": "Тревога"}}
    )


def test_a_failed_webhook_is_sent_again_and_is_signed_so_that_its_receiver_can_verify_it(
    ledger: Ledger, receiver: Receiver
) -> None:
    outbox.queue_messages(ledger, [hook(receiver.url)], NOON - timedelta(minutes=1))
    receiver.status = 503
    deliver(ledger, channels(0), lambda: NOON - timedelta(minutes=1))
    receiver.status = 200

    delivered = deliver(ledger, channels(0), lambda: NOON)

    (failed, _), (headers, body) = receiver.posts
    assert failed["webhook-id"] == "1"
    assert outbox.count_undelivered(ledger) == 0
    id, timestamp, signature = (
        headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")
    )
    assert (delivered, json.loads(body)) == (
        1,
        {"id": "1", "type": "alert.opened", "data": {"text": "Тревога"}},
    )
    assert int(timestamp) == NOON.timestamp()
    assert sign(SECRET, id, int(timestamp), body) == signature
    assert sign("another", id, int(timestamp), body) != signature


@pytest.mark.parametrize(
    ("status", "is_given_up"), [(302, False), (404, False), (410, True), (500, False)]
)
def test_a_receiver_that_refuses_is_asked_again_unless_it_is_gone(
    ledger: Ledger, receiver: Receiver, status: int, is_given_up: bool
) -> None:
    outbox.queue_messages(ledger, [hook(receiver.url)], NOON)
    receiver.status = status

    deliver(ledger, channels(0), lambda: NOON)

    (queued,) = outbox.messages(ledger)
    assert (queued.error, queued.due is None) == (f"the receiver answered {status}", is_given_up)
    assert len(receiver.posts) == 1


def test_a_webhook_to_a_private_address_is_refused(ledger: Ledger, receiver: Receiver) -> None:
    outbox.queue_messages(ledger, [hook(receiver.url)], NOON)

    deliver(ledger, channels(0, network=NetworkSettings()), lambda: NOON)

    queued: QueuedMessage = outbox.messages(ledger)[0]
    assert (receiver.posts, queued.due) == ([], None)
    assert "private address 127.0.0.1" in (queued.error or "")


@each(
    "url",
    ["http://mail.example?from=a@b.org", "smtp://mail.example", "smtp://h?from=a", "smtps://h?from=a@b.org&tls=none",
     "smtp://h?from=a@b.org&x=1"],
)  # fmt: skip
def test_a_wrong_mail_setting_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"use smtp|address|tls has"):
        parse_mail_server(url)
