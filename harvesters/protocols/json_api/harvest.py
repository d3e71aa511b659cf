"""JSON: a list of records, whole, page by page in the five usual ways, or as a folder of files with an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from urllib.parse import unquote

from harvesters.errors import ForbiddenError, HarvestError, ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch, Reply
from harvesters.network.response_parsing import load_json
from harvesters.option_schema import Option
from harvesters.page_model import InvalidRecord, Page, Pages, Row
from harvesters.parsing import join_url, url_path
from harvesters.payloads.jmespath_compiler import compile_jmespath
from harvesters.protocols.cursor import read, write
from harvesters.protocols.error_recovery import UNREAD
from harvesters.protocols.json_api import parser
from harvesters.protocols.json_api.paging import paged
from harvesters.protocols.json_api.parser import WAYS, Item, Plan, claimed, expression, items, planned
from harvesters.protocols.paged_document import cut
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = parser.OPTIONS

_ADDRESS = compile_jmespath("download_url || url || href || path || file || name")
_BROKEN = "the file cannot be read: "


def check(source: Source) -> None:
    """Refuse a card whose expressions are no JMESPath or that pages in two ways; raises SourceDefinitionError."""
    ways = [name for name in (*WAYS, "files") if source.options.get(name)]
    if len(ways) > 1:
        raise SourceDefinitionError(f"{source.name}: options {' and '.join(map(repr, ways))} are two ways to page; keep one")
    if source.options.get("cursor") and not source.options.get("next"):
        raise SourceDefinitionError(f"{source.name}: option 'cursor' needs 'next', the JMESPath to the next cursor")
    for name in ("records", "key", "modified", "total", "next", "files"):
        expression(source, name)


def dated(source: Source) -> bool:
    """Tell whether the card says how to ask what changed since."""
    return bool(source.options.get("since"))


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[Row]:
    """Collect all records, or those changed since *since* less a second where the card has the option ``since``.

    A record's raw bytes are its JSON with sorted keys. A page that cannot be read is read in pieces where the card has
    ``limit`` with ``page`` or ``offset``. Raises ParseError where an answer is no JSON, holds no list of records or repeats an
    earlier page.
    """
    plan = planned(source, since)
    if plan.option("files"):
        return _folder(plan, fetch, cursor)
    return paged(plan, fetch, cursor) if plan.paged else _whole(plan, fetch, cursor)


def _whole(plan: Plan, fetch: Fetch, cursor: str | None) -> Pages[Row]:
    reply = fetch.get(plan.source.url, plan.extra, accept="application/json", conditional=cursor is None)
    if reply.not_modified:
        yield Page((), None, at=reply.at, unchanged=True)
        return
    document = load_json(reply, plan.option("charset"))
    yield from cut(items(plan, reply, document), reply, cursor, claimed(plan, reply, document))


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a folder stands: the address of the *last* file that was read, and as on a page."""

    last: str = ""
    again: bool = False
    doubt: str | None = None


def _folder(plan: Plan, fetch: Fetch, cursor: str | None) -> Pages[Row]:
    """Read an index, then each of its files in the order of their addresses."""
    reply = fetch.get(plan.source.url, plan.extra, accept="application/json")
    listed = expression(plan.source, "files")(load_json(reply, plan.option("charset")))
    if not isinstance(listed, list):
        raise ParseError(f"{plan.source.name}: {reply.url} holds no list at {plan.option('files')!r} (the option 'files')")
    names = [entry if isinstance(entry, str) else _ADDRESS(entry) for entry in listed]
    addresses = sorted({join_url(reply.url, name) for name in names if isinstance(name, str) and name})
    spot = read(_Spot, cursor) or _Spot(again=cursor is not None)
    left = [address for address in addresses if address > spot.last]
    if not left:
        yield Page((), None, len(addresses), reply.at, again=spot.again, doubt=spot.doubt)
    for address in left:
        found, file = _file(plan, fetch, address)
        spot = replace(spot, last=address, doubt=spot.doubt or _doubted(plan, found, file))
        following = write(spot) if address != left[-1] else None
        yield Page(found, following, len(addresses), file.at if file else None, again=spot.again, doubt=spot.doubt)


def _doubted(plan: Plan, found: tuple[Item, ...], file: Reply | None) -> str | None:
    """Doubt a file that cannot be read where its name is not its record's key."""
    broken = file is None or any(isinstance(it, InvalidRecord) and it.reason.startswith(_BROKEN) for it in found)
    named = not (plan.source.options.get("key") or plan.source.fields.get("key"))
    return None if named or not broken else f"the file {found[0].key} cannot be read, and so the keys of its records are not known"


def _file(plan: Plan, fetch: Fetch, address: str) -> tuple[tuple[Item, ...], Reply | None]:
    """Read one file; one that is missing or broken is unreadable, and stops nothing while the index can be read."""
    stem = PurePosixPath(unquote(url_path(address))).stem
    reply = None
    try:
        reply = fetch.get(address, accept="application/json")
        return items(plan, reply, load_json(reply, plan.option("charset")), stem), reply
    except UNREAD as error:
        if not isinstance(error, ForbiddenError | ParseError):
            _alive(plan, fetch, error)
        return (InvalidRecord(stem, f"{_BROKEN}{error}"),), reply


def _alive(plan: Plan, fetch: Fetch, error: HarvestError) -> None:
    """Raise *error* where the index can no longer be read either: it is then more than one file's."""
    try:
        load_json(fetch.get(plan.source.url, plan.extra, accept="application/json"), plan.option("charset"))
    except UNREAD as unwell:
        raise error from unwell
