"""``/rdf-graph-store``: the SPARQL 1.1 Graph Store HTTP Protocol, read-only
(https://www.w3.org/TR/sparql11-http-rdf-update/#http-get).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import GRAPHS
from publisher.http.endpoints import contents, format_parameter, get, problems
from publisher.http.negotiation import best_match
from publisher.http.pages.dependencies import ServiceDep
from publisher.http.problems import HTTPProblem
from publisher.rdf.results import iri
from publisher.sparql.protocol import graph_parameters, parse_form, single_value
from publisher.sparql.responses import answer_query
from publisher.store.workers.query_request import QueryRequest

_ALL = "CONSTRUCT { ?s ?p ?o } { ?s ?p ?o }"
_ANY_TRIPLE = "SELECT ?graph { GRAPH ?graph { ?s ?p ?o } } LIMIT 1"


GraphIri = Annotated[str | None, Query(description="The IRI of a graph")]
Default = Annotated[
    str | None,
    Query(description="Without a value: the default graph, which is all graphs together"),
]
FormatName = Annotated[str | None, format_parameter(GRAPHS)]

router = APIRouter()


async def graph_store_parameters(
    graph: GraphIri = None, default: Default = None, format: FormatName = None
) -> None:
    """Declare the parameters; they are read by the rules of the protocol, which refuses repeated
    ones.
    """


@get(
    router,
    "/rdf-graph-store",
    operation_id="graphStore",
    summary="Return a graph, by the SPARQL 1.1 Graph Store HTTP Protocol",
    tags=["ask"],
    dependencies=[Depends(graph_store_parameters)],
    response_class=Response,
    response_description="The graph",
    responses=contents(*(graph_format.media for graph_format in GRAPHS.values()))
    | problems(400, 404, 406, 422, 429, 503, 504),
)
async def graph_store(request: Request, service: ServiceDep) -> Response:
    """Either `graph` or `default` is required."""
    named, suffix = _read_parameters(request)
    if named and not await service.rows(_ANY_TRIPLE, {"graph": iri(named)}):
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"Graph {named} not found")
    default, others = ((named,), ()) if named else (None, None)
    query = QueryRequest(
        _ALL, None, suffix, service.iris.base, default, others, rows=service.limits.rows
    )
    return await answer_query(request, service, query)


def _read_parameters(request: Request) -> tuple[str | None, str]:
    """Return the requested graph, None for the default graph, and the format's suffix."""
    params = parse_form(request.scope["query_string"])
    single_value(params, "graph")
    named = graph_parameters(params, "graph")
    if ("default" in params) is (named is not None):
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, "Specify one graph: ?default or ?graph=IRI")
    suffix = single_value(params, "format")
    if suffix and suffix not in GRAPHS:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST, f"Unknown format {suffix!r}; available: {', '.join(GRAPHS)}"
        )
    graph_format = (
        GRAPHS[suffix] if suffix else best_match(request.headers.get("accept"), GRAPHS.values())
    )
    if graph_format is None:
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE,
            "No available format matches your Accept header. Available: "
            + ", ".join(graph_format.media for graph_format in GRAPHS.values()),
        )
    return named[0] if named else None, graph_format.suffix
