"""Answer what no route answered, and add headers that name the journal position of each response and
the freshness of its sources.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from publisher.errors import PublisherError
from publisher.store.query_service import QueryService
from publisher.store.source_status import (
    SourceStatus,
    count_by_state,
    data_version,
    next_status_change,
    source_statuses,
)
from web.respond import REVALIDATED

# the entry that is being applied: a response may show part of it
APPLYING_HEADER = "Stocktake-Applying-Entry"
LAG_HEADER = "Stocktake-Lag"  # number of journal entries that are not applied yet, if any
HEADER_NAMES = (
    "Stocktake-Position",
    "Stocktake-Time",
    "Stocktake-Freshness",
    "Stocktake-Confirmed",
    APPLYING_HEADER,
    LAG_HEADER,
)
# on responses from a release, which say nothing about current data
RELEASE_HEADER = "Stocktake-Release"
# index of the source's name in the path
_SOURCE_SEGMENT = {"id": 2, "page": 2, "data": 2, "record": 1, "source": 1}
# static files do not change; health must answer when the store does not
_EXCLUDED = ("static", "docs", "health")

# of engines in Rust, such as over a damaged search index; it is no Exception, and its class is not
# public
_PANIC = "PanicException"

Headers = dict[str, str]


class FreshnessMiddleware:
    """Add the headers of HEADER_NAMES to the responses of *app*.

    The position is read when the request arrives. The data may be newer, never older. What *app*
    raises is answered by *respond*, and raised again where that returns None, or where the response
    has begun.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: QueryService,
        respond: Callable[[Request, Exception], Awaitable[Response | None]],
    ) -> None:
        self._app, self._service, self._respond = app, service, respond
        self._snapshot_number: int | None = None  # the snapshot whose source statuses are cached
        self._statuses: dict[str, SourceStatus] = {}
        self._counts = ""
        self._valid_until: datetime | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        parts, has_begun = scope["path"].strip("/").split("/"), False
        headers = {} if parts[0] in _EXCLUDED else await self._headers(parts)

        async def send_with_headers(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            if message["type"] == "http.response.start" and RELEASE_HEADER not in (
                response := MutableHeaders(scope=message)
            ):
                response.update(headers)
                if APPLYING_HEADER in headers and response.get("Cache-Control") == REVALIDATED:
                    # it may show a part of the entry, and the tag would say that it is a state
                    response["Cache-Control"] = "no-store"
                    del response["ETag"]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except BaseException as error:
            is_panic = type(error).__name__ == _PANIC
            if has_begun or not (isinstance(error, Exception) or is_panic):
                raise
            failure = error if isinstance(error, Exception) else RuntimeError(str(error))
            response = await self._respond(Request(scope), failure)
            if response is None:
                raise
            await response(scope, receive, send_with_headers)

    async def _headers(self, parts: list[str]) -> Headers:
        snapshot = data_version(self._service)
        if snapshot is None:
            return {}
        headers = {"Stocktake-Position": str(snapshot.position)} | (
            {"Stocktake-Time": snapshot.time} if snapshot.time else {}
        )
        if self._service.behind:
            headers[LAG_HEADER] = str(self._service.behind)
        if not self._service.is_consistent and self._service.snapshot:
            headers[APPLYING_HEADER] = str(self._service.snapshot.applying)
        try:
            return headers | await self._freshness(parts)
        except PublisherError:  # the response itself reports the error
            return headers

    async def _freshness(self, parts: list[str]) -> Headers:
        now = self._service.now()
        number = self._service.current.number
        if self._snapshot_number != number or (
            self._valid_until is not None and now >= self._valid_until
        ):
            self._statuses = await source_statuses(self._service)
            self._counts = ", ".join(
                f"{state.value}={count}"
                for state, count in count_by_state(self._statuses, now).items()
            )
            self._snapshot_number, self._valid_until = (
                number,
                next_status_change(self._statuses, now),
            )
        segment = _SOURCE_SEGMENT.get(parts[0])
        status = (
            self._statuses.get(parts[segment])
            if segment is not None and len(parts) > segment
            else None
        )
        if status is None:
            return {"Stocktake-Freshness": self._counts} if self._counts else {}
        return {"Stocktake-Freshness": status.state(now).value} | (
            {"Stocktake-Confirmed": status.last_full_harvest} if status.last_full_harvest else {}
        )
