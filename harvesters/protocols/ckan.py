"""All packages of a portal by the Action API of CKAN, or those changed since.

Source: https://docs.ckan.org/en/latest/api/#ckan.logic.action.get.package_search
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field

from harvesters.errors import HarvestError, ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, load_json
from harvesters.options import Options, Positive
from harvesters.page_model import DeletedRecord, InvalidRecord, Item, Pages, Payload, Row
from harvesters.protocols.document import no_object, read_document, row_record
from harvesters.protocols.lists import RECORD_ERRORS, Batch, ListCursor, PagedProtocol
from harvesters.protocols.protocol import Protocol
from harvesters.reasons import Reason
from harvesters.source import Source


class CkanOptions(Options):
    """The options of a portal."""

    rows: Positive = Field(
        100, description="The number of packages per page; portals return at most 1000."
    )
    fq: str = Field(
        "",
        description="A filter query that limits the harvest, e.g. `organization:ict-authority`.",
    )


class Ckan(PagedProtocol[Row]):
    """The packages of a portal, sorted by id, so that one that changes during the run keeps its
    place. A window is the id from which the list is continued.

    The source's url is the portal's root, or the full address of a response, with /api/ in its path
    or .json at its end.
    """

    probes = ((0, 0),)
    overlap = timedelta(seconds=1)

    def __init__(self, source: Source, fetch: Fetch, since: datetime | None) -> None:
        super().__init__(source, fetch, since)
        self.options = CkanOptions.of(source)

    def read(self, cursor: str | None) -> Pages[Row]:
        """Yield the packages that a search returns, else those of the document at the source's url:
        a package, or a list of them.
        """
        if is_search(self.source):
            return super().read(cursor)
        accept, parse = "application/json", self._parse_document
        return read_document(self.source, self.fetch, cursor, accept, parse)

    def _parse_document(self, reply: Reply) -> Iterator[Item[Row]]:
        result = unwrap_result(self.source, reply)
        if isinstance(result, dict):
            result = result.get("results", result)
        for part in result if isinstance(result, list) else [result]:
            # DKAN wraps lists in a list.
            yield from map(self.parse, part if isinstance(part, list) else [part])

    def page_size(self, cursor: ListCursor) -> int:
        return self.options.rows

    def request(self, cursor: ListCursor, size: int, **more: str) -> Batch:
        parts = [self.options.fq]
        if self.since is not None:
            parts.append(f"metadata_modified:[{self.since:%Y-%m-%dT%H:%M:%SZ} TO *]")
        if base := cursor.windows[0][0]:
            parts.append(f'id:["{base}" TO *]')
        if parts[0] and len(parts) > 1:
            parts[0] = f"({parts[0]})"
        url = self.source.url
        if not is_response_url(url):
            url = f"{url.rstrip('/')}/api/3/action/package_search"
        terms = {"sort": "id asc", "rows": str(size), "fq": " AND ".join(filter(None, parts))}
        terms |= {"start": str(cursor.offset), **more}
        present = {name: text for name, text in terms.items() if text}
        reply = self.fetch.get(url, present, accept="application/json")
        match unwrap_result(self.source, reply):
            case {"results": list(packages), **rest}:
                count = rest.get("count")
                return Batch(reply, packages, count if type(count) is int else None)
        text = "%(source)s: %(url)s is not a package_search response: results are missing"
        raise ParseError(text, source=self.source.name, url=reply.url)

    def parse(self, record: Any) -> Item[Row]:
        if not isinstance(record, dict):
            return no_object(record)
        key = record.get("id") or record.get("name") or record.get("identifier")
        if not isinstance(key, str) or not key.strip():
            return InvalidRecord(None, Reason("a record without an identifier"))
        modified = record.get("metadata_modified")
        modified = modified if isinstance(modified, str) else None
        if record.get("state") == "deleted":
            return DeletedRecord(key.strip(), modified)
        # Page views change daily although the package does not.
        stable = {name: value for name, value in record.items() if name != "tracking_summary"}
        return row_record(key.strip(), record, modified, stable)

    def order(self, record: Any) -> str | None:
        key = record.get("id") if isinstance(record, dict) else None
        return key if isinstance(key, str) else None

    def split(self, cursor: ListCursor, error: HarvestError) -> ListCursor | None:
        last = cursor.newest
        if not cursor.is_sorted or not last or last == cursor.windows[0][0] or '"' in last:
            return None
        following = cursor.restart(((last,),))
        self.probe(following, error)
        return following

    def skip(self, cursor: ListCursor, error: HarvestError) -> tuple[InvalidRecord, ListCursor]:
        """Return the package with the id that a search for the field `id` alone returns."""
        with suppress(*RECORD_ERRORS):
            match self.request(cursor, 1, fl="id").records:
                case [{"id": str(key)}, *_] if key:
                    return InvalidRecord(key, error.reason), cursor
        return super().skip(cursor, error)


def unwrap_result(source: Source, reply: Reply) -> Any:
    """Return the result in CKAN's envelope; a document without an envelope is its own result. Raise
    ParseError if CKAN reports an error.
    """
    match load_json(reply):
        case {"success": False, **rest}:
            error = rest.get("error")
            message = error.get("message", error) if isinstance(error, dict) else error
            text = "%(source)s: %(url)s reports an error: %(message)s"
            raise ParseError(text, source=source.name, url=reply.url, message=str(message)[:300])
        case {"result": result}:
            return result
        case document:
            return document


def is_response_url(url: str) -> bool:
    """Return whether *url* is the full address of a response, and not a portal's root."""
    path = urlsplit(url).path
    return "/api/" in path or path.endswith(".json")


def is_search(source: Source) -> bool:
    """Return whether the source's url leads to the search, which can be asked for changes; a
    document cannot.
    """
    return not is_response_url(source.url) or urlsplit(source.url).path.endswith("package_search")


PROTOCOL = Protocol(
    Ckan.collect, Payload.ROW, CkanOptions, incremental=True, is_incremental=is_search
)
