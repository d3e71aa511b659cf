"""Asking: from what a person types to what is looked up.

All words must be found, in any order; ``"words in a row"``, ``begin*``, ``-without``, ``this OR that``. Where nothing has
them all, words that are spelled nearly so, or hold them inside, are taken for them, and the answer says so.

A word is found in titles, in descriptions, in the names of organizations that take part, and in the labels of the concepts that a thing is
linked to. Labels are not written into the entry of each thing: the concepts that a word names are looked up first, then their IRIs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tantivy import Occur, Query

from publisher.search.analyzer import STEMMERS, character_pairs, fold, stem, tokens
from publisher.search.index import schema

MAX_LENGTH = 1_000  # characters of a search: longer ones are no searches
MAX_WORDS = 24  # words of a search that count
_NEAR, _FAR = 4, 8  # letters from which one and two slips are overlooked
_INSIDE = 5  # letters from which a word is looked for inside others
_CLAUSE = re.compile(r'(?P<no>-)?(?:"(?P<row>[^"]*)"?|(?P<word>[^\s"]+))')

FIELDS = ("title", "text")
_WEIGHT = {"title": 4.0, "text": 1.0}  # a title has few words, and they are chosen
_STEM = 0.6  # of a word's own weight
# Scores of what is found by labels alone, below nearly all that texts score, so that titles and descriptions come first.
_NEAR_TOPIC, _FAR_TOPIC, _PARTY = 0.01, 0.003, 0.01
_WHOLE_TOPIC = 0.02  # of a concept that all words name together
_APART = 16  # concepts that are scored each for itself, so that who has two of them comes before who has one


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What is looked for: *words* as typed; the rest are None where all will do.

    *field* is ``title`` or ``text``; *language* is that of a text of the thing; *kind* and *source* are those of its IRI.
    """

    words: str
    field: str | None = None
    language: str | None = None
    kind: str | None = None
    source: str | None = None


class NamedTopics(NamedTuple):
    """The IRIs of the concepts that a word names: *near* by their names, *far* by longer labels."""

    near: tuple[str, ...]
    far: tuple[str, ...]


class Topics(Protocol):
    """The concepts of the vocabulary, as ``topic_index.TopicIndex`` searches them."""

    def named_by(self, word: str, run: bool, is_prefix: bool, fuzzy: bool) -> NamedTopics:
        """Return the concepts that *word* names."""

    def named_whole(self, words: str, *, fuzzy: bool) -> tuple[str, ...]:
        """Return the concepts that all *words* name together."""


class Clause(NamedTuple):
    """A part of a search. The words of a phrase are next to each other; a prefix may continue; a negated clause must not match."""

    words: tuple[tuple[str, bool], ...]
    is_phrase: bool
    is_prefix: bool
    is_negated: bool


def parse_clauses(text: str) -> list[list[Clause]]:
    """Read what was typed: clauses that must all be found, each with its alternatives.

    >>> [[(clause.words[0][0], clause.is_negated) for clause in group] for group in parse_clauses("water -fire OR school")]
    [[('water', False)], [('fire', True), ('school', False)]]
    """
    clauses: list[list[Clause]] = []
    joined, left = False, MAX_WORDS
    for match in _CLAUSE.finditer(text):
        if match["word"] == "OR" and clauses:
            joined = True
            continue
        written = match["row"] if match["row"] is not None else match["word"]
        words = tuple(tokens(written)[:left])
        if not words:
            continue
        left -= len(words)
        clause = Clause(
            words, match["row"] is not None, written.endswith("*"), match["no"] is not None
        )
        if joined:
            clauses[-1].append(clause)
        else:
            clauses.append([clause])
        joined = False
    return clauses


def build_query(
    request: SearchRequest,
    index_languages: Iterable[str],
    *,
    fuzzy: bool = False,
    topics: Topics | None = None,
) -> Query:
    """Return *request* as a query of an index of texts in *index_languages*; *fuzzy* matches similar words too.

    With *topics*, words are found in labels and in the names of organizations too, unless *request* names a field.
    """
    fields = (request.field,) if request.field else FIELDS
    languages = [
        language
        for language in index_languages
        if language in STEMMERS and request.language in (language, None)
    ]
    topics = None if request.field else topics
    parts = [
        _group(
            [
                (
                    clause,
                    _clause(clause, fields, languages, fuzzy and not clause.is_negated, topics),
                )
                for clause in group
            ]
        )
        for group in parse_clauses(request.words)
    ]
    if not any(occur == Occur.Must for occur, _ in parts):
        parts.append((Occur.Must, Query.all_query()))
    if topics and parts and (whole := topics.named_whole(request.words, fuzzy=fuzzy)):
        parts.append((Occur.Should, _linked(whole, _WHOLE_TOPIC)))
    for name in ("language", "kind", "source"):
        if (value := getattr(request, name)) is not None:
            term = Query.term_query(schema(), name, value, "basic")
            parts.append((Occur.Must, Query.const_score_query(term, 0.0)))
    return Query.boolean_query(parts)


def _group(queries: list[tuple[Clause, Query]]) -> tuple[Occur, Query]:
    """Return the query of clauses, one of which must match; a single negated one must not match."""
    if len(queries) == 1:
        clause, query = queries[0]
        return (Occur.MustNot if clause.is_negated else Occur.Must), query
    alternatives = (_without(query) if clause.is_negated else query for clause, query in queries)
    return Occur.Must, _any(alternatives)


def _without(query: Query) -> Query:
    return Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, query)])


def _any(queries: Iterable[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def _clause(
    clause: Clause, fields: Iterable[str], languages: list[str], loose: bool, topics: Topics | None
) -> Query:
    if clause.is_phrase:
        return _any(
            [
                *(_phrase_in_field(clause, field) for field in fields),
                *_phrase_in_labels(clause, topics),
            ]
        )
    last = len(clause.words) - 1
    words = [
        _any(
            _word_in_any_field(
                word, run, clause.is_prefix and place == last, loose, fields, languages, topics
            )
        )
        for place, (word, run) in enumerate(clause.words)
    ]
    return (
        words[0] if len(words) == 1 else Query.boolean_query([(Occur.Must, word) for word in words])
    )


def _word_in_any_field(
    word: str,
    run: bool,
    begin: bool,
    loose: bool,
    fields: Iterable[str],
    languages: list[str],
    topics: Topics | None,
) -> list[Query]:
    queries = [
        _boosted(word_query(word, run, begin, loose, field, languages), field) for field in fields
    ]
    if topics:
        queries.append(
            Query.const_score_query(word_query(word, run, begin, loose, "party", languages), _PARTY)
        )
        near, far = topics.named_by(word, run, begin, loose)
        queries += [
            _linked(iris, score) for iris, score in ((near, _NEAR_TOPIC), (far, _FAR_TOPIC)) if iris
        ]
    return queries


def _phrase_in_labels(clause: Clause, topics: Topics | None) -> list[Query]:
    """Return where words in a row are found beside texts: in a name of an organization, and in a label that has them in a row."""
    if not topics:
        return []
    whole = topics.named_whole('"' + " ".join(word for word, _ in clause.words) + '"', fuzzy=False)
    return [
        Query.const_score_query(_phrase_in_field(clause, "party"), _PARTY),
        *([_linked(whole, _NEAR_TOPIC)] if whole else []),
    ]


def _linked(iris: Sequence[str], score: float) -> Query:
    if len(iris) > _APART:
        return Query.const_score_query(Query.term_set_query(schema(), "link", iris), score)
    return _any(
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
    """Return the pairs of a run; its last character alone is known only where a text's own run ends."""
    folded = fold(run)
    return character_pairs(folded)[: max(1, len(folded) - 1)]


def _phrase(terms: list[str], field: str) -> Query:
    if len(terms) == 1:
        return _term(terms[0], field)
    return Query.phrase_query(schema(), field, list(terms))


def _term(term: str, field: str) -> Query:
    if len(term) == 1 and not term.isascii():
        return Query.regex_query(
            schema(), field, f"{term}.?"
        )  # a character may be alone or begin a pair
    return Query.term_query(schema(), field, term, "freq")


def word_query(
    word: str, run: bool, is_prefix: bool, fuzzy: bool, field: str, index_languages: Iterable[str]
) -> Query:
    """Write one word, or a *run* of a script without spaces, as a query of a field; *begin* means that the word may go on."""
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
        queries.append(Query.boost_query(Query.disjunction_max_query(stems), _STEM))
    if is_prefix:
        queries.append(Query.regex_query(schema(), field, f"{folded}.*"))
    if fuzzy and len(folded) >= _NEAR:
        queries.append(
            Query.boost_query(
                Query.fuzzy_term_query(schema(), field, folded, 2 if len(folded) >= _FAR else 1),
                0.5,
            )
        )
    if fuzzy and len(folded) >= _INSIDE:
        queries.append(Query.regex_query(schema(), field, f".*{folded}.*"))
    return _any(queries)


def _boosted(query: Query, field: str) -> Query:
    return Query.boost_query(query, _WEIGHT.get(field, 1.0))
