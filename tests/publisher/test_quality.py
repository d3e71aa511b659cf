"""The pages `/quality` and `/source/{source}/quality`: measurements that anyone can repeat at
`/sparql`.
"""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

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
from publisher.store.query_service import QueryService
from publisher.store.releases import release_stores
from publisher.store.releases.manifest import get_release
from vocab.iris import BASE, Iris
from vocab.terms import ADMS, DCAT, DQV, FOAF, RDF

DEMO = f"{BASE}source/demo"


def quality(*shares: tuple[str, int, int, int]) -> Quality:
    return Quality(
        tuple(
            Measurement(Indicator(name, "findability", weight, ""), part, whole)
            for name, weight, part, whole in shares
        )
    )


def test_the_indicators_are_in_the_five_dimensions_of_the_method() -> None:
    assert list(dict.fromkeys(item.dimension for item in indicators())) == [
        "findability", "accessibility", "interoperability", "reusability", "contextuality",
    ]  # fmt: skip
    assert len({item.name for item in indicators()}) == len(indicators())


def test_points_are_the_weight_times_the_share_of_records() -> None:
    result = quality(("a", 30, 1, 4), ("b", 10, 4, 4))

    assert (result.points, result.most, result.share) == (17.5, 40, 44)
    assert [(item.indicator.name, item.gain) for item in with_points(result, 5).measurements] == [
        ("a", 22.5)
    ]


@session_loop
async def test_each_measurement_is_the_number_that_its_query_gives_at_the_endpoint(
    service: QueryService,
) -> None:
    async with visitor(service) as client:
        figures = (await client.get("/quality.json")).json()["figures"]
        rows = figures[0]["rows"]
        results = [
            (
                await client.post(
                    "/sparql",
                    data={"query": row["query"]},
                    headers={"Accept": "application/sparql-results+json"},
                )
            ).json()
            for row in rows
        ]

    counted = [int(result["results"]["bindings"][0]["records"]["value"]) for result in results]
    assert counted == [row["records"] for row in rows]
    assert len(rows) == len(indicators()) * len({row["source"] for row in rows})
    assert 0 < sum(counted) < sum(row["all"] for row in rows)
    assert {row["name"] for row in figures[1]["rows"]} == {item.name for item in indicators()}


@session_loop
async def test_gone_records_are_not_measured(service: QueryService) -> None:
    async with visitor(service) as client:
        gone = await client.get("/quality", params={"record": "/record/demo/lost"})
        there = (await client.get("/quality.json", params={"record": "/record/demo/a%2F1"})).json()[
            "figures"
        ][0]["rows"]

    assert gone.status_code == 404
    assert {(row["source"], row["all"]) for row in there} == {(f"{BASE}record/demo/a%2F1", 1)}
    assert {row["records"] for row in there} <= {0, 1}
    # it has a remark
    assert next(row["records"] for row in there if row["metric"].endswith("#valid")) == 0


@session_loop
async def test_measurements_are_dqv_and_name_their_metric(service: QueryService) -> None:
    async with visitor(service) as client:
        text = (await client.get("/quality.ttl")).text
        one = (await client.get("/source/demo/quality.ttl")).text

    store = ox.Store()
    store.load(text.encode(), format=ox.RdfFormat.TURTLE)
    type_of = ox.NamedNode(f"{RDF}type")
    metrics = {
        quad.subject
        for quad in store.quads_for_pattern(None, type_of, ox.NamedNode(f"{DQV}Metric"))
    }
    measured = {
        quad.object
        for quad in store.quads_for_pattern(None, ox.NamedNode(f"{DQV}isMeasurementOf"), None)
    }
    assert measured == metrics != set()
    assert all(
        len(list(store.quads_for_pattern(metric, ox.NamedNode(f"{DQV}inDimension"), None))) == 1
        for metric in metrics
    )
    assert one.count("QualityMeasurement") == len(indicators())


@session_loop
async def test_a_rule_would_gain_what_its_records_lack(service: QueryService) -> None:
    result = (await measure_sources(service))[DEMO]

    gains = await rule_gains(service, DEMO, result, ())

    async with visitor(service) as client:
        rules = (await client.get("/source/demo/report.json")).json()["rules"]
    valid = next(item for item in result.measurements if item.indicator.name == "valid")
    assert set(gains) == {rules[0]["iri"]}  # one record has one remark
    assert gains[rules[0]["iri"]] == pytest.approx(30 / valid.all)
    assert valid.gain == pytest.approx(30 / valid.all)
    assert rules[0]["gain"] >= round(30 / valid.all, 1)


@session_loop
async def test_a_badge_has_the_percentage_and_no_script(service: QueryService) -> None:
    async with visitor(service) as client:
        answer = await client.get("/source/demo/quality.svg")
        data = (await client.get("/source/demo/quality.json")).json()["figures"][0]["rows"]
        missing = await client.get("/source/nobody/quality.svg")

    points = sum(row["weight"] * row["records"] / row["all"] for row in data)
    assert answer.headers["content-type"] == "image/svg+xml"
    assert f">{round(100 * points / sum(row['weight'] for row in data))} %<" in answer.text
    assert missing.status_code == 404


def test_a_badge_escapes_a_hostile_title() -> None:
    drawn = badge(None, '"><script>alert(1)</script>')

    assert "<script" not in drawn
    assert ">–<" in drawn


@session_loop
async def test_the_pages_show_every_indicator_and_the_gains(service: QueryService) -> None:
    async with visitor(service) as client:
        one = await client.get("/source/demo/quality", headers={"Accept": "text/html"})
        everything = await client.get(
            "/quality", headers={"Accept": "text/html", "Accept-Language": "fr"}
        )
        report = await client.get("/source/demo/report", headers={"Accept": "text/html"})

    assert one.text.count("/sparql?show=") == len(indicators())
    assert "What to fix first" in one.text
    assert one.text.count('<td class="bar"><svg') == 5
    assert len(re.findall(r'class="state band-(?:excellent|good|sufficient|bad)"', one.text)) == 6
    assert len(re.findall(r'<tr id="[a-z-]+">', everything.text)) == len(indicators())
    assert "Bonnes pratiques" in everything.text
    assert "Would gain" in report.text


@pytest.mark.parametrize(
    ("page", "expected"),
    [("<https://example.org/a>", (1, 1, 1)), ('"https://example.org/a b"', (0, 0, 0))],
)
def test_a_page_that_is_only_a_text_is_no_web_page(
    page: str, expected: tuple[int, int, int]
) -> None:
    store, names = ox.Store(), ("web-page", "secure-page", "page-not-gone")
    prefixes = "".join(
        f"PREFIX {name}: <{iri}>\n"
        for name, iri in {
            "dcat": DCAT,
            "foaf": FOAF,
            "adms": ADMS,
            "ops": Iris().operations,
        }.items()
    )
    record = f"<{DEMO}> dcat:record <x:r> . <x:r> foaf:primaryTopic <x:t> ; adms:status ops:published . <x:t> foaf:page {page} ."
    store.update(f"{prefixes} INSERT DATA {{ {record} }}")

    queries = {item.name: item.query(Iris(), source=DEMO) for item in indicators()}

    assert (
        tuple(int(next(solutions(store.query(queries[name])))["records"].value) for name in names)
        == expected
    )


def test_every_pattern_is_a_query_of_its_own() -> None:
    queries = [item.query(Iris(), source=DEMO) for item in indicators()]

    assert [len(list(solutions(ox.Store().query(query)))) for query in queries] == [1] * len(
        queries
    )


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

        [past] = await quality_history(opened)

    now = await measure_sources(service)
    assert before == []
    assert (past.number, past.day) == (1, "2026-04-01")
    assert {source: result.points for source, result in past.sources.items()} == {
        source: result.points for source, result in now.items()
    }
