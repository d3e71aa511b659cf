from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from definitions import words_json
from projects import asking, serving
from rows import each
from typer.testing import CliRunner

from harvesters.inspection.curation import _nearest, find_gaps
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest
from harvesters.source import Source, load, parse
from stocktake import app
from vocab.curated import CuratedWord, resolve_concept, short_name
from vocab.iris import BASE, Iris

NOMINEES = Path(__file__).parents[3] / "shared" / "feeds" / "dpg" / "nominees"
SUBJECTS = [["e-healt", "Poverty"], ["e-healt"], ["e-healt", "x" * 500], ["zzqx"], ["E-health"]]
ITEMS = [
    {"id": str(n), "name": f"Project {n}", "topics": words, "state": "nearly done"}
    for n, words in enumerate(SUBJECTS)
]


@pytest.fixture
def harvested(context: HarvestContext) -> Source:
    source = parse("projects", tomllib.loads(words_json()), "projects.toml")
    harvest(source, serving(context, {"items": ITEMS}))
    return source


def test_untranslated_words_are_counted_with_the_nearest_concepts(
    harvested: Source, context: HarvestContext
) -> None:
    gaps = find_gaps(context.ledger, ["projects"], Iris(BASE), 20)

    topics = {gap.word: gap for gap in gaps if gap.field == "topic"}
    assert topics["e-healt"].records == {"projects": 3}
    assert topics["e-healt"].nearest[0].iri == f"{BASE}scheme/action-line/C7-ehea"
    assert topics["Poverty"].nearest[0].iri == "http://metadata.un.org/sdg/1"
    assert topics["zzqx"].nearest == ()
    assert topics["x" * 500].nearest == ()
    assert topics["E-health"].nearest[0].score == 100
    assert [gap.count for gap in gaps] == sorted((gap.count for gap in gaps), reverse=True)


def test_a_word_whose_concept_the_record_has_by_another_word_is_no_gap(
    context: HarvestContext,
) -> None:
    words = ["Transportation", "Railways", "village doctors", "nurses", "Public Administration"]
    table = tomllib.loads(words_json())
    table["options"] = {**table.get("options", {}), "crosswalk": "world-bank-sector"}
    chosen = {"Village doctors": "sdg:3", "nurses": "sdg:3", "zzqx": "sdg:4"}
    curated = [CuratedWord(*item) for item in chosen.items()]
    source = replace(parse("projects", table, "projects.toml"), words=tuple(chosen.items()))
    items = [
        {"id": "1", "name": "One", "topics": words},
        {"id": "2", "name": "Two", "topics": ["zzqx", "Public Administration"]},
    ]
    harvest(source, serving(context, {"items": items}))

    gaps = find_gaps(context.ledger, ["projects"], Iris(BASE), 20, {"projects": curated})
    without_table = find_gaps(context.ledger, ["projects"], Iris(BASE), 20)

    assert [(gap.word, gap.count) for gap in gaps] == [("Public Administration", 2)]
    others = {gap.word for gap in without_table} - {"Public Administration"}
    assert others < {"village doctors", "nurses"}


INDICATOR = "Proportion of men, women and children of all ages living in poverty in all its dimensions according to national definitions"


@each("word", ["education", "Poverty", INDICATOR])
def test_a_concept_is_listed_once_and_is_no_indicator(word: str) -> None:
    near = [item.iri for item in _nearest(word, "topic", Iris(BASE))]

    assert len(set(near)) == len(near) > 0
    assert all(resolve_concept(short_name(iri)) for iri in near)


def test_the_command_lists_the_most_frequent_words(
    harvested: Source, context: HarvestContext, tmp_path: Path
) -> None:
    settings = ["--data", str(context.data), "--ledger", f"sqlite:///{tmp_path}/ledger.sqlite"]

    result = CliRunner().invoke(
        app, [*settings, "crosswalk", "gaps", "projects", "--limit", "1", "--json"]
    )
    unknown = CliRunner().invoke(app, [*settings, "crosswalk", "gaps", "nowhere"])

    assert (result.exit_code, len(json.loads(result.stdout))) == (0, 1)
    assert unknown.exit_code == 1
    assert "nowhere: no run of this source; sources with runs: projects" in unknown.output.replace(
        "\n", " "
    )


@pytest.mark.skipif(not NOMINEES.is_dir(), reason=f"no real feeds at {NOMINEES}")
def test_a_translated_word_is_no_gap(context: HarvestContext) -> None:
    left = [[json.loads(file.read_bytes()) for file in sorted(NOMINEES.glob("*.json"))]]
    source = load(Path(__file__).parents[2] / "sources" / "dpga.toml")

    def answer(request: httpx.Request) -> httpx.Response:
        is_sent = request.url.path == "/robots.txt" or not left
        return httpx.Response(404) if is_sent else httpx.Response(200, json=left.pop())

    harvest(source, asking(context, answer))

    results = {gap.word for gap in find_gaps(context.ledger, [source.name], Iris(BASE), 100)}
    assert "Digital/Data/Tech" in results  # the crosswalk has no match for it
    assert "Health" not in results
