"""Look up our concepts by the names and codes that registries use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from vocab.curated import resolve_concept
from vocab.iris import Iris
from vocab.lookup import (
    MAX_LENGTH,
    LabelIndex,
    action_line,
    area,
    country,
    fold,
    goal,
    label_pairs,
    target,
)
from vocab.schemes import concepts, label, schemes
from vocab.terms import LANGUAGES

__all__ = ["Crosswalks", "area", "country", "goal", "target"]

# These schemes have too many and too long names to be indexed as names of our concepts.
EXCLUDED_SCHEMES = frozenset(("sdg", "area"))


@lru_cache(maxsize=64)
def _names(scheme: str, base: str) -> LabelIndex:
    """Index a scheme: its own names and codes, and the names of foreign concepts that match one of
    its own.
    """
    own = concepts(scheme, base)
    foreign = (
        concept
        for name in schemes(base)
        if name not in EXCLUDED_SCHEMES
        for concept in concepts(name, base).values()
    )
    return LabelIndex(
        [
            *label_pairs(own.values()),
            *((code, item.iri) for item in own.values() for code in item.notations),
            *(
                (name.value, match)
                for item in foreign
                for match in item.matches
                if match in own
                for name in item.labels
            ),
        ]
    )


@lru_cache(maxsize=64)
def _all_matches(scheme: str, base: str) -> dict[str, tuple[str, ...]]:
    """Return all matching concepts of ours for each code and folded label of a foreign scheme."""
    rows = concepts(scheme, base).values()
    return {
        key: row.matches
        for row in rows
        for key in (*row.notations, *(fold(name.value) for name in row.labels))
    }


@lru_cache(maxsize=16)
def matches_by_word(base: str) -> dict[str, frozenset[str]]:
    """Return the concepts of ours that any foreign scheme matches to each folded word.

    >>> [iri.rpartition("/")[2] for iri in matches_by_word(Iris().base)["social protection"]]
    ['1.3']
    """
    results: dict[str, frozenset[str]] = {}
    for scheme in schemes(base):
        for concept in concepts(scheme, base).values() if scheme not in EXCLUDED_SCHEMES else ():
            for word in {fold(name.value) for name in concept.labels} if concept.matches else ():
                results[word] = results.get(word, frozenset()) | frozenset(concept.matches)
    return results


@lru_cache(maxsize=64)
def _curated(words: tuple[tuple[str, str], ...], base: str) -> dict[str, tuple[str, str]]:
    """Return the kind and the IRI of the concept that a curator chose for each folded word."""
    return {
        fold(word): resolved
        for word, concept in words
        if (resolved := resolve_concept(concept, base))
    }


@dataclass(frozen=True, slots=True)
class Crosswalks:
    """The crosswalks under one base. Each look-up returns an IRI, or None if no crosswalk matches.

    *words* are a registry's own words with the short names of the concepts that a curator chose;
    they come before the crosswalks.

    >>> walk = Crosswalks(Iris("https://example.org/"))
    >>> walk.action_line("C7. E-Health"), walk.find_by_name("status", "finished"), walk.find_match("iati-activity-scope", "1")[-13:]
    ('https://example.org/scheme/action-line/C7-ehea', 'https://example.org/scheme/status/completed', 'international')
    """

    iris: Iris
    words: tuple[tuple[str, str], ...] = ()

    def is_curated(self, text: str) -> bool:
        return (
            bool(self.words)
            and len(text) <= MAX_LENGTH
            and fold(text) in _curated(self.words, self.iris.base)
        )

    def _chosen(self, text: str | int, *kinds: str) -> str | None:
        """Return the concept of one of *kinds* that a curator chose for a word."""
        if not self.words or not isinstance(text, str) or len(text) > MAX_LENGTH:
            return None
        kind, concept = _curated(self.words, self.iris.base).get(fold(text), ("", None))
        return concept if kind in kinds else None

    def goal(self, text: str | int) -> str | None:
        return self._chosen(text, "goal") or goal(text)

    def target(self, text: str | int) -> str | None:
        return self._chosen(text, "target") or target(text)

    def country(self, text: str | int) -> str | None:
        return self._chosen(text, "country") or country(text)

    def action_line(self, text: str) -> str | None:
        if chosen := self._chosen(text, "action-line"):
            return chosen
        code = action_line(text)
        return self.iris.concept("action-line", code) if code else None

    def prize_category(self, text: str) -> str | None:
        """Return a category of the WSIS Prizes, named by its action line, or the special prizes or
        the photo contest; none for C7 alone.

        >>> Crosswalks(Iris()).prize_category("WSIS Special Prizes")
        'https://w3id.org/wsis-stocktaking/scheme/prize-category/special'
        """
        code = action_line(text)
        if code:
            return self.iris.concept("prize-category", code) if code != "C7" else None
        return self.find_by_name("prize-category", text)

    def find_all(self, scheme: str, word: str) -> tuple[str, ...]:
        """Return all our concepts that match a code or a word of the foreign *scheme*; may be
        empty. A code does not inherit from its beginning: 14050, waste management, is not in goal 6
        because 140 is.

        >>> [iri.rpartition("/")[2] for iri in Crosswalks(Iris()).find_all("world-bank-sector", "Social protection")]
        ['1.3']
        """
        if chosen := self._chosen(word, "goal", "target", "action-line"):
            return (chosen,)
        matches = _all_matches(scheme, self.iris.base)
        return (
            matches.get(word.strip()) or matches.get(fold(word), ())
            if len(word) <= MAX_LENGTH
            else ()
        )

    def is_own_name(self, iri: str, text: str) -> bool:
        """Return whether *text* is the code or a preferred label of a concept, and not only another
        name of it.

        >>> walk = Crosswalks(Iris("https://example.org/"))
        >>> [walk.is_own_name(walk.find_by_name("status", "closed"), word) for word in ("Completed", "closed")]
        [True, False]
        """
        own = (
            iri.rpartition("/")[2],
            *(label(iri, language, self.iris.base) for language in LANGUAGES),
        )
        return fold(text) in {fold(name) for name in own if name}

    def find_by_name(self, scheme: str, text: str) -> str | None:
        """Return the concept of one of our schemes that has *text* as a name or code, or None."""
        if len(text) > MAX_LENGTH:
            return None
        return self._chosen(text, scheme) or _names(scheme, self.iris.base).find(fold(text))

    def find_match(self, scheme: str, code: str) -> str | None:
        """Return our concept that matches *code* of the foreign *scheme* (a file of
        ``data/crosswalks``), or None.
        """
        matches = _all_matches(scheme, self.iris.base).get(code.strip(), ())
        return matches[0] if len(matches) == 1 else None
