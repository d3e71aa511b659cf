"""Wait until the columns of a service answer."""

from __future__ import annotations

from waiting import wait_until_async

from publisher.store.query_service import QueryService


async def columns_answer(service: QueryService) -> None:
    """Wait until the columns are at the last entry of *service*."""
    await wait_until_async(
        lambda: service.current.columns >= service.current.position, "columns of the last entry"
    )
