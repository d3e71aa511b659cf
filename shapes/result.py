"""Results: what a judge says of one node, in the words of SHACL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property


class Severity(StrEnum):
    """How grave a result is; a value is the local name of SHACL's term."""

    VIOLATION = "Violation"  # withholds the record
    WARNING = "Warning"  # publishes it with the remark
    INFO = "Info"


@dataclass(frozen=True, slots=True, order=True)
class Result:
    """One result of a validation. Source: https://www.w3.org/TR/shacl/#results-validation-result.

    *focus* and *shape* are IRIs without brackets, *path* likewise or None where the shape asks the node itself or several
    paths at once; *component* is the local name of the constraint component; *value* is an N-Triples term or None.
    """

    focus: str
    path: str | None
    component: str
    severity: Severity
    value: str | None
    message: str
    shape: str


def ordered(results: Iterable[Result]) -> tuple[Result, ...]:
    """Sort results and drop doubles, which a batch gives about shared nodes."""
    return tuple(sorted(set(results), key=lambda it: (it.focus, it.path or "", it.component, it.shape, it.value or "", it.message)))


@dataclass(frozen=True)
class Report:
    """All results of one graph, sorted, each once."""

    results: tuple[Result, ...] = field(default=())

    @property
    def conforms(self) -> bool:
        """Tell whether nothing withholds; warnings may still be there."""
        return all(result.severity is not Severity.VIOLATION for result in self.results)

    @cached_property
    def by_focus(self) -> dict[str, tuple[Result, ...]]:
        """Give the results of each node that has any."""
        found: dict[str, list[Result]] = {}
        for result in self.results:
            found.setdefault(result.focus, []).append(result)
        return {focus: tuple(results) for focus, results in found.items()}
