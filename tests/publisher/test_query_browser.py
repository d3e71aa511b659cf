"""The query page in a real browser: its scripts run under the content security policy and request
no other host.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from browser import Browser, browsing
from live_server import served
from publish_fixture import copy_data
from waiting import wait_until

from publisher.sparql.examples import is_built

FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"


@pytest.fixture
def browser() -> str:
    """Return the path of Chromium; skip if it or the scripts of the page are missing."""
    command = shutil.which("chromium")
    if command is None:
        pytest.skip("no chromium")
    if not is_built():
        pytest.skip("the query page's scripts were not built, for which npm is needed")
    return command


def _screenshot(browser: str, url: str, folder: Path) -> tuple[str, list[str]]:
    """Load a page; return its document after its scripts have run, and the hosts that it requested,
    without those of the browser itself.
    """
    log = folder / "net.json"
    line = [
        browser, *FLAGS.split(), f"--user-data-dir={folder}", f"--log-net-log={log}", "--virtual-time-budget=4000", "--dump-dom", url,
    ]  # fmt: skip
    completed = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    events = [result.get("params", {}) for result in json.loads(log.read_text())["events"]]
    urls = {
        result["url"]
        for result in events
        if "url" in result and result.get("initiator", "").startswith("http")
    }
    return completed.stdout, sorted(
        {
            match[1]
            for address in urls
            if (match := re.match(r"(?:https?|wss?)://([^/:]+)", address))
        }
    )


def test_the_editor_stands_in_the_forms_place_and_asks_no_other_host(
    endpoint: str, browser: str, tmp_path: Path
) -> None:
    page, hosts = _screenshot(browser, f"{endpoint}?example=prizes", tmp_path)

    assert re.search(r'<form class="card" id="plain"[^>]* hidden', page)
    assert 'class="CodeMirror' in page
    assert 'class="yasqe_queryButton query_valid' in page
    assert "Prizes by category" in re.sub(
        r"<[^>]+>", "", page.partition('id="yasgui"')[2].partition("<form")[0]
    )
    assert hosts == ["127.0.0.1"]


ASKED = """new Promise((resolve, reject) => {
  setTimeout(() => reject("no answer was drawn"), 20000);
  const look = setInterval(() => {
    const tab = document.querySelector(".tabPanel.active"), found = tab?.querySelector(".yasr_response_chip")?.textContent;
    if (found?.match(/^Rows: [0-9]+/)) { clearInterval(look);
      resolve([found, tab.querySelector("#cut:not([hidden])")?.textContent ?? ""]); }
  }, 50);
  document.querySelector(".tabPanel.active .yasqe_queryButton").click();
})"""


def test_an_answer_that_is_cut_says_so_above_its_rows_and_a_whole_one_does_not(
    level: Path, browser: str, tmp_path: Path
) -> None:
    data = copy_data(level, tmp_path / "data", "store")
    with (
        served(data, {"STOCKTAKE_QUERY_LIMITS": "budget=0, rows=3000"}) as url,
        browsing(tmp_path) as opened,
    ):
        # A long answer is cut after its headers were sent, so none of them can say so.
        opened.open(f"{url}/sparql?show={quote('SELECT * { ?s ?p ?o } LIMIT 4000')}")
        cut = opened.run(ASKED)
        opened.open(f"{url}/sparql?show={quote('SELECT * { ?s ?p ?o } LIMIT 2')}")
        whole = opened.run(ASKED)

    assert (cut[0].partition(" · ")[0], cut[1][:22]) == ("Rows: 3,000", "Results are incomplete")
    assert (whole[0].partition(" · ")[0], whole[1]) == ("Rows: 2", "")


LARGE = "SELECT * WHERE { ?s ?p ?o . ?b a ?a } LIMIT 195249"
ENDLESS = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
DEADLINE = 240.0  # Seconds to wait until a page shows what a test expects.
PANEL = "document.querySelector('.tabPanel.active')"
STATE = f"{PANEL}.querySelector('.answer-bar')?.dataset.state"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Yield one browser for all tests below."""
    if not is_built():
        pytest.skip("the query page's scripts were not built, for which npm is needed")
    with browsing(tmp_path_factory.mktemp("page")) as opened:
        yield opened


@pytest.fixture
def host(endpoint: str) -> str:
    """Return the address of a server whose limits are not reached even on a busy machine."""
    return endpoint.removesuffix("/sparql")


def until(page: Browser, script: str) -> Any:
    """Return the value of *script* once it is true; the page must answer all the time."""
    text = f"(() => {{ const it = {script}; return it instanceof Node ? true : it; }})()"
    return wait_until(
        lambda: page.run(text), script, DEADLINE, lambda: str(page.run(f"{PANEL}.innerText"))
    )


def put(page: Browser, query: str) -> None:
    """Write *query* into the editor and run it by its button."""
    page.run(
        f"stocktakeQuery.getTab().setQuery({json.dumps(query)}); {PANEL}.querySelector('.yasqe_queryButton').click()"
    )


def rows(page: Browser) -> int:
    return int(page.run(f"{PANEL}.querySelectorAll('.yasr_results tbody tr').length"))


def test_the_page_works_while_a_large_answer_comes_and_shows_its_first_rows(
    host: str, page: Browser
) -> None:
    page.open(f"{host}/sparql?show={quote(LARGE)}")

    put(page, LARGE)
    until(
        page,
        f"/Rows received: [0-9,]+/.test({PANEL}.querySelector('.answer-bar .time').textContent)",
    )
    page.run(
        "stocktakeQuery.getTab().getYasqe().replaceRange('# typed meanwhile\\n', {line: 0, ch: 0})"
    )
    assert page.run(STATE) == "running"
    until(
        page, f"{STATE} === 'answered' && {PANEL}.querySelector('.yasr_results tbody tr') !== null"
    )

    output = page.run(f"{PANEL}.querySelector('.answer-bar').innerText")
    assert "The first 1,000 of 195,249 rows are shown." in output
    page.run(
        f"{{ const it = {PANEL}.querySelector('.tableSizer'); it.value = '-1'; it.dispatchEvent(new Event('change')); }} 0"
    )
    assert rows(page) == 1000
    columns = page.run(
        f"[...{PANEL}.querySelectorAll('.yasr_results thead th')].map((it) => it.textContent)"
    )
    assert columns == ["s", "p", "o", "b", "a"]


def test_a_large_answer_is_offered_whole_as_a_file_and_as_an_export(
    host: str, page: Browser
) -> None:
    page.open(f"{host}/sparql?show={quote(LARGE)}")
    put(page, LARGE)
    until(page, f"{PANEL}.querySelector('.answer-bar .files a')")

    csv = "[...document.querySelectorAll('.tabPanel.active .files a')].find((it) => it.textContent === 'CSV')"
    count = f"fetch({csv}.href).then((it) => it.text()).then((it) => it.trim().split('\\n').length)"
    assert page.run(count) == 195_250  # The first line names the columns.
    assert page.run(f"{csv}.download").endswith(".csv")
    form = f"new FormData({PANEL}.querySelector('.files form'))"
    assert page.run(f"Object.fromEntries({form})") == {"query": LARGE, "format": "json"}


def test_a_query_is_cancelled_by_a_button_and_leaves_no_error(host: str, page: Browser) -> None:
    page.open(f"{host}/sparql?show={quote(ENDLESS)}")

    put(page, ENDLESS)
    until(
        page,
        f"{STATE} === 'running' && /[1-9]/.test({PANEL}.querySelector('.answer-bar .time').textContent)",
    )
    page.run(f"{PANEL}.querySelector('.answer-bar .cancel').click()")

    status = until(
        page,
        f"{STATE} === 'cancelled' && {PANEL}.querySelector('.answer-bar [role=status]').textContent",
    )
    assert status.startswith("Cancelled after")
    assert page.run(f"{PANEL}.querySelectorAll('[role=alert]').length") == 0
    assert (
        page.run(f"getComputedStyle({PANEL}.querySelector('.answer-bar .cancel')).display")
        == "none"
    )
    put(page, "SELECT ?s { ?s ?p ?o } LIMIT 3")
    until(page, f"{PANEL}.querySelectorAll('.yasr_results tbody tr').length === 3")


def test_an_error_goes_when_another_query_runs(host: str, page: Browser) -> None:
    page.open(f"{host}/sparql?show=SELECT")
    put(page, "SELECT ?s { ?s ?p }")
    until(page, f"{PANEL}.querySelector('[role=alert]')?.textContent.includes('Line 1')")

    put(page, ENDLESS)
    until(page, f"{STATE} === 'running'")
    left = page.run(
        f"[{PANEL}.querySelectorAll('[role=alert]').length, {PANEL}.querySelector('.yasr_results').textContent]"
    )
    page.run(f"{PANEL}.querySelector('.answer-bar .cancel').click()")

    assert left == [0, ""]


@pytest.mark.smoke
def test_an_example_runs_when_it_is_clicked(host: str, page: Browser) -> None:
    page.open(f"{host}/sparql")

    page.run("document.querySelector('a[href=\"/sparql?example=initiatives-by-goal\"]').click()")

    until(
        page,
        f"{STATE} === 'answered' && {PANEL}.querySelectorAll('.yasr_results tbody tr').length >= 17",
    )
    assert page.run("stocktakeQuery.getTab().getName()").startswith(
        "Initiatives by Sustainable Development"
    )


def test_the_button_is_named_and_the_result_of_another_query_is_greyed(
    host: str, page: Browser
) -> None:
    page.open(f"{host}/sparql")
    put(page, "SELECT ?s { ?s ?p ?o } LIMIT 3")
    until(page, f"{PANEL}.querySelectorAll('.yasr_results tbody tr').length === 3")
    old = f"{PANEL}.querySelector('.yasr').classList.contains('old')"
    fresh = page.run(old)
    page.run("stocktakeQuery.getTab().setQuery('SELECT ?o { ?s ?p ?o } LIMIT 3'), 1")

    assert [fresh, page.run(old)] == [False, True]
    assert page.run(f"{PANEL}.querySelector('.yasqe_queryButton').innerText.trim()") == "Run query"


@pytest.mark.parametrize("name", ["places", "initiatives-by-country", "near-nairobi"])
def test_an_example_of_places_opens_a_map(host: str, page: Browser, name: str) -> None:
    page.open(f"{host}/sparql")

    page.run(f"document.querySelector('a[href=\"/sparql?example={name}\"]').click()")

    until(page, f"{PANEL}.querySelector('.stocktake-map svg circle')")
    assert page.run(f"{PANEL}.querySelector('.select_map').classList.contains('selected')")


def test_an_example_that_another_page_leads_to_runs_and_a_query_waits_for_its_reader(
    host: str, page: Browser
) -> None:
    page.open(f"{host}/sparql?example=prizes")

    assert until(page, f"{STATE} === 'answered' && {PANEL}.querySelector('.yasr_results tbody tr')")

    page.open(f"{host}/sparql?show={quote(ENDLESS)}")

    until(page, f"{PANEL}.querySelector('.CodeMirror')")
    assert page.run(STATE) is None


def test_a_table_is_searched_and_sorted_by_the_text_of_its_cells(host: str, page: Browser) -> None:
    table = "stocktakeQuery.getTab().getYasr().plugins.table.dataTable"
    cells = (
        f"[...{PANEL}.querySelectorAll('.yasr_results tbody tr')].map((it) => it.innerText.trim())"
    )
    markup = "<img src=x onerror='window.ran = true'> & <b>"
    page.open(f"{host}/sparql?show=x")
    put(page, f'SELECT ?x {{ VALUES ?x {{ 10 9 "{markup}" <urn:a&b> }} }}')
    until(page, f"{STATE} === 'answered' && {PANEL}.querySelector('.yasr_results tbody tr')")

    drawn = page.run(cells)
    page.run(f"{table}.search('<img src').draw(); 0")
    texts = page.run(cells)
    page.run(f"{table}.search('a&b').draw(); 0")
    addresses = page.run(cells)
    assert page.run("window.ran ?? null") is None
    put(page, "SELECT ?x { VALUES ?x { 10 9 200 } }")
    until(page, f"{STATE} === 'answered' && {PANEL}.innerText.includes('200')")
    page.run(f"{table}.order([[1, 'asc']]).draw(); 0")

    assert drawn == ["10", "9", markup, "urn:a&b"]
    assert (texts, addresses) == ([markup], ["urn:a&b"])
    assert page.run(cells) == ["9", "10", "200"]


def test_a_long_graph_is_cut_at_a_statement(host: str, page: Browser) -> None:
    page.open(f"{host}/sparql?show=x")
    put(page, "CONSTRUCT { ?x ?p ?o . ?o ?p ?s } { ?s ?p ?o . ?x a ?y } LIMIT 60000")

    until(page, f"{STATE} === 'answered' && {PANEL}.querySelector('.answer-bar .files a')")

    assert "Only the beginning of the response is shown." in page.run(
        f"{PANEL}.querySelector('.answer-bar').innerText"
    )
    assert page.run("stocktakeQuery.getTab().getYasr().results.getBindings().length") > 1000


def test_the_page_speaks_the_language_of_its_reader(host: str, page: Browser) -> None:
    page.open(f"{host}/sparql?lang=zh&show={quote(LARGE)}")
    put(page, LARGE)
    until(page, f"{STATE} === 'running'")
    page.run("document.querySelector('.answer-bar .cancel').click()")
    put(page, "SELECT * { ?s ?p ?o } LIMIT 2000")
    until(page, f"{STATE} === 'answered' && {PANEL}.querySelector('.tableFilter')")

    text = page.run(f"{PANEL}.innerText + ' ' + {PANEL}.querySelector('.yasqe_queryButton').title")
    names = page.run(
        f"[...{PANEL}.querySelectorAll('.yasr_btnGroup li')].map((it) => it.innerText.trim())"
    )
    # The browser remembers the language, and other tests expect English.
    page.open(f"{host}/sparql?lang=en")

    assert names == ["表格", "图表", "地图", "响应"]
    assert "显示前 1,000 行，共 2,000 行。" in text
    assert "运行查询" in text
    latin = set(re.findall(r"[A-Za-z]{3,}", text.partition("行数")[0]))
    assert latin <= {"SELECT", "LIMIT", "JSON", "XML", "CSV", "TSV"}


@pytest.mark.parametrize(("language", "width", "dark"), [("en", 1280, False), ("ar", 390, True)])
def test_the_query_page_has_no_fault_that_axe_finds(
    host: str, page: Browser, packages: Path, language: str, width: int, dark: bool
) -> None:
    page.open(f"{host}/sparql?lang={language}", width, dark=dark)
    before = page.faults(packages)
    put(page, "SELECT ?s ?p { ?s ?p ?o } LIMIT 5")
    until(page, f"{STATE} === 'done' || {PANEL}.querySelector('.yasr_results tbody tr')")

    after = page.faults(packages)

    assert (before, after) == ([], [])
