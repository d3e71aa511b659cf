"""Records: what one registry says of one thing, with where it came from and how it changed."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import DATA_FORMATS, HTML
from publisher.history.changes import recent_changes
from publisher.history.versions import read_history
from publisher.http.links import Link, origin, typed_link
from publisher.linked_data.content_response import Resource, respond
from publisher.linked_data.document_lookup import Document, find_document
from publisher.linked_data.signposting import memento_links
from publisher.linked_data.thing_lookup import licence_of
from publisher.pages.templating import Pages
from publisher.store.descriptions import describe_graph, replacements
from publisher.store.query_service import QueryService
from publisher.store.source_status import clock, last_confirmed, source_statuses


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Give the route of the records."""
    routes = APIRouter()

    async def record(request: Request) -> Response:
        found = await find_document(request, service, describe_graph, 3)
        status = HTTPStatus.GONE if _gone(found) else HTTPStatus.OK
        subject = Resource(found.it, found.place, status, found.it.iri, tuple(await _links(request, found)))
        return await respond(request, service, subject, found.suffix, lambda: _show(found))

    async def _links(request: Request, found: Document) -> list[Link]:
        host, licence = origin(request), await licence_of(service, _source(found))
        topics = [term.value.removeprefix(f"{service.iris.base}id/") for term in found.it.all("foaf:primaryTopic")]
        return [
            Link("cite-as", found.it.iri),
            *([Link("license", licence)] if licence else []),
            Link("collection", f"{host}/source/{_source(found)}"),
            *(typed_link("describes", f"{host}/page/{topic}", HTML.media) for topic in topics),
            *memento_links(host, found.name),
        ]

    async def _show(found: Document) -> Response:
        it = found.it
        past = await read_history(service, it.iri)
        told, graphs = recent_changes(past or (), it, service.iris), DATA_FORMATS.values()
        standing, at = (await source_statuses(service)).get(_source(found)), clock()
        if _gone(found):
            heirs = await replacements(service, it.iri)
            return pages.page("gone.html", it=it, record=it.iri, heirs=heirs, standing=standing, at=at, graphs=graphs, changes=told)
        known = last_confirmed(standing, it, it.iri)
        return pages.page("resource.html", it=it, confirmed=known, standing=standing, at=at, place=found.place, graphs=graphs, changes=told)

    routes.add_route("/record/{rest:path}", record, methods=["GET", "HEAD"])
    return routes


def _source(found: Document) -> str:
    return found.name.split("/")[1]


def _gone(found: Document) -> bool:
    return any(term.value == found.it.expand("wsis:gone") for term in found.it.all("adms:status"))
