"""``/sparql?explain=1``: which engine evaluates a query, and how."""

from __future__ import annotations

import httpx
import pytest
from columns_ready import columns_answer
from event_loops import session_loop

from publisher.store.query_service import QueryService


async def explained(client: httpx.AsyncClient, query: str) -> dict[str, object]:
    response = await client.get("/sparql", params={"query": query, "explain": "1"})

    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    result: dict[str, object] = response.json()
    return result


@session_loop
async def test_compiled_query_is_explained_with_sql_and_rows(
    service: QueryService, inside: httpx.AsyncClient
) -> None:
    await columns_answer(service)
    query = "SELECT ?p (COUNT(*) AS ?n) { ?s ?p ?o } GROUP BY ?p"
    result = await explained(inside, query)
    rows = (await inside.get("/sparql", params={"query": query})).json()["results"]["bindings"]
    steps = result["steps"]

    assert (result["engine"], result["rows"]) == ("columns", len(rows))
    assert "SELECT" in str(result["sql"])
    assert "GROUP BY" in str(result["sql"])
    assert isinstance(steps, list)
    assert {"type", "intermediate_rows", "extra_info", "children"} <= steps[0].keys()


@session_loop
@pytest.mark.parametrize(
    ("query", "reason"),
    [("SELECT ?s { ?s ?p ?o } LIMIT 3", "not parsed"),
     ("SELECT DISTINCT ?x { { SELECT ?x { ?x ?p ?o } LIMIT 3 } }", "LIMIT or OFFSET without ORDER BY"),
     ("SELECT DISTINCT ?x { ?x <http://example.org/none> ?o }", "the RDF store is as fast")],
)  # fmt: skip
async def test_query_of_the_store_is_explained_by_the_reason(
    query: str, reason: str, service: QueryService, inside: httpx.AsyncClient
) -> None:
    await columns_answer(service)
    result = await explained(inside, query)
    rows = (await inside.get("/sparql", params={"query": query})).json()["results"]["bindings"]

    assert (result["engine"], result["rows"]) == ("store", len(rows))
    assert reason in str(result["reason"])


@session_loop
async def test_wrong_query_is_refused_as_without_explanation(
    service: QueryService, inside: httpx.AsyncClient
) -> None:
    await columns_answer(service)
    answers = [
        await inside.get("/sparql", params={"query": "SELECT (COUNT(* AS ?n) {", **more})
        for more in ({}, {"explain": "1"})
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json()["detail"] == answers[1].json()["detail"]
