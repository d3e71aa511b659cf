"""Named: the document that stands at its own address, with the suffix of a format or without."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple

from starlette.requests import Request

from publisher.http.paths import segments, without_suffix
from publisher.http.problems import Refused
from publisher.http.representation import Place
from publisher.store.descriptions import Description
from publisher.store.query_service import Shelf


class Named(NamedTuple):
    """A document, where its forms lie, and the suffix by which it was asked for."""

    it: Description
    place: Place
    suffix: str | None

    @property
    def name(self) -> str:
        """Give its address without the base."""
        return self.place.stem[1:]


Describe = Callable[[Shelf, str], Awaitable[Description]]


async def named(request: Request, shelf: Shelf, describe: Describe, depth: int) -> Named:
    """Find the document at a path of *depth* parts, as it is or else without its suffix; raise Refused (404) where there is none."""
    first = request.url.path.removeprefix(request.scope.get("root_path", "")).strip("/").partition("/")[0]
    parts = [first, *segments(request)]
    name = "/".join(parts)
    if len(parts) != depth or not all(parts):
        raise Refused(HTTPStatus.NOT_FOUND, "There is no such address")
    stem, suffix = without_suffix(name)
    for tried, end in ((name, None), *([(stem, suffix)] if suffix else [])):
        it = await describe(shelf, shelf.iris.base + tried)
        if it.statements:
            return Named(it, Place(f"/{tried}"), end)
    raise Refused(HTTPStatus.NOT_FOUND, f"This record doesn't exist: {shelf.iris.base}{name}")
