"""``/examples``: the example queries as a page and as RDF, all together or one at a time."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pyoxigraph import serialize
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText
from publisher.formats import GRAPHS
from publisher.http.endpoints import contents, format_parameter, get, problems
from publisher.http.pages.dependencies import PagesDep, ServiceDep
from publisher.http.pages.templating import Pages
from publisher.http.problems import HTTPProblem
from publisher.http.representation import negotiate_data_format
from publisher.sparql.examples.durations import read_durations
from publisher.sparql.examples.example import Example, example, examples, triples
from publisher.store.query_service import QueryService
from vocab.terms import RDFS, SCHEMA, SH

_PREFIXES = {"rdfs": RDFS, "schema": SCHEMA, "sh": SH}


FormatName = Annotated[str | None, format_parameter(GRAPHS)]
ExampleName = Annotated[str, Path(description="The name of the example; `/examples` lists them")]

router = APIRouter()
_DOCUMENTATION: dict[str, Any] = {
    "tags": ["ask"],
    "response_class": Response,
    "response_description": "A graph",
}
_CONTENTS = contents(*(graph_format.media for graph_format in GRAPHS.values()))


@get(
    router,
    "/examples",
    operation_id="examples",
    summary="Return all example queries",
    responses=_CONTENTS | problems(406),
    **_DOCUMENTATION,
)
async def all_examples(
    request: Request, service: ServiceDep, pages: PagesDep, format: FormatName = None
) -> Response:
    """Each has its question in words and its query."""
    return _answer(request, service, pages, examples(service.iris), None, format)


@get(
    router,
    "/examples/{name}",
    operation_id="example",
    summary="Return one example query",
    responses=_CONTENTS | problems(404, 406),
    **_DOCUMENTATION,
)
async def one_example(
    request: Request,
    service: ServiceDep,
    pages: PagesDep,
    name: ExampleName,
    format: FormatName = None,
) -> Response:
    """It has its question in words and its query."""
    chosen = example(service.iris, name)
    if chosen is None:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND, TranslatableText("Example not found; see /examples")
        )
    return _answer(request, service, pages, (chosen,), chosen.name, format)


def _answer(
    request: Request,
    service: QueryService,
    pages: Pages,
    listed: tuple[Example, ...],
    name: str | None,
    suffix: str | None,
) -> Response:
    graph_format = negotiate_data_format(request, GRAPHS, suffix)
    if graph_format is None:
        return pages.page(
            "examples.html",
            examples=listed,
            only=name,
            times=read_durations(service.data),
            graphs=GRAPHS.values(),
        )
    body = (
        serialize(triples(service.iris, name), format=graph_format.writer, prefixes=_PREFIXES)
        or b""
    )
    return Response(body, headers={"Content-Type": graph_format.media, "Vary": "Accept"})
