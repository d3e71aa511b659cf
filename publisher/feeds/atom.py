"""Atom feeds of changes (https://www.rfc-editor.org/rfc/rfc4287) with archives that never change
(https://www.rfc-editor.org/rfc/rfc5005, section 4). Deletions are deleted entries
(https://www.rfc-editor.org/rfc/rfc6721).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from publisher.feeds.record_metadata import RecordMetadata, read_metadata
from publisher.feeds.sets import set_concept
from publisher.feeds.xml_writing import element, empty, instant
from publisher.history.change_reader import Change, ChangeType
from publisher.history.record_states import RecordState, preferred_text
from vocab.iris import Iris
from vocab.terms import DCT
from web.branding import NAME
from web.formats import GRAPHS, HTML

MEDIA = "application/atom+xml"
PAGE_SIZE = 100  # changes in an archive
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<feed xmlns="http://www.w3.org/2005/Atom" xmlns:fh="http://purl.org/syndication/history/1.0" '
    'xmlns:at="http://purl.org/atompub/tombstones/1.0">\n'
)
_BASES = ("declared", "crosswalked")


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed or one of its archives: *url* is its own URL, *current* that of the feed, *links* are
    (rel, URL) pairs.
    """

    id: str
    title: str
    url: str
    current: str
    page: str
    updated: int
    archive: bool
    links: tuple[tuple[str, str], ...] = ()
    author: str = NAME


def write_feed(
    feed: Feed, host: str, iris: Iris, changes: Sequence[Change], states: Sequence[RecordState]
) -> bytes:
    """Write a feed; *changes* are in the order of its entries."""
    entries = (
        _entry(change, state, host, iris) for change, state in zip(changes, states, strict=True)
    )
    return "\n".join((_HEAD + "\n".join(_head(feed)), *entries, "</feed>\n")).encode()


def _head(feed: Feed) -> Iterator[str]:
    yield element("id", feed.id)
    yield element("title", feed.title)
    yield element("updated", instant(feed.updated))
    yield f"<author>{element('name', feed.author)}</author>"
    yield empty("link", rel="self", type=MEDIA, href=feed.url)
    yield empty("link", rel="alternate", type="text/html", href=feed.page)
    if feed.archive:
        yield "<fh:archive/>"
        yield empty("link", rel="current", type=MEDIA, href=feed.current)
    yield from (empty("link", rel=rel, href=href) for rel, href in feed.links)


def _entry(change: Change, state: RecordState, host: str, iris: Iris) -> str:
    if change.change_type is ChangeType.DELETED:
        reason = preferred_text(state.all(f"{iris.operations}reason", state.graph))
        comment = element("at:comment", reason.value) if reason else ""
        return f'<at:deleted-entry ref="{state.graph}" when="{instant(change.stamp)}">{comment}</at:deleted-entry>'
    return f"<entry>{''.join(_entry_elements(change, state, read_metadata(change, state, iris), host, iris))}</entry>"


def _entry_elements(
    change: Change, state: RecordState, metadata: RecordMetadata, host: str, iris: Iris
) -> Iterator[str]:
    first = state.one(f"{DCT}issued", state.graph)
    title = preferred_text(metadata.titles)
    yield element("id", state.graph)
    yield element("title", metadata.name, xml_lang=title.language if title else None)
    yield element("updated", instant(change.stamp))
    if first:
        yield element("published", first.value)
    authors = [text.value for text in metadata.leads] or [metadata.source]
    yield from (f"<author>{element('name', name)}</author>" for name in authors)
    yield empty(
        "link",
        rel="alternate",
        type=HTML.media.partition(";")[0],
        href=f"{host}/page/{change.thing}",
    )
    for graph_format in GRAPHS.values():
        yield empty(
            "link",
            rel="alternate",
            type=graph_format.media.partition(";")[0],
            href=f"{host}/data/{change.thing}.{graph_format.suffix}",
        )
    yield from _categories(change, metadata, iris)
    summary = preferred_text(metadata.descriptions)
    if summary:
        yield element("summary", summary.value, xml_lang=summary.language)
    if metadata.licence:
        yield element("rights", metadata.licence)


def _categories(change: Change, metadata: RecordMetadata, iris: Iris) -> Iterable[str]:
    names = {bears.iri: bears.name for bears in (*metadata.concepts, *metadata.countries)}
    for leaf in change.leaves:
        about = set_concept(leaf, iris) or leaf
        basis = leaf.rpartition(":")[2]
        suffix = f" ({basis})" if basis in _BASES else ""
        yield empty("category", term=leaf, scheme=about, label=names.get(about, leaf) + suffix)
