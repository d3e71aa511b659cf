"""A demo asked without a network, through its app; and one as a real process for real clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from demo.app import DemoState, create_app
from demo.registries import Demo
from demo.scenario import Fault, ScenarioState, registries

SIZE, SEED, PAGE = 600, 3, 50
RECORD_FAULTS = frozenset({Fault.DATES, Fault.TITLES, Fault.COUNTRIES, Fault.DELETIONS})


class DemoRegistry:
    def __init__(self, faults: frozenset[Fault], version: int) -> None:
        self.playground = DemoState(registries(SIZE, SEED), ScenarioState(version, faults), PAGE)
        self._app = create_app(self.playground)

    def ask(self, path: str, method: str = "GET", **how: Any) -> httpx.Response:
        async def sent() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(self._app), base_url="http://demo.test"
            ) as client:
                return await client.request(method, path, **how)

        return asyncio.run(sent())


Open = Callable[..., DemoRegistry]


@pytest.fixture
def opened() -> Iterator[Open]:
    registries: list[DemoRegistry] = []

    def start(faults: frozenset[Fault] = RECORD_FAULTS, version: int = 1) -> DemoRegistry:
        registries.append(DemoRegistry(faults, version))
        return registries[-1]

    yield start
    for registry in registries:
        registry.playground.close()


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    with Demo(SIZE, SEED, RECORD_FAULTS, page=PAGE) as running:
        yield running
