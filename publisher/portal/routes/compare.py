"""Serve ``/compare``: two topics side by side, each an action line, a goal, a region or a country."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.translations import gettext as _
from publisher.facets.filter_query import make_filter
from publisher.facets.queries import FacetIndex
from publisher.http.endpoints import get
from publisher.http.problems import HTTPProblem
from publisher.http.representation import Representation, build_response
from publisher.pages.dataset_response import require_facet_index
from publisher.pages.dependencies import PagesDep, ServiceDep
from publisher.portal.entity_statistics import COMPARED
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import FacetPanel, facet_panels, sort_key
from publisher.portal.profile import Profile, profile

PANELS = ("goal", "line", "country", "region", "year")  # figures of each side, except that of its own facet


class Side(NamedTuple):
    """A topic of the comparison."""

    name: str
    href: str
    profile: Profile
    panels: tuple[FacetPanel, ...]


router = APIRouter()


@get(router, "/compare", include_in_schema=False)
async def compare(request: Request, service: ServiceDep, pages: PagesDep) -> Response:
    """Show the topics *one* and *other* side by side."""
    tables, names = require_facet_index(service), FacetLabels(service.iris)
    chosen = [request.query_params.get(name, "") for name in ("one", "other")]
    topics = await asyncio.to_thread(_topics, tables, names)
    known = {key for _title, items in topics for key, _name in items}
    if unknown := [topic for topic in chosen if topic and topic not in known]:
        raise HTTPProblem(
            HTTPStatus.NOT_FOUND,
            f"No initiative has the topic {unknown[0][:80]!r}. "
            "Name topics as FACET/CODE, such as country/404",
        )
    sides = [await asyncio.to_thread(_side, topic, tables, names) for topic in chosen if topic]
    page = pages.page("compare.html", topics=topics, chosen=chosen, sides=sides)
    return build_response(request, Representation(bytes(page.body), "text/html; charset=utf-8"))


def _topics(tables: FacetIndex, names: FacetLabels) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the topics that initiatives have by facet: title, and of each topic its key and name."""
    counts = tables.counts(make_filter(kind="initiative"))
    titles = {
        "line": _("Action lines"),
        "goal": _("SDGs"),
        "region": _("Regions"),
        "country": _("Countries"),
    }
    topics = []
    for facet in COMPARED:
        items = [(f"{facet}/{code}", names.short(facet, code)) for code in counts.get(facet, {})]
        by_code = facet in ("line", "goal")
        items.sort(
            key=lambda item: (
                sort_key("line", item[0].partition("/")[2], 0) if by_code else (item[1],)
            )
        )
        topics.append((titles[facet], items))
    return topics


def _side(topic: str, tables: FacetIndex, names: FacetLabels) -> Side:
    facet, _slash, code = topic.partition("/")
    filters = make_filter(kind="initiative", **{facet: code})
    panel_facets = [name for name in PANELS if name != facet]
    panels = tuple(facet_panels(tables, filters, panel_facets, names))
    return Side(
        names.short(facet, code), names.page(facet, code), profile(tables, filters, names), panels
    )
