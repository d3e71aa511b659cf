"""Rules of all protocols that request the documents of a list one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from rows import each
from simulated import Site, define_source, harvest, items, keys

from harvesters.errors import UnavailableError
from harvesters.page_model import DeletedRecord, InvalidRecord, Record
from harvesters.protocols.document import DocumentCursor
from harvesters.protocols.protocol import write_cursor
from harvesters.source import Source

HOST = "https://registry.example"
SITEMAP = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
MARKUP = (
    '<html><script type="application/ld+json">{{"@context":"https://schema.org","@type":"Event","name":"{}"}}'
    "</script></html>"
)


@dataclass(frozen=True)
class Listing:
    """A list at *url* of the documents `a`, `b` and `c`, where other *pages* lead to them."""

    url: str
    pages: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    # This is the text of a document, with a place for its name.
    page: str = '{{"name": "{}"}}'
    # Whether a document that cannot be read makes the harvest incomplete.
    is_incomplete: bool = False


def urls(*names: str, head: str = "") -> str:
    listed = "".join(f"<url><loc>{HOST}/{name}</loc></url>" for name in names)
    return f'<urlset {SITEMAP} xmlns:rs="http://www.openarchives.org/rs/terms/">{head}{listed}</urlset>'


CAPABILITY = '<rs:md capability="resourcelist"/>'
ACTIVITIES = [{"type": "Create", "object": {"id": f"{HOST}/{name}"}} for name in "cba"]
LISTINGS = {
    "files": Listing("", {"": "<html>" + "".join(f'<a href="{name}">.</a>' for name in "abc")}, {"only": "."}),
    "resourcesync": Listing("list", {"list": urls(*"abc", head=CAPABILITY)}),
    "activitystreams": Listing("list", {"list": {"type": "OrderedCollection", "orderedItems": ACTIVITIES}}, {"format": "json"}),
    "web": Listing("list", {"list": urls(*"abc")}, page=MARKUP, is_incomplete=True),
}  # fmt: skip


def site(name: str, **broken: object) -> tuple[Site, Source]:
    listing = LISTINGS[name]
    title = "schema:name" if name == "web" else "name"
    source = define_source(
        name, url=f"{HOST}/{listing.url}", fields={"title": title}, options=dict(listing.options)
    )
    documents = {document: listing.page.format(document) for document in "abc"}
    return Site({**documents, **listing.pages, **broken}), source


def names(pages: Any) -> list[str]:
    return [key.removeprefix(f"{HOST}/") for key in keys(pages)]


@each("name", LISTINGS)
@each(
    "broken, kind",
    [(404, DeletedRecord), (410, DeletedRecord), (403, InvalidRecord), (500, InvalidRecord), ("{", InvalidRecord)],
)  # fmt: skip
def test_a_document_that_cannot_be_read_stops_nothing(name: str, broken: Any, kind: type) -> None:
    if name == "web" and broken == "{":
        broken = '<html><script type="application/ld+json">{"a":</script>'

    pages = harvest(*site(name, a=broken))

    assert names(pages) == ["a", "b", "c"]
    assert [type(item) for item in items(pages)] == [kind, Record, Record]
    is_incomplete = LISTINGS[name].is_incomplete and kind is InvalidRecord
    assert (pages[-1].incomplete_reason is not None) == is_incomplete


@each("name", LISTINGS)
def test_a_registry_that_goes_down_ends_the_harvest(name: str) -> None:
    registry, source = site(name)

    def failing(request: httpx.Request) -> httpx.Response:
        return registry(request) if len(registry.request_log) < 2 else httpx.Response(503)

    with pytest.raises(UnavailableError):
        harvest(failing, source)


@each("name", [name for name in LISTINGS if name != "activitystreams"])
def test_a_harvest_goes_on_from_each_of_its_cursors(name: str) -> None:
    whole = harvest(*site(name))

    for number, page in enumerate(whole[:-1], 1):
        assert names(harvest(*site(name), cursor=page.cursor)) == names(whole[number:])
    assert whole[-1].cursor is None


@each("name", ["resourcesync", "web"])
def test_a_harvest_whose_list_is_gone_begins_anew(name: str) -> None:
    cursor = write_cursor(DocumentCursor(list=f"{HOST}/old", last=f"{HOST}/x"))

    pages = harvest(*site(name), cursor=cursor)

    assert (names(pages), pages[0].again) == (["a", "b", "c"], True)
