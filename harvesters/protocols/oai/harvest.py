"""OAI-PMH 2.0: all of a repository's records, or those changed since, by ListRecords.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.option_schema import Option, get_option, option_names
from harvesters.page_model import InvalidRecord, Pages, Payload
from harvesters.protocols.cursor import read_cursor
from harvesters.protocols.datestamps import in_utc, max_if_sorted
from harvesters.protocols.error_recovery import (
    CURSOR_ERRORS,
    PAGE_ERRORS,
    RECORD_ERRORS,
    LoopDetector,
    count_empty_pages,
    total_changed,
)
from harvesters.protocols.oai.cursor import OaiCursor, Repository
from harvesters.protocols.oai.parser import Item, ListPage, OaiError
from harvesters.protocols.oai.rdf_metadata import parse_graph
from harvesters.protocols.oai.recovery import (
    ListProgress,
    fetch_single_record,
    restart_from,
    split_window,
)
from harvesters.protocols.oai.window import is_minimal
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source
from harvesters.stored_response import SourcePosition

OPTIONS: Mapping[str, Option] = {
    "prefix": Option(str, "oai_dc", "The metadataPrefix to request."),
    "set": Option(
        (str, list), None, "The set or sets to harvest; `project:*` for all whose names begin so."
    ),
    "singly": Option(
        bool,
        False,
        "List identifiers and request records one by one, if ListRecords does not work.",
    ),
    "graph": Option(
        bool,
        None,
        "The metadata is RDF/XML, so records are graphs; by default so with the prefix `rdf`.",
    ),
}

_UNKNOWN_PREFIX = "cannotDisseminateFormat"
# a token is the only parameter of its request, so badArgument means the token
_TOKEN_ERRORS = frozenset({"badResumptionToken", "badArgument"})
_REJECTED: tuple[type[HarvestError], ...] = (OaiError, *CURSOR_ERRORS)

# a page's items (None: no page), its archive position, and the next cursor
_Step = tuple[tuple[Item, ...] | None, SourcePosition | None, OaiCursor]


def payload_type(source: Source) -> Payload:
    """Return GRAPH if the metadata is RDF, else XML."""
    is_graph = get_option(source, OPTIONS, "graph")
    return (
        Payload.GRAPH
        if (get_option(source, OPTIONS, "prefix") == "rdf" if is_graph is None else is_graph)
        else Payload.XML
    )


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Any]:
    """Yield all records, or those changed since *since* minus one step of the repository's
    granularity.

    The payload of a record is the child of its ``<metadata>``, or a graph of that child's first
    resource; its raw bytes are the child's. With several sets, a record that is in more than one
    comes once. After an expired token the list resumes at the newest datestamp or, if datestamps
    were not sorted, from its start. A page that cannot be read is read in parts, down to single
    records. Raises ParseError if a response is not OAI-PMH, reports an error or repeats an earlier
    page.
    """
    repository = Repository(
        source,
        fetch,
        get_option(source, OPTIONS, "prefix"),
        (None,),
        get_option(source, OPTIONS, "singly"),
    )
    repository = replace(
        repository, groups=_select_sets(repository, option_names(source, OPTIONS, "set"))
    )
    state = read_cursor(OaiCursor, cursor)
    if state is None:
        start = _format_since(repository, since)
        state = OaiCursor(
            origin=start,
            todo=((start, None),),
            again=cursor is not None,
            alone=repository.one_by_one,
        )
    graphs = payload_type(source) is Payload.GRAPH
    for page in _read_lists(repository, state):
        yield replace(page, items=tuple(map(parse_graph, page.items))) if graphs else page


def _select_sets(repository: Repository, wanted: tuple[str, ...]) -> tuple[str | None, ...]:
    """Return the sets to harvest; patterns with a * are matched against the repository's list of
    sets.
    """
    if not any("*" in name for name in wanted):
        return wanted or (None,)
    known = repository.list_names("ListSets", "set", "setSpec")
    matches = [
        spec for spec in sorted(set(known)) if any(fnmatchcase(spec, name) for name in wanted)
    ]
    if not matches:
        available = ", ".join(known[:20]) or "none"
        sets = " or ".join(wanted)
        values = {"source": repository.source.name, "sets": sets, "available": available}
        raise ParseError(Reason("no_set", values))
    return tuple(matches)


def _read_lists(repository: Repository, state: OaiCursor) -> Pages[Any]:
    progress = ListProgress(LoopDetector(repository.source.name))
    while state.todo:
        before = state
        items, position, state = (
            _read_record(repository, state, progress)
            if state.alone
            else _read_page(repository, state, progress)
        )
        if (state.group, state.todo, state.restarts) != (
            before.group,
            before.todo,
            before.restarts,
        ):
            progress.loop_detector.reset()
        if (state.group, state.todo[:1]) != (before.group, before.todo[:1]):
            progress.seen_keys.clear()
        if items is not None or not state.todo:
            yield state.page(
                items or (),
                has_next=bool(state.todo),
                total=_declared_total(repository, before, state),
                at=position,
                again=before.again,
                moves=True,
            )


def _declared_total(repository: Repository, before: OaiCursor, state: OaiCursor) -> int | None:
    """Return the total that the repository declares. Totals of several sets cannot be added: a
    record may be in more than one.
    """
    return (
        (state.total if state.group == before.group else before.total)
        if len(repository.groups) == 1
        else None
    )


def _read_record(repository: Repository, state: OaiCursor, progress: ListProgress) -> _Step:
    item, position, state = fetch_single_record(repository, state, progress)
    return None if item is None else (item,), position, state


def _read_page(repository: Repository, state: OaiCursor, progress: ListProgress) -> _Step:
    """Read one page of the current list, or find where to continue if it cannot be read."""
    try:
        part = repository.fetch_list("ListRecords", state.group, state.todo[0], state.token)
    except _REJECTED as error:
        if state.token is None and isinstance(error, OaiError) and "badVerb" in error.codes:
            return None, None, replace(state, alone=True)
        if isinstance(error, OaiError) and _UNKNOWN_PREFIX in error.codes:
            raise _prefix_error(repository, error) from error
        if state.token is None or (isinstance(error, OaiError) and not error.codes & _TOKEN_ERRORS):
            raise
        return None, None, restart_from(repository, state, error)
    except PAGE_ERRORS as error:
        return None, None, split_window(repository, state, error)
    earlier = repository.groups[: state.group]
    pairs = zip(part.headers, part.items, strict=True)
    items = tuple(item for head, item in pairs if not (earlier and head and head.in_sets(earlier)))
    if is_minimal(state.todo[0]):
        progress.seen_keys.update(
            item.key for item in items if item.key and not isinstance(item, InvalidRecord)
        )
    progress.loop_detector.check_page(part.reply.url, part.items, part.reply.content)
    progress.loop_detector.check_token(part.reply.url, part.token)
    state = _advance(
        state,
        part,
        count_empty_pages(repository.source.name, part.reply.url, state.empty, part.items),
    )
    return (
        items,
        part.reply.at,
        state
        if state.token is not None
        else _check_complete(state, part).next_window(len(repository.groups)),
    )


def _prefix_error(repository: Repository, error: OaiError) -> ParseError:
    """Return an error that lists the metadata prefixes that the repository supports."""
    try:
        available = ", ".join(
            repository.list_names("ListMetadataFormats", "metadataFormat", "metadataPrefix")
        )
    except RECORD_ERRORS as probe_error:
        available = f"unknown prefixes ({probe_error})"
    return ParseError(Reason("no_prefix", {"error": error.reason, "available": available}))


def _advance(state: OaiCursor, part: ListPage, empty: int) -> OaiCursor:
    """Return the cursor after a page of a list."""
    stamps = [head.datestamp if head else "" for head in part.headers]
    newest, is_sorted = max_if_sorted(state.newest, state.is_sorted, stamps)
    ties = stamps.count(newest) + (state.ties if newest == state.newest else 0)
    steps = state.steps + len({stamp for stamp in stamps if stamp > state.newest})
    received = state.received + len(part.items)
    after = replace(
        state, token=part.token, expires=part.expires, newest=newest, is_sorted=is_sorted, received=received, ties=ties, steps=steps,
        empty=empty, faults=0 if part.items else state.faults, next_offset=None if part.offset is None else part.offset + len(part.items),
    )  # fmt: skip
    if state.is_full_list:
        after = replace(
            after.mark_incomplete(total_changed(state.total, part.size)),
            total=state.total if part.size is None else part.size,
        )
    if (
        state.next_offset is not None
        and part.offset is not None
        and part.offset > state.next_offset
    ):
        after = after.mark_incomplete(
            Reason("list_gap", {"next": part.offset, "expected": state.next_offset})
        )
    return after


def _check_complete(state: OaiCursor, part: ListPage) -> OaiCursor:
    """Mark a list as incomplete if it ended before its declared size, or with noRecordsMatch."""
    size = part.size if part.size is not None else state.total if state.is_full_list else None
    if size is not None and state.received < size:
        return state.mark_incomplete(
            Reason("list_ended_early", {"fetched": state.received, "total": size})
        )
    if part.no_match and state.received and size is None:
        return state.mark_incomplete(Reason("ended_no_records_match"))
    return state


def _format_since(repository: Repository, since: datetime | None) -> str | None:
    """Format *since* minus one step in the granularity that the repository declares."""
    if since is None:
        return None
    calendar = repository.fetch_calendar()
    return calendar.format_time(in_utc(since) - max(calendar.step, timedelta(seconds=1)))


PROTOCOL = Protocol(collect, Payload.XML, OPTIONS, incremental=True, payload_type_for=payload_type)
