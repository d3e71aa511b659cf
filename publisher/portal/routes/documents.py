"""Documents with the good practices among them, and posts; newest first, by type, country and
language.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import TranslatableText
from languages.translations import gettext as _
from publisher.dependencies import PagesDep, ServiceDep, require_facet_index
from publisher.pages import Pages
from publisher.portal.data_lists import list_table
from publisher.portal.dataset_response import dataset_response, format_links, register_dataset
from publisher.portal.facet_filters import facet_parameters, parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.figures import Figures, query_page_url
from publisher.portal.paged_listing import PAGE_SIZE, listing_page
from publisher.portal.sources import source_titles
from publisher.projections.facets.filter_query import listing
from publisher.store.query_service import QueryService
from web.problems import HTTPProblem

DATA = 1_000  # things in the tables of a page
_PANELS = {
    "document": ("document", "line", "goal", "country", "language", "source", "year"),
    "post": ("source", "language", "year", "line", "goal"),
}


_PAGE_PARAMETER: dict[str, object] = {
    "name": "page",
    "in": "query",
    "description": "The page that is shown; data have all",
    "schema": {"type": "integer", "minimum": 1, "maximum": 10_000 // PAGE_SIZE},
}

router = APIRouter()
_PARAMETERS = [*facet_parameters(), _PAGE_PARAMETER]


@register_dataset(
    router,
    "/documents",
    "documents",
    f"List documents and good practices, the newest {DATA}",
    _PARAMETERS,
)
async def documents(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Counts by type, country and language are tables too."""
    return await _respond(request, service, pages, "document")


@register_dataset(router, "/posts", "posts", f"List posts, the newest {DATA}", _PARAMETERS)
async def posts(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Counts by registry and language are tables too."""
    return await _respond(request, service, pages, "post")


async def _respond(request: Request, service: QueryService, pages: Pages, kind: str) -> Response:
    tables = require_facet_index(service)
    names = FacetLabels(service.iris, await source_titles(service))
    filters, number = parse_filters(request.query_params).with_codes("kind", kind), _number(request)
    text = listing(filters, service.iris)
    panels = await asyncio.to_thread(Figures(tables, names, filters).bars, _PANELS[kind])
    newest = await asyncio.to_thread(tables.list_things, filters, "newest", DATA)
    sheets = [
        list_table(f"{kind}s", f"{kind.capitalize()}s", newest, text),
        *(panel.table for panel in panels),
    ]

    def show() -> Response:
        page = listing_page(tables, service.current.path, filters, "newest", number)
        title = _("Documents and good practices") if kind == "document" else _("Posts")
        chosen = [
            (name, code, names.short(name, code))
            for name, codes in filters.chosen
            if name != "kind"
            for code in codes
        ]
        return pages.page(
            "documents.html",
            kind=kind,
            title=title,
            document_list=page,
            panels=panels,
            chosen=chosen,
            forms=format_links(request),
            query=query_page_url(text),
        )

    return await asyncio.to_thread(dataset_response, request, service, sheets, show)


def _number(request: Request) -> int:
    text = request.query_params.get("page") or "1"
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= 10_000 // PAGE_SIZE):
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText(
                "The parameter page is a whole number from 1 to {most}; narrow by the facets, or search",
                most=10_000 // PAGE_SIZE,
            ),
        )
    return int(text)
