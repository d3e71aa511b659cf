"""Parse requests of the SPARQL 1.1 Protocol (https://www.w3.org/TR/sparql11-protocol/#protocol)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.requests import Request

from publisher.errors import FederationRefused
from publisher.rdf.results import is_iri
from publisher.store.workers.query_request import QueryRequest, uses_service
from web.formats import GRAPHS, TABLES, Format, media_types
from web.negotiation import best_match
from web.problems import HTTPProblem
from web.respond import not_acceptable

MAX_QUERY_BYTES = 256 * 1024  # the longest hand-written query we know has under 20,000
FORM = "application/x-www-form-urlencoded"
QUERY = "application/sparql-query"
UPDATE = "application/sparql-update"
_NUMBER = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")

# Other names that clients use for a format.
_FORMAT_NAMES = {
    "Turtle": ("turtle", "n3"),
    "N-Triples": ("ntriples", "n-triples"),
    "JSON-LD": ("json-ld", "json"),
    "RDF/XML": ("rdf+xml", "rdfxml", "xml"),
}

Parameters = dict[str, list[str]]


async def read_body(request: Request, limit: int = 3 * MAX_QUERY_BYTES) -> bytes:
    """Read the body of a POST, at most *limit* bytes (percent-encoding triples a byte); empty for
    other methods.
    """
    data = bytearray()
    if request.method == "POST":
        async for chunk in request.stream():
            # read the rest too: a client that still sends when we close loses the response
            data += chunk[: limit + 1 - len(data)]
        if len(data) > limit:
            raise HTTPProblem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"The query is longer than {MAX_QUERY_BYTES} bytes",
            )
    return bytes(data)


def read_parameters(request: Request, data: bytes, kinds: tuple[str, ...] = (QUERY,)) -> Parameters:
    """Read the parameters of the URL and the body *data*; *kinds* are the media types of bodies
    other than forms.

    Such a body is the value of the parameter that the type is named after. Raises HTTPProblem; it
    is 403 for a SPARQL update.
    """
    parameters = parse_form(request.scope["query_string"])
    if request.method != "POST":
        return parameters
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    kind, charset = kind.strip().lower(), rest.lower().partition("charset=")[2].strip(' "')
    if kind == UPDATE:
        raise _update_refused()
    if kind not in (FORM, *kinds) or charset not in ("", "utf-8", "utf8", "us-ascii"):
        accepted = ", ".join((FORM, *kinds))
        raise HTTPProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"POST one of {accepted}, in UTF-8",
            {"Accept-Post": accepted},
        )
    if kind == FORM:
        more = parse_form(data)
        return {name: parameters.get(name, []) + more.get(name, []) for name in (parameters | more)}
    name = kind.rpartition("-")[2]
    if name in parameters:
        raise _invalid(f"The {name} is in both the body and the URL; send it once")
    try:
        return {**parameters, name: [data.decode()]}
    except UnicodeDecodeError as error:
        raise _invalid(f"The {name} is not valid UTF-8") from error


def _update_refused() -> HTTPProblem:
    return HTTPProblem(
        HTTPStatus.FORBIDDEN,
        "Updates are not supported: published data changes by harvests only",
    )


def _invalid(detail: str) -> HTTPProblem:
    return HTTPProblem(HTTPStatus.BAD_REQUEST, detail)


def parse_form(data: bytes) -> Parameters:
    """Parse percent-encoded parameters, each with all its values in order."""
    try:
        return parse_qs(data.decode(), keep_blank_values=True, errors="strict", max_num_fields=1000)
    except ValueError as error:
        raise _invalid(f"The parameters cannot be read: {error}") from error


def parse_request(
    parameters: Parameters, accept: str | None, base: str, rows: int | None
) -> QueryRequest:
    """Read the query in the parameters; *base* resolves its IRIs, *rows* limits the result."""
    text = single_value(parameters, "query")
    if "update" in parameters:
        raise _update_refused()
    if text is None:
        raise _invalid("The parameter query is missing")
    if len(text) > MAX_QUERY_BYTES:
        raise HTTPProblem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The query is longer than {MAX_QUERY_BYTES} characters",
        )
    if uses_service(text):
        raise FederationRefused(
            "SERVICE is not supported: query the other endpoint yourself and join the results"
        )
    table, graph = _formats(parameters.get("format", []), accept)
    default = graph_parameters(parameters, "default-graph-uri")
    named = graph_parameters(parameters, "named-graph-uri")
    # a dataset in the protocol replaces FROM (section 2.1.4)
    if default is not None or named is not None:
        default, named = default or (), named or ()
    return QueryRequest(text, table, graph, base, default, named, rows=rows)


def single_value(parameters: Parameters, name: str) -> str | None:
    """Return the value of a parameter that may occur once; raises HTTPProblem (400) if it is
    repeated.
    """
    values = parameters.get(name, [])
    if len(values) > 1:
        raise _invalid(f"The parameter {name} is given {len(values)} times; send it once")
    return values[0] if values else None


def _formats(named: list[str], accept: str | None) -> tuple[str | None, str | None]:
    """Return the table and graph formats, by the parameter ``format`` or else by Accept.

    No specification defines the parameter. Clients send a suffix, a name of their own or a media
    type, some several at once; the first known one counts.
    """
    if named := [name.strip().lower() for name in named if name.strip()]:
        table, graph = _first_known(named, TABLES), _first_known(named, GRAPHS)
        if table is None and graph is None:
            available = ", ".join([*TABLES, *GRAPHS])
            raise _invalid(f"Unknown format {named[0]!r}; available: {available}")
        return table or "json", graph or "ttl"
    tables, graphs = TABLES.values(), GRAPHS.values()
    best_table, best_graph = best_match(accept, tables), best_match(accept, graphs)
    if best_table is None and best_graph is None:
        raise not_acceptable((*tables, *graphs))
    return best_table.suffix if best_table else None, best_graph.suffix if best_graph else None


def _first_known(named: list[str], rows: Mapping[str, Format]) -> str | None:
    return next(
        (
            candidate.suffix
            for name in named
            for candidate in rows.values()
            if name
            in (candidate.suffix, *_FORMAT_NAMES.get(candidate.label, ()), *media_types(candidate))
        ),
        None,
    )


def graph_parameters(parameters: Parameters, name: str) -> tuple[str, ...] | None:
    """Read a parameter whose values are graph IRIs; None if it is absent."""
    for value in parameters.get(name, ()):
        if not is_iri(value):
            raise _invalid(f"The parameter {name} must be an absolute IRI, not {value}")
    return tuple(parameters[name]) if name in parameters else None


def parse_release(text: str | None) -> int | None:
    """Read the parameter ``release``, the number of a release; None if absent or empty."""
    if text and not re.fullmatch(r"[0-9]{1,9}", text):
        raise _invalid(f"The parameter release must be the number of a release, not {text!r}")
    return int(text) if text else None


def parse_timeout(text: str | None) -> float | None:
    """Read the parameter ``timeout`` in seconds; None if absent."""
    if text and not (_NUMBER.fullmatch(text) and 0 < float(text) < math.inf):
        raise _invalid(f"The parameter timeout must be a number of seconds above 0, not {text!r}")
    return float(text) if text else None
