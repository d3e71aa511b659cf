from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from definitions import words_json
from projects import serving

from harvesters.errors import SourceDefinitionError
from harvesters.inspection.curation import undecided
from harvesters.ledger.models import Outcome, decompress
from harvesters.runs.context import HarvestContext
from harvesters.runs.run import harvest, remap
from harvesters.source import Source, add_decision, decision_table, parse, read_decision_table
from vocab.curated import CONFIRMED, REFUSED, SUGGESTED, TopicDecision
from vocab.lookup import SDG

ITEMS = [{"id": "1/a", "name": "Schools for SDG 4 and SDG 5"}, {"id": "2", "name": "Water"}]


def source(*decisions: TopicDecision, suggest: str = "mentions") -> Source:
    definition = parse(
        "projects", {**tomllib.loads(words_json()), "suggest": suggest}, "projects.toml"
    )
    return replace(definition, decisions=decisions)


@pytest.fixture
def served(context: HarvestContext) -> HarvestContext:
    opened: HarvestContext = serving(context, {"items": ITEMS})
    harvest(source(), opened)
    return opened


def published(context: HarvestContext) -> str:
    return "\n".join(
        sorted(decompress(text) for text in context.ledger.published_descriptions("projects"))
    )


def test_suggestions_wait_for_a_decision(served: HarvestContext, tmp_path: Path) -> None:
    waiting = undecided(served.ledger, tmp_path, "projects", served.iris)
    add_decision(
        tmp_path, "projects", TopicDecision("1/a", f"{SDG}4", REFUSED, "Ada"), served.iris.base
    )
    later = undecided(served.ledger, tmp_path, "projects", served.iris)

    assert [(item.key, item.concept, item.method) for item in waiting] == [
        ("1/a", f"{SDG}4", "mention"),
        ("1/a", f"{SDG}5", "mention"),
    ]
    assert waiting[0].words == "SDG 4"
    assert [item.concept for item in later] == [f"{SDG}5"]


def test_remap_applies_decisions_with_its_plan(served: HarvestContext, tmp_path: Path) -> None:
    decided = source(
        TopicDecision("1/a", "sdg:4", REFUSED, "Ada", "2026-01-31"),
        TopicDecision("1/a", "sdg:5", CONFIRMED, "Ada", "2026-01-31"),
        TopicDecision("2", "sdg:6", CONFIRMED, "Bo", "2026-02-01", "the text says wells"),
    )

    plans = [remap(decided, served, dry_run=dry) for dry in (True, False, False)]
    text = published(served)

    assert [plan.outcomes.get(Outcome.CHANGED, 0) for plan in plans] == [2, 2, 0]
    assert f"suggestedGoal> <{SDG}4>" not in text
    for statement in (
        f"suggestedGoal> <{SDG}5>",
        f"suggestedGoal> <{SDG}6>",
        '#suggested-5> <http://purl.org/dc/terms/creator> "Ada"',
        '#suggested-5> <http://purl.org/dc/terms/date> "2026-01-31"',
        f'#suggested-5> <{served.iris.ns}method> "curator"',
        f'#suggested-6> <{served.iris.ns}sourceWord> "the text says wells"',
    ):
        assert statement in text
    assert undecided(served.ledger, tmp_path, "projects", served.iris) == []


def test_a_confirmed_topic_stays_without_the_method_and_goes_with_its_line(
    served: HarvestContext,
) -> None:
    decision = TopicDecision("1/a", "sdg:5", CONFIRMED, "Ada", "2026-01-31")

    remap(source(decision, suggest="nothing"), served)
    confirmed = published(served)
    remap(source(suggest="nothing"), served)

    assert f"suggestedGoal> <{SDG}5>" in confirmed
    assert f"suggestedGoal> <{SDG}4>" not in confirmed
    assert "suggestedGoal" not in published(served)


def test_a_suggestion_of_the_table_waits_for_a_decision_while_its_words_are_in_the_text(
    served: HarvestContext, tmp_path: Path
) -> None:
    listed = TopicDecision(
        "2", "sdg:6", SUGGESTED, "Demonstration", "2026-01-31", "Water", "0.84", "e5", "53a5"
    )
    old = replace(listed, concept="sdg:14", comment="Sea")

    remap(source(listed, old, suggest="nothing"), served)
    text = published(served)
    waiting = undecided(served.ledger, tmp_path, "projects", served.iris)

    assert f"suggestedGoal> <{SDG}6>" in text
    assert f"suggestedGoal> <{SDG}14>" not in text
    assert f'#suggested-6> <{served.iris.ns}methodVersion> "53a5"' in text
    assert '#suggested-6> <http://purl.org/dc/terms/creator> "Demonstration"' in text
    assert [(item.concept, item.confidence, item.method) for item in waiting] == [
        (f"{SDG}6", 0.84, "e5")
    ]


def test_the_table_keeps_the_last_decision_about_the_same(tmp_path: Path) -> None:
    for decision, comment in ((CONFIRMED, "sure"), (REFUSED, "not\tsure\n")):
        file = add_decision(
            tmp_path,
            "projects",
            TopicDecision("1", "sdg:4", decision, "Ada", "2026-01-31", comment),
        )

    assert read_decision_table(file) == (
        [TopicDecision("1", "sdg:4", REFUSED, "Ada", "2026-01-31", "not sure")],
        [],
    )


@pytest.mark.parametrize(
    ("row", "fault"),
    [("1\tsdg:99\tconfirmed", "unknown concept 'sdg:99'"), ("1\tarea:404\tconfirmed", "unknown concept 'area:404'"),
     ("1\tsdg:4\tmaybe", "'maybe' is not a decision; write one of confirmed, refused, suggested"),
     ("1\tsdg:4\tsuggested\t\t\twords\t1.2\te5", "needs its method in mapping_tool and a confidence from 0 to 1"),
     ("\tsdg:4\tconfirmed", "the record is missing"),
     ("1\tsdg:4\tconfirmed\tAda\tyesterday", "'yesterday' is not a date")],
)  # fmt: skip
def test_a_row_that_is_wrong_is_refused_with_file_and_line(
    tmp_path: Path, row: str, fault: str
) -> None:
    file = tmp_path / "x.tsv"
    file.write_text(
        "record_id\tobject_id\tdecision\tauthor_label\tmapping_date\tcomment\tconfidence\tmapping_tool\n"
        f"2\tsdg:5\trefused\n{row}\n"
    )

    decisions, faults = read_decision_table(file)

    assert [item.key for item in decisions] == ["2"]
    assert len(faults) == 1
    assert faults[0].text.startswith(f"{file}, line 3: ")
    assert fault in faults[0].text


def test_a_table_with_a_wrong_line_takes_no_decision(tmp_path: Path) -> None:
    file = decision_table(tmp_path, "projects")
    file.parent.mkdir()
    file.write_text("record_id\tobject_id\tdecision\n1\tsdg:99\tconfirmed\n")

    with pytest.raises(
        SourceDefinitionError, match=r"projects\.topics\.tsv, line 2: unknown concept"
    ):
        add_decision(tmp_path, "projects", TopicDecision("1", "sdg:4", CONFIRMED))
