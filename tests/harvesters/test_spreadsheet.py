from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import replay
import simulated
from rows import each
from simulated import ScriptedRegistry, define_source

from harvesters.page_model import InvalidRecord, Record
from harvesters.reasons import Reason

ROWS = [
    ["Projects of 2026", "", ""], ["id", "name", "town"], ["1", "A", "x"], ["2", "B", "y"], ["2", "B", "z"],
]  # fmt: skip
_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>'
    "</Types>"
)
_BOOK = (
    '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument'
    '/2006/relationships"><sheets><sheet name="Notes" sheetId="1" r:id="r1"/><sheet name="List" sheetId="2" r:id="r2"/></sheets></workbook>'
)
_KIND = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    f'<Relationship Id="r1" Type="{_KIND}/worksheet" Target="worksheets/1.xml"/>'
    f'<Relationship Id="r2" Type="{_KIND}/worksheet" Target="worksheets/2.xml"/></Relationships>'
)

_MANIFEST = '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'


def packed(files: dict[str, str]) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as folder:
        for name, text in files.items():
            folder.writestr(name, text)
    return buffer.getvalue()


def xlsx(
    rows: list[list[str]], merged: str = "", more: str = "", first: Sequence[list[str]] = ()
) -> bytes:
    """Return a workbook with *first* in its first sheet, *rows* and *more* in the second."""

    def sheet(lines: Sequence[list[str]]) -> str:
        cells = (
            f'<row r="{y}">' + "".join(
                f'<c r="{chr(64 + x)}{y}"><v>{cell}</v></c>' if cell.isdigit()
                else f'<c r="{chr(64 + x)}{y}" t="inlineStr"><is><t>{cell}</t></is></c>'
                for x, cell in enumerate(line, 1) if cell
            ) + "</row>"
            for y, line in enumerate(lines, 1)
        )  # fmt: skip
        merges = f'<mergeCells><mergeCell ref="{merged}"/></mergeCells>' if merged and lines else ""
        head = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
        return f"{head}{''.join(cells)}{more if lines else ''}</sheetData>{merges}</worksheet>"

    root = _RELATIONS.replace("worksheets/1.xml", "xl/workbook.xml").replace(
        "/worksheet", "/officeDocument", 1
    )
    return packed({
        "[Content_Types].xml": _TYPES, "_rels/.rels": root, "xl/workbook.xml": _BOOK, "xl/_rels/workbook.xml.rels": _RELATIONS,
        "xl/worksheets/1.xml": sheet(first), "xl/worksheets/2.xml": sheet(rows),
    })  # fmt: skip


def ods(rows: list[list[str]], more: str = "") -> bytes:
    lines = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>'
            for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    tables = f'<table:table table:name="Notes"></table:table><table:table table:name="List">{lines}{more}</table:table>'
    body = f"<office:body><office:spreadsheet>{tables}</office:spreadsheet></office:body>"
    content = f"<office:document-content {spaces}>{body}</office:document-content>"
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    return packed({"mimetype": kind, "META-INF/manifest.xml": _MANIFEST, "content.xml": content})


def harvest(content: bytes, **options: Any) -> list[Any]:
    source = define_source("spreadsheet", options={"sheet": 2, **options})
    return simulated.items(simulated.harvest(ScriptedRegistry({"": content}), source))


@each("write", [xlsx, ods])
@each("sheet", [2, "List"])
def test_the_rows_below_the_header_are_records(write: Callable[..., Any], sheet: int | str) -> None:
    items = harvest(write(ROWS), sheet=sheet)

    assert [item.payload for item in items[:2]] == [
        {"id": "1", "name": "A", "town": "x"},
        {"id": "2", "name": "B", "town": "y"},
    ]


@each(
    "content, options, column, expected",
    [(xlsx(ROWS), {"group": True}, "town", ["x", ["y", "z"]]),
     (xlsx([["id", "name"], ["1", "A"], ["2", ""]], merged="B2:B3"), {}, "name", ["A", "A"]),
     (xlsx([["", "", "id", "name"], ["", "", "1", "A"], ["", "", "2", ""]], merged="D2:D3"), {}, "name", ["A", "A"]),
     (xlsx([["id", "name"], ["Chad"], ["1", "A"], ["2", "B"]], merged="A2:B2"), {"carry": "country"}, "country", ["Chad", "Chad"])],
)  # fmt: skip
def test_merged_cells_and_rows_of_one_key_are_read_as_they_are_meant(
    content: bytes, options: dict[str, Any], column: str, expected: list[Any]
) -> None:
    items = harvest(content, **options)

    assert [item.payload[column] for item in items] == expected


@each(
    "content, further",
    # One sheet spans 33,554,432 cells, one has a value in the last column, and one is filled up
    # with empty cells as LibreOffice does it.
    [(xlsx(ROWS, more='<row r="1048576"><c r="A1048576" s="0"/><c r="AF1048576" s="0"/></row>'), []),
     (xlsx(ROWS, more='<row r="6"><c r="A6"><v>3</v></c><c r="XFD6"><v>9</v></c></row>'), ["9"]),
     (ods(ROWS, more='<table:table-row table:number-rows-repeated="1048570"><table:table-cell'
          ' table:number-columns-repeated="16384"/></table:table-row>'), [])],
)  # fmt: skip
def test_a_sheet_is_read_however_wide_it_says_it_is(content: bytes, further: list[str]) -> None:
    items = harvest(content)

    assert items[0].payload == {"id": "1", "name": "A", "town": "x"}
    assert [item.payload.get("column 16384") for item in items[3:]] == further


@pytest.mark.skipif(not replay.FEEDS.is_dir(), reason=replay.MISSING)
def test_a_legacy_workbook_is_read_with_its_numbers_and_dates() -> None:
    content = (replay.FEEDS / "tabular" / "book.xls").read_bytes()

    (record,) = harvest(content, sheet="basic", key="numeric")

    assert record.key == "1"
    assert record.payload == {"numeric": "1", "date": "2023-07-26", "text": "Hello, World!"}


def test_a_row_without_a_key_is_unreadable_and_known_by_its_number() -> None:
    items = harvest(xlsx([*ROWS, ["", "C", "x"]]))

    assert items[-1] == InvalidRecord(None, Reason("row_without_key", line=6))
    assert [type(item) for item in items[:-1]] == [Record] * 3


def test_rows_of_another_sheet_are_joined_by_their_key() -> None:
    partners = [["project", "partner"], ["1", "UNICEF"], ["1", "WHO"], ["7", "ITU"]]

    items = harvest(xlsx(ROWS[:4], first=partners), join={"Notes": "project"})

    joined = [[row["partner"] for row in item.payload["Notes"]] for item in items[:2]]
    assert joined == [["UNICEF", "WHO"], []]
    assert items[2:] == [InvalidRecord(None, Reason("joined_row_alone", sheet="Notes", key="7"))]  # fmt: skip
