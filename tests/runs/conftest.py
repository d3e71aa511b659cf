"""A small simulated registry, and a harvest context for it with a given clock."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stamina

from harvesters.network.settings import NetworkSettings
from harvesters.runs.context import HarvestContext
from harvesters.source import Source, parse

# for `projects` and the other modules beside the tests
sys.path.insert(0, str(Path(__file__).parent))

from projects import DEFINITION, Harvester, ProjectRegistry, harvest_context, project


@pytest.fixture(name="project")
def _project() -> Callable[..., dict[str, Any]]:
    result: Callable[..., dict[str, Any]] = project
    return result


@pytest.fixture(autouse=True)
def _no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@pytest.fixture
def registry() -> ProjectRegistry:
    return ProjectRegistry([project(number) for number in range(1, 11)])


@pytest.fixture
def source() -> Source:
    return parse("projects", DEFINITION, "test")


@pytest.fixture
def define_table() -> Callable[[bytes], tuple[Source, NetworkSettings]]:
    changed = {"protocol": "csv", "options": {"key": "id"}, "fields": {"title": "name"}}
    source = parse("table", {**DEFINITION, **changed}, "test")

    def define(content: bytes) -> tuple[Source, NetworkSettings]:
        def answer(request: httpx.Request) -> httpx.Response:
            is_robots = "robots" in request.url.path
            return httpx.Response(404) if is_robots else httpx.Response(200, content=content)

        return source, NetworkSettings("us@example.org", transport=httpx.MockTransport(answer))

    return define


@pytest.fixture
def context(tmp_path: Path, registry: ProjectRegistry) -> Iterator[HarvestContext]:
    with harvest_context(tmp_path, registry) as opened:
        yield opened


@pytest.fixture
def harvester(source: Source, context: HarvestContext, registry: ProjectRegistry) -> Harvester:
    return Harvester(source, context, registry)


@pytest.fixture
def filled(harvester: Harvester) -> Harvester:
    harvester.harvest()
    return harvester
