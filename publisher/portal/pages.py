"""The pages that describe this installation and its data: ``/about``, ``/data``, ``/catalog`` in
DCAT-AP 3, ``/shapes`` with the validation rules, and ``/explain``, from a published statement to the
bytes of the registry that it comes from.
"""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Path, Query
from pyoxigraph import RdfFormat, parse, serialize
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response

from languages.translations import TranslatableText, current_locale
from publisher.catalog.datasets import SERVICES, load_catalog
from publisher.catalog.dcat import catalog_statements
from publisher.linked_data.entities import DESCRIPTION, other_formats
from publisher.linked_data.entities import serialize as serialize_entity
from publisher.pages import Pages, PagesDep, ServiceDep
from publisher.portal.visitors import VisitorCommand
from publisher.rdf import namespaces
from publisher.store.descriptions import Description, registry_rows
from publisher.store.query_service import query
from shapes.rules import message, published_turtle, remedy, rule_groups, version
from vocab.schemes import label
from vocab.terms import DCT, FOAF, LANGUAGES, ORG, RDFS, SCHEMA, SH, SIOC, SKOS, VIVO, XSD
from web.branding import LOGO, LOGO_TYPES
from web.endpoints import contents, get, other_contents, problems
from web.middleware import client_key
from web.respond import (
    DATA_FORMATS,
    FORMATS,
    GRAPHS,
    HTML,
    JSON,
    NO_STORE,
    Format,
    Link,
    ResourceURLs,
    choose_format,
    require,
    respond,
)

_CATALOG, _SHAPES = ResourceURLs("/catalog"), ResourceURLs("/shapes")
_EXPLANATIONS: dict[str, Format] = {"html": HTML, "json": JSON, "ttl": GRAPHS["ttl"]}
_PREFIXES = {
    "dct": DCT, "foaf": FOAF, "org": ORG, "rdfs": RDFS, "schema": SCHEMA, "sh": SH, "sioc": SIOC, "skos": SKOS, "vivo": VIVO, "xsd": XSD,
}  # fmt: skip
# Where pages are that people look for at these addresses.
_GUESSED = {"/api": "/docs/api", "/report": "/reports/"}

router = APIRouter()


@get(router, "/about", include_in_schema=False)
async def about(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    sources = {
        name: (row["title"], str(row.get("licence", "")))
        for name, row in (await registry_rows(service)).items()
    }
    return respond(
        request,
        pages.page("about.html", sources=[(name, *rest) for name, rest in sorted(sources.items())]),
        HTML,
    )


@get(router, "/about/design", include_in_schema=False)
def design(request: Request, pages: PagesDep) -> Response:
    return respond(request, pages.page("design.html"), HTML)


@get(router, "/api", include_in_schema=False)
@get(router, "/report", include_in_schema=False)
@get(router, "/help", include_in_schema=False)
async def guessed(request: Request, pages: PagesDep) -> Response:
    """Lead to the page that an address which people guess means."""
    help_page = "/docs/" if pages.documented else "/about"
    return RedirectResponse(_GUESSED.get(request.url.path, help_page), HTTPStatus.FOUND)


@get(router, "/data", include_in_schema=False)
async def data(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    language, base = current_locale().language, service.iris.base
    return respond(
        request,
        pages.page(
            "data.html",
            schemes=[
                (
                    row["scheme"].value,
                    label(row["scheme"].value, language, base) or row["title"].value,
                )
                for row in await service.rows(query("schemes"))
            ],
        ),
        HTML,
    )


@get(router, LOGO, include_in_schema=False)
async def logo(pages: PagesDep) -> Response:
    file = require(
        pages.branding.logo,
        TranslatableText("This installation has no logo of its own; STOCKTAKE_LOGO sets one"),
    )
    media, headers = LOGO_TYPES[file.suffix.lower()], {"Cache-Control": "public, max-age=3600"}
    return FileResponse(file, media_type=media, headers=headers)


catalog_router = APIRouter()


async def suffix_parameter(
    suffix: Annotated[
        str, Path(description="The format", json_schema_extra={"enum": list(FORMATS)})
    ],
) -> None:
    """Declare the parameter; an unknown format is no address. Raises HTTPProblem (404)."""
    require(suffix in FORMATS, TranslatableText("There is no such address"))


@get(catalog_router, "/catalog", include_in_schema=False)
@get(
    catalog_router,
    "/catalog.{suffix}",
    operation_id="catalog",
    summary="Describe all data sets and services, by DCAT-AP 3",
    tags=["have"],
    dependencies=[Depends(suffix_parameter)],
    response_description="The catalog",
    responses=other_contents(FORMATS.values(), DESCRIPTION) | problems(404, 503),
)
async def catalog(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """`/catalog` returns the format that the header Accept prefers."""
    chosen = choose_format(request, FORMATS, request.path_params.get("suffix"), _CATALOG)
    catalog = await load_catalog(service, request)
    iri = f"{service.iris.base}catalog"
    if chosen is HTML:
        content: bytes | Response = pages.page(
            "catalog.html",
            catalog=catalog,
            services=SERVICES,
            urls=_CATALOG,
            graphs=DATA_FORMATS.values(),
        )
    else:
        statements = catalog_statements(catalog, service.iris.base)
        description = Description(iri, statements, {}, namespaces(service.iris))
        content = serialize_entity(description, chosen, service)
    return _described(request, content, chosen, _CATALOG, Link("cite-as", iri))


def _described(
    request: Request, content: bytes | Response, chosen: Format, urls: ResourceURLs, *links: Link
) -> Response:
    place = {"Content-Location": urls.form(chosen)} if request.state.is_negotiated else {}
    others = urls.alternates(formats=other_formats(chosen))
    return respond(request, content, chosen, links=[*links, *others], headers=place)


shapes_router = APIRouter()


@get(shapes_router, "/shapes/{version}", include_in_schema=False)
@get(shapes_router, "/shapes.{suffix}", include_in_schema=False)
@get(shapes_router, "/shapes", include_in_schema=False)
def shapes(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Return the rules as a page, or their SHACL shapes in the format of the request; a version by
    its owl:versionIRI, of which there is one so far.
    """
    base, sent = service.iris.base, request.path_params
    current = version(base)
    require(
        sent.get("version", current) == current,
        TranslatableText(
            "This version isn't served here. Available: {formats}",
            formats=f"{base}shapes/{current}",
        ),
    )
    chosen = choose_format(request, FORMATS, sent.get("suffix"), _SHAPES)
    return _described(
        request,
        (_shapes_page(pages) if chosen is HTML else serialize_shapes(chosen, base)),
        chosen,
        _SHAPES,
    )


def _shapes_page(pages: Pages) -> Response:
    base, language = pages.iris.base, current_locale().language
    return pages.page(
        "shapes.html",
        groups=[
            (
                labels.get(language) or labels["en"],
                [
                    (rule, message(rule.iri, language, base), remedy(rule.iri, language, base))
                    for rule in listed
                ],
            )
            for labels, listed in rule_groups(base)
        ],
        graphs=DATA_FORMATS.values(),
        urls=_SHAPES,
    )


@lru_cache(maxsize=16)
def serialize_shapes(data_format: Format, base: str) -> bytes:
    """Serialize the shapes in *data_format*; as JSON, each rule with its messages and remedies by
    language.
    """
    if data_format.suffix == "json":
        rows = [
            {
                "id": rule.iri,
                "name": rule.name,
                "title": rule.title,
                "severity": rule.severity.value,
                "message": {language: message(rule.iri, language, base) for language in LANGUAGES},
                "remedy": {language: remedy(rule.iri, language, base) for language in LANGUAGES},
            }
            for _, listed in rule_groups(base)
            for rule in listed
        ]
        return orjson.dumps(rows, option=orjson.OPT_INDENT_2)
    triples = (
        quad.triple
        for quad in parse(published_turtle(base), format=RdfFormat.TURTLE, base_iri=base)
    )
    prefixes = {**_PREFIXES, "wsis": f"{base}ns#", "ops": f"{base}operations#"}
    return serialize(triples, format=GRAPHS[data_format.suffix].writer, prefixes=prefixes) or b""


explain_router = APIRouter()


@get(
    explain_router,
    "/explain",
    operation_id="explain",
    summary="Trace the statements of a record to run, request, bytes and field",
    tags=["read"],
    responses={
        **contents(*(item.media for item in _EXPLANATIONS.values())),
        **problems(400, 404, 406, 429, 503),
    },
)
async def explain(
    request: Request,
    pages: PagesDep,
    iri: Annotated[
        str,
        Query(
            max_length=2000, description="IRI of a record or of a thing, or the path of its page"
        ),
    ] = "",
    property: Annotated[
        str, Query(max_length=500, description="End of a property's IRI; all without it")
    ] = "",
) -> Response:
    """A statement that the archived record does not yield again is ours, such as our dates."""
    chosen, output = choose_format(request, _EXPLANATIONS), b""
    command: VisitorCommand | None = request.app.state.commands.get("explain")
    if iri and command is not None:
        name = "turtle" if chosen.suffix == "ttl" else "json"
        client = client_key(request.scope)
        output = await command.check(client, f"--format={name}", "--", iri, property)
    is_missing = bool(iri) and not output
    if chosen is HTML or not iri:
        return respond(
            request,
            pages.page(
                "explain.html",
                iri=iri,
                name=property,
                explanation=(orjson.loads(output) if output else None),
            ),
            HTML,
            status=HTTPStatus.NOT_FOUND if is_missing else HTTPStatus.OK,
            headers=NO_STORE,
        )
    require(
        not is_missing,
        TranslatableText(
            "There is nothing to explain: no such record, or this server is a mirror, which has neither ledger nor archive"
        ),
    )
    return respond(request, output, chosen, headers=NO_STORE)
