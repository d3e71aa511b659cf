"""Count and list things from the facet tables of one snapshot; results are cached.

``count_queries`` has the equivalent SPARQL queries; a test compares the results of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from cachetools import LRUCache

from publisher.data.properties import (
    BITS,
    FACETS,
    KEYS,
    ORDERS,
    ORGANIZATION_KEYS,
    kind_number,
)
from publisher.database import connect, sql
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
        ((self.position, self.has_parts),) = self._query(
            """SELECT position, EXISTS (
                FROM groups JOIN things USING (thing) WHERE iri NOT IN (SELECT iri FROM clusters)
            ) FROM checkpoint"""
        )
        self._values = {
            (facet, code): value
            for value, facet, code in self._query("SELECT value, facet, code FROM codes")
        }

    def close(self) -> None:
        self._connection.close()

    def numbers(self, iris: Iterable[str]) -> tuple[int, ...]:
        """Return the numbers of the things *iris* in the tables, in their order."""
        rows = self._query(
            """SELECT thing FROM things
            JOIN (SELECT unnest($iris::VARCHAR[]) AS iri, unnest(range(len($iris))) AS rank) USING (iri)
            ORDER BY rank""",
            iris=list(iris),
        )
        return tuple(number for (number,) in rows)

    def count_different(self, filters: Filter) -> ThingCount:
        """Count the things, those of one cluster once, with the number of records."""
        return self._cached(("different", filters), lambda: self._count_different(filters))

    def counts_once(self, filters: Filter) -> DifferentCounts:
        """Count the things by the codes of all facets, those of one cluster once, with the numbers
        of records, the most frequent first; a facet's own filter does not affect its counts.
        """
        return self._cached(("once", filters), lambda: self._counts_once(filters))

    def cross_once(self, filters: Filter, one: str, other: str) -> Pairs:
        """Count the things by the codes of two facets at once, those of one cluster once, with the
        numbers of records.
        """
        return {
            (code, second): ThingCount(things, records)
            for code, second, things, records, _ in self._cross(filters, one, other)
        }

    def examples(self, filters: Filter, one: str, other: str) -> dict[tuple[str, str], str]:
        """Return the title of a thing that has a code of each of two facets, by the two codes."""
        return {
            (code, second): title
            for code, second, _, _, title in self._cross(filters, one, other)
            if title
        }

    def count_covered(self, filters: Filter, facet: str) -> ThingCount:
        """Count the things with any value of a facet, those of one cluster once, with the number of
        records.
        """
        return self._cached(
            ("covered", filters, facet),
            lambda: self._count_different(filters, _with_any(filters, facet)),
        )

    def coverage_by_source(self, filters: Filter, facet: str) -> Mapping[str, ThingCount]:
        """Count the things with any value of a facet by registry, those of one cluster once."""
        return self._cached(
            ("filled", filters, facet),
            lambda: self._count(filters, ("source",), _with_any(filters, facet)).get("source", {}),
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
        rows = self._query(sql("listed"), numbers=[number for number, _ in lines])
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
        return self._query(
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
                f"SELECT iri, {KEYS[key]} AS key FROM things WHERE key IS NOT NULL AND $things {_after('key', upward)}",
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
        return self._cached(
            ("related", thing, limit),
            lambda: [
                _line(*row)
                for row in self._query(
                    sql("related").replace("$line", _LINE),
                    iri=thing,
                    facets=list(_SHARED),
                    limit=limit,
                )
            ],
        )

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
                for one, other, status in self._query(sql("official-links"), ns=iris.ns)
            },
        )

    def same_organizations(self, organization: str) -> tuple[str, ...]:
        """Return the IRIs of an organization in all registries: the members of its cluster."""
        rows = self._query(
            """SELECT iri FROM groups JOIN things USING (thing) WHERE cluster IN (
                SELECT cluster FROM groups JOIN things USING (thing) WHERE iri = $iri)""",
            iri=organization,
        )
        return tuple(iri for (iri,) in rows) or (organization,)

    def organization_names(self, organizations: tuple[str, ...]) -> dict[str, str]:
        return self._cached(
            ("names", organizations),
            lambda: {
                iri: title or iri.rpartition("/")[2]
                for iri, title in self._query(
                    "SELECT iri, title FROM things WHERE list_contains($iris, iri)",
                    iris=list(organizations),
                )
            },
        )

    def _count_different(self, filters: Filter, also: str = "true") -> ThingCount:
        ((things, records),) = self._rows(sql("different"), filters, also)
        return ThingCount(things, records)

    def _counts_once(self, filters: Filter) -> DifferentCounts:
        chosen = dict(filters.chosen)
        counts = self._count(filters, [facet for facet in FACETS if facet not in chosen])
        for facet in chosen:
            counts |= {facet: {}} | self._count(filters.with_codes(facet), (facet,))
        return {facet: counts[facet] for facet in FACETS if facet in counts}

    def _count(
        self, filters: Filter, facets: Iterable[str], also: str = "true"
    ) -> dict[str, dict[str, ThingCount]]:
        """Count the things for which the SQL *also* holds by the codes of *facets*."""
        text = sql("counts").replace("$facets", _one_of("facet", facets))
        is_whole = also == "true" and not self._conditions(filters)[0]
        marks = "true" if is_whole else "thing IN (FROM wanted)"
        counts: dict[str, dict[str, ThingCount]] = {}
        for facet, code, things, records in self._rows(
            text.replace("$marks", marks), filters, also
        ):
            counts.setdefault(facet, {})[code] = ThingCount(things, records)
        return counts

    def _cross(self, filters: Filter, one: str, other: str) -> list[tuple[str, str, int, int, str]]:
        return self._cached(
            ("cross", filters, one, other),
            lambda: self._rows(sql("cross"), filters, one=one, other=other),
        )

    def _listed(
        self, filters: Filter, order: str, limit: int, offset: int
    ) -> list[tuple[int, ListItem]]:
        is_ranked = order == "relevance" and filters.among is not None
        ranks = "JOIN (SELECT unnest($among::UINTEGER[]) AS thing, unnest(range(len($among))) AS rank) USING (thing)"
        key = "rank" if is_ranked else ORDERS.get(order, ORDERS["newest"])
        rows = self._rows(
            f"""SELECT thing, {_LINE} FROM things {ranks if is_ranked else ""} WHERE $things
            ORDER BY {key}, iri LIMIT $limit OFFSET $offset""",
            filters,
            limit=limit,
            offset=offset,
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
                    text, filters.with_codes("kind"), "true", kinds=kinds, limit=limit, **days
                )
            ],
        )

    def _family(self, thing: str, limit: int) -> Family:
        known = self._query(
            "SELECT kind, source, list_append(other_titles, title), wholes FROM things WHERE iri = $iri",
            iri=thing,
        )
        wholes, parts = list[ListItem](), list[ListItem]()
        for values in known:
            this = dict(zip(("kind", "source", "titles", "wholes"), values, strict=True))
            text = sql("family").replace("$line", _LINE)
            for is_whole, *row in self._query(text, iri=thing, limit=limit, **this):
                (wholes if is_whole else parts).append(_line(*row))
        return Family(next(iter(wholes), None), tuple(parts))

    def _conditions(self, filters: Filter) -> tuple[list[str], dict[str, object]]:
        """Return the conditions of a filter, as SQL on ``thing``, and their parameters."""
        conditions, parameters = list[str](), dict[str, object]()
        for facet, codes in filters.chosen:
            values = (self._values.get((facet, code)) for code in codes)
            numbers = [str(value) for value in values if value is not None] or ["NULL"]
            conditions.append(
                f"thing IN (SELECT thing FROM marks WHERE value IN ({', '.join(numbers)}) AND bases & {_bits(filters)} <> 0)"
            )
        if filters.party:
            parameters["party"] = list(self.same_organizations(filters.party))
            conditions.append(
                "thing IN (SELECT thing FROM parties WHERE roles <> 0 AND list_contains($party, organization))"
            )
        if filters.among is not None:
            parameters["among"] = list(filters.among)
            conditions.append("thing IN (SELECT unnest($among::UINTEGER[]))")
        return conditions, parameters

    def _rows(
        self, text: str, filters: Filter, also: str = "true", /, **bound: Any
    ) -> list[tuple[Any, ...]]:
        """Run *text* on the things that match a filter, and for which the SQL *also* holds."""
        conditions, parameters = self._conditions(filters)
        text = text.replace("$things", " AND ".join((*conditions, also)))
        text = text.replace("$bits", str(_bits(filters)))
        return self._query(text, **parameters, **bound)

    def _query(self, text: str, **bound: Any) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
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


def _one_of(column: str, texts: Iterable[str]) -> str:
    return f"{column} IN ({', '.join(map(repr, texts)) or 'NULL'})"


def _with_any(filters: Filter, facet: str) -> str:
    """Return the condition that a thing has any value of a facet, as SQL."""
    return f"""thing IN (SELECT thing FROM marks JOIN codes USING (value)
        WHERE facet = '{facet}' AND bases & {_bits(filters)} <> 0)"""


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
