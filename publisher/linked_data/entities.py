"""Resources by their addresses, with or without the suffix of a format: found, and sent as a page or
as data.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText
from publisher.dependencies import require
from publisher.history.versions import read_history
from publisher.linked_data.jsonld import plain_json
from publisher.linked_data.lists import ListPage
from publisher.rdf.results import iri
from publisher.store.descriptions import (
    Description,
    Statement,
    describe_graph,
    describe_thing,
    namespaces,
    serialize_description,
)
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from vocab.terms import ADMS
from web.endpoints import Documentation, contents, parse_thing_path, path_segments, split_suffix
from web.formats import FORMATS, GRAPHS, HTML, JSON, Format
from web.links import Link, origin
from web.problems import HTTPProblem
from web.respond import ResourceURLs, choose_format, respond

DESCRIPTION = "DescriptionJson"  # the schema of entities in OpenAPI
GONE: Documentation = {
    410: {
        **contents(json=DESCRIPTION)[200],
        "description": "Deleted at its source: what it was, since when and why",
    }
}
Describe = Callable[[QueryService, str], Awaitable[Description]]
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
        """Return the segments of its path, such as ``record``, source and key."""
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
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    return path.strip("/").partition("/")[0]


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
    only_state: bool = False,
) -> Entity:
    """Return the initiative, event, document, post or organization of a path after ``/id/``; raises
    HTTPProblem (404) if there is none. If the path fits two, *suffix_first* selects the one whose
    key has no suffix. With *only_state* little more is read than whether it exists or is deleted.
    """
    parse_thing_path(parts)
    names = candidates(f"id/{'/'.join(parts)}")
    describe = _describe_state if only_state else _describe_thing
    name, suffix, description = await _first(
        service, describe, names[::-1] if suffix_first else names
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


async def _describe_state(service: QueryService, thing: str) -> Description:
    """Describe a thing by the status of its record; an organization, which has none, by its own
    statements.
    """
    if record := record_of(thing, service.iris):
        states = await service.rows(query("state"), {"record": iri(record)})
        known = [row["status"] for row in states if str(row.get("thing", thing)) == thing]
        statements = [Statement(record, f"{ADMS}status", status) for status in known]
    else:
        rows = await service.rows(query("about"), {"subject": iri(thing)})
        statements = [Statement(thing, row["predicate"].value, row["object"]) for row in rows]
    return Description(thing, tuple(statements), {}, namespaces(service.iris))


def is_gone(description: Description, record: str) -> bool:
    gone = description.expand("ops:gone")
    return any(term.value == gone for term in description.all("adms:status", record))


async def licence_of(service: QueryService, source: str) -> str | None:
    """Return the licence of a registry as an IRI, None if it states none."""
    about = service.iris.source(source)
    rows = await service.rows(query("sources"))
    named = (row["licence"] for row in rows if row["source"].value == about and "licence" in row)
    return next((term.value for term in named if term.is_iri), None)


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
        links = [*links, *entity.urls.alternates(rows=other_formats(data_format))]
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


def other_formats(data_format: Format, rows: Iterable[Format] = FORMATS.values()) -> list[Format]:
    return [candidate for candidate in rows if candidate is not data_format]


async def _last_modified(service: QueryService, graph: str) -> int | None:
    """Return when *graph* last changed; for "", when anything in the snapshot did. None if unknown."""
    if not graph:
        modified = service.current.modified
        return modified if 0 < modified < int(time.time()) else None
    changes = await read_history(service, graph)
    return changes[-1].time if changes else None
