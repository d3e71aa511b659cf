"""The page `/validate`: a feed is checked in a process of its own, and nothing of it is kept."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from app_client import asking
from event_loops import session_loop
from lxml import etree
from rows import each

from command_line.settings import Settings
from command_line.site import visitor_commands
from publisher.app import SiteOptions, create_app
from publisher.portal.feed_samples import detect_format
from publisher.portal.visitors import MOST_PREVIEWS, VisitorCommand
from publisher.portal.wizard import MAX_FEED
from publisher.store.query_service import QueryService
from vocab.iris import BASE

REPORT = {
    "feed": "feed", "protocol": "csv", "mapping": "fields", "counts": {"withheld": 2, "publishable": 1}, "passed": False, "plan_note": "",
    "fields": [{"name": "id", "records": 1, "is_read": True, "properties": [], "example": ""},
               {"name": "<b>", "records": 1, "is_read": False, "properties": [], "example": ""}],
    "rules": [{"rule": "ResourceTitle", "level": "error", "message": "It has no title.", "remedy": "Add <one>.",
               "records": 2, "field": "name"},
              {"rule": "feed-missing", "level": "note", "message": "<script>", "remedy": "", "records": 1, "field": ""}],
    "findings": [{"rule": "ResourceTitle", "level": "error", "message": "", "remedy": "",
                  "record": "<k1>", "line": 2, "column": 5, "field": ""}],
    "plan": {"source": "demo", "published_before": 1200, "published_after": 3, "counts": {"lost": 4}, "identities": [["old-1", "new-1"]],
             "missing": ["gone-1"], "hold_reasons": ["too many are missing"], "note": ""},
}  # fmt: skip
ECHO = "import sys; sys.stdin.buffer.read(); print(sys.argv[1])"
ARGUMENTS = "import sys; sys.stdout.write(repr((sys.argv[1:], sys.stdin.buffer.read())))"


def checker(code: str = ECHO, *arguments: str) -> VisitorCommand:
    return VisitorCommand((sys.executable, "-c", code, *arguments), dict(os.environ))


def visitor(service: QueryService, command: VisitorCommand | None) -> httpx.AsyncClient:
    commands = {"check": command} if command else {}
    client: httpx.AsyncClient = asking(create_app(service, site=SiteOptions(commands=commands)))
    return client


@session_loop
async def test_result_is_a_page_in_the_language_of_the_visitor(service: QueryService) -> None:
    headers = {"Accept": "text/html", "Accept-Language": "fr"}
    async with visitor(service, checker(ECHO, orjson.dumps(REPORT).decode())) as client:
        files = {"file": ("a.csv", b"id\n1")}
        page = await client.post("/validate", files=files, headers=headers)

    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    for text in (
        "Il n&#39;y a pas de titre.", "Donnez-lui un titre dans au moins une langue", "&lt;k1&gt;", "&lt;b&gt;", "1\u202f200", "old-1",
        "gone-1", "too many are missing",
    ):  # fmt: skip
        assert text in page.text
    assert "<script>" not in page.text.split("<main")[1]


@session_loop
@each(
    "accept, name, media",
    [("application/json", "json", "application/json"), ("application/sarif+json", "sarif", "application/sarif+json"),
     ("application/xml", "junit", "application/xml"), ("*/*", "json", "application/json")],
)  # fmt: skip
async def test_format_of_the_result_is_negotiated(
    service: QueryService, accept: str, name: str, media: str
) -> None:
    feed, headers = b"id,title\n1,A", {"Accept": accept, "Content-Type": "text/csv"}
    async with visitor(service, checker(ARGUMENTS)) as client:
        answer = await client.post("/validate?as=csv", content=feed, headers=headers)

    words = [f"--format={name}", "--as=csv", "--name=feed.csv", "--", "-"]
    assert answer.headers["content-type"].startswith(media)
    assert answer.text == repr((words, feed))


@session_loop
async def test_a_feed_may_be_longer_than_the_bodies_of_other_requests(
    service: QueryService,
) -> None:
    feed, length = b"x" * (MAX_FEED // 4), "import sys; print(len(sys.stdin.buffer.read()))"
    async with visitor(service, checker(length)) as client:
        body = await client.post("/validate?as=csv", content=feed)
        file = await client.post(
            "/validate",
            files={"file": ("a.csv", feed)},
            data={"as": "csv"},
            headers={"Accept": "application/json"},
        )
        longer = await client.post("/validate?as=csv", content=b"x" * (2 * MAX_FEED))

    assert (body.text.strip(), file.text.strip()) == (str(len(feed)),) * 2
    assert longer.status_code == 413


@session_loop
async def test_address_is_passed_on_and_never_read_as_an_option(service: QueryService) -> None:
    async with visitor(service, checker(ARGUMENTS)) as client:
        fine, odd = [
            await client.post(
                "/validate", data={"url": url}, headers={"Accept": "application/json"}
            )
            for url in ("https://registry.example/feed", "--definition=/etc/passwd")
        ]

    assert "'--', 'https://registry.example/feed'" in fine.text
    assert odd.status_code == 400


@session_loop
@each(
    "query, headers, status",
    [("?as=docx", {}, 400), ("?source=nobody", {}, 400), ("", {"Sec-Fetch-Site": "cross-site"}, 403), ("", {"Accept": "image/png"}, 406)],
)  # fmt: skip
async def test_what_cannot_be_checked_is_refused(
    service: QueryService, query: str, headers: dict[str, Any], status: int
) -> None:
    async with visitor(service, checker(ARGUMENTS)) as client:
        answer = await client.post(
            f"/validate{query}", content=b"x", headers={"Content-Type": "text/csv", **headers}
        )

    assert answer.status_code == status


@session_loop
async def test_check_without_a_result_says_so_and_a_client_has_so_many_in_a_window(
    service: QueryService,
) -> None:
    csv = {"Content-Type": "text/csv"}
    async with visitor(service, checker("pass")) as client:
        page = await client.post("/validate", content=b"x", headers=csv | {"Accept": "text/html"})
        statuses = [
            (await client.post("/validate?as=csv", content=b"x")).status_code
            for _ in range(MOST_PREVIEWS)
        ]

    assert "more time or memory" in page.text
    assert statuses == [422] * (MOST_PREVIEWS - 1) + [429]


@session_loop
async def test_page_without_a_runner_names_the_command(service: QueryService) -> None:
    async with visitor(service, None) as client:
        page = await client.get("/validate", headers={"Accept": "text/html"})
        answer = await client.post("/validate", content=b"x")

    assert "stocktake preflight" in page.text
    assert '<form class="card join"' not in page.text
    assert answer.status_code == 503


def real_checker(folder: Path) -> VisitorCommand:
    """Return the command of an installation in *folder*."""
    ledger = f"sqlite:///{folder}/data/ledger.sqlite"
    places = (folder / "data", folder / "sources")
    return visitor_commands(Settings(*places, BASE, ledger, frozenset(), "a@example.org", "rust"))[
        "check"
    ]


@session_loop
@pytest.mark.parametrize(
    ("media", "parse"),
    [
        ("application/json", orjson.loads),
        pytest.param("application/sarif+json", orjson.loads, marks=pytest.mark.nightly),
        pytest.param("application/xml", etree.fromstring, marks=pytest.mark.nightly),
    ],
)
async def test_result_is_whole_where_the_charset_is_guessed(
    service: QueryService, tmp_path: Path, media: str, parse: Callable[[bytes], object]
) -> None:
    rows = [f"{n};Ação social para educação;Formação de professores em saúde" for n in range(40)]
    feed = "\n".join(["id;title;description", *rows]).encode("latin-1")
    headers = {"Accept": media, "Content-Type": "text/csv"}

    async with visitor(service, real_checker(tmp_path)) as client:
        answer = await client.post("/validate?name=list.csv", content=feed, headers=headers)

    assert answer.headers["content-type"].partition(";")[0] == media
    assert parse(answer.content) is not None


async def test_nothing_of_an_upload_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, words = tmp_path / "tmp", ("--format=json", "--name=feed.csv", "--", "-")
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    feed = b"id,title\nproject-1,Clinics\nproject-2,Schools\n"

    output = await real_checker(tmp_path).check("a", *words, data=feed)

    assert orjson.loads(output)["counts"] == {"publishable": 2}
    assert {*tmp_path.rglob("*")} <= {temporary, tmp_path / "data"}


@each(
    "sample, name",
    [(b"PK\x03\x04rest", "spreadsheet"), (b'{"help": "x", "success": true, "result": []}', "ckan"), (b"BEGIN:VCALENDAR\n", "ical"),
     (b'<?xml version="1.0"?>\n<OAI-PMH xmlns="x">', "oai-pmh"), (b"<iati-activities>", "iati"), (b"<!DOCTYPE html><html>", "web"),
     (b"@prefix dcat: <http://www.w3.org/ns/dcat#> .", "dcat"), (b'{"@context": "https://schema.org"}', "schema"),
     (b'{"conformsTo": "https://project-open-data.cio.gov/v1.1/schema", "dataset": []}', "pod"), (b"no data", None), (b"", None),
     (b"<iati-organisations>", "iati"), (b'Identifier,Title\n1,"Camps\nbase camp of all"\n2,b', "csv"),
     (b'<OAI-PMH><record><metadata><gmd:MD_Metadata xmlns:gmd="x">', "iso19115"), (b'<OAI-PMH><record><metadata><DIF xmlns="x">', "dif"),
     (b'<OAI-PMH><metadata><Project xmlns="https://www.openaire.eu/cerif-profile/1.1/">', "cerif"),
     (b"<csw:GetRecordsResponse><csw:Record>", None),
     (b"<csw:GetRecordsResponse><gmd:MD_Metadata>", "csw-iso19139"),
     (b'<csw:GetRecordsResponse><mdb:MD_Metadata xmlns:mdb="http://standards.iso.org/iso/19115/-3/mdb/2.0">', "csw-iso19115-3"),
     (b"Projects of 2026\n\nid;title\n1;a\n2;b", "csv"),
     (b"BASE <https://a.example/>\nPREFIX dcat: <http://www.w3.org/ns/dcat#>", "dcat")],
)  # fmt: skip
def test_format_is_recognized(sample: bytes, name: str | None) -> None:
    result = detect_format(sample)

    assert (result and result.name) == name
