"""The validation rules: their SHACL shapes, and a page that explains each."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus

import orjson
from fastapi import APIRouter
from pyoxigraph import RdfFormat, parse, serialize
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale
from languages.translations import TranslatableText
from publisher.dependencies import PagesDep, ServiceDep
from publisher.linked_data.entities import other_formats
from publisher.pages import Pages
from shapes.rules import message, published_turtle, remedy, rule_groups, version
from vocab.product.check import LANGUAGES
from vocab.terms import DCT, FOAF, ORG, RDFS, SCHEMA, SH, SIOC, SKOS, VIVO, XSD
from web.endpoints import get
from web.formats import DATA_FORMATS, GRAPHS, HTML, Format
from web.problems import HTTPProblem
from web.representation import (
    Representation,
    ResourceURLs,
    build_response,
    is_negotiated,
    negotiate_format,
)

URLS = ResourceURLs("/shapes")
_PREFIXES = {
    "dct": DCT, "foaf": FOAF, "org": ORG, "rdfs": RDFS, "schema": SCHEMA, "sh": SH, "sioc": SIOC, "skos": SKOS, "vivo": VIVO, "xsd": XSD,
}  # fmt: skip


router = APIRouter()


@get(router, "/shapes/{version}", include_in_schema=False)
@get(router, "/shapes.{suffix}", include_in_schema=False)
@get(router, "/shapes", include_in_schema=False)
async def shapes(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Return the rules as a page, or their SHACL shapes in the format of the request; a version by
    its owl:versionIRI, of which there is one so far.
    """
    wanted, suffix = request.path_params.get("version"), request.path_params.get("suffix")
    if wanted not in (None, version(service.iris.base)):
        current = f"{service.iris.base}shapes/{version(service.iris.base)}"
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            TranslatableText(
                "This version isn't served here. Available: {formats}", formats=current
            ),
        )
    data_format = negotiate_format(request, URLS, suffix)
    negotiated = is_negotiated(request, suffix)
    base = service.iris.base
    body = _page(pages) if data_format is HTML else serialize_shapes(data_format, base)
    headers = {"Content-Location": URLS.form(data_format)} if negotiated else {}
    links = URLS.alternates(rows=other_formats(data_format))
    content = Representation(
        body, data_format.media, negotiated=negotiated, links=links, headers=headers
    )
    return build_response(request, content)


def _page(pages: Pages) -> bytes:
    base, language = pages.iris.base, current_locale().language
    groups = [
        (
            labels.get(language) or labels["en"],
            [
                (rule, message(rule.iri, language, base), remedy(rule.iri, language, base))
                for rule in listed
            ],
        )
        for labels, listed in rule_groups(base)
    ]
    return bytes(
        pages.page("shapes.html", groups=groups, graphs=DATA_FORMATS.values(), urls=URLS).body
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
