"""503 until the first snapshot is up, then what is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
from app_client import asking
from fastapi import FastAPI
from publish_fixture import copy_data
from small_world import IRIS
from waiting import wait_until_async

from publisher.app import create_app
from publisher.store.query_service import QueryService
from vocab.iris import Iris


async def test_health_has_the_position_of_each_projection(small: Path, tmp_path: Path) -> None:
    copy_data(small, tmp_path)
    expected = {name: {"position": 3} for name in ("store", "search", "columns")}

    async with (
        QueryService(tmp_path, IRIS, readers=1) as service,
        visitor(create_app(service)) as client,
    ):

        async def is_level() -> bool:
            answer = await client.get("/health")
            result: bool = answer.json().get("projections") == expected
            return result

        await wait_until_async(
            is_level,
            "all projections to be level",
            output=lambda: f"{service.follower.projections}",
        )


async def test_health_is_starting_until_the_indexes_are_built(small: Path, tmp_path: Path) -> None:
    copy_data(small, tmp_path)
    async with (
        QueryService(tmp_path, IRIS, readers=1) as service,
        visitor(create_app(service)) as client,
    ):

        async def is_ok() -> bool:
            return bool((await client.get("/health")).json()["status"] == "ok")

        await wait_until_async(is_ok, "the indexes", output=lambda: str(service.snapshot))
        search = await client.get("/search?q=a")
        service.snapshot = replace(service.current, text=-1, columns=-1)
        answer = await client.get("/health")

    assert search.status_code == 200
    assert (answer.status_code, answer.json()["status"]) == (200, "starting")
    assert answer.json()["reason"] == "still to be built: the search index, the facet tables"


def visitor(app: FastAPI) -> httpx.AsyncClient:
    client: httpx.AsyncClient = asking(app)
    return client


async def test_before_the_first_snapshot_health_is_unavailable(tmp_path: Path) -> None:
    app = create_app(QueryService(tmp_path, Iris()))

    async with visitor(app) as client:
        health = await client.get("/health")
        query = await client.get("/sparql", params={"query": "ASK {}"})
        home = await client.get("/")

    assert (health.status_code, query.status_code, home.status_code) == (503, 503, 503)
    assert query.headers["retry-after"] == "2"
