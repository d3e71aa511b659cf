"""The figures of one concept, organization or registry: panels, a map, partners and the bases of
links, on its page; and ``/figures/``, the same as tables with their queries.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Path, Query
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from languages.translations import TranslatableText
from languages.translations import gettext as _
from publisher.data import count_queries
from publisher.data.properties import FACETS
from publisher.data.tables import NONE, FacetIndex, Filter
from publisher.pages import TablesDep
from publisher.portal.datasets import (
    TABLE_FORMATS,
    THINGS,
    Column,
    DataPage,
    DataTable,
    dataset_response,
    write_listed,
)
from publisher.portal.facet_filters import chosen_codes, facet_parameters, parse_filters
from publisher.portal.facet_labels import (
    FacetLabels,
    NamesDep,
    basis_title,
    get_names,
    plural_title,
)
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
from publisher.store.query_service import QueryService
from vocab.initiative import Basis
from vocab.iris import Iris
from vocab.terms import ORG
from web.charts import MAX_ORGANIZATIONS, network_diagram, point_map, shade, sparkline
from web.endpoints import get, known_parameters, other_contents, problems, redirects
from web.respond import path_segments, require

# The facets of the panels of a page, in this order.
PANELS = (
    *("line", "goal", "target", "country", "region", "year"),
    *("stakeholder", "status", "type", "coverage", "source"),
)
PAIRS = 200  # pairs of organizations, and organizations, that are read
PARTY = "organization"
MATRIX = {"line": "goal", "goal": "line", "target": "line"}  # the other side of the matrix
KEY_FIGURES = 4  # the most key figures of a profile
# The facets whose codes can be compared with each other.
COMPARED = ("line", "goal", "region", "area", "country", "source")

router = APIRouter()


async def load_statistics(
    service: QueryService, filters: Filter, search: str, without: str
) -> dict[str, object]:
    """Return the values of ``statistics.html`` for the initiatives that *filters* select; *without*
    is the facet that is constant, *search* the address of the list.
    """
    return await asyncio.to_thread(
        entity_statistics,
        Figures(
            service.tables,
            await get_names(service),
            filters.with_codes("kind", "initiative"),
        ),
        search,
        without,
    )


def entity_statistics(figures: Figures, search: str, without: str) -> dict[str, object]:
    """Return the values of ``statistics.html`` for the initiatives of *figures*: *without* is the
    facet that is constant here, *search* the address of their list.
    """
    tables, filters, names, iris = (
        figures.tables,
        figures.filters,
        figures.names,
        figures.names.iris,
    )
    party, topics = filters.party.removeprefix(f"{iris.base}id/"), chosen_codes(filters)
    bases = Basis if any(FACETS[facet].link_property for facet, _ in topics) else ()
    compared = [f"{facet}/{code}" for facet, code in topics if facet in COMPARED]
    own = tables.same_organizations(filters.party) if filters.party else ()
    subject = ", ".join(names.name(facet, code) for facet, code in topics)
    if filters.party:
        subject = tables.organization_names((filters.party,)).get(filters.party, "")
    forms = _data_links(filters, iris)
    csv = dict(forms)["CSV"]
    return {
        "profile": profile(figures, (without,)),
        "compare": f"/compare?{urlencode({'one': compared[0]})}" if compared else "",
        "total": tables.count_different(filters),
        "bases": [
            (basis_title(basis.value), tables.count_different(replace(filters, bases=(basis,))))
            for basis in bases
        ],
        "panels": figures.bars(name for name in PANELS if name != without),
        "map": _draw_map(figures),
        "network": _draw_network(figures),
        "organizations": [
            (one, name or one.rpartition("/")[2], things)
            for one, name, things in tables.organizations(filters, 10)
            if one not in own
        ],
        "subject": subject,
        "search": search,
        "query": query_page_url(count_queries.listing(filters, iris)),
        "table": f"{csv}{'&' if '?' in csv else '?'}rows=initiatives",
        "partners": query_page_url(
            count_queries.partners(filters, iris, has_parts=tables.has_parts)
        ),
        "forms": forms,
        "row": _matrix_row(figures, topics),
        "matrix": "" if party else f"/matrix?{urlencode(topics)}",
        "follow": f"/follow?{urlencode({'thing': party} if party else topics)}",
    }


def _draw_map(figures: Figures) -> dict[str, object] | None:
    """Draw the filtered initiatives by country, or the country that they are filtered by; None if
    the outlines were not built.
    """
    every_country, countries = figures["map"], figures.filters.codes("country")
    title = figures.names.name("country", countries[0]) if countries else every_country.title
    drawing = point_map([], countries[:1], title) if countries else every_country.drawing
    ranges = () if countries else every_country.ranges
    return {"drawing": drawing, "title": title, "ranges": ranges} if drawing else None


def _draw_network(figures: Figures) -> Markup | None:
    tables, stem = figures.tables, f"{figures.names.iris.base}id/"
    pairs = tables.partners(figures.filters, PAIRS)
    pages = {
        party: "/page/" + party.removeprefix(stem)
        for pair in pairs
        for party in pair[:2]
        if party.startswith(stem)
    }
    title = _("Organizations that work together; at most") + f" {MAX_ORGANIZATIONS}"
    return network_diagram(pairs, tables.party_names, pages, title, figures.filters.party)


def _matrix_row(figures: Figures, topics: Sequence[tuple[str, str]]) -> list[dict[str, object]]:
    """Return the row of the WSIS-SDG matrix of an action line, or the column of a goal.

    A target has its initiatives by action line, anything else has them by goal; an organization's
    cells lead to no search.
    """
    names, other = figures.names, MATRIX.get(topics[0][0], "goal") if topics else "goal"
    counts = figures.tables.counts_once(figures.filters).get(other, {})
    cells = {code: counts.get(code, NONE) for code in all_codes(other, names.iris)}
    most, stem = max(cells.values()), f"/search?kind=initiative&{urlencode(topics[:1])}"
    return [
        {
            "code": code,
            "name": names.name(other, code),
            "page": names.page(other, code),
            "things": things,
            "shade": shade(things, most),
            "search": f"{stem}&{other}={code}" if topics else "",
        }
        for code, things in cells.items()
    ]


def profile(figures: Figures, without: Collection[str] = ()) -> dict[str, object]:
    """Return the profile of the initiatives of *figures*: a sentence of findings (*headline*), the
    key *figures* with their trends, sentences on what is *missing*, and one on the number of
    records if it differs. *without* are facets that are constant here.
    """
    tables, filters = figures.tables, figures.filters
    counts, different = tables.counts_once(filters), tables.count_different(filters)
    own = {facet for facet, _codes in filters.chosen} | set(without)
    own |= {"region"} if "country" in own else set()
    years = {int(year): things for year, things in counts.get("year", {}).items()}
    key_figures = [_key_figure(_("Initiatives"), different, years)]
    for facet in ("country", "goal", "line", "region", "source"):
        if facet not in own and counts.get(facet) and len(key_figures) < KEY_FIGURES:
            by_year = Counter(int(year) for year, _ in tables.cross_once(filters, "year", facet))
            key_figures.append(_key_figure(plural_title(facet), len(counts[facet]), by_year))
    stated = {
        facet: codes for facet, codes in counts.items() if facet not in own or facet == "kind"
    }
    return {
        "headline": overview(stated, figures.names, different),
        "figures": key_figures,
        "missing": list(_missing(figures, own)) if different else [],
        "note": count_note(different),
    }


def _key_figure(title: str, value: int, by_year: Mapping[int, int]) -> dict[str, object]:
    years = {year: things for year, things in by_year.items() if EARLIEST <= year <= LATEST}
    return {"label": title, "value": value, "trend": sparkline(years, title)}


def _missing(figures: Figures, own: Collection[str]) -> Iterator[str]:
    names, counts = figures.names, figures.tables.counts_once(figures.filters)
    for facet in ("goal", "line"):
        present = counts.get(facet, {})
        absent = [code for code in all_codes(facet, names.iris) if code not in present]
        if facet not in own and present and absent:
            # Names of action lines are long.
            labels = [names.short(facet, code) if facet == "goal" else code for code in absent]
            yield _("No initiative yet for: {names}.").format(names=", ".join(labels))
    for facet in ("line", "goal", "country", "year"):
        if facet not in own:
            known = coverage(figures.tables, figures.filters, facet)
            if known.part < known.all:
                yield known.text


def _data_links(filters: Filter, iris: Iris) -> list[tuple[str, str]]:
    """Return the data formats of the figures of one concept, organization or registry: label and
    URL.
    """
    chosen = [f"{facet}/{quote(code, safe='')}" for facet, code in chosen_codes(filters)]
    stem = filters.party.removeprefix(f"{iris.base}id/") if filters.party else chosen[0]
    bases = urlencode([("basis", basis.value) for basis in filters.bases])
    tail = f"?{bases}" if filters.bases != (Basis.DECLARED,) else ""
    return [(item.label, f"/figures/{stem}.{item.suffix}{tail}") for item in TABLE_FORMATS.values()]


def statistics_tables(figures: Figures) -> list[DataTable]:
    """Return the tables of ``entity_statistics`` with their queries; titles name the bases unless
    only declared links count.
    """
    tables, filters, iris = figures.tables, figures.filters, figures.names.iris
    without = {facet for facet, _ in filters.chosen} | ({"source"} if filters.party else set())
    panels = figures.bars(name for name in PANELS if name not in without)
    organizations = tuple(
        (one, things) for one, _name, things in tables.organizations(filters, PAIRS)
    )
    statistics = [
        replace(figures["count"].table, name="initiatives"),
        *(panel.table for panel in panels),
        DataTable(
            "organizations",
            _("Most active organizations"),
            (_organization_column("organization"), THINGS),
            organizations,
            count_queries.organizations(filters, iris, has_parts=tables.has_parts),
        ),
        DataTable(
            "partners",
            _("Partnerships"),
            (_organization_column("one"), _organization_column("other"), THINGS),
            tuple(tables.partners(filters, PAIRS)),
            count_queries.partners(filters, iris, has_parts=tables.has_parts),
        ),
    ]
    if filters.bases == (Basis.DECLARED,):
        return statistics
    bases = "-".join(basis.value for basis in filters.bases)
    return [replace(table, name=f"{table.name}-{bases}") for table in statistics]


def _organization_column(name: str) -> Column:
    return Column(name, property=f"{ORG}organization", linked=True)


@get(
    router,
    "/figures/{rest:path}",
    operation_id="figures",
    dependencies=[Depends(known_parameters)],
    summary="Return the numbers of a concept, an organization or a registry",
    tags=["find"],
    response_description="The numbers",
    responses=other_contents(TABLE_FORMATS.values(), "FiguresJson")
    | redirects(303)
    | problems(400, 404, 406, 503),
    openapi_extra={"parameters": facet_parameters()},
)
def entity_figures(
    request: Request,
    tables: TablesDep,
    names: NamesDep,
    rest: Annotated[
        str,
        Path(
            description="A facet and a code, and the suffix of a format", examples=["goal/3.json"]
        ),
    ],
    rows: Annotated[
        Literal["initiatives"] | None,
        Query(description="The initiatives themselves, as CSV, instead of their numbers"),
    ] = None,
) -> Response:
    """A browser is redirected to the page that shows the same as charts."""
    facet, _slash, code = "/".join(path_segments(request)).partition("/")
    stem, _dot, suffix = code.rpartition(".")
    # A code may contain a dot.
    code = stem if stem and suffix in (*TABLE_FORMATS, "html") else code
    page = _find_page(facet, code, tables, names)
    facets = [*(item.name for item in FACETS.values() if item.scheme), "source", PARTY]
    require(
        bool(page),
        TranslatableText(
            "There are no figures at this address; use /figures/FACET/CODE, where FACET is one of {known}",
            known=", ".join(facets),
        ),
    )
    filters = Filter((), parse_filters(request.query_params).bases).with_codes("kind", "initiative")
    party = f"{names.iris.base}id/{PARTY}/{code}"
    filters = replace(filters, party=party) if facet == PARTY else filters.with_codes(facet, code)
    if rows:
        lines = write_listed(tables, filters, "title", names.iris)
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8")
    figures = Figures(tables, names, filters)
    return dataset_response(request, DataPage(lambda: statistics_tables(figures), page=page))


def _find_page(facet: str, code: str, tables: FacetIndex, names: FacetLabels) -> str:
    """Return the page of a concept, an organization or a registry; "" if there is none."""
    if facet == PARTY:
        known = tables.organization_names((f"{names.iris.base}id/{PARTY}/{code}",))
        return f"/page/{PARTY}/{code}" if known else ""
    is_concept = facet in FACETS and FACETS[facet].scheme and names.name(facet, code) != code
    is_source = facet == "source" and code in names.sources
    return names.page(facet, code) if is_concept or is_source else ""
