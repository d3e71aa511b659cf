"""Limits of queries, clients, the queue and exports."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace

MAX_QUERY_BYTES = 256 * 1024  # the longest hand-written query we know has under 20,000
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(K|M|G)?(?:iB|B)?\Z")
_TIMES = {None: 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_MORE_THAN_NOTHING = frozenset(
    {
        "seconds",
        "memory",
        "rows",
        "window",
        "quick",
        "deep_wait",
        "export_seconds",
        "export_memory",
        "export_rows",
    }
)


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of queries and exports (docs/reference/limits.md); 0 removes *budget*, *each*,
    *share*, *exports*, *pages* and *deep*.

    A query: *seconds* from its start, *memory* bytes, *rows* of its result. The queue: *wait*
    seconds before the start, *queue* waiting queries. A client: *budget* seconds of evaluation in
    *window* seconds, *each* running and *share* waiting queries. A query that has run for *quick*
    seconds moves to one of *slow* extra slots if others wait. A client may have *exports* open at
    once, each with limits of its own for seconds, memory, rows and bytes of the result. Pages:
    *pages* points of one client in *window* seconds; *deep* pages of many facets rendered at once,
    for which others wait *deep_wait* seconds.
    """

    seconds: float = 30.0
    memory: int = 2 << 30
    rows: int = 1_000_000
    wait: float = 20.0
    queue: int = 64
    budget: float = 60.0
    window: float = 60.0
    each: int = 4
    share: int = 32
    quick: float = 0.25
    slow: int = 4
    exports: int = 2
    export_seconds: float = 1800.0
    export_memory: int = 4 << 30
    export_rows: int = 100_000_000
    export_size: int = 4 << 30
    pages: float = 600.0
    deep: int = 1
    deep_wait: float = 2.0


def read(text: str, defaults: Limits | None = None) -> Limits:
    """Read ``name=number`` pairs, comma-separated, over *defaults*; sizes take KiB, MiB and GiB.

    Raises ValueError with what is wrong.

    >>> read("seconds=5, memory=512MiB").memory
    536870912
    """
    limits = defaults or Limits()
    kinds = {item.name: type(getattr(limits, item.name)) for item in fields(Limits)}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (part.strip() for part in pair.partition("="))
        match = _SIZE.match(value)
        if name not in kinds:
            raise ValueError(f"no limit is named {name!r}; there are {', '.join(kinds)}")
        if match is None:
            raise ValueError(
                f"{name} is a number of 0 or more, such as {getattr(limits, name):g}, not {value!r}"
            )
        number = kinds[name](float(match[1]) * _TIMES[match[2]])
        if not number and name in _MORE_THAN_NOTHING:
            raise ValueError(f"{name} must be above 0")
        limits = replace(limits, **{name: number})
    return limits
