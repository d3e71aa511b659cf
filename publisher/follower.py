"""The process that follows the journal and updates every projection of it: RDF store, facets,
search and history.

It reports to the server in lines of JSON on standard output: ``reason``, why the store does not
follow the journal, "" if it does, and ``projections``, the position of each projection and its
error. Each byte of its standard input asks it to check the files of the newest snapshot; it ends
when its standard input is closed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from threading import Event, Lock, Thread
from typing import NoReturn

import structlog

from journal.errors import JournalError
from journal.journal import Journal
from journal.outage import Outage
from publisher.damaged_files import discard_damaged
from publisher.errors import PublisherError
from publisher.logs import configure_logging
from publisher.projections.projection import JournalReader
from publisher.store.external.client import StoreURLs, from_environment
from publisher.store.external.follow import RemoteStore, open_external_runner
from publisher.store.follow import Runner, open_runner
from publisher.store.verification import discard

PAUSE = 0.25  # seconds between two checks of the journal
EXTERNAL_PAUSE = 0.5  # the same for an external store, which each check asks for its position
RETRY = 5.0  # seconds before what failed is tried again
_CORRUPTION = "Corruption"  # what the messages of the engine (RocksDB) about damaged files contain
JOURNAL_RETRY = 10.0  # the same for an entry that cannot be read

log = structlog.get_logger(component="follower")


class Reports:
    """Prints what has changed since the last report; threads share it."""

    def __init__(self) -> None:
        self._reason: str | None = None  # a process before this one may have reported a reason
        self._projections: dict[str, Mapping[str, object]] = {}
        self._lock = Lock()

    def reason(self, reason: str) -> None:
        """Report why the store does not follow the journal; "" if it does."""
        if reason != self._reason:
            self._reason = reason
            self._print({"reason": reason})

    def progress(self, projections: Mapping[str, Mapping[str, object]]) -> None:
        """Report the positions and errors of *projections* by their names."""
        if any(self._projections.get(name) != progress for name, progress in projections.items()):
            self._projections |= projections
            self._print({"projections": projections})

    def _print(self, report: Mapping[str, object]) -> None:
        with self._lock:
            print(json.dumps(report), flush=True)


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
    reader: JournalReader,
    options: argparse.Namespace,
    reports: Reports,
    check: Event,
) -> NoReturn:
    """Keep the embedded store level with the journal; end the process with code 1 if the store
    cannot be written.

    Damaged files are deleted and rebuilt: at the start, when *check* is set, and when the engine
    finds one.
    """
    try:
        _discard_damaged(options.store, reports)
        runner = open_runner(
            reader,
            options.store,
            options.status,
            options.graph,
            report=reports.reason,
        )
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
            if check.is_set() and _discard_damaged(options.store, reports):
                os._exit(1)  # started again, the process rebuilds them
            check.clear()
    except (OSError, RuntimeError) as error:
        _end_if_cured_by_restart(error, options.store, reports)
        raise
    except Exception as error:
        reports.reason(f"the follower ended: {type(error).__name__}: {error}; the log says more")
        raise


def _end_if_cured_by_restart(error: OSError | RuntimeError, store: Path, reports: Reports) -> None:
    """End the process with code 1 if it can continue when it is started again: without the damaged
    store, or on a disk with space.
    """
    if _CORRUPTION in str(error):
        log.error("the store is damaged; rebuilding it from the journal", error=str(error))
        reports.reason(f"the store is damaged and rebuilt from the journal: {error}")
        discard(store)
        os._exit(1)
    if isinstance(error, OSError):  # a full disk, a folder of another user
        log.error(
            "store cannot be written",
            error=str(error),
            action="free disk space or fix the directory; updates then resume",
        )
        reports.reason(f"the store cannot be written: {error}")
        time.sleep(RETRY)
        os._exit(1)  # threads of the engine may hang on the same fault
    reports.reason(f"the follower ended: {type(error).__name__}: {error}; the log says more")


def follow_external(
    address: StoreURLs,
    reader: JournalReader,
    options: argparse.Namespace,
    reports: Reports,
    check: Event,
) -> NoReturn:
    """Keep the external store level with the journal; after any failure, and when *check* is set,
    it is opened again.

    Damaged files of the indexes beside it are deleted then, and rebuilt.
    """
    outage = Outage("SPARQL store cannot be updated; retrying", "SPARQL store is updated again")
    while True:
        check.clear()
        try:
            _discard_damaged(options.store, reports)
            with closing(
                open_external_runner(
                    address,
                    reader,
                    options.store,
                    options.status,
                    options.graph,
                    report=reports.reason,
                )
            ) as runner:
                _step_until_checked(runner, check, reports, outage)
        except (
            JournalError,
            PublisherError,
            OSError,
            SyntaxError,
            ValueError,
        ) as error:  # a response broke off
            outage.failed(str(error))
            reports.reason(f"the store cannot follow the journal: {error}")
            time.sleep(RETRY)


def _step_until_checked(
    runner: Runner[RemoteStore],
    check: Event,
    reports: Reports,
    outage: Outage,
) -> None:
    """Apply journal entries until *check* is set. Raises what ends the work of *runner*."""
    if outage.failures:
        runner.store.leased.read()  # raises if the store still fails
        reports.reason("the store answers again; the journal is being loaded into it")
    while not check.wait(EXTERNAL_PAUSE):
        runner.step()
        if outage.failures:
            outage.over()
        reports.reason("")
        reports.progress(runner.progress())


def read_input(check: Event) -> NoReturn:
    """Set *check* at each byte of the standard input; end this process when it is closed, as it is
    when its parent ends.
    """
    while sys.stdin.buffer.read(1):
        check.set()
    os._exit(0)


def parse_options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Follow the journal and update every projection of it."
    )
    parser.add_argument("journal", type=Path, help="folder of the journal")
    parser.add_argument("store", type=Path, help="folder of the store, its snapshots and indexes")
    parser.add_argument("status", type=Path, help="status file")
    parser.add_argument("graph", help="IRI of the status graph")
    parser.add_argument(
        "--external",
        action="store_true",
        help="update the external store that the environment names",
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Follow the journal until standard input is closed."""
    options = parse_options(sys.argv[1:])
    configure_logging(form=os.environ.get("STOCKTAKE_LOG_FORMAT", ""))
    check = Event()
    Thread(target=read_input, args=(check,), daemon=True).start()
    reader = JournalReader(Journal(options.journal), options.graph.removesuffix("status"))
    reports = Reports()
    for name in ("history", "tables"):  # of earlier versions: they are in the columns
        shutil.rmtree(options.store / name, ignore_errors=True)
    if options.external:
        follow_external(from_environment(), reader, options, reports, check)
    follow_embedded(reader, options, reports, check)


if __name__ == "__main__":
    main()
