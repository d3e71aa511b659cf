"""Pages of records: an unexpected record costs only itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from harvesters.ledger.models import Outcome, Run, State
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record
from harvesters.pipeline.page_processor import PageProcessor
from harvesters.pipeline.record_processor import ProcessingTask, RecordProcessor
from harvesters.pipeline.worker_pool import WorkerPool
from harvesters.source import parse
from vocab.initiative import Initiative, Text
from vocab.iris import BASE, Iris

RUN = Run("s.1", "s", 1, State.RUNNING, True, None, datetime(2026, 3, 1, tzinfo=UTC), "rules")


DEFINITION = {
    "title": "T",
    "protocol": "json",
    "mapping": "fields",
    "url": "https://a.example/",
    "licence": "https://a.example/l",
}
SOURCE = parse("s", {**DEFINITION, "fields": {"key": "id", "title@en": "name"}}, "test")


def read(record: Record[Any]) -> Initiative:
    return Initiative(key=record.key, titles=(Text(record.payload["title"] + "", "en"),))


def refined_by(pool: WorkerPool) -> PageProcessor:
    return PageProcessor(
        RecordProcessor(ProcessingTask(RUN, SOURCE, BASE, "rust", True), read, Iris()), pool
    )


def outcomes(*items: Any) -> dict[str | None, tuple[Outcome, str | None]]:
    with WorkerPool(BASE, workers=0) as pool:
        processor = refined_by(pool)
        staged_records = processor.results(processor.submit(Page(items, None), {}, set()))
    return {staged.key: (staged.outcome, staged.reason) for staged in staged_records}


def row(key: str, **payload: Any) -> Record[Any]:
    return Record(key, payload, key.encode())


def test_a_record_that_crashes_the_mapping_is_unreadable_and_stops_no_other() -> None:
    result = outcomes(row("a", title="A"), row("b", title=7), row("c"), row("d", title="D"))

    assert [outcome for outcome, _ in result.values()] == [
        Outcome.NEW,
        Outcome.UNREADABLE,
        Outcome.UNREADABLE,
        Outcome.NEW,
    ]
    assert "mapping fields failed on this record (TypeError" in (result["b"][1] or "")


def test_deletions_and_unreadable_records_are_distinguished() -> None:
    result = outcomes(DeletedRecord("a"), InvalidRecord("b", "cut in the middle"))

    assert result == {"a": (Outcome.ABSENT, None), "b": (Outcome.UNREADABLE, "cut in the middle")}


def sifted(page: Page[Any], seen: set[str]) -> tuple[list[str | None], bool]:
    with WorkerPool(BASE, workers=0) as pool:
        processor = refined_by(pool)
        batch = processor.submit(page, {}, seen)
        return [staged.key for staged in processor.results(batch)], batch.is_repeat


def test_expected_duplicates_of_a_page_are_dropped() -> None:
    page = Page((row("a", title="A"), row("b", title="B")), None, again=True)

    assert sifted(page, {"a"}) == (["b"], False)


def test_a_page_of_known_records_counts_as_repeated() -> None:
    page = Page((row("a", title="A"), row("b", title="B")), None)

    assert sifted(page, {"a", "b"}) == (["a", "b"], True)
    assert sifted(page, {"a"}) == (["a", "b"], False)
