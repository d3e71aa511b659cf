"""iCalendar: single events, recurrences, time zones, and broken calendars."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import icalendar
import pytest
import replay
from rows import each
from simulated import open_client

from harvesters.compatibility import check_compatible
from harvesters.errors import HarvestError, ParseError, SourceDefinitionError
from harvesters.page_model import InvalidRecord, Page, Record
from harvesters.protocols.ical.recurrence import CallBudget, RecurrenceLimitError, expand_series
from vocab.crosswalks import Crosswalks
from vocab.initiative import Event

from .conftest import DefineSource

URL = "https://registry.example/calendar.ics"
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def calendar(*events: str, head: str = "") -> bytes:
    body = "\n".join(f"BEGIN:VEVENT\n{event}\nSUMMARY:A\nEND:VEVENT" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//a//EN\n{head}{body}\nEND:VCALENDAR\n".replace(
        "\n", "\r\n"
    ).encode()


def pages(
    content: bytes,
    define_source: Any,
    *,
    status: int = 200,
    cursor: str | None = None,
    **options: Any,
) -> list[Page[Any]]:
    source = define_source("ical", "ical_event", url=URL, options=options)
    with open_client(lambda request: httpx.Response(status, content=content)) as fetch:
        fetch.now = lambda: NOW
        return list(check_compatible(source)[0].collect(source, fetch, None, cursor))


def rows(content: bytes, define_source: Any, **options: Any) -> list[Any]:
    return [
        item.payload
        for page in pages(content, define_source, **options)
        for item in page.items
        if isinstance(item, Record)
    ]


@each(
    "times, message",
    [("DTSTART:20260501T090000Z\nDTEND:20260501T100000Z", ("2026-05-01T09:00:00+00:00", "2026-05-01T10:00:00+00:00")),
     ("DTSTART;TZID=Africa/Nairobi:20260501T090000", ("2026-05-01T09:00:00+03:00", None)),
     ("DTSTART;TZID=Africa/Nairobi:20260501T090000\nDURATION:PT90M", ("2026-05-01T09:00:00+03:00", "2026-05-01T10:30:00+03:00")),
     ("DTSTART;VALUE=DATE:20260501\nDTEND;VALUE=DATE:20260504", ("2026-05-01", "2026-05-03")),
     ("DTSTART;VALUE=DATE:20260501", ("2026-05-01", None)), ("DTSTART:20260501T090000", ("2026-05-01", None))],
)  # fmt: skip
def test_a_time_has_a_zone_or_is_a_day(
    times: str, message: tuple[str | None, ...], define_source: DefineSource
) -> None:
    (row,) = rows(calendar(f"UID:1\n{times}"), define_source)

    assert (row["start"], row["end"]) == message


@pytest.mark.parametrize(
    ("head", "options"), [("X-WR-TIMEZONE:Asia/Dhaka\n", {}), ("", {"zone": "Asia/Dhaka"})]
)
def test_times_without_a_zone_have_that_of_the_calendar_or_the_definition(
    head: str, options: dict[str, Any], define_source: DefineSource
) -> None:
    (row,) = rows(calendar("UID:1\nDTSTART:20260501T090000", head=head), define_source, **options)

    assert row["start"] == "2026-05-01T09:00:00+06:00"


def test_dates_of_recurring_events_are_counted(define_source: DefineSource) -> None:
    content = calendar(
        "UID:1\nDTSTART:20260501T090000Z\nRRULE:FREQ=DAILY;COUNT=3", "UID:2\nDTSTART:20260501"
    )

    (page,) = pages(content, define_source)

    assert (len(page.items), page.dates) == (4, 3)


def test_a_zone_that_the_calendar_defines_itself_is_kept(define_source: DefineSource) -> None:
    standard = "BEGIN:STANDARD\nDTSTART:20200101T000000\nTZOFFSETFROM:+0530\nTZOFFSETTO:+0530\nEND:STANDARD\n"
    zone = f"BEGIN:VTIMEZONE\nTZID:Ours\n{standard}END:VTIMEZONE\n"

    (row,) = rows(calendar("UID:1\nDTSTART;TZID=Ours:20260501T090000", head=zone), define_source)

    assert row["start"] == "2026-05-01T09:00:00+05:30"


def test_the_dates_of_a_series_are_records_up_to_a_horizon(define_source: DefineSource) -> None:
    content = calendar(
        "UID:1\nDTSTART:20260501T090000Z\nRRULE:FREQ=MONTHLY\nEXDATE:20260601T090000Z"
    )

    (page,) = pages(content, define_source, ahead=90)

    assert [item.key for item in page.items] == [
        "1#20260501T090000",
        "1#20260701T090000",
        "1#20260801T090000",
    ]


def test_endless_series_do_not_cost_the_events_before_them() -> None:
    budget = CallBudget(40_000)
    until = datetime(2026, 7, 1, tzinfo=UTC)

    def dates(uid: str, rule: str) -> list[str]:
        content = calendar(f"UID:{uid}\nDTSTART:20260501T090000Z\nRRULE:{rule}")
        parsed: Any = icalendar.Calendar.from_ical(content)
        return [key for key, _ in expand_series(parsed, uid, parsed.walk("VEVENT"), until, budget)]

    assert len(dates("1", "FREQ=MONTHLY")) == 2
    with pytest.raises(RecurrenceLimitError, match="all events of its calendar"):
        dates("2", "FREQ=DAILY;INTERVAL=10000;BYMONTH=2;BYMONTHDAY=29")
    assert budget.left == 0
    with pytest.raises(RecurrenceLimitError, match="all events of its calendar"):
        dates("3", "FREQ=MONTHLY")


def test_a_date_that_is_moved_or_cancelled_keeps_its_key(define_source: DefineSource) -> None:
    series = "UID:1\nDTSTART:20260501T090000Z\nRRULE:FREQ=DAILY;COUNT=3"
    moved = "UID:1\nRECURRENCE-ID:20260502T090000Z\nDTSTART:20260509T090000Z"
    cancelled = "UID:1\nRECURRENCE-ID:20260503T090000Z\nDTSTART:20260503T090000Z\nSTATUS:CANCELLED"

    (page,) = pages(calendar(series, moved, cancelled), define_source)

    results = {
        item.key: (item.payload["start"][:10], item.payload["cancelled"])
        for item in page.items
        if isinstance(item, Record)
    }
    assert results == {
        "1#20260501T090000": ("2026-05-01", False),
        "1#20260502T090000": ("2026-05-09", False),
        "1#20260503T090000": ("2026-05-03", True),
    }


def test_further_dates_are_read_too(define_source: DefineSource) -> None:
    content = calendar("UID:1\nDTSTART:20260501T090000Z\nRDATE:20260505T090000Z")

    (page,) = pages(content, define_source)

    assert [item.key for item in page.items] == ["1#20260501T090000", "1#20260505T090000"]


@pytest.mark.parametrize(
    "rule", ["FREQ=SECONDLY", "FREQ=HOURLY", "FREQ=DAILY;BYMINUTE=1,2,3,4,5,6;BYSECOND=1,2,3,4,5,6"]
)
def test_a_series_that_recurs_all_the_time_is_unreadable(
    rule: str, define_source: DefineSource
) -> None:
    (page,) = pages(
        calendar(
            f"UID:1\nDTSTART:20260501T090000Z\nRRULE:{rule}", "UID:2\nDTSTART:20260501T090000Z"
        ),
        define_source,
    )

    assert [(type(item), item.key) for item in page.items] == [(InvalidRecord, "1"), (Record, "2")]


def test_an_old_series_is_read_for_twenty_years(define_source: DefineSource) -> None:
    result = pages(
        calendar("UID:1\nDTSTART:00010101T090000Z\nRRULE:FREQ=MONTHLY"), define_source, ahead=0
    )

    assert [sum(len(page.items) for page in result), str(result[0].items[0].key)[:8]] == [
        239,
        "1#200607",
    ]


def test_a_calendar_that_cancels_cancels_all_its_events(define_source: DefineSource) -> None:
    (row,) = rows(
        calendar("UID:1\nDTSTART:20260501T090000Z", head="METHOD:CANCEL\n"), define_source
    )

    assert row["cancelled"] is True


def test_when_a_calendar_was_exported_is_no_change(define_source: DefineSource) -> None:
    one, two = (
        pages(
            calendar(f"UID:1\nDTSTART:20260501T090000Z\nDTSTAMP:2026010{day}T000000Z"),
            define_source,
        )[0].items[0]
        for day in (1, 2)
    )

    assert isinstance(one, Record)
    assert isinstance(two, Record)
    assert one.raw == two.raw


def test_an_event_without_a_uid_or_a_start_is_unreadable(define_source: DefineSource) -> None:
    (page,) = pages(
        calendar(
            "DTSTART:20260501T090000Z",
            "UID:2",
            "UID:3\nDTSTART:soon",
            "UID:4\nDTSTART:20260501T090000Z",
        ),
        define_source,
    )

    assert [(type(item), item.key) for item in page.items] == [
        (InvalidRecord, None), (InvalidRecord, "2"), (InvalidRecord, "3"), (Record, "4"),
    ]  # fmt: skip


def test_a_calendar_that_has_not_changed_is_not_read_again(define_source: DefineSource) -> None:
    assert [page.unchanged for page in pages(b"", define_source, status=304)] == [True]


@each(
    "content",
    [b"", b"<html></html>", b"BEGIN", b'{"a": 1}', b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", b"\xff\xfe\x00"],
)  # fmt: skip
def test_what_is_no_calendar_is_reported(content: bytes, define_source: DefineSource) -> None:
    with pytest.raises(ParseError, match="https://registry"):
        pages(content, define_source)


def test_a_time_zone_that_is_none_is_refused(define_source: DefineSource) -> None:
    with pytest.raises(SourceDefinitionError, match="'zone' is 'Nairobi'; write a time zone"):
        check_compatible(define_source("ical", "ical_event", options={"zone": "Nairobi"}))


# Of the real calendars: what came, and what was mapped; the others have no UID or no start, or hold
# no event at all.
TRUTH = {"ical": (299, 275), "broken": (2, 0)}


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
@pytest.mark.parametrize("folder", TRUTH)
def test_every_real_calendar_is_read_or_reported(
    folder: str, define_source: DefineSource, words: Crosswalks
) -> None:
    source = define_source("ical", "ical_event", url=URL)
    read = check_compatible(source)[1].prepare(source, words)
    received = mapped = 0
    for file in sorted((replay.FEEDS / folder).iterdir()):
        try:
            result = pages(file.read_bytes(), define_source)
        except HarvestError as error:
            assert str(error).startswith(URL)  # noqa: PT017
            continue
        items = [item for page in result for item in page.items]
        received += len(items)
        mapped += sum(isinstance(read(item), Event) for item in items if isinstance(item, Record))

    assert (received, mapped) == TRUTH[folder]
