"""Search topics: the concepts that things are linked to and that the words of a search name.

The entry of a thing has only the IRIs of its concepts, since their labels, in six languages, change
at other times than the thing. The labels are stored in a file beside the index. They are searched
in memory: some 500 concepts, and the synonyms of ``synonyms.toml``, which are read when an index is
built.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files

import orjson
import tantivy

from languages.translations import LANGUAGES, load_translations
from publisher.store.search.index import (
    SearchEntry,
    Texts,
    Topic,
    as_tuples,
    document,
    fold,
    schema,
    tokens,
)
from publisher.store.search.query import (
    SearchRequest,
    build_query,
    is_target,
    wanted_clauses,
    word_query,
)

MAX_NAME_LENGTH = 60  # characters; longer labels, such as those of targets, count as descriptions
_MAX_TOPICS = 1_000  # more than there are
_HEAP = 15_000_000  # bytes: the minimum of tantivy
# Words are searched first without stems: across six languages many stems are equal by chance.
_STEM_LANGUAGES = ((), tuple(LANGUAGES))
# A word in the labels of more topics than these, such as "the" and "of", identifies none of them.
_COMMON = 100
_CACHED = 5_000  # words whose topics are cached
SYNONYMS = files("publisher.store.search") / "synonyms.toml"


class TopicIndex:
    """The labels of *topics*, with *synonyms* as ``load_synonyms`` returns them. *names* are the
    names of each in all languages, synonyms among them, by its IRI.
    """

    def __init__(self, topics: Iterable[Topic], synonyms: Mapping[str, Texts]) -> None:
        self.topics = {topic.iri: topic for topic in topics}
        self.names: dict[str, list[str]] = {}
        index = tantivy.Index(schema())
        writer = index.writer(_HEAP, 1)
        for topic in self.topics.values():
            labels = _labels(topic, synonyms)
            names = tuple(label for label in labels if len(label[0]) <= MAX_NAME_LENGTH)
            others = tuple(label for label in labels if len(label[0]) > MAX_NAME_LENGTH)
            writer.add_document(document(SearchEntry(topic.iri, topic.scheme, "", names, others)))
            self.names[topic.iri] = [text for text, _ in names]
        writer.commit()
        writer.wait_merging_threads()
        index.config_reader("manual")
        index.reload()
        self._searcher = index.searcher()
        # The folded words of each name.
        self._folded = [
            (frozenset(fold(word) for word, _ in tokens(name)), iri)
            for iri, names in self.names.items()
            for name in dict.fromkeys(names)
        ]
        self._words = frozenset[str]().union(*(words for words, _ in self._folded))
        self.named_by = lru_cache(_CACHED)(self._find_named)

    def _find_named(
        self, word: str, run: bool, is_prefix: bool, fuzzy: bool
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Return the IRIs of the concepts that *word* names, countries of regions among them: those
        with it in a name, and in a longer label.

        The labels of targets are sentences, in which a word names little: targets are named only
        where nothing else matched (*fuzzy*), by the word itself.
        """
        near, far = self._labelled(word, run, is_prefix, fuzzy)
        exact = self._labelled(word, run, is_prefix, False) if fuzzy else ()
        targets = [iri for iris in exact for iri in iris if is_target(iri)]
        others = [iri for iri in far if iri not in near and not is_target(iri)]
        named = self._with_members(iri for iri in near if not is_target(iri))
        return named, self._with_members([*others, *targets])

    def _labelled(
        self, word: str, run: bool, is_prefix: bool, fuzzy: bool
    ) -> tuple[Collection[str], Collection[str]]:
        """Return the concepts with *word* in a name, and in a longer label."""
        near, far = (
            self._first_hits(
                word_query(word, run, is_prefix, fuzzy, field, languages)
                for languages in _STEM_LANGUAGES
            )
            for field in ("title", "text")
        )
        return ((), ()) if len(near) + len(far) > _COMMON else (near, far)

    def named_whole(self, words: str, *, fuzzy: bool) -> Sequence[str]:
        """Return the IRIs of the concepts that all *words* name together, countries of regions
        among them.
        """
        return self._with_members(self._search_all_words(words, fuzzy))

    def search(self, words: str, *, fuzzy: bool = False) -> dict[str, float]:
        """Return the IRIs and scores of the topics whose labels have all *words*, and of those
        whose whole name is in *words*; the best first.

        *fuzzy* accepts similar words, as the search does.
        """
        scores = self._search_all_words(words, fuzzy)
        if len(scores) > _COMMON:
            return {}
        for iri in self._named_in(words):
            scores[iri] = scores.get(iri, 0.0) + 1.0
        return dict(sorted(scores.items(), key=lambda pair: (-pair[1], pair[0])))

    def _search_all_words(self, words: str, fuzzy: bool) -> dict[str, float]:
        return self._first_hits(
            build_query(SearchRequest(words), languages, fuzzy=fuzzy)
            for languages in _STEM_LANGUAGES
        )

    def _first_hits(self, queries: Iterable[tantivy.Query]) -> dict[str, float]:
        """Return the scores of the hits of the first of *queries* that has any."""
        results = (self._searcher.search(query, _MAX_TOPICS).hits for query in queries)
        hits = next(filter(None, results), [])
        documents = ((self._searcher.doc(address), score) for score, address in hits)
        return {str(stored["thing"][0]): float(score) for stored, score in documents}

    def _with_members(self, iris: Iterable[str]) -> Sequence[str]:
        return list(dict.fromkeys(one for iri in iris for one in (iri, *self.topics[iri].members)))

    def _named_in(self, words: str) -> set[str]:
        """Return the topics that have a name whose words are all in *words*; its last word may be a
        prefix, as in ``health ken*``.
        """
        clauses = wanted_clauses(words)
        known = {fold(word) for clause in clauses for word, run in clause.words if not run}
        runs = [fold(word) for clause in clauses for word, run in clause.words if run]
        prefixes = tuple(fold(clause.words[-1][0]) for clause in clauses if clause.is_prefix)
        known |= {
            word
            for word in self._words
            if word.startswith(prefixes) or any(word in run for run in runs)
        }
        return {iri for name, iri in self._folded if name <= known}


def _labels(topic: Topic, synonyms: Mapping[str, Texts]) -> Iterable[tuple[str, str | None]]:
    """Return the labels of *topic*; English labels without a translation get that of the pages."""
    known = {tag for _, tag in topic.preferred}
    english = [text for text, tag in topic.preferred if tag == "en"]
    translated = [
        (text, language)
        for language in LANGUAGES
        if language not in known
        for text in map(load_translations(language).gettext, english)
        if text not in english
    ]
    path = "scheme/" + topic.iri.rpartition("/scheme/")[2]
    extra = synonyms.get(topic.iri, ()) + synonyms.get(path, ())
    code = [(topic.iri.rpartition("/")[2], None)] if topic.scheme == "action-line" else []
    return dict.fromkeys([*topic.preferred, *translated, *topic.others, *code, *extra])


@cache
def load_synonyms() -> Mapping[str, Texts]:
    """Read ``synonyms.toml``: words with their languages by the topic's IRI, or its part after the
    base of our IRIs.
    """
    return {
        row["topic"]: tuple(
            (text, language) for language in LANGUAGES for text in row.get(language, ())
        )
        for row in tomllib.loads(SYNONYMS.read_text("utf-8"))["topic"]
    }


# The vocabulary changes rarely; journal entries that do not change it share one index.
@lru_cache(maxsize=2)
def build_topics(content: bytes) -> TopicIndex:
    """Return the index of the topics that ``write_topics`` wrote."""
    return TopicIndex((Topic(*row) for row in as_tuples(orjson.loads(content))), load_synonyms())
