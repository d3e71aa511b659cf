"""The SPARQL queries of the pages, one a file; values are bound, never pasted."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent


@cache
def query(name: str) -> str:
    return (_HERE / f"{name}.rq").read_text()
