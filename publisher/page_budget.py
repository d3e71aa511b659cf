"""Limit the pages that a client address opens, and the pages of several facets that are rendered at
once.

A crawler that follows every facet finds pages without end, and each costs a query. A page costs one
point; each facet value beyond the first doubles it. Pages of many facets are rendered a few at a
time, and for a quarter of the time at most, whoever asks for them, so that many addresses together
do not delay the pages that people open. ``/robots.txt`` keeps to the same limits.

Source: https://www.rfc-editor.org/rfc/rfc6585 section 4 (429),
https://www.rfc-editor.org/rfc/rfc9110 section 10.2.3 (Retry-After).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_address

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from languages.translations import TranslatableText
from publisher.errors import PublisherError, QuotaExceeded, StoreBusy
from publisher.limits import Limits
from publisher.projections.facets.facets import FACETS
from publisher.store.workers.rate_limit import RateLimiter, client_key
from web.page_cache import CACHED_ROUTES

DEEP = 3  # with at least this number of facet values, renderings of a page are limited
# After such a page none is begun for this many times as long as it took: those that wait for one
# another take a quarter of the time, and less work is taken on where the server is slow.
REST = 3.0
MOST_POINTS = 32  # of a page
ALL_DATA = TranslatableText("all data is in the files of /dumps/ and /releases")
ALL_DATA_LINK = '</dumps/>; rel="related"; title="all data as files"'

Respond = Callable[[Request, PublisherError], Awaitable[Response]]


def facet_depth(query: QueryParams) -> int:
    """Return the number of facet values in a URL.

    >>> facet_depth(QueryParams("q=water&goal=4&goal=5&country=404&page=2"))
    3
    """
    return sum(name in FACETS and bool(value.strip()) for name, value in query.multi_items())


def page_points(query: QueryParams) -> int:
    """Return what a page costs: 1 with at most one facet value, twice as much with each more, at
    most MOST_POINTS.

    >>> [page_points(QueryParams("&".join(["goal=4"] * depth))) for depth in (0, 1, 2, 3, 9)]
    [1, 1, 2, 4, 32]
    """
    return int(min(MOST_POINTS, 2 ** max(0, facet_depth(query) - 1)))


def is_page(scope: Scope) -> bool:
    """Return whether a request is for a page that has a budget: those that list, search or describe
    things.
    """
    return (
        scope["type"] == "http"
        and scope["path"].split("/", 2)[1].partition(".")[0] in CACHED_ROUTES
    )


class PageBudgetMiddleware:
    """Allow each client address *limits.pages* points in *limits.window* seconds; *respond* returns
    the response to an error.

    Loopback addresses are not limited: behind a proxy that is not trusted, all clients have one.
    """

    def __init__(
        self,
        app: ASGIApp,
        limits: Limits,
        respond: Respond,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._respond, self._pages = app, respond, limits.pages
        self._limiter = RateLimiter(replace(limits, budget=limits.pages), now)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429 if nothing is left."""
        if is_page(scope):
            try:
                self._spend(client_key(scope), page_points(QueryParams(scope["query_string"])))
            except QuotaExceeded as error:
                response = await self._respond(Request(scope), error)
                response.headers["Link"] = ALL_DATA_LINK
                return await response(scope, receive, send)
        await self._app(scope, receive, send)

    def _spend(self, client: str, points: int) -> None:
        if _is_own(client):
            return
        try:
            self._limiter.admit(client)
        except QuotaExceeded as error:
            text = TranslatableText(
                "this address has used its {points} points for pages; try again in {seconds} seconds; {advice}",
                points=f"{self._pages:g}",
                seconds=error.wait,
                advice=ALL_DATA,
            )
            raise QuotaExceeded(text, error.wait) from error
        self._limiter.charge(client, points)


class DeepPagesMiddleware:
    """Render *limits.deep* pages with DEEP or more facet values at once; others wait
    *limits.deep_wait* seconds, then get 503.

    Each turn rests after a page REST times as long as it took, at most half of *limits.deep_wait*:
    the next who waits is served also where pages are slow.
    """

    def __init__(self, app: ASGIApp, limits: Limits, respond: Respond) -> None:
        self._app, self._respond, self._wait = app, respond, limits.deep_wait
        self._turns = asyncio.Semaphore(limits.deep) if limits.deep else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on when it is its turn."""
        if (
            self._turns is None
            or not is_page(scope)
            or facet_depth(QueryParams(scope["query_string"])) < DEEP
        ):
            return await self._app(scope, receive, send)
        try:
            async with asyncio.timeout(self._wait):
                await self._turns.acquire()
        except TimeoutError:
            error = StoreBusy(
                f"too many pages of {DEEP} or more facets are asked for; choose fewer, or try again later; {ALL_DATA}"
            )
            response = await self._respond(Request(scope), error)
            response.headers["Link"] = ALL_DATA_LINK
            return await response(scope, receive, send)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await self._app(scope, receive, send)
        finally:
            rest = min(REST * (loop.time() - begun), self._wait / 2)
            loop.call_later(rest, self._turns.release)


def _is_own(client: str) -> bool:
    try:
        return ip_address(client.partition("/")[0]).is_loopback
    except ValueError:
        return not client
