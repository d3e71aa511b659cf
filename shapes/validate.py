"""Validate descriptions; each record has its own results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import import_module
from typing import Literal

from shapes.batch import BATCH_SIZE, Description, batches, group_by_subject
from shapes.engines.engine import Engine, EngineError
from shapes.result import Report, Result, Severity, sort_unique
from shapes.rules import turtle
from vocab.iris import BASE

EngineName = Literal["rust", "reference"]

# The module of each engine. It is imported when it is first used, since pyshacl takes a third of the
# start of a process that validates.
ENGINES: dict[EngineName, str] = {
    "rust": "shapes.engines.rust",
    "reference": "shapes.engines.reference",
}


def compile_shapes(name: EngineName, turtle: str, base: str) -> Engine:
    compiled: Engine = import_module(ENGINES[name]).engine(turtle, base)
    return compiled


@lru_cache(maxsize=8)
def engine(name: EngineName = "rust", base: str = BASE) -> Engine:
    """Compile our shapes for the engine *name*: ``rust`` (fast), or ``reference`` (pyshacl, about
    60 times slower).
    """
    return compile_shapes(name, turtle(base), base)


def validate(statements: Iterable[str], *, base: str = BASE, name: EngineName = "rust") -> Report:
    """Validate one graph: *statements* as ``vocab.statements.describe`` returns them, without the
    closing dot. Raise EngineError if they are not N-Triples.
    """
    return Report(sort_unique(engine(name, base)(group_by_subject(0, statements).text)))


def validate_many(
    descriptions: Sequence[Sequence[str]],
    *,
    base: str = BASE,
    name: EngineName = "rust",
    size: int = BATCH_SIZE,
) -> list[tuple[Result, ...]]:
    """Return the results of each description, in the given order, as if each were validated alone.

    A description that the engine cannot parse has one result, a Violation of the component
    ``Unreadable`` with the reason; others are not affected.
    """
    compiled = engine(name, base)
    results_by_number: dict[int, tuple[Result, ...]] = {}
    for batch in batches(descriptions, size):
        results_by_number.update(_validate_batch(batch, compiled, base))
    return [results_by_number.get(number, ()) for number in range(len(descriptions))]


def _validate_batch(
    batch: list[Description], compiled: Engine, base: str
) -> list[tuple[int, tuple[Result, ...]]]:
    """Validate a batch; if the engine fails, validate its halves, down to the one that cannot be
    parsed.
    """
    try:
        report = Report(sort_unique(compiled("".join(item.text for item in batch))))
    except EngineError as error:
        if len(batch) == 1:
            return [(batch[0].number, (_unreadable(batch[0], error, base),))]
        half = len(batch) // 2
        return _validate_batch(batch[:half], compiled, base) + _validate_batch(
            batch[half:], compiled, base
        )
    by_focus = report.by_focus
    if not by_focus:
        return [(item.number, ()) for item in batch]
    return [
        (
            item.number,
            tuple(
                result for subject in item.about for result in by_focus.get(subject.strip("<>"), ())
            ),
        )
        for item in batch
    ]


def _unreadable(item: Description, error: EngineError, base: str) -> Result:
    focus = next(iter(item.about), "").strip("<>")
    return Result(
        focus,
        None,
        "Unreadable",
        Severity.VIOLATION,
        None,
        f"It cannot be read: {error}",
        f"{base}shapes#Readable",
    )
