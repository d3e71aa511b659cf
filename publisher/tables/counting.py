"""Counting: numbers and lists from the tables of one generation; what was counted once is kept while that is shown.

Each has its query in ``wanted``; a test holds both to the same answer.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

import duckdb

from publisher.tables.database import sql
from publisher.tables.facets import BITS
from publisher.tables.things import KINDS, number
from publisher.tables.wanted import Wanted

KEPT = 2_000  # answers
MEMORY = "1GiB"  # what a server process may hold of the tables
Kept = TypeVar("Kept")
Counts = dict[str, dict[str, int]]
Pairs = dict[tuple[str, str], int]


class Line(NamedTuple):
    """A thing as lists show it; times and dates are as the data has them."""

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
    """A prize of a thing; codes, None where nothing tells."""

    iri: str
    title: str | None
    language: str | None
    category: str | None
    stage: str | None
    year: str | None


KEYS = {  # by what a list that goes on after a key is sorted; None stands in no such list
    "title": "CASE WHEN title IS NULL THEN '2' WHEN language = 'en' THEN '0' || lower(title) ELSE '1' || lower(title) END",
    "newest": "changed",
    "address": "''",
}
ORDERS = {
    "newest": "changed DESC NULLS LAST",
    "title": "lower(title) NULLS LAST",
    "begins": "begins NULLS LAST",
    "ends": "begins DESC NULLS LAST",
}


class Tables:
    """The tables in the file *path*, which does not change while they are open."""

    def __init__(self, path: Path, position: int, memory: str = MEMORY) -> None:
        self.position = position  # the journal's entry of which they tell
        self._held = duckdb.connect(str(path), read_only=True, config={"memory_limit": memory})
        self._kept: OrderedDict[object, object] = OrderedDict()
        self._lock = Lock()

    def close(self) -> None:
        """Let the file go."""
        self._held.close()

    def total(self, it: Wanted) -> int:
        """Count the things."""
        return self._once(("total", it), lambda: int(self._rows("total", it)[0][0]))

    def counts(self, it: Wanted) -> Counts:
        """Count the things by the codes of all facets, the most frequent first; what is chosen of one does not narrow its own."""
        return self._once(("counts", it), lambda: self._counts(it))

    def cross(self, it: Wanted, one: str, other: str) -> Pairs:
        """Count the things by the codes of two facets at once."""
        rows = self._once(("cross", it, one, other), lambda: self._rows("cross", it, one=one, other=other))
        return {(first, second): things for first, second, things in rows}

    def filled(self, it: Wanted, facet: str) -> dict[str, int]:
        """Count, by their registries, the things that have any value of a facet."""
        return dict(self._once(("filled", it, facet), lambda: self._rows("filled", it, facet=facet)))

    def listed(self, it: Wanted, order: str, limit: int, offset: int = 0) -> list[Line]:
        """List things in one of ORDERS, or by ``relevance``: as *among* has them."""
        by = "place" if order == "relevance" and it.among is not None else ORDERS.get(order, ORDERS["newest"])
        text = sql("listed").replace("$order", by)  # one of ours, no reader's text
        return [_line(*row) for row in self._asked(text, it, limit=limit, offset=offset)]

    def keyed(self, it: Wanted, key: str, upward: bool, since: str, after: str, limit: int) -> list[tuple[str, str]]:
        """List the things behind the key *since* and the address *after*, by one of KEYS: IRI and key of each."""
        compares, direction = (">", "ASC") if upward else ("<", "DESC")
        text = sql("keyed").replace("$key", KEYS[key]).replace("$compares", compares).replace("$direction", direction)
        return self._once(("keyed", it, text, since, after), lambda: self._pairs(text, it, since=since, after=after, limit=limit))

    def between(self, it: Wanted, first: str, last: str) -> list[Line]:
        """List what begins or goes on from the day *first* to the day *last*, by its beginning."""
        return self._once(("between", it, first, last), lambda: [_line(*row) for row in self._rows("between", it, first=first, last=last)])

    def related(self, thing: str, limit: int) -> list[Line]:
        """List what shares most with a thing: action lines, goals, targets, countries and types of activity, at least two of them."""
        asked = {"iri": thing, "limit": limit}
        return self._once(("related", thing, limit), lambda: [_line(*row) for row in self._plain(sql("related"), asked)])

    def prizes(self, it: Wanted) -> list[Prize]:
        """List the prizes, the newest first."""
        return self._once(("prizes", it), lambda: [Prize(*row) for row in self._rows("prizes", it)])

    def organizations(self, it: Wanted, limit: int) -> list[tuple[str, str | None, int]]:
        """List the organizations that take part in most things: IRI, name and number of things."""
        rows = self._once(("organizations", it, limit), lambda: self._rows("organizations", it, limit=limit))
        return [(who, name, things) for who, name, things in rows]

    def partners(self, it: Wanted, limit: int) -> list[tuple[str, str, int]]:
        """List the pairs of organizations that take part in most things together."""
        rows = self._once(("partners", it, limit), lambda: self._rows("partners", it, limit=limit))
        return [(one, other, things) for one, other, things in rows]

    def names(self, organizations: tuple[str, ...]) -> dict[str, str]:
        """Give the names of organizations."""
        rows = self._once(("names", organizations), lambda: self._plain(sql("names"), {"iris": list(organizations)}))
        return {iri: name or iri.rpartition("/")[2] for iri, name in rows}

    def _pairs(self, text: str, it: Wanted, **bound: Any) -> list[tuple[str, str]]:
        return [(iri, key) for iri, key in self._asked(text, it, **bound)]

    def _counts(self, it: Wanted) -> Counts:
        found: Counts = {}
        for facet, code, things in self._rows("counts", it, only=None):
            found.setdefault(facet, {})[code] = things
        for facet, _ in it.chosen:
            own = self._rows("counts", it.having(facet), only=facet)
            found[facet] = {code: things for _, code, things in own}
        return found

    def _rows(self, name: str, it: Wanted, **bound: Any) -> list[tuple[Any, ...]]:
        return self._asked(sql(name), it, **bound)

    def _asked(self, text: str, it: Wanted, **bound: Any) -> list[tuple[Any, ...]]:
        sets, told = _sets(it)
        kinds = [number(kind) for kind in it.codes("kind") if kind in KINDS]
        narrowed = ["AND thing IN (SELECT thing FROM found)"] if sets else []
        narrowed += ["AND kind IN (SELECT unnest($kinds))"] if it.codes("kind") else []
        text = text.replace("-- found", sets).replace("-- narrowed", " ".join(narrowed))
        text = text.replace("-- placed", "JOIN places USING (thing)" if it.among is not None else "")
        mine = {"kinds": kinds, "bases": sum(BITS[basis] for basis in it.bases), **told, **bound}
        return self._plain(text, {name: value for name, value in mine.items() if re.search(rf"\${name}\b", text)})

    def _plain(self, text: str, bound: dict[str, Any]) -> list[tuple[Any, ...]]:
        with self._held.cursor() as cursor:
            return cursor.execute(text, bound).fetchall()

    def _once(self, key: object, made: Callable[[], Kept]) -> Kept:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]  # type: ignore[return-value]  # each key has its own type
        value = made()
        with self._lock:
            self._kept[key] = value
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return value


def _line(iri: str, kind: int, *others: Any) -> Line:
    return Line(iri, KINDS[kind - 1], *others)


def _sets(it: Wanted) -> tuple[str, dict[str, Any]]:
    """Write the set *found* of what is wanted, whatever its kind, and its parameters; "" where all is."""
    parts, told = list[str](), dict[str, Any]()
    for place, (facet, codes) in enumerate(it.chosen):
        if facet != "kind":
            told |= {f"codes{place}": list(codes), f"facet{place}": facet}
            parts.append(sql("found-facet").replace("$codes", f"$codes{place}").replace("$facet", f"$facet{place}"))
    if it.party:
        told["party"] = it.party
        parts.append(sql("found-party"))
    if it.among is not None:
        told["among"] = list(it.among)
        parts.append(sql("found-among"))
    if not parts:
        return "", {}
    places = sql("found-places") if it.among is not None else ""
    return f"WITH {places}found AS MATERIALIZED (\n{'INTERSECT '.join(parts)})", told


def tables_in(generation: str) -> Tables | None:
    """Open the tables of the generation in the folder *generation*; None where it has none yet."""
    file = Path(generation) / "tables" / "tables.duckdb"
    try:
        position = int(file.with_name("position").read_text())
        return _opened(file, file.stat().st_ino, position)
    except (FileNotFoundError, ValueError):
        return None


@lru_cache(maxsize=2)  # the generation that is shown, and the one before it while they change
def _opened(file: Path, _inode: int, position: int) -> Tables:
    return Tables(file, position)
