"""Examples: queries to begin with, as a page and as RDF, all together and each at its own address."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from pyoxigraph import serialize
from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import GRAPHS
from publisher.http.negotiation import best_match, wants_html
from publisher.http.problems import HTTPProblem
from publisher.pages.templating import Pages
from publisher.sparql.examples.durations import read_durations
from publisher.sparql.examples.example import Example, example, examples, triples
from publisher.store.query_service import QueryService
from vocab.terms import RDFS, SCHEMA, SH

_PREFIXES = {"rdfs": RDFS, "schema": SCHEMA, "sh": SH}


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Give the routes of ``/examples``."""
    routes = APIRouter()

    async def all_of_them(request: Request) -> Response:
        return _answer(request, examples(service.iris), None)

    async def one(request: Request) -> Response:
        found = example(service.iris, request.path_params["name"])
        if found is None:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "There is no such example; /examples lists them")
        return _answer(request, (found,), found.name)

    def _answer(request: Request, them: tuple[Example, ...], name: str | None) -> Response:
        suffix, accept = request.query_params.get("format"), request.headers.get("accept")
        if suffix is None and wants_html(accept, GRAPHS.values()):
            return pages.page("examples.html", examples=them, only=name, times=read_durations(service.data), graphs=GRAPHS.values())
        row = GRAPHS.get(suffix) if suffix else best_match(accept, GRAPHS.values())
        if row is None:
            raise HTTPProblem(HTTPStatus.NOT_ACCEPTABLE, "Examples are given as " + ", ".join(row.media for row in GRAPHS.values()))
        told = serialize(triples(service.iris, name), format=row.writer, prefixes=_PREFIXES) or b""
        return Response(told, headers={"Content-Type": row.media, "Vary": "Accept"})

    routes.add_route("/examples", all_of_them, methods=["GET", "HEAD"])
    routes.add_route("/examples/{name}", one, methods=["GET", "HEAD"])
    return routes
