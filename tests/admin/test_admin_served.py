from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest
from browser import Browser, browsing
from processes import free_port, started, wait_for_url
from typer.testing import CliRunner, Result
from waiting import wait_until

from demo.registries import Demo
from demo.source_definitions import write_sources
from stocktake import app

ROOT = Path(__file__).parents[2]
RUN = CliRunner()
COUNT = "SELECT (COUNT(?i) AS ?n) { ?i a <https://w3id.org/wsis-stocktaking/ns#Initiative> }"


@dataclass(frozen=True)
class AdminServer:
    base: str
    key: str
    plan: str
    home: Path

    def command(self, *words: str) -> Result:
        return run(self.home, *words)

    def ask(self, path: str, **how: Any) -> httpx.Response:
        return httpx.get(self.base + path, trust_env=False, verify=False, timeout=120, **how)

    def initiatives(self) -> int:
        params, headers = {"query": COUNT}, {"Accept": "text/csv"}
        return int(self.ask("/sparql", params=params, headers=headers).text.split()[1])


def settings(home: Path) -> dict[str, str]:
    return {
        "STOCKTAKE_DATA": str(home / "data"),
        "STOCKTAKE_SOURCES": str(home / "sources"),
        "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
    }


def run(home: Path, *words: str) -> Result:
    return RUN.invoke(app, words, env=settings(home))


def harvest_too_little(home: Path, name: str) -> None:
    with Demo(size=200, port=0) as registries:
        write_sources(registries.url, home / "sources")
        with (home / "sources" / f"{name}.toml").open("a", encoding="utf-8") as definition:
            definition.write("\n[limits]\nexpect = 1000\n")
        assert run(home, "harvest", name).exit_code == 1


def sign_in(browser: Browser, key: str) -> None:
    browser.leave(
        f"document.querySelector('#key').value = '{key}'; document.querySelector('form').submit()"
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminServer]:
    home, port = tmp_path_factory.mktemp("served"), free_port()
    harvest_too_little(home, "demo-projects")
    key = run(home, "keys", "create", "Ada Lovelace", "--scope", "operate").stdout.strip()
    environment = {**os.environ, **settings(home), "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "stocktake", "serve", "--port", str(port)]
    with started(line, cwd=home, env=environment) as process:
        base = f"http://127.0.0.1:{port}"
        wait_for_url(f"{base}/health", process)
        yield AdminServer(base, key, "demo-projects.1", home)


def examples() -> list[str]:
    text = (ROOT / "docs" / "reference" / "admin.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("curl ")]


def curl(line: str, served: AdminServer) -> httpx.Response:
    admin = f"{served.base}/admin"
    variables = {"KEY": served.key, "ADMIN": admin, "PLAN": served.plan, "SOURCE": "demo-projects"}
    words = iter(shlex.split(Template(line).substitute(variables)))
    assert next(words) == "curl"
    method, headers, body, url = "GET", {"Accept": "*/*"}, None, ""
    for word in words:
        match word:
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "--json":
                method, body = "POST", next(words)
                headers["Content-Type"] = "application/json"
            case "-X":
                method = next(words)
            case "-i" | "--fail":
                pass
            case _:
                url = word
    how: dict[str, Any] = {"trust_env": False, "verify": False, "timeout": 120}
    return httpx.request(method, url, headers=headers, content=body, **how)


def test_admin_pages_need_a_key_and_public_pages_do_not_and_only_these_are_read_by_other_sites(
    served: AdminServer,
) -> None:
    other = {"Origin": "https://elsewhere.example", "Authorization": f"Bearer {served.key}"}
    origin, pages = "Access-Control-Allow-Origin", {"Accept": "text/html"}

    for path in ("/", "/sparql", "/static/style.css", "/health"):
        assert served.ask(path, headers=pages).status_code == 200, path
    for path in ("/admin/", "/admin/sources", "/admin/plans", "/admin/page/audit-log"):
        assert served.ask(path).status_code == 401, path
    assert served.ask("/admin").headers["Location"] == "/admin/"
    assert served.ask("/sparql", params={"query": COUNT}, headers=other).headers[origin] == "*"
    assert origin not in served.ask("/admin/sources", headers=other).headers


def test_a_missing_ledger_stops_the_admin_pages_only(served: AdminServer) -> None:
    files = list((served.home / "data").glob("ledger.sqlite*"))
    key = {"Authorization": f"Bearer {served.key}"}
    for file in files:
        file.rename(file.with_name(f"away-{file.name}"))

    admin = served.ask("/admin/sources", headers=key)
    public = served.ask("/", headers={"Accept": "text/html"})
    for file in files:
        file.with_name(f"away-{file.name}").rename(file)

    assert (admin.status_code, public.status_code) == (503, 200)
    assert served.ask("/admin/sources", headers=key).status_code == 200


def test_what_the_documentation_says_publishes_a_plan_that_was_held(served: AdminServer) -> None:
    before, key = served.initiatives(), {"Authorization": f"Bearer {served.key}"}

    answers = [curl(line, served) for line in examples()]
    wait_until(
        lambda: served.initiatives() > before, "the portal to show the plan that was approved"
    )

    acts = served.ask("/admin/audit-log", headers=key).json()["items"][:2]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 202]
    assert [item["id"] for item in answers[0].json()["items"]] == [served.plan]
    assert before == 0
    assert [(act["what"], act["note"]) for act in acts] == [
        ("requested a run", "full"),
        ("approved", "the owner closed them"),
    ]
    assert all(act["who"].startswith("Ada Lovelace (") for act in acts)


def test_an_operator_approves_a_plan_in_a_browser_and_the_portal_shows_it(
    served: AdminServer, tmp_path: Path, packages: Path
) -> None:
    harvest_too_little(served.home, "demo-csv")
    before = served.initiatives()

    with browsing(tmp_path / "browser") as browser:
        browser.open(f"{served.base}/admin/")
        results = browser.faults(packages)
        sign_in(browser, served.key)
        results += browser.faults(packages)
        browser.leave("document.querySelector('.waits a[href*=\"demo-csv\"]').click()")
        results += browser.faults(packages)
        waits = browser.run(
            "document.querySelector('h1').textContent + document.querySelector('main').textContent"
        )
        browser.run("document.querySelector('#approval').value = 'looked at'")
        browser.leave("document.querySelector('form[action$=approve] button').click()")
        left = browser.run("document.querySelectorAll('form[action$=approve]').length")
        wait_until(
            lambda: served.initiatives() > before, "the portal to show the plan that was approved"
        )
        for page in ("audit-log", "keys", "runs", "sources", "sources/demo-csv", "system"):
            browser.open(f"{served.base}/admin/page/{page}")
            results += browser.faults(packages)
        browser.open(f"{served.base}/source/demo-csv?lang=en")
        count = browser.run("document.querySelectorAll('.things li').length")

    assert "its definition expects at least 1000" in waits
    assert (left, results) == (0, [])
    assert count > 0


@pytest.mark.parametrize(
    ("language", "width", "dark"),
    [("en", 390, True), ("ar", 1280, True), ("en", 1280, False), ("ar", 390, False)],
)
def test_pages_of_administrators_have_no_fault_that_axe_finds(
    served: AdminServer, tmp_path: Path, packages: Path, language: str, width: int, dark: bool
) -> None:
    key = served.command("keys", "create", "Grace", "--scope", "admin").stdout.strip()
    pages = [
        "sources/demo-projects/definition", "new-source", "alerts", "logs", "system", f"runs/{served.plan}",
        "sources/demo-projects",
    ]  # fmt: skip
    results, wide, high = dict[str, list[str]](), dict[str, int](), dict[str, int]()

    with browsing(tmp_path / "browser") as browser:
        browser.open(f"{served.base}/admin/?lang={language}", width, dark=dark)
        sign_in(browser, key)
        for page in pages:
            browser.open(f"{served.base}/admin/page/{page}", width, dark=dark)
            high[page] = browser.run("document.querySelector('header.site').offsetHeight")
            browser.run(
                "document.querySelectorAll('main details, details.menu.all').forEach((it) => { it.open = true })"
            )
            results[page] = browser.faults(packages)
            wide[page] = browser.run("document.documentElement.scrollWidth")
        visible = "[...document.querySelectorAll('header a[href*=page], .pages-of-section a')].filter((it) => it.offsetParent)"
        links = browser.run(f"{visible}.length")
        browser.leave("document.querySelector('form[action$=preview] button').click()")
        title = browser.run("document.title")
        results["preview"], wide["preview"] = (
            browser.faults(packages),
            browser.run("document.documentElement.scrollWidth"),
        )

    assert {page: faults for page, faults in results.items() if faults} == {}
    assert {page: pixels for page, pixels in wide.items() if pixels > width} == {}
    assert {page: pixels for page, pixels in high.items() if pixels >= 90} == {}
    assert links > 6
    assert ("Dry run" in title) == (language == "en")
