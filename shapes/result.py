"""Validation results in the terms of SHACL, and the interface of validation engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property


class Severity(StrEnum):
    """The severity of a result; a value is the local name of SHACL's term."""

    VIOLATION = "Violation"  # The record is withheld.
    WARNING = "Warning"  # The record is published with a note.
    INFO = "Info"


@dataclass(frozen=True, slots=True, order=True)
class Result:
    """One result of a validation. Source: https://www.w3.org/TR/shacl/#results-validation-result.

    *focus*, *shape* and *path* are IRIs without brackets; *path* is None if the shape has no path or
    several. *component* is the local name of the constraint component, *value* an N-Triples term or
    None.
    """

    focus: str
    path: str | None
    component: str
    severity: Severity
    value: str | None
    message: str
    shape: str


def sort_unique(results: Iterable[Result]) -> tuple[Result, ...]:
    """Return the results sorted and unique; batches repeat results on shared nodes."""
    return tuple(
        sorted(
            set(results),
            key=lambda result: (
                result.focus,
                result.path or "",
                result.component,
                result.shape,
                result.value or "",
                result.message,
            ),
        )
    )


@dataclass(frozen=True)
class Report:
    """All results of one graph, sorted, each once."""

    results: tuple[Result, ...] = field(default=())

    @property
    def conforms(self) -> bool:
        """Return whether there is no violation; there may be warnings."""
        return all(result.severity is not Severity.VIOLATION for result in self.results)

    @cached_property
    def by_focus(self) -> dict[str, tuple[Result, ...]]:
        """Return the results of each node that has any."""
        by_node: dict[str, list[Result]] = {}
        for result in self.results:
            by_node.setdefault(result.focus, []).append(result)
        return {focus: tuple(results) for focus, results in by_node.items()}


# A function that returns the results of a graph, an N-Triples text, or raises EngineError.
Engine = Callable[[str], list[Result]]


class EngineError(Exception):
    """A graph that the engine cannot parse or validate; the message says why."""
