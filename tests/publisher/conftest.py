"""A small published world: the vocabulary, two registries, a few things, one tombstone, hostile
texts.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from shutil import copytree
from typing import cast

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from publisher.app import create_app
from publisher.limits import Limits
from publisher.releases.builder import build_release
from publisher.store.query_service import QueryService
from publisher.store.verification import build_local

sys.path.insert(0, str(Path(__file__).parent))  # where `suite` and `serving` lie

from browser import Browser, browsing
from in_process import InProcess, listening, reading, running
from prebuilt import prebuilt
from publish_fixture import STORES, derive, published, visiting
from small_world import IRIS, RELEASED, SMALL_SCHEMES, THINGS, build

# the world, and what derives stores and indexes from its journal
MAKERS = [Path(__file__).with_name(name) for name in ("small_world.py", "publish_fixture.py")]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the world; read it, do not change it."""
    data = tmp_path_factory.mktemp("world")
    build(data)
    return data


@pytest.fixture(scope="session")
def level(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of the world, with a store, indexes and a history that are level with
    its journal; read it, copy it to change it.
    """
    target = tmp_path_factory.mktemp("level") / "data"
    return prebuilt(pytestconfig, "world", MAKERS, build_level, target)


def build_level(data: Path) -> None:
    """Write a world with all that the publisher derives from its journal."""
    build(data)
    derive(data)


@pytest.fixture(scope="session")
def release_data(
    level: Path, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the data folder of the world with one release; read it, copy it to change it."""

    def build_released(data: Path) -> None:
        copytree(level, data, dirs_exist_ok=True)
        build_release(data, IRIS, RELEASED)

    target = tmp_path_factory.mktemp("released") / "data"
    return prebuilt(pytestconfig, "released", MAKERS, build_released, target)


@pytest.fixture(scope="session")
def small(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data folder of a world of few things and few terms, with a store, indexes and a
    history that are level with its journal; copy it to open it.
    """
    target = tmp_path_factory.mktemp("small") / "data"
    return prebuilt(pytestconfig, "small", MAKERS, build_small, target)


def build_small(data: Path) -> None:
    """Write a world of few things and few terms, with a store and indexes."""
    build(data, THINGS[:8], lambda graph, _: graph in SMALL_SCHEMES)
    build_local(data, IRIS)


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def service(level: Path) -> AsyncIterator[QueryService]:
    """Yield the open store of the world, which no longer changes; tests that ask it have the mark
    `session_loop`.
    """
    async with QueryService(
        level, IRIS, Limits(seconds=240, wait=240), readers=2, follow=False
    ) as opened:
        yield opened


@pytest.fixture(scope="module")
def app(service: QueryService) -> FastAPI:
    """Return the app over the open store."""
    return create_app(service)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of modules with the mark ``every_store`` over each of STORES, and all others
    over the first.

    `test_engines.py` compares the answers of all endpoints over the others with those over the
    first.
    """
    if "store" in metafunc.fixturenames and metafunc.definition.get_closest_marker("every_store"):
        metafunc.parametrize("store", STORES, indirect=True, scope="session")


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest) -> str:
    """Return the name of the store that the publisher of the world has."""
    return str(getattr(request, "param", STORES[0]))


@pytest.fixture(scope="package")
def publishers(
    level: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[str], str]]:
    """Yield what starts a publisher of the world over a store, once."""
    with ExitStack() as open_ones:
        yield cache(
            lambda name: open_ones.enter_context(
                published(name, level, tmp_path_factory.mktemp(name))
            )
        )


@pytest.fixture(scope="package")
def endpoint(level: Path) -> Iterator[str]:
    """Yield the address of the endpoint over the world, for clients that need a network."""
    with listening(partial(reading, level)) as url:
        yield f"{url}/sparql"


@pytest.fixture(scope="package")
def reader(level: Path) -> Iterator[InProcess]:
    """Yield the publisher of the world over a store of our own, in this process."""
    with running(reading(level)) as publisher:
        yield publisher


@pytest.fixture
def publisher(store: str, request: pytest.FixtureRequest) -> str | InProcess:
    """Return the publisher of the world over the store: in this process, or at a URL."""
    if store == STORES[0]:
        return cast(InProcess, request.getfixturevalue("reader"))
    # by name: only a test over another store starts programs
    return str(request.getfixturevalue("publishers")(store))


@pytest.fixture
async def client(publisher: str | InProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a publisher of the world over the store; it follows no redirect."""
    async with visiting(publisher) as opened:
        yield opened


@pytest.fixture
async def inside(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the app in this process, over a store of our own."""
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://stocktake.test"
    ) as opened:
        yield opened
