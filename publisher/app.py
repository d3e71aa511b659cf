"""The app: all outlets over one shelf."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from publisher.errors import PublisherError
from publisher.headings import NAMES, Headings
from publisher.outlets.table import OUTLETS
from publisher.pages import HERE, Pages
from publisher.problems import Problems, Refused
from publisher.shelf import Shelf
from publisher.standings import place


def create_app(shelf: Shelf) -> FastAPI:
    """Make the app that answers from *shelf*, which is opened and closed with it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with shelf:
            yield

    app = FastAPI(title="WSIS Stocktaking", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
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
        allow_methods=["GET", "HEAD", "POST", "OPTIONS"],
        allow_headers=["*"],
        expose_headers=["Link", *NAMES],
    )
    return app
