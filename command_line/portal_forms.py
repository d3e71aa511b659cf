"""Connect the portal's forms for problems and subscriptions with the ledger, which the publisher
does not import.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import ParamSpec, TypeVar
from urllib.parse import quote

from harvesters.admin.context import AdminContext
from harvesters.errors import HarvestError
from harvesters.ledger import outbox, readers
from harvesters.ledger.integrity import has_ledger
from harvesters.ledger.participation import Subscription
from harvesters.notifications.delivery import MAIL, WEBHOOK, derive_secret
from harvesters.notifications.reports import FoundChange, write_confirmation, write_digest
from harvesters.runs.reported_problems import FiledProblem, file_problem, problem_target
from harvesters.source import Notify
from publisher.errors import StoreBusy
from publisher.portal.follow import ComparedResults, DueSubscription, PublicSubscription
from publisher.portal.problems import PublicProblem
from vocab.addresses import is_mail_address
from vocab.iris import Iris, is_web

P = ParamSpec("P")
Result = TypeVar("Result")


def _or_busy(stored: str) -> Callable[[Callable[P, Result]], Callable[P, Result]]:
    """Return a decorator for methods of the ledger, which raises StoreBusy if they fail."""

    def decorate(method: Callable[P, Result]) -> Callable[P, Result]:
        @wraps(method)
        def call(*args: P.args, **kwargs: P.kwargs) -> Result:
            try:
                return method(*args, **kwargs)
            except HarvestError as error:
                raise StoreBusy(
                    f"{stored} cannot be stored or read now; try again in a minute"
                ) from error

        return call

    return decorate


@dataclass(frozen=True, slots=True)
class LedgerProblems:
    """Problems in the ledger of *admin*; implements ``publisher.portal.problems.ProblemStore``."""

    admin: AdminContext

    @_or_busy("Problems")
    def file(
        self, source: str, key: str, category: str, text: str, address: str, language: str
    ) -> int | None:
        """Store a problem; return its number, None if there is no such record or source. Raises
        StoreBusy.
        """
        definition = next((item for item in self.admin.sources() if item.name == source), None)
        if source and not key and definition is None:
            return None
        notify = definition.notify if definition else Notify()
        filed = FiledProblem(category, text, address, language)
        return file_problem(
            self.admin.reader(), source, key, filed, notify, self.admin.channels.name
        )

    @_or_busy("Problems")
    def find(self, number: int) -> PublicProblem | None:
        """Return the public part of a problem, None if there is no such problem or no ledger yet.
        Raises StoreBusy.
        """
        is_there = has_ledger(self.admin.url)
        problem = readers.reported_problem(self.admin.ledger, number) if is_there else None
        if problem is None:
            return None
        return PublicProblem(
            problem.id,
            problem_target(problem, Iris(self.admin.base)),
            problem.category,
            problem.state.value,
            f"{problem.created:%Y-%m-%dT%H:%M:%SZ}",
            f"{problem.changed:%Y-%m-%dT%H:%M:%SZ}",
            problem.run or "",
        )


MAX_SUBSCRIPTIONS = 100_000  # subscriptions in all
MAX_OF_ADDRESS = 3  # new subscriptions of one address in an hour; more are not stored
_HOUR = timedelta(hours=1)
_LEASE = timedelta(minutes=30)  # longer than a round of comparisons can take
_BATCH = 50  # comparisons a round
_MAX_MAIL = 254  # characters of an address (RFC 5321)


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
        """Return whether an address is a single mail address, or the HTTPS address of a webhook; a
        demo permits HTTP.
        """
        if channel == MAIL:
            return len(address) <= _MAX_MAIL and is_mail_address(address)
        return is_web(address) and (address.startswith("https://") or self.admin.demo)

    @_or_busy("Subscriptions")
    def request(
        self, channel: str, address: str, search: str, title: str, language: str, frequency: str
    ) -> str:
        """Store a subscription and queue the link that confirms it; return the link in a demo
        without a mail server, else "".

        The answer is the same if the address has too many subscriptions, so that it reveals
        nothing. Raises StoreBusy.
        """
        address = address.lower() if channel == MAIL else address
        now, ledger = self.admin.now(), self.admin.ledger
        if readers.count_subscriptions(ledger, address, now - _HOUR) >= MAX_OF_ADDRESS:
            return ""
        if readers.count_subscriptions(ledger) >= MAX_SUBSCRIPTIONS:
            raise StoreBusy(
                "The limit of subscriptions is reached; use the feed of the search instead"
            )
        item = readers.add_subscription(
            ledger, channel, address, search, title, language, frequency, now
        )
        if channel == MAIL and self.admin.channels.mail is None:
            return f"{self.admin.channels.public_url}/follow/confirm/{item.secret}"
        outbox.queue_messages(ledger, [write_confirmation(item, self.admin.channels)], now)
        return ""

    def find(self, secret: str) -> PublicSubscription | None:
        """Return the subscription of a link as its owner sees it, None if there is none. Raises
        StoreBusy.
        """
        item = self._find(secret)
        return self._public(item) if item else None

    @_or_busy("Subscriptions")
    def _find(self, secret: str) -> Subscription | None:
        is_there = has_ledger(self.admin.url)
        return readers.subscription(self.admin.ledger, secret) if is_there else None

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

    @_or_busy("Subscriptions")
    def confirm(self, secret: str) -> PublicSubscription | None:
        """Confirm a subscription and return it, None if there is none. Raises StoreBusy."""
        item = self._find(secret)
        if item is None:
            return None
        readers.confirm_subscription(self.admin.ledger, item.id, self.admin.now())
        return self.find(secret)

    @_or_busy("Subscriptions")
    def end(self, secret: str) -> bool:
        """Delete a subscription and its messages; return whether there was one. Raises StoreBusy."""
        item = self._find(secret)
        return item is not None and readers.end_subscription(self.admin.ledger, item.topic)

    @_or_busy("Subscriptions")
    def due(self, position: int) -> Sequence[DueSubscription]:
        """Claim the subscriptions to compare at a journal entry. Raises StoreBusy."""
        if not has_ledger(self.admin.url):
            return ()
        now = self.admin.now()
        ledger = self.admin.ledger
        items = readers.claim_subscriptions(ledger, position, now, now + _LEASE, _BATCH)
        return [DueSubscription(item, item.search, item.language, item.results) for item in items]

    @_or_busy("Subscriptions")
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
        readers.settle_subscription(
            self.admin.ledger, key, comparison.position, comparison.results, messages, now
        )

    @_or_busy("Subscriptions")
    def skip(self, key: object, position: int) -> None:
        """Leave the stored results as they are. Raises StoreBusy."""
        assert isinstance(key, Subscription)
        now = self.admin.now()
        readers.settle_subscription(self.admin.ledger, key, position, None, (), now)
