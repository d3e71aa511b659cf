"""A small simulated registry, and a harvest context for it with a test clock."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from harvesters.runs.context import HarvestContext
from harvesters.source import Source, parse

# The tests import `projects` and the other modules beside them by name.
sys.path.insert(0, str(Path(__file__).parent))

from projects import DEFINITION, Harvester, ProjectRegistry, harvest_context, project


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
