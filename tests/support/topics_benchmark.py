"""The SDG Classification Benchmark: 1,251 texts, each with a goal and whether experts say that the text is about it.

Source: https://github.com/SDGClassification/benchmark, version 1.0.0 (MIT). It is copied, since its package needs an older pandas.
No classifier is trained on it.
"""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).parents[1] / "harvesters" / "topics" / "sdgclassification-benchmark" / "benchmark.csv.gz"


class LabelledText(NamedTuple):
    """A text, the code of a goal, and whether the text is about it."""

    text: str
    goal: str
    is_about: bool


def benchmark_texts() -> list[LabelledText]:
    """Return all texts in the order of the file."""
    rows = csv.DictReader(io.StringIO(gzip.decompress(FILE.read_bytes()).decode("utf-8"), newline=""))
    return [LabelledText(row["text"], row["sdg"], row["label"] == "True") for row in rows]
