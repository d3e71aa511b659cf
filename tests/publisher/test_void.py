"""VoID: true counts."""

from __future__ import annotations

import httpx
from pyoxigraph import NamedNode, RdfFormat, Store

VOID = "http://rdfs.org/ns/void#"
BASE = "https://w3id.org/wsis-stocktaking/"
DATASET = NamedNode(f"{BASE}.well-known/void#dataset")


def _number(store: Store, name: str) -> int:
    return next(int(quad.object.value) for quad in store.quads_for_pattern(DATASET, NamedNode(VOID + name), None))


async def _count(client: httpx.AsyncClient, what: str, where: str) -> int:
    answer = await client.get("/sparql", params={"query": f"SELECT ({what} AS ?n) {{ {where} }}", "format": "csv"})
    return int(answer.text.split()[1])


async def test_the_counts_are_those_that_the_endpoint_gives(client: httpx.AsyncClient) -> None:
    store = Store()
    store.load((await client.get("/.well-known/void")).content, RdfFormat.TURTLE)

    assert _number(store, "triples") == await _count(client, "COUNT(*)", "?s ?p ?o")
    assert _number(store, "properties") == await _count(client, "COUNT(DISTINCT ?p)", "?s ?p ?o")
    assert _number(store, "classes") == await _count(client, "COUNT(DISTINCT ?c)", "?s a ?c")
    assert _number(store, "entities") == 127


async def test_the_endpoint_is_named(client: httpx.AsyncClient) -> None:
    store = Store()
    store.load((await client.get("/.well-known/void", headers={"Accept": "text/html"})).content, RdfFormat.TURTLE)

    named = [quad.object for quad in store.quads_for_pattern(DATASET, NamedNode(VOID + "sparqlEndpoint"), None)]

    assert named == [NamedNode(f"{BASE}sparql")]
