"""Typed links from a page to its data, licence and authors, and back; ``/linkset/`` has all links of
a thing.

Sources: https://signposting.org/FAIR/ (level 2: the links are in the header, and all of them in a
link set), https://www.rfc-editor.org/rfc/rfc9264.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import ServiceDep
from publisher.linked_data.entities import Entity, find_thing, licence_of
from publisher.store.query_service import QueryService
from vocab.iris import is_web
from vocab.terms import SCHEMA
from web.endpoints import Documentation, contents, get, problems
from web.formats import DATA_FORMATS, HTML, Format
from web.links import (
    LINKSET_JSON,
    LINKSET_TEXT,
    Link,
    linkset_json,
    linkset_text,
    origin,
    typed_link,
)
from web.paths import path_segments
from web.respond import ResourceURLs, choose_format, respond

# The schema.org type of each kind.
SCHEMA_TYPES = {
    "initiative": "Project",
    "event": "Event",
    "document": "DigitalDocument",
    "post": "SocialMediaPosting",
    "organization": "Organization",
}
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
ThingPath = Annotated[
    str,
    Path(
        description="Kind, registry and key of a thing, with or without the suffix `.json` or `.txt`"
    ),
]

router = APIRouter()


@dataclass(frozen=True, slots=True)
class SignpostedThing:
    """A thing with the licence of its registry; *host* is our URL."""

    entity: Entity
    host: str
    licence: str | None

    @property
    def path(self) -> str:
        """Return its path after ``/id/``."""
        return self.entity.urls.stem.removeprefix("/data/")

    @property
    def kind(self) -> str:
        return self.path.partition("/")[0]

    @property
    def urls(self) -> ResourceURLs:
        """Return the URLs of its representations, with the host."""
        return ResourceURLs(self.host + self.entity.urls.stem, self.host + self.entity.urls.page)

    @property
    def pages(self) -> list[str]:
        """Return its pages on the web."""
        terms = self.entity.description.all("foaf:page")
        return list(
            dict.fromkeys(term.value for term in terms if term.is_iri and is_web(term.value))
        )

    @property
    def shared_links(self) -> list[Link]:
        """Return the links of page and data alike: to the link set, and to past states."""
        address = f"{self.host}/linkset/{self.path}"
        graph = "record/" + self.path.partition("/")[2] if self.entity.graph else ""
        return [
            typed_link("linkset", f"{address}.json", LINKSET_JSON),
            typed_link("linkset", f"{address}.txt", LINKSET_TEXT),
            *(memento_links(self.host, graph) if graph else ()),
        ]

    @property
    def page_links(self) -> list[Link]:
        """Return the links of its page: citation, data, type, licence and authors."""
        licences = [
            term.value for term in self.entity.description.all("dct:license") if term.is_iri
        ]
        licence = next(iter(licences), self.licence)
        authors = dict.fromkeys(
            term.value
            for name in ("dct:creator", "dct:publisher")
            for term in self.entity.description.all(name)
            if term.is_iri
        )
        return [
            Link("cite-as", self.entity.description.iri),
            Link("type", f"{SCHEMA}AboutPage"),
            Link("type", SCHEMA + SCHEMA_TYPES[self.kind]),
            *self.urls.alternates("describedby", DATA_FORMATS.values()),
            *([Link("license", licence)] if licence else []),
            *(Link("author", author) for author in authors),
            *(Link("item", page) for page in self.pages),
            typed_link("collection", f"{self.host}/source/{self.path.split('/')[1]}", HTML.media),
            *self.shared_links,
        ]

    @property
    def data_links(self) -> list[Link]:
        """Return the links of its data: to its page and its link set."""
        return [typed_link("describes", self.urls.page, HTML.media), *self.shared_links]


async def signpost(request: Request, service: QueryService, entity: Entity) -> SignpostedThing:
    """Return a thing with what its links are made of."""
    licence = await licence_of(service, entity.urls.stem.split("/")[3])
    return SignpostedThing(entity, origin(request), licence)


def linkset(thing: SignpostedThing) -> list[Link]:
    """Return all links of a thing with their anchors: from its page, then from its data and its
    contents.
    """
    urls = thing.urls
    back = [("describes", urls.form(data_format)) for data_format in DATA_FORMATS.values()]
    back += [("collection", page) for page in thing.pages]
    return [
        *(link._replace(anchor=urls.page) for link in thing.page_links if link.rel != "linkset"),
        *(typed_link(rel, urls.page, HTML.media)._replace(anchor=anchor) for rel, anchor in back),
    ]


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
async def links(request: Request, service: ServiceDep, rest: ThingPath) -> Response:
    """Level 2 of FAIR Signposting: the links that are too many for the headers of a page."""
    *parents, last = path_segments(request) or [""]
    stem, _, suffix = last.rpartition(".")
    if not stem or suffix not in _FORMATS:
        stem, suffix = last, ""
    entity = await find_thing(service, [*parents, stem])
    thing = await signpost(request, service, entity)
    address = f"/linkset/{thing.path}"
    chosen_format = choose_format(request, _FORMATS, suffix, ResourceURLs(address))
    write = linkset_json if chosen_format.media == LINKSET_JSON else linkset_text
    headers = {} if suffix else {"Content-Location": f"{address}.{chosen_format.suffix}"}
    return respond(
        request, write(linkset(thing)), chosen_format, status=entity.status, headers=headers
    )
