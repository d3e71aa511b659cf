"""The app of the desk: API and pages, to be mounted at /desk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.responses import FileResponse

from harvesters.desk import forms, sheets
from harvesters.desk.api import acts, keys, plans, runs, sources
from harvesters.desk.office import Office
from harvesters.desk.pages import HERE, Pages
from harvesters.desk.problems import MEDIA, told
from harvesters.desk.seal import Seal

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
    app.add_middleware(Seal)
    return app


def _style() -> FileResponse:
    return FileResponse(HERE / "static" / "desk.css", media_type="text/css")
