"""The tables in DuckDB: open their files, read the SQL of the folder ``sql``, and count and list things
from the tables of one snapshot; results are cached.

The things of each facet value are a bitmap (https://roaringbitmap.org/), read once from the tables,
since counting a million things by SQL takes seconds a page.

``count_queries`` has the equivalent SPARQL queries; a test compares the results of both.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import duckdb
import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from pyroaring import BitMap

from publisher.data.properties import (
    BITS,
    FACETS,
    KEYS,
    ORDERS,
    ORGANIZATION_KEYS,
    kind_number,
)
from vocab.initiative import Basis
from vocab.iris import KINDS, Iris


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter: *chosen* maps each facet to accepted codes; a match has one code of each facet,
    linked by one of *bases*.

    *party* is an organization that takes part, under its name in any registry. *words* are a
    full-text search and *among* the numbers of its results in the tables, the best first, None without
    words.
    """

    chosen: tuple[tuple[str, tuple[str, ...]], ...] = ()
    bases: tuple[Basis, ...] = (Basis.DECLARED,)
    party: str = ""
    words: str = ""
    among: tuple[int, ...] | None = None

    def with_codes(self, facet: str, *codes: str) -> Filter:
        """Return the filter with other codes of a facet; without *codes*, the facet is removed."""
        others = tuple(pair for pair in self.chosen if pair[0] != facet)
        return replace(self, chosen=tuple(sorted((*others, (facet, codes)))) if codes else others)

    def codes(self, facet: str) -> tuple[str, ...]:
        return dict(self.chosen).get(facet, ())

    def url_parameters(self) -> list[tuple[str, str]]:
        """Return the accepted codes, without those of the kind, and the bases as the parameters of
        a URL; declared links alone are the default.
        """
        pairs = [
            (facet, code)
            for facet, codes in self.chosen
            if facet not in ("kind", "basis")
            for code in codes
        ]
        if self.bases != (Basis.DECLARED,):
            pairs += [("basis", basis.value) for basis in self.bases]
        return pairs


def make_filter(*bases: Basis, **chosen: str) -> Filter:
    """Return the filter with one accepted code for each facet in *chosen*.

    >>> make_filter(kind="initiative", goal="4").chosen
    (('goal', ('4',)), ('kind', ('initiative',)))
    """
    return Filter(
        tuple(sorted((facet, (code,)) for facet, code in chosen.items())),
        bases or (Basis.DECLARED,),
    )


class ThingCount(int):
    """A number of things; *records* is the number of their records, which is greater where several
    describe one thing.

    >>> ThingCount(2, 3), ThingCount(2, 3).records, ThingCount(2, 3).has_duplicates, ThingCount(2, 3) + 1
    (2, 3, True, 3)
    """

    records: int

    def __new__(cls, things: int, records: int) -> ThingCount:
        count = super().__new__(cls, things)
        count.records = records
        return count

    def __reduce__(self) -> tuple[type[ThingCount], tuple[int, int]]:
        return ThingCount, (int(self), self.records)

    @property
    def has_duplicates(self) -> bool:
        return self.records != self


NONE = ThingCount(0, 0)


def connect(
    path: Path | None = None, *, read_only: bool = False, **config: str | int
) -> duckdb.DuckDBPyConnection:
    """Return a connection to the file *path*, or to a database in memory, with the settings
    *config*.

    DuckDB's progress bar is off: it appears after two seconds on standard output, which may be a
    file that a command writes.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {**config}
    connection = duckdb.connect(str(path or ":memory:"), read_only, settings)
    connection.execute("SET enable_progress_bar = false")
    return connection


def attach(path: Path, **config: str | int) -> duckdb.DuckDBPyConnection:
    """Return a read-only connection to the file *path*; this process may also have it open with
    other settings.
    """
    connection = connect(**config)  # type: ignore[arg-type]  # the settings are no path
    connection.execute("ATTACH ? AS stored (READ_ONLY)", [str(path)])
    connection.execute("USE stored")
    return connection


@cache
def sql(name: str) -> str:
    """Return the text of the file *name* of SQL, in which values are bound, never pasted."""
    return (Path(__file__).parents[1] / "sql" / f"{name}.sql").read_text()


CACHED_RESULTS = 2_000
MEMORY = "1GiB"  # of memory that DuckDB may use in a server process
UNLIMITED = 1 << 40  # more than any list has
LAST = "\uffff"  # a key after all others
_LINE = "iri, kind, source, title, language, begins, ends, issued, changed, venue, cancelled"
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


class FacetIndex:
    """The tables in the file *path*, which does not change while they are open."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path, read_only=True, memory_limit=MEMORY)
        self._cache: LRUCache[object, object] = LRUCache(CACHED_RESULTS)
        self._lock = Lock()
        # The number of the last journal entry, and whether any initiative counts with its whole.
        ((self.position, self.has_parts),) = self.query(
            """SELECT position, EXISTS (
                FROM groups JOIN things USING (thing) WHERE iri NOT IN (SELECT iri FROM clusters)
            ) FROM checkpoint"""
        )
        self._marks: dict[str, dict[str, list[tuple[int, BitMap]]]] = {}
        with self._connection.cursor() as cursor:
            marks = cursor.execute(sql("marked")).fetchnumpy()
            groups = cursor.execute(sql("grouped")).fetchnumpy()
        for facet, code, bases, things in zip(*marks.values(), strict=True):
            row = bases, BitMap(array("I", np.sort(things).tobytes()))
            self._marks.setdefault(facet, {}).setdefault(code, []).append(row)
        self._everything = self._with_any("kind")
        # The things that count together with others, and the number of the cluster of each.
        self._members, self._clusters = (
            np.asarray(groups[name], np.uint32) for name in ("thing", "cluster")
        )
        self._grouped = BitMap(array("I", self._members.tobytes()))

    def close(self) -> None:
        self._connection.close()

    def read(self, text: str) -> list[tuple[Any, ...]]:
        """Return the rows of *text*, SQL without parameters, which are cached."""
        return self._cached(("read", text), lambda: self.query(text))

    def cluster(self, thing: str) -> dict[str, str]:
        """Return the clusters of the members of a thing's cluster, by their IRIs in order; none if
        it is in none.
        """
        query = """SELECT DISTINCT iri, cluster FROM clusters
            WHERE cluster IN (SELECT cluster FROM clusters WHERE iri = $iri) ORDER BY iri"""
        return self._cached(("cluster", thing), lambda: dict(self.query(query, iri=thing)))

    def numbers(self, iris: Iterable[str]) -> tuple[int, ...]:
        """Return the numbers of the things *iris* in the tables, in their order."""
        rows = self.query(
            """SELECT thing FROM things
            JOIN (SELECT unnest($iris::VARCHAR[]) AS iri, unnest(range(len($iris))) AS rank) USING (iri)
            ORDER BY rank""",
            iris=list(iris),
        )
        return tuple(number for (number,) in rows)

    def count_different(self, filters: Filter) -> ThingCount:
        """Count the things, those of one cluster once, with the number of records."""
        return self._cached(("different", filters), lambda: self._count(self._matching(filters)))

    def counts_once(self, filters: Filter) -> DifferentCounts:
        """Count the things by the codes of all facets, those of one cluster once, with the numbers
        of records, the most frequent first; a facet's own filter does not affect its counts.
        """
        return self._cached(("once", filters), lambda: self._counts_once(filters))

    def cross_once(self, filters: Filter, one: str, other: str) -> Pairs:
        """Count the things by the codes of two facets at once, those of one cluster once, with the
        numbers of records.
        """
        return self._cached(
            ("cross", filters, one, other), lambda: self._cross(filters, one, other)
        )

    def examples(self, filters: Filter, one: str, other: str) -> dict[tuple[str, str], str]:
        """Return the title of a thing that has a code of each of two facets, by the two codes."""
        rows = self._cached(
            ("examples", filters, one, other),
            lambda: self._rows(sql("examples"), filters, one=one, other=other),
        )
        return {(code, second): title for code, second, title in rows}

    def count_covered(self, filters: Filter, facet: str) -> ThingCount:
        """Count the things with any value of a facet, those of one cluster once, with the number of
        records.
        """
        return self._cached(
            ("covered", filters, facet),
            lambda: self._count(self._matching(filters) & self._with_any(facet, filters)),
        )

    def coverage_by_source(self, filters: Filter, facet: str) -> Mapping[str, ThingCount]:
        """Count the things with any value of a facet by registry, those of one cluster once."""
        return self._cached(
            ("filled", filters, facet),
            lambda: self._count_codes(
                self._matching(filters) & self._with_any(facet, filters), "source", filters
            ),
        )

    def list_things(
        self, filters: Filter, order: str, limit: int, offset: int = 0
    ) -> list[ListItem]:
        """List things in one of ORDERS, or by ``relevance``: the order of *among*."""
        return self._cached(
            ("listed", filters, order, limit, offset),
            lambda: [line for _, line in self._listed(filters, order, limit, offset)],
        )

    def list_for_table(
        self, filters: Filter, order: str, limit: int, offset: int = 0
    ) -> list[tuple[ListItem, str, str | None, Mapping[str, Sequence[str]]]]:
        """List things as `list_things` does, each with the address under which it counts, a page of
        it on the web, and its codes by facet, of links that registries declare.
        """
        lines = self._listed(filters, order, limit, offset)
        rows = self.query(sql("listed"), numbers=[number for number, _ in lines])
        beside = {number: rest for number, *rest in rows}
        return [
            (line, cluster, page, codes or {})
            for number, line in lines
            for cluster, page, codes in (beside[number],)
        ]

    def list_organizations(
        self, words: str, key: str, upward: bool, cursor: tuple[str, str], limit: int
    ) -> list[tuple[str, str, int]]:
        """List the organizations with *words* in their names after the key and the IRI *cursor*,
        those of a cluster once: IRI, key and number of initiatives.
        """
        return self.query(
            f"""SELECT iri, {ORGANIZATION_KEYS[key]} AS key, initiatives FROM ({sql("organization-list")})
            WHERE contains(lower(strip_accents(coalesce(title, ''))), lower(strip_accents($words)))
            {_after("key", upward)}""",
            words=words,
            since=cursor[0],
            after=cursor[1],
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
            lambda: self._rows(
                f"""WITH chosen AS MATERIALIZED (SELECT thing, {KEYS[key]} AS key FROM things WHERE $things),
                following AS (
                    SELECT key FROM chosen WHERE key {">" if upward else "<"} $since
                    ORDER BY key {"ASC" if upward else "DESC"} LIMIT $limit),
                -- Only the things of the keys of the answer need their long IRIs.
                wide AS MATERIALIZED (
                    SELECT thing, key FROM chosen WHERE key = $since OR key BETWEEN
                        (SELECT min(key) FROM following) AND (SELECT max(key) FROM following))
                SELECT iri, key FROM wide JOIN things USING (thing) WHERE true {_after("key", upward)}""",
                filters,
                since=since,
                after=after,
                limit=limit,
            ),
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
            lambda: [Prize(*row) for row in self._rows(sql("prizes"), filters, year=year)],
        )

    def prize_years(self, filters: Filter) -> list[str]:
        """List the years of the prizes, the newest first, and "" last if some have none."""
        return self._cached(
            ("awarded", filters),
            lambda: [year for (year,) in self._rows(sql("awarded"), filters)],
        )

    def organizations(
        self, filters: Filter, limit: int
    ) -> list[tuple[str, str | None, ThingCount]]:
        """List the organizations that take part in most things: IRI, name and number of things,
        those of one cluster once.
        """
        return self._cached(
            ("organizations", filters, limit),
            lambda: [
                (iri, title, ThingCount(things, records))
                for iri, title, things, records in self._rows(sql("takers"), filters, limit=limit)
            ],
        )

    def partners(self, filters: Filter, limit: int) -> list[tuple[str, str, ThingCount]]:
        """List the pairs of organizations that take part in most things together, as
        `organizations` counts them.
        """
        return self._cached(
            ("partners", filters, limit),
            lambda: [
                (one, other, ThingCount(things, records))
                for one, other, things, records in self._rows(sql("partners"), filters, limit=limit)
            ],
        )

    def official_links(self, iris: Iris) -> Mapping[tuple[str, str], str]:
        """Return the official links by action line and goal: ``agreed`` or ``disputed``."""
        line, goal = FACETS["line"], FACETS["goal"]
        return self._cached(
            ("official", iris),
            lambda: {
                (line.code(one, iris), goal.code(other, iris)): status.rpartition("#")[2]
                for one, other, status in self.query(sql("official-links"), ns=iris.ns)
            },
        )

    def same_organizations(self, organization: str) -> tuple[str, ...]:
        """Return the IRIs of an organization in all registries: the members of its cluster."""
        rows = self.query(
            """SELECT iri FROM groups JOIN things USING (thing) WHERE cluster IN (
                SELECT cluster FROM groups JOIN things USING (thing) WHERE iri = $iri AND kind = 5)
            AND kind = 5""",
            iri=organization,
        )
        return tuple(iri for (iri,) in rows) or (organization,)

    def organization_names(self, organizations: tuple[str, ...]) -> dict[str, str]:
        return self._cached(
            ("names", organizations),
            lambda: {
                iri: title or iri.rpartition("/")[2]
                for iri, title in self.query(
                    "SELECT iri, title FROM things WHERE list_contains($iris, iri)",
                    iris=list(organizations),
                )
            },
        )

    def _with_any(
        self, facet: str, filters: Filter = Filter(), codes: Iterable[str] | None = None
    ) -> BitMap:
        """Return the things with any of *codes* of a facet, linked by one of the bases of *filters*;
        without *codes*, with any.
        """
        marks, bits = self._marks.get(facet, {}), _bits(filters)
        sets = [
            things
            for code in (marks if codes is None else codes)
            for bases, things in marks.get(code, ())
            if bases & bits
        ]
        return sets[0] if len(sets) == 1 else BitMap.union(BitMap(), *sets)

    def _matching(self, filters: Filter) -> BitMap:
        """Return the things that match a filter."""
        sets = [self._with_any(facet, filters, codes) for facet, codes in filters.chosen]
        if filters.party:
            sets.append(
                self._cached(("party", filters.party), lambda: self._with_party(filters.party))
            )
        if filters.among is not None:
            sets.append(BitMap(filters.among))
        return BitMap.intersection(self._everything, *sets)

    def _with_party(self, organization: str) -> BitMap:
        """Return the things in which an organization takes part, under its name in any registry."""
        rows = self.query(
            """SELECT thing FROM parties JOIN organizations USING (organization)
            WHERE roles <> 0 AND list_contains($party, iri)""",
            party=list(self.same_organizations(organization)),
        )
        return BitMap([thing for (thing,) in rows])

    def _count(self, things: BitMap) -> ThingCount:
        """Count *things*, those of one cluster once, and their records."""
        copies, records = things & self._grouped, len(things)
        if len(copies) < 2:
            return ThingCount(records, records)
        places = np.searchsorted(self._members, np.array(copies.to_array(), np.uint32))
        return ThingCount(records - len(copies) + len(np.unique(self._clusters[places])), records)

    def _count_codes(self, among: BitMap, facet: str, filters: Filter) -> dict[str, ThingCount]:
        """Count the things *among* by the codes of a facet, linked by one of the bases of
        *filters*, the most frequent first.
        """
        counts = {
            code: self._count(among & self._with_any(facet, filters, (code,)))
            for code in self._marks.get(facet, {})
        }
        ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return {code: things for code, things in ranked if things}

    def _counts_once(self, filters: Filter) -> DifferentCounts:
        among = self._matching(filters)
        counts = {
            facet: self._count_codes(
                self._matching(filters.with_codes(facet)) if filters.codes(facet) else among,
                facet,
                filters,
            )
            for facet in FACETS
        }
        return {facet: codes for facet, codes in counts.items() if codes or filters.codes(facet)}

    def _cross(self, filters: Filter, one: str, other: str) -> Pairs:
        among = self._matching(filters)
        return {
            (code, second): things
            for code in sorted(self._marks.get(one, {}))
            for second, things in self._count_codes(
                among & self._with_any(one, filters, (code,)), other, filters
            ).items()
        }

    def _related(self, iri: str, limit: int) -> list[ListItem]:
        known = self.query("SELECT thing, kind FROM things WHERE iri = $iri", iri=iri)
        if not known:
            return []
        ((thing, kind),) = known
        alike, linked = self._with_any("kind", codes=(KINDS[kind - 1],)), Filter(bases=(*Basis,))
        others = [
            np.array((things & alike).to_array(), np.uint32)
            for facet in _SHARED
            for code in self._marks.get(facet, {})
            if thing in (things := self._with_any(facet, linked, (code,)))
        ]
        shared = np.bincount(
            np.concatenate([np.array([], np.uint32), *others]), minlength=limit + thing + 1
        )
        shared[thing] = 0
        best = np.flatnonzero(shared >= max(2, np.partition(shared, -limit)[-limit]))
        rows = self.query(
            f"SELECT {_LINE} FROM things JOIN wanted USING (thing) ORDER BY shared DESC, iri LIMIT $limit",
            {"thing": best, "shared": shared[best]},
            limit=limit,
        )
        return [_line(*row) for row in rows]

    def _listed(
        self, filters: Filter, order: str, limit: int, offset: int
    ) -> list[tuple[int, ListItem]]:
        key, ranks, ranked = ORDERS.get(order, ORDERS["newest"]), "", dict[str, object]()
        if order == "relevance" and filters.among is not None:
            key, ranked = "rank", {"among": list(filters.among)}
            ranks = "JOIN (SELECT unnest($among::UINTEGER[]) AS thing, unnest(range(len($among))) AS rank) USING (thing)"
        rows = self._rows(
            f"""SELECT thing, {_LINE} FROM things {ranks} WHERE $things
            ORDER BY {key}, iri LIMIT $limit OFFSET $offset""",
            filters,
            limit=limit,
            offset=offset,
            **ranked,
        )
        return [(number, _line(*row)) for number, *row in rows]

    def _list_within(self, filters: Filter, limit: int, **days: str | None) -> list[ListItem]:
        kinds = [kind_number(kind) for kind in filters.codes("kind") or KINDS if kind in KINDS]
        text = sql("between").replace("$line", _LINE)
        return self._cached(
            ("between", filters, limit, *days.values()),
            lambda: [
                _line(*row)
                for row in self._rows(
                    text, filters.with_codes("kind"), kinds=kinds, limit=limit, **days
                )
            ],
        )

    def _family(self, thing: str, limit: int) -> Family:
        known = self.query(
            "SELECT kind, source, list_append(other_titles, title), wholes FROM things WHERE iri = $iri",
            iri=thing,
        )
        wholes, parts = list[ListItem](), list[ListItem]()
        for values in known:
            this = dict(zip(("kind", "source", "titles", "wholes"), values, strict=True))
            text = sql("family").replace("$line", _LINE)
            for is_whole, *row in self.query(text, iri=thing, limit=limit, **this):
                (wholes if is_whole else parts).append(_line(*row))
        return Family(next(iter(wholes), None), tuple(parts))

    def _rows(self, text: str, filters: Filter, /, **bound: Any) -> list[tuple[Any, ...]]:
        """Run *text* on the things that match a filter."""
        kinds, others = filters.codes("kind"), filters.with_codes("kind")
        conditions, wanted = list[str](), None
        if kinds:
            numbers = [f"{kind_number(kind)}" for kind in kinds if kind in KINDS] or ["NULL"]
            conditions.append(f"kind IN ({', '.join(numbers)})")
        if others.chosen or others.party or others.among is not None:
            conditions.append("thing IN (FROM wanted)")
            wanted = {"thing": np.array(self._matching(others).to_array(), np.uint32)}
        text = text.replace("$things", " AND ".join(conditions) or "true")
        return self.query(text.replace("$bits", str(_bits(filters))), wanted, **bound)

    def query(
        self, text: str, wanted: Mapping[str, NDArray[Any]] | None = None, /, **bound: Any
    ) -> list[tuple[Any, ...]]:
        """Run *text*, in which the table ``wanted`` has the columns *wanted*, if any are given."""
        with self._connection.cursor() as cursor:
            if wanted is not None:
                cursor.register("wanted", wanted)
            return cursor.execute(text, bound).fetchall()

    def _cached(self, key: tuple[object, ...], compute: Callable[[], Value]) -> Value:
        if any(isinstance(part, Filter) and part.among is not None for part in key):
            return compute()  # the results of a search may be many
        with self._lock:
            if key in self._cache:
                return self._cache[key]  # type: ignore[return-value]  # each key has one type of value
        value = compute()
        with self._lock:
            self._cache[key] = value
        return value


def _bits(filters: Filter) -> int:
    return sum(BITS[basis] for basis in filters.bases)


def _after(key: str, upward: bool) -> str:
    """Return the end of a query that continues a list ordered by *key* after the key *since* and
    the IRI *after*.
    """
    compares, direction = (">", "ASC") if upward else ("<", "DESC")
    return f"""AND ({key} {compares} $since OR {key} = $since AND iri {compares} $after)
        ORDER BY {key} {direction}, iri {direction} LIMIT $limit"""


def _line(iri: str, kind: int, *others: Any) -> ListItem:
    return ListItem(iri, KINDS[kind - 1], *others)


def open_facet_index(snapshot: str) -> FacetIndex | None:
    """Open the tables of the snapshot in the folder *snapshot*; None if it has none yet."""
    file = Path(snapshot) / "columns" / "columns.duckdb"
    try:
        return _open_cached(file, file.stat().st_ino)
    except FileNotFoundError:
        return None


@lru_cache(maxsize=2)  # the current snapshot, and the previous one during a switch
def _open_cached(file: Path, _inode: int) -> FacetIndex:
    return FacetIndex(file)
