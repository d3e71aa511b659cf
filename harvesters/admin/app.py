"""Build the admin application (API and pages) that is mounted at /admin."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.responses import FileResponse

from harvesters.admin import (
    alerts,
    api,
    auth,
    contributions,
    curation,
    identity,
    runs,
    sources,
    system,
)
from harvesters.admin.actions import OPERATIONS
from harvesters.admin.context import AdminContext
from harvesters.admin.operations import api_routes, form_routes
from harvesters.admin.pages import PACKAGE_DIR, create_pages
from harvesters.site import install_error_handlers
from web.middleware import MAX_PRIVATE_BODY, RequestMiddleware, SecurityMiddleware
from web.templating import POLICY

_ROUTERS = (
    *(api.routes, system.routes, runs.routes, system.page_routes, auth.routes, sources.routes),
    *(alerts.routes, identity.routes, curation.routes, contributions.routes),
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
    for router in (*_ROUTERS, *generated):
        app.router.routes.extend(router.routes)  # include_router() would build each route again
    app.add_api_route("/style.css", _style, include_in_schema=False)
    install_error_handlers(app, app.state.pages)
    app.add_middleware(SecurityMiddleware, policy=POLICY, max_body=MAX_PRIVATE_BODY, private=True)
    app.add_middleware(RequestMiddleware)
    return app


def _style() -> FileResponse:
    return FileResponse(PACKAGE_DIR / "static" / "admin.css", media_type="text/css")
