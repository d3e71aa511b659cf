"""Changes have positions in the order of the journal, and sets by what their records have; no
watermark hides a change.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from mutating_source import FIRST, IRIS, begin, move, plain, read_graphs
from publish_fixture import read_journal

from journal.journal import Journal
from publisher.errors import NotReady
from publisher.history.change_reader import ALL, Change, ChangeType, History
from publisher.store.changes import LEAD
from publisher.store.descriptions import graph_changes
from publisher.store.snapshots import Snapshot, create_snapshot

RECORD = f"{IRIS.base}record/x/1"
TOPIC = f"<{IRIS.base}id/initiative/x/1>"
GOAL = f"{TOPIC} <{IRIS.ns}goal> <http://metadata.un.org/sdg/"
LINE = f"{TOPIC} <{IRIS.ns}crosswalkedActionLine> <{IRIS.base}scheme/action-line/"
SUGGESTED = f"{TOPIC} <{IRIS.ns}suggestedGoal> <http://metadata.un.org/sdg/3>"
NO_CONCEPTS = (SUGGESTED, f"{GOAL}3 4>", f'{TOPIC} <{IRIS.ns}goal> "3"', f"{GOAL}3/x>")
ABOUT = f"<{RECORD}> <http://xmlns.com/foaf/0.1/primaryTopic> {TOPIC}"
DELETED = f"<{RECORD}> <http://www.w3.org/ns/adms#status> <{IRIS.operations}gone>"


def append(data: Path, *rows: str, graph: str = RECORD) -> None:
    Journal(data / "journal").append([f"{row} <{graph}> ." for row in rows], run="x.1", time=FIRST)


def changes(data: Path, source: str = ALL) -> list[Change]:
    history: History = read_journal(data)
    return history.changes(source, 0, 1_000, 1_000)


def test_a_record_is_created_changed_deleted_and_created_again(tmp_path: Path) -> None:
    append(tmp_path, f"A {ABOUT}", f"A {GOAL}3>")
    append(tmp_path, f"A {LINE}C2>")
    append(tmp_path, f"D {GOAL}3>", f"D {LINE}C2>", f"A {DELETED}")
    append(tmp_path, f"D {DELETED}", f"A {GOAL}4>")

    result = changes(tmp_path)

    assert [(item.entry, item.change_type.name, item.leaves) for item in result] == [
        (1, "NEW", ("goal:3:declared",)),
        (2, "CHANGED", ("goal:3:declared", "line:C2:crosswalked")),
        # It stays in these sets, so that clients which harvest them learn of the deletion.
        (3, "DELETED", ("goal:3:declared", "line:C2:crosswalked")),
        (4, "NEW", ("goal:4:declared",)),
    ]
    assert {item.kind for item in result} == {"initiative"}


def test_a_graph_that_is_emptied_without_a_tombstone_is_gone(tmp_path: Path) -> None:
    append(tmp_path, f"A {ABOUT}", graph=f"{IRIS.base}source/x")  # This graph is no record.
    append(tmp_path, f"A {ABOUT}")
    append(tmp_path, f"D {ABOUT}")

    types = [change.change_type for change in changes(tmp_path)]

    assert types == [ChangeType.NEW, ChangeType.DELETED]
    with pytest.raises(NotReady, match="still being built"):
        read_journal(tmp_path).watermark(0.0)


def test_rows_of_one_record_that_stand_apart_in_an_entry_are_one_change(tmp_path: Path) -> None:
    other = f"{IRIS.base}record/x/2"
    rows = [f"A {ABOUT} <{RECORD}> .", f"A {ABOUT} <{other}> .", f"A {GOAL}3> <{RECORD}> ."]
    Journal(tmp_path / "journal").append(rows, run="x.1", time=FIRST)

    result = changes(tmp_path)

    assert [item.name for item in result] == ["x/1", "x/2"]
    assert {item.change_type for item in result} == {ChangeType.NEW}
    assert result[0].leaves == ("goal:3:declared",)


def test_what_a_classifier_suggests_or_no_concept_is_in_no_set(tmp_path: Path) -> None:
    append(tmp_path, f"A {ABOUT}", *(f"A {row}" for row in NO_CONCEPTS))

    assert [change.leaves for change in changes(tmp_path)] == [()]


def test_the_log_is_the_same_when_it_is_made_anew(tmp_path: Path) -> None:
    begin(tmp_path)
    first = changes(tmp_path)  # The log is written in two steps.
    move(tmp_path)
    grown = changes(tmp_path)
    shutil.rmtree(tmp_path / "store")

    assert grown[: len(first)] == [*first]
    assert [replace(item, announced_at=0) for item in changes(tmp_path)] == [
        replace(item, announced_at=0) for item in grown
    ]


def test_a_list_as_it_was_at_a_place_has_each_record_where_it_last_changed_before(
    tmp_path: Path,
) -> None:
    begin(tmp_path)
    move(tmp_path)
    history = read_journal(tmp_path)
    then, now = (history.changes(ALL, 0, 1_000, 1_000, position) for position in (380, 466))

    assert [item.number for item in then if item.number <= 380] == list(range(1, 381))
    assert (len({item.name for item in now}), len(now)) == (407, 407)


def test_entries_before_the_file_keep_their_time_and_later_ones_get_that_of_their_snapshot(
    tmp_path: Path,
) -> None:
    append(tmp_path, f"A {ABOUT}")
    old = datetime(2026, 5, 1, tzinfo=UTC).timestamp()
    head = Journal(tmp_path / "journal").head
    assert head is not None
    os.utime(head.path, (old, old))
    assert read_journal(tmp_path).watermark(old).entry == 1
    snapshots = tmp_path / "store" / "snapshots"
    create_snapshot(snapshots, None, Snapshot(0, 1, "x", 1, ""), {"columns": Path.mkdir})

    append(tmp_path, f"A {GOAL}3>")
    history, then = read_journal(tmp_path, int(old) + 50), int(old) + 50 + LEAD
    first, later = history.watermark(then - 1), history.watermark(then)
    announced = [change.announced_at for change in history.changes(ALL, 0, 2, 2)]
    del history  # Its file is replaced.
    # The next entry is appended only after this one has a snapshot.
    state = create_snapshot(snapshots, None, Snapshot(0, 2, "y", 1, ""), {"columns": Path.mkdir})
    again = create_snapshot(snapshots, None, Snapshot(0, 2, "y", 1, ""), {"columns": Path.mkdir})
    append(tmp_path, f"D {GOAL}3>")
    rows = read_journal(tmp_path).rows("SELECT announced FROM entries ORDER BY number")

    assert (first.entry, later.entry, announced) == (1, 2, [int(old), then])
    assert again.first_appeared == state.first_appeared
    assert rows == [(int(old),), (state.first_appeared + LEAD,), (None,)]


def test_rows_of_a_change_undo_it(tmp_path: Path) -> None:
    append(tmp_path, f"A {ABOUT}", f"A {GOAL}3>")
    append(tmp_path, f"D {GOAL}3>", f"A {LINE}C2>")
    history = read_journal(tmp_path)

    after = [{*map(str, triples)} for triples in history.states([(RECORD, n) for n in range(3)])]

    assert after == [set(), {ABOUT, f"{GOAL}3>"}, {ABOUT, f"{LINE}C2>"}]
    assert [change.rows for change in graph_changes(history.tables, RECORD)] == [
        None,
        (f"D {GOAL}3>", f"A {LINE}C2>"),
    ]


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
