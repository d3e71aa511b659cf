"""Batches: descriptions that may be judged as one graph without changing each other's verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from vocab.terms import RDF

BATCH = 50  # descriptions a call: 6,800 a second alone, 11,000 by ten, 11,900 by fifty (19,000 on two threads); 200 is slower
OPEN = 8  # batches kept open at once, so that an organization written in several ways does not cut every batch short

_TYPE = f"<{RDF}type>"


@dataclass(frozen=True, slots=True)
class Description:
    """One record's statements: its place in the caller's order, and its statements by subject (as written)."""

    number: int
    about: Mapping[str, tuple[str, ...]]

    @property
    def text(self) -> str:
        """Write it as an N-Triples document."""
        return " .\n".join(chain(*self.about.values(), [""]))


@dataclass(slots=True)
class Batch:
    """Descriptions, and what they say of each subject."""

    members: list[Description] = field(default_factory=list)
    about: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def takes(self, one: Description) -> bool:
        """Tell whether *one* says nothing else of any subject that the others describe too.

        A subject without a type is asked nothing, so it does not count: the source, of which each record says that it holds it.
        """
        mine, its = self.about, one.about
        shared = [subject for subject in mine.keys() & its.keys() if mine[subject] != its[subject]]
        return not any(_TYPE in statement for subject in shared for statement in (*mine[subject], *its[subject]))

    def add(self, one: Description) -> None:
        """Take *one* in."""
        self.members.append(one)
        self.about.update(one.about)


def description(number: int, statements: Iterable[str]) -> Description:
    """Sort statements by their subject, each once."""
    about: dict[str, dict[str, None]] = {}
    begins: str | None = None
    its: dict[str, None] = {}
    for statement in statements:
        if begins is None or not statement.startswith(begins):  # sorted ones change their subject a few times only
            subject = statement.partition(" ")[0]
            begins, its = f"{subject} ", about.setdefault(subject, {})
        its[statement] = None
    return Description(number, {subject: tuple(sorted(found)) for subject, found in about.items()})


def batches(descriptions: Iterable[Sequence[str]], size: int = BATCH) -> Iterator[list[Description]]:
    """Put descriptions together, *size* at most, so that a verdict never depends on the company that it is judged in.

    Two records that describe a shared node differently (an organization under two names) would fail together what each
    passes alone, so they never meet in one batch.
    """
    waiting: list[Batch] = []
    for number, statements in enumerate(descriptions):
        one = description(number, statements)
        batch = next((batch for batch in waiting if batch.takes(one)), None)
        if batch is None:
            if len(waiting) == OPEN:
                yield waiting.pop(0).members
            batch = Batch()
            waiting.append(batch)
        batch.add(one)
        if len(batch.members) == size:
            waiting.remove(batch)
            yield batch.members
    yield from (batch.members for batch in waiting)
