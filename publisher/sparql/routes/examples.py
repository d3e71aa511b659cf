"""``/examples``: the example queries as a page and as RDF, all together or one at a time."""

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
    """Return the routes of ``/examples``."""
    routes = APIRouter()

    async def all_of_them(request: Request) -> Response:
        return _answer(request, examples(service.iris), None)

    async def one(request: Request) -> Response:
        chosen = example(service.iris, request.path_params["name"])
        if chosen is None:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, "Example not found; see /examples")
        return _answer(request, (chosen,), chosen.name)

    def _answer(request: Request, listed: tuple[Example, ...], name: str | None) -> Response:
        suffix, accept = request.query_params.get("format"), request.headers.get("accept")
        if suffix is None and wants_html(accept, GRAPHS.values()):
            return pages.page("examples.html", examples=listed, only=name, times=read_durations(service.data), graphs=GRAPHS.values())
        graph_format = GRAPHS.get(suffix) if suffix else best_match(accept, GRAPHS.values())
        if graph_format is None:
            raise HTTPProblem(
                HTTPStatus.NOT_ACCEPTABLE,
                "No available format matches your Accept header. Available: "
                + ", ".join(graph_format.media for graph_format in GRAPHS.values()),
            )
        body = serialize(triples(service.iris, name), format=graph_format.writer, prefixes=_PREFIXES) or b""
        return Response(body, headers={"Content-Type": graph_format.media, "Vary": "Accept"})

    routes.add_route("/examples", all_of_them, methods=["GET", "HEAD"])
    routes.add_route("/examples/{name}", one, methods=["GET", "HEAD"])
    return routes
