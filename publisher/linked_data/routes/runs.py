"""``/run/``: the time, source and statistics of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from publisher.dependencies import PagesDep, ServiceDep
from publisher.linked_data.content_response import Resource, respond
from publisher.linked_data.document_lookup import Document, find_document
from publisher.linked_data.run_statistics import RunJson, read_statistics, statistics_json
from publisher.pages import Pages
from publisher.store.descriptions import Description, describe_graph
from publisher.store.query_service import QueryService
from web.endpoints import get, problems
from web.formats import DATA_FORMATS
from web.links import Link


async def run_parameters(
    run: Annotated[str, Path(min_length=1, description="The run's name")],
) -> None:
    """Declare the parameter; the name is read from the raw path."""


router = APIRouter()


@get(router, "/run/{rest:path}", include_in_schema=False)
@get(
    router,
    "/run/{run}.json",
    operation_id="run",
    summary="Return the statistics of a run",
    tags=["read"],
    dependencies=[Depends(run_parameters)],
    response_model=RunJson,
    response_description="Its source, times, outcome, counts and requests",
    responses=problems(404, 503),
)
async def run(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """A run without changes has statistics only."""
    document = await find_document(request, service, of_run, 2)
    description = document.description
    plain = orjson.dumps(statistics_json(description), option=orjson.OPT_INDENT_2)
    links = (Link("cite-as", description.iri),)
    subject = Resource(description, document.urls, graph=description.iri, links=links, plain=plain)
    return await respond(request, service, subject, document.suffix, lambda: _show(pages, document))


async def _show(pages: Pages, document: Document) -> Response:
    return pages.page(
        "run.html",
        description=document.description,
        account=read_statistics(document.description),
        graphs=DATA_FORMATS.values(),
        urls=document.urls,
    )


async def of_run(service: QueryService, run: str) -> Description:
    """Return the description of a run: from its own graph, or from the status graph if it wrote no
    journal entry.
    """
    description = await describe_graph(service, run)
    if description.statements:
        return description
    status = await describe_graph(service, service.iris.status, run)
    return replace(
        status,
        statements=tuple(
            statement
            for statement in status.statements
            if statement.subject == run or statement.subject.startswith(f"{run}#")
        ),
    )
