"""The pages `/quality` and `/source/{source}/quality`: measurements that anyone can repeat at
`/sparql`.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyoxigraph as ox
import pytest
from event_loops import session_loop
from rdf_terms import solutions
from test_source_report import visitor

from publisher.portal.quality import (
    Indicator,
    Measurement,
    Quality,
    badge,
    indicators,
    measure_sources,
    quality_history,
    rule_gains,
    with_points,
)
from publisher.releases import builder
from publisher.store import releases as release_stores
from publisher.store.query_service import QueryService
from publisher.store.releases import get_release
from vocab.iris import BASE, Iris
from vocab.terms import ADMS, DCAT, DQV, FOAF, RDF

DEMO = f"{BASE}source/demo"


HTML = {"Accept": "text/html"}


def quality(*shares: tuple[str, int, int, int]) -> Quality:
    return Quality(
        tuple(
            Measurement(Indicator(name, "findability", weight, ""), part, whole)
            for name, weight, part, whole in shares
        )
    )


def test_indicators_are_in_five_dimensions_and_points_are_the_weight_times_the_share() -> None:
    assert list(dict.fromkeys(item.dimension for item in indicators())) == [
        "findability", "accessibility", "interoperability", "reusability", "contextuality",
    ]  # fmt: skip
    assert len({item.name for item in indicators()}) == len(indicators())

    result = quality(("a", 30, 1, 4), ("b", 10, 4, 4))

    assert (result.points, result.most, result.share) == (17.5, 40, 44)
    assert [(item.indicator.name, item.gain) for item in with_points(result, 5).measurements] == [
        ("a", 22.5)
    ]


@session_loop
async def test_each_measurement_is_the_number_that_its_query_gives_at_the_endpoint(
    service: QueryService,
) -> None:
    counted = list[int]()
    async with visitor(service) as client:
        figures = (await client.get("/quality.json")).json()["figures"]
        rows = figures[0]["rows"]
        for row in rows:
            answer = await client.post("/sparql", data={"query": row["query"], "format": "json"})
            [binding] = answer.json()["results"]["bindings"][:1]
            counted.append(int(binding["records"]["value"]))

    assert counted == [row["records"] for row in rows]
    assert len(rows) == len(indicators()) * len({row["source"] for row in rows})
    assert 0 < sum(counted) < sum(row["all"] for row in rows)
    assert {row["name"] for row in figures[1]["rows"]} == {item.name for item in indicators()}


@session_loop
async def test_gone_records_are_not_measured(service: QueryService) -> None:
    async with visitor(service) as client:
        gone = await client.get("/quality?record=/record/demo/lost")
        there = await client.get("/quality.json", params={"record": "/record/demo/a%2F1"})

    rows = there.json()["figures"][0]["rows"]
    assert gone.status_code == 404
    assert {(row["source"], row["all"]) for row in rows} == {(f"{BASE}record/demo/a%2F1", 1)}
    assert {row["records"] for row in rows} <= {0, 1}
    # The validator has a remark on this record.
    assert next(row["records"] for row in rows if row["metric"].endswith("#valid")) == 0


@session_loop
async def test_measurements_are_dqv_and_name_their_metric(service: QueryService) -> None:
    async with visitor(service) as client:
        text = (await client.get("/quality.ttl")).text
        one = (await client.get("/source/demo/quality.ttl")).text

    store = ox.Store()
    store.load(text.encode(), format=ox.RdfFormat.TURTLE)

    def quads(predicate: str, subject: Any = None, object: Any = None) -> list[ox.Quad]:
        return list(store.quads_for_pattern(subject, ox.NamedNode(predicate), object))

    metrics = {quad.subject for quad in quads(f"{RDF}type", object=ox.NamedNode(f"{DQV}Metric"))}
    assert {quad.object for quad in quads(f"{DQV}isMeasurementOf")} == metrics != set()
    assert {len(quads(f"{DQV}inDimension", metric)) for metric in metrics} == {1}
    assert one.count("QualityMeasurement") == len(indicators())


@session_loop
async def test_a_rule_would_gain_what_its_records_lack(service: QueryService) -> None:
    result = (await measure_sources(service))[DEMO]

    gains = await rule_gains(service, DEMO, result, ())

    async with visitor(service) as client:
        rules = (await client.get("/source/demo/report.json")).json()["rules"]
    valid = next(item for item in result.measurements if item.indicator.name == "valid")
    assert set(gains) == {rules[0]["iri"]}  # One record has one remark.
    assert gains[rules[0]["iri"]] == pytest.approx(30 / valid.all)
    assert valid.gain == pytest.approx(30 / valid.all)
    assert rules[0]["gain"] >= round(30 / valid.all, 1)


@session_loop
async def test_a_badge_has_the_percentage_and_no_script(service: QueryService) -> None:
    async with visitor(service) as client:
        answer = await client.get("/source/demo/quality.svg")
        data = (await client.get("/source/demo/quality.json")).json()["figures"][0]["rows"]
        missing = await client.get("/source/nobody/quality.svg")
    hostile = badge(None, '"><script>alert(1)</script>')

    points = sum(row["weight"] * row["records"] / row["all"] for row in data)
    assert answer.headers["content-type"] == "image/svg+xml"
    assert f">{round(100 * points / sum(row['weight'] for row in data))} %<" in answer.text
    assert missing.status_code == 404
    assert ("<script" in hostile, ">–<" in hostile) == (False, True)


@session_loop
async def test_the_pages_show_every_indicator_and_the_gains(service: QueryService) -> None:
    async with visitor(service) as client:
        one, everything, report = [
            (await client.get(path, headers=HTML)).text
            for path in ("/source/demo/quality", "/quality?lang=fr", "/source/demo/report?lang=en")
        ]

    assert one.count("/sparql?show=") == len(indicators())
    assert "What to fix first" in one
    assert one.count('<td class="bar"><svg') == 5
    assert len(re.findall(r'class="state band-(?:excellent|good|sufficient|bad)"', one)) == 6
    assert len(re.findall(r'<tr id="[a-z-]+">', everything)) == len(indicators())
    assert "Bonnes pratiques" in everything
    assert "Would gain" in report


@pytest.mark.parametrize(
    ("page", "expected"),
    [("<https://example.org/a>", [1, 1, 1]), ('"https://example.org/a b"', [0, 0, 0])],
)
def test_a_page_that_is_only_a_text_is_no_web_page(page: str, expected: list[int]) -> None:
    store, spaces = ox.Store(), {"dcat": DCAT, "foaf": FOAF, "adms": ADMS, "ops": Iris().operations}
    prefixes = "".join(f"PREFIX {name}: <{iri}>\n" for name, iri in spaces.items())
    record = f"<{DEMO}> dcat:record <x:r> . <x:r> foaf:primaryTopic <x:t> ; adms:status ops:published . <x:t> foaf:page {page} ."
    store.update(f"{prefixes} INSERT DATA {{ {record} }}")

    queries = {item.name: item.query(Iris(), source=DEMO) for item in indicators()}

    names = ("web-page", "secure-page", "page-not-gone")
    rows = [next(solutions(store.query(queries[name]))) for name in names]
    # Each query is complete by itself: it has one row of numbers even without data.
    for query in queries.values():
        assert len(list(solutions(ox.Store().query(query)))) == 1
    assert [int(row["records"].value) for row in rows] == expected


@session_loop
async def test_the_history_has_the_releases_whose_stores_are_here(
    level: Path, service: QueryService, tmp_path: Path
) -> None:
    data = shutil.copytree(level, tmp_path / "data")
    builder.build_release(data, Iris(), datetime(2026, 4, 1, tzinfo=UTC))
    release = get_release(data / "releases", 1)
    assert release is not None
    async with QueryService(data, Iris(), readers=1, follow=False) as opened:
        before = await quality_history(opened)
        release_stores.create_store(data, release, Iris())

        [(past, sources)] = await quality_history(opened)

    now = await measure_sources(service)
    assert before == []
    assert (past.number, past.day) == (1, "2026-04-01")
    assert {source: result.points for source, result in sources.items()} == {
        source: result.points for source, result in now.items()
    }
