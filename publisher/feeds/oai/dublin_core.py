"""Write a record as Dublin Core, which every OAI-PMH harvester reads
(http://www.openarchives.org/OAI/2.0/oai_dc.xsd).
"""

from __future__ import annotations

from collections.abc import Iterator

from publisher.feeds.record_metadata import RecordMetadata
from publisher.feeds.xml_writing import element

_HEAD = (
    '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/oai_dc/ http://www.openarchives.org/OAI/2.0/oai_dc.xsd">'
)


def write(metadata: RecordMetadata) -> str:
    """Write a record's element."""
    return f"{_HEAD}{''.join(_elements(metadata))}</oai_dc:dc>"


def _elements(metadata: RecordMetadata) -> Iterator[str]:
    yield from (element("dc:title", text.value, xml_lang=text.language) for text in metadata.titles)
    yield from (
        element("dc:publisher", text.value, xml_lang=text.language) for text in metadata.leads
    )
    yield from (
        element("dc:contributor", text.value, xml_lang=text.language)
        for text in (*metadata.partners, *metadata.funders)
    )
    yield from (element("dc:subject", concept.name) for concept in metadata.concepts)
    yield from (
        element("dc:subject", text.value, xml_lang=text.language) for text in metadata.subjects
    )
    yield from (
        element("dc:description", text.value, xml_lang=text.language)
        for text in metadata.descriptions
    )
    yield from (
        element("dc:date", date)
        for date in (metadata.issued or metadata.modified, metadata.start and metadata.start.value)
        if date
    )
    if metadata.kind:
        yield element("dc:type", metadata.kind)
    yield from (
        element("dc:identifier", text)
        for text in dict.fromkeys((metadata.topic, *metadata.identifiers))
    )
    yield element("dc:source", metadata.record)
    yield from (element("dc:language", text) for text in metadata.languages)
    yield from (element("dc:relation", text) for text in metadata.pages)
    yield from (element("dc:coverage", country.name) for country in metadata.countries)
    yield from (element("dc:coverage", place.name) for place in metadata.places if place.name)
    if metadata.licence:
        yield element("dc:rights", metadata.licence)
