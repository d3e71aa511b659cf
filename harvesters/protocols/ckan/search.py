"""CKAN's search, page by page: what is asked, and what is done when a page cannot be read or an offset is refused.

Source: https://docs.ckan.org/en/latest/api/#ckan.logic.action.get.package_search
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch, Reply
from harvesters.network.response_parsing import load_json
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Record, Row, SourcePosition
from harvesters.protocols.cursor import read, write
from harvesters.protocols.error_recovery import POISON, REFUSED, UNREAD, Repeats, changed, empties, fault
from harvesters.source import Source

Item = Record[Row] | DeletedRecord | InvalidRecord


@dataclass(frozen=True, slots=True)
class Search:
    """What is searched: *terms* but for the filter, *filters*, *rows* a page, and how packages are read."""

    source: Source
    fetch: Fetch
    url: str
    terms: Mapping[str, str]
    filters: str
    rows: int
    items: Callable[[list[Any]], Iterable[Item]]

    def ask(self, start: int, rows: int, base: str | None, **more: str) -> tuple[Reply, list[Any], int | None]:
        """Ask for *rows* packages from *start* among those with ids from *base* on; give them and how many there are."""
        parts = [self.filters, f'id:["{base}" TO *]' if base is not None else ""]
        told = " AND ".join(f"({part})" if all(parts) else part for part in parts if part)
        terms = {**self.terms, "rows": str(rows), **({"fq": told} if told else {}), "start": str(start), **more}
        reply = self.fetch.get(self.url, terms, accept="application/json")
        found = unwrapped(self.source, reply)
        if not isinstance(found, dict) or not isinstance(found.get("results"), list):
            raise ParseError(f"{self.source.name}: {reply.url} is no answer of package_search: it holds no results")
        count = found.get("count")
        return reply, found["results"], count if isinstance(count, int) and not isinstance(count, bool) else None


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a search stands: *start* among the ids from *base* on; *sizes* of the pieces in which a broken page is read.

    *last* is the id that came last, *rising* whether all came in order; *total* is the first count; the others are as in a page
    or count what went wrong in a row.
    """

    start: int = 0
    base: str | None = None
    sizes: tuple[int, ...] = ()
    last: str = ""
    rising: bool = True
    total: int | None = None
    again: bool = False
    doubt: str | None = None
    faults: int = 0
    empty: int = 0

    def doubted(self, why: str | None) -> Spot:
        """Keep the first reason for doubt."""
        return self if self.doubt or why is None else replace(self, doubt=why)

    def passed(self, count: int, size: int) -> Spot:
        """Go on behind *count* records, of the *size* that were asked for."""
        left = (size - count, *self.sizes[1:]) if self.sizes and 0 < count < size else self.sizes[1:]
        return replace(self, start=self.start + count, sizes=left)


def unwrapped(source: Source, reply: Reply) -> Any:
    """Take the result out of CKAN's envelope; a document without one is its own result."""
    document = load_json(reply)
    if not isinstance(document, dict) or not ("success" in document or "result" in document):
        return document
    if document.get("success") is False:
        error = document.get("error")
        told = error.get("message") or error.get("__type") or error if isinstance(error, dict) else error
        raise ParseError(f"{source.name}: {reply.url} says: {str(told)[:300]}")
    return document.get("result")


def searching(search: Search, cursor: str | None) -> Pages[Row]:
    """Go through the search from *cursor* on."""
    spot = read(Spot, cursor) or Spot(again=cursor is not None)
    repeats = Repeats(search.source.name)
    while True:
        size = spot.sizes[0] if spot.sizes else search.rows
        again = spot.again
        items: tuple[Item, ...]
        at: SourcePosition | None = None
        ended = False
        try:
            reply, packages, count = search.ask(spot.start, size, spot.base)
        except REFUSED as error:
            spot = _by_id(search, spot, error)
            repeats.forget()
            continue
        except POISON as error:
            spot = _cut(search, spot, size, error)
            if spot.sizes[0] < size:
                continue
            items, spot = _lost(search, spot, error)
        else:
            items, at = tuple(search.items(packages)), reply.at
            repeats.page(reply.url, items, reply.content)
            spot, ended = _after(search, spot, size, reply, items, count)
        yield Page(items, None if ended else write(spot), spot.total, at, again=again, doubt=spot.doubt, moves=True)
        if ended:
            return


def _after(search: Search, spot: Spot, size: int, reply: Reply, items: tuple[Item, ...], count: int | None) -> tuple[Spot, bool]:
    """Give the spot after a page, and whether it was the last."""
    keys = [item.key for item in items if item.key is not None]
    rising = spot.rising and [spot.last, *keys] == sorted([spot.last, *keys])
    if spot.base is None:
        spot = replace(spot.doubted(changed(spot.total, count)), total=count if count is not None else spot.total)
    empty = empties(search.source.name, reply.url, spot.empty, items)
    spot = replace(spot.passed(len(items), size), last=keys[-1] if keys else spot.last, rising=rising, empty=empty, faults=0)
    return spot, not items or (count is not None and spot.start >= count)


def _cut(search: Search, spot: Spot, size: int, error: HarvestError) -> Spot:
    """Give the pieces of a page that cannot be read; raises *error* where the portal does not answer a search at all."""
    faults = fault(search.source.name, spot.faults, error)
    try:
        _, _, count = search.ask(0, 0, spot.base)
    except UNREAD as unwell:
        raise error from unwell
    if count is not None and spot.start >= count:
        raise error
    size = size if count is None else min(size, count - spot.start)
    total = count if spot.base is None and spot.total is None else spot.total
    halves = (size // 2, size - size // 2) if size > 1 else (1,)
    return replace(spot, sizes=(*halves, *spot.sizes[1:]), total=total, faults=faults)


def _lost(search: Search, spot: Spot, error: HarvestError) -> tuple[tuple[Item, ...], Spot]:
    """Give the one record that cannot be read; its id is what the search itself knows, without the package."""
    key = None
    try:
        _, found, _ = search.ask(spot.start, 1, spot.base, fl="id")
        key = found[0].get("id") if found and isinstance(found[0], dict) else None
    except UNREAD:
        pass
    if not isinstance(key, str) or not key:
        spot = spot.doubted(f"the package at {spot.start} of the search cannot be read, and its id cannot be told")
        key = None
    return (InvalidRecord(key, str(error)),), spot.passed(1, 1)


def _by_id(search: Search, spot: Spot, error: HarvestError) -> Spot:
    """Go on behind the last id where the portal refuses an offset; raises *error* where ids were not in order, or nothing is gained."""
    if not spot.start or not spot.rising or not spot.last or spot.last == spot.base or '"' in spot.last:
        raise error
    try:
        search.ask(0, 0, spot.last)
    except UNREAD as unwell:
        raise error from unwell
    return replace(spot, start=0, base=spot.last, sizes=(), again=True)
