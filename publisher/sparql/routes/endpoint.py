"""SPARQL: the endpoint, by the SPARQL 1.1 Protocol (https://www.w3.org/TR/sparql11-protocol/#query-operation)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from publisher.formats import GRAPHS, TABLES
from publisher.http.freshness_headers import RELEASE_HEADER
from publisher.http.negotiation import best_match, wants_html
from publisher.http.problems import HTTPProblem
from publisher.pages.templating import Pages
from publisher.search.rewriting import has_search
from publisher.sparql.description import service_description
from publisher.sparql.protocol import SparqlRequest, parse_release, parse_request, read_body, read_parameters, single_value
from publisher.sparql.query_editor import completions, editor_for_example, editor_for_query, initial_view, is_built, script_texts
from publisher.sparql.responses import answer_query, cached_response, with_validators
from publisher.sparql.rewriting import TEXT_HEADER, rewrite
from publisher.store.cache import digest
from publisher.store.query_service import QueryService


class AppHandler:
    """A handler as an app of its own: what the framework puts around a function costs more than an answer that is held."""

    def __init__(self, handle: Callable[[Request], Awaitable[Response]]) -> None:
        self._handle = handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        response = await self._handle(Request(scope, receive, send))
        await response(scope, receive, send)


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Give the routes of ``/sparql``."""
    routes = APIRouter()
    scripts = is_built()

    async def sparql(request: Request) -> Response:
        data = await read_body(request)
        name = _name(request, data)
        if response := cached_response(request, service, name):
            return response
        asked_for = read_parameters(request, data)
        if request.method != "POST" and not asked_for.keys() - {"example", "show", "lang"}:
            return await _introduction(
                request, service, pages, scripts, single_value(asked_for, "example"), single_value(asked_for, "show")
            )
        asked = parse_request(asked_for, request.headers.get("accept"), service.iris.base, service.limits.rows)
        if (number := parse_release(single_value(asked_for, "release"))) is not None:
            return await _of_release(request, service, asked, number)
        question = await rewrite(service, asked.question)
        response = await answer_query(request, service, question, asked.seconds, name if question is asked.question else None)
        if question.note:
            response.headers[TEXT_HEADER] = question.note
        return response

    async def completion(request: Request) -> Response:
        shown = service.current
        body = json.dumps(await completions(service), ensure_ascii=False, separators=(",", ":"))
        return with_validators(request, Response(body, media_type="application/json"), shown, b"words")

    routes.add_route("/sparql", AppHandler(sparql), methods=["GET", "HEAD", "POST"])  # type: ignore[arg-type]  # it takes apps too
    routes.add_route("/sparql/words", completion, methods=["GET", "HEAD"])
    return routes


async def _of_release(request: Request, service: QueryService, asked: SparqlRequest, number: int) -> Response:
    """Answer from a release as it was answered on the day it was cut."""
    of = await service.release(number, has_search(asked.question.text))
    question = await rewrite(service, replace(asked.question, snapshot=of.path, release=number), of)
    response = await answer_query(request, service, question, asked.seconds, of=of)
    response.headers.update({RELEASE_HEADER: str(number), "Stocktake-Position": str(of.position)})
    if question.note:
        response.headers[TEXT_HEADER] = question.note
    return response


def _name(request: Request, data: bytes) -> bytes:
    """Name all in the request that its answer depends on; a POST and a GET are never taken for each other."""
    told = (request.headers.get(header, "").encode("latin-1") for header in ("accept", "content-type"))
    return digest(b"POST" if request.method == "POST" else b"GET", request.scope["query_string"], data, *told)


async def _introduction(
    request: Request, service: QueryService, pages: Pages, scripts: bool, example: str | None, text: str | None
) -> Response:
    accept = request.headers.get("accept")
    if wants_html(accept, GRAPHS.values()):
        try:
            told = editor_for_query(service, text) if text else editor_for_example(service, example)
        except KeyError as error:
            raise HTTPProblem(HTTPStatus.NOT_FOUND, f"There is no example {example}; /examples lists them") from error
        return pages.page(
            "sparql.html",
            it=told,
            scripts=scripts,
            texts=script_texts(),
            view=initial_view,
            limits=service.limits,
            tables=TABLES.values(),
            graphs=GRAPHS.values(),
        )
    row = best_match(accept, GRAPHS.values())
    if row is None:
        raise HTTPProblem(
            HTTPStatus.NOT_ACCEPTABLE, "The service description is given as " + ", ".join(row.media for row in GRAPHS.values())
        )
    current = service.current
    body = await service_description(service, row)
    seed = f"service {row.suffix} {service.limits}".encode()  # the limits are set when the server starts
    return with_validators(request, Response(body, headers={"Content-Type": row.media}), current, seed)
