"""OAI-PMH lists (https://www.openarchives.org/OAI/openarchivesprotocol.html)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from rows import each
from simulated import ScriptedRegistry, define_source, harvest, items, keys

from harvesters.errors import ParseError
from harvesters.page_model import DeletedRecord, InvalidRecord
from harvesters.reasons import Reason
from harvesters.source import Source

FIRST = "verb=ListRecords&metadataPrefix=oai_dc"
SINCE = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def record(
    key: str, stamp: str = "2026-01-01T00:00:00Z", *, status: str = "", sets: Iterable[str] = (), body: str | None = None
) -> str:  # fmt: skip
    attribute = f' status="{status}"' if status else ""
    specs = "".join(f"<setSpec>{name}</setSpec>" for name in sets)
    title = f'<dc xmlns="http://purl.org/dc/elements/1.1/"><title>{key}</title></dc>'
    metadata = "" if status else f"<metadata>{title if body is None else body}</metadata>"
    identifier = f"<identifier>{key}</identifier>" if key else ""
    return f"<record><header{attribute}>{identifier}<datestamp>{stamp}</datestamp>{specs}</header>{metadata}</record>"


def listed(*records: str, token: str | None = None, size: int | str | None = None) -> bytes:
    attribute = f' completeListSize="{size}"' if size else ""
    last = "" if token is None else f"<resumptionToken{attribute}>{token}</resumptionToken>"
    return answer(f"<ListRecords>{''.join(records)}{last}</ListRecords>")


def answer(body: str) -> bytes:
    head = '<?xml version="1.0" encoding="UTF-8"?><OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">'
    return f"{head}<responseDate>2026-01-01T00:00:00Z</responseDate>{body}</OAI-PMH>".encode()


def error(code: str, text: str = "") -> bytes:
    return answer(f'<error code="{code}">{text}</error>')


def identify(granularity: str) -> bytes:
    return answer(f"<Identify><granularity>{granularity}</granularity></Identify>")


@pytest.fixture
def source() -> Source:
    return define_source("oai-pmh", "oai_dc")


NEXT = "verb=ListRecords&resumptionToken=t1"


def test_a_list_is_followed_by_its_tokens_to_the_end(source: Source) -> None:
    server = ScriptedRegistry({
        FIRST: listed(record("a"), token="t/1 &amp;", size=2),
        "verb=ListRecords&resumptionToken=t%2F1+%26": listed(record("b"), token=""),
    })  # fmt: skip

    pages = harvest(server, source)

    assert keys(pages) == ["a", "b"]
    assert pages[0].reported_total == 2
    assert [page.cursor is None for page in pages] == [False, True]
    assert server.request_log[1] == "verb=ListRecords&resumptionToken=t%2F1+%26"
    assert keys(harvest(server, source, cursor=pages[0].cursor)) == ["b"]


@each(
    "answer, expected",
    [(listed(record("a", status="deleted", stamp="2026-02-02")), (DeletedRecord("a", "2026-02-02"),)),
     (listed(record("a", body=""), record(""), "<record/>"),
      (InvalidRecord("a", Reason("a record without metadata")), *[InvalidRecord(None, Reason("a record without an identifier"))] * 2)),
     (error("noRecordsMatch"), ())],
)  # fmt: skip
def test_deleted_broken_and_no_records_are_read_as_such(
    answer: bytes, expected: tuple[Any, ...], source: Source
) -> None:
    (page,) = harvest(ScriptedRegistry({FIRST: answer}), source)

    assert (page.items, page.cursor) == (expected, None)


def test_the_raw_bytes_of_a_record_do_not_hold_its_datestamp(source: Source) -> None:
    old, new = (
        items(harvest(ScriptedRegistry({FIRST: listed(record("a", stamp))}), source))[0]
        for stamp in ("2026-01-01", "2026-02-02")
    )

    assert old.raw == new.raw
    assert (old.modified, new.modified) == ("2026-01-01", "2026-02-02")


@each(
    "granularity, start",
    [
        ("YYYY-MM-DD", "2026-02-28"),
        ("hours", "2026-02-28"),
        ("YYYY-MM-DDThh:mm:ssZ", "2026-03-01T11%3A59%3A59Z"),
    ],
)
def test_a_harvest_since_is_asked_in_the_repositorys_granularity_with_a_step_of_overlap(
    granularity: str, start: str, source: Source
) -> None:
    server = ScriptedRegistry({"verb=Identify": identify(granularity), f"{FIRST}&from={start}": listed(record("a"))})  # fmt: skip

    assert keys(harvest(server, source, SINCE)) == ["a"]


@each(
    "answers, message",
    [({FIRST: listed(record("a"), token="t1"), NEXT: error("badResumptionToken", "expired")}, "badResumptionToken: expired"),
     ({FIRST: listed(record("a"), token="t1"), NEXT: listed(record("b"), token="t1")}, "repeats 't1'"),
     ({FIRST: listed(record("a"), token="t1"), NEXT: listed(record("a"), token="t2")}, "repeats the records")],
)  # fmt: skip
def test_a_list_without_progress_is_reported(
    answers: dict[str, bytes], message: str, source: Source
) -> None:
    with pytest.raises(ParseError, match=message):
        harvest(ScriptedRegistry(answers), source)


def test_a_record_of_several_sets_is_announced_to_come_again() -> None:
    source = define_source("oai-pmh", "oai_dc", options={"set": ["x", "y"]})
    server = ScriptedRegistry({
        f"{FIRST}&set=x": listed(record("a", sets=["x:1"]), record("b", sets=["x", "y"])),
        f"{FIRST}&set=y": listed(record("b", sets=["x", "y"]), record("c", sets=["y"])),
    })  # fmt: skip

    pages = harvest(server, source)

    assert keys(pages) == ["a", "b", "b", "c"]
    assert all(page.again for page in pages)
    assert keys(harvest(server, source, cursor=pages[0].cursor)) == ["b", "c"]
