"""Build the admin application (API and pages) that is mounted at /admin."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import FileResponse

from harvesters.admin.actions import OPERATIONS
from harvesters.admin.api import lists, metrics
from harvesters.admin.context import AdminContext
from harvesters.admin.operations import api_routes, form_routes
from harvesters.admin.pages import PACKAGE_DIR, create_pages
from harvesters.admin.routes import alerts as alert_routes
from harvesters.admin.routes import comments as comment_routes
from harvesters.admin.routes import curation as curation_routes
from harvesters.admin.routes import forms as session_routes
from harvesters.admin.routes import identity as identity_routes
from harvesters.admin.routes import pages as page_routes
from harvesters.admin.routes import prizes as prize_routes
from harvesters.admin.routes import sources as source_routes
from harvesters.admin.routes import submissions as submission_routes
from harvesters.problems import install_error_handlers
from web.middleware import MAX_PRIVATE_BODY, RequestMiddleware, SecurityMiddleware
from web.templating import POLICY

_PARTS = (
    lists,
    metrics,
    page_routes,
    session_routes,
    source_routes,
    alert_routes,
    identity_routes,
    curation_routes,
    submission_routes,
    comment_routes,
    prize_routes,
)


def create_admin(context: AdminContext) -> FastAPI:
    """Create the app for *context*. The first request opens the ledger."""
    app = FastAPI(
        title="Stocktake admin API",
        description="Controls the harvesters. Every request needs a key as a bearer token; see docs/reference/admin.md.",
        version="1",
        docs_url=None,
        redoc_url=None,
    )
    app.state.context, app.state.pages = context, create_pages(demo=context.demo)
    generated = (api_routes(OPERATIONS), form_routes(OPERATIONS))
    for router in (*(part.routes for part in _PARTS), *generated):
        app.router.routes.extend(router.routes)  # include_router() would build each route again
    app.add_api_route("/style.css", _style, include_in_schema=False)
    install_error_handlers(app, app.state.pages)
    app.add_middleware(SecurityMiddleware, policy=POLICY, max_body=MAX_PRIVATE_BODY, private=True)
    app.add_middleware(RequestMiddleware)
    return app


def _style() -> FileResponse:
    return FileResponse(PACKAGE_DIR / "static" / "admin.css", media_type="text/css")
