"""An answer that ends early: whole up to its limit, and marked; never silently."""

from __future__ import annotations

import csv
import io
import json
from itertools import product
from xml.etree import ElementTree

import pytest
from pyoxigraph import RdfFormat, parse

from publisher.limits import Limits

from .conftest import Serve

ALL = "SELECT ?s ?o ?none { ?s ?p ?o }"
MANY = "SELECT ?a ?o { ?a ?b ?o . ?d ?e ?f } LIMIT 6100"
GRAPH = "CONSTRUCT { ?s <https://x.org/p> ?o } { ?s ?p ?o }"
ENDLESS = "SELECT ?a ?o { ?a ?b ?o . ?d ?e ?f . ?g ?h ?i }"
STREAM = "CONSTRUCT { ?s ?p ?n } { ?s ?p ?o . ?a ?b ?c . ?d ?e ?f BIND(STR(RAND()) AS ?n) }"
FEW, LATE = Limits(rows=5, budget=0), Limits(seconds=1, rows=1 << 40, budget=0)

LATER = "seconds=1"
TABLES = ("json", "xml", "csv", "tsv")


def count(form: str, body: bytes) -> int:
    """Count the rows of a document; what is not well-formed is an error."""
    if form == "json":
        return len(json.loads(body)["results"]["bindings"])
    if form == "xml":
        return len(ElementTree.fromstring(body).findall(".//{*}result"))
    if form == "csv":
        return len(list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))) - 1
    if form == "tsv":
        return body.count(b"\n") - 1
    forms = {
        "ttl": RdfFormat.TURTLE,
        "nt": RdfFormat.N_TRIPLES,
        "rdf": RdfFormat.RDF_XML,
        "jsonld": RdfFormat.JSON_LD,
    }
    return len(list(parse(body, forms[form])))


MARKS = {
    "json": b'"truncated":{"rows": 5}}', "xml": b"<?stocktake-truncated rows=5?></sparql>", "ttl": b"# stocktake-truncated rows=5\n",
    "nt": b"# stocktake-truncated rows=5\n", "rdf": b"<?stocktake-truncated rows=5?>\n", "csv": b"\r\n", "tsv": b"\n", "jsonld": b"]",
}  # fmt: skip


async def test_a_short_answer_is_whole_up_to_the_row_limit_and_says_so_first(serve: Serve) -> None:
    served = await serve(FEW)

    for form, mark in MARKS.items():
        # rows without a value are counted too
        for query in (ALL, "SELECT ?none { ?s ?p ?o }") if form in TABLES else (GRAPH,):
            answer = await served.ask(query, format=form)
            assert answer.status_code == 200, form
            assert answer.headers["stocktake-truncated"] == "rows=5", form
            assert answer.content.endswith(mark), form
            assert "/exports" in answer.headers["link"], form
            if form != "csv" or query == ALL:  # whose reader skips empty lines
                assert count(form, answer.content) == 5, form


async def test_an_answer_of_just_the_most_rows_is_not_cut(serve: Serve) -> None:
    served = await serve(FEW)

    for form, rows in product(TABLES, (5, 0)):
        answer = await served.ask(f"{ALL} LIMIT {rows}", format=form)
        assert count(form, answer.content) == rows, form
        assert "stocktake-truncated" not in answer.headers, form


@pytest.mark.smoke
async def test_a_long_answer_is_cut_at_the_row_limit_and_says_so_in_a_trailer(serve: Serve) -> None:
    served = await serve(Limits(rows=6_000, budget=0))

    for form in TABLES:
        answer = await served.raw(MANY, form, "TE: trailers")
        assert (answer.whole, count(form, answer.body)) == (True, 6_000), form
        # An answer that is complete before its first byte is sent has the same fields as headers.
        is_streamed = "trailer" in answer.headers
        fields = answer.trailers if is_streamed else answer.headers
        assert fields["stocktake-truncated"] == "rows=6000", form
        assert float(fields["stocktake-cost"]) > 0, form
        assert not is_streamed or "Stocktake-Truncated" in answer.headers["trailer"]


async def test_an_answer_that_is_stopped_in_its_midst_ends_with_a_whole_row_and_says_so(
    serve: Serve,
) -> None:
    served = await serve(LATE)

    for form in TABLES:
        answer = await served.raw(ENDLESS, form, "TE: trailers")
        assert (answer.whole, answer.trailers["stocktake-truncated"]) == (True, LATER), form
        assert count(form, answer.body) > 0, form
    for form in ("ttl", "nt"):  # a graph can be read and says so
        answer = await served.raw(STREAM, form)
        assert answer.whole, form
        assert answer.body.endswith(f"# stocktake-truncated {LATER}\n".encode()), form
        assert count(form, answer.body) > 0, form


async def test_where_neither_text_nor_client_takes_a_mark_the_connection_is_cut(
    serve: Serve,
) -> None:
    served = await serve(LATE)

    tables = [await served.raw(ENDLESS, form) for form in ("csv", "tsv")]
    graphs = [await served.raw(STREAM, form) for form in ("jsonld", "rdf")]

    assert [(answer.status, answer.whole) for answer in (*tables, *graphs)] == [(200, False)] * 4


async def test_a_cut_answer_is_not_kept(serve: Serve) -> None:
    served = await serve(FEW)

    answers = [await served.ask(ALL, format="json") for _ in range(2)]

    assert {answer.headers["stocktake-truncated"] for answer in answers} == {"rows=5"}
    assert "hit" not in answers[1].headers["cache-status"]


async def test_what_a_whole_answer_cost_stands_in_a_trailer(serve: Serve) -> None:
    served = await serve(Limits(budget=0))

    answer = await served.raw(ALL, "json")

    assert (answer.whole, "stocktake-truncated" in answer.trailers) == (True, False)
    assert float(answer.trailers["stocktake-cost"]) > 0
