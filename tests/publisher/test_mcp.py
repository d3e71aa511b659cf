"""The MCP tools, called by the official client; each link of an answer returns the same bytes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from in_process import listening, reading
from live_server import ROOT
from mcp import Client, StdioServerParameters
from publish_fixture import copy_data
from rows import each

from publisher.apis.pinned import UnknownTerm, check_terms, used_terms
from publisher.releases.builder import build_release
from publisher.sparql.examples import examples
from publisher.store.query_service import QueryService
from vocab.iris import Iris
from vocab.terms import RDF
from web.middleware import MAX_BODY

IRIS = Iris()
NOW = datetime(2026, 4, 1, 6, 0, tzinfo=UTC)
PREFIX = f"PREFIX wsis: <{IRIS.ns}> PREFIX dct: <http://purl.org/dc/terms/> "
THING = f"{IRIS.base}id/initiative/demo/a%2F1"
ALL = ["declared", "crosswalked", "suggested"]
FACETS = (
    "kind", "line", "goal", "target", "basis", "country", "area", "region", "stakeholder", "coverage", "status", "type",
    "year", "source", "language", "prize", "stage", "prizeyear", "remark",
)  # fmt: skip
EXAMPLES = (
    "initiatives-by-action-line", "initiatives-by-goal", "initiatives-by-country", "initiatives-by-year",
    "goals-of-an-action-line", "targets-with-goals", "matrix", "claims-by-basis", "provenance-of-a-record",
    "one-initiative-as-a-graph", "itu-regions", "sources", "organizations", "is-any-goal-declared", "prizes", "languages",
    "remarks", "tombstones",
)  # fmt: skip
TEXTS = {item.name: item.text for item in examples(IRIS)}
QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("what_is_here", {}),
    *(("count", {"by": facet}) for facet in FACETS),
    ("count", {"filters": {"country": ["Kenya"]}}),
    ("count", {"by": "goal", "filters": {"country": ["KE"], "kind": ["initiative"]}}),
    ("count", {"by": "line", "filters": {"goal": ["3", "4"]}, "basis": ALL}),
    ("count", {"by": "line", "basis": ["crosswalked"]}),
    ("count", {"by": "line", "basis": ["suggested"]}),
    ("search", {"words": "telemedicine"}),
    ("search", {"words": "community network", "limit": 3, "offset": 2}),
    ("search", {"words": "clinics", "filters": {"country": ["404"]}, "basis": ALL}),
    ("search", {"words": "التطبيب"}),
    ("describe", {"thing": THING}),
    ("describe", {"thing": "/page/initiative/demo/a%2F1"}),
    ("describe", {"thing": "http://metadata.un.org/sdg/4"}),
    ("describe", {"thing": f"{IRIS.base}scheme/action-line/C2"}),
    ("cite", {}),
    ("cite", {"thing": THING}),
    ("query", {"sparql": f"{PREFIX}SELECT (COUNT(?x) AS ?n) {{ ?x a wsis:Initiative }}"}),
    ("query", {"sparql": f"{PREFIX}SELECT ?t {{ <{THING}> dct:title ?t }}", "format": "json"}),
    ("query", {"sparql": f"{PREFIX}ASK {{ ?x wsis:goal <http://metadata.un.org/sdg/4> }}"}),
    *(("query", {"sparql": TEXTS[name], "release": 1}) for name in EXAMPLES),
]


@pytest.fixture(scope="module")
def url(release_data: Path) -> Iterator[str]:
    with listening(partial(reading, release_data)) as address:
        yield address


@asynccontextmanager
async def asked_over_http(url: str) -> AsyncIterator[Client]:
    async with Client(f"{url}/mcp", read_timeout_seconds=300) as opened:
        yield opened


@asynccontextmanager
async def asked_over_stdio(data: Path, url: str) -> AsyncIterator[Client]:
    line = StdioServerParameters(
        command=sys.executable,
        args=["-m", "stocktake", "--data", str(data), "--public-url", url, "mcp"],
        cwd=str(ROOT),
    )
    async with Client(line, read_timeout_seconds=300) as opened:
        yield opened


async def answer(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    answered: dict[str, Any] = result.structured_content
    return answered


def text_of(content: Any) -> str:
    return str(getattr(content, "text", ""))


async def error(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.structured_content
    assert result.structured_content is None
    return text_of(result.content[0])


def data(reply: dict[str, Any], name: str) -> str:
    return next(str(part["data"]) for part in reply["parts"] if part["name"] == name)


@pytest.mark.nightly
@each("tool, arguments", QUESTIONS)
async def test_each_link_returns_the_bytes_of_the_answer(
    url: str, tool: str, arguments: dict[str, Any]
) -> None:
    async with asked_over_http(url) as client:
        reply = await answer(client, tool, **arguments)

        state = [reply[name] for name in ("release", "position", "published", "issued")]
        assert state == [1, 3, 3, "2026-04-01T06:00:00Z"]
        assert reply["licences"] == {"demo": "https://creativecommons.org/licenses/by/4.0/"}
        states = ("live", "late", "overdue", "failing", "frozen", "held", "retired")
        assert reply["freshness"]["demo"]["state"] in states
        assert reply["parts"]
        async with httpx.AsyncClient(timeout=300) as browser:
            for part in reply["parts"]:
                again = await browser.get(part["link"])
                assert again.status_code == 200, part["link"]
                assert again.content == part["data"].encode()
                assert (
                    again.headers["content-type"].partition(";")[0]
                    == part["media"].partition(";")[0]
                )


async def test_the_answers_are_those_of_the_world(url: str) -> None:
    async with asked_over_http(url) as client:
        kenya = await answer(
            client, "count", filters={"country": ["Kenya"], "kind": ["initiative"]}
        )
        lines = await answer(client, "count", by="line", basis=["suggested"])
        result = await answer(client, "search", words="telemedicine")

        assert data(kenya, "total") == "things\r\n121\r\n"  # 120 of them are alike.
        assert data(lines, "by line") == f"line,things\r\n{IRIS.concept('action-line', 'C4')},1\r\n"
        assert lines["parts"][1]["labels"][IRIS.concept("action-line", "C4")].startswith("C4 ")
        assert THING in data(result, "results")
        for properties, basis in (
            ("wsis:goal ?g", ["declared"]), ("a wsis:Initiative", []),
            ("wsis:crosswalkedGoal|wsis:suggestedActionLine ?g", ["crosswalked", "suggested"]),
        ):  # fmt: skip
            query = f"{PREFIX}SELECT ?x {{ ?x {properties} }}"
            assert (await answer(client, "query", sparql=query))["basis"] == basis


@each(
    "tool, arguments, text",
    [
        ("query", {"sparql": f"{PREFIX}SELECT * {{ ?x wsis:gaol ?g }}"}, "unknown property wsis:gaol <.*nearest: wsis:goal "),
        ("query", {"sparql": f"{PREFIX}SELECT * {{ ?x a wsis:Initative }}"}, "unknown class wsis:Initative .*wsis:Initiative"),
        ("query", {"sparql": "SELECT * { ?x <http://example.org/colour> ?c }"}, "unknown property <http://example.org/colour>"),
        ("query", {"sparql": "SELECT * { ?x ?p"}, "line 1, column"),
        ("query", {"sparql": "rubbish"}, "expected"),
        ("query", {"sparql": f"{PREFIX}SELECT * {{ <http://example.org/none> dct:title ?t }}"}, "nothing found in release 1"),
        ("query", {"sparql": f"{PREFIX}CONSTRUCT WHERE {{ <http://example.org/none> dct:title ?t }}"}, "nothing found in release 1"),
        ("query", {"sparql": "SELECT (NOW() AS ?now) {}"}, "repeatable"),
        ("query", {"sparql": "SELECT * { SERVICE <http://x.example/> { ?s ?p ?o } }"}, "SERVICE is not supported"),
        ("query", {"sparql": "ASK {}", "format": "odt"}, "Unknown format 'odt'"),
        ("query", {"sparql": "ASK {}", "release": 7}, "there is no release 7"),
        ("query", {"sparql": "SELECT * { ?s ?p ?o }"}, "larger than 256 KiB.*add LIMIT.*http://"),
        ("query", {"sparql": "ASK {}" + " " * 40_000}, "at most 32000 characters"),
        ("search", {"words": "zzqqxx"}, "nothing found in release 1"),
        ("search", {"words": " "}, "at least 1 character"),
        ("count", {"by": "gaol"}, "unknown facet 'gaol'; did you mean goal?"),
        ("count", {"by": "goal", "country": ["Kenya"]}, r"count has no argument 'country'; write filters=\{'country': \[...\]\}"),
        ("search", {"words": "water", "ofset": 3}, "no argument 'ofset'; did you mean offset?"),
        ("count", {"filters": {"country": ["Kenyaa"]}}, "nothing has the country 'Kenyaa'; nearest: 404"),
        ("count", {"filters": {"colour": ["red"]}}, "unknown facet 'colour'"),
        ("count", {"basis": ["guessed"]}, "should be 'declared', 'crosswalked' or 'suggested'"),
        ("count", {"filters": {"country": ["404"] * 51}}, "at most 50 items"),
        ("count", {"filters": "country"}, "valid dictionary"),
        ("describe", {"thing": f"{IRIS.base}id/initiative/demo/none"}, "says nothing about"),
        ("describe", {"thing": "Kenya or so"}, "neither an IRI nor the path"),
        ("cite", {"thing": f"{IRIS.base}id/initiative/demo/none"}, "says nothing about"),
    ],
)  # fmt: skip
async def test_what_has_no_answer_is_an_error_with_its_remedy(
    url: str, tool: str, arguments: dict[str, Any], text: str
) -> None:
    async with asked_over_http(url) as client:
        assert re.search(text, await error(client, tool, **arguments), re.DOTALL)


class EmptyService:
    """A service whose registries have published nothing: no term is in use."""

    iris = IRIS

    async def rows(self, text: str) -> list[dict[str, Any]]:
        return []


@pytest.mark.smoke
async def test_terms_of_the_examples_are_known_before_a_registry_uses_them() -> None:
    service = cast(QueryService, EmptyService())

    for item in examples(IRIS):
        assert await check_terms(service, item.text), item.name
    with pytest.raises(UnknownTerm, match="unknown property foaf:pastProject"):
        await check_terms(
            service, "PREFIX foaf: <http://xmlns.com/foaf/0.1/> SELECT * { ?x foaf:pastProject ?y }"
        )


async def test_every_tool_is_read_only_and_describes_itself(url: str) -> None:
    async with asked_over_http(url) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}

        assert set(tools) == {"what_is_here", "search", "describe", "count", "query", "cite"}
        for name, tool in tools.items():
            assert tool.annotations, name
            assert tool.annotations.read_only_hint, name
            assert tool.description, name
            assert tool.output_schema, name
    assert len(QUESTIONS) >= 50


async def test_resources_have_the_vocabulary_and_the_examples_and_a_prompt_asks_for_links(
    url: str,
) -> None:
    async with asked_over_http(url) as client:

        async def read(uri: str) -> Any:
            return text_of((await client.read_resource(uri)).contents[0])

        words = json.loads(await read("stocktake://vocabulary"))
        queries = json.loads(await read("stocktake://examples"))
        names = {item.name for item in (await client.list_prompts()).prompts}
        prompt = await client.get_prompt("answer_from_data", {"question": "How many?"})

        assert f"{IRIS.ns}goal" in {item["iri"] for item in words["properties"]}
        assert {item["name"]: item["query"] for item in queries} == TEXTS
        assert names == {"answer_from_data"}
        assert "How many?" in text_of(prompt.messages[0].content)


@pytest.mark.nightly
async def test_standard_streams_answer_like_http(url: str, release_data: Path) -> None:
    async with asked_over_http(url) as client:
        arguments = {"by": "goal", "filters": {"kind": ["initiative"]}}
        async with asked_over_stdio(release_data, url) as local:
            own = await answer(local, "count", **arguments)

        assert own["parts"] == (await answer(client, "count", **arguments))["parts"]


async def test_before_the_first_release_a_tool_names_the_remedy(
    small: Path, tmp_path: Path
) -> None:
    data = copy_data(small, tmp_path, "store")
    with listening(partial(reading, data)) as address:
        async with asked_over_http(address) as client:
            assert "there is no release yet" in await error(client, "what_is_here")


def endless() -> Iterator[bytes]:
    for _ in range(4 * MAX_BODY // 65_536):
        yield b" " * 65_536


@each(
    "body, status",
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b'{"a":' * 50_000, 400),
        (b'{"jsonrpc":"2.0"}', 400),
        (b'{"jsonrpc":"2.0","id":1,"method":5}', 400),
        (b"x" * (MAX_BODY + 1), 413),
        (endless(), 413),
    ],
)
def test_rubbish_is_refused(url: str, body: bytes | Iterator[bytes], status: int) -> None:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

    reply = httpx.post(f"{url}/mcp", content=body, headers=headers, timeout=300)

    assert reply.status_code == status
    assert httpx.get(f"{url}/health", timeout=300).status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_no_stream_is_kept_open(url: str, method: str) -> None:
    reply = httpx.request(
        method, f"{url}/mcp", headers={"Accept": "text/event-stream"}, timeout=300
    )

    assert reply.status_code == 405
    assert reply.headers["allow"] == "POST"


async def test_a_client_has_the_budget_of_the_endpoint(small: Path, tmp_path: Path) -> None:
    data = copy_data(small, tmp_path, "store")
    build_release(data, IRIS, NOW)
    endless = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i }"
    limits = "budget=1,window=86400,seconds=2,wait=240"
    with listening(partial(reading, data, limits=limits)) as address:
        async with asked_over_http(address) as client:
            stopped = await error(client, "query", sparql=endless)
            refused = await error(client, "count", by="goal")

    assert "time limit" in stopped
    assert "has used its 1 seconds of evaluation time" in refused


def test_llms_txt_describes_the_site_and_its_links_answer(url: str) -> None:
    reply = httpx.get(f"{url}/llms.txt", timeout=300)
    lines = reply.text.splitlines()
    links = re.findall(r"\]\((http[^)]+)\): ", reply.text)

    assert reply.headers["content-type"] == "text/markdown; charset=utf-8"
    assert lines[0].startswith("# ")
    assert lines[2].startswith("> ")
    assert len(links) > 10
    results = {link: httpx.get(link, timeout=300).status_code for link in links}
    assert results == {link: 405 if link == f"{url}/mcp" else 200 for link in links}


@each(
    "text, properties",
    [
        ("SELECT * { ?s <a> 'x'@en, 5 ; <b> ( 1 2 ) . ( 1 2 ) <c> [] ; <d> [ <e> 'f'^^<g> ] . [ <h> 1 ] . [ <i> 1 ] <j> 2 }", "abcdehij"),
        ("SELECT * { ?s <a> 1 OPTIONAL { ?s <b> 1 } ?s <c> 1 MINUS { <x> <d> <y> } { ?s <e> 1 } UNION { ?s <f> 1 } }", "abcdef"),
        ("SELECT * { { SELECT ?y (COUNT(?z) AS ?n) WHERE { ?y <a> ?z } GROUP BY ?y HAVING (COUNT(?z) > 1) } }", "a"),
        ("SELECT * { FILTER(?x = <q> && NOT EXISTS { ?x <a> 1 }) FILTER NOT EXISTS { ?x <b>|!(<c>)|^<d> 2 } ?x <e> 1 }", "abcde"),
        ("SELECT * { BIND(<v> AS ?w) FILTER <http://f>(?x) VALUES ?k { <w> } ?x <a> 1 VALUES (?k) { (<w>) } ?x <b> 1 }", "ab"),
        ("SELECT * { GRAPH ?g { ?x <a>+ ?y . ?a <b>? -1 } ?x (<c>/<d>)* ?z }", "abcd"),
        ("CONSTRUCT { ?s <x> ?o } WHERE { ?s <a> ?o }", "a"),
        ("CONSTRUCT WHERE { ?s <a> ?o }", "a"),
        ("SELECT * { ?s <a> ?o } VALUES ?o { <x> }", "a"),
        ("SELECT * { ?s <a> 'VALUES { ?x <q> 1 }' ; <b> \"}\" . # ?s <r> 1\n ?s <c> ?o }", "abc"),
    ],
)  # fmt: skip
def test_the_properties_of_a_query_are_found(text: str, properties: str) -> None:
    names = (iri for kind, iri in used_terms(text, "") if kind == "properties")
    assert "".join(sorted(name for name in names if not name.startswith(RDF))) == properties
