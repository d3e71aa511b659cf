"""DataCite: a record as DataCite's metadata schema 4.5 tells it (https://schema.datacite.org/meta/kernel-4.5/)."""

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
_NONE = "(:unav)"  # DataCite's own word for what is not known (appendix 3)


def write(it: RecordMetadata) -> str:
    """Write a record's element; what the schema must have and the record has not is told as unavailable."""
    return f"{_HEAD}{''.join(_properties(it))}</resource>"


def wrapped(it: RecordMetadata) -> str:
    """Write it in the envelope of DataCite's own provider."""
    told = element("schemaVersion", "4.5") + element("datacentreSymbol", _SYMBOL)
    return f"{_WRAPPER}{told}<payload>{write(it)}</payload></oai_datacite>"


def _properties(it: RecordMetadata) -> Iterator[str]:
    yield element("identifier", it.topic, identifierType="URL")
    creators = [element("creatorName", text.value, nameType="Organizational") for text in it.leads]
    yield _many("creators", "creator", creators or [element("creatorName", _NONE)])
    yield _listed("titles", (element("title", text.value, xml_lang=text.language) for text in it.titles)) or _listed(
        "titles", [element("title", _NONE)]
    )
    yield element("publisher", it.leads[0].value if it.leads else it.source)
    yield element("publicationYear", _year(it))
    yield element("resourceType", it.kind or "record", resourceTypeGeneral=_GENERAL.get(it.kind, "Other"))
    yield _listed("subjects", _subjects(it))
    partners = [element("contributorName", text.value, nameType="Organizational") for text in it.partners]
    yield "".join(
        ["<contributors>", *(f'<contributor contributorType="Other">{name}</contributor>' for name in partners), "</contributors>"]
        if partners
        else []
    )
    yield _listed("dates", _dates(it))
    if it.languages:
        yield element("language", it.languages[0])
    others = dict.fromkeys(it.identifiers)
    yield _listed("alternateIdentifiers", (element("alternateIdentifier", text, alternateIdentifierType="local") for text in others))
    pages = (element("relatedIdentifier", page, relatedIdentifierType="URL", relationType="IsDescribedBy") for page in it.pages)
    yield _listed("relatedIdentifiers", pages)
    if it.licence:
        yield _listed("rightsList", [empty("rights", rightsURI=it.licence)])
    described = (element("description", text.value, descriptionType="Abstract", xml_lang=text.language) for text in it.descriptions)
    yield _listed("descriptions", described)
    yield _many("geoLocations", "geoLocation", _spots(it))
    yield _many("fundingReferences", "fundingReference", (element("funderName", text.value) for text in it.funders))


def _subjects(it: RecordMetadata) -> Iterator[str]:
    yield from (element("subject", concept.name, valueURI=concept.iri) for concept in it.concepts)
    yield from (element("subject", text.value, xml_lang=text.language) for text in it.subjects)


def _dates(it: RecordMetadata) -> Iterator[str]:
    if it.issued:
        yield element("date", it.issued, dateType="Issued")
    if it.modified:
        yield element("date", it.modified, dateType="Updated")
    span = "/".join(end.value if end else "" for end in (it.start, it.end)) if it.end else it.start.value if it.start else ""
    if span:
        yield element("date", span, dateType="Valid")


def _spots(it: RecordMetadata) -> Iterator[str]:
    for place in it.places:
        point = element("pointLongitude", place.longitude) + element("pointLatitude", place.latitude)
        named = element("geoLocationPlace", place.name) if place.name else ""
        yield f"{named}<geoLocationPoint>{point}</geoLocationPoint>"
    yield from (element("geoLocationPlace", country.name) for country in it.countries)


def _year(it: RecordMetadata) -> str:
    """Give the year in which it was made known, as near as it is told."""
    dates = (it.issued, it.start and it.start.value, it.modified)
    return next((match[0] for date in dates if date and (match := _YEAR.match(date))), "0000")


def _listed(name: str, parts: Iterable[str]) -> str:
    inner = "".join(parts)
    return f"<{name}>{inner}</{name}>" if inner else ""


def _many(name: str, each: str, parts: Iterable[str]) -> str:
    return _listed(name, (f"<{each}>{part}</{each}>" for part in parts))
