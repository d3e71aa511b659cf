"""CSV: one record a row, whatever the dialect."""

from __future__ import annotations

import httpx
import pytest

from harvesters.errors import CardError, ParseError
from harvesters.network.fetch import Validator
from harvesters.protocols.csv_table import check, collect
from harvesters.record import Unreadable

URL = "https://registry.example/api"


def harvest(there, source, cursor=None):
    with there.door() as fetch:
        return [item for page in collect(source, fetch, None, cursor) for item in page.items]


def table(card, **options):
    return card("csv", options=options)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_the_header_has_most_of(mark, card, registry):
    lines = (mark.join(["id", '"a name, long"', "b"]), mark.join("1xy"))
    there = registry({"": "\n".join(lines).encode()})

    (record,) = harvest(there, table(card))

    assert record.payload == {"id": "1", "a name, long": "x", "b": "y"}


@pytest.mark.parametrize(
    ("content", "type_", "options", "name"),
    [
        ("id,n\n1,é".encode(), "text/csv", {}, "é"),
        (b"\xef\xbb\xbf" + "id,n\n1,é".encode(), "text/csv; charset=latin-1", {}, "é"),
        ("id,n\n1,é".encode("utf-16"), "text/csv", {}, "é"),
        ("id,n\n1,é".encode("latin-1"), "text/csv; charset=ISO-8859-1", {}, "é"),
        ("id,n\n1,щ".encode("koi8-r"), "text/csv", {"charset": "koi8-r"}, "щ"),
    ],
)
def test_the_charset_is_told_never_guessed(content, type_, options, name, card, registry):
    there = registry({"": httpx.Response(200, content=content, headers={"Content-Type": type_})})

    (record,) = harvest(there, table(card, **options))

    assert record.payload["n"] == name


def test_bytes_of_an_unknown_charset_are_refused(card, registry):
    there = registry({"": "id,n\n1,é".encode("cp1252")})

    with pytest.raises(ParseError, match=r"not utf-8 at byte 7 \(e9\); name its charset"):
        harvest(there, table(card))


def test_a_ragged_row_is_unreadable_and_known_by_its_line_and_key(card, registry):
    there = registry({"": b"id,a,b\n1,x\n2,x,y,z\n3,x,y,,\n\n,,\n4,x,y\n"})

    items = harvest(there, table(card))

    assert items[:2] == [
        Unreadable("1", "line 2: 2 cells where the header has 3"),
        Unreadable("2", "line 3: 4 cells where the header has 3"),
    ]
    assert [item.key for item in items[2:]] == ["3", "4"]


def test_broken_quotes_cost_one_row(card, registry):
    there = registry({"": b'id,a\n1,"x"y\n2,"two\nlines"\n'})

    broken, whole = harvest(there, table(card))

    assert (broken.key, "line 2" in broken.reason) == (None, True)
    assert whole.payload["a"] == "two\nlines"


@pytest.mark.parametrize(("row", "doubted"), [(b'"a"b,1', True), (b",1,2", True), (b",1", False)])
def test_a_sweep_with_a_row_whose_key_cannot_be_read_is_in_doubt_but_not_one_with_a_row_that_has_none(row, doubted, card, registry):
    there = registry({"": b"id,n\n" + row + b"\n2,x\n"})

    with there.door() as fetch:
        (page,) = collect(table(card), fetch, None)

    assert [item.key for item in page.items] == [None, "2"]
    assert (page.doubt is not None) == doubted


def test_a_file_that_ends_in_a_quoted_cell_is_cut_off(card, registry):
    there = registry({"": b'id,a\n1,x\n2,"cut o'})

    with pytest.raises(ParseError, match="begins at line 3"):
        harvest(there, table(card))


@pytest.mark.parametrize(
    ("options", "fields", "key"),
    [
        ({"key": "No"}, {}, "7"),
        ({"key": ["No", "Name"]}, {}, "7:a b"),
        ({}, {"key": "No"}, "7"),
        ({"digest": ["No", "Name"]}, {}, "eb6d7c6320a50e92"),
    ],
)
def test_a_key_is_a_column_some_columns_or_their_digest(options, fields, key, card, registry):
    source = card("csv", options=options, fields={"title": "Name", **fields})

    (record,) = harvest(registry({"": b"No, Name \n7 , a  b \n"}), source)

    assert record.key == key


def test_a_digest_does_not_depend_on_space(card, registry):
    there = registry({"": b"a,b\nx,y z\n x ,y  z\nxy,z\n"})

    first, second, third = harvest(there, table(card, digest=["a", "b"]))

    assert first.key == second.key != third.key


def test_lines_before_the_header_are_skipped_and_columns_get_names(card, registry):
    there = registry({"": b"Report of 2026\n\nid,,n,n\n1,a,b,c\n"})

    (record,) = harvest(there, table(card, skip=1))

    assert record.payload == {"id": "1", "column 2": "a", "n": "b", "n 2": "c"}


def test_a_long_cell_is_read_whole(card, registry):
    there = registry({"": b"id,a\n1," + b"x" * 300_000})

    (record,) = harvest(there, table(card))

    assert len(record.payload["a"]) == 300_000


def test_a_table_that_has_not_changed_says_so(card, registry):
    there = registry(lambda request: httpx.Response(304 if "if-modified-since" in request.headers else 200))

    with there.door(validators={URL: Validator(None, "Mon, 01 Jan 2026 00:00:00 GMT")}) as fetch:
        (page,) = collect(table(card), fetch, None)

    assert page.unchanged


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"<html></html>", "HTML page where a table was expected"),
        (b"name,b\n1,2\n", "no column 'id', only name, b; set the option 'key'"),
        (b",,\n", "holds no header line"),
        (b"", "answered with nothing"),
    ],
)
def test_what_is_no_table_is_told(content, told, card, registry):
    with pytest.raises(ParseError, match=told):
        harvest(registry({"": content}), table(card))


@pytest.mark.parametrize(
    ("options", "told"), [({"delimiter": ";;"}, "give one character"), ({"key": "a", "digest": ["b"]}, "keep one")]
)
def test_options_that_do_not_fit_are_refused(options, told, card):
    with pytest.raises(CardError, match=told):
        check(table(card, **options))
