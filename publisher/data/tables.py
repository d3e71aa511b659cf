"""The tables in DuckDB: open their files, read the SQL of the folder ``sql``, and count and list things
from the tables of one snapshot; results are cached.

The things of each facet value are a bitmap (https://roaringbitmap.org/), read once from the tables,
since counting a million things by SQL takes seconds a page.

``count_queries`` has the equivalent SPARQL queries; a test compares the results of both.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache, wraps
from pathlib import Path
from threading import Lock
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

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
Numbers = NDArray[np.uint32]
Value = TypeVar("Value")
Parameters = ParamSpec("Parameters")
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


def _remembered(
    method: Callable[Concatenate[FacetIndex, Parameters], Value],
) -> Callable[Concatenate[FacetIndex, Parameters], Value]:
    """Cache the results of *method*, but those of a search, which may be many."""

    @wraps(method)
    def remembered(
        index: FacetIndex, /, *values: Parameters.args, **named: Parameters.kwargs
    ) -> Value:
        if any(isinstance(value, Filter) and value.among is not None for value in values):
            return method(index, *values, **named)
        key = (method.__name__, *values, *named.items())
        with index.lock:
            if key in index.results:
                return index.results[key]  # type: ignore[no-any-return]  # each key has one type of value
        result = method(index, *values, **named)
        with index.lock:
            index.results[key] = result
        return result

    return remembered


class FacetIndex:
    """The tables in the file *path*, which does not change while they are open."""

    def __init__(self, path: Path) -> None:
        # Queries are short: a second thread costs more than it gains.
        self._connection = connect(path, read_only=True, memory_limit=MEMORY, threads=1)
        self.results: LRUCache[object, Any] = LRUCache(CACHED_RESULTS)
        self.lock = Lock()
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
        # One more than the number of any thing.
        self._size = self._everything.max() + 1 if self._everything else 1
        # The things that count together with others, and the number of the cluster of each.
        self._members, self._clusters = (
            np.asarray(groups[name], np.uint32) for name in ("thing", "cluster")
        )
        self._grouped = BitMap(array("I", self._members.tobytes()))

    def close(self) -> None:
        self._connection.close()

    @_remembered
    def read(self, text: str) -> list[tuple[Any, ...]]:
        """Return the rows of *text*, SQL without parameters, which are cached."""
        return self.query(text)

    @_remembered
    def cluster(self, thing: str) -> dict[str, str]:
        """Return the clusters of the members of a thing's cluster, by their IRIs in order; none if
        it is in none.
        """
        query = """SELECT DISTINCT iri, cluster FROM clusters
            WHERE cluster IN (SELECT cluster FROM clusters WHERE iri = $iri) ORDER BY iri"""
        return dict(self.query(query, iri=thing))

    def numbers(self, iris: Iterable[str]) -> tuple[int, ...]:
        """Return the numbers of the things *iris* in the tables, in their order."""
        rows = self.query(
            """SELECT thing FROM things JOIN (
                SELECT md5_number_lower(unnest($iris::VARCHAR[])) AS hash, unnest(range(len($iris))) AS rank
            ) USING (hash) ORDER BY rank""",
            iris=list(iris),
        )
        return tuple(number for (number,) in rows)

    @_remembered
    def count_different(self, filters: Filter) -> ThingCount:
        """Count the things, those of one cluster once, with the number of records."""
        return self._count(self._matching(filters))

    @_remembered
    def counts_once(self, filters: Filter) -> DifferentCounts:
        """Count the things by the codes of all facets, those of one cluster once, with the numbers
        of records, the most frequent first; a facet's own filter does not affect its counts.
        """
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

    @_remembered
    def cross_once(self, filters: Filter, one: str, other: str) -> Pairs:
        """Count the things by the codes of two facets at once, those of one cluster once, with the
        numbers of records.
        """
        among = self._matching(filters)
        return {
            (code, second): things
            for code in sorted(self._marks.get(one, {}))
            for second, things in self._count_codes(
                among & self._with_any(one, filters, (code,)), other, filters
            ).items()
        }

    @_remembered
    def examples(self, filters: Filter, one: str, other: str) -> dict[tuple[str, str], str]:
        """Return the title of a thing that has a code of each of two facets, by the two codes."""
        among = self._matching(filters)
        others = {
            code: self._with_any(other, filters, (code,)) for code in self._marks.get(other, {})
        }
        firsts = dict[tuple[str, str], int]()
        for code in self._marks.get(one, {}):
            things = among & self._with_any(one, filters, (code,))
            firsts |= {
                (code, second): both.min()
                for second, them in others.items()
                if (both := things & them)
            }
        titles = dict(
            self.query(
                "SELECT thing, title FROM things JOIN wanted USING (thing)",
                {"thing": np.array([*set(firsts.values())], np.uint32)},
            )
        )
        return {codes: titles[thing] for codes, thing in firsts.items() if titles[thing]}

    @_remembered
    def count_covered(self, filters: Filter, facet: str) -> ThingCount:
        """Count the things with any value of a facet, those of one cluster once, with the number of
        records.
        """
        return self._count(self._matching(filters) & self._with_any(facet, filters))

    @_remembered
    def coverage_by_source(self, filters: Filter, facet: str) -> Mapping[str, ThingCount]:
        """Count the things with any value of a facet by registry, those of one cluster once."""
        covered = self._matching(filters) & self._with_any(facet, filters)
        return self._count_codes(covered, "source", filters)

    @_remembered
    def list_things(
        self, filters: Filter, order: str, limit: int, offset: int = 0
    ) -> list[ListItem]:
        """List things in one of ORDERS, or by ``relevance``: the order of *among*."""
        return self._lines(self._page(filters, order, limit, offset))

    def list_for_table(
        self, filters: Filter, order: str, limit: int, offset: int = 0
    ) -> list[tuple[ListItem, str, str | None, Mapping[str, Sequence[str]]]]:
        """List things as `list_things` does, each with the address under which it counts, a page of
        it on the web, and its codes by facet, of links that registries declare.
        """
        numbers = self._page(filters, order, limit, offset)
        rows = self.query(sql("listed"), {"thing": np.array(numbers, np.uint32)})
        beside = {number: rest for number, *rest in rows}
        return [
            (line, cluster, page, codes or {})
            for number, line in zip(numbers, self._lines(numbers), strict=True)
            for cluster, page, codes in (beside[number],)
        ]

    def list_organizations(
        self, words: str, key: str, upward: bool, since: str, after: str, limit: int
    ) -> list[tuple[str, str, int]]:
        """List the organizations with *words* in their names after the key *since* and the IRI
        *after*, those of a cluster once: IRI, key and number of initiatives.
        """
        return self.query(
            f"""SELECT iri, {ORGANIZATION_KEYS[key]} AS key, initiatives FROM ({sql("organization-list")})
            WHERE ($words = '' OR contains(lower(strip_accents(coalesce(title, ''))), lower(strip_accents($words))))
            {_after("key", upward)}""",
            words=words,
            since=since,
            after=after,
            limit=limit,
        )

    @_remembered
    def list_after(
        self, filters: Filter, key: str, upward: bool, since: str, after: str, limit: int
    ) -> list[tuple[str, str]]:
        """List the things after the key *since* and the IRI *after*, ordered by one of KEYS: IRI
        and key of each.
        """
        expression, cursor = KEYS[key], dict[str, Any](since=since, after=after, limit=limit)
        if key == "address":  # all things have the same key
            text = f"SELECT * FROM (SELECT iri, {expression} AS key FROM things WHERE $things) WHERE true"
            return self._rows(f"{text} {_after('key', upward)}", filters, **cursor)
        things = _numbers(self._matching(filters))
        places = self._places(things, expression, upward)
        start, unplaced = 0, np.iinfo(places.dtype).max
        if since not in ("", LAST):
            compares, direction = (">=", "ASC") if upward else ("<=", "DESC")
            text = f"""SELECT thing FROM things WHERE {expression} {compares} $since
                ORDER BY {expression} {direction} LIMIT 1"""
            following = np.array(self.query(text, since=since), np.uint32).ravel()
            start = self._places(following, expression, upward).min(initial=unplaced)
        later = places[places > start]
        last = np.partition(later, limit)[:limit].max() if len(later) > limit else unplaced
        chosen = things[(places >= start) & (places <= last)]
        text = f"""SELECT * FROM (SELECT iri, {expression} AS key FROM things JOIN wanted USING (thing))
            WHERE true {_after("key", upward)}"""
        return self.query(text, {"thing": chosen}, **cursor)

    @_remembered
    def events_between(
        self,
        filters: Filter,
        first: str,
        last: str,
        limit: int = UNLIMITED,
        ended_before: str | None = None,
    ) -> list[ListItem]:
        """List the things that take place between the days *first* and *last*, ordered by their
        start; those that ended before a day, if one is given, the latest first.
        """
        days = {"first": first, "last": last, "ended_before": ended_before}
        rows = self._rows(sql("between"), filters, limit=limit, **days)
        return self._lines([thing for (thing,) in rows])

    def past_events(self, filters: Filter, day: str, limit: int) -> list[ListItem]:
        """List the things that ended before a day, the latest first."""
        return self.events_between(filters, "0000", "9999", limit, day)

    @_remembered
    def related(self, thing: str, limit: int) -> list[ListItem]:
        """List the things that share the most action lines, goals, targets, countries and activity
        types with a thing, at least two.
        """
        known = self.query(
            "SELECT thing, kind FROM things WHERE hash = md5_number_lower($iri)", iri=thing
        )
        if not known:
            return []
        ((number, kind),) = known
        alike, linked = self._with_any("kind", codes=(KINDS[kind - 1],)), Filter(bases=(*Basis,))
        others = [
            _numbers(things & alike)
            for facet in _SHARED
            for code in self._marks.get(facet, {})
            if number in (things := self._with_any(facet, linked, (code,)))
        ]
        shared = np.bincount(
            np.concatenate([_numbers(BitMap()), *others]), minlength=limit + number + 1
        )
        shared[number] = 0
        best = np.flatnonzero(shared >= max(2, np.partition(shared, -limit)[-limit]))
        best = best[np.argsort(-shared[best], kind="stable")][:limit]
        return self._lines(best.tolist())

    @_remembered
    def family(self, thing: str, limit: int) -> Family:
        """Return the initiative that another is part of, and its parts, at most *limit*."""
        text = "SELECT kind, source, list_append(other_titles, title), wholes FROM things WHERE hash = md5_number_lower($iri)"
        wholes, parts = list[ListItem](), list[ListItem]()
        for values in self.query(text, iri=thing):
            this = dict(zip(("kind", "source", "titles", "wholes"), values, strict=True))
            text = sql("family").replace("$line", _LINE)
            for is_whole, *row in self.query(text, iri=thing, limit=limit, **this):
                (wholes if is_whole else parts).append(_line(*row))
        return Family(next(iter(wholes), None), tuple(parts))

    @_remembered
    def prizes(self, filters: Filter, year: str | None = None) -> list[Prize]:
        """List the prizes, the newest first; of a *year*, "" for those without one, None for all."""
        return [Prize(*row) for row in self._rows(sql("prizes"), filters, year=year)]

    @_remembered
    def prize_years(self, filters: Filter) -> list[str]:
        """List the years of the prizes, the newest first, and "" last if some have none."""
        return [year for (year,) in self._rows(sql("awarded"), filters)]

    @_remembered
    def organizations(
        self, filters: Filter, limit: int
    ) -> list[tuple[str, str | None, ThingCount]]:
        """List the organizations that take part in most things: IRI, name and number of things,
        those of one cluster once.
        """
        things, organizations = self._parties
        counted = self._most_frequent(organizations, things, filters, limit)
        iris = self._organization_iris(counted)
        names = self._names(self._described([*counted]))
        listed = [(iri, names.get(iri), counted[number]) for number, iri in iris.items()]
        return sorted(listed, key=lambda item: (-item[2], item[0]))

    @_remembered
    def partners(self, filters: Filter, limit: int) -> list[tuple[str, str, ThingCount]]:
        """List the pairs of organizations that take part in most things together, as
        `organizations` counts them.
        """
        things, pairs, places = self._partners
        frequent = self._most_frequent(places, things, filters, limit)
        counted = {int(pairs[place]): count for place, count in frequent.items()}
        numbered = {pair: divmod(pair, 1 << 32) for pair in counted}
        iris = self._organization_iris({number for pair in numbered.values() for number in pair})
        listed = list[tuple[str, str, ThingCount]]()
        for pair, numbers in numbered.items():
            one_iri, other_iri = sorted(iris[number] for number in numbers)
            listed.append((one_iri, other_iri, counted[pair]))
        return sorted(listed, key=lambda item: (-item[2], item[:2]))

    @_remembered
    def official_links(self, iris: Iris) -> Mapping[tuple[str, str], str]:
        """Return the official links by action line and goal: ``agreed`` or ``disputed``."""
        line, goal = FACETS["line"], FACETS["goal"]
        return {
            (line.code(one, iris), goal.code(other, iris)): status.rpartition("#")[2]
            for one, other, status in self.query(sql("official-links"), ns=iris.ns)
        }

    def same_organizations(self, organization: str) -> tuple[str, ...]:
        """Return the IRIs of an organization in all registries: the members of its cluster."""
        rows = self.query(
            """SELECT iri FROM groups JOIN things USING (thing) WHERE cluster IN (
                SELECT cluster FROM groups JOIN things USING (thing)
                WHERE hash = md5_number_lower($iri) AND kind = 5)
            AND kind = 5""",
            iri=organization,
        )
        return tuple(iri for (iri,) in rows) or (organization,)

    def organization_names(self, organizations: Iterable[str]) -> dict[str, str]:
        return self._names(self.numbers(organizations))

    def party_names(self, organizations: Iterable[str]) -> dict[str, str]:
        """Return the names of organizations that take part in things, as `organization_names` does
        in a third of the time.
        """
        rows = self.query(
            """SELECT organization FROM organizations
            JOIN (SELECT md5_number_lower(unnest($iris::VARCHAR[])) AS hash) USING (hash)""",
            iris=list(organizations),
        )
        return self._names(self._described([number for (number,) in rows]))

    def _described(self, organizations: Sequence[int]) -> NDArray[Any]:
        """Return the numbers of organizations as things, 0 of those that no registry describes."""
        query = (
            "SELECT organization, thing FROM organizations JOIN things USING (hash) WHERE kind = 5"
        )
        return self._by_number(query)[np.array(organizations, np.uint32)]

    def _names(self, things: Sequence[int] | NDArray[Any]) -> dict[str, str]:
        rows = self.query(
            "SELECT iri, title FROM things JOIN wanted USING (thing)",
            {"thing": np.array(things, np.uint32)},
        )
        return {iri: title or iri.rpartition("/")[2] for iri, title in rows}

    @cached_property
    def _parties(self) -> tuple[Numbers, Numbers]:
        """The numbers of things and of the organizations that take part in them, by thing."""
        pairs = "SELECT thing::UBIGINT << 32 | organization AS pair FROM parties WHERE roles <> 0"
        with self._connection.cursor() as cursor:
            packed = cursor.execute(pairs).fetchnumpy()["pair"]
        things, organizations = np.divmod(np.sort(packed), np.uint64(1 << 32))
        return things.astype(np.uint32), organizations.astype(np.uint32)

    @cached_property
    def _partners(self) -> tuple[Numbers, NDArray[np.uint64], NDArray[np.intp]]:
        """The numbers of things, the pairs of organizations, and the place among them of each pair
        that takes part in a thing.
        """
        things, organizations = self._parties
        rows, pairs, paired = np.arange(len(things)), [np.empty(0, np.uint64)], [things[:0]]
        for distance in range(1, len(things)):
            rows = rows[rows < len(things) - distance]
            rows = rows[things[rows] == things[rows + distance]]
            if not len(rows):
                break
            one, other = organizations[rows].astype(np.uint64), organizations[rows + distance]
            pairs.append(one << 32 | other)
            paired.append(things[rows])
        values, places = np.unique(np.concatenate(pairs), return_inverse=True)
        return np.concatenate(paired), values, places

    def _organization_iris(self, numbers: Collection[int]) -> dict[int, str]:
        return dict(
            self.query(
                "SELECT organization, iri FROM organizations JOIN wanted USING (organization)",
                {"organization": np.array([*numbers], np.uint32)},
            )
        )

    def _flags(self, things: BitMap) -> NDArray[np.bool_]:
        """Return by the number of a thing whether it is among *things*."""
        flags = np.zeros(self._size, np.bool_)
        flags[_numbers(things)] = True
        return flags

    def _most_frequent(
        self, keys: NDArray[Any], things: Numbers, filters: Filter, limit: int
    ) -> dict[int, ThingCount]:
        """Count the *things* of each key, a small number, that match a filter, those of one cluster
        once, and return the *limit* keys with most.
        """
        chosen = self._flags(self._matching(filters))[things]
        keys, things = keys[chosen], things[chosen]
        records = np.bincount(keys)
        counts = records.copy()
        copies = self._flags(self._grouped)[things]
        clusters = self._clusters[np.searchsorted(self._members, things[copies])]
        np.subtract.at(counts, keys[copies], 1)
        np.add.at(counts, np.unique(np.stack([keys[copies], clusters]), axis=1)[0], 1)
        least = np.partition(counts, -limit)[-limit] if limit < len(counts) else 0
        best = np.flatnonzero(counts >= max(1, least))
        best = best[np.argsort(-counts[best], kind="stable")][:limit]
        return {
            key: ThingCount(*counted)
            for key, *counted in zip(
                best.tolist(), counts[best].tolist(), records[best].tolist(), strict=True
            )
        }

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
            sets.append(self._with_party(filters.party))
        if filters.among is not None:
            sets.append(BitMap(filters.among))
        return BitMap.intersection(self._everything, *sets)

    @_remembered
    def _with_party(self, organization: str) -> BitMap:
        """Return the things in which an organization takes part, under its name in any registry."""
        rows = self.query(
            """SELECT thing FROM parties JOIN organizations USING (organization)
            JOIN (SELECT md5_number_lower(unnest($party::VARCHAR[])) AS hash) USING (hash)
            WHERE roles <> 0""",
            party=list(self.same_organizations(organization)),
        )
        return BitMap([thing for (thing,) in rows])

    def _count(self, things: BitMap) -> ThingCount:
        """Count *things*, those of one cluster once, and their records."""
        return ThingCount(len(things) - self._repeated(things & self._grouped), len(things))

    def _repeated(self, copies: BitMap) -> int:
        """Return by how many *copies* there are more than clusters of them."""
        if len(copies) < 2:
            return 0
        places = np.searchsorted(self._members, _numbers(copies))
        return len(copies) - len(np.unique(self._clusters[places]))

    def _count_codes(self, among: BitMap, facet: str, filters: Filter) -> dict[str, ThingCount]:
        """Count the things *among* by the codes of a facet, linked by one of the bases of
        *filters*, the most frequent first.
        """
        copies, bits, counts = among & self._grouped, _bits(filters), dict[str, ThingCount]()
        for code, marks in self._marks.get(facet, {}).items():
            # A thing has the code in one of the sets only.
            sets = [things for bases, things in marks if bases & bits]
            if records := sum(map(among.intersection_cardinality, sets)):
                repeated = self._repeated(copies & BitMap.union(BitMap(), *sets)) if copies else 0
                counts[code] = ThingCount(records - repeated, records)
        return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))

    def _places(self, things: Numbers, key: str, upward: bool) -> NDArray[Any]:
        """Return the place of each of *things* in the order of their *key*, an expression of SQL;
        those without a key come last. Of titles, things whose keys begin alike have one place.
        """
        if "sort_title" in key:
            ranks = self._by_number("SELECT thing, title_start FROM things")[things]
            if key == "sort_title":  # without the digit before it
                ranks <<= np.uint64(8)
        else:
            ranks = self._by_number(
                f"""WITH keys AS (
                    SELECT key, row_number() OVER (ORDER BY key) AS rank
                    FROM (SELECT DISTINCT {key} AS key FROM things) WHERE key IS NOT NULL)
                SELECT thing, rank::UINTEGER AS rank FROM things JOIN keys ON key = {key}"""
            )[things]
        return ranks - ranks.dtype.type(1) if upward else ~ranks

    @_remembered
    def _by_number(self, query: str) -> NDArray[Any]:
        """Return the second column of *query* by the numbers in the first, 0 for other numbers."""
        with self._connection.cursor() as cursor:
            numbers, column = map(np.asarray, cursor.execute(query).fetchnumpy().values())
        values = np.zeros(max(self._size, numbers.max(initial=0) + 1), column.dtype)
        values[numbers] = column
        return values

    def _page(self, filters: Filter, order: str, limit: int, offset: int) -> list[int]:
        """Return the numbers of the things of a page of a list."""
        matching = self._matching(filters)
        if order == "relevance" and filters.among is not None:
            ranked = [number for number in filters.among if number in matching]
            return ranked[offset : offset + limit]
        things = _numbers(matching)
        key, upward = ORDERS.get(order, ORDERS["newest"])
        places = self._places(things, key, upward)
        if offset >= len(things):
            return []
        ends = offset, min(offset + limit, len(things)) - 1
        first, last = np.partition(places, ends)[[*ends]]
        # Only the things of the first and the last key, and those between, need their long IRIs.
        chosen = (places >= first) & (places <= last)
        rows = self.query(
            f"""SELECT thing FROM things JOIN wanted USING (thing)
            ORDER BY {key} {"ASC" if upward else "DESC"} NULLS LAST, iri LIMIT $limit OFFSET $offset""",
            {"thing": things[chosen]},
            limit=limit,
            offset=offset - int(np.count_nonzero(places < first)),
        )
        return [number for (number,) in rows]

    def _lines(self, numbers: Sequence[int]) -> list[ListItem]:
        """Return the things *numbers* as lists show them, in their order."""
        rows = self.query(
            f"SELECT {_LINE} FROM things JOIN wanted USING (thing) ORDER BY rank",
            {"thing": np.array(numbers, np.uint32), "rank": np.arange(len(numbers))},
        )
        return [_line(*row) for row in rows]

    def _rows(self, text: str, filters: Filter, /, **bound: Any) -> list[tuple[Any, ...]]:
        """Run *text* on the things that match a filter."""
        kinds, sources, others = filters.codes("kind"), filters.codes("source"), filters
        conditions, wanted = list[str](), None
        if kinds:
            numbers = [f"{kind_number(kind)}" for kind in kinds if kind in KINDS] or ["NULL"]
            conditions.append(f"kind IN ({', '.join(numbers)})")
            others = others.with_codes("kind")
        if len(sources) == 1:
            conditions.append("source = $source")
            bound["source"] = sources[0]
            others = others.with_codes("source")
        if others.chosen or others.party or others.among is not None:
            conditions.append("thing IN (FROM wanted)")
            wanted = {"thing": _numbers(self._matching(others))}
        return self.query(
            text.replace("$things", " AND ".join(conditions) or "true"), wanted, **bound
        )

    def query(
        self, text: str, wanted: Mapping[str, NDArray[Any]] | None = None, /, **bound: Any
    ) -> list[tuple[Any, ...]]:
        """Run *text*, in which the table ``wanted`` has the columns *wanted*, if any are given."""
        with self._connection.cursor() as cursor:
            if wanted is not None:
                cursor.register("wanted", wanted)
            return cursor.execute(text, bound).fetchall()


def _bits(filters: Filter) -> int:
    return sum(BITS[basis] for basis in filters.bases)


def _after(key: str, upward: bool) -> str:
    """Return the end of a query that continues a list ordered by *key* after the key *since* and
    the IRI *after*.
    """
    compares, direction = (">", "ASC") if upward else ("<", "DESC")
    return f"""AND ({key} {compares} $since OR {key} = $since AND iri {compares} $after)
        ORDER BY {key} {direction}, iri {direction} LIMIT $limit"""


def _numbers(things: BitMap) -> Numbers:
    return np.array(things.to_array(), np.uint32)


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
