"""Count the initiatives of each pair of action line and goal, and compare them with the official
links.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from markupsafe import Markup

from languages.request_locale import current_locale
from languages.translations import gettext as _
from publisher.portal.data_table import Column, DataTable
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import sort_key
from publisher.projections.facets import filter_query
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.facets.thing_count import NONE, ThingCount
from publisher.store.queries import query
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from vocab.schemes import concepts
from web.charts.heatmap import HeatmapLabel, heatmap
from web.charts.svg import shade, shade_ranges

Links = Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True)
class Matrix:
    """The counts by line and goal, the official links with their status, and the headers of rows
    and columns.

    *filters* are the other filters of the counts, as the rest of a query string. *examples* are
    titles of an initiative of each cell.
    """

    lines: tuple[HeatmapLabel, ...]
    goals: tuple[HeatmapLabel, ...]
    counts: Mapping[tuple[str, str], ThingCount]
    links: Links
    query: str
    filters: str = ""
    examples: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def search(self, line: str, goal: str) -> str:
        """Return the URL of the search for the initiatives of a cell."""
        return f"/search?kind=initiative&line={line}&goal={goal}{self.filters}"

    def shade(self, line: str, goal: str) -> int:
        """Return the shade of a cell."""
        return shade(self.counts.get((line, goal), 0), max(self.counts.values(), default=0))

    @property
    def ranges(self) -> list[tuple[int, int, int]]:
        """Return the shades of the cells with their lowest and highest number."""
        return shade_ranges(max(self.counts.values(), default=0))

    @property
    def linked(self) -> int:
        """Count the official links with initiatives."""
        return sum(1 for pair in self.links if self.counts.get(pair))

    @property
    def unlinked(self) -> int:
        """Count the pairs that initiatives link and the official matrix does not."""
        return sum(1 for pair, things in self.counts.items() if things and pair not in self.links)

    def chart(self) -> Markup:
        """Draw it."""
        label = _("Initiatives by action line and SDG, with the official links")
        mirrored = current_locale().direction == "rtl"
        return heatmap(self.lines, self.goals, self.counts, self.links, label, mirrored=mirrored)

    def table(self) -> DataTable:
        """Return the matrix as a table: each pair with its count and the status of the official
        link.
        """
        rows = [
            (
                line.code,
                goal.code,
                self.links.get((line.code, goal.code), "none"),
                self.counts.get((line.code, goal.code), NONE),
            )
            for line in self.lines
            for goal in self.goals
        ]
        columns = (
            Column("line", "line"),
            Column("goal", "goal"),
            Column("official"),
            Column("things"),
        )
        return DataTable(
            "matrix", "Things by action line and goal", columns, tuple(rows), self.query
        )


async def official_links(service: QueryService) -> dict[tuple[str, str], str]:
    """Return the official links by line and goal: ``agreed`` or ``disputed``."""
    line, goal = FACETS["line"], FACETS["goal"]
    return {
        (
            line.code(row["line"].value, service.iris),
            goal.code(row["goal"].value, service.iris),
        ): row["status"].value.rpartition("#")[2]
        for row in await service.rows(query("matrix-links"))
    }


def count_matrix(
    tables: FacetIndex, filters: Filter, names: FacetLabels, official: Links
) -> Matrix:
    """Count the filtered initiatives by line and goal."""
    counts = tables.cross_once(filters, "line", "goal")
    text = filter_query.cross_tabulate(
        filters, "line", "goal", names.iris, has_parts=tables.has_parts
    )
    others = [pair for pair in filters.url_parameters() if pair[0] not in ("line", "goal")]
    tail = "".join(f"&{urlencode([pair])}" for pair in others)
    examples = tables.examples(filters, "line", "goal")
    return Matrix(
        _labels("line", "action-line", names),
        _labels("goal", "sdg", names),
        counts,
        official,
        text,
        tail,
        examples,
    )


def _labels(facet: str, scheme: str, names: FacetLabels) -> tuple[HeatmapLabel, ...]:
    codes = sorted(leaf_codes(facet, scheme, names.iris), key=lambda code: sort_key(facet, code, 0))
    return tuple(
        HeatmapLabel(code, names.name(facet, code), names.page(facet, code)) for code in codes
    )


def leaf_codes(facet: str, scheme: str, iris: Iris) -> list[str]:
    """Return the codes of action lines without narrower ones, of goals, or of all concepts of
    another scheme.
    """
    members = concepts(scheme, iris.base)
    broader_codes = {broader for item in members.values() for broader in item.broader}
    codes = [
        FACETS[facet].code(iri, iris)
        for iri in members
        if facet != "line" or iri not in broader_codes
    ]
    return [code for code in codes if facet != "goal" or code.isdigit()]
