"""A client's budget and its place in the queue are counted exactly; the address that a proxy states
counts only if the setting names the proxy.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from rows import each

from publisher.errors import QuotaExceeded, StoreBusy, TooManyQueries
from publisher.limits import Limits, read
from publisher.store.workers.pool import AdmissionQueue, RateLimiter, Turn
from web.middleware import address_key

from .conftest import Serve

LIMITS = Limits(budget=60, window=60, queue=3, share=2, each=2, wait=30)
SMALL = "SELECT * { ?s ?p ?o } LIMIT 1"
RUNAWAY = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"


@pytest.fixture
def clock() -> list[float]:
    return [1_000.0]


@pytest.fixture
def budget(clock: list[float]) -> RateLimiter:
    return RateLimiter(LIMITS, lambda: clock[0])


def test_a_bucket_is_spent_and_fills_again_and_our_own_questions_cost_nothing(
    budget: RateLimiter, clock: list[float]
) -> None:
    budget.charge("a", 45)
    left, headers = budget.remaining("a"), budget.headers("a")
    clock[0] += 30
    later = budget.remaining("a")
    budget.charge("", 1_000)
    budget.admit("")

    assert headers == {
        "RateLimit-Policy": '"query-seconds";q=60;w=60;qu="seconds"',
        "RateLimit": '"query-seconds";r=15;t=45',
    }
    assert (left, later) == (15, 45)
    assert budget.headers("") == {}


def test_who_has_overdrawn_waits_until_a_second_is_there(
    budget: RateLimiter, clock: list[float]
) -> None:
    budget.charge("a", 70)

    with pytest.raises(QuotaExceeded) as refused:
        budget.admit("a")
    budget.admit("b")
    clock[0] += refused.value.wait
    budget.admit("a")

    assert refused.value.wait == 11


def test_an_address_of_ipv6_stands_for_its_network() -> None:
    assert (
        address_key("2001:db8::1")
        == address_key("2001:db8::ffff")
        != address_key("2001:db8:0:1::1")
    )
    assert address_key("fe80::1%eth0") == "fe80::/64"
    assert address_key("testclient") == "testclient"


async def line_of(line: AdmissionQueue, *clients: str) -> list[asyncio.Task[Turn]]:
    tasks = [asyncio.create_task(line.enter(client)) for client in clients]
    await asyncio.sleep(0)
    return tasks


async def test_a_full_line_and_a_greedy_client_are_refused_at_once() -> None:
    line = AdmissionQueue(1, LIMITS)
    await line.enter("a")

    waiting = await line_of(line, "b", "b")
    with pytest.raises(TooManyQueries):
        await line.enter("b")
    waiting += await line_of(line, "c")
    with pytest.raises(StoreBusy):
        await line.enter("d")

    assert len(line.waiting) == 3
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert line.waiting == []


async def test_who_has_the_least_at_work_goes_first() -> None:
    line = AdmissionQueue(2, LIMITS)
    first, second = await line.enter("a"), await line.enter("a")

    third, newcomer = await line_of(line, "a", "b")
    line.leave(first)
    await asyncio.sleep(0)

    assert (third.done(), newcomer.done()) == (False, True)
    line.leave(second)
    await third
    assert (line.free, line.waiting) == (0, [])


async def test_a_client_has_no_more_at_work_than_its_share_while_others_pass() -> None:
    line = AdmissionQueue(3, LIMITS)
    await line.enter("a")
    await line.enter("a")

    (third,) = await line_of(line, "a")
    await line.enter("b")

    assert (third.done(), line.free) == (False, 0)
    third.cancel()
    await asyncio.gather(third, return_exceptions=True)


async def test_a_query_that_passes_its_slot_counts_for_its_client_but_takes_no_slot() -> None:
    line = AdmissionQueue(1, replace(LIMITS, each=1))
    first = await line.enter("a")

    own, other = await line_of(line, "a", "b")
    line.pass_slot(first)
    await asyncio.sleep(0)

    assert (own.done(), other.done(), line.free, line.outside) == (False, True, 0, 1)
    own.cancel()
    await asyncio.gather(own, return_exceptions=True)


async def test_who_leaves_in_the_moment_of_being_called_gives_the_place_back() -> None:
    line = AdmissionQueue(1, LIMITS)
    first = await line.enter("a")

    (gone,) = await line_of(line, "b")
    line.leave(first)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)

    assert line.free == 1
    await line.enter("c")


async def test_a_query_that_waits_too_long_gets_retry_after() -> None:
    line = AdmissionQueue(1, Limits(wait=0.01))
    await line.enter("a")

    with pytest.raises(StoreBusy, match="try again"):
        await line.enter("b")

    assert line.waiting == []


async def test_a_spent_budget_has_headers_and_a_cached_answer_is_free(serve: Serve) -> None:
    served = await serve(Limits(seconds=0.5, budget=0.4, window=600))

    first, runaway, refused, cached = [
        await served.ask(query) for query in (SMALL, RUNAWAY, SMALL + "0", SMALL)
    ]

    statuses = [answer.status_code for answer in (first, runaway, refused, cached)]
    assert statuses == [200, 504, 429, 200]
    assert float(runaway.headers["stocktake-cost"]) >= 0.5
    assert int(refused.headers["retry-after"]) > 100
    assert refused.headers["ratelimit"].startswith('"query-seconds";r=0;t=')
    assert (cached.headers["stocktake-cost"], cached.content) == ("0.000", first.content)
    assert "export" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("proxies", "status"), [("", 429), ("127.0.0.0/8", 200), ("192.0.2.1", 429)]
)
async def test_only_a_proxy_of_the_setting_is_believed_whom_it_asks_for(
    serve: Serve, proxies: str, status: int
) -> None:
    served = await serve(Limits(seconds=0.3, budget=0.1, window=600), proxies=proxies)
    await served.ask(RUNAWAY)

    other = await served.client.get(
        "/sparql", params={"query": SMALL}, headers={"X-Forwarded-For": "198.51.100.7"}
    )

    assert other.status_code == status


def test_limits_are_read_over_the_defaults() -> None:
    limits = read("seconds=5, memory=512MiB,rows=10 , budget=0")

    assert limits == replace(Limits(), seconds=5.0, memory=512 << 20, rows=10, budget=0.0)


@each("text", ["second=5", "seconds=", "seconds=-1", "seconds=0", "rows=many", "memory=2XiB"])
def test_a_wrong_limit_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ValueError, match=text.partition("=")[0]):
        read(text)


JOIN = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i FILTER(STR(?c) < STR(?f)) }"
SORT = """SELECT ?a { { SELECT ?a ?c { ?a ?b ?c . ?d ?e ?f } LIMIT 1000000 } }
ORDER BY DESC(STRLEN(REPLACE(STR(?c), '(a|b)*[0-9]', STR(?a)))) LIMIT 1"""
HOG = "SELECT (COUNT(*) AS ?n) { SELECT DISTINCT ?a ?d ?g { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i } }"
RUNAWAY_LIMITS = Limits(
    seconds=300, wait=300, memory=640 << 20, quick=0.3, budget=0, each=0, share=0
)


async def test_small_queries_do_not_feel_three_runaways_that_each_end_for_their_own_reason(
    serve: Serve,
) -> None:
    served = await serve(RUNAWAY_LIMITS, readers=2)

    runaways = [
        asyncio.create_task(served.ask(query, timeout=limit))
        for query, limit in ((JOIN, "1.5"), (SORT, "1.5"), (HOG, "300"))
    ]
    small = [
        served.ask(f"SELECT ?o {{ <https://x.org/s{number}> <https://x.org/p> ?o }}")
        for number in range(31)
    ]
    answers = await asyncio.gather(*small)
    ended = await asyncio.gather(*runaways)

    assert [answer.status_code for answer in answers] == [200] * 31
    assert [len(answer.json()["results"]["bindings"]) for answer in answers] == [1] * 31
    join, *others = [answer.status_code for answer in ended]
    assert join in (504, 422)  # On a fast machine, its memory may end before its time.
    assert others == [504, 422]
    assert ["time limit" in answer.json()["detail"] for answer in ended] == [True, True, False]
    assert "memory limit" in ended[2].json()["detail"]
    assert all(
        "export" in answer.json()["detail"] and "/exports" in answer.headers["link"]
        for answer in ended
    )
    assert served.service.pool.queue.free == 2  # Every slot is free again.


async def test_more_runaways_than_there_is_room_beside_still_end_and_leave_all_places_free(
    serve: Serve,
) -> None:
    served = await serve(
        Limits(seconds=240, wait=240, quick=0.1, slow=1, budget=0, each=0, share=0), readers=2
    )

    ended = await asyncio.gather(
        *(served.ask(JOIN, timeout=str(0.5 + number / 100)) for number in range(6))
    )
    after = await asyncio.gather(
        *(served.ask(f"ASK {{ <https://x.org/s{number}> ?p ?o }}") for number in range(6))
    )

    assert {answer.status_code for answer in ended} == {504}
    assert {answer.status_code for answer in after} == {200}
    assert (served.service.pool.queue.free, served.service.pool.queue.waiting) == (
        2,
        [],
    )


async def test_a_query_that_takes_long_and_ends_in_time_is_answered_whole(serve: Serve) -> None:
    served = await serve(Limits(seconds=240, wait=240, quick=0.001, budget=0), readers=1)

    query = "SELECT (COUNT(*) AS ?n) {{ ?a ?b ?c . ?d ?e ?f . VALUES ?x {{ {0} {0}0 }} }} LIMIT 1"
    answers = await asyncio.gather(
        *(
            served.ask(query.format(number).replace("?d ?e ?f", f"<https://x.org/s{number}> ?e ?f"))
            for number in (1, 2, 3)
        )
    )

    assert [answer.json()["results"]["bindings"][0]["n"]["value"] for answer in answers] == [
        "6000"
    ] * 3
