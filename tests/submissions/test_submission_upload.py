from __future__ import annotations

import io
import re
import tracemalloc
import zipfile
from collections.abc import Sequence

import httpx
import pytest
import xlsxwriter

from harvesters.ledger import submissions
from harvesters.ledger.participation import SubmissionState
from harvesters.participation.tables import CSV, MAX_FILE, MAX_ROWS, XLSX, parse_column, read_table
from harvesters.site import InvalidValue
from languages.translations import LANGUAGES

from .conftest import SubmissionWorld, hidden

HEADER = [
    "type", "title@en", "title@fr", "publisher.name", "country", "actionLine", "goal", "why.4@en", "page", "start",
]  # fmt: skip
ROW = [
    "Initiative", "Village telecentres", "Télécentres", "Ministry", "Kenya; TZ", "C4", "4\n5", "Girls learn.",
]  # fmt: skip
ROW += ["https://a.example/", "2025-01-01"]
SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def table(*rows: Sequence[str], delimiter: str = ",") -> bytes:
    return "\r\n".join(
        delimiter.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows
    ).encode()


def workbook(*rows: Sequence[object]) -> bytes:
    with xlsxwriter.Workbook(
        output := io.BytesIO(), {"in_memory": True, "strings_to_formulas": False}
    ) as workbook_file:
        sheet = workbook_file.add_worksheet()
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    return output.getvalue()


def with_sheet(content: bytes, old: str, new: str) -> bytes:
    source = zipfile.ZipFile(io.BytesIO(content))
    with zipfile.ZipFile(output := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as package:
        for name in source.namelist():
            text = source.read(name)
            if name == "xl/worksheets/sheet1.xml":
                assert old.encode() in text
                text = text.replace(old.encode(), new.encode())
            package.writestr(name, text)
    return output.getvalue()


async def post(
    client: httpx.AsyncClient, content: bytes, media: str = CSV, **query: str
) -> httpx.Response:
    return await client.post(
        "/submissions/upload", content=content, headers={"Content-Type": media}, params=query
    )


@pytest.mark.parametrize("media", [CSV, XLSX])
async def test_each_row_is_stored_or_refused_with_its_field(
    media: str, world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    bad = ["Initiative", "Another", "", "", "Atlantis", "C4", "4", "", "not an address", "last May"]
    rows = (HEADER, ROW, [""] * len(HEADER), bad, ROW)

    answer = await post(client, table(*rows) if media == CSV else workbook(*rows), media)

    body = answer.json()
    assert answer.status_code == 200, body
    assert (body["accepted"], body["known"], body["refused"]) == (1, 1, 1)
    # In CSV, a row is the number of its line in the file: a cell of the first row has two lines.
    assert [row["row"] for row in body["rows"]] == ([2, 5, 6] if media == CSV else [2, 4, 5])
    assert {result["member"] for result in body["rows"][1]["results"]} == {"page", "start"}
    (item,) = submissions.in_states(world.ledger, [SubmissionState.SUBMITTED], 10)
    assert item.content["title"] == {"en": "Village telecentres", "fr": "Télécentres"}
    assert (item.content["country"], item.content["goal"]) == (["Kenya", "TZ"], ["4", "5"])
    assert item.content["why"] == {"4": {"en": "Girls learn."}}
    assert item.id == body["rows"][0]["id"]
    assert (await client.get(body["rows"][0]["url"])).json()["state"] == "submitted"


async def test_a_dry_run_stores_nothing_and_a_corrected_file_adds_only_what_is_new(
    world: SubmissionWorld, client: httpx.AsyncClient
) -> None:
    dry = (await post(client, table(HEADER, ROW), dry_run="true")).json()
    assert (dry["accepted"], dry["rows"][0]["id"]) == (1, None)
    assert submissions.waiting(world.ledger) == (0, None)
    await post(client, table(HEADER, ROW))
    corrected = [*ROW[:1], "Another", *ROW[2:]]

    again = (await post(client, table(HEADER, ROW, corrected))).json()

    assert (again["accepted"], again["known"], again["refused"]) == (1, 1, 0)
    assert submissions.waiting(world.ledger)[0] == 2


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
async def test_a_filled_template_is_valid(
    suffix: str, language: str, client: httpx.AsyncClient
) -> None:
    template = await client.get(f"/submissions/template.{suffix}", params={"lang": language})
    content = template.content
    names = (
        content.decode("utf-8-sig").strip().split(",") if suffix == "csv" else cells_of(content, 1)
    )
    values = {
        "type": "Initiative", f"title@{language}": "Title", "actionLine": "C4", "goal": "4", "status": "ongoing",
    }  # fmt: skip

    answer = await post(
        client, table(names, [values.get(name, "") for name in names]), dry_run="true"
    )

    assert template.headers["content-disposition"] == f'attachment; filename="submissions.{suffix}"'
    assert all(parse_column(name) for name in names)
    assert answer.json()["accepted"] == 1, answer.json()


def cells_of(content: bytes, row: int) -> list[str]:
    package = zipfile.ZipFile(io.BytesIO(content))
    strings = re.findall(
        r"<si><t[^>]*>([^<]*)</t></si>", package.read("xl/sharedStrings.xml").decode()
    )
    line = re.search(rf'<row r="{row}".*?</row>', package.read("xl/worksheets/sheet1.xml").decode())
    assert line
    return [strings[int(number)] for number in re.findall(r"<v>([0-9]+)</v>", line[0])]


async def test_every_value_that_the_template_lists_is_known(client: httpx.AsyncClient) -> None:
    template = await client.get("/submissions/template.xlsx", params={"lang": "fr"})
    values = zipfile.ZipFile(io.BytesIO(template.content)).read("xl/worksheets/sheet3.xml").decode()
    sheet = zipfile.ZipFile(io.BytesIO(template.content)).read("xl/worksheets/sheet1.xml").decode()
    strings = zipfile.ZipFile(io.BytesIO(template.content)).read("xl/sharedStrings.xml").decode()
    rows = [
        ["Initiative", "Title", country]
        for country in ("Kenya", "Côte d’Ivoire", "États-Unis d’Amérique")
    ]

    checked = await post(client, table(["type", "title@fr", "country"], *rows), dry_run="true")

    assert sheet.count('<dataValidation type="list"') == 11
    assert values.count("<row") > 248
    assert "Côte d’Ivoire" in strings
    findings = [
        result
        for row in checked.json()["rows"]
        for result in row["results"]
        if result["member"] == "country"
    ]
    assert findings == []


@pytest.mark.parametrize("count", [MAX_ROWS + 1, pytest.param(100_000, marks=pytest.mark.nightly)])
async def test_too_many_rows_are_refused_in_bounded_memory(
    client: httpx.AsyncClient, count: int
) -> None:
    rows = [["type", "title@en"], *(["Initiative", f"Title {number}"] for number in range(count))]
    csv, xlsx = table(*rows), workbook(*rows)
    assert max(len(csv), len(xlsx)) < MAX_FILE

    tracemalloc.start()
    answers = [await post(client, csv, CSV), await post(client, xlsx, XLSX)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [answer.status_code for answer in answers] == [413, 413]
    assert all(
        answer.json()["detail"]
        == f"The file has more than {MAX_ROWS} rows. Divide it into several files."
        for answer in answers
    )
    assert peak < 60 * 1024 * 1024


async def test_a_file_over_the_limit_is_refused(client: httpx.AsyncClient) -> None:
    answer = await post(client, b"a" * (MAX_FILE + 1))

    assert answer.status_code == 413
    assert f"{MAX_FILE:,}" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("content", "media", "status", "words"),
    [(b"", CSV, 422, "no line with the names of the columns"),
     (b"type,titel@en\r\nInitiative,A", CSV, 422, "“titel@en” is unknown (did you mean 'title'?)"),
     (b'type,title@en\r\nInitiative,"A', CSV, 422, "is truncated: unexpected end of data, in the row that begins at line 2"),
     ("type,title@fr\r\nInitiative,Été".encode("latin-1"), CSV, 422, "not UTF-8"),
     (b"PK\x03\x04 broken", XLSX, 422, "is not a readable spreadsheet"), (b"<html>", XLSX, 422, "is not a readable spreadsheet"),
     (b"{}", "application/json", 415, "Send text/csv")],
)  # fmt: skip
async def test_a_file_that_cannot_be_read_is_refused(
    content: bytes, media: str, status: int, words: str, client: httpx.AsyncClient
) -> None:
    answer = await post(client, content, media)

    assert (answer.status_code, words in answer.json()["detail"]) == (status, True), answer.json()


def test_semicolons_and_utf_16_are_read() -> None:
    semicolons = table(["type", "title@fr"], ["Initiative", "Été, hiver"], delimiter=";")
    wide = "type\ttitle@fr\r\nInitiative\tÉté, hiver".encode("utf-16")

    read = [read_table(content, CSV)[0].members for content in (semicolons, wide)]

    assert read == [{"type": "Initiative", "title": {"fr": "Été, hiver"}}] * 2


def test_a_formula_has_its_value_and_an_error_none() -> None:
    rows = workbook(["type", "title@en", "goal"], *[["Initiative", "A", 4.0]] * 3)
    cell = '<c r="C{}"><v>4</v></c>'
    content = with_sheet(rows, cell.format(2), '<c r="C2" t="e"><f>1/0</f><v>#DIV/0!</v></c>')
    content = with_sheet(content, cell.format(3), '<c r="C3"><f>2+2</f></c>')
    content = with_sheet(content, cell.format(4), '<c r="C4"><f>2+2</f><v>4</v></c>')

    assert [row.members.get("goal") for row in read_table(content, XLSX)] == [None, None, ["4"]]


async def test_a_formula_as_text_is_a_fault_of_its_row(client: httpx.AsyncClient) -> None:
    text = [["type", "title@en"], ["Initiative", '=HYPERLINK("https://evil.example")']]

    answers = [await post(client, table(*text)), await post(client, workbook(*text), XLSX)]

    assert [body.json()["rows"][0]["results"][0]["member"] for body in answers] == ["title@en"] * 2


async def test_hostile_texts_cost_their_row_or_are_cleaned(
    client: httpx.AsyncClient, world: SubmissionWorld
) -> None:
    rows = [
        ["Initiative", "<script>alert(1)</script>Safe", ""], ["Initiative", "Turned \u202eround\x00", ""],
        ["Initiative", "x" * 301, ""], ["Robot", "A", ""], ["Event", "A", "https://a.example/ javascript:alert(1)"],
    ]  # fmt: skip

    body = (await post(client, table(["type", "title@en", "page"], *rows))).json()

    assert [row["outcome"] for row in body["rows"]] == [
        "accepted", "accepted", "refused", "refused", "refused",
    ]  # fmt: skip
    titles = {
        item.title for item in submissions.in_states(world.ledger, [SubmissionState.SUBMITTED], 10)
    }
    assert titles == {"Safe", "Turned round"}


def test_a_text_that_a_workbook_repeats_without_end_is_refused() -> None:
    content = workbook(["title@en"] * 400, ["a" * 32_000] * 400)

    with pytest.raises(InvalidValue, match="cells have more than 8,388,608 characters"):
        read_table(content, XLSX)


async def test_no_more_than_the_limit_of_a_submitter_is_stored(
    client: httpx.AsyncClient, world: SubmissionWorld
) -> None:
    rows = [["Initiative", f"Number {number}"] for number in range(MAX_ROWS)]

    first = (await post(client, table(["type", "title@en"], *rows))).json()
    more = (await post(client, table(["type", "title@en"], ["Initiative", "One more"]))).json()

    assert (first["accepted"], more["accepted"], more["refused"]) == (MAX_ROWS, 0, 1)
    assert "You have 500 submissions" in more["rows"][0]["results"][0]["message"]
    assert submissions.waiting(world.ledger)[0] == MAX_ROWS


@pytest.fixture
async def person(world: SubmissionWorld, browser: httpx.AsyncClient) -> httpx.AsyncClient:
    await browser.post("/submit/mine", data={"mail": "jane@example.org", "website": ""})
    await browser.post(world.link())
    return browser


async def send(
    person: httpx.AsyncClient, name: str, content: bytes, then: str, csrf: str | None = None
) -> httpx.Response:
    token = hidden(await person.get("/submit/upload"))
    data = {"csrf": csrf or token, "then": then}
    return await person.post("/submit/upload", data=data, files={"file": (name, content)})


async def test_the_form_checks_a_file_then_sends_it(
    person: httpx.AsyncClient, world: SubmissionWorld
) -> None:
    content = workbook(HEADER, ROW, ["Initiative", "Second", *([""] * 6), "nowhere", ""])

    checked = await send(person, "list.xlsx", content, "check")
    nothing = submissions.waiting(world.ledger)
    sent = await send(person, "list.xlsx", content, "send")

    assert nothing == (0, None)
    assert "Valid rows: 1" in checked.text
    assert "Row 3" in sent.text
    assert "Write a web address that begins with https://." in sent.text
    assert "Rows that wait for a moderator: 1" in sent.text
    assert submissions.waiting(world.ledger)[0] == 1


async def test_the_form_shows_what_is_wrong_with_a_file(person: httpx.AsyncClient) -> None:
    answers = [
        await send(person, "list.pdf", b"%PDF", "send"),
        await send(person, "", b"", "send"),
        await send(person, "list.csv", b"colour\r\nred", "send"),
        await send(person, "list.csv", table(HEADER, ROW), "send", csrf="forged"),
    ]

    assert [answer.status_code for answer in answers] == [415, 422, 422, 403]
    assert 'role="alert"' in answers[0].text


async def test_the_form_needs_a_confirmed_address(
    world: SubmissionWorld, browser: httpx.AsyncClient
) -> None:
    page = await browser.get("/submit/upload")
    sent = await browser.post("/submit/upload", files={"file": ("a.csv", table(HEADER, ROW))})

    assert (page.status_code, sent.status_code) == (401, 401)
    assert 'name="mail"' in page.text
    assert 'name="mail"' in sent.text
    assert submissions.waiting(world.ledger) == (0, None)
