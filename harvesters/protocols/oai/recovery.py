"""Lists in parts: what is done when an OAI-PMH token has expired or a page cannot be read.

A list in order of datestamps goes on from the newest one; any other is begun anew. Where that does not help, the window of
time is cut in two, again and again, down to single records.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from harvesters.errors import HarvestError, ParseError
from harvesters.page_model import DeletedRecord, InvalidRecord, SourcePosition
from harvesters.protocols.error_recovery import UNREAD, Repeats, empties, fault
from harvesters.protocols.oai import parser
from harvesters.protocols.oai.cursor import Repository, Spot
from harvesters.protocols.oai.parser import Head, Item, Listed, Told
from harvesters.protocols.oai.window import Calendar, Window, by_stamps, by_time, step

_FEW = 8  # records that are asked for one by one: cutting their window further would cost as many requests
_ORDER = 8  # datestamps that rose: records without order do so once in 40,320 times


@dataclass(slots=True)
class Held:
    """What this process knows of the present list beyond its cursor; without it some records come once more, which harms nothing.

    *had* are the keys that the list of a single step has brought, *left* the headers that are still to be asked for singly.
    """

    repeats: Repeats
    had: set[str] = field(default_factory=set)
    left: list[Head] | None = None


def anew(there: Repository, spot: Spot, error: HarvestError) -> Spot:
    """Give where to go on when the present token is refused; raises ParseError where neither order nor a new beginning helps."""
    try:
        calendar = there.calendar()
        todo, order = _rest(there, spot, calendar)
        if todo != spot.todo:
            return spot.doubted(order).reading(todo)
        if spot.restarts:
            return _cut(there, spot, calendar)
    except UNREAD as unwell:
        if spot.restarts:
            lasting = f" (the token was to last to {spot.expires})" if spot.expires else ""
            raise ParseError(f"{error}{lasting}; its list cannot be read to the end") from unwell
    return spot.reading(spot.todo, restarts=1)


def split(there: Repository, spot: Spot, error: HarvestError) -> Spot:
    """Give where to go on when the present page cannot be read, and only that; raises *error* where more is amiss."""
    faults = fault(there.source.name, spot.faults, error)
    calendar = there.calendar(error)
    todo, order = _rest(there, spot, calendar)
    return _cut(there, replace(spot.doubted(order if todo != spot.todo else None), todo=todo, faults=faults), calendar)


def _rest(there: Repository, spot: Spot, calendar: Calendar) -> tuple[tuple[Window, ...], str | None]:
    """Give the windows that are still to be read, and why they may not be all.

    A list in order so far is taken up at its newest datestamp if the repository has no more records before that than were read;
    where it does not count them, if the list is too long to be in order by chance.
    """
    start, until = spot.todo[0]
    newest = calendar.floor(spot.newest) if spot.rising and spot.newest else None
    if newest is None or (start is not None and newest <= start) or (until is not None and newest > until):
        return spot.todo, None
    count, read = _counted(there, spot, (start, calendar.before(newest))), spot.came - spot.ties
    if count > read if count is not None else spot.steps < _ORDER:
        return spot.todo, None
    proven = count == read or (spot.total is not None and len(there.groups) == 1)
    why = f"the list was taken up at the datestamp {newest}, up to which it was in order; that alone does not prove it complete"
    return ((newest, until), *spot.todo[1:]), None if proven else why


def _counted(there: Repository, spot: Spot, window: Window) -> int | None:
    """Ask how many records *window* holds, None where that is not told."""
    part = _named(there, spot, window)
    if part is None:
        return None
    return part.size if part.size is not None else len(part.heads) if part.token is None else None


def _cut(there: Repository, spot: Spot, calendar: Calendar) -> Spot:
    """Cut the present window by what ListIdentifiers tells of it, else in its middle; ask singly where no cut helps."""
    window = spot.todo[0]
    if step(window):
        return spot.singly(window)
    part = _named(there, spot, window)
    if part is not None and spot.whole and spot.total is None:
        spot = replace(spot, total=part.size)
    if part is not None and part.token is None and (len(part.heads) <= _FEW or len({head.stamp for head in part.heads if head}) == 1):
        return spot.singly(window)
    halves = by_stamps(window, [head.stamp for head in part.heads if head], calendar) if part else ()
    halves = halves or by_time(window, calendar)
    return spot.reading((*halves, *spot.todo[1:])) if halves else spot.singly(window)


def _named(there: Repository, spot: Spot, window: Window) -> Listed | None:
    """Ask for the headers of *window*, the first part of them; None where they cannot be read either."""
    try:
        return there.list("ListIdentifiers", spot.group, window, None)
    except UNREAD:
        return None


def alone(there: Repository, spot: Spot, held: Held) -> tuple[Item | None, SourcePosition | None, Spot]:
    """Ask for one record of the present window; None where none is left."""
    if held.left is None:
        try:
            held.left = _all_named(there, spot, held)
        except UNREAD as error:
            if (isinstance(error, Told) and "badResumptionToken" in error.codes) or not step(spot.todo[0]):
                raise ParseError(f"{error}; its list cannot be read to the end") from error
            there.calendar(error)
            why = f"the records of {spot.todo[0][0]} can be neither read nor listed: {error}"
            return InvalidRecord(None, why), None, spot.doubted(why).done(len(there.groups))
    if not held.left:
        held.left = None
        lost = not (spot.after or held.had or there.singly)
        told = "a page of ListRecords cannot be read, and ListIdentifiers names no record that was on it" if lost else None
        return None, None, spot.doubted(told).done(len(there.groups))
    head = held.left.pop(0)
    item, at, broken = _one(there, head)
    faults = fault(there.source.name, spot.faults, broken) if broken else 0
    spot = replace(spot, after=head.key, faults=faults)
    if not held.left:
        held.left = None
        spot = spot.done(len(there.groups))
    return item, at, spot


def _all_named(there: Repository, spot: Spot, held: Held) -> list[Head]:
    """List the headers of the present window that are still to be asked for, by identifier."""
    found: dict[str, Head] = {}
    token: str | None = None
    empty, repeats = 0, Repeats(there.source.name)
    restarted = False
    while True:
        try:
            part = there.list("ListIdentifiers", spot.group, spot.todo[0], token)
        except Told:
            if token is None or restarted:
                raise
            token, restarted, repeats = None, True, Repeats(there.source.name)
            continue
        found |= {head.key: head for head in part.heads if head and head.key and not head.within(there.groups[: spot.group])}
        empty = empties(there.source.name, part.reply.url, empty, part.heads)
        repeats.token(part.reply.url, part.token)
        token = part.token
        if token is None:
            return [found[key] for key in sorted(found) if key > spot.after and key not in held.had]


def _one(there: Repository, head: Head) -> tuple[Item, SourcePosition | None, HarvestError | None]:
    """Get one record; what keeps it from being read is given too, unless the whole repository is amiss."""
    if head.deleted:
        return DeletedRecord(head.key, head.stamp or None), None, None
    at = None
    try:
        reply = there.ask({"verb": "GetRecord", "identifier": head.key, "metadataPrefix": there.prefix})
        at = reply.at
        return parser.single(there.source, reply), at, None
    except UNREAD as error:
        if not isinstance(error, Told):
            there.calendar(error)
        return InvalidRecord(head.key, str(error)), at, error
