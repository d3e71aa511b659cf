"""schema.org: projects, events, works, posts and software as web pages and JSON-LD describe them.

Source: https://schema.org/docs/full.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pyoxigraph import Literal, NamedNode

from harvesters.errors import ParseError
from harvesters.option_schema import Option, get_option
from harvesters.page_model import Record
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
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.describe import KIND
from vocab.initiative import Document, Event, Initiative, Party, Post, Resource, Role

OPTIONS: Mapping[str, Option] = {
    "kind": Option(str, None, "What all of them are, whatever their class says: `initiative`, `event`, `document` or `post`."),
}


def _names(*names: str) -> tuple[str, ...]:
    return tuple(iri(f"schema:{name}") for name in names)


# By what a class's name ends with, the first that fits: ResearchProject, EducationEvent, BlogPosting, ScholarlyArticle.
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
_WORDS = _names("keywords", "about", "genre", "articleSection", "category")
_WHERE = _names("location", "areaServed", "spatialCoverage", "contentLocation", "locationCreated", "serviceArea")
_LEADS, _PARTNERS = (
    _names("organizer", "publisher", "provider", "parentOrganization", "producer"),
    _names("member", "contributor", "creator", "author", "sourceOrganization", "performer", "partner"),
)
_FUNDERS = _names("funder", "sponsor")
_RELATED = _names(
    "isPartOf", "hasPart", "superEvent", "subEvent", "citation", "isBasedOn", "subjectOf", "workFeatured", "about", "mentions"
)
_NAMESPACE = iri("schema:x")[:-1]


def reader(source: Source, words: Crosswalks) -> Callable[[Record[Graph]], Resource]:
    """Give the function that reads a thing; it raises ParseError on one without a name, or of a class that is none of the four kinds."""
    lexicon = CrosswalkLookup(words)
    forced = get_option(source, OPTIONS, "kind")

    def read(record: Record[Graph]) -> Resource:
        said = GraphReader(record.payload, source.language)
        classes = _classes(said, record.payload.subject)
        kind = KINDS[forced] if forced else _kind(record.key, classes)
        titles = parse_titles(said.texts(*_names("name")) or said.texts(*_names("headline", "alternateName")))
        if not titles:
            raise ParseError(f"{record.key}: a {' and '.join(classes) or 'thing of no class'} without a name")
        subjects = lexicon.parse_subjects(split_values(said.words(*_WORDS), ","))
        tags = {part: tag for text, tag in said.texts(*_WORDS) for part in split_values([text], ",")}
        return kind(
            key=record.key,
            titles=titles,
            descriptions=parse_titles(
                said.texts(*_names("description"), form=normalize_block) or said.texts(*_names("abstract"), form=normalize_block)
            ),
            identifiers=unique_non_contact(text for text in _identifiers(said) if text != record.key),
            pages=unique_non_contact(
                said.links(*_names("url", "mainEntityOfPage")) or [link for link in [record.key] if unique_urls([link])]
            ),
            languages=tuple(dict.fromkeys(parse_language(word) or word for word in said.words(*_names("inLanguage", "availableLanguage")))),
            licence=next(iter(said.links(*_names("license"))), None) or said.first(*_names("license")),
            issued=said.date(*_names("datePublished", "dateCreated", "foundingDate")),
            modified=said.date(*_names("dateModified")),
            countries=_lands(said, lexicon),
            parties=_parties(said),
            action_lines=subjects.lines,
            goals=subjects.goals,
            targets=subjects.targets,
            subjects=tuple(parse_name(word, tags.get(word)) for word in subjects.unmatched),
            related=_related(said, source, words),
            **_own(kind, said, classes, lexicon),
        )

    return read


def _classes(said: GraphReader, node: Term) -> list[str]:
    """Give the classes of schema.org that a node has, by their names."""
    return sorted(name.removeprefix(_NAMESPACE) for name in said.graph.types(node) if name.startswith(_NAMESPACE))


def _known(classes: list[str]) -> type[Resource] | None:
    return next((kind for end, kind in _KINDS if any(name.endswith(end) for name in classes)), None)


def _related(said: GraphReader, source: Source, words: Crosswalks) -> tuple[str, ...]:
    """Give what it is related to: things of one of the four kinds by our own addresses, as they are records too; others by theirs."""
    found: list[str] = []
    for term in said.graph.all(said.graph.subject, *_RELATED):
        if isinstance(term, NamedNode):
            kind = _known(_classes(said, term))
            found.append(words.iris.thing(KIND[kind], source.name, term.value) if kind else term.value)
        elif isinstance(term, Literal):
            found.append(term.value)
    return unique_urls(found)


def _kind(key: str, classes: list[str]) -> type[Resource]:
    if kind := _known(classes):
        return kind
    told = " and ".join(classes) or "of no class of schema.org"
    raise ParseError(f"{key}: it is {told}, which is none of the four kinds; set the option `kind`")


def _identifiers(said: GraphReader) -> list[str]:
    """Give identifiers, also those that are written as a PropertyValue."""
    found: list[str] = []
    for term in said.graph.all(said.graph.subject, *_names("identifier")):
        found += said.words(*_names("value"), of=term) or [said.word(term)]
    return found


def _parties(said: GraphReader) -> tuple[Party, ...]:
    """Give the first organizer, publisher or provider as lead, the others as partners; persons are left out."""
    leads = [party for name in _LEADS for party in said.parties(Role.LEAD, name)]
    found = [*leads[:1], *(party._replace(role=Role.PARTNER) for party in leads[1:]), *said.parties(Role.PARTNER, *_PARTNERS)]
    told: dict[str, Party] = {}
    for party in found:
        told.setdefault(party.name.value, party)
    return tuple(dict.fromkeys([*told.values(), *said.parties(Role.FUNDER, *_FUNDERS)]))


def _lands(said: GraphReader, lexicon: CrosswalkLookup) -> tuple[str, ...]:
    """Give the countries: of an address, else what is named where a country may stand and is known to be one."""
    found: dict[str, None] = {}
    for place in said.graph.all(said.graph.subject, *_WHERE):
        for address in [place, *said.graph.all(place, *_names("address"))]:
            for term in said.graph.all(address, *_names("addressCountry")):
                found[lexicon.country(said.word(term))] = None
        if land := lexicon.find_country(said.word(place)):
            found[land] = None
    return tuple(found)


def _own(kind: type[Resource], said: GraphReader, classes: list[str], lexicon: CrosswalkLookup) -> dict[str, Any]:
    if kind is Post:
        container = said.links(*_names("isPartOf"))
        return {
            "content": next(iter(parse_titles(said.texts(*_names("articleBody", "text"), form=normalize_block))), None),
            "container": container[0] if container else None,
        }
    if kind is Document:
        return {"kind": next((_NAMESPACE + name for name in classes), None)}
    start, end = said.date(*_names("startDate", "foundingDate")), said.date(*_names("endDate", "dissolutionDate"))
    if not start and (span := parse_interval(said.first(*_names("temporalCoverage")) or "")):
        start, end = span
    own: dict[str, Any] = {"start": start, "end": end, "places": tuple(said.places(*_WHERE))}
    if kind is Event:
        gone = any(word.endswith("EventCancelled") for word in said.words(*_names("eventStatus")))
        return {**own, "venue": _venue(said), "cancelled": gone}
    types = {activity for end, activity in _ACTIVITIES.items() if any(name.endswith(end) for name in classes)}
    return {**own, "activity_types": tuple(map(lexicon.activity_type, sorted(types)))}


def _venue(said: GraphReader) -> Any:
    """Name where an event takes place: the place and its town, or its address on the web."""
    for place in said.graph.all(said.graph.subject, *_names("location")):
        names = said.texts(*_names("name"), of=place) or ([(said.word(place), said.tag)] if said.word(place) else [])
        towns = [text for it in said.graph.all(place, *_names("address")) for text, _ in _address(said, it)]
        links = [(link, None) for link in said.links(*_names("url"), of=place)]
        if names or towns:
            name, tag = names[0] if names else (towns.pop(0), said.tag)
            return parse_name(", ".join(dict.fromkeys([name, *towns])), tag)
        if links:
            return parse_name(*links[0])
    return None


def _address(said: GraphReader, address: Any) -> list[tuple[str, str | None]]:
    parts = said.texts(*_names("addressLocality"), of=address)
    return parts or ([(said.word(address), said.tag)] if said.word(address) and not said.graph.properties.get(address) else [])
