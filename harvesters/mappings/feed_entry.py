"""Feed entries: posts of a blog or forum, or documents that a feed announces.

Source: https://www.rfc-editor.org/rfc/rfc4287 and http://rdfs.org/sioc/spec/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from harvesters.errors import ParseError
from harvesters.mappings.mapping import RecordMapping
from harvesters.option_schema import Option, get_option
from harvesters.page_model import Payload, Record, Row
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.value_parsing import (
    KINDS,
    as_list,
    normalize_block,
    normalize_inline,
    parse_language,
    parse_name,
    parse_number,
    parse_titles,
    unique_non_contact,
    unique_urls,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Document, Party, Place, Post, Resource, Role

OPTIONS: Mapping[str, Option] = {
    "kind": Option(
        str, "post", "The class of the entries: `initiative`, `event`, `document` or `post`."
    ),
}


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Row]], Resource]:
    """Return the function that maps an entry. It raises ParseError for any other row."""
    lexicon = CrosswalkLookup(crosswalks)
    kind = KINDS[get_option(source, OPTIONS, "kind")]
    return partial(_map_record, source, lexicon, kind)


def _map_record(
    source: Source, lexicon: CrosswalkLookup, kind: type[Resource], record: Record[Row]
) -> Resource:
    entry = record.payload
    feed = entry.get("feed")
    if not isinstance(feed, dict):
        raise ParseError(
            f"{record.key}: not a feed entry but {', '.join(map(str, entry))[:200]}; use the protocol `feed`"
        )
    tag = _tag(feed.get("language")) or source.language
    summary, content = _text(entry.get("summary"), tag), _text(entry.get("content"), tag)
    title = [
        (normalize_inline(text), language_tag)
        for text, language_tag in _text(entry.get("title"), tag)
    ]
    licence = normalize_inline(entry.get("licence")) or normalize_inline(feed.get("licence"))
    subjects = lexicon.parse_subjects(normalize_inline(word) for word in as_list(entry.get("tags")))
    return kind(
        key=record.key,
        titles=parse_titles(title),
        descriptions=parse_titles(summary or ([] if kind is Post else content)),
        identifiers=unique_non_contact(
            text
            for text in (normalize_inline(entry.get("id")),)
            if text != record.key and text not in _pages(entry)
        ),
        pages=_pages(entry),
        languages=tuple(name for _, name in (*content, *summary, *title) if name)[:1],
        licences=(licence,) if licence else (),
        issued=entry.get("published") or entry.get("updated"),
        modified=entry.get("updated"),
        parties=_parties(entry, feed, source),
        action_lines=subjects.lines,
        goals=subjects.goals,
        targets=subjects.targets,
        subjects=tuple(parse_name(word, tag) for word in subjects.unmatched),
        related=unique_urls(normalize_inline(link) for link in as_list(entry.get("related"))),
        **_class_fields(kind, entry, feed, content or summary),
    )


def _tag(word: Any) -> str | None:
    text = normalize_inline(word)
    return (parse_language(text) or text) if text else None


def _text(detail: Any, tag: str | None) -> list[tuple[str, str | None]]:
    """Return a text with its language: its own, else the feed's, else the source definition's."""
    if not isinstance(detail, dict) or not normalize_block(detail.get("value")):
        return []
    return [(normalize_block(detail["value"]), _tag(detail.get("language")) or tag)]


def _pages(entry: Row) -> tuple[str, ...]:
    links = [
        entry.get("link"),
        *as_list(entry.get("alternates")),
        *as_list(entry.get("enclosures")),
    ]
    return unique_non_contact(unique_urls(normalize_inline(link) for link in links))


def _parties(entry: Row, feed: Mapping[str, Any], source: Source) -> tuple[Party, ...]:
    """Return the publisher of the entry or the feed, else the source definition's. Authors are
    persons and are left out.
    """
    name = next(
        (
            text
            for text in (
                normalize_inline(entry.get("publisher")),
                normalize_inline(feed.get("publisher")),
                source.publisher,
            )
            if text and "@" not in text
        ),
        "",
    )
    return (Party(Role.LEAD, parse_name(name)),) if name else ()


def _class_fields(
    kind: type[Resource], entry: Row, feed: Mapping[str, Any], content: list[tuple[str, str | None]]
) -> dict[str, Any]:
    if kind is Post:
        return {
            "content": next(iter(parse_titles(content)), None),
            "container": normalize_inline(feed.get("link")) or None,
        }
    if kind is Document:
        return {}
    coordinates = [parse_number(coordinate) for coordinate in as_list(entry.get("where"))]
    return {
        "places": (Place(None, coordinates[1], coordinates[0]),)
        if len(coordinates) == 2 and coordinates[0] is not None and coordinates[1] is not None
        else ()
    }


MAPPING = RecordMapping(build_mapper, frozenset({Payload.ROW}), kind="post", options=OPTIONS)
