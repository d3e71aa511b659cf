"""SPARQL endpoints: the subjects are listed in the order of their IRIs, then described in batches.

Source: https://www.w3.org/TR/sparql11-protocol/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from pyoxigraph import DefaultGraph, NamedNode, Store

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.option_schema import get_option
from harvesters.page_model import InvalidRecord, Page, Pages, Record, SourcePosition
from harvesters.payloads import record_discovery
from harvesters.payloads.contexts import builtin_context
from harvesters.payloads.graph import Graph, bounded_description
from harvesters.payloads.rdf_format import parse_rdf
from harvesters.protocols.cursor import read, write
from harvesters.protocols.error_recovery import POISON, UNREAD, fault
from harvesters.protocols.sparql import endpoint
from harvesters.protocols.sparql.endpoint import Endpoint, batches, build_endpoint, is_iri
from harvesters.source import Source

OPTIONS = endpoint.OPTIONS
check = endpoint.check

_UNCAPPED = 1000  # statements: no endpoint that is known cuts an answer below this, and Virtuoso's public ones at 10,000

Item = Record[Graph] | InvalidRecord
Batch = Sequence[tuple[str, int]]  # subjects, and how many statements the endpoint says to have of each


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a listing stands: behind the subject *after*; *came* are those that came, of *total*.

    *since* is the day from which changes are asked for (empty: all), *limit* how many subjects are listed at once, less after trouble.
    The others are as on a page or count what went wrong in a row.
    """

    limit: int
    after: str = ""
    came: int = 0
    total: int | None = None
    since: str = ""
    again: bool = False
    doubt: str | None = None
    faults: int = 0

    def doubted(self, why: str | None) -> _Spot:
        """Keep the first reason for doubt."""
        return self if self.doubt or why is None else replace(self, doubt=why)


def told_changes(source: Source) -> bool:
    """Tell whether the card says how the data tells when a record changed."""
    return bool(get_option(source, OPTIONS, "modified").strip())


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Graph]:
    """Collect all subjects, or those changed since the day before *since* where each tells when it changed.

    An answer that the endpoint has silently cut is known by its count and asked for in smaller batches; a record that cannot be had
    whole is unreadable. Raises ParseError where answers are no results of SPARQL or the listing has no order.
    """
    there = build_endpoint(source, fetch)
    spot = read(_Spot, cursor)
    if spot is None:
        spot = _begun(there, since, _Spot(get_option(source, OPTIONS, "page"), again=cursor is not None))
    yield from _walk(there, spot)


def _begun(there: Endpoint, since: datetime | None, spot: _Spot) -> _Spot:
    """Begin a listing: of what changed where all tell that, else of all; the endpoint says how many that is."""
    if since is not None and there.path and _all_dated(there):
        day = (since.replace(tzinfo=UTC) if since.tzinfo is None else since.astimezone(UTC)) - timedelta(days=1)
        spot = replace(spot, since=f"{day:%Y-%m-%d}")
    try:
        return replace(spot, total=there.count(_pattern(there, spot)))
    except UNREAD as error:
        there.subjects(_pattern(there, spot), "", 1)  # where this fails too, the endpoint is not there
        return spot.doubted(f"the endpoint does not count its records, so what it leaves out would not be noticed: {error}")


def _all_dated(there: Endpoint) -> bool:
    try:
        return there.undated() == 0
    except POISON:
        return False


def _pattern(there: Endpoint, spot: _Spot) -> str:
    return there.since(spot.since) if spot.since else there.pattern


def _walk(there: Endpoint, spot: _Spot) -> Pages[Graph]:
    while True:
        spot, listed = _listed(there, spot)
        if not listed:
            spot = _ended(there, spot)
            yield Page((), None, spot.total, again=spot.again, doubt=spot.doubt)
            return
        for batch in batches(listed, get_option(there.source, OPTIONS, "size")):
            found, at = _described(there, [(name, count) for name, count in batch if is_iri(name)])
            found += [InvalidRecord(name, "the endpoint calls it by what is no IRI") for name, _ in batch if not is_iri(name)]
            spot = replace(spot, after=batch[-1][0], came=spot.came + len(batch))
            yield Page(tuple(found), write(spot), spot.total, at, again=spot.again, doubt=spot.doubt)


def _listed(there: Endpoint, spot: _Spot) -> tuple[_Spot, list[tuple[str, int]]]:
    """List the next subjects; where that is too much for the endpoint, fewer at once."""
    while True:
        try:
            return replace(spot, faults=0), there.subjects(_pattern(there, spot), spot.after, spot.limit)
        except POISON as error:
            if spot.limit == 1:
                raise
            spot = replace(spot, limit=max(1, spot.limit // 4), faults=fault(there.source.name, spot.faults, error))


def _ended(there: Endpoint, spot: _Spot) -> _Spot:
    """Doubt a listing that ended before the endpoint's own count, unless it counts fewer now."""
    if spot.total is None or spot.came >= spot.total:
        return spot
    try:
        now = there.count(_pattern(there, spot))
    except UNREAD:
        now = spot.total
    return spot.doubted(f"the endpoint listed {spot.came:,} of {now:,} records" if spot.came < now else None)


def _described(there: Endpoint, batch: Batch) -> tuple[list[Item], SourcePosition | None]:
    """Ask for the descriptions of a batch; give them, and where the answer lies that had all or the last of them."""
    names = [subject for subject, _ in batch]
    if not names:
        return [], None
    try:
        reply = there.describe(names)
        with parse_rdf(reply, builtin_context) as store:
            if not _cut(there, store, batch):
                return [_item(there, store, name) for name in names], reply.at
            error: HarvestError = ParseError(f"{there.source.url}: cuts its answers short: it gave {len(store):,} statements of more")
    except UNREAD as unread:
        error = unread
    if len(batch) > 1:
        halves = (batch[: len(batch) // 2], batch[len(batch) // 2 :])
        found = [_described(there, half) for half in halves]
        return [item for items, _ in found for item in items], found[-1][1]
    _alive(there, error)
    return [InvalidRecord(names[0], str(error))], None


def _alive(there: Endpoint, error: HarvestError) -> None:
    """Raise *error* where the endpoint cannot even list one subject: it is then more than one record's."""
    try:
        there.subjects(there.pattern, "", 1)
    except UNREAD as unwell:
        raise error from unwell


def _cut(there: Endpoint, store: Store, batch: Batch) -> bool:
    """Tell whether an answer is less than the endpoint has: of a subject by the listing's count, of all by a count of its own."""
    if any(_statements(store, subject) < count for subject, count in batch):
        return True
    return len(store) >= _UNCAPPED and len(store) < there.statements([subject for subject, _ in batch])


def _statements(store: Store, subject: str) -> int:
    return sum(1 for _ in store.quads_for_pattern(NamedNode(subject), None, None, DefaultGraph()))


def _item(there: Endpoint, store: Store, subject: str) -> Item:
    node = NamedNode(subject)
    try:
        graph = bounded_description(store, node, get_option(there.source, OPTIONS, "steps"))
    except ValueError as error:
        return InvalidRecord(subject, f"a record that holds {error}")
    return Record(subject, graph, graph.canonical_text(), record_discovery.find_modified(store, node))
