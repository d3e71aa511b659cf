"""Map, serialize and validate the same records in one worker process and in several.

By hand: ``python -m benchmarks.pool --records 20000``
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated

import typer

from benchmarks.payloads import SOURCE, payloads, records
from benchmarks.result_table import Aim, Json, Line, err, pairs, show
from harvesters.ledger.models import Run, StagedRecord, State
from harvesters.pipeline.gc_tuning import reduced_gc
from harvesters.pipeline.record_processor import (
    ProcessingTask,
    RecordInput,
    RecordProcessor,
    create_processor,
)
from harvesters.pipeline.worker_pool import PendingResults, WorkerPool
from vocab.iris import BASE

SPEED = 1.7  # the aim: how many times faster two processes are than one
_TIMES = 5
_PAGE, _AHEAD = 100, 8  # records of a page, and pages on their way at once, as a harvest has them
_RUN = Run(
    "demo-ckan.1",
    "demo-ckan",
    1,
    State.RUNNING,
    True,
    None,
    datetime(2026, 1, 1, tzinfo=UTC),
    "rules",
)


def worked(
    pool: WorkerPool, processor: RecordProcessor, pages: Sequence[Sequence[RecordInput]]
) -> Iterator[StagedRecord]:
    """Have pages worked on, some ahead of others; return all staged records, in their order."""
    waiting = deque[PendingResults]()
    for page in pages:
        waiting.append(pool.submit(processor, page))
        if len(waiting) > _AHEAD:
            yield from waiting.popleft().results()
    while waiting:
        yield from waiting.popleft().results()


def digest(staged_records: Iterator[StagedRecord]) -> str:
    """Return the digest of staged records, in their order."""
    total = sha256()
    for staged in staged_records:
        total.update(f"{staged.key} {staged.outcome} {staged.description}\n".encode())
    return total.hexdigest()


def gone(staged_records: Iterator[StagedRecord]) -> None:
    """Let staged records pass."""
    deque(staged_records, maxlen=0)


def main(
    count: Annotated[int, typer.Option("--records", help="Records to work on.", min=4000)] = 20_000,
    processes: Annotated[
        int, typer.Option(help="Processes of the one that is compared with a single one.", min=2)
    ] = 2,
    json: Json = False,
) -> None:
    """Work on generated CKAN packages with one process and with two, in turn."""
    processor = create_processor(ProcessingTask(_RUN, SOURCE, BASE, "rust", False))
    cases = [RecordInput(record, "0" * 32, None, None) for record in records(iter(payloads(count)))]
    pages = [cases[at : at + _PAGE] for at in range(0, len(cases), _PAGE)]
    err.print(f"working on {len(cases):,} records")
    with ExitStack() as stack, reduced_gc():
        home, one, many = (
            stack.enter_context(WorkerPool(BASE, workers=number)) for number in (0, 1, processes)
        )
        # the processes are warm then
        digests = {digest(worked(pool, processor, pages)) for pool in (home, one, many)}
        if len(digests) > 1:
            raise SystemExit(
                "the staged_records differ by the number of processes: the benchmark compares nothing"
            )
        result = pairs(
            lambda: gone(worked(many, processor, pages)),
            lambda: gone(worked(one, processor, pages)),
            _TIMES,
        )
        alone = pairs(
            lambda: gone(worked(many, processor, pages)),
            lambda: gone(worked(home, processor, pages)),
            2,
        )
    what, size = "mapped, serialized and validated by", len(cases)
    note = f"staged_records equal, bytes and order, by 0, 1 and {processes} processes"
    lines = [
        Line(f"{what} {processes} processes, next to one", "records/s", size / result.ours, size / result.peer, result.ratio,
             Aim("least", SPEED), note),
        Line(f"{what} {processes} processes, next to none", "records/s", size / alone.ours, size / alone.peer, alone.ratio,
             note="peer: all in this process"),
    ]  # fmt: skip
    show("The pool", lines, json)


if __name__ == "__main__":
    typer.run(main)
