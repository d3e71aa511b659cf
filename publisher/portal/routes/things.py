"""Things: ``/id/...`` points by 303 to the page or the data of an initiative, event, document, post or organization.

Source: https://www.w3.org/TR/cooluris/#r303gendocument
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

from fastapi import APIRouter, Depends
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import gettext
from publisher.facets.facets import FACETS
from publisher.facets.filter_query import Filter
from publisher.facets.queries import ListItem, open_facet_index
from publisher.formats import DATA_FORMATS, HTML
from publisher.history.changes import recent_changes
from publisher.history.versions import read_history
from publisher.http.endpoints import KeyPath, KindPath, SourcePath, get, problems
from publisher.http.links import Link, origin
from publisher.http.negotiation import quality
from publisher.http.paths import path_segments
from publisher.http.representation import ResourceURLs, is_negotiated, negotiate_format, see_other
from publisher.linked_data.content_response import GONE, DescriptionJson, Resource, respond
from publisher.linked_data.cursor_lists import ListCursor, ListParameters, load_page
from publisher.linked_data.schema_org import jsonld_block, thing_markup
from publisher.linked_data.signposting import SignpostedThing, data_links, page_links
from publisher.linked_data.thing_lookup import ThingDocument, find_thing, find_thing_by_suffix
from publisher.linked_data.view_models import ThingView, build_view
from publisher.pages.charts.map import point_map
from publisher.pages.templating import Pages
from publisher.portal.entity_statistics import EntityStatistics, entity_statistics
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.sources import source_titles
from publisher.store.descriptions import Description, replacements
from publisher.store.query_service import QueryService
from publisher.store.source_status import clock, last_confirmed, source_statuses

RELATED = 6  # things
Links = Callable[[SignpostedThing], list[Link]]


async def thing_parameters(kind: KindPath, source: SourcePath, key: KeyPath) -> None:
    """Declare the parameters; they are read from the raw path, in which a key may contain an encoded slash."""


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the routes of ``/id``, ``/page`` and ``/data``."""
    routes = APIRouter()

    async def identify(request: Request) -> Response:
        found, suffix = await find_thing(service, path_segments(request))
        signed = SignpostedThing(Description(found.iri, (), {}, {}), origin(request), found.path, found.record, service.iris.base)
        return see_other(request, signed.urls.form(negotiate_format(request, signed.urls, suffix)), vary="" if suffix else "Accept")

    @get(
        routes,
        "/data/{kind}/{source}/{key:path}.json",
        operation_id="thing",
        summary="Return what is known about a thing",
        tags=["read"],
        dependencies=[Depends(thing_parameters)],
        response_model=DescriptionJson,
        response_description="The thing, with what all its registries say",
        responses=GONE | problems(404, 503),
    )
    async def data(request: Request) -> Response:
        found, suffix = await find_thing_by_suffix(service, path_segments(request))
        place = ResourceURLs(f"/data/{found.path}", f"/page/{found.path}")
        if negotiate_format(request, place, suffix) is HTML:
            return see_other(request, place.page, vary="" if suffix else "Accept")
        return await _respond(request, found, suffix, data_links, ListParameters(None, None, None))

    async def page(request: Request, cursor: ListCursor) -> Response:
        found, suffix = await find_thing(service, path_segments(request))
        if not suffix and is_negotiated(request, suffix) and quality(request.headers.get("accept"), "text/html"):
            suffix = HTML.suffix
        place = ResourceURLs(f"/data/{found.path}", f"/page/{found.path}")
        if (row := negotiate_format(request, place, suffix)) is not HTML:
            return see_other(request, place.form(row))
        return await _respond(request, found, HTML.suffix, page_links, cursor)

    async def _respond(request: Request, found: ThingDocument, suffix: str | None, links: Links, cursor: ListParameters) -> Response:
        description = await found.describe(service)
        signed = SignpostedThing(description, origin(request), found.path, found.record, service.iris.base, await found.licence(service))
        subject = Resource(description, signed.urls, found.status, found.record or "", tuple(links(signed)))
        return await respond(request, service, subject, suffix, lambda: _show(cursor, found, signed))

    async def _show(cursor: ListParameters, found: ThingDocument, signed: SignpostedThing) -> Response:
        description, graphs = signed.description, DATA_FORMATS.values()
        if found.gone:
            record, standing = found.record or "", (await source_statuses(service)).get(found.path.split("/")[1])
            past = recent_changes(await read_history(service, record) or (), replace(description, iri=record), service.iris)
            heirs = await replacements(service, record)
            at = clock()
            return pages.page(
                "gone.html", it=description, record=record, heirs=heirs, standing=standing, at=at, graphs=graphs, changes=past
            )
        markup = jsonld_block(thing_markup(description, signed.kind, signed.licence))
        if found.record is None:
            things = await load_page(cursor, service, "organization", found.iri)
            figures = await _figures(found.iri)
            return pages.page(
                "organization.html", it=description, listed=things, graphs=graphs, place=signed.urls, block=markup, about=figures
            )
        standing = (await source_statuses(service)).get(found.path.split("/")[1])
        past = recent_changes(await read_history(service, found.record) or (), replace(description, iri=found.record), service.iris)
        return pages.page(
            "thing.html",
            thing=description,
            licence=signed.licence,
            kind=signed.kind,
            record=found.record,
            graphs=graphs,
            place=signed.urls,
            block=markup,
            view=build_view(description, found.record),
            standing=standing,
            at=clock(),
            confirmed=last_confirmed(standing, description, found.record),
            changes=past,
            related=await _related(found.iri, description),
            map=_places(description, build_view(description, found.record)),
        )

    async def _related(thing: str, description: Description) -> list[ListItem]:
        """Return what shares most action lines, goals and countries with a thing."""
        tables = open_facet_index(service.current.path)
        return await asyncio.to_thread(tables.related, thing, RELATED) if tables else []

    def _places(description: Description, seen: ThingView) -> Markup | None:
        areas = frozenset(FACETS["country"].code(term.value, service.iris) for term in description.all("dct:spatial") if term.is_iri)
        points = [(float(place.latitude), float(place.longitude), str(place.name or "")) for place in seen.places if place.latitude]
        return point_map(points, areas, gettext("Where it takes place")) if areas or points else None

    async def _figures(organization: str) -> EntityStatistics | None:
        tables = open_facet_index(service.current.path)
        if tables is None:
            return None
        filters, where = Filter(party=organization), f"/things?organization={quote(organization)}"
        return await asyncio.to_thread(
            entity_statistics, tables, filters, FacetLabels(service.iris, await source_titles(service)), where, ("source",)
        )

    routes.add_route("/id/{rest:path}", identify, methods=["GET", "HEAD"])
    routes.add_route("/data/{rest:path}", data, methods=["GET", "HEAD"])
    get(routes, "/page/{rest:path}", include_in_schema=False)(page)
    return routes
