"""IATI's activity, in versions 1.0x and 2.0x alike.

Source: https://iatistandard.org/en/iati-standard/203/activity-standard/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.option_schema import Option
from harvesters.page_model import Record
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.value_parsing import (
    normalize_block,
    normalize_inline,
    parse_date,
    parse_language,
    parse_name,
    parse_number,
    parse_titles,
    unique_non_contact,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Basis, Claim, Initiative, Party, Place, Resource, Role, Text

OPTIONS: Mapping[str, Option] = {}

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_PROJECT = "C01"  # the aid type of projects, as against budget support, experts and the like
_WEB_PAGE = "A12"  # the document category "activity web page"
_KIN = frozenset(("1", "2"))  # related activities that are a parent or a child
# Roles and dates by their codes in 2.0x and their words in 1.0x.
_ROLES = {"1": "funding", "2": "accountable", "3": "extending", "4": "implementing"}
_DATES = {"1": "start-planned", "2": "start-actual", "3": "end-planned", "4": "end-actual"}
# Vocabularies that name goals and targets themselves, by element; 9 names indicators.
_GOALS, _TARGETS, _INDICATORS = {"sector": "7", "tag": "2"}, {"sector": "8", "tag": "3"}, {"sector": "9"}
_PURPOSES = frozenset(("", "1", "2", "DAC", "DAC-3", "DAC-5"))  # a sector without a vocabulary is a purpose code
_SDG = "http://metadata.un.org/sdg/"


def reader(source: Source, words: Crosswalks) -> Callable[[Record[_Element]], Resource]:
    """Give the function that reads an activity; it raises ParseError on an element that is none."""
    lexicon = CrosswalkLookup(words)

    def read(record: Record[_Element]) -> Resource:
        activity = record.payload
        if activity.tag != "iati-activity":
            raise ParseError(f"{record.key}: no IATI activity but <{activity.tag}>")
        tag = _tag(activity.get(_LANG)) or source.language
        claims, left = _classified(activity, lexicon, words, tag)
        dates = _dates(activity)
        related = (it.get("ref") or "" for it in activity.iterfind("related-activity") if it.get("type") in _KIN)
        return Initiative(
            key=record.key,
            titles=parse_titles(_first_of_each(_told(activity, "title", tag))),
            descriptions=parse_titles(_descriptions(activity, tag)),
            identifiers=unique_non_contact(normalize_inline(it.get("ref") or it.text) for it in activity.iterfind("other-identifier")),
            pages=unique_non_contact(_pages(activity)),
            modified=parse_date(activity.get("last-updated-datetime") or "") or record.modified,
            countries=tuple(_areas(activity, lexicon, words)),
            parties=tuple(_parties(activity, words, lexicon, tag)),
            action_lines=tuple(it for it in claims if not it.concept.startswith(_SDG)),
            goals=tuple(it for it in claims if it.concept.startswith(_SDG) and "." not in it.concept.removeprefix(_SDG)),
            targets=tuple(it for it in claims if it.concept.startswith(_SDG) and "." in it.concept.removeprefix(_SDG)),
            subjects=tuple(left),
            related=tuple(words.iris.thing("initiative", source.name, normalize_inline(ref)) for ref in related if normalize_inline(ref)),
            start=dates.get("start-actual") or dates.get("start-planned"),
            end=dates.get("end-actual") or dates.get("end-planned"),
            coverage=_coded(activity.find("activity-scope"), words.iati_activity_scope),
            status=_coded(activity.find("activity-status"), words.iati_activity_status),
            activity_types=(lexicon.activity_type("project"),) if _is_project(activity) else (),
            places=tuple(_places(activity, tag)),
        )

    return read


def _tag(word: str | None) -> str | None:
    return (parse_language(word) or word) if word else None


def _narratives(node: _Element, tag: str | None) -> Iterator[tuple[str, str | None]]:
    """Give an element's texts with their languages: its narratives in 2.0x, its own text in 1.0x."""
    own = _tag(node.get(_LANG)) or tag
    told = node.findall("narrative")
    for it in told or [node]:
        if text := normalize_block(it.text):
            yield text, _tag(it.get(_LANG)) or own


def _told(activity: _Element, name: str, tag: str | None) -> Iterator[tuple[str, str | None]]:
    return (text for node in activity.iterfind(name) for text in _narratives(node, tag))


def _first_of_each(texts: Iterable[tuple[str, str | None]]) -> list[tuple[str, str | None]]:
    """Give the first text in each language, on one line."""
    found: dict[str | None, str] = {}
    for text, tag in texts:
        found.setdefault(tag, normalize_inline(text))
    return [(text, tag) for tag, text in found.items()]


def _descriptions(activity: _Element, tag: str | None) -> list[tuple[str, str | None]]:
    """Give one description a language: general, objectives and target groups are its paragraphs."""
    found: dict[str | None, dict[str, None]] = {}
    for text, its in _told(activity, "description", tag):
        found.setdefault(its, {})[text] = None
    return [("\n\n".join(texts), its) for its, texts in found.items()]


def _dates(activity: _Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in activity.iterfind("activity-date"):
        kind = (node.get("type") or "").lower()
        if text := parse_date(normalize_inline(node.get("iso-date") or node.text or "")):
            found.setdefault(_DATES.get(kind, kind), text)
    return found


def _coded(node: _Element | None, look: Callable[[str], str | None]) -> str | None:
    """Give the concept that an element's code names, else the code, for the shapes to flag."""
    code = normalize_inline(node.get("code") or node.text) if node is not None else ""
    return (look(code) or code) if code else None


def _is_project(activity: _Element) -> bool:
    return any(it.get("code") == _PROJECT for it in activity.iterfind("default-aid-type"))


def _areas(activity: _Element, lexicon: CrosswalkLookup, words: Crosswalks) -> dict[str, None]:
    """Give recipient countries, and regions where M49 has an area for them; those that no list knows stay words."""
    codes = (normalize_inline(node.get("code")).upper() for node in activity.iterfind("recipient-country"))
    found = dict.fromkeys(lexicon.country(code) for code in codes if code)
    for node in activity.iterfind("recipient-region"):
        code = normalize_inline(node.get("code"))
        if code and (node.get("vocabulary") or "1") == "1" and (area := words.iati_region(code)):
            found[area] = None
    return found


def _parties(activity: _Element, words: Crosswalks, lexicon: CrosswalkLookup, tag: str | None) -> Iterator[Party]:
    """Give the first accountable organization as lead, else the one that reports; who extends or implements is a partner."""
    took: set[tuple[Role, str]] = set()
    orgs = [(_ROLES.get(it.get("role") or "", (it.get("role") or "").lower()), it) for it in activity.iterfind("participating-org")]
    lead = next((it for role, it in orgs if role == "accountable"), activity.find("reporting-org"))
    told = [(Role.LEAD, lead)] if lead is not None else []
    told += [(Role.FUNDER if role == "funding" else Role.PARTNER, it) for role, it in orgs if it is not lead]
    for role, node in told:
        names = list(_narratives(node, tag))
        ref = normalize_inline(node.get("ref"))
        if not names and not ref:
            continue
        name = parse_name(normalize_inline(names[0][0]), names[0][1]) if names else parse_name(ref)
        kind = normalize_inline(node.get("type"))
        party = Party(role, name, ref or None, (words.iati_organisation_type(kind) or kind) if kind else None)
        it = party.key or name.value
        if (role, it) not in took and not (role is Role.PARTNER and (Role.LEAD, it) in took):
            took.add((role, it))
            yield party


def _places(activity: _Element, tag: str | None) -> Iterator[Place]:
    for node in activity.iterfind("location"):
        point = node.find("point/pos")
        coordinates = node.find("coordinates")
        if point is not None:
            pair = normalize_inline(point.text).replace(",", " ").split()
        else:
            pair = [coordinates.get("latitude") or "", coordinates.get("longitude") or ""] if coordinates is not None else []
        latitude, longitude = (parse_number(pair[0]), parse_number(pair[1])) if len(pair) == 2 else (None, None)
        if latitude is not None and longitude is not None:
            names = list(_told(node, "name", tag))
            yield Place(parse_name(normalize_inline(names[0][0]), names[0][1]) if names else None, latitude, longitude)


def _pages(activity: _Element) -> Iterator[str]:
    yield from (normalize_inline(it.text) for it in activity.iterfind("activity-website"))
    for node in activity.iterfind("document-link"):
        if any(it.get("code") == _WEB_PAGE for it in node.iterfind("category")):
            yield normalize_inline(node.get("url"))


def _classified(activity: _Element, lexicon: CrosswalkLookup, words: Crosswalks, tag: str | None) -> tuple[list[Claim], list[Text]]:
    """Sort sectors and tags into what they name: goals, targets and action lines; words that name none are left."""
    claims: dict[str, Claim] = {}
    left: dict[Text, None] = {}
    for node in activity.iterchildren("sector", "tag"):
        found = list(_claims(node, lexicon, words))
        for claim in found:
            known = claims.get(claim.concept)
            if known is None or (known.basis is not Basis.DECLARED and claim.basis is Basis.DECLARED):
                claims[claim.concept] = claim
        if not found:
            left |= {parse_name(normalize_inline(text), its): None for text, its in _narratives(node, tag)}
    return list(claims.values()), list(left)


def _claims(node: _Element, lexicon: CrosswalkLookup, words: Crosswalks) -> Iterator[Claim]:
    """Give what a sector or tag says: a goal's or target's own code declares it, a purpose code or indicator is translated."""
    kind, code, vocabulary = str(node.tag), normalize_inline(node.get("code")), normalize_inline(node.get("vocabulary"))
    if vocabulary == _GOALS[kind]:
        concept, basis = lexicon.goal(code), Basis.DECLARED
    elif vocabulary == _TARGETS[kind]:
        concept, basis = lexicon.target(code), Basis.DECLARED
    elif vocabulary == _INDICATORS.get(kind):
        concept, basis = lexicon.target(code.rpartition(".")[0]), Basis.CROSSWALKED
    elif kind == "sector" and vocabulary in _PURPOSES:
        yield from (Claim(concept, Basis.CROSSWALKED, f"DAC {code}") for concept in words.dac_purpose(code))
        return
    else:
        said = lexicon.parse_subjects(normalize_inline(it.text) for it in node.iterfind("narrative"))
        yield from (*said.lines, *said.goals, *said.targets)
        return
    if concept:
        yield Claim(concept, basis, code)
