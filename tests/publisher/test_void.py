"""VoID has the true counts of a release or of the published data, which agree where both have the
same statements.
"""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import httpx
from app_client import served
from publish_fixture import copy_data
from pyoxigraph import NamedNode, RdfFormat, Store, parse
from rdf_terms import solutions, value

from publisher.releases.builder import build_release
from vocab.iris import Iris

VOID = "http://rdfs.org/ns/void#"
BASE = "https://w3id.org/wsis-stocktaking/"
IRIS = Iris()
DATASET = NamedNode(f"{BASE}.well-known/void#dataset")


def _number(store: Store, name: str) -> int:
    return next(
        int(value(quad.object))
        for quad in store.quads_for_pattern(DATASET, NamedNode(VOID + name), None)
    )


async def _count(client: httpx.AsyncClient, what: str, where: str) -> int:
    answer = await client.get(
        "/sparql", params={"query": f"SELECT ({what} AS ?n) {{ {where} }}", "format": "csv"}
    )
    return int(answer.text.split()[1])


async def test_the_counts_are_those_that_the_endpoint_gives(client: httpx.AsyncClient) -> None:
    store = Store()
    store.load((await client.get("/.well-known/void")).content, RdfFormat.TURTLE)

    assert _number(store, "triples") == await _count(client, "COUNT(*)", "?s ?p ?o")
    assert _number(store, "properties") == await _count(client, "COUNT(DISTINCT ?p)", "?s ?p ?o")
    assert _number(store, "classes") == await _count(client, "COUNT(DISTINCT ?c)", "?s a ?c")
    assert _number(store, "entities") == 127


async def test_a_release_counts_as_the_endpoint_does(
    client: httpx.AsyncClient, world: Path, tmp_path: Path
) -> None:
    shutil.copytree(world / "journal", tmp_path / "journal")
    build_release(tmp_path, IRIS, datetime(2026, 4, 1, tzinfo=UTC))
    released, served = Store(), Store()
    released.load((tmp_path / "releases/1/void.ttl").read_bytes(), RdfFormat.TURTLE)
    # The statements of the status graph are served, but are in no release.
    status = {
        item.predicate.value
        for item in parse((world / "status.nq").read_bytes(), RdfFormat.N_QUADS)
    }
    served.load((await client.get("/.well-known/void")).content, RdfFormat.TURTLE)

    counts, links = _parts(released, "property", "triples"), _links(released)

    assert counts == {
        iri: count
        for iri, count in _parts(served, "property", "triples").items()
        if iri not in status
    }
    assert _parts(released, "class", "entities") == _parts(served, "class", "entities")
    assert links[f"{IRIS.ns}goal", "http://metadata.un.org/sdg/"] == 121
    assert (
        links["http://purl.org/dc/terms/spatial", "http://metadata.un.org/sdg/codes/geoArea/"] > 120
    )
    assert _number(released, "entities") == 127


async def test_its_url_gives_the_figures_of_the_newest_release(level: Path, tmp_path: Path) -> None:
    copy_data(level, tmp_path, "store")
    build_release(tmp_path, IRIS, datetime(2026, 4, 1, tzinfo=UTC))
    store = Store()

    async with served(tmp_path, follow=False) as client:
        answer = await client.get("/.well-known/void")
        again = await client.get(
            "/.well-known/void", headers={"If-None-Match": answer.headers["etag"]}
        )
    store.load(answer.content, RdfFormat.TURTLE)

    dumps = {
        value(quad.object)
        for quad in store.quads_for_pattern(DATASET, NamedNode(VOID + "dataDump"), None)
    }
    assert f"{BASE}releases/1/stocktake-1.nq.gz" in dumps
    assert _number(store, "distinctSubjects") > 1000
    assert again.status_code == 304


def _parts(store: Store, kind: str, unit: str) -> dict[str, int]:
    rows = store.query(
        f"PREFIX void: <{VOID}> SELECT ?iri ?n {{ ?d void:{kind}Partition [ void:{kind} ?iri ; void:{unit} ?n ] }}"
    )
    return {row["iri"].value: int(row["n"].value) for row in solutions(rows)}


def _links(store: Store) -> dict[tuple[str, str], int]:
    rows = store.query(
        f"""PREFIX void: <{VOID}> SELECT ?name ?space ?n {{ ?it a void:Linkset ; void:linkPredicate ?name ; void:triples ?n ;
        void:objectsTarget [ void:uriSpace ?space ] }}"""
    )
    return {(row["name"].value, row["space"].value): int(row["n"].value) for row in solutions(rows)}
