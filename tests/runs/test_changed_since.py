from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from projects import Harvester

from harvesters.ledger.models import State
from harvesters.runs import operations
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest
from harvesters.source import Source

NAMES = [f"p{number}" for number in range(1, 21)]


@dataclass
class Whole:
    """A registry that sends all records in one response; with *tagged*, it sends an ETag, and 304
    to a client that sends it back. *total* is the number of records that it reports.
    """

    names: list[str] = field(default_factory=lambda: list(NAMES))
    total: int = len(NAMES)
    statuses: list[int] = field(default_factory=list)
    tagged: bool = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/robots.txt":
            return httpx.Response(404)
        etag = f'"{hash((*self.names, self.total))}"'
        same = self.tagged and request.headers.get("if-none-match") == etag
        self.statuses.append(304 if same else 200)
        if same:
            return httpx.Response(304, headers={"etag": etag})
        rows = [{"id": name, "name": f"Project {name}"} for name in self.names]
        return httpx.Response(
            200,
            json={"total": self.total, "results": rows},
            headers={"etag": etag} if self.tagged else {},
        )


@pytest.fixture
def whole() -> Whole:
    return Whole()


@pytest.fixture
def context(context: HarvestContext, whole: Whole) -> HarvestContext:
    return replace(context, network=replace(context.network, transport=httpx.MockTransport(whole)))


@pytest.fixture
def source(source: Source) -> Source:
    return replace(source, options={"records": "results", "total": "total", "key": "id"})


def test_an_unchanged_list_is_not_downloaded_again(filled: Harvester, whole: Whole) -> None:

    assert filled.harvest().run.state is State.UNCHANGED
    assert whole.statuses == [200, 304]


def test_an_equal_file_without_an_etag_is_unchanged_by_its_digest(
    harvester: Harvester, whole: Whole
) -> None:
    whole.tagged = False
    harvester.harvest()

    again = harvester.harvest()
    whole.names = NAMES[1:]
    whole.total -= 1
    later = harvester.harvest()

    assert (again.run.state, again.run.fetched) == (State.UNCHANGED, 0)
    assert later.run.fetched == 19
    assert whole.statuses == [200] * 3


def test_an_incomplete_run_is_not_a_success_although_nothing_changes_later(
    filled: Harvester, whole: Whole
) -> None:
    whole.names = NAMES[:15]

    assert [filled.harvest().run.state for _ in range(3)] == [State.INCOMPLETE] * 3


def test_changes_of_an_incomplete_run_are_reverted_with_the_source(
    filled: Harvester, whole: Whole
) -> None:
    whole.names = [*NAMES[1:], "other", "another"]
    whole.total = 99
    filled.harvest()
    whole.names, whole.total = list(NAMES), len(NAMES)

    back = filled.harvest()

    assert back.run.counts["fetched"] == len(NAMES)
    assert back.run.counts["vanished"] == 2


def test_the_source_is_read_in_full_after_a_plan_was_approved(
    filled: Harvester, whole: Whole
) -> None:
    whole.names, whole.total = NAMES[:10], 10
    plan = filled.harvest()
    operations.approve(filled.context, filled.source, plan.run.id, by="ann")
    whole.names, whole.total = list(NAMES), len(NAMES)

    assert filled.harvest().run.counts["returned"] == 10
    assert filled.ledger.count_missing(filled.source.name) == 0


def test_a_vanished_record_is_deleted_although_the_source_stays_unchanged(
    filled: Harvester, whole: Whole
) -> None:
    whole.names, whole.total = NAMES[:19], 19

    plans = [filled.harvest() for _ in range(4)]

    assert [plan.run.state for plan in plans] == [
        State.COMMITTED,
        State.UNCHANGED,
        State.COMMITTED,
        State.UNCHANGED,
    ]
    assert filled.ledger.count_published(filled.source.name) == 19


def test_an_unchanged_source_is_read_in_full_after_a_week(filled: Harvester, whole: Whole) -> None:
    later = filled.context.now() + timedelta(days=8)

    harvest(filled.source, replace(filled.context, now=lambda: later))

    assert whole.statuses == [200, 200]
    assert _last_full_harvest(filled.context, filled.source).started == later


def _last_full_harvest(context: HarvestContext, source: Source) -> Any:
    return context.ledger.last_run(source.name, [State.COMMITTED, State.UNCHANGED], full_only=True)
