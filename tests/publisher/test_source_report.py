"""The page `/source/{source}/report` has the remarks on the published data, and what the ledger
knows where there is one.
"""

from __future__ import annotations

import csv
import io
import os
import sys
from pathlib import Path
from typing import Any

import feedparser
import httpx
import orjson
import pyoxigraph as ox
import pytest
from app_client import asking
from event_loops import session_loop
from rdf_terms import solutions

from publisher.app import SiteOptions, create_app
from publisher.portal.source_report import constraint
from publisher.portal.visitors import VisitorCommand
from publisher.store.query_service import QueryService
from shapes.rules import rules
from vocab.iris import BASE
from vocab.terms import SH

LEDGER: dict[str, Any] = {
    "source": "demo", "run": "demo.7", "guessed_charset": "cp1252", "started": "2026-03-03T12:00:00Z", "outcome": "committed",
    "fields": {"http://purl.org/dc/terms/title": ["=na<me"]}, "fixed": {"NoTarget": 4}, "unread": ["bud<get"],
    "withheld": [
        {"rule": "ResourceTitle", "path": "title", "message": "It has no title.", "remedy": "Name it.", "records": 5, "fixed": 2,
         "first_seen": "2026-02-01T12:00:00Z", "last_seen": "2026-03-03T12:00:00Z",
         "examples": [{"key": "<b>7", "reason": "It has no title."}]},
        {"rule": "record-unreadable", "path": "", "message": "", "remedy": "Correct this record.", "records": 1, "fixed": 0,
         "first_seen": "2026-03-03T12:00:00Z", "last_seen": "2026-03-03T12:00:00Z",
         "examples": [{"key": "8", "reason": "no JSON"}]},
    ],
}  # fmt: skip
ECHO = "import sys; sys.stdout.write(sys.argv[1])"
COUNTED = "import sys; open(sys.argv[1], 'a').write('x'); print(end=sys.argv[2])"


def visitor(service: QueryService, code: str = "", *arguments: str) -> httpx.AsyncClient:
    command, environment = (sys.executable, "-c", code, *arguments), dict(os.environ)
    commands = {"report": VisitorCommand(command, environment)} if code else {}
    client: httpx.AsyncClient = asking(create_app(service, site=SiteOptions(commands=commands)))
    return client


def knowing(service: QueryService, ledger: Any = LEDGER) -> httpx.AsyncClient:
    """Return a client of a publisher beside a ledger that answers with *ledger*."""
    return visitor(service, ECHO, orjson.dumps(ledger).decode())


@session_loop
async def test_remarks_are_reported_without_a_ledger(service: QueryService) -> None:
    async with visitor(service) as client:
        data = (await client.get("/source/demo/report.json")).json()
        page = await client.get("/source/demo/report", headers={"Accept": "text/html"})
        source = await client.get("/source/demo", headers={"Accept": "text/html"})

    [rule] = data["rules"]
    assert 'href="/source/demo/report"' in source.text
    assert data["has_ledger"] is False
    assert (rule["rule"], rule["records"], rule["fixed"], rule["withheld"], rule["field"]) == (
        "NoTarget", 1, None, False, "",
    )  # fmt: skip
    assert rule["first_seen"] == "2026-03-02T08:00:00Z"
    assert rule["message"] == {"en": "No target is named."}  # The rule is of another version.
    assert rule["remedy"] == {}
    assert rule["examples"] == [
        {"key": "a/1", "title": "Telemedicine for remote clinics", "page": "/page/initiative/demo/a%2F1",
         "registry_page": "https://example.org/telemedicine", "reason": ""}
    ]  # fmt: skip
    assert page.status_code == 200
    assert "This server does not harvest" in page.text
    assert '<span lang="en" dir="auto">No target is named.</span>' in page.text


@session_loop
async def test_withheld_records_come_first_in_the_publishers_words(service: QueryService) -> None:
    async with knowing(service) as client:
        data = (await client.get("/source/demo/report.json")).json()
        page = await client.get("/source/demo/report.html", headers={"Accept-Language": "fr"})

    rows = [(rule["rule"], rule["records"], rule["fixed"], rule["field"]) for rule in data["rules"]]
    assert rows == [
        ("ResourceTitle", 5, 2, "=na<me"),
        ("record-unreadable", 1, 0, ""),
        ("NoTarget", 1, 4, ""),
    ]
    assert data["rules"][0]["message"]["fr"] == "Il n'y a pas de titre."
    assert set(data["rules"][0]["message"]) == {"en", "fr", "es", "ru", "ar", "zh"}
    main = page.text.split("<main")[1]
    for text in (
        "=na&lt;me", "bud&lt;get", "&lt;b&gt;7", "Il n&#39;y a pas de titre.", "no JSON", "À corriger", "a été lu comme cp1252", "demo.7",
    ):  # fmt: skip
        assert text in main
    assert "<b>7" not in main


@session_loop
async def test_csv_has_a_line_for_each_rule_and_no_formula_and_turtle_is_a_report_of_shacl(
    service: QueryService,
) -> None:
    async with knowing(service) as client:
        answer = await client.get("/source/demo/report", headers={"Accept": "text/csv"})
        turtle = await client.get("/source/demo/report.ttl")

    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["rule"] for row in rows] == ["ResourceTitle", "record-unreadable", "NoTarget"]
    assert rows[0]["field"] == "'=na<me"
    assert rows[2]["example_1_page"] == "http://stocktake.test/page/initiative/demo/a%2F1"
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "Accept" in answer.headers["vary"].split(", ")
    store = ox.Store()
    store.load(turtle.content, format=ox.RdfFormat.TURTLE)

    def first_values(query: str) -> list[Any]:
        return [row[0] for row in solutions(store.query(query))]

    required = ("focusNode", "sourceShape", "resultSeverity", "sourceConstraintComponent")
    pattern = " ; ".join(f"<{SH}{name}> ?{name}" for name in required)
    shapes = first_values(
        f"SELECT ?sourceShape {{ ?r <{SH}result> ?x . ?x a <{SH}ValidationResult> ; {pattern} }}"
    )
    messages = first_values(f"SELECT ?m {{ ?x <{SH}resultMessage> ?m }}")
    assert not store.query(f"ASK {{ ?r a <{SH}ValidationReport> ; <{SH}conforms> true }}")
    assert {term.value.rpartition("#")[2] for term in shapes} == {"NoTarget", "ResourceTitle"}
    assert {term.language for term in messages} == {"en", "fr", "es", "ru", "ar", "zh"}


@session_loop
async def test_feed_has_an_entry_for_each_broken_rule_and_each_repair(
    service: QueryService,
) -> None:
    changed = LEDGER["withheld"][0] | {"records": 4, "last_seen": "2026-03-04T12:00:00Z"}
    async with knowing(service) as client:
        answer = await client.get("/source/demo/report", headers={"Accept": "application/atom+xml"})
    async with knowing(service, LEDGER | {"withheld": [changed]}) as client:
        later = await client.get("/source/demo/report.atom")

    feed, second = feedparser.parse(answer.content), feedparser.parse(later.content)
    assert answer.headers["content-type"] == "application/atom+xml"
    assert (feed.bozo, feed.feed.updated) == (False, "2026-03-03T12:00:00Z")
    assert [entry.title for entry in feed.entries] == [
        "ResourceTitle: 5 records (withheld)", "record-unreadable: 1 record (withheld)", "NoTarget: 1 record (warning)",
        "ResourceTitle: 2 records (fixed)", "NoTarget: 4 records (fixed)",
    ]  # fmt: skip
    assert "Name it." in feed.entries[0].content[0].value
    assert feed.entries[0].updated == "2026-02-01T12:00:00Z"
    ids, later_ids = ([entry.id for entry in answers.entries] for answers in (feed, second))
    assert len(set(ids)) == 5
    # Only the rule whose number of records has changed has a new entry.
    assert set(later_ids) - set(ids) == {later_ids[0]}


@session_loop
@pytest.mark.parametrize("output", ["{}", ""], ids=["ledger", "no ledger"])
async def test_ledger_is_asked_once_for_each_run(
    service: QueryService, tmp_path: Path, output: str
) -> None:
    log = tmp_path / "log"
    async with visitor(service, COUNTED, str(log), output) as client:
        statuses = [
            (await client.get(f"/source/demo/report.{suffix}")).status_code
            for suffix in ("json", "csv", "html")
        ]

    assert statuses == [200] * 3
    assert log.read_text() == "x"


def test_each_rule_has_a_constraint_component_of_its_shape() -> None:
    results = {iri: constraint(iri, BASE)[0] for iri in rules(BASE)}

    assert len(results) > 50
    assert all(component.startswith(SH) for component in results.values())
    assert results[f"{BASE}shapes#ResourceTitle"] == f"{SH}MinCountConstraintComponent"
