"""VoID: the dataset, described for machines (https://www.w3.org/TR/void/)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import GRAPHS
from publisher.http.negotiation import best
from publisher.http.problems import Refused
from publisher.pages.pages import Pages
from publisher.pages.resources import Description, Statement, spaces, write
from publisher.pages.terms import Row, Term
from publisher.queries import query
from publisher.releases.dumpfiles import listed
from publisher.shelf.shelf import Shelf
from vocab.iris import encode
from vocab.terms import DCT, FOAF, RDF, XSD

VOID = "http://rdfs.org/ns/void#"
_FORMATS = "http://www.w3.org/ns/formats/"


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of ``/.well-known/void``."""
    routes = APIRouter()

    async def void(request: Request) -> Response:
        row = best(request.headers.get("accept"), GRAPHS.values()) or GRAPHS["ttl"]
        if not shelf.generation:
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "No generation is up yet")
        told = await describe(shelf)
        return Response(write(told, row), headers={"Content-Type": row.media, "Vary": "Accept"})

    routes.add_route("/.well-known/void", void, methods=["GET", "HEAD"])
    return routes


async def describe(shelf: Shelf) -> Description:
    """Count what the shelf shows and describe it."""
    names = ("void-properties", "void-classes", "kinds")
    properties, classes, kinds = await asyncio.gather(*(shelf.rows(query(name)) for name in names))
    dataset = f"{shelf.iris.base}.well-known/void#dataset"
    told = Description(dataset, (), {}, spaces(shelf.iris))
    statements = [
        *_dataset(shelf, dataset),
        Statement(dataset, f"{VOID}triples", _number(sum(int(row["triples"].value) for row in properties))),
        Statement(dataset, f"{VOID}entities", _number(sum(int(row["things"].value) for row in kinds))),
        Statement(dataset, f"{VOID}classes", _number(len(classes))),
        Statement(dataset, f"{VOID}properties", _number(len(properties))),
        *_parts(told, "property", "triples", properties),
        *_parts(told, "class", "entities", classes),
    ]
    return Description(dataset, tuple(statements), {}, told.spaces)


def _dataset(shelf: Shelf, dataset: str) -> Iterator[Statement]:
    base = shelf.iris.base
    yield Statement(dataset, f"{RDF}type", Term(f"{VOID}Dataset"))
    yield Statement(dataset, f"{DCT}title", Term("WSIS Stocktaking", "literal", "en"))
    yield Statement(dataset, f"{FOAF}homepage", Term(base))
    yield Statement(dataset, f"{VOID}sparqlEndpoint", Term(f"{base}sparql"))
    yield Statement(dataset, f"{VOID}uriSpace", Term(base, "literal"))
    yield Statement(dataset, f"{VOID}vocabulary", Term(shelf.iris.ns))
    for name in ("Turtle", "N-Triples", "JSON-LD", "RDF_XML"):
        yield Statement(dataset, f"{VOID}feature", Term(_FORMATS + name))
    for file in (it for it in listed(shelf.data / "dumps") if ".gone." not in it.name):
        yield Statement(dataset, f"{VOID}dataDump", Term(f"{base}dumps/{file.name}"))


def _parts(told: Description, kind: str, counted: str, rows: list[Row]) -> Iterator[Statement]:
    for row in rows:
        part = f"{told.iri.partition('#')[0]}#{kind}-{encode(told.short(row[kind].value)).replace('/', '%2F')}"
        yield Statement(told.iri, f"{VOID}{kind}Partition", Term(part))
        yield Statement(part, f"{VOID}{kind}", row[kind])
        yield Statement(part, f"{VOID}{counted}", _number(int(row[counted].value)))


def _number(value: int) -> Term:
    return Term(str(value), "literal", None, f"{XSD}integer")
