"""A join, a sort and a hog of memory, each stopped for its own reason, while many small queries are
all answered.
"""

from __future__ import annotations

import asyncio

from publisher.limits import Limits

from .conftest import Serve

JOIN = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i FILTER(STR(?c) < STR(?f)) }"
SORT = """SELECT ?a { { SELECT ?a ?c { ?a ?b ?c . ?d ?e ?f } LIMIT 1000000 } }
ORDER BY DESC(STRLEN(REPLACE(STR(?c), '(a|b)*[0-9]', STR(?a)))) LIMIT 1"""
HOG = "SELECT (COUNT(*) AS ?n) { SELECT DISTINCT ?a ?d ?g { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i } }"
LIMITS = Limits(seconds=300, wait=300, memory=640 << 20, quick=0.3, budget=0, each=0, share=0)


async def test_small_queries_do_not_feel_three_runaways_that_each_end_for_their_own_reason(
    serve: Serve,
) -> None:
    served = await serve(LIMITS, readers=2)

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
    assert [answer.status_code for answer in ended] == [504, 504, 422]
    assert ["time limit" in answer.json()["detail"] for answer in ended] == [True, True, False]
    assert "memory limit" in ended[2].json()["detail"]
    assert all(
        "export" in answer.json()["detail"] and "/exports" in answer.headers["link"]
        for answer in ended
    )
    assert served.service.public_pool.queue.free == 2  # none was forgotten


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
    assert (served.service.public_pool.queue.free, served.service.public_pool.queue.waiting) == (
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
