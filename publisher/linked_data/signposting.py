"""Signposts: typed links by which a machine finds its way from a page to its data, licence and authors, and back.

Source: https://signposting.org/FAIR/ (level 2: the links stand in the header, and all of them in a set of links of its own).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from publisher.formats import DATA_FORMATS, HTML
from publisher.http.links import LINKSET_JSON, LINKSET_TEXT, Link, typed_link
from publisher.http.representation import ResourceURLs
from publisher.store.descriptions import Description
from vocab.iris import is_web
from vocab.terms import SCHEMA

# What each kind is to a search engine or a reader of signposts.
SCHEMA_TYPES = {
    "initiative": "Project",
    "event": "Event",
    "document": "DigitalDocument",
    "post": "SocialMediaPosting",
    "organization": "Organization",
}
_AUTHORS = ("dct:creator", "dct:publisher")


@dataclass(frozen=True, slots=True)
class SignpostedThing:
    """A thing and where it stands: *host* is where we answer, *path* what follows ``/id/``, *record* its record's IRI, if it has one."""

    it: Description
    host: str
    path: str
    record: str | None
    base: str
    licence: str | None = None

    @property
    def place(self) -> ResourceURLs:
        """Give where its forms lie, as paths of this host."""
        return ResourceURLs(f"/data/{self.path}", f"/page/{self.path}")

    @property
    def kind(self) -> str:
        """Give its kind, such as ``event``."""
        return self.path.partition("/")[0]


def page_links(it: SignpostedThing) -> list[Link]:
    """Give the links of a thing's page: what to cite, where its data lies, what it is, its licence and authors."""
    place, terms = _absolute(it), it.it
    licence = next((term.value for term in terms.all("dct:license") if term.is_iri), it.licence)
    authors = dict.fromkeys(term.value for name in _AUTHORS for term in terms.all(name) if term.is_iri)
    return [
        Link("cite-as", terms.iri),
        Link("type", f"{SCHEMA}AboutPage"),
        Link("type", SCHEMA + SCHEMA_TYPES[it.kind]),
        *place.alternates("describedby", DATA_FORMATS.values()),
        *([Link("license", licence)] if licence else []),
        *(Link("author", author) for author in authors),
        *(Link("item", page) for page in _items(it)),
        Link("collection", f"{it.host}/source/{it.path.split('/')[1]}", (("type", HTML.media.partition(";")[0]),)),
        *linkset_links(it),
        *(memento_links(it.host, it.record.removeprefix(it.base)) if it.record else ()),
    ]


def data_links(it: SignpostedThing) -> list[Link]:
    """Give the links of a thing's data: back to its page, and to the set of links."""
    return [
        typed_link("describes", _absolute(it).form(HTML), HTML.media),
        *linkset_links(it),
        *(memento_links(it.host, it.record.removeprefix(it.base)) if it.record else ()),
    ]


def linkset_links(it: SignpostedThing) -> list[Link]:
    """Give the links to the set of links, in both of its forms."""
    where = f"{it.host}/linkset/{it.path}"
    return [typed_link("linkset", f"{where}.json", LINKSET_JSON), typed_link("linkset", f"{where}.txt", LINKSET_TEXT)]


def linkset(it: SignpostedThing) -> list[Link]:
    """Give all links of a thing, each with its anchor: those of its page, then those back from its data and its contents."""
    place = _absolute(it)
    page = place.form(HTML)
    out = [link._replace(anchor=page) for link in page_links(it) if link.rel != "linkset"]
    for row in DATA_FORMATS.values():
        out.append(typed_link("describes", page, HTML.media)._replace(anchor=place.form(row)))
    out += [typed_link("collection", page, HTML.media)._replace(anchor=item) for item in _items(it)]
    return out


def memento_links(host: str, graph: str) -> Iterable[Link]:
    """Give the links from what shows a graph to its past (https://www.rfc-editor.org/rfc/rfc7089, section 4)."""
    return (
        Link("original", f"{host}/{graph}"),
        Link("timegate", f"{host}/timegate/{graph}"),
        typed_link("timemap", f"{host}/timemap/{graph}", "application/link-format"),
    )


def _absolute(it: SignpostedThing) -> ResourceURLs:
    return ResourceURLs(it.host + it.place.stem, it.host + it.place.page)


def _items(it: SignpostedThing) -> list[str]:
    return list(dict.fromkeys(term.value for term in it.it.all("foaf:page") if term.is_iri and is_web(term.value)))
