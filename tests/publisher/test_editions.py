"""Editions of a release without a server: all links lead to files, the search and the queries
answer as the portal does.
"""

from __future__ import annotations

import asyncio
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import httpx
import pytest
from browser import Browser
from libzim.reader import Archive
from libzim.search import Query, Searcher
from live_server import ROOT, served
from processes import Process, free_port, started, wait_for_url
from publish_fixture import copy_data
from rows import each
from small_world import IRIS, THINGS, build, record_rows
from typer.testing import CliRunner
from waiting import wait_until

from command_line.releases import export as app
from journal.journal import Journal
from publisher.editions.crawler import LOG, Addresses, Crawler, Target, file_name, rewrite
from publisher.editions.site import (
    ENGINE,
    EXAMPLES,
    Edition,
    export_site,
    link_release_data,
)
from publisher.errors import ReleaseError, ReleaseNotFound, Withdrawn
from publisher.pages import BUNDLE_FOLDER
from publisher.portal.figures import Gap, all_codes
from publisher.releases.builder import build_release
from publisher.sparql.examples import example
from publisher.store.releases import find_release, write_manifest
from publisher.store.verification import build_local
from vocab.initiative import Initiative, Text
from web.branding import Branding
from web.templating import static_url

ADDRESSES = Addresses(1, ("en", "ar"), "https://stocktaking.example", frozenset({"2025-05"}))
NOW = datetime(2026, 3, 3, tzinfo=UTC)
LANGUAGES = ("en", "ar")
PLAIN = 22  # More things that are alike would only make the export longer.
# The schemes, areas and terms of goals that are exported: all others would only add pages of the
# same kinds.
SCHEMES = {"action-line", "activity-type", "area", "coverage", "itu-region", "prize-category"}
SCHEMES |= {"prize-stage", "sdg", "stakeholder-type", "status"}
AREAS = {"001", "002", "014", "202", "404", "co"}
OF_GOALS = re.compile(r"\d+|3\.8|9\.\w+|C0308\w+|C09\w+|ontology#\w+")
BEFORE = 100  # the least number of files that the interrupted run finishes
GAPS = 12  # codes of a facet that may be listed as having no initiative
NAMED = re.compile(r"<http://metadata\.un\.org/sdg/(codes/geoArea/)?([^/>]+)>")
LINK = re.compile(r'<(\w+)[^>]*?\s(?:href|src|action)="([^"]*)"')
OUTSIDE = ("http:", "https:", "mailto:", "tel:")


class Exported(NamedTuple):
    folder: Path
    finished_before: int  # files that the interrupted run finished
    first_progress: int  # files that were finished at the first report of the second run


def is_exported(graph: str, statement: str) -> bool:
    """Return whether the scheme of *graph*, and all that *statement* names, are exported."""
    return graph.partition("scheme/")[2] in {*SCHEMES, ""} and all(
        term in AREAS if is_area else OF_GOALS.fullmatch(term)
        for is_area, term in NAMED.findall(statement)
    )


def released(data: Path) -> Edition:
    build(data, THINGS[: PLAIN + 4], is_exported)
    return Edition(data, IRIS, build_release(data, IRIS, NOW), LANGUAGES, Branding())


def export(edition: Edition, folder: Path) -> list[int]:
    counts = list[int]()
    asyncio.run(
        export_site(edition, folder, lambda _: None, lambda finished, _: counts.append(finished))
    )
    return counts


@pytest.fixture(scope="module")
def edition(tmp_path_factory: pytest.TempPathFactory) -> Edition:
    return released(tmp_path_factory.mktemp("edition") / "data")


@pytest.fixture
def own_edition(edition: Edition, tmp_path: Path) -> Edition:
    """Return a copy of the edition whose data a test may change."""
    return replace(edition, data=shutil.copytree(edition.data, tmp_path / "data"))


@pytest.fixture(scope="module")
def endpoint(edition: Edition, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of the endpoint of a server over the same data."""
    copied = copy_data(edition.data, tmp_path_factory.mktemp("endpoint"))
    build_local(copied, IRIS)
    with served(copied, {"STOCKTAKE_QUERY_LIMITS": "budget=0"}) as url:
        yield f"{url}/sparql"


@pytest.fixture(scope="module")
def exported(edition: Edition, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Export with the command, kill it, and continue the export in this process."""
    folder = tmp_path_factory.mktemp("site") / "out"
    log = folder / LOG
    line = [
        sys.executable, "-m", "stocktake", "export", "site", "--output", str(folder), "--languages", ",".join(LANGUAGES),
    ]  # fmt: skip
    process = Process(line, env={**os.environ, "STOCKTAKE_DATA": str(edition.data)}, cwd=ROOT)
    try:
        wait_until(
            lambda: log.exists() and log.read_bytes().count(b"\n") > BEFORE,
            "the first pages",
            output=process.output,
        )
    finally:
        process.discard()
    finished_before = log.read_bytes().count(b"\n") - 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Gap, "codes", property(_some_codes))
        return Exported(folder, finished_before, export(edition, folder)[0])


def _some_codes(gap: Gap) -> Sequence[str]:
    """Return the first codes of a facet that may have no initiative."""
    return all_codes(gap.facet, gap.data.names.iris)[:GAPS]


@pytest.fixture(scope="module")
def site(exported: Exported) -> Iterator[str]:
    """Serve the files as `python -m http.server` does; yield the address."""
    handler = partial(_Quiet, directory=str(exported.folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def links(exported: Exported) -> list[tuple[Path, str, str]]:
    """Return all links of all pages: the page, the element and the address."""
    return [
        (file, element, link.replace("&amp;", "&"))
        for file in exported.folder.rglob("*.html")
        for element, link in LINK.findall(file.read_text(encoding="utf-8"))
    ]


def test_every_link_leads_to_a_file(exported: Exported, links: list[tuple[Path, str, str]]) -> None:
    files = {str(path) for path in exported.folder.rglob("*") if path.is_file()}
    inside = {
        (file, unquote(link.partition("#")[0].partition("?")[0]))
        for file, _, link in links
        if not link.startswith(OUTSIDE)
    }

    targets = {(file, path): os.path.normpath(file.parent / path) for file, path in inside if path}
    assert [pair for pair, target in targets.items() if target not in files] == []
    assert len(inside) > 10_000


def test_no_page_loads_anything_from_elsewhere(links: list[tuple[Path, str, str]]) -> None:
    for file, element, link in links:
        if element != "a" and link.startswith(OUTSIDE):
            assert 'rel="' in link or file.parts[-2] == "reports", (file, link)


def test_every_thing_and_every_concept_has_a_page_in_each_language(exported: Exported) -> None:
    for language in LANGUAGES:
        pages = exported.folder / language

        names = {file.name for file in (pages / "page/initiative/demo").glob("*.html")}

        assert {
            f"{file_name(key)}.html" for key in ("a%2F1", "evil", *map(str, range(PLAIN)))
        } <= names
        assert len([*(pages / "record/demo").glob("*.html")]) == PLAIN + 4
        assert {"c1.html", "c7-ehea.html"} <= {
            re.sub("~[0-9a-f]+", "", file.name)
            for file in (pages / "scheme/action-line").glob("*.html")
        }
        assert f'lang="{language}"' in (pages / "trends.html").read_text(encoding="utf-8")[:200]


def test_an_interrupted_export_is_continued_and_files_of_the_release_are_copied(
    exported: Exported, edition: Edition
) -> None:
    assert exported.first_progress > exported.finished_before >= BEFORE
    assert not (exported.folder / LOG).exists()
    assert not (edition.data / "editions/1").exists()

    files = {path.name: path.read_bytes() for path in (exported.folder / "releases/1").iterdir()}

    assert {file.name for file in edition.release.files} <= files.keys()
    assert (
        files["initiatives.csv.gz"] == (edition.data / "releases/1/initiatives.csv.gz").read_bytes()
    )


def test_charts_are_part_of_the_pages(exported: Exported) -> None:
    for page in ("trends", "map", "page/organization/demo/ministry-of-health"):
        assert re.search(
            "<svg[^>]*viewbox",
            (exported.folder / f"en/{page}.html").read_text(encoding="utf-8"),
            re.IGNORECASE,
        )


def searched(browser: Browser, url: str) -> list[str]:
    """Open the search and return the addresses of its results."""
    browser.open(url)
    wait_until(lambda: browser.run("document.body.dataset.searched") == "true", "the results")
    return list(
        browser.run("[...document.querySelectorAll('#results a')].map((link) => link.href)")
    )


def total_of(browser: Browser) -> int:
    count = "document.querySelector('#found').textContent.replace(/\\D/g, '')"
    return int(browser.run(f"parseInt({count} || '0')"))


def load_data(browser: Browser) -> None:
    """Load the data of the query page; wait until a query can be run."""
    browser.run("document.querySelector('#load').click()")
    wait_until(
        lambda: browser.run("!document.querySelector('#query-form').elements.run.disabled"),
        "the data to be loaded",
    )


@each(
    "query",
    ["q=network&kind=initiative", "q=clinics&line=C7-ehea", "q=telemedicine", "q=Télémédecine"],
)
def test_the_search_finds_all_that_the_portal_finds(
    browser: Browser, site: str, endpoint: str, query: str
) -> None:
    address = f"{endpoint.removesuffix('/sparql')}/search?format=json&per=1000&{query}"
    result = httpx.get(address, timeout=60).json()["results"]
    files = {f"{file_name(item['thing'].rpartition('/')[2])}.html" for item in result}

    searched(browser, f"{site}/en/search.html?{query}")
    browser.run(
        "while (!document.querySelector('#more').hidden) document.querySelector('#more').click()"
    )
    links = browser.run("[...document.querySelectorAll('#results a')].map((link) => link.href)")

    assert result
    assert files <= {unquote(link.rpartition("/")[2]) for link in links}


@each(
    "query",
    ["goal=3&kind=initiative", "line=C2", "country=404", "source=demo&kind=event", "q=zzz", "year=2023"],
)  # fmt: skip
def test_facets_count_what_the_portal_counts(
    browser: Browser, site: str, endpoint: str, query: str
) -> None:
    portal = httpx.get(
        f"{endpoint.removesuffix('/sparql')}/search?format=json&{query}", timeout=60
    ).json()

    searched(browser, f"{site}/en/search.html?{query}")

    assert total_of(browser) == portal["total"]


def test_the_search_works_from_a_disk_and_leads_to_pages(
    browser: Browser, exported: Exported
) -> None:
    browser.request_log.clear()

    links = searched(browser, f"{exported.folder.as_uri()}/en/search.html?q=Telemedicine")
    total = total_of(browser)
    browser.open(links[0])

    heading = browser.run("document.querySelector('h1').textContent").strip()
    assert total >= 1
    assert heading == "Telemedicine for remote clinics"
    assert [url for url in browser.request_log if not url.startswith(("file:", "data:"))] == []


def test_the_form_of_a_page_leads_to_the_search(browser: Browser, site: str) -> None:
    browser.open(f"{site}/ar/index.html")
    browser.leave(
        "document.querySelector('#q').value = 'network'; document.querySelector('form').submit()"
    )
    wait_until(lambda: browser.run("document.body.dataset.searched") == "true", "the results")

    assert "/ar/search.html?q=network" in browser.run("location.href")
    assert browser.run("document.querySelectorAll('#results li').length") == 20


def rows(document: dict[str, Any]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in document["results"]["bindings"])


def test_ten_example_queries_answer_from_a_disk_as_the_endpoint_does(
    browser: Browser, exported: Exported, endpoint: str
) -> None:
    if not (BUNDLE_FOLDER / ENGINE).is_file():
        pytest.skip("the scripts of the query page were not built, for which npm is needed")
    browser.open(f"{exported.folder.as_uri()}/en/query.html?example=initiatives-by-goal")
    assert "MB" in browser.run("document.querySelector('#query-form p').textContent")
    assert not [url for url in browser.request_log if url.endswith("statements.js")]
    load_data(browser)

    for name in EXAMPLES:
        text = text_of(name)
        answer = httpx.get(endpoint, params={"query": text, "format": "json"}, timeout=60).json()
        mine = json.loads(browser.run(f"stocktakeQuery.json({json.dumps(text)})"))

        assert rows(mine) == rows(answer), name
        assert rows(mine) or name in ("organizations",), name
    browser.run("document.querySelector('#query-form').requestSubmit()")
    assert browser.run("document.querySelectorAll('#result tbody tr').length") > 10
    assert browser.run("document.querySelector('#query').value") == text_of("initiatives-by-goal")


def test_a_wrong_query_shows_its_error(browser: Browser, exported: Exported) -> None:
    if not (BUNDLE_FOLDER / ENGINE).is_file():
        pytest.skip("the scripts of the query page were not built, for which npm is needed")
    browser.open(f"{exported.folder.as_uri()}/en/query.html?show=SELECT%20nothing")
    load_data(browser)
    browser.run("document.querySelector('#query-form').requestSubmit()")

    assert "expected" in browser.run("document.querySelector('#state').textContent")


@each("page", ["index", "search", "query", "needs-server"])
def test_pages_of_the_edition_have_no_fault_that_axe_finds(
    browser: Browser, site: str, packages: Path, page: str
) -> None:
    for language, width in (("en", 1280), ("ar", 320)):
        browser.open(f"{site}/{language}/{page}.html", width)

        assert browser.faults(packages) == []
        assert browser.run("document.documentElement.scrollWidth") <= width


@each(
    "href, file",
    [("/page/initiative/demo/a%2F1", "en/page/initiative/demo/a-1~773232abe9.html"), ("/?lang=ar", "ar/index.html"),
     ("https://stocktaking.example/releases/", "en/releases.html"), ("/search?line=C2&view=table", "en/search.html"),
     ("/sparql?example=matrix", "en/query.html"), ("/static/style.css", "static/style.css"),
     ("/releases/1/CITATION.cff", "releases/1/CITATION.cff"), ("/events?month=2025-05", "en/events~26c3bb2d5e.html"),
     ("/data/initiative/demo/Con.ttl", "data/initiative/demo/con~76f6a4ad8e.ttl")],
)  # fmt: skip
def test_an_address_has_a_file(href: str, file: str) -> None:
    target = ADDRESSES.resolve(href, "/topics", "en")

    assert isinstance(target, Target)
    assert re.sub("~[0-9a-f]{10}", "~", target.file) == re.sub("~[0-9a-f]{10}", "~", file)


def text_of(name: str) -> str:
    listed = example(IRIS, name)
    assert listed is not None
    return listed.text


def test_no_two_addresses_share_a_file() -> None:
    keys = ["a%2F1", "a-1", "A-1", "a/1", "a%3F1", "..", "nul", "é" * 99]
    paths = [f"/page/x/{key}" for key in keys]
    files = [ADDRESSES.target(path, [], "en").file.lower() for path in paths]

    assert len({*files}) == len(paths)
    assert all(
        re.fullmatch(r"[a-z0-9/~._-]+", file) and ".." not in file.split("/") for file in files
    )


@each(
    "href",
    ["/sparql?query=ASK{}", "/search?region=africa", "/events?month=1999-01", "/feeds/all.atom", "/join", "/releases/2/a.csv", "/admin"],
)  # fmt: skip
def test_an_address_that_needs_a_server_has_no_file(href: str) -> None:
    assert ADDRESSES.resolve(href, "/", "en") == Target("", "en", "en/needs-server.html")


def test_a_page_loses_scripts_and_forms_that_need_a_server() -> None:
    page = b"""<!doctype html><html><head><script src="/static/embed.js"></script><link rel="alternate" href="/feeds/all.atom"></head><body>
    <form action="/validate"><input></form><form action="/search"><input name="q"></form><a href="/join#x">j</a><a href="#y">y</a>
    <details class="embed">x</details><a href="//[">odd</a></body></html>"""

    text = rewrite(page, ADDRESSES, Target("/topics", "en", "en/topics.html"))[0].decode()

    assert "script" not in text
    assert "atom" not in text
    assert "details" not in text
    assert text.count("<form") == 1
    assert '<form action="search.html">' in text
    assert text.count('href="needs-server.html"') == 2
    assert 'href="#y"' in text


async def test_an_export_whose_page_ends_without_a_response_is_not_finished(tmp_path: Path) -> None:
    def cancel(request: httpx.Request) -> httpx.Response:
        raise asyncio.CancelledError

    async with httpx.AsyncClient(transport=httpx.MockTransport(cancel)) as client:
        crawler = Crawler(client, ADDRESSES, tmp_path, {}, lambda *_: None)

        with pytest.raises(ReleaseError, match=r"ended with 0 of 1 files; run it again"):
            await crawler.run([Target("https://stocktaking.example/", "en", "index.html")])


async def test_an_export_that_is_cancelled_leaves_no_worker(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def wait_forever(request: httpx.Request) -> httpx.Response:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError(request)

    before = asyncio.all_tasks()
    async with httpx.AsyncClient(transport=httpx.MockTransport(wait_forever)) as client:
        crawler = Crawler(client, ADDRESSES, tmp_path, {}, lambda *_: None)
        first = Target("https://stocktaking.example/", "en", "index.html")
        export_task = asyncio.create_task(crawler.run([first]))
        await begun.wait()
        export_task.cancel()
        await asyncio.wait([export_task])

    assert export_task.cancelled()
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("mine.txt", "x", "is not empty"), (LOG, '{"release": 7}\n', "something else")],
)
def test_a_folder_with_other_files_or_another_release_is_refused(
    edition: Edition, tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(ReleaseError, match=message):
        export(edition, tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_the_data_of_a_release_end_with_it(own_edition: Edition) -> None:
    data = own_edition.data
    thing = Initiative(key="later", titles=(Text("Later", "en"),))
    Journal(data / "journal").append(record_rows("demo", thing), run="run-9", time=NOW)
    build_release(data, IRIS, NOW)

    folder = link_release_data(data, own_edition.release)

    head = Journal(folder / "journal").head
    assert head is not None
    assert head.id == own_edition.release.entry
    assert [path.name for path in (folder / "releases").iterdir()] == ["1"]
    assert find_release(data, None).number == 2


def test_a_release_that_is_missing_or_withdrawn_is_refused(own_edition: Edition) -> None:
    write_manifest(
        own_edition.data / "releases/1",
        replace(own_edition.release, withdrawn="2026-04-01T00:00:00Z"),
    )

    with pytest.raises(Withdrawn, match="release 1 was kept until 2026-04-01"):
        find_release(own_edition.data, 1)
    with pytest.raises(ReleaseNotFound, match="no release 7; /releases/ lists them"):
        find_release(own_edition.data, 7)


def test_a_release_of_another_journal_is_refused(own_edition: Edition) -> None:
    with pytest.raises(ReleaseError, match="no longer has entry 3"):
        link_release_data(own_edition.data, replace(own_edition.release, entry="0" * 64))


def test_the_command_packs_a_finished_export_for_kiwix(
    exported: Exported, edition: Edition, tmp_path: Path
) -> None:
    pages = tmp_path / "out.zim.pages"
    shutil.copytree(
        exported.folder,
        pages,
        ignore=shutil.ignore_patterns(
            "concept*", "scheme", "data", "record", "words-*", "journal*"
        ),
    )
    files = {
        file.relative_to(pages).as_posix(): file.read_bytes()
        for file in pages.rglob("*")
        if file.is_file()
    }
    line = [
        sys.executable, "-m", "stocktake", "export", "zim", "--output", str(tmp_path / "out.zim"), "--languages", ",".join(LANGUAGES),
    ]  # fmt: skip
    completed = subprocess.run(
        line,
        env={**os.environ, "STOCKTAKE_DATA": str(edition.data)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr

    archive = Archive(tmp_path / "out.zim")
    assert archive.check()
    assert archive.entry_count >= len(files)
    assert archive.main_entry.get_item().path == "en/index.html"
    assert {path for path in files if not archive.has_entry_by_path(path)} == set()
    for path in ("ar/trends.html", "releases/1/initiatives.parquet", static_url("style.css")[1:]):
        assert bytes(archive.get_entry_by_path(path).get_item().content) == files[path]
    assert archive.get_entry_by_path(static_url("style.css")[1:]).get_item().mimetype == "text/css"
    assert archive.get_metadata("Language").decode() == "eng"
    assert archive.get_metadata("Description").decode().endswith("public registries and…")
    assert archive.get_metadata("Date").decode() == edition.release.day
    assert archive.has_illustration(48)
    assert [file.name for file in tmp_path.iterdir()] == ["out.zim"]
    match = Searcher(archive).search(Query().set_query("telemedicine remote clinics"))
    assert any(
        "page/initiative" in path for path in match.getResults(0, match.getEstimatedMatches())
    )
    _assert_kiwix_reads(tmp_path / "out.zim")


def _assert_kiwix_reads(path: Path) -> None:
    """Check a file with zimcheck, and read it through kiwix-serve, where these are installed.

    Links are not checked, since the test leaves out some pages.
    """
    if zimcheck := shutil.which("zimcheck"):
        checks = [
            "--empty", "--checksum", "--integrity", "--metadata", "--favicon", "--main", "--redundant", "--url_external", "-L",
        ]  # fmt: skip
        checked = subprocess.run(
            [zimcheck, *checks, str(path)], capture_output=True, text=True, timeout=300, check=False
        )
        assert (checked.returncode, "[ERROR]" in checked.stdout) == (0, False), checked.stdout
    if server := shutil.which("kiwix-serve"):
        address = f"http://127.0.0.1:{(port := free_port())}"
        with started([server, "--port", str(port), str(path)]) as kiwix:
            wait_for_url(f"{address}/", kiwix)
            page = httpx.get(f"{address}/content/out/ar/trends.html")
            result = httpx.get(
                f"{address}/search",
                params={"content": "out", "pattern": "telemedicine remote clinics"},
            )
        assert (page.status_code, result.status_code) == (200, 200)
        assert "page/initiative" in result.text


def test_without_libzim_the_command_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libzim.writer", None)
    monkeypatch.delitem(sys.modules, "publisher.editions.zim", raising=False)

    result = CliRunner().invoke(app, ["zim"])

    assert result.exit_code == 1
    assert "pip install 'stocktake[zim]'" in result.output


def test_a_finished_edition_is_not_written_again(exported: Exported, edition: Edition) -> None:
    before = {file: file.stat().st_mtime_ns for file in exported.folder.rglob("*")}

    assert export(edition, exported.folder) == []
    assert {file: file.stat().st_mtime_ns for file in exported.folder.rglob("*")} == before


def test_an_unknown_language_is_refused() -> None:
    result = CliRunner().invoke(app, ["site", "--languages", "en,xx"])

    assert result.exit_code == 2
    assert "unknown language 'xx'" in result.output
