"""Typed links from a page to its data, licence and authors, and back; ``/linkset/`` has all links of
a thing.

Sources: https://signposting.org/FAIR/ (level 2: the links are in the header, and all of them in a
link set), https://www.rfc-editor.org/rfc/rfc9264.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import ServiceDep
from publisher.linked_data.entities import Entity, EntityPage, find_thing, licence_of
from publisher.linked_data.jsonld import SCHEMA_TYPES
from vocab.iris import is_web
from vocab.terms import SCHEMA
from web.endpoints import Documentation, contents, get, path_segments, problems
from web.formats import DATA_FORMATS, HTML, Format
from web.links import (
    LINKSET_JSON,
    LINKSET_TEXT,
    Link,
    linkset_json,
    linkset_text,
    typed_link,
)
from web.respond import ResourceURLs, choose_format, respond

_FORMATS = {
    "json": Format("json", "JSON", LINKSET_JSON, ("application/json",)),
    "txt": Format("txt", "text", LINKSET_TEXT, ("text/plain",)),
}
_GONE: Documentation = {
    410: {
        **contents(LINKSET_JSON, LINKSET_TEXT)[200],
        "description": "The links of a thing that is deleted at its source",
    }
}

router = APIRouter()


def thing_path(entity: Entity) -> str:
    """Return the path of a thing after ``/id/``."""
    return entity.urls.stem.removeprefix("/data/")


def thing_links(page: EntityPage) -> list[Link]:
    """Return the links of a thing's page: citation, data, type, licence and authors; of its data:
    to its page. Both have those to its link set and to its past states.
    """
    urls, path = _absolute(page), thing_path(page.entity)
    address, graph = f"{page.host}/linkset/{path}", "record/" + path.partition("/")[2]
    shared = [
        typed_link("linkset", f"{address}.json", LINKSET_JSON),
        typed_link("linkset", f"{address}.txt", LINKSET_TEXT),
        *(memento_links(page.host, graph) if page.entity.graph else ()),
    ]
    if page.entity.suffix != HTML.suffix:
        return [typed_link("describes", urls.page, HTML.media), *shared]
    kind, source, _ = path.split("/")
    licences = [term.value for term in page.description.all("dct:license") if term.is_iri]
    licence = next(iter(licences), page.licence)
    authors = dict.fromkeys(
        term.value
        for name in ("dct:creator", "dct:publisher")
        for term in page.description.all(name)
        if term.is_iri
    )
    return [
        page.cite,
        Link("type", f"{SCHEMA}AboutPage"),
        Link("type", SCHEMA + SCHEMA_TYPES[kind]),
        *urls.alternates("describedby", DATA_FORMATS.values()),
        *([Link("license", licence)] if licence else []),
        *(Link("author", author) for author in authors),
        *(Link("item", item) for item in _items(page)),
        typed_link("collection", f"{page.host}/source/{source}", HTML.media),
        *shared,
    ]


def linkset(page: EntityPage) -> list[Link]:
    """Return all links of a thing's page with their anchors, then those from its data and its
    contents to the page.
    """
    urls = _absolute(page)
    back = [("describes", urls.form(data_format)) for data_format in DATA_FORMATS.values()]
    back += [("collection", item) for item in _items(page)]
    return [
        *(link._replace(anchor=urls.page) for link in thing_links(page) if link.rel != "linkset"),
        *(typed_link(rel, urls.page, HTML.media)._replace(anchor=anchor) for rel, anchor in back),
    ]


def _absolute(page: EntityPage) -> ResourceURLs:
    urls = page.entity.urls
    return ResourceURLs(page.host + urls.stem, page.host + urls.page)


def _items(page: EntityPage) -> list[str]:
    terms = page.description.all("foaf:page")
    return list(dict.fromkeys(term.value for term in terms if term.is_iri and is_web(term.value)))


def memento_links(host: str, graph: str) -> Iterable[Link]:
    """Return the links from a graph to its past states (https://www.rfc-editor.org/rfc/rfc7089,
    section 4).
    """
    return (
        Link("original", f"{host}/{graph}"),
        Link("timegate", f"{host}/timegate/{graph}"),
        typed_link("timemap", f"{host}/timemap/{graph}", "application/link-format"),
    )


@get(
    router,
    "/linkset/{rest:path}",
    operation_id="linkset",
    summary="Return all links of a thing's page, data and contents",
    tags=["read"],
    response_class=Response,
    response_description="A link set (RFC 9264)",
    responses=contents(LINKSET_JSON, LINKSET_TEXT) | _GONE | problems(404, 406, 503),
)
async def links(
    request: Request,
    service: ServiceDep,
    rest: Annotated[
        str,
        Path(
            description="Kind, registry and key of a thing, with or without the suffix `.json` or `.txt`"
        ),
    ],
) -> Response:
    """Level 2 of FAIR Signposting: the links that are too many for the headers of a page."""
    *parents, last = path_segments(request) or [""]
    stem, _, suffix = last.rpartition(".")
    if not stem or suffix not in _FORMATS:
        stem, suffix = last, ""
    entity = await find_thing(service, [*parents, stem])
    address = f"/linkset/{thing_path(entity)}"
    chosen_format = choose_format(request, _FORMATS, suffix, ResourceURLs(address))
    page = EntityPage(
        request,
        service,
        replace(entity, suffix=HTML.suffix),
        licence=(await licence_of(service, entity.path[-2])),
    )
    write = linkset_json if chosen_format.media == LINKSET_JSON else linkset_text
    return respond(
        request,
        write(linkset(page)),
        chosen_format,
        status=entity.status,
        headers=({} if suffix else {"Content-Location": f"{address}.{chosen_format.suffix}"}),
    )
