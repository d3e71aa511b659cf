"""``/record/``: the data that one registry publishes about one thing, with provenance and changes."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import PagesDep, ServiceDep
from publisher.history.versions import GraphChangeView, read_history, recent_changes
from publisher.linked_data.content_response import GONE, DescriptionJson, Resource, respond
from publisher.linked_data.document_lookup import Document, find_document
from publisher.linked_data.signposting import memento_links
from publisher.linked_data.thing_lookup import licence_of
from publisher.pages import Pages
from publisher.store.descriptions import Description, describe_graph, replacements
from publisher.store.query_service import QueryService
from publisher.store.source_status import last_confirmed, source_statuses
from web.endpoints import KeyPath, SourcePath, get, problems
from web.formats import DATA_FORMATS, HTML
from web.links import Link, origin, typed_link


async def record_parameters(source: SourcePath, key: KeyPath) -> None:
    """Declare the parameters; they are read from the raw path, in which a key may contain an
    encoded slash.
    """


router = APIRouter()


@get(router, "/record/{rest:path}", include_in_schema=False)
@get(
    router,
    "/record/{source}/{key:path}.json",
    operation_id="record",
    summary="Return what one registry says about one thing, with its provenance",
    tags=["read"],
    dependencies=[Depends(record_parameters)],
    response_model=DescriptionJson,
    response_description="The record",
    responses=GONE | problems(404, 503),
)
async def record(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """A deleted record returns 410 and its tombstone."""
    document = await find_document(request, service, describe_graph, 3)
    status = HTTPStatus.GONE if _is_gone(document) else HTTPStatus.OK
    links = tuple(await _links(request, service, document))
    subject = Resource(document.description, document.urls, status, document.description.iri, links)
    show = _show_tombstone if _is_gone(document) else _show
    return await respond(
        request, service, subject, document.suffix, lambda: show(service, pages, document)
    )


async def _links(request: Request, service: QueryService, document: Document) -> list[Link]:
    host, licence = origin(request), await licence_of(service, _source(document))
    topics = [
        term.value.removeprefix(f"{service.iris.base}id/")
        for term in document.description.all("foaf:primaryTopic")
    ]
    return [
        Link("cite-as", document.description.iri),
        *([Link("license", licence)] if licence else []),
        Link("collection", f"{host}/source/{_source(document)}"),
        *(typed_link("describes", f"{host}/page/{topic}", HTML.media) for topic in topics),
        *memento_links(host, document.name),
    ]


async def _show(service: QueryService, pages: Pages, document: Document) -> Response:
    """Render the page of a record."""
    description = document.description
    source_status = (await source_statuses(service)).get(_source(document))
    return pages.page(
        "resource.html",
        description=description,
        confirmed=last_confirmed(source_status, description, description.iri),
        source_status=source_status,
        now=service.now(),
        urls=document.urls,
        graphs=DATA_FORMATS.values(),
        changes=await _changes(service, description),
    )


async def _show_tombstone(service: QueryService, pages: Pages, document: Document) -> Response:
    """Render the page of a deleted record, with the records that replace it."""
    description = document.description
    source_status = (await source_statuses(service)).get(_source(document))
    return pages.page(
        "gone.html",
        description=description,
        record=description.iri,
        replacements=await replacements(service, description.iri),
        source_status=source_status,
        now=service.now(),
        graphs=DATA_FORMATS.values(),
        changes=await _changes(service, description),
    )


async def _changes(service: QueryService, description: Description) -> list[GraphChangeView]:
    return recent_changes(await read_history(service, description.iri), description, service.iris)


def _source(document: Document) -> str:
    return document.name.split("/")[1]


def _is_gone(document: Document) -> bool:
    return any(
        term.value == document.description.expand("ops:gone")
        for term in document.description.all("adms:status")
    )
