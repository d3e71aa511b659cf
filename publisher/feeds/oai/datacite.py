"""Write a record in DataCite's metadata schema 4.5 (https://schema.datacite.org/meta/kernel-4.5/)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from publisher.feeds.record_metadata import RecordMetadata
from publisher.feeds.xml_writing import element, empty

_HEAD = (
    '<resource xmlns="http://datacite.org/schema/kernel-4" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://datacite.org/schema/kernel-4 http://schema.datacite.org/meta/kernel-4.5/metadata.xsd">'
)
_WRAPPER = '<oai_datacite xmlns="http://schema.datacite.org/oai/oai-1.1/">'
_SYMBOL = "WSIS.STOCKTAKING"
# resourceTypeGeneral has no word for a project before 4.6.
_GENERAL = {"initiative": "Other", "event": "Event", "document": "Text", "post": "Text"}
_YEAR = re.compile(r"\d{4}", re.ASCII)
_NONE = "(:unav)"  # DataCite's code for an unavailable value (appendix 3)


def write(metadata: RecordMetadata) -> str:
    """Return the element of a record; missing mandatory properties have DataCite's code for
    unavailable values.
    """
    return f"{_HEAD}{''.join(_properties(metadata))}</resource>"


def wrapped(metadata: RecordMetadata) -> str:
    """Return the element in the envelope that DataCite's own provider uses."""
    header = element("schemaVersion", "4.5") + element("datacentreSymbol", _SYMBOL)
    return f"{_WRAPPER}{header}<payload>{write(metadata)}</payload></oai_datacite>"


def _properties(metadata: RecordMetadata) -> Iterator[str]:
    yield element("identifier", metadata.topic, identifierType="URL")
    yield from _creators_and_titles(metadata)
    yield element("publisher", metadata.leads[0].value if metadata.leads else metadata.source)
    yield element("publicationYear", _year(metadata))
    yield element(
        "resourceType",
        metadata.kind or "record",
        resourceTypeGeneral=_GENERAL.get(metadata.kind, "Other"),
    )
    yield _wrap("subjects", _subjects(metadata))
    yield _wrap("contributors", _contributors(metadata))
    yield _wrap("dates", _dates(metadata))
    if metadata.languages:
        yield element("language", metadata.languages[0])
    others = dict.fromkeys(metadata.identifiers)
    yield _wrap(
        "alternateIdentifiers",
        (element("alternateIdentifier", text, alternateIdentifierType="local") for text in others),
    )
    pages = (
        element(
            "relatedIdentifier", page, relatedIdentifierType="URL", relationType="IsDescribedBy"
        )
        for page in metadata.pages
    )
    yield _wrap("relatedIdentifiers", pages)
    if metadata.licence:
        yield _wrap("rightsList", [empty("rights", rightsURI=metadata.licence)])
    described = (
        element("description", text.value, descriptionType="Abstract", xml_lang=text.language)
        for text in metadata.descriptions
    )
    yield _wrap("descriptions", described)
    yield _wrap_each("geoLocations", "geoLocation", _geo_locations(metadata))
    yield _wrap_each(
        "fundingReferences",
        "fundingReference",
        (element("funderName", text.value) for text in metadata.funders),
    )


def _creators_and_titles(metadata: RecordMetadata) -> Iterator[str]:
    creators = [
        element("creatorName", text.value, nameType="Organizational") for text in metadata.leads
    ]
    yield _wrap_each("creators", "creator", creators or [element("creatorName", _NONE)])
    titles = (element("title", text.value, xml_lang=text.language) for text in metadata.titles)
    yield _wrap("titles", titles) or _wrap("titles", [element("title", _NONE)])


def _contributors(metadata: RecordMetadata) -> Iterator[str]:
    for text in metadata.partners:
        name = element("contributorName", text.value, nameType="Organizational")
        yield f'<contributor contributorType="Other">{name}</contributor>'


def _subjects(metadata: RecordMetadata) -> Iterator[str]:
    yield from (
        element("subject", concept.name, valueURI=concept.iri) for concept in metadata.concepts
    )
    yield from (
        element("subject", text.value, xml_lang=text.language) for text in metadata.subjects
    )


def _dates(metadata: RecordMetadata) -> Iterator[str]:
    if metadata.issued:
        yield element("date", metadata.issued, dateType="Issued")
    if metadata.modified:
        yield element("date", metadata.modified, dateType="Updated")
    span = (
        "/".join(end.value if end else "" for end in (metadata.start, metadata.end))
        if metadata.end
        else metadata.start.value
        if metadata.start
        else ""
    )
    if span:
        yield element("date", span, dateType="Valid")


def _geo_locations(metadata: RecordMetadata) -> Iterator[str]:
    for place in metadata.places:
        point = element("pointLongitude", place.longitude) + element(
            "pointLatitude", place.latitude
        )
        named = element("geoLocationPlace", place.name) if place.name else ""
        yield f"{named}<geoLocationPoint>{point}</geoLocationPoint>"
    yield from (element("geoLocationPlace", country.name) for country in metadata.countries)


def _year(metadata: RecordMetadata) -> str:
    """Return the year of publication, or the nearest year that is known."""
    dates = (metadata.issued, metadata.start and metadata.start.value, metadata.modified)
    return next((match[0] for date in dates if date and (match := _YEAR.match(date))), "0000")


def _wrap(name: str, parts: Iterable[str]) -> str:
    inner = "".join(parts)
    return f"<{name}>{inner}</{name}>" if inner else ""


def _wrap_each(name: str, each: str, parts: Iterable[str]) -> str:
    return _wrap(name, (f"<{each}>{part}</{each}>" for part in parts))
