"""A real server on loopback over three thousand statements, with the limits that a test sets, and
clients that use HTTP or raw bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
import uvicorn
from waiting import wait_until_async

from journal.journal import Journal
from publisher.app import create_app
from publisher.limits import Limits
from publisher.sparql.endpoint import Responses
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from web.server import LimitedConnection, create_config

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
# This looks like the end of a row in some formats, and is none.
TEXT = 'a,"b" {},{} .\\r\\n\\n<result>'


class EdgeServer(uvicorn.Server):
    """A server that leaves the signals to the tests."""

    def install_signal_handlers(self) -> None:
        """Do nothing."""


@dataclass
class Raw:
    """An answer as its bytes came; *whole* is true if its end came too."""

    status: int
    headers: dict[str, str]
    body: bytes
    trailers: dict[str, str]
    whole: bool


@dataclass
class RunningServer:
    service: QueryService
    port: int
    client: httpx.AsyncClient
    server: uvicorn.Server
    responses: Responses
    sessions: list[asyncio.StreamWriter] = field(default_factory=list)

    async def ask(self, query: str, **more: str) -> httpx.Response:
        return await self.client.get("/sparql", params={"query": query, **more})

    async def connect(self, **more: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection, which is closed when the server ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **more)
        self.sessions.append(writer)
        return reader, writer

    async def raw(self, query: str, form: str, *headers: str) -> Raw:
        """Send a query without an HTTP client, and read all bytes of the answer."""
        reader, writer = await self.connect()
        target = "/sparql?" + urlencode({"query": query, "format": form})
        lines = [f"GET {target} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())
        return parse(await reader.read())


def parse(data: bytes) -> Raw:
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = fields(lines)
    if "content-length" in headers:
        return Raw(
            int(first.split()[1]), headers, rest, {}, len(rest) == int(headers["content-length"])
        )
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        if size == b"0":
            return Raw(
                int(first.split()[1]),
                headers,
                body,
                fields(rest.decode().split("\r\n")),
                rest.endswith(b"\r\n"),
            )
        body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
    return Raw(int(first.split()[1]), headers, body, {}, False)


def fields(lines: list[str]) -> dict[str, str]:
    return {
        name.lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if line)
    }


def publish(data: Path) -> None:
    text = TEXT.replace('"', '\\"')
    rows = (
        f'A <https://x.org/s{n}> <https://x.org/p> "{text}{n}" <https://x.org/g> .'
        for n in range(3_000)
    )
    Journal(data / "journal").append(rows, run="r", time=WHEN)


Serve = Callable[..., Awaitable[RunningServer]]


@pytest.fixture(scope="session")
def statements(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = tmp_path_factory.mktemp("statements")
    publish(data)
    asyncio.run(wait_until_served(data))
    return data


async def wait_until_served(data: Path) -> None:
    """Create the one snapshot that all servers show."""
    async with QueryService(data, Iris(), readers=1) as service:
        await service.wait_until_current()


@pytest.fixture
async def serve(statements: Path) -> AsyncIterator[Serve]:
    ends: list[Callable[[], Awaitable[None]]] = []

    async def start(
        limits: Limits,
        readers: int = 2,
        connection: type[LimitedConnection] = LimitedConnection,
        proxies: str = "",
    ) -> RunningServer:
        service = QueryService(statements, Iris(), limits, readers=readers, follow=False)
        app = create_app(service)
        running = EdgeServer(create_config(app, "127.0.0.1", 0, proxies, connection))
        task = asyncio.create_task(running.serve())
        await wait_until_async(
            lambda: running.started or task.done(), "the server to start", pause=0.01
        )
        await service.wait_until_current()
        port = running.servers[0].sockets[0].getsockname()[1]
        client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", verify=False, timeout=240)
        served = RunningServer(service, port, client, running, app.state.responses)

        async def end() -> None:
            for session in served.sessions:
                session.close()
            await client.aclose()
            running.should_exit = True
            await task

        ends.append(end)
        return served

    yield start
    for end in ends:
        await end()
