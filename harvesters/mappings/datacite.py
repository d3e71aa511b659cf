"""DataCite metadata, versions 2 to 4, as OAI-PMH delivers it, and the OpenAIRE guidelines based on
it.

Source: https://schema.datacite.org/meta/kernel-4.5/ and
https://openaire-guidelines-for-literature-repository-managers.readthedocs.io/
"""

from __future__ import annotations

from collections.abc import Callable

from lxml.etree import _Element

from harvesters.mappings.schema import (
    DocumentOptions,
    Entry,
    Part,
    Schema,
    find_element,
    find_elements,
)
from harvesters.page_model import Payload
from harvesters.payloads.value_parsing import normalize_inline
from vocab.initiative import Role
from vocab.iris import is_web

# Contributor types that are organizations even if nameType is missing.
_ROLES = {
    "hostinginstitution": Role.PARTNER,
    "sponsor": Role.FUNDER,
    "funder": Role.FUNDER,
    "registrationauthority": Role.PARTNER,
}
_RELATED = {"url": "", "doi": "https://doi.org/", "handle": "https://hdl.handle.net/"}


def _addresses(path: str, kind: str, *, known: bool = False) -> Callable[[_Element], list[str]]:
    """Return the function that reads identifiers, DOIs and handles as their addresses; if *known*
    only those of a type that has addresses.
    """

    def read(resource: _Element) -> list[str]:
        addresses = []
        for node in find_elements(resource, path):
            text, prefix = normalize_inline(node.text), _RELATED.get(node.get(kind, "").lower())
            if text and (prefix is not None or not known):
                addresses.append(text if is_web(text) else f"{prefix or ''}{text}")
        return addresses

    return read


def _assigned(party: _Element) -> list[str]:
    """Return the identifiers of an organization, each with the scheme that the record names unless
    it is an address.
    """
    return [
        text if is_web(text) else f"{scheme}: {text}".removeprefix(": ")
        for node in find_elements(party, "*:nameIdentifier | *:funderIdentifier")
        if (text := normalize_inline(node.text))
        for scheme in [node.get("nameIdentifierScheme") or node.get("funderIdentifierType") or ""]
    ]


_NAMES: list[Entry] = [
    _addresses("*:identifier", "identifierType"),
    _addresses("*:alternateIdentifiers/*:alternateIdentifier", "alternateIdentifierType"),
]
SCHEMA = Schema(
    Payload.XML,
    {
        "title": ("*:titles/*:title[not(@titleType)]", "*:titles/*:title"),
        "description": (
            "*:descriptions/*:description[@descriptionType='Abstract'] | *:description[@descriptionType='Abstract']",
            "(*:descriptions/*:description | *:description)[normalize-space()][1]",
        ),
        "identifiers": _NAMES,
        "addresses": _NAMES,
        "languages": "*:language",
        "licences": [
            "(*:rightsList/*:rights | *:rights)/@rightsURI | *:licenseCondition/@uri",
            "*:rightsList/*:rights | *:rights | *:licenseCondition",
        ],
        "issued": (
            *(
                f"*:dates/*:date[@dateType='{kind}']"
                for kind in ("Issued", "Available", "Created", "Submitted")
            ),
            "*:publicationYear",
        ),
        "modified": "*:dates/*:date[@dateType='Updated']",
        "start": "*:dates/*:date[@dateType='Valid']",
        "country_names": "*:geoLocations/*:geoLocation/*:geoLocationPlace",
        "keywords": "*:subjects/*:subject",
        "related_addresses": _addresses(
            "*:relatedIdentifiers/*:relatedIdentifier", "relatedIdentifierType", known=True
        ),
        "creators": "*:creators/*:creator/*:creatorName",
        "type": ("*:resourceType/@uri", "*:resourceType/@resourceTypeGeneral", "*:resourceType"),
    },
    {
        "periods": [
            Part("*:dates/*:date[@dateType='Coverage' or @dateType='Collected']", {"start": "."})
        ],
        "places": [
            Part(
                "*:geoLocations/*:geoLocation",
                {
                    "place": "*:geoLocationPlace",
                    "latitude": ".//*:pointLatitude",
                    "longitude": ".//*:pointLongitude",
                },
            )
        ],
        "parties": [
            Part("*:publisher[normalize-space()][1]", {"name": "."}, Role.LEAD),
            Part(
                [
                    "*:creators/*:creator/*:creatorName[@nameType='Organizational']/..",
                    "*:contributors/*:contributor[*:contributorName/@nameType='Organizational' or contains("
                    "' HostingInstitution Sponsor Funder RegistrationAuthority ', concat(' ', @contributorType, ' '))]",
                ],
                {
                    "name": "*:creatorName | *:contributorName",
                    "role": "@contributorType",
                    "identifiers": _assigned,
                },
                roles=_ROLES,
            ),
            Part(
                "*:fundingReferences/*:fundingReference",
                {"name": "*:funderName", "identifiers": _assigned},
                Role.FUNDER,
            ),
        ],
    },
    root=find_element(
        "resource",
        schema="a DataCite resource",
        hint="set the option 'prefix' to datacite or oai_datacite",
    ),
    options=DocumentOptions,
    untagged=frozenset({"creators"}),
)
MAPPING = SCHEMA.mapping()
