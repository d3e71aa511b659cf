"""``/record/``: what one registry publishes about one thing, with its provenance and changes."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import DATA_FORMATS, HTML
from publisher.history.changes import recent_changes
from publisher.history.versions import read_history
from publisher.http.endpoints import KeyPath, SourcePath, get, problems
from publisher.http.links import Link, origin, typed_link
from publisher.linked_data.content_response import GONE, DescriptionJson, Resource, respond
from publisher.linked_data.document_lookup import Document, find_document
from publisher.linked_data.signposting import memento_links
from publisher.linked_data.thing_lookup import licence_of
from publisher.pages.templating import Pages
from publisher.store.descriptions import describe_graph, replacements
from publisher.store.query_service import QueryService
from publisher.store.source_status import clock, last_confirmed, source_statuses


async def record_parameters(source: SourcePath, key: KeyPath) -> None:
    """Declare the parameters; they are read from the raw path, in which a key may contain an encoded slash."""


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Return the route of the records."""
    routes = APIRouter()

    @get(
        routes,
        "/record/{source}/{key:path}.json",
        operation_id="record",
        summary="Return what one registry says about one thing, with its provenance",
        tags=["read"],
        dependencies=[Depends(record_parameters)],
        response_model=DescriptionJson,
        response_description="The record",
        responses=GONE | problems(404, 503),
    )
    async def record(request: Request) -> Response:
        document = await find_document(request, service, describe_graph, 3)
        status = HTTPStatus.GONE if _is_gone(document) else HTTPStatus.OK
        subject = Resource(document.description, document.urls, status, document.description.iri, tuple(await _links(request, document)))
        return await respond(request, service, subject, document.suffix, lambda: _show(document))

    async def _links(request: Request, document: Document) -> list[Link]:
        host, licence = origin(request), await licence_of(service, _source(document))
        topics = [term.value.removeprefix(f"{service.iris.base}id/") for term in document.description.all("foaf:primaryTopic")]
        return [
            Link("cite-as", document.description.iri),
            *([Link("license", licence)] if licence else []),
            Link("collection", f"{host}/source/{_source(document)}"),
            *(typed_link("describes", f"{host}/page/{topic}", HTML.media) for topic in topics),
            *memento_links(host, document.name),
        ]

    async def _show(document: Document) -> Response:
        description = document.description
        graph_history = await read_history(service, description.iri)
        change_list, graphs = recent_changes(graph_history or (), description, service.iris), DATA_FORMATS.values()
        standing, now = (await source_statuses(service)).get(_source(document)), clock()
        if _is_gone(document):
            replacing = await replacements(service, description.iri)
            return pages.page(
                "gone.html",
                it=description,
                record=description.iri,
                heirs=replacing,
                standing=standing,
                at=now,
                graphs=graphs,
                changes=change_list,
            )
        known = last_confirmed(standing, description, description.iri)
        return pages.page(
            "resource.html",
            it=description,
            confirmed=known,
            standing=standing,
            at=now,
            place=document.urls,
            graphs=graphs,
            changes=change_list,
        )

    routes.add_route("/record/{rest:path}", record, methods=["GET", "HEAD"])
    return routes


def _source(document: Document) -> str:
    return document.name.split("/")[1]


def _is_gone(document: Document) -> bool:
    return any(term.value == document.description.expand("wsis:gone") for term in document.description.all("adms:status"))
