from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pyoxigraph
import pytest
from projects import Harvester
from rdf_terms import value

from harvesters.errors import HarvestError
from harvesters.ledger import operators
from harvesters.ledger.models import SourceHold
from harvesters.runs.context import HarvestContext
from harvesters.runs.publish_graphs import publish_vocabulary as publish
from harvesters.runs.status_file import write_status
from harvesters.source import Limits

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
    folder = tmp_path / "sources"
    folder.mkdir()
    (folder / "projects.toml").write_text(DEFINITION)
    return replace(context, source_dir=folder)


def status_of(
    context: HarvestContext, name: str = "projects", after: timedelta = timedelta()
) -> Status:
    """Write the status as of a time *after* now; return its values for a source by the names of
    their terms.
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


def fail(harvester: Harvester) -> None:
    harvester.registry.answer = lambda _: httpx.Response(404)
    with pytest.raises(HarvestError):
        harvester.harvest()


@pytest.fixture
def harvester(harvester: Harvester, carded: HarvestContext) -> Harvester:
    return replace(harvester, context=carded)


@pytest.fixture
def card(carded: HarvestContext) -> Path:
    assert carded.source_dir is not None
    return carded.source_dir / "projects.toml"


def test_a_successful_source_is_live_until_it_becomes_late(filled: Harvester) -> None:
    result = status_of(filled.context)

    assert {
        "freshness": "operations#live", "lastOutcome": "committed", "lastRun": "run/projects.1", "publishedRecords": "10",
        "consecutiveFailures": "0", "missingRecords": "0",
    }.items() <= result.items()  # fmt: skip
    assert result["lastSuccess"] < result["nextDue"] < result["lateFrom"] < result["frozenFrom"]
    for after, state in ((timedelta(days=1, hours=23), "live"), (timedelta(days=2), "late")):
        assert status_of(filled.context, after=after)["freshness"] == f"operations#{state}"


def test_a_source_is_failing_after_three_failures_until_a_success(filled: Harvester) -> None:
    states = []
    for _ in range(3):
        fail(filled)
        states.append(status_of(filled.context)["freshness"])
    failures = status_of(filled.context)["consecutiveFailures"]
    filled.registry.answer = lambda _: None
    filled.harvest()

    after = status_of(filled.context)

    assert states == ["operations#live", "operations#live", "operations#failing"]
    assert failures == "3"
    assert (after["freshness"], after["consecutiveFailures"]) == ("operations#live", "0")


def test_the_status_has_the_statistics_of_a_failed_run_but_not_of_a_committed_one(
    harvester: Harvester,
) -> None:
    fail(harvester)
    write_status(harvester.context)
    failed = (harvester.data / "status.nq").read_text()
    harvester.registry.answer = lambda _: None
    harvester.harvest()
    write_status(harvester.context)

    iris = harvester.iris
    run = f"<{iris.run('projects.1')}>"
    assert f'{run} <{iris.operations}outcome> "failed" <{iris.status}>' in failed
    assert f"{run} <http://www.w3.org/ns/prov#used>" in failed
    assert "prov#Activity" not in (harvester.data / "status.nq").read_text()


def test_the_status_has_the_held_plan_and_its_reason(harvester: Harvester) -> None:
    careful = harvester.having(limits=Limits(expect=8))
    careful.harvest()
    del careful.registry.projects[5:]
    careful.harvest()

    result = status_of(careful.context)

    assert (result["heldPlan"], result["lastOutcome"]) == ("run/projects.2", "held")
    assert result["consecutiveFailures"] == "0"
    assert "5" in result["lastReason"]


@pytest.mark.parametrize("definition", [DEFINITION.replace("= true", "= false"), None])
def test_a_disabled_or_removed_definition_retires_its_source(
    filled: Harvester, card: Path, definition: str | None
) -> None:
    card.unlink() if definition is None else card.write_text(definition)

    result = status_of(filled.context)

    assert result["freshness"] == "operations#retired"
    assert "nextDue" not in result


def test_an_invalid_definition_and_a_missing_directory_retire_nothing(
    filled: Harvester, card: Path
) -> None:
    card.write_text("title = ")
    assert status_of(filled.context)["freshness"] == "operations#live"

    shutil.rmtree(card.parent)
    assert status_of(filled.context)["freshness"] == "operations#live"


def test_a_vanished_record_is_counted_while_it_is_still_served(filled: Harvester) -> None:
    del filled.registry.projects[9]
    filled.harvest()

    result = status_of(filled.context)

    assert (result["publishedRecords"], result["missingRecords"]) == ("10", "1")


def test_the_vocabulary_is_not_listed_as_a_source(carded: HarvestContext) -> None:
    publish(carded)

    assert status_of(carded, "vocabulary") == {}


def test_a_source_on_hold_is_frozen_with_the_operators_reason(filled: Harvester) -> None:
    hold = SourceHold("projects", NOON, "amina", "they migrate")
    operators.hold(filled.ledger, hold)

    result = status_of(filled.context)

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
    carded: HarvestContext, card: Path, definition: str
) -> None:
    card.write_text(definition)

    assert status_of(carded) == {}


def test_an_unchanged_status_is_not_written_again(filled: Harvester) -> None:
    write_status(filled.context)
    before = (filled.data / "status.nq").stat().st_ino

    write_status(filled.context)

    assert (filled.data / "status.nq").stat().st_ino == before
