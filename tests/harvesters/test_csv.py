from __future__ import annotations

from typing import Any

import httpx
import simulated
from rows import each
from simulated import ScriptedRegistry, define_source

from harvesters.page_model import InvalidRecord, Page, Record
from harvesters.reasons import Reason
from harvesters.source import Source


def items(content: Any, **options: Any) -> list[Any]:
    return simulated.items([page_of(content, define_source("csv", options=options))])


def page_of(content: Any, source: Source) -> Page[Any]:
    (page,) = simulated.harvest(ScriptedRegistry({"": content}), source)
    return page


def payloads(content: Any, **options: Any) -> list[Any]:
    return [
        getattr(item, "payload", getattr(item, "cause", None)) for item in items(content, **options)
    ]


DIALECTS = [
    b"id^name^town\n1^a, b; c^x\n", b"'id','name','town'\n'1','a, b; c','x'\n", b"id\tname\ttown\r1\ta, b; c\tx\r",
    b'A list of all, as of May; see notes\n\nid;name;town\n1;"a, b; c";x\n', b'"id";"name";"town"\r\n"1";"a, b; c";"x"\r\n',
]  # fmt: skip


@each(
    "content, options, expected",
    [*((mark.join(["id", '"a name, long"', "b"]) + "\n" + mark.join("1xy"), {}, [{"id": "1", "a name, long": "x", "b": "y"}])
       for mark in ",;\t|"),
     *((content, {}, [{"id": "1", "name": "a, b; c", "town": "x"}]) for content in DIALECTS),
     (b'id,n\n1,"a \\"b\\" c"\n', {"escape": "\\"}, [{"id": "1", "n": 'a "b" c'}]),
     (b"Report of 2026\n\nid,,n,n\n1,a,b,c\n", {}, [{"id": "1", "column 2": "a", "n": "b", "n 2": "c"}]),
     # A header that comes again further down is no record.
     ("id,n\n1,a\n id ,n\n2,b\n", {}, [{"id": "1", "n": "a"}, {"id": "2", "n": "b"}]),
     ("id,n\nA\x851,a\n", {}, [Reason("line %(line)s: the key has the control character %(character)s; set the option "
"'charset' to that of the text", line=2, character="U+0085")]),
     (b"id,a\n1," + b"x" * 300_000, {}, [{"id": "1", "a": "x" * 300_000}]),
     (b"id,name,town,note\n2,B,x,\n1,A,x,\n2,B,y,late\n2,B,x,\n,C,z,\n", {"group": True},
      [Reason("row_without_key", line=6), {"id": "1", "name": "A", "town": "x", "note": ""},
       {"id": "2", "name": "B", "town": ["x", "y"], "note": "late"}]),
     ("id,n,partner\n,lost,\n1,a,x\n,,y\n,,z\n2,b,x\n,too,many,cells\n,,w\n", {"continued": True},
      [Reason("row_without_key", line=2), {"id": "1", "n": "a", "partner": ["x", "y", "z"]}, {"id": "2", "n": "b", "partner": "x"},
       Reason("line %(line)s: %(count)s cells where the header has %(expected)s", line=7, count=4, expected=3),
       Reason("row_without_key", line=8)])],
)  # fmt: skip
def test_a_table_of_any_dialect_is_read_by_its_header(
    content: Any, options: dict[str, Any], expected: list[Any]
) -> None:
    assert payloads(content, **options) == expected


@each(
    "content, type_, options, name",
    [("id,n\n1,é".encode(), "text/csv", {}, "é"), (b"\xef\xbb\xbf" + "id,n\n1,é".encode(), "text/csv; charset=latin-1", {}, "é"),
     ("id,n\n1,é".encode("utf-16"), "text/csv", {}, "é"), ("id,n\n1,é".encode("latin-1"), "text/csv; charset=ISO-8859-1", {}, "é"),
     ("id,n\n1,щ".encode("koi8-r"), "text/csv", {"charset": "koi8-r"}, "щ"),
     # A text is windows-1252 if it is called latin-1 and would have control characters as such.
     *(("id,n\n1,“é”".encode("cp1252"), "text/csv; charset=ISO-8859-1", options, "“é”") for options in ({}, {"charset": "latin-1"}))],
)  # fmt: skip
def test_the_stated_charset_is_used(
    content: bytes, type_: str, options: dict[str, Any], name: str
) -> None:
    reply = httpx.Response(200, content=content, headers={"Content-Type": type_})

    assert payloads(reply, **options) == [{"id": "1", "n": name}]


@each(
    "text, charset",
    [("Оцифровка сельских школ и больниц обучение учителей", "cp1251"), ("Ação social para educação", "cp1252"),
     ("Título da descrição: ação social para educação e formação de jovens", "cp1252"),
     ("Título da descrição: ação social e formação", "cp850"),
     ("Educación para niños y niñas en España y Perú", "cp1252"), ("Projet d'éducation à l'école, accès à l'eau", "cp1252"),
     ("Größere Förderung der Bildung für Mädchen in Zürich", "cp1252"), ("Edukacja dzieci i młodzieży w Gdańsku, żywność", "cp1250"),
     ("Nők képzése, tiszta víz és fejlődés, űrkutatás", "cp1250"),
     ("Kız çocukları için eğitim ve içme suyu", "cp1254")],
)  # fmt: skip
def test_a_charset_that_is_stated_nowhere_is_guessed_by_language(text: str, charset: str) -> None:
    lines = "id;n\n" + "".join(f"{number};{text}\n" for number in range(9))

    page = page_of(lines.encode(charset), define_source("csv"))

    assert isinstance(page.items[0], Record)
    assert page.items[0].payload["n"] == text
    assert "ã".encode(page.guessed_charset, "ignore") == "ã".encode(charset, "ignore")


def test_grouped_rows_have_the_newest_time_of_change() -> None:
    content = b"id,at\n1,2024-01-01\n1,2024-03-01\n1,\n"

    (record,) = items(content, group=True, modified="at")

    assert record.modified == "2024-03-01"


def test_a_ragged_row_is_unreadable_and_known_by_its_line_and_key() -> None:
    rows = items(b"id,a,b\n1,x\n2,x,y,z\n3,x,y,,\n\n,,\n4,x,y\n")

    assert rows[:2] == [
        InvalidRecord(
            "1",
            Reason(
                "line %(line)s: %(count)s cells where the header has %(expected)s",
                line=2,
                count=2,
                expected=3,
            ),
        ),
        InvalidRecord(
            "2",
            Reason(
                "line %(line)s: %(count)s cells where the header has %(expected)s",
                line=3,
                count=4,
                expected=3,
            ),
        ),
    ]
    assert [item.key for item in rows[2:]] == ["3", "4"]


def test_broken_quotes_cost_one_row() -> None:
    broken, whole = items(b'id,a\n1,"x"y\n2,"two\nlines"\n')

    assert (broken.key, "line 2" in broken.reason) == (None, True)
    assert whole.payload["a"] == "two\nlines"


@each("row, doubted", [(b'"a"b,1', True), (b",1,2", True), (b",1", False)])
def test_a_harvest_with_an_unreadable_key_is_incomplete_but_not_one_with_a_missing_key(
    row: bytes, doubted: bool
) -> None:
    page = page_of(b"id,n\n" + row + b"\n2,x\n", define_source("csv"))

    assert [item.key for item in page.items] == [None, "2"]
    assert (page.incomplete_reason is not None) == doubted


@each(
    "options, fields, key",
    [({"key": "No"}, {}, "7"), ({"key": ["No", "Name"]}, {}, "7:a b"), ({}, {"key": "No"}, "7"),
     ({"digest": ["No", "Name"]}, {}, "eb6d7c6320a50e92")],
)  # fmt: skip
def test_a_key_is_a_column_some_columns_or_their_digest(
    options: dict[str, Any], fields: dict[str, Any], key: str
) -> None:
    source = define_source("csv", options=options, fields={"title": "Name", **fields})

    assert [item.key for item in page_of(b"No, Name \n7 , a  b \n", source).items] == [key]


def test_a_digest_does_not_depend_on_space() -> None:
    first, second, third = items(b"a,b\nx,y z\n x ,y  z\nxy,z\n", digest=["a", "b"])

    assert first.key == second.key != third.key


@each(
    "rows, options, expected",
    [(["Kenya,1,Wells,a", "Kenya,2,Roads,b", "Peru,1,Wells,c"], {}, 'key = ["country", "number"]'),
     (["Kenya,1,Wells,a", "Peru,1,Roads,b", "Kenya,1,Wells,a"], {}, 'key = ["country", "number"]'),
     (["Kenya,1,Wells,a", "Kenya,1,Wells,a"], {}, ""), (["Kenya,1,Wells,", "Kenya,1,Wells,b"], {}, ""),
     (["Kenya,1,Wells,a", "Peru,1,Roads,b"], {"group": True}, "")],
)  # fmt: skip
def test_a_key_of_more_columns_is_proposed_where_rows_share_one(
    rows: list[str], options: dict[str, Any], expected: str
) -> None:
    source = define_source("csv", options={"key": "number", **options})

    page = page_of("\n".join(["country,number,kind,note", *rows]), source)

    assert page.composed_key == expected


CARRIED = {"key": ["country", "id"], "carry": "country"}


@each(
    "content, options, countries",
    # A value is carried into the empty cells below it.
    [("country,id,n\nChad,1,a\n,2,b\nMali,1,c\n", CARRIED, ["Chad", "Chad", "Mali"]),
     # A heading may be a row of its own, in the column that it is about.
     ("country,id,n\nChad,,\n,1,a\n,2,b\nMali,,\n,1,c\n", CARRIED, ["Chad", "Chad", "Mali"]),
     # A heading without a column of its own may be in any column.
     ("id,n\nChad,\n1,a\n2,b\n,Mali\n1,c\n", CARRIED, ["Chad", "Chad", "Mali"]),
     # The line of a heading may lack the other cells.
     ("id,n\nChad\n1,a\n2,b\nMali\n1,c\n", CARRIED, ["Chad", "Chad", "Mali"]),
     ("country,id,n\nChad,1,a\n,2,b\nMali,1,c\n", {**CARRIED, "carry": ["country"]}, ["Chad", "Chad", "Mali"]),
     # Where rows may continue a record, a heading is in the first column.
     ("id,n\nChad,\n1,a\n,b\nMali,\n1,c\n", {**CARRIED, "continued": True}, ["Chad", "Mali"])],
)  # fmt: skip
def test_a_heading_is_carried_into_the_rows_below(
    content: str, options: dict[str, Any], countries: list[str]
) -> None:
    rows = payloads(content, **options)

    assert [row["country"] for row in rows] == countries
    assert "".join(mark for row in rows for mark in row["n"]) == "abc"
