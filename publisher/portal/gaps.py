"""List countries, action lines, goals, targets and official links of the matrix without
initiatives.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from languages.translations import format_number
from languages.translations import gettext as _
from publisher.portal.coverage import Coverage, coverage
from publisher.portal.data_table import Column, DataTable
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.facet_panels import query_page_url, sort_key
from publisher.portal.matrix import Matrix, leaf_codes
from publisher.projections.facets import filter_query
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from vocab.countries import AREA
from vocab.schemes import concepts


class MissingCode(NamedTuple):
    """A code without initiatives, its name and the address of its page."""

    code: str
    name: str
    href: str


class Gap(NamedTuple):
    """The codes without initiatives among *all*, and a sentence on them; *query* is the URL of the
    query that counts the others.
    """

    name: str
    title: str
    missing: tuple[MissingCode, ...]
    code_count: int
    query: str
    table: DataTable
    coverage: Coverage
    text: str


def find_gaps(tables: FacetIndex, filters: Filter, names: FacetLabels) -> list[Gap]:
    """Return the gaps: the codes without initiatives."""
    titles = {
        "country": _("Countries"),
        "line": _("Action lines"),
        "goal": _("SDGs"),
        "target": _("Targets"),
    }
    return [_gap(tables, filters, facet, title, names) for facet, title in titles.items()]


def _gap(tables: FacetIndex, filters: Filter, facet: str, title: str, names: FacetLabels) -> Gap:
    counts = tables.counts_once(filters.with_codes(facet)).get(facet, {})
    every = list(_all_codes(facet, names))
    missing = sorted(
        (code for code in every if not counts.get(code)), key=lambda code: sort_key(facet, code, 0)
    )
    codes = tuple(
        MissingCode(code, names.short(facet, code), names.page(facet, code)) for code in missing
    )
    if facet == "country":
        codes = tuple(sorted(codes, key=lambda one: one.name))
    text = filter_query.counts(filters, facet, names.iris, has_parts=tables.has_parts)
    rows = tuple((one.code, one.name, 0) for one in codes)
    sheet = DataTable(
        facet, title, (Column(facet, facet), Column("name"), Column("things")), rows, text
    )
    return Gap(
        facet,
        title,
        codes,
        len(every),
        query_page_url(text),
        sheet,
        coverage(tables, filters, facet),
        _gap_text(facet, len(codes), len(every)),
    )


def _gap_text(facet: str, missing: int, every: int) -> str:
    texts = {
        "country": _("{missing} of {all} countries have no initiative yet"),
        "line": _("{missing} of {all} action lines have no initiative yet"),
        "goal": _("{missing} of {all} SDGs have no initiative yet"),
        "target": _("{missing} of {all} SDG targets have no initiative yet"),
    }
    return texts[facet].format(missing=format_number(missing), all=format_number(every))


def _all_codes(facet: str, names: FacetLabels) -> Iterable[str]:
    if facet == "country":
        areas = concepts("area", names.iris.base)
        return [iri.removeprefix(AREA) for iri, item in areas.items() if f"{AREA}co" in item.types]
    if facet == "target":
        return [
            code
            for code in leaf_codes("target", "sdg", names.iris)
            if code.count(".") == 1 and not code.startswith("C")
        ]
    return leaf_codes(facet, {"line": "action-line", "goal": "sdg"}[facet], names.iris)


def unsupported_links(matrix: Matrix) -> list[tuple[str, str, str]]:
    """Return the official links without initiatives: line, goal and status."""
    return [(line.code, goal.code, matrix.links[line.code, goal.code]) for line in matrix.lines for goal in matrix.goals
            if (line.code, goal.code) in matrix.links and not matrix.counts.get((line.code, goal.code))]  # fmt: skip
