"""Serve ``/id/...``, which redirects (303) to the page or the data of an initiative, event,
document, post or organization.

Source: https://www.w3.org/TR/cooluris/#r303gendocument
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from urllib.parse import quote

from fastapi import APIRouter, Depends
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from languages.translations import gettext
from publisher.dependencies import PagesDep, ServiceDep
from publisher.history.versions import GraphChangeView, read_history, recent_changes
from publisher.linked_data.content_response import GONE, DescriptionJson, Resource, respond
from publisher.linked_data.cursor_lists import ListCursor, ListParameters, load_page
from publisher.linked_data.schema_org import jsonld_block, thing_markup
from publisher.linked_data.signposting import SignpostedThing, data_links, page_links
from publisher.linked_data.thing_lookup import ThingDocument, find_thing, find_thing_by_suffix
from publisher.linked_data.view_models import ThingView, build_view
from publisher.pages import Pages
from publisher.portal.clusters import cluster_of
from publisher.portal.entity_statistics import EntityStatistics, entity_statistics
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.prizes import awards_of
from publisher.portal.sources import source_titles
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import Family, ListItem, open_facet_index
from publisher.store.descriptions import Description, replacements
from publisher.store.query_service import QueryService
from publisher.store.source_status import SourceStatus, last_confirmed, source_statuses
from vocab.iris import Iris
from web.charts.map import point_map
from web.endpoints import KeyPath, KindPath, SourcePath, get, problems, redirects
from web.formats import DATA_FORMATS, HTML
from web.links import Link, origin
from web.negotiation import quality
from web.page_cache import MINUTE, keep_for
from web.paths import path_segments
from web.representation import ResourceURLs, is_negotiated, negotiate_format, see_other

RELATED = 6  # things
FAMILY = 100  # parts of an initiative
Links = Callable[[SignpostedThing], list[Link]]


async def thing_parameters(kind: KindPath, source: SourcePath, key: KeyPath) -> None:
    """Declare the parameters; they are read from the raw path, in which a key may contain an
    encoded slash.
    """


router = APIRouter()


@get(router, "/id/{rest:path}", include_in_schema=False)
async def identify(request: Request, service: ServiceDep) -> Response:
    """Redirect to the page of the thing or to its data."""
    document, suffix = await find_thing(service, path_segments(request))
    if redirect := await _redirect_to_successor(request, service, document, "id", suffix):
        return redirect
    urls = _urls(document)
    chosen = urls.form(negotiate_format(request, urls, suffix))
    return see_other(request, chosen, vary="" if suffix else "Accept")


@get(router, "/data/{rest:path}", include_in_schema=False)
@get(
    router,
    "/data/{kind}/{source}/{key:path}.json",
    operation_id="thing",
    summary="Return what is known about a thing",
    tags=["read"],
    dependencies=[Depends(thing_parameters)],
    response_model=DescriptionJson,
    response_description="The thing, with what all its registries say",
    responses=redirects(301) | GONE | problems(404, 503),
)
async def data(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Return the data of the thing in the format of the suffix."""
    document, suffix = await find_thing_by_suffix(service, path_segments(request))
    if redirect := await _redirect_to_successor(request, service, document, "data", suffix):
        return redirect
    urls = _urls(document)
    if negotiate_format(request, urls, suffix) is HTML:
        return see_other(request, urls.page, vary="" if suffix else "Accept")
    show = ThingPage(service, pages, document, ListParameters(None, None, None))
    return await show.respond(request, suffix, data_links)


@get(router, "/page/{rest:path}", include_in_schema=False)
async def page(
    request: Request, service: ServiceDep, pages: PagesDep, cursor: ListCursor
) -> Response:
    """Return the page of the thing, or redirect to its data."""
    document, suffix = await find_thing(service, path_segments(request))
    if redirect := await _redirect_to_successor(request, service, document, "page", suffix):
        return redirect
    accepts_html = quality(request.headers.get("accept"), "text/html")
    if not suffix and is_negotiated(request, suffix) and accepts_html:
        suffix = HTML.suffix
    urls = _urls(document)
    if (row := negotiate_format(request, urls, suffix)) is not HTML:
        return see_other(request, urls.form(row))
    return await ThingPage(service, pages, document, cursor).respond(
        request, HTML.suffix, page_links
    )


async def _redirect_to_successor(
    request: Request, service: QueryService, document: ThingDocument, head: str, suffix: str | None
) -> Response | None:
    """Return 301 to the address, below *head*, of the thing in another registry that took the place
    of a deleted one; None if there is none. The tombstone of its record stays where it is.
    """
    if not document.gone or document.record is None:
        return None
    source, base = document.path.split("/")[1], service.iris.base
    for record, row in (await replacements(service, document.record)).items():
        if "thing" in row and not record.startswith(f"{base}record/{source}/"):
            path = row["thing"].value.removeprefix(f"{base}id/") + (f".{suffix}" if suffix else "")
            location = f"{request.scope.get('root_path', '')}/{head}/{path}"
            return RedirectResponse(location, HTTPStatus.MOVED_PERMANENTLY)
    return None


def _urls(document: ThingDocument) -> ResourceURLs:
    return ResourceURLs(f"/data/{document.path}", f"/page/{document.path}")


# the time and the text of each; None if nobody may comment
Comments = Sequence[tuple[datetime, str]] | None
ReadComments = Callable[[str], Comments]  # by the path of a post


@dataclass(frozen=True, slots=True)
class ThingPage:
    """Renders the page of one thing; *cursor* selects the part of an organization's list."""

    service: QueryService
    pages: Pages
    document: ThingDocument
    cursor: ListParameters

    async def respond(self, request: Request, suffix: str | None, links: Links) -> Response:
        """Return the page or the data of the thing, with *links* in its headers."""
        document, service = self.document, self.service
        description, licence = await document.describe(service), await document.licence(service)
        signed = SignpostedThing(
            description, origin(request), document.path, document.record, service.iris.base, licence
        )
        subject = Resource(
            description, signed.urls, document.status, document.record or "", tuple(links(signed))
        )
        return await respond(
            request,
            service,
            subject,
            suffix,
            lambda: self._show(signed, request.app.state.comments),
        )

    async def _show(self, signed: SignpostedThing, read_comments: ReadComments) -> Response:
        if self.document.gone:
            return await self._show_withdrawn(signed.description)
        if self.document.record is None:
            return await self._show_organization(signed)
        comments = None
        if signed.kind == "post":
            keep_for(MINUTE)  # a comment is shown once it is accepted, without another snapshot
            comments = await asyncio.to_thread(read_comments, self.document.path)
        return await self._show_record(signed, self.document.record, comments)

    async def _show_withdrawn(self, description: Description) -> Response:
        record = self.document.record or ""
        status = await self._source_status()
        return self.pages.page(
            "gone.html",
            description=description,
            record=record,
            replacements=await replacements(self.service, record),
            source_status=status,
            now=self.service.now(),
            graphs=DATA_FORMATS.values(),
            changes=await self._changes(record, description),
        )

    async def _show_organization(self, signed: SignpostedThing) -> Response:
        organization = self.document.iri
        return self.pages.page(
            "organization.html",
            description=signed.description,
            list_page=await load_page(self.cursor, self.service, "organization", organization),
            graphs=DATA_FORMATS.values(),
            urls=signed.urls,
            block=_markup(signed),
            about=await self._statistics(organization),
            cluster=await cluster_of(self.service, organization),
        )

    async def _show_record(
        self, signed: SignpostedThing, record: str, comments: Comments
    ) -> Response:
        description, view = signed.description, build_view(signed.description, record)
        status = await self._source_status()
        return self.pages.page(
            "thing.html",
            thing=description,
            licence=signed.licence,
            kind=signed.kind,
            record=record,
            graphs=DATA_FORMATS.values(),
            urls=signed.urls,
            block=_markup(signed),
            view=view,
            source_status=status,
            now=self.service.now(),
            confirmed=last_confirmed(status, description, record),
            changes=await self._changes(record, description),
            related=await self._related(),
            family=await self._family(),
            awards=await awards_of(self.service, self.document.iri),
            comments=comments,
            post=self.document.path,
            cluster=await cluster_of(self.service, self.document.iri),
            map=_map(description, view, self.service.iris),
        )

    async def _source_status(self) -> SourceStatus | None:
        return (await source_statuses(self.service)).get(self.document.path.split("/")[1])

    async def _changes(self, record: str, description: Description) -> list[GraphChangeView]:
        versions = await read_history(self.service, record)
        return recent_changes(versions, replace(description, iri=record), self.service.iris)

    async def _related(self) -> list[ListItem]:
        """Return the things that share the most action lines, goals and countries with this one."""
        tables = open_facet_index(self.service.current.path)
        if tables is None:
            return []
        return await asyncio.to_thread(tables.related, self.document.iri, RELATED)

    async def _family(self) -> Family:
        """Return what an initiative is part of, and its parts, such as additional financing."""
        tables = open_facet_index(self.service.current.path)
        if tables is None or not self.document.path.startswith("initiative/"):
            return Family()
        return await asyncio.to_thread(tables.family, self.document.iri, FAMILY)

    async def _statistics(self, organization: str) -> EntityStatistics | None:
        """Return the figures of an organization; None while the facet index is built."""
        tables = open_facet_index(self.service.current.path)
        if tables is None:
            return None
        filters, address = Filter(party=organization), f"/things?organization={quote(organization)}"
        labels = FacetLabels(self.service.iris, await source_titles(self.service))
        return await asyncio.to_thread(
            entity_statistics, tables, filters, labels, address, ("source",)
        )


def _markup(signed: SignpostedThing) -> Markup:
    return jsonld_block(thing_markup(signed.description, signed.kind, signed.licence))


def _map(description: Description, view: ThingView, iris: Iris) -> Markup | None:
    """Draw the locations of a thing; None if unknown."""
    country, spatial = FACETS["country"], description.all("dct:spatial")
    areas = frozenset(country.code(term.value, iris) for term in spatial if term.is_iri)
    points = [
        (float(place.latitude), float(place.longitude), str(place.name or ""))
        for place in view.places
        if place.latitude
    ]
    return point_map(points, areas, gettext("Where it takes place")) if areas or points else None
