"""What a change brought is announced when the store shows it, and stays the same whatever the store
has taken in since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from mutating_source import IRIS, begin, move, plain, read_graphs
from pyoxigraph import QueryResultsFormat, QuerySolutions, RdfFormat, Store, parse
from rows import each
from waiting import WITHIN

from journal.journal import Journal
from publisher.history import change_reader, record_states
from publisher.history.record_states import read_states
from publisher.history.updater import HistoryUpdater
from publisher.projections.journal_reader import JournalReader
from publisher.store.query_service import QueryService
from publisher.store.snapshots import Snapshot
from publisher.store.workers.query_request import QueryRequest


class Answering:
    """A query service whose store is at the next of *positions* at each query; it has applied
    *loaded* rows of the next entry.
    """

    def __init__(self, data: Path, *positions: int, loaded: int = 0) -> None:
        self.history, self.iris, self.journal = data / "history", IRIS, Journal(data / "journal")
        self.request_log, self._positions, self._loaded = 0, positions, loaded

    async def query_internal(self, question: QueryRequest) -> tuple[bytes, Snapshot]:
        position = self._positions[min(self.request_log, len(self._positions) - 1)]
        self.request_log += 1
        store = Store()
        for sign, quad in self._rows(position):
            (store.add if sign == "A" else store.remove)(
                next(iter(parse(quad.encode(), RdfFormat.N_QUADS)))
            )
        result = store.query(question.text)
        assert isinstance(result, QuerySolutions)
        return result.serialize(format=QueryResultsFormat.JSON) or b"", Snapshot(
            position, position, "", 0, ""
        )

    def latest_position(self, by: Snapshot) -> int:
        return by.position + bool(self._loaded)

    def _rows(self, position: int) -> Iterator[tuple[str, str]]:
        for entry in self.journal.entries():
            rows = list(entry.rows())
            yield from (
                (row[0], row[2:])
                for row in (rows if entry.number <= position else rows[: self._loaded])
            )
            if entry.number > position:
                return


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("states")
    begin(data)
    move(data)
    following = HistoryUpdater(
        data / "history", JournalReader(Journal(data / "journal"), IRIS.base)
    )
    following.step()
    following.close()
    return data


def shown_states(
    data: Path, service: Answering, after: int, last: int
) -> dict[str, frozenset[str]]:
    with change_reader.open_log(data / "history") as file:
        assert file
        wanted = change_reader.changes(file, change_reader.ALL, after, last, 1_000)
    result = asyncio.run(read_states(cast(QueryService, service), wanted))
    return {item.graph: plain(item.lines()) for item in result}


def test_a_store_that_is_an_entry_behind_is_asked_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_states, "MAX_WAIT", WITHIN)
    service = Answering(data, 3, 3, 4)

    result = shown_states(data, service, 380, 466)

    assert service.request_log == 3
    assert result == {
        record: lines for record, lines in read_graphs(data).items() if record in result
    }
    assert f"{IRIS.base}record/demo/e91" in result


@each("loaded", [0, 1, 40, 700, 10_000])
def test_a_change_is_announced_while_an_external_store_loads_the_next(
    data: Path, loaded: int
) -> None:
    result = shown_states(data, Answering(data, 3, loaded=loaded), 0, 380)

    assert result == read_graphs(data, 3)
