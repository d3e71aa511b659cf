"""SPARQL: the endpoint, by the SPARQL 1.1 Protocol (https://www.w3.org/TR/sparql11-protocol/#query-operation)."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qs

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.description import service
from publisher.errors import FederationRefused
from publisher.federation import asks_elsewhere
from publisher.formats import GRAPHS, TABLES, Graph, Table
from publisher.negotiation import best, wants_html
from publisher.pages import Pages
from publisher.problems import Refused
from publisher.question import Question
from publisher.shelf import Shelf
from publisher.streaming import ask, respond
from vocab.iris import is_web

MOST = 256 * 1024  # bytes of a query: the longest that a person wrote was under 20,000
_FORM, _QUERY = "application/x-www-form-urlencoded", "application/sparql-query"
_ANSWERS: tuple[Table | Graph, ...] = (*TABLES.values(), *GRAPHS.values())

Parameters = dict[str, list[str]]


class _Wanted(NamedTuple):
    question: Question
    seconds: float | None


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the routes of ``/sparql``."""
    routes = APIRouter()

    async def sparql(request: Request) -> Response:
        parameters = await _parameters(request)
        if request.method != "POST" and not parameters:
            return _introduction(request, shelf, pages)
        wanted = _wanted(parameters, request.headers.get("accept"), shelf)
        answer = await ask(request, shelf, wanted.question, wanted.seconds)
        return await respond(answer, {"Content-Type": _media(answer.suffix), "Vary": "Accept"})

    routes.add_route("/sparql", sparql, methods=["GET", "HEAD", "POST"])
    return routes


def _media(suffix: str) -> str:
    return (TABLES.get(suffix) or GRAPHS[suffix]).media


def _introduction(request: Request, shelf: Shelf, pages: Pages) -> Response:
    accept = request.headers.get("accept")
    if wants_html(accept, GRAPHS.values()):
        return pages.page("sparql.html", limits=shelf.limits, tables=TABLES.values(), graphs=GRAPHS.values())
    row = best(accept, GRAPHS.values())
    if row is None:
        raise Refused(HTTPStatus.NOT_ACCEPTABLE, "The service description is given as " + ", ".join(row.media for row in GRAPHS.values()))
    return Response(service(shelf.iris, row), headers={"Content-Type": row.media, "Vary": "Accept"})


async def _parameters(request: Request) -> Parameters:
    found = _decoded(request.scope["query_string"])
    if request.method != "POST":
        return found
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (_FORM, _QUERY):
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"POST a query as {_FORM} or {_QUERY}", {"Accept-Post": f"{_FORM}, {_QUERY}"})
    body = await _body(request)
    if kind == _FORM:
        return {**found, **_decoded(body)}
    if "query" in found:
        raise Refused(HTTPStatus.BAD_REQUEST, "The query stands in the body and in the address; give it once")
    return {**found, "query": [_text(body)]}


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > 3 * MOST:  # percent-encoding triples a byte
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A query has at most {MOST} bytes")
    return bytes(body)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "The query is not in UTF-8") from error


def _decoded(data: bytes) -> Parameters:
    try:
        return parse_qs(data.decode(), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The parameters cannot be read: {error}") from error


def _wanted(parameters: Parameters, accept: str | None, shelf: Shelf) -> _Wanted:
    text = _one(parameters, "query")
    if text is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "The parameter query is missing; updates are not offered")
    if len(text) > MOST:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A query has at most {MOST} characters")
    if asks_elsewhere(text):
        raise FederationRefused("SERVICE is refused here: ask the other endpoint yourself and join the answers")
    table, graph = _formats(_one(parameters, "format"), accept)
    default, named = _graphs(parameters, "default-graph-uri"), _graphs(parameters, "named-graph-uri")
    if default is None and named is not None:
        default = ()  # a dataset of named graphs alone
    return _Wanted(
        Question(text, table, graph, shelf.iris.base, default, named, rows=shelf.limits.rows),
        _seconds(_one(parameters, "timeout")),
    )


def _one(parameters: Parameters, name: str) -> str | None:
    values = parameters.get(name, [])
    if len(values) > 1:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The parameter {name} is given {len(values)} times; give it once")
    return values[0] if values else None


def _formats(named: str | None, accept: str | None) -> tuple[str | None, str | None]:
    """Choose a table and a graph format: the one that the parameter ``format`` names by its suffix, else by Accept."""
    if named:
        if named not in TABLES and named not in GRAPHS:
            raise Refused(HTTPStatus.BAD_REQUEST, f"No format {named!r}; there are {', '.join([*TABLES, *GRAPHS])}")
        return (named if named in TABLES else "json"), (named if named in GRAPHS else "ttl")
    table, graph = best(accept, TABLES.values()), best(accept, GRAPHS.values())
    if table is None and graph is None:
        raise Refused(HTTPStatus.NOT_ACCEPTABLE, "Answers are given as " + ", ".join(row.media for row in _ANSWERS))
    return (table.suffix if table else None), (graph.suffix if graph else None)


def _graphs(parameters: Parameters, name: str) -> tuple[str, ...] | None:
    values = parameters.get(name)
    if values is None:
        return None
    for value in values:
        if not is_web(value):
            raise Refused(HTTPStatus.BAD_REQUEST, f"The parameter {name} is no web address: {value}")
    return tuple(values)


def _seconds(text: str | None) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise Refused(HTTPStatus.BAD_REQUEST, f"The parameter timeout is a number of seconds above 0, not {text!r}")
    return seconds
