"""Paged JSON: page after page, and what is done when one cannot be read or a cursor is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch, Reply
from harvesters.network.response_parsing import load_json
from harvesters.page_model import InvalidRecord, Page, Pages, Record, Row, SourcePosition
from harvesters.parsing import join_url
from harvesters.protocols.cursor import read, write
from harvesters.protocols.datestamps import read_stamp, risen
from harvesters.protocols.error_recovery import POISON, REFUSED, UNREAD, Repeats, changed, empties, fault
from harvesters.protocols.json_api.parser import WAYS, Item, Plan, changed_since, claimed, items

_LINK = re.compile(r"<([^<>]*+)>\s*+;([^<]*+)")  # a link of a Link header, with its parameters (RFC 8288)
_RELATIONS = re.compile(r"\brel\s*+=\s*+\"?([^\",;]*+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a list stands.

    *next* is what the next request is made of (a page's number, an offset, a cursor, an address; empty: the first), *came* how many
    records came before it, *sizes* the pieces in which a broken page is read. *newest* is the greatest time of a change and
    *rising* whether they came in order; *since* is the time from which a list with a refused cursor was taken up, *reach* how far it
    had come then. *total* is the first one that was told; the others are as on a page or count what went wrong in a row.
    """

    next: str = ""
    came: int = 0
    sizes: tuple[int, ...] = ()
    newest: str = ""
    rising: bool = True
    since: str = ""
    reach: int = 0
    total: int | None = None
    again: bool = False
    doubt: str | None = None
    faults: int = 0
    empty: int = 0

    def doubted(self, why: str | None) -> Spot:
        """Keep the first reason for doubt."""
        return self if self.doubt or why is None else replace(self, doubt=why)


@dataclass(frozen=True, slots=True)
class _Answer:
    reply: Reply
    document: Any
    items: tuple[Item, ...]
    total: int | None


def paged(plan: Plan, fetch: Fetch, cursor: str | None) -> Pages[Row]:
    """Ask for page after page from *cursor* on; raises ParseError where they repeat or do not end."""
    spot = read(Spot, cursor) or Spot(_first(plan), again=cursor is not None)
    repeats = Repeats(plan.source.name)
    repeats.token("", spot.next)
    while True:
        found: tuple[Item, ...]
        at: SourcePosition | None = None
        ended = False
        again = spot.again
        try:
            answer = _ask(plan, fetch, spot)
        except REFUSED as error:
            spot = _anew(plan, spot, error)
            repeats.forget()
            continue
        except POISON as error:
            size = _size(plan, spot)
            spot = _cut(plan, fetch, spot, error)
            if spot.sizes[0] < size:
                continue
            found, spot = _lost(plan, spot, error)
        else:
            found, at = answer.items, answer.reply.at
            repeats.page(answer.reply.url, found, answer.reply.content)
            spot, ended = _after(plan, spot, answer)
            repeats.token(answer.reply.url, None if ended or spot.sizes else spot.next, "the cursor")
        yield Page(found, None if ended else write(spot), spot.total, at, again=again, doubt=spot.doubt, moves=True)
        if ended:
            return


def _first(plan: Plan) -> str:
    return "0" if plan.option("offset") else str(plan.option("first")) if plan.option("page") else ""


def _size(plan: Plan, spot: Spot) -> int:
    return spot.sizes[0] if spot.sizes else int(plan.option("size"))


def _ask(plan: Plan, fetch: Fetch, spot: Spot) -> _Answer:
    address, arguments = plan.source.url, dict(plan.extra)
    if spot.since:
        arguments[plan.option("since")] = spot.since
    name = next((plan.option(way) for way in WAYS if plan.option(way)), None)
    if spot.sizes:
        arguments[plan.option("limit")] = str(spot.sizes[0])
        number = spot.came if plan.option("offset") else plan.option("first") + spot.came // spot.sizes[0]
        arguments[name or ""] = str(number)
    elif name:
        arguments |= {name: spot.next} if spot.next else {}
    elif spot.next:
        address, arguments = spot.next, {}
    reply = fetch.get(address, arguments, accept="application/json")
    document = load_json(reply, plan.option("charset"))
    return _Answer(reply, document, items(plan, reply, document), claimed(plan, reply, document))


def _after(plan: Plan, spot: Spot, answer: _Answer) -> tuple[Spot, bool]:
    """Give the spot after a page, and whether it was the last."""
    count = len(answer.items)
    empty = empties(plan.source.name, answer.reply.url, spot.empty, answer.items)
    newest, rising = risen(spot.newest, spot.rising, (it.modified or "" if isinstance(it, Record) else "" for it in answer.items))
    if not spot.since:
        spot = replace(spot.doubted(changed(spot.total, answer.total)), total=spot.total if answer.total is None else answer.total)
    enough = answer.total is not None and spot.came + count >= answer.total
    if spot.sizes:
        return _after_piece(plan, replace(spot, newest=newest, rising=rising, faults=0), answer, enough)
    following = _following(plan, answer, spot, enough)
    after = replace(spot, next=following, came=spot.came + count, newest=newest, rising=rising, empty=empty, faults=0)
    return after, not following


def _following(plan: Plan, answer: _Answer, spot: Spot, enough: bool) -> str:
    """Say what comes next, in the words of the way that the card chose; empty at the end."""
    count = len(answer.items)
    if plan.option("page"):
        return str(int(spot.next) + 1) if count and not enough else ""
    if plan.option("offset"):
        return str(int(spot.next) + count) if count and not enough else ""
    told = plan.next(answer.document)
    if plan.option("cursor"):
        return "" if told in (None, False, "") else str(told)
    if told is None and not plan.option("next"):
        told = _next_link(answer.reply.headers.get("link", ""))
    return join_url(answer.reply.url, str(told)) if told else ""


def _next_link(header: str) -> str | None:
    """Return the address that a Link header calls the next one.

    >>> _next_link('<https://a.example/1>; rel="prev", <https://a.example/3>; title="3"; rel="last next"')
    'https://a.example/3'
    """
    for link in _LINK.finditer(header):
        if any("next" in relations[1].lower().split() for relations in _RELATIONS.finditer(link[2])):
            return link[1]
    return None


def _after_piece(plan: Plan, spot: Spot, answer: _Answer, enough: bool) -> tuple[Spot, bool]:
    """Give the spot after a piece; one that is not of the size that was asked for shows that the API does not keep to it."""
    count, size = len(answer.items), spot.sizes[0]
    if count > size or (0 < count < size and not enough and answer.total is not None):
        raise ParseError(
            f"{plan.source.name}: {answer.reply.url} gave {count} records where {size} were asked for, so a page that cannot be read"
            f" cannot be read in pieces; correct the options 'limit' and 'size'"
        )
    return _passed(plan, spot, count), enough or count < size


def _passed(plan: Plan, spot: Spot, count: int) -> Spot:
    """Go on behind a piece of *count* records."""
    came, left = spot.came + count, spot.sizes[1:]
    following = str(came) if plan.option("offset") else str(int(spot.next) + (not left))
    return replace(spot, came=came, sizes=left, next=following)


def _cut(plan: Plan, fetch: Fetch, spot: Spot, error: HarvestError) -> Spot:
    """Give the pieces of a page that cannot be read; raises *error* where more is amiss, ParseError where there are no smaller pages."""
    faults = fault(plan.source.name, spot.faults, error)
    even = plan.option("offset") or (plan.option("page") and (spot.sizes or spot.came == _before(plan, spot)))
    if not plan.option("limit") or not even:
        _readable(plan, fetch, Spot(_first(plan)), error)
        raise ParseError(f"{error}; {_whole_only(plan)}") from error
    total = _readable(plan, fetch, Spot(_first(plan), sizes=(1,)), error)
    size = _size(plan, spot)
    if total is not None and spot.came >= total:
        raise error
    pieces = _divided(size) if size > 1 else (1,)
    return replace(spot, sizes=(*pieces, *spot.sizes[1:]), faults=faults, total=spot.total if spot.total is not None else total)


def _before(plan: Plan, spot: Spot) -> int:
    """Give how many records came before a page if each page had the size that was asked for."""
    return (int(spot.next) - int(plan.option("first"))) * int(plan.option("size"))


def _divided(size: int) -> tuple[int, ...]:
    """Divide a page in equal pieces, as few as can be: pages of a piece's size then begin where the page began.

    >>> _divided(100), _divided(7)
    ((50, 50), (1, 1, 1, 1, 1, 1, 1))
    """
    parts = next(number for number in range(2, size + 1) if size % number == 0)
    return (size // parts,) * parts


def _whole_only(plan: Plan) -> str:
    if not (plan.option("page") or plan.option("offset")):
        return "what comes after it is told by itself alone, so the list cannot be read past it"
    if not plan.option("limit"):
        return "set the option 'limit', the argument that makes pages smaller, so that it can be read in pieces"
    return "its pages are not of the size that is asked for, so it cannot be read in pieces; correct the option 'size'"


def _readable(plan: Plan, fetch: Fetch, spot: Spot, error: HarvestError) -> int | None:
    """Give the total, from the first page or from one of the first two records; raises *error* where none can be read."""
    for came in (0, 1) if spot.sizes else (0,):
        try:
            return _ask(plan, fetch, replace(spot, came=came)).total
        except UNREAD as unwell:
            last = unwell
    raise error from last


def _lost(plan: Plan, spot: Spot, error: HarvestError) -> tuple[tuple[Item, ...], Spot]:
    """Give the one record that cannot be read, whose key nothing tells."""
    why = f"the record at {spot.came} of the list cannot be read, and its key cannot be told"
    return (InvalidRecord(None, f"the record at {spot.came} of the list: {error}"),), _passed(plan, spot.doubted(why), 1)


def _anew(plan: Plan, spot: Spot, error: HarvestError) -> Spot:
    """Give where to go on when a cursor is refused: from the newest change if they came in order, else from the beginning."""
    if plan.option("page") or plan.option("offset") or not spot.next:
        raise error
    if spot.came <= spot.reach:
        raise ParseError(f"{error}; its list cannot be read to the end") from error
    moment = read_stamp(spot.newest) if spot.rising and spot.newest and plan.option("since") and plan.option("modified") else None
    start = Spot(again=True, total=spot.total, doubt=spot.doubt)
    if moment is None:
        return replace(start, since=spot.since, reach=spot.came)
    why = f"the list was taken up at what changed since {spot.newest}, up to which it was in order; that does not prove it complete"
    return replace(start.doubted(None if spot.total is not None else why), since=changed_since(plan.source, moment))
