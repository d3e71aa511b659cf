"""Of how many things a figure speaks, in words, and what would fill one that has nothing."""

from __future__ import annotations

from typing import NamedTuple

from languages.translations import format_number
from languages.translations import gettext as _
from publisher.facets.filter_query import Filter
from publisher.facets.queries import FacetIndex
from publisher.portal.facet_labels import facet_title

_ALWAYS = ("kind", "source", "basis", "remark")  # facets that each thing has, or that a good thing lacks


class Coverage(NamedTuple):
    """*part* of *all* things have a value; *text* says so."""

    part: int
    all: int
    text: str


def coverage(tables: FacetIndex, filters: Filter, *facets: str) -> Coverage:
    """Count the things of *it* that have a value of each of *facets*; what is chosen of the last facet itself does not narrow them."""
    *others, last = facets
    within = filters.with_codes(last)
    whole = tables.total(within)
    for facet in others:
        codes = tuple(tables.counts(within).get(facet, {}))
        if not codes:
            return Coverage(0, whole, coverage_text(facets, 0, whole))
        within = within.with_codes(facet, *codes)
    part = sum(tables.coverage_by_source(within, last).values())
    return Coverage(part, whole, coverage_text(facets, part, whole))


def facet_coverage(tables: FacetIndex, filters: Filter, facet: str) -> Coverage | None:
    """Return the coverage of a figure by *facet*, None where it says nothing."""
    return None if facet in _ALWAYS else coverage(tables, filters, facet)


def coverage_text(facets: tuple[str, ...], part: int, whole: int) -> str:
    """Say how many of the things have a value of each of *facets*."""
    known = {
        ("line",): _("{part} of {all} have an action line"),
        ("goal",): _("{part} of {all} have an SDG"),
        ("target",): _("{part} of {all} have an SDG target"),
        ("country",): _("{part} of {all} have a country"),
        ("region",): _("{part} of {all} have a country in a region"),
        ("year",): _("{part} of {all} have a start year"),
        ("line", "goal"): _("{part} of {all} have both an action line and an SDG"),
    }
    titles = " + ".join(facet_title(facet) for facet in facets)
    text = known.get(facets) or _("{part} of {all} have a value: {facets}")
    return text.format(part=format_number(part), all=format_number(whole), facets=titles)


def empty_chart_hint(facet: str) -> str:
    """Say what would fill a figure by *facet* that has nothing."""
    texts = {
        "line": _(
            "No initiative has an action line. To fill this chart, add a field with action lines to a source definition, "
            "or a crosswalk from the registry's codes."
        ),
        "country": _("No initiative has a country. To fill this chart, add a field with countries to a source definition."),
        "year": _("No initiative has a start year. To fill this chart, add a field with the start date to a source definition."),
    }
    text = texts.get(facet) or _("No initiative has a value for: {facet}. To fill this chart, add such a field to a source definition.")
    return text.format(facet=facet_title(facet))
