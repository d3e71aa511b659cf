"""Limits of queries, clients, the queue and exports."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

from pydantic import BeforeValidator, ByteSize, ConfigDict, Field, TypeAdapter, ValidationError

MAX_QUERY_BYTES = 256 * 1024  # the longest hand-written query we know has under 20,000
Amount = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
Rows = Annotated[int, Field(gt=0)]
Size = Annotated[int, BeforeValidator(TypeAdapter(ByteSize).validate_python), Field(gt=0)]


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

    __pydantic_config__ = ConfigDict(extra="forbid")

    seconds: Seconds = 30.0
    memory: Size = 2 << 30
    rows: Rows = 1_000_000
    wait: Amount = 20.0
    queue: Count = 64
    budget: Amount = 60.0
    window: Seconds = 60.0
    each: Count = 4
    share: Count = 32
    quick: Seconds = 0.25
    slow: Count = 4
    exports: Count = 2
    export_seconds: Seconds = 1800.0
    export_memory: Size = 4 << 30
    export_rows: Rows = 100_000_000
    export_size: Size = 4 << 30
    pages: Amount = 600.0
    deep: Count = 1
    deep_wait: Seconds = 2.0


def read(text: str) -> Limits:
    """Read ``name=number`` pairs, comma-separated, over the defaults; sizes take KiB, MiB and GiB.

    Raises ValueError with what is wrong.

    >>> read("seconds=5, memory=512MiB").memory
    536870912
    """
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    values = {name.strip(): value.strip() for name, _, value in pairs}
    try:
        return TypeAdapter(Limits).validate_python(asdict(Limits()) | values)
    except ValidationError as error:
        fault = error.errors()[0]
        raise ValueError(f"the limit {fault['loc'][0]}: {fault['msg']}") from error
