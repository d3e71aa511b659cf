"""Parse what a user typed, and build the query of the index.

All words must match, in any order. The syntax is ``"a phrase"``, ``prefix*``, ``-excluded``, ``this
OR that``. If nothing matches all words, similar words and words that contain them match too, and
the result says so.

Words match titles, descriptions, names of places and of organizations that take part, and labels
of the concepts that a thing is linked to; a search that is the identifier of a record matches it.
Labels are not stored with each thing: the concepts that a word names are looked up first, then
things linked to their IRIs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

from tantivy import Occur, Query

from publisher.projections.search.index import STEMMERS, character_pairs, fold, schema, stem, tokens
from vocab.goals import SDG

MAX_LENGTH = 1_000  # characters of a search
MAX_WORDS = 24  # words of a search; the rest is ignored
_ONE_TYPO, _TWO_TYPOS = 4, 8  # minimum letters of a word that may have one or two typing errors
_MAX_TERMS = 100  # of a name; a word of a script without spaces has a term for each two characters
# regular expressions that are cached: a third of a megabyte and some milliseconds each
_PATTERNS = 32
_INFIX = 5  # minimum letters of a word that matches inside other words
_ELECTRONIC = re.compile(r"[^\W\d_]-\w+\*?")  # one word: e-agriculture, m-health
_CLAUSE = re.compile(r'(?P<minus>-)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')

FIELDS = ("title", "text")
_WEIGHT = {"title": 4.0, "text": 1.0}  # a title has few words, so each counts more
_STEM_WEIGHT = 0.6  # relative to the word itself
# Scores of matches in labels only. They are below nearly all scores of texts, so that matches in
# titles and descriptions rank first; names of places rank as those of organizations.
_NEAR_TOPIC, _FAR_TOPIC, _PARTY = 0.01, 0.003, 0.01
_WHOLE_TOPIC = 0.02  # of a concept whose label has all words
_IDENTIFIER = 100.0  # of the record whose identifier is the search
_FIRST_LANGUAGE = 0.0005  # of a thing with a text in the reader's language: it orders equal scores
# up to this number of concepts each is scored, so that things with two of them rank before things
# with one
_MAX_SCORED = 16


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search: *words* as typed; the other fields restrict it, None does not.

    *field* is ``title`` or ``text``; *language* is the language of a text of the thing; *kind* and
    *source* are those of its IRI. Of equal results those with a text in *first*, a language, come
    first.
    """

    words: str
    field: str | None = None
    language: str | None = None
    kind: str | None = None
    source: str | None = None
    first: str | None = None


class NamedTopics(NamedTuple):
    """The IRIs of the concepts that a word names: *near* by a name, *far* by a longer label."""

    near: tuple[str, ...]
    far: tuple[str, ...]


class Topics(Protocol):
    """The concepts of the vocabulary, as ``topic_index.TopicIndex`` searches them."""

    def named_by(self, word: str, run: bool, is_prefix: bool, fuzzy: bool) -> NamedTopics:
        """Return the concepts that *word* names."""

    def named_whole(self, words: str, *, fuzzy: bool) -> tuple[str, ...]:
        """Return the concepts that all *words* name together."""


class Clause(NamedTuple):
    """A part of a search: the adjacent words of a phrase, a prefix, a word, or one of them negated."""

    words: tuple[tuple[str, bool], ...]
    is_phrase: bool
    is_prefix: bool
    is_negated: bool


def parse_clauses(text: str) -> list[list[Clause]]:
    """Parse a search: a list of clauses that must all match, each with its alternatives.

    A word such as e-agriculture is the phrase "e agriculture" or the word eagriculture.

    >>> [[(clause.words[0][0], clause.is_negated) for clause in group] for group in parse_clauses("water -fire OR school")]
    [[('water', False)], [('fire', True), ('school', False)]]
    """
    clauses: list[list[Clause]] = []
    is_alternative, remaining = False, MAX_WORDS
    for match in _CLAUSE.finditer(text):
        if match["word"] == "OR" and clauses:
            is_alternative = True
            continue
        typed = match["phrase"] if match["phrase"] is not None else match["word"]
        words = tuple(tokens(typed)[:remaining])
        if not words:
            continue
        remaining -= len(words)
        if not is_alternative:
            clauses.append([])
        is_phrase, is_negated = match["phrase"] is not None, match["minus"] is not None
        is_prefix, is_one = typed.endswith("*"), bool(_ELECTRONIC.fullmatch(typed))
        clauses[-1].append(Clause(words, is_phrase or is_one, is_prefix, is_negated))
        if is_one and not is_phrase and not is_negated:
            joined = ("".join(word for word, _ in words), False)
            clauses[-1].append(Clause((joined,), False, is_prefix, is_negated))
        is_alternative = False
    return clauses


def build_query(
    request: SearchRequest,
    index_languages: Iterable[str],
    *,
    fuzzy: bool = False,
    topics: Topics | None = None,
) -> Query:
    """Return the index query of *request* for texts in *index_languages*; *fuzzy* also matches
    similar words.

    With *topics*, words also match labels and names of organizations, unless *request* names a
    field.
    """
    topics = None if request.field else topics
    groups = parse_clauses(request.words)
    parts = [
        group_query(group, request, index_languages, fuzzy=fuzzy, topics=topics) for group in groups
    ]
    required = [part for part in parts if part[0] == Occur.Must]
    if not required:
        parts.append((Occur.Must, Query.all_query()))
    elif not request.field:
        others = [_identified(request.words)]
        whole = topics.named_whole(request.words, fuzzy=fuzzy) if topics else ()
        targets, named = (
            [iri for iri in whole if is_target(iri) is target] for target in (True, False)
        )
        others += [_linked(targets, _FAR_TOPIC)] if targets and _names_targets(groups) else []
        required += [(Occur.Should, _linked(named, _WHOLE_TOPIC))] if named else []
        excluded = [part for part in parts if part[0] != Occur.Must]
        parts = [(Occur.Must, _any_of([Query.boolean_query(required), *others])), *excluded]
    for name in ("language", "kind", "source"):
        if (value := getattr(request, name)) is not None:
            term = Query.term_query(schema(), name, value, "basic")
            parts.append((Occur.Must, Query.const_score_query(term, 0.0)))
    if request.first:
        term = Query.term_query(schema(), "language", request.first, "basic")
        parts.append((Occur.Should, Query.const_score_query(term, _FIRST_LANGUAGE)))
    return Query.boolean_query(parts)


def _identified(typed: str) -> Query:
    identifier = typed.strip(' "').casefold()
    term = Query.term_query(schema(), "identifier", identifier, "basic")
    # a key that is a word, as the name of an organization may be, ranks below texts with the word
    return Query.const_score_query(term, _PARTY if identifier.isalpha() else _IDENTIFIER)


def _names_targets(groups: list[list[Clause]]) -> bool:
    """Return whether a search has the two words, or four characters without spaces, by which it
    names a target; one word of the sentence that is its label does not.
    """
    words = [word for group in groups for word in group[0].words if not group[0].is_negated]
    return sum(len(word) // 2 if run else 1 for word, run in words) > 1


def group_query(
    group: list[Clause],
    request: SearchRequest,
    index_languages: Iterable[str],
    *,
    fuzzy: bool = False,
    topics: Topics | None = None,
) -> tuple[Occur, Query]:
    """Return the query of one of the groups of alternatives that ``parse_clauses`` returns for
    *request*, as in ``build_query``.
    """
    fields = (request.field,) if request.field else FIELDS
    languages = [
        language
        for language in index_languages
        if language in STEMMERS and request.language in (language, None)
    ]
    topics = None if request.field else topics
    return _group(
        [
            (clause, _clause(clause, fields, languages, fuzzy and not clause.is_negated, topics))
            for clause in group
        ]
    )


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
    words = tokens(text)[:MAX_WORDS]
    terms = [
        term for word, run in words for term in (_searchable_pairs(word) if run else [fold(word)])
    ][:_MAX_TERMS]
    queries = [_name_word(term, similar) for term in terms]
    parts = [
        (
            Occur.Must,
            _any_of(
                Query.const_score_query(Query.term_query(schema(), "kind", kind, "basic"), 0.0)
                for kind in kinds
            ),
        )
    ]
    if is_prefix and queries:
        begun = _pattern("title", f"{terms[-1]}.*")
        parts += [(Occur.Must, query) for query in (*queries[:-1], _any_of([queries[-1], begun]))]
    elif queries:
        phrase = [_boosted(_phrase(terms, "title"), "title")] if len(terms) > 1 else []
        parts.append((Occur.Must, _any_of([*queries, *phrase])))
    parts += [(Occur.Must, _linked(tuple(choice), 0.0)) for choice in links]
    return Query.boolean_query(parts)


def _name_word(term: str, similar: bool) -> Query:
    if not similar or len(term) < _ONE_TYPO:
        return _term(term, "title")
    typos = 2 if len(term) >= _TWO_TYPOS else 1
    return _any_of([_term(term, "title"), Query.fuzzy_term_query(schema(), "title", term, typos)])


def _group(queries: list[tuple[Clause, Query]]) -> tuple[Occur, Query]:
    """Return the query of alternative clauses. A single negated clause becomes MustNot."""
    if len(queries) == 1:
        clause, query = queries[0]
        return (Occur.MustNot if clause.is_negated else Occur.Must), query
    alternatives = (_negated(query) if clause.is_negated else query for clause, query in queries)
    return Occur.Must, _any_of(alternatives)


def _negated(query: Query) -> Query:
    return Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, query)])


def _any_of(queries: Iterable[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def _clause(
    clause: Clause, fields: Iterable[str], languages: list[str], fuzzy: bool, topics: Topics | None
) -> Query:
    if clause.is_phrase:
        return _any_of(
            [
                *(_phrase_in_field(clause, field) for field in fields),
                *_phrase_in_labels(clause, topics),
            ]
        )
    last = len(clause.words) - 1
    words = [
        _any_of(
            _word_in_any_field(
                word, run, clause.is_prefix and index == last, fuzzy, fields, languages, topics
            )
        )
        for index, (word, run) in enumerate(clause.words)
    ]
    return (
        words[0] if len(words) == 1 else Query.boolean_query([(Occur.Must, word) for word in words])
    )


def _word_in_any_field(
    word: str,
    run: bool,
    is_prefix: bool,
    fuzzy: bool,
    fields: Iterable[str],
    languages: list[str],
    topics: Topics | None,
) -> list[Query]:
    queries = [
        _boosted(word_query(word, run, is_prefix, fuzzy, field, languages), field)
        for field in fields
    ]
    if topics:
        queries.append(
            Query.const_score_query(
                word_query(word, run, is_prefix, fuzzy, "party", languages), _PARTY
            )
        )
        near, far = topics.named_by(word, run, is_prefix, fuzzy)
        queries += [
            _linked(iris, score) for iris, score in ((near, _NEAR_TOPIC), (far, _FAR_TOPIC)) if iris
        ]
    return queries


def is_target(iri: str) -> bool:
    """Return whether *iri* is that of a target of a goal."""
    return iri.startswith(SDG) and "." in iri.removeprefix(SDG)


def _phrase_in_labels(clause: Clause, topics: Topics | None) -> list[Query]:
    """Return the queries of a phrase in names of organizations and in labels."""
    if not topics:
        return []
    whole = topics.named_whole('"' + " ".join(word for word, _ in clause.words) + '"', fuzzy=False)
    named = [iri for iri in whole if not is_target(iri)]
    return [
        Query.const_score_query(_phrase_in_field(clause, "party"), _PARTY),
        *([_linked(named, _NEAR_TOPIC)] if named else []),
    ]


def _linked(iris: Sequence[str], score: float) -> Query:
    if len(iris) > _MAX_SCORED:
        return Query.const_score_query(Query.term_set_query(schema(), "link", iris), score)
    return _any_of(
        Query.const_score_query(Query.term_query(schema(), "link", iri, "basic"), score)
        for iri in iris
    )


def _phrase_in_field(clause: Clause, field: str) -> Query:
    terms = [
        term
        for word, run in clause.words
        for term in (_searchable_pairs(word) if run else [fold(word)])
    ]
    return _boosted(_phrase(terms, field), field)


def _searchable_pairs(run: str) -> list[str]:
    """Return the pairs of a run. The last character alone is indexed only at the end of a run, so
    it is omitted.
    """
    folded = fold(run)
    return character_pairs(folded)[: max(1, len(folded) - 1)]


def _phrase(terms: list[str], field: str) -> Query:
    if len(terms) == 1:
        return _term(terms[0], field)
    return Query.phrase_query(schema(), field, list(terms))


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


def word_query(
    word: str, run: bool, is_prefix: bool, fuzzy: bool, field: str, index_languages: Iterable[str]
) -> Query:
    """Return the query of one word, or of a *run* of a script without spaces, in a field; with
    *is_prefix* the word may continue.
    """
    if run:
        return _phrase(_searchable_pairs(word), field)
    languages = [language for language in index_languages if language in STEMMERS]
    folded = fold(word)
    queries = [_term(folded, field)]
    stems = [
        Query.term_query(schema(), f"{field}_stems", stem(word, language), "freq")
        for language in languages
    ]
    if stems:
        queries.append(Query.boost_query(Query.disjunction_max_query(stems), _STEM_WEIGHT))
    if is_prefix:
        queries.append(_pattern(field, f"{folded}.*"))
    if fuzzy and len(folded) >= _ONE_TYPO:
        queries.append(
            Query.boost_query(
                Query.fuzzy_term_query(
                    schema(), field, folded, 2 if len(folded) >= _TWO_TYPOS else 1
                ),
                0.5,
            )
        )
    if fuzzy and len(folded) >= _INFIX:
        queries.append(_pattern(field, f".*{folded}.*"))
    return _any_of(queries)


def _boosted(query: Query, field: str) -> Query:
    return Query.boost_query(query, _WEIGHT.get(field, 1.0))
