"""What a change brought stays the same whatever came after it."""

from __future__ import annotations

from pathlib import Path

from mutating_source import IRIS, begin, move, plain, read_graphs
from publish_fixture import read_journal

from publisher.history.change_reader import ALL


def test_each_record_has_the_state_after_its_change(tmp_path: Path) -> None:
    begin(tmp_path)
    move(tmp_path)
    history = read_journal(tmp_path)

    for after, last, entry in ((0, 380, 3), (380, 466, 4)):
        versions = [
            (IRIS.base + change.graph, change.entry)
            for change in history.changes(ALL, after, last, 1_000)
        ]
        states = {
            graph: plain(map(str, triples))
            for (graph, _), triples in zip(versions, history.states(versions), strict=True)
        }
        expected = read_graphs(tmp_path, entry)
        assert states == {graph: lines for graph, lines in expected.items() if graph in states}
        assert states
