"""The classifier is trained on what registries declare, with their reasons, and on the goals' own
names.
"""

from __future__ import annotations

from collections.abc import Iterator

from harvesters.ledger.compression import compress
from harvesters.mappings.topics.classifier import Example
from harvesters.mappings.topics.training import examples
from vocab.initiative import Basis, Claim, Initiative, Text
from vocab.iris import Iris
from vocab.statements.describe import describe

IRIS = Iris()
SDG = "http://metadata.un.org/sdg/"
REASON = "It brings clean water and toilets to the schools of the district."
ABOUT = "A project that trains nurses in the hospitals of the north."


class Descriptions:
    """Published records."""

    def __init__(self, *records: Initiative) -> None:
        self.records = records

    def published_descriptions(self, source: str) -> Iterator[bytes]:
        return (compress("\n".join(describe(record, IRIS, source))) for record in self.records)


def stated(*records: Initiative) -> list[Example]:
    """Return the examples that are not names of goals."""
    names = {example.text for example in examples(Descriptions(), ["a"], IRIS)}
    return [
        example
        for example in examples(Descriptions(*records), ["a"], IRIS)
        if example.text not in names
    ]


def test_the_names_of_goals_targets_and_indicators_are_examples_in_six_languages() -> None:
    names = examples(Descriptions(), [], IRIS)

    assert {example.language for example in names} == {"ar", "en", "es", "fr", "ru", "zh"}
    assert {goal for example in names for goal in example.goals} == {
        str(number) for number in range(1, 18)
    }
    assert next(example for example in names if example.text == "Quality education").goals == {"4"}


def test_a_reason_is_an_example_of_its_goal_and_the_other_goals_of_its_record_are_right_too() -> (
    None
):
    claims = (Claim(f"{SDG}6", evidence=Text(REASON, "en")), Claim(f"{SDG}4"))
    record = Initiative(key="1", titles=(Text("Water", "en"),), goals=claims)

    assert stated(record) == [
        Example(REASON, frozenset({"6"}), frozenset({"4", "6"}), "Water", "en")
    ]


def test_a_reason_of_two_records_is_one_example_with_both_goals() -> None:
    records = [
        Initiative(
            key=goal,
            titles=(Text(f"Water {goal}", "en"),),
            goals=(Claim(f"{SDG}{goal}", evidence=Text(REASON, "en")),),
        )
        for goal in ("6", "3")
    ]

    (example,) = stated(*records)
    assert example.goals == {"3", "6"}


def test_without_any_reason_titles_and_descriptions_of_records_with_one_goal_are_examples() -> None:
    record = Initiative(
        key="1",
        titles=(Text("Nurses", "en"),),
        descriptions=(Text(ABOUT, "en"),),
        goals=(Claim(f"{SDG}3"),),
    )
    reasoned = Initiative(
        key="2",
        titles=(Text("Water", "en"),),
        goals=(Claim(f"{SDG}6", evidence=Text(REASON, "en")),),
    )

    (example,) = stated(record)
    assert (example.text, example.goals) == (f"Nurses\n{ABOUT}", frozenset({"3"}))
    assert [item.text for item in stated(record, reasoned)] == [REASON]


def test_what_is_crosswalked_or_suggested_and_a_text_that_is_too_short_are_no_examples() -> None:
    records = (
        Initiative(key="1", titles=(Text(ABOUT, "en"),), goals=(Claim(f"{SDG}3", Basis.CROSSWALKED, "health"),)),
        Initiative(key="2", titles=(Text(ABOUT, "en"),), goals=(Claim(f"{SDG}3", Basis.SUGGESTED, "SDG 3", 0.9),)),
        Initiative(key="3", titles=(Text("Nurses", "en"),), goals=(Claim(f"{SDG}3"),)),
    )  # fmt: skip

    assert stated(*records) == []
