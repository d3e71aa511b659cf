"""The app in a thread of the tests' process, asked without a network by clients of httpx."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from processes import free_port
from starlette.applications import Starlette
from waiting import WITHIN, wait_until

from command_line.settings import Settings
from command_line.site import create_site
from publisher.app import SiteOptions, create_app
from publisher.limits import read
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from web.branding import NAME, Branding
from web.server import create_config

SITE = "http://stocktake.test"
LIMITS = "budget=0, each=0, seconds=240, wait=240"


class InProcess(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Sends requests to an app that runs in the event loop of another thread."""

    def __init__(self, app: Starlette, loop: asyncio.AbstractEventLoop) -> None:
        self.app, self.loop = app, loop
        self._inner = httpx.ASGITransport(app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose body is at hand."""
        request.read()
        return self._sent(request).result(WITHIN)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request from any event loop."""
        await request.aread()
        return await asyncio.wrap_future(self._sent(request))

    def _sent(self, request: httpx.Request) -> Future[httpx.Response]:
        return asyncio.run_coroutine_threadsafe(self._answer(request), self.loop)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        copied = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.content
        )
        answer = await self._inner.handle_async_request(copied)
        assert isinstance(answer.stream, httpx.AsyncByteStream)
        body = b"".join([chunk async for chunk in answer.stream])
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=httpx.ByteStream(body)
        )


@contextmanager
def running(create: Callable[[], Starlette]) -> Iterator[InProcess]:
    """Run the app that *create* returns, from its start to its end, in a thread of its own."""
    loop, started = asyncio.new_event_loop(), Future[InProcess]()
    ended = asyncio.Event()

    async def run() -> None:
        app = create()
        async with app.router.lifespan_context(app):
            started.set_result(InProcess(app, loop))
            await ended.wait()

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(run())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield started.result(WITHIN)
    finally:
        if not loop.is_closed():
            loop.call_soon_threadsafe(ended.set)
        thread.join(WITHIN)


@contextmanager
def listening(create: Callable[[str], Callable[[], Starlette]]) -> Iterator[str]:
    """Run the app that is created for a URL and let it listen there, for clients that need a
    network; yield the URL.
    """
    url = f"http://127.0.0.1:{(port := free_port())}"
    with running(create(url)) as publisher:
        config = create_config(publisher.app, "127.0.0.1", port)
        config.lifespan = "off"  # it has begun
        server = uvicorn.Server(config)
        serving = asyncio.run_coroutine_threadsafe(server.serve(), publisher.loop)
        try:
            wait_until(lambda: server.started or serving.done(), "the server to listen")
            yield url
        finally:
            server.should_exit = True
            serving.result(WITHIN)


def reading(
    data: Path, url: str = SITE, contact: str = "", limits: str = LIMITS
) -> Callable[[], Starlette]:
    """Return what creates the publisher of *data*, which is level with its journal and stays so."""

    def create() -> Starlette:
        service = QueryService(data, Iris(), read(limits), readers=1, follow=False)
        return create_app(service, site=SiteOptions(Branding(NAME, contact), url=url))

    return create


def serving(data: Path, url: str = SITE, contact: str = "") -> Callable[[], Starlette]:
    """Return what creates all that ``stocktake serve`` serves of *data*."""
    settings = Settings(
        data,
        data / "sources",
        Iris().base,
        f"sqlite:///{data}/ledger.sqlite",
        frozenset(),
        contact,
        "rust",
        limits=LIMITS,
    )
    return lambda: create_site(settings, url)
