from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from shapes.rules import rules
from shapes.validate import Result, validate, validate_many
from vocab.terms import DCAT, DCT, RDF, XSD, literal

Records = Callable[[int, int], list[list[str]]]

# The reference takes 20 ms for a record, so that the larger number is checked by night.
COUNTS = [60, pytest.param(4_000, marks=pytest.mark.nightly)]
# The reference is fastest with this many records a task.
CHUNK = 100

DATES = [
    *(f'"{text}"^^<{XSD}gYear>' for text in ("2019", "2020")), *(f'"{text}"^^<{XSD}gYearMonth>' for text in ("2019-03", "2020-03")),
    *(f'"{text}"^^<{XSD}date>' for text in ("2019-03-01", "2020-03-01", "2019-13-45")),
    *(f'"{text}"^^<{XSD}dateTime>' for text in ("2019-03-01T00:00:00Z", "2020-03-01T00:00:00+02:00", "2019-03-01T25:00:00Z")),
    literal("2019"), literal("next spring"), "<https://example.org/>",
]  # fmt: skip


@pytest.fixture(scope="module", params=COUNTS)
def pairs(
    records: Records, request: pytest.FixtureRequest
) -> list[tuple[tuple[Result, ...], tuple[Result, ...]]]:
    created = records(20250701, request.param)
    return list(
        zip(
            validate_many(created),
            validate_many(created, name="reference", size=CHUNK),
            strict=True,
        )
    )


def test_both_engines_give_every_record_the_same_results(
    pairs: list[tuple[tuple[Result, ...], tuple[Result, ...]]],
) -> None:
    assert [(fast, slow) for fast, slow in pairs if fast != slow] == []


def test_the_generated_records_fail_nearly_every_shape_and_none_in_all(records: Records) -> None:
    outcomes = [tuple(results) for results in validate_many(records(20250701, 400))]
    failed = {result.shape for results in outcomes for result in results}
    checked = {
        rule.iri
        for rule in rules().values()
        if not rule.name.startswith(("Catalogue", "Matrix", "Run", "Concept"))
    }

    rare = {
        "ResourceParty", "EventStatus", "ClassificationBasis", "ResourceIdentifierInvalid", "OrganizationIdentifierInvalid",
    }  # fmt: skip
    assert {shape.rpartition("#")[2] for shape in checked - failed} <= rare
    assert all(len({result.shape for result in results}) < len(checked) / 2 for results in outcomes)


@pytest.mark.parametrize("step", [2, pytest.param(1, marks=pytest.mark.nightly)])
def test_both_engines_order_dates_alike_and_report_incomparable_ones(step: int) -> None:
    pairs = list(product(DATES[::step], repeat=2))
    records = [
        [
            f"<a:r> <{RDF}type> <{DCAT}CatalogRecord>",
            f"<a:r> <{DCT}issued> {earlier}",
            f"<a:r> <{DCT}modified> {later}",
        ]
        for earlier, later in pairs
    ]

    fast, slow = [
        [validate(record, name=name) for record in records] for name in ("rust", "reference")
    ]

    assert [pair for pair, one, other in zip(pairs, fast, slow, strict=True) if one != other] == []


def test_a_day_that_is_none_and_a_word_cannot_be_compared_so_the_record_is_remarked() -> None:
    record = [
        f"<a:r> <{RDF}type> <{DCAT}CatalogRecord>",
        f'<a:r> <{DCT}issued> "2024-02-30"^^<{XSD}dateTime>',
        f'<a:r> <{DCT}modified> "soon"',
    ]

    shapes = [result.shape.rpartition("#")[2] for result in validate(record, name="reference")]

    assert "RecordOrder" in shapes
