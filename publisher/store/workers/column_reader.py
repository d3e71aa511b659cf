"""A query worker that evaluates a query by the columns of a snapshot if that is faster, else by its
RDF store.

The columns are opened in a thread while the store answers the first queries, since importing the
parser and DuckDB is slow and takes 90 MB. The first worker of a pool opens them ahead; the others
when a query first needs them, which most never get.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from publisher.store.workers.ipc_protocol import PREPARE
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import OpenSnapshot, Result, serve, start_worker

if TYPE_CHECKING:
    from publisher.store.columns.snapshot_columns import SnapshotColumns

COLUMNS = "columns"  # the name of the engine
_ENGINE = "publisher.store.columns.snapshot_columns"
IDLE_POLL_INTERVAL = 0.1  # seconds between checks whether the worker is idle
# seconds after which the first worker of a pool opens the columns even if no query needs them
OPEN_DELAY = 5.0
# quads from which on a query waits for the columns: the store takes longer than opening them
LARGE = 1_000_000
# seconds between thread switches, so that opening the columns delays queries little
SWITCH_INTERVAL = 1e-4
_MAX_LENGTH = 20_000  # characters of a query that is compiled

# Only such queries read many triples for a small result. A word in a comment or a string counts
# too.
_BLOCKING = re.compile(
    r"\b(?:COUNT|SUM|MIN|MAX|AVG|SAMPLE|GROUP_CONCAT|DISTINCT|GROUP|ORDER)\b", re.IGNORECASE
)
_GRAPH_FORM = re.compile(r"\b(?:CONSTRUCT|DESCRIBE)\b", re.IGNORECASE)
_FIRST_TERM = re.compile(r"\{\s*+([<?$\w]?)")  # first character of each group
# a group whose first subject is an IRI
_POINT = re.compile(r"\{\s*+(?:<[^<>{\s]*+>|[\w-]*+:[\w.-]*+)\s++[^\s{]")

Loader = Callable[[Callable[[], "SnapshotColumns | None"], Event], "Future[SnapshotColumns | None]"]


class ColumnSnapshot(OpenSnapshot):
    """An open snapshot with its columns, if these are at the same journal position as its store.

    *load* runs a function in a thread, after a delay or as soon as its event is set. Until the
    columns are open, the store answers, unless *is_imported*: then opening takes milliseconds, and
    the first query that needs the columns waits for it. So it does in a snapshot of LARGE quads.
    """

    def __init__(self, path: str, load: Loader, is_imported: bool = False) -> None:
        super().__init__(path)
        self._open_now, self._is_closed, self._is_imported = Event(), False, is_imported
        self._is_awaited = False  # a query waits for the columns
        self._is_large = _quads(path) >= LARGE
        self._opening = load(self._open_columns, self._open_now)

    @property
    def columns(self) -> SnapshotColumns | None:
        """Return the columns, None while they are not open."""
        return (
            self._opening.result()
            if self._opening.done() and not self._opening.cancelled()
            else None
        )

    def evaluate(self, request: QueryRequest) -> tuple[Result, str]:
        """Return the result of *request* and the name of the engine that answers it; raise
        QueryFailure if it is not a query.
        """
        if may_compile(request):
            self._open_now.set()
            if self._is_imported or self._is_large:
                self._is_awaited = True
                self._opening.result()
            if self.columns and (result := self.columns.answer(request)) is not None:
                return result, COLUMNS
        return super().evaluate(request)

    def explain(self, request: QueryRequest) -> dict[str, object]:
        """Evaluate *request*; return how, as ``OpenSnapshot.explain``, with algebra, SQL and steps
        where it may be compiled.
        """
        self._open_now.set()
        if not self.columns:
            return super().explain(request) | {"reason": "the columns of this state are not open"}
        if not may_compile(request):
            return super().explain(request) | {
                "reason": "not parsed: it does not count, sort or group, or begins at known subjects"
            }
        explanation = self.columns.explain(request)
        return (
            explanation
            if explanation["engine"] == COLUMNS
            else super().explain(request) | explanation
        )

    def _open_columns(self) -> SnapshotColumns | None:
        store = self.store
        # a running query has priority
        while self.is_answering and not (self._is_closed or self._is_imported or self._is_awaited):
            time.sleep(IDLE_POLL_INTERVAL)
        if self._is_closed:
            return None
        opened: SnapshotColumns | None = import_module(_ENGINE).open_columns(Path(self.path), store)
        return opened

    def close(self) -> None:
        """Close the store and the columns, and release the lock."""
        self._is_closed = True
        self._open_now.set()
        if not self._opening.cancel():
            self._opening.add_done_callback(_close_columns)
        super().close()


def _quads(path: str) -> int:
    """Return the number of quads of a snapshot, 0 if it is not known."""
    try:
        return int(json.loads((Path(path) / "about.json").read_text())["quads"])
    except (OSError, ValueError, KeyError):
        return 0


def _close_columns(opening: Future[SnapshotColumns | None]) -> None:
    if (columns := opening.result()) is not None:
        columns.close()


def may_compile(request: QueryRequest) -> bool:
    """Return whether *request* is worth parsing for the columns, which takes ten milliseconds.

    A client's query of a release is not: its answer must be the same, byte for byte, whenever it is
    sent.
    """
    is_plain = (
        request.default_graphs is None and request.named_graphs is None and request.release is None
    )
    form = request.graph if _GRAPH_FORM.search(request.text) else request.table
    is_short = len(request.text) <= _MAX_LENGTH
    return (
        is_plain
        and form is not None
        and is_short
        and _BLOCKING.search(request.text) is not None
        and not is_point_query(request.text)
    )


def is_point_query(text: str) -> bool:
    """Return whether each group begins with a triple whose subject is an IRI: the RDF store is fast
    for such queries.

    >>> is_point_query("SELECT DISTINCT ?o { <x:s> ?p ?o }"), is_point_query("SELECT (COUNT(*) AS ?n) { ?s <x:p> <x:o> }")
    (True, False)
    """
    groups = len(_FIRST_TERM.findall(text))
    return groups > 0 and len(_POINT.findall(text)) == groups


def main() -> None:
    """Serve queries until the server closes the socket."""
    # it logs a warning for every ill-typed literal in a query
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)
    connection = start_worker(sys.argv[1:4])
    is_first = PREPARE in sys.argv[4:]
    sys.setswitchinterval(SWITCH_INTERVAL)
    with ThreadPoolExecutor(1, COLUMNS) as executor:

        def load(
            open_columns: Callable[[], SnapshotColumns | None], open_now: Event
        ) -> Future[SnapshotColumns | None]:
            executor.submit(
                open_now.wait, OPEN_DELAY if is_first or _ENGINE in sys.modules else None
            )
            return executor.submit(open_columns)

        serve(connection, lambda path: ColumnSnapshot(path, load, _ENGINE in sys.modules))


if __name__ == "__main__":
    main()
