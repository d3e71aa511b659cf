"""Replace the full-text searches of a query by their results before the query is evaluated.

The syntax is that of Apache Jena (https://jena.apache.org/documentation/query/text-query.html):
``?thing text:query "words"`` and ``(?thing ?score) text:query (dct:title "words" 100 "lang:fr")``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from publisher.projections.search.analyzer import primary_language
from publisher.projections.search.query_parser import MAX_LENGTH, SearchRequest
from publisher.projections.search.searcher import Searcher
from publisher.projections.search.sparql_patterns import SPACE, SearchCall, find_search_calls
from publisher.rdf.sparql_tokens import Token, line_and_column, string_value, syntax_error
from vocab.terms import DCT, RDFS, SIOC, SKOS, XSD

MAX_RESULTS = 10_000  # inserted results of one search: half a second, and a megabyte of query
MAX_SEARCHES = 8  # in one query
_MARGIN = 1  # one result more than the limit is searched, to know whether there are more
_FIELDS = {
    f"{DCT}title": "title", f"{SKOS}prefLabel": "title", f"{RDFS}label": "title",
    f"{DCT}description": "text", f"{SIOC}content": "text",
}  # fmt: skip
_OPTION = re.compile(r"lang:([A-Za-z]{2,8}(?:-[A-Za-z0-9]+)*)\Z")

Insertion = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A rewritten query: *inserted* are line, column and width of each insertion, in text order.

    *truncated* are the searches with more results than were inserted, *fuzzy* those that matched
    similar words.
    """

    text: str
    inserted: tuple[Insertion, ...] = ()
    truncated: tuple[str, ...] = ()
    fuzzy: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Arguments:
    request: SearchRequest
    limit: int


def has_search(query: str) -> bool:
    """Return whether *query* may contain a search."""
    return SPACE in query


def rewrite(query: str, search: Searcher) -> Rewritten:
    """Insert the results of the searches into *query*. Raises QuerySyntaxError if a search is
    malformed.

    Line numbers do not change; ``original_column`` maps a column of the result to one of *query*.
    """
    calls, prefixes = find_search_calls(query)
    if len(calls) > MAX_SEARCHES:
        raise syntax_error(
            query, calls[MAX_SEARCHES].verb.start, f"a query has at most {MAX_SEARCHES} searches"
        )
    truncated: list[str] = []
    fuzzy: list[str] = []
    insertions: list[tuple[int, str]] = []
    for call in calls:
        arguments = _parse_arguments(query, call, prefixes)
        hits = search.find(arguments.request, arguments.limit + _MARGIN, with_entries=False)
        if hits.is_fuzzy:
            fuzzy.append(arguments.request.words)
        if hits.total > arguments.limit == MAX_RESULTS:
            truncated.append(arguments.request.words)
        insertions.append((call.offset, _bindings(query, call, hits.scores[: arguments.limit])))
    text, inserted = _insert(
        query, [removal for call in calls for removal in call.removals], insertions
    )
    return Rewritten(text, inserted, tuple(truncated), tuple(fuzzy))


def _parse_arguments(query: str, call: SearchCall, prefixes: dict[str, str]) -> _Arguments:
    """Parse the argument, right of the property."""
    rest = list(call.argument[1:-1] if call.argument[0].text == "(" else call.argument)
    field = (
        _field(query, rest.pop(0), prefixes) if rest and rest[0].kind in ("iri", "name") else None
    )
    if not rest or rest[0].kind != "string":
        raise syntax_error(
            query,
            (rest[0] if rest else call.verb).start,
            'write the words in quotes: text:query "words"',
        )
    words = rest.pop(0)
    text = string_value(words.text)
    if len(text) > MAX_LENGTH:
        raise syntax_error(query, words.start, f"a search has at most {MAX_LENGTH} characters")
    language = primary_language(rest.pop(0).text[1:]) if rest and rest[0].kind == "tag" else None
    limit = _limit(query, rest.pop(0)) if rest and rest[0].kind == "number" else MAX_RESULTS
    if rest and rest[0].kind == "string":
        option = rest.pop(0)
        match = _OPTION.match(string_value(option.text))
        if match is None:
            raise syntax_error(
                query,
                option.start,
                f"{option.text} is not an option; write a language as 'lang:fr'",
            )
        language = primary_language(match[1])
    if rest:
        raise syntax_error(
            query,
            rest[0].start,
            f"unexpected {rest[0].text}; write (property \"words\" limit 'lang:fr')",
        )
    return _Arguments(SearchRequest(text, field, language), limit)


def _field(query: str, token: Token, prefixes: dict[str, str]) -> str:
    prefix, _, local = token.text.partition(":")
    iri = token.text[1:-1] if token.kind == "iri" else prefixes.get(prefix, "") + local
    if iri not in _FIELDS:
        raise syntax_error(
            query,
            token.start,
            f"{token.text} is not indexed; use dct:title, skos:prefLabel, dct:description, sioc:content",
        )
    return _FIELDS[iri]


def _limit(query: str, token: Token) -> int:
    if not token.text.isdecimal() or not 0 < int(token.text[:9]) <= MAX_RESULTS:
        raise syntax_error(
            query, token.start, f"the limit must be a whole number from 1 to {MAX_RESULTS}"
        )
    return int(token.text)


def _bindings(query: str, call: SearchCall, scores: tuple[tuple[str, float], ...]) -> str:
    """Return the matches as bindings of the variables left of the property."""
    names = call.subject[1:-1] if call.subject[0].text == "(" else call.subject
    if len(names) == 1 and names[0].kind in ("iri", "name"):
        return f"FILTER({names[0].text} IN ({', '.join(f'<{thing}>' for thing, _ in scores)})) "
    if (
        len({name.text[1:] for name in names if name.kind == "variable"}) != len(names)
        or not 1 <= len(names) <= 2
    ):
        raise syntax_error(
            query, call.subject[0].start, "write ?thing or (?thing ?score) rest of text:query"
        )
    if len(names) == 1:
        return f"VALUES {names[0].text} {{ {' '.join(f'<{thing}>' for thing, _ in scores)} }} "
    rows = " ".join(f'(<{thing}> "{score:.6g}"^^<{XSD}float>)' for thing, score in scores)
    return f"VALUES ({names[0].text} {names[1].text}) {{ {rows} }} "


def _insert(
    query: str, removals: list[tuple[int, int]], insertions: list[tuple[int, str]]
) -> tuple[str, tuple[Insertion, ...]]:
    """Replace the spans *removals* by spaces and insert texts at offsets; line numbers do not
    change.
    """
    chars = list(query)
    for start, end in removals:
        chars[start:end] = [char if char in "\r\n" else " " for char in chars[start:end]]
    out: list[str] = []
    positions: list[Insertion] = []
    last = 0
    for offset, text in sorted(insertions, key=lambda insertion: insertion[0]):
        line, column = line_and_column(query, offset)
        positions.append((line, column, len(text)))
        out += ["".join(chars[last:offset]), text]
        last = offset
    return "".join([*out, *chars[last:]]), tuple(positions)
