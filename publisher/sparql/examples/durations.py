"""Store how long each example query took when it last ran here."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from journal.atomic_file import replace_file
from publisher.sparql.examples.example_runner import ExampleOutcome

FILE = "examples.json"  # in the data folder


@dataclass(frozen=True, slots=True)
class Duration:
    """The last run of an example: *seconds* to the last byte of *rows* rows, at journal entry
    *position*.
    """

    seconds: float
    rows: int
    position: int


def read_durations(data: Path) -> dict[str, Duration]:
    """Read the durations in the data folder by example name; empty if there are none or the file is
    invalid.
    """
    try:
        stored = json.loads((data / FILE).read_bytes())
        return {name: Duration(**entry) for name, entry in stored.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def write_durations(data: Path, outcomes: Iterable[ExampleOutcome], position: int) -> None:
    """Store the durations of *outcomes* at journal entry *position*; a failed example loses its
    earlier one.
    """
    known = read_durations(data)
    for entry in outcomes:
        known.pop(entry.example.name, None)
        if entry.passed:
            known[entry.example.name] = Duration(round(entry.seconds, 4), entry.rows, position)
    replace_file(
        data / FILE,
        json.dumps({name: asdict(entry) for name, entry in sorted(known.items())}, indent=1),
    )
