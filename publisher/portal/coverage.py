"""The coverage of a figure in words, and a hint for an empty figure."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlencode

from languages.translations import format_number
from languages.translations import gettext as _
from publisher.portal.facet_labels import facet_title
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.facets.thing_count import NONE, ThingCount
from vocab.initiative import Basis

# facets whose coverage says nothing: every thing has them, or may lack them
_ALWAYS = ("kind", "source", "basis", "remark", "prize", "stage", "prizeyear")
# the kinds of things that can have a value of a facet, of facets that not all kinds have
_TOPICAL = ("initiative", "event", "document", "post")
_KINDS = {
    "line": _TOPICAL,
    "goal": _TOPICAL,
    "target": _TOPICAL,
    "year": _TOPICAL,
    "coverage": ("initiative",),
    "status": ("initiative",),
    "type": ("initiative",),
    "document": ("document",),
}
# pages that show facets whose links a registry states, or that were mapped or suggested
_LINKED = {"line": "/matrix", "goal": "/matrix", "target": "/search"}


class Coverage(NamedTuple):
    """*part* of *all* things have a value, the members of each cluster counted once; *text* is the
    sentence.
    """

    part: ThingCount
    all: ThingCount
    text: str


class ChartHint(NamedTuple):
    """Why a figure is empty; *href* is the address of one that is not, "" if there is none."""

    text: str
    href: str = ""


def coverage(tables: FacetIndex, filters: Filter, *facets: str) -> Coverage:
    """Count the filtered things that can have a value of each of *facets*, and those with one.
    Filters by the last facet itself are ignored.
    """
    *others, last = facets
    for facet in facets:
        if kinds := _KINDS.get(facet):
            chosen = [kind for kind in filters.codes("kind") if kind in kinds]
            filters = filters.with_codes("kind", *(chosen or kinds))
    unfiltered = filters.with_codes(last)
    total = tables.count_different(unfiltered)
    for facet in others:
        codes = tuple(tables.counts_once(unfiltered).get(facet, {}))
        if not codes:
            return Coverage(NONE, total, coverage_text(facets, NONE, total))
        unfiltered = unfiltered.with_codes(facet, *codes)
    part = tables.count_covered(unfiltered, last)
    return Coverage(part, total, coverage_text(facets, part, total))


def facet_coverage(tables: FacetIndex, filters: Filter, facet: str) -> Coverage | None:
    """Return the coverage of a figure by *facet*, None for facets that every thing has."""
    return None if facet in _ALWAYS else coverage(tables, filters, facet)


def coverage_text(facets: tuple[str, ...], part: ThingCount, total: ThingCount) -> str:
    """Return the sentence on how many things have a value of each of *facets*."""
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
    return text.format(part=format_number(part), all=format_number(total), facets=titles)


def empty_chart_hint(tables: FacetIndex, filters: Filter, facet: str) -> ChartHint:
    """Return a hint on an empty figure of the filtered things by *facet*: how many have a value
    that no registry states, or else which data it needs.
    """
    if facet in _LINKED and Basis.DECLARED in filters.bases:
        on_any_basis = replace(filters, bases=tuple(Basis))
        linked = coverage(tables, on_any_basis, facet)
        if linked.part:
            text = _(
                "{coverage} (mapped from a registry's code or suggested automatically); no registry states it"
            )
            href = f"{_LINKED[facet]}?{urlencode(on_any_basis.url_parameters())}"
            return ChartHint(text.format(coverage=linked.text), href)
    texts = {
        "line": _(
            "No initiative has an action line. To fill this chart, add a field with action lines to a source definition, "
            "or a crosswalk from the registry's codes."
        ),
        "country": _(
            "No initiative has a country. To fill this chart, add a field with countries to a source definition."
        ),
        "year": _(
            "No initiative has a start year. To fill this chart, add a field with the start date to a source definition."
        ),
    }
    text = texts.get(facet) or _(
        "No initiative has a value for: {facet}. To fill this chart, add such a field to a source definition."
    )
    return ChartHint(text.format(facet=facet_title(facet)))
