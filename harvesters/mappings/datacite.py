"""DataCite metadata, versions 2 to 4, as OAI-PMH delivers it, and the OpenAIRE guidelines based on
it.

Source: https://schema.datacite.org/meta/kernel-4.5/ and
https://openaire-guidelines-for-literature-repository-managers.readthedocs.io/
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

from lxml.etree import _Element

from harvesters.mappings.mapping import DocumentOptions
from harvesters.mappings.schema import (
    Entry,
    FieldTable,
    Part,
    Schema,
)
from harvesters.page_model import Payload, Record
from harvesters.payloads.paths import find_element
from harvesters.payloads.value_parsing import normalize_inline
from vocab.initiative import Role
from vocab.iris import is_web

# A contributor of these types is an organization, even if its nameType is missing.
_ROLES = {
    "HostingInstitution": Role.PARTNER,
    "Sponsor": Role.FUNDER,
    "Funder": Role.FUNDER,
    "RegistrationAuthority": Role.PARTNER,
}
_RELATED = {"url": "", "doi": "https://doi.org/", "handle": "https://hdl.handle.net/"}

Fields = dict[str, list[_Element]]

_find_resource = find_element(
    "resource",
    schema="a DataCite resource",
    hint="set the option 'prefix' to datacite or oai_datacite",
)


def _fields(table: FieldTable, record: Record[_Element]) -> Fields:
    """Return the elements of the resource by their names in any namespace, and those of its lists
    by the name of the list and theirs. Searching them by XPath takes three times as long.
    """
    fields: Fields = {}
    for node in _find_resource(table, record).iterchildren("*"):
        name = node.tag.rpartition("}")[2]
        fields.setdefault(name, []).append(node)
        for item in node.iterchildren("*"):
            fields.setdefault(f"{name}_{item.tag.rpartition('}')[2]}", []).append(item)
    return fields


def _first_stated(*names: str) -> Callable[[Fields], list[_Element]]:
    """Return the function that finds the first element with one of these names and a text."""
    return lambda fields: [
        node
        for name in names
        for node in fields.get(name, ())
        if "".join(map(str, node.itertext())).strip()
    ][:1]


def _inside(*names: str) -> Callable[[_Element], list[_Element]]:
    """Return the function that finds the children of an element with these names."""
    tags = [f"{{*}}{name}" for name in names]
    return lambda node: list(node.iterchildren(*tags))


def _all_inside(field: str, name: str) -> Callable[[Fields], list[_Element]]:
    find = _inside(name)
    return lambda fields: [*chain.from_iterable(map(find, fields.get(field, ())))]


def _attributes(field: str, name: str) -> Callable[[Fields], list[str]]:
    return lambda fields: [node.get(name, "") for node in fields.get(field, ())]


def _with(field: str, attribute: str, *values: str | None) -> Callable[[Fields], list[_Element]]:
    """Return the function that finds the elements whose attribute has one of *values*."""
    return lambda fields: [node for node in fields.get(field, ()) if node.get(attribute) in values]


def _addresses(field: str, kind: str, *, known: bool = False) -> Callable[[Fields], list[str]]:
    """Return the function that reads identifiers, DOIs and handles as their addresses; if *known*
    only those of a type that has addresses.
    """

    def read(fields: Fields) -> list[str]:
        addresses = []
        for node in fields.get(field, ()):
            text, prefix = normalize_inline(node.text), _RELATED.get(node.get(kind, "").lower())
            if text and (prefix is not None or not known):
                addresses.append(text if is_web(text) else f"{prefix or ''}{text}")
        return addresses

    return read


def _organizations(fields: Fields) -> list[_Element]:
    """Return the creators and contributors that are organizations. Others may be persons."""
    parties = [*fields.get("creators_creator", ()), *fields.get("contributors_contributor", ())]
    return [
        party
        for party in parties
        if party.get("contributorType") in _ROLES
        or any(name.get("nameType") == "Organizational" for name in _names(party))
    ]


def _assigned(party: _Element) -> list[str]:
    """Return the identifiers of an organization, each with the scheme that the record names unless
    it is an address.
    """
    return [
        text if is_web(text) else f"{scheme}: {text}".removeprefix(": ")
        for node in party.iterchildren("{*}nameIdentifier", "{*}funderIdentifier")
        if (text := normalize_inline(node.text))
        for scheme in [node.get("nameIdentifierScheme") or node.get("funderIdentifierType") or ""]
    ]


_names = _inside("creatorName", "contributorName")
_IDENTIFIERS: list[Entry] = [
    _addresses("identifier", "identifierType"),
    _addresses("alternateIdentifiers_alternateIdentifier", "alternateIdentifierType"),
]
MAPPING = Schema(
    Payload.XML,
    {
        "title": (_with("titles_title", "titleType", None), "titles_title"),
        "description": (
            [
                _with("descriptions_description", "descriptionType", "Abstract"),
                _with("description", "descriptionType", "Abstract"),
            ],
            _first_stated("descriptions_description", "description"),
        ),
        "identifiers": _IDENTIFIERS,
        "addresses": _IDENTIFIERS,
        "languages": "language",
        "licences": [
            _attributes("rightsList_rights", "rightsURI"),
            _attributes("rights", "rightsURI"),
            _attributes("licenseCondition", "uri"),
            "rightsList_rights",
            "rights",
            "licenseCondition",
        ],
        "issued": (
            *(
                _with("dates_date", "dateType", kind)
                for kind in ("Issued", "Available", "Created", "Submitted")
            ),
            "publicationYear",
        ),
        "modified": _with("dates_date", "dateType", "Updated"),
        "start": _with("dates_date", "dateType", "Valid"),
        "country_names": _all_inside("geoLocations_geoLocation", "geoLocationPlace"),
        "keywords": "subjects_subject",
        "related_addresses": _addresses(
            "relatedIdentifiers_relatedIdentifier", "relatedIdentifierType", known=True
        ),
        "creators": _all_inside("creators_creator", "creatorName"),
        "type": (
            _attributes("resourceType", "uri"),
            _attributes("resourceType", "resourceTypeGeneral"),
            "resourceType",
        ),
    },
    {
        "periods": [
            Part(
                _with("dates_date", "dateType", "Coverage", "Collected"),
                {"start": lambda date: [date]},
            )
        ],
        "places": [
            Part(
                "geoLocations_geoLocation",
                {
                    "place": _inside("geoLocationPlace"),
                    "latitude": lambda place: list(place.iter("{*}pointLatitude")),
                    "longitude": lambda place: list(place.iter("{*}pointLongitude")),
                },
            )
        ],
        "parties": [
            Part(_first_stated("publisher"), {"name": lambda publisher: [publisher]}, Role.LEAD),
            Part(
                _organizations,
                {
                    "name": _names,
                    "role": lambda party: [party.get("contributorType", "")],
                    "identifiers": _assigned,
                },
                roles={name.lower(): role for name, role in _ROLES.items()},
            ),
            Part(
                "fundingReferences_fundingReference",
                {"name": _inside("funderName"), "identifiers": _assigned},
                Role.FUNDER,
            ),
        ],
    },
    root=_fields,
    payload_type=Payload.ROW,
    options=DocumentOptions,
    untagged=frozenset({"creators"}),
).mapping()
