"""Rewriting: a search in a query becomes the things that it finds, before the query is evaluated.

The form is that of Apache Jena (https://jena.apache.org/documentation/query/text-query.html):
``?thing text:query "words"`` and ``(?thing ?score) text:query (dct:title "words" 100 "lang:fr")``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from publisher.rdf.sparql_tokens import Token, line_and_column, string_value, syntax_error
from publisher.search.analyzer import primary_language
from publisher.search.pattern_cursor import SPACE, SearchCall
from publisher.search.query_parser import MAX_LENGTH, SearchRequest
from publisher.search.searcher import Searcher
from publisher.search.sparql_patterns import find_search_calls
from vocab.terms import DCT, RDFS, SIOC, SKOS, XSD

MAX_RESULTS = 10_000  # things of a search that are put in: half a second, and a megabyte of query
MAX_SEARCHES = 8  # in one query
_MARGIN = 1  # one more is asked for, so that it is known whether there are more
_FIELDS = {
    f"{DCT}title": "title", f"{SKOS}prefLabel": "title", f"{RDFS}label": "title",
    f"{DCT}description": "text", f"{SIOC}content": "text",
}  # fmt: skip
_OPTION = re.compile(r"lang:([A-Za-z]{2,8}(?:-[A-Za-z0-9]+)*)\Z")

Insertion = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A query that is ready: *inserted* are line, column and width of what was put in, in the order of the text.

    *cut* are the searches that found more than was put in, *loose* those that took words for similar ones.
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
    """Return whether *query* may hold a search."""
    return SPACE in query


def rewrite(query: str, search: Searcher) -> Rewritten:
    """Put into *query* what its searches find. Raises QuerySyntaxError where one is not written as it should be.

    Lines stay as they are; ``places.original`` leads from a column of what is given back to one of the query.
    """
    calls, prefixes = find_search_calls(query)
    if len(calls) > MAX_SEARCHES:
        raise syntax_error(query, calls[MAX_SEARCHES].verb.start, f"a query has at most {MAX_SEARCHES} searches")
    cut: list[str] = []
    loose: list[str] = []
    insertions: list[tuple[int, str]] = []
    for site in calls:
        asked = _parse_arguments(query, site, prefixes)
        hits = search.find(asked.request, asked.limit + _MARGIN, with_entries=False)
        if hits.is_fuzzy:
            loose.append(asked.request.words)
        if hits.total > asked.limit == MAX_RESULTS:
            cut.append(asked.request.words)
        insertions.append((site.offset, _bindings(query, site, hits.scores[: asked.limit])))
    text, inserted = _insert(query, [gap for site in calls for gap in site.removals], insertions)
    return Rewritten(text, inserted, tuple(cut), tuple(loose))


def _parse_arguments(query: str, site: SearchCall, prefixes: dict[str, str]) -> _Arguments:
    """Read the object, right of the property."""
    left = list(site.argument[1:-1] if site.argument[0].text == "(" else site.argument)
    field = _field(query, left.pop(0), prefixes) if left and left[0].kind in ("iri", "name") else None
    if not left or left[0].kind != "string":
        raise syntax_error(query, (left[0] if left else site.verb).start, 'write the words in quotes: text:query "words"')
    words = left.pop(0)
    text = string_value(words.text)
    if len(text) > MAX_LENGTH:
        raise syntax_error(query, words.start, f"a search has at most {MAX_LENGTH} characters")
    language = primary_language(left.pop(0).text[1:]) if left and left[0].kind == "tag" else None
    limit = _limit(query, left.pop(0)) if left and left[0].kind == "number" else MAX_RESULTS
    if left and left[0].kind == "string":
        option = left.pop(0)
        match = _OPTION.match(string_value(option.text))
        if match is None:
            raise syntax_error(query, option.start, f"{option.text} is no option; there is 'lang:' with a language tag, as in 'lang:fr'")
        language = primary_language(match[1])
    if left:
        raise syntax_error(query, left[0].start, f"{left[0].text} is not understood; write (property \"words\" limit 'lang:fr')")
    return _Arguments(SearchRequest(text, field, language), limit)


def _field(query: str, token: Token, prefixes: dict[str, str]) -> str:
    prefix, _, local = token.text.partition(":")
    iri = token.text[1:-1] if token.kind == "iri" else prefixes.get(prefix, "") + local
    if iri not in _FIELDS:
        raise syntax_error(query, token.start, f"{token.text} has no index; dct:title, skos:prefLabel, dct:description, sioc:content have")
    return _FIELDS[iri]


def _limit(query: str, token: Token) -> int:
    if not token.text.isdecimal() or not 0 < int(token.text[:9]) <= MAX_RESULTS:
        raise syntax_error(query, token.start, f"a limit is a whole number from 1 to {MAX_RESULTS}")
    return int(token.text)


def _bindings(query: str, site: SearchCall, scores: tuple[tuple[str, float], ...]) -> str:
    """Write the matches as bindings of the variables left of the property."""
    names = site.subject[1:-1] if site.subject[0].text == "(" else site.subject
    if len(names) == 1 and names[0].kind in ("iri", "name"):
        return f"FILTER({names[0].text} IN ({', '.join(f'<{thing}>' for thing, _ in scores)})) "
    if len({name.text[1:] for name in names if name.kind == "variable"}) != len(names) or not 1 <= len(names) <= 2:
        raise syntax_error(query, site.subject[0].start, "write ?thing or (?thing ?score) left of text:query")
    if len(names) == 1:
        return f"VALUES {names[0].text} {{ {' '.join(f'<{thing}>' for thing, _ in scores)} }} "
    rows = " ".join(f'(<{thing}> "{score:.6g}"^^<{XSD}float>)' for thing, score in scores)
    return f"VALUES ({names[0].text} {names[1].text}) {{ {rows} }} "


def _insert(query: str, gaps: list[tuple[int, int]], insertions: list[tuple[int, str]]) -> tuple[str, tuple[Insertion, ...]]:
    """Blank out *gaps* and insert texts at offsets, without moving any line."""
    chars = list(query)
    for start, end in gaps:
        chars[start:end] = [char if char in "\r\n" else " " for char in chars[start:end]]
    out: list[str] = []
    moved: list[Insertion] = []
    last = 0
    for place, text in sorted(insertions, key=lambda insertion: insertion[0]):
        line, column = line_and_column(query, place)
        moved.append((line, column, len(text)))
        out += ["".join(chars[last:place]), text]
        last = place
    return "".join([*out, *chars[last:]]), tuple(moved)
