from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from command_line.site import MAX_OF_ADDRESS, LedgerSubscriptions
from harvesters.admin.context import AdminContext
from harvesters.ledger import outbox
from harvesters.ledger.ledger import Ledger
from harvesters.network.fetch import NetworkSettings
from harvesters.notifications.delivery import Channels, deliver, sign
from harvesters.participation.actions import CONFIRMATION_AGE, prune
from publisher.errors import StoreBusy
from publisher.portal.follow import ChangedThing, ComparedResults

from .test_delivery import Inbox, channels, mail_server

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SITE = "https://stocktake.example"
HOOK = "https://hook.example/new"
A, B, C = (f"https://x.example/id/initiative/demo/{name}" for name in "abc")


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[LedgerSubscriptions]:
    url = f"sqlite:///{tmp_path}/ledger.sqlite"
    Ledger(url).close()
    sending = replace(channels(1), name="Stocktake", public_url=SITE)
    admin = AdminContext(tmp_path, tmp_path, url, "https://x.example/", now=clock, channels=sending)
    yield LedgerSubscriptions(admin)
    admin.close()


def secret_of(store: LedgerSubscriptions) -> str:
    message = outbox.messages(store.admin.ledger, 1)[0]
    text = message.text + json.dumps(dict(message.data))
    return text.partition("/follow/confirm/")[2].partition("\n")[0].partition('"')[0]


def follow(
    store: LedgerSubscriptions, channel: str = "mail", address: str = "reader@example.org", language: str = "en", frequency: str = "day"
) -> str:  # fmt: skip
    store.request(channel, address, "goal=3", "3. Good health <b>", language, frequency)
    secret = secret_of(store)
    assert store.confirm(secret) is not None
    return secret


def compared(position: int, results: dict[str, str], **changes: list[str]) -> ComparedResults:
    def row(iri: str) -> ChangedThing:
        return ChangedThing(iri, f"Title of {iri[-1]}", f"/page/initiative/demo/{iri[-1]}%2F1")

    rows = {kind: [row(iri) for iri in iris] for kind, iris in changes.items()}
    return ComparedResults(position, results, rows)


def settle(store: LedgerSubscriptions, comparison: ComparedResults) -> int:
    """Settle the subscriptions that are due with a comparison, and return their number."""
    due = store.due(comparison.position)
    for item in due:
        store.settle(item.key, comparison)
    return len(due)


def sent_mails(store: LedgerSubscriptions, clock: Clock) -> list[EmailMessage]:
    inbox: Inbox = Inbox()
    with mail_server(inbox) as port:
        deliver(
            store.admin.ledger, replace(channels(port), name="Stocktake", public_url=SITE), clock
        )
    return inbox.received


def test_nothing_is_compared_or_sent_before_the_link_is_confirmed(
    store: LedgerSubscriptions,
) -> None:
    store.request("mail", "Reader@Example.org", "goal=3", "Health", "fr", "day")
    [queued] = outbox.messages(store.admin.ledger)

    assert store.due(1) == []
    assert queued.address == "reader@example.org"
    assert "Confirmez que vous suivez Health" in queued.subject
    assert f"{SITE}/follow/confirm/{secret_of(store)}" in queued.text
    public = store.find(secret_of(store))
    assert public is not None
    assert (public.is_confirmed, public.search, public.signing_secret) == (False, "goal=3", "")


def test_the_first_comparison_is_silent_and_the_next_lists_what_changed(
    store: LedgerSubscriptions, clock: Clock
) -> None:
    secret = follow(store)
    first = settle(store, compared(1, {A: "1", B: "1"}))
    clock.now += timedelta(days=1)
    [due] = store.due(2)
    results = due.results
    store.settle(due.key, compared(2, {B: "2", C: "2"}, new=[C], changed=[B], removed=[A]))

    [confirmation, digest] = sent_mails(store, clock)

    assert (first, results) == (1, {A: "1", B: "1"})
    assert confirmation["List-Unsubscribe"] is None
    assert digest["List-Unsubscribe"].strip() == f"<{SITE}/follow/stop/{secret}>"
    assert digest["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert digest.get_content().splitlines() == [
        "New: 1", "- Title of c", f"  {SITE}/page/initiative/demo/c%2F1", "",
        "Changed: 1", "- Title of b", f"  {SITE}/page/initiative/demo/b%2F1", "",
        "No longer among the results: 1", "- Title of a", f"  {SITE}/page/initiative/demo/a%2F1", "",
        f"All results: {SITE}/follow?goal=3", "", f"Stop following: {SITE}/follow/stop/{secret}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("frequency", "pause"),
    [("change", timedelta(0)), ("day", timedelta(days=1)), ("week", timedelta(days=7))],
)
def test_a_frequency_is_the_pause_between_comparisons_and_one_entry_is_compared_once(
    store: LedgerSubscriptions, clock: Clock, frequency: str, pause: timedelta
) -> None:
    follow(store, frequency=frequency)
    counts = [settle(store, compared(1, {})), settle(store, compared(1, {}))]
    clock.now += pause - timedelta(seconds=1)
    early = settle(store, compared(2, {})) if pause else 0
    clock.now += timedelta(seconds=1)
    counts += [settle(store, compared(1, {})), settle(store, compared(2, {}))]

    assert (counts, early) == ([1, 0, 0, 1], 0)


def test_what_one_server_claims_no_other_gets_until_the_lease_is_over(
    store: LedgerSubscriptions, clock: Clock
) -> None:
    follow(store)
    counts = [len(store.due(1)), len(store.due(1))]
    clock.now += timedelta(minutes=30)

    assert [*counts, len(store.due(1))] == [1, 0, 1]


def test_ending_deletes_the_address_everywhere(
    store: LedgerSubscriptions, clock: Clock, tmp_path: Path
) -> None:
    secret, other = follow(store), follow(store, address="other@example.org")
    settle(store, compared(1, {}))
    clock.now += timedelta(days=1)
    [due, _] = store.due(2)
    ended = [store.end(secret), store.end(secret)]
    # The comparison began before the subscription was ended.
    store.settle(due.key, compared(2, {A: "2"}, new=[A]))

    assert ended == [True, False]
    assert store.find(secret) is None
    assert {queued.address for queued in outbox.messages(store.admin.ledger)} == {
        "other@example.org"
    }
    assert store.find(other) is not None
    assert outbox.count_subscriptions(store.admin.ledger) == 1


def test_what_nobody_confirms_is_deleted_after_a_day(
    store: LedgerSubscriptions, clock: Clock
) -> None:
    store.request("mail", "reader@example.org", "", "All", "en", "day")
    stored = follow(store, address="other@example.org")
    clock.now += CONFIRMATION_AGE + timedelta(seconds=1)

    prune(store.admin.ledger, clock())

    assert outbox.count_subscriptions(store.admin.ledger) == 1
    assert store.find(stored) is not None
    assert {queued.address for queued in outbox.messages(store.admin.ledger)} == {
        "other@example.org"
    }


def test_a_webhook_is_signed_with_a_secret_of_its_own(
    store: LedgerSubscriptions, clock: Clock
) -> None:
    posts: list[httpx.Request] = []

    def receive(request: httpx.Request) -> httpx.Response:
        posts.append(request)
        return httpx.Response(204)

    secret = follow(store, "webhook", HOOK, frequency="change")
    _ = follow(store, "webhook", "https://other.example/")
    settle(store, compared(1, {}))
    settle(store, compared(2, {A: "2"}, new=[A]))
    deliver(
        store.admin.ledger,
        replace(
            store.admin.channels, network=NetworkSettings(transport=httpx.MockTransport(receive))
        ),
        clock,
    )

    mine = [request for request in posts if str(request.url) == HOOK]
    public, headers = store.find(secret), mine[-1].headers
    assert public is not None
    signed = headers["Webhook-Id"], int(headers["Webhook-Timestamp"]), mine[-1].content
    assert sign(public.signing_secret, *signed) == headers["Webhook-Signature"]
    assert sign(store.admin.channels.secret, *signed) != headers["Webhook-Signature"]
    types = [json.loads(request.content)["type"] for request in mine]
    assert types == ["search.confirm", "search.changed"]
    assert json.loads(mine[-1].content)["data"]["new"] == [
        {"id": A, "title": "Title of a", "url": f"{SITE}/page/initiative/demo/a%2F1"}
    ]


@pytest.mark.parametrize(
    ("address", "network"),
    [("https://127.0.0.2/", NetworkSettings(transport=httpx.MockTransport(lambda request: httpx.Response(410)))),
     ("https://10.0.0.1/", NetworkSettings())],  # a private address
)  # fmt: skip
def test_a_receiver_that_refuses_for_good_or_is_private_follows_no_more(
    store: LedgerSubscriptions, clock: Clock, address: str, network: NetworkSettings
) -> None:
    secret = follow(store, "webhook", address)

    deliver(store.admin.ledger, replace(store.admin.channels, network=network), clock)

    assert store.find(secret) is None
    assert outbox.count_subscriptions(store.admin.ledger) == 0
    assert outbox.messages(store.admin.ledger) == []


def test_more_links_to_one_address_than_the_limit_are_not_sent(
    store: LedgerSubscriptions, clock: Clock
) -> None:
    for _ in range(MAX_OF_ADDRESS + 2):
        store.request("mail", "reader@example.org", "", "All", "en", "day")
    within = len(outbox.messages(store.admin.ledger))
    clock.now += timedelta(hours=1, seconds=1)
    store.request("mail", "reader@example.org", "", "All", "en", "day")

    after = len(outbox.messages(store.admin.ledger))
    assert (within, after) == (MAX_OF_ADDRESS, MAX_OF_ADDRESS + 1)


@pytest.mark.parametrize(
    ("channel", "address", "is_valid"),
    [("mail", "a@example.org", True), ("mail", "a@example.org\nBcc: b@example.org", False),
     ("mail", "a@example.org, b@example.org", False), ("webhook", "https://hook.example/", True),
     ("webhook", "http://hook.example/", False), ("webhook", "ftp://hook.example/", False), ("webhook", "https://", False)],
)  # fmt: skip
def test_addresses_are_checked(
    store: LedgerSubscriptions, channel: str, address: str, is_valid: bool
) -> None:
    assert store.is_address(channel, address) is is_valid


def test_channels_are_those_of_the_settings_and_a_demo_shows_its_link(
    store: LedgerSubscriptions,
) -> None:
    admin = store.admin
    with_both = store.channels
    admin.channels = Channels(public_url=SITE)
    with_none = store.channels
    admin.demo = True
    link = store.request("mail", "reader@example.org", "", "All", "en", "day")

    assert (with_both, with_none, store.channels) == (("mail", "webhook"), (), ("mail",))
    assert link.startswith(f"{SITE}/follow/confirm/")
    assert outbox.messages(admin.ledger) == []


def test_without_a_ledger_nothing_is_due_and_nothing_is_taken(tmp_path: Path) -> None:
    store = LedgerSubscriptions(
        AdminContext(tmp_path, tmp_path, f"sqlite:///{tmp_path}/none.sqlite", "https://x.example/")
    )

    assert (store.due(1), store.find("x"), store.end("x")) == ((), None, False)
    with pytest.raises(StoreBusy):
        store.request("mail", "reader@example.org", "", "All", "en", "day")


def test_a_digest_without_changes_is_not_sent_and_a_long_one_counts_the_rest(
    store: LedgerSubscriptions, clock: Clock
) -> None:
    follow(store, language="fr")
    settle(store, compared(1, {A: "1"}))
    clock.now += timedelta(days=1)
    count = settle(store, compared(2, {A: "1"}, new=[], changed=[], removed=[]))
    assert (count, len(outbox.messages(store.admin.ledger))) == (1, 1)
    clock.now += timedelta(days=1)
    many = [f"https://x.example/id/initiative/demo/{number}" for number in range(1060)]
    settle(store, compared(3, dict.fromkeys(many, "2"), new=many))

    text = outbox.messages(store.admin.ledger, 1)[0].text
    assert "1\u202f060\n" in text
    assert "et 1\u202f010 autres" in text
    assert text.count("/page/") == 50
