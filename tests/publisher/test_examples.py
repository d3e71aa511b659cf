"""Each is shown in full, answers something, and is shown as a page and as RDF."""

from __future__ import annotations

import asyncio
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from event_loops import session_loop
from pyoxigraph import NamedNode, RdfFormat, parse
from rows import each
from typer.testing import CliRunner

from languages.request_locale import LANGUAGES
from publisher.sparql.examples import (
    DURATIONS,
    Outcome,
    example,
    examples,
    read_outcomes,
    run_examples,
    write_outcomes,
)
from publisher.store.query_service import QueryService
from stocktake import app as commands
from vocab.iris import Iris

THEM = examples(Iris())
SH = "http://www.w3.org/ns/shacl#"
HTML = {"Accept": "text/html"}


def test_there_are_at_least_25_with_names_and_places_of_their_own(tmp_path: Path) -> None:
    output = CliRunner().invoke(commands, ["--data", str(tmp_path), "examples", "list", "--json"])
    unknown = CliRunner().invoke(commands, ["--data", str(tmp_path), "examples", "run", "none"])

    assert len(THEM) >= 25
    assert len({item.titles["en"] for item in THEM}) == len(THEM)
    assert [item.position for item in THEM] == list(range(1, len(THEM) + 1))
    assert [item["name"] for item in json.loads(output.stdout)] == [item.name for item in THEM]
    message = re.sub(r"\s*│?\s+│?\s*", " ", unknown.output)
    assert (unknown.exit_code, "stocktake examples list" in message) == (2, True)


@session_loop
@each("item", THEM)
async def test_an_example_answers_something(item: Any, service: QueryService) -> None:
    ((_, outcome),) = [pair async for pair in run_examples(service, [item])]

    assert outcome.error == ""
    assert outcome.rows > 0


@each("item", THEM)
def test_an_example_says_what_it_does_in_each_language_and_declares_what_it_uses(item: Any) -> None:
    body = re.sub(r'"[^"]*"|<[^>]*>', "", item.text)

    declared = set(re.findall(r"PREFIX (\w+):", item.text))
    used = set(re.findall(r"(?<!PREFIX )\b(\w+):\w", body))
    # how a claim came to be is never mixed unasked
    named = set(re.findall(r"wsis:(crosswalked|suggested)(?:Goal|Target|ActionLine)", item.text))

    assert item.comments["en"].endswith(".")
    assert item.keywords
    assert declared == used
    for texts in (item.titles, item.comments):
        assert texts.keys() == set(LANGUAGES)
        assert len(set(texts.values())) == len(LANGUAGES)
    assert named in (set(), {"crosswalked", "suggested"})
    assert bool(named) == ("claims" in item.keywords)


def test_an_example_asks_of_the_base_that_is_set() -> None:
    base = "https://stocktaking.example/"

    result = example(Iris(base), "prizes")

    assert result is not None
    assert result.iri == base + "examples/prizes"
    assert f"<{base}ns#>" in result.text
    assert "w3id.org" not in result.text


@session_loop
async def test_one_that_fails_or_answers_nothing_is_not_good(service: QueryService) -> None:
    chosen = [replace(THEM[0], text=text) for text in ("SELECT", "SELECT * { ?x <urn:none> ?y }")]

    outcomes = [outcome async for _, outcome in run_examples(service, chosen)]

    assert [item.passed for item in outcomes] == [False, False]
    assert outcomes[0].error
    assert Outcome(seconds=0.1, rows=1).passed


async def test_the_page_lists_them_all_and_leads_to_the_editor(client: httpx.AsyncClient) -> None:
    page = await client.get("/examples", headers=HTML)

    assert page.status_code == 200
    assert page.text.count('class="card example"') == len(THEM)
    assert "/sparql?example=prizes" in page.text


@pytest.mark.parametrize(
    ("suffix", "form"),
    [("ttl", RdfFormat.TURTLE), ("nt", RdfFormat.N_TRIPLES), ("rdf", RdfFormat.RDF_XML)],
)
async def test_they_are_given_as_rdf(
    client: httpx.AsyncClient, suffix: str, form: RdfFormat
) -> None:
    answer = await client.get("/examples", params={"format": suffix})

    kind = NamedNode(f"{SH}SPARQLExecutable")
    results = {quad.subject.value for quad in parse(answer.content, form) if quad.object == kind}
    assert results == {item.iri for item in THEM}


def test_the_command_runs_them_and_states_time_and_rows(level: Path) -> None:
    result = CliRunner().invoke(
        commands, ["--data", str(level), "examples", "run", "--json", "prizes", "full-text"]
    )

    body = json.loads(result.stdout)

    assert result.exit_code == 0
    assert [(item["name"], item["ok"], item["seconds"] > 0, item["rows"] > 0) for item in body] == [
        ("prizes", True, True, True),
        ("full-text", True, True, True),
    ]


@session_loop
async def test_the_page_shows_the_time_that_the_command_took(
    level: Path, inside: httpx.AsyncClient
) -> None:
    words = ["--data", str(level), "examples", "run", "--json", "initiatives-by-goal"]
    await asyncio.to_thread(CliRunner().invoke, commands, words)

    page = re.sub(
        r"<[^>]+>", "", (await inside.get("/examples/initiatives-by-goal", headers=HTML)).text
    )

    assert re.search(r"Rows: 17 · [\d.]+ sec · journal entry 3$", page, re.MULTILINE)


@pytest.mark.parametrize("left", ["", "[1]", '{"prizes": {"hours": 1}}'])
def test_an_unreadable_file_of_times_is_ignored(tmp_path: Path, left: str) -> None:
    (tmp_path / DURATIONS).write_text(left)

    assert read_outcomes(tmp_path) == {}


def test_an_example_that_is_no_longer_good_loses_its_time(tmp_path: Path) -> None:
    first, second = (Outcome(seconds=number / 10, rows=number, position=3) for number in (1, 2))
    write_outcomes(tmp_path, {"prizes": first, "full-text": second})
    write_outcomes(tmp_path, {"prizes": Outcome(seconds=0.1, position=4)})

    assert read_outcomes(tmp_path) == {"full-text": second}


@pytest.mark.parametrize("path", ["/examples", "/sparql"])
async def test_titles_are_in_the_language_of_the_page(client: httpx.AsyncClient, path: str) -> None:
    page = (await client.get(path, headers=HTML, params={"lang": "zh"})).text

    assert [item.name for item in THEM if f">{html.escape(item.titles['zh'])}<" not in page] == []
