"""Catalogue: ``/catalog``, all that can be had here, by DCAT-AP 3."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.catalog.dataset import Catalog
from publisher.catalog.datasets import load_catalog
from publisher.catalog.dcat import catalog_statements
from publisher.catalog.services import Service, available_services
from publisher.formats import DATA_FORMATS, FORMATS, HTML
from publisher.http.links import Link
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, ResourceURLs, build_response, is_negotiated, negotiate_format
from publisher.linked_data.content_response import other_formats, serialize
from publisher.pages.templating import Pages
from publisher.store.descriptions import Description, namespaces
from publisher.store.query_service import QueryService

_PLACE = ResourceURLs("/catalog")


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/catalog``."""
    routes = APIRouter()

    async def catalog(request: Request) -> Response:
        suffix = request.path_params.get("suffix")
        if suffix is not None and suffix not in FORMATS:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "There is no such address")
        row = negotiate_format(request, _PLACE, suffix)
        found, services = await load_catalog(service, request), available_services(request.app)
        body = _page(found, services) if row is HTML else serialize(_described(found, services), row, service)
        negotiated = is_negotiated(request, suffix)
        headers = {"Content-Location": _PLACE.form(row)} if negotiated else {}
        links = (Link("cite-as", f"{service.iris.base}catalog"), *_PLACE.alternates(rows=other_formats(row)))
        return build_response(request, Representation(body, row.media, negotiated=negotiated, links=links, headers=headers))

    def _described(found: Catalog, services: tuple[Service, ...]) -> Description:
        base = service.iris.base
        return Description(f"{base}catalog", catalog_statements(found, services, base), {}, namespaces(service.iris))

    def _page(found: Catalog, services: tuple[Service, ...]) -> bytes:
        return bytes(pages.page("catalog.html", found=found, services=services, place=_PLACE, graphs=DATA_FORMATS.values()).body)

    routes.add_route("/catalog", catalog, methods=["GET", "HEAD"])
    routes.add_route("/catalog.{suffix}", catalog, methods=["GET", "HEAD"])
    return routes
