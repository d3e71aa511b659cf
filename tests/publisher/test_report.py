"""Reports are made from a release by queries that anyone can repeat, and are the same whenever they
are made.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import Browser
from live_server import served
from publish_fixture import copy_data
from pyoxigraph import QuerySolutions, Store
from rdf_terms import solutions
from rows import each
from typer.testing import CliRunner
from waiting import wait_until

from publisher.errors import ReleaseNotFound, ReportError
from publisher.portal.report.builder import Report, build_report, list_reports
from publisher.releases import builder
from publisher.store import releases as release_stores
from publisher.store.releases import get_release, write_manifest
from stocktake import app
from vocab.iris import Iris
from web.charts import load_outlines

IRIS = Iris()


@pytest.fixture(scope="module")
def data(release_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    item = tmp_path_factory.mktemp("report") / "data"
    for name in ("journal", "releases"):
        shutil.copytree(release_data / name, item / name)
    return item


@pytest.fixture(scope="module")
def report(data: Path) -> Report:
    return build_report(data, IRIS, None, "en", {})


@pytest.fixture(scope="module")
def store(data: Path, report: Report) -> Store:
    release = get_release(data / "releases", report["release"])
    assert release is not None
    release_stores.create_store(data, release, IRIS)
    shelved = release_stores.find_store(data, release)
    assert shelved is not None
    return Store.read_only(str(Path(shelved.path) / "store"))


def report_figures(data: Path, name: str) -> dict[str, dict[str, object]]:
    figures = json.loads((data / "reports" / name / "report.json").read_bytes())["figures"]
    return {figure["key"]: figure for figure in figures}


def files(data: Path, name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (data / "reports" / name).iterdir()}


def test_a_report_has_pages_a_print_and_findings_that_lead_to_the_queries_of_their_numbers(
    data: Path, report: Report
) -> None:
    result = files(data, report["name"])

    page = result["report.html"].decode()
    findings = page.partition('<section id="findings">')[2].partition("</section>")[0]
    keys = re.findall(r'href="#query-([\w-]+)"', findings)
    assert sorted(result) == [
        "SHA256SUMS", "report.css", "report.html", "report.json", "report.pdf",
    ]  # fmt: skip
    assert result["report.pdf"].startswith(b"%PDF-")
    assert report["name"] == "release-1.en"
    assert (keys[0], keys[-1]) == ("country", "matrix")
    assert [key for key in keys if f'<h3 id="query-{key}">' not in page] == []


def test_each_action_line_with_initiatives_has_a_chapter_with_three_of_them(
    data: Path, report: Report
) -> None:
    figures = report_figures(data, report["name"])
    page = files(data, report["name"])["report.html"].decode()

    chapters = [figure for key, figure in figures.items() if key.startswith("line-")]
    assert chapters
    assert len(chapters) == page.count('<section id="line-')
    assert {len(str(figure["rows"]).split("], [")) for figure in chapters} <= {1, 2, 3}


def test_the_matrix_has_names_and_numbers_and_is_mirrored_in_arabic(
    data: Path, report: Report
) -> None:
    arabic = build_report(data, IRIS, 1, "ar", {})

    rows = report_figures(data, report["name"])["matrix"]["rows"]
    assert isinstance(rows, list)
    pages = [files(data, name)["report.html"].decode() for name in (report["name"], arabic["name"])]
    firsts = [
        re.search(r'<text x="([\d.]+)"[^>]*>1</text>', page.partition('<section id="matrix">')[2])
        for page in pages
    ]
    assert len(rows) == 18
    assert {len(row) for row in rows} == {18}
    assert rows[3][0].startswith("C4 ")
    assert [float(result[1]) > 300 for result in firsts if result] == [False, True]


def test_made_again_of_the_same_release_it_is_the_same_bytes(data: Path, report: Report) -> None:
    before = files(data, report["name"])
    # Without its store, the tables of the release are made anew from its N-Quads.
    shutil.rmtree(data / "store", ignore_errors=True)

    build_report(data, IRIS, 1, "en", {})

    assert files(data, report["name"]) == before


@each("key", ["kinds", "basis"])  # test_figures.py has those of pages.
def test_each_number_is_the_answer_to_its_query(
    data: Path, report: Report, store: Store, key: str
) -> None:
    figure = report_figures(data, report["name"])[key]

    answer = store.query(str(figure["query"]), base_iri=IRIS.base)

    assert isinstance(answer, QuerySolutions)
    counted = sorted((int(row["things"].value) for row in answer), reverse=True)
    numbers = sorted((int(row[-1].replace("\u202f", "")) for row in figure["rows"]), reverse=True)  # type: ignore[attr-defined]
    assert numbers == (counted + [0] * len(numbers))[: len(numbers)]
    assert any(numbers)


def test_a_release_stands_where_its_report_cannot_be_written(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small / "journal", tmp_path / "journal")
    (tmp_path / "reports").write_text("no folder")

    result = CliRunner().invoke(app, ["--data", str(tmp_path), "release"])

    assert result.exit_code == 0
    assert "report of release 1 failed" in " ".join(result.stderr.split())
    assert get_release(tmp_path / "releases", 1) is not None


@pytest.mark.nightly  # By day the demo makes a release and its report.
def test_a_release_is_followed_by_its_report(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small / "journal", tmp_path / "journal")

    result = CliRunner().invoke(app, ["--data", str(tmp_path), "release"])

    assert result.exit_code == 0, result.stderr
    assert [item["name"] for item in list_reports(tmp_path / "reports")] == ["release-1.en"]


def test_a_report_is_narrowed_and_reported_in_another_language(data: Path) -> None:
    for country in ("404", "KE", "Kenya"):
        report = build_report(data, IRIS, 1, "en", {"country": country})
        assert report["name"] == "release-1.country-404.en", country
    created = build_report(data, IRIS, 1, "ar", {"goal": "4"})

    page = (data / "reports" / created["name"] / "report.html").read_text()
    assert created["name"] == "release-1.goal-4.ar"
    assert '<html lang="ar" dir="rtl">' in page


NARROWINGS = [
    {"goal": "3"}, {"country": "404"}, {"line": "C4"}, {"region": "africa"}, {"year": "2025"},
]  # fmt: skip


@each("chosen", NARROWINGS)
def test_a_narrowed_report_has_only_matching_data(
    data: Path, store: Store, chosen: dict[str, str]
) -> None:
    created = build_report(data, IRIS, 1, "en", chosen)

    figures: dict[str, Any] = report_figures(data, created["name"])
    facet = next(iter(chosen))
    assert facet == "year" or facet not in figures
    assert {"kinds", "matrix", "basis", "gaps", "source"} <= set(figures)
    answers = {
        key: solutions(store.query(figure["query"], base_iri=IRIS.base))
        for key, figure in figures.items()
    }
    counted = sorted(int(row["things"].value) for row in answers["kinds"])
    assert counted == sorted(int(row[-1]) for row in figures["kinds"]["rows"])


@each(
    "number, language, chosen, kind, message",
    [(1, "en", {"goal": "44"}, ReportError, "goal '44' is not known; give a number from 1 to 17"),
     (1, "en", {"line": "C99"}, ReportError, "action line 'C99' is not known"),
     (1, "fr", {"country": "Atlantis"}, ReportError, "its ISO code or its name, such as 404, KE or Kenya"),
     (1, "en", {"year": "12"}, ReportError, "give a year of four digits"),
     (1, "tlh", {}, ReportError, "choose one of en, ar, zh, fr, ru, es"), (9, "en", {}, ReleaseNotFound, "there is no release 9")],
)  # fmt: skip
def test_what_cannot_be_made_says_what_can(
    data: Path,
    number: int,
    language: str,
    chosen: dict[str, Any],
    kind: type[Exception] | type[ReleaseNotFound],
    message: str,
) -> None:
    with pytest.raises(kind, match=message):
        build_report(data, IRIS, number, language, chosen)


def test_the_command_names_the_files_that_it_wrote(data: Path, tmp_path: Path) -> None:
    words = ["report", "--release", "1", "--action-line", "C7-ehea", "--language", "fr"]

    result = CliRunner().invoke(app, ["--data", str(data), *words])
    without = CliRunner().invoke(app, ["--data", str(tmp_path), "report"])

    names = [Path(line).name for line in result.stdout.split()]
    assert result.exit_code == 0, result.stderr
    assert names == ["report.html", "report.pdf", "report.css", "report.json"]
    assert without.exit_code == 1
    assert "there is no release yet; `stocktake release` makes one" in str(without.exception)


def test_a_report_of_a_demo_release_says_in_its_title_that_the_data_are_made_up(
    data: Path, tmp_path: Path
) -> None:
    shutil.copytree(data, tmp_path / "data")
    folder = tmp_path / "data" / "releases" / "1"
    release = get_release(folder.parent, 1)
    assert release is not None
    write_manifest(folder, replace(release, demo=True))

    report = build_report(tmp_path / "data", IRIS, 1, "fr", {})

    assert report["title"].startswith("Données de démonstration: ")
    assert (
        "<title>Données de démonstration: "
        in files(tmp_path / "data", report["name"])["report.html"].decode()
    )


NAMES = ["release-1.en", "release-1.goal-3.ar"]


@pytest.fixture(scope="module")
def host(level: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of a real server with a release and two reports of it."""
    data = copy_data(level, tmp_path_factory.mktemp("reports"), "store")
    builder.build_release(data, IRIS, datetime(2026, 4, 1, 6, 0, tzinfo=UTC))
    build_report(data, IRIS, 1, "en", {})
    build_report(data, IRIS, 1, "ar", {"goal": "3"})
    with served(data, {"STOCKTAKE_QUERY_LIMITS": "budget=0"}) as url:
        yield url


def test_a_reader_finds_a_report_and_reads_it(host: str, browser: Browser) -> None:
    browser.open(f"{host}/releases/?lang=en")
    browser.leave("document.querySelector('a[href=\"/reports/\"]').click()")
    listed = browser.run(
        "[...document.querySelectorAll('table th a')].map((it) => it.getAttribute('href'))"
    )
    browser.leave("document.querySelector('a[href=\"/reports/release-1.en/report.html\"]').click()")

    assert sorted(listed) == [f"/reports/{name}/report.html" for name in NAMES]
    assert browser.run("document.querySelector('h1').textContent") == "WSIS Stocktaking report"
    drawn = browser.run(
        "[...document.querySelectorAll('section')].filter((it) => it.querySelector('figure svg')).map((it) => it.id)"
    )
    assert {"line", "goal", "matrix", "region", "year"} <= set(drawn)
    assert ("country" in drawn) == (load_outlines() is not None)
    # The heading has this colour only if the style sheet was loaded.
    assert browser.run("getComputedStyle(document.querySelector('h1')).color") == "rgb(23, 69, 107)"
    assert {
        url.partition("/reports")[0] for url in browser.request_log if "/reports/release" in url
    } == {host}


def test_a_reader_goes_from_a_number_to_its_query_and_has_it_again(
    host: str, browser: Browser
) -> None:
    browser.open(f"{host}/reports/release-1.en/report.html")
    browser.run("document.querySelector('#goal a[href=\"#query-goal\"]').click()")
    output = browser.run("document.querySelector(location.hash + ' + pre').textContent")
    params = {"query": output, "release": "1", "format": "json"}

    # The server answers 503 while it loads the release for queries.
    def answer() -> httpx.Response | None:
        response = httpx.get(f"{host}/sparql", params=params, timeout=60)
        return response if response.status_code != 503 else None

    rows = wait_until(answer, "the release to be loaded").json()["results"]["bindings"]

    counted = sorted(int(row["things"]["value"]) for row in rows)
    drawn = browser.run(
        "[...document.querySelectorAll('#goal svg text')].map((it) => it.textContent).filter((it) => /^[0-9]+$/.test(it))"
    )
    assert sorted(map(int, drawn)) == counted


@pytest.mark.parametrize("name", NAMES)
def test_a_report_has_no_fault_that_axe_finds_and_fits_a_telephone(
    host: str, browser: Browser, packages: Path, name: str
) -> None:
    browser.open(f"{host}/reports/{name}/report.html", 320)

    assert browser.faults(packages) == []
    assert browser.run("document.documentElement.scrollWidth") == 320
    assert browser.run("document.documentElement.dir") == ("rtl" if name.endswith("ar") else "ltr")
