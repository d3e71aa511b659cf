"""Index concepts by their labels; a label of two concepts finds neither."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vocab.normalization import fold, sorted_words_key
from vocab.schemes import Concept


class LabelIndex:
    """An immutable index from folded labels to IRIs."""

    __slots__ = ("_bags", "_keys")

    def __init__(self, names: Iterable[tuple[str, str]], *, inverted: bool = False) -> None:
        self._keys = _unique_table((fold(name), iri) for name, iri in names)
        self._bags = (
            _unique_table((sorted_words_key(key), iri) for key, iri in self._keys.items() if iri)
            if inverted
            else {}
        )

    def find(self, key: str) -> str | None:
        """Return the one concept with the folded *key*; None if there is none or more than one."""
        if key in self._keys:
            return self._keys[key]
        return self._bags.get(sorted_words_key(key)) if self._bags else None


def label_pairs(concepts: Iterable[Concept]) -> Iterator[tuple[str, str]]:
    return ((name.value, concept.iri) for concept in concepts for name in concept.labels)


def _unique_table(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    table: dict[str, str | None] = {}
    for key, iri in pairs:
        if key:
            table[key] = iri if table.get(key, iri) == iri else None
    return table
