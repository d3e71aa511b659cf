"""Feed entries: posts of a blog or forum, or documents that a feed announces.

Source: https://www.rfc-editor.org/rfc/rfc4287 and http://rdfs.org/sioc/spec/
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harvesters.errors import ParseError
from harvesters.mappings.mapping import Kind
from harvesters.mappings.schema import FieldTable, Schema
from harvesters.options import Options
from harvesters.page_model import Payload, Record, Row
from harvesters.payloads.value_parsing import as_list, parse_titles
from vocab.initiative import Post, Resource


class FeedEntryOptions(Options):
    """The options of a source with this mapping."""

    kind: Kind = Field(
        "post",
        description="The class of the entries: `initiative`, `event`, `document` or `post`.",
    )


def _entry(_: FieldTable, record: Record[Any]) -> Row:
    entry = record.payload
    if not isinstance(entry.get("feed"), dict):
        raise ParseError(
            f"{record.key}: not a feed entry but {', '.join(map(str, entry))[:200]}; use the protocol `feed`"
        )
    language = entry["feed"].get("language")
    row: dict[str, Any] = type(entry)(entry)
    for name in ("title", "summary", "content"):
        if isinstance(text := entry.get(name), dict):
            row[name] = {**text, "language": text.get("language") or language}
    row["tags"] = [{"value": tag, "language": language} for tag in as_list(entry.get("tags"))]
    return row


def _edit(table: FieldTable, entry: Row, kind: type[Resource], values: dict[str, Any]) -> None:
    """Add the language of the source if the texts state none; and what is no post has its content as
    its description, if it has no other.
    """
    if table.language and not values.get("languages"):
        values["languages"] = (table.language,)
    if kind is not Post and not values.get("descriptions"):
        values["descriptions"] = parse_titles(table.texts("content")(entry))


MAPPING = Schema(
    Payload.ROW,
    {
        "title": "title",
        "description": "summary",
        "identifiers": "id",
        "languages": ("content.language", "summary.language", "title.language"),
        "addresses": ["link", "alternates", "enclosures"],
        "licences": ("licence", "feed.licence"),
        "issued": ("published", "updated"),
        "modified": "updated",
        "lead": ("publisher", "feed.publisher"),
        "keywords": "tags",
        "related_addresses": "related",
        "latitude": "where[1]",
        "longitude": "where[0]",
        "content": ("content", "summary"),
        "container": "feed.link",
    },
    root=_entry,
    edit=_edit,
    kind="post",
    options=FeedEntryOptions,
    publisher_leads=True,
).mapping()
