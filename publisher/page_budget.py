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
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address

from starlette.datastructures import QueryParams
from starlette.types import Scope

from languages.translations import TranslatableText
from publisher.errors import QuotaExceeded, StoreBusy
from publisher.limits import Limits
from publisher.projections.facets.facets import FACETS
from publisher.store.workers.pool import RateLimiter, client_key

DEEP = 3  # with at least this number of facet values, renderings of a page are limited
# After such a page none is begun for this many times as long as it took: those that wait for one
# another take a quarter of the time, and less work is taken on where the server is slow.
REST = 3.0
MOST_POINTS = 32  # of a page
ALL_DATA = TranslatableText("all data is in the files of /dumps/ and /releases")
ALL_DATA_LINK = '</dumps/>; rel="related"; title="all data as files"'


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


class PageLimits:
    """Allow each client address *limits.pages* points in *limits.window* seconds, and *limits.deep*
    renderings of pages with DEEP or more facet values at once.

    Loopback addresses are not limited: behind a proxy that is not trusted, all clients have one.
    """

    def __init__(self, limits: Limits, now: Callable[[], float] = time.monotonic) -> None:
        self._pages, self._wait = limits.pages, limits.deep_wait
        self._limiter = RateLimiter(replace(limits, budget=limits.pages), now)
        self._slots = asyncio.Semaphore(limits.deep) if limits.deep else None

    def spend(self, scope: Scope) -> None:
        """Take the points of a page from its client; raises QuotaExceeded if none are left."""
        client = client_key(scope)
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
            raise QuotaExceeded(text, error.wait, ALL_DATA_LINK) from error
        self._limiter.charge(client, page_points(QueryParams(scope["query_string"])))

    @asynccontextmanager
    async def slot(self, scope: Scope) -> AsyncIterator[None]:
        """Wait for a slot for a page with many facet values, *limits.deep_wait* seconds at most;
        raises StoreBusy.

        A slot rests after a page REST times as long as it took, at most half of
        *limits.deep_wait*: the next who waits is served also where pages are slow.
        """
        if self._slots is None or facet_depth(QueryParams(scope["query_string"])) < DEEP:
            yield
            return
        try:
            async with asyncio.timeout(self._wait):
                await self._slots.acquire()
        except TimeoutError as error:
            raise StoreBusy(
                f"too many pages of {DEEP} or more facets are asked for; choose fewer, or try again later; {ALL_DATA}",
                ALL_DATA_LINK,
            ) from error
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            yield
        finally:
            rest = min(REST * (loop.time() - begun), self._wait / 2)
            loop.call_later(rest, self._slots.release)


def _is_own(client: str) -> bool:
    try:
        return ip_address(client.partition("/")[0]).is_loopback
    except ValueError:
        return not client
