"""The figures of one concept, organization or registry: panels, a map, partners and the bases of
links.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
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
from publisher.portal.figures import (
    EARLIEST,
    LATEST,
    Figures,
    all_codes,
    count_note,
    coverage,
    overview,
    query_page_url,
)
from publisher.projections.facets import filter_query
from publisher.projections.facets.facets import FACETS
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.queries import FacetIndex
from publisher.projections.facets.thing_count import NONE
from vocab.initiative import Basis
from vocab.iris import Iris
from vocab.terms import ORG
from web.charts.map import point_map
from web.charts.svg import MAX_ORGANIZATIONS, network_diagram, shade, sparkline

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
KEY_FIGURES = 4  # at most
# facets whose codes can be compared with each other
COMPARED = ("line", "goal", "region", "area", "country", "source")


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


def entity_statistics(
    tables: FacetIndex, filters: Filter, names: FacetLabels, search: str, without: str
) -> dict[str, object]:
    """Return the values of ``statistics.html`` for the filtered initiatives: *without* is the facet
    that is constant here, *search* the address of their list.
    """
    filters, iris = filters.with_codes("kind", "initiative"), names.iris
    figures, party = Figures(tables, names, filters), filters.party.removeprefix(f"{iris.base}id/")
    topics = [(facet, code) for facet, codes in filters.chosen if facet != "kind" for code in codes]
    bases = Basis if any(FACETS[facet].link_property for facet, _ in topics) else ()
    compared = [f"{facet}/{code}" for facet, code in topics if facet in COMPARED]
    pairs = tables.partners(filters, PAIRS)
    parties = tuple(sorted({name for pair in pairs for name in pair[:2]}))
    known = tables.organization_names(parties) if parties else {}
    own = tables.same_organizations(filters.party) if filters.party else ()
    subject = ", ".join(names.name(facet, code) for facet, code in topics)
    if filters.party:
        subject = tables.organization_names((filters.party,)).get(filters.party, "")
    forms = data_links(filters, iris)
    csv = dict(forms)["CSV"]
    partners = filter_query.partners(filters, iris, has_parts=tables.has_parts)
    return {
        "profile": profile(tables, filters, names, (without,)),
        "compare": f"/compare?{urlencode({'one': compared[0]})}" if compared else "",
        "total": tables.count_different(filters),
        "bases": [
            (basis_title(basis.value), tables.count_different(replace(filters, bases=(basis,))))
            for basis in bases
        ],
        "panels": figures.bars(name for name in FIGURES if name != without),
        "map": _draw_map(figures, filters, names),
        "network": partner_network(pairs, known, names, filters.party),
        "organizations": [
            (one, name or one.rpartition("/")[2], things)
            for one, name, things in tables.organizations(filters, 10)
            if one not in own
        ],
        "subject": subject,
        "search": search,
        "query": query_page_url(filter_query.listing(filters, iris)),
        "table": f"{csv}{'&' if '?' in csv else '?'}rows=initiatives",
        "partners": query_page_url(partners),
        "forms": forms,
        "row": _matrix_row(tables, filters, names, topics),
        "matrix": "" if party else f"/matrix?{urlencode(topics)}",
        "follow": f"/follow?{urlencode({'thing': party} if party else topics)}",
    }


def _draw_map(figures: Figures, filters: Filter, names: FacetLabels) -> dict[str, object] | None:
    """Draw the filtered initiatives by country, or the country that they are filtered by; None if
    the outlines were not built.
    """
    if countries := filters.codes("country"):
        title = names.name("country", countries[0])
        drawing = point_map([], frozenset(countries[:1]), title)
        return {"drawing": drawing, "title": title, "ranges": ()} if drawing else None
    world = figures["map"]
    if not world.drawing:
        return None
    return {"drawing": world.drawing, "title": world.title, "ranges": world.ranges}


def _matrix_row(
    tables: FacetIndex, filters: Filter, names: FacetLabels, topics: list[tuple[str, str]]
) -> list[dict[str, object]]:
    """Return the row of the WSIS-SDG matrix of an action line, or the column of a goal.

    A target has its initiatives by action line, anything else has them by goal; an organization's
    cells lead to no search.
    """
    other = MATRIX.get(topics[0][0], "goal") if topics else "goal"
    counts, codes = tables.counts_once(filters).get(other, {}), all_codes(other, names.iris)
    most = max((counts.get(code, NONE) for code in codes), default=NONE)
    stem = f"/search?kind=initiative&{urlencode(topics[:1])}"
    return [
        {
            "code": code,
            "name": names.name(other, code),
            "page": names.page(other, code),
            "things": counts.get(code, NONE),
            "shade": shade(counts.get(code, NONE), most),
            "search": f"{stem}&{other}={code}" if topics else "",
        }
        for code in codes
    ]


def profile(
    tables: FacetIndex, filters: Filter, names: FacetLabels, without: Collection[str] = ()
) -> Profile:
    """Return the profile of the filtered initiatives; *without* are facets that are constant here."""
    filters = filters.with_codes("kind", "initiative")
    counts, different = tables.counts_once(filters), tables.count_different(filters)
    own = {facet for facet, _codes in filters.chosen} | set(without)
    own |= {"region"} if "country" in own else set()
    plurals = {
        "country": _("Countries"),
        "goal": _("SDGs"),
        "line": _("Action lines"),
        "region": _("Regions"),
        "source": _("Registries"),
    }
    years = {int(year): things for year, things in counts.get("year", {}).items()}
    figures = [_key_figure(_("Initiatives"), different, years)]
    for facet, title in plurals.items():
        if facet not in own and counts.get(facet) and len(figures) < KEY_FIGURES:
            pairs = tables.cross_once(filters, "year", facet)
            by_year = Counter(int(year) for year, _code in pairs)
            figures.append(_key_figure(title, len(counts[facet]), by_year))
    stated = {
        facet: codes for facet, codes in counts.items() if facet not in own or facet == "kind"
    }
    missing = _missing(tables, filters, names, own) if different else []
    return Profile(
        overview(stated, names, different), tuple(figures), tuple(missing), count_note(different)
    )


def _key_figure(title: str, value: int, by_year: Mapping[int, int]) -> KeyFigure:
    years = {year: things for year, things in by_year.items() if EARLIEST <= year <= LATEST}
    return KeyFigure(title, value, sparkline(years, title))


def _missing(
    tables: FacetIndex, filters: Filter, names: FacetLabels, own: Collection[str]
) -> list[str]:
    counts, sentences = tables.counts_once(filters), list[str]()
    for facet in ("goal", "line"):
        absent = [
            code for code in all_codes(facet, names.iris) if code not in counts.get(facet, {})
        ]
        if facet not in own and counts.get(facet) and absent:
            # Names of action lines are long.
            displayed = [names.short(facet, code) if facet == "goal" else code for code in absent]
            sentences.append(
                _("No initiative yet for: {names}.").format(names=", ".join(displayed))
            )
    for facet in ("line", "goal", "country", "year"):
        if facet not in own and (known := coverage(tables, filters, facet)).part < known.all:
            sentences.append(known.text)
    return sentences


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
    organizations = tables.organizations(filters, PAIRS)
    statistics += [
        DataTable(
            "organizations",
            _("Most active organizations"),
            (_organization_column("organization"), _THINGS),
            tuple((one, things) for one, _name, things in organizations),
            filter_query.organizations(filters, iris, has_parts=tables.has_parts),
        ),
        DataTable(
            "partners",
            _("Partnerships"),
            (_organization_column("one"), _organization_column("other"), _THINGS),
            tuple(tables.partners(filters, PAIRS)),
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
