"""Typed links from a page to its data, licence and authors, and back.

Source: https://signposting.org/FAIR/ (level 2: the links are in the header, and all of them in a
link set).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from publisher.store.descriptions import Description
from vocab.iris import is_web
from vocab.terms import SCHEMA
from web.formats import DATA_FORMATS, HTML
from web.links import LINKSET_JSON, LINKSET_TEXT, Link, typed_link
from web.representation import ResourceURLs

# The schema.org type of each kind.
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
    """A thing with its location: *host* is our URL, *path* follows ``/id/``, *record* is its
    record's IRI, if it has one.
    """

    description: Description
    host: str
    path: str
    record: str | None
    base: str
    licence: str | None = None

    @property
    def urls(self) -> ResourceURLs:
        """Return the URLs of its representations, as paths of this host."""
        return ResourceURLs(f"/data/{self.path}", f"/page/{self.path}")

    @property
    def kind(self) -> str:
        """Return its kind, such as ``event``."""
        return self.path.partition("/")[0]


def page_links(thing: SignpostedThing) -> list[Link]:
    """Return the links of a thing's page: citation, data, type, licence and authors."""
    urls, terms = _absolute(thing), thing.description
    licence = next((term.value for term in terms.all("dct:license") if term.is_iri), thing.licence)
    authors = dict.fromkeys(
        term.value for name in _AUTHORS for term in terms.all(name) if term.is_iri
    )
    return [
        Link("cite-as", terms.iri),
        Link("type", f"{SCHEMA}AboutPage"),
        Link("type", SCHEMA + SCHEMA_TYPES[thing.kind]),
        *urls.alternates("describedby", DATA_FORMATS.values()),
        *([Link("license", licence)] if licence else []),
        *(Link("author", author) for author in authors),
        *(Link("item", page) for page in _items(thing)),
        Link(
            "collection",
            f"{thing.host}/source/{thing.path.split('/')[1]}",
            (("type", HTML.media.partition(";")[0]),),
        ),
        *linkset_links(thing),
        *(memento_links(thing.host, thing.record.removeprefix(thing.base)) if thing.record else ()),
    ]


def data_links(thing: SignpostedThing) -> list[Link]:
    """Return the links of a thing's data: to its page and its link set."""
    return [
        typed_link("describes", _absolute(thing).form(HTML), HTML.media),
        *linkset_links(thing),
        *(memento_links(thing.host, thing.record.removeprefix(thing.base)) if thing.record else ()),
    ]


def linkset_links(thing: SignpostedThing) -> list[Link]:
    """Return the links to the link set, in both formats."""
    linkset_url = f"{thing.host}/linkset/{thing.path}"
    return [
        typed_link("linkset", f"{linkset_url}.json", LINKSET_JSON),
        typed_link("linkset", f"{linkset_url}.txt", LINKSET_TEXT),
    ]


def linkset(thing: SignpostedThing) -> list[Link]:
    """Return all links of a thing with their anchors: from its page, then from its data and its
    contents.
    """
    urls = _absolute(thing)
    page = urls.form(HTML)
    out = [link._replace(anchor=page) for link in page_links(thing) if link.rel != "linkset"]
    for data_format in DATA_FORMATS.values():
        out.append(
            typed_link("describes", page, HTML.media)._replace(anchor=urls.form(data_format))
        )
    out += [
        typed_link("collection", page, HTML.media)._replace(anchor=item) for item in _items(thing)
    ]
    return out


def memento_links(host: str, graph: str) -> Iterable[Link]:
    """Return the links from a graph to its past states (https://www.rfc-editor.org/rfc/rfc7089,
    section 4).
    """
    return (
        Link("original", f"{host}/{graph}"),
        Link("timegate", f"{host}/timegate/{graph}"),
        typed_link("timemap", f"{host}/timemap/{graph}", "application/link-format"),
    )


def _absolute(thing: SignpostedThing) -> ResourceURLs:
    return ResourceURLs(thing.host + thing.urls.stem, thing.host + thing.urls.page)


def _items(thing: SignpostedThing) -> list[str]:
    return list(
        dict.fromkeys(
            term.value
            for term in thing.description.all("foaf:page")
            if term.is_iri and is_web(term.value)
        )
    )
