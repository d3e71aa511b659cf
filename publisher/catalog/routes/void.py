"""VoID: the dataset, described for machines (https://www.w3.org/TR/void/), with the numbers of the newest release."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.errors import LimitError
from publisher.formats import GRAPHS
from publisher.http.negotiation import best_match
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, build_response
from publisher.pages.templating import Pages
from publisher.rdf.results import Term
from publisher.releases.dump_index import list_dumps
from publisher.releases.void import TARGETS, VOID, VoidCounts, parse_statements, void_statements
from publisher.store.descriptions import Description, Statement, namespaces, serialize_description
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from publisher.store.releases.manifest import Release
from publisher.store.releases.manifest import list_releases as releases
from vocab.terms import DCT, FOAF

NAME = "void.ttl"  # of the release's file
_FORMATS = "http://www.w3.org/ns/formats/"


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Give the route of ``/.well-known/void``."""
    routes = APIRouter()

    async def void(request: Request) -> Response:
        row = best_match(request.headers.get("accept"), GRAPHS.values()) or GRAPHS["ttl"]
        if not service.snapshot:
            raise HTTPProblem(HTTPStatus.SERVICE_UNAVAILABLE, "No snapshot is up yet")
        told = await describe(service)
        return build_response(request, Representation(serialize_description(told, row), row.media, negotiated=True))

    routes.add_route("/.well-known/void", void, methods=["GET", "HEAD"])
    return routes


async def describe(service: QueryService) -> Description:
    """Describe the dataset: by the numbers of the newest release that has them, before it by those of what is shown."""
    dataset, of = f"{service.iris.base}.well-known/void#dataset", await asyncio.to_thread(_newest, service)
    told = list(_dataset(service, dataset, of))
    if of:
        told += parse_statements((service.data / "releases" / str(of.number) / NAME).read_bytes())
    else:
        told += void_statements(await _counted(service), service.iris, namespaces(service.iris))
    return Description(dataset, tuple(sorted(dict.fromkeys(told), key=lambda it: it.subject != dataset)), {}, namespaces(service.iris))


def _newest(service: QueryService) -> Release | None:
    return next((it for it in releases(service.data / "releases") if not it.withdrawn and it.file(NAME)), None)


async def _counted(service: QueryService) -> VoidCounts:
    """Count what is shown; links are left out where counting them takes longer than a query may."""
    properties, classes, kinds = await asyncio.gather(*(service.rows(query(it)) for it in ("void-properties", "void-classes", "kinds")))
    told = VoidCounts(
        triples=sum(int(row["triples"].value) for row in properties),
        entities=sum(int(row["things"].value) for row in kinds),
        properties=Counter({row["property"].value: int(row["triples"].value) for row in properties}),
        classes=Counter({row["class"].value: int(row["entities"].value) for row in classes}),
    )
    try:
        links = await service.rows(query("void-links").replace("SPACES", " ".join(f'"{space}"' for space in TARGETS)))
    except LimitError:
        return told
    told.links = Counter({(row["property"].value, row["space"].value): int(row["triples"].value) for row in links})
    return _each_once(told)


def _each_once(told: VoidCounts) -> VoidCounts:
    """Count a link where its address fits best: areas have addresses among those of the goals."""
    for (name, space), count in list(told.links.items()):
        for wider in TARGETS:
            if wider != space and space.startswith(wider):
                told.links[name, wider] -= count
    told.links = +told.links
    return told


def _dataset(service: QueryService, dataset: str, of: Release | None) -> Iterator[Statement]:
    base = service.iris.base
    yield Statement(dataset, f"{DCT}title", Term("WSIS Stocktaking", "literal", "en"))
    yield Statement(dataset, f"{FOAF}homepage", Term(base))
    yield Statement(dataset, f"{VOID}sparqlEndpoint", Term(f"{base}sparql"))
    yield Statement(dataset, f"{VOID}uriSpace", Term(base, "literal"))
    yield Statement(dataset, f"{VOID}vocabulary", Term(service.iris.ns))
    for name in ("Turtle", "N-Triples", "JSON-LD", "RDF_XML"):
        yield Statement(dataset, f"{VOID}feature", Term(_FORMATS + name))
    if of:
        yield Statement(dataset, f"{DCT}hasVersion", Term(of.iri))
        for kept in of.files:
            if kept.name.startswith("stocktake-"):
                yield Statement(dataset, f"{VOID}dataDump", Term(f"{base}releases/{of.number}/{kept.name}"))
    for file in (it for it in list_dumps(service.data / "dumps") if ".gone." not in it.name):
        yield Statement(dataset, f"{VOID}dataDump", Term(f"{base}dumps/{file.name}"))
