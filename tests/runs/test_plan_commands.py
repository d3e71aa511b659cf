from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from demo.registries import Demo
from demo.source_definitions import write_sources
from harvesters.errors import PlanError
from harvesters.source import load
from stocktake import app

Stocktake = Callable[..., Result]


@pytest.fixture(scope="module")
def registry() -> Iterator[Demo]:
    with Demo(size=40, only=("ckan",), faults=()) as demo:
        yield demo


def _run_in(folder: Path) -> Stocktake:
    environment = {
        "STOCKTAKE_DATA": str(folder / "data"),
        "STOCKTAKE_SOURCES": str(folder / "sources"),
        "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
    }
    return lambda *words: CliRunner().invoke(app, list(words), env=environment)


@pytest.fixture(scope="module")
def harvested(tmp_path_factory: pytest.TempPathFactory, registry: Demo) -> Path:
    """Return a folder with one source that was harvested, and whose plan is held since it expects
    too much; tests copy it.
    """
    folder = tmp_path_factory.mktemp("harvested")
    (define_source,) = write_sources(registry.url, folder / "sources", ("ckan",))
    if "[limits]" not in define_source.read_text():
        define_source.write_text(define_source.read_text() + "\n[limits]\n")
    define_source.write_text(
        define_source.read_text().replace("[limits]\n", "[limits]\nexpect = 50\n")
    )
    assert load(define_source).limits.expect == 50
    _run_in(folder)("harvest")
    return folder


@pytest.fixture
def stocktake(tmp_path: Path, harvested: Path) -> Stocktake:
    return _run_in(Path(shutil.copytree(harvested, tmp_path / "copy")))


def test_a_held_plan_is_listed_with_the_action(stocktake: Stocktake) -> None:
    (row,) = json.loads(stocktake("plans", "list", "--json").stdout)

    assert (row["run"], row["outcome"]) == ("demo-ckan.1", "held")
    assert "expects at least 50" in row["reason"]
    assert "stocktake plans show demo-ckan.1" in row["reason"]


def test_a_plan_shows_each_record_and_its_difference(stocktake: Stocktake) -> None:
    plan = json.loads(stocktake("plans", "show", "demo-ckan.1", "--diff", "--json").stdout)

    assert len(plan["records"]) == plan["counts"]["new"] == 40
    assert all(row["added"] and not row["removed"] for row in plan["records"])
    assert "+ <" in stocktake("plans", "show", "demo-ckan.1", "--diff").stdout


def test_an_approved_plan_is_committed_and_its_numbers_add_up(stocktake: Stocktake) -> None:
    approved = stocktake(
        "plans", "approve", "demo-ckan.1", "--override", "expect=10", "--days", "3", "--json"
    )

    account = json.loads(stocktake("runs", "show", "demo-ckan.1", "--json").stdout)
    again = stocktake("harvest", "--full", "--json")
    assert (approved.exit_code, json.loads(approved.stdout)[0]["outcome"]) == (0, "committed")
    assert account["counts"]["published_after"] == len(account["records"]) == 40
    assert account["quads"]["added"] > 40
    assert (again.exit_code, json.loads(again.stdout)[0]["outcome"]) == (0, "unchanged")


def test_a_run_lists_the_records_of_one_outcome(stocktake: Stocktake) -> None:
    stocktake("plans", "approve", "demo-ckan.1")

    new, none = (
        stocktake("runs", "show", "demo-ckan.1", "--outcome", item, "--json")
        for item in ("new", "vanished")
    )

    assert len(json.loads(new.stdout)["records"]) == 40
    assert all(
        row["archive"].startswith("demo-ckan/demo-ckan.1.warc.gz, bytes ")
        for row in json.loads(new.stdout)["records"]
    )
    assert json.loads(none.stdout)["records"] == []
    assert "published after" in stocktake("runs", "show", "demo-ckan.1").stdout


def test_a_rejected_plan_is_no_longer_listed(stocktake: Stocktake) -> None:
    assert stocktake("plans", "reject", "demo-ckan.1", "--reason", "not yet").exit_code == 0
    assert json.loads(stocktake("plans", "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [(["plans", "show", "nobody.1"], "no run 'nobody.1'"), (["runs", "show", "nobody.1"], "no run 'nobody.1'"),
     (["plans", "approve", "demo-ckan.1", "--override", "vanished=1.5"], "share from 0 to 1")],
)  # fmt: skip
def test_impossible_decisions_are_reported(
    stocktake: Stocktake, words: list[str], message: str
) -> None:
    result = stocktake(*words)

    assert result.exit_code == 1
    assert message in str(result.exception)


@pytest.mark.parametrize(
    "words",
    [["--override", "vanished"], ["--override", "vanished=-1"], ["--override", "vanished=nan"],
     ["--override", "vanished=0.5", "--days", "40"]],
)  # fmt: skip
def test_a_malformed_override_exits_with_2(stocktake: Stocktake, words: list[str]) -> None:
    assert stocktake("plans", "approve", "demo-ckan.1", *words).exit_code == 2


def test_a_source_is_held_and_released(stocktake: Stocktake) -> None:
    on_hold = stocktake("sources", "hold", "demo-ckan", "--reason", "moving house")

    (row,) = json.loads(stocktake("sources", "list", "--json").stdout)
    released = [stocktake("sources", "release", "demo-ckan").exit_code for _ in range(2)]
    assert (on_hold.exit_code, row["hold"]) == (0, "moving house")
    assert released == [0, 1]


def test_runs_without_a_command_lists_them(stocktake: Stocktake) -> None:
    outputs = [
        stocktake("runs", *words, "--json").stdout
        for words in ([], ["demo-ckan"], ["list", "demo-ckan"])
    ]

    assert {row["run"] for row in json.loads(outputs[0])} == {"vocabulary.1", "demo-ckan.1"}
    assert outputs[1] == outputs[2]


@pytest.mark.parametrize("command", ["harvest", "remap"])
def test_a_run_that_would_supersede_a_plan_is_refused_with_its_id(
    stocktake: Stocktake, command: str
) -> None:
    refused = stocktake(command, "demo-ckan", "--json")
    waiting = json.loads(stocktake("plans", "list", "--json").stdout)

    assert refused.exit_code == 1
    assert "demo-ckan.1 waits for approval" in " ".join(refused.stderr.split())
    assert "--supersede demo-ckan.1" in json.loads(refused.stdout)[0]["refused"]
    assert [row["run"] for row in waiting] == ["demo-ckan.1"]


def test_a_plan_is_superseded_if_its_id_is_given(stocktake: Stocktake) -> None:
    stocktake("harvest", "demo-ckan", "--supersede", "demo-ckan.1")

    waiting = json.loads(stocktake("plans", "list", "--json").stdout)
    late = stocktake("plans", "approve", "demo-ckan.1")
    unknown = stocktake("harvest", "--supersede", "demo-ckan.1")

    assert [row["run"] for row in waiting] == ["demo-ckan.2"]
    assert isinstance(late.exception, PlanError)
    assert isinstance(unknown.exception, PlanError)
    assert "demo-ckan.1" in str(unknown.exception)


def test_a_dry_run_needs_no_confirmation_and_keeps_the_waiting_plan(stocktake: Stocktake) -> None:
    dry = stocktake("harvest", "--dry-run", "--json")

    assert json.loads(dry.stdout)[0]["outcome"] == "would be held"
    assert [row["run"] for row in json.loads(stocktake("plans", "list", "--json").stdout)] == [
        "demo-ckan.1"
    ]


def test_a_record_is_forgotten_after_approval_and_what_remains_is_listed(
    stocktake: Stocktake,
) -> None:
    assert "awaits approval" in str(stocktake("sources", "clear", "demo-ckan").exception)
    stocktake("plans", "approve", "demo-ckan.1")
    key = json.loads(stocktake("runs", "show", "demo-ckan.1", "--json").stdout)["records"][0]["key"]

    planned = stocktake("sources", "forget", f"demo-ckan/{key}", "--json")
    stocktake("plans", "approve", json.loads(planned.stdout)[0]["run"])
    erased = json.loads(stocktake("sources", "forget", f"demo-ckan/{key}", "--json").stdout)

    assert (len(erased["entries"]), erased["releases"], len(erased["erased"])) == (2, [], 1)
    assert stocktake("archive", "prune").exit_code == 2
    pruned = stocktake("archive", "prune", "--size", "0", "--json")
    assert (pruned.exit_code, json.loads(pruned.stdout)["deleted"]) == (1, [])
    assert stocktake("sources", "resume", "demo-ckan").exit_code == 1
