"""Map CERIF, as research information systems publish projects, events, publications, products and
patents by the OpenAIRE guidelines.

Source: https://openaire-guidelines-for-cris-managers.readthedocs.io/ (CERIF XML 1.1 and 1.2)
"""

from __future__ import annotations

from lxml.etree import QName, _Element

from harvesters.mappings.schema import (
    Entry,
    FieldTable,
    Part,
    Schema,
    doi_links,
    element_texts,
)
from harvesters.page_model import Payload
from harvesters.payloads.paths import find_element, find_elements
from vocab.initiative import Document, Event, Initiative, Resource, Role

_KINDS: dict[str, type[Resource]] = {"Project": Initiative, "Event": Event}
_ORGANIZATION: dict[str, Entry] = {
    "name": ("*:OrgUnit/*:Name", "*:DisplayName", "*:OrgUnit/*:Acronym"),
    "identifiers": "*:OrgUnit/*:RORID",
    "page": "*:OrgUnit/*:ElectronicAddress",
}


def _kind(_: FieldTable, entity: _Element) -> type[Resource]:
    return _KINDS.get(QName(entity).localname, Document)


def _creators(entity: _Element) -> list[str]:
    """Return the names of authors, creators and inventors: as displayed, else as family and first
    names.
    """
    names = []
    for person in find_elements(entity, "*:Authors/* | *:Creators/* | *:Inventors/*"):
        parts = element_texts(
            person, ".//*:PersonName/*:FamilyNames", ".//*:PersonName/*:FirstNames"
        )
        names.append(", ".join(element_texts(person, "*:DisplayName")[:1] or parts))
    return names


MAPPING = Schema(
    Payload.XML,
    {
        "title": ("*:Title", "*:Name"),
        "description": ("*:Abstract", "*:Description"),
        "identifiers": [
            "*:Acronym",
            "*:Identifier",
            "*:DOI",
            "*:Handle",
            "*:ISBN",
            "*:PatentNumber",
        ],
        "addresses": [doi_links("*:DOI"), "*:URL"],
        "languages": "*:Language",
        "licences": "*:License",
        "issued": ("*:PublicationDate", "*:ApprovalDate"),
        "start": "*:StartDate",
        "end": "*:EndDate",
        "countries": "*:Country",
        "venue": "*:Place",
        "keywords": ["*:Keyword", "*:Subject[starts-with(., 'http://metadata.un.org/sdg/')]"],
        "creators": _creators,
        "type": "*:Type",
    },
    {
        # Persons are left out, but for the creators of a document.
        "parties": [
            Part(
                "*:Consortium/*:Coordinator | *:Publishers/*:Publisher[not(*:Person)] | *:Organizer",
                _ORGANIZATION,
                Role.LEAD,
            ),
            Part("*:Consortium/*[not(self::*:Coordinator)] | *:Partner", _ORGANIZATION),
            Part("*:Funded/*:By | *:Sponsor", _ORGANIZATION, Role.FUNDER),
        ]
    },
    root=find_element(
        "Project",
        "Event",
        "Publication",
        "Product",
        "Patent",
        schema="a CERIF project, event, publication, product or patent",
        hint="set the option 'set' to the records that are",
    ),
    kind=_kind,
    untagged=frozenset({"creators"}),
    nothing=frozenset(),
).mapping()
