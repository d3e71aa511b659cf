"""Run the example queries, time them and count their rows."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from publisher.errors import PublisherError
from publisher.sparql.examples.example import Example
from publisher.sparql.rewriting import await_indexes, rewrite
from publisher.store.query_service import QueryService


@dataclass(frozen=True, slots=True)
class ExampleOutcome:
    """The outcome of an example: *rows* (triples of a graph; 1 or 0 for ASK), *seconds* to the last
    byte, *error* if any.
    """

    example: Example
    rows: int
    seconds: float
    error: str = ""

    @property
    def passed(self) -> bool:
        """Return whether the query succeeded with at least one row."""
        return not self.error and self.rows > 0


async def run_examples(
    service: QueryService, chosen: Sequence[Example]
) -> AsyncIterator[ExampleOutcome]:
    """Run the examples in turn, once the store is up to date with the journal."""
    for example in chosen:
        await await_indexes(service, example.query_request(service.iris.base))
        started = time.perf_counter()
        try:
            data = await _evaluate(service, example)
        except PublisherError as error:
            yield ExampleOutcome(example, 0, time.perf_counter() - started, str(error))
        else:
            yield ExampleOutcome(example, _rows(example, data), time.perf_counter() - started)


async def _evaluate(service: QueryService, example: Example) -> bytes:
    answer = await service.query(
        await rewrite(service, example.query_request(service.iris.base, service.limits.rows))
    )
    try:
        return b"".join([chunk async for chunk in answer.chunks()])
    finally:
        answer.close()


def _rows(example: Example, data: bytes) -> int:
    if example.kind == "construct":
        return data.count(b"\n")
    document = json.loads(data)
    return (
        int(document["boolean"]) if example.kind == "ask" else len(document["results"]["bindings"])
    )
