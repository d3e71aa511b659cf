"""The query service and the page renderer, as FastAPI dependencies of route handlers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, TypeVar, cast

from fastapi import Depends
from starlette.requests import Request

from languages.translations import TranslatableText
from publisher.errors import NotReady
from publisher.pages import Pages
from publisher.projections.facets.queries import FacetIndex, open_facet_index
from publisher.store.query_service import QueryService
from web.problems import HTTPProblem


async def get_service(request: Request) -> QueryService:
    """Return the query service of the app."""
    return cast(QueryService, request.app.state.service)


async def get_pages(request: Request) -> Pages:
    """Return the page renderer of the app."""
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
    """Return the facet index of the snapshot; raises NotReady while it is built."""
    index = open_facet_index(service.current.path)
    if index is None:
        raise NotReady(
            TranslatableText("the charts and lists are being prepared; try again in a minute")
        )
    return index
