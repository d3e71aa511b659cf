"""Validate descriptions; each record has its own results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module
from itertools import chain
from typing import Literal

import shacl

from shapes.rules import Severity, turtle
from vocab.iris import BASE, Iris
from vocab.terms import RDF, SH, iri_or_literal, literal

EngineName = Literal["rust", "reference"]

# Descriptions: 6,800 a second are validated singly, 11,000 in tens, 11,900 in fifties; 200 is slower.
BATCH_SIZE = 50
# Several are open, so that differing descriptions of one organization do not make every batch short.
MAX_OPEN_BATCHES = 8

_TYPE = f"<{RDF}type>"


@dataclass(frozen=True, slots=True)
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


# A function that returns the results of a graph, an N-Triples text, or raises EngineError.
Engine = Callable[[str], list[Result]]


class EngineError(Exception):
    """A graph that the engine cannot parse or validate; the message says why."""


@dataclass(frozen=True, slots=True)
class Description:
    """One record's statements by subject (as written), and its position in the caller's order."""

    number: int
    about: Mapping[str, tuple[str, ...]]

    @property
    def text(self) -> str:
        """Return the statements as an N-Triples document."""
        return " .\n".join(chain(*self.about.values(), [""]))


@dataclass(slots=True)
class Batch:
    """Descriptions, and their statements by subject."""

    members: list[Description] = field(default_factory=list)
    about: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def fits(self, description: Description) -> bool:
        """Return whether *description* states nothing different about a subject that others
        describe too.

        Subjects without a type are ignored, since no shape applies to them: such as the source,
        which lists each record.
        """
        own, other = self.about, description.about
        shared = [
            subject for subject in own.keys() & other.keys() if own[subject] != other[subject]
        ]
        return not any(
            _TYPE in statement
            for subject in shared
            for statement in (*own[subject], *other[subject])
        )

    def add(self, description: Description) -> None:
        self.members.append(description)
        self.about.update(description.about)


def group_by_subject(number: int, statements: Iterable[str]) -> Description:
    """Group statements by subject, each once."""
    about: dict[str, dict[str, None]] = {}
    prefix: str | None = None
    statements_of_subject: dict[str, None] = {}
    for statement in statements:
        # Statements are sorted, so most have the subject of the one before.
        if prefix is None or not statement.startswith(prefix):
            subject = statement.partition(" ")[0]
            prefix, statements_of_subject = f"{subject} ", about.setdefault(subject, {})
        statements_of_subject[statement] = None
    return Description(
        number, {subject: tuple(sorted(unique)) for subject, unique in about.items()}
    )


def batches(
    descriptions: Iterable[Sequence[str]], size: int = BATCH_SIZE
) -> Iterator[list[Description]]:
    """Yield batches of at most *size* descriptions, so that a result never depends on other
    records.

    Two records that describe a shared node differently (an organization under two names) would fail
    together although each is valid alone, so they are never in one batch.
    """
    waiting: list[Batch] = []
    for number, statements in enumerate(descriptions):
        description = group_by_subject(number, statements)
        batch = next((batch for batch in waiting if batch.fits(description)), None)
        if batch is None:
            if len(waiting) == MAX_OPEN_BATCHES:
                yield waiting.pop(0).members
            batch = Batch()
            waiting.append(batch)
        batch.add(description)
        if len(batch.members) == size:
            waiting.remove(batch)
            yield batch.members
    yield from (batch.members for batch in waiting)


# The beginning of each message, with the engine's own base: N-Triples needs none.
_PREFIX = "parse error: http://example.org/data: "


def _iri(term: str | None) -> str | None:
    """Return the IRI of a term or plain path, or None."""
    if term and term.startswith("<") and term.endswith(">") and ">" not in term[1:-1]:
        return term[1:-1]
    return None


def _result(result: shacl.Result) -> Result:
    return Result(
        focus=_iri(result.focus_node) or result.focus_node,
        path=_iri(result.path),
        component=result.component_iri.removeprefix(SH),
        severity=Severity(result.severity),
        value=result.value,
        message=result.message or "",
        shape=_iri(result.root_shape) or "",
    )


def compile_rust(turtle: str, base: str) -> Engine:
    """Compile shapes once; the engine may be called from several threads, since it releases the
    GIL.
    """
    shapes = shacl.Shapes.from_turtle(turtle, base=base)

    def validate(text: str) -> list[Result]:
        try:
            return [
                _result(result) for result in shapes.validate_text(text, format="ntriples").results
            ]
        except ValueError as error:
            raise EngineError(str(error).removeprefix(_PREFIX)) from error
        # A Rust panic is not an Exception, and its class cannot be imported.
        except BaseException as error:
            if type(error).__module__ != "pyo3_runtime":
                raise
            raise EngineError(str(error)) from error

    return validate


def compile_shapes(name: EngineName, turtle: str, base: str) -> Engine:
    if name == "rust":
        return compile_rust(turtle, base)
    # It is imported late, since pyshacl takes a third of the start of a process that validates.
    compiled: Engine = import_module("shapes.reference").engine(turtle, base)
    return compiled


@lru_cache(maxsize=8)
def engine(name: EngineName = "rust", base: str = BASE) -> Engine:
    """Compile our shapes for the engine *name*: ``rust`` (fast), or ``reference`` (pyshacl, about
    60 times slower).
    """
    return compile_shapes(name, turtle(base), base)


def validate(
    statements: Iterable[str], *, base: str = BASE, name: EngineName = "rust"
) -> tuple[Result, ...]:
    """Validate one graph: *statements* as ``vocab.describe`` returns them, without the
    closing dot. Raise EngineError if they are not N-Triples.
    """
    return sort_unique(engine(name, base)(group_by_subject(0, statements).text))


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
        results = sort_unique(compiled("".join(item.text for item in batch)))
    except EngineError as error:
        if len(batch) == 1:
            return [(batch[0].number, (_unreadable(batch[0], error, base),))]
        half = len(batch) // 2
        return _validate_batch(batch[:half], compiled, base) + _validate_batch(
            batch[half:], compiled, base
        )
    by_focus: dict[str, list[Result]] = {}
    for result in results:
        by_focus.setdefault(result.focus, []).append(result)
    return [
        (
            item.number,
            tuple(
                result
                for subject in (item.about if by_focus else ())
                for result in by_focus.get(subject.strip("<>"), ())
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


def describe_results(record: str, iris: Iris, results: Iterable[Result]) -> list[str]:
    """Describe the distinct results of a record, which are published with it, as
    ``sh:ValidationResult`` in an order that is the same in every run; the statements are unsorted.
    """
    out = list[str]()
    distinct = sorted(
        {replace(result, value=None) for result in results},
        key=lambda item: (item.path or "", item.component, item.message, item.focus, item.shape),
    )
    for number, result in enumerate(distinct, 1):
        part = f"<{record}#result-{number}> "
        out += [
            f"{part}<{RDF}type> <{SH}ValidationResult>",
            f"<{record}> <{iris.operations}result> {part[:-1]}",
            f"{part}<{SH}resultMessage> {literal(result.message, 'en')}",
            f"{part}<{SH}resultSeverity> <{SH}{result.severity}>",
            f"{part}<{SH}sourceConstraintComponent> <{SH}{result.component}>",
        ]
        iris_by_name = {
            "resultPath": result.path,
            "focusNode": result.focus,
            "sourceShape": result.shape,
        }
        out += [
            f"{part}<{SH}{name}> {iri_or_literal(value)}"
            for name, value in iris_by_name.items()
            if value
        ]
    return out
