"""A client that sends or reads too slowly, or too much, delays no other."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
from collections.abc import AsyncIterator
from itertools import product
from typing import Any, cast
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from fastapi import FastAPI
from pyoxigraph import RdfFormat, parse
from starlette.requests import Request
from waiting import wait_until_async

from publisher.limits import Limits
from publisher.sparql.endpoint import BUFFER_MEMORY, Responses, RunningQuery
from publisher.store.query_service import QueryService
from publisher.store.workers.query_request import QueryRequest
from web.server import LimitedConnection

from .conftest import Serve

LARGE = "SELECT ?a ?o { ?a ?b ?o . ?d ?e ?f } LIMIT 100000"
ENDLESS = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i FILTER(STR(?c) < STR(?f)) }"
LIMITS = Limits(seconds=240, wait=240, budget=0)  # A busy machine needs long for a large answer.


class Hasty(LimitedConnection):
    """A connection with short timeouts."""

    head_timeout, body_timeout, read_timeout = 0.3, 0.3, 0.5


class Patient(LimitedConnection):
    """A connection that never gives up on a client that reads nothing."""

    read_timeout = 3600.0


async def unread(served: Any, query: str) -> asyncio.StreamReader:
    """Send a query, and read nothing of the answer."""
    reader, writer = await served.connect(limit=1)
    writer.write(
        f"GET /sparql?format=tsv&query={quote(query)} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )
    result: asyncio.StreamReader = reader
    return result


async def test_a_slow_taker_of_a_large_answer_holds_no_reader(serve: Serve) -> None:
    served = await serve(LIMITS, readers=1, connection=Patient)
    line = served.service.pool.queue

    slow = [await unread(served, LARGE + str(number)) for number in range(2)]
    answer = await served.ask("ASK { <https://x.org/s1> ?p ?o }")

    def all_stored() -> bool:
        return (
            line.free == 1
            and not line.waiting
            and served.responses.buffered > len(slow) * BUFFER_MEMORY
        )

    await wait_until_async(
        all_stored,
        "a free reader, and the answers of both stored for them",
        output=lambda: f"{served.responses.buffered}",
    )

    assert answer.status_code == 200


async def test_a_client_that_takes_nothing_is_left_and_its_answer_let_go(serve: Serve) -> None:
    served = await serve(LIMITS, connection=Hasty)
    state = served.server.server_state

    reader = await unread(served, LARGE)
    await wait_until_async(lambda: state.connections, "the client to be connected", pause=0)
    await wait_until_async(lambda: not state.connections, "the client to be left")
    await wait_until_async(lambda: served.responses.buffered == 0, "its answer to be let go")

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1 << 30)


async def test_a_client_that_leaves_before_its_answer_is_no_error_in_the_log(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = await serve(LIMITS, readers=1)
    line, tasks = served.service.pool.queue, served.server.server_state.tasks
    # uvicorn does not pass its records on to the root logger, where caplog listens.
    server_log = logging.getLogger("uvicorn.error")
    server_log.addHandler(caplog.handler)
    try:
        _, writer = await served.connect()
        writer.write(f"GET /sparql?query={quote(ENDLESS)} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await wait_until_async(lambda: line.free == 0, "the query to be at work")
        writer.close()
        await wait_until_async(lambda: line.free == 1 and not tasks, "the request to end")
    finally:
        server_log.removeHandler(caplog.handler)

    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /sparql HTTP/1.1\r\nHost: x\r\nX-Slow: ",
     b"POST /sparql HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nContent-Type: application/sparql-query\r\n\r\nSELECT"],
    ids=["nothing", "half a head", "half a body"],
)  # fmt: skip
async def test_a_client_that_sends_too_slowly_gets_408_or_is_closed(
    serve: Serve, sent: bytes
) -> None:
    served = await serve(LIMITS, connection=Hasty)
    reader, writer = await served.connect()

    writer.write(sent)
    received = await reader.read()

    assert received[:12] in (b"HTTP/1.1 408", b"")


async def test_a_head_that_never_ends_is_refused(serve: Serve) -> None:
    served = await serve(LIMITS)
    reader, writer = await served.connect()

    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\n"
        + b"".join(b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(200))
        + b"\r\n"
    )

    assert (await reader.read())[:12] == b"HTTP/1.1 431"


@pytest.mark.smoke
async def test_too_much_is_refused_before_it_is_read(serve: Serve) -> None:
    served = await serve(LIMITS)
    reader, writer = await served.connect()

    address = await served.client.get("/sparql?query=" + "a" * 50_000)
    writer.write(b"GET /sparql?query=" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    beyond = await reader.read()
    response = await served.client.post(
        "/sparql",
        content=b"a" * (1 << 20) + b"a",
        headers={"Content-Type": "application/sparql-query"},
    )

    assert (address.status_code, beyond[:12], response.status_code) == (414, b"HTTP/1.1 414", 413)
    assert "send it by POST" in address.json()["detail"]
    assert response.headers["x-content-type-options"] == "nosniff"


class FakeAnswer:
    """An answer of *parts*, which a test can look at while it is read."""

    suffix, engine, seconds, truncation = "csv", "", 0.0, None

    def __init__(self, parts: list[bytes]) -> None:
        self.parts, self.count, self.closed = parts, 0, False

    async def query(self, *_: object) -> FakeAnswer:
        return self

    async def chunks(self, *, mark: bool) -> AsyncIterator[bytes]:
        for part in self.parts:
            self.count += 1
            yield part

    def close(self) -> None:
        self.closed = True


def run(answer: FakeAnswer, responses: Responses) -> RunningQuery:
    app = FastAPI()
    app.state.responses = responses
    request = Request({"type": "http", "app": app})
    return RunningQuery(request, cast(QueryService, answer), QueryRequest(""), None)


@pytest.mark.parametrize("number", [3, 30])  # The first fits into the cache.
async def test_a_response_is_passed_on_in_order_however_large_it_is(number: int) -> None:
    responses = Responses()
    answer = FakeAnswer([bytes([index]) * (BUFFER_MEMORY // 4) for index in range(number)])
    running = run(answer, responses)

    parts = [chunk async for chunk in running.chunks()]
    running.close()

    assert b"".join(parts) == b"".join(answer.parts)
    assert (running.complete is not None, answer.closed) == (number == 3, True)
    assert responses.buffered == 0


async def test_full_buffers_make_the_query_wait_until_the_client_reads() -> None:
    answer = FakeAnswer([b"a" * 100, b"b" * 100, b"c" * 100])
    running = run(answer, Responses(max_buffered=100))
    await running.wait_for(100)

    chunks = running.chunks()
    await asyncio.sleep(0)
    before, first = answer.count, await anext(chunks)
    rest = [chunk async for chunk in chunks]
    running.close()

    assert (before, first, b"".join(rest)) == (2, b"a" * 100, b"b" * 100 + b"c" * 100)


ALL = "SELECT ?s ?o ?none { ?s ?p ?o }"
MANY = "SELECT ?a ?o { ?a ?b ?o . ?d ?e ?f } LIMIT 6100"
GRAPH = "CONSTRUCT { ?s <https://x.org/p> ?o } { ?s ?p ?o }"
ENDLESS_ROWS = "SELECT ?a ?o { ?a ?b ?o . ?d ?e ?f . ?g ?h ?i }"
STREAM = "CONSTRUCT { ?s ?p ?n } { ?s ?p ?o . ?a ?b ?c . ?d ?e ?f BIND(STR(RAND()) AS ?n) }"
# A busy machine needs more than a second for the first rows.
FEW, LATE = Limits(rows=5, budget=0), Limits(seconds=3, rows=1 << 40, budget=0)

LATER = "seconds=3"
TABLES = ("json", "xml", "csv", "tsv")


def count(form: str, body: bytes) -> int:
    """Count the rows of a document; raise if it is not well-formed."""
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


async def test_an_answer_is_whole_up_to_the_row_limit_and_says_so_and_a_cut_one_is_not_kept(
    serve: Serve,
) -> None:
    served = await serve(FEW)

    for form, mark in MARKS.items():
        # Rows without a value are counted too.
        for query in (ALL, "SELECT ?none { ?s ?p ?o }") if form in TABLES else (GRAPH,):
            answer = await served.ask(query, format=form)
            assert answer.status_code == 200, form
            assert answer.headers["stocktake-truncated"] == "rows=5", form
            assert answer.content.endswith(mark), form
            assert "/exports" in answer.headers["link"], form
            if form != "csv" or query == ALL:  # The reader of CSV skips empty lines.
                assert count(form, answer.content) == 5, form

    for form, rows in product(TABLES, (5, 0)):
        answer = await served.ask(f"{ALL} LIMIT {rows}", format=form)
        assert count(form, answer.content) == rows, form
        assert "stocktake-truncated" not in answer.headers, form

    answers = [await served.ask(ALL, format="json") for _ in range(2)]

    assert {answer.headers["stocktake-truncated"] for answer in answers} == {"rows=5"}
    assert "hit" not in answers[1].headers["cache-status"]


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


async def test_an_answer_that_is_stopped_ends_with_a_whole_row_and_says_so_or_the_connection_is_cut(
    serve: Serve,
) -> None:
    served = await serve(LATE)

    for form in TABLES:
        answer = await served.raw(ENDLESS_ROWS, form, "TE: trailers")
        assert (answer.whole, answer.trailers["stocktake-truncated"]) == (True, LATER), form
        assert count(form, answer.body) > 0, form
    for form in ("ttl", "nt"):  # A cut graph is well-formed, and states the cut.
        answer = await served.raw(STREAM, form)
        assert answer.whole, form
        assert answer.body.endswith(f"# stocktake-truncated {LATER}\n".encode()), form
        assert count(form, answer.body) > 0, form

    tables = [await served.raw(ENDLESS_ROWS, form) for form in ("csv", "tsv")]
    graphs = [await served.raw(STREAM, form) for form in ("jsonld", "rdf")]

    assert [(answer.status, answer.whole) for answer in (*tables, *graphs)] == [(200, False)] * 4


async def test_what_a_whole_answer_cost_stands_in_a_trailer(serve: Serve) -> None:
    served = await serve(Limits(budget=0))

    answer = await served.raw(ALL, "json")

    assert (answer.whole, "stocktake-truncated" in answer.trailers) == (True, False)
    assert float(answer.trailers["stocktake-cost"]) > 0
