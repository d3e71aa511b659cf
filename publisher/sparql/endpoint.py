"""``/sparql``: the endpoint of the SPARQL 1.1 Protocol, its page and its service description; and
``/rdf-graph-store``: the SPARQL 1.1 Graph Store HTTP Protocol, read-only.

Source: https://www.w3.org/TR/sparql11-protocol/#query-operation,
https://www.w3.org/TR/sparql11-service-description/ and
https://www.w3.org/TR/sparql11-http-rdf-update/#http-get
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, NotRequired

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pyoxigraph import RdfFormat, parse, serialize
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from publisher.dependencies import ServiceDep, get_pages, get_service
from publisher.errors import LimitError
from publisher.limits import Limits
from publisher.middleware import RELEASE_HEADER
from publisher.rdf import iri
from publisher.sparql.examples import (
    completions,
    editor_state,
    is_built,
    script_texts,
)
from publisher.sparql.protocol import (
    MAX_QUERY_BYTES,
    answer_query,
    explain_query,
    graph_parameters,
    parse_form,
    parse_release,
    parse_request,
    parse_timeout,
    read_body,
    read_parameters,
    single_value,
    with_validators,
)
from publisher.sparql.rewriting import TEXT_HEADER, rewrite
from publisher.store.query_service import QueryService
from publisher.store.query_service import query as stored_query
from publisher.store.workers.query_request import QueryRequest
from web.endpoints import contents, format_parameter, get, other_contents, problems
from web.respond import (
    GRAPHS,
    HTML,
    TABLES,
    GraphFormat,
    HTTPProblem,
    choose_format,
    respond,
    wants_html,
)

_FORMATS = "http://www.w3.org/ns/formats/"
_FORMAT_NAMES = {
    "json": "SPARQL_Results_JSON",
    "xml": "SPARQL_Results_XML",
    "csv": "SPARQL_Results_CSV",
    "tsv": "SPARQL_Results_TSV",
    "ttl": "Turtle",
    "nt": "N-Triples",
    "jsonld": "JSON-LD",
    "rdf": "RDF_XML",
}
_GEOF = "http://www.opengis.net/def/function/geosparql/"
# Functions tested against their specification; the engine may support more.
FUNCTIONS = tuple(
    f"{_GEOF}{name}" for name in ("asGeoJSON", "distance", "sfContains", "sfIntersects", "sfWithin")
)
PROPERTIES = ("http://jena.apache.org/text#query",)
LATERAL = "https://github.com/w3c/sparql-dev/blob/main/SEP/SEP-0006/sep-0006.md"
_PREFIXES = {
    "sd": "http://www.w3.org/ns/sparql-service-description#",
    "void": "http://rdfs.org/ns/void#",
}
_ALL = "CONSTRUCT { ?s ?p ?o } { ?s ?p ?o }"
_ANY_TRIPLE = "SELECT ?graph { GRAPH ?graph { ?s ?p ?o } } LIMIT 1"


class SolutionsJson(TypedDict):
    """Variable bindings of the query solutions, as objects with type and value."""

    bindings: list[dict[str, object]]


class ResultsJson(TypedDict):
    """SPARQL 1.1 Query Results in JSON: *results* of SELECT, or the *boolean* of ASK."""

    head: dict[str, object]
    results: NotRequired[SolutionsJson]
    boolean: NotRequired[bool]


class ResultsResponse(JSONResponse):
    media_type = TABLES["json"].media


router, graphs = APIRouter(), APIRouter()


@router.post("/sparql", include_in_schema=False)
async def answer_request(request: Request) -> Response:
    service = await get_service(request)
    params = read_parameters(request, await read_body(request))
    if request.method != "POST" and not params.keys() - {"example", "show", "lang"}:
        return await _introduction(
            request, service, single_value(params, "example"), single_value(params, "show")
        )
    accept = request.headers.get("accept")
    query = parse_request(params, accept, service.iris.base, service.limits.rows)
    seconds, release = parse_timeout(single_value(params, "timeout")), None
    if (number := parse_release(single_value(params, "release"))) is not None:
        release = await service.release(number)
        query = replace(query, snapshot=release.path, release=number)
    rewritten = await rewrite(service, query, release) if query.has_search else query
    if release is None and single_value(params, "explain") not in (None, "", "0"):
        return await explain_query(request, service, rewritten, seconds)
    response = await answer_query(request, service, rewritten, seconds, release)
    if rewritten.note:
        response.headers[TEXT_HEADER] = rewritten.note
    if release:
        response.headers[RELEASE_HEADER] = str(number)
        response.headers["Stocktake-Position"] = str(release.position)
    return response


class QueryRoute(APIRoute):
    """A route whose parameters are declared for its description alone: they may also be in a body,
    and parsing them here would cost more than a cached response.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        return answer_request


@get(
    router,
    "/sparql",
    route_class_override=QueryRoute,
    operation_id="sparql",
    summary="Answer a SPARQL 1.1 query",
    tags=["ask"],
    response_model=ResultsJson,
    response_class=ResultsResponse,
    response_description="Query solutions, a boolean, or a graph",
    responses=other_contents(
        row for row in (*TABLES.values(), *GRAPHS.values()) if row is not TABLES["json"]
    )
    | problems(400, 404, 406, 410, 413, 422, 429, 503, 504),
)
async def sparql(
    request: Request,
    query: Annotated[str, Query(description="The query")],
    format: Annotated[str | None, format_parameter([*TABLES, *GRAPHS])] = None,
    timeout: Annotated[
        float | None, Query(gt=0, description="Seconds, to shorten the time limit")
    ] = None,
    release: Annotated[
        str | None,
        Query(description="The number of a release to query instead of the current data"),
    ] = None,
    explain: Annotated[
        str | None,
        Query(
            description="1 returns how the query is evaluated, as JSON: engine, reason, SQL, rows"
        ),
    ] = None,
) -> None:
    """The parameters may be in the body of a POST instead."""


async def _introduction(
    request: Request, service: QueryService, example: str | None, text: str | None
) -> Response:
    pages = await get_pages(request)
    if wants_html(request.headers.get("accept"), GRAPHS.values()):
        page = pages.page(
            "sparql.html",
            editor=editor_state(service, example, text),
            scripts=is_built(),
            texts=script_texts(),
            limits=service.limits,
            tables=TABLES.values(),
            graphs=GRAPHS.values(),
        )
        return respond(request, page, HTML, headers={"Vary": "Accept"})
    graph_format = choose_format(request, GRAPHS)
    current = service.current
    body = await service_description(service, graph_format)
    # The limits are part of the seed, since they are fixed when the server starts.
    seed = f"service {graph_format.suffix} {service.limits}".encode()
    return with_validators(
        request, Response(body, headers={"Content-Type": graph_format.media}), current, seed
    )


@get(router, "/sparql/words", include_in_schema=False)
async def completion(request: Request, service: ServiceDep) -> Response:
    """Return the names that the query editor completes."""
    current = service.current
    body = json.dumps(await completions(service), ensure_ascii=False, separators=(",", ":"))
    return with_validators(
        request, Response(body, media_type="application/json"), current, b"words"
    )


async def service_description(service: QueryService, graph_format: GraphFormat) -> bytes:
    """Return the service description in *graph_format*. Every number in it is counted; counts that
    exceed the query limits are left out.
    """
    numbers = await _numbers(service)
    counts = {name: f"{name} {number} ;" for name, number in numbers.items()}
    formats = ", ".join(f"<{_FORMATS}{_FORMAT_NAMES[suffix]}>" for suffix in [*TABLES, *GRAPHS])
    text = f"""
        PREFIX sd: <http://www.w3.org/ns/sparql-service-description#>
        PREFIX void: <http://rdfs.org/ns/void#>
        PREFIX ops: <operations#>
        PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
        <sparql> a sd:Service ;
            sd:endpoint <sparql> ;
            sd:supportedLanguage sd:SPARQL11Query ;
            sd:feature sd:UnionDefaultGraph ;
            sd:languageExtension <{LATERAL}> ;
            sd:defaultEntailmentRegime <http://www.w3.org/ns/entailment/Simple> ;
            sd:resultFormat {formats} ;
            sd:extensionFunction {", ".join(f"<{name}>" for name in FUNCTIONS)} ;
            sd:propertyFeature {", ".join(f"<{name}>" for name in PROPERTIES)} ;
            {_limits(service.limits)}
            rdfs:seeAlso <examples> ;
            sd:defaultDataset <.well-known/void#dataset> .
        <.well-known/void#dataset> a sd:Dataset, void:Dataset ;
            {" ".join(counts.values())}
            sd:defaultGraph <.well-known/void#default-graph> .
        <.well-known/void#default-graph> {counts.get("void:triples", "")} a sd:Graph, void:Dataset .
        """
    triples = (quad.triple for quad in parse(text, RdfFormat.TURTLE, base_iri=service.iris.base))
    return serialize(triples, format=graph_format.writer, prefixes=_PREFIXES) or b""


def _limits(limits: Limits) -> str:
    """Return the public query limits as Turtle, with the terms of our ontology; unset limits are
    omitted.
    """
    budget = limits.budget or None
    values = {
        "queryTimeLimit": limits.seconds,
        "queryMemoryLimit": limits.memory,
        "queryRowLimit": limits.rows,
        "queryLengthLimit": MAX_QUERY_BYTES,
        "queryBudget": budget,
        "queryBudgetWindow": limits.window if budget else None,
    }
    return " ".join(f"ops:{name} {value} ;" for name, value in values.items() if value is not None)


async def _numbers(service: QueryService) -> dict[str, int]:
    numbers = {}
    with suppress(LimitError):
        properties = await service.rows(stored_query("void-properties"))
        numbers["void:triples"] = sum(int(row["triples"].value) for row in properties)
        numbers["void:properties"] = len(properties)
        numbers["void:classes"] = len(await service.rows(stored_query("void-classes")))
        (row,) = await service.rows(stored_query("named-graphs"))
        numbers["ops:namedGraphs"] = int(row["graphs"].value)
    return numbers


async def graph_store_parameters(
    graph: Annotated[str | None, Query(description="The IRI of a graph")] = None,
    default: Annotated[
        str | None,
        Query(description="Without a value: the default graph, which is all graphs together"),
    ] = None,
    format: Annotated[str | None, format_parameter(GRAPHS)] = None,
) -> None:
    """Declare the parameters; they are read by the rules of the protocol, which refuses repeated
    ones.
    """


@get(
    graphs,
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
    params = parse_form(request.scope["query_string"])
    name = single_value(params, "graph")
    named = graph_parameters(params, "graph")
    if ("default" in params) is (named is not None):
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, "Specify one graph: ?default or ?graph=IRI")
    suffix = choose_format(request, GRAPHS, single_value(params, "format")).suffix
    if name and not await service.rows(_ANY_TRIPLE, {"graph": iri(name)}):
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"Graph {name} not found")
    rows = service.limits.rows
    query = QueryRequest(
        _ALL, None, suffix, service.iris.base, named, () if named else None, rows=rows
    )
    return await answer_query(request, service, query)
