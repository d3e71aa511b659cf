"""The catalogue conforms to DCAT-AP 3 and lists all that is published, also for portals that read
data.json or CKAN.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree
from typing import Any

import httpx
import pyshacl
import pytest
import pytest_asyncio
import rdflib
from app_client import served
from publish_fixture import copy_data
from pyoxigraph import QuerySolutions, RdfFormat, Store
from rdflib.namespace import RDF, SH
from rows import each
from suites import folder

from harvesters.network.fetch import Fetch, NetworkSettings
from harvesters.protocols.ckan import PROTOCOL
from harvesters.source import Source
from journal.journal import Journal
from journal.store import Origin, write_origin
from publisher.releases.builder import build_release
from vocab.iris import Iris

IRIS = Iris()
BASE = IRIS.base
NOW = datetime(2026, 4, 1, 6, 0, tzinfo=UTC)
SHAPES = folder("dcat-ap-3")
DCAT = "http://www.w3.org/ns/dcat#"
PREFIXES = f"PREFIX dcat: <{DCAT}> PREFIX dct: <http://purl.org/dc/terms/> PREFIX foaf: <http://xmlns.com/foaf/0.1/> "


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(released: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(released, "mailto:operator@example.org") as opened:
        yield opened


@pytest.fixture(scope="module")
def released(release_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with two releases."""
    data = Path(copytree(release_data, tmp_path_factory.mktemp("catalogued") / "data"))
    Journal(data / "journal").append(
        ['A <https://x.org/s> <https://x.org/p> "1" <https://x.org/g> .'], run="more", time=NOW
    )
    build_release(data, IRIS, NOW)
    return data


async def read_catalog(client: httpx.AsyncClient, path: str = "/catalog.ttl") -> Store:
    store = Store()
    store.load((await client.get(path)).content, RdfFormat.TURTLE)
    return store


def select(store: Store, query: str) -> set[tuple[str, ...]]:
    rows = store.query(PREFIXES + query)
    assert isinstance(rows, QuerySolutions)
    return {tuple(term.value for term in row if term is not None) for row in rows}


async def statuses(client: httpx.AsyncClient, store: Store, *queries: str) -> dict[str, int]:
    """Request each address that *queries* select; return the status of each."""
    addresses = {address for query in queries for (address,) in select(store, query)}
    return {
        address: (await client.get("/" + address.removeprefix(BASE))).status_code
        for address in addresses
    }


def shape_results(text: bytes, *names: str) -> Counter[tuple[str, str, str]]:
    """Validate Turtle; return the number of results by severity, classes of the node, and path."""
    shapes, data = rdflib.Graph(), rdflib.Graph().parse(data=text, format="turtle")
    for name in names:
        shapes.parse(SHAPES / f"{name}.ttl")
    _, report, _ = pyshacl.validate(data, shacl_graph=shapes, inference="none")
    missed: Counter[tuple[str, str, str]] = Counter()
    # Results that are only an sh:detail of another result are left out.
    for result in report.objects(None, SH.result):
        severity, focus, path = (
            report.value(result, element)
            for element in (SH.resultSeverity, SH.focusNode, SH.resultPath)
        )
        kinds = ",".join(
            sorted(
                kind.rpartition("#")[2].rpartition("/")[2]  # type: ignore[attr-defined]
                for kind in data.objects(focus, RDF.type)
            )
        )
        missed[
            str(severity).rpartition("#")[2], kinds, str(path).rpartition("#")[2].rpartition("/")[2]
        ] += 1
    return missed


def needs_shapes(test: Callable[..., Any]) -> Any:
    """Mark a test as one of the DCAT-AP 3 suite; skip it where the shapes are missing."""
    reason = "the shapes of DCAT-AP 3 lie in ../shared/suites/dcat-ap-3, which is not here"
    marked = pytest.mark.skipif(not SHAPES.is_dir(), reason=reason)(test)
    return pytest.mark.suite("dcat-ap-3")(marked)


@needs_shapes
async def test_it_conforms_to_the_shapes_of_dcat_ap_3(client: httpx.AsyncClient) -> None:
    text = (await client.get("/catalog.ttl")).content

    missed = shape_results(text, "shapes", "range", "shapes_recommended", "deprecateduris")

    assert [element for element in missed if element[0] == "Violation"] == []
    # DCAT-AP recommends these properties, but we cannot know their values, such as the type of a
    # publisher or how a registry's own interface is used.
    assert {(kinds, path) for _, kinds, path in missed} <= {
        ("Agent", "type"),
        ("LicenseDocument", "type"),
        ("Location", "bbox"),
        ("Location", "centroid"),
        *(
            ("DataService", path)
            for path in (
                "conformsTo", "contactPoint", "endpointDescription", "keyword", "publisher", "servesDataset", "theme",
            )
        ),
        *(
            ("Catalog,Document", path)
            for path in ("homepage", "language", "spatial", "themeTaxonomy", "service")
        ),
        *(("Distribution", path) for path in ("availability", "format", "license")),
        ("PeriodOfTime", "endDate"),
        ("PeriodOfTime", "startDate"),
    }  # fmt: skip


@needs_shapes
async def test_its_codes_are_of_the_controlled_vocabularies(client: httpx.AsyncClient) -> None:
    catalog = (await client.get("/catalog.ttl")).content
    release = (await client.get("/release/2.ttl")).content
    without_titles = catalog.replace(b"dct:title ", b"dct:alternative ")

    def violations(text: bytes, *names: str) -> set[tuple[str, str]]:
        missed = shape_results(text, *names)
        return {(kinds, path) for severity, kinds, path in missed if severity == "Violation"}

    # The pattern of the shape wants https, but the terms of SPDX and the text of DCAT-AP have http.
    assert violations(catalog, "mdr-vocabularies.shape") <= {("Checksum", "algorithm")}
    assert violations(release, "shapes", "range") == set()
    assert ("Catalog", "title") in violations(without_titles, "shapes")


async def test_releases_are_a_series_of_files_with_sizes_and_sums_and_sources_catalogues_with_shares(
    client: httpx.AsyncClient,
) -> None:
    store = await read_catalog(client)

    series = f"<{BASE}releases/>"
    assert select(store, f"SELECT ?it {{ ?it dcat:inSeries {series} }}") == {
        (IRIS.release(1),),
        (IRIS.release(2),),
    }
    assert select(
        store,
        f"SELECT ?first ?last {{ {series} a dcat:DatasetSeries ; dcat:first ?first ; dcat:last ?last }}",
    ) == {(IRIS.release(1), IRIS.release(2))}
    assert select(store, "SELECT ?a ?b { ?a dcat:prev ?b }") == {(IRIS.release(2), IRIS.release(1))}

    manifest = (await client.get("/releases/2/release.json")).json()

    rows = select(
        store,
        f"""PREFIX spdx: <http://spdx.org/rdf/terms#> SELECT ?url ?size ?sum {{ <{IRIS.release(2)}> dcat:distribution ?way .
        ?way dcat:downloadURL ?url ; dcat:byteSize ?size ; spdx:checksum [ spdx:checksumValue ?sum ] }}""",
    )

    assert rows == {
        (f"{BASE}releases/2/{element['name']}", str(element["bytes"]), element["sha256"])
        for element in manifest["files"]
    }

    rows = select(
        store,
        f"SELECT ?it ?title ?share {{ <{BASE}catalog> dcat:catalog ?it . ?it dct:title ?title ; dcat:dataset ?share }}",
    )

    assert rows == {(f"{BASE}source/demo", "Registry of demo", f"{BASE}source/demo#records")}


async def test_every_service_and_every_download_that_is_listed_answers(
    client: httpx.AsyncClient,
) -> None:
    store, service = await read_catalog(client), f"<{BASE}catalog> dcat:service"

    services = await statuses(
        client,
        store,
        f"SELECT ?url {{ {service}/dcat:endpointURL ?url }}",
        f"SELECT ?url {{ {service}/dcat:endpointDescription ?url }}",
    )
    downloads = await statuses(client, store, "SELECT ?url { ?way dcat:downloadURL ?url }")

    assert {f"{BASE}sparql", f"{BASE}oai", f"{BASE}ldes"} <= services.keys()
    # Some services answer 400 to a request without parameters.
    assert {url: status for url, status in services.items() if status not in (200, 400)} == {}
    assert len(downloads) > 40
    assert {url for url, status in downloads.items() if status != 200} == set()


async def test_the_catalogue_of_a_mirror_names_its_origin(small: Path, tmp_path: Path) -> None:
    copy_data(small, tmp_path, "store")
    write_origin(tmp_path / "journal", Origin("https://other.example/", BASE))
    async with served(tmp_path, follow=False) as client:
        store = await read_catalog(client)

    origin = f"<{BASE}.well-known/void#dataset> <http://www.w3.org/ns/prov#wasDerivedFrom>"
    assert ("https://other.example/",) in select(store, f"SELECT ?of {{ {origin} ?of }}")


async def test_data_json_has_what_its_schema_requires_of_every_data_set(
    client: httpx.AsyncClient,
) -> None:
    element = (await client.get("/data.json")).json()

    required = {
        "title", "description", "keyword", "modified", "publisher", "contactPoint", "identifier", "accessLevel",
    }  # fmt: skip
    assert element["conformsTo"] == "https://project-open-data.cio.gov/v1.1/schema"
    assert [one["identifier"] for one in element["dataset"]] == [
        f"{BASE}.well-known/void#dataset",
        IRIS.release(2),
        IRIS.release(1),
        f"{BASE}source/demo#records",
    ]
    for one in element["dataset"]:
        assert required <= one.keys()
        assert one["contactPoint"]["hasEmail"] == "mailto:operator@example.org"
        for way in one["distribution"]:
            assert ("downloadURL" in way) == ("mediaType" in way)
            assert "downloadURL" in way or "accessURL" in way


def harvested(answered: Callable[[httpx.Request], httpx.Response]) -> list[str]:
    """Return the keys of the items that our CKAN harvester collects from a portal."""
    url = "https://portal.example/"
    source = Source(
        name="a",
        title="A",
        protocol="ckan",
        mapping="ckan_package",
        licence="https://example.org/l",
        url=url,
        fields={},
    )
    with Fetch(
        NetworkSettings(transport=httpx.MockTransport(answered)), pause=0, robots=False
    ) as opened_client:
        return [
            str(item.key)
            for page in PROTOCOL.collect(source, opened_client, None, None)
            for item in page.items
        ]


async def test_a_harvester_of_ckan_takes_every_package(client: httpx.AsyncClient) -> None:
    loop = asyncio.get_running_loop()

    def answered(request: httpx.Request) -> httpx.Response:
        """Send a request of the harvester, which waits in another thread, to the app."""
        response = asyncio.run_coroutine_threadsafe(
            client.get(request.url.raw_path.decode()), loop
        ).result(30)
        return httpx.Response(
            response.status_code,
            content=response.content,
            headers={"Content-Type": response.headers["content-type"]},
        )

    harvest_result = await asyncio.to_thread(harvested, answered)

    names = (await client.get("/api/3/action/package_list")).json()["result"]
    ids = {
        (await client.get(f"/api/3/action/package_show?id={name}")).json()["result"]["id"]
        for name in names
    }
    assert len(names) == 4
    assert set(harvest_result) in (set(names), ids)


async def test_a_package_is_shown_by_name_and_by_id_to_get_and_post(
    client: httpx.AsyncClient,
) -> None:
    first = (await client.get("/api/3/action/package_show?id=wsis-stocktaking-release-2")).json()
    again = (
        await client.post("/api/action/package_show", json={"id": first["result"]["id"]})
    ).json()

    (quads,) = [
        element
        for element in first["result"]["resources"]
        if element["name"] == "stocktake-2.nq.gz"
    ]
    assert (first["success"], again["result"]) == (True, first["result"])
    assert (quads["format"], quads["mimetype"], quads["mimetype_inner"]) == (
        "N-Quads",
        "application/gzip",
        "application/n-quads",
    )
    assert quads["hash"].startswith("sha256:")


@each(
    "path, status",
    [("/api/3/action/package_show?id=none", 404), ("/api/3/action/package_delete", 404), ("/api/3/action/package_search?rows=x", 409),
     ("/api/3/action/package_search?start=-1", 409), ("/api/3/action/package_search?sort=colour", 409)],
)  # fmt: skip
async def test_an_error_is_reported_as_ckan_states_it(
    client: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await client.get(path)
    no_json = await client.post("/api/3/action/package_show", content=b"nonsense")

    assert (answer.status_code, answer.json()["success"]) == (status, False)
    assert (no_json.status_code, no_json.json()["error"]["__type"]) == (409, "Validation Error")


async def test_each_dataset_of_a_demo_installation_says_in_its_title_that_it_is_made_up(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = client._transport.app  # type: ignore[attr-defined]
    monkeypatch.setattr(app.state, "demo", True)

    datasets = (await client.get("/data.json?demo")).json()["dataset"]

    assert [one["title"].count("Demonstration data: ") for one in datasets] == [1] * len(datasets)
    assert all(one["description"].startswith("Demonstration data: registries") for one in datasets)
