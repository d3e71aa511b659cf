"""Map MODS, bibliographic descriptions that libraries publish by OAI-PMH.

Source: https://www.loc.gov/standards/mods/userguide/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from lxml.etree import _Element
from pydantic import Field

from harvesters.errors import ParseError
from harvesters.mappings.mapping import Kind, RecordMapping
from harvesters.options import Options
from harvesters.page_model import Payload, Record
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.value_parsing import (
    KINDS,
    normalize_block,
    normalize_inline,
    parse_date,
    parse_language,
    parse_name,
    parse_titles,
    unique_non_contact,
    unique_urls,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Document, Event, Initiative, Party, Resource, Role
from vocab.iris import is_web


class ModsOptions(Options):
    """The options of a source with this mapping."""

    kind: Kind = Field(
        "document",
        description="The class of the records: `initiative`, `event`, `document` or `post`.",
    )


_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_HREF = "{http://www.w3.org/1999/xlink}href"
_FUNDERS = frozenset(("fnd", "funder", "spn", "sponsor"))
_LEADS = frozenset(("pbl", "publisher", "isb", "issuing body"))
_AUTHORS = frozenset(("aut", "author", "cre", "creator"))
_M = "{*}"


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[_Element]], Resource]:
    """Return the function that maps a record. It raises ParseError for an element without MODS."""
    lexicon = CrosswalkLookup(crosswalks)
    kind = KINDS[ModsOptions.of(source).kind]
    return partial(_map_record, source, lexicon, kind)


def _map_record(
    source: Source, lexicon: CrosswalkLookup, kind: type[Resource], record: Record[_Element]
) -> Resource:
    mods, tag = _find_mods(record), source.language
    keywords = [
        (normalize_inline(node.text), _tag(node, tag))
        for name in ("topic", "genre")
        for node in mods.iterfind(f"{_M}subject/{_M}{name}")
    ]
    subjects = lexicon.parse_subjects(text for text, _ in keywords)
    names = [
        normalize_inline(node.text)
        for node in mods.iterfind(f"{_M}identifier")
        if node.get("invalid") != "yes"
    ]
    links = [normalize_inline(node.text) for node in mods.iterfind(f"{_M}location/{_M}url")]
    return kind(
        key=record.key,
        titles=parse_titles(_titles(mods, tag)),
        descriptions=parse_titles(
            (normalize_block(node.text), _tag(node, tag)) for node in mods.iterfind(f"{_M}abstract")
        ),
        identifiers=unique_non_contact(
            text for text in names if text and not is_web(text) and text != record.key
        ),
        pages=unique_non_contact(unique_urls([*links, *names])),
        languages=_languages(mods),
        licences=_licences(mods),
        issued=_date(mods, "dateIssued") or _date(mods, "dateCreated"),
        modified=_date(mods, "dateModified"),
        countries=_countries(mods, lexicon),
        parties=tuple(dict.fromkeys(_parties(mods, tag))),
        action_lines=subjects.lines,
        goals=subjects.goals,
        targets=subjects.targets,
        subjects=tuple(parse_name(word, dict(keywords).get(word)) for word in subjects.unmatched),
        related=unique_non_contact(unique_urls(_related(mods))),
        **_class_fields(kind, mods),
    )


def _find_mods(record: Record[_Element]) -> _Element:
    root = record.payload
    mods = root if str(root.tag).endswith("}mods") else next(root.iter(f"{_M}mods"), None)
    if mods is None:
        raise ParseError(
            f"{record.key}: not MODS but <{root.tag}>; set the option 'prefix' to mods"
        )
    return mods


def _tag(node: _Element, default_language: str | None) -> str | None:
    own = node.get("lang") or node.get(_LANG)
    return (parse_language(own) or own) if own else default_language


def _titles(mods: _Element, tag: str | None) -> Iterator[tuple[str, str | None]]:
    """Yield titles with their articles and subtitles; of other types (abbreviated, uniform) only
    translations.
    """
    for info in mods.iterfind(f"{_M}titleInfo"):
        if info.get("type") in {None, "translated"}:
            parts = [
                normalize_inline(info.findtext(f"{_M}{name}"))
                for name in ("nonSort", "title", "subTitle")
            ]
            yield (
                ": ".join(
                    part
                    for part in (" ".join(part for part in parts[:2] if part), parts[2])
                    if part
                ),
                _tag(info, tag),
            )


def _languages(mods: _Element) -> tuple[str, ...]:
    terms = (
        normalize_inline(node.text) for node in mods.iterfind(f"{_M}language/{_M}languageTerm")
    )
    return tuple(dict.fromkeys(parse_language(text) or text for text in terms if text))


def _licences(mods: _Element) -> tuple[str, ...]:
    nodes = mods.iterfind(f"{_M}accessCondition")
    return unique_urls(
        link for node in nodes for link in (node.get(_HREF), normalize_inline(node.text)) if link
    )


def _date(mods: _Element, name: str) -> str | None:
    """Return the date with a machine-readable encoding, else the first."""
    nodes = sorted(
        mods.iterfind(f"{_M}originInfo/{_M}{name}"), key=lambda node: node.get("encoding") is None
    )
    return next(
        (
            text
            for node in nodes
            if node.get("point") != "end" and (text := parse_date(normalize_inline(node.text)))
        ),
        None,
    )


def _countries(mods: _Element, lexicon: CrosswalkLookup) -> tuple[str, ...]:
    nodes = [
        *mods.iterfind(f"{_M}subject/{_M}geographic"),
        *mods.iterfind(f"{_M}subject/{_M}hierarchicalGeographic/{_M}country"),
    ]
    return tuple(
        dict.fromkeys(
            country
            for node in nodes
            if (country := lexicon.find_country(normalize_inline(node.text)))
        )
    )


def _parties(mods: _Element, tag: str | None) -> Iterator[Party]:
    """Yield the publisher as lead, and corporate names by their roles. Personal names are left out."""
    has_lead = False
    for node in mods.iterfind(f"{_M}originInfo/{_M}publisher"):
        if name := normalize_inline(node.text):
            yield Party(Role.PARTNER if has_lead else Role.LEAD, parse_name(name, _tag(node, tag)))
            has_lead = True
    for node in mods.iterfind(f"{_M}name[@type='corporate']"):
        name = " ".join(
            text for part in node.iterfind(f"{_M}namePart") if (text := normalize_inline(part.text))
        )
        roles = {
            normalize_inline(term.text).lower() for term in node.iterfind(f"{_M}role/{_M}roleTerm")
        }
        if name:
            is_lead = not has_lead and bool(roles & _LEADS)
            has_lead = has_lead or is_lead
            yield Party(
                Role.FUNDER if roles & _FUNDERS else Role.LEAD if is_lead else Role.PARTNER,
                parse_name(name, _tag(node, tag)),
            )


def _authors(mods: _Element) -> Iterator[str]:
    """Yield the personal names whose role is author or creator, or who have no role."""
    for node in mods.iterfind(f"{_M}name[@type='personal']"):
        roles = {
            normalize_inline(term.text).lower() for term in node.iterfind(f"{_M}role/{_M}roleTerm")
        }
        parts = [
            part
            for part in node.iterfind(f"{_M}namePart")
            if part.get("type") not in {"date", "termsOfAddress"}
        ]
        name = ", ".join(text for part in parts if (text := normalize_inline(part.text)))
        if name and (not roles or roles & _AUTHORS):
            yield name


def _related(mods: _Element) -> Iterator[str]:
    for item in mods.iterfind(f"{_M}relatedItem"):
        yield item.get(_HREF) or ""
        yield from (
            normalize_inline(node.text)
            for name in ("identifier", "location/{*}url")
            for node in item.iterfind(f"{_M}{name}")
        )


def _class_fields(kind: type[Resource], mods: _Element) -> dict[str, Any]:
    if kind is Document:
        nodes = [*mods.iterfind(f"{_M}genre"), *mods.iterfind(f"{_M}typeOfResource")]
        return {
            "creators": parse_titles((name, None) for name in _authors(mods)),
            "kind": next(
                (
                    text
                    for node in nodes
                    if (text := node.get("valueURI") or normalize_inline(node.text))
                ),
                None,
            ),
        }
    if kind not in {Initiative, Event}:
        return {}
    ends = (
        normalize_inline(node.text)
        for node in mods.iterfind(f"{_M}originInfo/{_M}dateIssued[@point='end']")
    )
    return {
        "start": _date(mods, "dateValid"),
        "end": next((parse_date(text) for text in ends if text), None),
    }


MAPPING = RecordMapping(
    build_mapper, frozenset({Payload.XML}), kind="document", options=ModsOptions
)
