"""Our SPARQL endpoint with nothing in its RDF store, for sizes that the store loads in hours.

The columns answer every query that they can, however little it visits, and the indexes behind the
pages are not built.
"""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
from pyoxigraph import Store

from benchmarks.end_to_end import LIMITS, ready, served, settings
from benchmarks.processes import until
from benchmarks.result_table import err
from demo.registries import Demo
from demo.source_definitions import write_sources
from journal.journal import Journal
from publisher.projections.projection import JournalReader
from publisher.store import query_service
from publisher.store.columns.updater import ColumnUpdater, StatusGraph
from publisher.store.follow import writer_lock
from publisher.store.snapshots import ProjectionPaths, create_snapshot
from stocktake import main
from vocab.iris import BASE

_STATUS = "none"  # the digest of a status graph without quads


def columns_only_endpoint(open_: ExitStack, data: Path, records: int) -> str:
    """Harvest a simulated portal into *data*, dump it, and serve its columns; return the address."""
    with Demo(size=records, only=("ckan",), faults=()) as registry:
        write_sources(registry.url, data / "sources", ("ckan",))
        err.print(f"harvesting {records:,} records")
        command(data, "harvest")
    err.print("dumping")
    command(data, "dump")
    err.print("filling the columns")
    store = data / "store"
    store.mkdir()
    # the process that would load the RDF store waits for it
    open_.callback(writer_lock(store / "lock").close)
    _fill(store, Journal(data / "journal"))
    address = open_.enter_context(served(data, LIMITS, module=__name__))
    with httpx.Client(base_url=address, timeout=600) as client:
        until(lambda: ready(client), 300)
    return address


def command(data: Path, name: str) -> None:
    """Run the command *name* of Stocktake with *data*."""
    arguments = [sys.executable, "-m", "stocktake", name]
    subprocess.run(arguments, env=settings(data), check=True, stdout=subprocess.DEVNULL)


def _fill(store: Path, journal: Journal) -> None:
    head = journal.head
    assert head is not None, "the harvest wrote nothing"
    updater = ColumnUpdater(
        store / "columns", JournalReader(journal, BASE), lambda: StatusGraph(_STATUS, ())
    )
    for _batch in updater.advance(head.number, head.id):
        pass
    updater.show(0)
    updater.close()
    empty, paths = Store(store / "store"), ProjectionPaths.below(store)
    create_snapshot(store / "snapshots", empty, head.number, head.id, 0, _STATUS, paths)


if __name__ == "__main__":
    query_service.READER = "benchmarks.forced_reader"  # type: ignore[attr-defined]
    main()
