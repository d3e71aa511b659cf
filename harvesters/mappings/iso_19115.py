"""Map ISO 19115 metadata of catalogues of maps and data: ISO 19139 and ISO 19115-3, which differ in
their namespaces and in how they name responsible parties.

Source: https://schemas.isotc211.org/19139/ and https://schemas.isotc211.org/19115/-3/
"""

from __future__ import annotations

from collections.abc import Callable

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

_TEXT = "*[not(*)]"  # It selects gco:CharacterString or an anchor, and no group of translations.
_DATA = "*:identificationInfo/*"
_CITATION = f"{_DATA}/*:citation/*:CI_Citation"
_LEGAL = f"{_DATA}/*:resourceConstraints/*:MD_LegalConstraints"
_KEYWORD = f"{_DATA}/*:descriptiveKeywords/*/*:keyword"
_PLACE = "../*:type/*/@codeListValue='place'"
_PARTIES = f"{_DATA}/*:pointOfContact/*[{{0}}] | {_CITATION}/*:citedResponsibleParty/*[{{0}}]"
_PUBLISHER = "*:role/*/@codeListValue='publisher'"
_AUTHOR = "*:role/*/@codeListValue='author' or *:role/*/@codeListValue='principalInvestigator'"
_PARTY: dict[str, Entry] = {
    "name": (f"*:organisationName/{_TEXT}", f"*:party/*:CI_Organisation/*:name/{_TEXT}"),
    "role": "*:role/*/@codeListValue",
    "page": ".//*:onlineResource/*/*:linkage/*",
}


def _texts(path: str) -> Callable[[_Element], list[Text]]:
    """Return the function that reads texts with their translations, whose languages are named by
    the metadata's locales.
    """

    def read(metadata: _Element) -> list[Text]:
        codes = {
            f"#{locale.get('id')}": code
            for locale in find_elements(metadata, ".//*:PT_Locale")
            for code in find_elements(locale, ".//*:LanguageCode/@codeListValue")
        }
        texts = [Text(text) for text in element_texts(metadata, f"{path}/{_TEXT}")]
        for node in find_elements(metadata, f"{path}//*:LocalisedCharacterString"):
            locale = node.get("locale", "")
            texts.append(Text(node.text or "", codes.get(locale, locale.removeprefix("#"))))
        return texts

    return read


def _date(kind: str) -> str:
    return f"*:CI_Date[*:dateType/*/@codeListValue='{kind}']/*:date/*"


def _languages(path: str) -> str:
    return f"{path}//*:LanguageCode/@codeListValue | {path}/*:CharacterString"


MAPPING = Schema(
    Payload.XML,
    {
        "title": _texts(f"{_CITATION}/*:title"),
        "description": _texts(f"{_DATA}/*:abstract"),
        "identifiers": f"{_CITATION}/*:identifier/*/*:code/*",
        "addresses": [
            f"{_CITATION}/*:identifier/*/*:code/*",
            ("*:dataSetURI/*", "*:distributionInfo//*:onLine/*/*:linkage/*"),
        ],
        "languages": (
            _languages(f"{_DATA}/*:language"),
            _languages(f"{_DATA}/*:defaultLocale"),
            _languages("*:language"),
            _languages("*:defaultLocale"),
        ),
        "licences": (
            f"{_LEGAL}[*:useConstraints]/*:otherConstraints/*/@xlink:href",
            f"{_LEGAL}[*:useConstraints]/*:otherConstraints/{_TEXT}",
        ),
        "access_rights": (
            f"{_LEGAL}[*:accessConstraints]/*:otherConstraints/*/@xlink:href",
            f"{_LEGAL}/*:accessConstraints/*/@codeListValue",
        ),
        "frequency": f"{_DATA}/*:resourceMaintenance/*/*:maintenanceAndUpdateFrequency/*/@codeListValue",
        "issued": (
            f"{_CITATION}/*:date/{_date('publication')}",
            f"{_CITATION}/*:date/{_date('creation')}",
        ),
        "modified": (
            f"{_CITATION}/*:date/{_date('revision')}",
            "*:dateStamp/*",
            f"*:dateInfo/{_date('revision')}",
        ),
        "keywords": [_texts(f"{_KEYWORD}[not({_PLACE})]"), f"{_DATA}/*:topicCategory/*"],
        "country_names": [
            f"{_KEYWORD}[{_PLACE}]/{_TEXT}",
            f"{_DATA}/*:extent//*:geographicIdentifier/*/*:code/*",
        ],
        "status": f"{_DATA}/*:status/*/@codeListValue",
        "creators": _PARTIES.format(_AUTHOR) + f"/*:individualName/{_TEXT}",
        "type": "*:hierarchyLevel/*/@codeListValue | *:metadataScope/*/*:resourceScope/*/@codeListValue",
    },
    {
        "periods": [
            Part(
                f"{_DATA}/*:extent//*:EX_TemporalExtent/*:extent/*",
                {
                    "start": ("*:beginPosition", "*:begin//*:timePosition", "*:timePosition"),
                    "end": ("*:endPosition", "*:end//*:timePosition"),
                },
            )
        ],
        "files": [
            Part(
                "*:distributionInfo//*:onLine/*",
                {
                    "access": "*:linkage/*",
                    "title": f"*:name/{_TEXT}",
                    "description": f"*:description/{_TEXT}",
                    "form": f"*:protocol/{_TEXT}",
                },
            )
        ],
        # Persons are left out, but for the creators of a document.
        "parties": [
            Part(_PARTIES.format(_PUBLISHER), _PARTY, Role.LEAD),
            Part(
                _PARTIES.format(f"not({_PUBLISHER})"),
                _PARTY,
                roles={
                    "funder": Role.FUNDER,
                    "sponsor": Role.FUNDER,
                    "owner": Role.LEAD,
                    "resourceprovider": Role.LEAD,
                    "pointofcontact": Role.LEAD,
                },
            ),
        ],
    },
    root=find_element(
        "MD_Metadata",
        "MI_Metadata",
        schema="ISO 19115 metadata",
        hint="set the option 'schema' of CSW, or 'prefix' of OAI-PMH, to the one for ISO 19139 or 19115-3",
    ),
    options=DocumentOptions,
    untagged=frozenset({"creators"}),
    nothing=frozenset(),
).mapping()
