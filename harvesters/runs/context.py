"""Means: what every run works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import structlog

from harvesters.ledger.ledger import Ledger
from harvesters.ledger.shared_rate_limit import SharedRateLimiter
from harvesters.network.rate_limit import LocalRateLimiter, RateLimiter
from harvesters.network.retry import RetryPolicy
from harvesters.pipeline.isolation import Collectors
from harvesters.pipeline.worker_pool import DEFAULT_WORKERS, WorkerPool
from journal.errors import JournalWriteError
from journal.journal import Journal
from shapes.validate import EngineName
from vocab.crosswalks import Crosswalks
from vocab.iris import Iris

log = structlog.get_logger()


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _no_lock_check() -> None:
    """Let everything pass: a lock of this machine is not lost while its process lives."""


@dataclass(frozen=True, slots=True)
class HarvestContext:
    """The hall and the ledger, the base of the IRIs, and how the network is met.

    *data* holds archive, locks and status file, *cards* the registries' cards (None: not known); *transport* replaces the
    network in tests, *pace* is shared by all runs; *now* gives UTC in whole seconds. *fence* raises LockLostError once the lock that
    a run holds is lost: it is called before anything is written that others would take for good. *collectors* are the processes in which
    answers are read and records mapped; where None, that is done in this process.
    """

    data: Path
    ledger: Ledger
    journal: Journal
    iris: Iris
    crosswalks: Crosswalks
    pool: WorkerPool
    contact: str = "no contact given"
    allow_hosts: frozenset[str] = frozenset()
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    transport: httpx.BaseTransport | None = None
    rate_limiter: RateLimiter = field(default_factory=LocalRateLimiter)
    now: Callable[[], datetime] = _now
    source_dir: Path | None = None
    check_lock: Callable[[], None] = _no_lock_check
    collectors: Collectors | None = None


def _recover_journal(journal: Journal) -> None:
    """Set right what a crash left; where the journal cannot be written one may look all the same, and who writes is told."""
    try:
        aside = journal.recover()
    except JournalWriteError as error:
        log.warning("journal not writable; nothing can be published", reason=str(error))
        return
    if aside:
        log.warning("incomplete journal entry moved aside", file=str(aside), cure="none needed: the entry is written again")


@contextmanager
def open_context(
    data: Path,
    ledger: str,
    base: str,
    contact: str,
    allow: frozenset[str],
    engine: EngineName = "rust",
    cards: Path | None = None,
    workers: int = DEFAULT_WORKERS,
    dask: str = "",
    collectors: Collectors | None = None,
) -> Iterator[HarvestContext]:
    """Open the ledger and the journal under *data*, set right what a crash left, and close them at the end.

    *workers* and *dask* tell where records are worked on, as ``Bench`` has it; *collectors* are closed at the end.
    """
    data.mkdir(parents=True, exist_ok=True)
    journal = Journal(data / "journal")
    _recover_journal(journal)
    iris = Iris(base)
    book = Ledger(ledger)
    try:
        with WorkerPool(base, engine, workers, dask) as bench:
            pace: RateLimiter = SharedRateLimiter(book) if book.is_shared else LocalRateLimiter()
            yield HarvestContext(
                data,
                book,
                journal,
                iris,
                Crosswalks(iris),
                bench,
                contact,
                allow,
                rate_limiter=pace,
                source_dir=cards,
                collectors=collectors,
            )
    finally:
        if collectors:
            collectors.close()
        book.close()
