"""Recovery when an OAI-PMH token has expired or a page cannot be read.

A list sorted by datestamp resumes at the newest one; any other restarts. If that does not help, the
time window is split in two, repeatedly, down to single records.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from harvesters.errors import HarvestError, ParseError, TemporaryFetchError
from harvesters.page_model import DeletedRecord, InvalidRecord
from harvesters.protocols.error_recovery import (
    RECORD_ERRORS,
    LoopDetector,
    count_empty_pages,
    count_unreadable,
)
from harvesters.protocols.oai import parser
from harvesters.protocols.oai.cursor import OaiCursor, Repository
from harvesters.protocols.oai.parser import Header, Item, ListPage, OaiError
from harvesters.protocols.oai.window import (
    Calendar,
    Window,
    is_minimal,
    split_by_datestamps,
    split_by_time,
)
from harvesters.reasons import Reason
from harvesters.stored_response import SourcePosition

# records requested one by one: splitting their window would cost the same number of requests
_MAX_SINGLE_REQUESTS = 8
_MIN_ASCENDING = 8  # increasing datestamps: one unsorted list in 40,320 has this number by chance


@dataclass(slots=True)
class ListProgress:
    """What this process knows about the current list beyond its cursor. Without it some records
    come again, which is harmless.

    *seen_keys* are the keys that the list of a minimal window has brought, *remaining* the headers
    still to be requested one by one, *failures* counts those in a row for which the server failed.
    """

    loop_detector: LoopDetector
    seen_keys: set[str] = field(default_factory=set)
    remaining: list[Header] | None = None
    failures: int = 0


def restart_from(repository: Repository, state: OaiCursor, error: HarvestError) -> OaiCursor:
    """Return where to continue after the current token was rejected. Raise ParseError if neither
    sorting nor a restart helps.
    """
    try:
        calendar = repository.fetch_calendar()
        todo, order = _remaining_windows(repository, state, calendar)
        if todo != state.todo:
            return state.mark_incomplete(order).restart_with(todo)
        if state.restarts:
            return _split_first_window(repository, state, calendar)
    except RECORD_ERRORS as probe_error:
        if state.restarts:
            code = "list_unreadable_token" if state.expires else "list_unreadable"
            raise ParseError(
                Reason(code, {"error": error.reason, "expires": state.expires or ""})
            ) from probe_error
    return state.restart_with(state.todo, restarts=1)


def split_window(repository: Repository, state: OaiCursor, error: HarvestError) -> OaiCursor:
    """Return where to continue after a page that cannot be read. Raise *error* if the whole
    repository fails.
    """
    faults = count_unreadable(repository.source.name, state.faults, error)
    calendar = repository.fetch_calendar(error)
    todo, order = _remaining_windows(repository, state, calendar)
    return _split_first_window(
        repository,
        replace(
            state.mark_incomplete(order if todo != state.todo else None), todo=todo, faults=faults
        ),
        calendar,
    )


def _remaining_windows(
    repository: Repository, state: OaiCursor, calendar: Calendar
) -> tuple[tuple[Window, ...], Reason | None]:
    """Return the windows still to read, and the reason why they may miss records.

    A list that was sorted so far resumes at its newest datestamp if the repository counts no more
    records before it than were read; without a count, if the list is too long to be sorted by
    chance.
    """
    start, until = state.todo[0]
    newest = calendar.truncate(state.newest) if state.is_sorted and state.newest else None
    if (
        newest is None
        or (start is not None and newest <= start)
        or (until is not None and newest > until)
    ):
        return state.todo, None
    count = _count_records(repository, state, (start, calendar.step_before(newest)))
    read = state.received - state.ties
    if count > read if count is not None else state.steps < _MIN_ASCENDING:
        return state.todo, None
    proven = count == read or (state.total is not None and len(repository.groups) == 1)
    why = Reason("resumed_at_datestamp", {"newest": newest})
    return ((newest, until), *state.todo[1:]), None if proven else why


def _count_records(repository: Repository, state: OaiCursor, window: Window) -> int | None:
    """Return the number of records in *window*, or None if the repository does not declare it."""
    part = _list_headers(repository, state, window)
    if part is None:
        return None
    return part.size if part.size is not None else len(part.headers) if part.token is None else None


def _split_first_window(repository: Repository, state: OaiCursor, calendar: Calendar) -> OaiCursor:
    """Split the current window by the datestamps of ListIdentifiers, else in its middle.

    If it cannot be split, its records are requested one by one.
    """
    window = state.todo[0]
    if is_minimal(window):
        return state.one_by_one(window)
    part = _list_headers(repository, state, window)
    if part is not None and state.is_full_list and state.total is None:
        state = replace(state, total=part.size)
    if (
        part is not None
        and part.token is None
        and (
            len(part.headers) <= _MAX_SINGLE_REQUESTS
            or len({head.datestamp for head in part.headers if head}) == 1
        )
    ):
        return state.one_by_one(window)
    halves = (
        split_by_datestamps(window, [head.datestamp for head in part.headers if head], calendar)
        if part
        else ()
    )
    halves = halves or split_by_time(window, calendar)
    return state.restart_with((*halves, *state.todo[1:])) if halves else state.one_by_one(window)


def _list_headers(repository: Repository, state: OaiCursor, window: Window) -> ListPage | None:
    """Return the first page of headers in *window*, or None if it cannot be read either."""
    try:
        return repository.fetch_list("ListIdentifiers", state.group, window, None)
    except RECORD_ERRORS:
        return None


def fetch_single_record(
    repository: Repository, state: OaiCursor, progress: ListProgress
) -> tuple[Item | None, SourcePosition | None, OaiCursor]:
    """Request one record of the current window. Return None as the item if none is left."""
    if progress.remaining is None:
        try:
            progress.remaining = _list_remaining_headers(repository, state, progress)
        except RECORD_ERRORS as error:
            if (
                isinstance(error, OaiError) and "badResumptionToken" in error.codes
            ) or not is_minimal(state.todo[0]):
                raise ParseError(Reason("list_unreadable", {"error": error.reason})) from error
            repository.fetch_calendar(error)
            why = Reason(
                "datestamp_unreadable", {"datestamp": str(state.todo[0][0]), "error": error.reason}
            )
            return (
                InvalidRecord(None, why),
                None,
                state.mark_incomplete(why).next_window(len(repository.groups)),
            )
    if not progress.remaining:
        progress.remaining = None
        lost = not (state.after or progress.seen_keys or repository.one_by_one)
        reason = Reason("page_not_listed") if lost else None
        return None, None, state.mark_incomplete(reason).next_window(len(repository.groups))
    head = progress.remaining.pop(0)
    item, position, broken = _get_record(repository, head)
    faults = _count_failures(repository, state, progress, broken)
    state = replace(state, after=head.key, faults=faults)
    if not progress.remaining:
        progress.remaining = None
        state = state.next_window(len(repository.groups))
    return item, position, state


def _count_failures(
    repository: Repository, state: OaiCursor, progress: ListProgress, broken: HarvestError | None
) -> int:
    """Return the number of unreadable responses in a row; raises ParseError as
    ``count_unreadable`` does.
    """
    if broken is None:
        progress.failures = 0
        return 0
    if not isinstance(broken, TemporaryFetchError):
        return count_unreadable(repository.source.name, state.faults, broken)
    progress.failures = count_unreadable(repository.source.name, progress.failures, broken)
    return state.faults + 1


def _list_remaining_headers(
    repository: Repository, state: OaiCursor, progress: ListProgress
) -> list[Header]:
    """Return the headers of the current window that are still to be requested, sorted by
    identifier.
    """
    headers: dict[str, Header] = {}
    token: str | None = None
    empty, loop_detector = 0, LoopDetector(repository.source.name)
    restarted = False
    while True:
        try:
            part = repository.fetch_list("ListIdentifiers", state.group, state.todo[0], token)
        except OaiError:
            if token is None or restarted:
                raise
            token, restarted, loop_detector = None, True, LoopDetector(repository.source.name)
            continue
        headers |= {
            head.key: head
            for head in part.headers
            if head and head.key and not head.in_sets(repository.groups[: state.group])
        }
        empty = count_empty_pages(repository.source.name, part.reply.url, empty, part.headers)
        loop_detector.check_token(part.reply.url, part.token)
        token = part.token
        if token is None:
            return [
                headers[key]
                for key in sorted(headers)
                if key > state.after and key not in progress.seen_keys
            ]


def _get_record(
    repository: Repository, head: Header
) -> tuple[Item, SourcePosition | None, HarvestError | None]:
    """Request one record. Return the error too, if it concerns this record alone."""
    if head.deleted:
        return DeletedRecord(head.key, head.datestamp or None), None, None
    position = None
    try:
        reply = repository.request(
            {"verb": "GetRecord", "identifier": head.key, "metadataPrefix": repository.prefix}
        )
        position = reply.at
        return parser.parse_record(repository.source, reply), position, None
    except RECORD_ERRORS as error:
        if not isinstance(error, OaiError):
            repository.fetch_calendar(error)
        return InvalidRecord(head.key, error.reason), position, error
