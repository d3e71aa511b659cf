"""Batches: descriptions that may be judged as one graph without changing each other's verdict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

BATCH = 10  # descriptions a call: by 1, 3, 10 or 50 alike (6,200 to 6,800 a second of 36 statements), and two threads like ten best
OPEN = 8  # batches kept open at once, so that an organization written in several ways does not cut every batch short


@dataclass(frozen=True, slots=True)
class Description:
    """One record's statements: its place in the caller's order, and its statements by subject (as written)."""

    number: int
    about: Mapping[str, tuple[str, ...]]

    @property
    def text(self) -> str:
        """Write it as an N-Triples document."""
        return "".join(f"{statement} .\n" for statements in self.about.values() for statement in statements)


@dataclass(slots=True)
class Batch:
    """Descriptions, and what they say of each subject."""

    members: list[Description] = field(default_factory=list)
    about: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def takes(self, one: Description) -> bool:
        """Tell whether *one* says nothing else of any subject that the others describe too."""
        mine, its = self.about, one.about
        return all(mine[subject] == its[subject] for subject in mine.keys() & its.keys())

    def add(self, one: Description) -> None:
        """Take *one* in."""
        self.members.append(one)
        self.about.update(one.about)


def description(number: int, statements: Iterable[str]) -> Description:
    """Sort statements by their subject, each once."""
    about: dict[str, dict[str, None]] = {}
    for statement in statements:
        about.setdefault(statement.partition(" ")[0], {})[statement] = None
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
