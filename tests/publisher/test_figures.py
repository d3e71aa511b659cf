"""Every figure has the same numbers as counted, by its query, as CSV, JSON, RDF and SVG, on
pages, in embeds, in comparisons and in the report.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pyoxigraph as ox
import pytest
import pytest_asyncio
from app_client import asking
from event_loops import session_loop
from prebuilt import prebuilt
from publish_fixture import derive
from rows import each
from small_world import IRIS, RELEASED, add_clusters, build
from starlette.datastructures import QueryParams

from publisher.app import create_app
from publisher.data.properties import FACETS
from publisher.data.tables import open_facet_index
from publisher.limits import Limits
from publisher.portal.datasets import QB, VALUE
from publisher.portal.embeds import HEIGHTS
from publisher.portal.facet_filters import parse_filters
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.figures import FIGURES, Figures, FigureView, all_codes
from publisher.portal.report.builder import build_report
from publisher.releases.builder import build_release
from publisher.store.query_service import QueryService
from vocab.terms import RDF, RDFS
from web.charts import load_outlines

HTML = {"Accept": "text/html"}
MAKERS = [Path(__file__).with_name(name) for name in ("small_world.py", "publish_fixture.py")]
QUERIES = ["", "goal=3", "country=404&basis=declared&basis=crosswalked"]
NARROWED = ("count", "map", "matrix", "bars/goal", "bars/region", "bars/source", "trend/line")
# The figures of each page, with the filters of its address.
PAGES = {
    "/home": ("bars/line", "bars/goal", "bars/region", "bars/country"),
    "/map": ("bars/country", "bars/region"),
    "/map?goal=3": ("bars/country", "bars/region"),
    "/trends": ("trend/region", "trend/stakeholder", "trend/status"),
    "/trends?goal=3&by=line": ("trend/line",),
    "/topics": ("bars/line", "bars/goal", "bars/region", "bars/country"),
    "/gaps": ("gap/country", "gap/line", "gap/goal", "gap/target"),
    "/gaps?country=404": ("gap/country", "gap/line", "gap/goal", "gap/target"),
    "/matrix/counts": ("matrix",),
    "/matrix/counts?country=404": ("matrix",),
    "/figures/country/404": ("bars/line", "bars/goal", "bars/target", "bars/source"),
    "/figures/source/atlas": ("bars/country",),
    "/compare?one=country/404": ("bars/goal", "bars/line", "bars/region", "bars/year"),
}
PAGE_OF = {
    "/home": "/",
    "/figures/country/404": "/country/404",
    "/figures/source/atlas": "/source/atlas",
}
CHOSEN = {
    "/figures/country/404": "country=404",
    "/figures/source/atlas": "source=atlas",
    "/compare?one=country/404": "country=404",
}
# The figure of each section of the report; those in REPORT_TABLES have their numbers in a table.
REPORT = {
    **{facet: f"bars/{facet}" for facet in ("line", "goal", "region", "source", "remark")},
    "matrix": "matrix", "country": "map", "year": "trend/region", "gaps": "gap/target", "countries": "bars/country",
}  # fmt: skip
REPORT_TABLES = ("country", "source", "remark", "countries")

Numbers = dict[tuple[str, ...], int]


@pytest.fixture(scope="module")
def data(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with a release, and with clusters of records that are one thing."""

    def build_clustered(data: Path) -> None:
        build(data)
        add_clusters(data)
        derive(data)
        build_release(data, IRIS, RELEASED)

    target = tmp_path_factory.mktemp("figures") / "data"
    return prebuilt(pytestconfig, "figures", MAKERS, build_clustered, target)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(data: Path) -> AsyncIterator[QueryService]:
    limits = Limits(seconds=240, wait=240)
    async with QueryService(data, IRIS, limits, readers=2, follow=False) as opened:
        yield opened


@pytest.fixture
async def client(service: QueryService) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(create_app(service), follow_redirects=True) as opened:
        yield opened


async def open_figures(service: QueryService, query: str) -> Figures:
    tables = open_facet_index(service.current.path)
    assert tables
    filters = parse_filters(QueryParams(query)).with_codes("kind", "initiative")
    names = FacetLabels(IRIS, {"atlas": "Atlas"})
    return Figures(tables, names, filters)


def numbers_of(figure: FigureView, rows: Iterable[Mapping[str, Any]]) -> Numbers:
    """Return the numbers in the rows of a table by the codes of its facets, without zeros."""
    facets = figure.figure.facets
    counted = {tuple(row[facet] for facet in facets): int(row["things"]) for row in rows}
    return {codes: number for codes, number in counted.items() if number}


def own_numbers(figure: FigureView) -> Numbers:
    """Return the numbers that a figure counts."""
    pairs = figure.counts.items()
    return {(codes,) if isinstance(codes, str) and codes else tuple(codes): int(things) for codes, things in pairs if things}  # fmt: skip


async def answer(client: httpx.AsyncClient, figure: FigureView) -> Numbers:
    """Return the numbers that the endpoint answers to the query of a figure."""
    results = await client.post("/sparql", data={"query": figure.sparql, "format": "json"})
    assert results.status_code == 200, results.text
    rows = [
        {
            name: FACETS[name].code(cell["value"], IRIS) if name in FACETS else cell["value"]
            for name, cell in row.items()
        }
        for row in results.json()["results"]["bindings"]
    ]
    return numbers_of(figure, rows)


async def as_data(
    client: httpx.AsyncClient, stem: str, query: str
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Return the tables of an address by name, and the rows of its CSV."""
    joint = f"{stem}.{{}}?{query}" if "/embed/" not in stem else f"{stem}?{query}&format={{}}"
    figures = (await client.get(joint.format("json"))).json()["figures"]
    text = (await client.get(joint.format("csv"))).text
    return {figure["name"]: figure for figure in figures}, list(csv.DictReader(io.StringIO(text)))


@session_loop
@each("query", QUERIES)
async def test_a_figure_is_the_answer_to_its_query_and_the_same_in_its_embed(
    query: str, service: QueryService, client: httpx.AsyncClient
) -> None:
    figures = await open_figures(service, query)
    for key, figure in (FIGURES if not query else {key: FIGURES[key] for key in NARROWED}).items():
        view = figures[key]
        numbers = own_numbers(view)
        assert await answer(client, view) == numbers, key
        assert unquote(view.query.partition("show=")[2]) == view.sparql
        if figure.kind not in HEIGHTS:
            continue
        tables, lines = await as_data(client, f"/embed/{key}", query)
        [table] = tables.values()
        assert table["query"] == view.sparql, key
        assert numbers_of(view, table["rows"]) == numbers_of(view, lines) == numbers, key
        page = (await client.get(f"/embed/{key}?{query}", headers=HTML)).text
        assert drawn_numbers(page, figure.kind) == expected_drawing(view), key
        graph = (await client.get(f"/embed/{key}?{query}&format=nt")).content
        assert observations(graph) == expected_observations(view, numbers), key
        drawing = await client.get(f"/embed/{key}?{query}&format=svg")
        assert (drawing.status_code == 200) == (view.drawing is not None), key
        if view.drawing is not None:
            assert drawn_numbers(drawing.text, figure.kind) == expected_drawing(view), key


def observations(graph: bytes) -> dict[frozenset[str], int]:
    """Return the numbers of the observations of a data cube by their dimensions, without zeros."""
    values, about = dict[Any, int](), dict[Any, set[str]]()
    for quad in ox.parse(graph, format=ox.RdfFormat.N_TRIPLES):
        if quad.predicate.value == VALUE:
            values[quad.subject] = int(quad.object.value)
        elif quad.predicate.value not in (f"{RDF}type", f"{QB}dataSet", f"{RDFS}label"):
            about.setdefault(quad.subject, set()).add(quad.object.value)
    return {frozenset(about.get(one, ())): number for one, number in values.items() if number}


def expected_observations(view: FigureView, numbers: Numbers) -> dict[frozenset[str], int]:
    facets = [FACETS[facet] for facet in view.figure.facets]
    return {
        frozenset(facet.iri(code, IRIS) or code for facet, code in zip(facets, codes, strict=True)): number
        for codes, number in numbers.items()
    }  # fmt: skip


def drawn_numbers(page: str, kind: str) -> list[int]:
    """Return the numbers that an embed shows, in ascending order."""
    pattern = {
        "count": r'class="total"><bdi>(\d+)',
        "bars": r'<td class="count"><bdi>(\d+)',
    }.get(kind, r"<title>[^<]*?: (\d+)(?:, \w+)?</title>")
    return sorted(number for text in re.findall(pattern, page) if (number := int(text)))


def expected_drawing(view: Any) -> list[int]:
    """Return the numbers that the embed of a figure should show, in ascending order."""
    kind = view.figure.kind
    if kind == "bars":
        return sorted(bar.value for bar in view.short)
    if kind == "trend":
        return sorted(
            number for counts in view.series.values() for number in counts.values() if number
        )
    if kind == "map":
        unmapped = {bar.code for bar in view.unmapped}
        return (
            sorted(n for code, n in view.counts.items() if code not in unmapped)
            if load_outlines()
            else []
        )
    return sorted(own_numbers(view).values())


@session_loop
@each("path", PAGES)
async def test_a_figure_of_a_page_is_that_of_its_data(
    path: str, service: QueryService, client: httpx.AsyncClient
) -> None:
    stem, _mark, query = path.partition("?")
    figures = await open_figures(service, CHOSEN.get(path, query))
    tables, lines = await as_data(client, stem, query)
    page = (await client.get(PAGE_OF.get(stem, path), headers=HTML)).text
    for key in PAGES[path]:
        view = figures[key]
        name = view.table.name
        rows, written = (
            tables[name]["rows"],
            [line for line in lines if line.get("figure", name) == name],
        )
        assert [tuple(row.values()) for row in rows] == [*map(tuple, view.table.rows)], key
        assert [row["things"] for row in rows] == [int(line["things"]) for line in written], key
        assert tables[name]["query"] == view.sparql, key
        section = page.partition(f'id="by-{view.facet}"')[2].partition("</section>")[0]
        if key.startswith("bars/") and section:
            printed = re.findall(r'<td class="count"><bdi>(\d+)', section)
            assert sorted(map(int, printed)) == sorted(view.counts.values()), key
        if key.startswith("gap/"):
            covered = {codes[0] for codes in await answer(client, view)}
            missing = [
                code for code in all_codes(view.facet, figures.names.iris) if code not in covered
            ]
            assert sorted(row[view.facet] for row in rows) == sorted(missing), key
            assert f"{len(missing)} of " in page
        if key == "matrix":
            matrix = (await client.get(f"/matrix?{query}", headers=HTML)).text
            cells = re.findall(r'data-tip="[^"]*"><bdi>(\d+)', matrix)
            assert sorted(map(int, cells)) == sorted(own_numbers(view).values())


@session_loop
async def test_a_comparison_pairs_the_numbers_of_both_topics(
    service: QueryService, client: httpx.AsyncClient
) -> None:
    sides = [await open_figures(service, query) for query in ("goal=3", "line=C4")]

    page = (await client.get("/compare?one=goal/3&other=line/C4", headers=HTML)).text

    one, other = (side["bars/country"].counts for side in sides)
    section = page.partition('id="pair-country"')[2].partition("</section>")[0]
    printed = [int(text) for text in re.findall(r'<td class="count"><bdi>(\d+)', section)]
    assert printed
    assert sorted(zip(printed[::2], printed[1::2], strict=True)) == sorted(
        (one.get(code, 0), other.get(code, 0)) for code in {*one, *other}
    )


@session_loop
async def test_a_report_has_the_figures_of_the_pages(data: Path, service: QueryService) -> None:
    figures = await open_figures(service, "")

    name = build_report(data, IRIS, None, "en", {})["name"]

    folder = data / "reports" / name
    parts = {
        part["key"]: part for part in json.loads((folder / "report.json").read_bytes())["figures"]
    }
    page = (folder / "report.html").read_text()
    for key, figure in REPORT.items():
        view, part = figures[figure], parts[key]
        assert part["query"] == view.sparql, key
        assert view.sparql in unescape(page)
        if key in REPORT_TABLES:
            numbers = [int(row[-1]) for row in part["rows"]]
            assert sorted(numbers) == sorted(view.counts.values()), key
    cells = [
        int(text.split()[0])
        for row in parts["matrix"]["rows"]
        for text in row[1:]
        if text[:1].isdigit()
    ]
    assert sorted(cells) == sorted(own_numbers(figures["matrix"]).values())
    sums = [sum(counts.values()) for counts in figures["trend/region"].series.values()]
    assert [int(row[-1]) for row in parts["year"]["rows"]] == sums
    drawn = page.partition('<section id="line">')[2].partition("</section>")[0]
    bars = [int(text) for text in re.findall(r'class="quiet">(\d+)</text>', drawn)]
    assert bars == [bar.value for bar in figures["bars/line"].short]
