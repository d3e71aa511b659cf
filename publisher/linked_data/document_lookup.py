"""Look up the document of a request path, with or without a format suffix."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import NamedTuple

from starlette.requests import Request

from languages.translations import TranslatableText
from publisher.store.descriptions import Description
from publisher.store.query_service import QueryService
from web.paths import path_segments, split_suffix
from web.problems import HTTPProblem
from web.representation import ResourceURLs


class Document(NamedTuple):
    """A document, its URLs, and the requested format suffix."""

    description: Description
    urls: ResourceURLs
    suffix: str | None

    @property
    def name(self) -> str:
        """Return its path without the base."""
        return self.urls.stem[1:]


Describe = Callable[[QueryService, str], Awaitable[Description]]


async def find_document(
    request: Request, service: QueryService, describe: Describe, depth: int
) -> Document:
    """Return the document at a path of *depth* segments, else that without the suffix; raises
    HTTPProblem (404) if there is none.
    """
    first = (
        request.url.path.removeprefix(request.scope.get("root_path", ""))
        .strip("/")
        .partition("/")[0]
    )
    parts = [first, *path_segments(request)]
    name = "/".join(parts)
    if len(parts) != depth or not all(parts):
        raise HTTPProblem(HTTPStatus.NOT_FOUND, TranslatableText("Not found"))
    stem, suffix = split_suffix(name)
    for candidate, end in ((name, None), *([(stem, suffix)] if suffix else [])):
        description = await describe(service, service.iris.base + candidate)
        if description.statements:
            return Document(description, ResourceURLs(f"/{candidate}"), end)
    raise HTTPProblem(
        HTTPStatus.NOT_FOUND,
        TranslatableText("This record doesn't exist: {iri}", iri=service.iris.base + name),
    )
