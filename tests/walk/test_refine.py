"""Refining: one record that nobody foresaw costs one record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from harvesters.ledger.account import Outcome, Run, State
from harvesters.record import Gone, Page, Record, Unreadable
from harvesters.runs.bench import Bench
from harvesters.runs.refine import Refiner
from vocab.initiative import Initiative, Text
from vocab.iris import BASE, Iris

RUN = Run("s.1", "s", 1, State.RUNNING, True, None, datetime(2026, 3, 1, tzinfo=UTC), "rules")


def read(record: Record[Any]) -> Initiative:
    return Initiative(key=record.key, titles=(Text(record.payload["title"] + "", "en"),))


def outcomes(*items: Any) -> dict[str | None, tuple[Outcome, str | None]]:
    with Bench(BASE, workers=0) as bench:
        refiner = Refiner(RUN, "fields", read, Iris(), bench, True)
        drafts = refiner.finish(refiner.sift(Page(items, None), {}, set()))
    return {draft.key: (draft.outcome, draft.reason) for draft in drafts}


def row(key: str, **payload: Any) -> Record[Any]:
    return Record(key, payload, key.encode())


def test_a_record_that_the_mapping_is_not_ready_for_is_unreadable_and_stops_no_other() -> None:
    found = outcomes(row("a", title="A"), row("b", title=7), row("c"), row("d", title="D"))

    assert [outcome for outcome, _ in found.values()] == [Outcome.NEW, Outcome.UNREADABLE, Outcome.UNREADABLE, Outcome.NEW]
    assert "the mapping fields is not ready for it (TypeError" in (found["b"][1] or "")


def test_deletions_and_unreadable_records_are_told_apart() -> None:
    found = outcomes(Gone("a"), Unreadable("b", "cut in the middle"))

    assert found == {"a": (Outcome.ABSENT, None), "b": (Outcome.UNREADABLE, "cut in the middle")}


def test_verdicts_are_the_same_whatever_the_number_of_workers() -> None:
    described = [[f'<{BASE}id/initiative/s/{number}> <http://purl.org/dc/terms/title> "T"@en'] for number in range(2100)]
    with Bench(BASE, workers=0) as home, Bench(BASE, workers=1) as away:
        pages = [described[:2050], described[2050:]]

        here = [home.judge(page).result() for page in pages]
        there = [away.judge(page).result() for page in pages]

    assert here == there


def sifted(page: Page[Any], met: set[str]) -> tuple[list[str | None], bool]:
    with Bench(BASE, workers=0) as bench:
        batch = Refiner(RUN, "fields", read, Iris(), bench, True).sift(page, {}, met)
    return [draft.key for draft in batch.drafts], batch.repeats


def test_what_a_page_brings_again_by_design_is_dropped_unseen() -> None:
    page = Page((row("a", title="A"), row("b", title="B")), None, again=True)

    assert sifted(page, {"a"}) == (["b"], False)


def test_a_page_whose_records_all_came_before_repeats() -> None:
    page = Page((row("a", title="A"), row("b", title="B")), None)

    assert sifted(page, {"a", "b"}) == (["a", "b"], True)
    assert sifted(page, {"a"}) == (["a", "b"], False)
