"""Runs: when, of which source, and its account."""

from __future__ import annotations

from dataclasses import replace

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import DATA_FORMATS
from publisher.http.links import Link
from publisher.linked_data.content_response import Resource, respond
from publisher.linked_data.document_lookup import Document, find_document
from publisher.linked_data.run_statistics import read_statistics, statistics_json
from publisher.pages.templating import Pages
from publisher.store.descriptions import Description, describe_graph
from publisher.store.query_service import QueryService


def router(service: QueryService, pages: Pages) -> APIRouter:
    """Give the route of the runs."""
    routes = APIRouter()

    async def run(request: Request) -> Response:
        found = await find_document(request, service, of_run, 2)
        plain = orjson.dumps(statistics_json(found.it), option=orjson.OPT_INDENT_2)
        subject = Resource(found.it, found.place, graph=found.it.iri, links=(Link("cite-as", found.it.iri),), plain=plain)
        return await respond(request, service, subject, found.suffix, lambda: _show(found))

    async def _show(found: Document) -> Response:
        return pages.page("run.html", it=found.it, account=read_statistics(found.it), graphs=DATA_FORMATS.values(), place=found.place)

    routes.add_route("/run/{rest:path}", run, methods=["GET", "HEAD"])
    return routes


async def of_run(service: QueryService, run: str) -> Description:
    """Describe a run: from its own graph, or from the status graph where it wrote no journal entry."""
    told = await describe_graph(service, run)
    if told.statements:
        return told
    status = await describe_graph(service, service.iris.status, run)
    return replace(status, statements=tuple(it for it in status.statements if it.subject == run or it.subject.startswith(f"{run}#")))
