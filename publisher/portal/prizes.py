"""Serve ``/prizes``: projects with WSIS Prizes by year and category, and list the prizes of one."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from languages.request_locale import current_locale
from publisher.dependencies import PagesDep, ServiceDep
from publisher.portal.data_lists import prize_table
from publisher.portal.data_table import DataTable
from publisher.portal.dataset_response import dataset_response, format_links, register_dataset
from publisher.portal.dependencies import NamesDep, TablesDep
from publisher.portal.facet_filters import facet_parameters, parse_filters
from publisher.portal.figures import Figures, sort_key
from publisher.projections.facets.filter_query import listing
from publisher.projections.facets.queries import Prize
from publisher.rdf.results import iri
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from vocab.schemes import label

_STAGES = ("winner", "champion", "nominee")  # the highest first

router = APIRouter()


@register_dataset(
    router,
    "/prizes",
    "prizes",
    "List WSIS Prize winners, champions and nominees, by year and category",
    facet_parameters(),
)
def prizes(
    request: Request, service: ServiceDep, pages: PagesDep, tables: TablesDep, names: NamesDep
) -> Response:
    """A prize has a category, a year and a stage: nominated, champion or winner."""
    filters = parse_filters(request.query_params)
    figures = Figures(tables, names, filters)
    panels, pairs = (
        figures.bars(("prizeyear", "prize", "stage")),
        figures["pairs/by-year-and-category"],
    )
    years = tables.prize_years(filters)
    chosen = request.query_params.get("prizeyear") or next(iter(years), "")

    def sheets() -> list[DataTable]:
        text = listing(filters, service.iris)
        both = replace(pairs.table, title="Prizes by year and category")
        listed = prize_table("prizes", "Prizes", tables.prizes(filters), text)
        return [listed, both, *(panel.table for panel in panels)]

    def render() -> Response:
        categories, stages = filters.codes("prize"), filters.codes("stage")
        listed = [
            prize
            for prize in tables.prizes(filters, chosen)
            if (not categories or prize.category in categories)
            and (not stages or prize.stage in stages)
        ]
        return pages.page(
            "prizes.html",
            years=years,
            chosen=chosen,
            categories=by_category(listed),
            names=names,
            panels=panels,
            forms=format_links(request),
            query=pairs.query,
        )

    return dataset_response(request, service, sheets, render)


def by_category(prizes: list[Prize]) -> list[tuple[str, list[Prize]]]:
    """Return prizes by category, in the order of their codes, each with the highest stage first."""
    stages = {stage: rank for rank, stage in enumerate(_STAGES)}
    ranked = sorted(
        prizes,
        key=lambda prize: (
            sort_key("goal", prize.category or ""),
            stages.get(prize.stage or "", len(stages)),
            prize.title or "",
            prize.iri,
        ),
    )
    groups = groupby(ranked, key=lambda prize: prize.category or "")
    return [(category, list(group)) for category, group in groups]


class Award(NamedTuple):
    """A prize in the record of a contest: the IRI of its thing, and its names in the language of
    the request, "" where there is none.
    """

    iri: str
    year: str
    category: str
    stage: str
    name: str


async def awards_of(service: QueryService, thing: str) -> list[Award]:
    """Return the prizes for which other records name a thing, the newest first: those of a contest
    have records of their own.
    """
    rows = await service.rows(query("awards-of"), {"thing": iri(thing)})
    language, base = current_locale().language, service.iris.base
    texts: dict[tuple[str, str, str, str], dict[str | None, str]] = {}
    for row in rows:
        stage, year = row.get("stage"), row.get("year")
        facts = (
            row["award"].value,
            year.value if year else "",
            label(row["category"].value, language, base) or row["category"].value,
            (label(stage.value, language, base) or stage.value) if stage else "",
        )
        name = row.get("name")
        texts.setdefault(facts, {})[name.language if name else None] = name.value if name else ""
    awards = [
        Award(*facts, names.get(language) or names.get("en") or next(iter(names.values())))
        for facts, names in texts.items()
    ]
    return sorted(awards, key=lambda award: (award.year, award.iri), reverse=True)
