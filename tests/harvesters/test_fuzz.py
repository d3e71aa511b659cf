from __future__ import annotations

import os

import fuzz
import pytest

from harvesters.protocols.protocol import PROTOCOLS

# The night runs this many cases for all protocols together, the day this many for each protocol.
NIGHTLY = 20_000
BY_DAY = 10


def bad(outcomes: list[fuzz.Outcome]) -> list[str]:
    faults = [f"{item.target} {item.seed}: {item.fault}" for item in outcomes if item.fault]
    return faults + [
        f"{item.target} {item.seed}: {item.memory // 1024} MiB"
        for item in outcomes
        if item.memory > fuzz.MEMORY
    ]


def test_every_protocol_is_fuzzed() -> None:
    assert {target.source.protocol for target in fuzz.targets()} == set(PROTOCOLS)


def test_a_mutation_depends_on_its_seed_alone() -> None:
    wanted = fuzz.cases(1, 7)

    first = fuzz.run_all(wanted, 1, 300.0)
    second = [fuzz.run_case(*case) for case in wanted]

    assert [(item.target, item.seed, item.records, item.fault) for item in first] == [
        (item.target, item.seed, item.records, item.fault) for item in second
    ]


def test_mutated_payloads_raise_our_errors_only() -> None:
    result = fuzz.run_all(fuzz.cases(BY_DAY, 1), 1, 300.0)

    assert len(result) == BY_DAY * len(PROTOCOLS)
    assert sum(item.records for item in result) > 0
    assert bad(result) == []


@pytest.mark.parametrize(
    ("target", "seed"),
    [
        ("datajson/arm.data.json by pod", 1_000_816),
        ("replies/submission", 1_000_246),
        ("replies/fields-sparql", 1_000_020),
    ],
)
def test_mutations_that_once_failed_raise_our_errors_only(target: str, seed: int) -> None:
    if target not in {known.name for known in fuzz.targets()}:
        pytest.skip(f"{target} is not here")

    assert bad([fuzz.run_case(target, seed)]) == []


@pytest.mark.timeout(0)
def test_twenty_thousand_mutated_payloads_raise_our_errors_only() -> None:
    each = -(-NIGHTLY // len(PROTOCOLS))

    result = fuzz.run_all(fuzz.cases(each, 1_000_000), os.cpu_count() or 1, 4 * 3600.0)

    assert len(result) >= NIGHTLY
    assert bad(result) == []


def test_a_case_that_ends_its_process_is_a_fault() -> None:
    died = fuzz.run_all([("none such", 1)], 1, 60.0)

    assert [bool(item.fault) for item in died] == [True]
