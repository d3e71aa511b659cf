"""The query service and the page renderer, as FastAPI dependencies of route handlers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, TypeVar, cast

from fastapi import Depends
from starlette.requests import Request

from languages.translations import TranslatableText
from publisher.data.counts import FacetIndex, open_facet_index
from publisher.errors import NotReady
from publisher.pages import Pages
from publisher.store.query_service import QueryService
from publisher.store.search.searcher import Searcher, open_searcher
from web.respond import HTTPProblem


async def get_service(request: Request) -> QueryService:
    return cast(QueryService, request.app.state.service)


async def get_pages(request: Request) -> Pages:
    return cast(Pages, request.app.state.pages)


ServiceDep = Annotated[QueryService, Depends(get_service)]
PagesDep = Annotated[Pages, Depends(get_pages)]


ValueT = TypeVar("ValueT")


def require(value: ValueT | None, text: str, status: HTTPStatus = HTTPStatus.NOT_FOUND) -> ValueT:
    """Return *value*; raises HTTPProblem with *text* if it is None or False."""
    if value is None or value is False:
        raise HTTPProblem(status, text)
    return value


def require_facet_index(service: QueryService) -> FacetIndex:
    """Return the facet index of the snapshot. Only that of an external store may not have it yet:
    raises NotReady while it is built.
    """
    if (index := open_facet_index(service.current.path)) is None:
        raise NotReady(
            TranslatableText("the charts and lists are being prepared; try again in a minute")
        )
    return index


async def get_tables(service: ServiceDep) -> FacetIndex:
    """Return the facet index of the current snapshot; raises NotReady while it is built."""
    return require_facet_index(service)


TablesDep = Annotated[FacetIndex, Depends(get_tables)]


def require_searcher(service: QueryService) -> Searcher:
    """Return the search index of the snapshot; raises NotReady while it is built."""
    if (index := open_searcher(service.current.path)) is None:
        raise NotReady(
            TranslatableText("the search index is being prepared; try again in a minute")
        )
    return index
