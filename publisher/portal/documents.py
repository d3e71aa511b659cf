"""Documents with the good practices among them, and posts; newest first, by type, country and
language.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale
from languages.translations import TranslatableText
from languages.translations import gettext as _
from publisher.dependencies import PagesDep, ServiceDep
from publisher.pages import Pages
from publisher.portal.data_lists import list_table
from publisher.portal.data_table import DataTable
from publisher.portal.dataset_response import dataset_response, format_links, register_dataset
from publisher.portal.dependencies import NamesDep, TablesDep
from publisher.portal.facet_filters import facet_parameters, parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.figures import Figures, query_page_url
from publisher.projections.facets.filter_query import listing
from publisher.projections.facets.queries import FacetIndex, ListItem
from publisher.projections.search.searcher import Marker, best_text, open_searcher
from publisher.store.query_service import QueryService
from web.problems import HTTPProblem

DATA = 1_000  # things in the tables of a page
PAGE_SIZE = 25  # things on a page
_LAST = 10_000 // PAGE_SIZE  # number of the last page
_EXCERPT_LENGTH = 260  # characters of a text's beginning
_PANELS = {
    "document": ("document", "line", "goal", "country", "language", "source", "year"),
    "post": ("source", "language", "year", "line", "goal"),
}
_PARAMETERS: list[dict[str, object]] = [
    *facet_parameters(),
    {
        "name": "page",
        "in": "query",
        "description": "The page that is shown; data have all",
        "schema": {"type": "integer", "minimum": 1, "maximum": _LAST},
    },
]
Text = tuple[str, str | None]  # with its language tag

router = APIRouter()


@register_dataset(
    router,
    "/documents",
    "documents",
    f"List documents and good practices, the newest {DATA}",
    _PARAMETERS,
)
def documents(
    request: Request, service: ServiceDep, pages: PagesDep, tables: TablesDep, names: NamesDep
) -> Response:
    """Counts by type, country and language are tables too."""
    return _respond(request, service, pages, tables, names, "document")


@register_dataset(router, "/posts", "posts", f"List posts, the newest {DATA}", _PARAMETERS)
def posts(
    request: Request, service: ServiceDep, pages: PagesDep, tables: TablesDep, names: NamesDep
) -> Response:
    """Counts by registry and language are tables too."""
    return _respond(request, service, pages, tables, names, "post")


def _respond(
    request: Request,
    service: QueryService,
    pages: Pages,
    tables: FacetIndex,
    names: FacetLabels,
    kind: str,
) -> Response:
    filters, number = parse_filters(request.query_params).with_codes("kind", kind), _number(request)
    query = listing(filters, service.iris)

    def data() -> list[DataTable]:
        newest = tables.list_things(filters, "newest", DATA)
        panels = Figures(tables, names, filters).bars(_PANELS[kind])
        title = f"{kind.capitalize()}s"
        return [list_table(f"{kind}s", title, newest, query), *(panel.table for panel in panels)]

    def page() -> Response:
        total = tables.count_different(filters)
        lines = tables.list_things(filters, "newest", PAGE_SIZE, (number - 1) * PAGE_SIZE)
        return pages.page(
            "documents.html",
            kind=kind,
            title=_("Documents and good practices") if kind == "document" else _("Posts"),
            total=total,
            page_number=number,
            last=max(1, -(-total.records // PAGE_SIZE)),
            items=_texts(lines, service.current.path),
            panels=Figures(tables, names, filters).bars(_PANELS[kind]),
            chosen=[
                (name, code, names.short(name, code))
                for name, codes in filters.chosen
                if name != "kind"
                for code in codes
            ],
            forms=format_links(request),
            query=query_page_url(query),
        )

    return dataset_response(request, service, data, page)


def _number(request: Request) -> int:
    text = request.query_params.get("page") or "1"
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _LAST):
        raise HTTPProblem(
            HTTPStatus.BAD_REQUEST,
            TranslatableText(
                "The parameter page is a whole number from 1 to {most}; narrow by the facets, or search",
                most=_LAST,
            ),
        )
    return int(text)


def _texts(lines: list[ListItem], snapshot: str) -> list[tuple[ListItem, Text, Text]]:
    """Return things with their titles and the beginnings of their texts in the language that fits
    best.
    """
    search, language, marker = open_searcher(snapshot), current_locale().language, Marker("")
    entries = search.entries(line.iri for line in lines) if search else [None] * len(lines)
    items = []
    for line, entry in zip(lines, entries, strict=True):
        title = best_text(entry.titles, marker, language) if entry else None
        text, tag = (best_text(entry.texts, marker, language) if entry else None) or ("", None)
        if len(text) > _EXCERPT_LENGTH:
            text = text[:_EXCERPT_LENGTH]
            text = f"{text.rpartition(' ')[0] or text} …"
        name = line.title or line.iri.rpartition("/")[2]
        items.append((line, title or (name, line.language), (text, tag)))
    return items
