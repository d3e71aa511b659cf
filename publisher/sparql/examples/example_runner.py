"""Trial: every example is put to the store as a reader would put it, timed, and its rows counted."""

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
    """How an example fared: *rows* (of a graph triples; 1 for yes, 0 for no), *seconds* to the last byte, *trouble* if any."""

    example: Example
    rows: int
    seconds: float
    trouble: str = ""

    @property
    def good(self) -> bool:
        """Tell whether it answered something."""
        return not self.trouble and self.rows > 0


async def run_examples(service: QueryService, them: Sequence[Example]) -> AsyncIterator[ExampleOutcome]:
    """Put the examples one after the other, after all that the journal holds is shown."""
    for it in them:
        await await_indexes(service, it.question(service.iris.base))
        began = time.perf_counter()
        try:
            data = await _answered(service, it)
        except PublisherError as error:
            yield ExampleOutcome(it, 0, time.perf_counter() - began, str(error))
        else:
            yield ExampleOutcome(it, _rows(it, data), time.perf_counter() - began)


async def _answered(service: QueryService, it: Example) -> bytes:
    answer = await service.query(await rewrite(service, it.question(service.iris.base, service.limits.rows)))
    try:
        return b"".join([chunk async for chunk in answer.chunks()])
    finally:
        answer.close()


def _rows(it: Example, data: bytes) -> int:
    if it.kind == "construct":
        return data.count(b"\n")
    told = json.loads(data)
    return int(told["boolean"]) if it.kind == "ask" else len(told["results"]["bindings"])
