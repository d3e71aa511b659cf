"""schema.org: projects, events, works, posts and software, as web pages and JSON-LD describe them.

Source: https://schema.org/docs/full.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field
from pyoxigraph import Literal, NamedNode

from harvesters.errors import ParseError
from harvesters.mappings import graph_values
from harvesters.mappings.graph_values import TAGGED, Find, GraphNode, inside, organizations, places
from harvesters.mappings.mapping import Kind
from harvesters.mappings.schema import Entry, FieldTable, Part, Schema
from harvesters.options import Options
from harvesters.page_model import Payload
from harvesters.payloads.graph import iri
from harvesters.payloads.value_parsing import normalize_inline, parse_date, without_local_time
from vocab.describe import KIND
from vocab.initiative import Document, Event, Initiative, Post, Resource, Role, Text
from vocab.iris import is_web


class SchemaOrgOptions(Options):
    """The options of a source with this mapping."""

    kind: Kind | None = Field(
        None,
        description="The class of all records, whatever their own class: `initiative`, `event`, `document` or `post`.",
    )


# The first of these with which a class's name ends, such as ResearchProject, EducationEvent or
# ScholarlyArticle, says what a thing is.
_KINDS: tuple[tuple[str, type[Resource]], ...] = (
    ("Project", Initiative), ("FundingScheme", Initiative), ("SoftwareApplication", Initiative), ("SoftwareSourceCode", Initiative),
    ("WebApplication", Initiative), ("MobileApplication", Initiative), ("Course", Initiative),
    ("Event", Event), ("Festival", Event), ("Hackathon", Event), ("CourseInstance", Event), ("EventSeries", Event),
    ("BlogPosting", Post), ("NewsArticle", Post), ("SocialMediaPosting", Post), ("Posting", Post),
    ("Article", Document), ("CreativeWork", Document), ("Dataset", Document), ("DataCatalog", Document), ("Report", Document),
    ("Book", Document), ("Guide", Document), ("HowTo", Document), ("LearningResource", Document), ("DigitalDocument", Document),
    ("WebPage", Document), ("WebSite", Document), ("Thesis", Document), ("MediaObject", Document), ("VideoObject", Document),
)  # fmt: skip
_ACTIVITIES = {"Project": "project", "Course": "training"}
_NAMESPACE = iri("schema:x")[:-1]


def _named(find: Callable[..., Find]) -> Callable[..., Find]:
    """Return *find* for properties of schema.org, named without a prefix."""
    return lambda *names: find(*(f"schema:{name}" for name in names))


_nodes = _named(graph_values.nodes)
_texts, _words = map(_named, (graph_values.texts, graph_values.words))
_links, _literals = map(_named, (graph_values.links, graph_values.literals))
_WHERE = ("location", "areaServed", "spatialCoverage", "contentLocation", "locationCreated", "serviceArea")  # fmt: skip
_find_address, _find_names = _nodes("address"), _texts("name")
_find_related = _nodes(
    "isPartOf", "hasPart", "superEvent", "subEvent", "citation", "isBasedOn", "subjectOf", "workFeatured", "about", "mentions",
)  # fmt: skip


def _dates(*names: str) -> Find:
    """Find the date in one of these properties: authors of pages write local times, as calendars
    do.
    """
    find = _literals(*names)
    return lambda node: [
        without_local_time(parse_date(normalize_inline(text))) for text in find(node)[:1]
    ]


def _classes(node: GraphNode) -> list[str]:
    """Return the names of a node's schema.org classes."""
    names = (name for name in node.types() if name.startswith(_NAMESPACE))
    return sorted(name.removeprefix(_NAMESPACE) for name in names)


def _class_of(classes: list[str]) -> type[Resource] | None:
    return next((kind for end, kind in _KINDS if any(name.endswith(end) for name in classes)), None)


def _kind(_: FieldTable, node: GraphNode) -> type[Resource]:
    classes = _classes(node)
    if kind := _class_of(classes):
        return kind
    description = " and ".join(classes) or "of no class of schema.org"
    raise ParseError(
        f"{node.key}: it is {description}, which is not a known class; set the option `kind`"
    )


def _activities(node: GraphNode) -> list[str]:
    classes = _classes(node)
    return [
        activity
        for end, activity in _ACTIVITIES.items()
        if any(name.endswith(end) for name in classes)
    ]


def _venue(node: GraphNode) -> list[Text]:
    """Return where an event takes place: the place and its town, or its web address."""
    for place in _nodes("location")(node):
        language, word = node.table.language, place.word()
        names = _find_names(place) or [Text(word, language)] * bool(word)
        towns = [town for address in _find_address(place) for town in _towns(address)]
        if parts := [*names[:1], *towns]:
            lines = dict.fromkeys(normalize_inline(part.value) for part in parts)
            return [Text(", ".join(lines), names[0].language if names else language)]
        if links := _links("url")(place):
            return [Text(links[0])]
    return []


def _towns(address: GraphNode) -> list[Text]:
    """Return the towns of an address, which may be written as a text."""
    word = address.word()
    is_text = address.term not in address.graph.properties
    return _texts("addressLocality")(address) or [Text(word)] * bool(word and is_text)


def _edit(table: FieldTable, node: GraphNode, kind: type[Resource], values: dict[str, Any]) -> None:
    """Add the related things: records of this source by our own IRIs, others by theirs. Raise
    ParseError for a thing without a name.
    """
    if not values.get("titles"):
        classes = " and ".join(_classes(node)) or "thing of no class"
        raise ParseError(f"{node.key}: a {classes} without a name")
    iris = []
    for thing in _find_related(node):
        if isinstance(thing.term, NamedNode | Literal) and is_web(thing.term.value):
            known = _class_of(_classes(thing)) if isinstance(thing.term, NamedNode) else None
            ours = table.crosswalks.iris.thing
            address = thing.term.value
            iris.append(ours(KIND[known], table.source.name, address) if known else address)
    values["related"] = tuple(dict.fromkeys(iris))


_FILE: dict[str, Entry] = {
    "access": _links("url"),
    "download": _links("contentUrl"),
    "title": _find_names,
    "form": _words("encodingFormat"),
    "licence": _links("license"),
    "description": _texts("description"),
}
_LEADS = ("organizer", "publisher", "provider", "parentOrganization", "producer")
_PARTNERS = ("member", "contributor", "creator", "author", "sourceOrganization", "performer", "partner")  # fmt: skip
MAPPING = Schema(
    Payload.GRAPH,
    {
        "title": (_find_names, _texts("headline", "alternateName")),
        "description": (_texts("description"), _texts("abstract")),
        "identifiers": graph_values.identifiers("schema:identifier", notations=("schema:value",)),
        "pages": (
            _links("url", "mainEntityOfPage"),
            lambda node: [node.key] if is_web(node.key) else [],
        ),
        "languages": _words("inLanguage", "availableLanguage"),
        "licences": (_links("license"), _words("license")),
        "issued": _dates("datePublished", "dateCreated", "foundingDate"),
        "modified": _dates("dateModified"),
        "countries": inside(
            lambda node: [
                each for place in _nodes(*_WHERE)(node) for each in (place, *_find_address(place))
            ],
            _words("addressCountry"),
        ),
        "country_names": _words(*_WHERE),
        "keywords": _named(graph_values.tagged_words)(
            "keywords", "about", "genre", "articleSection", "category"
        ),
        "content": _texts("articleBody", "text"),
        "container": _links("isPartOf"),
        "type": lambda node: [_NAMESPACE + name for name in _classes(node)],
        "creators": _texts("author", "creator"),
        "start": _dates("startDate", "foundingDate"),
        "end": _dates("endDate", "dissolutionDate"),
        "venue": _venue,
        "cancelled": lambda node: [
            w.endswith("EventCancelled") for w in _words("eventStatus")(node)
        ],
        "activity_types": _activities,
    },
    {
        "parties": [
            organizations(Role.LEAD, _nodes(*_LEADS)),
            organizations(Role.PARTNER, _nodes(*_PARTNERS)),
            organizations(Role.FUNDER, _nodes("funder", "sponsor")),
        ],
        "periods": [Part(_words("temporalCoverage"), {"start": lambda text: [text]})],
        "files": [Part(_nodes("distribution"), _FILE)],
        "places": [places(*(f"schema:{name}" for name in _WHERE))],
    },
    root=graph_values.root,
    edit=_edit,
    kind=_kind,
    options=SchemaOrgOptions,
    split={"keywords": ","},
    untagged=TAGGED,
).mapping()
