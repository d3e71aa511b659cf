"""The SDG Classification Benchmark: 1,251 texts, each with a goal and whether experts say that the
text is about it.

Source: https://github.com/SDGClassification/benchmark, version 1.0.0 (MIT). ``make install``
installs its package without dependencies, since it needs an older pandas. No classifier is trained
on it.
"""

from __future__ import annotations

import csv
import io
from importlib.metadata import PackageNotFoundError, files
from typing import NamedTuple


class LabelledText(NamedTuple):
    """A text, the code of a goal, and whether the text is about it."""

    text: str
    goal: str
    is_about: bool


def benchmark_texts() -> list[LabelledText]:
    """Return all texts in the order of the file, none if the package is not installed."""
    try:
        names = files("sdgclassification-benchmark") or []
    except PackageNotFoundError:
        return []
    table = next(name for name in names if name.name == "benchmark.csv").read_text("utf-8")
    return [
        LabelledText(row["text"], row["sdg"], row["label"] == "True")
        for row in csv.DictReader(io.StringIO(table, newline=""))
    ]
