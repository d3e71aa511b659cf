"""The app of the desk: API and pages, to be mounted at /desk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from harvesters.desk import forms, sheets
from harvesters.desk.api import acts, keys, plans, runs, sources
from harvesters.desk.office import Office
from harvesters.desk.pages import HERE, POLICY, Pages
from harvesters.desk.problems import MEDIA, told

AT_ONCE = 8  # requests at work: threads wait for a ledger in trouble, and the public part needs threads too

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers say "Origin: null" of our own forms
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


_PROBLEM = {"type": "object", "properties": {"type": {}, "title": {}, "status": {"type": "integer"}, "detail": {"type": "string"}}}
_REFUSALS = {
    401: "There is no key, or none that is good.",
    403: "The key's scope is too little.",
    404: "There is no such thing.",
    409: "The plan is no longer open, or another run of the source is under way.",
    422: "A value cannot be.",
    429: "Too many wrong keys came from this client.",
    503: "The ledger is locked, missing or out of reach.",
}


def create_desk(office: Office) -> FastAPI:
    """Make the app that works in *office*, which it closes at its end; what it needs is opened at the first request."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        office.close()

    app = FastAPI(
        title="stocktake: the operators' desk",
        description="Commands the harvesters. Every address wants a key as a bearer token; docs/desk.md tells how to make one.",
        version="1",
        responses={code: {"description": text, "content": {MEDIA: {"schema": _PROBLEM}}} for code, text in _REFUSALS.items()},
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.office, app.state.pages = office, Pages()
    for part in (sources, plans, runs, acts, keys, sheets, forms):
        app.include_router(part.routes)
    app.add_api_route("/style.css", _style, include_in_schema=False)
    told(app, app.state.pages)
    _seal(app)
    return app


def _style() -> FileResponse:
    return FileResponse(HERE / "static" / "desk.css", media_type="text/css")


def _seal(app: FastAPI) -> None:
    """Let only so many requests work at once, and give every answer the headers that keep it where it belongs."""
    turns = asyncio.Semaphore(AT_ONCE)

    @app.middleware("http")
    async def seal(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        async with turns:
            response = await follow(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response
