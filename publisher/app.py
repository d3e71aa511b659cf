"""The ASGI application: all routes, in matching order, over one query service; each error as a page
for a browser, as problem details for other clients.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

import structlog
from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from journal.errors import JournalError
from journal.tracing import open_span
from languages.translations import TranslatableText
from publisher.apis import mcp_route, reconciliation
from publisher.background import in_background
from publisher.catalog import journal, openapi, portals, void
from publisher.errors import (
    DamagedFiles,
    MemoryLimit,
    NotReady,
    PublisherError,
    QuerySyntaxError,
    describe_error,
)
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
from web.endpoints import allowed_methods, describe_validation_error
from web.middleware import RequestMetrics, RequestMiddleware, SecurityMiddleware
from web.respond import HTTPProblem, Problem, install_error_handler, wants_page
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


_ERRORS: tuple[type[Exception], ...] = (
    *(PublisherError, JournalError, HTTPProblem),
    *(RequestValidationError, HTTPException, Exception),
)
log = structlog.get_logger(component="problems")

# Exports do not come from the journal: an unknown one stays 404 while entries are being loaded.
_LOCAL_PATH = "/exports"
# Queries of other paths need little memory: if one exceeds its limit, a damaged file may have a
# wrong length in it.
_CLIENT_QUERIES = ("/sparql", "/exports")
REFRESH_SECONDS = 3  # seconds until a browser reloads a page that is not ready
_JOURNAL_RETRY = "600"  # seconds: a person has to restore an entry
_DAMAGED = TranslatableText(
    "A file of the database is damaged. It is being rebuilt; try again in some minutes. /health shows the progress."
)
_FAILED = TranslatableText("The server failed to answer; its log has the cause.")
_JOURNAL_UNREADABLE = TranslatableText(
    "The journal of this server cannot be read; /health says more."
)


class ErrorHandler:
    """Responds to errors: with a page for a browser, with problem+json for any other client. *steps*
    are those of the first start.
    """

    def __init__(
        self,
        app: FastAPI,
        pages: Pages,
        service: QueryService,
        steps: Callable[[], Awaitable[Sequence[object]]],
    ) -> None:
        self._pages, self._service, self._steps = pages, service, steps
        self._respond = install_error_handler(app, _ERRORS, self.describe, self._render)

    async def describe(self, request: Request, error: Exception) -> Problem:
        """Describe an error by its class. Starlette raises an unexpected one again, so that it is
        logged; the server then closes the connection, as the response says.
        """
        path = request.url.path
        match error:
            case PublisherError():
                return await self._describe_publisher_error(request, error)
            case RequestValidationError():  # 400 for a parameter, 404 for a path
                is_path, detail = describe_validation_error(error)
                status = HTTPStatus.NOT_FOUND if is_path else HTTPStatus.BAD_REQUEST
                return await self.describe(request, HTTPProblem(status, detail))
            case HTTPProblem(status=HTTPStatus.NOT_FOUND) if self._service.awaited and not (
                path.startswith(_LOCAL_PATH)
            ):  # what is missing may be in a journal entry that is not loaded yet
                text = TranslatableText(
                    "{problem}; but {missing} journal entries are not loaded here yet; try again in a moment",
                    problem=_detail(error),
                    missing=self._service.awaited,
                )
                return await self.describe(request, NotReady(text))
            case HTTPProblem():
                return Problem(error.status, _detail(error), error.headers)
            case HTTPException():  # Starlette raises it: 404 for an unknown path, 405
                status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
                # Several routes may share a path, each with other methods.
                if status is HTTPStatus.METHOD_NOT_ALLOWED:
                    headers["Allow"] = ", ".join(allowed_methods(request))
                return Problem(status, f"{request.method} {path}: {error.detail}", headers)
            case JournalError():  # its text has paths of the server, so it is only logged
                log.error("the journal cannot be read", path=path, reason=str(error))
                headers = {"Retry-After": _JOURNAL_RETRY}
                return Problem(HTTPStatus.SERVICE_UNAVAILABLE, _JOURNAL_UNREADABLE, headers)
        return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, _FAILED, {"Connection": "close"})

    async def handle_damage(self, request: Request, error: Exception) -> Response | None:
        """Respond to an exception that the middleware caught: to a PublisherError as to that of a
        route; with 503 and a log line if a file of the store or its indexes is damaged. Return None
        for any other.
        """
        if isinstance(error, PublisherError):
            return await self._respond(request, error)
        if not await self._service.find_damage():
            return None
        log.warning(
            "request failed: files are damaged",
            path=request.url.path,
            reason=f"{type(error).__name__}: {error}",
        )
        return await self._respond(request, DamagedFiles(_DAMAGED))

    async def _describe_publisher_error(self, request: Request, error: PublisherError) -> Problem:
        status, title, headers = describe_error(error)
        path, is_failure = request.url.path, status is HTTPStatus.INTERNAL_SERVER_ERROR
        is_odd = isinstance(error, MemoryLimit) and not path.startswith(_CLIENT_QUERIES)
        if (is_failure or is_odd) and await self._service.find_damage():
            return await self.describe(request, DamagedFiles(_DAMAGED))
        if is_failure:
            log.error("request failed", path=path, reason=str(error))
        problem = Problem(status, _detail(error), headers, title)
        if isinstance(error, QuerySyntaxError):
            return problem._replace(extensions={"line": error.line, "column": error.column})
        if isinstance(error, NotReady):
            problem = problem._replace(detail=self._service.starting or problem.detail)
            if wants_page(request) and (steps := await self._steps()):
                values = {"steps": steps, "refresh": REFRESH_SECONDS}
                problem = problem._replace(template="start.html", values=values)
        return problem

    def _render(self, request: Request, problem: Problem) -> Response | None:
        if not wants_page(request):
            return None
        detail, place = problem.detail, problem.extensions
        text = detail.translated() if isinstance(detail, TranslatableText) else detail
        location = f" (line {place['line']}, column {place['column']})" if place.get("line") else ""
        values: dict[str, object] = {
            "title": problem.title or problem.status.phrase,
            "detail": f"{text}{location}",
            "translated": isinstance(detail, TranslatableText),
            "status": int(problem.status),
            "export": "Link" in problem.headers,
            "retry_after": problem.headers.get("Retry-After", ""),
            **problem.values,
        }
        return self._pages.page(problem.template, problem.status, **values)


def _detail(error: Exception) -> str:
    """Return the text of an error, with its translations if there are any."""
    text = error.args[0] if error.args else ""
    return text if isinstance(text, TranslatableText) else str(error)
