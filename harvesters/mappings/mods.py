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
from harvesters.payloads.crosswalk_lookup import Lexicon
from harvesters.payloads.value_parsing import KINDS, block, dated, language, named, plain, public, titled, web
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
    lexicon = Lexicon(words)
    kind = KINDS[get_option(source, OPTIONS, "kind")]

    def read(record: Record[_Element]) -> Resource:
        mods, tag = _mods(record), source.language
        told = [(plain(it.text), _tag(it, tag)) for name in ("topic", "genre") for it in mods.iterfind(f"{_M}subject/{_M}{name}")]
        subjects = lexicon.subjects(text for text, _ in told)
        names = [plain(it.text) for it in mods.iterfind(f"{_M}identifier") if it.get("invalid") != "yes"]
        links = [plain(it.text) for it in mods.iterfind(f"{_M}location/{_M}url")]
        return kind(
            key=record.key,
            titles=titled(_titles(mods, tag)),
            descriptions=titled((block(it.text), _tag(it, tag)) for it in mods.iterfind(f"{_M}abstract")),
            identifiers=public(text for text in names if text and not is_web(text) and text != record.key),
            pages=public(web([*links, *names])),
            languages=_languages(mods),
            licence=_licence(mods),
            issued=_date(mods, "dateIssued") or _date(mods, "dateCreated"),
            modified=_date(mods, "dateModified"),
            countries=_lands(mods, lexicon),
            parties=tuple(dict.fromkeys(_parties(mods, tag))),
            action_lines=subjects.lines,
            goals=subjects.goals,
            targets=subjects.targets,
            subjects=tuple(named(word, dict(told).get(word)) for word in subjects.left),
            related=public(web(_related(mods))),
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
    return (language(own) or own) if own else otherwise


def _titles(mods: _Element, tag: str | None) -> Iterator[tuple[str, str | None]]:
    """Give the titles with their articles and subtitles; those of other kinds (abbreviated, uniform) only where they are translations."""
    for info in mods.iterfind(f"{_M}titleInfo"):
        if info.get("type") in {None, "translated"}:
            parts = [plain(info.findtext(f"{_M}{name}")) for name in ("nonSort", "title", "subTitle")]
            yield ": ".join(part for part in (" ".join(part for part in parts[:2] if part), parts[2]) if part), _tag(info, tag)


def _languages(mods: _Element) -> tuple[str, ...]:
    found = (plain(it.text) for it in mods.iterfind(f"{_M}language/{_M}languageTerm"))
    return tuple(dict.fromkeys(language(text) or text for text in found if text))


def _licence(mods: _Element) -> str | None:
    nodes = list(mods.iterfind(f"{_M}accessCondition"))
    links = [link for it in nodes for link in (it.get(_HREF), plain(it.text)) if link and is_web(link)]
    return links[0] if links else None


def _date(mods: _Element, name: str) -> str | None:
    """Give the date that is meant for machines, else the first."""
    nodes = sorted(mods.iterfind(f"{_M}originInfo/{_M}{name}"), key=lambda it: it.get("encoding") is None)
    return next((text for it in nodes if it.get("point") != "end" and (text := dated(plain(it.text)))), None)


def _lands(mods: _Element, lexicon: Lexicon) -> tuple[str, ...]:
    nodes = [*mods.iterfind(f"{_M}subject/{_M}geographic"), *mods.iterfind(f"{_M}subject/{_M}hierarchicalGeographic/{_M}country")]
    return tuple(dict.fromkeys(land for it in nodes if (land := lexicon.land(plain(it.text)))))


def _parties(mods: _Element, tag: str | None) -> Iterator[Party]:
    """Give the publisher as lead, and corporate names by their roles; personal names are persons, and are left out."""
    lead = False
    for it in mods.iterfind(f"{_M}originInfo/{_M}publisher"):
        if name := plain(it.text):
            yield Party(Role.PARTNER if lead else Role.LEAD, named(name, _tag(it, tag)))
            lead = True
    for it in mods.iterfind(f"{_M}name[@type='corporate']"):
        name = " ".join(text for part in it.iterfind(f"{_M}namePart") if (text := plain(part.text)))
        roles = {plain(term.text).lower() for term in it.iterfind(f"{_M}role/{_M}roleTerm")}
        if name:
            first = not lead and bool(roles & _LEADS)
            lead = lead or first
            yield Party(Role.FUNDER if roles & _FUNDERS else Role.LEAD if first else Role.PARTNER, named(name, _tag(it, tag)))


def _related(mods: _Element) -> Iterator[str]:
    for item in mods.iterfind(f"{_M}relatedItem"):
        yield item.get(_HREF) or ""
        yield from (plain(it.text) for name in ("identifier", "location/{*}url") for it in item.iterfind(f"{_M}{name}"))


def _own(kind: type[Resource], mods: _Element) -> dict[str, Any]:
    if kind is Document:
        nodes = [*mods.iterfind(f"{_M}genre"), *mods.iterfind(f"{_M}typeOfResource")]
        return {"kind": next((text for it in nodes if (text := it.get("valueURI") or plain(it.text))), None)}
    if kind not in {Initiative, Event}:
        return {}
    ends = (plain(it.text) for it in mods.iterfind(f"{_M}originInfo/{_M}dateIssued[@point='end']"))
    return {"start": _date(mods, "dateValid"), "end": next((dated(text) for text in ends if text), None)}
