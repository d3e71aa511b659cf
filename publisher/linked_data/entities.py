"""Find resources by their addresses, with or without the suffix of a format, and send them as a page
or as data, with typed links from a page to its data, licence and authors, and back; ``/linkset/`` has
all links of a thing. For search engines pages have a JSON-LD block in schema.org's terms: data, not a
script, so that a policy without scripts allows it.

Sources: https://signposting.org/FAIR/ (level 2: the links are in the header, and all of them in a
link set), https://www.rfc-editor.org/rfc/rfc9264, https://schema.org/docs/full.html and
https://www.w3.org/TR/json-ld11/#embedding-json-ld-in-html-documents.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText
from publisher.data.properties import PropertyRow, PropertyTable, published_properties
from publisher.linked_data.jsonld import Node, plain_json
from publisher.linked_data.lists import ListPage
from publisher.pages import ServiceDep
from publisher.rdf import Term
from publisher.store.descriptions import (
    Description,
    describe_graph,
    describe_thing,
    read_history,
    registry_rows,
    serialize_description,
)
from publisher.store.query_service import QueryService
from vocab.iris import Iris, is_web
from vocab.schemes import provisional_mark
from vocab.terms import SCHEMA
from web.endpoints import Documentation, contents, get, problems
from web.respond import (
    DATA_FORMATS,
    FORMATS,
    GRAPHS,
    HTML,
    JSON,
    LINKSET_JSON,
    LINKSET_TEXT,
    Format,
    HTTPProblem,
    Link,
    ResourceURLs,
    choose_format,
    linkset_json,
    linkset_text,
    origin,
    parse_thing_path,
    path_segments,
    require,
    respond,
    split_suffix,
    typed_link,
)

DESCRIPTION = "DescriptionJson"  # the schema of entities in OpenAPI
GONE: Documentation = {
    410: {
        **contents(json=DESCRIPTION)[200],
        "description": "Deleted at its source: what it was, since when and why",
    }
}
# The schema.org type of each kind.
SCHEMA_TYPES = {
    "initiative": "Project",
    "event": "Event",
    "document": "DigitalDocument",
    "post": "SocialMediaPosting",
    "organization": "Organization",
}
_ESCAPES = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}
# In schema.org a project is an organization.
_TYPES = SCHEMA_TYPES | {"document": "Article"}
Describe = Callable[[QueryService, str], Awaitable[Description]]
Values = dict[str, object]  # the values of a template
RenderPage = Callable[[], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Entity:
    """A resource, the URLs of its representations, and the requested suffix of a format.

    *graph* is the graph that has all of its data (of a thing that of its record), "" if there are
    several, None if it never changes. *plain* is its JSON if that does not follow our context.
    """

    description: Description
    urls: ResourceURLs
    suffix: str | None = None
    graph: str | None = ""
    status: HTTPStatus = HTTPStatus.OK
    plain: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> list[str]:
        return self.urls.stem.split("/")[1:]


@dataclass(frozen=True, slots=True)
class EntityPage:
    """A requested entity: *listed* is the page of its list, *licence* that of its registry, where
    its kind has them.
    """

    request: Request
    service: QueryService
    entity: Entity
    listed: ListPage | None = None
    licence: str | None = None

    @property
    def description(self) -> Description:
        return self.entity.description

    @property
    def host(self) -> str:
        return origin(self.request)

    @property
    def cite(self) -> Link:
        return Link("cite-as", self.description.iri)


def candidates(name: str) -> list[tuple[str, str | None]]:
    """Return *name* itself, since a key may end like a suffix, then without its suffix."""
    stem, suffix = split_suffix(name)
    return [(name, None), (stem, suffix)] if suffix else [(name, None)]


def first_segment(request: Request) -> str:
    return request.url.path.strip("/").partition("/")[0]


async def find_entity(
    request: Request, service: QueryService, describe: Describe, depth: int
) -> Entity:
    """Return the resource at a path of *depth* segments; raises HTTPProblem (404) if there is none."""
    parts = [first_segment(request), *path_segments(request)]
    require(len(parts) == depth and all(parts), TranslatableText("Not found"))
    name, suffix, description = await _first(service, describe, candidates("/".join(parts)))
    return Entity(
        description,
        ResourceURLs(f"/{name}"),
        suffix,
        description.iri,
        HTTPStatus.GONE if is_gone(description, description.iri) else HTTPStatus.OK,
    )


async def find_thing(
    service: QueryService,
    parts: list[str],
    *,
    suffix_first: bool = False,
) -> Entity:
    """Return the initiative, event, document, post or organization of a path after ``/id/``; raises
    HTTPProblem (404) if there is none. If the path fits two, *suffix_first* selects the one whose
    key has no suffix.
    """
    parse_thing_path(parts)
    names = candidates(f"id/{'/'.join(parts)}")
    name, suffix, description = await _first(
        service, _describe_thing, names[::-1] if suffix_first else names
    )
    path = name.removeprefix("id/")
    record = record_of(description.iri, service.iris)
    return Entity(
        description,
        ResourceURLs(f"/data/{path}", f"/page/{path}"),
        suffix,
        record,
        HTTPStatus.GONE if is_gone(description, record) else HTTPStatus.OK,
    )


async def _first(
    service: QueryService, describe: Describe, names: list[tuple[str, str | None]]
) -> tuple[str, str | None, Description]:
    """Return the first of *names* that something is known of, its suffix and its description."""
    for name, suffix in names:
        description = await describe(service, service.iris.base + name)
        if description.statements:
            return name, suffix, description
    longest = max(names, key=lambda pair: len(pair[0]))[0]
    raise HTTPProblem(
        HTTPStatus.NOT_FOUND,
        TranslatableText("This record doesn't exist: {iri}", iri=service.iris.base + longest),
    )


def record_of(thing: str, iris: Iris) -> str:
    """Return the IRI of a thing's record, "" for an organization, which has none of its own."""
    kind, _, name = thing.removeprefix(f"{iris.base}id/").partition("/")
    return "" if kind == "organization" else f"{iris.base}record/{name}"


async def _describe_thing(service: QueryService, thing: str) -> Description:
    record = record_of(thing, service.iris)
    if not record:
        return await describe_thing(service, thing)
    description = await describe_graph(service, record, thing)
    topics = [term.value for term in description.all("foaf:primaryTopic", record)]
    return description if thing in topics or not topics else replace(description, statements=())


def is_gone(description: Description, record: str) -> bool:
    gone = description.expand("ops:gone")
    return any(term.value == gone for term in description.all("adms:status", record))


async def cluster_of(service: QueryService, thing: str) -> dict[str, Any] | None:
    """Return the *cluster* of a thing, and its *others*: members by IRI with their names; None if it
    is in none.
    """
    clusters = await asyncio.to_thread(service.tables.cluster, thing)
    if not clusters:
        return None
    others = {member: member for member in clusters if member != thing}
    names = await asyncio.to_thread(service.tables.organization_names, tuple(others))
    return {"cluster": clusters[thing], "others": others | names}


def code_order(value: str) -> list[tuple[int, int, str]]:
    """Return a key by which codes are sorted: numbers in them by their value.

    >>> sorted(["sdg/10", "sdg/9", "sdg/9.b", "sdg/9.2"], key=code_order)
    ['sdg/9', 'sdg/9.2', 'sdg/9.b', 'sdg/10']
    """
    parts = re.findall(r"[0-9]{1,9}|[^0-9]+", value)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


async def licence_of(service: QueryService, source: str) -> str | None:
    """Return the licence of a registry as an IRI, None if it states none."""
    licence = (await registry_rows(service)).get(source, {}).get("licence")
    return licence.value if licence and licence.is_iri else None


async def respond_entity(
    request: Request,
    service: QueryService,
    entity: Entity,
    links: Iterable[Link],
    render_page: RenderPage,
) -> Response:
    """Return *entity* in the negotiated format, with its links and validators."""
    data_format = choose_format(request, FORMATS, entity.suffix, entity.urls)
    content: Response | bytes
    if data_format is HTML:
        content = await render_page()
    elif data_format is JSON and entity.plain is not None:
        content = entity.plain
    else:
        content = serialize(entity.description, data_format, service)
    headers = dict(entity.headers)
    if request.state.is_negotiated:
        headers["Content-Location"] = entity.urls.form(data_format)
    modified = None
    if entity.graph is not None:
        modified = await _last_modified(service, "" if data_format is HTML else entity.graph)
        links = [*links, *entity.urls.alternates(formats=other_formats(data_format))]
    return respond(
        request,
        content,
        data_format,
        status=entity.status,
        modified=modified,
        links=links,
        headers=headers,
    )


def serialize(description: Description, data_format: Format, service: QueryService) -> bytes:
    return (
        plain_json(description, service.iris)
        if data_format is JSON
        else serialize_description(description, GRAPHS[data_format.suffix])
    )


def other_formats(
    data_format: Format, formats: Iterable[Format] = FORMATS.values()
) -> list[Format]:
    return [candidate for candidate in formats if candidate is not data_format]


async def _last_modified(service: QueryService, graph: str) -> int | None:
    """Return when *graph* last changed; for "", when anything in the snapshot did. None if unknown."""
    if not graph:
        modified = service.current.modified
        return modified if 0 < modified < int(time.time()) else None
    changes = await read_history(service, graph)
    return changes[-1].time if changes else None


router = APIRouter()
_LINKSET_FORMATS = {
    "json": Format("json", "JSON", LINKSET_JSON, ("application/json",)),
    "txt": Format("txt", "text", LINKSET_TEXT, ("text/plain",)),
}
_LINKS_GONE: Documentation = {
    410: {
        **contents(LINKSET_JSON, LINKSET_TEXT)[200],
        "description": "The links of a thing that is deleted at its source",
    }
}


def thing_path(entity: Entity) -> str:
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


def jsonld_block(markup: Node) -> Markup:
    """Return the text of the block, escaped so that no registry text can end it."""
    return Markup(json.dumps({"@context": "https://schema.org/", **markup}).translate(_ESCAPES))


def thing_markup(
    description: Description,
    kind: str,
    licence: str | None,
    properties: PropertyTable | None = None,
) -> Node:
    """Describe an initiative, event, document, post or organization; *licence* is that of its
    registry.
    """
    values = defaultdict[str, list[object]](list)
    for item in properties or published_properties():
        if name := item.schema_org_name(kind):
            values[name] += _values(description, item)
    if licence and values.get("license") == []:
        values["license"] = [licence]
    return _compact({"@type": _TYPES[kind], "@id": description.iri, **values})


def source_markup(description: Description, records: int | None, host: str) -> Node:
    title = description.one("dct:title")
    about = f"Records of {title.value if title else description.iri}, harvested and published as linked data by WSIS action line and goal."
    return _compact(
        {
            "@type": "Dataset",
            "@id": description.iri,
            "name": _texts(description.all("dct:title")),
            "description": _texts(description.all("dct:description")) or about,
            "license": _links(description.all("dct:license")),
            "creator": [
                {"@type": "Organization", "name": term.value}
                for term in description.all("dct:publisher")
            ],
            "url": description.iri,
            "size": f"{records} records" if records else None,
            "isAccessibleForFree": True,
            "includedInDataCatalog": {
                "@type": "DataCatalog",
                "name": "WSIS Stocktaking",
                "url": f"{host}/",
            },
        }
    )


def concept_markup(description: Description, base: str) -> Node:
    """Describe a concept as a defined term. It has no names that are provisional translations of
    ours, since schema.org cannot mark them.
    """
    names = [
        name
        for name in description.all("skos:prefLabel")
        if not provisional_mark(description.iri, name.language, base)
    ]
    return _compact(
        {
            "@type": "DefinedTerm",
            "@id": description.iri,
            "name": _texts(names),
            "termCode": [term.value for term in description.all("skos:notation")],
            "description": _texts(description.all("skos:definition")),
            "inDefinedTermSet": [term.value for term in description.all("skos:inScheme")],
            "sameAs": _links(description.all("skos:exactMatch")),
        }
    )


def scheme_markup(description: Description) -> Node:
    return _compact(
        {
            "@type": "DefinedTermSet",
            "@id": description.iri,
            "name": _texts(description.all("dct:title")),
            "description": _texts(description.all("dct:description")),
            "url": description.iri,
        }
    )


def _values(description: Description, item: PropertyRow) -> list[object]:
    terms = description.all(item.iri)
    if item.schema_org_type:
        return [_named(description, item, term) for term in terms]
    return _links(terms) if item.type == "link" else _texts(terms)


def _named(description: Description, item: PropertyRow, term: Term) -> Node:
    name = description.one("skos:prefLabel", term.value)
    markup: Node = {
        "@type": item.schema_org_type,
        "name": name.value if name else description.name(term),
    }
    return markup | ({"@id": term.value} if term.is_iri and item.nested else {})


def _texts(terms: list[Term]) -> list[object]:
    return [
        {"@value": term.value, "@language": term.language} if term.language else term.value
        for term in terms
    ]


def _links(terms: list[Term]) -> list[object]:
    return [term.value for term in terms if term.is_iri and is_web(term.value)]


def _compact(markup: Node) -> Node:
    """Omit empty values and unwrap lists of one value."""
    return {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in markup.items()
        if value
    }


@get(
    router,
    "/linkset/{rest:path}",
    operation_id="linkset",
    summary="Return all links of a thing's page, data and contents",
    tags=["read"],
    response_class=Response,
    response_description="A link set (RFC 9264)",
    responses=contents(LINKSET_JSON, LINKSET_TEXT) | _LINKS_GONE | problems(404, 406, 503),
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
    if not stem or suffix not in _LINKSET_FORMATS:
        stem, suffix = last, ""
    entity = await find_thing(service, [*parents, stem])
    address = f"/linkset/{thing_path(entity)}"
    chosen_format = choose_format(request, _LINKSET_FORMATS, suffix, ResourceURLs(address))
    page = EntityPage(
        request,
        service,
        replace(entity, suffix=HTML.suffix),
        licence=await licence_of(service, entity.path[-2]),
    )
    write = linkset_json if chosen_format.media == LINKSET_JSON else linkset_text
    return respond(
        request,
        write(linkset(page)),
        chosen_format,
        status=entity.status,
        headers={} if suffix else {"Content-Location": f"{address}.{chosen_format.suffix}"},
    )
