"""JSON: a list of records, whole, page by page in the five usual ways, or as a folder of files with an index."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from harvesters.answer import dump_json, load_json
from harvesters.errors import CardError, DeniedError, ParseError
from harvesters.fetch import Fetch, Reply
from harvesters.option import Option, value
from harvesters.path import compiled
from harvesters.protocols.document import cut
from harvesters.record import Gone, Page, Pages, Record, Row, Unreadable
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "records": Option(str, "@", "JMESPath to the list of records in an answer; objects keyed by their ids are read as a list."),
    "key": Option(str, None, "JMESPath to a record's key; without it the card's field `key`, else `id`, in a folder the file's stem."),
    "modified": Option(str, None, "JMESPath to the time when a record changed."),
    "total": Option(str, None, "JMESPath to the number of all records, where an answer tells it."),
    "page": Option(str, None, "The argument that counts pages: the answers are asked for until one is empty or `total` is reached."),
    "first": Option(int, 1, "The number of the first page."),
    "offset": Option(str, None, "The argument that says how many records to pass over."),
    "limit": Option(str, None, "The argument that says how many records an answer shall hold, sent with `size`."),
    "size": Option(int, 100, "How many records an answer shall hold."),
    "cursor": Option(str, None, "The argument that takes what `next` gives."),
    "next": Option(str, None, "JMESPath to the address of the next page, or with `cursor` to the cursor; `Link` headers are followed too."),
    "files": Option(str, None, "JMESPath to the list of files in an index, as names, addresses, or objects that hold one."),
    "since": Option(str, None, "The argument that takes the time since when records changed."),
    "since_format": Option(str, "%Y-%m-%dT%H:%M:%SZ", "How that time is written, in UTC (strftime)."),
    "charset": Option(str, "utf-8", "The text's charset, where it is not UTF-8 as JSON demands."),
}

_LINK = re.compile(r"<([^>]*)>\s*;[^<]*\brel\s*=\s*\"?[^\",;]*\bnext\b", re.IGNORECASE)
_ADDRESS = compiled("download_url || url || href || path || file || name")
_PAGED = ("page", "offset", "cursor")

Item = Record[Row] | Gone | Unreadable


@dataclass(frozen=True, slots=True)
class _Plan:
    """The card's options, ready to use; *extra* are the arguments of every request."""

    source: Source
    records: Callable[[Any], Any]
    key: Callable[[Any], Any]
    modified: Callable[[Any], Any]
    total: Callable[[Any], Any]
    next: Callable[[Any], Any]
    extra: Mapping[str, str]

    def option(self, name: str) -> Any:
        """Give an option's value."""
        return value(self.source, OPTIONS, name)


def check(source: Source) -> None:
    """Refuse a card whose expressions are no JMESPath or that pages in two ways; raises CardError."""
    ways = [name for name in (*_PAGED, "files") if source.options.get(name)]
    if len(ways) > 1:
        raise CardError(f"{source.name}: options {' and '.join(map(repr, ways))} are two ways to page; keep one")
    if source.options.get("cursor") and not source.options.get("next"):
        raise CardError(f"{source.name}: option 'cursor' needs 'next', the JMESPath to the next cursor")
    for name in ("records", "key", "modified", "total", "next", "files"):
        _expression(source, name)


def dated(source: Source) -> bool:
    """Tell whether the card says how to ask what changed since."""
    return bool(source.options.get("since"))


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Row]:
    """Collect all records, or those changed since *since* less a second where the card has the option ``since``.

    A record's raw bytes are its JSON with sorted keys. Raises ParseError where an answer is no JSON, holds no list of
    records or repeats an earlier page.
    """
    plan = _plan(source, since)
    if plan.option("files"):
        return _folder(plan, fetch, cursor)
    if any(plan.option(name) for name in (*_PAGED, "next")):
        return _paged(plan, fetch, cursor)
    return _whole(plan, fetch, cursor)


def _expression(source: Source, name: str) -> Callable[[Any], Any]:
    text = value(source, OPTIONS, name)
    return compiled(text, f"{source.name}: option {name!r}") if text else lambda _: None


def _plan(source: Source, since: datetime | None) -> _Plan:
    key = source.options.get("key") or source.fields.get("key") or (None if source.options.get("files") else "id")
    extra: dict[str, str] = {}
    if since is not None and (name := value(source, OPTIONS, "since")):
        moment = datetime.fromtimestamp(since.timestamp() - 1, UTC)
        extra[name] = moment.strftime(value(source, OPTIONS, "since_format"))
    if name := value(source, OPTIONS, "limit"):
        extra[name] = str(value(source, OPTIONS, "size"))
    return _Plan(
        source=source,
        records=_expression(source, "records"),
        key=compiled(key, source.name) if key else lambda _: None,
        modified=_expression(source, "modified"),
        total=_expression(source, "total"),
        next=_expression(source, "next"),
        extra=extra,
    )


def _whole(plan: _Plan, fetch: Fetch, cursor: str | None) -> Pages[Row]:
    reply = fetch.get(plan.source.url, plan.extra, accept="application/json", conditional=cursor is None)
    if reply.unchanged:
        yield Page((), None, at=reply.at, unchanged=True)
        return
    document = load_json(reply, plan.option("charset"))
    rows = _rows(plan, reply, document)
    yield from cut((_item(plan, key, row) for key, row in rows), reply, cursor, _total(plan, reply, document))


def _paged(plan: _Plan, fetch: Fetch, cursor: str | None) -> Pages[Row]:
    """Ask for page after page; the cursor is what the next request is made of, and how many records came before it."""
    seen: set[int] = set()
    spot, came = _spot(plan, cursor)
    asked = {spot}
    while True:
        address, arguments = _request(plan, spot)
        reply = fetch.get(address, arguments, accept="application/json")
        document = load_json(reply, plan.option("charset"))
        items = tuple(_item(plan, key, row) for key, row in _rows(plan, reply, document))
        _once(plan, reply, items, seen)
        came += len(items)
        claimed = _total(plan, reply, document)
        spot = _following(plan, reply, document, spot, len(items), claimed is not None and came >= claimed)
        if spot and spot in asked:
            raise ParseError(f"{plan.source.name}: {reply.url} repeats {spot!r} as what comes next")
        asked.add(spot)
        yield Page(items, f"{came} {spot}" if spot else None, claimed, reply.at)
        if not spot:
            return


def _spot(plan: _Plan, cursor: str | None) -> tuple[str, int]:
    if cursor:
        came, _, spot = cursor.partition(" ")
        return spot, int(came)
    return ("0" if plan.option("offset") else str(plan.option("first")) if plan.option("page") else ""), 0


def _request(plan: _Plan, spot: str) -> tuple[str, dict[str, str]]:
    name = next((plan.option(way) for way in _PAGED if plan.option(way)), None)
    if name:
        return plan.source.url, {**plan.extra, **({name: spot} if spot else {})}
    return (spot, {}) if spot else (plan.source.url, dict(plan.extra))


def _following(plan: _Plan, reply: Reply, document: Any, spot: str, came: int, enough: bool) -> str:
    """Say what comes next, in the words of the way that the card chose; empty at the end."""
    if plan.option("page"):
        return str(int(spot) + 1) if came and not enough else ""
    if plan.option("offset"):
        return str(int(spot) + came) if came and not enough else ""
    told = plan.next(document)
    if plan.option("cursor"):
        return "" if told in (None, False, "") else str(told)
    if told is None and not plan.option("next"):
        link = _LINK.search(reply.headers.get("link", ""))
        told = link.group(1) if link else None
    return urljoin(reply.url, str(told)) if told else ""


def _once(plan: _Plan, reply: Reply, items: tuple[Item, ...], seen: set[int]) -> None:
    if not items:
        return
    page = hash(tuple(item.raw if isinstance(item, Record) else item.key for item in items))
    if page in seen:
        raise ParseError(f"{plan.source.name}: {reply.url} repeats the records of an earlier page")
    seen.add(page)


def _folder(plan: _Plan, fetch: Fetch, cursor: str | None) -> Pages[Row]:
    """Read an index, then each of its files in the order of their addresses; the cursor is the last one that was read."""
    reply = fetch.get(plan.source.url, plan.extra, accept="application/json")
    listed = _expression(plan.source, "files")(load_json(reply, plan.option("charset")))
    if not isinstance(listed, list):
        raise ParseError(f"{plan.source.name}: {reply.url} holds no list at {plan.option('files')!r} (the option 'files')")
    names = [entry if isinstance(entry, str) else _ADDRESS(entry) for entry in listed]
    addresses = sorted({urljoin(reply.url, name) for name in names if isinstance(name, str) and name})
    left = [address for address in addresses if cursor is None or address > cursor]
    if not left:
        yield Page((), None, len(addresses), reply.at)
    for address in left:
        items, file = _file(plan, fetch, address)
        yield Page(items, address if address != left[-1] else None, len(addresses), file.at if file else None)


def _file(plan: _Plan, fetch: Fetch, address: str) -> tuple[tuple[Item, ...], Reply | None]:
    """Read one file; one that is missing or broken is unreadable, and stops nothing."""
    stem = PurePosixPath(unquote(urlsplit(address).path)).stem
    reply = None
    try:
        reply = fetch.get(address, accept="application/json")
        rows = _rows(plan, reply, load_json(reply, plan.option("charset")))
        return tuple(_item(plan, stem if key is None else key, row) for key, row in rows), reply
    except (DeniedError, ParseError) as error:
        return (Unreadable(stem, str(error)),), reply


def _rows(plan: _Plan, reply: Reply, document: Any) -> Iterable[tuple[str | None, Any]]:
    """Give an answer's records, with the names under which an object holds them."""
    found = plan.records(document)
    if isinstance(found, list):
        return ((None, row) for row in found)
    if isinstance(found, dict):
        if "records" in plan.source.options and all(isinstance(row, dict) for row in found.values()):
            return iter(found.items())
        if not any(plan.option(name) for name in (*_PAGED, "next")):
            return iter([(None, found)])
    kind = f"an object with {', '.join(sorted(map(str, document)))[:200]}" if isinstance(document, dict) else type(document).__name__
    raise ParseError(f"{plan.source.name}: {reply.url} holds no records at {plan.option('records')!r} (the option 'records'); it is {kind}")


def _item(plan: _Plan, name: str | None, row: Any) -> Item:
    if not isinstance(row, dict):
        return Unreadable(name, f"a record that is no object but {str(row)[:40]!r}")
    key = _text(plan.key(row)) or name
    if not key:
        return Unreadable(None, f"a record without a key, which has {', '.join(map(str, row))[:200]}; set the option 'key'")
    try:
        return Record(key, row, dump_json(row), _text(plan.modified(row)))
    except ValueError as error:
        return Unreadable(key.encode("utf-8", "replace").decode(), f"a record that holds {error}")


def _text(found: Any) -> str | None:
    if isinstance(found, str):
        return found.strip() or None
    return str(found) if isinstance(found, int | float) and not isinstance(found, bool) else None


def _total(plan: _Plan, reply: Reply, document: Any) -> int | None:
    if not plan.option("total"):
        return None
    text = _text(plan.total(document)) or ""
    if not text.isascii() or not text.isdigit():
        raise ParseError(f"{plan.source.name}: {reply.url} holds no number at {plan.option('total')!r} (the option 'total')")
    return int(text)
