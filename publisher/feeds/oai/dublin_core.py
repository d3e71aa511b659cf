"""Dublin Core: a record in the one form that every OAI-PMH harvester reads (http://www.openarchives.org/OAI/2.0/oai_dc.xsd)."""

from __future__ import annotations

from collections.abc import Iterator

from publisher.feeds.record_metadata import RecordMetadata
from publisher.feeds.xml_writing import element

_HEAD = (
    '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
    'xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/oai_dc/ http://www.openarchives.org/OAI/2.0/oai_dc.xsd">'
)


def write(it: RecordMetadata) -> str:
    """Write a record's element."""
    return f"{_HEAD}{''.join(_elements(it))}</oai_dc:dc>"


def _elements(it: RecordMetadata) -> Iterator[str]:
    yield from (element("dc:title", text.value, xml_lang=text.language) for text in it.titles)
    yield from (element("dc:publisher", text.value, xml_lang=text.language) for text in it.leads)
    yield from (element("dc:contributor", text.value, xml_lang=text.language) for text in (*it.partners, *it.funders))
    yield from (element("dc:subject", concept.name) for concept in it.concepts)
    yield from (element("dc:subject", text.value, xml_lang=text.language) for text in it.subjects)
    yield from (element("dc:description", text.value, xml_lang=text.language) for text in it.descriptions)
    yield from (element("dc:date", date) for date in (it.issued or it.modified, it.start and it.start.value) if date)
    if it.kind:
        yield element("dc:type", it.kind)
    yield from (element("dc:identifier", text) for text in dict.fromkeys((it.topic, *it.identifiers)))
    yield element("dc:source", it.record)
    yield from (element("dc:language", text) for text in it.languages)
    yield from (element("dc:relation", text) for text in it.pages)
    yield from (element("dc:coverage", country.name) for country in it.countries)
    yield from (element("dc:coverage", place.name) for place in it.places if place.name)
    if it.licence:
        yield element("dc:rights", it.licence)
