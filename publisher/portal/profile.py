"""The head of a profile of a topic, organization or registry: a sentence, four figures with trends,
and what is missing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from markupsafe import Markup

from languages.translations import gettext as _
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.figures import EARLIEST, LATEST, all_codes, count_note, coverage, overview
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from web.charts.bars import sparkline

FIGURES = 4
# the facets whose codes are counted; the first non-empty ones are used
_COUNTED = ("country", "goal", "line", "region", "source")
_COVERED = ("line", "goal", "country", "year")


class KeyFigure(NamedTuple):
    """A number with its label, and its trend over the years, if there is one."""

    label: str
    value: int
    trend: Markup | None


class Profile(NamedTuple):
    """A sentence of findings, the key figures, sentences on what is missing, and one on the number
    of records if it differs.
    """

    headline: str
    figures: tuple[KeyFigure, ...]
    missing: tuple[str, ...]
    note: str = ""


def profile(
    tables: FacetIndex, filters: Filter, names: FacetLabels, without: Collection[str] = ()
) -> Profile:
    """Return the profile of the filtered initiatives; *without* are facets that are constant here."""
    filters = filters.with_codes("kind", "initiative")
    counts = tables.counts_once(filters)
    own = {facet for facet, _codes in filters.chosen} | set(without)
    own |= {"region"} if "country" in own else set()
    counted = [facet for facet in _COUNTED if facet not in own and counts.get(facet)][: FIGURES - 1]
    years = {
        int(year): things
        for year, things in counts.get("year", {}).items()
        if EARLIEST <= int(year) <= LATEST
    }
    different = tables.count_different(filters)
    figures = [KeyFigure(_("Initiatives"), different, sparkline(years, _("Initiatives")))]
    for facet in counted:
        figures.append(
            KeyFigure(
                _plural(facet),
                len(counts[facet]),
                sparkline(_by_year(tables, filters, facet), _plural(facet)),
            )
        )
    return Profile(
        overview(
            {
                facet: codes
                for facet, codes in counts.items()
                if facet not in own or facet == "kind"
            },
            names,
            different,
        ),
        tuple(figures),
        tuple(_missing(tables, filters, names, own)) if different else (),
        count_note(different),
    )


def _by_year(tables: FacetIndex, filters: Filter, facet: str) -> dict[int, int]:
    by_year: dict[int, int] = {}
    for year, _code in tables.cross_once(filters, "year", facet):
        if EARLIEST <= int(year) <= LATEST:
            by_year[int(year)] = by_year.get(int(year), 0) + 1
    return by_year


def _missing(
    tables: FacetIndex, filters: Filter, names: FacetLabels, own: Collection[str]
) -> list[str]:
    counts, sentences = tables.counts_once(filters), list[str]()
    for facet in ("goal", "line"):
        absent = [code for code in all_codes(facet, names) if code not in counts.get(facet, {})]
        if facet not in own and counts.get(facet) and absent:
            # names of action lines are long
            displayed = [names.short(facet, code) if facet == "goal" else code for code in absent]
            sentences.append(
                _("No initiative yet for: {names}.").format(names=", ".join(displayed))
            )
    for facet in _COVERED:
        if facet not in own and (known := coverage(tables, filters, facet)).part < known.all:
            sentences.append(known.text)
    return sentences


def _plural(facet: str) -> str:
    return {
        "country": _("Countries"),
        "goal": _("SDGs"),
        "line": _("Action lines"),
        "region": _("Regions"),
        "source": _("Registries"),
    }[facet]
