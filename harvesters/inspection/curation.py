"""List what curators decide: the words of registries that no crosswalk translates, with the concepts of
like names, and the suggested topics.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

from pyoxigraph import Literal
from rapidfuzz import fuzz, process

from harvesters.inspection.findings import parse_statements
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import decompress
from harvesters.mappings.topics import CURATOR
from harvesters.source import decision_table, read_decision_table
from vocab.crosswalks import matches_by_word
from vocab.curated import NO_CONCEPT, SUGGESTED, CuratedWord, resolve_concept, short_name
from vocab.iris import Iris
from vocab.lookup import SDG, fold
from vocab.schemes import concepts, label
from vocab.terms import DCAT, DCT, ORG

LOWEST = 65.0  # the lowest score, of 100, of a name that is near to a word
NEAREST = 3  # concepts of a word
# The codes of goals and targets that a field can have; indicators have more points.
_CODES = {
    "topic": re.compile(r"\d{1,2}(?:\.\w{1,2})?\Z"),
    "goal": re.compile(r"\d{1,2}\Z"),
    "target": re.compile(r"\d{1,2}\.\w{1,2}\Z"),
}
LONGEST = 300  # characters of a word that is compared with names


@dataclass(frozen=True, slots=True)
class Near:
    """A concept whose name is like a word; *score* is 100 for the same name."""

    iri: str
    name: str
    score: float


@dataclass(frozen=True, slots=True)
class UnmappedWord:
    """A word that no crosswalk translates: its *field*, the number of published records of each
    source, and the nearest concepts.
    """

    word: str
    field: str
    records: Mapping[str, int]
    nearest: tuple[Near, ...]

    @property
    def count(self) -> int:
        """Return the number of records of all sources."""
        return sum(self.records.values())


Curated = Mapping[str, Iterable[CuratedWord]]  # what curators chose, by source


def find_gaps(
    ledger: Ledger, sources: Iterable[str], iris: Iris, limit: int, curated: Curated | None = None
) -> list[UnmappedWord]:
    """Return the *limit* most frequent words of the published records of *sources* that no
    crosswalk translates.

    A word is counted once for each record. A record has no gap if another word gave it the concept,
    by a crosswalk or by a choice of *curated*, or if a curator chose that no concept fits. Topics
    are compared with action lines, goals and targets, all other fields with the concepts that they
    can have, by their names. Equally frequent words are in the order of the alphabet.
    """
    counts: dict[tuple[str, str], Counter[str]] = {}
    for source in sources:
        for field, word in _words(ledger, source, iris, (curated or {}).get(source, ())):
            counts.setdefault((field, word), Counter())[source] += 1
    most = sorted(counts, key=lambda key: (-counts[key].total(), key[1], key[0]))[:limit]
    return [
        UnmappedWord(word, field, dict(counts[field, word]), _nearest(word, field, iris))
        for field, word in most
    ]


def _fields(iris: Iris) -> dict[str, str]:
    """Return the name of each field that should have a concept, by its property."""
    ours = ("actionLine", "goal", "target", "status", "coverage", "activityType", "developedIn")
    return {
        f"{DCAT}keyword": "topic",
        f"{DCT}spatial": "country",
        f"{ORG}classification": "organization type",
        **{f"{iris.ns}{name}": name for name in ours},
    }


def _words(
    ledger: Ledger, source: str, iris: Iris, curated: Iterable[CuratedWord]
) -> Iterator[tuple[str, str]]:
    """Yield the field and the word of each untranslated value, once for each record."""
    fields, source_word, link = _fields(iris), f"{iris.ns}sourceWord", f"{iris.ns}concept"
    curated = list(curated)
    settled = {fold(item.word) for item in curated if item.concept == NO_CONCEPT}
    chosen = {
        fold(item.word): frozenset({resolved[1]})
        for item in curated
        if (resolved := resolve_concept(item.concept, iris.base))
    }
    known = matches_by_word(iris.base)
    for statements in ledger.published_descriptions(source):
        lines = [
            line
            for line in decompress(statements).splitlines()
            if _property(line) in (*fields, source_word, link)
        ]
        quads = list(parse_statements(lines))
        translated = {quad.object.value for quad in quads if quad.predicate.value == source_word}
        linked = {quad.object.value for quad in quads if quad.predicate.value == link}
        literals = (
            quad
            for quad in quads
            if quad.predicate.value in fields and isinstance(quad.object, Literal)
        )
        words = {
            (fields[quad.predicate.value], quad.object.value)
            for quad in literals
            if quad.object.value not in translated
        }
        yield from (
            pair
            for pair in words
            if fold(pair[1]) not in settled
            and linked.isdisjoint(
                chosen.get(fold(pair[1])) or known.get(fold(pair[1]), frozenset())
            )
        )


def _property(line: str) -> str:
    return line.partition("> <")[2].partition(">")[0]


def _nearest(word: str, field: str, iris: Iris) -> tuple[Near, ...]:
    names, concept_iris = _names(field, iris.base)
    if len(word) > LONGEST:
        return ()
    best: dict[str, float] = {}
    for _, score, index in process.extract(
        fold(word), names, scorer=fuzz.token_sort_ratio, limit=4 * NEAREST, score_cutoff=LOWEST
    ):
        best.setdefault(concept_iris[index], score)
    return tuple(
        Near(iri, label(iri, "en", iris.base) or iri, round(score, 1))
        for iri, score in list(best.items())[:NEAREST]
    )


@lru_cache(maxsize=16)
def _names(field: str, base: str) -> tuple[list[str], list[str]]:
    """Return the folded names, in all languages, of the concepts that *field* can have, and the IRI
    of each.
    """
    schemes = {
        "topic": ("action-line", "sdg"),
        "actionLine": ("action-line",),
        "goal": ("sdg",),
        "target": ("sdg",),
        "country": ("area",),
        "developedIn": ("area",),
        "organization type": ("stakeholder-type",),
        "activityType": ("activity-type",),
    }
    pairs = [
        (folded, concept.iri)
        for scheme in schemes.get(field, (field,))
        for concept in concepts(scheme, base).values()
        if _is_wanted(concept.iri, field)
        for name in concept.labels
        if (folded := fold(name.value))
    ]
    return [name for name, _ in pairs], [iri for _, iri in pairs]


def _is_wanted(iri: str, field: str) -> bool:
    """Return whether a concept can be the value of *field*: the scheme of the goals also has
    targets and indicators.
    """
    is_coded = field in _CODES and (iri.startswith(SDG) or "/scheme/sdg/" in iri)
    return not is_coded or _CODES[field].match(iri.rpartition("/")[2]) is not None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A *concept* (IRI) that *method* suggests for the record *key*, with a *confidence* from 0 to
    1, because of its *words*.
    """

    key: str
    concept: str
    confidence: float
    method: str
    words: str


def find_suggestions(ledger: Ledger, source: str, iris: Iris) -> Iterator[Suggestion]:
    """Yield the suggestions of the published records of *source* that no curator has confirmed."""
    for statements in ledger.published_descriptions(source):
        lines = decompress(statements).splitlines()
        suggested = [line for line in lines if "#suggested-" in line.partition(" ")[0]]
        nodes: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for quad in parse_statements(suggested):
            name = quad.predicate.value.removeprefix(iris.ns)
            nodes[quad.subject.value][name] = quad.object.value
        for node, values in nodes.items():
            if values.get("method") != CURATOR and "concept" in values:
                key = unquote(node.partition("#")[0].removeprefix(f"{iris.base}record/{source}/"))
                confidence = float(values.get("confidence", "0"))
                yield Suggestion(
                    key,
                    values["concept"],
                    confidence,
                    values.get("method", ""),
                    values.get("sourceWord", ""),
                )


def undecided(ledger: Ledger, folder: Path, source: str, iris: Iris) -> list[Suggestion]:
    """Return the suggestions that no line of the table decides, the surest first."""
    decisions, _ = read_decision_table(decision_table(folder, source))
    decided = {(item.key, item.concept) for item in decisions if item.decision != SUGGESTED}
    results = [
        item
        for item in find_suggestions(ledger, source, iris)
        if (item.key, short_name(item.concept, iris.base)) not in decided
    ]
    return sorted(results, key=lambda item: (-item.confidence, item.key, item.concept))
