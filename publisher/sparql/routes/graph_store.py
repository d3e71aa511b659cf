"""Graphs: the SPARQL 1.1 Graph Store HTTP Protocol, for reading (https://www.w3.org/TR/sparql11-http-rdf-update/#http-get)."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import GRAPHS
from publisher.http.negotiation import best_match
from publisher.http.problems import HTTPProblem
from publisher.pages.templating import Pages
from publisher.rdf.results import iri
from publisher.sparql.protocol import graph_parameters, parse_form, single_value
from publisher.sparql.responses import answer_query
from publisher.store.query_service import QueryService
from publisher.store.workers.query_request import QueryRequest

_ALL = "CONSTRUCT { ?s ?p ?o } { ?s ?p ?o }"
_HELD = "SELECT ?graph { GRAPH ?graph { ?s ?p ?o } } LIMIT 1"


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Give the route of ``/rdf-graph-store``."""
    routes = APIRouter()

    async def graph_store(request: Request) -> Response:
        named, form = _asked(request)
        if named and not await service.rows(_HELD, {"graph": iri(named)}):
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"There is no graph {named}")
        default, others = ((named,), ()) if named else (None, None)
        return await answer_query(
            request, service, QueryRequest(_ALL, None, form, service.iris.base, default, others, rows=service.limits.rows)
        )

    routes.add_route("/rdf-graph-store", graph_store, methods=["GET", "HEAD"])
    return routes


def _asked(request: Request) -> tuple[str | None, str]:
    """Give the graph that is asked for, None for the default one, and the suffix of its format."""
    given = parse_form(request.scope["query_string"])
    single_value(given, "graph")
    named = graph_parameters(given, "graph")
    if ("default" in given) is (named is not None):
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, "Ask for one graph: ?default or ?graph=IRI")
    suffix = single_value(given, "format")
    if suffix and suffix not in GRAPHS:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"No format {suffix!r}; there are {', '.join(GRAPHS)}")
    row = GRAPHS[suffix] if suffix else best_match(request.headers.get("accept"), GRAPHS.values())
    if row is None:
        raise HTTPProblem(HTTPStatus.NOT_ACCEPTABLE, "Graphs are given as " + ", ".join(row.media for row in GRAPHS.values()))
    return named[0] if named else None, row.suffix
