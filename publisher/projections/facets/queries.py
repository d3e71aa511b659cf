"""Count and list things from the facet tables of one snapshot; results are cached.

``filter_query`` has the equivalent SPARQL queries; a test compares the results of both.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import duckdb
import numpy as np
from cachetools import LRUCache
from pyroaring import BitMap

from publisher.projections.facets.bitmap_index import BitmapIndex, intersect
from publisher.projections.facets.database import read_sql
from publisher.projections.facets.facets import BITS, FACETS, KEYS, ORDERS, ORGANIZATION_KEYS
from publisher.projections.facets.filter_query import Filter
from publisher.projections.facets.properties import kind_number
from publisher.projections.facets.thing_count import ThingCount
from vocab.iris import KINDS

CACHED_RESULTS = 2_000
CACHED_BITMAPS = 32  # sets of indexes, a fifth of a megabyte each on a million things
MEMORY = "1GiB"  # of memory that DuckDB may use in a server process
UNLIMITED = 1 << 40  # more than any list has
LAST = "\uffff"  # a key after all others
_ALL = sum(BITS.values())
_SHARED = ("line", "goal", "target", "country", "type")
Value = TypeVar("Value")
DifferentCounts = Mapping[str, Mapping[str, ThingCount]]
Pairs = Mapping[tuple[str, str], ThingCount]


class ListItem(NamedTuple):
    """A thing as lists show it; times and dates are as in the data."""

    iri: str
    kind: str
    source: str
    title: str | None
    language: str | None
    begins: str | None
    ends: str | None
    issued: str | None
    changed: str | None
    venue: str | None
    cancelled: bool


class Prize(NamedTuple):
    """A prize of a thing, by codes; None if it is not known."""

    iri: str
    title: str | None
    language: str | None
    category: str | None
    stage: str | None
    year: str | None


class Family(NamedTuple):
    """The *whole* that an initiative is part of, None if it is not published, and its *parts*."""

    whole: ListItem | None = None
    parts: tuple[ListItem, ...] = ()


class ListedThing(NamedTuple):
    """A thing as tables list it: the address under which it counts, a page of it on the web, and
    its codes by facet, of links that registries declare.
    """

    line: ListItem
    cluster: str
    page: str | None
    codes: Mapping[str, Sequence[str]]


class FacetIndex:
    """The tables in the file *path*, which does not change while they are open, with the
    precomputed files in its folder.
    """

    def __init__(self, path: Path, position: int, memory: str = MEMORY) -> None:
        self.position = position  # number of their last journal entry
        self._connection = duckdb.connect(
            str(path), read_only=True, config={"memory_limit": memory}
        )
        self._bitmaps = BitmapIndex(
            path, self._connection.execute("SELECT value, facet, code FROM terms").fetchall()
        )
        self._cache: LRUCache[object, object] = LRUCache(CACHED_RESULTS)
        self._titles: dict[str, str | None] = {}  # of recently counted organizations
        self._lock = Lock()
        # whether an initiative counts with its whole
        ((self.has_parts,),) = self._query(
            "SELECT EXISTS (FROM groups ANTI JOIN clusters USING (iri))"
        )
        self._matching_ids = lru_cache(maxsize=CACHED_BITMAPS)(self._find_ids)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def count_different(self, filters: Filter) -> ThingCount:
        """Count the things, those of one cluster once, with the number of records."""
        if filters.among:
            return self._bitmaps.count_different(self._matching_ids(filters))
        return self._cached(
            ("different", filters),
            lambda: self._bitmaps.count_different(self._matching_ids(filters)),
        )

    def counts_once(self, filters: Filter) -> DifferentCounts:
        """Count the things by the codes of all facets, those of one cluster once, with the numbers
        of records, the most frequent first; a facet's own filter does not affect its counts.
        """
        if filters.among:
            return self._counts_once(filters)
        return self._cached(("once", filters), lambda: self._counts_once(filters))

    def cross_once(self, filters: Filter, one: str, other: str) -> Pairs:
        """Count the things by the codes of two facets at once, those of one cluster once, with the
        numbers of records.
        """
        return self._cached(
            ("cross", filters, one, other),
            lambda: self._bitmaps.cross_tabulate(
                one, other, self._matching_ids(filters), _bits(filters)
            ),
        )

    def examples(self, filters: Filter, one: str, other: str) -> dict[tuple[str, str], str]:
        """Return the title of a thing that has a code of each of two facets, by the two codes."""
        return self._cached(
            ("examples", filters, one, other), lambda: self._examples(filters, one, other)
        )

    def count_covered(self, filters: Filter, facet: str) -> ThingCount:
        """Count the things with any value of a facet, those of one cluster once, with the number of
        records.
        """
        return self._cached(
            ("covered", filters, facet),
            lambda: self._bitmaps.count_different(self._covered(filters, facet)),
        )

    def coverage_by_source(self, filters: Filter, facet: str) -> Mapping[str, ThingCount]:
        """Count the things with any value of a facet by registry, those of one cluster once."""
        return self._cached(
            ("filled", filters, facet),
            lambda: self._bitmaps.count_once(
                "source", self._covered(filters, facet), _bits(filters)
            ),
        )

    def list_things(
        self, filters: Filter, order: str, limit: int, offset: int = 0
    ) -> list[ListItem]:
        """List things in one of ORDERS, or by ``relevance``: the order of *among*."""
        if filters.among:
            return self._list_things(filters, order, limit, offset)
        return self._cached(
            ("listed", filters, order, limit, offset),
            lambda: self._list_things(filters, order, limit, offset),
        )

    def list_for_table(
        self, filters: Filter, order: str, limit: int, offset: int = 0
    ) -> list[ListedThing]:
        """List things as `list_things` does, with what tables have beside."""
        lines = self._list_things(filters, order, limit, offset)
        indexes = self._bitmaps.ids_of([line.iri for line in lines])
        numbers = [int(self._bitmaps.things[index]) for index in indexes if index is not None]
        text = read_sql("listed").replace("THINGS", f"({','.join(map(str, numbers))})")
        known = {row[0]: row[1:] for row in self._query(text)} if numbers else {}
        rows = [known[number] for number in numbers]
        return [
            ListedThing(line, cluster, page, codes or {})
            for line, (cluster, page, codes) in zip(lines, rows, strict=True)
        ]

    def list_organizations(
        self, words: str, key: str, upward: bool, cursor: tuple[str, str], limit: int
    ) -> list[tuple[str, str, int]]:
        """List the organizations with *words* in their names after the key and the IRI *cursor*,
        those of a cluster once: IRI, key and number of initiatives.
        """
        name, (since, after) = ORGANIZATION_KEYS[key], cursor
        compares, direction = (">", "ASC") if upward else ("<", "DESC")
        return self._query(
            f"""SELECT iri, {name} AS key, initiatives FROM organization_list
            WHERE contains(lower(strip_accents(coalesce(title, ''))), lower(strip_accents($words)))
            AND ({name} {compares} $since OR {name} = $since AND iri {compares} $after)
            ORDER BY key {direction}, iri {direction} LIMIT $limit""",
            words=words,
            since=since,
            after=after,
            limit=limit,
        )

    def list_after(
        self, filters: Filter, key: str, upward: bool, since: str, after: str, limit: int
    ) -> list[tuple[str, str]]:
        """List the things after the key *since* and the IRI *after*, ordered by one of KEYS: IRI
        and key of each.
        """
        return self._cached(
            ("keyed", filters, key, upward, since, after, limit),
            lambda: self._list_after(filters, key, upward, (since, after), limit),
        )

    def events_between(
        self, filters: Filter, first: str, last: str, limit: int = UNLIMITED
    ) -> list[ListItem]:
        """List the things that take place between the days *first* and *last*, ordered by their
        start.
        """
        return self._list_within(filters, limit, first=first, last=last, ended_before=None)

    def past_events(self, filters: Filter, day: str, limit: int) -> list[ListItem]:
        """List the things that ended before a day, the latest first."""
        return self._list_within(filters, limit, first="0000", last="9999", ended_before=day)

    def related(self, thing: str, limit: int) -> list[ListItem]:
        """List the things that share the most action lines, goals, targets, countries and activity
        types with a thing, at least two.
        """
        return self._cached(("related", thing, limit), lambda: self._related(thing, limit))

    def family(self, thing: str, limit: int) -> Family:
        """Return the initiative that another is part of, and its parts, at most *limit*."""
        return self._cached(("family", thing, limit), lambda: self._family(thing, limit))

    def prizes(self, filters: Filter, year: str | None = None) -> list[Prize]:
        """List the prizes, the newest first; of a *year*, "" for those without one, None for all."""
        return self._cached(
            ("prizes", filters, year),
            lambda: [Prize(*row) for row in self._rows("prizes", filters, year=year)],
        )

    def prize_years(self, filters: Filter) -> list[str]:
        """List the years of the prizes, the newest first, and "" last if some have none."""
        return self._cached(
            ("awarded", filters), lambda: [year for (year,) in self._rows("awarded", filters)]
        )

    def organizations(
        self, filters: Filter, limit: int
    ) -> list[tuple[str, str | None, ThingCount]]:
        """List the organizations that take part in most things: IRI, name and number of things,
        those of one cluster once.
        """
        return self._cached(
            ("organizations", filters, limit), lambda: self._organizations(filters, limit)
        )

    def partners(self, filters: Filter, limit: int) -> list[tuple[str, str, ThingCount]]:
        """List the pairs of organizations that take part in most things together, as
        `organizations` counts them.
        """
        return self._cached(("partners", filters, limit), lambda: self._partners(filters, limit))

    def same_organizations(self, organization: str) -> tuple[str, ...]:
        """Return the IRIs of an organization in all registries: the members of its cluster."""
        rows = self._query(
            "SELECT iri FROM groups WHERE cluster = (SELECT cluster FROM groups WHERE iri = $iri)",
            iri=organization,
        )
        return tuple(iri for (iri,) in rows) or (organization,)

    def organization_names(self, organizations: tuple[str, ...]) -> dict[str, str]:
        """Return the names of organizations."""
        return self._cached(("names", organizations), lambda: self._names(organizations))

    def _find_ids(self, filters: Filter) -> BitMap | None:
        """Return the indexes of the things that match a filter, None if all do."""
        parts = [
            self._bitmaps.ids_with(facet, codes, _bits(filters)) for facet, codes in filters.chosen
        ]
        if filters.party:
            bodies = self._query(
                "SELECT body FROM bodies WHERE list_contains($iris, iri)",
                iris=list(self.same_organizations(filters.party)),
            )
            parts.append(BitMap().union(*(self._bitmaps.ids_of_party(body) for (body,) in bodies)))
        if filters.among is not None:
            parts.append(
                BitMap(
                    [index for index in self._bitmaps.ids_of(filters.among) if index is not None]
                )
            )
        return intersect(parts)

    def _counts_once(self, filters: Filter) -> DifferentCounts:
        chosen, subset = dict(filters.chosen), self._matching_ids(filters)
        by_facet = {
            facet: self._bitmaps.count_once(
                facet,
                self._find_ids(filters.with_codes(facet)) if facet in chosen else subset,
                _bits(filters),
            )
            for facet in FACETS
        }
        return {facet: counts for facet, counts in by_facet.items() if counts or facet in chosen}

    def _examples(self, filters: Filter, one: str, other: str) -> dict[tuple[str, str], str]:
        indexes = self._bitmaps.examples(one, other, self._matching_ids(filters), _bits(filters))
        distinct = sorted(set(indexes.values()))
        titles = {
            index: line.title for index, line in zip(distinct, self._lines(distinct), strict=True)
        }
        return {codes: title for codes, index in indexes.items() if (title := titles[index])}

    def _covered(self, filters: Filter, facet: str) -> BitMap:
        any_ = self._bitmaps.ids_with(facet, self._bitmaps.codes(facet), _bits(filters))
        subset = self._matching_ids(filters)
        return any_ if subset is None else any_ & subset

    def _list_within(self, filters: Filter, limit: int, **days: str | None) -> list[ListItem]:
        kinds = [kind_number(kind) for kind in filters.codes("kind") or KINDS if kind in KINDS]
        without_kind = filters.with_codes("kind")
        return self._cached(
            ("between", filters, limit, *days.values()),
            lambda: self._lines(
                [
                    index
                    for (index,) in self._rows(
                        "between", without_kind, kinds=kinds, limit=limit, **days
                    )
                ]
            ),
        )

    def _list_things(self, filters: Filter, order: str, limit: int, offset: int) -> list[ListItem]:
        subset = self._matching_ids(filters)
        if order == "relevance" and filters.among is not None:
            ranked = [
                index
                for index in self._bitmaps.ids_of(filters.among)
                if index is not None and subset is not None and index in subset
            ]
            return self._lines(ranked[offset : offset + limit])
        return self._lines(
            self._bitmaps.first_in_order(
                order if order in ORDERS else "newest", subset, offset, limit
            )
        )

    def _list_after(
        self, filters: Filter, key: str, upward: bool, cursor: tuple[str, str], limit: int
    ) -> list[tuple[str, str]]:
        name, text = f"key-{key}", f"SELECT thing, {KEYS[key]}, iri FROM things WHERE thing IN "

        def at(rank: int) -> tuple[str, str]:
            [(_, value, iri)] = self._query(text + self._things([self._bitmaps.id_at(name, rank)]))
            return value, iri

        last = self._bitmaps.length(name)
        if cursor == ("", "") or cursor[0] == LAST:
            start = 0 if upward else last
        elif upward:
            start = bisect_right(range(last), cursor, key=at)
        else:
            start = bisect_left(range(last), cursor, key=at)
        indexes = self._bitmaps.next_in_order(
            name, self._matching_ids(filters), start, limit, down=not upward
        )
        rows = (
            {thing: (iri, value) for thing, value, iri in self._query(text + self._things(indexes))}
            if indexes
            else {}
        )
        return [rows[int(self._bitmaps.things[index])] for index in indexes]

    def _related(self, thing: str, limit: int) -> list[ListItem]:
        [index] = self._bitmaps.ids_of((thing,))
        if index is None:
            return []
        kind = self._bitmaps.ids_with("kind", (_kind(thing),), _ALL)
        return self._lines(list(self._bitmaps.similar(index, kind, _SHARED, limit)))

    def _family(self, thing: str, limit: int) -> Family:
        [index] = self._bitmaps.ids_of((thing,))
        if index is None:
            return Family()
        [this] = self._query(
            "SELECT iri, kind, source, list_append(other_titles, title), wholes FROM things WHERE thing = $thing",
            thing=int(self._bitmaps.things[index]),
        )
        known = dict(zip(("iri", "kind", "source", "titles", "wholes"), this, strict=True))
        rows = self._query(read_sql("family"), limit=limit, **known)
        indexes = self._bitmaps.ids_of([iri for _, iri in rows])
        lines = iter(self._lines([index for index in indexes if index is not None]))
        members = [
            (is_whole, next(lines))
            for (is_whole, _), index in zip(rows, indexes, strict=True)
            if index is not None
        ]
        wholes, parts = (
            [line for is_whole, line in members if is_whole is wanted] for wanted in (True, False)
        )
        return Family(wholes[0] if wholes else None, tuple(parts))

    def _organizations(
        self, filters: Filter, limit: int
    ) -> list[tuple[str, str | None, ThingCount]]:
        ranked = self._bitmaps.top_parties(self._matching_ids(filters), limit)
        titles = self._organization_titles(body for body, _ in ranked)
        return [(*titles[body], things) for body, things in ranked]

    def _partners(self, filters: Filter, limit: int) -> list[tuple[str, str, ThingCount]]:
        ranked = self._bitmaps.co_participants(self._matching_ids(filters), limit)
        titles = self._organization_titles(body for pair in ranked for body in pair[:2])
        return [(titles[one][0], titles[other][0], things) for one, other, things in ranked]

    def _organization_titles(self, bodies: Iterable[int]) -> dict[int, tuple[str, str | None]]:
        named = ",".join(map(str, sorted(set(bodies))))
        rows = (
            self._query(f"SELECT body, iri, title FROM bodies WHERE body IN ({named})")
            if named
            else []
        )
        if len(self._titles) > CACHED_RESULTS:
            self._titles.clear()
        # their names are usually needed next
        self._titles.update((iri, title) for _, iri, title in rows)
        return {body: (iri, title) for body, iri, title in rows}

    def _names(self, organizations: tuple[str, ...]) -> dict[str, str]:
        known = dict(self._titles)
        titles = {iri: known[iri] for iri in organizations if iri in known}
        indexes = [
            index
            for index in self._bitmaps.ids_of([iri for iri in organizations if iri not in titles])
            if index is not None
        ]
        titles |= {line.iri: line.title for line in self._lines(indexes)}
        return {iri: title or iri.rpartition("/")[2] for iri, title in titles.items()}

    def _lines(self, indexes: Sequence[int]) -> list[ListItem]:
        """Return the list items of the things at *indexes*, in that order."""
        if not indexes:
            return []
        rows = self._query(read_sql("lines") + self._things(indexes))
        lines = {thing: _line(*row) for thing, *row in rows}
        return [lines[int(self._bitmaps.things[index])] for index in indexes]

    def _things(self, indexes: Sequence[int]) -> str:
        """Write the numbers of the things at *indexes*, which are also their row numbers in the
        file.
        """
        return "(" + ",".join(str(int(self._bitmaps.things[index])) for index in indexes) + ")"

    def _rows(self, name: str, filters: Filter, **bound: Any) -> list[tuple[Any, ...]]:
        """Run the query file *name* on the things that match a filter."""
        subset, text = self._matching_ids(filters), read_sql(name)
        if subset is None:
            return self._query(text.replace("-- narrowed", ""), **bound)
        things = self._bitmaps.things[np.frombuffer(subset.to_array(), dtype=np.uint32)]
        with self._connection.cursor() as cursor:
            cursor.register("wanted", {"thing": np.sort(things)})
            return cursor.execute(
                text.replace("-- narrowed", "AND thing IN (SELECT thing FROM wanted)"), bound
            ).fetchall()

    def _query(self, text: str, **bound: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            return cursor.execute(text, bound).fetchall()

    def _cached(self, key: object, compute: Callable[[], Value]) -> Value:
        with self._lock:
            if key in self._cache:
                return self._cache[key]  # type: ignore[return-value]  # each key has one type of value
        value = compute()
        with self._lock:
            self._cache[key] = value
        return value


def _bits(filters: Filter) -> int:
    return sum(BITS[basis] for basis in filters.bases)


def _kind(thing: str) -> str:
    return thing.rpartition("/id/")[2].partition("/")[0]


def _line(iri: str, kind: int, *others: Any) -> ListItem:
    return ListItem(iri, KINDS[kind - 1], *others)


def open_facet_index(snapshot: str) -> FacetIndex | None:
    """Open the tables of the snapshot in the folder *snapshot*; None if it has none yet."""
    file = Path(snapshot) / "tables" / "tables.duckdb"
    try:
        position = int(file.with_name("position").read_text())
        return _open_cached(file, file.stat().st_ino, position)
    except (FileNotFoundError, ValueError):
        return None


@lru_cache(maxsize=2)  # the current snapshot, and the previous one during a switch
def _open_cached(file: Path, _inode: int, position: int) -> FacetIndex:
    return FacetIndex(file, position)
