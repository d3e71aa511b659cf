"""Map MODS, bibliographic descriptions that libraries publish by OAI-PMH.

Source: https://www.loc.gov/standards/mods/userguide/
"""

from __future__ import annotations

from lxml.etree import _Element

from harvesters.mappings.mapping import DocumentOptions
from harvesters.mappings.schema import (
    Entry,
    Part,
    Schema,
    element_texts,
)
from harvesters.page_model import Payload
from harvesters.payloads.paths import find_element, find_elements
from vocab.initiative import Role, Text

_ROLES = {
    **dict.fromkeys(("fnd", "funder", "spn", "sponsor"), Role.FUNDER),
    **dict.fromkeys(("pbl", "publisher", "isb", "issuing body"), Role.LEAD),
}
_AUTHORS = frozenset(("aut", "author", "cre", "creator"))


def _date(name: str) -> tuple[Entry, ...]:
    """Return the paths of a date: those for machines, which state their encoding, go first."""
    start = f"mods:originInfo/mods:{name}[not(@point='end')]"
    return f"{start}[@encoding]", start


def _titles(mods: _Element) -> list[Text]:
    """Return titles with their articles and subtitles; of other types (abbreviated, uniform) only
    translations.
    """
    titles = []
    for info in find_elements(mods, "mods:titleInfo[not(@type) or @type='translated']"):
        main = " ".join(element_texts(info, "mods:nonSort", "mods:title"))
        parts = filter(None, (main, *element_texts(info, "mods:subTitle")))
        titles.append(Text(": ".join(parts), info.get("lang")))
    return titles


def _authors(mods: _Element) -> list[str]:
    """Return the personal names whose role is author or creator, or who have no role."""
    names = []
    for person in find_elements(mods, "mods:name[@type='personal']"):
        roles = {role.lower() for role in element_texts(person, "mods:role/mods:roleTerm")}
        parts = "mods:namePart[not(@type='date' or @type='termsOfAddress')]"
        if not roles or roles & _AUTHORS:
            names.append(", ".join(element_texts(person, parts)))
    return names


MAPPING = Schema(
    Payload.XML,
    {
        "title": _titles,
        "description": "mods:abstract",
        "identifiers": "mods:identifier[not(@invalid='yes')]",
        "addresses": ["mods:location/mods:url", "mods:identifier[not(@invalid='yes')]"],
        "languages": "mods:language/mods:languageTerm",
        "licences": "mods:accessCondition/@xlink:href | mods:accessCondition[starts-with(., 'http')]",
        "issued": (*_date("dateIssued"), *_date("dateCreated")),
        "modified": _date("dateModified"),
        "start": _date("dateValid"),
        "end": "mods:originInfo/mods:dateIssued[@point='end']",
        "country_names": [
            "mods:subject/mods:geographic",
            "mods:subject/mods:hierarchicalGeographic/mods:country",
        ],
        "keywords": ["mods:subject/mods:topic", "mods:subject/mods:genre"],
        "related_addresses": "mods:relatedItem/@xlink:href | mods:relatedItem/mods:identifier | mods:relatedItem/mods:location/mods:url",
        "creators": _authors,
        "type": (
            "mods:genre/@valueURI",
            "mods:genre",
            "mods:typeOfResource/@valueURI",
            "mods:typeOfResource",
        ),
    },
    {
        "parties": [
            Part("mods:originInfo/mods:publisher", {"name": "."}, Role.LEAD),
            Part(
                "mods:name[@type='corporate']",
                {
                    "name": lambda name: [" ".join(element_texts(name, "mods:namePart"))],
                    "role": "mods:role/mods:roleTerm",
                },
                roles=_ROLES,
            ),
        ]
    },
    root=find_element("mods", schema="MODS", hint="set the option 'prefix' to mods"),
    options=DocumentOptions,
    untagged=frozenset({"creators"}),
).mapping()
