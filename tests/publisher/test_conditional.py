"""Conditional requests and the exact cache, rule by rule of RFC 9110 (sections 8.8, 13) and RFC
9211.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from waiting import wait_until_async

from journal.journal import Journal
from publisher.app import create_app
from publisher.limits import Limits
from publisher.store.query_service import QueryService
from vocab.iris import Iris

COUNT = "SELECT (COUNT(*) AS ?n) { GRAPH ?g { ?s ?p ?o } }"
# Some 6 MB in rows that are long, since Virtuoso takes a millisecond a row.
LARGE = f"SELECT ?s ?p ?o (CONCAT({', '.join(['STR(?s)'] * 8)}) AS ?long) {{ GRAPH ?g {{ ?s ?p ?o }} }} LIMIT 9000"
WHEN = datetime(2026, 1, 2, tzinfo=UTC)


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
    """Yield a client of a store whose journal a test may lengthen."""
    Journal(tmp_path / "journal").append(
        ['A <https://x.org/s> <https://x.org/p> "1" <https://x.org/g> .'], run="r1", time=WHEN
    )
    async with QueryService(tmp_path, Iris(), Limits(), readers=1) as service:
        await service.wait_until_current()
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=create_app(service)), base_url="http://own.test"
        ) as client:
            yield client


async def until_changed(client: httpx.AsyncClient, etag: str) -> httpx.Response:
    async def changed() -> httpx.Response | None:
        answer = await ask(client)
        return answer if answer.headers["etag"] != etag else None

    return await wait_until_async(changed, f"an answer with another tag than {etag}")


async def test_an_answer_states_position_and_that_it_must_be_revalidated(
    client: httpx.AsyncClient,
) -> None:
    answer = await ask(client)

    assert answer.headers["etag"].startswith('W/"3-')
    assert answer.headers["cache-control"] == "public, no-cache"


async def test_an_answer_that_the_client_holds_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await ask(client)

    again = await ask(client, If_None_Match=first.headers["etag"])

    assert (again.status_code, again.content, again.headers["etag"]) == (
        304,
        b"",
        first.headers["etag"],
    )
    assert {"cache-control", "vary"} <= set(again.headers)


async def test_the_condition_is_looked_at_before_anything_is_evaluated(
    client: httpx.AsyncClient,
) -> None:
    slow = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
    tagged = await ask(client, "ASK {}")
    stopped = client.build_request("GET", "/sparql", params={"query": slow, "timeout": "0.2"})
    response = await client.send(stopped)

    assert response.status_code == 504
    assert "etag" not in response.headers
    assert tagged.headers["etag"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_any_of_several_tags_will_do(client: httpx.AsyncClient, method: str) -> None:
    tag = (await ask(client)).headers["etag"].removeprefix("W/")

    again = await ask(client, method=method, If_None_Match=f'"other", {tag}')

    assert again.status_code == 304


async def test_another_query_format_or_dataset_has_another_tag(client: httpx.AsyncClient) -> None:
    answers = [
        await client.get("/sparql", params={"query": COUNT, **more})
        for more in (
            {},
            {"format": "csv"},
            {"default-graph-uri": "https://x.org/g"},
            {"named-graph-uri": "https://x.org/g"},
        )
    ]
    other = await ask(client, "ASK {}")

    assert len({answer.headers["etag"] for answer in [*answers, other]}) == 5


async def test_a_tag_of_another_query_is_no_match(client: httpx.AsyncClient) -> None:
    other = await ask(client, "ASK {}")

    answer = await ask(client, If_None_Match=other.headers["etag"])

    assert answer.status_code == 200


async def test_a_post_that_the_client_holds_fails_its_precondition(
    client: httpx.AsyncClient,
) -> None:
    first = await client.post("/sparql", data={"query": COUNT})

    again = await client.post(
        "/sparql", data={"query": COUNT}, headers={"If-None-Match": first.headers["etag"]}
    )

    assert again.status_code == 412


@pytest.mark.parametrize(
    "query",
    ["SELECT (NOW() AS ?now) {}", "SELECT (rand#\n() AS ?r) {}", "SELECT (STRUUID() AS ?u) {}"],
)
async def test_what_differs_each_time_is_never_kept(client: httpx.AsyncClient, query: str) -> None:
    first, again = await ask(client, query), await ask(client, query)

    assert first.text != again.text
    assert (first.headers["cache-control"], first.headers["cache-status"]) == (
        "no-store",
        "stocktake; fwd=bypass",
    )
    assert "etag" not in first.headers


async def test_a_repeated_query_is_answered_from_the_cache(client: httpx.AsyncClient) -> None:
    fresh = f"{COUNT} # asked here alone"

    first, again = await ask(client, fresh), await ask(client, fresh)

    assert (first.headers["cache-status"], again.headers["cache-status"]) == (
        "stocktake; fwd=miss",
        "stocktake; hit",
    )
    assert (first.content, first.headers["content-type"]) == (
        again.content,
        again.headers["content-type"],
    )


async def test_white_space_at_the_ends_makes_no_other_question(client: httpx.AsyncClient) -> None:
    first, again = await ask(client), await ask(client, f"\n {COUNT}\r\n")

    assert (again.headers["cache-status"], again.headers["etag"]) == (
        "stocktake; hit",
        first.headers["etag"],
    )


async def test_get_and_post_share_an_answer(client: httpx.AsyncClient) -> None:
    first = await ask(client)

    again = await client.post(
        "/sparql", content=COUNT, headers={"Content-Type": "application/sparql-query"}
    )

    assert (again.headers["cache-status"], again.content) == ("stocktake; hit", first.content)


async def test_a_shorter_time_limit_makes_no_other_answer(client: httpx.AsyncClient) -> None:
    await ask(client)

    again = await client.get("/sparql", params={"query": COUNT, "timeout": "5"})

    assert again.headers["cache-status"] == "stocktake; hit"


async def test_a_fault_is_not_kept(client: httpx.AsyncClient) -> None:
    answers = [await ask(client, "SELECT * {") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert not any(
        "cache-status" in answer.headers or "etag" in answer.headers for answer in answers
    )


async def test_head_matches_get_and_sends_nothing(client: httpx.AsyncClient) -> None:
    whole = await ask(client)

    head = await ask(client, method="HEAD")

    same = ("content-type", "content-length", "etag", "vary")
    assert (head.content, [head.headers[name] for name in same]) == (
        b"",
        [whole.headers[name] for name in same],
    )


@pytest.mark.every_store
async def test_head_of_a_large_answer_sends_nothing(client: httpx.AsyncClient) -> None:
    head = await ask(client, LARGE, method="HEAD")

    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.every_store
async def test_questions_that_are_the_same_are_evaluated_once(client: httpx.AsyncClient) -> None:
    query = "SELECT (COUNT(*) AS ?n) { ?s a ?c . ?t a ?c }"

    answers = await asyncio.gather(*(ask(client, query) for _ in range(8)))

    assert len({answer.content for answer in answers}) == 1
    counter = Counter(
        answer.headers["cache-status"].removeprefix("stocktake; ") for answer in answers
    )
    assert counter["fwd=miss"] == 1
    # who comes when the answer is there gets it at once
    assert counter["fwd=miss; collapsed"] + counter["hit"] == 7


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
    query = LARGE

    answers = await asyncio.gather(
        *(client.get("/sparql", params={"query": query, "format": "csv"}) for _ in range(3))
    )

    assert {answer.text.count("\r\n") for answer in answers} == {9_001}
    assert len(answers[0].content) > 4 << 20
    assert (await ask(client, query)).headers["cache-status"] == "stocktake; fwd=miss"


async def test_an_entry_in_the_journal_ends_what_was_kept(
    own: httpx.AsyncClient, tmp_path: Path
) -> None:
    before = await ask(own)
    Journal(tmp_path / "journal").append(
        ['A <https://x.org/s> <https://x.org/p> "2" <https://x.org/g> .'], run="r2", time=WHEN
    )

    after = await until_changed(own, before.headers["etag"])

    assert (
        before.json()["results"]["bindings"][0]["n"]["value"],
        after.json()["results"]["bindings"][0]["n"]["value"],
    ) == ("1", "2")
    assert (await ask(own, If_None_Match=before.headers["etag"])).status_code == 200


async def test_a_change_of_the_status_alone_ends_what_was_kept(
    own: httpx.AsyncClient, tmp_path: Path
) -> None:
    before = await ask(own)
    (tmp_path / "status.nq").write_text(
        f'<https://x.org/s> <https://x.org/p> "3" <{Iris().status}> .\n'
    )

    after = await until_changed(own, before.headers["etag"])

    assert after.json()["results"]["bindings"][0]["n"]["value"] == "2"
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
