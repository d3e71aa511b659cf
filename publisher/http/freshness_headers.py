"""Headings: every answer says which state of the journal it shows and how fresh its sources are."""

from __future__ import annotations

from datetime import datetime

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from publisher.errors import PublisherError
from publisher.store.query_service import QueryService
from publisher.store.source_status import SourceStatus, clock, count_by_state, data_version, next_status_change, source_statuses

APPLYING_HEADER = "Stocktake-Applying-Entry"  # the entry of which an answer may hold a part
LAG_HEADER = "Stocktake-Lag"  # how many entries that the journal has are not shown yet, where there are such
HEADER_NAMES = ("Stocktake-Position", "Stocktake-Time", "Stocktake-Freshness", "Stocktake-Confirmed", APPLYING_HEADER, LAG_HEADER)
RELEASE_HEADER = "Stocktake-Release"  # of an answer that was made from a release, and tells nothing of what is shown now
_SOURCE_SEGMENT = {"id": 2, "page": 2, "data": 2, "record": 1, "source": 1}  # where in a path the source's name stands
_EXCLUDED = ("static", "docs", "health")  # a file is as it is; health must answer when the store does not

Headers = dict[str, str]


class FreshnessMiddleware:
    """Add the headers of NAMES to the answers of *app*.

    The position is that of the moment when the question came: what is shown may be newer, never older.
    """

    def __init__(self, app: ASGIApp, service: QueryService) -> None:
        self._app, self._service = app, service
        self._of: int | None = None  # the snapshot of which we know how its sources fare
        self._found: dict[str, SourceStatus] = {}
        self._counts = ""
        self._until: datetime | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the app does, with our headers."""
        if scope["type"] != "http" or (parts := scope["path"].strip("/").split("/"))[0] in _EXCLUDED:
            return await self._app(scope, receive, send)
        told = await self._told(parts)

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start" and RELEASE_HEADER not in (headers := MutableHeaders(scope=message)):
                headers.update(told)
            await send(message)

        return await self._app(scope, receive, tell)

    async def _told(self, parts: list[str]) -> Headers:
        shown = data_version(self._service)
        if shown is None:
            return {}
        headers = {"Stocktake-Position": str(shown.position)} | ({"Stocktake-Time": shown.time} if shown.time else {})
        if self._service.behind:
            headers[LAG_HEADER] = str(self._service.behind)
        if not self._service.is_consistent and self._service.snapshot:
            headers[APPLYING_HEADER] = str(self._service.snapshot.taking)
        try:
            return headers | await self._freshness(parts)
        except PublisherError:  # the answer itself will tell the trouble
            return headers

    async def _freshness(self, parts: list[str]) -> Headers:
        at = clock()
        number = self._service.current.number
        if self._of != number or (self._until is not None and at >= self._until):
            self._found = await source_statuses(self._service)
            self._counts = ", ".join(f"{state.value}={count}" for state, count in count_by_state(self._found, at).items())
            self._of, self._until = number, next_status_change(self._found, at)
        where = _SOURCE_SEGMENT.get(parts[0])
        one = self._found.get(parts[where]) if where is not None and len(parts) > where else None
        if one is None:
            return {"Stocktake-Freshness": self._counts} if self._counts else {}
        return {"Stocktake-Freshness": one.state(at).value} | (
            {"Stocktake-Confirmed": one.last_full_harvest} if one.last_full_harvest else {}
        )
