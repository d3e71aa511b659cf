"""The status file: the status of each source after each kind of run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyoxigraph
import pytest
from rdf_terms import value

from harvesters.errors import HarvestError
from harvesters.ledger.operator_actions import SourceHold
from harvesters.runs.context import HarvestContext
from harvesters.runs.harvest import harvest
from harvesters.runs.publish_vocabularies import publish
from harvesters.runs.status_file import write_status
from harvesters.source import Limits, Source

DEFINITION = """title = "Projects"
protocol = "json"
mapping = "fields"
url = "https://registry.example/api"
licence = "https://creativecommons.org/licenses/by/4.0/"
every = "0 12 * * *"
enabled = true
[options]
records = "results"
key = "id"
[fields]
key = "id"
"""
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Status = dict[str, str]


@pytest.fixture
def carded(context: HarvestContext, tmp_path: Path) -> HarvestContext:
    """Means that know a folder with the source's card."""
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "projects.toml").write_text(DEFINITION)
    return replace(context, source_dir=folder)


def status_of(
    context: HarvestContext, name: str = "projects", after: timedelta = timedelta()
) -> Status:
    """Write the status as it is so much later; return what it says of a source, by the terms'
    names.
    """
    now: Callable[[], datetime] = context.now
    write_status(replace(context, now=lambda: now() + after))
    store = pyoxigraph.Store()
    store.load((context.data / "status.nq").read_bytes(), pyoxigraph.RdfFormat.N_QUADS)
    source = pyoxigraph.NamedNode(context.iris.source(name))
    result = store.quads_for_pattern(source, None, None, pyoxigraph.NamedNode(context.iris.status))
    return {
        quad.predicate.value.rpartition("#")[2]: value(quad.object).removeprefix(context.iris.base)
        for quad in result
    }


def fail(source: Source, context: HarvestContext, registry: Any) -> None:
    registry.answer = lambda _: httpx.Response(404)
    with pytest.raises(HarvestError):
        harvest(source, context)


def test_a_successful_source_is_live_until_it_becomes_late(
    source: Source, carded: HarvestContext
) -> None:
    harvest(source, carded)

    result = status_of(carded)

    assert (result["freshness"], result["lastOutcome"], result["lastRun"]) == (
        "operations#live",
        "committed",
        "run/projects.1",
    )
    assert result["lastSuccess"] < result["nextDue"] < result["lateFrom"] < result["frozenFrom"]
    assert (
        result["publishedRecords"],
        result["consecutiveFailures"],
        result["missingRecords"],
    ) == ("10", "0", "0")


@pytest.mark.parametrize(
    ("after", "state"), [(timedelta(days=1, hours=23), "live"), (timedelta(days=2), "late")]
)
def test_a_source_becomes_late_without_a_run(
    source: Source, carded: HarvestContext, after: timedelta, state: str
) -> None:
    harvest(source, carded)

    assert status_of(carded, after=after)["freshness"] == f"operations#{state}"


def test_a_source_is_failing_after_three_failures_until_a_success(
    source: Source, carded: HarvestContext, registry: Any
) -> None:
    harvest(source, carded)
    states = []
    for _ in range(3):
        fail(source, carded, registry)
        states.append(status_of(carded)["freshness"])
    failures = status_of(carded)["consecutiveFailures"]
    registry.answer = lambda _: None
    harvest(source, carded)

    after = status_of(carded)

    assert states == ["operations#live", "operations#live", "operations#failing"]
    assert failures == "3"
    assert (after["freshness"], after["consecutiveFailures"]) == ("operations#live", "0")


def test_the_status_has_the_statistics_of_a_failed_run(
    source: Source, carded: HarvestContext, registry: Any
) -> None:
    fail(source, carded, registry)

    write_status(carded)

    text = (carded.data / "status.nq").read_text()
    run = f"<{carded.iris.run('projects.1')}>"
    assert f'{run} <{carded.iris.operations}outcome> "failed" <{carded.iris.status}>' in text
    assert f"{run} <http://www.w3.org/ns/prov#used>" in text


def test_the_statistics_of_a_committed_run_are_only_in_the_journal(
    source: Source, carded: HarvestContext
) -> None:
    harvest(source, carded)

    write_status(carded)

    assert "prov#Activity" not in (carded.data / "status.nq").read_text()


def test_the_status_has_the_held_plan_and_its_reason(
    source: Source, carded: HarvestContext, registry: Any
) -> None:
    careful = replace(source, limits=Limits(expect=8))
    harvest(careful, carded)
    del registry.projects[5:]
    harvest(careful, carded)

    result = status_of(carded)

    assert (result["heldPlan"], result["lastOutcome"], result["consecutiveFailures"]) == (
        "run/projects.2",
        "held",
        "0",
    )
    assert "5" in result["lastReason"]


@pytest.mark.parametrize("way", ["disabled", "removed"])
def test_a_disabled_or_removed_definition_retires_its_source(
    source: Source, carded: HarvestContext, way: str
) -> None:
    harvest(source, carded)
    assert carded.source_dir is not None
    definition = carded.source_dir / "projects.toml"
    if way == "removed":
        definition.unlink()
    else:
        definition.write_text(DEFINITION.replace("enabled = true", "enabled = false"))

    result = status_of(carded)

    assert result["freshness"] == "operations#retired"
    assert "nextDue" not in result


def test_an_invalid_definition_retires_nothing(source: Source, carded: HarvestContext) -> None:
    harvest(source, carded)
    assert carded.source_dir is not None
    (carded.source_dir / "projects.toml").write_text("title = ")

    assert status_of(carded)["freshness"] == "operations#live"


def test_a_missing_directory_of_definitions_retires_nothing(
    source: Source, carded: HarvestContext
) -> None:
    harvest(source, carded)
    assert carded.source_dir is not None
    shutil.rmtree(carded.source_dir)

    assert status_of(carded)["freshness"] == "operations#live"


def test_a_vanished_record_is_counted_while_it_is_still_served(
    source: Source, carded: HarvestContext, registry: Any
) -> None:
    harvest(source, carded)
    del registry.projects[9]
    harvest(source, carded)

    result = status_of(carded)

    assert (result["publishedRecords"], result["missingRecords"]) == ("10", "1")


def test_the_vocabulary_is_not_listed_as_a_source(source: Source, carded: HarvestContext) -> None:
    publish(carded)

    assert status_of(carded, "vocabulary") == {}


def test_a_source_on_hold_is_frozen_with_the_operators_reason(
    source: Source, carded: HarvestContext
) -> None:
    harvest(source, carded)
    carded.ledger.operators.hold(SourceHold("projects", NOON, "amina", "they migrate"))

    result = status_of(carded)

    assert (result["freshness"], result["hold"]) == ("operations#frozen", "they migrate")


@pytest.mark.parametrize(("after", "state"), [(timedelta(), "new"), (timedelta(days=1), "late")])
def test_a_source_without_runs_is_new_until_its_first_due_time(
    carded: HarvestContext, after: timedelta, state: str
) -> None:
    now = datetime.now(UTC)

    result = status_of(replace(carded, now=lambda: now), after=after)

    assert (result["freshness"], result["publishedRecords"]) == (f"operations#{state}", "0")
    assert "lastAttempt" not in result


@pytest.mark.parametrize("definition", [DEFINITION.replace("= true", "= false"), "title = "])
def test_what_never_ran_and_is_not_scheduled_is_not_public(
    carded: HarvestContext, definition: str
) -> None:
    assert carded.source_dir is not None
    (carded.source_dir / "projects.toml").write_text(definition)

    assert status_of(carded) == {}


def test_an_unchanged_status_is_not_written_again(source: Source, carded: HarvestContext) -> None:
    harvest(source, carded)
    write_status(carded)
    before = (carded.data / "status.nq").stat().st_ino

    write_status(carded)

    assert (carded.data / "status.nq").stat().st_ino == before
