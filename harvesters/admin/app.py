"""Build the admin application (API and pages) that is mounted at /admin."""

from __future__ import annotations

from collections.abc import Iterable

from fastapi import APIRouter, FastAPI
from starlette.responses import FileResponse

from harvesters.admin.api import audit_log, keys, metrics, plans, runs, sources
from harvesters.admin.context import AdminContext
from harvesters.admin.pages import PACKAGE_DIR, POLICY, Pages
from harvesters.admin.problems import install_error_handlers
from harvesters.admin.routes import alerts as alert_routes
from harvesters.admin.routes import forms as form_routes
from harvesters.admin.routes import gaps as gap_routes
from harvesters.admin.routes import identity as identity_routes
from harvesters.admin.routes import identity_rules as identity_rule_routes
from harvesters.admin.routes import pages as page_routes
from harvesters.admin.routes import problems as problem_routes
from harvesters.admin.routes import sources as source_routes
from harvesters.admin.routes import suggestions as suggestion_routes
from web.middleware import MAX_PRIVATE_BODY, RequestMiddleware, SecurityMiddleware

_PARTS = (
    sources,
    plans,
    runs,
    audit_log,
    keys,
    metrics,
    page_routes,
    form_routes,
    source_routes,
    alert_routes,
    problem_routes,
    identity_routes,
    identity_rule_routes,
    gap_routes,
    suggestion_routes,
)


def create_admin(context: AdminContext, more: Iterable[APIRouter] = ()) -> FastAPI:
    """Create the app for *context*, with *more* routes. The first request opens the ledger."""
    app = FastAPI(
        title="Stocktake admin API",
        description="Controls the harvesters. Every request needs a key as a bearer token; see docs/reference/admin.md.",
        version="1",
        docs_url=None,
        redoc_url=None,
    )
    more = tuple(more)
    app.state.context, app.state.pages = context, Pages(demo=context.demo, moderated=bool(more))
    for router in (*(part.routes for part in _PARTS), *more):
        app.router.routes.extend(router.routes)  # include_router() would build each route again
    app.add_api_route("/style.css", _style, include_in_schema=False)
    install_error_handlers(app, app.state.pages)
    app.add_middleware(SecurityMiddleware, policy=POLICY, max_body=MAX_PRIVATE_BODY, private=True)
    app.add_middleware(RequestMiddleware)
    return app


def _style() -> FileResponse:
    return FileResponse(PACKAGE_DIR / "static" / "admin.css", media_type="text/css")
