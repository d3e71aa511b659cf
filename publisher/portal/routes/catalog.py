"""Serve ``/catalog``, the datasets and services of this installation, in DCAT-AP 3."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter
from fastapi import Path as PathParameter
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText
from publisher.catalog.datasets import Catalog, Service, available_services, load_catalog
from publisher.catalog.dcat import catalog_statements
from publisher.dependencies import PagesDep, ServiceDep
from publisher.linked_data.entities import DescriptionJson, other_formats, serialize
from publisher.pages import Pages
from publisher.store.descriptions import Description, namespaces
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from web.endpoints import get, other_contents, problems
from web.formats import DATA_FORMATS, FORMATS, HTML
from web.links import Link
from web.problems import HTTPProblem
from web.representation import (
    Representation,
    ResourceURLs,
    build_response,
    is_negotiated,
    negotiate_format,
)

_PLACE = ResourceURLs("/catalog")


Suffix = Annotated[
    str, PathParameter(description="The format", json_schema_extra={"enum": list(FORMATS)})
]

router = APIRouter()


@get(router, "/catalog", include_in_schema=False)
async def catalog(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Return the catalog in the negotiated format."""
    return await _respond(request, service, pages, None)


@get(
    router,
    "/catalog.{suffix}",
    operation_id="catalog",
    summary="Describe all data sets and services, by DCAT-AP 3",
    tags=["have"],
    response_model=DescriptionJson,
    response_description="The catalog",
    responses=other_contents(FORMATS.values()) | problems(404, 503),
)
async def catalog_file(
    request: Request, service: ServiceDep, pages: PagesDep, suffix: Suffix
) -> Response:
    """`/catalog` returns the format that the header Accept prefers."""
    if suffix not in FORMATS:
        raise HTTPProblem(HTTPStatus.NOT_FOUND, TranslatableText("There is no such address"))
    return await _respond(request, service, pages, suffix)


async def _respond(
    request: Request, service: QueryService, pages: Pages, suffix: str | None
) -> Response:
    row = negotiate_format(request, _PLACE, suffix)
    catalog, services = await load_catalog(service, request), available_services(request.app)
    if row is HTML:
        page = pages.page(
            "catalog.html",
            catalog=catalog,
            services=services,
            urls=_PLACE,
            graphs=DATA_FORMATS.values(),
        )
        body = bytes(page.body)
    else:
        body = serialize(_describe(service.iris, catalog, services), row, service)
    negotiated = is_negotiated(request, suffix)
    headers = {"Content-Location": _PLACE.form(row)} if negotiated else {}
    links = (
        Link("cite-as", f"{service.iris.base}catalog"),
        *_PLACE.alternates(rows=other_formats(row)),
    )
    return build_response(
        request,
        Representation(body, row.media, negotiated=negotiated, links=links, headers=headers),
    )


def _describe(iris: Iris, catalog: Catalog, services: tuple[Service, ...]) -> Description:
    return Description(
        f"{iris.base}catalog",
        catalog_statements(catalog, services, iris.base),
        {},
        namespaces(iris),
    )
