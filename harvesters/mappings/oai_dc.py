"""Dublin Core in its variants: the fifteen elements of every OAI-PMH repository, qualified DCMI
terms, and DSpace's DIM.

Source: https://www.dublincore.org/specifications/dublin-core/dcmi-terms/,
https://www.openarchives.org/OAI/2.0/oai_dc.xsd and
https://wiki.lyrasis.org/display/DSDOC7x/DSpace+Intermediate+Metadata
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.mappings.mapping import RecordMapping
from harvesters.option_schema import Option, get_option
from harvesters.page_model import Payload, Record
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup, Subjects
from harvesters.payloads.value_parsing import (
    KINDS,
    normalize_block,
    normalize_date,
    normalize_inline,
    parse_interval,
    parse_language,
    parse_languages,
    parse_name,
    parse_titles,
    split_values,
    unique_non_contact,
    unique_urls,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import (
    Coded,
    Document,
    Initiative,
    Party,
    Period,
    Resource,
    Role,
    Text,
    concept_of,
)
from vocab.normalization import fold

OPTIONS: Mapping[str, Option] = {
    "kind": Option(
        str,
        None,
        "The class of all records: `initiative`, `event`, `document` or `post`; without it, each record's type says it.",
    ),
    "contributors": Option(
        bool,
        False,
        "Contributors are organizations and published as partners; by default they may be persons and are left out.",
    ),
}

_DC = "{http://purl.org/dc/elements/1.1/}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ELEMENTS = ("title", "description", "subject", "creator", "publisher", "contributor", "date", "type", "identifier", "language",
             "coverage", "rights", "relation")  # fmt: skip
# Refinements of an element, by the name of the DCMI or DIM term, and the element that they are
# mapped as.
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
# DIM's own qualifiers: the repository's bookkeeping (left out), and contributors that are
# organizations.
_DIM_QUALIFIERS = {
    "accessioned": "", "available": "", "author": "creator", "advisor": "", "editor": "", "provenance": "", "embargo": "", "lift": "",
    "sponsorship": "funder", "publisher": "publisher", "iso": "language",
}  # fmt: skip
_ADDRESS = re.compile(r"https?://[^\s<>\"]+")
_FULL_YEAR = re.compile(r"\d{4}(?!\d)")

Fields = dict[str, list[tuple[str, str | None]]]


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[_Element]], Resource]:
    """Return the function that maps a record. It raises ParseError for one without Dublin Core."""
    lexicon = CrosswalkLookup(crosswalks)
    name = get_option(source, OPTIONS, "kind")
    return partial(_map_record, source, lexicon, KINDS[name] if name else None)


def _map_record(
    source: Source, lexicon: CrosswalkLookup, fixed: type[Resource] | None, record: Record[_Element]
) -> Resource:
    fields = _fields(record, source.language)
    identifiers = _words(fields, "identifier")
    subjects = lexicon.parse_subjects(split_values(_words(fields, "subject"), ";"))
    covered = _coverage(lexicon, _words(fields, "coverage"))
    types = _words(fields, "type")
    kind = fixed or lexicon.kind(types)
    known = tuple(
        dict.fromkeys(
            lexicon.activity_type(word) for word in types if lexicon.find_activity_type(word)
        )
    )
    own = _class_fields(kind, fields, known, types, covered)
    left = [
        *subjects.unmatched,
        *covered["left"],
        *(word for word in types if kind is Initiative and not lexicon.find_activity_type(word)),
    ]
    pages = unique_urls(identifiers)
    return kind(
        key=record.key,
        titles=parse_titles(fields.get("title", ())),
        descriptions=parse_titles(fields.get("description", ())),
        identifiers=unique_non_contact(
            [text for text in identifiers if text not in pages and text != record.key]
        ),
        pages=pages,
        languages=parse_languages(_words(fields, "language")),
        licences=_licences(_words(fields, "rights")),
        countries=covered["countries"],
        periods=covered["periods"],
        parties=_parties(fields, source, kind),
        **_claims(subjects),
        subjects=_subjects(fields, left),
        related=unique_urls(_words(fields, "relation")),
        **own,
    )


def _fields(record: Record[_Element], default_language: str | None) -> Fields:
    """Return the texts by element, each with its language; descriptions keep their paragraphs."""
    fields: Fields = {}
    # some have one more wrapper
    for node in record.payload.iter() if len(record.payload) == 1 else record.payload:
        name = _dim_element(node) if node.tag == _DIM else _ELEMENT_OF_TAG.get(node.tag)
        if not name or not (text := node.text):
            continue
        text = normalize_block(text) if name == "description" else normalize_inline(text)
        if text:
            tag = node.get(_LANG) or node.get("lang")
            fields.setdefault(name, []).append(
                (text, (parse_language(tag) or tag) if tag else default_language)
            )
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


def _words(fields: Fields, name: str) -> list[str]:
    return [text for text, _ in fields.get(name, ())]


def _claims(subjects: Subjects) -> dict[str, Any]:
    return {"action_lines": subjects.lines, "goals": subjects.goals, "targets": subjects.targets}


def _subjects(fields: Fields, left: list[str]) -> tuple[Text, ...]:
    texts = fields.get("subject", ())
    tags = {part: tag for text, tag in texts for part in split_values([text], ";")}
    return tuple([parse_name(word, tags.get(word)) for word in dict.fromkeys(left)])


def _coverage(lexicon: CrosswalkLookup, texts: list[str]) -> dict[str, Any]:
    """Sort dc:coverage into countries, one scope (local to international), periods, and other
    words.
    """
    countries: dict[str, None] = {}
    periods: list[Period] = []
    coverage: dict[str, Any] = {"scope": None, "left": []}
    for word in texts:
        if country := lexicon.find_country(word):
            countries[country] = None
        elif listed := _country_list(lexicon, word):
            countries.update(dict.fromkeys(listed))
        elif lexicon.find_coverage(word):
            coverage["scope"] = lexicon.coverage(word)
        elif period := parse_interval(word) or _dcmi_period(word):
            periods.append(Period(*period))
        else:
            coverage["left"].append(word)
    return {**coverage, "countries": tuple(countries), "periods": tuple(periods)}


def _dcmi_period(word: str) -> tuple[str, str] | None:
    """Parse a DCMI period, e.g. "name=Pilot; start=2019; end=2021; scheme=W3C-DTF".

    Source: https://www.dublincore.org/specifications/dublin-core/dcmi-period/
    """
    parts = dict(part.strip().partition("=")[::2] for part in word.split(";") if "=" in part)
    start, end = normalize_date(parts.get("start")), normalize_date(parts.get("end"))
    return (start, end or start) if start else None


def _country_list(lexicon: CrosswalkLookup, word: str) -> list[str]:
    """Return the countries of a list that is written as one text; empty if it names anything else."""
    separator = ";" if ";" in word else ","
    if separator not in word:
        return []
    countries = [lexicon.find_country(part) for part in split_values([word], separator)]
    return [country for country in countries if country] if all(countries) else []


def _class_fields(
    kind: type[Resource],
    fields: Fields,
    known: tuple[Coded, ...],
    types: list[str],
    covered: dict[str, Any],
) -> dict[str, Any]:
    """Return the fields of the record's class, and the dates.

    The earliest of several dates is the date of issue, since repositories add dates of their own
    bookkeeping.
    """
    date_texts = _words(fields, "date")
    texts = [text for word in date_texts if (text := normalize_date(word))]
    dates = sorted([text for text in texts if _FULL_YEAR.match(text) and not parse_interval(text)])
    others = [text for text in texts if not _FULL_YEAR.match(text)]
    issued = dates[0] if dates else others[0] if others else None
    refined = {
        name: next((text for word in _words(fields, name) if (text := normalize_date(word))), None)
        for name in ("issued", "modified")
    }
    issued = refined["issued"] or issued
    own: dict[str, Any] = {
        "issued": issued,
        "modified": refined["modified"] or (dates[-1] if dates and dates[-1] != issued else None),
    }
    if kind is Document:
        sort = concept_of(known[0]) if known else types[0] if types else None
        return {**own, "kind": sort, "creators": parse_titles(fields.get("creator", ()))}
    if "start" in kind.__dataclass_fields__:
        spans = [span for word in date_texts if (span := parse_interval(word))]
        start, end = next(iter(spans), (None, None))
        own |= {"start": start, "end": end}
    if kind is Initiative:
        own |= {"coverage": covered["scope"], "activity_types": known}
    return own


def _parties(fields: Fields, source: Source, kind: type[Resource]) -> tuple[Party, ...]:
    """Return the first publisher as lead and the others as partners.

    The repository itself, by the publisher or title of its source definition, leads no initiative:
    it only describes it.
    """
    names = parse_titles(fields.get("publisher", ()))
    if kind is Initiative:
        repository = {fold(name) for name in (source.publisher, source.title) if name}
        names = tuple(name for name in names if fold(name.value) not in repository)
    parties = [
        Party(Role.PARTNER if number else Role.LEAD, name) for number, name in enumerate(names)
    ]
    parties += [Party(Role.FUNDER, name) for name in parse_titles(fields.get("funder", ()))]
    if get_option(source, OPTIONS, "contributors"):
        parties += [
            Party(Role.PARTNER, name) for name in parse_titles(fields.get("contributor", ()))
        ]
    return tuple(dict.fromkeys(parties))


def _licences(texts: list[str]) -> tuple[str, ...]:
    """Return the web addresses among the rights."""
    addresses = (match.group().rstrip(".,;)") for word in texts if (match := _ADDRESS.search(word)))
    return unique_urls(addresses)


MAPPING = RecordMapping(build_mapper, frozenset({Payload.XML}), options=OPTIONS)
