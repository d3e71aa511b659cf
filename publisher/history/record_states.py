"""What records stated after their changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from publisher.history.change_reader import Change, History, open_history
from publisher.rdf.results import Term, from_node
from publisher.store.query_service import QueryService
from vocab.terms import DCT, FOAF, literal

BATCH = 250  # records that are read at once
_TOPIC = f"{FOAF}primaryTopic"


@dataclass(frozen=True, slots=True)
class RecordState:
    """The statements of a record's graph: (subject, predicate, object), without duplicates."""

    graph: str
    statements: tuple[tuple[str, str, Term], ...]
    _values: dict[tuple[str, str], list[Term]] = field(default_factory=dict)

    def all(self, predicate: str, subject: str | None = None) -> list[Term]:
        """Return the values of a property, of the record's thing or of *subject*."""
        return self._values_by_property().get((subject or self.topic, predicate), [])

    def one(self, predicate: str, subject: str | None = None) -> Term | None:
        """Return the first value of a property, None if there is none."""
        return next(iter(self.all(predicate, subject)), None)

    @property
    def topic(self) -> str:
        """Return what the record describes, or the record itself if that is unknown."""
        return next(
            (item.value for item in self._values_by_property().get((self.graph, _TOPIC), ())),
            self.graph,
        )

    def _values_by_property(self) -> dict[tuple[str, str], list[Term]]:
        if not self._values:
            for s, p, o in self.statements:
                self._values.setdefault((s, p), []).append(o)
        return self._values

    def title(self, *languages: str) -> Term | None:
        """Return the title in the first available of *languages*, else in any; of a deleted record,
        its last title.
        """
        titles = self.all(f"{DCT}title") or self.all(f"{DCT}title", self.graph)
        return preferred_text(titles, languages or ("en",))

    def lines(self) -> list[str]:
        """Write the statements in N-Triples, sorted, without the closing dot."""
        # all subjects and predicates are IRIs
        return sorted(f"<{s}> <{p}> {written(o)}" for s, p, o in self.statements)


def preferred_text(terms: Sequence[Term], languages: Sequence[str] = ("en",)) -> Term | None:
    """Return the text in the first available of *languages*, else one without a language, else any."""
    ranks = {tag: rank for rank, tag in enumerate((*languages, None))}
    return min(terms, key=lambda item: ranks.get(item.language, len(ranks)), default=None)


def written(term: Term) -> str:
    """Write a term in canonical N-Triples."""
    if term.is_iri:
        return f"<{term.value}>"
    return literal(term.value, term.language) + (
        f"^^<{term.datatype}>" if term.datatype and not term.language else ""
    )


async def read_states(service: QueryService, changes: Sequence[Change]) -> list[RecordState]:
    """Return what each record states after its change, in the order of *changes*. Raises NotReady."""
    history, base = open_history(service), service.iris.base
    out: list[RecordState] = []
    for start in range(0, len(changes), BATCH):
        versions = [(base + item.graph, item.entry) for item in changes[start : start + BATCH]]
        out += await asyncio.to_thread(_read, history, versions)
    return out


def _read(history: History, versions: Sequence[tuple[str, int]]) -> list[RecordState]:
    return [
        RecordState(
            graph,
            tuple(
                (from_node(t.subject).value, t.predicate.value, from_node(t.object))
                for t in triples
            ),
        )
        for (graph, _), triples in zip(versions, history.states(versions), strict=True)
    ]
