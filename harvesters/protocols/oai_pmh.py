"""OAI-PMH 2.0: all of a repository's records, or those changed since, by ListRecords.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from lxml.etree import _Element

from harvesters.errors import HarvestError
from harvesters.network.fetch import Fetch
from harvesters.option import Option, names, value
from harvesters.protocols.cursor import read, write
from harvesters.protocols.oai_answer import Item, Listed, Told
from harvesters.protocols.oai_parts import Held, alone, anew, split
from harvesters.protocols.oai_spot import Repository, Spot
from harvesters.protocols.oai_window import step
from harvesters.protocols.stamp import risen
from harvesters.protocols.trouble import POISON, REFUSED, Repeats, changed, empties
from harvesters.record import Page, Pages, Position, Unreadable
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "prefix": Option(str, "oai_dc", "The metadataPrefix that is asked for."),
    "set": Option((str, list), None, "The set, or the list of sets, to which the harvest is kept; all records without it."),
}

_EXPIRED = frozenset({"badResumptionToken", "badArgument"})  # a token is a request's only argument, so no other can be bad
_REFUSED: tuple[type[HarvestError], ...] = (Told, *REFUSED)

_Step = tuple[tuple[Item, ...] | None, Position | None, Spot]  # a page's items, None where none came; and where to go on


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[_Element]:
    """Collect all records, or those changed since *since* less one step of the repository's granularity.

    A record's payload is the child of its ``<metadata>``, its raw bytes are that child's. With several sets, a record that
    is in more than one comes once. A token that has expired is followed by a list that starts at the newest datestamp,
    or, where datestamps did not rise, anew; a page that cannot be read is read in parts, down to single records. Raises
    ParseError where an answer is no OAI-PMH, reports an error or repeats itself.
    """
    there = Repository(source, fetch, value(source, OPTIONS, "prefix"), names(source, OPTIONS, "set") or (None,))
    spot = read(Spot, cursor)
    if spot is None:
        start = _from(there, since)
        spot = Spot(origin=start, todo=((start, None),), again=cursor is not None)
    yield from _walk(there, spot)


def _walk(there: Repository, spot: Spot) -> Pages[_Element]:
    held = Held(Repeats(there.source.name))
    while spot.todo:
        before = spot
        items, at, spot = _single(there, spot, held) if spot.alone else _part(there, spot, held)
        if (spot.group, spot.todo, spot.restarts) != (before.group, before.todo, before.restarts):
            held.repeats.forget()
        if (spot.group, spot.todo[:1]) != (before.group, before.todo[:1]):
            held.had.clear()
        if items is not None or not spot.todo:
            following = write(spot) if spot.todo else None
            yield Page(items or (), following, _claimed(there, before, spot), at, again=before.again, doubt=spot.doubt, moves=True)


def _claimed(there: Repository, before: Spot, spot: Spot) -> int | None:
    """Give what the repository says to hold; the numbers of several sets cannot be added, since records are in more than one."""
    return (spot.total if spot.group == before.group else before.total) if len(there.groups) == 1 else None


def _single(there: Repository, spot: Spot, held: Held) -> _Step:
    item, at, spot = alone(there, spot, held)
    return None if item is None else (item,), at, spot


def _part(there: Repository, spot: Spot, held: Held) -> _Step:
    """Read a part of the present list, or find where to go on when it cannot be read."""
    try:
        part = there.list("ListRecords", spot.group, spot.todo[0], spot.token)
    except _REFUSED as error:
        if spot.token is None or (isinstance(error, Told) and not error.codes & _EXPIRED):
            raise
        return None, None, anew(there, spot, error)
    except POISON as error:
        return None, None, split(there, spot, error)
    earlier = there.groups[: spot.group]
    pairs = zip(part.heads, part.items, strict=True)
    items = tuple(item for head, item in pairs if not (earlier and head and head.within(earlier)))
    if step(spot.todo[0]):
        held.had.update(item.key for item in items if item.key and not isinstance(item, Unreadable))
    held.repeats.page(part.reply.url, part.items, part.reply.content)
    held.repeats.token(part.reply.url, part.token)
    spot = _after(spot, part, empties(there.source.name, part.reply.url, spot.empty, part.items))
    return items, part.reply.at, spot if spot.token is not None else _ended(spot, part).done(len(there.groups))


def _after(spot: Spot, part: Listed, empty: int) -> Spot:
    """Give the spot after a part of a list."""
    stamps = [head.stamp if head else "" for head in part.heads]
    newest, rising = risen(spot.newest, spot.rising, stamps)
    ties = stamps.count(newest) + (spot.ties if newest == spot.newest else 0)
    steps = spot.steps + len({stamp for stamp in stamps if stamp > spot.newest})
    came = spot.came + len(part.items)
    after = replace(
        spot, token=part.token, expires=part.expires, newest=newest, rising=rising, came=came, ties=ties, steps=steps,
        empty=empty, faults=0 if part.items else spot.faults, place=None if part.place is None else part.place + len(part.items),
    )  # fmt: skip
    if spot.whole:
        after = replace(after.doubted(changed(spot.total, part.size)), total=spot.total if part.size is None else part.size)
    if spot.place is not None and part.place is not None and part.place > spot.place:
        after = after.doubted(f"the list goes on at its record {part.place} where {spot.place} should come, so records were passed over")
    return after


def _ended(spot: Spot, part: Listed) -> Spot:
    """Doubt a list that ended before its own size, or without saying that it ends."""
    size = part.size if part.size is not None else spot.total if spot.whole else None
    if size is not None and spot.came < size:
        return spot.doubted(f"the list ended after {spot.came} of {size} records")
    if part.none and spot.came and size is None:
        return spot.doubted("the list ended in noRecordsMatch, which is no end that the protocol knows")
    return spot


def _from(there: Repository, since: datetime | None) -> str | None:
    """Write *since*, less one step, in the granularity that the repository declares."""
    if since is None:
        return None
    calendar = there.calendar()
    return calendar.text((since.replace(tzinfo=UTC) if since.tzinfo is None else since) - max(calendar.step, timedelta(seconds=1)))
