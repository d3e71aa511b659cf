"""Runs: when, of which source, and its account."""

from __future__ import annotations

from dataclasses import replace

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from publisher.formats import DATA
from publisher.http.links import Link
from publisher.linked_data.content_response import Subject, tell
from publisher.linked_data.document_lookup import Named, named
from publisher.linked_data.run_statistics import account, as_json
from publisher.pages.templating import Pages
from publisher.store.descriptions import Description, of_graph
from publisher.store.query_service import Shelf


def router(shelf: Shelf, pages: Pages) -> APIRouter:
    """Give the route of the runs."""
    routes = APIRouter()

    async def run(request: Request) -> Response:
        found = await named(request, shelf, of_run, 2)
        plain = orjson.dumps(as_json(found.it), option=orjson.OPT_INDENT_2)
        subject = Subject(found.it, found.place, graph=found.it.iri, links=(Link("cite-as", found.it.iri),), plain=plain)
        return await tell(request, shelf, subject, found.suffix, lambda: _show(found))

    async def _show(found: Named) -> Response:
        return pages.page("run.html", it=found.it, account=account(found.it), graphs=DATA.values(), place=found.place)

    routes.add_route("/run/{rest:path}", run, methods=["GET", "HEAD"])
    return routes


async def of_run(shelf: Shelf, run: str) -> Description:
    """Describe a run: from its own graph, or from the status graph where it wrote no journal entry."""
    told = await of_graph(shelf, run)
    if told.statements:
        return told
    status = await of_graph(shelf, shelf.iris.status, run)
    return replace(status, statements=tuple(it for it in status.statements if it.subject == run or it.subject.startswith(f"{run}#")))
