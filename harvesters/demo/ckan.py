"""CKAN's Action API, the portal's side: package_search and package_show.

Source: https://docs.ckan.org/en/latest/api/
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson

from harvesters.demo.book import Book
from harvesters.demo.fate import Fault

_MOST = 1000  # ckan.search.rows_max
_RANGE = re.compile(r"\s*metadata_modified:\s*([\[{])\s*(\S+)\s+TO\s+(\S+?)\s*([\]}])\s*\Z")
_SORTS = re.compile(r"\s*(?:metadata_modified|metadata_created|id|name|score)\s+(?:asc|desc)\s*\Z")


def failed(url: str, kind: str, message: str) -> bytes:
    """Write CKAN's error envelope."""
    return orjson.dumps({"help": f"{url}/help_show", "success": False, "error": {"__type": kind, "message": message}})


def search(book: Book, given: Mapping[str, str], url: str) -> tuple[int, bytes]:
    """Answer package_search; *given* is the query or the posted object, all values as text."""
    try:
        start, rows = int(given.get("start") or 0), min(int(given.get("rows") or 10), _MOST)
        chosen = _sorted(book, _chosen(book, given), given.get("sort", ""))
    except ValueError as error:
        return 409, failed(url, "Validation Error", str(error))
    if start < 0 or rows < 0:
        return 409, failed(url, "Validation Error", "start and rows are natural numbers")
    first = 0 if Fault.REPEAT in book.age.faults else start
    if Fault.TWICE in book.age.faults and first:
        first, rows = first - 1, rows + 1
    found = book.all(chosen[first : first + rows]) if start < len(chosen) else b""
    count = len(chosen) - len(chosen) // 10 * int(Fault.SHRINK in book.age.faults and start > 0)
    sort = given.get("sort") or "score desc, metadata_modified desc"
    head = f'{{"help":"{url}/help_show?name=package_search","success":true,"result":{{"count":{count},"facets":{{}},"sort":'
    return 200, head.encode() + orjson.dumps(sort) + b',"search_facets":{},"results":[' + found[:-2] + b"]}}"


def show(book: Book, given: Mapping[str, str], url: str) -> tuple[int, bytes]:
    """Answer package_show, by name or by id."""
    wanted = given.get("id", "")
    place = book.places.get(wanted.upper())
    if place is None:
        marker = f'{{"id":"{wanted}",'.encode()
        place = next((n for n in range(len(book)) if book.one(n).startswith(marker)), None)
    if place is None:
        return 404, failed(url, "Not Found Error", "Not found")
    head = f'{{"help":"{url}/help_show?name=package_show","success":true,"result":'
    return 200, head.encode() + book.one(place)[:-2] + b"}"


def _chosen(book: Book, given: Mapping[str, str]) -> Sequence[int]:
    if Fault.EMPTY in book.age.faults:
        return []
    start, until = 0, 1 << 40
    for text in (given.get("q", ""), given.get("fq", "")):
        if text.strip() in {"", "*:*"}:
            continue
        match = _RANGE.match(text)
        if not match:
            raise ValueError(f"the demo's search knows *:* and metadata_modified:[... TO ...], not {text!r}")
        start = max(start, _second(match[2], 0) + (match[1] == "{"))
        until = min(until, _second(match[3], 1 << 40) - (match[4] == "}"))
    return book.select(start, until)


def _second(text: str, otherwise: int) -> int:
    if text == "*":
        return otherwise
    moment = datetime.fromisoformat(text.removesuffix("Z"))
    return int(moment.replace(tzinfo=UTC).timestamp())


def _sorted(book: Book, chosen: Sequence[int], sort: str) -> Sequence[int]:
    first = sort.partition(",")[0]
    if first and not _SORTS.match(first):
        raise ValueError(f"cannot sort by {first!r}")
    field, _, order = first.strip().partition(" ")
    if field == "metadata_modified":
        return book.by_time(chosen, order.strip() == "desc")
    if field == "name":
        return sorted(chosen, key=book.keys.__getitem__, reverse=order.strip() == "desc")
    return chosen[::-1] if order.strip() == "desc" and field != "score" else chosen
