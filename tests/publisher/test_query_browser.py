"""The query page in a real browser: its scripts run under the policy, and nobody else is asked."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from browser import browsing
from serving import served

from publisher.pages.editor import bundled

FLAGS = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"


@pytest.fixture
def browser() -> str:
    """Give a browser's command."""
    command = shutil.which("chromium")
    if command is None:
        pytest.skip("no chromium")
    if not bundled():
        pytest.skip("the query page's scripts were not built, for which npm is needed")
    return command


def _shown(browser: str, url: str, folder: Path) -> tuple[str, list[str]]:
    """Load a page; give what stands in it when its scripts have run, and the hosts that it has asked: the browser asks its maker's own."""
    log = folder / "net.json"
    line = [browser, *FLAGS.split(), f"--user-data-dir={folder}", f"--log-net-log={log}", "--virtual-time-budget=4000", "--dump-dom", url]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    events = [told.get("params", {}) for told in json.loads(log.read_text())["events"]]
    asked = {told["url"] for told in events if "url" in told and told.get("initiator", "").startswith("http")}
    return done.stdout, sorted({found[1] for address in asked if (found := re.match(r"(?:https?|wss?)://([^/:]+)", address))})


def test_the_editor_stands_in_the_forms_place_and_asks_no_other_host(endpoint, browser, tmp_path):
    page, hosts = _shown(browser, f"{endpoint}?example=prizes", tmp_path)

    assert re.search(r'<form class="card" id="plain"[^>]* hidden', page)
    assert 'class="CodeMirror' in page
    assert 'class="yasqe_queryButton query_valid' in page
    assert "Prizes by category" in re.sub(r"<[^>]+>", "", page.partition('id="yasgui"')[2].partition("<form")[0])
    assert hosts == ["127.0.0.1"]


ASKED = """new Promise((told, failed) => {
  setTimeout(() => failed("no answer was drawn"), 20000);
  const look = setInterval(() => {
    const tab = document.querySelector(".tabPanel.active"), found = tab?.querySelector(".yasr_response_chip")?.textContent;
    if (found?.match(/[0-9]+ results/)) { clearInterval(look); told([found, tab.querySelector("#cut:not([hidden])")?.textContent ?? ""]); }
  }, 50);
  document.querySelector(".tabPanel.active .yasqe_queryButton").click();
})"""


def test_an_answer_that_is_cut_says_so_above_its_rows_and_a_whole_one_does_not(world: Path, browser: str, tmp_path: Path) -> None:
    with served(world, {"STOCKTAKE_LIMITS": "budget=0, rows=3000"}) as url, browsing(tmp_path) as opened:
        opened.open(f"{url}/sparql?show={quote('SELECT * { ?s ?p ?o } LIMIT 4000')}")  # long, so that its cut stands in no header
        cut = opened.run(ASKED)
        opened.open(f"{url}/sparql?show={quote('SELECT * { ?s ?p ?o } LIMIT 2')}")
        whole = opened.run(ASKED)

    assert (cut[0].partition(" in ")[0], cut[1][:17]) == ("3000 results", "The answer is cut")
    assert (whole[0].partition(" in ")[0], whole[1]) == ("2 results", "")
