"""CKAN: all packages of a portal by the Action API, or those changed since.

Source: https://docs.ckan.org/en/latest/api/#ckan.logic.action.get.package_search
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from harvesters.network.fetch import Fetch
from harvesters.network.response_parsing import dump_json
from harvesters.option_schema import Option, get_option
from harvesters.page_model import DeletedRecord, InvalidRecord, Page, Pages, Payload, Record, Row
from harvesters.protocols.ckan.search import Item, Search, search_pages, unwrap_result
from harvesters.protocols.datestamps import in_utc
from harvesters.protocols.paged_document import paginate
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source

OPTIONS: Mapping[str, Option] = {
    "rows": Option(int, 100, "The number of packages per page; portals return at most 1000."),
    "fq": Option(
        str, None, "A filter query that limits the harvest, e.g. `organization:ict-authority`."
    ),
}

_SEARCH = "/api/3/action/package_search"
# page views change daily although the package does not
_VOLATILE = frozenset(("tracking_summary",))


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Row]:
    """Yield all packages, or those changed since *since* minus a second; a package in the state
    "deleted" is gone.

    The source's url is the portal's root, or the full address of a response (with /api/ in its
    path, or ending in .json): a search, or a document with one package or a list of them. Pages are
    sorted by id, so that a package that changes during the run keeps its place. Raises ParseError
    if a response is not CKAN's, reports an error or repeats an earlier page.
    """
    if not is_search(source):
        return _read_document(source, fetch, cursor)
    url = source.url if _is_response_url(source) else source.url.rstrip("/") + _SEARCH
    terms = {"sort": "id asc"}
    return search_pages(
        Search(
            source,
            fetch,
            url,
            terms,
            _filter_query(source, since),
            get_option(source, OPTIONS, "rows"),
            _parse_packages,
        ),
        cursor,
    )


def is_search(source: Source) -> bool:
    """Return whether the source's url leads to the search, which can be asked for changes; a
    document cannot.
    """
    return not _is_response_url(source) or urlsplit(source.url).path.endswith("package_search")


def _is_response_url(source: Source) -> bool:
    path = urlsplit(source.url).path
    return "/api/" in path or path.endswith(".json")


def _read_document(source: Source, fetch: Fetch, cursor: str | None) -> Pages[Row]:
    reply = fetch.get(source.url, accept="application/json", conditional=cursor is None)
    if reply.not_modified:
        yield Page((), None, at=reply.at, unchanged=True)
        return
    result = unwrap_result(source, reply)
    if isinstance(result, dict) and isinstance(result.get("results"), list):
        result = result["results"]
    yield from paginate(_parse_packages(_flatten(result)), reply, cursor)


def _filter_query(source: Source, since: datetime | None) -> str:
    parts = [get_option(source, OPTIONS, "fq")]
    if since is not None:
        second = in_utc(since) - timedelta(seconds=1)
        parts.append(f"metadata_modified:[{second:%Y-%m-%dT%H:%M:%SZ} TO *]")
    return " AND ".join(
        f"({part})" if len(parts) > 1 and all(parts) and index == 0 else part
        for index, part in enumerate(parts)
        if part
    )


def _flatten(result: Any) -> list[Any]:
    """Return packages as one list: DKAN wraps lists in a list."""
    if not isinstance(result, list):
        return [result]
    return [package for part in result for package in (part if isinstance(part, list) else [part])]


def _parse_packages(packages: list[Any]) -> Iterator[Item]:
    for package in _flatten(packages):
        if not isinstance(package, dict):
            yield InvalidRecord(
                None, Reason("record_not_object", {"text": repr(str(package)[:40])})
            )
            continue
        key = package.get("id") or package.get("name") or package.get("identifier")
        if not isinstance(key, str) or not key.strip():
            yield InvalidRecord(
                None,
                Reason(
                    "record_without_identifier", {"title": repr(str(package.get("title"))[:80])}
                ),
            )
            continue
        modified = package.get("metadata_modified")
        yield _parse_package(key.strip(), package, modified if isinstance(modified, str) else None)


def _parse_package(key: str, package: dict[str, Any], modified: str | None) -> Item:
    if package.get("state") == "deleted":
        return DeletedRecord(key, modified)
    stable = (
        package
        if _VOLATILE.isdisjoint(package)
        else {name: value for name, value in package.items() if name not in _VOLATILE}
    )
    try:
        return Record(key, package, dump_json(stable), modified)
    except ValueError as error:
        return InvalidRecord(
            key.encode("utf-8", "replace").decode(), Reason("record_holds", {"error": str(error)})
        )


PROTOCOL = Protocol(collect, Payload.ROW, OPTIONS, incremental=True, is_incremental=is_search)
