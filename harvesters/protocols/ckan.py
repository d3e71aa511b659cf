"""All packages of a portal by the Action API of CKAN, or those changed since.

Source: https://docs.ckan.org/en/latest/api/#ckan.logic.action.get.package_search
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply
from harvesters.page_model import Item, Pages, Payload, Row
from harvesters.protocols.ckan_search import Ckan, CkanOptions, is_response_url, unwrap_result
from harvesters.protocols.document import read_document
from harvesters.protocols.protocol import Protocol
from harvesters.source import Source


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Row]:
    """Yield all packages, or those changed since *since* minus a second.

    The source's url is the portal's root, or the full address of a response, with /api/ in its path
    or .json at its end. The response is a search, or a document with one package or a list of them.
    """
    protocol = Ckan(source, fetch, since)

    def parse(reply: Reply) -> Iterator[Item[Row]]:
        result = unwrap_result(source, reply)
        if isinstance(result, dict):
            result = result.get("results", result)
        for part in result if isinstance(result, list) else [result]:
            # DKAN wraps lists in a list.
            yield from map(protocol.parse, part if isinstance(part, list) else [part])

    if is_search(source):
        return protocol.read(cursor)
    return read_document(source, fetch, cursor, "application/json", parse)


def is_search(source: Source) -> bool:
    """Return whether the source's url leads to the search, which can be asked for changes; a
    document cannot.
    """
    return not is_response_url(source.url) or urlsplit(source.url).path.endswith("package_search")


PROTOCOL = Protocol(collect, Payload.ROW, CkanOptions, incremental=True, is_incremental=is_search)
