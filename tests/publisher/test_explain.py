"""`/sparql?explain=1` says how a query is evaluated; `/explain`, where statements come from."""

from __future__ import annotations

import os
import sys
from typing import Any

import httpx
import orjson
import pytest
from app_client import asking
from columns_ready import columns_answer
from event_loops import session_loop

from publisher.app import SiteOptions, create_app
from publisher.portal.visitors import ClientQuota, VisitorCommand
from publisher.store.query_service import QueryService


async def explained(client: httpx.AsyncClient, query: str) -> dict[str, object]:
    response = await client.get("/sparql", params={"query": query, "explain": "1"})

    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    result: dict[str, object] = response.json()
    return result


@session_loop
async def test_a_compiled_query_is_explained_with_sql_and_rows_and_a_wrong_one_refused(
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

    answers = [
        await inside.get("/sparql", params={"query": "SELECT (COUNT(* AS ?n) {", **more})
        for more in ({}, {"explain": "1"})
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].json()["detail"] == answers[1].json()["detail"]


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


NO_FIELD: dict[str, Any] = {
    "fields": [], "value": "", "place": None, "classification": None, "is_constant": False,
}  # fmt: skip
FOUND = {
    "record": "https://x.example/record/demo/a%2F1", "source": "demo", "key": "a/1", "run": "demo.1", "started": "2026-03-01T12:00:00Z",
    "mapping": "fields", "rules": "abc", "note": "", "history": [{"run": "demo.1", "started": "2026-03-01T12:00:00Z", "outcome": "new"}],
    "request": {"url": "https://r.example/?a=1&b=2", "status": 200, "media_type": "", "file": "demo/demo.1.warc.gz", "offset": 12345,
                "length": 9, "size": 10, "digest": "ff00"},
    "statements": [
        {"statement": "<a> <b> <script>", "origin": "source", "fields": ["na<me"], "value": "",
         "place": {"offset": 3, "length": 2, "before": "<i>", "value": "A&B", "after": "</i>"},
         "classification": {"basis": "crosswalked", "word": "He<lth", "crosswalk": "https://x.example/crosswalk/1", "confidence": ""},
         "is_constant": False},
        {"statement": "<a> <c> 1", "origin": "ours", **NO_FIELD},
        {"statement": "<a> <d> 1", "origin": "validation", **NO_FIELD},
        {"statement": "<a> <e> 1", "origin": "source", **NO_FIELD, "is_constant": True},
    ],
}  # fmt: skip
ECHO = "import sys; sys.stdout.write(sys.argv[1])"
ARGUMENTS = "import sys; sys.stdout.write(repr(sys.argv[1:]))"


def visitor(service: QueryService, code: str, *arguments: str) -> httpx.AsyncClient:
    command, environment = (sys.executable, "-c", code, *arguments), dict(os.environ)
    commands = {"explain": VisitorCommand(command, environment, ClientQuota(3))}
    client: httpx.AsyncClient = asking(create_app(service, site=SiteOptions(commands=commands)))
    return client


@session_loop
async def test_value_is_highlighted_in_its_bytes(service: QueryService) -> None:
    headers = {"Accept": "text/html", "Accept-Language": "es"}
    async with visitor(service, ECHO, orjson.dumps(FOUND).decode()) as client:
        page = await client.get("/explain?iri=/record/demo/a", headers=headers)

    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    main = page.text.split("<main")[1]
    for text in (
        "&lt;i&gt;<mark>A&amp;B</mark>&lt;/i&gt;", "na&lt;me", "de la fuente", "ninguna fuente", "cada ficha lo tiene",
        "resultado de la validación", "<q>He&lt;lth</q>", 'href="https://x.example/crosswalk/1"', "ff00", "/record/demo/a%2F1",
    ):  # fmt: skip
        assert text in main
    assert "<script>" not in main


@session_loop
@pytest.mark.parametrize(
    ("accept", "name"), [("application/json", "json"), ("text/turtle", "turtle")]
)
async def test_data_are_negotiated_and_an_iri_is_never_an_option(
    service: QueryService, accept: str, name: str
) -> None:
    async with visitor(service, ARGUMENTS) as client:
        answer = await client.get(
            "/explain", params={"iri": "--help", "property": "title"}, headers={"Accept": accept}
        )

    assert answer.headers["content-type"].startswith(accept)
    assert answer.text == repr([f"--format={name}", "--", "--help", "title"])


@session_loop
async def test_unknown_record_or_property_is_404_and_too_many_requests_429(
    service: QueryService,
) -> None:
    path, html = "/explain?iri=/record/demo/b", {"Accept": "text/html"}
    async with visitor(service, "pass") as client:
        answers = [await client.get(path, headers=html)]
        answers.append(await client.get(f"{path}&property=no", headers=html))
        json = {"Accept": "application/json"}
        answers += [await client.get(path, headers=json) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
    assert "nothing to explain" in answers[0].text
    assert ["has no such property" in answer.text for answer in answers[:2]] == [False, True]
