"""Protocol: what a request asks, by the SPARQL 1.1 Protocol (https://www.w3.org/TR/sparql11-protocol/#protocol)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qs

from starlette.requests import Request

from publisher.errors import FederationRefused
from publisher.formats import GRAPHS, TABLES, Format, GraphFormat, TableFormat, media_types
from publisher.http.negotiation import best_match
from publisher.http.problems import HTTPProblem
from publisher.rdf.results import is_iri
from publisher.store.workers.query_request import QueryRequest
from publisher.store.workers.service_detection import uses_service

MAX_QUERY_BYTES = 256 * 1024  # bytes of a query: the longest that a person wrote was under 20,000
FORM, QUERY, UPDATE = "application/x-www-form-urlencoded", "application/sparql-query", "application/sparql-update"
_ANSWERS: tuple[TableFormat | GraphFormat, ...] = (*TABLES.values(), *GRAPHS.values())

# What clients call a format, beside its suffix and its media types.
_FORMAT_NAMES = {
    "Turtle": ("turtle", "n3"),
    "N-Triples": ("ntriples", "n-triples"),
    "JSON-LD": ("json-ld", "json"),
    "RDF/XML": ("rdf+xml", "rdfxml", "xml"),
}

Parameters = dict[str, list[str]]


class SparqlRequest(NamedTuple):
    """A question, and the seconds that the client wants to wait at most."""

    question: QueryRequest
    seconds: float | None


async def read_body(request: Request, most: int = 3 * MAX_QUERY_BYTES) -> bytes:
    """Read the body of a POST, at most *most* bytes (percent-encoding triples a byte); empty for other methods."""
    data = bytearray()
    if request.method == "POST":
        async for chunk in request.stream():
            data += chunk[: most + 1 - len(data)]  # the rest is taken too: who still sends while we close loses the answer
        if len(data) > most:
            raise HTTPProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A query has at most {MAX_QUERY_BYTES} bytes")
    return bytes(data)


def read_parameters(request: Request, data: bytes, kinds: tuple[str, ...] = (QUERY,)) -> Parameters:
    """Read the parameters of the address and of the body *data*; *kinds* are the media types that may stand in it alone.

    A text of such a type is the parameter that the type is named after.
    """
    found = parse_form(request.scope["query_string"])
    if request.method != "POST":
        return found
    kind = _kind(request.headers.get("content-type", ""), kinds)
    if kind == FORM:
        more = parse_form(data)
        return {name: found.get(name, []) + more.get(name, []) for name in (found | more)}
    name = kind.rpartition("-")[2]
    if name in found:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"The {name} stands in the body and in the address; give it once")
    return {**found, name: [_text(data, name)]}


def _kind(given: str, kinds: tuple[str, ...]) -> str:
    kind, _, rest = given.partition(";")
    kind, charset = kind.strip().lower(), rest.lower().partition("charset=")[2].strip(' "')
    if kind not in (FORM, *kinds) or charset not in ("", "utf-8", "utf8", "us-ascii"):
        accepted = ", ".join((FORM, *kinds))
        raise HTTPProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"POST one of {accepted}, in UTF-8", {"Accept-Post": accepted})
    return kind


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"The {name} is not in UTF-8") from error


def parse_form(data: bytes) -> Parameters:
    """Read percent-encoded parameters, each with all its values in their order."""
    try:
        return parse_qs(data.decode(), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"The parameters cannot be read: {error}") from error


def parse_request(given: Parameters, accept: str | None, base: str, rows: int | None) -> SparqlRequest:
    """Read the question that the parameters put; *base* resolves its IRIs, *rows* are the most that are answered."""
    text = single_value(given, "query")
    if text is None:
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST, "The parameter query is missing; updates are not offered: published data changes by harvests"
        )
    if len(text) > MAX_QUERY_BYTES:
        raise HTTPProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A query has at most {MAX_QUERY_BYTES} characters")
    if uses_service(text):
        raise FederationRefused("SERVICE is refused here: ask the other endpoint yourself and join the answers")
    table, graph = _formats(given.get("format", []), accept)
    default, named = graph_parameters(given, "default-graph-uri"), graph_parameters(given, "named-graph-uri")
    if default is not None or named is not None:  # a dataset that the protocol names takes the place of all that FROM says (2.1.4)
        default, named = default or (), named or ()
    question = QueryRequest(text, table, graph, base, default, named, rows=rows)
    return SparqlRequest(question, parse_timeout(single_value(given, "timeout")))


def single_value(given: Parameters, name: str) -> str | None:
    """Give the value of a parameter that stands at most once."""
    values = given.get(name, [])
    if len(values) > 1:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"The parameter {name} is given {len(values)} times; give it once")
    return values[0] if values else None


def _formats(named: list[str], accept: str | None) -> tuple[str | None, str | None]:
    """Choose a table and a graph format: those that the parameter ``format`` names, else by Accept.

    The parameter is in no specification. Clients give a suffix, a word of their own or a media type, some two of these at once; the first
    that is known counts.
    """
    if named := [name.strip().lower() for name in named if name.strip()]:
        table, graph = _first(named, TABLES), _first(named, GRAPHS)
        if table is None and graph is None:
            raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"No format {named[0]!r}; there are {', '.join([*TABLES, *GRAPHS])}")
        return table or "json", graph or "ttl"
    row, other = best_match(accept, TABLES.values()), best_match(accept, GRAPHS.values())
    if row is None and other is None:
        raise HTTPProblem(HTTPStatus.NOT_ACCEPTABLE, "Answers are given as " + ", ".join(row.media for row in _ANSWERS))
    return (row.suffix if row else None), (other.suffix if other else None)


def _first(named: list[str], rows: Mapping[str, Format]) -> str | None:
    return next(
        (
            row.suffix
            for name in named
            for row in rows.values()
            if name in (row.suffix, *_FORMAT_NAMES.get(row.label, ()), *media_types(row))
        ),
        None,
    )


def graph_parameters(given: Parameters, name: str) -> tuple[str, ...] | None:
    """Read a parameter whose values name graphs; None where it is not given."""
    values = given.get(name)
    for value in values or ():
        if not is_iri(value):
            raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"The parameter {name} is no absolute IRI: {value}")
    return None if values is None else tuple(values)


def parse_release(text: str | None) -> int | None:
    """Read the parameter ``release``, the number of a release; None where it is not given, or empty as a form sends it."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"The parameter release is the number of a release, not {text!r}")
    return int(text)


def parse_timeout(text: str | None) -> float | None:
    """Read the parameter ``timeout``; None where it is not given."""
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, f"The parameter timeout is a number of seconds above 0, not {text!r}")
    return value
