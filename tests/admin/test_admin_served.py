"""One server for the public and the admin pages, a held plan, and the examples of
docs/reference/admin.md.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import httpx
import pytest
from browser import browsing
from processes import started, wait_for_url
from typer.testing import CliRunner
from waiting import wait_until

from demo.registries import Demo
from demo.source_definitions import write_sources
from stocktake import app

ROOT = Path(__file__).parents[2]
RUN = CliRunner()
COUNT = "SELECT (COUNT(?i) AS ?n) { ?i a <https://w3id.org/wsis-stocktaking/ns#Initiative> }"


@dataclass(frozen=True)
class AdminServer:
    """A server on loopback over a ledger with a plan that waits."""

    base: str
    key: str
    plan: str
    data: Path

    def create_key(self, scope: str) -> str:
        environment = {
            "STOCKTAKE_DATA": str(self.data),
            "STOCKTAKE_SOURCES": str(self.data.parent / "sources"),
        }
        return RUN.invoke(
            app, ["keys", "create", "Grace Hopper", "--scope", scope], env=environment
        ).stdout.strip()

    def ask(self, path: str, **how: Any) -> httpx.Response:
        return httpx.request(
            "GET", self.base + path, trust_env=False, verify=False, timeout=120, **how
        )

    def initiatives(self) -> int:
        return int(
            self.ask(
                "/sparql", params={"query": COUNT}, headers={"Accept": "text/csv"}
            ).text.split()[1]
        )


def free_port() -> int:
    with socket.socket() as client:
        client.bind(("127.0.0.1", 0))
        return int(client.getsockname()[1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdminServer]:
    home, port = tmp_path_factory.mktemp("served"), free_port()
    results = {
        "STOCKTAKE_DATA": str(home / "data"),
        "STOCKTAKE_SOURCES": str(home / "sources"),
        "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
    }
    environment = {**os.environ, **results, "PYTHONPATH": str(ROOT)}
    with Demo(size=200, port=0) as registries:
        write_sources(registries.url, home / "sources")
        definition = home / "sources" / "demo-projects.toml"
        definition.write_text(
            definition.read_text(encoding="utf-8") + "\n[limits]\nexpect = 1000\n", encoding="utf-8"
        )
        # its plan is held
        assert RUN.invoke(app, ["harvest", "demo-projects"], env=results).exit_code == 1
    key = RUN.invoke(
        app, ["keys", "create", "Ada Lovelace", "--scope", "operate"], env=results
    ).stdout.strip()
    line = [sys.executable, "-m", "stocktake", "serve", "--port", str(port)]
    with started(line, cwd=home, env=environment) as process:
        base = f"http://127.0.0.1:{port}"
        wait_for_url(f"{base}/health", process)
        yield AdminServer(base, key, "demo-projects.1", home / "data")


def examples() -> list[str]:
    """Return the lines of curl in docs/reference/admin.md, in their order."""
    text = (ROOT / "docs" / "reference" / "admin.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("curl ")]


def curl(line: str, served: AdminServer) -> httpx.Response:
    """Do what a line of curl says: -H, --json, -X, -i and an address."""
    variables = {
        "KEY": served.key,
        "ADMIN": f"{served.base}/admin",
        "PLAN": served.plan,
        "SOURCE": "demo-projects",
    }
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
    return httpx.request(
        method, url, headers=headers, content=body, trust_env=False, verify=False, timeout=120
    )


def test_admin_pages_need_a_key_and_public_pages_do_not(served: AdminServer) -> None:
    public = [
        served.ask(path, headers={"Accept": "text/html"}).status_code
        for path in ("/", "/sparql", "/static/style.css", "/health")
    ]
    codes = [
        served.ask(path).status_code
        for path in ("/admin/", "/admin/sources", "/admin/plans", "/admin/page/audit-log")
    ]

    assert public == [200] * 4
    assert codes == [401] * 4
    assert served.ask("/admin").headers["Location"] == "/admin/"


def test_other_sites_may_read_public_pages_only(served: AdminServer) -> None:
    other = {"Origin": "https://elsewhere.example", "Authorization": f"Bearer {served.key}"}

    assert (
        served.ask("/sparql", params={"query": COUNT}, headers=other).headers[
            "Access-Control-Allow-Origin"
        ]
        == "*"
    )
    assert "Access-Control-Allow-Origin" not in served.ask("/admin/sources", headers=other).headers


def test_a_missing_ledger_stops_the_admin_pages_only(served: AdminServer) -> None:
    files = list(served.data.glob("ledger.sqlite*"))
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
    before = served.initiatives()

    answers = [curl(line, served) for line in examples()]
    wait_until(
        lambda: served.initiatives() > before, "the portal to show the plan that was approved"
    )

    acts = served.ask("/admin/audit-log", headers={"Authorization": f"Bearer {served.key}"}).json()[
        "items"
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 202]
    assert [item["id"] for item in answers[0].json()["items"]] == [served.plan]
    assert before == 0
    assert [(act["what"], act["note"]) for act in acts[:2]] == [
        ("requested a run", "full"),
        ("approved", "the owner closed them"),
    ]
    assert all(act["who"].startswith("Ada Lovelace (") for act in acts[:2])


def test_an_operator_approves_a_plan_in_a_browser_and_the_portal_shows_it(
    served: AdminServer, tmp_path: Path, packages: Path
) -> None:
    result = {
        "STOCKTAKE_DATA": str(served.data),
        "STOCKTAKE_SOURCES": str(tmp_path / "sources"),
        "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
    }
    with Demo(size=200, port=0) as registries:
        write_sources(registries.url, tmp_path / "sources")
        definition = tmp_path / "sources" / "demo-csv.toml"
        definition.write_text(
            definition.read_text(encoding="utf-8") + "\n[limits]\nexpect = 1000\n", encoding="utf-8"
        )
        shutil.copy(definition, served.data.parent / "sources")
        # its plan is held
        assert RUN.invoke(app, ["harvest", "demo-csv"], env=result).exit_code == 1
    before = served.initiatives()

    with browsing(tmp_path / "browser") as browser:
        browser.open(f"{served.base}/admin/")
        results = browser.faults(packages)
        browser.leave(
            f"document.querySelector('#key').value = '{served.key}'; document.querySelector('form').submit()"
        )
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
    [
        ("en", 390, True),
        ("ar", 1280, True),
        ("en", 1280, False),
        ("ar", 390, False),
    ],
)
def test_pages_of_administrators_have_no_fault_that_axe_finds(
    served: AdminServer, tmp_path: Path, packages: Path, language: str, width: int, dark: bool
) -> None:
    key = served.create_key("admin")
    pages = [
        "sources/demo-projects/definition", "new-source", "alerts", "logs", "system", f"runs/{served.plan}",
        "sources/demo-projects",
    ]  # fmt: skip
    results, wide, high = dict[str, list[str]](), dict[str, int](), dict[str, int]()

    with browsing(tmp_path / "browser") as browser:
        browser.open(f"{served.base}/admin/?lang={language}", width, dark=dark)
        browser.leave(
            f"document.querySelector('#key').value = '{key}'; document.querySelector('form').submit()"
        )
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
