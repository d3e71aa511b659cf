"""Maps of things by country, and of the locations of one thing."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from markupsafe import Markup

from languages.translations import gettext as _
from publisher.portal.facet_labels import FacetLabels
from publisher.projections.facets.facets import FACETS, areas_within
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.facets.thing_count import ThingCount
from vocab.iris import Iris
from vocab.schemes import concepts
from web.charts import map


def country_map(tables: FacetIndex, filters: Filter, names: FacetLabels) -> Markup | None:
    """Draw the filtered things by country, each linked to its page; None if the outlines were not
    built.

    A filter by region crops the drawing to its countries; one by area to those that have things,
    since islands lie far off.
    """
    counts = tables.counts_once(filters.with_codes("country")).get("country", {})
    within = {one for code in filters.codes("area") for one in areas_within().get(code, ())}
    return map.world_map(
        {code.zfill(3): things for code, things in counts.items()},
        lambda code: names.name("country", code),
        lambda code: names.page("country", code),
        _("World map: initiatives by country"),
        countries_of(filters.codes("region"), names.iris) | within.intersection(counts),
    )


def countries_of(regions: Collection[str], iris: Iris) -> frozenset[str]:
    """Return the M49 codes, of three digits, of the countries in ITU regions.

    >>> "404" in countries_of(["africa"], Iris()), countries_of([], Iris())
    (True, frozenset())
    """
    region_iris = {FACETS["region"].iri(code, iris) for code in regions}
    country = FACETS["country"]
    return frozenset(
        country.code(area, iris).zfill(3)
        for area, item in concepts("area", iris.base).items()
        if region_iris.intersection(item.regions)
    )


def unmapped_areas(counts: Mapping[str, ThingCount]) -> dict[str, ThingCount]:
    """Return the counts of areas without an outline, such as regions and continents."""
    drawn = map.outlined_areas()
    return {code: things for code, things in counts.items() if code.zfill(3) not in drawn}
