"""Dublin Core in its variants: the fifteen elements of every OAI-PMH repository, qualified DCMI
terms, and DSpace's DIM.

Source: https://www.dublincore.org/specifications/dublin-core/dcmi-terms/,
https://www.openarchives.org/OAI/2.0/oai_dc.xsd and
https://wiki.lyrasis.org/display/DSDOC7x/DSpace+Intermediate+Metadata
"""

from __future__ import annotations

import re
from typing import Any

from lxml.etree import _Element
from pydantic import Field

from harvesters.errors import ParseError
from harvesters.mappings.mapping import Kind
from harvesters.mappings.schema import FieldTable, Schema
from harvesters.options import Options
from harvesters.page_model import Payload, Record
from harvesters.payloads.value_parsing import (
    normalize_date,
    parse_interval,
    parse_name,
    parse_titles,
)
from vocab.initiative import Document, Initiative, Party, Period, Resource, Role, Text, concept_of
from vocab.lookup import fold


class DublinCoreOptions(Options):
    """The options of a source with this mapping."""

    kind: Kind | None = Field(
        None,
        description="The class of all records: `initiative`, `event`, `document` or `post`; without it, each record's type says it.",
    )
    contributors: bool = Field(
        False,
        description="Contributors are organizations and published as partners; by default they may be persons and are left out.",
    )


_DC = "{http://purl.org/dc/elements/1.1/}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ELEMENTS = ("title", "description", "subject", "creator", "publisher", "contributor", "date", "type", "identifier", "language",
             "coverage", "rights", "relation")  # fmt: skip
# The element as which a term of DCMI or DIM is mapped that refines it; "" leaves the term out.
_REFINEMENTS = {
    "abstract": "description", "tableOfContents": "description",
    "issued": "issued", "dateIssued": "issued", "modified": "modified", "updated": "modified",
    "created": "date", "available": "date", "valid": "date", "dateSubmitted": "date", "dateAccepted": "date", "dateCopyrighted": "date",
    "spatial": "coverage", "temporal": "coverage", "rightsHolder": "", "license": "rights", "accessRights": "rights", "uri": "identifier",
    "bibliographicCitation": "identifier", "alternative": "",
    "isPartOf": "relation", "hasPart": "relation", "references": "relation", "isReferencedBy": "relation", "isVersionOf": "relation",
    "hasVersion": "relation", "replaces": "relation", "requires": "relation",
}  # fmt: skip
_TERMS, _DIM = "{http://purl.org/dc/terms/}", "{http://www.dspace.org/xmlns/dspace/dim}field"
_ELEMENT_OF_TAG = {
    **{f"{space}{name}": name for space in (_DC, _TERMS) for name in _ELEMENTS},
    **{f"{_TERMS}{name}": field for name, field in _REFINEMENTS.items()},
}
# Qualifiers of DIM alone. Most are the repository's bookkeeping, which is left out; "sponsorship"
# and "publisher" name organizations.
_DIM_QUALIFIERS = {
    "accessioned": "", "available": "", "author": "creator", "advisor": "", "editor": "", "provenance": "", "embargo": "", "lift": "",
    "sponsorship": "funder", "publisher": "publisher", "iso": "language",
}  # fmt: skip
_ADDRESS = re.compile(r"https?://[^\s<>\"]+")
_FULL_YEAR = re.compile(r"\d{4}(?!\d)")

Fields = dict[str, list[Text]]


def _fields(_: FieldTable, record: Record[_Element]) -> Fields:
    """Return the texts by element, each with its own language."""
    fields: Fields = {}
    # Some repositories wrap the elements once more.
    for node in record.payload.iter() if len(record.payload) == 1 else record.payload:
        name = _dim_element(node) if node.tag == _DIM else _ELEMENT_OF_TAG.get(node.tag)
        if name and node.text and not node.text.isspace():
            tag = node.get(_LANG) or node.get("lang")
            fields.setdefault(name, []).append(Text(node.text, tag))
    if not fields:
        raise ParseError(
            f"{record.key}: not Dublin Core but <{record.payload.tag}>; set the option 'prefix' to oai_dc"
        )
    return fields


def _dim_element(field: _Element) -> str | None:
    """Return the element for a DIM field; None for fields of other schemas."""
    if field.get("mdschema") not in {"dc", "dcterms"}:
        return None
    element, qualifier = field.get("element") or "", field.get("qualifier")
    if not qualifier or qualifier == "none":
        return element if element in _ELEMENTS else _REFINEMENTS.get(element)
    return _DIM_QUALIFIERS.get(
        qualifier, _REFINEMENTS.get(qualifier, element if element in _ELEMENTS else None)
    )


def _licences(fields: Fields) -> list[str]:
    """Return the web addresses among the rights."""
    matches = [_ADDRESS.search(text.value) for text in fields.get("rights", ())]
    return [match.group().rstrip(".,;)") for match in matches if match]


def _edit(table: FieldTable, fields: Fields, kind: type[Resource], values: dict[str, Any]) -> None:
    _add_coverage(table, fields, kind, values)
    _add_dates(table, fields, kind, values)
    _add_parties(table, fields, kind, values)
    if kind is Document:
        types = table.words("types")(fields)
        known = [word for word in types if table.lexicon.find_activity_type(word)]
        concepts = [concept_of(table.lexicon.activity_type(word)) for word in known]
        values["kind"] = next(iter([*concepts, *types]), None)


def _add_coverage(
    table: FieldTable, fields: Fields, kind: type[Resource], values: dict[str, Any]
) -> None:
    """Sort dc:coverage into countries, one scope (local to international), periods, and other
    words, which are subjects.
    """
    lexicon, words = table.lexicon, table.words("covered")(fields)
    countries = {word: lexicon.list_countries(word) for word in words}
    scopes = [word for word in words if not countries[word] and lexicon.find_coverage(word)]
    periods = {
        word: parse_interval(word) or _dcmi_period(word)
        for word in words
        if not countries[word] and word not in scopes
    }
    left = [parse_name(word) for word, period in periods.items() if not period]
    values |= {
        "countries": tuple(dict.fromkeys(area for each in countries.values() for area in each)),
        "periods": tuple(Period(*period) for period in periods.values() if period),
        "subjects": tuple(dict.fromkeys([*values["subjects"], *left])),
    }
    if kind is Initiative:
        values["coverage"] = lexicon.coverage(scopes[-1]) if scopes else None


def _dcmi_period(word: str) -> tuple[str, str] | None:
    """Parse a DCMI period, e.g. "name=Pilot; start=2019; end=2021; scheme=W3C-DTF".

    Source: https://www.dublincore.org/specifications/dublin-core/dcmi-period/
    """
    parts = dict(part.strip().partition("=")[::2] for part in word.split(";") if "=" in part)
    start, end = normalize_date(parts.get("start")), normalize_date(parts.get("end"))
    return (start, end or start) if start else None


def _add_dates(
    table: FieldTable, fields: Fields, kind: type[Resource], values: dict[str, Any]
) -> None:
    """Add the dates. The earliest of several is the date of issue, since repositories add dates of
    their own bookkeeping.
    """
    words = table.words("dates")(fields)
    texts = [text for word in words if (text := normalize_date(word))]
    dates = sorted([text for text in texts if _FULL_YEAR.match(text) and not parse_interval(text)])
    others = [text for text in texts if not _FULL_YEAR.match(text)]
    issued = values.get("issued") or next(iter([*dates[:1], *others]), None)
    values["issued"] = issued
    if not values.get("modified") and dates and dates[-1] != issued:
        values["modified"] = dates[-1]
    spans = [span for word in words if (span := parse_interval(word))]
    if spans and "start" in kind.__dataclass_fields__:
        values["start"], values["end"] = spans[0]


def _add_parties(
    table: FieldTable, fields: Fields, kind: type[Resource], values: dict[str, Any]
) -> None:
    """Add the first publisher as lead and the others as partners.

    The repository itself, by the publisher or title of its source definition, leads no initiative:
    it only describes it.
    """
    names, source = parse_titles(table.texts("publishers")(fields)), table.source
    if kind is Initiative:
        repository = {fold(name) for name in (source.publisher, source.title) if name}
        names = tuple(name for name in names if fold(name.value) not in repository)
    parties = [
        Party(Role.PARTNER if number else Role.LEAD, name) for number, name in enumerate(names)
    ]
    parties += [Party(Role.FUNDER, name) for name in parse_titles(table.texts("sponsors")(fields))]
    if table.options.contributors:
        names = parse_titles(table.texts("contributors")(fields))
        parties += [Party(Role.PARTNER, name) for name in names]
    values["parties"] = tuple(dict.fromkeys(parties))


MAPPING = Schema(
    Payload.XML,
    {
        "title": "title",
        "description": "description",
        "identifiers": "identifier",
        "addresses": "identifier",
        "languages": "language",
        "licence": _licences,
        "keywords": "subject",
        "types": "type",
        "related_addresses": "relation",
        "creators": "creator",
        "issued": "issued",
        "modified": "modified",
        "dates": "date",
        "covered": "coverage",
        "publishers": "publisher",
        "sponsors": "funder",
        "contributors": "contributor",
    },
    root=_fields,
    edit=_edit,
    kind=lambda table, fields: table.lexicon.kind(table.words("types")(fields)),
    payload_type=Payload.ROW,
    options=DublinCoreOptions,
    split={"keywords": ";"},
    untagged=frozenset({"types"}),
).mapping()
