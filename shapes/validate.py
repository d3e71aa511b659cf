"""Validation: descriptions in, results out, each record's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import lru_cache
from typing import Literal

from shapes.batch import BATCH, Description, batches, description
from shapes.engines import reference, rust
from shapes.engines.engine import Engine, EngineError
from shapes.result import Report, Result, Severity, ordered
from shapes.rules import turtle
from vocab.iris import BASE

Name = Literal["rust", "reference"]

ENGINES = {"rust": rust.engine, "reference": reference.engine}


@lru_cache(maxsize=8)
def engine(name: Name = "rust", base: str = BASE) -> Engine:
    """Compile our shapes for the engine *name*: ``rust`` (the fast one), or ``reference`` (pyshacl, some 60 times slower)."""
    return ENGINES[name](turtle(base), base)


def validate(statements: Iterable[str], *, base: str = BASE, name: Name = "rust") -> Report:
    """Hold one graph against our shapes.

    *statements* are as ``vocab.describe`` writes them, without the closing dot. Raises EngineError where they are no N-Triples.
    """
    return Report(ordered(engine(name, base)(description(0, statements).text)))


def judge(
    descriptions: Sequence[Sequence[str]], *, base: str = BASE, name: Name = "rust", threads: int = 1, size: int = BATCH
) -> list[tuple[Result, ...]]:
    """Judge many descriptions: the results of each one, in the order given, as if it were judged alone.

    A description that the engine cannot read has one result, a Violation of the component ``Unreadable`` that says why; it
    costs the others nothing. A second thread helps on a second core: the fast engine lets go of the GIL.
    """
    held = engine(name, base)
    verdicts: list[tuple[Result, ...]] = [()] * len(descriptions)

    def work(batch: list[Description]) -> list[tuple[int, tuple[Result, ...]]]:
        return _verdicts(batch, held, base)

    with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as pool:
        for found in (pool.map if pool else map)(work, batches(descriptions, size)):
            for number, results in found:
                verdicts[number] = results
    return verdicts


def _verdicts(batch: list[Description], held: Engine, base: str) -> list[tuple[int, tuple[Result, ...]]]:
    """Judge a batch; where the engine refuses it, judge its halves, down to the one that it cannot read."""
    try:
        report = Report(ordered(held("".join(one.text for one in batch))))
    except EngineError as error:
        if len(batch) == 1:
            return [(batch[0].number, (_unreadable(batch[0], error, base),))]
        half = len(batch) // 2
        return _verdicts(batch[:half], held, base) + _verdicts(batch[half:], held, base)
    found = report.by_focus
    if not found:
        return [(one.number, ()) for one in batch]
    return [(one.number, tuple(result for subject in one.about for result in found.get(subject.strip("<>"), ()))) for one in batch]


def _unreadable(one: Description, error: EngineError, base: str) -> Result:
    focus = next(iter(one.about), "").strip("<>")
    return Result(focus, None, "Unreadable", Severity.VIOLATION, None, f"It cannot be read: {error}", f"{base}shapes#Readable")
