"""JSON: a list of records in one document, in pages, or as a folder of files with an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from urllib.parse import unquote

from harvesters.definition_faults import located
from harvesters.errors import ForbiddenError, HarvestError, ParseError, SourceDefinitionError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.network.response_parsing import load_json
from harvesters.option_schema import Option
from harvesters.page_model import InvalidRecord, Page, Pages, Payload, Row
from harvesters.parsing import join_url, url_path
from harvesters.payloads.jmespath_search import compile_jmespath
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.error_recovery import RECORD_ERRORS
from harvesters.protocols.json_api import parser
from harvesters.protocols.json_api.paging import read_pages
from harvesters.protocols.json_api.parser import (
    PAGING_OPTIONS,
    Item,
    PagingPlan,
    build_plan,
    compile_option,
    parse_records,
    parse_total,
)
from harvesters.protocols.paged_document import paginate
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason, as_reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = parser.OPTIONS

_find_address = compile_jmespath("download_url || url || href || path || file || name")


def check(source: Source) -> None:
    """Raise SourceDefinitionError for an invalid JMESPath or for two ways of paging."""
    ways = [name for name in (*PAGING_OPTIONS, "files") if source.options.get(name)]
    if len(ways) > 1:
        first, second, *_ = map(repr, ways)
        raise SourceDefinitionError(
            located(source.name, Reason("two_pagings", {"first": first, "second": second}))
        )
    if source.options.get("cursor") and not source.options.get("next"):
        raise SourceDefinitionError(located(source.name, Reason("cursor_without_next")))
    for name in ("records", "key", "modified", "total", "next", "files"):
        compile_option(source, name)


def is_incremental(source: Source) -> bool:
    """Return whether the source definition says how to ask for changes."""
    return bool(source.options.get("since"))


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Row]:
    """Yield all records, or those changed since *since* minus a second if the source definition has
    the option ``since``.

    A record's raw bytes are its JSON with sorted keys. A page that cannot be read is read in pieces
    if the source definition has ``limit`` with ``page`` or ``offset``. Raises ParseError if a
    response is not JSON, has no list of records or repeats an earlier page.
    """
    plan = build_plan(source, since)
    if plan.option("files"):
        return _read_index(plan, fetch, cursor)
    return read_pages(plan, fetch, cursor) if plan.is_paged else _read_document(plan, fetch, cursor)


def _read_document(plan: PagingPlan, fetch: Fetch, cursor: str | None) -> Pages[Row]:
    reply = fetch.get(
        plan.source.url, plan.parameters, accept="application/json", conditional=cursor is None
    )
    if reply.not_modified:
        yield Page((), None, at=reply.at, unchanged=True)
        return
    document = load_json(reply, plan.option("charset"))
    yield from paginate(
        parse_records(plan, reply, document), reply, cursor, parse_total(plan, reply, document)
    )


@dataclass(frozen=True, slots=True)
class JsonFolderCursor(ListCursorMethods):
    """Position in a folder: the address of the *last* file that was read; the rest as in Page."""

    last: str = ""
    again: bool = False
    incomplete_reason: Reason | None = None


def _read_index(plan: PagingPlan, fetch: Fetch, cursor: str | None) -> Pages[Row]:
    """Read an index, then each of its files in the order of their addresses."""
    reply = fetch.get(plan.source.url, plan.parameters, accept="application/json")
    listed = compile_option(plan.source, "files")(load_json(reply, plan.option("charset")))
    if not isinstance(listed, list):
        raise ParseError(
            Reason(
                "no_file_list",
                {"source": plan.source.name, "url": reply.url, "path": str(plan.option("files"))},
            )
        )
    names = [entry if isinstance(entry, str) else _find_address(entry) for entry in listed]
    addresses = sorted(
        {join_url(reply.url, name) for name in names if isinstance(name, str) and name}
    )
    state = read_cursor(JsonFolderCursor, cursor) or JsonFolderCursor(again=cursor is not None)
    left = [address for address in addresses if address > state.last]
    if not left:
        yield state.page((), has_next=False, total=len(addresses), at=reply.at, again=state.again)
    for address in left:
        items, file = _read_file(plan, fetch, address)
        reason = _incomplete_reason(plan, items, file)
        state = replace(state, last=address).mark_incomplete(reason)
        yield state.page(
            items,
            has_next=address != left[-1],
            total=len(addresses),
            at=file.at if file else None,
            again=state.again,
        )


def _incomplete_reason(
    plan: PagingPlan, items: tuple[Item, ...], file: Reply | None
) -> Reason | None:
    """Return why a file that cannot be read leaves the full harvest incomplete: the keys of its
    records are unknown.
    """
    broken = file is None or any(
        isinstance(item, InvalidRecord) and as_reason(item.cause).code == "this_file_unreadable"
        for item in items
    )
    named = not (plan.source.options.get("key") or plan.source.fields.get("key"))
    return None if named or not broken else Reason("file_unreadable", {"file": str(items[0].key)})


def _read_file(
    plan: PagingPlan, fetch: Fetch, address: str
) -> tuple[tuple[Item, ...], Reply | None]:
    """Read one file; a missing or broken one is unreadable, and the others are read while the index
    can be.
    """
    stem = PurePosixPath(unquote(url_path(address))).stem
    reply = None
    try:
        reply = fetch.get(address, accept="application/json")
        return parse_records(plan, reply, load_json(reply, plan.option("charset")), stem), reply
    except RECORD_ERRORS as error:
        if not isinstance(error, ForbiddenError | ParseError):
            _check_reachable(plan, fetch, error)
        return (
            InvalidRecord(stem, Reason("this_file_unreadable", {"error": error.reason})),
        ), reply


def _check_reachable(plan: PagingPlan, fetch: Fetch, error: HarvestError) -> None:
    """Raise *error* if the index can no longer be read either: the fault is then not a single
    file's.
    """
    try:
        load_json(
            fetch.get(plan.source.url, plan.parameters, accept="application/json"),
            plan.option("charset"),
        )
    except RECORD_ERRORS as probe_error:
        raise error from probe_error


PROTOCOL = Protocol(
    collect, Payload.ROW, OPTIONS, incremental=True, check=check, is_incremental=is_incremental
)
