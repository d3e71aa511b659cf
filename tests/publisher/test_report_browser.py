"""Reports in a real browser: found from the portal, read, and usable by everyone (WCAG 2.2 AA), in
English and Arabic.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from browser import Browser, browsing
from live_server import served
from publish_fixture import copy_data
from waiting import wait_until

from publisher.portal.report.builder import build_report
from publisher.releases import builder
from vocab.iris import Iris
from web.charts.map import load_outlines

IRIS = Iris()
NAMES = ["release-1.en", "release-1.goal-3.ar"]


@pytest.fixture(scope="module")
def host(level: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield where a real server answers that has a release and two reports of it."""
    data = copy_data(level, tmp_path_factory.mktemp("reports"), "store")
    builder.build_release(data, IRIS, datetime(2026, 4, 1, 6, 0, tzinfo=UTC))
    build_report(data, IRIS, 1, "en", {})
    build_report(data, IRIS, 1, "ar", {"goal": "3"})
    with served(data, {"STOCKTAKE_QUERY_LIMITS": "budget=0"}) as url:
        yield url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


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
    # its style is there
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

    def answer() -> httpx.Response | None:  # 503 while the release is loaded for queries
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
