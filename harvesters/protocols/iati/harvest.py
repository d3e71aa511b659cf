"""IATI: each publisher's files of activities, as the registry lists them, or one file.

Source: https://iatistandard.org/en/guidance/publishing-data/registering-and-registry/ (the registry is a CKAN portal)
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
from harvesters.option_schema import Option, get_option, option_names
from harvesters.page_model import InvalidRecord, Page, Pages
from harvesters.protocols.ckan.search import unwrapped
from harvesters.protocols.cursor import read, write
from harvesters.protocols.error_recovery import UNREAD, changed
from harvesters.protocols.iati.activity_file import Item, activities
from harvesters.protocols.paged_document import cut, taken
from harvesters.source import Source
from vocab.iris import is_web

OPTIONS: Mapping[str, Option] = {
    "publishers": Option((str, list), None, "The publishers whose files are read, by their names in the registry; else all."),
    "fq": Option(str, None, "A filter query that keeps the harvest to some files, e.g. `extras_country:KE`."),
    "secondary": Option(bool, False, "Whether to read what secondary publishers report of others' activities, too."),
    "hierarchy": Option(int, 0, "The level of activities that is read, e.g. `1` for parents only; 0 for all."),
    "file": Option(bool, False, "The url is one file of activities, even if it does not end in `.xml`."),
}

_SEARCH = "/api/3/action/package_search"
_ROWS = 500  # packages a page of the list
_YES = frozenset(("1", "true"))
_SECONDARY = "secondary_source"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where a harvest stands: in the file at *url*, the *place*-th, known by its *mark*, *passed* activities in."""

    url: str
    place: int
    mark: str = ""
    passed: int = 0
    doubt: str | None = None


def tells(source: Source) -> bool:
    """Tell whether the registry can be asked which files have changed; a single file cannot."""
    return not _single(source)


def collect(source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None) -> Pages[_Element]:
    """Collect the activities of all files, or of those that changed since *since*.

    Each file is brought to disk and read activity by activity. One that is missing, or broken at some place, is told with its
    address and leaves the sweep in doubt; all others come. Raises ParseError where the registry's list cannot be read.
    """
    if _single(source):
        yield from _one(source, fetch, cursor)
        return
    listed = _files(source, fetch, since)
    spot = read(_Spot, cursor) or _Spot("", 0)
    place = next((number for number, url in enumerate(listed) if url == spot.url), spot.place)
    if not listed[place:]:
        yield Page((), None, doubt=spot.doubt)
        return
    for number in range(place, len(listed)):
        begun = spot if listed[number] == spot.url else _Spot(listed[number], number, doubt=spot.doubt)
        following = listed[number + 1] if number + 1 < len(listed) else None
        for page, after in _file(source, fetch, begun, following):
            spot = after
            yield page


def _single(source: Source) -> bool:
    return bool(get_option(source, OPTIONS, "file")) or urlsplit(source.url).path.endswith(".xml")


def _one(source: Source, fetch: Fetch, cursor: str | None) -> Pages[_Element]:
    sieve = _Sieve(source)
    with fetch.download(source.url, accept="application/xml, text/xml;q=0.9, */*;q=0.5", conditional=cursor is None) as reply:
        if reply.not_modified:
            yield Page((), None, at=reply.at, unchanged=True)
            return
        yield from cut(activities(reply, sieve.wanted), reply, cursor)
    sieve.tell(reply.url)


def _file(source: Source, fetch: Fetch, spot: _Spot, following: str | None) -> Iterator[tuple[Page[_Element], _Spot]]:
    """Give a file's pages, each with where the harvest stands after it; *following* is the address of the next file."""
    sieve = _Sieve(source)
    again = False
    try:
        with fetch.download(spot.url, accept="application/xml, text/xml;q=0.9, */*;q=0.5") as reply:
            if spot.mark != reply.digest:
                spot, again = replace(spot, mark=reply.digest, passed=0), spot.passed > 0
            faults: list[ParseError] = []
            left = _until(activities(reply, sieve.wanted), faults)
            for _ in range(spot.passed):
                next(left, None)
            while items := taken(left):
                spot = replace(spot, passed=spot.passed + len(items))
                yield Page(items, write(spot), None, reply.at, again=again, doubt=spot.doubt), spot
            sieve.tell(reply.url)
            items = ()
            if faults:
                raise faults[0]
    except UNREAD as error:
        items = (InvalidRecord(None, f"a file of activities that cannot be read to its end: {error}"),)
        spot = replace(spot, doubt=spot.doubt or f"a file cannot be read: {error}")
    after = _Spot(following, spot.place + 1, doubt=spot.doubt) if following else None
    yield Page(items, write(after) if after else None, doubt=spot.doubt), after or spot


def _until(items: Iterator[Item], faults: list[ParseError]) -> Iterator[Item]:
    """Give the items up to a fault, which is put into *faults*: what came before it is to be kept."""
    try:
        yield from items
    except ParseError as error:
        faults.append(error)


class _Sieve:
    """Which activities a card takes, and how many it leaves out."""

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.secondary = bool(get_option(source, OPTIONS, "secondary"))
        self.level = get_option(source, OPTIONS, "hierarchy")
        self.left: Counter[str] = Counter()

    def wanted(self, activity: _Element) -> bool:
        """Tell whether an activity is taken: not one that a secondary reporter tells of, nor one of another level."""
        reporter = activity.find("reporting-org")
        if not self.secondary and reporter is not None and (reporter.get("secondary-reporter") or "").lower() in _YES:
            self.left["secondary"] += 1
            return False
        if self.level and (activity.get("hierarchy") or "1").strip() != str(self.level):
            self.left["hierarchy"] += 1
            return False
        return True

    def tell(self, url: str) -> None:
        """Tell how many were left out, so that nobody looks for them."""
        if self.left:
            log.info("activities excluded by the source definition", source=self.name, file=url, **self.left)


def _files(source: Source, fetch: Fetch, since: datetime | None) -> list[str]:
    """List the addresses of the files, each once, in the order of the packages' ids."""
    url = source.url if source.url.endswith("package_search") else source.url.rstrip("/") + _SEARCH
    found: dict[str, None] = {}
    start, total = 0, None
    while total is None or start < total:
        terms = {"fq": _filters(source, since), "sort": "id asc", "rows": str(_ROWS), "start": str(start)}
        reply = fetch.get(url, terms, accept="application/json")
        result = unwrapped(source, reply)
        if not isinstance(result, dict) or not isinstance(result.get("results"), list) or not isinstance(result.get("count"), int):
            raise ParseError(f"{source.name}: {reply.url} is no answer of package_search: it holds no results with their count")
        if why := changed(total, result["count"]):
            raise HarvestError(f"{source.name}: {reply.url}: {why}; run again")
        total = result["count"]
        if not result["results"] and start < total:
            raise ParseError(f"{source.name}: {reply.url} is an empty page, though {total} packages are told and {start} came")
        start += len(result["results"])
        found.update(dict.fromkeys(address for package in result["results"] for address in _addresses(source, package)))
    return list(found)


def _filters(source: Source, since: datetime | None) -> str:
    parts = ["extras_filetype:activity", get_option(source, OPTIONS, "fq")]
    if chosen := option_names(source, OPTIONS, "publishers"):
        parts.append(f"organization:({' OR '.join(chosen)})")
    if since is not None:
        parts.append(f"metadata_modified:[{since.astimezone(UTC) - timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ} TO *]")
    return " AND ".join(f"({part})" for part in parts if part)


def _addresses(source: Source, package: Any) -> Iterator[str]:
    """Give the addresses of a package's files, none of a secondary publisher's where the card takes none."""
    if not isinstance(package, dict):
        return
    extras = {it.get("key"): it.get("value") for it in package.get("extras") or () if isinstance(it, dict)}
    told = {**extras, **(package.get("organization") or {}), **package}
    if not get_option(source, OPTIONS, "secondary") and (
        told.get("publisher_source_type") == _SECONDARY or told.get("secondary_publisher")
    ):
        log.info("file of a secondary publisher excluded by the source definition", source=source.name, package=package.get("name"))
        return
    for resource in package.get("resources") or ():
        if isinstance(resource, dict) and isinstance(url := resource.get("url"), str) and is_web(url.strip()):
            yield url.strip()
