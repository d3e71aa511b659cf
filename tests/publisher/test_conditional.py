"""Conditional requests and the cache of responses, by RFC 9110 (sections 8.8, 13) and RFC 9211."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from app_client import asking
from publish_fixture import move_on
from waiting import wait_until_async

from publisher.app import create_app
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from vocab.iris import Iris

COUNT = "SELECT (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } }"
# The answer has some 6 MB in few, long rows, since Virtuoso takes a millisecond for each row.
LARGE = f"SELECT ?s ?p ?o (CONCAT({', '.join(['STR(?s)'] * 8)}) AS ?long) {{ GRAPH ?g {{ ?s ?p ?o }} }} LIMIT 9000"
MISS, HIT = "stocktake; fwd=miss", "stocktake; hit"


async def ask(
    client: httpx.AsyncClient, query: str = COUNT, method: str = "GET", **headers: str
) -> httpx.Response:
    return await client.request(
        method,
        "/sparql",
        params={"query": query},
        headers={name.replace("_", "-"): text for name, text in headers.items()},
    )


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a store to whose journal a test may append."""
    move_on(tmp_path)
    async with QueryService(tmp_path, Iris(), Limits(), readers=1) as service:
        await service.wait_until_current()
        async with asking(create_app(service)) as client:
            yield client


def number_of(answer: httpx.Response) -> str:
    """Return the answer to COUNT."""
    return str(answer.json()["results"]["bindings"][0]["n"]["value"])


async def until_changed(client: httpx.AsyncClient, etag: str) -> httpx.Response:
    async def changed() -> httpx.Response | None:
        answer = await ask(client)
        return answer if answer.headers["etag"] != etag else None

    return await wait_until_async(changed, f"an answer with another tag than {etag}")


async def test_an_answer_that_the_client_holds_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await ask(client)
    etag = first.headers["etag"]
    tags = f'"other", {etag.removeprefix("W/")}'

    again = await ask(client, If_None_Match=etag)
    any_of = [await ask(client, method=method, If_None_Match=tags) for method in ("GET", "HEAD")]

    assert etag.startswith('W/"3-')  # The tag begins with the position.
    assert first.headers["cache-control"] == "public, no-cache"
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert {"cache-control", "vary"} <= set(again.headers)
    assert [answer.status_code for answer in any_of] == [304, 304]
    posted = await client.post("/sparql", data={"query": COUNT}, headers={"If-None-Match": etag})
    assert posted.status_code == 412
    head = await ask(client, method="HEAD")
    assert head.content == b""
    for name in ("content-type", "content-length", "etag", "vary"):
        assert head.headers[name] == first.headers[name]


async def test_an_answer_that_is_stopped_or_a_fault_has_no_tag_and_is_not_kept(
    client: httpx.AsyncClient,
) -> None:
    slow = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
    stopped = await client.get("/sparql", params={"query": slow, "timeout": "0.2"})
    faults = [await ask(client, "SELECT * {") for _ in range(2)]

    assert [answer.status_code for answer in (stopped, *faults)] == [504, 400, 400]
    assert not any({"cache-status", "etag"} & {*answer.headers} for answer in faults)
    assert "etag" not in stopped.headers


async def test_another_query_format_or_dataset_has_another_tag(client: httpx.AsyncClient) -> None:
    others = [{name: "https://x.org/g"} for name in ("default-graph-uri", "named-graph-uri")]
    tags = [
        (await client.get("/sparql", params={"query": COUNT, **more})).headers["etag"]
        for more in ({}, {"format": "csv"}, *others, {"query": "ASK {}"})
    ]

    answer = await ask(client, If_None_Match=tags[-1])

    assert len(set(tags)) == 5
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "query",
    ["SELECT (NOW() AS ?now) {}", "SELECT (rand#\n() AS ?r) {}", "SELECT (STRUUID() AS ?u) {}"],
)
async def test_what_differs_each_time_is_never_kept(client: httpx.AsyncClient, query: str) -> None:
    first, again = await ask(client, query), await ask(client, query)

    assert first.text != again.text
    assert first.headers["cache-control"] == "no-store"
    assert first.headers["cache-status"] == "stocktake; fwd=bypass"
    assert "etag" not in first.headers


async def test_a_repeated_query_is_answered_from_the_cache(client: httpx.AsyncClient) -> None:
    fresh, sent = f"{COUNT} # asked here alone", {"Content-Type": "application/sparql-query"}
    first = await ask(client, fresh)

    answers = [
        await ask(client, fresh),
        await ask(client, f"\n {fresh}\r\n"),
        await client.post("/sparql", content=fresh, headers=sent),
        await client.get("/sparql", params={"query": fresh, "timeout": "5"}),
    ]

    assert first.headers["cache-status"] == MISS
    for again in answers:
        assert (again.headers["cache-status"], again.content) == (HIT, first.content)
        for name in ("content-type", "etag"):
            assert again.headers[name] == first.headers[name]


@pytest.mark.every_store
async def test_questions_that_are_the_same_are_evaluated_once(client: httpx.AsyncClient) -> None:
    query = "SELECT (COUNT(*) AS ?n) { ?s a ?c . ?t a ?c }"

    answers = await asyncio.gather(*(ask(client, query) for _ in range(8)))

    assert len({answer.content for answer in answers}) == 1
    counter = Counter(answer.headers["cache-status"] for answer in answers)
    assert counter[MISS] == 1
    # A request that arrives after the first is answered is a hit in the cache.
    assert counter[f"{MISS}; collapsed"] + counter[HIT] == 7


async def test_a_client_that_leaves_does_not_end_the_answer_of_the_others(
    client: httpx.AsyncClient,
) -> None:
    query = "SELECT (COUNT(*) AS ?n) { ?s a ?c . ?t ?p ?c }"
    first = asyncio.create_task(ask(client, query))
    await asyncio.sleep(0)
    second = asyncio.create_task(ask(client, query))
    await asyncio.sleep(0)

    first.cancel()
    answer = await second

    assert answer.status_code == 200


@pytest.mark.every_store
async def test_an_answer_too_large_to_keep_is_whole_for_each_that_asks(
    client: httpx.AsyncClient,
) -> None:
    parameters = {"query": LARGE, "format": "csv"}

    answers = await asyncio.gather(*(client.get("/sparql", params=parameters) for _ in range(3)))

    assert {answer.text.count("\r\n") for answer in answers} == {9_001}
    assert len(answers[0].content) > 4 << 20
    head = await ask(client, LARGE, method="HEAD")
    assert (head.status_code, head.content) == (200, b"")
    assert (await ask(client, LARGE)).headers["cache-status"] == MISS


async def test_an_entry_in_the_journal_ends_what_was_kept(
    own: httpx.AsyncClient, tmp_path: Path
) -> None:
    before = await ask(own)
    move_on(tmp_path, 2)

    after = await until_changed(own, before.headers["etag"])

    assert (number_of(before), number_of(after)) == ("1", "2")
    assert (await ask(own, If_None_Match=before.headers["etag"])).status_code == 200


async def test_a_change_of_the_status_alone_ends_what_was_kept(
    own: httpx.AsyncClient, tmp_path: Path
) -> None:
    before = await ask(own)
    (tmp_path / "status.nq").write_text(
        f'<https://x.org/s> <https://x.org/p> "3" <{Iris().status}> .\n'
    )

    after = await until_changed(own, before.headers["etag"])

    assert number_of(after) == "2"
    assert after.headers["etag"].startswith('W/"1-')


@pytest.mark.every_store
async def test_last_modified_is_when_what_is_shown_changed(client: httpx.AsyncClient) -> None:
    async def dated() -> httpx.Response | None:
        answer = await ask(client)
        return answer if "last-modified" in answer.headers else None

    answer = await wait_until_async(dated, "an answer with Last-Modified")
    result = parsedate_to_datetime(answer.headers["last-modified"]).timestamp()
    again = await ask(client, If_Modified_Since=answer.headers["last-modified"])

    assert 0 < result <= time.time()
    assert again.status_code == 304
