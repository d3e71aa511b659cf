"""Group descriptions that can be validated as one graph without affecting each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from vocab.terms import RDF

# Descriptions: 6,800 a second are validated singly, 11,000 in tens, 11,900 in fifties; 200 is slower.
BATCH_SIZE = 50
# Several are open, so that differing descriptions of one organization do not make every batch short.
MAX_OPEN_BATCHES = 8

_TYPE = f"<{RDF}type>"


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
