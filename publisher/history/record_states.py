"""What records stated after their changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeVar, cast

from pyoxigraph import NamedNode

from publisher.history.change_reader import Change, History
from publisher.rdf.results import Term, from_node
from vocab.terms import FOAF, literal

BATCH = 250  # records that are read at once


@dataclass(frozen=True)
class RecordState:
    """The statements of a record's graph: (subject, predicate, object), without duplicates."""

    graph: str
    statements: tuple[tuple[str, str, Term], ...]

    @cached_property
    def _values(self) -> dict[tuple[str, str], list[Term]]:
        values: dict[tuple[str, str], list[Term]] = {}
        for s, p, o in self.statements:
            values.setdefault((s, p), []).append(o)
        return values

    @cached_property
    def topic(self) -> str:
        """Return what the record describes, or the record itself if that is unknown."""
        topic = self.one(f"{FOAF}primaryTopic", self.graph)
        return topic.value if topic else self.graph

    def all(self, predicate: str, subject: str | None = None) -> list[Term]:
        """Return the values of a property, of the record's thing or of *subject*."""
        return self._values.get((subject or self.topic, predicate), [])

    def one(self, predicate: str, subject: str | None = None) -> Term | None:
        """Return the first value of a property, None if there is none."""
        return next(iter(self.all(predicate, subject)), None)

    def lines(self) -> list[str]:
        """Write the statements in N-Triples, sorted, without the closing dot."""
        # all subjects and predicates are IRIs
        return sorted(f"<{s}> <{p}> {written(o)}" for s, p, o in self.statements)


class Text(Protocol):
    """A text in a language, None if that is unknown."""

    @property
    def language(self) -> str | None: ...


TextT = TypeVar("TextT", bound=Text)


def preferred_text(texts: Sequence[TextT]) -> TextT | None:
    """Return the text in English, else one without a language, else any."""
    ranks = {"en": 0, None: 1}
    return min(texts, key=lambda text: ranks.get(text.language, 2), default=None)


def written(term: Term) -> str:
    """Write a term in canonical N-Triples."""
    if term.is_iri:
        return f"<{term.value}>"
    return literal(term.value, term.language) + (
        f"^^<{term.datatype}>" if term.datatype and not term.language else ""
    )


def read_states(
    history: History, base: str, changes: Sequence[Change]
) -> Iterator[tuple[Change, RecordState]]:
    """Yield each change with what its record states after it, in the order of *changes*."""
    for start in range(0, len(changes), BATCH):
        batch = changes[start : start + BATCH]
        versions = [(base + change.graph, change.entry) for change in batch]
        for change, triples in zip(batch, history.states(versions), strict=True):
            statements = (  # no subject is a blank node
                (cast(NamedNode, t.subject).value, t.predicate.value, from_node(t.object))
                for t in triples
            )
            yield change, RecordState(base + change.graph, tuple(statements))
