"""Build the application for submissions: the API below /submissions, and the pages below /submit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from harvesters.admin.pages import Pages
from harvesters.admin.problems import install_error_handlers
from harvesters.admin.security_middleware import SecurityMiddleware
from harvesters.submissions import api
from harvesters.submissions.identity import SubmissionContext
from languages.request_locale import LocaleMiddleware

PATHS = ("/submissions", "/submit")  # of the site


def create_submissions(context: SubmissionContext) -> FastAPI:
    """Create the app for *context*, whose ledger it closes on shutdown."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        context.admin.close()

    app = FastAPI(
        title="Stocktake submissions",
        description="Submit records and keep them up to date; see docs/reference/submissions.md.",
        version="1",
        lifespan=lifespan,
        openapi_url="/submissions/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.context, app.state.submissions, app.state.pages = context.admin, context, Pages(demo=context.admin.demo)
    app.include_router(api.routes)
    install_error_handlers(app, app.state.pages)
    app.add_middleware(LocaleMiddleware)
    app.add_middleware(SecurityMiddleware)
    return app
