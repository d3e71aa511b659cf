"""Read what the journal entries up to that of a snapshot changed, and the past states of graphs.

A *sequence* number counts the changes of records in the order of the journal, a *number* those
within a set. Both are the same in every file that was built from the journal, so a cursor with one
of them never expires.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pyoxigraph import Quad, Store, Triple

from languages.translations import TranslatableText, current_locale, gettext
from publisher.data.tables import FacetIndex, sql
from publisher.errors import NotReady
from publisher.rdf import TERM_TEXT, term_id
from publisher.store.changes import LEAD, RECORD, VANISHED
from publisher.store.changes import ChangeType as ChangeType
from publisher.store.descriptions import (
    Description,
    describe_triples,
    parse_triples,
    read_rows,
    triples_of,
)
from publisher.store.query_service import QueryService
from vocab.field_changes import FieldView, field_views

_NOT_READY = TranslatableText(
    "the history is still being built from the journal; try again in a moment"
)
ALL = "all"  # the set of all records
SLICE = 10_000  # records in a slice; a sitemap may have up to 50,000
# The last changes of records up to the sequence number $upto.
LATEST = """
FROM graph_changes ANTI JOIN (SELECT previous AS sequence FROM graph_changes WHERE sequence <= $upto) USING (sequence)
WHERE sequence BETWEEN 1 AND $upto
"""
_OF_ALL = "SELECT sequence, sequence AS number FROM graph_changes WHERE sequence > 0"
_OF_SET = """
SELECT sequence, row_number() OVER (ORDER BY sequence) AS number FROM graph_changes WHERE contains(sets, $member)
"""
_IS_LATEST = """
AND sequence <= $upto AND sequence NOT IN (SELECT previous FROM graph_changes WHERE sequence <= $upto)
"""
_LEAVES = "SELECT DISTINCT unnest(string_split(sets[2:-2], ': ')) FROM graph_changes"
_TEXTS = f"SELECT id, {TERM_TEXT} FROM terms t WHERE id IN (SELECT unnest($ids::UBIGINT[]))"


@dataclass(frozen=True, slots=True)
class Watermark:
    """The last announced change: its *entry*, *sequence* number, and datestamp *stamp* in seconds
    since 1970.
    """

    entry: int
    sequence: int
    stamp: int


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a record, whose name is ``{source}/{key}``. *previous* is the sequence number of
    its change before, 0 if there was none.

    *stamp* is the time of its entry, which never decreases and is the same in every copy of the
    journal. *announced_at* is when this host first announces it to harvesters. Both are in seconds
    since 1970.
    """

    number: int
    sequence: int
    previous: int
    name: str
    entry: int
    change_type: ChangeType
    kind: str
    leaves: tuple[str, ...]  # its action lines, goals and countries
    stamp: int
    announced_at: int

    @property
    def graph(self) -> str:
        """Return the name of its graph without the base."""
        return RECORD + self.name

    @property
    def thing(self) -> str:
        """Return the part of its thing's IRI after ``/id/``."""
        return f"{self.kind}/{self.name}"

    @property
    def sets(self) -> list[str]:
        """Return all its sets except ALL and VANISHED."""
        own = [
            f"source:{self.name.partition('/')[0]}",
            *([f"kind:{self.kind}"] if self.kind else ()),
        ]
        return _above([*own, *self.leaves])


class History:
    """The history in the *tables* of a snapshot, whose last changes appeared *at* a time in seconds
    since 1970; the IRIs of records begin with *base*.
    """

    def __init__(self, tables: FacetIndex, at: int, base: str) -> None:
        self.tables, self.rows = tables, tables.query
        self._announced, self._base = at + LEAD, base

    def watermark(self, now: float) -> Watermark:
        """Return the last change that feeds announce at *now*. Raises NotReady before the first."""
        for row in self.rows(sql("watermark"), announced=self._announced, now=int(now)):
            return Watermark(*row)
        raise NotReady(_NOT_READY)

    def changes(
        self, set_name: str, after: int, last: int, limit: int, latest: int | None = None
    ) -> list[Change]:
        """Return at most *limit* changes in the set *set_name* with numbers above *after* up to
        *last*, in order.

        With *latest*, a sequence number, only changes that were the latest of their record at it.
        """
        return self._changes(*self._selected(set_name, after, last, latest), limit)

    def newest_changes(self, set_name: str, last: int, limit: int) -> list[Change]:
        """Return the *limit* newest changes in the set *set_name* up to the number *last*, the
        newest first.
        """
        return self._changes(*self._selected(set_name, 0, last), limit, "DESC")

    def count(self, set_name: str, after: int, last: int, latest: int) -> int:
        query, values = self._selected(set_name, after, last, latest)
        return int(self.rows(f"SELECT count(*) FROM ({query})", **values)[0][0])

    def last_number(self, set_name: str, sequence: int) -> int:
        """Return the number of the last change in the set *set_name* up to *sequence*, 0 if there is
        none.
        """
        query, values = self._selected(set_name, 0, sequence)
        query = f"SELECT coalesce(max(number), 0) FROM ({query}) WHERE sequence <= $last"
        return int(self.rows(query, **values)[0][0])

    def latest_change(self, name: str, upto: int, entry: int | None = None) -> Change | None:
        """Return the latest change of a record up to *upto*, a sequence number, or its change by
        *entry*; None if there is none. Its number is that in the set ALL.
        """
        query = (
            f"{_OF_ALL} AND graph = $graph AND sequence <= $upto AND coalesce(entry = $entry, true)"
        )
        graph = term_id(f"<{self._base}{RECORD}{name}>")
        values: dict[str, object] = {"graph": graph, "upto": upto, "entry": entry}
        return next(iter(self._changes(query, values, 1, "DESC")), None)

    def changes_before(self, changes: Iterable[Change]) -> dict[int, Change]:
        """Return the change of the same record before each of *changes* that has one, by the
        sequence number of that.
        """
        numbers = [change.previous for change in changes]
        query = f"{_OF_ALL} AND sequence IN (SELECT unnest($numbers::INTEGER[]))"
        before = self._changes(query, {"numbers": numbers}, len(numbers))
        return {change.sequence: change for change in before}

    def last_announced_before(self, time: int) -> int:
        """Return the last sequence number announced before *time*, 0 if there was none."""
        query = "SELECT coalesce(max(sequence), 0) FROM entries WHERE coalesce(announced, $announced) < $time"
        return int(self.rows(query, announced=self._announced, time=time)[0][0])

    def set_names(self) -> list[str]:
        """Return the names of all sets in order, except ALL and VANISHED."""
        return _above(leaf for (leaf,) in self.rows(f"{_LEAVES} WHERE sequence > 0"))

    def changed_sets(self, after: int, upto: int) -> set[str]:
        """Return the sets that the entries with numbers above *after* up to *upto* changed."""
        query = f"{_LEAVES} WHERE sequence > 0 AND entry > $after AND entry <= $upto"
        leaves = [leaf for (leaf,) in self.rows(query, after=after, upto=upto)]
        return {*_above(leaves), *([ALL] if leaves else [])}

    def slices(self, upto: int) -> list[tuple[int, int]]:
        """Return the number (from 1) of each slice of SLICE records, and the time of its last change
        up to the sequence number *upto*.
        """
        query = f"""
            SELECT (record - 1) // {SLICE} + 1 AS slice, max(stamp) FROM graph_changes JOIN entries ON number = entry
            WHERE graph_changes.sequence BETWEEN 1 AND $upto GROUP BY slice ORDER BY slice
        """
        return self.rows(query, upto=upto)

    def slice_records(self, number: int, upto: int) -> list[tuple[str, int]]:
        """Return the things of a slice's records as ``{kind}/{source}/{key}``, with their times of
        change up to the sequence number *upto*; without deleted records.
        """
        query = f"""
            SELECT kind || '/' || name, stamp FROM (SELECT * {LATEST} AND (record - 1) // {SLICE} + 1 = $slice)
            JOIN entries ON number = entry WHERE type <> {ChangeType.DELETED:d} AND kind <> '' ORDER BY record
        """
        return self.rows(query, upto=upto, slice=number)

    def days(self, entry: int) -> list[tuple[int, int]]:
        """Return each day (counted from 1970) with changes up to *entry*, and the number of its last
        change in the set ALL.
        """
        query = """
            SELECT day, last FROM (
                SELECT stamp // 86400 AS day, max(sequence) AS last FROM entries WHERE number <= $entry GROUP BY day
            ) QUALIFY last > lag(last, 1, 0) OVER (ORDER BY day) ORDER BY day
        """
        return self.rows(query, entry=entry)

    def states(self, versions: Sequence[tuple[str, int]]) -> Iterator[Iterable[Triple]]:
        """Yield what each graph stated after an entry, sorted: its current triples with all later
        changes undone.
        """
        numbers = [term_id(f"<{graph}>") for graph, _ in versions]
        stated = self._stated({*numbers})
        later: dict[int, list[tuple[int, bytes | None]]] = {}
        query = """
            SELECT graph, entry, "rows" FROM graph_changes WHERE graph IN (SELECT unnest($graphs::UBIGINT[]))
            AND entry > $entry ORDER BY entry DESC, sequence DESC
        """
        first = min((entry for _, entry in versions), default=0)
        for number, entry, data in self.rows(query, graphs=numbers, entry=first):
            later.setdefault(number, []).append((entry, data))
        for number, (_, entry) in zip(numbers, versions, strict=True):
            changes = [data for changed, data in later.get(number, ()) if changed > entry]
            triples = parse_triples(sorted(stated.get(number, ())))
            yield _undo(triples, changes) if changes else triples

    def _stated(self, graphs: set[int]) -> dict[int, list[str]]:
        """Return the triples of each graph in N-Triples."""
        query = "SELECT g, s, p, o FROM quads WHERE g IN (SELECT unnest($graphs::UBIGINT[]))"
        rows = self.rows(query, graphs=[*graphs])
        texts = dict(self.rows(_TEXTS, ids=[*{term for _, *terms in rows for term in terms}]))
        lines: dict[int, list[str]] = {}
        for graph, *terms in rows:
            lines.setdefault(graph, []).append(f"{' '.join(texts[term] for term in terms)} .\n")
        return lines

    def _selected(
        self, set_name: str, after: int, last: int, latest: int | None = None
    ) -> tuple[str, dict[str, object]]:
        """Return the query of the changes that ``changes`` returns, and its parameters."""
        values: dict[str, object] = {"after": after, "last": last}
        members = _OF_ALL
        if set_name != ALL:
            members, values["member"] = _OF_SET, f" {set_name}:"
        query = f"FROM ({members}) WHERE number > $after AND number <= $last"
        if latest is not None:
            query, values["upto"] = query + _IS_LATEST, latest
        return query, values

    def _changes(
        self, query: str, values: Mapping[str, object], limit: int, direction: str = "ASC"
    ) -> list[Change]:
        text = sql("changes-page").replace("$query", query).replace("$direction", direction)
        rows = self.rows(text, **values, limit=limit, announced=self._announced)
        return [
            Change(*(*start, ChangeType(change_type), kind, _leaves(sets), stamp, announced))
            for *start, change_type, kind, sets, stamp, announced in rows
        ]


def open_history(service: QueryService) -> History:
    """Open the history in the current snapshot of *service*. Raises NotReady if it has none."""
    return History(service.tables, service.current.first_appeared, service.iris.base)


def read_watermark(service: QueryService) -> Watermark:
    """Return the last change that feeds announce now. Raises NotReady before the first."""
    return open_history(service).watermark(time.time())


def _undo(triples: Iterable[Triple], changes: Sequence[bytes | None]) -> Iterator[Triple]:
    """Undo *changes*, the last change first; the one that created the graph has no rows."""
    if None in changes:
        return
    store = Store()
    store.extend(Quad(*triple) for triple in triples)
    for data in changes:
        rows = read_rows(data) or ()
        for triple in triples_of(rows, "A"):
            store.remove(Quad(*triple))
        store.extend(Quad(*triple) for triple in triples_of(rows, "D"))
    yield from sorted((quad.triple for quad in store), key=str)


def _leaves(sets: str) -> tuple[str, ...]:
    """Return the names in *sets* but the kind and the registry."""
    names = (name.removesuffix(":") for name in sets.split())
    return tuple(name for name in names if not name.startswith(("kind:", "source:")))


def _above(names: Iterable[str]) -> list[str]:
    """Return the sets *names* and those above them, in order, without VANISHED.

    >>> _above(["goal:4:declared", "source:demo"])
    ['goal', 'goal:4', 'goal:4:declared', 'source', 'source:demo']
    """
    return sorted({above for name in names if name != VANISHED for above in _paths(name)})


@lru_cache(4096)
def _paths(name: str) -> tuple[str, ...]:
    parts = name.split(":")
    return tuple(":".join(parts[:end]) for end in range(1, len(parts) + 1))


async def read_version(service: QueryService, graph: str, entry: int) -> Description:
    """Return the description of *graph* after *entry*; the names of other things are the current
    ones. Raises NotReady.
    """
    versions = [(graph, entry)]
    (triples,) = await asyncio.to_thread(
        lambda: [[*triples] for triples in open_history(service).states(versions)]
    )
    return await describe_triples(service, graph, triples)


async def compare_versions(
    service: QueryService, graph: str, before: int, after: int
) -> list[FieldView] | None:
    """Return the fields of *graph* that differ between two entries; None if it had no version by
    the later one. Raises NotReady.
    """
    versions = [(graph, before), (graph, after)]
    old, new = await asyncio.to_thread(
        lambda: [set(map(str, triples)) for triples in open_history(service).states(versions)]
    )
    if not old and not new:
        return None
    removed, added = sorted(old - new), sorted(new - old)
    return field_views(removed, added, service.iris.base, current_locale().language, gettext)
