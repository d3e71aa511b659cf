"""MODS: the bibliographic description that libraries give by OAI-PMH.

Source: https://www.loc.gov/standards/mods/userguide/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.option_schema import Option, get_option
from harvesters.page_model import Record
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

OPTIONS: Mapping[str, Option] = {
    "kind": Option(str, "document", "What the records are: `initiative`, `event`, `document` or `post`."),
}

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_HREF = "{http://www.w3.org/1999/xlink}href"
_FUNDERS, _LEADS = frozenset(("fnd", "funder", "spn", "sponsor")), frozenset(("pbl", "publisher", "isb", "issuing body"))
_M = "{*}"


def reader(source: Source, words: Crosswalks) -> Callable[[Record[_Element]], Resource]:
    """Give the function that reads a record; it raises ParseError on an element that holds no MODS."""
    lexicon = CrosswalkLookup(words)
    kind = KINDS[get_option(source, OPTIONS, "kind")]

    def read(record: Record[_Element]) -> Resource:
        mods, tag = _mods(record), source.language
        told = [
            (normalize_inline(it.text), _tag(it, tag)) for name in ("topic", "genre") for it in mods.iterfind(f"{_M}subject/{_M}{name}")
        ]
        subjects = lexicon.parse_subjects(text for text, _ in told)
        names = [normalize_inline(it.text) for it in mods.iterfind(f"{_M}identifier") if it.get("invalid") != "yes"]
        links = [normalize_inline(it.text) for it in mods.iterfind(f"{_M}location/{_M}url")]
        return kind(
            key=record.key,
            titles=parse_titles(_titles(mods, tag)),
            descriptions=parse_titles((normalize_block(it.text), _tag(it, tag)) for it in mods.iterfind(f"{_M}abstract")),
            identifiers=unique_non_contact(text for text in names if text and not is_web(text) and text != record.key),
            pages=unique_non_contact(unique_urls([*links, *names])),
            languages=_languages(mods),
            licence=_licence(mods),
            issued=_date(mods, "dateIssued") or _date(mods, "dateCreated"),
            modified=_date(mods, "dateModified"),
            countries=_lands(mods, lexicon),
            parties=tuple(dict.fromkeys(_parties(mods, tag))),
            action_lines=subjects.lines,
            goals=subjects.goals,
            targets=subjects.targets,
            subjects=tuple(parse_name(word, dict(told).get(word)) for word in subjects.unmatched),
            related=unique_non_contact(unique_urls(_related(mods))),
            **_own(kind, mods),
        )

    return read


def _mods(record: Record[_Element]) -> _Element:
    root = record.payload
    found = root if str(root.tag).endswith("}mods") else next(root.iter(f"{_M}mods"), None)
    if found is None:
        raise ParseError(f"{record.key}: it holds no MODS but <{root.tag}>; set the option 'prefix' to mods")
    return found


def _tag(node: _Element, otherwise: str | None) -> str | None:
    own = node.get("lang") or node.get(_LANG)
    return (parse_language(own) or own) if own else otherwise


def _titles(mods: _Element, tag: str | None) -> Iterator[tuple[str, str | None]]:
    """Give the titles with their articles and subtitles; those of other kinds (abbreviated, uniform) only where they are translations."""
    for info in mods.iterfind(f"{_M}titleInfo"):
        if info.get("type") in {None, "translated"}:
            parts = [normalize_inline(info.findtext(f"{_M}{name}")) for name in ("nonSort", "title", "subTitle")]
            yield ": ".join(part for part in (" ".join(part for part in parts[:2] if part), parts[2]) if part), _tag(info, tag)


def _languages(mods: _Element) -> tuple[str, ...]:
    found = (normalize_inline(it.text) for it in mods.iterfind(f"{_M}language/{_M}languageTerm"))
    return tuple(dict.fromkeys(parse_language(text) or text for text in found if text))


def _licence(mods: _Element) -> str | None:
    nodes = list(mods.iterfind(f"{_M}accessCondition"))
    links = [link for it in nodes for link in (it.get(_HREF), normalize_inline(it.text)) if link and is_web(link)]
    return links[0] if links else None


def _date(mods: _Element, name: str) -> str | None:
    """Give the date that is meant for machines, else the first."""
    nodes = sorted(mods.iterfind(f"{_M}originInfo/{_M}{name}"), key=lambda it: it.get("encoding") is None)
    return next((text for it in nodes if it.get("point") != "end" and (text := parse_date(normalize_inline(it.text)))), None)


def _lands(mods: _Element, lexicon: CrosswalkLookup) -> tuple[str, ...]:
    nodes = [*mods.iterfind(f"{_M}subject/{_M}geographic"), *mods.iterfind(f"{_M}subject/{_M}hierarchicalGeographic/{_M}country")]
    return tuple(dict.fromkeys(land for it in nodes if (land := lexicon.find_country(normalize_inline(it.text)))))


def _parties(mods: _Element, tag: str | None) -> Iterator[Party]:
    """Give the publisher as lead, and corporate names by their roles; personal names are persons, and are left out."""
    lead = False
    for it in mods.iterfind(f"{_M}originInfo/{_M}publisher"):
        if name := normalize_inline(it.text):
            yield Party(Role.PARTNER if lead else Role.LEAD, parse_name(name, _tag(it, tag)))
            lead = True
    for it in mods.iterfind(f"{_M}name[@type='corporate']"):
        name = " ".join(text for part in it.iterfind(f"{_M}namePart") if (text := normalize_inline(part.text)))
        roles = {normalize_inline(term.text).lower() for term in it.iterfind(f"{_M}role/{_M}roleTerm")}
        if name:
            first = not lead and bool(roles & _LEADS)
            lead = lead or first
            yield Party(Role.FUNDER if roles & _FUNDERS else Role.LEAD if first else Role.PARTNER, parse_name(name, _tag(it, tag)))


def _related(mods: _Element) -> Iterator[str]:
    for item in mods.iterfind(f"{_M}relatedItem"):
        yield item.get(_HREF) or ""
        yield from (normalize_inline(it.text) for name in ("identifier", "location/{*}url") for it in item.iterfind(f"{_M}{name}"))


def _own(kind: type[Resource], mods: _Element) -> dict[str, Any]:
    if kind is Document:
        nodes = [*mods.iterfind(f"{_M}genre"), *mods.iterfind(f"{_M}typeOfResource")]
        return {"kind": next((text for it in nodes if (text := it.get("valueURI") or normalize_inline(it.text))), None)}
    if kind not in {Initiative, Event}:
        return {}
    ends = (normalize_inline(it.text) for it in mods.iterfind(f"{_M}originInfo/{_M}dateIssued[@point='end']"))
    return {"start": _date(mods, "dateValid"), "end": next((parse_date(text) for text in ends if text), None)}
