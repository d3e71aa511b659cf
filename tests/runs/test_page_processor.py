from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from harvesters.ledger.models import Outcome, RecordState, Run, StagedRecord, State, StoredRecord
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Record, Row, Unparsed
from harvesters.pipeline.processes import Steps
from harvesters.pipeline.record_processor import (
    ProcessingTask,
    RecordInput,
    RecordProcessor,
    WorkerPool,
    create_processor,
)
from harvesters.runs.collect import PageProcessor, StagingQueue
from harvesters.source import parse
from vocab.initiative import Initiative, Text
from vocab.iris import BASE, Iris

RUN = Run("s.1", "s", 1, State.RUNNING, True, None, datetime(2026, 3, 1, tzinfo=UTC), "rules")


DEFINITION = {
    "title": "T", "protocol": "json", "mapping": "fields", "url": "https://a.example/", "licence": "https://a.example/l",
}  # fmt: skip
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
        staged_records = processor.results(processor.submit(Page(items, None), {}, {}))
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
        batch = processor.submit(page, {}, dict.fromkeys(seen))
        return [staged.key for staged in processor.results(batch)], batch.is_repeat


def test_expected_duplicates_of_a_page_are_dropped() -> None:
    page = Page((row("a", title="A"), row("b", title="B")), None, again=True)

    assert sifted(page, {"a"}) == (["b"], False)


def test_a_page_of_known_records_counts_as_repeated() -> None:
    page = Page((row("a", title="A"), row("b", title="B")), None)

    assert sifted(page, {"a", "b"}) == (["a", "b"], True)
    assert sifted(page, {"a"}) == (["a", "b"], False)


def test_a_repeated_key_says_whether_its_record_is_lost() -> None:
    with WorkerPool(BASE, workers=0) as pool:
        processor = refined_by(pool)
        page = Page(
            (row("a", title="A"), row("a", title="A"), Record("a", {"title": "B"}, b"other")),
            None,
            composed_key='key = ["b", "a"]',
        )
        staged = processor.results(processor.submit(page, {}, {}))

    assert [reason.code for record in staged for reason in record.reasons] == [
        "the same record occurred before in this run",
        "key_repeated_in_table",
    ]
    assert 'set the option key = ["b", "a"]' in (staged[2].reason or "")


def test_unchanged_record_is_not_parsed() -> None:
    parses: list[str] = []

    def parse_title() -> Row:
        parses.append("a")
        return {"title": "A"}

    record = Record("a", Unparsed(parse_title), b"a")
    with WorkerPool(BASE, workers=0) as pool:
        processor = refined_by(pool)
        (new,) = processor.results(processor.submit(Page((record,), None), {}, {}))
        assert (new.outcome, parses) == (Outcome.NEW, ["a"])
        stored = StoredRecord(
            new.digest or "", new.content or "", RUN.started, RecordState.PUBLISHED
        )
        (same,) = processor.results(processor.submit(Page((record,), None), {"a": stored}, {}))

    assert (same.outcome, parses) == (Outcome.UNCHANGED, ["a"])


def test_markup_is_removed_with_a_remark_that_ends_when_the_source_sends_plain_text() -> None:
    processor = create_processor(ProcessingTask(RUN, SOURCE, BASE, "rust", True))

    def staged(name: str, stored: StoredRecord | None = None) -> StagedRecord:
        record = Record("a", {"id": "a", "name": name}, name.encode())
        return processor.process([RecordInput(record, name.encode().hex(), stored, None)])[0]

    sent = staged("&lt;b&gt;Skills&lt;/b&gt; &amp;amp; jobs")
    stored = StoredRecord(sent.digest or "", sent.content or "", RUN.started, RecordState.PUBLISHED)
    plain = staged("Skills & jobs", stored)

    assert '<http://purl.org/dc/terms/title> "Skills & jobs"@en' in (sent.description or "")
    assert f"<{BASE}shapes#ResourceMarkup>" in (sent.description or "")
    assert plain.outcome is Outcome.CHANGED
    assert f"<{BASE}shapes#ResourceMarkup>" not in (plain.description or "")


class BusyResults:
    is_ready = False

    def __init__(self, inputs: Sequence[RecordInput]) -> None:
        self.inputs = inputs

    def results(self) -> list[StagedRecord]:
        return [StagedRecord(item.record.key, Outcome.NEW, item.digest) for item in self.inputs]


class BusyPool:
    concurrency, steps = 1, Steps()

    def submit(self, _: RecordProcessor, inputs: Sequence[RecordInput]) -> BusyResults:
        return BusyResults(inputs)


@dataclass(slots=True)
class StagedPages:
    """The part of the ledger that stages pages; *sizes* has their numbers of records, *checkpoints*
    whether the run can resume after each, *requests* the outcomes of requests that each stores.
    """

    sizes: list[int] = field(default_factory=list)
    checkpoints: list[bool] = field(default_factory=list)
    requests: list[dict[str, int]] = field(default_factory=list)

    def one_transaction(self) -> AbstractContextManager[None]:
        return nullcontext()

    def discard_part(self, _: Run) -> None:
        return

    def already_staged(self, _: Run, __: Sequence[str]) -> dict[str, str | None]:
        return {}

    def stored_records(self, _: str, __: Sequence[str]) -> dict[str, StoredRecord]:
        return {}

    def stage(
        self, run: Run, staged: Sequence[StagedRecord], _: int, *, is_checkpoint: bool = True
    ) -> None:
        self.sizes.append(len(staged))
        self.requests.append(run.network)
        self.checkpoints.append(is_checkpoint)


@pytest.mark.parametrize(("size", "pending"), [(500, 1), (300, 2), (10, 41)])
def test_pages_wait_until_those_behind_them_are_enough_for_the_workers(
    size: int, pending: int
) -> None:
    ledger, pool = StagedPages(), BusyPool()
    processor: Any = PageProcessor(
        RecordProcessor(ProcessingTask(RUN, SOURCE, BASE, "rust", True), read, Iris()),
        pool,  # type: ignore[arg-type]
    )
    queue = StagingQueue(ledger, processor, RUN, lambda _: None)  # type: ignore[arg-type]

    for number in range(50):
        page = Page(tuple(row(f"{number}-{item}", title="A") for item in range(size)), None)
        queue.submit_page(page, 0, {}, {})

    assert len(ledger.sizes) == 50 - pending
    queue.flush()
    assert ledger.sizes == [size] * 50


def test_a_large_page_is_staged_in_parts_of_a_thousand_with_one_checkpoint() -> None:
    ledger = StagedPages()
    processor: Any = PageProcessor(
        RecordProcessor(ProcessingTask(RUN, SOURCE, BASE, "rust", True), read, Iris()),
        BusyPool(),  # type: ignore[arg-type]
    )
    queue = StagingQueue(ledger, processor, RUN, lambda _: None)  # type: ignore[arg-type]
    items = tuple(row(str(number), title="A") for number in range(2500))

    queue.submit_page(Page(items, "next", dates=7), 0, {}, {"bytes": 9})
    queue.flush()

    assert ledger.sizes == [1000, 1000, 500]
    assert ledger.checkpoints == [False, False, True]
    assert (queue.run.pages, queue.run.fetched, queue.run.cursor) == (1, 2500, "next")
    assert (queue.run.counts["dates"], queue.run.responses) == (7, {"bytes": 9})


def test_a_checkpoint_counts_no_requests_of_pages_that_were_read_ahead() -> None:
    ledger = StagedPages()
    processor: Any = PageProcessor(
        RecordProcessor(ProcessingTask(RUN, SOURCE, BASE, "rust", True), read, Iris()),
        BusyPool(),  # type: ignore[arg-type]
    )
    queue = StagingQueue(ledger, processor, RUN, lambda _: None)  # type: ignore[arg-type]

    outcomes = {"sent": 0}
    for number in range(3):
        outcomes["sent"] += 1
        queue.submit_page(Page((row(str(number), title="A"),), None), 0, outcomes, {})
    queue.flush()

    assert ledger.requests == [{"sent": 1}, {"sent": 2}, {"sent": 3}]
