"""The figures of one concept, organization or registry: panels, a map, partners and the bases of
links.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import quote, urlencode

from markupsafe import Markup

from languages.translations import gettext as _
from publisher.portal.data_table import (
    TABLE_FORMATS,
    VALUE,
    Column,
    DataTable,
    count_table,
)
from publisher.portal.facet_labels import FacetLabels, basis_title
from publisher.portal.figures import Bars, Figures, all_codes, query_page_url
from publisher.portal.profile import Profile, profile
from publisher.projections.facets import filter_query
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.facets.thing_count import NONE, ThingCount
from vocab.initiative import Basis
from vocab.iris import Iris
from vocab.terms import ORG
from web.charts.map import point_map
from web.charts.network import MAX_ORGANIZATIONS, network_diagram
from web.charts.svg import shade

FIGURES = (
    "line",
    "goal",
    "target",
    "country",
    "region",
    "year",
    "stakeholder",
    "status",
    "type",
    "coverage",
    "source",
)
PAIRS = 200  # pairs of organizations, and organizations, that are read
PARTY = "organization"
MATRIX = {"line": "goal", "goal": "line", "target": "line"}  # the other side of the matrix
# facets whose codes can be compared with each other
COMPARED = ("line", "goal", "region", "area", "country", "source")


class MatrixCell(NamedTuple):
    """A cell in the matrix row of an action line or goal: code, name and page of the other side,
    count, shade and search URL.
    """

    code: str
    name: str
    page: str
    things: ThingCount
    shade: int
    search: str


class TopicMap(NamedTuple):
    """A map with its title and, where areas are shaded by number, the shades of its legend."""

    drawing: Markup
    title: str
    ranges: Sequence[tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class EntityStatistics:
    """The figures of a page. *bases* maps each basis to its number of initiatives; *search* is the
    address of the list.

    *forms* are the data formats: label and URL. *compare* is the URL of a comparison with another
    topic, "" for none.
    """

    profile: Profile
    compare: str
    total: int
    bases: tuple[tuple[str, ThingCount], ...]
    panels: tuple[Bars, ...]
    map: TopicMap | None
    network: Markup | None
    organizations: tuple[tuple[str, str, ThingCount], ...]
    subject: str  # the names of what they are chosen by
    search: str
    query: str
    table: str  # the address of all initiatives as CSV
    partners: str
    forms: tuple[tuple[str, str], ...]
    row: tuple[MatrixCell, ...]
    matrix: str  # the address of the matrix of these initiatives, "" where there is none
    follow: str  # the address of the page to follow them


def _count_by_basis(tables: FacetIndex, filters: Filter) -> tuple[tuple[str, ThingCount], ...]:
    """Return how many initiatives there are by how their links were made."""
    return tuple(
        (basis_title(basis.value), tables.count_different(replace(filters, bases=(basis,))))
        for basis in Basis
    )


def entity_statistics(
    tables: FacetIndex,
    filters: Filter,
    names: FacetLabels,
    search: str,
    without: Iterable[str] = (),
) -> EntityStatistics:
    """Return the figures of the filtered initiatives; *without* are facets that are constant here."""
    filters = filters.with_codes("kind", "initiative")
    facets = [name for name in FIGURES if name not in without]
    chosen = [(facet, codes) for facet, codes in filters.chosen if FACETS[facet].link_property]
    bases = _count_by_basis(tables, filters) if chosen else ()
    pairs = tables.partners(filters, PAIRS)
    organizations = tables.organizations(filters, 10)
    parties = tuple(sorted({name for pair in pairs for name in pair[:2]}))
    known = tables.organization_names(parties) if parties else {}
    own = tables.same_organizations(filters.party) if filters.party else ()
    return EntityStatistics(
        profile=profile(tables, filters, names, tuple(without)),
        compare=_compare_url(filters),
        total=tables.count_different(filters),
        bases=bases,
        panels=tuple(Figures(tables, names, filters).bars(facets)),
        map=_topic_map(tables, filters, names),
        network=partner_network(pairs, known, names, filters.party),
        organizations=tuple(
            (one, name or one.rpartition("/")[2], things)
            for one, name, things in organizations
            if one not in own
        ),
        subject=_subject(tables, filters, names),
        search=search,
        query=query_page_url(filter_query.listing(filters, names.iris)),
        table=_table_url(filters, names.iris),
        partners=query_page_url(
            filter_query.partners(filters, names.iris, has_parts=tables.has_parts)
        ),
        forms=data_links(filters, names.iris),
        row=matrix_row(tables, filters, names),
        matrix=_matrix_url(filters),
        follow=_follow_url(filters, names.iris),
    )


def _topic_map(tables: FacetIndex, filters: Filter, names: FacetLabels) -> TopicMap | None:
    """Draw the filtered initiatives by country, or the country that they are filtered by; None if
    the outlines were not built.
    """
    country = next((codes[0] for facet, codes in filters.chosen if facet == "country"), None)
    if country:
        title = names.name("country", country)
        drawing = point_map([], frozenset({country}), title)
        return TopicMap(drawing, title, ()) if drawing else None
    place = Figures(tables, names, filters)["map"]
    return TopicMap(place.drawing, place.title, place.ranges) if place.drawing else None


def _subject(tables: FacetIndex, filters: Filter, names: FacetLabels) -> str:
    if filters.party:
        return tables.organization_names((filters.party,)).get(filters.party, "")
    chosen = [(facet, code) for facet, codes in filters.chosen if facet != "kind" for code in codes]
    return ", ".join(names.name(facet, code) for facet, code in chosen)


def _compare_url(filters: Filter) -> str:
    for facet, codes in filters.chosen:
        if facet in COMPARED:
            return f"/compare?{urlencode({'one': f'{facet}/{codes[0]}'})}"
    return ""


def _matrix_url(filters: Filter) -> str:
    if filters.party:
        return ""
    chosen = [(facet, codes[0]) for facet, codes in filters.chosen if facet != "kind"]
    return f"/matrix?{urlencode(chosen)}"


def _follow_url(filters: Filter, iris: Iris) -> str:
    if party := filters.party.removeprefix(f"{iris.base}id/"):
        return f"/follow?{urlencode({'thing': party})}"
    chosen = [(facet, code) for facet, codes in filters.chosen if facet != "kind" for code in codes]
    return f"/follow?{urlencode(chosen)}"


def matrix_row(tables: FacetIndex, filters: Filter, names: FacetLabels) -> tuple[MatrixCell, ...]:
    """Return the row of the WSIS-SDG matrix of an action line, or the column of a goal.

    A target has its initiatives by action line, anything else has them by goal; an organization's
    cells lead to no search.
    """
    facet, code = next(
        ((facet, codes[0]) for facet, codes in filters.chosen if facet != "kind"), ("", "")
    )
    other = MATRIX.get(facet, "goal")
    counts = tables.counts_once(filters).get(other, {})
    codes = all_codes(other, names)
    most = max((counts.get(one, NONE) for one in codes), default=NONE)
    stem = f"/search?kind=initiative&{urlencode({facet: code})}"
    cells = []
    for one in codes:
        things, search = counts.get(one, NONE), f"{stem}&{other}={one}" if facet else ""
        cells.append(
            MatrixCell(
                one,
                names.name(other, one),
                names.page(other, one),
                things,
                shade(things, most),
                search,
            )
        )
    return tuple(cells)


def entity_filter(facet: str, code: str, bases: tuple[Basis, ...], iris: Iris) -> Filter | None:
    """Return the filter for the initiatives of the organization SOURCE/KEY, a registry or a
    concept; None for anything else.
    """
    if facet == PARTY:
        return Filter(party=f"{iris.base}id/{PARTY}/{code}", bases=bases).with_codes(
            "kind", "initiative"
        )
    if facet == "source" or (facet in FACETS and FACETS[facet].scheme):
        return Filter(((facet, (code,)),), bases)
    return None


def _table_url(filters: Filter, iris: Iris) -> str:
    """Return the address of the initiatives themselves, as CSV."""
    address = dict(data_links(filters, iris))["CSV"]
    return f"{address}{'&' if '?' in address else '?'}rows=initiatives"


def data_links(filters: Filter, iris: Iris) -> tuple[tuple[str, str], ...]:
    """Return the data formats of the figures of one concept, organization or registry: label and
    URL.
    """
    chosen = [
        f"{facet}/{quote(codes[0], safe='')}" for facet, codes in filters.chosen if facet != "kind"
    ]
    stem = filters.party.removeprefix(f"{iris.base}id/") if filters.party else chosen[0]
    tail = (
        "?" + urlencode([("basis", basis.value) for basis in filters.bases])
        if filters.bases != (Basis.DECLARED,)
        else ""
    )
    return tuple(
        (row.label, f"/figures/{stem}.{row.suffix}{tail}") for row in TABLE_FORMATS.values()
    )


def statistics_tables(tables: FacetIndex, filters: Filter, names: FacetLabels) -> list[DataTable]:
    """Return the tables of ``entity_statistics`` with their queries; titles name the bases unless
    only declared links count.
    """
    filters, iris = filters.with_codes("kind", "initiative"), names.iris
    without = {facet for facet, _ in filters.chosen} | ({"source"} if filters.party else set())
    whole = count_table(
        "initiatives",
        _("Initiatives"),
        (),
        [(tables.count_different(filters),)],
        filter_query.total(filters, iris, has_parts=tables.has_parts),
    )
    facets = [name for name in FIGURES if name not in without]
    statistics = [whole, *(panel.table for panel in Figures(tables, names, filters).bars(facets))]
    organizations = tuple(
        (one, things) for one, _name, things in tables.organizations(filters, PAIRS)
    )
    pairs = tuple(tables.partners(filters, PAIRS))
    statistics += [
        DataTable(
            "organizations",
            _("Most active organizations"),
            (_organization_column("organization"), _THINGS),
            organizations,
            filter_query.organizations(filters, iris, has_parts=tables.has_parts),
        ),
        DataTable(
            "partners",
            _("Partnerships"),
            (_organization_column("one"), _organization_column("other"), _THINGS),
            pairs,
            filter_query.partners(filters, iris, has_parts=tables.has_parts),
        ),
    ]
    if filters.bases == (Basis.DECLARED,):
        return statistics
    bases = "-".join(basis.value for basis in filters.bases)
    return [replace(sheet, name=f"{sheet.name}-{bases}") for sheet in statistics]


_THINGS = Column("things", property=VALUE)


def _organization_column(name: str) -> Column:
    return Column(name, property=f"{ORG}organization", linked=True)


def partner_network(
    pairs: Sequence[tuple[str, str, int]], known: dict[str, str], names: FacetLabels, own: str = ""
) -> Markup | None:
    """Draw the partnerships as a network."""
    stem = f"{names.iris.base}id/"
    href = {
        party: "/page/" + party.removeprefix(stem)
        for pair in pairs
        for party in pair[:2]
        if party.startswith(stem)
    }
    return network_diagram(
        pairs,
        known,
        href,
        _("Organizations that work together; at most") + f" {MAX_ORGANIZATIONS}",
        own,
    )
