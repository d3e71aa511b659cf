"""The times of mementos decide which state of a record is returned."""

from __future__ import annotations

from rows import each

from publisher.linked_data.mementos import memento_at, parse_stamp
from publisher.store.descriptions import GraphChange, mementos


def touch(entry: int, time: int) -> GraphChange:
    return GraphChange(entry, f"run-{entry}", time, 1, 0, ())


def test_of_states_in_one_second_the_last_counts_and_none_held_before_the_first() -> None:
    assert mementos([touch(1, 10), touch(2, 10), touch(5, 20)]) == [touch(2, 10), touch(5, 20)]

    known = mementos([touch(1, 10), touch(2, 20)])

    assert (memento_at(known, 9), memento_at(known, 19), memento_at(known, 30)) == (
        None,
        touch(1, 10),
        touch(2, 20),
    )


@each("stamp", ["", "2026", "20260230000000", "٢٠٢٦٠٣٠١٠٨٠٠٠٠", "2026030108000x"])
def test_a_stamp_that_is_no_time_is_none(stamp: str) -> None:
    assert parse_stamp(stamp) is None
