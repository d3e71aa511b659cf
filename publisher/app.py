"""The app: all outlets over one shelf."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.staticfiles import StaticFiles

from publisher.errors import PublisherError
from publisher.http.edge import Edge
from publisher.http.headings import NAMES, RELEASE, Headings
from publisher.http.problems import Problems, Refused
from publisher.outlets.table import OUTLETS
from publisher.pages.pages import HERE, Pages
from publisher.pages.standings import place
from publisher.shelf.shelf import Shelf
from publisher.sparql.rewriting import FIELD

# What a script on another site may read of our answers.
EXPOSED = ["Link", "ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy", "Stocktake-Cost", "Stocktake-Cut", "Cache-Status"]


class AnyPath(PathConvertor):
    """The rest of a path, whatever stands in it: a registry's key may hold a line's end, percent-encoded."""

    regex = "(?s:.*)"


def nobody(request: Request) -> bool:
    """Permit nothing."""
    return False


def create_app(shelf: Shelf, permit: Callable[[Request], bool] = nobody) -> FastAPI:
    """Make the app that answers from *shelf*, which is opened and closed with it; *permit* tells whether an operator asks."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with shelf:
            yield

    register_url_convertor("path", AnyPath())
    app = FastAPI(title="WSIS Stocktaking", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.permit = permit
    pages = Pages(shelf.iris, lambda: place(shelf))
    for router in OUTLETS.values():
        app.include_router(router(shelf, pages))
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    problems = Problems(pages)
    app.add_exception_handler(PublisherError, problems.on_error)
    app.add_exception_handler(Refused, problems.on_refused)
    app.add_exception_handler(HTTPException, problems.on_http)
    app.add_middleware(Headings, shelf=shelf)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD", "POST", "DELETE", "OPTIONS"],
        allow_headers=["*"],
        expose_headers=[*EXPOSED, *NAMES, RELEASE, FIELD],
    )
    app.add_middleware(Edge, budget=shelf.budget)  # the outermost, so that it marks what the others answer
    return app
