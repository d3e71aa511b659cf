"""``/reconcile``: the Reconciliation Service API 0.2, with which OpenRefine and others match names to
our entities and extend their tables.

Source: https://www.w3.org/community/reports/reconciliation/CG-FINAL-specs-0.2-20230410/. The body of
an error is not specified; too many queries are answered with 413, as the manifest's ``batchSize``
announces.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated, Literal, TypeVar

import orjson
from fastapi import APIRouter, Query
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import current_locale
from publisher.apis.matching import (
    CONCEPT_TYPES,
    MAX_CANDIDATES,
    PROPERTIES,
    SCHEMES,
    TYPES,
    Candidate,
    Matcher,
    Property,
    title_of,
)
from publisher.data.properties import concept_name, facet_of_concept
from publisher.data.tables import FacetIndex, Filter
from publisher.errors import COST
from publisher.pages import (
    DOCUMENTATION,
    PagesDep,
    ServiceDep,
    get_pages,
    get_service,
    require_searcher,
)
from publisher.rdf import Row, Term, iri, namespaces
from publisher.sparql.endpoint import read_body, read_parameters, single_value
from publisher.store.query_service import QueryService
from publisher.store.query_service import query as stored_query
from publisher.store.search.index import parse_thing_iri
from vocab.iris import Iris
from vocab.lookup import fold
from vocab.schemes import Concept, concepts
from web.branding import Branding
from web.endpoints import get, problems, redirects, whole_number
from web.middleware import FRAMED_POLICY, MAX_BODY, client_key
from web.respond import HTML, JSON, HTTPProblem, origin, require, respond, see_other

BATCH_SIZE = 1_000  # queries of a batch, and entities of a data extension
MAX_VALUES = 20  # values of the properties of one query
PREVIEW_WIDTH, PREVIEW_HEIGHT = 400, 200  # pixels of the frame in which a client shows a preview
SUGGESTIONS = 10  # the most suggestions of a response
_VARY = {"Vary": "Accept-Language, Cookie"}  # names are in the language of the reader
Identifier = Annotated[
    str,
    Query(
        min_length=1,
        max_length=2_000,
        description="The IRI of an entity, or the name of a type or property",
    ),
]
Suggested = Literal["entity", "type", "property"]
Value = dict[str, object]

router = APIRouter()


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _as_text(value: object) -> str:
    """Return a property value as text: the identifier of an entity, else the value itself."""
    if isinstance(value, dict) and isinstance(value.get("id"), str):
        return str(value["id"])
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError('a value is a string, a number, a boolean or an object with an "id"')


def _check_name(names: Collection[str], kind: str, name: str) -> str:
    if name not in names:
        raise ValueError(f"unknown {kind} {name[:80]!r}; there are {', '.join(names)}")
    return name


PropertyName = Annotated[str, AfterValidator(partial(_check_name, PROPERTIES, "property"))]


class _StatedProperty(BaseModel):
    pid: PropertyName
    v: Annotated[list[Annotated[str, BeforeValidator(_as_text)]], BeforeValidator(_as_list)]


class _Query(BaseModel):
    """A query of a batch (section 4.1)."""

    model_config = ConfigDict(extra="forbid")
    query: str | None = None
    type: Annotated[
        list[Annotated[str, AfterValidator(partial(_check_name, TYPES, "type"))]],
        BeforeValidator(_as_list),
    ] = []
    limit: PositiveInt = 5
    properties: list[_StatedProperty] = []
    type_strict: Literal["any", "should", "all"] = "any"

    @model_validator(mode="after")
    def _has_content(self) -> _Query:
        if self.query is None and not self.properties:
            raise ValueError('it needs a "query" or "properties"')
        if sum(len(item.v) for item in self.properties) > MAX_VALUES:
            raise ValueError(f"it may have at most {MAX_VALUES} values of properties")
        return self


class _RequestedProperty(BaseModel):
    id: PropertyName


class _Extension(BaseModel):
    """A data extension query (section 7.3)."""

    ids: list[Annotated[str, Field(min_length=1)]]
    properties: list[_RequestedProperty]


Sent = TypeVar("Sent")
_QUERIES, _EXTENSION = TypeAdapter(dict[str, _Query]), TypeAdapter(_Extension)


def _parse(form: TypeAdapter[Sent], name: str, text: str) -> Sent:
    """Return what the field *name* of a form holds; raises HTTPProblem (400) that says where it is
    not valid.
    """
    try:
        return form.validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join([name, *(str(part)[:80] for part in fault["loc"])])
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST, f"{place}: {fault['msg'].removeprefix('Value error, ')}"
        ) from error


def _check_size(items: Collection[object], name: str) -> None:
    require(
        len(items) <= BATCH_SIZE,
        f"{name} has {len(items)} items; send at most {BATCH_SIZE} at a time, as batchSize of the manifest says",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )


@router.api_route("/reconcile", methods=["GET", "HEAD", "POST"], include_in_schema=False)
async def reconcile(request: Request) -> Response:
    """Return the manifest, the candidates of a batch of queries, or the values of a data extension
    query.
    """
    service, pages = await get_service(request), await get_pages(request)
    parameters = read_parameters(request, await read_body(request, MAX_BODY), ())
    queries, extension = single_value(parameters, "queries"), single_value(parameters, "extend")
    if queries is None and extension is None:
        require(
            request.method != "POST",
            "The form needs the field queries or extend",
            HTTPStatus.BAD_REQUEST,
        )
        return _json(
            request,
            _manifest(origin(request), service.iris, pages.branding, DOCUMENTATION.is_dir()),
        )
    require(
        queries is None or extension is None,
        "Send queries or extend, not both",
        HTTPStatus.BAD_REQUEST,
    )
    client, started = client_key(request.scope), time.monotonic()
    service.rate_limiter.admit(client)
    try:
        content = (
            await _match(service, queries)
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
    request: Request,
    service: ServiceDep,
    what: Suggested,
    prefix: Annotated[
        str, Query(max_length=2_000, description="What was typed so far, or an identifier")
    ] = "",
    cursor: Annotated[
        int, Query(ge=0, le=1_000, description="How many suggestions to skip"), whole_number(0)
    ] = 0,
) -> Response:
    """The Suggest service of the Reconciliation Service API."""
    if what == "entity":
        matcher = _open_matcher(service)
        suggestions = await asyncio.to_thread(
            matcher.suggestions, prefix.strip(), TYPES, cursor, SUGGESTIONS
        )
        return _json(request, {"result": [_suggestion(entity) for entity in suggestions]})
    begun = fold(prefix)
    rows = [
        {"id": name, "name": title_of(name)}
        for name in (TYPES if what == "type" else PROPERTIES)
        if fold(name).startswith(begun) or fold(title_of(name)).startswith(begun)
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
        name, text = entity.name, f"{title_of(entity.kind)} · {entity.description}"
    else:
        known = {"type": TYPES, "property": tuple(PROPERTIES)}[what]
        require(id in known, f"There is no {what} {id[:80]!r}; there are {', '.join(known)}")
        name = title_of(id)
        text = ", ".join(map(title_of, PROPERTIES[id].types)) if what == "property" else ""
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
    try:
        _check_name(("", *TYPES), "type", type)
    except ValueError as error:
        raise HTTPProblem(HTTPStatus.BAD_REQUEST, str(error)) from error
    named = [
        {"id": name, "name": title_of(name)}
        for name, item in PROPERTIES.items()
        if not type or type in item.types
    ]
    return _json(request, {"properties": named[:limit], "type": type, "limit": limit})


@get(router, "/reconcile/view", include_in_schema=False, responses=redirects(303))
async def view(request: Request, service: ServiceDep, pages: PagesDep, id: Identifier) -> Response:
    """Redirect to the page of an entity."""
    return see_other(request, pages.path(_entity(service, id).iri))


@get(router, "/reconcile/preview", include_in_schema=False)
async def preview(
    request: Request, service: ServiceDep, pages: PagesDep, id: Identifier
) -> Response:
    """Return a small page about an entity, which clients show in a frame of their own pages."""
    entity = _entity(service, id)
    content = pages.page(
        "reconcile_preview.html",
        entity=entity,
        type_title=title_of(entity.kind),
        page=pages.path(entity.iri),
    )
    return respond(request, content, HTML, headers={"Content-Security-Policy": FRAMED_POLICY})


def _manifest(host: str, iris: Iris, branding: Branding, documented: bool) -> dict[str, object]:
    """Return the manifest of the service at the origin *host*; *documented*: the documentation is
    served there too.
    """
    return {
        "versions": ["0.2"],
        "name": branding.name,
        "identifierSpace": iris.base,
        "schemaSpace": iris.ns,
        "defaultTypes": [{"id": name, "name": title_of(name)} for name in TYPES],
        "serviceVersion": version("stocktake"),
        "logo": host + branding.logo_url,
        "view": {"url": f"{host}/reconcile/view?id={{{{id}}}}"},
        "preview": {
            "url": f"{host}/reconcile/preview?id={{{{id}}}}",
            "width": PREVIEW_WIDTH,
            "height": PREVIEW_HEIGHT,
        },
        "suggest": {
            name: {
                "service_url": host,
                "service_path": f"/reconcile/suggest/{name}",
                "flyout_service_url": host,
                "flyout_service_path": f"/reconcile/flyout/{name}?id=${{id}}",
            }
            for name in ("entity", "type", "property")
        },
        "extend": {
            "propose_properties": {"service_url": host, "service_path": "/reconcile/properties"},
            "property_settings": [],
        },
        "batchSize": BATCH_SIZE,
        **({"documentation": f"{host}/docs/how-to/openrefine.html"} if documented else {}),
    }


async def _match(service: QueryService, text: str) -> dict[str, object]:
    queries = _parse(_QUERIES, "queries", text)
    _check_size(queries, "queries")
    matcher = _open_matcher(service)

    def match(query: _Query) -> object:
        values = defaultdict[str, list[str]](list)
        for item in query.properties:
            values[item.pid] += item.v
        types, limit = tuple(dict.fromkeys(query.type)) or TYPES, min(query.limit, MAX_CANDIDATES)
        return {"result": matcher.candidates(query.query or "", types, limit, values)}

    return await asyncio.to_thread(lambda: {key: match(query) for key, query in queries.items()})


async def _extend(service: QueryService, text: str) -> dict[str, object]:
    """Return the metadata of the requested properties, and for each entity their values; an unknown
    entity has none.
    """
    extension = _parse(_EXTENSION, "extend", text)
    _check_size(extension.ids, "extend.ids")
    matcher, requested = (
        _open_matcher(service),
        [PROPERTIES[item.id] for item in extension.properties],
    )
    entities = {name: matcher.entity(name) for name in extension.ids}
    things = [
        name for name, entity in entities.items() if entity and entity.kind not in CONCEPT_TYPES
    ]
    statements = await _statements(service, things, requested)

    def rows() -> dict[str, dict[str, list[Value]]]:
        return {
            name: {item.name: _values(item, entity, service, statements) for item in requested}
            for name, entity in entities.items()
        }

    meta = [
        {
            "id": item.name,
            "name": title_of(item.name),
            **(
                {"type": {"id": item.value_type, "name": title_of(item.value_type)}}
                if item.value_type
                else {}
            ),
        }
        for item in requested
    ]
    return {"meta": meta, "rows": await asyncio.to_thread(rows)}


def _open_matcher(service: QueryService) -> Matcher:
    return Matcher(require_searcher(service), service.iris)


def _entity(service: QueryService, iri: str) -> Candidate:
    entity = _open_matcher(service).entity(iri)
    return require(entity, f"No entity has the identifier {iri[:200]!r}")


def _suggestion(entity: Candidate) -> dict[str, object]:
    return {
        "id": entity.iri,
        "name": entity.name,
        "description": entity.description,
        "notable": [{"id": entity.kind, "name": title_of(entity.kind)}],
    }


def _json(request: Request, content: dict[str, object]) -> Response:
    headers = {**_VARY, "Content-Language": current_locale().language}
    return respond(request, orjson.dumps(content), JSON, headers=headers)


async def _statements(
    service: QueryService, things: list[str], requested: Iterable[Property]
) -> dict[tuple[str, str], list[Row]]:
    """Return the statements of *things* with the predicates of the properties, by thing and
    predicate.
    """
    predicates = sorted({_predicate(item, service.iris) for item in requested if item.predicate})
    rows = defaultdict[tuple[str, str], list[Row]](list)
    if things and predicates:
        text = stored_query("reconcile-values").replace("THINGS", " ".join(map(iri, things)))
        text = text.replace("PROPERTIES", " ".join(map(iri, predicates)))
        for row in await service.rows(text):
            rows[row["thing"].value, row["property"].value].append(row)
    return rows


def _predicate(item: Property, iris: Iris) -> str:
    prefix, _, local = item.predicate.partition(":")
    return namespaces(iris)[prefix] + local


def _values(
    item: Property,
    entity: Candidate | None,
    service: QueryService,
    statements: dict[tuple[str, str], list[Row]],
) -> list[Value]:
    iris = service.iris
    if entity is None or entity.kind not in item.types:
        return []
    if item.predicate:
        return _stated(item, statements.get((entity.iri, _predicate(item, iris)), []), iris)
    if item.name == "name":
        return [{"str": entity.name}]
    if item.name == "initiatives":
        return [{"int": _count_initiatives(entity, iris, service.tables)}]
    if entity.kind in CONCEPT_TYPES:
        concept = concepts(SCHEMES[entity.kind], iris.base)[entity.iri]
        return [{"str": text} for text in _OF_CONCEPT[item.name](concept)]
    parsed = parse_thing_iri(entity.iri, iris.base)
    return [{"str": parsed[1]}] if parsed else []


_OF_CONCEPT: dict[str, Callable[[Concept], Iterable[str]]] = {
    "code": lambda concept: concept.notations[:1],
    "iso2": lambda concept: (code for code in concept.codes if len(code) == 2),
    "iso3": lambda concept: (code for code in concept.codes if len(code) == 3),
}


def _stated(item: Property, rows: list[Row], iris: Iris) -> list[Value]:
    """Return the values that *rows* state, each once: entities with their names in the language of
    the request, else texts.
    """
    language = current_locale().language
    names = defaultdict[Term, list[Term]](list)
    for row in rows:
        names[row["value"]] += [row["name"]] if "name" in row else []

    def order(term: Term) -> tuple[int, str]:
        wanted = (language, "en", None)
        return wanted.index(term.language) if term.language in wanted else 3, term.value

    def value(term: Term) -> Value:
        known = concept_name(term.value, language, iris.base) if term.is_iri else None
        if not item.value_type or not term.is_iri:
            return {"str": known or term.value}
        titles = sorted(names[term], key=order)
        return {"id": term.value, "name": known or str(next(iter(titles), term))}

    return [value(term) for term in sorted(names, key=order)]


def _count_initiatives(entity: Candidate, iris: Iris, tables: FacetIndex) -> int:
    """Count the initiatives of an entity: those that its registry declares to be linked, or in
    which an organization takes part.
    """
    initiatives = Filter().with_codes("kind", "initiative")
    if entity.kind == "organization":
        return tables.count_different(replace(initiatives, party=entity.iri))
    facet, code = facet_of_concept(entity.iri, iris) or ("", "")
    return tables.count_different(initiatives.with_codes(facet, code))
