"""Things by country, and the places of one thing."""

from __future__ import annotations

from markupsafe import Markup

from languages.translations import gettext as _
from publisher.facets.filter_query import Filter
from publisher.facets.queries import FacetIndex
from publisher.pages.charts import map
from publisher.portal.facet_labels import FacetLabels


def country_map(tables: FacetIndex, filters: Filter, names: FacetLabels) -> Markup | None:
    """Draw what is wanted by country, each leading to its page; None where the outlines were not built."""
    counts = tables.counts(filters.with_codes("country")).get("country", {})
    return map.world_map(
        {code.zfill(3): things for code, things in counts.items()},
        lambda code: names.name("country", code),
        lambda code: names.page("country", code),
        _("World map: initiatives by country"),
    )


def unmapped_areas(counts: dict[str, int]) -> dict[str, int]:
    """Return the counts of areas that no outline shows, such as regions and continents."""
    drawn = map.outlined_areas()
    return {code: things for code, things in counts.items() if code.zfill(3) not in drawn}
