"""OpenAPI: the description names routes that there are, and no request that it allows finds a fault or an answer that it does not tell."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance
from starlette.routing import Match

from publisher.app import create_app
from publisher.catalog.routes.openapi import openapi_description
from publisher.portal.routes.suggest import LONGEST
from publisher.search.query_parser import MAX_LENGTH
from publisher.store.query_service import QueryService
from vocab.iris import Iris

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
TOLD = openapi_description("http://stocktake.test")
OPERATIONS = [(method, path) for path, item in TOLD["paths"].items() for method in item if method != "parameters"]
EXAMPLES = 8  # requests of each operation that are made up, rightly and wrongly
HEALTH = [*HealthCheck]  # of how long an example takes to make

# A request of each that is answered in full: what is made up seldom finds a thing.
KNOWN = {
    "/search": "?q=forum&format=json",
    "/search/suggest": "?q=forum&format=json",
    "/things.json": "?source=demo&sort=newest",
    "/data/{kind}/{source}/{key}.json": "/data/initiative/demo/i%2F7.json",
    "/record/{source}/{key}.json": "/record/demo/i%2F7.json",
    "/source/{source}.json": "/source/demo.json",
    "/journal/": "?format=json",
    "/activities/{number}": "/activities/1",
    "/api/3/action/{action}": "/api/3/action/package_search",
    "/sparql": "?query=ASK%20%7B%7D&format=json",
}
Still = tuple[Path, httpx.Client]


@pytest.fixture
def still(stills: Callable[[str], Still]) -> Still:
    """Give the world over our own store: what is made up here tries the outlets, not the store."""
    return stills("own")


@pytest.mark.parametrize("path", sorted({path for _, path in OPERATIONS}))
def test_every_path_that_is_told_is_a_route(tmp_path: Path, path: str) -> None:
    app = create_app(QueryService(tmp_path, Iris()))
    scope = {"type": "http", "method": "GET", "path": re.sub(r"\{\w+\}", "x", path), "root_path": "", "headers": []}

    assert any(route.matches(scope)[0] is Match.FULL for route in app.routes)


def test_the_description_tells_the_host_and_the_version(still: Still) -> None:
    told = still[1].get("/openapi.json").json()

    assert told == openapi_description(str(still[1].base_url).rstrip("/"))
    assert re.match(r"\d+\.\d+\.\d+", told["info"]["version"])


@pytest.mark.parametrize(("path", "limit"), [("/search", MAX_LENGTH), ("/search/suggest", LONGEST)])
def test_length_limit_of_q_is_the_one_the_server_enforces(path: str, limit: int) -> None:
    parameters = openapi_description("http://localhost")["paths"][path]["get"]["parameters"]

    assert [item["schema"]["maxLength"] for item in parameters if item["name"] == "q"] == [limit]


@pytest.mark.parametrize(("path", "known"), KNOWN.items(), ids=KNOWN)
def test_what_is_there_is_answered_as_the_description_says(still: Still, path: str, known: str) -> None:
    operation = schemathesis.openapi.from_dict(openapi_description(str(still[1].base_url).rstrip("/")))[path]["GET"]

    answer = still[1].get(known if known.startswith("/") else path + known)

    assert answer.status_code == 200
    operation.validate_response(answer)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_schemathesis_finds_no_server_error_and_no_answer_that_is_not_told(
    still: Still, method: str, path: str, mode: GenerationMode
) -> None:
    host = str(still[1].base_url).rstrip("/")
    operation = schemathesis.openapi.from_dict(openapi_description(host))[path][method.upper()]
    if mode is GenerationMode.NEGATIVE and not operation.query and not operation.body:
        pytest.skip("there is nothing that a request could do wrong")

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=HEALTH)
    @given(case=operation.as_strategy(mode))
    def asked(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=host, checks=CHECKS)

    asked()
