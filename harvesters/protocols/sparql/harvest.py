"""SPARQL endpoints: list the subjects, sorted by IRI, then describe them in batches.

Source: https://www.w3.org/TR/sparql11-protocol/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pyoxigraph import DefaultGraph, NamedNode, Store

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.option_schema import get_option
from harvesters.page_model import InvalidRecord, Pages, Payload, Record
from harvesters.payloads import record_discovery
from harvesters.payloads.contexts import builtin_context
from harvesters.payloads.graph import Graph, bounded_description
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.datestamps import in_utc
from harvesters.protocols.error_recovery import PAGE_ERRORS, RECORD_ERRORS, count_unreadable
from harvesters.protocols.protocol import Protocol
from harvesters.protocols.rdf_format import parse_rdf
from harvesters.protocols.sparql import endpoint as sparql_endpoint
from harvesters.protocols.sparql.endpoint import Endpoint, build_endpoint, is_iri, make_batches
from harvesters.reasons import Reason
from harvesters.source import Source
from harvesters.stored_response import SourcePosition

OPTIONS = sparql_endpoint.OPTIONS
check = sparql_endpoint.check

# statements: no known endpoint truncates below this; Virtuoso's public ones do at 10,000
_MIN_TRUNCATED = 1000

Item = Record[Graph] | InvalidRecord
Batch = Sequence[tuple[str, int]]  # subjects with the endpoint's count of statements for each


@dataclass(frozen=True, slots=True)
class SparqlCursor(ListCursorMethods):
    """Position in a listing: after the subject *after*; *received* is the number of subjects so
    far, of *total*.

    *since* is the day from which changes are requested (empty: all), *limit* the number of subjects
    listed at once, smaller after errors. The others are as in Page or count errors in a row.
    """

    limit: int
    after: str = ""
    received: int = 0
    total: int | None = None
    since: str = ""
    again: bool = False
    incomplete_reason: Reason | None = None
    faults: int = 0


def is_incremental(source: Source) -> bool:
    """Return whether the source definition names the property for the time of change."""
    return bool(get_option(source, OPTIONS, "modified").strip())


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Graph]:
    """Yield all subjects, or those changed since the day before *since* if each has a time of
    change.

    A response that the endpoint truncated is recognized by its count and requested in smaller
    batches; a record that cannot be received whole is unreadable. Raises ParseError if responses
    are not SPARQL results or the listing is not sorted.
    """
    endpoint = build_endpoint(source, fetch)
    state = read_cursor(SparqlCursor, cursor)
    if state is None:
        state = _start(
            endpoint,
            since,
            SparqlCursor(get_option(source, OPTIONS, "page"), again=cursor is not None),
        )
    yield from _read_batches(endpoint, state)


def _start(endpoint: Endpoint, since: datetime | None, state: SparqlCursor) -> SparqlCursor:
    """Start a listing, of changes if all subjects are dated, else of all, with the endpoint's own
    count.
    """
    if since is not None and endpoint.path and _all_dated(endpoint):
        day = in_utc(since) - timedelta(days=1)
        state = replace(state, since=f"{day:%Y-%m-%d}")
    try:
        return replace(state, total=endpoint.count(_pattern(endpoint, state)))
    except RECORD_ERRORS as error:
        # if this fails too, the endpoint is down
        endpoint.list_subjects(_pattern(endpoint, state), "", 1)
        return state.mark_incomplete(Reason("no_count", {"error": error.reason}))


def _all_dated(endpoint: Endpoint) -> bool:
    try:
        return endpoint.count_undated() == 0
    except PAGE_ERRORS:
        return False


def _pattern(endpoint: Endpoint, state: SparqlCursor) -> str:
    return endpoint.changed_pattern(state.since) if state.since else endpoint.pattern


def _read_batches(endpoint: Endpoint, state: SparqlCursor) -> Pages[Graph]:
    while True:
        state, listed = _list_subjects(endpoint, state)
        if not listed:
            state = _check_complete(endpoint, state)
            yield state.page((), has_next=False, total=state.total, again=state.again)
            return
        for batch in make_batches(listed, get_option(endpoint.source, OPTIONS, "size")):
            items, position = _describe(
                endpoint, [(name, count) for name, count in batch if is_iri(name)]
            )
            items += [
                InvalidRecord(name, Reason("name_not_iri")) for name, _ in batch if not is_iri(name)
            ]
            state = replace(state, after=batch[-1][0], received=state.received + len(batch))
            yield state.page(
                tuple(items), has_next=True, total=state.total, at=position, again=state.again
            )


def _list_subjects(
    endpoint: Endpoint, state: SparqlCursor
) -> tuple[SparqlCursor, list[tuple[str, int]]]:
    """List the next subjects; fewer at once if that is too much for the endpoint."""
    while True:
        try:
            return replace(state, faults=0), endpoint.list_subjects(
                _pattern(endpoint, state), state.after, state.limit
            )
        except PAGE_ERRORS as error:
            if state.limit == 1:
                raise
            state = replace(
                state,
                limit=max(1, state.limit // 4),
                faults=count_unreadable(endpoint.source.name, state.faults, error, state.limit),
            )


def _check_complete(endpoint: Endpoint, state: SparqlCursor) -> SparqlCursor:
    """Mark a listing as incomplete if it ended before the endpoint's count, unless the endpoint
    counts fewer now.
    """
    if state.total is None or state.received >= state.total:
        return state
    try:
        now = endpoint.count(_pattern(endpoint, state))
    except RECORD_ERRORS:
        now = state.total
    return state.mark_incomplete(
        Reason("listed_too_few", {"listed": state.received, "total": now})
        if state.received < now
        else None
    )


def _describe(endpoint: Endpoint, batch: Batch) -> tuple[list[Item], SourcePosition | None]:
    """Request the descriptions of a batch. Return them and the archive position of the last
    response.
    """
    names = [subject for subject, _ in batch]
    if not names:
        return [], None
    try:
        reply = endpoint.describe(names)
        with parse_rdf(reply, builtin_context) as store:
            if not _is_truncated(endpoint, store, batch):
                return [_build_record(endpoint, store, name) for name in names], reply.at
            error: HarvestError = ParseError(
                Reason("truncated_description", {"url": endpoint.source.url, "count": len(store)})
            )
    except RECORD_ERRORS as unread:
        error = unread
    if len(batch) > 1:
        halves = (batch[: len(batch) // 2], batch[len(batch) // 2 :])
        results = [_describe(endpoint, half) for half in halves]
        return [item for items, _ in results for item in items], results[-1][1]
    _check_reachable(endpoint, error)
    return [InvalidRecord(names[0], error.reason)], None


def _check_reachable(endpoint: Endpoint, error: HarvestError) -> None:
    """Raise *error* if the endpoint cannot even list one subject: the fault is then not a single
    record's.
    """
    try:
        endpoint.list_subjects(endpoint.pattern, "", 1)
    except RECORD_ERRORS as probe_error:
        raise error from probe_error


def _is_truncated(endpoint: Endpoint, store: Store, batch: Batch) -> bool:
    """Return whether a response has fewer statements than the endpoint counts, for one subject or
    in total.
    """
    if any(_count_statements(store, subject) < count for subject, count in batch):
        return True
    return len(store) >= _MIN_TRUNCATED and len(store) < endpoint.count_statements(
        [subject for subject, _ in batch]
    )


def _count_statements(store: Store, subject: str) -> int:
    return sum(1 for _ in store.quads_for_pattern(NamedNode(subject), None, None, DefaultGraph()))


def _build_record(endpoint: Endpoint, store: Store, subject: str) -> Item:
    node = NamedNode(subject)
    try:
        graph = bounded_description(store, node, get_option(endpoint.source, OPTIONS, "steps"))
    except ValueError as error:
        return InvalidRecord(subject, Reason("record_holds", {"error": str(error)}))
    return Record(
        subject, graph, graph.canonical_text(), record_discovery.find_modified(store, node)
    )


PROTOCOL = Protocol(
    collect, Payload.GRAPH, OPTIONS, incremental=True, check=check, is_incremental=is_incremental
)
