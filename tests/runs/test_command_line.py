"""Exit codes, JSON output, and settings checked before a command runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pytest
from click import unstyle
from processes import free_port
from projects import DEFINITION
from typer.main import get_command
from typer.testing import CliRunner

import stocktake
from command_line import services
from command_line.harvesting import groups
from command_line.harvesting.source_runs import SourceQueue
from command_line.settings import Settings
from demo.registries import Demo
from demo.source_definitions import write_sources
from harvesters.ledger.ledger import Ledger
from harvesters.source import Source, parse
from publisher.store.external.endpoint import StoreURLs
from stocktake import COMMANDS, PANELS, app

RUN = CliRunner()
WRONG = 'title = "A"\nprotocol = "json"\nmapping = "oai_dc"\nurl = "https://registry.example/"\nlicence = "https://example.org/l"\n'


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "sources").mkdir()
    return {
        "STOCKTAKE_DATA": str(tmp_path / "data"),
        "STOCKTAKE_SOURCES": str(tmp_path / "sources"),
        "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
    }


def test_help_lists_every_command() -> None:
    result = RUN.invoke(app, ["--help"])

    assert result.exit_code == 0
    for command in (
        "sources",
        "harvest",
        "schedule",
        "runs",
        "serve",
        "up",
        "dump",
        "query",
        "demo",
        "shapes",
    ):
        assert command in result.output


def test_help_has_each_command_below_one_heading() -> None:
    grouped = [name for names in PANELS.values() for name in names]

    # CI servers force colours
    output = unstyle(RUN.invoke(app, ["--help"], env={"COLUMNS": "80"}).output)

    assert sorted(grouped) == sorted(COMMANDS)
    assert [line.split()[1] for line in output.splitlines() if line.startswith("╭─")] == [
        "Options",
        *PANELS,
    ]


@pytest.mark.smoke
def test_help_and_version_import_no_large_library() -> None:
    large = {
        "fastapi", "sqlalchemy", "pyshacl", "rdflib", "httpx", "apscheduler", "duckdb", "lxml", "extruct",
    }  # fmt: skip
    code = f"import sys, stocktake; stocktake.app(['--help'], standalone_mode=False); print('loaded:', {large} & set(sys.modules))"

    completed = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
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
        *("serve", "up", "mirror", "demo", "mcp"),
        *("release", "dump", "query", "report", "export"),
    ]

    completed = subprocess.run(
        [sys.executable, "-c", code, *commands],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )

    lines = [line for line in completed.stdout.splitlines() if line.startswith("loaded by ")]
    assert lines == [f"loaded by {command} False" for command in commands], completed.stderr


def test_help_of_a_command_needs_no_valid_setting(environment: dict[str, str]) -> None:
    result = RUN.invoke(
        app, ["serve", "--help"], env={**environment, "STOCKTAKE_LOGO": "nowhere.svg"}
    )

    assert result.exit_code == 0
    assert "--port" in unstyle(result.output)


def test_settings_are_checked_where_help_is_the_value_of_an_option(
    environment: dict[str, str],
) -> None:
    result = RUN.invoke(
        app,
        ["query", __file__, "--format", "--help"],
        env={**environment, "STOCKTAKE_LOGO": "nowhere.svg"},
    )
    valid = RUN.invoke(app, ["query", __file__, "--format", "--help"], env=environment)

    assert (result.exit_code, valid.exit_code) == (2, 2)
    assert "STOCKTAKE_LOGO" in result.output
    assert "unknown format '--help'" in unstyle(valid.output)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_lazy_command_is_that_of_its_module(name: str) -> None:
    command = get_command(app).commands[name]  # type: ignore[attr-defined]

    assert command.get_short_help_str(limit=200) == command.load().get_short_help_str(limit=200)


@pytest.mark.parametrize(
    ("group", "commands"),
    [("sources", groups.SOURCES), ("runs", groups.RUNS), ("plans", groups.PLANS)],
)
def test_help_of_the_commands_of_a_group_is_that_of_their_modules(
    group: str, commands: Mapping[str, object]
) -> None:
    loaded = get_command(app).commands[group].load()  # type: ignore[attr-defined]

    assert list(loaded.commands) == list(commands)
    for command in loaded.commands.values():
        assert command.get_short_help_str(limit=200) == command.load().get_short_help_str(limit=200)


@pytest.mark.parametrize(
    ("name", "value"),
    [("STOCKTAKE_SUORCES", "x"), ("STOCKTAKE_BASE", "no address"), ("STOCKTAKE_BASE", "https://example.org/without-slash"),
     ("STOCKTAKE_LEDGER", "no url"), ("STOCKTAKE_CONTACT", "two\nlines"), ("STOCKTAKE_SHAPES_ENGINE", "guess"),
     ("STOCKTAKE_DATA", __file__), ("STOCKTAKE_ALLOW_HOSTS", "http://127.0.0.1:8000/"), ("STOCKTAKE_RELEASES", "monthly"),
     ("STOCKTAKE_SEMANTIC_SEARCH", "maybe"), ("STOCKTAKE_LOG_FORMAT", "xml"), ("STOCKTAKE_COMMENTS", "perhaps"),
     ("STOCKTAKE_PUBLIC_URL", "stocktaking.example"), ("STOCKTAKE_PUBLIC_URL", "https://stocktaking.example/path"),
     ("STOCKTAKE_PUBLIC_URL", "https://user@stocktaking.example"), ("STOCKTAKE_WORKER_PROCESSES", "-1"),
     ("STOCKTAKE_DASK", "http://host:8786"), ("STOCKTAKE_NAME", "two\nlines"), ("STOCKTAKE_LOGO", "nowhere.svg"),
     ("STOCKTAKE_LOGO", __file__)],
)  # fmt: skip
def test_an_invalid_setting_is_named_and_exits_with_2(
    environment: dict[str, str], name: str, value: str
) -> None:
    result = RUN.invoke(app, ["runs"], env={**environment, name: value})

    assert result.exit_code == 2
    assert name in result.output


def test_an_empty_variable_counts_as_not_set(environment: dict[str, str]) -> None:
    empty = dict.fromkeys(
        ["STOCKTAKE_WORKER_PROCESSES", "STOCKTAKE_BASE", "STOCKTAKE_SPARQL_URL"], ""
    )
    command = [sys.executable, "-m", "stocktake", "runs", "--json"]

    result = subprocess.run(
        command,
        env={**os.environ, **environment, **empty},
        capture_output=True,
        text=True,
        timeout=240,
    )

    assert (result.returncode, result.stderr) == (0, "")


def test_child_processes_receive_the_same_settings() -> None:
    hosts = frozenset({"b", "a"})
    whole: tuple[Path, Path, str, str, frozenset[str], str, Literal["reference"], str, str, str] = (
        Path("d"), Path("s"), "https://example.org/", "sqlite:///x", hosts, "me", "reference", "rows=9", "::1", "0 4 1 * *",
    )  # fmt: skip
    store_urls = StoreURLs("http://x/query", "http://x/update", "http://x/graphs")
    settings = Settings(
        *whole,
        semantic_search=True,
        comments=True,
        log_format="json",
        hub="https://hub.example/",
        store="s3://bucket/x",
        processes=3,
        dask="tcp://d:1",
        elsewhere=store_urls,
        name="Ours",
        logo=Path("/x.png"),
        public_url="https://public.example",
        smtp="smtp://mail.example?from=a@example.org",
        oidc="https://us:secret@login.example/",
        webhook_secret="hidden",
    )

    result = settings.environment()

    assert {name: result[name] for name in Settings.VARIABLES} == {
        "STOCKTAKE_DATA": "d", "STOCKTAKE_WORKER_PROCESSES": "3", "STOCKTAKE_DASK": "tcp://d:1", "STOCKTAKE_SOURCES": "s",
        "STOCKTAKE_BASE": "https://example.org/", "STOCKTAKE_LEDGER": "sqlite:///x", "STOCKTAKE_ALLOW_HOSTS": "a,b",
        "STOCKTAKE_CONTACT": "me", "STOCKTAKE_SHAPES_ENGINE": "reference", "STOCKTAKE_QUERY_LIMITS": "rows=9",
        "STOCKTAKE_TRUSTED_PROXIES": "::1", "STOCKTAKE_RELEASES": "0 4 1 * *", "STOCKTAKE_PUBLIC_URL": "https://public.example",
        "STOCKTAKE_SEMANTIC_SEARCH": "on", "STOCKTAKE_COMMENTS": "on", "STOCKTAKE_LOG_FORMAT": "json",
        "STOCKTAKE_WEBSUB_HUB": "https://hub.example/", "STOCKTAKE_OBJECT_STORE_URL": "s3://bucket/x", "STOCKTAKE_NAME": "Ours",
        "STOCKTAKE_OIDC_URL": "https://us:secret@login.example/", "STOCKTAKE_SMTP_URL": "smtp://mail.example?from=a@example.org",
        "STOCKTAKE_WEBHOOK_SECRET": "hidden", "STOCKTAKE_LOGO": "/x.png", "STOCKTAKE_SPARQL_URL": "http://x/query",
        "STOCKTAKE_SPARQL_UPDATE_URL": "http://x/update", "STOCKTAKE_GRAPH_STORE_URL": "http://x/graphs",
    }  # fmt: skip


def test_check_prints_an_invalid_definition_and_exits_with_1(environment: dict[str, str]) -> None:
    (Path(environment["STOCKTAKE_SOURCES"]) / "a.toml").write_text(WRONG)

    result = RUN.invoke(app, ["sources", "check", "--json"], env=environment)

    assert result.exit_code == 1
    assert "cannot read what protocol" in json.loads(result.stdout)[0]["result"]


def test_harvest_with_an_invalid_definition_exits_with_2(environment: dict[str, str]) -> None:
    (Path(environment["STOCKTAKE_SOURCES"]) / "a.toml").write_text(WRONG)

    assert RUN.invoke(app, ["harvest"], env=environment).exit_code == 2


def write_one_valid_of_three(demo_url: str, folder: Path) -> None:
    (definition,) = write_sources(demo_url, folder, ("ckan",))
    definition.rename(folder / "good.toml")
    (folder / "bad.toml").write_text(WRONG)
    (folder / "worse.toml").write_text('titel = "A"\n')


def test_an_invalid_definition_stops_only_its_own_source(environment: dict[str, str]) -> None:
    with Demo(size=20, only=("ckan",), faults=()) as demo:
        write_one_valid_of_three(demo.url, Path(environment["STOCKTAKE_SOURCES"]))

        named = RUN.invoke(app, ["harvest", "good", "--json"], env=environment)
        all_sources = RUN.invoke(app, ["harvest"], env=environment)

    output = " ".join(all_sources.stdout.split())
    assert (named.exit_code, named.stderr) == (0, "")
    assert [(row["run"], row["outcome"]) for row in json.loads(named.stdout)] == [
        ("good.1", "committed")
    ]
    assert all_sources.exit_code == 2
    for fault in (
        "bad: mapping 'oai_dc' cannot read what protocol",
        "worse.toml: unknown key 'titel'",
        "worse.toml: 'url' is missing",
    ):
        assert fault in " ".join(all_sources.stderr.split())
    assert "good unchanged" in output
    assert output.count(" invalid ") == 2


def test_a_named_source_with_an_invalid_definition_is_an_invalid_row(
    environment: dict[str, str],
) -> None:
    with Demo(size=20, only=("ckan",), faults=()) as demo:
        write_one_valid_of_three(demo.url, Path(environment["STOCKTAKE_SOURCES"]))

        result = RUN.invoke(app, ["harvest", "good", "bad", "--json"], env=environment)
        approved = RUN.invoke(app, ["sources", "hold", "bad"], env=environment)

    rows = {row["run"]: row for row in json.loads(result.stdout)}
    assert (result.exit_code, approved.exit_code) == (2, 2)
    assert (rows["good.1"]["outcome"], rows["bad"]["outcome"]) == ("committed", "invalid")
    assert "cannot read what protocol" in rows["bad"]["reason"]
    assert "worse" not in result.output


def test_the_lists_of_sources_and_faults_are_complete(environment: dict[str, str]) -> None:
    with Demo(size=20, only=("ckan",), faults=()) as demo:
        write_one_valid_of_three(demo.url, Path(environment["STOCKTAKE_SOURCES"]))

    result = RUN.invoke(app, ["sources", "list", "--json"], env=environment)

    assert result.exit_code == 2
    assert [row["name"] for row in json.loads(result.stdout)] == ["good"]
    assert "bad: mapping" in result.stderr
    assert "worse.toml: unknown key" in result.stderr


def test_the_table_of_a_failed_run_has_its_reason(environment: dict[str, str]) -> None:
    definition = (
        WRONG.replace("oai_dc", "fields").replace(
            "https://registry.example/", "http://127.0.0.1:9/"
        )
        + '[fields]\ntitle = "name"\n'
    )
    (Path(environment["STOCKTAKE_SOURCES"]) / "a.toml").write_text("pause = 0\n" + definition)

    harvested = RUN.invoke(app, ["harvest"], env=environment)
    result = RUN.invoke(app, ["runs", "show", "a.1"], env=environment)
    tried = RUN.invoke(app, ["harvest", "--dry-run", "--json"], env=environment)

    assert "could not connect to 127.0.0.1:9" in " ".join(harvested.stdout.split())
    assert "a failed" in " ".join(harvested.stdout.split())
    assert "could not connect to 127.0.0.1:9" in " ".join(result.stdout.split())
    (row,) = json.loads(tried.stdout)
    assert (row["run"], row["outcome"]) == ("a", "failed")
    assert "could not connect to 127.0.0.1:9" in row["reason"]


def test_an_unknown_source_exits_with_2(environment: dict[str, str]) -> None:
    result = RUN.invoke(app, ["harvest", "nobody"], env=environment)

    assert result.exit_code == 2
    assert "nobody" in result.output


def test_a_directory_without_definitions_exits_with_2(environment: dict[str, str]) -> None:
    assert RUN.invoke(app, ["sources", "check"], env=environment).exit_code == 2


def test_a_harvest_is_listed_as_json_and_its_data_can_be_queried_and_dumped(
    environment: dict[str, str], tmp_path: Path
) -> None:
    query_file = tmp_path / "count.rq"
    query_file.write_text(
        "SELECT (COUNT(*) AS ?n) WHERE { ?i a <https://w3id.org/wsis-stocktaking/ns#Initiative> }"
    )
    with Demo(size=60, only=("ckan",), faults=()) as demo:
        write_sources(demo.url, Path(environment["STOCKTAKE_SOURCES"]), ("ckan",))

        harvested = RUN.invoke(app, ["harvest", "--json"], env=environment)
        listed = RUN.invoke(app, ["sources", "list", "--json"], env=environment)
        runs = RUN.invoke(app, ["runs", "demo-ckan", "--json"], env=environment)
        dumped = RUN.invoke(app, ["dump"], env=environment)
        answer = RUN.invoke(app, ["query", str(query_file)], env=environment)

    assert [invoked.exit_code for invoked in (harvested, listed, runs, dumped, answer)] == [0] * 5
    assert json.loads(harvested.stdout)[0]["counts"]["new"] == 60
    assert [(row["name"], row["last"], row["published"]) for row in json.loads(listed.stdout)] == [
        ("demo-ckan", "committed", 60)
    ]
    assert json.loads(runs.stdout)[0]["run"] == "demo-ckan.1"
    assert "60" in answer.stdout
    assert all(Path(line).exists() for line in dumped.stdout.split())


def test_an_unreachable_registry_fails_the_run_with_1(environment: dict[str, str]) -> None:
    definition = WRONG.replace("oai_dc", "fields").replace(
        "https://registry.example/", "http://127.0.0.1:9/"
    )
    definition += '[fields]\ntitle = "name"\n'
    (Path(environment["STOCKTAKE_SOURCES"]) / "a.toml").write_text("pause = 0\n" + definition)

    result = RUN.invoke(app, ["harvest", "--json"], env=environment)

    assert result.exit_code == 1
    (row,) = json.loads(result.stdout)
    assert (row["run"], row["outcome"]) == ("a.1", "failed")
    assert "could not connect to 127.0.0.1:9" in row["reason"]


def test_the_version_is_that_of_the_package() -> None:
    result = RUN.invoke(app, ["--version"])

    assert (result.exit_code, result.stdout) == (0, f"stocktake {version('stocktake')}\n")


@pytest.mark.parametrize("command", ["check", "preview"])
def test_a_source_is_checked_and_previewed_by_its_name(
    environment: dict[str, str], command: str
) -> None:
    with Demo(size=60, only=("ckan",), faults=()) as demo:
        write_sources(demo.url, Path(environment["STOCKTAKE_SOURCES"]), ("ckan",))

        named = RUN.invoke(app, ["sources", command, "demo-ckan", "--json"], env=environment)
        unknown = RUN.invoke(app, ["sources", command, "nobody"], env=environment)

    assert named.exit_code == 0
    assert ("demo-ckan" if command == "check" else '"reported_total":60') in named.stdout
    assert ('"mapped":[{"field":"Title","values":[' in named.stdout) == (command == "preview")
    assert unknown.exit_code == 2
    assert "demo-ckan" in " ".join(unknown.stderr.split())


@pytest.mark.parametrize(
    ("expect", "outcome", "options"),
    [(0, "would commit", ["--json"]), (50, "would be held", ["--json"]), (50, "would be held", [])],
)
def test_a_dry_run_has_its_expected_outcome(
    environment: dict[str, str], expect: int, outcome: str, options: list[str]
) -> None:
    with Demo(size=40, only=("ckan",), faults=()) as demo:
        (definition,) = write_sources(demo.url, Path(environment["STOCKTAKE_SOURCES"]), ("ckan",))
        definition.write_text(
            definition.read_text().replace("[limits]\n", "") + f"\n[limits]\nexpect = {expect}\n"
        )

        result = RUN.invoke(app, ["harvest", "--dry-run", *options], env=environment)

    assert outcome in result.stdout
    if options:
        (row,) = json.loads(result.stdout)
        assert (row["outcome"], row["dry_run"]) == (outcome, True)


@pytest.mark.parametrize(
    ("query", "form", "formats"),
    [("SELECT * {}", "ttl", "json, xml, csv, tsv"), pytest.param("ASK {}", "rdf", "json, xml, csv, tsv", marks=pytest.mark.nightly),
     ("CONSTRUCT WHERE {}", "csv", "ttl, nt, jsonld, rdf")],
)  # fmt: skip
def test_a_query_result_is_refused_in_a_format_of_another_kind(
    environment: dict[str, str], tmp_path: Path, query: str, form: str, formats: str
) -> None:
    (tmp_path / "q.rq").write_text(query)

    result = RUN.invoke(app, ["query", str(tmp_path / "q.rq"), "--format", form], env=environment)

    assert (result.exit_code, result.stdout) == (2, "")
    assert formats in " ".join(result.stderr.replace("│", "").split())


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

    completed = subprocess.run(
        [sys.executable, "-c", code, *commands],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert completed.stdout.splitlines() == [f"{command} 2 True False 2" for command in commands], (
        completed.stderr
    )


def test_a_setting_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "webhook"
    path.write_text("s3cret \n", encoding="utf-8")
    environment = {"STOCKTAKE_WEBHOOK_SECRET_FILE": str(path)}
    monkeypatch.setattr(os, "environ", environment)

    stocktake.read_setting_files()

    assert environment == {"STOCKTAKE_WEBHOOK_SECRET": "s3cret "}


@pytest.mark.parametrize("more", [{"STOCKTAKE_LEDGER": "sqlite:///x"}, {}])
def test_a_file_of_a_setting_that_is_missing_or_one_too_many_is_named(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: dict[str, str],
) -> None:
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

    SourceQueue(sources, run, patience=0.01).work()

    assert (order[-1], sorted(order)) == ("slow", ["second", "slow", "third"])


def test_sources_run_in_their_order_where_none_is_slow() -> None:
    definition = parse("a", DEFINITION, "test")
    sources = [replace(definition, name=name) for name in ("b", "a", "c")]
    order = list[str]()

    SourceQueue(sources, lambda source: order.append(source.name)).work()

    assert order == ["b", "a", "c"]


def test_a_run_whose_process_died_is_listed_as_interrupted(environment: dict[str, str]) -> None:
    data = Path(environment["STOCKTAKE_DATA"])
    data.mkdir()
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ledger = Ledger(f"sqlite:///{data}/ledger.sqlite")
    ledger.create_run("projects", now, "rules", is_full=True, since=None)
    ledger.close()

    outcomes = [
        json.loads(RUN.invoke(app, [*words, "--json"], env=environment).stdout)
        for words in (["runs", "list"], ["runs", "show", "projects.1"])
    ]

    assert outcomes[0][0]["outcome"] == "interrupted"
    assert outcomes[1]["outcome"] == "interrupted"


def test_links_of_all_processes_of_up_begin_with_the_address_of_the_server(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = list[str]()
    monkeypatch.setattr(
        services, "supervise", lambda _, settings: addresses.append(settings.public_url)
    )
    port = free_port()

    result = RUN.invoke(app, ["up", "--port", str(port)], env=environment)

    assert (result.exit_code, addresses) == (0, [f"http://127.0.0.1:{port}"])
