"""``/reconcile``: the Reconciliation Service API 0.2, for OpenRefine and other clients.

Source: https://www.w3.org/community/reports/reconciliation/CG-FINAL-specs-0.2-20230410/
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale
from publisher.apis.reconcile.batch import NameQuery, check_type, parse_extension, parse_queries
from publisher.apis.reconcile.extension import extend
from publisher.apis.reconcile.manifest import manifest
from publisher.apis.reconcile.matcher import Candidate, Matcher
from publisher.apis.reconcile.model import PROPERTIES, TYPES, property_title, type_title
from publisher.dependencies import PagesDep, ServiceDep, get_pages, get_service
from publisher.errors import COST, NotReady
from publisher.pages import DOCUMENTATION
from publisher.projections.search.searcher import open_searcher
from publisher.sparql.protocol import read_body, read_parameters, single_value
from publisher.store.query_service import QueryService
from publisher.store.workers.rate_limit import client_key
from vocab.normalization import fold
from web.endpoints import get, problems, redirects, whole_number
from web.formats import JSON
from web.links import origin
from web.middleware import CONTENT_SECURITY_POLICY, MAX_BODY
from web.problems import HTTPProblem
from web.respond import respond, see_other

SUGGESTIONS = 10  # of one response
_PART = 50  # queries of a batch that are matched before other requests have their turn
_VARY = {"Vary": "Accept-Language, Cookie"}  # names are in the language of the reader
# Clients show previews in a frame of their own page.
_FRAMED = CONTENT_SECURITY_POLICY.replace("frame-ancestors 'none'", "frame-ancestors *")
Identifier = Annotated[
    str,
    Query(
        min_length=1,
        max_length=2_000,
        description="The IRI of an entity, or the name of a type or property",
    ),
]
Prefix = Annotated[
    str, Query(max_length=2_000, description="What was typed so far, or an identifier")
]
Cursor = Annotated[
    int, Query(ge=0, le=1_000, description="How many suggestions to skip"), whole_number(0)
]
Suggested = Literal["entity", "type", "property"]

router = APIRouter()


@router.api_route("/reconcile", methods=["GET", "HEAD", "POST"], include_in_schema=False)
async def reconcile(request: Request) -> Response:
    """Return the manifest, the candidates of a batch of queries, or the values of a data extension
    query.
    """
    service, pages = await get_service(request), await get_pages(request)
    parameters = read_parameters(request, await read_body(request, MAX_BODY), ())
    queries, extension = single_value(parameters, "queries"), single_value(parameters, "extend")
    if queries is None and extension is None:
        if request.method == "POST":
            raise HTTPProblem(HTTPStatus.BAD_REQUEST, "The form needs the field queries or extend")
        return _json(
            request, manifest(origin(request), service.iris, pages.branding, DOCUMENTATION.is_dir())
        )
    if queries is not None and extension is not None:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, "Send queries or extend, not both")
    client, started = client_key(request.scope), time.monotonic()
    service.rate_limiter.admit(client)
    try:
        content = (
            await _match(service, parse_queries(queries))
            if queries is not None
            else await _extend(service, extension or "")
        )
    finally:
        seconds = time.monotonic() - started
        service.rate_limiter.charge(client, seconds)
    response = _json(request, content)
    response.headers[COST] = f"{seconds:.3f}"
    return response


@get(
    router,
    "/reconcile/suggest/{what}",
    operation_id="suggestForReconciliation",
    summary="Complete the name of an entity, a type or a property",
    tags=["find"],
    response_description="The suggestions, each with id and name",
    responses=problems(400, 404, 503),
)
async def suggest(
    request: Request, service: ServiceDep, what: Suggested, prefix: Prefix = "", cursor: Cursor = 0
) -> Response:
    """The Suggest service of the Reconciliation Service API."""
    if what == "entity":
        matcher = _open_matcher(service)
        suggestions = await asyncio.to_thread(
            matcher.suggestions, prefix.strip(), TYPES, cursor, SUGGESTIONS
        )
        return _json(request, {"result": [_suggestion(entity) for entity in suggestions]})
    named = (
        {name: type_title(name) for name in TYPES}
        if what == "type"
        else {name: property_title(name) for name in PROPERTIES}
    )
    begun = fold(prefix)
    rows = [
        {"id": name, "name": title}
        for name, title in named.items()
        if fold(name).startswith(begun) or fold(title).startswith(begun)
    ]
    return _json(request, {"result": rows[cursor : cursor + SUGGESTIONS] if cursor else rows})


@get(
    router,
    "/reconcile/flyout/{what}",
    operation_id="flyoutForReconciliation",
    summary="Preview a suggestion as HTML",
    tags=["find"],
    response_description="The identifier and its preview",
    responses=problems(400, 404, 503),
)
async def flyout(
    request: Request, service: ServiceDep, pages: PagesDep, what: Suggested, id: Identifier
) -> Response:
    """The Flyout service of the Reconciliation Service API."""
    if what == "entity":
        entity = _entity(service, id)
        name, text = entity.name, f"{type_title(entity.kind)} · {entity.description}"
    else:
        known = {"type": TYPES, "property": tuple(PROPERTIES)}[what]
        if id not in known:
            raise HTTPProblem(
                HTTPStatus.NOT_FOUND,
                f"There is no {what} {id[:80]!r}; there are {', '.join(known)}",
            )
        name, text = (
            (type_title(id), "")
            if what == "type"
            else (property_title(id), ", ".join(map(type_title, PROPERTIES[id].types)))
        )
    html = bytes(pages.page("reconcile_flyout.html", name=name, text=text).body).decode()
    return _json(request, {"id": id, "html": html})


@get(
    router,
    "/reconcile/properties",
    operation_id="propertiesForReconciliation",
    summary="List the properties of a type, for data extension",
    tags=["find"],
    response_description="The properties, each with id and name",
    responses=problems(400),
)
async def properties(
    request: Request,
    type: Annotated[
        str,
        Query(
            description="The type; without it, all are listed",
            json_schema_extra={"enum": list(TYPES)},
        ),
    ] = "",
    limit: Annotated[
        int,
        Query(ge=1, le=1_000, description="The largest number of properties"),
        whole_number(1_000),
    ] = 1_000,
) -> Response:
    """The property proposals of the Data Extension service."""
    kind = check_type(type, "type") if type else ""
    named = [
        {"id": name, "name": property_title(name)}
        for name, item in PROPERTIES.items()
        if not kind or kind in item.types
    ]
    return _json(request, {"properties": named[:limit], "type": kind, "limit": limit})


@get(router, "/reconcile/view", include_in_schema=False, responses=redirects(303))
async def view(request: Request, service: ServiceDep, pages: PagesDep, id: Identifier) -> Response:
    """Redirect to the page of an entity."""
    return see_other(request, pages.path(_entity(service, id).iri))


@get(router, "/reconcile/preview", include_in_schema=False)
async def preview(
    request: Request, service: ServiceDep, pages: PagesDep, id: Identifier
) -> Response:
    """Return a small page about an entity, for the frame of a client."""
    entity = _entity(service, id)
    response = pages.page(
        "reconcile_preview.html",
        entity=entity,
        type_title=type_title(entity.kind),
        page=pages.path(entity.iri),
    )
    response.headers["Content-Security-Policy"] = _FRAMED
    return response


async def _match(service: QueryService, queries: dict[str, NameQuery]) -> dict[str, object]:
    matcher, remaining = _open_matcher(service), iter(queries.items())
    results: dict[str, object] = {}
    while part := list(islice(remaining, _PART)):
        results |= await asyncio.to_thread(_match_part, matcher, part)
    return results


def _match_part(matcher: Matcher, part: Sequence[tuple[str, NameQuery]]) -> dict[str, object]:
    return {key: {"result": matcher.candidates(query)} for key, query in part}


async def _extend(service: QueryService, text: str) -> dict[str, object]:
    request = parse_extension(text)
    return await extend(service, _open_matcher(service), request)


def _open_matcher(service: QueryService) -> Matcher:
    searcher = open_searcher(service.current.path)
    if searcher is None:
        raise NotReady("the search index is being prepared; try again in a minute")
    return Matcher(searcher, service.iris)


def _entity(service: QueryService, iri: str) -> Candidate:
    entity = _open_matcher(service).entity(iri)
    if entity is None:
        raise HTTPProblem(HTTPStatus.NOT_FOUND, f"No entity has the identifier {iri[:200]!r}")
    return entity


def _suggestion(entity: Candidate) -> dict[str, object]:
    notable = [{"id": entity.kind, "name": type_title(entity.kind)}]
    return {
        "id": entity.iri,
        "name": entity.name,
        "description": entity.description,
        "notable": notable,
    }


def _json(request: Request, content: dict[str, object]) -> Response:
    headers = {**_VARY, "Content-Language": current_locale().language}
    return respond(request, orjson.dumps(content), JSON, headers=headers)
