"""No request that the description allows causes a server error or an undocumented response."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from waiting import WITHIN

from publisher.app import create_app
from publisher.catalog.openapi import openapi_description
from publisher.portal.suggestions import LONGEST
from publisher.store.query_service import QueryService
from publisher.store.search.query import MAX_LENGTH
from vocab.iris import Iris

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
]  # fmt: skip
DESCRIPTION = openapi_description(
    create_app(QueryService(Path(mkdtemp()), Iris())), "http://stocktake.test"
)
OPERATIONS = [(method, path) for path, item in DESCRIPTION["paths"].items() for method in item]
EXAMPLES = 8  # So many valid and so many invalid requests are generated for each operation.
HEALTH = [*HealthCheck]  # Slow generation of requests is no failure.

# Generated parameters seldom name a thing; each of these requests has a full response.
KNOWN = {
    "/search": "?q=forum&format=json", "/search/suggest": "?q=forum&format=json", "/things.json": "?source=demo&sort=newest",
    "/data/{kind}/{source}/{key}.json": "/data/initiative/demo/i%2F7.json", "/record/{source}/{key}.json": "/record/demo/i%2F7.json",
    "/source/{source}.json": "/source/demo.json", "/journal/": "?format=json", "/activities/{number}": "/activities/1",
    "/api/3/action/{action}": "/api/3/action/package_search", "/sparql": "?query=ASK%20%7B%7D&format=json",
}  # fmt: skip
Still = tuple[Path, httpx.Client]


@pytest.fixture
def host(stills: Callable[[str], Still]) -> str:
    """Return the URL of a server, which schemathesis asks by a client of its own."""
    return str(stills("own")[1].base_url).rstrip("/")


def test_description_has_the_servers_address_and_version(still: Still) -> None:
    served = still[1].get("/openapi.json").json()

    assert served == DESCRIPTION | {"servers": [{"url": str(still[1].base_url).rstrip("/")}]}
    assert re.match(r"\d+\.\d+\.\d+", served["info"]["version"])
    names = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(DESCRIPTION)))
    assert names <= set(DESCRIPTION["components"]["schemas"])
    for path, limit in (("/search", MAX_LENGTH), ("/search/suggest", LONGEST)):
        parameters = DESCRIPTION["paths"][path]["get"]["parameters"]
        [longest] = [item["schema"]["maxLength"] for item in parameters if item["name"] == "q"]
        assert longest == limit, path


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [("/search?page=0", 400, "The parameter page: input should be greater than or equal to 1; the request has '0'"),
     ("/search?per=1_0", 400, "The parameter per: input should be a whole number; the request has '1_0'"),
     ("/search?page=&sort=", 200, None),
     ("/journal/?before=x", 400, "The parameter before: input should be a whole number; the request has 'x'"),
     ("/activities/x", 404, "The parameter number: input should be a whole number; the request has 'x'")],
)  # fmt: skip
def test_invalid_parameter_is_named_with_what_it_should_be(
    still: Still, path: str, status: int, detail: str | None
) -> None:
    response = still[1].get(path, headers={"Accept": "application/json"})

    assert response.status_code == status
    assert response.json().get("detail") == detail


@pytest.mark.parametrize(("path", "known"), KNOWN.items(), ids=KNOWN)
def test_successful_response_is_as_described(still: Still, path: str, known: str) -> None:
    operation = schemathesis.openapi.from_dict(DESCRIPTION)[path]["GET"]

    answer = still[1].get(known if known.startswith("/") else path + known)

    assert answer.status_code == 200
    operation.validate_response(answer)


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_schemathesis_finds_no_server_error_or_undocumented_response(
    host: str, method: str, path: str, mode: GenerationMode
) -> None:
    operation = schemathesis.openapi.from_dict(DESCRIPTION)[path][method.upper()]
    if mode is GenerationMode.NEGATIVE and not operation.query and not operation.body:
        pytest.skip("there is nothing that a request could do wrong")

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=HEALTH,
    )
    @given(case=operation.as_strategy(mode))
    def check_case(case: schemathesis.Case[Any]) -> None:
        seconds = (case.query or {}).get("timeout")
        # A query with a timeout below one second is rightly stopped with 504.
        assume(not isinstance(seconds, float | int) or seconds >= 1)
        case.call_and_validate(base_url=host, checks=CHECKS, timeout=WITHIN)

    check_case()
