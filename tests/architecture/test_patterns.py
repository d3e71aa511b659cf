from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

import patterns
import pytest
from codebase import Codebase

# Patterns that are known only when the program runs, and where they come from.
DYNAMIC = {
    "harvesters.options": "the operator's, from a source definition",
    "harvesters.protocols.files": "the operator's, from a source definition",
    "harvesters.protocols.resourcesync": "the operator's, from a source definition",
    "harvesters.protocols.web": "the operator's, from a source definition",
    "harvesters.network.response_check": "a table of our own",
    "vocab.identifiers": "a table of our own, on at most 200 characters",
    "publisher.projections.search.searcher": "an escaped word, which repeats nothing",
    "publisher.store.external.client": "a table of our own, on an error of the operator's store",
    "harvesters.reasons": "a text of our own, on a notice of our own",
    "harvesters.runs.status_file": "an escaped folder, which repeats nothing",
}


@pytest.fixture(scope="module")
def all_patterns(codebase: Codebase) -> tuple[list[patterns.Pattern], list[str]]:
    return patterns.patterns(codebase.trees)


def test_every_pattern_of_the_program_is_linear_on_pumped_strings(
    all_patterns: tuple[list[patterns.Pattern], list[str]],
) -> None:
    matches, _ = all_patterns
    lines = "".join(json.dumps(asdict(pattern)) + "\n" for pattern in matches)

    completed = subprocess.run(
        [sys.executable, patterns.__file__], input=lines, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    answers = dict(json.loads(line) for line in completed.stdout.splitlines())

    assert completed.returncode == 0, completed.stderr
    assert len(answers) == len({pattern.place for pattern in matches})
    assert {position: slow for position, slow in answers.items() if slow} == {}


def test_every_pattern_of_the_program_is_found(
    all_patterns: tuple[list[patterns.Pattern], list[str]],
) -> None:
    matches, unknown = all_patterns

    assert len(matches) > 100
    assert {position.rpartition(":")[0] for position in unknown} <= set(DYNAMIC)


TRAPS = (
    r"(?m)^\s*(?:GRAPH\s+)?(?:<[^<>\s]*>|_:\w+|\w*:\w*)?\s*\{\s*$",
    r"[ \t\xa0]*\n\s*",
    r"<([^>]*)>\s*;[^<]*\brel",
    r"(a+)+b",
)


def test_backtracking_traps_are_caught() -> None:
    traps = [patterns.Pattern(text, text, False, 0, ("search",)) for text in TRAPS]

    completed = subprocess.run(
        [sys.executable, patterns.__file__], input="".join(json.dumps(asdict(trap)) + "\n" for trap in traps),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    answers = dict(json.loads(line) for line in completed.stdout.splitlines())
    assert {text for text in TRAPS if answers[text]} == {*TRAPS}
