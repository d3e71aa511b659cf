"""The SDG Classification Benchmark: 1,251 texts, each with a goal and whether experts say that the
text is about it.

Source: https://github.com/SDGClassification/benchmark, version 1.0.0 (MIT). ``make install``
unpacks its package as data. No classifier is trained on it.
"""

from __future__ import annotations

import csv
import io
from typing import NamedTuple

from suites import DATA


class LabelledText(NamedTuple):
    """A text, the code of a goal, and whether the text is about it."""

    text: str
    goal: str
    is_about: bool


def benchmark_texts() -> list[LabelledText]:
    """Return all texts in the order of the file, none if the package is not here."""
    tables = DATA.glob("sdgclassification-benchmark-*/sdgclassification/**/benchmark.csv")
    table = next((file.read_text("utf-8") for file in tables), "")
    return [
        LabelledText(row["text"], row["sdg"], row["label"] == "True")
        for row in csv.DictReader(io.StringIO(table, newline=""))
    ]
