from __future__ import annotations

import tomllib
from pathlib import Path

import httpx
import pytest
from demo_counts import expected_counts

from demo.publications import PUBLICATIONS
from demo.registries import SHARES, SIZE, Demo, Fault
from demo.scenario import ScenarioState, record_histories, registries, serialize_record
from demo.source_definitions import write_sources
from harvesters.mappings import classifier
from harvesters.mappings.classifier import classify
from harvesters.source import add_decision, load
from vocab.curated import CONFIRMED, SUGGESTED, TopicDecision
from vocab.lookup import SDG


def test_two_demos_of_one_seed_answer_alike() -> None:
    with Demo(50, 9, (), only=["all"]) as one, Demo(50, 9, (), only=["all"]) as other:
        first, second = httpx.get(f"{one.url}/json/all"), httpx.get(f"{other.url}/json/all")

    assert first.content == second.content


def test_a_demo_moves_to_another_version_and_counts_requests() -> None:
    with Demo(200, 9, (), only=["all"]) as demo:
        before = httpx.get(f"{demo.url}/json/all").json()
        result = demo.evolve(2, faults=[Fault.TITLES])
        after = httpx.get(f"{demo.url}/json/all").json()
        counted = demo.counters()

    assert (result["version"], result["faults"]) == (2, ["titles"])
    assert len(before) == 200
    assert len(after) == expected_counts(200, 9, 2, [Fault.TITLES], ["all"])["all"].records
    assert counted["requests"] == {"all": 2}


def test_nobody_listens_after_the_stop() -> None:
    with Demo(10, 1, (), only=["all"]) as demo:
        url = demo.url

    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_demo_that_cannot_start_says_how_to_look() -> None:
    with pytest.raises(RuntimeError, match=r"did not start; try by hand: .*demo\.registries"):
        Demo(10, 1, (), only=["opac"]).__enter__()


def test_each_registry_has_a_definition_that_loads_and_whose_address_answers(
    demo: Demo, tmp_path: Path
) -> None:
    written = write_sources(demo.url, tmp_path / "sources")

    sources = [load(definition) for definition in written]

    assert {source.name.removeprefix("demo-") for source in sources} == {*SHARES, *PUBLICATIONS}
    for source in sources:
        path = "/api/3/action/package_search" if source.protocol == "ckan" else ""
        assert httpx.get(f"{source.url}{path}").status_code == 200


def test_definitions_are_written_for_the_registries_that_are_played(tmp_path: Path) -> None:
    written = write_sources("http://127.0.0.1:1", tmp_path, only=("oai", "all"))

    assert [definition.name for definition in written] == ["demo-all.toml", "demo-oai.toml"]
    assert tomllib.loads(written[0].read_text())["fields"]["key"] == "id"


def test_suggestions_are_those_of_the_shipped_model_and_marked(tmp_path: Path) -> None:
    (registry,) = registries(SIZE, 1, ("all",))
    records = {
        record["id"]: record
        for history in record_histories(registry, ScenarioState())
        if not history.deleted
        for record in (serialize_record(registry, history),)
    }
    model = classifier.load()
    source = load(write_sources("http://127.0.0.1:1", tmp_path, only=("all",))[0])
    first, *others = source.decisions

    claims = [
        claim
        for language, text in records[first.key]["summary"].items()
        for claim in classify(f"{records[first.key]['title'][language]}\n{text}", language)
    ]

    assert len(others) == 18
    for item in source.decisions:
        text = " ".join(
            (*records[item.key]["title"].values(), *records[item.key]["summary"].values())
        )
        assert item.comment in text
        assert (item.decision, item.author) == (SUGGESTED, "Demonstration")
        assert (item.method, item.version) == (classifier.NAME, model.version)
        assert float(item.confidence) >= round(model.threshold, 2)
    assert (f"{SDG}{first.concept[4:]}", float(first.confidence), first.comment) in [
        (claim.concept, claim.confidence, claim.word) for claim in claims
    ]


def test_what_visitors_decided_stays_when_definitions_are_written_again(tmp_path: Path) -> None:
    (definition,) = write_sources("http://127.0.0.1:1", tmp_path, only=("all",))
    first = load(definition).decisions[0]
    add_decision(tmp_path, "demo-all", TopicDecision(first.key, first.concept, CONFIRMED, "Ada"))

    write_sources("http://127.0.0.1:2", tmp_path, only=("all",))

    decided = {item.decision for item in load(definition).decisions if item.key == first.key}
    assert decided == {CONFIRMED}
