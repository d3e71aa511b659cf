"""OAI-PMH 2.0: all of a repository's records, or those changed since, by ListRecords.

Source: https://www.openarchives.org/OAI/openarchivesprotocol.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.option_schema import Option, get_option, option_names
from harvesters.page_model import InvalidRecord, Page, Pages, Payload, SourcePosition
from harvesters.protocols.cursor import read, write
from harvesters.protocols.datestamps import risen
from harvesters.protocols.error_recovery import POISON, REFUSED, UNREAD, Repeats, changed, empties
from harvesters.protocols.oai.cursor import Repository, Spot
from harvesters.protocols.oai.parser import Item, Listed, Told
from harvesters.protocols.oai.rdf_metadata import as_graph
from harvesters.protocols.oai.recovery import Held, alone, anew, split
from harvesters.protocols.oai.window import step
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "prefix": Option(str, "oai_dc", "The metadataPrefix that is asked for."),
    "set": Option((str, list), None, "The set, or the list of sets, to which the harvest is kept; `project:*` for all that begin so."),
    "singly": Option(bool, False, "List identifiers and ask for each record by itself, where ListRecords does not work."),
    "graph": Option(bool, None, "The metadata is RDF/XML, so records are graphs; without it so with the prefix `rdf`."),
}

_UNTOLD = "cannotDisseminateFormat"
_EXPIRED = frozenset({"badResumptionToken", "badArgument"})  # a token is a request's only argument, so no other can be bad
_REFUSED: tuple[type[HarvestError], ...] = (Told, *REFUSED)

_Step = tuple[tuple[Item, ...] | None, SourcePosition | None, Spot]  # a page's items, None where none came; and where to go on


def brings(source: Source) -> Payload:
    """Tell whether the card's metadata is RDF, which comes as a graph, or any other XML."""
    told = get_option(source, OPTIONS, "graph")
    return Payload.GRAPH if (get_option(source, OPTIONS, "prefix") == "rdf" if told is None else told) else Payload.XML


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Any]:
    """Collect all records, or those changed since *since* less one step of the repository's granularity.

    A record's payload is the child of its ``<metadata>``, or as a graph what that says of its first resource; its raw bytes are
    the child's. With several sets, a record that is in more than one comes once. A token that has expired is followed by a list
    that starts at the newest datestamp, or, where datestamps did not rise, anew; a page that cannot be read is read in parts,
    down to single records. Raises ParseError where an answer is no OAI-PMH, reports an error or repeats itself.
    """
    there = Repository(source, fetch, get_option(source, OPTIONS, "prefix"), (None,), get_option(source, OPTIONS, "singly"))
    there = replace(there, groups=_sets(there, option_names(source, OPTIONS, "set")))
    spot = read(Spot, cursor)
    if spot is None:
        start = _from(there, since)
        spot = Spot(origin=start, todo=((start, None),), again=cursor is not None, alone=there.singly)
    graphs = brings(source) is Payload.GRAPH
    for page in _walk(there, spot):
        yield replace(page, items=tuple(map(as_graph, page.items))) if graphs else page


def _sets(there: Repository, wanted: tuple[str, ...]) -> tuple[str | None, ...]:
    """Give the sets that are wanted, those with a * by the repository's own list of sets."""
    if not any("*" in name for name in wanted):
        return wanted or (None,)
    known = there.names("ListSets", "set", "setSpec")
    found = [spec for spec in sorted(set(known)) if any(fnmatchcase(spec, name) for name in wanted)]
    if not found:
        some = ", ".join(known[:20]) or "none"
        told = f"no set is called {' or '.join(wanted)}; the repository has {some}"
        raise ParseError(f"{there.source.name}: {told}; correct the option 'set'")
    return tuple(found)


def _walk(there: Repository, spot: Spot) -> Pages[Any]:
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
        if spot.token is None and isinstance(error, Told) and "badVerb" in error.codes:
            return None, None, replace(spot, alone=True)
        if isinstance(error, Told) and _UNTOLD in error.codes:
            raise _other(there, error) from error
        if spot.token is None or (isinstance(error, Told) and not error.codes & _EXPIRED):
            raise
        return None, None, anew(there, spot, error)
    except POISON as error:
        return None, None, split(there, spot, error)
    earlier = there.groups[: spot.group]
    pairs = zip(part.heads, part.items, strict=True)
    items = tuple(item for head, item in pairs if not (earlier and head and head.within(earlier)))
    if step(spot.todo[0]):
        held.had.update(item.key for item in items if item.key and not isinstance(item, InvalidRecord))
    held.repeats.page(part.reply.url, part.items, part.reply.content)
    held.repeats.token(part.reply.url, part.token)
    spot = _after(spot, part, empties(there.source.name, part.reply.url, spot.empty, part.items))
    return items, part.reply.at, spot if spot.token is not None else _ended(spot, part).done(len(there.groups))


def _other(there: Repository, error: Told) -> ParseError:
    """Tell which prefixes the repository has instead."""
    try:
        told = ", ".join(there.names("ListMetadataFormats", "metadataFormat", "metadataPrefix"))
    except UNREAD as unwell:
        told = f"what cannot be told: {unwell}"
    return ParseError(f"{error}; it has {told}; correct the option 'prefix'")


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
