"""The facet tables and the labels of facets, as dependencies of route handlers."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from languages.translations import TranslatableText
from publisher.dependencies import ServiceDep
from publisher.errors import NotReady
from publisher.portal.facet_filters import parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.figures import Figures, official_links
from publisher.projections.facets.queries import FacetIndex, open_facet_index
from publisher.store.descriptions import prefer_english
from publisher.store.queries import query
from publisher.store.query_service import QueryService


async def get_tables_or_none(service: ServiceDep) -> FacetIndex | None:
    """Return the facet tables of the current snapshot; None while they are built."""
    return open_facet_index(service.current.path)


OptionalTablesDep = Annotated[FacetIndex | None, Depends(get_tables_or_none)]


async def get_tables(tables: OptionalTablesDep) -> FacetIndex:
    """Return the facet tables of the current snapshot; raises NotReady while they are built."""
    if tables is None:
        raise NotReady(
            TranslatableText("the charts and lists are being prepared; try again in a minute")
        )
    return tables


async def source_titles(service: QueryService) -> dict[str, str]:
    """Return the registries' titles by their names."""
    titles = prefer_english(await service.rows(query("sources")), "source", "title")
    start = service.iris.source("")
    return {iri.removeprefix(start): title for iri, title in titles.items()}


async def get_names(service: ServiceDep) -> FacetLabels:
    """Return the labels of facets and their codes, with the titles of the registries."""
    return FacetLabels(service.iris, await source_titles(service))


TablesDep = Annotated[FacetIndex, Depends(get_tables)]
NamesDep = Annotated[FacetLabels, Depends(get_names)]


async def get_figures(request: Request, tables: TablesDep, names: NamesDep) -> Figures:
    """Return the figures of the initiatives that the parameters of the request choose."""
    filters = parse_filters(request.query_params).with_codes("kind", "initiative")
    return Figures(tables, names, filters)


FiguresDep = Annotated[Figures, Depends(get_figures)]


async def get_matrix_figures(figures: FiguresDep, service: ServiceDep) -> Figures:
    """Return the figures with the official links, which only the matrix needs."""
    return replace(figures, links=await official_links(service))


MatrixDep = Annotated[Figures, Depends(get_matrix_figures)]
