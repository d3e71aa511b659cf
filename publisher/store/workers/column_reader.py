"""A query worker that answers from the columns of a snapshot what they answer faster, and all else from its RDF store.

The columns are opened beside the first queries, which the store answers: importing the parser and DuckDB takes longer than most queries.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.reader import OpenSnapshot, Result, serve, start_worker

if TYPE_CHECKING:
    from publisher.store.columns.snapshot_columns import SnapshotColumns

COLUMNS = "columns"  # the name of the engine
PAUSE = 0.1  # seconds between looks whether a worker is idle
DELAY = 5.0  # seconds until a worker opens the columns that no query has asked for
SWITCH = 1e-4  # seconds that a query waits for the thread that opens the columns, each time that it writes a row or a frame
_MAX_LENGTH = 20_000  # characters of a query that is compiled

# Only such queries visit much and answer little, so that the columns pay; a word in a comment or a string counts too.
_BLOCKING = re.compile(r"\b(?:COUNT|SUM|MIN|MAX|DISTINCT|GROUP|ORDER)\b", re.IGNORECASE)
_FIRST_TERM = re.compile(r"\{\s*+([<?$\w]?)")  # the first character of each group
_POINT = re.compile(r"\{\s*+(?:<[^<>{\s]*+>|[\w-]*+:[\w.-]*+)\s++[^\s{]")  # a group whose first subject is known

Loader = Callable[[Callable[[], "SnapshotColumns | None"], Event], "Future[SnapshotColumns | None]"]


class ColumnSnapshot(OpenSnapshot):
    """An open snapshot with its columns, where they are at the same journal position as its store.

    *load* runs a function later, at the latest when its event is set by a query for the columns; until it has opened them, the store
    answers.
    """

    def __init__(self, path: str, load: Loader) -> None:
        super().__init__(path)
        self._wanted, self._is_closed = Event(), False
        self._opening = load(self._open_columns, self._wanted)

    @property
    def columns(self) -> SnapshotColumns | None:
        """Return the columns, None while they are not open."""
        return self._opening.result() if self._opening.done() and not self._opening.cancelled() else None

    def evaluate(self, question: QueryRequest) -> tuple[Result, str]:
        """Return the result of *question* and the name of the engine that answers it; raise QueryFailure if it is no query."""
        if may_compile(question):
            self._wanted.set()
            if self.columns and (result := self.columns.answer(question)) is not None:
                return result, COLUMNS
        return super().evaluate(question)

    def explain(self, question: QueryRequest) -> dict[str, object]:
        """Evaluate *question*; return how, as ``OpenSnapshot.explain``, with algebra, SQL and steps where it may be compiled."""
        self._wanted.set()
        if not self.columns:
            return super().explain(question) | {"reason": "the columns of this state are not open"}
        if not may_compile(question):
            return super().explain(question) | {"reason": "not parsed: it does not count, sort or group, or begins at known subjects"}
        explanation = self.columns.explain(question)
        return explanation if explanation["engine"] == COLUMNS else super().explain(question) | explanation

    def _open_columns(self) -> SnapshotColumns | None:
        store = self.store
        while self.is_answering and not self._is_closed:  # a query that is on its way gets the processor first
            time.sleep(PAUSE)
        if self._is_closed:
            return None
        opened: SnapshotColumns | None = import_module("publisher.store.columns.snapshot_columns").open_columns(Path(self.path), store)
        return opened

    def close(self) -> None:
        """Close both and release the lock."""
        self._is_closed = True
        self._wanted.set()
        if not self._opening.cancel():
            self._opening.add_done_callback(_close_columns)
        super().close()


def _close_columns(opening: Future[SnapshotColumns | None]) -> None:
    if (columns := opening.result()) is not None:
        columns.close()


def may_compile(question: QueryRequest) -> bool:
    """Return whether it may be worth the time to parse *question* for the columns, which takes ten milliseconds."""
    is_plain = not question.bindings and question.default_graphs is None and question.named_graphs is None
    has_format = question.table is not None and len(question.text) <= _MAX_LENGTH
    return is_plain and has_format and _BLOCKING.search(question.text) is not None and not is_point_query(question.text)


def is_point_query(text: str) -> bool:
    """Return whether each group begins with a triple of a known subject: the RDF store answers such queries at once.

    >>> is_point_query("SELECT DISTINCT ?o { <x:s> ?p ?o }"), is_point_query("SELECT (COUNT(*) AS ?n) { ?s <x:p> <x:o> }")
    (True, False)
    """
    groups = len(_FIRST_TERM.findall(text))
    return groups > 0 and len(_POINT.findall(text)) == groups


def main() -> None:
    """Serve queries until the server closes the socket."""
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)  # it warns of every odd literal in a query
    connection = start_worker(sys.argv[1:4])
    sys.setswitchinterval(SWITCH)
    with ThreadPoolExecutor(1, COLUMNS) as executor:

        def load(open_columns: Callable[[], SnapshotColumns | None], wanted: Event) -> Future[SnapshotColumns | None]:
            executor.submit(wanted.wait, DELAY)
            return executor.submit(open_columns)

        serve(connection, partial(ColumnSnapshot, load=load))


if __name__ == "__main__":
    main()
