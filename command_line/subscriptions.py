"""Join the portal's pages for followers with the ledger, which the publisher does not know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from urllib.parse import quote

from harvesters.admin.context import AdminContext
from harvesters.errors import HarvestError
from harvesters.ledger import outbox
from harvesters.ledger.integrity import has_ledger
from harvesters.ledger.participation import subscriptions
from harvesters.ledger.participation.models import Subscription
from harvesters.notifications.delivery import MAIL, WEBHOOK, derive_secret
from harvesters.notifications.subscriptions import FoundChange, write_confirmation, write_digest
from publisher.errors import StoreBusy
from publisher.portal.follow import ComparedResults, DueSubscription, PublicSubscription
from vocab.addresses import is_mail_address
from vocab.iris import is_web

MAX_SUBSCRIPTIONS = 100_000  # of all
MAX_OF_ADDRESS = 3  # new ones for one address within an hour: more are not stored
_HOUR = timedelta(hours=1)
_LEASE = timedelta(minutes=30)  # longer than a round of comparisons can take
_BATCH = 50  # comparisons of a round
_MAX_MAIL = 254  # characters of an address (RFC 5321)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class LedgerSubscriptions:
    """Subscriptions in the ledger of *admin*; implements
    ``publisher.portal.follow.SubscriptionStore``.
    """

    admin: AdminContext

    @property
    def channels(self) -> tuple[str, ...]:
        """Return how messages can be sent with the settings; a demo, which shows its links, has
        mail without a server.
        """
        mail = (MAIL,) if self.admin.channels.mail or self.admin.demo else ()
        return (*mail, *((WEBHOOK,) if self.admin.channels.secret else ()))

    def is_address(self, channel: str, address: str) -> bool:
        """Return whether an address is one mail address, or that of a webhook by HTTPS; a demo
        permits HTTP.
        """
        if channel == MAIL:
            return len(address) <= _MAX_MAIL and is_mail_address(address)
        return is_web(address) and (address.startswith("https://") or self.admin.demo)

    def request(
        self, channel: str, address: str, search: str, title: str, language: str, frequency: str
    ) -> str:
        """Store a subscription and queue the link that confirms it; return the link in a demo
        without a mail server, else "".

        The answer is the same if too many are stored for the address, so that it says nothing about
        it. Raises StoreBusy.
        """
        address = address.lower() if channel == MAIL else address
        return _or_busy(lambda: self._request(channel, address, search, title, language, frequency))

    def _request(
        self, channel: str, address: str, search: str, title: str, language: str, frequency: str
    ) -> str:
        now, ledger = self.admin.now(), self.admin.ledger
        if subscriptions.count_subscriptions(ledger, address, now - _HOUR) >= MAX_OF_ADDRESS:
            return ""
        if subscriptions.count_subscriptions(ledger) >= MAX_SUBSCRIPTIONS:
            raise StoreBusy(
                "The limit of subscriptions is reached; use the feed of the search instead"
            )
        item = subscriptions.add_subscription(
            ledger, channel, address, search, title, language, frequency, now
        )
        if channel == MAIL and self.admin.channels.mail is None:
            return f"{self.admin.channels.public_url}/follow/confirm/{item.secret}"
        outbox.queue_messages(ledger, [write_confirmation(item, self.admin.channels)], now)
        return ""

    def find(self, secret: str) -> PublicSubscription | None:
        """Return what the person with the link sees of a subscription, None if there is none.
        Raises StoreBusy.
        """
        item = self._find(secret)
        return self._public(item) if item else None

    def _find(self, secret: str) -> Subscription | None:
        return (
            _or_busy(lambda: subscriptions.subscription(self.admin.ledger, secret))
            if has_ledger(self.admin.url)
            else None
        )

    def _public(self, item: Subscription) -> PublicSubscription:
        signing = (
            derive_secret(self.admin.channels.secret, item.topic) if item.channel == WEBHOOK else ""
        )
        return PublicSubscription(
            item.title,
            item.search,
            item.channel,
            item.frequency,
            item.confirmed is not None,
            signing,
        )

    def confirm(self, secret: str) -> PublicSubscription | None:
        """Confirm a subscription and return it, None if there is none. Raises StoreBusy."""
        item = self._find(secret)
        if item is None:
            return None
        _or_busy(
            lambda: subscriptions.confirm_subscription(self.admin.ledger, item.id, self.admin.now())
        )
        return self.find(secret)

    def end(self, secret: str) -> bool:
        """Delete a subscription and its messages; return whether there was one. Raises StoreBusy."""
        item = self._find(secret)
        return item is not None and _or_busy(
            lambda: subscriptions.end_subscription(self.admin.ledger, item.topic)
        )

    def due(self, position: int) -> Sequence[DueSubscription]:
        """Claim the subscriptions to compare at a journal entry. Raises StoreBusy."""
        if not has_ledger(self.admin.url):
            return ()
        now = self.admin.now()
        items = _or_busy(
            lambda: subscriptions.claim_subscriptions(
                self.admin.ledger, position, now, now + _LEASE, _BATCH
            )
        )
        return [DueSubscription(item, item.search, item.language, item.results) for item in items]

    def settle(self, key: object, comparison: ComparedResults) -> None:
        """Store the results of a comparison, and queue the message if something has changed. Raises
        StoreBusy.
        """
        assert isinstance(key, Subscription)
        url, now = self.admin.channels.public_url, self.admin.now()
        changes = {
            kind: [
                FoundChange(row.iri, row.title, url + quote(row.path, safe="/%")) for row in rows
            ]
            for kind, rows in comparison.changes.items()
        }
        message = write_digest(key, changes, comparison.position, self.admin.channels, now)
        messages = [message] if message else []
        _or_busy(
            lambda: subscriptions.settle_subscription(
                self.admin.ledger, key, comparison.position, comparison.results, messages, now
            )
        )

    def skip(self, key: object, position: int) -> None:
        """Keep the results of before. Raises StoreBusy."""
        assert isinstance(key, Subscription)
        _or_busy(
            lambda: subscriptions.settle_subscription(
                self.admin.ledger, key, position, None, (), self.admin.now()
            )
        )


def _or_busy(action: Callable[[], Result]) -> Result:
    """Return the result of an action on the ledger; raise StoreBusy if it fails."""
    try:
        return action()
    except HarvestError as error:
        raise StoreBusy(
            "What is followed cannot be stored or read now; try again in a minute"
        ) from error
