"""The process that follows the journal and updates every projection of it: RDF store, facets,
search and history.

It reports to the server over a pipe: ``reason``, why the store does not follow the journal, "" if
it does, and ``projections``, the position of each projection and its error. Each message of the
server asks it to check the files of the newest snapshot; it ends when the pipe is closed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Event, Thread
from typing import NoReturn

import structlog

from journal.errors import JournalError
from journal.journal import Journal
from publisher.logs import configure_logging
from publisher.store.changes import JournalReader
from publisher.store.follow import EmbeddedStore, Runner, discard, open_runner
from publisher.store.process import NICE, prepare_child, raise_nice
from publisher.store.verification import discard_damaged

PAUSE = 0.25  # seconds between two checks of the journal
JOURNAL_RETRY = 10.0  # seconds before an entry that cannot be read is tried again
_CORRUPTION = "Corruption"  # a word in RocksDB's messages about damaged files

log = structlog.get_logger(component="follower")


class Reports:
    """Sends what has changed since the last report over *connection*."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._last: dict[str, object] = {}  # a process before this one may have reported a reason

    def reason(self, reason: str) -> None:
        """Report why the store does not follow the journal; "" if it does."""
        self._send({"reason": reason})

    def progress(self, projections: Mapping[str, Mapping[str, object]]) -> None:
        """Report the positions and errors of *projections* by their names."""
        self._send({"projections": projections})

    def _send(self, report: Mapping[str, object]) -> None:
        if not report.items() <= self._last.items():
            self._last |= report
            self._connection.send(report)


def _discard_damaged(store: Path, reports: Reports) -> bool:
    """Delete damaged files of the store and its indexes, and report them; return whether there were
    any.
    """
    if not (damage := discard_damaged(store)):
        return False
    log.error("files are damaged; rebuilding them from the journal", fault=damage)
    reports.reason(f"damaged files are rebuilt from the journal: {damage}")
    return True


def follow_embedded(
    open_store: Callable[[], Runner[EmbeddedStore]], store: Path, reports: Reports, check: Event
) -> NoReturn:
    """Keep the embedded store in the folder *store* up to date with the journal; end the process if
    the store cannot be updated.

    Damaged files are deleted and rebuilt: at the start, when *check* is set, and when the engine
    finds one. After an error the process is started again.
    """
    try:
        _discard_damaged(store, reports)
        runner = open_store()
        while True:
            reason = ""
            try:
                runner.step()
            except JournalError as error:
                log.error("cannot read new journal entries", error=str(error))
                reason = f"cannot read new journal entries: {error}"
            reports.reason(reason)
            reports.progress(runner.progress())
            check.wait(JOURNAL_RETRY if reason else PAUSE)
            if check.is_set() and _discard_damaged(store, reports):
                os._exit(1)  # started again, the process rebuilds them
            check.clear()
    except Exception as error:
        reason = "the store cannot be updated"
        if _CORRUPTION in str(error):
            reason = "the store is damaged and rebuilt from the journal"
            discard(store)
        elif isinstance(error, OSError):
            reason = "the store cannot be written; free disk space or fix the directory"
        log.error(reason, error=str(error))
        reports.reason(f"{reason}: {type(error).__name__}: {error}")
        if isinstance(error, OSError | RuntimeError):  # a full disk, or a damaged file
            os._exit(1)  # threads of the engine may hang on the same fault
        raise


def read_requests(connection: Connection, check: Event) -> NoReturn:
    """Set *check* at each message; end this process when the server has closed the pipe."""
    with suppress(EOFError, OSError):
        while connection.recv():
            check.set()
    os._exit(0)


def run(
    connection: Connection, journal: Path, store: Path, status: Path, graph: str, external: bool
) -> None:
    """Follow *journal* until the pipe is closed: write the folder *store*, with the file *status* in
    the graph *graph*; if *external*, the store that the environment names.
    """
    raise_nice(os.getpid(), NICE)  # before other threads start: queries come first
    prepare_child("follower")
    configure_logging(form=os.environ.get("STOCKTAKE_LOG_FORMAT", ""))
    check = Event()
    Thread(target=read_requests, args=(connection, check), daemon=True).start()
    reader = JournalReader(Journal(journal), graph.removesuffix("status"))
    reports = Reports(connection)
    parts = (reader, store, status, graph)
    if external:  # only then its HTTP clients are loaded
        follow = import_module("publisher.store.external.follow").follow_journal
        discard_files = partial(_discard_damaged, store, reports)
        follow(*parts, reports.reason, reports.progress, discard_files, check)
    follow_embedded(partial(open_runner, *parts, report=reports.reason), store, reports, check)
