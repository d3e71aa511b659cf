"""Define the context of the admin app: the site, its sessions, and what other packages do for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from harvesters.ledger.ledger import Ledger
from harvesters.network.fetch import NetworkSettings
from harvesters.pipeline.worker_pool import WorkerPool
from harvesters.runs.context import HarvestContext
from harvesters.site import Site
from journal.journal import Journal
from journal.store import Origin, read_origin
from vocab.iris import Iris
from web.sessions import Sessions


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
class AdminContext(Site):
    """The site, and the sessions of its operators.

    *network* has the settings with which previews fetch from registries. *positions* returns the
    newest journal entry that each store and index of the portal shows, by name. *suggest_fields*
    reads a sample. *fill_in* returns what the form of the portal's page `/join` shows for its
    parameters and a sample. *remap* maps the archived data of a source again, as a dry run or not,
    and returns its row of the run report, {} if that takes long.
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    positions: Callable[[], Mapping[str, int]] = dict
    suggest_fields: Callable[[bytes], SampleFields] | None = None
    fill_in: Callable[[Mapping[str, str], bytes | None], Mapping[str, Any]] | None = None
    remap: Callable[[str, bool], Mapping[str, Any]] = lambda *_: {}
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        Site.__post_init__(self)
        self.sessions = Sessions(self.now)

    def origin(self) -> Origin | None:
        """Return the Stocktake that this one mirrors, or None. Raises JournalError."""
        return read_origin(self.data / "journal")

    def count_invalid_definitions(self) -> int:
        """Return the number of source definitions that have a fault."""
        return sum(1 for _ in self.source_dir.glob("*.toml")) - len(self.sources())

    def reader(self) -> HarvestContext:
        """Return a context to read with; it fails soon if the ledger is locked."""
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
            name=self.channels.name,
        )
