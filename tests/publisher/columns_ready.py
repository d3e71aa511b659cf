"""Wait until the columns of a service answer."""

from __future__ import annotations

from contextlib import closing
from itertools import count

from waiting import wait_until_async

from publisher.store.query_service import QueryService
from publisher.store.workers.query_request import QueryRequest

COUNT = "SELECT ?p (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?p"


async def columns_answer(service: QueryService) -> None:
    """Wait until workers have opened the columns of the last entry: each opens them beside its
    first queries.
    """
    numbers = count()

    async def is_open() -> bool:
        answer = await service.query(
            QueryRequest(f"{COUNT} # {next(numbers)}", base=service.iris.base)
        )
        with closing(answer):
            async for _ in answer.chunks():
                pass
            return answer.engine == "columns"

    await wait_until_async(
        lambda: service.current.columns >= service.current.position, "columns of the last entry"
    )
    await wait_until_async(is_open, "columns that a worker has opened")
