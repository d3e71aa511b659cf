"""Search the index of one snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path

import tantivy
from tantivy import Occur, Order, Query

from publisher.projections.search.index import SearchEntry, is_current, schema, stored_entry, tokens
from publisher.projections.search.query_parser import (
    Clause,
    SearchRequest,
    build_query,
    group_query,
    name_query,
    parse_clauses,
)
from publisher.projections.search.topic_index import TopicIndex, open_topics

CACHED_MATCHES = 50  # searches whose results are cached
# entries that are cached for names; a batch of names meets the same ones again
CACHED_ENTRIES = 2_000
# documents whose IRIs are cached, about 200 bytes each: reading them is half of the time of a
# search
CACHED_THINGS = 50_000
SCORE_DIGITS = 4  # decimals that distinguish two scores; the engine sums 32-bit floats in any order
MAX_VALUES = 1_000  # maximum number of values that are counted


@dataclass(frozen=True, slots=True)
class Hits:
    """Results: *total* counts all, *scores* are in order, best or newest first; *is_fuzzy* if
    similar words were searched.
    """

    total: int
    scores: tuple[tuple[str, float], ...]
    entries: tuple[SearchEntry, ...]
    is_fuzzy: bool


@dataclass(frozen=True, slots=True)
class Matches:
    """Results that can be paged through: *total* counts all, *scores* are by IRI, the best first."""

    total: int
    scores: dict[str, float]
    is_fuzzy: bool


class Searcher:
    """The index in *folder*, which does not change while it is open."""

    def __init__(self, folder: Path) -> None:
        index = tantivy.Index.open(str(folder))
        index.config_reader("manual")
        index.reload()
        self._searcher = index.searcher()
        self._matches = lru_cache(CACHED_MATCHES)(self._find_matches)
        self._read_entry = lru_cache(CACHED_ENTRIES)(self._read)
        self._values: dict[str, list[tuple[str, int]]] = {}
        self._things: dict[int, str] = {}
        self._folder = folder

    @cached_property
    def topics(self) -> TopicIndex | None:
        """Return the concepts that things are linked to; None if the store has no vocabulary. The
        first call may build their index.
        """
        return open_topics(self._folder)

    def find(
        self,
        request: SearchRequest,
        limit: int,
        offset: int = 0,
        *,
        newest: bool = False,
        with_entries: bool = True,
        similar: bool = True,
    ) -> Hits:
        """Return *limit* results from *offset* on; without *with_entries* only their IRIs and
        scores.

        If nothing matches the words, similar words are searched, unless *similar* is False. Equal
        scores are ordered by IRI: the engine orders them by their position in the index, which
        depends on when each document was written, so two publishers of one journal would return
        pages in different orders.
        """
        languages = [language for language, _ in self.values("language")]
        topics = self.topics if request.words else None
        exact = self._page(build_query(request, languages, topics=topics), limit, offset, newest)
        is_fuzzy = similar and _count(exact) == 0 and self._has_similar(request, languages)
        page = (
            self._page(
                build_query(request, languages, fuzzy=True, topics=topics), limit, offset, newest
            )
            if is_fuzzy
            else exact
        )
        rows, entries = self._read_hits(page, with_entries=with_entries)
        scores = tuple((thing, 0.0 if newest else score) for _, thing, score in rows)
        ordered = tuple(entries[thing] for _, thing, _ in rows) if with_entries else ()
        return Hits(_count(page), scores, ordered, is_fuzzy and _count(page) > 0)

    def _read_hits(
        self, page: tantivy.SearchResult, *, with_entries: bool
    ) -> tuple[list[tuple[float, str, float]], dict[str, SearchEntry]]:
        """Return the rounded score, IRI and score of each result, best first, and the entries by
        IRI.
        """
        numbered = sorted(
            (address.segment_ord << 32 | address.doc, float(score), address)
            for score, address in page.hits
        )
        known, read = self._things, {}
        entries: dict[str, SearchEntry] = {}
        rows = []
        # in their order in the index, so that each block of documents is read once
        for number, score, address in numbered:
            thing = None if with_entries else known.get(number)
            if thing is None:
                document = self._searcher.doc(address)
                read[number] = thing = str(document.get_first("thing"))
                if with_entries:
                    entries[thing] = stored_entry(document)
            rows.append((-round(score, SCORE_DIGITS), thing, score))
        self._remember(read)
        return sorted(rows), entries

    def _remember(self, read: Mapping[int, str]) -> None:
        """Cache the IRIs of documents, which do not change while the index is open; other threads
        may do so too.
        """
        if len(self._things) + len(read) > CACHED_THINGS:
            self._things = {}
        self._things.update(islice(read.items(), CACHED_THINGS))

    def _has_similar(self, request: SearchRequest, languages: list[str]) -> bool:
        """Return False if a search for similar words cannot match: there are no words, or nothing
        has one of several or a similar one.

        Similar words cost a hundred times as much as the words themselves, so they are looked up
        only for a word that nothing has.
        """
        groups = parse_clauses(request.words)
        return len(groups) == 1 or (
            bool(groups) and all(self._is_matched(group, request, languages) for group in groups)
        )

    def _is_matched(
        self, alternatives: list[Clause], request: SearchRequest, languages: list[str]
    ) -> bool:
        for fuzzy in (False, True):
            occur, query = group_query(
                alternatives, request, languages, fuzzy=fuzzy, topics=self.topics
            )
            if occur == Occur.MustNot or _count(self._searcher.search(query, 1)):
                return True
        return False

    def matches(self, request: SearchRequest, limit: int) -> Matches:
        """Return the IRIs and scores of the best *limit* results; cached, since each page of a
        search needs them.
        """
        return self._matches(request, limit)

    def _find_matches(self, request: SearchRequest, limit: int) -> Matches:
        hits = self.find(request, limit, with_entries=False)
        return Matches(hits.total, dict(hits.scores), hits.is_fuzzy)

    def named_links(self, words: str, *, fuzzy: bool = False) -> frozenset[str]:
        """Return the IRIs of the concepts that any of *words* names; things linked to them match
        the search.
        """
        if self.topics is None:
            return frozenset()
        parts = [
            self.topics.named_by(word, run, clause.is_prefix and word == clause.words[-1][0], fuzzy)
            for group in parse_clauses(words)
            for clause in group
            for word, run in clause.words
            if not clause.is_negated
        ]
        return frozenset(iri for named in parts for iri in (*named.near, *named.far))

    def entries(self, things: Iterable[str]) -> list[SearchEntry | None]:
        """Return the entries of things by their IRIs, None for things that are not in the index."""
        results = (
            self._searcher.search(Query.term_query(schema(), "thing", thing, "basic"), 1).hits
            for thing in things
        )
        return [stored_entry(self._searcher.doc(hits[0][1])) if hits else None for hits in results]

    def named(
        self,
        text: str,
        kinds: Iterable[str],
        limit: int,
        *,
        links: Iterable[Iterable[str]] = (),
        is_prefix: bool = False,
        similar: bool = False,
    ) -> list[SearchEntry]:
        """Return the entries of at most *limit* things of *kinds* whose titles have most of the
        words of *text*; see ``name_query``.

        A text without words matches nothing, unless *links* are stated.
        """
        if not tokens(text) and not links:
            return []
        query = name_query(text, kinds, links, is_prefix=is_prefix, similar=similar)
        hits = self._searcher.search(query, limit).hits
        entries = [
            (-round(float(score), SCORE_DIGITS), self._read_entry(address.segment_ord, address.doc))
            for score, address in hits
        ]
        return [entry for _, entry in sorted(entries, key=lambda pair: (pair[0], pair[1].thing))]

    def _read(self, segment: int, document: int) -> SearchEntry:
        return stored_entry(self._searcher.doc(tantivy.DocAddress(segment, document)))

    def values(self, name: str) -> list[tuple[str, int]]:
        """Return the values of ``language``, ``kind`` or ``source`` with the number of things, the
        most frequent first.
        """
        if name not in self._values:
            self._values[name] = self._count_values(name)
        return self._values[name]

    def _count_values(self, name: str) -> list[tuple[str, int]]:
        result = self._searcher.aggregate(
            Query.all_query(), {"all": {"terms": {"field": name, "size": MAX_VALUES}}}
        )
        return [(bucket["key"], bucket["doc_count"]) for bucket in result["all"]["buckets"]]

    def _page(self, query: Query, limit: int, offset: int, newest: bool) -> tantivy.SearchResult:
        if newest:
            return self._searcher.search(
                query, limit, offset=offset, order_by_field="modified", order=Order.Desc
            )
        return self._searcher.search(query, limit, offset=offset)


def _count(page: tantivy.SearchResult) -> int:
    count: int = page.count  # type: ignore[attr-defined]  # missing in its stubs
    return count


def open_searcher(snapshot: str) -> Searcher | None:
    """Open the index of the snapshot in the folder *snapshot*; None if it has none yet."""
    folder = Path(snapshot) / "text"
    try:
        return (
            _open_cached(folder, (folder / "meta.json").stat().st_ino)
            if is_current(folder)
            else None
        )
    except FileNotFoundError:
        return None


@lru_cache(maxsize=2)  # the current snapshot, and the previous one during a switch
def _open_cached(folder: Path, _inode: int) -> Searcher:
    """Open an index; the inode distinguishes a new index from the one that it replaced."""
    return Searcher(folder)
