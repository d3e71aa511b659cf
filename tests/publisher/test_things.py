"""An identifier redirects with 303 to a page or to data, which have what its record states."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from app_client import served
from pyoxigraph import RdfFormat, parse
from rows import each
from small_world import SEEN, record_rows

from journal.journal import Journal
from vocab.initiative import Initiative, Prize, Text
from vocab.iris import Iris

BASE = "https://w3id.org/wsis-stocktaking/"
HTML = {"Accept": "text/html"}


@pytest.mark.parametrize("path", ["/id/initiative/demo/1", "/figures/goal/3"])
async def test_a_redirect_keeps_the_language_of_the_address(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(
        path, headers={"Accept": "text/html"}, params={"lang": "ar"}, follow_redirects=False
    )
    page = await client.get(answer.headers["location"], headers={"Accept": "text/html"})

    assert answer.status_code == 303
    assert "lang=ar" in answer.headers["location"]
    assert 'lang="ar"' in page.text


async def test_a_key_that_ends_like_a_suffix_is_found(client: httpx.AsyncClient) -> None:
    sent = await client.get(
        "/id/document/demo/file.ttl", headers={"Accept": "application/n-triples"}
    )
    data = await client.get(sent.headers["location"])

    assert data.status_code == 200
    assert b"Good practice report" in data.content


@each(
    "suffix, form",
    [("ttl", RdfFormat.TURTLE), ("nt", RdfFormat.N_TRIPLES), ("jsonld", RdfFormat.JSON_LD), ("rdf", RdfFormat.RDF_XML)],
)  # fmt: skip
async def test_the_data_is_the_records_whole_graph_in_every_format(
    client: httpx.AsyncClient, suffix: str, form: RdfFormat
) -> None:
    graph = await client.get(
        "/sparql",
        params={
            "query": "CONSTRUCT { ?s ?p ?o } { GRAPH <record/demo/a%2F1> { ?s ?p ?o } }",
            "format": "nt",
        },
    )

    data = await client.get(f"/data/initiative/demo/a%2F1.{suffix}", headers=HTML)

    assert {quad.triple for quad in parse(data.content, form)} == {
        quad.triple for quad in parse(graph.content, RdfFormat.N_TRIPLES)
    }


async def test_a_thing_without_a_title_has_a_page(tmp_path: Path) -> None:
    rows = [
        row
        for row in record_rows("demo", Initiative(key="bare", titles=(Text("Bare", "en"),)))
        if "dc/terms/title" not in row
    ]
    Journal(tmp_path / "journal").append(rows, run="run-1", time=SEEN)

    async with served(tmp_path) as client:
        page = await client.get("/page/initiative/demo/bare", headers=HTML)

    assert (page.status_code, "<h1>Untitled</h1>" in page.text) == (200, True)


async def test_a_hostile_title_is_escaped(client: httpx.AsyncClient) -> None:
    answer = await client.get("/page/initiative/demo/evil", headers=HTML)

    assert "<script>" not in answer.text
    assert answer.text.count("<script") == 1  # It is the block of data, where the title is escaped.
    assert "\\u003cscript\\u003ealert" in answer.text
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in answer.text
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_the_page_of_a_winner_names_the_prize_of_its_record(tmp_path: Path) -> None:
    iris = Iris(BASE)
    prize = Prize(
        iris.concept("prize-category", "C7-ehea"), iris.concept("prize-stage", "winner"), 2027
    )
    won = Initiative(
        key="n1",
        titles=(Text("Clinics", "en"),),
        related=(iris.thing("initiative", "demo", "1"),),
        prizes=(prize,),
    )
    rows = record_rows("demo", Initiative(key="1", titles=(Text("Clinics", "en"),)))
    rows += record_rows("prizes", won)
    Journal(tmp_path / "journal").append(rows, run="run-1", time=SEEN)

    async with served(tmp_path) as client:
        page = await client.get("/page/initiative/demo/1", headers=HTML)

    listed = page.text.partition("WSIS Prizes</h2>")[2].partition("</section>")[0]
    assert "<b>2027</b>" in listed
    assert "initiative/prizes/n1" in listed
    assert "Winner" in listed
