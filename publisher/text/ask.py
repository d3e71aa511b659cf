"""Asking: from what a person types to what is looked up.

All words must be found, in any order; ``"words in a row"``, ``begin*``, ``-without``, ``this OR that``. Where nothing has
them all, words that are spelled nearly so, or hold them inside, are taken for them, and the answer says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tantivy import Occur, Query

from publisher.text.index import schema
from publisher.text.words import STEMMERS, fold, pairs, stem, tokens

LONGEST = 1_000  # characters of a search: longer ones are no searches
MOST = 24  # words of a search that count
_NEAR, _FAR = 4, 8  # letters from which one and two slips are overlooked
_INSIDE = 5  # letters from which a word is looked for inside others
_CLAUSE = re.compile(r'(?P<no>-)?(?:"(?P<row>[^"]*)"?|(?P<word>[^\s"]+))')

FIELDS = ("title", "text")
_WEIGHT = {"title": 4.0, "text": 1.0}  # a title has few words, and they are chosen
_STEM = 0.6  # of a word's own weight


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for: *words* as typed; the rest are None where all will do.

    *field* is ``title`` or ``text``; *language* is that of a text of the thing; *kind* and *source* are those of its IRI.
    """

    words: str
    field: str | None = None
    language: str | None = None
    kind: str | None = None
    source: str | None = None


class Clause(NamedTuple):
    """A part of a search: *row* means in a row, *begin* that the last word may go on, *no* that it must not be found."""

    words: tuple[tuple[str, bool], ...]
    row: bool
    begin: bool
    no: bool


def clauses(text: str) -> list[list[Clause]]:
    """Read what was typed: clauses that must all be found, each with its alternatives.

    >>> [[(clause.words[0][0], clause.no) for clause in group] for group in clauses("water -fire OR school")]
    [[('water', False)], [('fire', True), ('school', False)]]
    """
    found: list[list[Clause]] = []
    joined, left = False, MOST
    for match in _CLAUSE.finditer(text):
        if match["word"] == "OR" and found:
            joined = True
            continue
        written = match["row"] if match["row"] is not None else match["word"]
        words = tuple(tokens(written)[:left])
        if not words:
            continue
        left -= len(words)
        clause = Clause(words, match["row"] is not None, written.endswith("*"), match["no"] is not None)
        if joined:
            found[-1].append(clause)
        else:
            found.append([clause])
        joined = False
    return found


def build(wish: Wish, spoken: Iterable[str], *, loose: bool = False) -> Query:
    """Write *wish* as a query of an index of texts in the languages *spoken*; *loose* takes words for one another that are nearly alike."""
    fields = (wish.field,) if wish.field else FIELDS
    languages = [language for language in spoken if language in STEMMERS and wish.language in (language, None)]
    parts: list[tuple[Occur, Query]] = []
    for group in clauses(wish.words):
        asked = [(clause, _clause(clause, fields, languages, loose and not clause.no)) for clause in group]
        if len(asked) == 1:
            parts.append((Occur.MustNot if asked[0][0].no else Occur.Must, asked[0][1]))
        else:
            parts.append((Occur.Must, _any(_without(query) if clause.no else query for clause, query in asked)))
    if not any(occur == Occur.Must for occur, _ in parts):
        parts.append((Occur.Must, Query.all_query()))
    for name, value in (("language", wish.language), ("kind", wish.kind), ("source", wish.source)):
        if value is not None:
            parts.append((Occur.Must, Query.const_score_query(Query.term_query(schema(), name, value, "basic"), 0.0)))
    return Query.boolean_query(parts)


def _without(query: Query) -> Query:
    return Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, query)])


def _any(queries: Iterable[Query]) -> Query:
    return Query.boolean_query([(Occur.Should, query) for query in queries])


def _clause(clause: Clause, fields: Iterable[str], languages: list[str], loose: bool) -> Query:
    if clause.row:
        return _any(_row(clause, field) for field in fields)
    last = len(clause.words) - 1
    words = [
        _any(_word(word, run, clause.begin and place == last, loose, field, languages) for field in fields)
        for place, (word, run) in enumerate(clause.words)
    ]
    return words[0] if len(words) == 1 else Query.boolean_query([(Occur.Must, word) for word in words])


def _row(clause: Clause, field: str) -> Query:
    terms = [term for word, run in clause.words for term in (_inner(word) if run else [fold(word)])]
    return _weighed(_phrase(terms, field), field)


def _inner(run: str) -> list[str]:
    """Give the pairs of a run; its last character alone is known only where a text's own run ends."""
    folded = fold(run)
    return pairs(folded)[: max(1, len(folded) - 1)]


def _phrase(terms: list[str], field: str) -> Query:
    if len(terms) == 1:
        return _term(terms[0], field)
    return Query.phrase_query(schema(), field, list(terms))


def _term(term: str, field: str) -> Query:
    if len(term) == 1 and not term.isascii():
        return Query.regex_query(schema(), field, f"{term}.?")  # a character may stand alone or begin a pair
    return Query.term_query(schema(), field, term, "freq")


def _word(word: str, run: bool, begin: bool, loose: bool, field: str, languages: list[str]) -> Query:
    if run:
        return _weighed(_phrase(_inner(word), field), field)
    folded = fold(word)
    found = [_term(folded, field)]
    stems = [Query.term_query(schema(), f"{field}_stems", stem(word, language), "freq") for language in languages]
    if stems:
        found.append(Query.boost_query(Query.disjunction_max_query(stems), _STEM))
    if begin:
        found.append(Query.regex_query(schema(), field, f"{folded}.*"))
    if loose and len(folded) >= _NEAR:
        found.append(Query.boost_query(Query.fuzzy_term_query(schema(), field, folded, 2 if len(folded) >= _FAR else 1), 0.5))
    if loose and len(folded) >= _INSIDE:
        found.append(Query.regex_query(schema(), field, f".*{folded}.*"))
    return _weighed(_any(found), field)


def _weighed(query: Query, field: str) -> Query:
    return Query.boost_query(query, _WEIGHT[field])
