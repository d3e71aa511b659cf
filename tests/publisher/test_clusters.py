"""Pages, data and releases count each cluster of merged things once."""

from __future__ import annotations

import csv
import gzip
import html
import io
import json
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import duckdb
import httpx
import pytest
from browser import browsing
from in_process import listening, serving
from publish_fixture import settle, visiting
from rows import each
from small_world import BODIES, CHANGED, CLUSTER, IRIS, KENYA, LEAD, ONE, TWO, add_clusters

from languages.translations import use_language
from publisher.data.tables import FacetIndex, Filter, make_filter, open_facet_index, sql
from publisher.portal.clusters import ClusterMember, MemberValues, sort_by_precedence
from publisher.portal.facet_labels import FacetLabels
from publisher.portal.figures import coverage
from publisher.portal.report.builder import open_figures
from publisher.portal.report.content import Scope, sections
from publisher.rdf import Term, namespaces
from publisher.releases.builder import build_release
from publisher.releases.tables import LISTED
from publisher.store.descriptions import Description, Statement
from publisher.store.snapshots import newest_snapshot
from vocab.annotations import cluster_iri
from vocab.terms import DCT

HTML = {"Accept": "text/html"}
COMPARED = "/compare?one=country/404&other=source/atlas"


@pytest.fixture(scope="module")
def address(level: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    data = Path(shutil.copytree(level, tmp_path_factory.mktemp("clusters") / "data"))
    add_clusters(data)
    with listening(partial(serving, data)) as url:
        settle(url)
        yield url


@pytest.fixture
async def client(address: str) -> AsyncIterator[httpx.AsyncClient]:
    async with visiting(address) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "records", "different"),
    [("/search?kind=initiative", 128, 124), ("/search", 128, 124),
     ("/concept?iri=http://metadata.un.org/sdg/codes/geoArea/404", 127, 123),
     *((path, 128, 124) for path in ("/topics", "/sources", "/map", "/trends", "/matrix", "/embed/count"))],
)  # fmt: skip
async def test_pages_count_clusters_and_name_the_records_in_one_footnote(
    client: httpx.AsyncClient, path: str, records: int, different: int
) -> None:
    page = (await client.get(path, headers=HTML)).text

    note = f"{records} records of initiatives describe {different} different ones"
    assert page.count(note) == 1
    assert f"<bdi>{records}</bdi>" not in page
    if path == "/search?kind=initiative":
        value = page.partition("?kind=initiative&amp;country=404")[2].partition("</li>")[0]
        filtered = (await client.get(f"{path}&country=404", headers=HTML)).text
        assert "<bdi>123</bdi></span></a>" in value
        assert '<h2 id="found"><bdi>123</bdi> results' in filtered


@pytest.mark.parametrize(
    "path",
    ["/scheme/itu-region/africa", "/concept?iri=http://metadata.un.org/sdg/codes/geoArea/404"],
)
async def test_the_headline_of_a_page_is_the_number_of_clusters_in_its_csv(
    client: httpx.AsyncClient, path: str
) -> None:
    page = (await client.get(path, headers=HTML)).text
    headline = re.search(r"<dt>Initiatives</dt><dd><a [^>]*><bdi>([0-9]+)</bdi>", page)
    link = re.search(r'href="([^"]+)" download="initiatives.csv"', page)
    assert headline
    assert link

    rows = read_csv((await client.get(html.unescape(link[1]))).text)

    assert len(rows) == 127
    assert len({row["cluster"] for row in rows}) == int(headline[1]) == 123
    members = [row["thing"] for row in rows if row["cluster"] == cluster_iri(ONE, IRIS)]
    assert sorted(members) == sorted([ONE, TWO, IRIS.thing("initiative", "atlas", "p1")])


async def test_the_page_of_an_organization_has_the_number_of_the_list(
    client: httpx.AsyncClient,
) -> None:
    items = (await client.get("/organizations.json")).json()["items"]
    numbers = {item["id"]: item["initiatives"] for item in items}
    number = next(numbers[body] for body in BODIES if body in numbers)

    for body in BODIES:
        page = (await client.get(body.replace(f"{IRIS.base}id", "/page"), headers=HTML)).text
        active = page.partition("Most active organizations")[2].partition("</section>")[0]
        query = parse_qs(urlsplit(find_link(page, "Open this list")).query)["show"]
        answer = await client.get("/sparql", params={"query": query[0], "format": "json"})
        records = len(answer.json()["results"]["bindings"])
        assert f'<dd><a href="/things?organization={quote(body)}"><bdi>{number}</bdi>' in page
        assert records == number
        assert [one for one in BODIES if one.rpartition("/")[2] in active] == []


def find_link(page: str, text: str) -> str:
    return page.partition(f">{text}")[0].rpartition('href="')[2].partition('"')[0]


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("path", ["/", "/sources", "/source/atlas"])
async def test_a_registry_has_the_same_number_on_every_page(
    client: httpx.AsyncClient, path: str
) -> None:
    page = (await client.get(path, headers=HTML)).text
    search = (await client.get("/search?kind=initiative&source=atlas", headers=HTML)).text
    row = page.partition('href="/source/atlas"')[2].partition(
        "</tr>" if "</tr>" in page else "</li>"
    )[0]

    assert '<h2 id="found"><bdi>4</bdi> results' in search
    if path == "/source/atlas":
        assert '<a href="/search?kind=initiative&amp;source=atlas"><bdi>4</bdi></a>' in page
    else:
        assert "<bdi>4</bdi>" in row


@pytest.mark.parametrize(
    ("facet", "kinds"), [("document", {"document"}), ("status", {"initiative"}), ("year", None)]
)
def test_a_coverage_counts_what_can_have_the_value(
    level: Path, facet: str, kinds: set[str] | None
) -> None:
    snapshot = newest_snapshot(level / "store" / "snapshots")
    assert snapshot
    tables = open_facet_index(snapshot.path)
    assert tables

    by_kind = tables.counts_once(Filter())["kind"]
    known = coverage(tables, Filter(), facet)

    able = kinds or {"initiative", "event", "document", "post"}
    assert known.all == sum(things for kind, things in by_kind.items() if kind in able)


BODY = BODIES[0].removeprefix(f"{IRIS.base}id")
# The figures of other pages are tested in test_figures.py.
FIGURES = {"/prizes": "/prizes.", f"/page{BODY}": f"/figures{BODY}."}


@each("path", FIGURES)
async def test_a_number_is_the_same_on_its_page_in_its_data_and_by_its_query(
    client: httpx.AsyncClient, path: str
) -> None:
    page = (await client.get(path, headers=HTML)).text
    document = (await client.get(f"{FIGURES[path]}json")).json()
    lines = read_csv((await client.get(f"{FIGURES[path]}csv")).text)
    for figure in document["figures"]:
        name, counted = figure["name"], [row for row in figure["rows"] if row.get("things")]
        written = [line for line in lines if line.get("figure", name) == name]
        assert [int(line["things"]) for line in written if line.get("things", "0") not in "0"] == [
            row["things"] for row in counted
        ], name
        if counted:
            asked = await client.get("/sparql", params={"query": figure["query"], "format": "csv"})
            results = [int(row["things"]) for row in read_csv(asked.text)]
            assert sorted(row["things"] for row in counted) == sorted(results), name
        drawn = page.partition(f'id="by-{name}"')[2].partition("</section>")[0]
        numbers = {str(row["things"]) for row in counted}
        assert set(re.findall(r"<bdi>([0-9]+)</bdi></t[dh]>", drawn)) <= numbers, name


async def test_data_of_a_search_count_as_its_page(client: httpx.AsyncClient) -> None:
    result = (await client.get("/search?kind=initiative&format=json")).json()
    rows = read_csv((await client.get("/search?kind=initiative&format=csv")).text)
    apart = (await client.get("/search?kind=event", headers=HTML)).text

    assert (result["total"], result["records"]) == (124, 128)
    assert result["facets"]["country"]["404"] == 123
    assert list(rows[0]) == [column.name for column in LISTED]
    assert (len(rows), len({row["cluster"] for row in rows})) == (128, 124)
    assert "different ones" not in apart


async def test_reconciliation_counts_as_pages_do(client: httpx.AsyncClient) -> None:
    wanted = {"ids": [KENYA], "properties": [{"id": "initiatives"}]}

    rows = (await client.get("/reconcile", params={"extend": json.dumps(wanted)})).json()["rows"]

    assert rows == {KENYA: {"initiatives": [{"int": 123}]}}


@pytest.mark.parametrize("language", ["en", "ar"])
def test_the_page_fits_a_telephone_and_is_accessible(
    address: str, packages: Path, tmp_path: Path, language: str
) -> None:
    with browsing(tmp_path) as browser:
        browser.open(f"{address}{CLUSTER}?lang={language}", 320)

        assert browser.run("document.documentElement.scrollWidth") <= 320
        assert browser.faults(packages) == []


def organization_counts(tables: FacetIndex) -> list[tuple[int, int]]:
    """Return the numbers of things and of records of the organization LEAD."""
    return [
        (things, things.records)
        for _, name, things in tables.organizations(make_filter(kind="initiative"), 100)
        if name == LEAD.name.value
    ]


def test_a_release_lists_the_members_of_clusters_and_counts_each_once(
    world: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(world, tmp_path / "data", ignore=shutil.ignore_patterns("store"))
    add_clusters(data)

    release = build_release(data, IRIS, CHANGED + timedelta(days=3))

    rows = read_csv(gzip.decompress((data / "releases/1/merged.csv.gz").read_bytes()).decode())
    assert {(row["thing"], row["kind"], row["source"], row["cluster"]) for row in rows} == {
        (ONE, "initiative", "demo", cluster_iri(ONE, IRIS)),
        (TWO, "initiative", "atlas", cluster_iri(ONE, IRIS)),
        *((body, "organization", "demo", cluster_iri(BODIES[0], IRIS)) for body in BODIES),
    }
    assert {file.rows for file in release.files if file.name.startswith("merged.")} == {4}
    initiatives = read_csv(
        gzip.decompress((data / "releases/1/initiatives.csv.gz").read_bytes()).decode()
    )
    names = [column.name for column in LISTED]
    assert list(initiatives[0])[: len(names)] == names
    assert (len(initiatives), len({row["cluster"] for row in initiatives})) == (128, 124)
    scope, labels = Scope(release.number, "fr"), FacetLabels(IRIS, {})
    with open_figures(data, release, labels, scope.filter) as figures, use_language("fr"):
        organizations = make_filter(kind="organization")
        bodies = figures.tables.count_different(organizations)
        office = organization_counts(figures.tables)
        placed = figures["map"].coverage.text
        [findings] = [
            item for item in sections(figures, scope, release, {}) if item["key"] == "findings"
        ]
    assert bodies.records - bodies == 1
    assert office == [(4, 6)]
    assert placed == "123 sur 124 ont un pays"
    assert findings["text"][0].startswith(
        "128 notices d’initiatives décrivent 124 initiatives différentes"
    )


def member_values(source: str, text: str, *, changed: str, first_seen: str) -> MemberValues:
    thing, record = IRIS.thing("initiative", source, "1"), IRIS.record(source, "1")
    statements = tuple(
        Statement(record, DCT + name, Term(value, "literal"))
        for name, value in (("modified", changed), ("issued", first_seen))
    )
    description = Description(thing, statements, {}, namespaces(IRIS))
    member = ClusterMember(thing, source, record, description)
    return MemberValues(member, (Term(text, "literal"),))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("dct:description", ["long", "new", "old"]), ("dct:title", ["old", "long", "new"]), ("schema:startDate", ["new", "old", "long"])],
)  # fmt: skip
def test_the_rules_of_precedence_sort_the_members(name: str, expected: list[str]) -> None:
    says = [
        member_values("new", "b", changed="2026-03-01", first_seen="2026-02-01"),
        member_values("long", "a longer text", changed="2026-01-01", first_seen="2026-01-15"),
        member_values("old", "c", changed="2026-02-01", first_seen="2026-01-01"),
    ]

    assert [item.member.source for item in sort_by_precedence(name, says)] == expected


def test_parts_of_parts_count_with_the_outermost_whole() -> None:
    wholes = {
        "b": "https://x/a",
        "c": "https://x/b",
        "named": "A title that nothing has",
        "too": "A title that nothing has",
        "y": "https://x/z",
        "z": "https://x/y",
        "lost": "https://x/gone",
    }
    with duckdb.connect() as connection:
        connection.execute(sql("schema"))
        for number, name in enumerate(("a", *wholes)):
            whole = [wholes[name]] if name in wholes else None
            connection.execute(
                "INSERT INTO things (thing, iri, kind, source, title, wholes) VALUES (?, ?, 1, 's', ?, ?)",
                [number, f"https://x/{name}", f"Title of {name}", whole],
            )
        connection.execute("INSERT INTO clusters VALUES ('https://x/a', 'https://x/cluster')")
        connection.execute(sql("groups"))
        query = "SELECT iri, cluster FROM groups_now JOIN things USING (thing)"
        groups = dict(connection.execute(query).fetchall())
        family = sql("family").replace("$line", "iri")
        bound = {"iri": "x", "source": "x", "titles": ["x"], "wholes": ["x"], "kind": 1, "limit": 9}
        [(_, plan)] = connection.execute(f"EXPLAIN {family}", bound).fetchall()

    # A part has no whole if the two name each other, or if the whole is not stored.
    assert groups == {f"https://x/{name}": "https://x/cluster" for name in "abc"} | dict.fromkeys(
        ("https://x/named", "https://x/too"), "https://x/named"
    )
    # A join of an initiative with its family would compare all columns of every thing.
    assert "JOIN" not in plan


async def test_a_part_and_its_whole_link_to_each_other(client: httpx.AsyncClient) -> None:
    for thing, label, expected in (
        ("atlas/p1", "Part of", ["/page/initiative/atlas/x%2F9"]),
        ("atlas/p2", "Part of", ["/page/initiative/demo/2"]),
        ("atlas/x%2F9", "Parts", ["/page/initiative/atlas/p1"]),
        ("demo/2", "Parts", ["/page/initiative/atlas/p2"]),
        ("atlas/p3", "Part of", []),  # A title that no initiative has stays a text.
    ):
        page = (await client.get(f"/page/initiative/{thing}", headers=HTML)).text
        facts = page.partition(f"<dt>{label}</dt>")[2].partition("<dt>")[0]
        assert re.findall('href="([^"]*)"', facts) == expected, thing
        assert ("A project that ended" in page) == (thing == "atlas/p3")


@pytest.mark.parametrize(
    ("path", "subject", "link"),
    [
        ("/search?kind=initiative&country=404", "Initiatives, Kenya: 123", "/search?kind=initiative&country=404"),
        ("/scheme/itu-region/africa", "Africa, Initiatives: 123", "/scheme/itu-region/africa"),
        ("/scheme/itu-region/africa", "Initiatives by SDG", "/scheme/itu-region/africa#by-goal"),
        ("/topics", "Topics", "/topics"),
        ("/organizations", "Organizations", "/organizations"),
        ("/quality", "Quality of the records", "/quality"),
        ("/source/atlas/quality", "Quality of the records, Registry of atlas: 114 / 340", "/source/atlas/quality"),
        (COMPARED, "Kenya, Initiatives: 123", COMPARED),
        (COMPARED, "Initiatives by year: Kenya, Registry of atlas", f"{COMPARED}#pair-year"),
    ],
)  # fmt: skip
async def test_a_number_is_cited_with_text_date_release_and_link(
    client: httpx.AsyncClient, path: str, subject: str, link: str
) -> None:
    page = (await client.get(path, headers=HTML)).text
    texts = [
        html.unescape(text)
        for text in re.findall(
            r'<details class="embed cite">.*?<textarea[^>]*>([^<]*)<', page, re.S
        )
    ]
    matching = [text for text in texts if f": {subject}. Data of " in text]
    state = r"Data of [0-9]+ \w+ 20[0-9]{2}, journal entry [0-9]+; newest release: –\. "

    assert len(matching) == 1, texts
    assert re.search(state, matching[0])
    assert re.fullmatch(rf".* http://[^/]+{re.escape(link)}", matching[0])
