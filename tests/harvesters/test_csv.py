"""One record per row, in any dialect."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from harvesters.errors import ParseError, SourceDefinitionError
from harvesters.page_model import InvalidRecord, Record
from harvesters.protocols.tables.csv_file import check, collect
from harvesters.reasons import Reason
from harvesters.source import Source
from harvesters.stored_response import Validator

from .conftest import DefineSource, Registry, ScriptedRegistry

URL = "https://registry.example/api"


def harvest(server: ScriptedRegistry, source: Source, cursor: str | None = None) -> list[Any]:
    with server.open_client() as fetch:
        return [item for page in collect(source, fetch, None, cursor) for item in page.items]


def table(define_source: DefineSource, **options: Any) -> Source:
    return define_source("csv", options=options)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_the_header_has_most_of(
    mark: str, define_source: DefineSource, registry: Registry
) -> None:
    lines = (mark.join(["id", '"a name, long"', "b"]), mark.join("1xy"))
    server = registry({"": "\n".join(lines).encode()})

    (record,) = harvest(server, table(define_source))

    assert record.payload == {"id": "1", "a name, long": "x", "b": "y"}


@pytest.mark.parametrize(
    ("content", "type_", "options", "name"),
    [("id,n\n1,é".encode(), "text/csv", {}, "é"), (b"\xef\xbb\xbf" + "id,n\n1,é".encode(), "text/csv; charset=latin-1", {}, "é"),
     ("id,n\n1,é".encode("utf-16"), "text/csv", {}, "é"), ("id,n\n1,é".encode("latin-1"), "text/csv; charset=ISO-8859-1", {}, "é"),
     ("id,n\n1,щ".encode("koi8-r"), "text/csv", {"charset": "koi8-r"}, "щ")],
)  # fmt: skip
def test_the_stated_charset_is_used(
    content: bytes,
    type_: str,
    options: dict[str, Any],
    name: str,
    define_source: DefineSource,
    registry: Registry,
) -> None:
    server = registry({"": httpx.Response(200, content=content, headers={"Content-Type": type_})})

    (record,) = harvest(server, table(define_source, **options))

    assert record.payload["n"] == name


@pytest.mark.parametrize(
    ("text", "charset"),
    [("Оцифровка сельских школ и больниц обучение учителей", "cp1251"), ("Ação social para educação", "cp1252"),
     ("Título da descrição: ação social para educação e formação de jovens", "cp1252"),
     ("Título da descrição: ação social e formação", "cp850"),
     ("Educación para niños y niñas en España y Perú", "cp1252"), ("Projet d'éducation à l'école, accès à l'eau", "cp1252"),
     ("Größere Förderung der Bildung für Mädchen in Zürich", "cp1252"), ("Edukacja dzieci i młodzieży w Gdańsku, żywność", "cp1250"),
     ("Nők képzése, tiszta víz és fejlődés, űrkutatás", "cp1250"),
     ("Kız çocukları için eğitim ve içme suyu", "cp1254")],
)  # fmt: skip
def test_a_charset_that_is_stated_nowhere_is_guessed_by_language(
    text: str, charset: str, define_source: DefineSource, registry: Registry
) -> None:
    lines = "id;n\n" + "".join(f"{number};{text}\n" for number in range(9))

    with registry({"": lines.encode(charset)}).open_client() as fetch:
        (page,) = collect(table(define_source), fetch, None, None)

    assert isinstance(page.items[0], Record)
    assert page.items[0].payload["n"] == text
    assert "ã".encode(page.guessed_charset, "ignore") == "ã".encode(charset, "ignore")


def test_bytes_in_which_no_language_shows_are_refused(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": "id,n\n1,é".encode("cp1252")})

    with pytest.raises(ParseError, match=r"not utf-8 at byte 7 \(e9\); set the option 'charset'"):
        harvest(server, table(define_source))


@pytest.mark.parametrize(
    "content",
    [b"id^name^town\n1^a, b; c^x\n", b"'id','name','town'\n'1','a, b; c','x'\n", b"id\tname\ttown\r1\ta, b; c\tx\r",
     b"A list of all, as of May; see notes\n\nid;name;town\n1;a, b; c;x\n".replace(b"a, b; c", b'"a, b; c"'),
     b'"id";"name";"town"\r\n"1";"a, b; c";"x"\r\n'],
)  # fmt: skip
def test_any_dialect_is_read_by_its_header(
    content: bytes, define_source: DefineSource, registry: Registry
) -> None:
    (record,) = harvest(registry({"": content}), table(define_source))

    assert record.payload == {"id": "1", "name": "a, b; c", "town": "x"}


def test_a_definition_may_say_how_a_table_is_quoted(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": b'id,n\n1,"a \\"b\\" c"\n'})

    (record,) = harvest(server, table(define_source, escape="\\"))

    assert record.payload["n"] == 'a "b" c'


def test_rows_of_one_key_are_one_record(define_source: DefineSource, registry: Registry) -> None:
    server = registry({"": b"id,name,town,note\n2,B,x,\n1,A,x,\n2,B,y,late\n2,B,x,\n,C,z,\n"})

    with server.open_client() as fetch:
        (page,) = collect(table(define_source, group=True), fetch, None)

    assert [getattr(item, "payload", item.key) for item in page.items] == [
        None,
        {"id": "1", "name": "A", "town": "x", "note": ""},
        {"id": "2", "name": "B", "town": ["x", "y"], "note": "late"},
    ]


def test_grouped_rows_have_the_newest_time_of_change(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": b"id,at\n1,2024-01-01\n1,2024-03-01\n1,\n"})

    (record,) = harvest(server, table(define_source, group=True, modified="at"))

    assert record.modified == "2024-03-01"


def test_a_ragged_row_is_unreadable_and_known_by_its_line_and_key(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": b"id,a,b\n1,x\n2,x,y,z\n3,x,y,,\n\n,,\n4,x,y\n"})

    items = harvest(server, table(define_source))

    assert items[:2] == [
        InvalidRecord("1", Reason("row_cells", {"line": 2, "count": 2, "expected": 3})),
        InvalidRecord("2", Reason("row_cells", {"line": 3, "count": 4, "expected": 3})),
    ]
    assert [item.key for item in items[2:]] == ["3", "4"]


def test_broken_quotes_cost_one_row(define_source: DefineSource, registry: Registry) -> None:
    server = registry({"": b'id,a\n1,"x"y\n2,"two\nlines"\n'})

    broken, whole = harvest(server, table(define_source))

    assert (broken.key, "line 2" in broken.reason) == (None, True)
    assert whole.payload["a"] == "two\nlines"


@pytest.mark.parametrize(("row", "doubted"), [(b'"a"b,1', True), (b",1,2", True), (b",1", False)])
def test_a_harvest_with_an_unreadable_key_is_incomplete_but_not_one_with_a_missing_key(
    row: bytes, doubted: bool, define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": b"id,n\n" + row + b"\n2,x\n"})

    with server.open_client() as fetch:
        (page,) = collect(table(define_source), fetch, None)

    assert [item.key for item in page.items] == [None, "2"]
    assert (page.incomplete_reason is not None) == doubted


def test_a_file_that_ends_in_a_quoted_cell_is_cut_off(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": b'id,a\n1,x\n2,"cut o'})

    with pytest.raises(ParseError, match="begins at line 3"):
        harvest(server, table(define_source))


@pytest.mark.parametrize(
    ("options", "fields", "key"),
    [({"key": "No"}, {}, "7"), ({"key": ["No", "Name"]}, {}, "7:a b"), ({}, {"key": "No"}, "7"),
     ({"digest": ["No", "Name"]}, {}, "eb6d7c6320a50e92")],
)  # fmt: skip
def test_a_key_is_a_column_some_columns_or_their_digest(
    options: dict[str, Any],
    fields: dict[str, Any],
    key: str,
    define_source: DefineSource,
    registry: Registry,
) -> None:
    source = define_source("csv", options=options, fields={"title": "Name", **fields})

    (record,) = harvest(registry({"": b"No, Name \n7 , a  b \n"}), source)

    assert record.key == key


def test_a_digest_does_not_depend_on_space(define_source: DefineSource, registry: Registry) -> None:
    server = registry({"": b"a,b\nx,y z\n x ,y  z\nxy,z\n"})

    first, second, third = harvest(server, table(define_source, digest=["a", "b"]))

    assert first.key == second.key != third.key


def test_lines_before_the_header_are_skipped_and_columns_get_names(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": b"Report of 2026\n\nid,,n,n\n1,a,b,c\n"})

    (record,) = harvest(server, table(define_source, skip=1))

    assert record.payload == {"id": "1", "column 2": "a", "n": "b", "n 2": "c"}


def test_a_long_cell_is_read_whole(define_source: DefineSource, registry: Registry) -> None:
    server = registry({"": b"id,a\n1," + b"x" * 300_000})

    (record,) = harvest(server, table(define_source))

    assert len(record.payload["a"]) == 300_000


def test_a_table_that_has_not_changed_says_so(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry(
        lambda request: httpx.Response(304 if "if-modified-since" in request.headers else 200)
    )

    with server.open_client(
        validators={URL: Validator(None, "Mon, 01 Jan 2026 00:00:00 GMT")}
    ) as fetch:
        (page,) = collect(table(define_source), fetch, None)

    assert page.unchanged


@pytest.mark.parametrize(
    ("message", "text"),
    [(b"<html></html>", "HTML page where a table was expected"), (b"name,b\n1,2\n", "no column 'id', only name, b; set the option 'key'"),
     (b",,\n", "has no header line"), (b"", "empty response")],
)  # fmt: skip
def test_what_is_no_table_is_reported(
    message: bytes, text: str, define_source: DefineSource, registry: Registry
) -> None:
    with pytest.raises(ParseError, match=text):
        harvest(registry({"": message}), table(define_source))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"delimiter": ";;"}, "write one character"), ({"quote": ""}, "write one character"), ({"key": "a", "digest": ["b"]}, "keep one")],
)  # fmt: skip
def test_options_that_do_not_fit_are_refused(
    options: dict[str, Any], message: str, define_source: DefineSource
) -> None:
    with pytest.raises(SourceDefinitionError, match=message):
        check(table(define_source, **options))


@pytest.mark.parametrize(
    ("rows", "options", "expected"),
    [(["Kenya,1,Wells,a", "Kenya,2,Roads,b", "Peru,1,Wells,c"], {}, 'key = ["country", "number"]'),
     (["Kenya,1,Wells,a", "Peru,1,Roads,b", "Kenya,1,Wells,a"], {}, 'key = ["country", "number"]'),
     (["Kenya,1,Wells,a", "Kenya,1,Wells,a"], {}, ""), (["Kenya,1,Wells,", "Kenya,1,Wells,b"], {}, ""),
     (["Kenya,1,Wells,a", "Peru,1,Roads,b"], {"group": True}, "")],
    ids=["restarts", "same row", "same rows", "no column", "grouped"],
)  # fmt: skip
def test_a_key_of_more_columns_is_proposed_where_rows_share_one(
    rows: list[str],
    options: dict[str, Any],
    expected: str,
    define_source: DefineSource,
    registry: Registry,
) -> None:
    source = table(define_source, key="number", **options)
    server = registry({"": "\n".join(["country,number,kind,note", *rows]).encode()})

    with server.open_client() as fetch:
        (page,) = collect(source, fetch, None)

    assert page.composed_key == expected


def payloads(content: str, define_source: DefineSource, registry: Registry, **options: Any) -> Any:
    items = harvest(registry({"": content.encode()}), table(define_source, **options))
    return [getattr(item, "payload", getattr(item, "cause", None)) for item in items]


def test_a_header_that_repeats_is_no_record(
    define_source: DefineSource, registry: Registry
) -> None:
    rows = payloads("id,n\n1,a\n id ,n\n2,b\n", define_source, registry)

    assert rows == [{"id": "1", "n": "a"}, {"id": "2", "n": "b"}]


@pytest.mark.parametrize(
    "content",
    ["country,id,n\nChad,1,a\n,2,b\nMali,1,c\n", "country,id,n\nChad,,\n,1,a\n,2,b\nMali,,\n,1,c\n",
     "id,n\nChad,\n1,a\n2,b\n,Mali\n1,c\n", "id,n\nChad\n1,a\n2,b\nMali\n1,c\n"],
    ids=["empty cells", "a heading in its column", "a heading in any column", "short lines"],
)  # fmt: skip
def test_a_heading_is_carried_into_the_rows_below(
    content: str, define_source: DefineSource, registry: Registry
) -> None:
    rows = payloads(content, define_source, registry, key=["country", "id"], carry="country")

    assert [(row["country"], row["id"], row["n"]) for row in rows] == [
        ("Chad", "1", "a"), ("Chad", "2", "b"), ("Mali", "1", "c"),
    ]  # fmt: skip


def test_a_new_heading_ends_what_later_columns_carry(
    define_source: DefineSource, registry: Registry
) -> None:
    content = "region,country,id,n\nAfrica,Chad,1,a\n,,2,b\nAsia,,3,c\n"

    rows = payloads(content, define_source, registry, carry=["region", "country"])

    assert [row["country"] for row in rows] == ["Chad", "Chad", ""]


def test_headings_fill_one_column_that_the_table_lacks(
    define_source: DefineSource, registry: Registry
) -> None:
    with pytest.raises(ParseError, match="has no columns 'region', 'country', which the option"):
        payloads("id,n\n1,a\n", define_source, registry, carry=["region", "country"])


def test_a_row_without_a_key_continues_the_one_above(
    define_source: DefineSource, registry: Registry
) -> None:
    content = "id,n,partner\n,lost,\n1,a,x\n,,y\n,,z\n2,b,x\n,too,many,cells\n,,w\n"

    rows = payloads(content, define_source, registry, continued=True)

    assert rows == [
        Reason("row_without_key", {"line": 2}),
        {"id": "1", "n": "a", "partner": ["x", "y", "z"]},
        {"id": "2", "n": "b", "partner": "x"},
        Reason("row_cells", {"line": 7, "count": 4, "expected": 3}),
        Reason("row_without_key", {"line": 8}),
    ]


def test_a_heading_of_rows_that_continue_is_in_the_first_column(
    define_source: DefineSource, registry: Registry
) -> None:
    content = "id,n\nChad,\n1,a\n,b\nMali,\n1,c\n"

    rows = payloads(
        content, define_source, registry, key=["country", "id"], carry="country", continued=True
    )

    assert [(row["country"], row["n"]) for row in rows] == [("Chad", ["a", "b"]), ("Mali", "c")]


@pytest.mark.parametrize("options", [{}, {"charset": "latin-1"}])
def test_text_called_latin_1_that_leaves_control_characters_is_windows_1252(
    options: dict[str, Any], define_source: DefineSource, registry: Registry
) -> None:
    content = "id,n\n1,“é”".encode("cp1252")
    reply = httpx.Response(
        200, content=content, headers={"Content-Type": "text/csv; charset=ISO-8859-1"}
    )

    (record,) = harvest(registry({"": reply}), table(define_source, **options))

    assert record.payload["n"] == "“é”"


def test_a_charset_that_leaves_control_characters_is_refused(
    define_source: DefineSource, registry: Registry
) -> None:
    server = registry({"": "id,n\n“1”,a".encode("cp1252")})

    with pytest.raises(ParseError, match=r"has the control character U\+0093; set the option"):
        harvest(server, table(define_source, charset="iso-8859-15"))


def test_a_key_with_a_control_character_is_no_key(
    define_source: DefineSource, registry: Registry
) -> None:
    rows = payloads("id,n\nA\x851,a\n", define_source, registry)

    assert rows == [Reason("row_key_control", {"line": 2, "character": "U+0085"})]
