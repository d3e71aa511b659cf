"""OAI-PMH lists (https://www.openarchives.org/OAI/openarchivesprotocol.html)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from harvesters.errors import ParseError
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record
from harvesters.protocols.oai.harvest import collect
from harvesters.reasons import Reason
from harvesters.source import Source

from .conftest import DefineSource, Registry

FIRST = "verb=ListRecords&metadataPrefix=oai_dc"
SINCE = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def record(
    key: str,
    stamp: str = "2026-01-01T00:00:00Z",
    *,
    status: str = "",
    sets: Iterable[str] = (),
    body: str | None = None,
) -> str:
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


def named(*names: str) -> bytes:
    headers = "".join(
        f"<header><identifier>{key}</identifier><datestamp>2026-01-01</datestamp></header>"
        for key in names
    )
    return answer(f"<ListIdentifiers>{headers}</ListIdentifiers>")


def error(code: str, text: str = "") -> bytes:
    return answer(f'<error code="{code}">{text}</error>')


def identify(granularity: str) -> bytes:
    return answer(f"<Identify><granularity>{granularity}</granularity></Identify>")


@pytest.fixture
def source(define_source: DefineSource) -> Source:
    return define_source("oai-pmh", "oai_dc")


def keys(pages: Iterable[Page[Any]]) -> list[Any]:
    return [item.key for page in pages for item in page.items]


def test_a_list_is_followed_by_its_tokens_to_the_end(source: Source, registry: Registry) -> None:
    server = registry(
        {
            FIRST: listed(record("a"), token="t1", size=2),
            "verb=ListRecords&resumptionToken=t1": listed(record("b"), token=""),
        }
    )

    with server.open_client() as fetch:
        pages = list(collect(source, fetch, None))

    assert keys(pages) == ["a", "b"]
    assert pages[0].reported_total == 2
    assert [page.cursor is None for page in pages] == [False, True]


def test_a_token_is_the_only_argument_beside_the_verb(source: Source, registry: Registry) -> None:
    server = registry(
        {
            FIRST: listed(record("a"), token="t/1 &amp;"),
            "verb=ListRecords&resumptionToken=t%2F1+%26": listed(record("b")),
        }
    )

    with server.open_client() as fetch:
        list(collect(source, fetch, None))

    assert server.request_log[1] == "verb=ListRecords&resumptionToken=t%2F1+%26"


def test_a_cursor_goes_on_after_its_page(source: Source, registry: Registry) -> None:
    server = registry(
        {
            FIRST: listed(record("a"), token="t1"),
            "verb=ListRecords&resumptionToken=t1": listed(record("b")),
        }
    )

    with server.open_client() as fetch:
        first = next(collect(source, fetch, None))
        rest = list(collect(source, fetch, None, first.cursor))

    assert keys(rest) == ["b"]


def test_a_deleted_header_is_gone(source: Source, registry: Registry) -> None:
    server = registry({FIRST: listed(record("a", status="deleted", stamp="2026-02-02"))})

    with server.open_client() as fetch:
        (page,) = collect(source, fetch, None)

    assert page.items == (DeletedRecord("a", "2026-02-02"),)


def test_a_record_without_metadata_or_identifier_is_unreadable(
    source: Source, registry: Registry
) -> None:
    server = registry({FIRST: listed(record("a", body=""), record(""), "<record/>")})

    with server.open_client() as fetch:
        (page,) = collect(source, fetch, None)

    assert page.items == (
        InvalidRecord("a", Reason("no_oai_metadata")),
        InvalidRecord(None, Reason("no_oai_identifier")),
        InvalidRecord(None, Reason("no_oai_header")),
    )


def test_the_raw_bytes_of_a_record_do_not_hold_its_datestamp(
    source: Source, registry: Registry
) -> None:
    server = registry({FIRST: listed(record("a", "2026-01-01"))})
    later = registry({FIRST: listed(record("a", "2026-02-02"))})

    with server.open_client() as fetch, later.open_client() as other:
        (old,), (new,) = (next(collect(source, client, None)).items for client in (fetch, other))

    assert isinstance(old, Record)
    assert isinstance(new, Record)
    assert old.raw == new.raw
    assert (old.modified, new.modified) == ("2026-01-01", "2026-02-02")


@pytest.mark.parametrize(
    ("granularity", "start"),
    [("YYYY-MM-DD", "2026-02-28"), ("YYYY-MM-DDThh:mm:ssZ", "2026-03-01T11%3A59%3A59Z")],
)
def test_a_harvest_since_is_asked_in_the_repositorys_granularity_with_a_step_of_overlap(
    granularity: str, start: str, source: Source, registry: Registry
) -> None:
    server = registry(
        {"verb=Identify": identify(granularity), f"{FIRST}&from={start}": listed(record("a"))}
    )

    with server.open_client() as fetch:
        pages = list(collect(source, fetch, SINCE))

    assert keys(pages) == ["a"]


def test_an_unknown_granularity_is_reported(source: Source, registry: Registry) -> None:
    server = registry({"verb=Identify": identify("hours")})

    with server.open_client() as fetch, pytest.raises(ParseError, match="granularity 'hours'"):
        list(collect(source, fetch, SINCE))


def test_no_records_match_is_an_empty_list(source: Source, registry: Registry) -> None:
    server = registry({FIRST: error("noRecordsMatch")})

    with server.open_client() as fetch:
        (page,) = collect(source, fetch, None)

    assert (page.items, page.cursor) == ((), None)


def test_an_error_is_reported_with_code_and_text(source: Source, registry: Registry) -> None:
    server = registry({FIRST: error("badArgument", "no\n  such prefix")})

    with (
        server.open_client() as fetch,
        pytest.raises(ParseError, match="says badArgument: no such prefix"),
    ):
        list(collect(source, fetch, None))


def test_an_expired_token_is_followed_from_the_newest_datestamp(
    source: Source, registry: Registry
) -> None:
    server = registry({
        FIRST: listed(record("a", "2026-01-01"), record("b", "2026-01-05"), token="t1"),
        "verb=ListRecords&resumptionToken=t1": error("badResumptionToken"),
        "verb=Identify": identify("YYYY-MM-DD"),
        "verb=ListIdentifiers&metadataPrefix=oai_dc&until=2026-01-04": named("a"),
        f"{FIRST}&from=2026-01-05": listed(record("b", "2026-01-05"), record("c", "2026-01-06")),
    })  # fmt: skip

    with server.open_client() as fetch:
        pages = list(collect(source, fetch, None))

    assert keys(pages) == ["a", "b", "b", "c"]


def test_an_expired_token_of_an_unordered_list_begins_the_list_anew(
    source: Source, registry: Registry
) -> None:
    unordered = listed(record("a", "2026-01-09"), record("b", "2026-01-05"), token="t1")
    answers = {FIRST: [unordered, listed(record("a"), record("b"), record("c"))]}
    server = registry(lambda request: httpx.Response(200, content=_next(answers, request)))

    with server.open_client() as fetch:
        pages = list(collect(source, fetch, None))

    assert keys(pages) == ["a", "b", "a", "b", "c"]


def _next(answers: Mapping[str, list[bytes]], request: httpx.Request) -> bytes:
    left = answers.get(request.url.query.decode(), [])
    return left.pop(0) if left else error("badResumptionToken")


def test_a_token_that_expires_again_without_progress_is_reported(
    source: Source, registry: Registry
) -> None:
    page = listed(record("a", "2026-01-01"), token="t1").replace(
        b"<resumptionToken", b'<resumptionToken expirationDate="2026-02-01"'
    )
    server = registry({
        FIRST: page,
        f"{FIRST}&from=2026-01-01": page,
        "verb=ListRecords&resumptionToken=t1": error("badResumptionToken", "expired"),
    })  # fmt: skip

    with (
        server.open_client() as fetch,
        pytest.raises(
            ParseError,
            match=r"expired \(.* valid until 2026-02-01\); its list cannot be read to the end",
        ),
    ):
        list(collect(source, fetch, None))


def test_a_token_that_repeats_is_reported(source: Source, registry: Registry) -> None:
    server = registry(
        {
            FIRST: listed(record("a"), token="t1"),
            "verb=ListRecords&resumptionToken=t1": listed(record("b"), token="t1"),
        }
    )

    with (
        server.open_client() as fetch,
        pytest.raises(ParseError, match="repeats the resumption token 't1'"),
    ):
        list(collect(source, fetch, None))


def test_a_page_that_repeats_is_reported(source: Source, registry: Registry) -> None:
    server = registry(
        {
            FIRST: listed(record("a"), token="t1"),
            "verb=ListRecords&resumptionToken=t1": listed(record("a"), token="t2"),
        }
    )

    with server.open_client() as fetch, pytest.raises(ParseError, match="repeats the records"):
        list(collect(source, fetch, None))


def test_a_record_of_several_sets_comes_once(
    define_source: DefineSource, registry: Registry
) -> None:
    source = define_source("oai-pmh", "oai_dc", options={"set": ["x", "y"]})
    server = registry({
        "verb=ListRecords&metadataPrefix=oai_dc&set=x": listed(record("a", sets=["x:1"]), record("b", sets=["x", "y"])),
        "verb=ListRecords&metadataPrefix=oai_dc&set=y": listed(record("b", sets=["x", "y"]), record("c", sets=["y"])),
    })  # fmt: skip

    with server.open_client() as fetch:
        pages = list(collect(source, fetch, None))
        rest = list(collect(source, fetch, None, pages[0].cursor))

    assert (keys(pages), keys(rest)) == (["a", "b", "c"], ["c"])


def test_a_busy_repository_is_asked_again(source: Source, registry: Registry, quick: None) -> None:
    answers = [
        httpx.Response(503, headers={"Retry-After": "0"}),
        httpx.Response(200, content=listed(record("a"))),
    ]
    server = registry(lambda request: answers.pop(0))

    with server.open_client() as fetch:
        pages = list(collect(source, fetch, None))

    assert keys(pages) == ["a"]


@pytest.mark.parametrize(
    ("message", "text"),
    [(b"<html><body>Sign in</body></html>", "HTML page where XML was expected"), (b"<rss/>", "is not an OAI-PMH response but <rss>"),
     (answer("<Identify/>"), "holds no ListRecords"), (listed(record("a"))[:-20], r"not well-formed XML: .*line 1, column"),
     (b'<!DOCTYPE x [<!ENTITY e "e">]><OAI-PMH/>', "DOCTYPE, which is refused"), (b"<OAI-PMH>&nbsp;</OAI-PMH>", "nbsp"),
     (b"", "empty response")],
)  # fmt: skip
def test_what_is_no_answer_of_the_protocol_is_reported(
    message: Any, text: str, source: Source, registry: Registry
) -> None:
    server = registry({FIRST: httpx.Response(200, content=message)})

    with server.open_client() as fetch, pytest.raises(ParseError, match=text):
        list(collect(source, fetch, None))
