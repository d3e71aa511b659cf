"""Catalogue: ``/catalog``, all that can be had here, by DCAT-AP 3."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.catalog.dataset import Holdings
from publisher.catalog.datasets import holdings, reachable
from publisher.catalog.dcat import catalogue
from publisher.catalog.services import Service, offered
from publisher.formats import DATA, FORMS, HTML
from publisher.http.links import Link
from publisher.http.problems import Refused
from publisher.http.representation import Place, Told, answer, by_accept, form
from publisher.linked_data.content_response import others, written
from publisher.pages.templating import Pages
from publisher.store.descriptions import Description, spaces
from publisher.store.query_service import Shelf

_PLACE = Place("/catalog")


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the routes of ``/catalog``."""
    routes = APIRouter()

    async def catalog(request: Request) -> Response:
        suffix = request.path_params.get("suffix")
        if suffix is not None and suffix not in FORMS:
            raise Refused(HTTPStatus.NOT_FOUND, "There is no such address")
        row = form(request, _PLACE, suffix)
        found, services = await holdings(shelf, reachable(request)), offered(request.app)
        body = _page(found, services) if row is HTML else written(_described(found, services), row, shelf)
        negotiated = by_accept(request, suffix)
        headers = {"Content-Location": _PLACE.form(row)} if negotiated else {}
        links = (Link("cite-as", f"{shelf.iris.base}catalog"), *_PLACE.alternates(rows=others(row)))
        return answer(request, Told(body, row.media, negotiated=negotiated, links=links, headers=headers))

    def _described(found: Holdings, services: tuple[Service, ...]) -> Description:
        base = shelf.iris.base
        return Description(f"{base}catalog", catalogue(found, services, base), {}, spaces(shelf.iris))

    def _page(found: Holdings, services: tuple[Service, ...]) -> bytes:
        return bytes(pages.page("catalog.html", found=found, services=services, place=_PLACE, graphs=DATA.values()).body)

    routes.add_route("/catalog", catalog, methods=["GET", "HEAD"])
    routes.add_route("/catalog.{suffix}", catalog, methods=["GET", "HEAD"])
    return routes
