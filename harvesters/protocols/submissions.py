"""Records that stakeholders submitted and moderators accepted. They are read from the ledger, which
answers like a registry.

The response is a JSON object: ``accepted`` has the content of each submission by its id,
``withdrawn`` the ids of the submissions that were withdrawn.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from harvesters.errors import ParseError
from harvesters.network.fetch import Fetch
from harvesters.network.reply import Reply, load_json
from harvesters.options import Options, Texts
from harvesters.page_model import DeletedRecord, Item, Pages, Payload, Row
from harvesters.protocols.document import no_object, read_document, row_record
from harvesters.protocols.protocol import Protocol
from harvesters.source import Source


class SubmissionsOptions(Options):
    """The options of the submissions' source."""

    inboxes: Texts = Field(
        (),
        description="Addresses of the inboxes of other installations whose notifications are taken.",
    )


def collect(
    source: Source, fetch: Fetch, since: datetime | None, cursor: str | None = None
) -> Pages[Row]:
    """Yield all accepted submissions, then those that were withdrawn. Raises ParseError if the
    response is not such a list.

    Before the first submission is accepted there is nothing to harvest; that is not an error.
    """
    yield from read_document(
        source, fetch, cursor, "application/json", lambda reply: _parse(source, reply)
    )


def _parse(source: Source, reply: Reply) -> list[Item[Row]] | None:
    match load_json(reply):
        case {"accepted": dict(accepted), "withdrawn": list(withdrawn)}:
            gone = [DeletedRecord(str(key)) for key in withdrawn]
            return [*(_item(key, content) for key, content in accepted.items()), *gone] or None
    raise ParseError(
        "%(source)s: %(url)s is not a list of submissions, an object with `accepted` and `withdrawn`",
        source=source.name,
        url=reply.url,
    )


def _item(key: str, content: Any) -> Item[Row]:
    return row_record(key, content) if isinstance(content, dict) else no_object(content, key)


PROTOCOL = Protocol(collect, Payload.ROW, SubmissionsOptions, incremental=False)
