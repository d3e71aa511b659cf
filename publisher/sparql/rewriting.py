"""Replace the full-text searches of a query by their results before the query is evaluated.

The syntax is that of Apache Jena (https://jena.apache.org/documentation/query/text-query.html):
``?thing text:query "words"`` and ``(?thing ?score) text:query (dct:title "words" 100 "lang:fr")``,
at the top level of the query's pattern. Each search becomes VALUES where its basic graph pattern
begins. Whatever else a query contains is left to the parser of the engine.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from publisher.errors import NotReady
from publisher.store.query_service import QueryService
from publisher.store.search.index import primary_language
from publisher.store.search.query import MAX_LENGTH, SearchRequest
from publisher.store.search.searcher import Searcher, open_searcher
from publisher.store.snapshots import Snapshot
from publisher.store.workers.query_request import (
    TEXT,
    QueryRequest,
    Token,
    string_value,
    syntax_error,
    tokenize,
)
from vocab.terms import DCT, RDFS, SIOC, SKOS, XSD

TEXT_HEADER = "Stocktake-Text"
PROPERTY = f"{TEXT}query"
MAX_RESULTS = 10_000  # inserted results of one search: half a second, and a megabyte of query
MAX_SEARCHES = 8  # in one query
_FIELDS = {
    f"{DCT}title": "title", f"{SKOS}prefLabel": "title", f"{RDFS}label": "title",
    f"{DCT}description": "text", f"{SIOC}content": "text",
}  # fmt: skip
# The arguments in their order, each with the kinds of its token.
_ARGUMENTS = {
    "field": ("iri", "name"), "words": ("string",), "tag": ("tag",), "limit": ("number",), "option": ("string",),
}  # fmt: skip
_OPTION = re.compile(r"lang:([A-Za-z]{2,8}(?:-[A-Za-z0-9]+)*)\Z")
_USAGE = """write text:query "words" or text:query (property "words" limit 'lang:fr')"""
_INDEXED = "this is not indexed; use dct:title, skos:prefLabel, dct:description, sioc:content"
_NESTED = (
    "text:query is answered only as a property at the top level of the query's pattern,"
    " not within braces, brackets or a path;"
    ' write ?thing text:query "words" there and join the rest by ?thing;'
    " OR and - within the words take the place of UNION and MINUS"
)
_LIST = "a list with a score takes no property but text:query; write the others apart"

Part = Sequence[Token]  # a token, or a pair of brackets with all that is in it


async def rewrite(
    service: QueryService, query_request: QueryRequest, current: Snapshot | None = None
) -> QueryRequest:
    """Return the rewritten query for the snapshot *current* or the newest; *query_request* itself
    if nothing needs rewriting.

    The result is the cache key, so it has everything on which the response depends besides the
    snapshot. Raises QuerySyntaxError if a search is malformed, NotReady while there is no text
    index.
    """
    if not query_request.has_search:
        return query_request
    current = current or service.current
    search = await asyncio.to_thread(open_searcher, current.path)
    if search is None:
        raise NotReady("the text index is being built; try again in a moment")
    rewritten = await asyncio.to_thread(rewrite_searches, query_request, search)
    if not rewritten.original:
        return query_request
    notes = [rewritten.note] if rewritten.note else []
    notes += [f"position={current.text}"] if current.text != current.position else []
    return replace(rewritten, note=", ".join(notes), snapshot=current.path)


def rewrite_searches(query_request: QueryRequest, search: Searcher) -> QueryRequest:
    """Insert the results of the searches into the query. Raises QuerySyntaxError if a search is
    malformed or elsewhere than at the top level.

    Line numbers do not change. The note has the limits of the searches, as a dictionary of
    https://www.rfc-editor.org/rfc/rfc9651.
    """
    query = query_request.text
    tokens = tokenize(query)
    prefixes = {
        name.text.partition(":")[0]: iri.text[1:-1]
        for keyword, name, iri in zip(tokens, tokens[1:], tokens[2:], strict=False)
        if keyword.word() == "PREFIX"
    }
    verbs = [token for token in tokens if _expand(token, prefixes) == PROPERTY]
    if len(verbs) > MAX_SEARCHES:
        raise syntax_error(
            query, verbs[MAX_SEARCHES].start, f"a query has at most {MAX_SEARCHES} searches"
        )
    text, insertions, notes = query, list[tuple[int, str]](), set[str]()
    for offset, end, (subject, *properties) in _statements(tokens):
        searches = [words for words in properties if words[0] in verbs]
        is_whole = len(searches) == len(properties)
        if searches and len(subject) > 1 and not is_whole:
            raise syntax_error(query, subject[0].start, _LIST)
        for words in searches:
            request, limit = _parse_arguments(query, words, prefixes)
            hits = search.find(request, limit)
            insertions.append((offset, _bindings(query, subject, hits.scores.items())))
            notes |= {f"cut={MAX_RESULTS}"} if hits.total > limit == MAX_RESULTS else set()
            notes |= {"similar"} if hits.is_fuzzy else set()
            first, last = (subject[0].start, end) if is_whole else (words[0].start, words[-1].end)
            text = text[:first] + re.sub(r"[^\r\n]", " ", text[first:last]) + text[last:]
            verbs.remove(words[0])
    if verbs:
        raise syntax_error(query, verbs[0].start, _NESTED)
    for offset, values in sorted(insertions, reverse=True):
        text = text[:offset] + values + text[offset:]
    original = query if insertions else ""
    return replace(query_request, text=text, original=original, note=", ".join(sorted(notes)))


def _expand(token: Token, prefixes: Mapping[str, str]) -> str:
    """Return the IRI of a token, "" if it has none."""
    prefix, _, local = token.text.partition(":")
    name = prefixes.get(prefix, "") + local if token.kind == "name" else ""
    return token.text[1:-1] if token.kind == "iri" else name


def _parts(tokens: Part) -> Iterator[Part]:
    """Yield the tokens outside of brackets, and pairs of brackets with all that is in them."""
    first = depth = 0
    for index, token in enumerate(tokens):
        depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        if depth <= 0 or index == len(tokens) - 1:
            yield tokens[first : index + 1]
            first, depth = index + 1, 0


def _statements(tokens: Part) -> Iterator[tuple[int, int, list[list[Token]]]]:
    """Yield the statements of the query's pattern: the offset of its basic graph pattern, the end,
    and the tokens of the subject and of each property with its objects and semicolon.
    """
    for before, group in pairwise(_parts(tokens)):
        if group[0].text == "{" and before[0].word() != "CONSTRUCT":  # which has a template
            yield from _statements_of_group(group[1:])


def _statements_of_group(tokens: Part) -> Iterator[tuple[int, int, list[list[Token]]]]:
    offset, statement = -1, list[list[Token]]()
    rest = _parts(tokens)
    for part in rest:
        text, word = part[0].text, part[0].word()
        if text not in ("{", "}", ".") and word in ("", "A", "TRUE", "FALSE"):
            offset = part[0].start if offset < 0 else offset
            is_separated = len(statement) == 1 or (statement and statement[-1][-1].text == ";")
            if not statement or (is_separated and text != ";"):
                statement.append([])
            statement[-1] += part
            continue
        if statement:
            end = part[0].end if text == "." else statement[-1][-1].end
            yield offset, end, statement
            statement = []
        if text != "." and word != "FILTER":
            offset = -1
        if word:  # a keyword, with what follows it up to its expression or group
            last = ("(", "{") if word in ("FILTER", "BIND") else ("{",)
            next((skipped for skipped in rest if skipped[0].text in last), None)


def _parse_arguments(
    query: str, words: Part, prefixes: Mapping[str, str]
) -> tuple[SearchRequest, int]:
    """Return the search of the property and its argument, and its limit."""
    verb, *arguments = (token for token in words if token.text != ";")
    if arguments and arguments[0].text == "(":
        arguments = arguments[1:-1]
    rest, values = iter(_ARGUMENTS.items()), dict[str, Token]()
    for token in arguments:
        name = next((name for name, kinds in rest if token.kind in kinds), None)
        if name is None:
            raise syntax_error(query, token.start, f"unexpected {token.text}; {_USAGE}")
        values[name] = token
    if "words" not in values:
        raise syntax_error(query, verb.start, _USAGE)
    field, typed, tag, limit, option = (values.get(name) for name in _ARGUMENTS)
    iri, text = _expand(field, prefixes) if field else "", string_value(values["words"].text)
    most = int(limit.text[:9]) if limit and limit.text.isdecimal() else 0
    written = string_value(option.text) if option else f"lang:{tag.text[1:]}" if tag else ""
    language = _OPTION.match(written)
    faults = (
        (field, iri not in _FIELDS, _INDEXED),
        (typed, len(text) > MAX_LENGTH, f"a search has at most {MAX_LENGTH} characters"),
        (limit, not 0 < most <= MAX_RESULTS, f"write a whole number from 1 to {MAX_RESULTS}"),
        (option, not language, "this is not an option; write a language as 'lang:fr'"),
    )
    for argument, is_wrong, reason in faults:
        if argument and is_wrong:
            raise syntax_error(query, argument.start, f"{argument.text[:40]}: {reason}")
    request = SearchRequest(
        text, _FIELDS.get(iri), primary_language(language[1]) if language else None
    )
    return request, most or MAX_RESULTS


def _bindings(query: str, subject: Part, scores: Iterable[tuple[str, float]]) -> str:
    """Return the results as bindings of the variables left of the property."""
    names = subject[1:-1] if subject[0].text == "(" else subject
    kinds = [name.kind for name in names]
    if kinds in (["iri"], ["name"]):
        return f"FILTER({names[0].text} IN ({', '.join(f'<{thing}>' for thing, _ in scores)})) "
    if kinds == ["variable"]:
        return f"VALUES {names[0].text} {{ {' '.join(f'<{thing}>' for thing, _ in scores)} }} "
    if kinds != ["variable", "variable"] or names[0].text[1:] == names[1].text[1:]:
        raise syntax_error(
            query, subject[0].start, "write ?thing or (?thing ?score) left of text:query"
        )
    rows = " ".join(f'(<{thing}> "{score:.6g}"^^<{XSD}float>)' for thing, score in scores)
    return f"VALUES ({names[0].text} {names[1].text}) {{ {rows} }} "
