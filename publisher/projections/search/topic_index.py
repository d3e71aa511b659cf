"""Search topics: the concepts of the vocabulary that are named by the words of a search.

The index is in memory: some 500 concepts, with their labels in six languages and the synonyms of
``synonyms.toml``, which are read when an index is built.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path

import tantivy

from languages.request_locale import LANGUAGES
from languages.translations import load_translations
from publisher.projections.search.index import (
    TOPICS,
    SearchEntry,
    Texts,
    document,
    fold,
    schema,
    tokens,
)
from publisher.projections.search.query_parser import (
    NamedTopics,
    SearchRequest,
    build_query,
    is_target,
    parse_clauses,
    word_query,
)
from publisher.projections.search.topics import Topic, parse_topics

MAX_NAME_LENGTH = 60  # characters; longer labels, such as those of targets, count as descriptions
_MAX_TOPICS = 1_000  # extra than there are
_HEAP = 15_000_000  # bytes: the minimum of tantivy
# first without stems: across six languages many stems are equal by chance
_STEM_LANGUAGES = ((), tuple(LANGUAGES))
# topics: a word in the labels of extra than these identifies none of them, such as "the" and "of"
_COMMON = 100
_CACHED = 5_000  # words whose topics are cached
SYNONYMS = files("publisher.projections.search") / "synonyms.toml"

Synonyms = Mapping[str, Texts]


@dataclass(frozen=True, slots=True)
class TopicHit:
    """A topic that a search names, with its *score*: higher is better."""

    topic: Topic
    score: float


class TopicIndex:
    """The labels of *topics*, with *synonyms* as ``load_synonyms`` returns them."""

    def __init__(self, topics: Iterable[Topic], synonyms: Synonyms) -> None:
        self.topics = {topic.iri: topic for topic in topics}
        index = tantivy.Index(schema())
        writer = index.writer(_HEAP, 1)
        # by word: the folded words of each name that contains it
        self._names_by_word: dict[str, list[tuple[frozenset[str], str]]] = {}
        self._runs: list[tuple[str, str]] = []  # names in scripts without spaces
        self._names: dict[str, Texts] = {}
        for topic in self.topics.values():
            names, others = _labels(topic, synonyms)
            writer.add_document(
                document(SearchEntry(topic.iri, topic.scheme, "", 0, names, others))
            )
            for words in map(tokens, dict.fromkeys(text for text, _ in names)):
                folded = frozenset(fold(word) for word, _ in words)
                if len(words) == 1 and words[0][1]:
                    self._runs.append((fold(words[0][0]), topic.iri))
                for word in folded:
                    self._names_by_word.setdefault(word, []).append((folded, topic.iri))
            self._names[topic.iri] = names
        writer.commit()
        writer.wait_merging_threads()
        index.config_reader("manual")
        index.reload()
        self._searcher = index.searcher()
        self._cached: dict[tuple[str, bool, bool, bool], NamedTopics] = {}

    def named_by(self, word: str, run: bool, is_prefix: bool, fuzzy: bool) -> NamedTopics:
        """Return the IRIs of the concepts that *word* names, countries of regions among them.

        The labels of targets are sentences, in which a word names little: targets are named only
        where nothing else matched (*fuzzy*), by the word itself.
        """
        key = (word, run, is_prefix, fuzzy)
        if key not in self._cached:
            if len(self._cached) >= _CACHED:
                self._cached.clear()
            near, far = self._labelled(*key)
            exact = self._labelled(word, run, is_prefix, False) if fuzzy else ((), ())
            targets = [iri for iris in exact for iri in iris if is_target(iri)]
            near, far = ([iri for iri in iris if not is_target(iri)] for iris in (near, far))
            self._cached[key] = NamedTopics(
                tuple(self._with_members(near)),
                tuple(self._with_members([*(iri for iri in far if iri not in near), *targets])),
            )
        return self._cached[key]

    def _labelled(
        self, word: str, run: bool, is_prefix: bool, fuzzy: bool
    ) -> tuple[Collection[str], Collection[str]]:
        """Return the concepts with *word* in a name, and in a longer label."""
        near, far = (
            self._first_hits(
                [
                    word_query(word, run, is_prefix, fuzzy, field, languages)
                    for languages in _STEM_LANGUAGES
                ]
            )
            for field in ("title", "text")
        )
        return ((), ()) if len(near) + len(far) > _COMMON else (near, far)

    def named_whole(self, words: str, *, fuzzy: bool) -> tuple[str, ...]:
        """Return the IRIs of the concepts that all *words* name together, countries of regions
        among them.
        """
        return tuple(self._with_members(self._search_all_words(words, fuzzy)))

    def search(self, words: str, *, fuzzy: bool = False) -> list[TopicHit]:
        """Return the topics whose labels have all *words*, and those whose whole name is in
        *words*; the best first.

        *fuzzy* accepts similar words, as the search does.
        """
        scores = self._search_all_words(words, fuzzy)
        if len(scores) > _COMMON:
            return []
        for iri in self._named_in(words):
            scores[iri] = scores.get(iri, 0.0) + 1.0
        ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
        return [TopicHit(self.topics[iri], score) for iri, score in ranked]

    def names(self, topic: Topic) -> list[str]:
        """Return the names of *topic* in all languages, synonyms among them."""
        return [text for text, _ in self._names[topic.iri]]

    def _search_all_words(self, words: str, fuzzy: bool) -> dict[str, float]:
        return self._first_hits(
            [
                build_query(SearchRequest(words), languages, fuzzy=fuzzy)
                for languages in _STEM_LANGUAGES
            ]
        )

    def _first_hits(self, queries: Iterable[tantivy.Query]) -> dict[str, float]:
        """Return the hits of the first of *queries* that has any."""
        return next((hits for hits in map(self._search, queries) if hits), {})

    def _search(self, query: tantivy.Query) -> dict[str, float]:
        hits = self._searcher.search(query, _MAX_TOPICS).hits
        return {
            str(self._searcher.doc(address).get_first("thing")): float(score)
            for score, address in hits
        }

    def _with_members(self, iris: Iterable[str]) -> dict[str, None]:
        return dict.fromkeys(one for iri in iris for one in (iri, *self.topics[iri].members))

    def _named_in(self, words: str) -> set[str]:
        """Return the topics that have a name whose words are all in *words*; its last word may be a
        prefix, as in ``health ken*``.
        """
        clauses = [
            clause for group in parse_clauses(words) for clause in group if not clause.is_negated
        ]
        known = {fold(word) for clause in clauses for word, run in clause.words if not run}
        runs = [fold(word) for clause in clauses for word, run in clause.words if run]
        prefixes = tuple(fold(clause.words[-1][0]) for clause in clauses if clause.is_prefix)
        if prefixes:
            known.update(word for word in self._names_by_word if word.startswith(prefixes))
        iris = {
            iri
            for word in known
            for name, iri in self._names_by_word.get(word, ())
            if name <= known
        }
        return iris | {iri for name, iri in self._runs if any(name in run for run in runs)}


def _labels(topic: Topic, synonyms: Synonyms) -> tuple[Texts, Texts]:
    """Return the names of *topic* and its longer labels; English labels without a translation get
    that of the pages.
    """
    known = {tag for _, tag in topic.preferred}
    english = [text for text, tag in topic.preferred if tag == "en"]
    translated = [
        (text, language)
        for language in LANGUAGES
        if language not in known
        for text in (load_translations(language).gettext(item) for item in english)
        if text not in english
    ]
    path = "scheme/" + topic.iri.rpartition("/scheme/")[2]
    extra = synonyms.get(topic.iri, ()) + synonyms.get(path, ())
    code = [(topic.iri.rpartition("/")[2], None)] if topic.scheme == "action-line" else []
    labels = dict.fromkeys([*topic.preferred, *translated, *topic.others, *code, *extra])
    names = tuple(item for item in labels if len(item[0]) <= MAX_NAME_LENGTH)
    return names, tuple(item for item in labels if len(item[0]) > MAX_NAME_LENGTH)


@cache
def load_synonyms() -> Synonyms:
    """Read ``synonyms.toml``: words with their languages by the topic's IRI, or its part after the
    base of our IRIs.
    """
    with SYNONYMS.open("rb") as file:
        rows = tomllib.load(file)["topic"]
    return {
        row["topic"]: tuple(
            (text, language) for language in LANGUAGES for text in row.get(language, ())
        )
        for row in rows
    }


def open_topics(folder: Path) -> TopicIndex | None:
    """Return the topics of the text index in *folder*; None if the store has no vocabulary."""
    try:
        content = (folder / TOPICS).read_bytes()
    except FileNotFoundError:
        return None
    return _build_cached(content)


# the vocabulary changes rarely; journal entries that do not change it share one index
@lru_cache(maxsize=2)
def _build_cached(content: bytes) -> TopicIndex:
    return TopicIndex(parse_topics(content), load_synonyms())
