"""DCAT 2 and 3 and their application profiles: datasets, services, series and whatever else is described in their terms.

Source: https://www.w3.org/TR/vocab-dcat-3/ and https://semiceu.github.io/DCAT-AP/releases/3.0.0/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harvesters.errors import ParseError
from harvesters.option_schema import Option, get_option
from harvesters.page_model import Record
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.graph import Graph, iri
from harvesters.payloads.graph_reader import LABELS, GraphReader
from harvesters.payloads.value_parsing import (
    KINDS,
    normalize_block,
    parse_interval,
    parse_language,
    parse_name,
    parse_titles,
    unique_non_contact,
    unique_urls,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Document, Event, Initiative, Party, Resource, Role

OPTIONS: Mapping[str, Option] = {
    "kind": Option(str, "document", "What the resources are: `initiative`, `event`, `document` or `post`."),
}


def _names(*names: str) -> tuple[str, ...]:
    return tuple(map(iri, names))


_TITLE = (iri("dct:title"), iri("doap:name"), *LABELS)
_TEXT = _names(
    "dct:description", "dct:abstract", "doap:description", "doap:shortdesc", "schema:description", "dc:description", "rdfs:comment"
)
_WORDS = _names("dcat:keyword", "dcat:theme", "dct:subject", "dc:subject", "foaf:topic", "foaf:theme")
_PAGES = _names("dcat:landingPage", "foaf:page", "foaf:homepage", "doap:homepage")
_FILES = _names("dcat:accessURL", "dcat:downloadURL")
_SPATIAL, _TEMPORAL = _names("dct:spatial"), _names("dct:temporal")
_START, _END = _names("dcat:startDate", "schema:startDate"), _names("dcat:endDate", "schema:endDate")
_RELATED = _names("dct:relation", "dct:isReferencedBy", "dct:references", "dct:isPartOf", "dcat:inSeries", "dct:isVersionOf")
_PARTNERS, _FUNDERS = _names("dct:creator", "dct:contributor", "prov:qualifiedAttribution"), _names("schema:funder", "foaf:fundedBy")


def reader(source: Source, words: Crosswalks) -> Callable[[Record[Graph]], Resource]:
    """Give the function that reads a resource; it raises ParseError on one of which nothing is said that DCAT knows."""
    lexicon = CrosswalkLookup(words)
    kind = KINDS[get_option(source, OPTIONS, "kind")]

    def read(record: Record[Graph]) -> Resource:
        said = GraphReader(record.payload, source.language)
        titles, texts = parse_titles(_one_name(said)), parse_titles(_one_text(said))
        if not titles and not texts:
            told = ", ".join(record.payload.properties.get(record.payload.subject, {}))[:200]
            raise ParseError(f"{record.key}: neither a title nor a description in terms of DCAT, only {told or 'nothing'}")
        subjects = lexicon.parse_subjects(said.words(*_WORDS))
        tags = dict(said.texts(*_WORDS))
        return kind(
            key=record.key,
            titles=titles,
            descriptions=texts,
            identifiers=_identifiers(said, record.key),
            pages=_pages(said),
            languages=tuple(dict.fromkeys(parse_language(word) or word for word in said.words(iri("dct:language")))),
            licence=_licence(said),
            issued=said.date(*_names("dct:issued", "dct:created")),
            modified=said.date(iri("dct:modified")),
            countries=said.countries(lexicon, *_SPATIAL),
            parties=_parties(said),
            action_lines=subjects.lines,
            goals=subjects.goals,
            targets=subjects.targets,
            subjects=tuple(parse_name(word, tags.get(word)) for word in subjects.unmatched),
            related=unique_urls(said.links(*_RELATED)),
            **_own(kind, said),
        )

    return read


def _one_name(said: GraphReader) -> list[tuple[str, str | None]]:
    """Give the texts of the first property that names the resource."""
    return next((found for name in _TITLE if (found := said.texts(name))), [])


def _one_text(said: GraphReader) -> list[tuple[str, str | None]]:
    return next((found for name in _TEXT if (found := said.texts(name, form=normalize_block))), [])


def _identifiers(said: GraphReader, key: str) -> tuple[str, ...]:
    found = [*said.words(iri("dct:identifier"))]
    for term in said.graph.all(said.graph.subject, iri("adms:identifier")):
        found += said.words(iri("skos:notation"), of=term) or [said.word(term)]
    return unique_non_contact(text for text in found if text != key)


def _pages(said: GraphReader) -> tuple[str, ...]:
    """Give the landing pages, else where the files are."""
    found = said.links(*_PAGES)
    files = said.graph.all(said.graph.subject, iri("dcat:distribution"))
    return unique_non_contact(found or [link for file in files for link in said.links(*_FILES, of=file)])


def _licence(said: GraphReader) -> str | None:
    """Give the licence's address, of the resource or of all its files alike, else its name."""
    own = said.links(*_names("dct:license", "dct:rights"))
    if own:
        return own[0]
    files = said.graph.all(said.graph.subject, iri("dcat:distribution"))
    theirs = {tuple(said.links(iri("dct:license"), of=file)[:1]) for file in files}
    if len(theirs) == 1 and (only := theirs.pop()):
        return only[0]
    return said.first(iri("dct:license"))


def _parties(said: GraphReader) -> tuple[Party, ...]:
    """Give the publisher as lead, organizations that made or funded it as partners and funders; persons are left out."""
    leads = list(said.parties(Role.LEAD, iri("dct:publisher")))
    parties = [*leads[:1], *(party._replace(role=Role.PARTNER) for party in leads[1:])]
    known = {party.name.value for party in parties}
    parties += [party for party in said.parties(Role.PARTNER, *_PARTNERS) if party.name.value not in known]
    return tuple(dict.fromkeys([*parties, *said.parties(Role.FUNDER, *_FUNDERS)]))


def _own(kind: type[Resource], said: GraphReader) -> dict[str, Any]:
    if kind is Document:
        return {"kind": next(iter(said.links(iri("dct:type"))), None) or said.first(iri("dct:type"))}
    if kind not in {Initiative, Event}:
        return {}
    start, end = _span(said)
    return {"start": start, "end": end, "places": tuple(said.places(*_SPATIAL))}


def _span(said: GraphReader) -> tuple[str | None, str | None]:
    """Give the first period of dct:temporal, a node with a start or an end or an interval as a text; else the resource's own."""
    for term in said.graph.all(said.graph.subject, *_TEMPORAL):
        start, end = said.date(*_START, of=term), said.date(*_END, of=term)
        if start or end:
            return start, end
        if found := parse_interval(said.word(term)):
            return found
    return said.date(*_START), said.date(*_END)
