from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from shapes.rules import Severity
from shapes.validate import EngineError, batches, validate, validate_many
from vocab.describe import describe
from vocab.initiative import Initiative, Party, Role, Text
from vocab.iris import BASE, Iris

Records = Callable[[int, int], list[list[str]]]

POISON = ['<a:s> <a:p> "never closed']


def _initiative(key: str, lead: Text, base: str = BASE, *titles: Text) -> list[str]:
    initiative = Initiative(
        key=key,
        titles=titles or (Text("Digital health", "en"),),
        parties=(Party(Role.LEAD, lead, key="itu"),),
    )
    return describe(initiative, Iris(base), "test")


def test_an_outcome_does_not_depend_on_the_batch(records: Records) -> None:
    created = records(7, 300)

    alone = validate_many(created, size=1)

    assert validate_many(created, size=50) == alone
    assert validate_many(created[::-1], size=7) == alone[::-1]


def test_a_shared_organization_is_reported_in_each_record_that_describes_it() -> None:
    both = [_initiative("1", Text(" ")), _initiative("2", Text(" "))]

    first, second = validate_many(both)

    actual = [
        [result.focus for result in results if result.shape.endswith("OrganizationNameBlank")]
        for results in (first, second)
    ]
    assert actual == [[f"{BASE}id/organization/test/itu"]] * 2


def test_two_records_that_name_one_organization_in_two_ways_are_not_blamed_for_each_other() -> None:
    both = [
        _initiative("1", Text("ITU", "en")),
        _initiative("2", Text("International Telecommunication Union", "en")),
    ]

    outcomes = validate_many(both)

    assert all(
        not result.shape.endswith("OrganizationNameUnique")
        for results in outcomes
        for result in results
    )
    assert any(
        result.shape.endswith("OrganizationNameUnique") for result in validate([*both[0], *both[1]])
    )


def test_records_of_one_source_share_a_batch(records: Records) -> None:
    created = [_initiative(str(number), Text("ITU", "en")) for number in range(120)]

    assert [len(batch) for batch in batches(created, 50)] == [50, 50, 20]


@pytest.mark.parametrize("name", ["rust", "reference"])
def test_one_description_that_cannot_be_read_costs_the_others_nothing(
    name: str, records: Records
) -> None:
    created = records(3, 10)
    poisoned = [*created[:4], POISON, *created[4:]]

    outcomes = validate_many(poisoned, name="rust" if name == "rust" else "reference")

    (output,) = outcomes.pop(4)
    assert (output.focus, output.component, output.severity) == (
        "a:s",
        "Unreadable",
        Severity.VIOLATION,
    )
    assert output.message.startswith("It cannot be read: Parser error")
    assert outcomes == validate_many(created)


def test_text_of_any_kind_is_validated_or_refused_but_never_raises() -> None:
    random = Random(1)
    texts = ["\ud800", "\x00", "a b", "<a:s> <a:p> <a:o> . <a:s> <a:p> <a:q>", "_:b <a:p> _:b", ""]
    odd = [
        ["<a:s> <a:p> " + "".join(random.choices('<>"\\ \n.@^:é\U0001f3e5', k=20))]
        for _ in range(200)
    ]

    outcomes = validate_many([*([text] for text in texts), [], *odd])

    assert len(outcomes) == len(texts) + 1 + len(odd)
    assert {result.component for results in outcomes for result in results} == {"Unreadable"}


def test_nothing_is_validated_without_complaint() -> None:
    assert validate_many([]) == []
    assert validate_many([[]]) == [()]


def test_a_graph_that_is_no_n_triples_is_an_error() -> None:
    with pytest.raises(EngineError, match="Parser error"):
        validate(POISON)


def test_shapes_follow_the_base() -> None:
    base = "https://example.org/wsis/"

    (results,) = validate_many([_initiative("1", Text("ITU", "en"), base)], base=base)

    assert {result.shape.rpartition("#")[2] for result in results} == {
        "ResourceDescription",
        "InitiativeSubject",
        "InitiativeCountry",
        "InitiativeLeadDetails",
    }
    assert all(result.shape.startswith(base) for result in results)


def test_a_record_without_a_title_is_withheld_and_one_without_a_lead_is_published() -> None:
    bare = describe(Initiative(key="1"), Iris(), "test")

    severities = {
        result.shape.rpartition("#")[2]: result.severity
        for result in validate(bare)
        if result.focus == f"{BASE}id/initiative/test/1"
    }

    assert severities["ResourceTitle"] is Severity.VIOLATION
    assert severities["InitiativeLead"] is Severity.WARNING
