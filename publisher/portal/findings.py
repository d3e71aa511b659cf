"""Findings in sentences, written from the counts that a page shows."""

from __future__ import annotations

from collections.abc import Mapping

from languages.translations import format_number
from languages.translations import gettext as _
from publisher.facets.queries import Counts
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.matrix import Matrix


def overview(counts: Counts, names: FacetLabels, initiatives: int) -> str:
    """Return a sentence on *initiatives* by country, goal, action line and region; facets without *counts* are left out."""
    if not initiatives:
        return ""
    return "; ".join(text for _facet, text in facet_findings(counts, names, initiatives)) + "."


def facet_findings(counts: Counts, names: FacetLabels, initiatives: int) -> list[tuple[str, str]]:
    """Return the parts of the sentence, each with the facet that it counts; the first counts countries."""
    countries = len(counts.get("country", {}))
    first = (
        _("{initiatives} initiatives").format(initiatives=format_number(initiatives))
        if not countries
        else _("{initiatives} initiatives in {countries} countries and areas").format(
            initiatives=format_number(initiatives), countries=format_number(countries)
        )
    )
    found = [("country", first)]
    for facet, text in (
        ("goal", _("most common SDG: {name} ({count})")),
        ("line", _("most common action line: {name} ({count})")),
        ("region", _("most active region: {name} ({count})")),
    ):
        if largest := _largest(counts.get(facet, {})):
            found.append((facet, text.format(name=names.short(facet, largest[0]), count=format_number(largest[1]))))
    return found


def matrix_finding(matrix: Matrix) -> str:
    """Return a sentence on the official links that have initiatives, and on the pairs beyond them."""
    return _(
        "{linked} of the {official} links in the official WSIS–SDG Matrix have at least one initiative. "
        "A further {others} pairs have initiatives but no official link."
    ).format(linked=format_number(matrix.linked), official=format_number(len(matrix.links)), others=format_number(matrix.unlinked))


def _largest(counts: Mapping[str, int]) -> tuple[str, int] | None:
    return max(counts.items(), key=lambda pair: (pair[1], pair[0]), default=None)
