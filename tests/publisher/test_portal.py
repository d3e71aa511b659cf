"""Pages are served in each language and format; their numbers are those of the tables and come with
their queries.
"""

from __future__ import annotations

import csv
import html
import io
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import httpx
import pytest
from pyoxigraph import RdfFormat, parse
from rows import each

from harvesters.mappings.mapping import MAPPINGS
from harvesters.protocols.protocol import PROTOCOLS
from harvesters.source import load
from publisher.data.count_queries import total
from publisher.data.tables import make_filter
from publisher.pages import sections
from publisher.portal.feed_samples import SOURCE_FORMATS
from publisher.portal.wizard import from_query, source_toml
from publisher.releases.tables import LISTED, TABLES
from vocab.iris import Iris
from web.charts import load_outlines

KENYA = "http://metadata.un.org/sdg/codes/geoArea/404"
HTML = {"Accept": "text/html"}
PAGES = [
    "/", "/map", "/matrix", "/trends", "/gaps", "/events", "/documents", "/posts", "/prizes", "/sources", "/source/demo/report",
    "/join", "/validate", "/explain", "/search", "/topics", "/data", "/about", "/about/design", "/compare", "/columns",
]  # fmt: skip
ABOUT = [
    "/scheme/action-line/C4", "/scheme/itu-region/africa", "/concept?iri=http://metadata.un.org/sdg/3",
    "/concept?iri=http://metadata.un.org/sdg/3.8", "/concept?iri=http://metadata.un.org/sdg/codes/geoArea/404",
    "/page/organization/demo/ministry-of-health", "/source/demo",
]  # fmt: skip
FORMS = {
    "json": "application/json", "csv": "text/csv", "ttl": "text/turtle", "nt": "application/n-triples", "jsonld": "application/ld+json",
    "rdf": "application/rdf+xml",
}  # fmt: skip


async def page(client: httpx.AsyncClient, path: str, **headers: str) -> str:
    client.cookies.clear()  # A cookie of an earlier visit would choose the language.
    answer = await client.get(path, headers=HTML | headers)
    assert answer.status_code == 200, answer.text
    return answer.text


@each("path", [*PAGES, *ABOUT, "/page/initiative/demo/a%2F1"])
async def test_a_page_is_whole_without_scripts_and_names_its_language(
    client: httpx.AsyncClient, path: str
) -> None:
    text = await page(client, path)

    ours = (
        r"type=\"application/ld\+json\"|src=\"/static/(?:suggest|embed)\.[0-9a-f]{12}\.js\" defer>"
    )
    assert '<html lang="en" dir="ltr">' in text
    assert re.findall(rf"<script(?! (?:{ours}))", text) == []
    assert 'style="' not in text
    assert text.count("<h1") == 1


@each(
    "path, section, entry",
    [("/map", "Explore", "Map"), ("/scheme/action-line/C4", "Topics", "Action lines"), ("/sparql", "Data", "Query"),
     ("/source/demo", "Sources", ""), ("/about", "", "")],
)  # fmt: skip
async def test_the_navigation_marks_the_section_and_the_page(
    client: httpx.AsyncClient, path: str, section: str, entry: str
) -> None:
    text = await page(client, path)

    main = text.partition('<nav class="sections"')[2].partition("</nav>")[0]
    own = text.partition('<nav class="pages-of-section"')[2].partition("</nav>")[0]
    assert re.findall(r">([^<]+)</a>", main) == ["Explore", "Topics", "Reports", "Data", "Sources"]
    assert re.findall(r'aria-current="[a-z]+">([^<]+)<', main) == [
        name for name in (section,) if name
    ]
    assert re.findall(r'aria-current="page">([^<]+)<', own) == [name for name in (entry,) if name]


async def test_two_topics_are_paired_on_one_scale_by_difference(client: httpx.AsyncClient) -> None:
    text = await page(client, "/compare?one=goal/3&other=line/C4")
    moments = await page(client, "/compare/moments")

    figure = text.partition('id="pair-country"')[2].partition("</section>")[0]
    rows = re.findall(r"<tr><th.*?</tr>", figure.partition("<tbody>")[2], re.DOTALL)
    widths = [[float(width) for width in re.findall(r'width="([\d.]+)"', row)] for row in rows]
    gaps = [abs(one - other) for one, other in widths]
    assert max(width for pair in widths for width in pair) == 100
    assert gaps == sorted(gaps, reverse=True)
    assert "Greatest difference: " in figure
    assert 'name="from"' not in text
    assert 'name="from"' in moments


async def test_a_query_with_a_misspelled_keyword_gets_the_right_one(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.get("/sparql", params={"query": "SELECT * WHER { ?s ?p ?o }"})

    assert answer.status_code == 400
    assert answer.json()["detail"].endswith("; did you mean WHERE for WHER?")


async def test_a_topic_shows_the_first_of_each_list_and_all_others_behind_a_summary(
    client: httpx.AsyncClient,
) -> None:
    text = await page(client, f"/concept?iri={KENYA}")

    visible = re.sub(r"(?s)<details.*?</details>", "", text)
    panels = re.findall(r'(?s)<section class="card panel".*?</section>', visible)
    rows = [panel.count("<tr>") for panel in panels]
    assert re.findall("(?s)<h1>(.*?)</h1>", text) == ['<span lang="en" dir="auto">Kenya</span>']
    assert 'href="/matrix?country=404"' in text
    assert rows
    assert [count for count in rows if not 1 < count <= 8] == []
    assert visible.count('<li>\n<a href="/page/') <= 4
    assert "<summary>Show all (<bdi>50</bdi>)</summary>" in text


async def test_the_codebook_describes_every_column_of_the_tables(client: httpx.AsyncClient) -> None:
    text = await page(client, "/columns")

    names = {column.name for table in TABLES.values() for column in table.columns}
    assert names == set(re.findall(r'<th scope="row"><code>([^<]+)</code>', text))
    for table in TABLES.values():
        part = unescape(text.partition(f'id="table-{table.name}"')[2].partition("</details>")[0])
        for tool in ("pd.read_csv", "readr::read_csv", "SELECT * FROM read_csv"):
            assert tool in part
        for typed in ("'code': 'VARCHAR'", '"code": str'):
            assert (typed in part) == (table.name in ("links", "places"))


async def test_data_begin_with_a_table_for_spreadsheets(client: httpx.AsyncClient) -> None:
    text = await page(client, "/data")
    first = re.search(r'<a class="tile" href="([^"]+)"><b>([^<]+)</b>', text)
    assert first

    rows = list(csv.DictReader(io.StringIO((await client.get(html.unescape(first[1]))).text)))

    assert first[2] == "Table (CSV, Excel)"
    assert list(rows[0]) == [column.name for column in LISTED]
    assert len(rows) == (await client.get("/search?kind=initiative&format=json")).json()["total"]


async def test_the_table_of_a_topic_has_the_columns_that_the_codebook_describes(
    client: httpx.AsyncClient,
) -> None:
    text = await page(client, "/scheme/itu-region/africa")
    match = re.search(r'href="(/figures/[^"]+rows=initiatives)" download', text)
    assert match
    address = html.unescape(match[1])

    rows = list(csv.DictReader(io.StringIO((await client.get(address)).text)))

    assert list(rows[0]) == [column.name for column in LISTED]
    assert {(row["country_name"], row["iso3"], row["itu_region"]) for row in rows} >= {
        ("Kenya", "KEN", "africa")
    }
    assert any(row["action_lines"] == "C4" for row in rows)
    assert any(row["goals"] for row in rows)
    assert len({row["thing"] for row in rows}) == len(rows)


async def test_the_map_reads_its_countries_out_and_that_of_a_region_is_cut_to_it(
    client: httpx.AsyncClient,
) -> None:
    if load_outlines() is None:
        pytest.skip("the outlines were not built, for which npm is needed")
    world, region = await page(client, "/map"), await page(client, "/map?region=africa")

    boxes = [
        re.findall(r'class="drawing world" viewBox="([^"]+)"', text)[0].split()
        for text in (world, region)
    ]
    assert boxes[0] == ["0", "0", "2000", "974"]
    assert float(boxes[1][2]) < 1500
    assert "<title>Kenya: 121</title>" in world
    assert f'href="/concept?iri={KENYA}"' in world


def test_sections_without_items_are_hidden() -> None:
    paths = {
        entry.path
        for section in sections({"event", "prize", "vocabulary"})
        for entry in section.entries
    }

    assert {"/events", "/prizes"} <= paths
    assert paths.isdisjoint({"/documents", "/posts", "/organizations", "/submit"})


async def test_a_language_that_was_chosen_is_kept_and_reported(client: httpx.AsyncClient) -> None:
    chosen = await client.get("/map?lang=es", headers=HTML)
    again = await client.get(
        "/map?lang=es", headers=HTML | {"If-None-Match": chosen.headers["etag"]}
    )
    reply = await page(client, "/map", Cookie="language=es")

    assert chosen.headers["set-cookie"].startswith("language=es; Path=/;")
    assert (again.status_code, again.headers["set-cookie"]) == (304, chosen.headers["set-cookie"])
    assert chosen.headers["content-language"] == "es"
    assert {"Accept-Language", "Cookie"} <= set(chosen.headers["vary"].split(", "))
    assert '<html lang="es"' in reply


@pytest.mark.parametrize(
    "path", ["/data/initiative/demo/a%2F1.ttl", "/map.csv", "/sparql?query=ASK{}"]
)
async def test_data_are_the_same_in_every_language(client: httpx.AsyncClient, path: str) -> None:
    one, other = [await client.get(path, headers={"Accept-Language": tag}) for tag in ("en", "ar")]

    assert one.content == other.content
    assert "set-cookie" not in other.headers


@each(
    "stem",
    ["/home.", "/map.", "/trends.", "/gaps.", "/events.", "/documents.", "/posts.", "/prizes.", "/registries.", "/topics.",
     "/matrix/counts."],
)  # fmt: skip
async def test_every_page_of_numbers_has_its_json_csv_and_rdf(
    client: httpx.AsyncClient, stem: str
) -> None:
    results = await in_all_forms(client, stem)

    assert results["json"].json()["figures"]
    header = next(csv.reader(io.StringIO(results["csv"].text)))
    assert len(header) == len(set(header))
    assert [name for name in header if not re.fullmatch("[a-z][a-z0-9_]*", name)] == []
    assert {"country_name", "name"} - set(header)
    triples = {str(quad) for quad in parse(results["ttl"].content, RdfFormat.TURTLE)}
    assert triples == {str(quad) for quad in parse(results["nt"].content, RdfFormat.N_TRIPLES)}


async def in_all_forms(client: httpx.AsyncClient, stem: str) -> dict[str, httpx.Response]:
    """Return the response in each format of FORMS; each must have its media type."""
    results = {suffix: await client.get(stem + suffix) for suffix in FORMS}
    media = {name: item.headers["content-type"].partition(";")[0] for name, item in results.items()}
    assert media == FORMS
    return results


FIGURES = {
    "/scheme/action-line/C4": "/figures/line/C4", "/scheme/itu-region/africa": "/figures/region/africa",
    "/concept?iri=http://metadata.un.org/sdg/3": "/figures/goal/3", "/concept?iri=http://metadata.un.org/sdg/3.8": "/figures/target/3.8",
    "/concept?iri=http://metadata.un.org/sdg/codes/geoArea/404": "/figures/country/404",
    "/page/organization/demo/ministry-of-health": "/figures/organization/demo/ministry-of-health", "/source/demo": "/figures/source/demo",
}  # fmt: skip


@each("stem", FIGURES.values())
async def test_each_figure_of_an_entity_is_the_answer_to_its_query(
    client: httpx.AsyncClient, stem: str
) -> None:
    figures = (await client.get(f"{stem}.json")).json()["figures"]

    assert {"initiatives", "organizations", "partners"} < {figure["name"] for figure in figures}
    for figure in figures:
        name, rows = figure["name"], figure["rows"]
        answer = await client.post("/sparql", data={"query": figure["query"], "format": "json"})
        bindings = answer.json()["results"]["bindings"]
        results = [[cell["value"] for cell in row.values()] for row in bindings]
        assert sorted(row["things"] for row in rows) == sorted(int(row[-1]) for row in results), (
            name
        )
        if name in ("organizations", "partners"):
            different = {tuple(map(str, row.values())) for row in rows}
            assert sorted(map(list, different)) == sorted(results)
        elif name != "initiatives":
            coded = {(row[0].rpartition("/")[2].rpartition("#")[2], int(row[1])) for row in results}
            assert {(row[name].rpartition(":")[2], row["things"]) for row in rows} == coded


@each("path, stem", FIGURES.items())
async def test_the_figures_of_an_entity_are_linked_as_json_csv_and_rdf(
    client: httpx.AsyncClient, path: str, stem: str
) -> None:
    text = await page(client, path)
    results = await in_all_forms(client, f"{stem}.")
    people = await client.get(stem, headers=HTML)

    assert {f"{stem}.{suffix}" for suffix in FORMS} <= set(re.findall(r'href="([^"]+)"', text))
    assert (people.status_code, people.headers["location"]) == (303, path)
    rows = list(csv.DictReader(io.StringIO(results["csv"].text)))
    figures = results["json"].json()["figures"]
    triples = list(parse(results["ttl"].content, RdfFormat.TURTLE))
    observed = [quad for quad in triples if quad.predicate.value.endswith("measure#obsValue")]
    subjects = {quad.subject.value.partition("#")[0] for quad in triples}
    assert len(rows) == len(observed) == sum(len(figure["rows"]) for figure in figures)
    assert {int(quad.object.value) for quad in observed} == {int(row["things"]) for row in rows}
    assert subjects == {f"http://stocktake.test{stem}"}


@each(
    "path",
    ["/figures/goal/44.csv", "/figures/year/2024", "/figures/organization/demo/nobody", "/figures/", "/figures/goal"],
)  # fmt: skip
async def test_where_nothing_is_counted_it_is_said_what_is(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(f"/figures/{path}")

    assert answer.status_code == 404
    assert "FACET is one of line, goal, target" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/map.svg", "/trends.svg", "/matrix/counts.svg"])
async def test_a_drawing_is_a_file_of_its_own_with_its_style(
    client: httpx.AsyncClient, path: str
) -> None:
    if path == "/map.svg" and load_outlines() is None:
        pytest.skip("the outlines were not built, for which npm is needed")
    answer = await client.get(path)

    root = ElementTree.fromstring(answer.content)
    assert answer.headers["content-type"] == "image/svg+xml"
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert ".drawing" in (root.findtext("{http://www.w3.org/2000/svg}style") or "")


@each("path", ["/", "/map", "/trends", "/gaps", "/matrix", *ABOUT])
async def test_every_query_that_a_page_links_is_answered(
    client: httpx.AsyncClient, path: str
) -> None:
    links = re.findall(r'href="/sparql\?show=([^"]+)"', await page(client, path))

    assert links
    for query in sorted({unquote(unescape(link)) for link in links}):
        answer = await client.post("/sparql", data={"query": query, "format": "json"})
        assert answer.status_code == 200, query


async def test_the_query_page_shows_the_query_that_a_page_leads_to_and_does_not_ask_it(
    client: httpx.AsyncClient,
) -> None:
    text = await page(client, "/sparql?show=SELECT%20%2A%20%7B%3Cscript%3E")

    assert ">SELECT * {&lt;script&gt;</textarea>" in text


async def test_the_matrix_mixes_no_bases_unless_it_is_asked_to(client: httpx.AsyncClient) -> None:
    for basis, counts in (("", (1, 1)), ("?basis=crosswalked", (1, 0))):
        [figure] = (await client.get(f"/matrix/counts.json{basis}")).json()["figures"][:1]
        cells = {(row["line"], row["goal"]): row["things"] for row in figure["rows"]}
        assert (cells["C2", "9"], cells["C7-ehea", "3"]) == counts


async def test_a_month_shows_its_events_and_leads_to_the_next(client: httpx.AsyncClient) -> None:
    text = await page(client, "/events?month=2025-05")

    assert '<a href="/page/event/demo/e1"' in text
    assert 'href="/events?month=2025-06"' in text
    assert 'href="/feeds/events.ics"' in text
    assert "May 2025" in text


@each(
    "path, near",
    [("/search?contry=404&format=json", "country"), ("/map.csv?lin=C1", "line"), ("/trends.json?gaol=3", "goal"),
     ("/things.json?concpt=x", "concept"), ("/figures/goal/3.json?bases=declared", "basis"), ("/feeds/search.json?contry=404", "country"),
     ("/compare/records?from=1&onlly=new", "only")],
)  # fmt: skip
async def test_data_are_refused_for_a_parameter_that_there_is_not(
    client: httpx.AsyncClient, path: str, near: str
) -> None:
    reply = await client.get(path)

    assert (reply.status_code, f"did you mean {near}?" in reply.text) == (400, True)


async def test_a_page_ignores_what_other_sites_add_to_its_link(client: httpx.AsyncClient) -> None:
    text = await page(client, "/map?utm_source=mail&goal=3")

    assert 'href="/map.json?goal=3"' in text


@each("path", ["/search", "/trends", "/matrix/counts", "/figures/goal/4", "/events", "/documents"])
async def test_more_values_of_a_facet_than_are_taken_are_refused_with_how_many_are(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path, params={"country": [f"C{number}" for number in range(51)]})

    assert (answer.status_code, "at most 50 values" in answer.text) == (400, True)


async def test_a_facet_narrows_the_search_and_states_the_counts(client: httpx.AsyncClient) -> None:
    narrowed = (await client.get("/search?goal=3&kind=initiative&format=json")).json()
    text = await page(client, "/search?goal=3&kind=initiative")

    assert narrowed["total"] == 8
    assert narrowed["facets"]["line"] == {
        "C1": 1, "C2": 1, "C3": 2, "C4": 1, "C5": 1, "C6": 1, "C7-ehea": 1,
    }  # fmt: skip
    assert re.search(
        r'aria-current="true"><span class="label"><span><span><bdi>3</bdi>\.</span> <bdi class="name">Good health',
        text,
    )
    assert 'href="/feeds/goal/3.atom"' in text


async def test_links_that_were_suggested_count_only_where_they_are_asked_for(
    client: httpx.AsyncClient,
) -> None:
    totals = [
        (await client.get(f"/search?line=C4&{more}format=json")).json()["total"]
        for more in ("", "basis=suggested&", "basis=declared&basis=suggested&")
    ]

    assert totals == [20, 1, 21]


async def test_words_and_facets_work_together_and_the_sparql_of_the_search_lists_the_same(
    client: httpx.AsyncClient,
) -> None:
    result = (await client.get("/search?q=network&goal=4&format=json&sort=title")).json()
    of_year = (await client.get("/search?q=network&goal=4&year=2023&format=json")).json()
    asked = await client.post("/sparql", data={"query": of_year["sparql"], "format": "json"})

    titles = [item["titles"][0]["text"] for item in result["results"]]
    rows = [row["thing"]["value"] for row in asked.json()["results"]["bindings"]]
    assert result["total"] == 7 == len(titles)
    assert titles == sorted(titles, key=str.lower)
    assert "text:query" in result["sparql"]
    assert rows == sorted(item["thing"] for item in of_year["results"])


@pytest.mark.parametrize("kind", SOURCE_FORMATS)
async def test_a_definition_that_the_page_writes_is_one_that_the_harvester_takes(
    client: httpx.AsyncClient, kind: Any, tmp_path: Path
) -> None:
    results = {
        "kind": kind, "title": 'Registry "of" tests \\ é', "url": SOURCE_FORMATS[kind].example,
        "licence": "https://creativecommons.org/licenses/by/4.0/", "language": "en", "key": "id", "name": "name", "records": "results",
    }  # fmt: skip
    file = tmp_path / f"{from_query(results).name}.toml"
    file.write_text(source_toml(from_query(results)), encoding="utf-8")

    source = load(file)

    text = unescape(await page(client, f"/join?{httpx.QueryParams(results)}"))
    assert (source.title, source.url) == (results["title"], results["url"])
    assert source.protocol in PROTOCOLS
    assert source.mapping in MAPPINGS
    assert file.read_text(encoding="utf-8") in text


async def test_a_cell_of_the_matrix_names_one_of_its_initiatives(client: httpx.AsyncClient) -> None:
    cell = r'href="(/search\?kind=initiative&amp;line=[^"]+)" data-tip="[^"]*For example: ([^"]+)"'

    tip = re.search(cell, await page(client, "/matrix"))

    assert tip is not None
    assert tip[2] in await page(client, unescape(tip[1]))


@each(
    "path, cells, leads",
    [("/source/demo", 17, "source=demo"), ("/concept?iri=http://metadata.un.org/sdg/codes/geoArea/404", 17, "country=404"),
     ("/concept?iri=http://metadata.un.org/sdg/3.8", 18, "target=3.8"), ("/scheme/action-line/C4", 17, "line=C4"),
     ("/page/organization/demo/ministry-of-health", 17, "")],
)  # fmt: skip
async def test_a_profile_has_its_row_of_the_matrix(
    client: httpx.AsyncClient, path: str, cells: int, leads: str
) -> None:
    text = await page(client, path)

    row = text.partition('class="matrix-row"')[2].partition("</ol>")[0]
    assert row.count("<li ") == cells
    assert re.findall('class="things-count"', row)
    searches = re.findall(r'href="(/search[^"]+)"', row)
    assert bool(searches) == bool(leads)
    assert [address for address in searches if leads not in address] == []


@each("code", ["002", "014", "ldc", "dc"])
async def test_an_area_counts_the_initiatives_of_the_areas_within_it(
    client: httpx.AsyncClient, code: str
) -> None:
    """Kenya is in Africa, in Eastern Africa and among developing countries, not among the least
    developed ones.
    """
    text = await page(client, f"/concept?iri=http://metadata.un.org/sdg/codes/geoArea/{code}")
    number = (await client.get(f"/search?kind=initiative&area={code}&format=json")).json()["total"]
    query = total(make_filter(kind="initiative", area=code), Iris(), has_parts=False)
    counted = await client.get("/sparql", params={"query": query, "format": "csv"})

    assert (number > 0) == (code != "ldc")
    assert counted.text.split()[1] == str(number)
    assert f'href="/follow?area={code}"' in text
    assert f"/search?kind=initiative&amp;area={code}" in text


BASE = "https://w3id.org/wsis-stocktaking/"
LINE = f"{BASE}scheme/action-line/C4"
MINISTRY = f"{BASE}id/organization/demo/ministry-of-health"


async def walked(client: httpx.AsyncClient, path: str, rel: str = "next") -> list[list[str]]:
    """Follow a list to its end; return the things of each page."""
    pages = []
    address: str | None = path
    while address:
        body = (await client.get(address)).json()
        pages.append([item["id"] for item in body["items"]])
        address = body.get(rel)
    return pages


@pytest.mark.parametrize("sort", ["address", "title", "newest"])
async def test_following_a_list_meets_each_thing_once(client: httpx.AsyncClient, sort: str) -> None:
    pages = await walked(client, f"/things.json?source=demo&sort={sort}")

    things = [thing for page in pages for thing in page]
    assert [len(page) for page in pages] == [50, 50, 24]
    assert len(set(things)) == 124


async def test_a_list_is_walked_back_as_it_was_walked(client: httpx.AsyncClient) -> None:
    path = "/things.json?source=demo&sort=title"
    first = (await client.get(path)).json()
    second = (await client.get(first["next"])).json()
    third = (await client.get(second["next"])).json()

    back = (await client.get(third["prev"])).json()
    start = (await client.get(back["prev"])).json()

    assert back["items"] == second["items"]
    assert start["items"] == first["items"]
    assert "prev" not in first


async def test_a_list_is_sorted_by_title_and_has_what_bears_a_concept_or_an_organization(
    client: httpx.AsyncClient,
) -> None:
    body = (await client.get("/things.json?source=demo&sort=title")).json()

    titles = [item["title"].lower() for item in body["items"]]

    assert titles == sorted(titles)
    assert titles[0].startswith("<script>")

    body = (await client.get("/things.json", params={"concept": LINE})).json()

    ways = {
        item["id"].rpartition("/")[2]: item["property"].rpartition("#")[2] for item in body["items"]
    }

    assert len(ways) == 21
    assert (ways["a%2F1"], ways["105"]) == ("suggestedActionLine", "actionLine")

    pages = await walked(client, f"/things.json?organization={MINISTRY}")

    assert sum(len(page) for page in pages) == 121


async def test_places_goals_and_countries_have_pages_and_data_of_their_things(
    client: httpx.AsyncClient,
) -> None:
    address = "/concept?iri=http://metadata.un.org/sdg/codes/geoArea/404"
    page, data = await client.get(address, headers=HTML), await client.get(f"{address}&format=json")

    assert data.json()["name"]["en"] == "Kenya"
    assert 'rel="next"' in page.headers["link"]
    assert page.text.count('<a href="/page/initiative/') == 50
    again = await client.get(
        page.text.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&"),
        headers=HTML,
    )
    assert again.status_code == 200
    assert 'rel="prev"' in again.text


async def test_organizations_are_filtered_by_a_part_of_their_names(
    client: httpx.AsyncClient,
) -> None:
    page = (await client.get("/organizations?q=hEALTH&sort=title", headers=HTML)).text
    items = (await client.get("/organizations.json?q=hEALTH&sort=title")).json()["items"]

    assert [item["title"] for item in items] == ["Fund for Health", "Ministry of Health"]
    assert "Clinics United" not in page
    assert 'name="q" type="search" dir="auto" maxlength="200" value="hEALTH"' in page
