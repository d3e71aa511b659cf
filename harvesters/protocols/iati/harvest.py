"""IATI: the activity files of each publisher in the registry or the bulk data service, or one file.

Source: https://iatistandard.org/en/guidance/publishing-data/registering-and-registry/ (the registry
is a CKAN portal) and https://github.com/IATI/bulk-data-service (the index of copies of all files)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from lxml.etree import _Element

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.response_parsing import load_json
from harvesters.option_schema import Option, get_option, option_names
from harvesters.page_model import InvalidRecord, Page, Pages, Payload
from harvesters.protocols.ckan_envelope import unwrap_result
from harvesters.protocols.cursor import ListCursorMethods, read_cursor
from harvesters.protocols.error_recovery import RECORD_ERRORS, total_changed
from harvesters.protocols.iati.activity_file import Item, parse_activities
from harvesters.protocols.paged_document import paginate, take_page
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason, Value
from harvesters.source import Source
from vocab.iris import is_web

OPTIONS: Mapping[str, Option] = {
    "publishers": Option(
        (str, list), None, "The publishers to read, by their names in the registry; without it all."
    ),
    "fq": Option(
        str,
        None,
        "A filter query for the registry that limits the harvest, e.g. `extras_country:KE`.",
    ),
    "secondary": Option(
        bool, False, "Read secondary publishers' reports on the activities of others too."
    ),
    "hierarchy": Option(
        int, 0, "The hierarchy level to read, e.g. `1` for parents only; 0 for all."
    ),
    "file": Option(bool, False, "The url is one activity file, even if it does not end in `.xml`."),
}

_INDEXES = ("datasets-minimal", "datasets-full")  # of the bulk data service
_ORGANISATIONS = "iati-organisations"  # the root of files that have no activities
_SEARCH = "/api/3/action/package_search"
_ROWS = 500  # packages per page of the list
_YES = frozenset(("1", "true"))
_SECONDARY = "secondary_source"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class IatiCursor(ListCursorMethods):
    """Position in a harvest: in the file at *url*, the *position*-th, identified by its *mark*,
    after *passed* activities.
    """

    url: str
    position: int
    mark: str = ""
    passed: int = 0
    incomplete_reason: Reason | None = None


def is_incremental(source: Source) -> bool:
    """Return whether the registry can be asked which files have changed; a single file and an index
    cannot.
    """
    return not _is_single_file(source) and not _is_index(source)


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[_Element]:
    """Yield the activities of all files, or of those that changed since *since*.

    Each file is downloaded to disk and read activity by activity. A file that is missing or broken
    is reported with its address and marks the full harvest incomplete; all others are read. Raises
    ParseError if the registry's list cannot be read.
    """
    if _is_single_file(source):
        yield from _harvest_file(source, fetch, cursor)
        return
    listed = _list_copies(source, fetch) if _is_index(source) else _list_files(source, fetch, since)
    state = read_cursor(IatiCursor, cursor) or IatiCursor("", 0)
    position = next(
        (number for number, url in enumerate(listed) if url == state.url), state.position
    )
    if not listed[position:]:
        yield Page((), None, incomplete_reason=state.incomplete_reason)
        return
    for number in range(position, len(listed)):
        file_state = (
            state
            if listed[number] == state.url
            else IatiCursor(listed[number], number, incomplete_reason=state.incomplete_reason)
        )
        following = listed[number + 1] if number + 1 < len(listed) else None
        for page, after in _read_file(source, fetch, file_state, following):
            state = after
            yield page


def _is_single_file(source: Source) -> bool:
    return bool(get_option(source, OPTIONS, "file")) or urlsplit(source.url).path.endswith(".xml")


def _is_index(source: Source) -> bool:
    return urlsplit(source.url).path.rpartition("/")[2] in _INDEXES


def _harvest_file(source: Source, fetch: Fetch, cursor: str | None) -> Pages[_Element]:
    activity_filter = ActivityFilter(source)
    with fetch.download(
        source.url, accept="application/xml, text/xml;q=0.9, */*;q=0.5", conditional=cursor is None
    ) as reply:
        if reply.not_modified:
            yield Page((), None, at=reply.at, unchanged=True)
            return
        yield from paginate(parse_activities(reply, activity_filter.accepts), reply, cursor)
    activity_filter.log_excluded(reply.url)


def _read_file(
    source: Source, fetch: Fetch, state: IatiCursor, following: str | None
) -> Iterator[tuple[Page[_Element], IatiCursor]]:
    """Yield a file's pages, each with the cursor after it; *following* is the address of the next
    file.
    """
    activity_filter = ActivityFilter(source)
    again = False
    try:
        with fetch.download(
            state.url, accept="application/xml, text/xml;q=0.9, */*;q=0.5"
        ) as reply:
            if state.mark != reply.digest:
                state, again = replace(state, mark=reply.digest, passed=0), state.passed > 0
            faults: list[ParseError] = []
            left = _until_error(parse_activities(reply, activity_filter.accepts), faults)
            for _ in range(state.passed):
                next(left, None)
            while items := take_page(left):
                state = replace(state, passed=state.passed + len(items))
                yield state.page(items, has_next=True, at=reply.at, again=again), state
            activity_filter.log_excluded(reply.url)
            items = ()
            if faults:
                raise faults[0]
    except RECORD_ERRORS as error:
        items = ()
        if error.reason.values.get("element") != _ORGANISATIONS:  # which an index lists too
            failure = {"error": error.reason}
            items = (InvalidRecord(None, Reason("activity_file_unreadable", failure)),)
            state = state.mark_incomplete(Reason("some_file_unreadable", failure))
    after = (
        IatiCursor(following, state.position + 1, incomplete_reason=state.incomplete_reason)
        if following
        else None
    )
    yield (after or state).page(items, has_next=after is not None), after or state


def _until_error(items: Iterator[Item], faults: list[ParseError]) -> Iterator[Item]:
    """Yield the items before an error, and append the error to *faults*."""
    try:
        yield from items
    except ParseError as error:
        faults.append(error)


class ActivityFilter:
    """Which activities a source definition selects, and how many were excluded."""

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.secondary = bool(get_option(source, OPTIONS, "secondary"))
        self.level = get_option(source, OPTIONS, "hierarchy")
        self.excluded: Counter[str] = Counter()

    def accepts(self, activity: _Element) -> bool:
        """Return whether an activity is selected: not from a secondary reporter, and of the chosen
        hierarchy level.
        """
        reporter = activity.find("reporting-org")
        if (
            not self.secondary
            and reporter is not None
            and (reporter.get("secondary-reporter") or "").lower() in _YES
        ):
            self.excluded["secondary"] += 1
            return False
        if self.level and (activity.get("hierarchy") or "1").strip() != str(self.level):
            self.excluded["hierarchy"] += 1
            return False
        return True

    def log_excluded(self, url: str) -> None:
        """Log how many activities were excluded."""
        if self.excluded:
            log.info(
                "activities excluded by the source definition",
                source=self.name,
                file=url,
                **self.excluded,
            )


def _list_files(source: Source, fetch: Fetch, since: datetime | None) -> list[str]:
    """Return the addresses of the files, without duplicates, in the order of the packages' ids."""
    url = source.url if source.url.endswith("package_search") else source.url.rstrip("/") + _SEARCH
    addresses: dict[str, None] = {}
    start, total = 0, None
    while total is None or start < total:
        terms = {
            "fq": _filter_query(source, since),
            "sort": "id asc",
            "rows": str(_ROWS),
            "start": str(start),
        }
        reply = fetch.get(url, terms, accept="application/json")
        result = unwrap_result(source, reply)
        if (
            not isinstance(result, dict)
            or not isinstance(result.get("results"), list)
            or not isinstance(result.get("count"), int)
        ):
            raise ParseError(Reason("not_search_count", {"source": source.name, "url": reply.url}))
        if why := total_changed(total, result["count"]):
            values: dict[str, Value] = {"source": source.name, "url": reply.url, "error": why}
            raise HarvestError(Reason("changed_while_read", values))
        total = result["count"]
        if not result["results"] and start < total:
            raise ParseError(
                Reason(
                    "empty_package_page",
                    {"source": source.name, "url": reply.url, "start": start, "total": total},
                )
            )
        start += len(result["results"])
        addresses.update(
            dict.fromkeys(
                address for package in result["results"] for address in _file_urls(source, package)
            )
        )
    return list(addresses)


def _list_copies(source: Source, fetch: Fetch) -> list[str]:
    """Return the addresses of the last good copies of all datasets, or of those of the chosen
    publishers, in the order of the index.
    """
    reply = fetch.get(source.url, accept="application/json")
    index = load_json(reply)
    datasets = index.get("datasets") if isinstance(index, dict) else None
    if not isinstance(datasets, list):
        raise ParseError(Reason("not_dataset_index", {"source": source.name, "url": reply.url}))
    chosen = option_names(source, OPTIONS, "publishers")
    addresses: dict[str, None] = {}
    for dataset in datasets:
        if not isinstance(dataset, dict):
            continue
        if chosen and dataset.get("reporting_org_short_name") not in chosen:
            continue
        copy = dataset.get("last_known_good_dataset")
        copy = copy if isinstance(copy, dict) else {}
        url = copy.get("cached_dataset_xml_url") or copy.get("cached_dataset_url_xml")
        if isinstance(url, str) and is_web(url):
            addresses[url] = None
        else:
            log.info(
                "dataset without a copy", source=source.name, dataset=dataset.get("short_name")
            )
    return list(addresses)


def _filter_query(source: Source, since: datetime | None) -> str:
    parts = ["extras_filetype:activity", get_option(source, OPTIONS, "fq")]
    if chosen := option_names(source, OPTIONS, "publishers"):
        parts.append(f"organization:({' OR '.join(chosen)})")
    if since is not None:
        parts.append(
            f"metadata_modified:[{since.astimezone(UTC) - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ} TO *]"
        )
    return " AND ".join(f"({part})" for part in parts if part)


def _file_urls(source: Source, package: Any) -> Iterator[str]:
    """Yield the addresses of a package's files, unless a secondary publisher's are excluded."""
    if not isinstance(package, dict):
        return
    extras = {
        extra.get("key"): extra.get("value")
        for extra in package.get("extras") or ()
        if isinstance(extra, dict)
    }
    properties = {**extras, **(package.get("organization") or {}), **package}
    if not get_option(source, OPTIONS, "secondary") and (
        properties.get("publisher_source_type") == _SECONDARY
        or properties.get("secondary_publisher")
    ):
        log.info(
            "file of a secondary publisher excluded by the source definition",
            source=source.name,
            package=package.get("name"),
        )
        return
    for resource in package.get("resources") or ():
        if (
            isinstance(resource, dict)
            and isinstance(url := resource.get("url"), str)
            and is_web(url.strip())
        ):
            yield url.strip()


PROTOCOL = Protocol(collect, Payload.XML, OPTIONS, incremental=True, is_incremental=is_incremental)
