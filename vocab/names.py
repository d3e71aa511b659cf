"""Names: look-up tables from a concept's names to its IRI, in which what names two concepts names none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vocab.normal import bag, fold
from vocab.schemes import Concept


class Names:
    """A table of the names of some concepts, frozen once built; keys are folded texts."""

    __slots__ = ("_bags", "_keys")

    def __init__(self, names: Iterable[tuple[str, str]], *, inverted: bool = False) -> None:
        self._keys = _table((fold(name), iri) for name, iri in names)
        self._bags = _table((bag(key), iri) for key, iri in self._keys.items() if iri) if inverted else {}

    def find(self, key: str) -> str | None:
        """Find the one concept that the folded *key* names; None where there is none or more than one."""
        if key in self._keys:
            return self._keys[key]
        return self._bags.get(bag(key)) if self._bags else None


def labelled(concepts: Iterable[Concept]) -> Iterator[tuple[str, str]]:
    """Pair each label of some concepts with its concept's IRI."""
    return ((name.value, concept.iri) for concept in concepts for name in concept.labels)


def _table(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    table: dict[str, str | None] = {}
    for key, iri in pairs:
        if key:
            table[key] = iri if table.get(key, iri) == iri else None
    return table
