"""The ASGI application: all routes over one query service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import FastAPI
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.staticfiles import StaticFiles

from journal.errors import JournalError
from publisher.errors import PublisherError
from publisher.feeds.websub import Announcer
from publisher.http.entity_tags import Validators
from publisher.http.freshness_headers import NAMES, RELEASE, Headings
from publisher.http.outbound_client import outward
from publisher.http.page_cache import Kept
from publisher.http.problems import Refused
from publisher.http.security_headers import Edge
from publisher.languages.request_locale import Speaking
from publisher.pages.branding import PLAIN, Branding
from publisher.pages.error_handlers import Problems
from publisher.pages.templating import HERE, Pages
from publisher.portal.first_start import FirstStart
from publisher.portal.source_preview import Bench
from publisher.releases.object_store import followed
from publisher.routes import ROUTERS
from publisher.sparql.rewriting import FIELD
from publisher.store.query_service import Shelf
from publisher.store.source_status import place

# Response headers that scripts of other sites may read.
EXPOSED = [
    *("Link", "ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy"),
    *("Stocktake-Cost", "Stocktake-Truncated", "Cache-Status"),
]


class AnyPath(PathConvertor):
    """The rest of a path, whatever stands in it: a registry's key may hold a line's end, percent-encoded."""

    regex = "(?s:.*)"


@dataclass(frozen=True, slots=True)
class Site:
    """What the operators tell of this host.

    *branding* is its name, logo and contact, *hub* the address of a WebSub hub that tells others of our changes, "" where there
    is none; *allow* are hosts that may lie on a private network. *trial* tries the cards of registries that would join; None: they are
    only written. *url* is where the public reaches this host, scheme and authority, with which the links in feeds, sitemaps, OAI-PMH and
    LDES begin; "": where a request says that it is.
    """

    branding: Branding = PLAIN
    hub: str = ""
    allow: frozenset[str] = frozenset()
    trial: Bench | None = None
    url: str = ""


NOWHERE = Site()


def nobody(request: Request) -> bool:
    """Permit nothing."""
    return False


def create_app(shelf: Shelf, permit: Callable[[Request], bool] = nobody, site: Site = NOWHERE) -> FastAPI:
    """Make the app that answers from *shelf*, which is opened and closed with it; *permit* tells whether an operator asks."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with shelf, _announcing(shelf, site), followed(shelf.data, site.allow):
            yield

    register_url_convertor("path", AnyPath())
    app = FastAPI(title=site.branding.name, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.permit, app.state.contact, app.state.hub = permit, site.branding.contact, site.hub
    app.state.start = start = FirstStart(shelf, release=site.branding.demo)
    app.state.trial = site.trial
    pages = Pages(shelf.iris, lambda: place(shelf), site.branding)
    for router in ROUTERS.values():
        app.include_router(router(shelf, pages))
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    problems = Problems(pages, lambda: shelf.awaited, start.steps, lambda: shelf.starting)
    app.add_exception_handler(PublisherError, problems.on_error)
    app.add_exception_handler(JournalError, problems.on_journal)
    app.add_exception_handler(Refused, problems.on_refused)
    app.add_exception_handler(HTTPException, problems.on_http)
    app.add_middleware(Validators)
    app.add_middleware(Kept, version=lambda: shelf.generation.version if shelf.generation and shelf.settled and not start.active else "")
    app.add_middleware(Headings, shelf=shelf)
    app.add_middleware(Speaking)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD", "POST", "DELETE", "OPTIONS"],
        allow_headers=["*"],
        expose_headers=[*EXPOSED, *NAMES, RELEASE, FIELD],
    )
    app.add_middleware(Edge, budget=shelf.budget, url=site.url)  # the outermost, so that it marks what the others answer
    return app


@asynccontextmanager
async def _announcing(shelf: Shelf, site: Site) -> AsyncIterator[None]:
    """Tell the hub, if there is one, of each commit."""
    if not site.hub:
        yield
        return
    async with outward(site.allow) as client:
        task = asyncio.create_task(Announcer(site.hub, shelf, client).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
