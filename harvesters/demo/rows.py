"""Rows: JSON lists in the ways that registries page them (page, offset, cursor, next link, one document, a folder) and CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from harvesters.demo.book import Book
from harvesters.demo.fate import Fault
from harvesters.demo.forms import COLUMNS, line

_MOST = 1000  # records a page, whatever is asked


def _number(given: Mapping[str, str], name: str, otherwise: int) -> int:
    text = given.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else otherwise


def _places(book: Book) -> Sequence[int]:
    return range(0) if Fault.EMPTY in book.age.faults else range(len(book))


def _list(book: Book, first: int, size: int) -> bytes:
    first = 0 if Fault.REPEAT in book.age.faults else first
    if Fault.TWICE in book.age.faults and first:
        first, size = first - 1, size + 1
    return b"[" + book.all(_places(book)[first : first + size])[:-2] + b"]"


def _total(book: Book, first: int) -> int:
    """Give the number of all records, or less of them from the second page on where the total shrinks."""
    total = len(_places(book))
    return total - total // 10 if Fault.SHRINK in book.age.faults and first else total


def _cursor(book: Book, first: int, page: int) -> str | None:
    if Fault.TOKEN in book.age.faults:
        return f"c{page}"
    return f"c{first + page}" if first + page < len(_places(book)) or Fault.ENDLESS in book.age.faults else None


def _wrap(head: Mapping[str, object], name: str, records: bytes) -> bytes:
    """Put the list of records behind the other members of an object."""
    return orjson.dumps(head)[:-1] + f',"{name}":'.encode() + records + b"}"


def projects(book: Book, given: Mapping[str, str], url: str, page: int) -> bytes:
    """Answer by page number: count, page_size, next_page, previous_page, results; pages count from 1."""
    number, size = max(1, _number(given, "page", 1)), min(_number(given, "page_size", page) or page, _MOST)
    total = _total(book, number - 1)
    later = f"{url}?page={number + 1}&page_size={size}" if number * size < total else None
    earlier = f"{url}?page={number - 1}&page_size={size}" if number > 1 else None
    head = {"count": total, "page_size": size, "next_page": later, "previous_page": earlier}
    return _wrap(head, "results", _list(book, (number - 1) * size, size))


def offset(book: Book, given: Mapping[str, str], url: str, page: int) -> bytes:
    """Answer by offset and limit: total, offset, limit, items."""
    first, size = _number(given, "offset", 0), min(_number(given, "limit", page) or page, _MOST)
    return _wrap({"total": _total(book, first), "offset": first, "limit": size}, "items", _list(book, first, size))


def cursor(book: Book, given: Mapping[str, str], url: str, page: int) -> bytes:
    """Answer by an opaque cursor: meta.next_cursor (null at the end) and data."""
    first = _number({"cursor": given.get("cursor", "").removeprefix("c")}, "cursor", 0)
    after = _cursor(book, first, page)
    return _wrap({"meta": {"total": _total(book, first), "next_cursor": after}}, "data", _list(book, first, page))


def following(book: Book, given: Mapping[str, str], url: str, page: int) -> bytes:
    """Answer with the next page's address: links.self, links.next (null at the end) and value."""
    first = _number(given, "after", 0)
    later = f"{url}?after={first + page}" if first + page < len(_places(book)) else None
    return _wrap({"links": {"self": f"{url}?after={first}", "next": later}}, "value", _list(book, first, page))


def everything(book: Book, given: Mapping[str, str], url: str, page: int) -> bytes:
    """Answer with one bare list of all records."""
    return _list(book, 0, len(book))


def index(book: Book) -> bytes:
    """List the files of the folder, one a record."""
    return orjson.dumps({"files": [f"{book.keys[place]}.json" for place in _places(book)]})


def one(book: Book, name: str) -> bytes | None:
    """Give a file of the folder; None where there is none of that name."""
    place = book.places.get(name.removesuffix(".json"))
    return None if place is None else book.one(place)[:-2]


def table(book: Book) -> bytes:
    """Write the CSV file, with its header line."""
    return line(list(COLUMNS)) + book.all(_places(book))


LISTS = {"projects": projects, "offset": offset, "cursor": cursor, "next": following, "all": everything}
