"""``/sparql``: the endpoint of the SPARQL 1.1 Protocol
(https://www.w3.org/TR/sparql11-protocol/#query-operation).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, NotRequired

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from typing_extensions import TypedDict

from publisher.formats import GRAPHS, TABLES
from publisher.http.endpoints import get, other_contents, problems
from publisher.http.freshness_headers import RELEASE_HEADER
from publisher.http.negotiation import best_match, wants_html
from publisher.http.pages.dependencies import ServiceDep, get_pages, get_service
from publisher.http.problems import HTTPProblem
from publisher.sparql.description import service_description
from publisher.sparql.protocol import (
    SparqlRequest,
    parse_release,
    parse_request,
    read_body,
    read_parameters,
    single_value,
)
from publisher.sparql.query_editor import (
    completions,
    editor_for_example,
    editor_for_query,
    initial_view,
    is_built,
    script_texts,
)
from publisher.sparql.responses import answer_query, cached_response, explain_query, with_validators
from publisher.sparql.rewriting import TEXT_HEADER, has_search, rewrite
from publisher.store.cache import digest
from publisher.store.query_service import QueryService


class SolutionsJson(TypedDict):
    """Variable bindings of the query solutions, as objects with type and value."""

    bindings: list[dict[str, object]]


class ResultsJson(TypedDict):
    """SPARQL 1.1 Query Results in JSON: *results* of SELECT, or the *boolean* of ASK."""

    head: dict[str, object]
    results: NotRequired[SolutionsJson]
    boolean: NotRequired[bool]


class ResultsResponse(JSONResponse):
    """A response in SPARQL's JSON."""

    media_type = TABLES["json"].media


FormatName = Annotated[
    str | None,
    Query(
        description="The format; without it, the Accept header decides",
        json_schema_extra={"enum": [*TABLES, *GRAPHS]},
    ),
]
Timeout = Annotated[float | None, Query(gt=0, description="Seconds, to shorten the time limit")]
Release = Annotated[
    str | None, Query(description="The number of a release to query instead of the current data")
]
Explain = Annotated[
    str | None,
    Query(description="1 returns how the query is evaluated, as JSON: engine, algebra, SQL, rows"),
]
_FORMATS = [
    row for row in (*TABLES.values(), *GRAPHS.values()) if row.media != ResultsResponse.media_type
]


class AppHandler:
    """A handler as an ASGI app: the framework's wrapper costs more than sending a cached response."""

    def __init__(self, handle: Callable[[Request], Awaitable[Response]]) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        response = await self._handle(Request(scope, receive, send))
        await response(scope, receive, send)


router = APIRouter()


async def sparql(request: Request) -> Response:
    """Answer a query, from the cache where that has the same request."""
    service = await get_service(request)
    data = await read_body(request)
    name = _request_digest(request, data)
    if response := cached_response(request, service, name):
        return response
    params = read_parameters(request, data)
    if request.method != "POST" and not params.keys() - {"example", "show", "lang"}:
        return await _introduction(
            request, service, single_value(params, "example"), single_value(params, "show")
        )
    parsed = parse_request(
        params, request.headers.get("accept"), service.iris.base, service.limits.rows
    )
    if (number := parse_release(single_value(params, "release"))) is not None:
        return await _answer_from_release(request, service, parsed, number)
    query_request = await rewrite(service, parsed.query_request)
    if single_value(params, "explain") not in (None, "", "0"):
        return await explain_query(request, service, query_request, parsed.seconds)
    response = await answer_query(
        request,
        service,
        query_request,
        parsed.seconds,
        name if query_request is parsed.query_request else None,
    )
    if query_request.note:
        response.headers[TEXT_HEADER] = query_request.note
    return response


router.add_route("/sparql", AppHandler(sparql), methods=["GET", "HEAD", "POST"])  # type: ignore[arg-type]  # an ASGI app is allowed too


# This route only describes the endpoint: the one above answers. Its parameters may also be in a
# body, and parsing them here would cost more than a cached response.
@router.get(
    "/sparql",
    operation_id="sparql",
    summary="Answer a SPARQL 1.1 query",
    tags=["ask"],
    response_model=ResultsJson,
    response_class=ResultsResponse,
    response_description="Query solutions, a boolean, or a graph",
    responses=other_contents(_FORMATS) | problems(400, 404, 406, 410, 413, 422, 429, 503, 504),
)
async def sparql_documentation(
    request: Request,
    query: Annotated[str, Query(description="The query")],
    format: FormatName = None,
    timeout: Timeout = None,
    release: Release = None,
    explain: Explain = None,
) -> Response:
    """The parameters may be in the body of a POST instead."""
    return await sparql(request)


@get(router, "/sparql/words", include_in_schema=False)
async def completion(request: Request, service: ServiceDep) -> Response:
    """Return the names that the query editor completes."""
    current = service.current
    body = json.dumps(await completions(service), ensure_ascii=False, separators=(",", ":"))
    return with_validators(
        request, Response(body, media_type="application/json"), current, b"words"
    )


async def _answer_from_release(
    request: Request, service: QueryService, parsed: SparqlRequest, number: int
) -> Response:
    """Return the results on the data of a release."""
    release_snapshot = await service.release(number, has_search(parsed.query_request.text))
    query_request = await rewrite(
        service,
        replace(parsed.query_request, snapshot=release_snapshot.path, release=number),
        release_snapshot,
    )
    response = await answer_query(
        request, service, query_request, parsed.seconds, release=release_snapshot
    )
    response.headers.update(
        {RELEASE_HEADER: str(number), "Stocktake-Position": str(release_snapshot.position)}
    )
    if query_request.note:
        response.headers[TEXT_HEADER] = query_request.note
    return response


def _request_digest(request: Request, data: bytes) -> bytes:
    """Return a digest of everything in the request that the response depends on, the method
    included.
    """
    header_values = (
        request.headers.get(header, "").encode("latin-1") for header in ("accept", "content-type")
    )
    return digest(
        b"POST" if request.method == "POST" else b"GET",
        request.scope["query_string"],
        data,
        *header_values,
    )


async def _introduction(
    request: Request, service: QueryService, example: str | None, text: str | None
) -> Response:
    """Return the query page, or the service description."""
    pages = await get_pages(request)
    accept = request.headers.get("accept")
    if wants_html(accept, GRAPHS.values()):
        try:
            editor = (
                editor_for_query(service, text) if text else editor_for_example(service, example)
            )
        except KeyError as error:
            raise HTTPProblem(
                HTTPStatus.NOT_FOUND, f"Example {example} not found; see /examples"
            ) from error
        return pages.page(
            "sparql.html",
            editor=editor,
            scripts=is_built(),
            texts=script_texts(),
            view=initial_view,
            limits=service.limits,
            tables=TABLES.values(),
            graphs=GRAPHS.values(),
        )
    graph_format = best_match(accept, GRAPHS.values())
    if graph_format is None:
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE,
            "No available format matches your Accept header. Available: "
            + ", ".join(graph_format.media for graph_format in GRAPHS.values()),
        )
    current = service.current
    body = await service_description(service, graph_format)
    # limits are fixed when the server starts
    seed = f"service {graph_format.suffix} {service.limits}".encode()
    return with_validators(
        request, Response(body, headers={"Content-Type": graph_format.media}), current, seed
    )
