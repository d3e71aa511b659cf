"""schema.org: projects, events, works, posts and software, as web pages and JSON-LD describe them.

Source: https://schema.org/docs/full.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pydantic import Field
from pyoxigraph import Literal, NamedNode

from harvesters.errors import ParseError
from harvesters.mappings.mapping import Kind, RecordMapping
from harvesters.options import Options
from harvesters.page_model import Payload, Record
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.graph import Graph, Term, iri
from harvesters.payloads.graph_reader import GraphReader
from harvesters.payloads.value_parsing import (
    KINDS,
    normalize_block,
    parse_interval,
    parse_language,
    parse_name,
    parse_titles,
    split_values,
    unique_non_contact,
    unique_urls,
    without_local_time,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import (
    Document,
    Event,
    File,
    Initiative,
    Party,
    Period,
    Post,
    Resource,
    Role,
    Text,
)
from vocab.statements.describe import KIND


class SchemaOrgOptions(Options):
    """The options of a source with this mapping."""

    kind: Kind | None = Field(
        None,
        description="The class of all records, whatever their own class: `initiative`, `event`, `document` or `post`.",
    )


def _iris(*names: str) -> tuple[str, ...]:
    return tuple(iri(f"schema:{name}") for name in names)


# Classes by the ends of their names, first match: ResearchProject, EducationEvent, BlogPosting,
# ScholarlyArticle.
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
_WORDS = _iris("keywords", "about", "genre", "articleSection", "category")
_WHERE = _iris(
    "location", "areaServed", "spatialCoverage", "contentLocation", "locationCreated", "serviceArea"
)
_LEADS = _iris("organizer", "publisher", "provider", "parentOrganization", "producer")
_PARTNERS = _iris(
    "member", "contributor", "creator", "author", "sourceOrganization", "performer", "partner"
)
_PAGES = _iris("url", "mainEntityOfPage")
_FUNDERS = _iris("funder", "sponsor")
_RELATED = _iris(
    "isPartOf",
    "hasPart",
    "superEvent",
    "subEvent",
    "citation",
    "isBasedOn",
    "subjectOf",
    "workFeatured",
    "about",
    "mentions",
)
_NAMESPACE = iri("schema:x")[:-1]


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Graph]], Resource]:
    """Return the function that maps a thing. It raises ParseError for one without a name or of an
    unknown class.
    """
    lexicon = CrosswalkLookup(crosswalks)
    return partial(_map_record, source, crosswalks, lexicon)


def _map_record(
    source: Source, crosswalks: Crosswalks, lexicon: CrosswalkLookup, record: Record[Graph]
) -> Resource:
    graph_reader = GraphReader(record.payload, source.language)
    classes = _classes(graph_reader, record.payload.subject)
    forced = SchemaOrgOptions.of(source).kind
    kind = KINDS[forced] if forced else _record_class(record.key, classes)
    titles = parse_titles(
        graph_reader.texts(*_iris("name"))
        or graph_reader.texts(*_iris("headline", "alternateName"))
    )
    if not titles:
        raise ParseError(
            f"{record.key}: a {' and '.join(classes) or 'thing of no class'} without a name"
        )
    subjects = lexicon.parse_subjects(split_values(graph_reader.words(*_WORDS), ","))
    tags = {
        part: tag for text, tag in graph_reader.texts(*_WORDS) for part in split_values([text], ",")
    }
    return kind(
        key=record.key,
        titles=titles,
        descriptions=_descriptions(graph_reader),
        identifiers=unique_non_contact(
            text for text in _identifiers(graph_reader) if text != record.key
        ),
        pages=unique_non_contact(graph_reader.links(*_PAGES) or unique_urls([record.key])),
        languages=_languages(graph_reader),
        licences=unique_urls(graph_reader.links(*_iris("license")))
        or tuple(graph_reader.words(*_iris("license"))[:1]),
        issued=_date(graph_reader, *_iris("datePublished", "dateCreated", "foundingDate")),
        modified=_date(graph_reader, *_iris("dateModified")),
        countries=_countries(graph_reader, lexicon),
        parties=_parties(graph_reader),
        action_lines=subjects.lines,
        goals=subjects.goals,
        targets=subjects.targets,
        subjects=tuple(parse_name(word, tags.get(word)) for word in subjects.unmatched),
        periods=tuple(_periods(graph_reader)),
        files=tuple(_files(graph_reader)),
        related=_related(graph_reader, source, crosswalks),
        **_class_fields(kind, graph_reader, classes, lexicon),
    )


def _date(graph_reader: GraphReader, *names: str) -> str | None:
    """Return the date in one of these properties: authors of pages write local times, as calendars
    do.
    """
    return without_local_time(graph_reader.date(*names))


def _descriptions(graph_reader: GraphReader) -> tuple[Text, ...]:
    texts = graph_reader.texts(*_iris("description"), form=normalize_block)
    return parse_titles(texts or graph_reader.texts(*_iris("abstract"), form=normalize_block))


def _languages(graph_reader: GraphReader) -> tuple[str, ...]:
    words = graph_reader.words(*_iris("inLanguage", "availableLanguage"))
    return tuple(dict.fromkeys(parse_language(word) or word for word in words))


def _classes(graph_reader: GraphReader, node: Term) -> list[str]:
    """Return the names of a node's schema.org classes."""
    return sorted(
        name.removeprefix(_NAMESPACE)
        for name in graph_reader.graph.types(node)
        if name.startswith(_NAMESPACE)
    )


def _class_of(classes: list[str]) -> type[Resource] | None:
    return next((kind for end, kind in _KINDS if any(name.endswith(end) for name in classes)), None)


def _related(graph_reader: GraphReader, source: Source, crosswalks: Crosswalks) -> tuple[str, ...]:
    """Return related things: records of this source by our own IRIs, others by theirs."""
    iris: list[str] = []
    for term in graph_reader.graph.all(graph_reader.graph.subject, *_RELATED):
        if isinstance(term, NamedNode):
            kind = _class_of(_classes(graph_reader, term))
            iris.append(
                crosswalks.iris.thing(KIND[kind], source.name, term.value) if kind else term.value
            )
        elif isinstance(term, Literal):
            iris.append(term.value)
    return unique_urls(iris)


def _record_class(key: str, classes: list[str]) -> type[Resource]:
    if kind := _class_of(classes):
        return kind
    description = " and ".join(classes) or "of no class of schema.org"
    raise ParseError(
        f"{key}: it is {description}, which is not a known class; set the option `kind`"
    )


def _identifiers(graph_reader: GraphReader) -> list[str]:
    """Return the identifiers, also those written as a PropertyValue."""
    identifiers: list[str] = []
    for term in graph_reader.graph.all(graph_reader.graph.subject, *_iris("identifier")):
        identifiers += graph_reader.words(*_iris("value"), node=term) or [graph_reader.word(term)]
    return identifiers


def _parties(graph_reader: GraphReader) -> tuple[Party, ...]:
    """Return the first organizer, publisher or provider as lead and the others as partners. Persons
    are left out.
    """
    leads = [party for name in _LEADS for party in graph_reader.parties(Role.LEAD, name)]
    parties = [
        *leads[:1],
        *(party._replace(role=Role.PARTNER) for party in leads[1:]),
        *graph_reader.parties(Role.PARTNER, *_PARTNERS),
    ]
    by_name: dict[str, Party] = {}
    for party in parties:
        by_name.setdefault(party.name.value, party)
    return tuple(dict.fromkeys([*by_name.values(), *graph_reader.parties(Role.FUNDER, *_FUNDERS)]))


def _countries(graph_reader: GraphReader, lexicon: CrosswalkLookup) -> tuple[str, ...]:
    """Return the countries: of addresses, and of places that have the name of a country."""
    countries: dict[str, None] = {}
    for place in graph_reader.graph.all(graph_reader.graph.subject, *_WHERE):
        for address in [place, *graph_reader.graph.all(place, *_iris("address"))]:
            for term in graph_reader.graph.all(address, *_iris("addressCountry")):
                countries[lexicon.country(graph_reader.word(term))] = None
        if country := lexicon.find_country(graph_reader.word(place)):
            countries[country] = None
    return tuple(countries)


def _class_fields(
    kind: type[Resource], graph_reader: GraphReader, classes: list[str], lexicon: CrosswalkLookup
) -> dict[str, Any]:
    if kind is Post:
        container = graph_reader.links(*_iris("isPartOf"))
        return {
            "content": next(
                iter(
                    parse_titles(
                        graph_reader.texts(*_iris("articleBody", "text"), form=normalize_block)
                    )
                ),
                None,
            ),
            "container": container[0] if container else None,
        }
    if kind is Document:
        return {
            "kind": next((_NAMESPACE + name for name in classes), None),
            "creators": parse_titles(graph_reader.texts(*_iris("author", "creator"))),
        }
    start = _date(graph_reader, *_iris("startDate", "foundingDate"))
    end = _date(graph_reader, *_iris("endDate", "dissolutionDate"))
    own: dict[str, Any] = {
        "start": start,
        "end": end,
        "places": tuple(graph_reader.places(*_WHERE)),
    }
    if kind is Event:
        gone = any(
            word.endswith("EventCancelled") for word in graph_reader.words(*_iris("eventStatus"))
        )
        return {**own, "venue": _venue(graph_reader), "cancelled": gone}
    types = {
        activity
        for end, activity in _ACTIVITIES.items()
        if any(name.endswith(end) for name in classes)
    }
    return {**own, "activity_types": tuple(map(lexicon.activity_type, sorted(types)))}


def _periods(graph_reader: GraphReader) -> Iterator[Period]:
    """Yield the time that a thing is about."""
    for text in graph_reader.words(*_iris("temporalCoverage")):
        start, end = parse_interval(text) or (text, None)
        yield Period(start, end)


def _files(graph_reader: GraphReader) -> Iterator[File]:
    """Yield the distributions that have an address."""
    for node in graph_reader.graph.all(graph_reader.graph.subject, *_iris("distribution")):
        access, download = (
            next(iter(unique_urls(graph_reader.links(*_iris(name), node=node))), None)
            for name in ("url", "contentUrl")
        )
        if access or download:
            titles = parse_titles(graph_reader.texts(*_iris("name"), node=node))
            texts = parse_titles(
                graph_reader.texts(*_iris("description"), node=node, form=normalize_block)
            )
            form = next(iter(graph_reader.words(*_iris("encodingFormat"), node=node)), None)
            licence = next(
                iter(unique_urls(graph_reader.links(*_iris("license"), node=node))), None
            )
            yield File(access, download, titles, form, licence, texts)


def _venue(graph_reader: GraphReader) -> Any:
    """Return where an event takes place: the place and its town, or its web address."""
    for place in graph_reader.graph.all(graph_reader.graph.subject, *_iris("location")):
        names = graph_reader.texts(*_iris("name"), node=place) or (
            [(graph_reader.word(place), graph_reader.tag)] if graph_reader.word(place) else []
        )
        towns = [
            text
            for address in graph_reader.graph.all(place, *_iris("address"))
            for text, _ in _address(graph_reader, address)
        ]
        links = [(link, None) for link in graph_reader.links(*_iris("url"), node=place)]
        if names or towns:
            name, tag = names[0] if names else (towns.pop(0), graph_reader.tag)
            return parse_name(", ".join(dict.fromkeys([name, *towns])), tag)
        if links:
            return parse_name(*links[0])
    return None


def _address(graph_reader: GraphReader, address: Any) -> list[tuple[str, str | None]]:
    parts = graph_reader.texts(*_iris("addressLocality"), node=address)
    return parts or (
        [(graph_reader.word(address), graph_reader.tag)]
        if graph_reader.word(address) and not graph_reader.graph.properties.get(address)
        else []
    )


MAPPING = RecordMapping(build_mapper, frozenset({Payload.GRAPH}), options=SchemaOrgOptions)
