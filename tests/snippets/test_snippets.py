"""The snippets of README and documentation run, in the order of their page, against a small demo on
this machine.
"""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import httpx
import pytest
import yaml
from processes import Process, free_port
from pyoxigraph import RdfFormat, parse
from pytest_demo import RunningDemo
from snippets import PAGES, ROOT, Snippet, read_snippets

from harvesters.notifications.alerts import parse_rules
from vocab.iris import BASE

TIMEOUT = 240  # seconds of a block
# The keys of a source definition that complete the part of one on a page.
DEFINITION = {
    "title": "Example", "protocol": "json", "mapping": "fields", "url": "https://registry.example/", "licence": "https://licence.example/",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terminal:
    """The terminal of a reader of one page: a folder, the variables that the page has set, and the
    processes in the background.
    """

    folder: Path
    demo: RunningDemo
    ports: Mapping[str, str]
    background: list[Process]

    def text(self, snippet: Snippet) -> str:
        text = snippet.text.replace("127.0.0.1:8000", self.demo.host).replace(
            "/mnt/backup", str(self.folder / "backup")
        )
        for port, free in self.ports.items():
            text = text.replace(port, free)
        return text

    def environment(self) -> dict[str, str]:
        """Return the variables of the first block: the project's commands are on the path, and no
        proxy leads out of this machine.
        """
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STOCKTAKE_", "PYTEST_"))
        }
        nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {
            **inherited, **nowhere, "no_proxy": "127.0.0.1,localhost", "PATH": path, "STOCKTAKE_DATA": str(self.demo.data),
        }  # fmt: skip


def run_sh(snippet: Snippet, terminal: Terminal) -> None:
    """Run a block in bash, with the variables and in the folder that the blocks before it have
    set.
    """
    state = terminal.folder / ".terminal"
    lines = [f". {state}" if state.exists() else "", "set -euo pipefail", terminal.text(snippet)]
    if "background" in snippet.marks:
        terminal.background.append(
            Process(
                ["bash", "-c", "\n".join(lines)], cwd=terminal.folder, env=terminal.environment()
            )
        )
        return
    lines.append(f'{{ export -p; printf "cd %q\\n" "$PWD"; }} > {state}')
    process = subprocess.run(
        ["bash", "-c", "\n".join(lines)], cwd=terminal.folder, env=terminal.environment(), capture_output=True,
        text=True, timeout=TIMEOUT,
    )  # fmt: skip
    expected = 1 if "exit code 1" in snippet.marks else 0
    assert process.returncode == expected, (
        f"{snippet}: exit code {process.returncode}\n{process.stdout[-3000:]}\n{process.stderr[-3000:]}"
    )


def run_python(snippet: Snippet, terminal: Terminal) -> None:
    process = subprocess.run(
        [sys.executable, "-c", terminal.text(snippet)], cwd=terminal.folder, env=terminal.environment(),
        capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert process.returncode == 0, (
        f"{snippet}: exit code {process.returncode}\n{process.stderr[-3000:]}"
    )


def run_sparql(snippet: Snippet, terminal: Terminal) -> None:
    """Send a query to the demo, which must have a result unless the snippet may be empty."""
    reply = httpx.post(
        f"http://{terminal.demo.host}/sparql", data={"query": snippet.text},
        headers={"Accept": "application/sparql-results+json"}, trust_env=False, timeout=60,
    )  # fmt: skip
    assert reply.status_code == 200, f"{snippet}: {reply.status_code} {reply.text[:1000]}"
    assert reply.json()["results"]["bindings"] or "may be empty" in snippet.marks, (
        f"{snippet}: no result"
    )


def run_sql(snippet: Snippet, terminal: Terminal) -> None:
    with duckdb.connect() as database:
        database.execute(f"SET file_search_path = '{terminal.demo.data / 'releases' / '1'}'")
        assert database.execute(snippet.text).fetchall(), f"{snippet}: no result"


def check_toml(snippet: Snippet, terminal: Terminal) -> None:
    """Check rules of alerts, or run ``stocktake sources check`` with a source definition, which is
    completed if the page has only a part.
    """
    table = tomllib.loads(snippet.text)
    if "rule" in table:
        assert parse_rules(snippet.text), f"{snippet}: no rule"
        return
    missing = [
        f"{key} = {json.dumps(value)}" for key, value in DEFINITION.items() if key not in table
    ]
    file = terminal.folder / f"definition-{snippet.line}.toml"
    file.write_text("\n".join([*missing, snippet.text]), encoding="utf-8")
    process = subprocess.run(
        ["stocktake", "sources", "check", str(file)], cwd=terminal.folder, env=terminal.environment(),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert process.returncode == 0, f"{snippet}: {process.stdout} {process.stderr}"


def check_json(snippet: Snippet, terminal: Terminal) -> None:
    json.loads(snippet.text)


def check_turtle(snippet: Snippet, terminal: Terminal) -> None:
    assert [*parse(snippet.text, format=RdfFormat.TURTLE, base_iri=BASE)], f"{snippet}: no triple"


def check_ini(snippet: Snippet, terminal: Terminal) -> None:
    parser = configparser.ConfigParser()
    parser.read_string(snippet.text)
    assert parser.sections(), f"{snippet}: no section"


def check_yaml(snippet: Snippet, terminal: Terminal) -> None:
    """Parse a file of a CI service, whose jobs run ``stocktake``, or of Prometheus, which reads its
    metrics.
    """
    document = yaml.safe_load(snippet.text)
    if jobs := document.get("scrape_configs"):
        assert [job.get("metrics_path", "/metrics") for job in jobs] == [
            "/metrics",
            "/admin/metrics",
        ], f"{snippet}: not our metrics"
    else:
        assert "stocktake preflight" in json.dumps(document, default=str), (
            f"{snippet}: no command of ours"
        )


RUNNERS: Mapping[str, Callable[[Snippet, Terminal], None]] = {
    "sh": run_sh, "python": run_python, "sparql": run_sparql, "sql": run_sql, "toml": check_toml, "json": check_json,
    "turtle": check_turtle, "ini": check_ini, "yaml": check_yaml,
}  # fmt: skip


@pytest.fixture
def terminal(running_demo: RunningDemo, tmp_path: Path) -> Iterator[Terminal]:
    """Return a folder like that of a clone, with the environment, the shipped source definitions,
    the documents and the demo's data.
    """
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    shutil.copytree(ROOT / "sources", tmp_path / "sources")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "demo").symlink_to(running_demo.data)
    opened = Terminal(tmp_path, running_demo, {"8765": str(free_port())}, [])
    yield opened
    for process in opened.background:
        process.stop()


def write_file(snippet: Snippet, terminal: Terminal) -> None:
    file = terminal.folder / snippet.marks["file"]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(terminal.text(snippet), encoding="utf-8")


WITH_SNIPPETS = [
    page for page in PAGES if any(snippet.language in RUNNERS for snippet in read_snippets(page))
]


@pytest.mark.parametrize("page", WITH_SNIPPETS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_snippets_of_a_page_run(page: Path, terminal: Terminal) -> None:
    for snippet in read_snippets(page):
        if "file" in snippet.marks:
            write_file(snippet, terminal)
        if snippet.language in RUNNERS and "not run" not in snippet.marks:
            RUNNERS[snippet.language](snippet, terminal)
