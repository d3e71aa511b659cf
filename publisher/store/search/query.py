"""Parse what a user typed, and build the query of the index.

All words must match, in any order. The syntax is ``"a phrase"``, ``prefix*``, ``-excluded``, ``this
OR that``. If nothing matches all words, similar words and words that contain them match too, and
the result says so.

Words match titles, descriptions, names of places and of organizations that take part, and labels
of the concepts that a thing is linked to; a search that is the identifier of a record matches it.
Labels are not stored with each thing, since they change at other times: the concepts that a word
names are looked up first, then things linked to their IRIs. The labels are in a file beside the index.
They are searched in memory: some 500 concepts in six languages, and the synonyms of
``synonyms.toml``, which are read when an index is built.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

import orjson
import tantivy
from tantivy import Occur, Query

from languages.translations import LANGUAGES, load_translations
from publisher.store.search.index import (
    STEMMERS,
    SearchEntry,
    Texts,
    Topic,
    as_tuples,
    character_pairs,
    document,
    fold,
    schema,
    stem,
    tokens,
)
from vocab.lookup import SDG

MAX_LENGTH = 1_000  # characters of a search
MAX_WORDS = 24  # words of a search; the rest is ignored
_ONE_TYPO, _TWO_TYPOS = 4, 8  # minimum letters of a word that may have one or two typing errors
_INFIX = 5  # minimum letters of a word that matches inside other words
_MAX_TERMS = 100  # of a name; a word of a script without spaces has a term for each two characters
# Regular expressions that are cached: a third of a megabyte and some milliseconds each.
_PATTERNS = 32
_ELECTRONIC = re.compile(r"[^\W\d_]-\w+\*?")  # one word: e-agriculture, m-health
_CLAUSE = re.compile(
    r'(?P<or>(?<=\s)OR\s+)?(?P<minus>-)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))'
)

_FIELDS = ("title", "text", "party")
_WEIGHT = {"title": 4.0, "text": 1.0}  # a title has few words, so each counts more
_STEM_WEIGHT, _SIMILAR_WEIGHT = 0.6, 0.5  # relative to the word itself
# Scores of matches in labels only. They are below nearly all scores of texts, so that matches in
# titles and descriptions rank first; names of places rank as those of organizations.
_NEAR_TOPIC, _FAR_TOPIC, _PARTY = 0.01, 0.003, 0.01
_WHOLE_TOPIC = 0.02  # of a concept whose label has all words
_IDENTIFIER = 100.0  # of the record whose identifier is the search
_FIRST_LANGUAGE = 0.0005  # of a thing with a text in the reader's language: it orders equal scores
# Up to this number of concepts each is scored, so that things with two of them rank before things
# with one.
_MAX_SCORED = 16

Word = tuple[str, bool]  # whether it is a run of a script without spaces


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search: *words* as typed; the other fields restrict it, None does not.

    *field* is ``title`` or ``text``; *language* is the language of a text of the thing; *kind* is
    that of its IRI. Of equal results those with a text in *first*, a language, come first.
    """

    words: str
    field: str | None = None
    language: str | None = None
    kind: str | None = None
    first: str | None = None


class Clause(NamedTuple):
    """A part of a search: the adjacent words of a phrase, a prefix, a word, or one of them negated."""

    words: tuple[Word, ...]
    is_phrase: bool
    is_prefix: bool
    is_negated: bool


def parse_clauses(text: str) -> list[list[Clause]]:
    """Parse a search: a list of clauses that must all match, each with its alternatives.

    A word such as e-agriculture is the phrase "e agriculture" or the word eagriculture.

    >>> [[(clause.words[0][0], clause.is_negated) for clause in group] for group in parse_clauses("water -fire OR school")]
    [[('water', False)], [('fire', True), ('school', False)]]
    """
    groups, remaining = list[list[Clause]](), MAX_WORDS
    for match in _CLAUSE.finditer(text.strip().removesuffix(" OR")):
        typed = match["phrase"] or match["word"] or ""
        words = tuple(tokens(typed)[:remaining])
        if not words:
            continue
        remaining -= len(words)
        is_one, is_negated = bool(_ELECTRONIC.fullmatch(typed)), match["minus"] is not None
        is_prefix, is_phrase = typed.endswith("*"), match["phrase"] is not None
        if not (match["or"] and groups):
            groups.append([])
        groups[-1].append(Clause(words, is_phrase or is_one, is_prefix, is_negated))
        if is_one and not is_phrase and not is_negated:
            joined = ("".join(word for word, _ in words), False)
            groups[-1].append(Clause((joined,), False, is_prefix, is_negated))
    return groups


def wanted_clauses(text: str) -> list[Clause]:
    """Return the clauses of a search that are not negated."""
    return [clause for group in parse_clauses(text) for clause in group if not clause.is_negated]


def build_query(
    request: SearchRequest,
    languages: Iterable[str],
    *,
    fuzzy: bool = False,
    topics: TopicIndex | None = None,
) -> Query:
    """Return the index query of *request* for texts in *languages*; *fuzzy* also matches similar
    words.

    With *topics*, words also match labels, unless *request* names a field.
    """
    groups = parse_clauses(request.words)
    parts = [group_query(group, request, languages, fuzzy=fuzzy, topics=topics) for group in groups]
    required = [part for part in parts if part[0] == Occur.Must]
    if not required:
        parts.append((Occur.Must, Query.all_query()))
    elif not request.field:
        whole = topics.named_whole(request.words, fuzzy=fuzzy) if topics else ()
        named = [iri for iri in whole if not is_target(iri)]
        targets = [iri for iri in whole if is_target(iri) and _names_targets(groups)]
        required.append((Occur.Should, _linked(named, _WHOLE_TOPIC)))
        others = [_identified(request.words), _linked(targets, _FAR_TOPIC)]
        excluded = [part for part in parts if part[0] != Occur.Must]
        parts = [(Occur.Must, _any_of([Query.boolean_query(required), *others])), *excluded]
    restrictions = {"language": request.language, "kind": request.kind}
    parts += [(Occur.Must, _exact(name, v, 0.0)) for name, v in restrictions.items() if v]
    if request.first:
        parts.append((Occur.Should, _exact("language", request.first, _FIRST_LANGUAGE)))
    return Query.boolean_query(parts)


def _identified(typed: str) -> Query:
    identifier = typed.strip(' "').casefold()
    # A key that is a word, as the name of an organization may be, ranks below texts with the word.
    return _exact("identifier", identifier, _PARTY if identifier.isalpha() else _IDENTIFIER)


def is_target(iri: str) -> bool:
    """Return whether *iri* is that of a target of a goal."""
    return iri.startswith(SDG) and "." in iri.removeprefix(SDG)


def _names_targets(groups: list[list[Clause]]) -> bool:
    """Return whether a search has the two words, or four characters without spaces, by which it
    names a target; one word of the sentence that is its label does not.
    """
    words = [word for group in groups for word in group[0].words if not group[0].is_negated]
    return sum(len(word) // 2 if run else 1 for word, run in words) > 1


def group_query(
    group: list[Clause],
    request: SearchRequest,
    languages: Iterable[str],
    *,
    fuzzy: bool = False,
    topics: TopicIndex | None = None,
) -> tuple[Occur, Query]:
    """Return the query of one of the groups of alternatives that ``parse_clauses`` returns for
    *request*, as in ``build_query``. A single negated clause becomes MustNot.
    """
    fields = (request.field,) if request.field else _FIELDS
    languages = [language for language in languages if request.language in (language, None)]
    labels = None if request.field else topics
    queries = [
        _clause(clause, fields, languages, fuzzy and not clause.is_negated, labels)
        for clause in group
    ]
    if len(group) == 1:
        return (Occur.MustNot if group[0].is_negated else Occur.Must), queries[0]
    return Occur.Must, _any_of(
        Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, query)])
        if clause.is_negated
        else query
        for clause, query in zip(group, queries, strict=True)
    )


def _clause(
    clause: Clause,
    fields: Iterable[str],
    languages: list[str],
    fuzzy: bool,
    topics: TopicIndex | None,
) -> Query:
    if clause.is_phrase:
        phrase, typed = _terms(clause.words), " ".join(word for word, _ in clause.words)
        whole = topics.named_whole(f'"{typed}"', fuzzy=False) if topics else ()
        named = [iri for iri in whole if not is_target(iri)]
        matches = [_weighted(_phrase(phrase, field), field) for field in fields]
        return _any_of([*matches, _linked(named, _NEAR_TOPIC)])
    parts = []
    for number, (word, run) in enumerate(clause.words, 1):
        is_prefix = clause.is_prefix and number == len(clause.words)
        near, far = topics.named_by(word, run, is_prefix, fuzzy) if topics else ((), ())
        matches = [
            _weighted(word_query(word, run, is_prefix, fuzzy, field, languages), field)
            for field in fields
        ]
        labels = [_linked(near, _NEAR_TOPIC), _linked(far, _FAR_TOPIC)]
        parts.append((Occur.Must, _any_of([*matches, *labels])))
    return Query.boolean_query(parts)


def word_query(
    word: str, run: bool, is_prefix: bool, fuzzy: bool, field: str, languages: Iterable[str]
) -> Query:
    """Return the query of one word, or of a *run* of a script without spaces, in a field; with
    *is_prefix* the word may continue.
    """
    if run:
        return _phrase(_terms([(word, run)]), field)
    folded = fold(word)
    stems = [
        Query.term_query(schema(), f"{field}_stems", stem(word, language), "freq")
        for language in languages
        if language in STEMMERS
    ]
    queries = [
        _term(folded, field),
        Query.boost_query(Query.disjunction_max_query(stems), _STEM_WEIGHT),
    ]
    if is_prefix:
        queries.append(_pattern(field, f"{folded}.*"))
    if fuzzy:
        queries += [Query.boost_query(q, _SIMILAR_WEIGHT) for q in _similar(folded, field)]
    if fuzzy and len(folded) >= _INFIX:
        queries.append(_pattern(field, f".*{folded}.*"))
    return _any_of(queries)


def name_query(
    text: str,
    kinds: Iterable[str],
    links: Iterable[Iterable[str]] = (),
    *,
    is_prefix: bool = False,
    similar: bool = False,
) -> Query:
    """Return the query of things of *kinds* with any word of *text* in a title; those with its
    words in order rank first.

    *links*: of each set of concepts, the thing is linked to one. *is_prefix*: all words match, and
    the last one may continue. *similar*: words that differ by a typing error or two match too.
    """
    terms = _terms(tokens(text)[:MAX_WORDS])[:_MAX_TERMS]
    queries = [
        _any_of([_term(term, "title"), *(_similar(term, "title") if similar else [])])
        for term in terms
    ]
    required = [_any_of(_exact("kind", kind, 0.0) for kind in kinds)]
    required += [_linked(tuple(choice), 0.0) for choice in links]
    if is_prefix and terms:
        last = _any_of([queries[-1], _pattern("title", f"{terms[-1]}.*")])
        required += [*queries[:-1], last]
    elif terms:
        phrase = _weighted(_phrase(terms, "title"), "title")
        required.append(_any_of([*queries, phrase] if len(terms) > 1 else queries))
    return Query.boolean_query([(Occur.Must, query) for query in required])


def _terms(words: Iterable[Word]) -> list[str]:
    """Return the terms of words. The last character of a run alone is indexed only at its end, so
    it is omitted.
    """
    terms = list[str]()
    for word, run in words:
        folded = fold(word)
        terms += character_pairs(folded)[: max(1, len(folded) - 1)] if run else [folded]
    return terms


def _similar(term: str, field: str) -> list[Query]:
    """Return the query of words that differ from a term by a typing error, or by two."""
    typos = 2 if len(term) >= _TWO_TYPOS else 1 if len(term) >= _ONE_TYPO else 0
    return [Query.fuzzy_term_query(schema(), field, term, typos)] if typos else []


def _phrase(terms: list[str], field: str) -> Query:
    return (
        _term(terms[0], field)
        if len(terms) == 1
        else Query.phrase_query(schema(), field, list(terms))
    )


def _term(term: str, field: str) -> Query:
    if len(term) == 1 and not term.isascii():
        return _pattern(field, f"{term}.?")  # the character may be alone or begin a pair
    return Query.term_query(schema(), field, term, "freq")


@lru_cache(maxsize=_PATTERNS)
def _pattern(field: str, pattern: str) -> Query:
    """Return the query of a regular expression; cached, since a search asks the topics and the
    things for the same ones.
    """
    return Query.regex_query(schema(), field, pattern)


def _weighted(query: Query, field: str) -> Query:
    return (
        Query.boost_query(query, _WEIGHT[field])
        if field in _WEIGHT
        else Query.const_score_query(query, _PARTY)
    )


def _linked(iris: Sequence[str], score: float) -> Query:
    """Return the query of things that are linked to one of *iris*, none if there are none."""
    if len(iris) > _MAX_SCORED:
        return Query.const_score_query(Query.term_set_query(schema(), "link", iris), score)
    return _any_of(_exact("link", iri, score) for iri in iris)


def _exact(field: str, value: str, score: float) -> Query:
    return Query.const_score_query(Query.term_query(schema(), field, value, "basic"), score)


def _any_of(queries: Iterable[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, query) for query in queries])


MAX_NAME_LENGTH = 60  # characters; longer labels, such as those of targets, count as descriptions
_MAX_TOPICS = 1_000  # more than there are
_HEAP = 15_000_000  # bytes: the minimum of tantivy
# Words are searched first without stems: across six languages many stems are equal by chance.
_STEM_LANGUAGES = ((), tuple(LANGUAGES))
# A word in the labels of more topics than these, such as "the" and "of", identifies none of them.
_COMMON = 100
_CACHED_WORDS = 5_000  # words whose topics are cached
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
        self.named_by = lru_cache(_CACHED_WORDS)(self._find_named)

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
