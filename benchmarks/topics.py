"""How often the classifier of goals is right, by goal, and what a text costs.

Source: https://github.com/SDGClassification/benchmark (the texts). By hand: ``python -m
benchmarks.topics``
"""

from __future__ import annotations

import csv
import io
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.result_table import Json, Line, show
from harvesters.mappings.topics import classifier
from harvesters.mappings.topics.classification import SHIPPED
from harvesters.mappings.topics.embedding import embed

# unpacked by make install, from tests/data.lock
DATA = Path(sys.prefix) / "data" / "sdgclassification-benchmark-1.0.0"


def benchmark_lines(limit: int) -> list[Line]:
    """Return precision, recall and abstention of the shipped classifier, for all goals and for
    each, and the time of a text.
    """
    table = (DATA / "sdgclassification/benchmark/resources/benchmark.csv").read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(table, newline="")))[:limit]
    model = classifier.load(SHIPPED)
    since = time.process_time()
    probabilities = model.probabilities(embed([row["text"] for row in rows]))
    seconds = (time.process_time() - since) / len(rows)
    codes = np.array([row["sdg"] for row in rows])
    right = np.array([row["label"] == "True" for row in rows])
    suggested = (
        probabilities[np.arange(len(rows)), [model.codes.index(code) for code in codes]]
        >= model.threshold
    )
    silent = _share((probabilities < model.threshold).all(axis=1))
    lines = [
        Line("a text", "s of one core", seconds),
        Line("texts without any suggestion", "share", silent),
    ]
    for name, chosen in [
        ("all goals", codes == codes),
        *((f"goal {code}", codes == code) for code in model.codes),
    ]:
        above = chosen & suggested
        note = f"{int(above.sum())} suggested of {int(chosen.sum())} texts, {int((chosen & right).sum())} about it"
        lines.append(Line(f"{name}: precision", "share", _share(right[above]), note=note))
        lines.append(Line(f"{name}: recall", "share", _share(suggested[chosen & right])))
    return lines


def _share(flags: Any) -> float | None:
    return float(flags.mean()) if len(flags) else None


def main(
    limit: Annotated[int, typer.Option(min=1, help="Number of texts of the benchmark.")] = 1251,
    json: Json = False,
) -> None:
    """Measure the classifier of goals on texts that it was not trained on."""
    show("Topics", benchmark_lines(limit), json=json)


if __name__ == "__main__":
    typer.run(main)
