from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pyoxigraph
import pytest
from rdf_terms import solutions

from vocab.iris import Iris
from vocab.provenance import METRICS, RunStatistics, describe_run
from vocab.schemes import statements
from vocab.terms import DQV, PROV, RDF

IRIS = Iris()
RUN = IRIS.run("demo.7")
ACCOUNT = RunStatistics(
    run="demo.7", source="demo", started=datetime(2026, 3, 1, 3, 15, tzinfo=UTC),
    ended=datetime(2026, 3, 1, 3, 20, tzinfo=UTC), state="committed", is_full=True, counts={"reported": 124, "fetched": 124, "new": 4,
    "unchanged": 118, "withheld": 2, "published_before": 118, "published_after": 122, "quads_added": 400, "quads_removed": 0,
    "quads_after": 7_000}, network={"200": 3, "429 too many": 1}, reason='the source said "later"', entry=17,
)  # fmt: skip


def stored(account: RunStatistics) -> pyoxigraph.Store:
    store = pyoxigraph.Store()
    store.load(
        "".join(f"{line} .\n" for line in describe_run(account, IRIS)),
        pyoxigraph.RdfFormat.N_TRIPLES,
    )
    return store


def test_a_run_is_an_activity_of_our_software_without_blank_nodes_and_doubles() -> None:
    result = describe_run(ACCOUNT, IRIS)

    assert f"<{RUN}> <{RDF}type> <{PROV}Activity>" in result
    assert f"<{RUN}> <{PROV}used> <{IRIS.source('demo')}>" in result
    assert f"<{RUN}> <{PROV}wasAssociatedWith> <{IRIS.operations}harvester>" in result
    assert (
        f'<{RUN}> <{PROV}startedAtTime> "2026-03-01T03:15:00Z"^^<http://www.w3.org/2001/XMLSchema#dateTime>'
        in result
    )

    assert "_:" not in "\n".join(result)
    assert result == sorted(set(result))


def test_each_number_is_an_integer_and_a_measurement_of_one_metric() -> None:
    query = f"""SELECT ?metric ?plain ?value {{
        ?measure a <{DQV}QualityMeasurement> ; <{DQV}isMeasurementOf> ?metric ; <{DQV}computedOn> <{IRIS.source("demo")}> ;
            <{DQV}value> ?value ; <{PROV}wasGeneratedBy> ?run .
        ?run ?metric ?plain }}"""

    results = {
        row["metric"].value.rpartition("#")[2]: (row["plain"].value, row["value"].value)
        for row in solutions(stored(ACCOUNT).query(query))
    }

    counts = {**dict.fromkeys(METRICS, 0), **ACCOUNT.counts}
    assert results == {METRICS[name]: (str(count), str(count)) for name, count in counts.items()}
    query = f"SELECT ?name ?value {{ ?m <{IRIS.operations}networkOutcome> ?name ; <{DQV}value> ?value }}"
    counted = {
        row["name"].value: int(row["value"].value)
        for row in solutions(stored(ACCOUNT).query(query))
    }
    assert counted == {"200": 3, "429 too many": 1}


def test_every_metric_is_declared_in_the_ontology() -> None:
    ontology = dict(statements())[IRIS.operations.removesuffix("#")]

    missing = [
        term
        for term in [*METRICS.values(), "requests"]
        if f"<{IRIS.operations}{term}> <{RDF}type> <{DQV}Metric>" not in ontology
    ]

    assert missing == []


def test_how_many_statements_there_are_does_not_depend_on_the_numbers() -> None:
    other = replace(ACCOUNT, counts=dict.fromkeys(METRICS, 0))

    assert len(describe_run(other, IRIS)) == len(describe_run(ACCOUNT, IRIS))


@pytest.mark.parametrize("name", ["reported", "published_before", "quads_after"])
def test_an_unknown_number_is_left_out(name: str) -> None:
    result = describe_run(replace(ACCOUNT, counts={**ACCOUNT.counts, name: None}), IRIS)

    assert not [line for line in result if f"{IRIS.operations}{METRICS[name]}>" in line]
