"""``/rdf-graph-store``: the SPARQL 1.1 Graph Store HTTP Protocol, read-only (https://www.w3.org/TR/sparql11-http-rdf-update/#http-get)."""

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
    """Return the route of ``/rdf-graph-store``."""
    routes = APIRouter()

    async def graph_store(request: Request) -> Response:
        named, form = _read_parameters(request)
        if named and not await service.rows(_HELD, {"graph": iri(named)}):
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"Graph {named} not found")
        default, others = ((named,), ()) if named else (None, None)
        return await answer_query(
            request, service, QueryRequest(_ALL, None, form, service.iris.base, default, others, rows=service.limits.rows)
        )

    routes.add_route("/rdf-graph-store", graph_store, methods=["GET", "HEAD"])
    return routes


def _read_parameters(request: Request) -> tuple[str | None, str]:
    """Return the requested graph, None for the default graph, and the format's suffix."""
    params = parse_form(request.scope["query_string"])
    single_value(params, "graph")
    named = graph_parameters(params, "graph")
    if ("default" in params) is (named is not None):
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, "Specify one graph: ?default or ?graph=IRI")
    suffix = single_value(params, "format")
    if suffix and suffix not in GRAPHS:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"Unknown format {suffix!r}; available: {', '.join(GRAPHS)}")
    graph_format = GRAPHS[suffix] if suffix else best_match(request.headers.get("accept"), GRAPHS.values())
    if graph_format is None:
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE,
            "No available format matches your Accept header. Available: "
            + ", ".join(graph_format.media for graph_format in GRAPHS.values()),
        )
    return named[0] if named else None, graph_format.suffix
