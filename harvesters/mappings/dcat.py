"""DCAT 2 and 3 and their application profiles: datasets, services, series and other resources.

Source: https://www.w3.org/TR/vocab-dcat-3/ and https://semiceu.github.io/DCAT-AP/releases/3.0.0/
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from pydantic import Field

from harvesters.errors import ParseError
from harvesters.mappings.mapping import Kind, RecordMapping
from harvesters.options import Options
from harvesters.page_model import Payload, Record
from harvesters.payloads.crosswalk_lookup import (
    CrosswalkLookup,
    Subjects,
    classify_words,
    merge_subjects,
)
from harvesters.payloads.graph import Graph, Term, iri
from harvesters.payloads.graph_reader import LABELS, GraphReader
from harvesters.payloads.value_parsing import (
    KINDS,
    normalize_block,
    parse_checksum,
    parse_interval,
    parse_languages,
    parse_name,
    parse_size,
    parse_titles,
    unique_non_contact,
    unique_urls,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import (
    Checksum,
    Document,
    Event,
    File,
    Initiative,
    Party,
    Period,
    Resource,
    Role,
    Text,
)


class DcatOptions(Options):
    """The options of a source with this mapping."""

    kind: Kind = Field(
        "document",
        description="The class of the resources: `initiative`, `event`, `document` or `post`.",
    )


def _iris(*names: str) -> tuple[str, ...]:
    return tuple(map(iri, names))


_TITLE = (iri("dct:title"), iri("doap:name"), *LABELS)
_TEXT = _iris(
    "dct:description",
    "dct:abstract",
    "doap:description",
    "doap:shortdesc",
    "schema:description",
    "dc:description",
    "rdfs:comment",
)
_DATA_THEME = "http://publications.europa.eu/resource/authority/data-theme/"
_THEMES, _SORTS = _iris("dcat:theme", "dct:subject"), _iris("dct:type")
_WORDS = _iris(
    "dcat:keyword", "dcat:theme", "dct:subject", "dc:subject", "foaf:topic", "foaf:theme"
)
_PAGES = _iris("dcat:landingPage", "foaf:page", "foaf:homepage", "doap:homepage")
_FILES = _iris("dcat:accessURL", "dcat:downloadURL")
_FORMATS = _iris("dcat:mediaType", "dct:format")
_SPATIAL, _TEMPORAL = _iris("dct:spatial"), _iris("dct:temporal")
_START, _END = _iris("dcat:startDate", "schema:startDate"), _iris("dcat:endDate", "schema:endDate")
_RELATED = _iris("dct:relation", "dct:isReferencedBy", "dct:references", "dct:isVersionOf")
_WHOLES = _iris("dct:isPartOf", "dcat:inSeries")
# Classes that say what a resource is, if dct:type does not.
_CLASSES = frozenset(
    _iris("dcat:Dataset", "dcat:DataService", "dcat:DatasetSeries", "dcat:Catalog")
)
_PARTNERS = _iris("dct:creator", "dct:contributor")
_FUNDERS = _iris("schema:funder", "foaf:fundedBy")


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Graph]], Resource]:
    """Return the function that maps a resource. It raises ParseError for one without title and
    description.
    """
    lexicon = CrosswalkLookup(crosswalks)
    kind = KINDS[DcatOptions.of(source).kind]

    return partial(
        _map_record, language=source.language, kind=kind, lexicon=lexicon, crosswalks=crosswalks
    )


def _map_record(
    record: Record[Graph],
    language: str | None,
    kind: type[Resource],
    lexicon: CrosswalkLookup,
    crosswalks: Crosswalks,
) -> Resource:
    graph_reader = GraphReader(record.payload, language)
    titles = parse_titles(_first_title(graph_reader))
    texts = parse_titles(_first_description(graph_reader))
    if not titles and not texts:
        raise _no_resource(record)
    themes = [
        theme
        for theme in unique_urls(graph_reader.links(*_THEMES))
        if not lexicon.goal(theme) and not lexicon.target(theme)
    ]
    parties = _parties(graph_reader)
    subjects = _subjects(graph_reader, themes, lexicon, crosswalks)
    tags = dict(graph_reader.texts(*_WORDS))
    return kind(
        key=record.key,
        titles=titles,
        descriptions=texts,
        identifiers=_identifiers(graph_reader, record.key),
        pages=_pages(graph_reader),
        languages=parse_languages(graph_reader.words(*_iris("dct:language", "dc:language"))),
        licences=_licences(graph_reader),
        issued=graph_reader.date(*_iris("dct:issued", "dct:created")),
        modified=graph_reader.date(iri("dct:modified")),
        countries=graph_reader.countries(lexicon, *_SPATIAL),
        parties=parties,
        action_lines=subjects.lines,
        goals=subjects.goals,
        targets=subjects.targets,
        subjects=tuple(parse_name(word, tags.get(word)) for word in subjects.unmatched),
        themes=tuple(themes),
        files=tuple(_files(graph_reader)),
        contacts=tuple(graph_reader.contacts(parties, iri("dcat:contactPoint"))),
        related=unique_urls(graph_reader.links(*_RELATED)),
        part_of=unique_urls(graph_reader.links(*_WHOLES)),
        **_coverage_and_use(graph_reader),
        **_class_fields(kind, graph_reader),
    )


def _coverage_and_use(graph_reader: GraphReader) -> dict[str, Any]:
    """Return what a resource is about, and how it may be used."""
    return {
        "periods": tuple(_periods(graph_reader)),
        "conforms_to": tuple(graph_reader.words(iri("dct:conformsTo"))),
        "access_rights": graph_reader.first(iri("dct:accessRights")),
        "frequency": graph_reader.first(iri("dct:accrualPeriodicity")),
    }


def _no_resource(record: Record[Graph]) -> ParseError:
    properties = ", ".join(record.payload.properties.get(record.payload.subject, {}))[:200]
    return ParseError(f"{record.key}: no DCAT title or description, only {properties or 'nothing'}")


def _subjects(
    graph_reader: GraphReader,
    themes: Collection[str],
    lexicon: CrosswalkLookup,
    crosswalks: Crosswalks,
) -> Subjects:
    """Return what keywords mean, and the goals of those *themes* that are data themes of the
    European Union.
    """
    words = (word for word in graph_reader.words(*_WORDS) if word not in themes)
    find = partial(crosswalks.find_all, "eu-data-theme")
    european = (theme for theme in themes if theme.startswith(_DATA_THEME))
    classified = classify_words(
        european,
        crosswalks.iris.scheme("eu-data-theme"),
        lambda theme: find(theme.removeprefix(_DATA_THEME)),
    )
    return merge_subjects(lexicon.parse_subjects(words), classified._replace(unmatched=()))


def _first_title(graph_reader: GraphReader) -> list[tuple[str, str | None]]:
    """Return the texts of the first property that names the resource."""
    return next((texts for name in _TITLE if (texts := graph_reader.texts(name))), [])


def _first_description(graph_reader: GraphReader) -> list[tuple[str, str | None]]:
    return next(
        (texts for name in _TEXT if (texts := graph_reader.texts(name, form=normalize_block))), []
    )


def _identifiers(graph_reader: GraphReader, key: str) -> tuple[str, ...]:
    identifiers = [*graph_reader.words(iri("dct:identifier"))]
    for term in graph_reader.graph.all(graph_reader.graph.subject, iri("adms:identifier")):
        identifiers += graph_reader.words(iri("skos:notation"), node=term) or [
            graph_reader.word(term)
        ]
    return unique_non_contact(text for text in identifiers if text != key)


def _pages(graph_reader: GraphReader) -> tuple[str, ...]:
    """Return the landing pages, else the addresses of the files."""
    pages = graph_reader.links(*_PAGES)
    files = graph_reader.graph.all(graph_reader.graph.subject, iri("dcat:distribution"))
    return unique_non_contact(
        pages or [link for file in files for link in graph_reader.links(*_FILES, node=file)]
    )


def _licences(graph_reader: GraphReader) -> tuple[str, ...]:
    """Return the addresses of the resource's licences, else of its files', else a name."""
    files = graph_reader.graph.all(graph_reader.graph.subject, iri("dcat:distribution"))
    of_files = (
        link for file in files for link in graph_reader.links(iri("dct:license"), node=file)
    )
    named = graph_reader.first(iri("dct:license"))
    own = graph_reader.links(iri("dct:license")) or graph_reader.links(iri("dct:rights"))
    return unique_urls(own) or unique_urls(of_files) or ((named,) if named else ())


def _files(graph_reader: GraphReader) -> Iterator[File]:
    """Yield the distributions that have an address."""
    graph = graph_reader.graph
    for node in graph.all(graph.subject, iri("dcat:distribution")):
        access, download = (
            next(iter(unique_urls(graph_reader.links(iri(f"dcat:{name}URL"), node=node))), None)
            for name in ("access", "download")
        )
        if access or download:
            yield File(
                access,
                download,
                parse_titles(graph_reader.texts(iri("dct:title"), node=node)),
                _format(graph_reader, node),
                next(iter(unique_urls(graph_reader.links(iri("dct:license"), node=node))), None),
                parse_titles(
                    graph_reader.texts(iri("dct:description"), node=node, form=normalize_block)
                ),
                next(
                    (
                        parse_size(word)
                        for word in graph_reader.words(iri("dcat:byteSize"), node=node)
                    ),
                    None,
                ),
                _checksum(graph_reader, node),
            )


def _format(graph_reader: GraphReader, file: Term) -> str | None:
    """Return the media type of a file, else its format; a format of older profiles is a node with a
    value.
    """
    nodes = graph_reader.graph.all(file, *_FORMATS)
    words = (
        word
        for node in nodes
        for word in (graph_reader.word(node), *graph_reader.words(iri("rdf:value"), node=node))
    )
    return next(filter(None, words), None)


def _checksum(graph_reader: GraphReader, file: Term) -> Checksum | None:
    for node in graph_reader.graph.all(file, iri("spdx:checksum")):
        digits, algorithm = (
            next(iter(graph_reader.words(iri(f"spdx:{name}"), node=node)), "")
            for name in ("checksumValue", "algorithm")
        )
        if checksum := parse_checksum(digits, algorithm):
            return checksum
    return None


def _parties(graph_reader: GraphReader) -> tuple[Party, ...]:
    """Return the publisher as lead, creating organizations as partners, and funders. Persons are
    left out.
    """
    leads = list(graph_reader.parties(Role.LEAD, iri("dct:publisher")))
    parties = [*leads[:1], *(party._replace(role=Role.PARTNER) for party in leads[1:])]
    known = {party.name.value for party in parties}
    partners = list(graph_reader.parties(Role.PARTNER, *_PARTNERS))
    for attribution in graph_reader.graph.all(
        graph_reader.graph.subject, iri("prov:qualifiedAttribution")
    ):
        partners += graph_reader.parties(Role.PARTNER, iri("prov:agent"), node=attribution)
    parties += [party for party in partners if party.name.value not in known]
    return tuple(dict.fromkeys([*parties, *graph_reader.parties(Role.FUNDER, *_FUNDERS)]))


def _class_fields(kind: type[Resource], graph_reader: GraphReader) -> dict[str, Any]:
    if kind is Document:
        return {"kind": _sort(graph_reader), "creators": _creators(graph_reader)}
    if kind not in {Initiative, Event}:
        return {}
    return {
        "start": graph_reader.date(*_START),
        "end": graph_reader.date(*_END),
        "places": tuple(graph_reader.places(*_SPATIAL)),
    }


def _sort(graph_reader: GraphReader) -> str | None:
    """Return the type of a document: the IRI or text of dct:type, else its class in DCAT."""
    classes = sorted(graph_reader.graph.types(graph_reader.graph.subject) & _CLASSES)
    return next(iter([*graph_reader.links(*_SORTS), *graph_reader.words(*_SORTS), *classes]), None)


def _creators(graph_reader: GraphReader) -> tuple[Text, ...]:
    """Return the names of the creators, persons too, without their contacts."""
    return parse_titles(graph_reader.texts(iri("dct:creator")))


def _periods(graph_reader: GraphReader) -> Iterator[Period]:
    """Yield the periods in dct:temporal: nodes with a start or an end, or intervals as texts."""
    for term in graph_reader.graph.all(graph_reader.graph.subject, *_TEMPORAL):
        start, end = graph_reader.date(*_START, node=term), graph_reader.date(*_END, node=term)
        if start or end:
            yield Period(start, end)
        elif period := parse_interval(graph_reader.word(term)):
            yield Period(*period)


MAPPING = RecordMapping(
    build_mapper, frozenset({Payload.GRAPH}), kind="document", options=DcatOptions
)
