"""Serve CKAN's Action API: package_search and package_show.

Source: https://docs.ckan.org/en/latest/api/
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson

from demo.record_index import RecordIndex

_MAX_ROWS = 1000  # ckan.search.rows_max
_RANGE = re.compile(r"\s*metadata_modified:\s*([\[{])\s*(\S+)\s+TO\s+(\S+?)\s*([\]}])\s*\Z")
_SORTS = re.compile(r"\s*(?:metadata_modified|metadata_created|id|name|score)\s+(?:asc|desc)\s*\Z")


def error_body(url: str, kind: str, message: str) -> bytes:
    return orjson.dumps(
        {
            "help": f"{url}/help_show",
            "success": False,
            "error": {"__type": kind, "message": message},
        }
    )


def search(index: RecordIndex, parameters: Mapping[str, str], url: str) -> tuple[int, bytes]:
    """Respond to package_search; *parameters* has the query or the posted object, all values as
    text.
    """
    try:
        start = int(parameters.get("start") or 0)
        rows = min(int(parameters.get("rows") or 10), _MAX_ROWS)
        selected = _sort(index, _select(index, parameters), parameters.get("sort", ""))
    except ValueError as error:
        return 409, error_body(url, "Validation Error", str(error))
    if start < 0 or rows < 0:
        return 409, error_body(url, "Validation Error", "start and rows are natural numbers")
    records = index.read_many(index.slice(selected, start, rows)) if start < len(selected) else b""
    count = index.total(selected, start)
    sort = parameters.get("sort") or "score desc, metadata_modified desc"
    head = f'{{"help":"{url}/help_show?name=package_search","success":true,"result":{{"count":{count},"facets":{{}},"sort":'
    return 200, head.encode() + orjson.dumps(sort) + b',"search_facets":{},"results":[' + records[
        :-2
    ] + b"]}}"


def show(index: RecordIndex, parameters: Mapping[str, str], url: str) -> tuple[int, bytes]:
    """Respond to package_show, by name or by id."""
    name_or_id = parameters.get("id", "")
    position = index.positions.get(name_or_id.upper())
    if position is None:
        marker = f'{{"id":"{name_or_id}",'.encode()
        position = next((n for n in range(len(index)) if index.read(n).startswith(marker)), None)
    if position is None:
        return 404, error_body(url, "Not Found Error", "Not found")
    head = f'{{"help":"{url}/help_show?name=package_show","success":true,"result":'
    return 200, head.encode() + index.read(position)[:-2] + b"}"


def _select(index: RecordIndex, parameters: Mapping[str, str]) -> Sequence[int]:
    start, until = 0, 1 << 40
    for text in (parameters.get("q", ""), parameters.get("fq", "")):
        if text.strip() in {"", "*:*"}:
            continue
        match = _RANGE.match(text)
        if not match:
            raise ValueError(
                f"the demo's search knows *:* and metadata_modified:[... TO ...], not {text!r}"
            )
        start = max(start, _second(match[2], 0) + (match[1] == "{"))
        until = min(until, _second(match[3], 1 << 40) - (match[4] == "}"))
    return index.select(start, until)


def _second(text: str, otherwise: int) -> int:
    if text == "*":
        return otherwise
    time = datetime.fromisoformat(text.removesuffix("Z"))
    return int(time.replace(tzinfo=UTC).timestamp())


def _sort(index: RecordIndex, selected: Sequence[int], sort: str) -> Sequence[int]:
    first = sort.partition(",")[0]
    if first and not _SORTS.match(first):
        raise ValueError(f"cannot sort by {first!r}")
    field, _, order = first.strip().partition(" ")
    is_descending = order.strip() == "desc"
    if field == "metadata_modified":
        return index.sort_by_time(selected, is_descending)
    if field == "name":
        return sorted(selected, key=index.keys.__getitem__, reverse=is_descending)
    return selected[::-1] if is_descending and field != "score" else selected
