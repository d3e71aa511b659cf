"""Named: the document that stands at its own address, with the suffix of a format or without."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple

from starlette.requests import Request

from publisher.http.paths import path_segments, split_suffix
from publisher.http.problems import HTTPProblem
from publisher.http.representation import ResourceURLs
from publisher.store.descriptions import Description
from publisher.store.query_service import QueryService


class Document(NamedTuple):
    """A document, where its forms lie, and the suffix by which it was asked for."""

    it: Description
    place: ResourceURLs
    suffix: str | None

    @property
    def name(self) -> str:
        """Give its address without the base."""
        return self.place.stem[1:]


Describe = Callable[[QueryService, str], Awaitable[Description]]


async def find_document(request: Request, service: QueryService, describe: Describe, depth: int) -> Document:
    """Find the document at a path of *depth* parts, as it is or else without its suffix; raise Refused (404) where there is none."""
    first = request.url.path.removeprefix(request.scope.get("root_path", "")).strip("/").partition("/")[0]
    parts = [first, *path_segments(request)]
    name = "/".join(parts)
    if len(parts) != depth or not all(parts):
        raise HTTPProblem(HTTPStatus.NOT_FOUND, "There is no such address")
    stem, suffix = split_suffix(name)
    for tried, end in ((name, None), *([(stem, suffix)] if suffix else [])):
        it = await describe(service, service.iris.base + tried)
        if it.statements:
            return Document(it, ResourceURLs(f"/{tried}"), end)
    raise HTTPProblem(HTTPStatus.NOT_FOUND, f"This record doesn't exist: {service.iris.base}{name}")
