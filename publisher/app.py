"""The ASGI application: all routes, in matching order, over one query service."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from fastapi import APIRouter, FastAPI
from starlette.datastructures import State
from starlette.staticfiles import StaticFiles

from journal.tracing import open_span
from publisher.apis import mcp_route, reconciliation
from publisher.background import in_background
from publisher.catalog import journal, openapi, portals, void
from publisher.error_handlers import ErrorHandler
from publisher.feeds import activities, atom, calendar, ldes, oai, robots
from publisher.feeds.atom import WebSubNotifier
from publisher.linked_data import health, lists, mementos
from publisher.linked_data.entities import router as entity_links
from publisher.middleware import (
    HEADER_NAMES,
    RELEASE_HEADER,
    FreshnessMiddleware,
    PageLimits,
    PageMiddleware,
    add_budget,
    page_version,
)
from publisher.pages import DOCUMENTATION, Pages
from publisher.portal import (
    compare,
    embeds,
    entities,
    entity_statistics,
    figure_pages,
    follow,
    pages,
    problems,
    quality,
    releases,
    search,
    source_report,
    suggestions,
    thing_lists,
    vocabulary,
    wizard,
)  # fmt: skip
from publisher.portal.first_start import FirstStart, warm_up
from publisher.portal.follow import SubscriptionStore, settle_forever
from publisher.portal.problems import ProblemStore
from publisher.portal.suggestions import build_rate_limiter
from publisher.portal.visitors import ClientQuota, VisitorCommand
from publisher.releases.copies import follow_releases
from publisher.sparql import endpoint, examples, exports
from publisher.sparql.endpoint import ENGINE_HEADER, Responses
from publisher.sparql.exports import ExportQueue
from publisher.sparql.rewriting import TEXT_HEADER
from publisher.store.query_service import QueryService
from web.branding import PLAIN, Branding
from web.middleware import RequestMetrics, RequestMiddleware, SecurityMiddleware
from web.templating import STATIC_FOLDER, HashedStaticFiles

ROUTERS: dict[str, APIRouter] = {
    "home": figure_pages.router,
    "about": pages.router,
    "compare": compare.router,
    "embeds": embeds.router,
    "figures": entity_statistics.router,
    "library": thing_lists.router,
    "join": wizard.router,
    "explain": pages.explain_router,
    "search": search.router,
    "follow": follow.router,
    "suggest": suggestions.router,
    "reconcile": reconciliation.router,
    "sparql": endpoint.router,
    "examples": examples.router,
    "assistants": mcp_route.router,
    "graphs": endpoint.graphs,
    "linksets": entity_links,
    "mementos": mementos.router,
    "source reports": source_report.router,
    "quality": quality.router,
    "problems": problems.router,
    "sources": figure_pages.registries_router,
    "vocabulary": vocabulary.router,
    "things": entities.router,
    "shapes": pages.shapes_router,
    "lists": lists.router,
    "releases": releases.router,
    "reports": releases.reports,
    "dumps": journal.dumps,
    "exports": exports.router,
    "journal": journal.router,
    "catalog": pages.catalog_router,
    "portals": portals.router,
    "ldes": ldes.router,
    "oai": oai.router,
    "calendar": calendar.router,
    "feeds": atom.router,
    "activities": activities.router,
    "robots": robots.router,
    "openapi": openapi.router,
    "void": void.router,
    "health": health.router,
}


# Response headers that scripts of other sites may read.
EXPOSED_HEADERS = [
    *("Link", "ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy"),
    *("Stocktake-Cost", "Stocktake-Truncated", "Cache-Status"),
]


@dataclass(frozen=True, slots=True)
class SiteOptions:
    """The operators' options for this site.

    *branding*: name, logo and contact. *hub*: URL of a WebSub hub, "" for none. *allow*: hosts that
    may have private addresses. *problem_store*: takes problems that readers report; None: none are
    taken, as on a mirror. *subscription_store*: takes those who follow a search; None: there are
    only feeds. *commands*: those that visitors may run, by name: ``preview`` of a proposed
    source, ``check`` of a feed, ``explain`` of a record, ``report`` on a source. *url*: public
    scheme and authority, with which links in feeds, sitemaps, OAI-PMH and LDES begin; "": taken
    from each request.
    """

    branding: Branding = PLAIN
    hub: str = ""
    allow: frozenset[str] = frozenset()
    commands: Mapping[str, VisitorCommand] = field(default_factory=dict)
    url: str = ""
    problem_store: ProblemStore | None = None
    subscription_store: SubscriptionStore | None = None


DEFAULT_OPTIONS = SiteOptions()


def no_submissions() -> None:
    """Return None: nothing can be submitted."""


def no_comments(post: str) -> None:
    """Return None: no post can be commented on."""


def create_app(
    service: QueryService,
    site: SiteOptions = DEFAULT_OPTIONS,
) -> FastAPI:
    """Return the app that serves *service*, which opens and closes with it."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            service,
            in_background(
                WebSubNotifier(site.hub, service, site.allow).run() if site.hub else None
            ),
            in_background(
                settle_forever(service, site.subscription_store)
                if site.subscription_store
                else None
            ),
            in_background(warm_up(service, app.state)),
            follow_releases(service.data, site.allow),
            in_background(app.state.exports.run(service)),
        ):
            yield

    app = FastAPI(
        title=site.branding.name, lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state = _create_state(service, site)
    for router in ROUTERS.values():
        # FastAPI's include_router would build each route again; the routers have no lifespan.
        app.router.routes.extend(router.routes)
    app.mount("/static", HashedStaticFiles(STATIC_FOLDER))
    if DOCUMENTATION.is_dir():
        app.mount("/docs", StaticFiles(directory=DOCUMENTATION, html=True))
    handler = ErrorHandler(app, app.state.pages, service, app.state.start.steps)
    _add_middleware(app, service, handler, site.url)
    return app


def _create_state(service: QueryService, site: SiteOptions) -> State:
    """Return what the dependencies of routes read."""
    state = State(
        {
            "service": service,
            "start": FirstStart(service, release=site.branding.demo),
            "is_warm": True,
            "responses": Responses(),
            "commands": site.commands,
            # The command that takes submissions replaces these three.
            "waiting_submissions": no_submissions,
            "submissions_open": bool,
            "comments": no_comments,
            "problem_store": site.problem_store,
            "problem_quota": ClientQuota(),
            "subscription_store": site.subscription_store,
            "contact": site.branding.contact,
            "demo": site.branding.demo,
            "hub": site.hub,
            "suggestion_limiter": build_rate_limiter(service.limits),
            "exports": ExportQueue(service.data / "exports", service.limits),
        }
    )
    state.pages = Pages(service.iris, site.branding, service, state)
    return state


def _add_middleware(app: FastAPI, service: QueryService, handler: ErrorHandler, url: str) -> None:
    """Add the middleware from the innermost to the outermost."""
    app.state.request_metrics = metrics = RequestMetrics(open_span, _first_parts())
    app.add_middleware(
        PageMiddleware,
        version=partial(page_version, service, app.state),
        requests=metrics.cached_pages,
        limits=PageLimits(service.limits),
    )
    app.add_middleware(FreshnessMiddleware, service=service, respond=handler.handle_damage)
    # It is outside the two above, so that their responses have its headers too.
    app.add_middleware(
        SecurityMiddleware,
        url=url,
        uploads=wizard.UPLOADS,
        exposed=(*EXPOSED_HEADERS, *HEADER_NAMES, RELEASE_HEADER, TEXT_HEADER, ENGINE_HEADER),
        add_headers=partial(add_budget, service),
    )
    # It is outermost, so that it measures all others.
    app.add_middleware(RequestMiddleware, metrics=metrics)


def _first_parts() -> set[str]:
    paths = [
        str(getattr(route, "path", "")) for router in ROUTERS.values() for route in router.routes
    ]
    return {
        first for path in paths if "{" not in (first := path[1:].split("/", 1)[0].partition(".")[0])
    }
