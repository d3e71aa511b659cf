"""An answer that ends early: whole up to its limit, and marked; never silently."""

from __future__ import annotations

import csv
import io
import json
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

    answers = {
        form: await served.ask(ALL if form in TABLES else GRAPH, format=form) for form in MARKS
    }

    assert {
        form: (answer.status_code, answer.headers["stocktake-truncated"])
        for form, answer in answers.items()
    } == dict.fromkeys(MARKS, (200, "rows=5"))
    assert {form: count(form, answer.content) for form, answer in answers.items()} == dict.fromkeys(
        MARKS, 5
    )
    assert [
        form for form, answer in answers.items() if not answer.content.endswith(MARKS[form])
    ] == []
    assert [
        form for form, answer in answers.items() if "/exports" not in answer.headers["link"]
    ] == []


async def test_an_answer_of_just_the_most_rows_is_not_cut(serve: Serve) -> None:
    served = await serve(FEW)

    five = [await served.ask(ALL + " LIMIT 5", format=form) for form in TABLES]
    none = [await served.ask(ALL + " LIMIT 0", format=form) for form in TABLES]

    assert [count(form, answer.content) for form, answer in zip(TABLES, five, strict=True)] == [
        5
    ] * 4
    assert [count(form, answer.content) for form, answer in zip(TABLES, none, strict=True)] == [
        0
    ] * 4
    assert [answer for answer in (*five, *none) if "stocktake-truncated" in answer.headers] == []


async def test_rows_without_a_value_are_counted_too(serve: Serve) -> None:
    served = await serve(FEW)

    answers = {form: await served.ask("SELECT ?none { ?s ?p ?o }", format=form) for form in TABLES}

    assert [answer.headers["stocktake-truncated"] for answer in answers.values()] == ["rows=5"] * 4
    assert [count(form, answers[form].content) for form in ("json", "xml", "tsv")] == [5] * 3


@pytest.mark.smoke
async def test_a_long_answer_is_cut_at_the_row_limit_and_says_so_in_a_trailer(serve: Serve) -> None:
    served = await serve(Limits(rows=6_000, budget=0))

    answers = {form: await served.raw(MANY, form, "TE: trailers") for form in TABLES}

    assert {
        form: (answer.whole, count(form, answer.body)) for form, answer in answers.items()
    } == dict.fromkeys(TABLES, (True, 6_000))
    # An answer that is complete before its first byte is sent has the same fields as headers.
    streamed = [answer for answer in answers.values() if "trailer" in answer.headers]
    fields = [
        answer.trailers if answer in streamed else answer.headers for answer in answers.values()
    ]
    assert [field["stocktake-truncated"] for field in fields] == ["rows=6000"] * 4
    assert all("Stocktake-Truncated" in answer.headers["trailer"] for answer in streamed)
    assert all(float(field["stocktake-cost"]) > 0 for field in fields)


async def test_an_answer_that_is_stopped_in_its_midst_ends_with_a_whole_row_and_says_so(
    serve: Serve,
) -> None:
    served = await serve(LATE)

    answers = {form: await served.raw(ENDLESS, form, "TE: trailers") for form in TABLES}

    assert {
        form: (answer.whole, answer.trailers["stocktake-truncated"])
        for form, answer in answers.items()
    } == dict.fromkeys(TABLES, (True, LATER))
    assert all(count(form, answer.body) > 0 for form, answer in answers.items())


async def test_a_graph_that_is_stopped_in_its_midst_can_be_read_and_says_so(serve: Serve) -> None:
    served = await serve(LATE)

    answers = {form: await served.raw(STREAM, form) for form in ("ttl", "nt")}

    assert [
        (answer.whole, answer.body.endswith(f"# stocktake-truncated {LATER}\n".encode()))
        for answer in answers.values()
    ] == [(True, True)] * 2
    assert all(count(form, answer.body) > 0 for form, answer in answers.items())


async def test_where_neither_text_nor_client_takes_a_mark_the_connection_is_cut(
    serve: Serve,
) -> None:
    served = await serve(LATE)

    tables = [await served.raw(ENDLESS, form) for form in ("csv", "tsv")]
    graphs = [await served.raw(STREAM, form) for form in ("jsonld", "rdf")]

    assert [(answer.status, answer.whole) for answer in (*tables, *graphs)] == [(200, False)] * 4


async def test_a_cut_answer_is_not_kept(serve: Serve) -> None:
    served = await serve(FEW)

    first, second = await served.ask(ALL, format="json"), await served.ask(ALL, format="json")

    assert [answer.headers["stocktake-truncated"] for answer in (first, second)] == [
        "rows=5",
        "rows=5",
    ]
    assert "hit" not in second.headers["cache-status"]


async def test_what_a_whole_answer_cost_stands_in_a_trailer(serve: Serve) -> None:
    served = await serve(Limits(budget=0))

    answer = await served.raw(ALL, "json")

    assert (answer.whole, "stocktake-truncated" in answer.trailers) == (True, False)
    assert float(answer.trailers["stocktake-cost"]) > 0
