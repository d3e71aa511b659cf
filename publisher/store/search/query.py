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

from publisher.store.search.index import (
    STEMMERS,
    character_pairs,
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


class Topics(Protocol):
    """The concepts of the vocabulary, as ``topics.TopicIndex`` searches them."""

    def named_by(
        self, word: str, run: bool, is_prefix: bool, fuzzy: bool
    ) -> tuple[Sequence[str], Sequence[str]]:
        """Return the concepts that *word* names: those with it in a name, and in a longer label."""

    def named_whole(self, words: str, *, fuzzy: bool) -> Sequence[str]:
        """Return the concepts that all *words* name together."""


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
    topics: Topics | None = None,
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
    topics: Topics | None = None,
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
    topics: Topics | None,
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
