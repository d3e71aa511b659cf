from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
from rows import each
from simulated import define_source, items, keys, open_client

from harvesters.page_model import InvalidRecord, Page, Record
from harvesters.pipeline.record_processor import check_compatible

URL = "https://registry.example/calendar.ics"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def calendar(*events: str, head: str = "") -> bytes:
    body = "\n".join(f"BEGIN:VEVENT\n{event}\nSUMMARY:A\nEND:VEVENT" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//a//EN\n{head}{body}\nEND:VCALENDAR\n".replace(
        "\n", "\r\n"
    ).encode()


def pages(content: bytes) -> list[Page[Any]]:
    source = define_source("ical", "ical_event", url=URL)
    with open_client(lambda request: httpx.Response(200, content=content)) as fetch:
        fetch.now = lambda: NOW
        return list(check_compatible(source)[0].collect(source, fetch, None))


def rows(content: bytes) -> list[Any]:
    records = items(pages(content))
    return [item.payload for item in records if isinstance(item, Record)]


@each(
    "times, message",
    [("DTSTART:20260501T090000Z\nDTEND:20260501T100000Z", ("2026-05-01T09:00:00+00:00", "2026-05-01T10:00:00+00:00")),
     ("DTSTART;TZID=Africa/Nairobi:20260501T090000", ("2026-05-01T09:00:00+03:00", None)),
     ("DTSTART;TZID=Africa/Nairobi:20260501T090000\nDURATION:PT90M", ("2026-05-01T09:00:00+03:00", "2026-05-01T10:30:00+03:00")),
     ("DTSTART;VALUE=DATE:20260501\nDTEND;VALUE=DATE:20260504", ("2026-05-01", "2026-05-03")),
     ("DTSTART;VALUE=DATE:20260501", ("2026-05-01", None)), ("DTSTART:20260501T090000", ("2026-05-01", None))],
)  # fmt: skip
def test_a_time_has_a_zone_or_is_a_day(times: str, message: tuple[str | None, ...]) -> None:
    (row,) = rows(calendar(f"UID:1\n{times}"))

    assert (row["start"], row["end"]) == message


ZONE = (
    "BEGIN:VTIMEZONE\nTZID:Ours\nBEGIN:STANDARD\nDTSTART:20200101T000000\nTZOFFSETFROM:+0530\nTZOFFSETTO:+0530\nEND:STANDARD\n"
    "END:VTIMEZONE\n"
)


@each(
    "head, tzid, expected",
    [("X-WR-TIMEZONE:Asia/Dhaka\n", "", {"start": "2026-05-01T09:00:00+06:00", "cancelled": False}),
     (ZONE, ";TZID=Ours", {"start": "2026-05-01T09:00:00+05:30"}), ("METHOD:CANCEL\n", "", {"cancelled": True})],
)  # fmt: skip
def test_the_zone_and_the_method_of_a_calendar_hold_for_its_events(
    head: str, tzid: str, expected: dict[str, Any]
) -> None:
    content = calendar(f"UID:1\nDTSTART{tzid}:20260501T090000", head=head)

    (row,) = rows(content)

    assert expected.items() <= row.items()


def test_dates_of_recurring_events_are_counted() -> None:
    content = calendar(
        "UID:1\nDTSTART:20260501T090000Z\nRRULE:FREQ=DAILY;COUNT=3", "UID:2\nDTSTART:20260501"
    )

    (page,) = pages(content)

    assert (len(page.items), page.dates) == (4, 3)


@each(
    "more, dates",
    [("RRULE:FREQ=YEARLY\nRDATE:20260505T090000Z\nEXDATE:20260501T090000Z", ["20260505", "20270501"]),
     ("RDATE:20260505T090000Z", ["20260501", "20260505"])],
)  # fmt: skip
def test_the_dates_of_a_series_are_records_up_to_a_horizon(more: str, dates: list[str]) -> None:
    result = pages(calendar(f"UID:1\nDTSTART:20260501T090000Z\n{more}"))

    assert keys(result) == [f"1#{date}T090000" for date in dates]


def test_a_date_that_is_moved_or_cancelled_keeps_its_key() -> None:
    series = "UID:1\nDTSTART:20260501T090000Z\nRRULE:FREQ=DAILY;COUNT=3"
    moved = "UID:1\nRECURRENCE-ID:20260502T090000Z\nDTSTART:20260509T090000Z"
    cancelled = "UID:1\nRECURRENCE-ID:20260503T090000Z\nDTSTART:20260503T090000Z\nSTATUS:CANCELLED"

    records = items(pages(calendar(series, moved, cancelled)))

    assert [(item.key[-7 - 8 : -7], item.payload["start"][:10], item.payload["cancelled"]) for item in records] == [
        ("20260501", "2026-05-01", False), ("20260502", "2026-05-09", False), ("20260503", "2026-05-03", True),
    ]  # fmt: skip


@each(
    "rule", ["FREQ=SECONDLY", "FREQ=HOURLY", "FREQ=DAILY;BYMINUTE=1,2,3,4,5,6;BYSECOND=1,2,3,4,5,6"]
)
def test_a_series_that_recurs_all_the_time_is_unreadable(rule: str) -> None:
    start = "DTSTART:20260501T090000Z"

    bad, good = items(pages(calendar(f"UID:1\n{start}\nRRULE:{rule}", f"UID:2\n{start}")))  # fmt: skip

    assert [(type(item), item.key) for item in (bad, good)] == [(InvalidRecord, "1"), (Record, "2")]


def test_an_old_series_is_read_for_twenty_years() -> None:
    content = calendar("UID:1\nDTSTART:00010101T090000Z\nRRULE:FREQ=MONTHLY")

    result = keys(pages(content))

    assert (len(result), result[0][:8]) == (240, "1#200708")


def test_when_a_calendar_was_exported_is_no_change() -> None:
    event = "UID:1\nDTSTART:20260501T090000Z\nDTSTAMP:2026010{}T000000Z"

    one, two = (items(pages(calendar(event.format(day))))[0] for day in (1, 2))

    assert one.raw == two.raw


def test_an_event_without_a_uid_or_a_start_is_unreadable() -> None:
    start = "DTSTART:20260501T090000Z"

    result = pages(calendar(start, "UID:2", "UID:3\nDTSTART:soon", f"UID:4\n{start}"))

    assert [(type(item), item.key) for item in items(result)] == [
        (InvalidRecord, None), (InvalidRecord, "2"), (InvalidRecord, "3"), (Record, "4"),
    ]  # fmt: skip
