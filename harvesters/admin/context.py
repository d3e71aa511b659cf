"""Hold what the admin app works with. The ledger is opened on first use, so that its failure
affects the admin app alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.engine import make_url

from harvesters.admin.access.throttle import Throttle
from harvesters.admin.errors import NotFound
from harvesters.errors import LedgerError, SourceDefinitionError
from harvesters.ledger.ledger import Ledger
from harvesters.network.settings import NetworkSettings
from harvesters.notifications.delivery import Channels
from harvesters.pipeline.worker_pool import WorkerPool
from harvesters.reasons import Reason
from harvesters.runs.context import HarvestContext
from harvesters.source import Source, load
from journal import mirror_origin
from journal.journal import Journal
from journal.mirror_origin import Origin
from vocab.iris import Iris
from web.sessions import Sessions

LOCK_TIMEOUT = 2  # seconds to wait for a ledger that another process has locked


def utc_now() -> datetime:
    """Return the present instant, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


class SampleFields(Protocol):
    """The fields of a registry's sample: its *kind*, such as json or csv ("" if it cannot be read),
    the path of its *records*, the suggested path for each field of the form at `/join`, and all
    *paths* of its records with the first values as *examples*; *split* is the separator of the
    fields that have several values in one text.
    """

    @property
    def kind(self) -> str: ...
    @property
    def records(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, str]: ...
    @property
    def paths(self) -> tuple[str, ...]: ...
    @property
    def examples(self) -> Mapping[str, tuple[str, ...]]: ...
    @property
    def split(self) -> Mapping[str, str]: ...


@dataclass(slots=True)
class AdminContext:
    """The ledger, the sessions and the failed attempts; *source_dir* holds the source definitions.

    *now* returns UTC in whole seconds, *clock* monotonic seconds. With *demo* each page says that
    its data are made up. *network* is how previews ask registries. *positions* returns the newest
    journal entry that each store and index of the portal shows, by name; *suggest_fields* reads a
    sample; *fill_in* returns what the form of the portal's page `/join` shows with some parameters
    and a sample; *channels* is how alerts are sent. *remap* maps the archived data of a source again, as
    a dry run or not, and returns its row of the run report, {} if that takes long.
    """

    data: Path
    source_dir: Path
    url: str
    base: str
    now: Callable[[], datetime] = utc_now
    clock: Callable[[], float] = time.monotonic
    lock_timeout: int = LOCK_TIMEOUT
    demo: bool = False
    network: NetworkSettings = field(default_factory=NetworkSettings)
    channels: Channels = field(default_factory=Channels)
    positions: Callable[[], Mapping[str, int]] = dict
    suggest_fields: Callable[[bytes], SampleFields] | None = None
    fill_in: Callable[[Mapping[str, str], bytes | None], Mapping[str, Any]] | None = None
    remap: Callable[[str, bool], Mapping[str, Any]] = lambda *_: {}
    sessions: Sessions = field(init=False)
    throttle: Throttle = field(init=False)
    _ledger: Ledger | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        """Start without sessions and failed attempts."""
        self.sessions, self.throttle = Sessions(self.now), Throttle(self.clock)

    @property
    def ledger(self) -> Ledger:
        """Return the ledger, opened on first use; raise LedgerError if it is missing or locked."""
        file = make_url(self.url).database if self.url.startswith("sqlite") else None
        if file and file != ":memory:" and not Path(file).exists():
            self.close()
            raise LedgerError(
                "there is no ledger yet: a harvest or `stocktake keys create` makes it"
            )
        if not self._lock.acquire(timeout=self.lock_timeout):
            raise LedgerError("the ledger is being opened, and that takes long")
        try:
            if self._ledger is None:
                self._ledger = Ledger(self.url, self.lock_timeout)
            return self._ledger
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the ledger."""
        with self._lock:
            if self._ledger is not None:
                self._ledger.close()
            self._ledger = None

    def sources(self) -> list[Source]:
        """Return the valid source definitions as they are now, by name."""
        return [source for source in self._load_sources() if isinstance(source, Source)]

    def origin(self) -> Origin | None:
        """Return the Stocktake that this one mirrors, or None. Raises JournalError."""
        return mirror_origin.read(self.data / "journal")

    def invalid_sources(self) -> list[Reason]:
        """Return the faults of all invalid source definitions."""
        return [source for source in self._load_sources() if isinstance(source, Reason)]

    def count_invalid_definitions(self) -> int:
        """Return the number of source definitions that have a fault."""
        return sum(1 for _ in self.source_dir.glob("*.toml")) - len(self.sources())

    def source(self, name: str) -> Source:
        """Return a source by its name; raise NotFound."""
        for source in self.sources():
            if source.name == name:
                return source
        raise NotFound(
            "There is no source with that name and a valid source definition. GET /admin/sources lists the sources."
        )

    def _load_sources(self) -> Iterator[Source | Reason]:
        for definition in sorted(self.source_dir.glob("*.toml")):
            try:
                yield load(definition)
            except SourceDefinitionError as error:
                yield from error.faults

    def reader(self) -> HarvestContext:
        """Return a context to read with; if the ledger is locked it fails soon."""
        return self._harvest_context(self.ledger)

    @contextmanager
    def writer(self) -> Iterator[HarvestContext]:
        """Yield a context for a decision, which waits for the ledger while a harvest writes."""
        ledger = Ledger(self.url)
        try:
            yield self._harvest_context(ledger)
        finally:
            ledger.close()

    def _harvest_context(self, ledger: Ledger) -> HarvestContext:
        """Create a context that neither uses the network nor validates."""
        iris, journal = Iris(self.base), Journal(self.data / "journal")
        return HarvestContext(
            self.data,
            ledger,
            journal,
            iris,
            WorkerPool(self.base, workers=0),
            now=self.now,
            source_dir=self.source_dir,
        )
