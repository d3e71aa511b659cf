"""Serve JSON lists with the usual kinds of paging (page, offset, cursor, next link, a single
document, a folder), and CSV.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from demo.record_index import RecordIndex
from demo.scenario import Fault
from demo.serializers import COLUMNS, csv_line

_MAX_PAGE_SIZE = 1000  # records a page, even if a request asks for more


def _number(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else default


def _list(index: RecordIndex, first: int, size: int) -> bytes:
    return b"[" + index.read_many(index.slice(index.select(), first, size))[:-2] + b"]"


def _total(index: RecordIndex, first: int) -> int:
    return index.total(index.select(), first)


def _cursor(index: RecordIndex, first: int, page: int) -> str | None:
    if Fault.TOKEN in index.state.faults:
        return f"c{page}"
    return (
        f"c{first + page}"
        if first + page < len(index.select()) or Fault.ENDLESS in index.state.faults
        else None
    )


def _wrap(head: Mapping[str, object], name: str, records: bytes) -> bytes:
    """Return an object with the list of records as its last member."""
    return orjson.dumps(head)[:-1] + f',"{name}":'.encode() + records + b"}"


def projects(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> bytes:
    """Page by number: count, page_size, next_page, previous_page, results; pages start at 1."""
    number = max(1, _number(parameters, "page", 1))
    size = min(_number(parameters, "page_size", page) or page, _MAX_PAGE_SIZE)
    total = _total(index, number - 1)
    later = f"{url}?page={number + 1}&page_size={size}" if number * size < total else None
    earlier = f"{url}?page={number - 1}&page_size={size}" if number > 1 else None
    head = {"count": total, "page_size": size, "next_page": later, "previous_page": earlier}
    return _wrap(head, "results", _list(index, (number - 1) * size, size))


def offset(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> bytes:
    """Page by offset and limit: total, offset, limit, items."""
    first = _number(parameters, "offset", 0)
    size = min(_number(parameters, "limit", page) or page, _MAX_PAGE_SIZE)
    return _wrap(
        {"total": _total(index, first), "offset": first, "limit": size},
        "items",
        _list(index, first, size),
    )


def cursor(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> bytes:
    """Page by an opaque cursor: meta.next_cursor (null at the end) and data."""
    first = _number({"cursor": parameters.get("cursor", "").removeprefix("c")}, "cursor", 0)
    after = _cursor(index, first, page)
    return _wrap(
        {"meta": {"total": _total(index, first), "next_cursor": after}},
        "data",
        _list(index, first, page),
    )


def next_links(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> bytes:
    """Page by links: links.self, links.next (null at the end) and value."""
    first = _number(parameters, "after", 0)
    later = f"{url}?after={first + page}" if first + page < len(index.select()) else None
    return _wrap(
        {"links": {"self": f"{url}?after={first}", "next": later}},
        "value",
        _list(index, first, page),
    )


def all_records(index: RecordIndex, parameters: Mapping[str, str], url: str, page: int) -> bytes:
    return _list(index, 0, len(index))


def list_files(index: RecordIndex) -> bytes:
    return orjson.dumps({"files": [f"{index.keys[position]}.json" for position in index.select()]})


def get_file(index: RecordIndex, name: str) -> bytes | None:
    position = index.positions.get(name.removesuffix(".json"))
    return None if position is None else index.read(position)[:-2]


def csv_table(index: RecordIndex) -> bytes:
    return csv_line(list(COLUMNS)) + index.read_many(index.select())


LISTS = {
    "projects": projects,
    "offset": offset,
    "cursor": cursor,
    "next": next_links,
    "all": all_records,
}
