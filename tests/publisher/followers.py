"""Followers of the journal in this process, with the indexes that a test is about: each costs a
tenth of a second for every entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType

from journal.journal import Journal
from journal.processes import run_module, start_method
from publisher.store.changes import JournalReader
from publisher.store.follow import EmbeddedStore, Runner
from publisher.store.process import FOLLOWER
from publisher.store.search.index import SearchUpdater
from publisher.store.snapshots import newest_snapshot
from vocab.iris import Iris


def follower(
    data: Path,
    indexes: Sequence[type[SearchUpdater]] = (),
    *,
    folder: str = "store",
    iris: Iris = Iris(),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Runner[EmbeddedStore]:
    """Open the store of *data* in its *folder* with its columns and these *indexes*."""
    reader = JournalReader(Journal(data / "journal"), iris.base)
    store = EmbeddedStore(reader, data / folder, data / "status.nq", iris.status, now)
    opened = [index(data / folder / "text", reader, store.columns.statements) for index in indexes]
    return Runner(store, store.sliced, *opened)


@contextmanager
def follower_process(
    data: Path, status_graph: str, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[BaseProcess, Connection]]:
    """Start a follower of *data*, of the external store that *environment* names, if any; yield its
    process, which is killed at the end, and the pipe with its reports.
    """
    places = (data / "journal", data / "store", data / "status.nq", status_graph)
    reports, theirs = Pipe()
    process = get_context(start_method()).Process(  # type: ignore[attr-defined]
        target=run_module,
        args=(FOLLOWER, dict(environment), theirs, *places, bool(environment)),
    )
    process.start()
    theirs.close()
    try:
        yield process, reports
    finally:
        process.kill()
        process.join()
        reports.close()


def _is_building(runner: Runner[EmbeddedStore]) -> bool:
    return any(
        state["position"] != runner.position and "error" not in state
        for state in runner.progress().values()
    )


def level(runner: Runner[EmbeddedStore]) -> str:
    """Step until nothing is new and no index is on its way, which takes several steps on a busy
    machine, and close; return the newest snapshot's folder.
    """
    with closing(runner):
        while runner.step() is not None or _is_building(runner):
            pass
    newest = newest_snapshot(runner.store.snapshots)
    assert newest
    return newest.path
