"""Dublin Core in its dialects: the fifteen elements that every OAI-PMH repository speaks, qualified by DCMI terms, and DSpace's DIM.

Source: https://www.dublincore.org/specifications/dublin-core/dcmi-terms/, https://www.openarchives.org/OAI/2.0/oai_dc.xsd and
https://wiki.lyrasis.org/display/DSDOC7x/DSpace+Intermediate+Metadata
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.option_schema import Option, get_option
from harvesters.page_model import Record
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup, Subjects
from harvesters.payloads.value_parsing import (
    KINDS,
    normalize_block,
    normalize_date,
    normalize_inline,
    parse_interval,
    parse_language,
    parse_name,
    parse_titles,
    split_values,
    unique_non_contact,
    unique_urls,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Document, Initiative, Party, Resource, Role, Text
from vocab.iris import is_web

OPTIONS: Mapping[str, Option] = {
    "kind": Option(str, "initiative", "What the records are: `initiative`, `event`, `document` or `post`."),
    "contributors": Option(bool, False, "The contributors are organizations, so they are published as partners; else they may be persons."),
}

_DC = "{http://purl.org/dc/elements/1.1/}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ELEMENTS = ("title", "description", "subject", "publisher", "contributor", "date", "type", "identifier", "language",
             "coverage", "rights", "relation")  # fmt: skip
# What refines an element, by the name of the term (of DCMI or, behind a dot, of DIM), and the element that it is read as.
_REFINED = {
    "abstract": "description", "tableOfContents": "description",
    "issued": "issued", "dateIssued": "issued", "modified": "modified", "updated": "modified",
    "created": "date", "available": "date", "valid": "date", "dateSubmitted": "date", "dateAccepted": "date", "dateCopyrighted": "date",
    "spatial": "coverage", "temporal": "coverage", "rightsHolder": "", "license": "rights", "accessRights": "rights", "uri": "identifier",
    "bibliographicCitation": "identifier", "alternative": "",
    "isPartOf": "relation", "hasPart": "relation", "references": "relation", "isReferencedBy": "relation", "isVersionOf": "relation",
    "hasVersion": "relation", "replaces": "relation", "requires": "relation",
}  # fmt: skip
_TERMS, _DIM = "{http://purl.org/dc/terms/}", "{http://www.dspace.org/xmlns/dspace/dim}field"
_PLACE = {
    **{f"{space}{name}": name for space in (_DC, _TERMS) for name in _ELEMENTS},
    **{f"{_TERMS}{name}": place for name, place in _REFINED.items()},
}
# DIM's own qualifiers: what is about the repository's book-keeping, and who of the contributors is an organization.
_QUALIFIED = {
    "accessioned": "", "available": "", "author": "", "advisor": "", "editor": "", "provenance": "", "embargo": "", "lift": "",
    "sponsorship": "funder", "publisher": "publisher", "iso": "language",
}  # fmt: skip
_ADDRESS = re.compile(r"https?://[^\s<>\"]+")
_DATED = re.compile(r"\d{4}(?!\d)")

Fields = dict[str, list[tuple[str, str | None]]]


def reader(source: Source, words: Crosswalks) -> Callable[[Record[_Element]], Resource]:
    """Give the function that reads a record; it raises ParseError on one that holds no Dublin Core."""
    lexicon = CrosswalkLookup(words)
    kind = KINDS[get_option(source, OPTIONS, "kind")]
    contributors = bool(get_option(source, OPTIONS, "contributors"))

    def read(record: Record[_Element]) -> Resource:
        fields = _fields(record, source.language)
        named_by = _words(fields, "identifier")
        subjects = lexicon.parse_subjects(_words(fields, "subject"))
        covered = _coverage(lexicon, _words(fields, "coverage"))
        types = _words(fields, "type")
        known = tuple(dict.fromkeys(found for word in types if (found := lexicon.find_activity_type(word))))
        own = _own(kind, fields, known, types, covered)
        left = [
            *subjects.unmatched,
            *covered["left"],
            *(word for word in types if kind is Initiative and not lexicon.find_activity_type(word)),
        ]
        pages = unique_urls(named_by)
        return kind(
            key=record.key,
            titles=parse_titles(fields.get("title", ())),
            descriptions=parse_titles(fields.get("description", ())),
            identifiers=unique_non_contact([text for text in named_by if text not in pages and text != record.key]),
            pages=pages,
            languages=tuple(dict.fromkeys([parse_language(word) or word for word in _words(fields, "language")])),
            licence=_licence(_words(fields, "rights")),
            countries=covered["countries"],
            parties=_parties(fields, contributors),
            **_claims(subjects),
            subjects=_subjects(fields, left),
            related=unique_urls(_words(fields, "relation")),
            **own,
        )

    return read


def _fields(record: Record[_Element], otherwise: str | None) -> Fields:
    """Sort the elements by name: each text with its language; descriptions keep their paragraphs."""
    fields: Fields = {}
    for node in record.payload.iter() if len(record.payload) == 1 else record.payload:  # some wrap it once more
        name = _qualified(node) if node.tag == _DIM else _PLACE.get(node.tag)
        if not name or not (text := node.text):
            continue
        text = normalize_block(text) if name == "description" else normalize_inline(text)
        if text:
            tag = node.get(_LANG) or node.get("lang")
            fields.setdefault(name, []).append((text, (parse_language(tag) or tag) if tag else otherwise))
    if not fields:
        raise ParseError(f"{record.key}: it holds no Dublin Core but <{record.payload.tag}>; set the option 'prefix' to oai_dc")
    return fields


def _qualified(field: _Element) -> str | None:
    """Give the element that a field of DIM is read as; None for those of other schemas."""
    if field.get("mdschema") not in {"dc", "dcterms"}:
        return None
    element, qualifier = field.get("element") or "", field.get("qualifier")
    if not qualifier or qualifier == "none":
        return element if element in _ELEMENTS else _REFINED.get(element)
    return _QUALIFIED.get(qualifier, _REFINED.get(qualifier, element if element in _ELEMENTS else None))


def _words(fields: Fields, name: str) -> list[str]:
    return [text for text, _ in fields.get(name, ())]


def _claims(subjects: Subjects) -> dict[str, Any]:
    return {"action_lines": subjects.lines, "goals": subjects.goals, "targets": subjects.targets}


def _subjects(fields: Fields, left: list[str]) -> tuple[Text, ...]:
    tags = dict(fields.get("subject", ()))
    return tuple([parse_name(word, tags.get(word)) for word in dict.fromkeys(left)])


def _coverage(lexicon: CrosswalkLookup, words: list[str]) -> dict[str, Any]:
    """Sort dc:coverage into countries, one scope (local to international), intervals, and words that are left."""
    countries: dict[str, None] = {}
    found: dict[str, Any] = {"scope": None, "period": None, "left": []}
    for word in words:
        if land := lexicon.find_country(word):
            countries[land] = None
        elif lands := _lands(lexicon, word):
            countries.update(dict.fromkeys(lands))
        elif scope := lexicon.find_coverage(word):
            found["scope"] = scope
        elif period := parse_interval(word) or _dcmi_period(word):
            found["period"] = period
        else:
            found["left"].append(word)
    return {**found, "countries": tuple(countries)}


def _dcmi_period(word: str) -> tuple[str, str] | None:
    """Read a period of DCMI, e.g. "name=Pilot; start=2019; end=2021; scheme=W3C-DTF".

    Source: https://www.dublincore.org/specifications/dublin-core/dcmi-period/
    """
    parts = dict(part.strip().partition("=")[::2] for part in word.split(";") if "=" in part)
    start, end = normalize_date(parts.get("start")), normalize_date(parts.get("end"))
    return (start, end or start) if start else None


def _lands(lexicon: CrosswalkLookup, word: str) -> list[str]:
    """Give the countries of a list that is written as one text, none where it names anything else."""
    if ";" not in word:
        return []
    lands = [lexicon.find_country(part) for part in split_values([word], ";")]
    return [land for land in lands if land] if all(lands) else []


def _own(kind: type[Resource], fields: Fields, known: tuple[str, ...], types: list[str], covered: dict[str, Any]) -> dict[str, Any]:
    """Give what is proper to the kind, and the dates.

    Of several dates the earliest is when it was issued, since repositories add those of their own book-keeping.
    """
    words = _words(fields, "date")
    texts = [text for word in words if (text := normalize_date(word))]
    dates = sorted([text for text in texts if _DATED.match(text) and not parse_interval(text)])
    others = [text for text in texts if not _DATED.match(text)]
    issued = dates[0] if dates else others[0] if others else None
    told = {name: next((text for word in _words(fields, name) if (text := normalize_date(word))), None) for name in ("issued", "modified")}
    issued = told["issued"] or issued
    own: dict[str, Any] = {"issued": issued, "modified": told["modified"] or (dates[-1] if dates and dates[-1] != issued else None)}
    if kind is Document:
        return {**own, "kind": known[0] if known else types[0] if types else None}
    if "start" in kind.__dataclass_fields__:
        spans = [span for word in words if (span := parse_interval(word))]
        start, end = next(iter(spans), covered["period"] or (None, None))
        own |= {"start": start, "end": end}
    if kind is Initiative:
        own |= {"coverage": covered["scope"], "activity_types": known}
    return own


def _parties(fields: Fields, contributors: bool) -> tuple[Party, ...]:
    """Give the first publisher as lead, the others as partners; creators may be persons, who are not published."""
    names = parse_titles(fields.get("publisher", ()))
    parties = [Party(Role.PARTNER if number else Role.LEAD, name) for number, name in enumerate(names)]
    parties += [Party(Role.FUNDER, name) for name in parse_titles(fields.get("funder", ()))]
    if contributors:
        parties += [Party(Role.PARTNER, name) for name in parse_titles(fields.get("contributor", ()))]
    return tuple(dict.fromkeys(parties))


def _licence(words: list[str]) -> str | None:
    """Give the first web address among the rights."""
    found = (match.group().rstrip(".,;)") for word in words if (match := _ADDRESS.search(word)))
    return next((text for text in found if is_web(text)), None)
