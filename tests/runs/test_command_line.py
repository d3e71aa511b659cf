from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pytest
from click import unstyle
from processes import free_port
from projects import DEFINITION
from rows import each
from typer.testing import CliRunner, Result

import stocktake
from command_line import services
from command_line.commands import COMMANDS
from command_line.settings import Settings
from command_line.source_runs import run_in_turn
from demo.registries import Demo
from demo.source_definitions import write_sources
from harvesters.ledger.ledger import Ledger
from harvesters.source import Source, parse
from publisher.store.external.client import StoreURLs
from stocktake import app

RUN = CliRunner()
WRONG = 'title = "A"\nprotocol = "json"\nmapping = "oai_dc"\nurl = "https://registry.example/"\nlicence = "https://example.org/l"\n'


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "sources").mkdir()
    folders = {"STOCKTAKE_DATA": str(tmp_path / "data"), "STOCKTAKE_SOURCES": str(tmp_path / "sources")}  # fmt: skip
    return {**folders, "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1"}


@pytest.fixture
def run(environment: dict[str, str]) -> Callable[..., Result]:
    """Return a function that runs the command line; *settings* are environment variables."""
    return lambda *words, **settings: RUN.invoke(app, words, env={**environment, **settings})


@pytest.fixture
def sources(environment: dict[str, str]) -> Path:
    return Path(environment["STOCKTAKE_SOURCES"])


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    with Demo(size=40, only=("ckan",), faults=()) as running:
        yield running


@pytest.fixture
def ckan(demo: Demo, sources: Path) -> Path:
    return write_sources(demo.url, sources, ("ckan",))[0]


def words_of(text: str) -> str:
    return " ".join(text.replace("│", "").split())


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120
    )  # fmt: skip


def test_help_has_each_command_below_one_heading() -> None:
    names = [name for commands in COMMANDS.values() for name in commands]

    result = RUN.invoke(app, ["--help"], env={"COLUMNS": "80"})

    # The output has colours on CI servers, which force them.
    lines = unstyle(result.output).splitlines()
    assert result.exit_code == 0
    assert len(names) == len({*names})
    assert [line.split()[1] for line in lines if line.startswith("╭─")] == ["Options", *COMMANDS]
    assert {*names} <= {line.split()[1] for line in lines if line.startswith("│ ")}


@pytest.mark.smoke
def test_help_and_version_import_no_large_library() -> None:
    large = {"fastapi", "sqlalchemy", "pyshacl", "rdflib", "httpx", "apscheduler", "duckdb", "lxml", "extruct"}  # fmt: skip

    completed = python(
        "import sys, stocktake; stocktake.app(['--help'], standalone_mode=False); "
        f"print('loaded:', {large} & set(sys.modules))"
    )

    assert completed.stdout.rstrip().endswith("loaded: set()"), completed.stderr


def test_help_of_services_and_publishing_imports_no_page() -> None:
    code = """
import sys, stocktake
for command in sys.argv[1:]:
    stocktake.app([command, "--help"], standalone_mode=False)
    print("loaded by", command, "fastapi" in sys.modules)
"""
    commands = [
        "serve", "up", "mirror", "demo", "mcp", "release", "dump", "query", "report", "export",
    ]  # fmt: skip

    completed = python(code, *commands)

    lines = [line for line in completed.stdout.splitlines() if line.startswith("loaded by ")]
    assert lines == [f"loaded by {command} False" for command in commands], completed.stderr


def test_settings_are_checked_unless_help_is_asked_for(run: Callable[..., Result]) -> None:
    wrong, hold = (
        {"STOCKTAKE_LOGO": "nowhere.svg"},
        ("sources", "hold", "nowhere", "--reason", "--help"),
    )

    helped = run("serve", "--help", **wrong)
    refused, valid = run(*hold, **wrong), run(*hold)

    assert (helped.exit_code, "--port" in unstyle(helped.output)) == (0, True)
    assert (refused.exit_code, "STOCKTAKE_LOGO" in refused.output) == (2, True)
    assert (valid.exit_code, "no source named 'nowhere'" in unstyle(valid.output)) == (2, True)


@each(
    "name, value",
    [("STOCKTAKE_SUORCES", "x"), ("STOCKTAKE_BASE", "no address"), ("STOCKTAKE_BASE", "https://example.org/without-slash"),
     ("STOCKTAKE_LEDGER", "no url"), ("STOCKTAKE_CONTACT", "two\nlines"), ("STOCKTAKE_SHAPES_ENGINE", "guess"),
     ("STOCKTAKE_DATA", __file__), ("STOCKTAKE_ALLOW_HOSTS", "http://127.0.0.1:8000/"), ("STOCKTAKE_RELEASES", "monthly"),
     ("STOCKTAKE_LOG_FORMAT", "xml"), ("STOCKTAKE_COMMENTS", "perhaps"),
     ("STOCKTAKE_PUBLIC_URL", "stocktaking.example"), ("STOCKTAKE_PUBLIC_URL", "https://stocktaking.example/path"),
     ("STOCKTAKE_PUBLIC_URL", "https://user@stocktaking.example"), ("STOCKTAKE_WORKER_PROCESSES", "-1"),
     ("STOCKTAKE_DASK", "http://host:8786"), ("STOCKTAKE_NAME", "two\nlines"), ("STOCKTAKE_LOGO", "nowhere.svg"),
     ("STOCKTAKE_LOGO", __file__)],
)  # fmt: skip
def test_an_invalid_setting_is_named_and_exits_with_2(
    run: Callable[..., Result], name: str, value: str
) -> None:
    result = run("runs", **{name: value})

    assert (result.exit_code, name in result.output) == (2, True)


def test_an_empty_variable_counts_as_not_set(environment: dict[str, str]) -> None:
    empty = dict.fromkeys(["STOCKTAKE_WORKER_PROCESSES", "STOCKTAKE_BASE", "STOCKTAKE_SPARQL_URL"], "")  # fmt: skip
    command = [sys.executable, "-m", "stocktake", "runs", "--json"]
    settings = {**os.environ, **environment, **empty}

    result = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=240)

    assert (result.returncode, result.stderr) == (0, "")


def test_child_processes_receive_the_same_settings() -> None:
    hosts = frozenset({"b", "a"})
    whole: tuple[Path, Path, str, str, frozenset[str], str, Literal["reference"], str, str, str] = (
        Path("d"), Path("s"), "https://example.org/", "sqlite:///x", hosts, "me", "reference", "rows=9", "::1", "0 4 1 * *",
    )  # fmt: skip
    settings = Settings(
        *whole, comments=True, log_format="json", hub="https://hub.example/", store="s3://bucket/x", processes=3,
        dask="tcp://d:1", elsewhere=StoreURLs("http://x/query", "http://x/update", "http://x/graphs"), name="Ours", logo=Path("/x.png"),
        public_url="https://public.example", smtp="smtp://mail.example?from=a@example.org", oidc="https://us:secret@login.example/",
        webhook_secret="hidden",
    )  # fmt: skip

    result = settings.environment()

    assert {name: result[name] for name in Settings.VARIABLES} == {
        "STOCKTAKE_DATA": "d", "STOCKTAKE_WORKER_PROCESSES": "3", "STOCKTAKE_DASK": "tcp://d:1", "STOCKTAKE_SOURCES": "s",
        "STOCKTAKE_BASE": "https://example.org/", "STOCKTAKE_LEDGER": "sqlite:///x", "STOCKTAKE_ALLOW_HOSTS": "a,b",
        "STOCKTAKE_CONTACT": "me", "STOCKTAKE_SHAPES_ENGINE": "reference", "STOCKTAKE_QUERY_LIMITS": "rows=9",
        "STOCKTAKE_TRUSTED_PROXIES": "::1", "STOCKTAKE_RELEASES": "0 4 1 * *", "STOCKTAKE_PUBLIC_URL": "https://public.example",
        "STOCKTAKE_COMMENTS": "on", "STOCKTAKE_LOG_FORMAT": "json",
        "STOCKTAKE_WEBSUB_HUB": "https://hub.example/", "STOCKTAKE_OBJECT_STORE_URL": "s3://bucket/x", "STOCKTAKE_NAME": "Ours",
        "STOCKTAKE_OIDC_URL": "https://us:secret@login.example/", "STOCKTAKE_SMTP_URL": "smtp://mail.example?from=a@example.org",
        "STOCKTAKE_WEBHOOK_SECRET": "hidden", "STOCKTAKE_LOGO": "/x.png", "STOCKTAKE_SPARQL_URL": "http://x/query",
        "STOCKTAKE_SPARQL_UPDATE_URL": "http://x/update", "STOCKTAKE_GRAPH_STORE_URL": "http://x/graphs",
    }  # fmt: skip


def test_check_prints_an_invalid_definition_and_harvest_refuses_it(
    run: Callable[..., Result], sources: Path
) -> None:
    (sources / "a.toml").write_text(WRONG)

    result = run("sources", "check", "--json")

    assert (result.exit_code, run("harvest").exit_code) == (1, 2)
    assert "cannot read the payload of protocol" in json.loads(result.stdout)[0]["result"]


@pytest.fixture
def one_of_three(ckan: Path) -> None:
    ckan.rename(ckan.with_name("good.toml"))
    ckan.with_name("bad.toml").write_text(WRONG)
    ckan.with_name("worse.toml").write_text('titel = "A"\n')


def test_an_invalid_definition_stops_only_its_own_source(
    run: Callable[..., Result], one_of_three: None
) -> None:
    named, all_sources, listed = run("harvest", "good", "--json"), run("harvest"), run("sources", "list", "--json")  # fmt: skip

    assert (named.exit_code, named.stderr) == (0, "")
    outcomes = [(row["run"], row["outcome"]) for row in json.loads(named.stdout)]
    assert outcomes == [("good.1", "committed")]
    assert (all_sources.exit_code, listed.exit_code) == (2, 2)
    for fault in (
        "bad: mapping 'oai_dc' cannot read the payload of protocol", "worse.toml: unknown key 'titel'", "worse.toml: 'url' is missing",
    ):  # fmt: skip
        assert fault in words_of(all_sources.stderr)
        assert fault in words_of(listed.stderr)
    assert "good unchanged" in words_of(all_sources.stdout)
    assert words_of(all_sources.stdout).count(" invalid ") == 2
    assert [row["name"] for row in json.loads(listed.stdout)] == ["good"]


def test_a_named_source_with_an_invalid_definition_is_an_invalid_row(
    run: Callable[..., Result], one_of_three: None
) -> None:
    result = run("harvest", "good", "bad", "--json")

    rows = {row["run"]: row for row in json.loads(result.stdout)}
    assert (result.exit_code, run("sources", "hold", "bad").exit_code) == (2, 2)
    assert (rows["good.1"]["outcome"], rows["bad"]["outcome"]) == ("committed", "invalid")
    assert "cannot read the payload of protocol" in rows["bad"]["reason"]
    assert "worse" not in result.output


def test_an_unreachable_registry_fails_the_run_with_its_reason(
    run: Callable[..., Result], sources: Path
) -> None:
    there = WRONG.replace("oai_dc", "fields").replace("https://registry.example", "http://127.0.0.1:9")  # fmt: skip
    (sources / "a.toml").write_text(f'pause = 0\n{there}[fields]\ntitle = "name"\n')

    listed, result = run("harvest"), run("harvest", "--json")
    printed, tried = run("runs", "show", "a.1"), run("harvest", "--dry-run", "--json")

    reason = "could not connect to 127.0.0.1:9"
    assert (listed.exit_code, result.exit_code) == (1, 1)
    assert "a failed" in words_of(listed.stdout)
    assert reason in words_of(listed.stdout)
    assert reason in words_of(printed.stdout)
    for output, name in ((result, "a.2"), (tried, "a")):
        (row,) = json.loads(output.stdout)
        assert (row["run"], row["outcome"], reason in row["reason"]) == (name, "failed", True)


def test_an_unknown_source_or_a_directory_without_definitions_exits_with_2(
    run: Callable[..., Result],
) -> None:
    unknown = run("harvest", "nobody")

    assert (unknown.exit_code, run("sources", "check").exit_code) == (2, 2)
    assert "nobody" in unknown.output


def test_a_harvest_is_listed_as_json_and_its_data_can_be_queried_and_dumped(
    run: Callable[..., Result], ckan: Path, tmp_path: Path
) -> None:
    query_file = tmp_path / "count.rq"
    query_file.write_text("SELECT (COUNT(*) AS ?n) WHERE { ?i a <https://w3id.org/wsis-stocktaking/ns#Initiative> }")  # fmt: skip

    commands = (("harvest", "--json"), ("sources", "list", "--json"), ("runs", "demo-ckan", "--json"), ("dump",),
    ("query", str(query_file)))  # fmt: skip
    harvested, listed, runs, dumped, answer = results = [run(*words) for words in commands]

    assert [result.exit_code for result in results] == [0] * 5
    assert json.loads(harvested.stdout)[0]["counts"]["new"] == 40
    rows = [(row["name"], row["last"], row["published"]) for row in json.loads(listed.stdout)]
    assert rows == [("demo-ckan", "committed", 40)]
    assert json.loads(runs.stdout)[0]["run"] == "demo-ckan.1"
    assert "40" in answer.stdout
    assert all(Path(line).exists() for line in dumped.stdout.split())


def test_the_version_is_that_of_the_package() -> None:
    result = RUN.invoke(app, ["--version"])

    assert (result.exit_code, result.stdout) == (0, f"stocktake {version('stocktake')}\n")


@each("command, part", [("check", "demo-ckan"), ("preview", '"reported_total":40')])
def test_a_source_is_checked_and_previewed_by_its_name(
    run: Callable[..., Result], ckan: Path, command: str, part: str
) -> None:
    named, unknown = run("sources", command, "demo-ckan", "--json"), run("sources", command, "nobody")  # fmt: skip

    assert (named.exit_code, part in named.stdout) == (0, True)
    assert ('"mapped":[{"field":"Title","values":[' in named.stdout) == (command == "preview")
    assert (unknown.exit_code, "demo-ckan" in words_of(unknown.stderr)) == (2, True)


@each(
    "expect, outcome, options",
    [(0, "would commit", ["--json"]), (50, "would be held", ["--json"]), (50, "would be held", [])],
)
def test_a_dry_run_has_its_expected_outcome(
    run: Callable[..., Result], ckan: Path, expect: int, outcome: str, options: list[str]
) -> None:
    text = re.sub(r"\n?\[limits\]\n|expect = \d+\n", "", ckan.read_text())
    ckan.write_text(f"{text}\n[limits]\nexpect = {expect}\n")

    result = run("harvest", "--dry-run", *options)

    assert outcome in result.stdout
    if options:
        (row,) = json.loads(result.stdout)
        assert (row["outcome"], row["dry_run"]) == (outcome, True)


@each(
    "query, form, formats",
    [("SELECT * {}", "ttl", "json, xml, csv, tsv"),
     ("CONSTRUCT WHERE {}", "csv", "ttl, nt, jsonld, rdf")],
)  # fmt: skip
def test_a_query_result_is_refused_in_a_format_of_another_kind(
    run: Callable[..., Result], tmp_path: Path, query: str, form: str, formats: str
) -> None:
    (tmp_path / "q.rq").write_text(query)

    result = run("query", str(tmp_path / "q.rq"), "--format", form)

    assert (result.exit_code, result.stdout) == (2, "")
    assert formats in words_of(result.stderr)


def test_a_data_directory_with_files_of_another_user_exits_with_2() -> None:
    code = """
import os, sys, tempfile
from pathlib import Path
from typer.testing import CliRunner
from stocktake import app

data = Path(tempfile.mkdtemp())
data.chmod(0o755 if os.getuid() else 0o777)
(data / "journal").mkdir(mode=0o500)
CliRunner().invoke(app, ["--data", "/dev/null", "runs"])  # loads what only root may read in a root's home
os.getuid() or os.setuid(65534)
for command in sys.argv[1:]:
    done = CliRunner().invoke(app, ["--data", str(data), *command.split()])
    print(command, done.exit_code, "journal" in done.output, "Traceback" in done.output, done.exception)
"""
    commands = ["runs", "sources list", "release", "serve"]

    completed = python(code, *commands)

    lines = [f"{command} 2 True False 2" for command in commands]
    assert completed.stdout.splitlines() == lines, completed.stderr


def test_a_setting_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "webhook"
    path.write_text("s3cret \n", encoding="utf-8")
    environment = {"STOCKTAKE_WEBHOOK_SECRET_FILE": str(path)}
    monkeypatch.setattr(os, "environ", environment)

    stocktake.read_setting_files()

    assert environment == {"STOCKTAKE_WEBHOOK_SECRET": "s3cret "}


@pytest.mark.parametrize("more", [{"STOCKTAKE_LEDGER": "sqlite:///x"}, {}])
def test_a_file_of_a_setting_that_is_missing_or_one_too_many_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, str]
) -> None:  # fmt: skip
    path = tmp_path / "ledger"
    if more:
        path.write_text("postgresql+psycopg://secret@host/ledger", encoding="utf-8")
    monkeypatch.setattr(os, "environ", {"STOCKTAKE_LEDGER_FILE": str(path), **more})

    with pytest.raises(SystemExit) as ended:
        stocktake.read_setting_files()

    message = capsys.readouterr().err
    assert ended.value.code == 2
    assert message.startswith("STOCKTAKE_LEDGER_FILE: ")
    assert "secret" not in message


def test_a_slow_source_does_not_hold_up_the_later_ones() -> None:
    definition = parse("slow", DEFINITION, "test")
    sources = [replace(definition, name=name) for name in ("slow", "second", "third")]
    others_ran, order = threading.Event(), list[str]()

    def run(source: Source) -> None:
        if source.name == "slow":
            others_ran.wait(timeout=60)
        order.append(source.name)
        if len(order) == 2:
            others_ran.set()

    run_in_turn(sources, run, patience=0.01)

    assert (order[-1], sorted(order)) == ("slow", ["second", "slow", "third"])


def test_sources_run_in_their_order_where_none_is_slow() -> None:
    definition = parse("a", DEFINITION, "test")
    sources = [replace(definition, name=name) for name in ("b", "a", "c")]
    order = list[str]()

    run_in_turn(sources, lambda source: order.append(source.name))

    assert order == ["b", "a", "c"]


def test_a_run_whose_process_died_is_listed_as_interrupted(
    run: Callable[..., Result], environment: dict[str, str]
) -> None:
    data = Path(environment["STOCKTAKE_DATA"])
    data.mkdir()
    ledger = Ledger(f"sqlite:///{data}/ledger.sqlite")
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ledger.create_run("projects", now, "rules", is_full=True, since=None)
    ledger.close()

    (listed,) = json.loads(run("runs", "list", "--json").stdout)
    printed = json.loads(run("runs", "show", "projects.1", "--json").stdout)

    assert listed["outcome"] == printed["outcome"] == "interrupted"


def test_links_of_all_processes_of_up_begin_with_the_address_of_the_server(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses, port = list[str](), free_port()
    monkeypatch.setattr(services, "supervise", lambda _, settings: addresses.append(settings.public_url))  # fmt: skip

    result = run("up", "--port", str(port))

    assert (result.exit_code, addresses) == (0, [f"http://127.0.0.1:{port}"])
