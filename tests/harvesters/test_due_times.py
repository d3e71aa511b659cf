from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from rows import each

from harvesters.source import frozen_after, last_due, late_after, next_due


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@each(
    "every, success, late",
    [
        ("15 3 * * *", "2026-03-01 03:20", "2026-03-03 03:20"),
        # A run may succeed in the very minute when it is due.
        ("15 3 * * *", "2026-03-01 03:15", "2026-03-03 03:15"),
        # A run that was started by hand, at another time, is late after two due times too.
        ("15 3 * * *", "2026-03-01 14:00", "2026-03-03 14:00"),
        ("*/10 * * * *", "2026-03-01 03:21", "2026-03-01 03:41"),
        ("0 * * * *", "2026-12-31 23:30", "2027-01-01 01:30"),
        ("0 4 * * sun", "2026-03-01 05:00", "2026-03-15 05:00"),
        # February is a short month.
        ("0 0 1 * *", "2026-01-01 00:10", "2026-03-01 00:10"),
        # Months without a 31st day have no due time.
        ("0 0 31 * *", "2026-01-31 01:00", "2026-05-31 01:00"),
        # The first day is a Friday, and the weekend has no due time; the second is a Thursday.
        ("0 3 * * mon-fri", "2026-03-06 03:05", "2026-03-10 03:05"),
        ("0 3 * * mon-fri", "2026-03-05 03:05", "2026-03-09 03:05"),
        ("0 0 29 2 *", "2024-02-29 00:30", "2032-02-29 00:30"),
        ("0 8,9,10 * * *", "2026-03-01 10:05", "2026-03-02 09:05"),
    ],
)
def test_a_source_is_late_when_two_due_times_brought_nothing(
    every: str, success: str, late: str
) -> None:
    assert late_after(every, at(success)) == at(late)


@each("every", ["15 3 * * *", "0 * * * *", "0 4 * * sun"])
@each("delay", [0, 1, 17, 59])
def test_an_even_schedule_is_late_after_exactly_twice_its_period(every: str, delay: int) -> None:
    due = next_due(every, at("2026-05-05 05:05"))
    assert due is not None
    period = (next_due(every, due) or due) - due

    success = due + timedelta(minutes=delay)

    assert late_after(every, success) == success + 2 * period


def test_a_line_that_never_comes_is_never_due_and_the_next_due_time_is_never_now() -> None:
    never, now = "0 0 30 2 *", at("2026-03-01 00:00")

    assert (
        next_due(never, now),
        last_due(never, now),
        late_after(never, now),
        frozen_after(never, now),
    ) == (None, None, None, None)

    assert next_due("15 3 * * *", at("2026-03-01 03:15")) == at("2026-03-02 03:15")


@each(
    "every, now, last",
    [("15 3 * * *", "2026-03-01 03:15", "2026-03-01 03:15"), ("15 3 * * *", "2026-03-01 03:14", "2026-02-28 03:15"),
     ("* 8 * * *", "2026-03-02 07:00", "2026-03-01 08:59"), ("0 0 29 2 *", "2026-03-01 00:00", "2024-02-29 00:00")],
)  # fmt: skip
def test_the_last_due_time_is_found(every: str, now: str, last: str) -> None:
    assert last_due(every, at(now)) == at(last)


@pytest.mark.parametrize(
    ("every", "frozen"),
    [("0 * * * *", "2026-04-01 00:00"), ("0 0 * * *", "2026-04-01 00:00"), ("0 0 1 * *", "2026-07-01 00:00")],
)  # fmt: skip
def test_no_change_for_ninety_days_and_six_due_times_is_frozen(every: str, frozen: str) -> None:
    assert frozen_after(every, at("2026-01-01 00:00")) == at(frozen)
