"""The office: what the desk works with, opened when it is first needed, so that a ledger in trouble troubles the desk alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from harvesters.desk.errors import Missing
from harvesters.desk.sessions import Sessions
from harvesters.desk.throttle import Throttle
from harvesters.errors import CardError, LedgerError
from harvesters.ledger.book import Ledger
from harvesters.runs.bench import Bench
from harvesters.runs.means import Means
from harvesters.source import Source, load
from journal import origin
from journal.log import Journal
from journal.origin import Origin
from vocab.crosswalks import Crosswalks
from vocab.iris import Iris

PATIENCE = 2  # seconds that a request waits for a ledger that another process holds


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(slots=True)
class Office:
    """Hold the ledger, the sessions and the count of wrong keys; *cards* is the folder of the sources.

    *now* gives UTC in whole seconds, *clock* seconds that only go on.
    """

    data: Path
    cards: Path
    url: str
    base: str
    now: Callable[[], datetime] = _now
    clock: Callable[[], float] = time.monotonic
    patience: int = PATIENCE
    sessions: Sessions = field(init=False)
    throttle: Throttle = field(init=False)
    _ledger: Ledger | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        """Begin with no session and no wrong key."""
        self.sessions, self.throttle = Sessions(self.now), Throttle(self.clock)

    @property
    def ledger(self) -> Ledger:
        """Give the ledger, opened at the first call that finds it; raise LedgerError where it is missing or locked."""
        file = make_url(self.url).database if self.url.startswith("sqlite") else None
        if file and file != ":memory:" and not Path(file).exists():
            self.close()
            raise LedgerError("there is no ledger yet: a harvest or `stocktake keys create` makes it")
        if not self._lock.acquire(timeout=self.patience):
            raise LedgerError("the ledger is being opened, and that takes long")
        try:
            if self._ledger is None:
                self._ledger = Ledger(self.url, self.patience)
            return self._ledger
        finally:
            self._lock.release()

    def close(self) -> None:
        """Let go of the ledger."""
        with self._lock:
            if self._ledger is not None:
                self._ledger.close()
            self._ledger = None

    def sources(self) -> list[Source]:
        """Read the cards as they are now, by name; those that are wrong are left out."""
        return [it for it in self._cards() if isinstance(it, Source)]

    def origin(self) -> Origin | None:
        """Return the Stocktake that this one is a mirror of, None where it is none. Raises JournalError."""
        return origin.read(self.data / "journal")

    def wrong_cards(self) -> list[str]:
        """Tell which cards cannot be read, and why."""
        return [it for it in self._cards() if isinstance(it, str)]

    def source(self, name: str) -> Source:
        """Give a source by its name; raise Missing."""
        for source in self.sources():
            if source.name == name:
                return source
        raise Missing("there is no source with that name and a good card; GET /desk/sources lists them")

    def _cards(self) -> Iterator[Source | str]:
        for card in sorted(self.cards.glob("*.toml")):
            try:
                yield load(card)
            except CardError as error:
                yield str(error)

    def looking(self) -> Means:
        """Give what tells how things stand; a ledger in trouble makes it fail soon."""
        return self._means(self.ledger)

    @contextmanager
    def deciding(self) -> Iterator[Means]:
        """Give what a decision works with; its ledger is patient: what was begun must not fail because a harvest writes much."""
        ledger = Ledger(self.url)
        try:
            yield self._means(ledger)
        finally:
            ledger.close()

    def _means(self, ledger: Ledger) -> Means:
        """Put means together; nothing of it asks the network or judges."""
        iris, journal = Iris(self.base), Journal(self.data / "journal")
        return Means(self.data, ledger, journal, iris, Crosswalks(iris), Bench(self.base, workers=0), now=self.now, cards=self.cards)
