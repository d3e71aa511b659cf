"""What the first search would wait for is loaded before the server says that it is ready."""

from __future__ import annotations

from pathlib import Path

from app_client import asking
from publish_fixture import copy_data
from small_world import IRIS
from waiting import wait_until_async

from publisher.app import create_app
from publisher.projections.search import topics
from publisher.store.query_service import QueryService


async def test_topics_are_loaded_once_health_is_ok(small: Path, tmp_path: Path) -> None:
    copy_data(small, tmp_path)
    topics.build_topics.cache_clear()
    service = QueryService(tmp_path, IRIS, readers=1)
    app = create_app(service)
    client = asking(app)
    statuses: list[tuple[str, int]] = []

    async def is_ok() -> bool:
        status = (await client.get("/health")).json()["status"]
        statuses.append((status, topics.build_topics.cache_info().currsize))
        return bool(status == "ok")

    async with app.router.lifespan_context(app), client:
        await wait_until_async(is_ok, "the server to be ready", output=lambda: str(statuses))
        before = topics.build_topics.cache_info().misses
        search = await client.get("/search?q=a")

    assert search.status_code == 200
    assert topics.build_topics.cache_info().misses == before == 1
