"""Times: how long each example took and what it gave when it was last run here, kept so that the pages can tell."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from publisher.sparql.examples.example_runner import ExampleOutcome

FILE = "examples.json"  # in the data folder


@dataclass(frozen=True, slots=True)
class Duration:
    """What an example took: *seconds* to the last byte of *rows* rows, of journal entry *position*."""

    seconds: float
    rows: int
    position: int


def read_durations(data: Path) -> dict[str, Duration]:
    """Read what is kept in the data folder, by the examples' names; nothing where none was run, or the file cannot be read."""
    try:
        told = json.loads((data / FILE).read_bytes())
        return {name: Duration(**it) for name, it in told.items()}
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        return {}


def write_durations(data: Path, outcomes: Iterable[ExampleOutcome], position: int) -> None:
    """Keep the times of *outcomes* at journal entry *position* beside those of other examples; what was not good loses its own."""
    known = read_durations(data)
    for it in outcomes:
        known.pop(it.example.name, None)
        if it.good:
            known[it.example.name] = Duration(round(it.seconds, 4), it.rows, position)
    part = data / f"{FILE}.part"
    part.write_text(json.dumps({name: asdict(it) for name, it in sorted(known.items())}, indent=1), encoding="utf-8")
    part.replace(data / FILE)
