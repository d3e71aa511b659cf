"""Fixtures of the harvester tests: simulated registries, and the crosswalks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
import stamina
from fetch_client import fetch_with

from harvesters.network.fetch import Fetch
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.iris import Iris

sys.path.insert(0, str(Path(__file__).parent))  # where `replay` lies

URL = "https://registry.example/api"
Handler: TypeAlias = Callable[[httpx.Request], httpx.Response]
DefineSource: TypeAlias = Callable[..., Source]


@pytest.fixture(scope="session")
def words() -> Crosswalks:
    return Crosswalks(Iris())


@pytest.fixture
def quick() -> Iterator[None]:
    """Try again without waiting."""
    with stamina.set_testing(True, attempts=2, cap=True):
        yield


@pytest.fixture
def define_source() -> DefineSource:
    """Return a function that makes the source definition that a test needs."""

    def make(protocol: str = "json", mapping: str = "fields", **rest: Any) -> Source:
        definition: dict[str, Any] = {
            "fields": {"title": "name"} if mapping == "fields" else {},
            "url": URL,
            **rest,
        }
        return Source(
            name="a",
            title="A",
            protocol=protocol,
            mapping=mapping,
            licence="https://example.org/l",
            **definition,
        )

    return make


class ScriptedRegistry:
    """A registry that answers from a table of queries or paths (values for JSON, numbers are
    statuses), or by a function, and remembers what it was asked.
    """

    def __init__(self, answers: Mapping[str, Any] | Handler) -> None:
        self.answers = answers
        self.request_log: list[str] = []
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        query = request.url.query.decode()
        self.request_log.append(query or request.url.path)
        self.requests.append(request)
        if callable(self.answers):
            return self.answers(request)
        answer = self.answers.get(query, self.answers.get(request.url.path, 404))
        if isinstance(answer, httpx.Response):
            return answer
        if isinstance(answer, int):
            return httpx.Response(answer)
        text = answer if isinstance(answer, bytes | str) else json.dumps(answer)
        return httpx.Response(200, content=text)

    def open_client(self, **settings: Any) -> Fetch:
        return fetch_with(httpx.MockTransport(self), **{"pause": 0, "robots": False, **settings})


Registry: TypeAlias = Callable[..., ScriptedRegistry]


@pytest.fixture
def registry() -> Registry:
    return ScriptedRegistry
