"""CKAN's package: a dataset's or project's description, with a portal's own fields as extras.

Source: https://docs.ckan.org/en/latest/api/#ckan.logic.action.create.package_create
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import orjson

from harvesters.errors import ParseError
from harvesters.option_schema import Option, get_option
from harvesters.page_model import Record, Row
from harvesters.parsing import parser_errors
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup, merge_subjects
from harvesters.payloads.value_parsing import (
    KINDS,
    as_list,
    normalize_block,
    normalize_inline,
    parse_date,
    parse_language,
    parse_name,
    parse_number,
    parse_titles,
    split_words,
    unique_non_contact,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Document, Event, Initiative, Party, Place, Resource, Role
from vocab.iris import is_web

OPTIONS: Mapping[str, Option] = {
    "kind": Option(str, "initiative", "What the packages are: `initiative`, `event`, `document` or `post`."),
}

# What portals call a field, in the order in which they are asked for.
_LINES = ("action_lines", "action_line", "wsis_action_lines", "wsis_action_line")
_GOALS = ("sdgs", "sdg", "sdg_goals", "sdg_goal", "goals", "goal")
_TARGETS = ("sdg_targets", "sdg_target", "targets", "target")
_START = ("start", "start_date", "temporal_start", "temporal_coverage_from", "temporal_from")
_END = ("end", "end_date", "temporal_end", "temporal_coverage_to", "temporal_to")
_COUNTRIES = ("countries", "country", "country_code", "eu_country", "spatial_text", "spatial")
_POINTS = ("spatial_centroid", "spatial")
_ISSUED = ("issued", "dcat_issued", "metadata_created")
_MODIFIED = ("modified", "dcat_modified", "metadata_modified")
_IDENTIFIERS = ("identifier", "guid", "alternate_identifier", "doi")
_PAGES = ("url", "landing_page", "documentation", "project_url", "website")
_LANGUAGES = ("language", "languages")
_LICENCES = ("license_url", "license", "license_id", "license_title")
_KINDS, _LEADS = ("lead_type", "publisher_type"), ("publisher_name",)
_ROLES = ((Role.PARTNER, ("partners", "partner")), (Role.FUNDER, ("funders", "funder")))
_ACTIVITIES, _SORTS = ("activity_types", "activity_type"), ("dcat_type", "type")
_ASKED = frozenset(("publisher", "lead_country", "status", "coverage")).union(
    _LINES, _GOALS, _TARGETS, _START, _END, _COUNTRIES, _POINTS, _ISSUED, _MODIFIED, _IDENTIFIERS, _PAGES, _LANGUAGES, _LICENCES,
    _KINDS, _LEADS, *(names for _, names in _ROLES), _ACTIVITIES, _SORTS,
)  # fmt: skip
_NOTHING: Any = (None, "", [])
_MARK = ";"  # what parts a list that is written as one text

Fields = Mapping[str, Any]


def reader(source: Source, words: Crosswalks) -> Callable[[Record[Row]], Resource]:
    """Give the function that reads a package; it raises ParseError on one that is none."""
    lexicon = CrosswalkLookup(words)
    kind = KINDS[get_option(source, OPTIONS, "kind")]

    def read(record: Record[Row]) -> Resource:
        package = record.payload
        if not ("title" in package or "title_translated" in package or "name" in package):
            raise ParseError(f"{record.key}: no CKAN package: neither title nor name, only {', '.join(map(str, package))[:200]}")
        fields = _fields(package)
        tag = _own_language(fields) or source.language
        tags, tagged = _tags(package)
        said = lexicon.parse_declared(_texts(fields, _LINES), _texts(fields, _GOALS), _texts(fields, _TARGETS))
        subjects = merge_subjects(said, lexicon.parse_subjects(tags + _groups(package)))
        return kind(
            key=record.key,
            titles=parse_titles(_translated(package, "title", tag, normalize_inline)),
            descriptions=parse_titles(_translated(package, "notes", tag, normalize_block)),
            identifiers=_identifiers(record.key, package, fields),
            pages=unique_non_contact(_whole(fields, _PAGES)),
            languages=tuple(dict.fromkeys([parse_language(word) or word for word in _texts(fields, _LANGUAGES)])),
            licence=_licence(fields),
            issued=parse_date(_first(fields, _ISSUED)),
            modified=parse_date(_first(fields, _MODIFIED)),
            countries=tuple(dict.fromkeys([lexicon.country(text) for text in _texts(fields, _COUNTRIES) if text[0] != "{"])),
            parties=_parties(package, fields, lexicon),
            action_lines=subjects.lines,
            goals=subjects.goals,
            targets=subjects.targets,
            subjects=tuple([parse_name(word, tagged.get(word)) for word in subjects.unmatched]),
            **_own(kind, fields, lexicon),
        )

    return read


def _fields(package: Row) -> Fields:
    """Lay the extras over the package's own fields, of both what is asked for; keys differ by hyphens and case."""
    fields: dict[str, Any] = {}
    for key, it in package.items():
        if key in _ASKED or not key.islower() or "-" in key:  # as most keys are written that are not asked for
            name = _respelled(key)
            if name in _ASKED and (it or it not in _NOTHING):
                fields[name] = it
    for extra in _objects(package.get("extras")):
        word, it = extra.get("key"), extra.get("value")
        if isinstance(word, str):
            name = _respelled(word)
            if name in _ASKED and name not in fields and (it or it not in _NOTHING):
                fields[name] = _unpacked(it) if isinstance(it, str) and it[0] in "[{" else it
    return fields


def _respelled(key: str) -> str:
    return key if key in _ASKED else key.replace("-", "_").lower()


def _unpacked(text: Any) -> Any:
    """Read a list or an object that is written as JSON in a text."""
    if not isinstance(text, str) or text[:1] not in {"[", "{"}:
        return text
    try:
        with parser_errors("JSON"):
            return orjson.loads(text)
    except ParseError:
        return text


def _objects(found: Any) -> list[Mapping[str, Any]]:
    return [it for it in as_list(found) if isinstance(it, dict)]


def _first(fields: Fields, names: tuple[str, ...]) -> str:
    """Give the text of the first of these fields that has one, else an empty one."""
    for name in names:
        if name in fields and (text := normalize_inline(fields[name])):
            return text
    return ""


def _whole(fields: Fields, names: tuple[str, ...]) -> Iterable[str]:
    """Give the texts of all these fields, each once."""
    return dict.fromkeys([word for name in names if name in fields for word in split_words(fields[name], None)])


def _texts(fields: Fields, names: tuple[str, ...]) -> Iterable[str]:
    """Give the texts of all these fields, each once, lists that are written as one text taken apart."""
    found = [split_words(fields[name], _MARK) for name in names if name in fields]
    if not found or (len(found) == 1 and len(found[0]) == 1):  # most often
        return found[0] if found else ()
    return dict.fromkeys([word for words in found for word in words])


def _identifiers(key: str, package: Row, fields: Fields) -> tuple[str, ...]:
    return unique_non_contact([text for text in (normalize_inline(package.get("name")), *_whole(fields, _IDENTIFIERS)) if text != key])


def _own_language(fields: Fields) -> str | None:
    """Give the package's language where it names just one."""
    tags = {parse_language(word) for word in _texts(fields, ("language",))}
    return tags.pop() if len(tags) == 1 else None


def _translated(package: Row, name: str, tag: str | None, form: Callable[[Any], str]) -> list[tuple[str, str | None]]:
    """Give a text in all its languages; the plain one only where no translation says the same."""
    translated = package.get(f"{name}_translated")
    texts = [(form(text), parse_language(key) or key) for key, text in translated.items()] if isinstance(translated, dict) else []
    if any(tag == key for _, key in texts):
        return texts
    text = form(package.get(name)) or (form(package.get("name")) if name == "title" and not texts else "")
    if text and not any(text == other for other, _ in texts):
        texts.append((text, tag))
    return texts


def _tags(package: Row) -> tuple[list[str], dict[str, str | None]]:
    """Give the tags, and the language of those that are translated; the others' is not the package's, in most portals."""
    translated = package.get("tags_translated")
    if isinstance(translated, dict) and translated:
        tagged = {normalize_inline(it): parse_language(key) or key for key, texts in translated.items() for it in as_list(texts)}
        return list(tagged), dict(tagged)
    return [
        normalize_inline(it.get("display_name") or it.get("name") if isinstance(it, dict) else it) for it in as_list(package.get("tags"))
    ], {}


def _groups(package: Row) -> list[str]:
    return [normalize_inline(it.get("title") or it.get("display_name") or it.get("name")) for it in _objects(package.get("groups"))]


def _licence(fields: Fields) -> str | None:
    """Give the licence's address, else the portal's name for it."""
    names = [text for name in _LICENCES if name in fields and (text := normalize_inline(fields[name]))]
    return next((name for name in names if is_web(name)), names[0] if names else None)


def _parties(package: Row, fields: Fields, lexicon: CrosswalkLookup) -> tuple[Party, ...]:
    """Give organization (else publisher) as lead, partners and funders; author and maintainer are persons, who are not published."""
    kind = lexicon.stakeholder_type(text) if (text := _first(fields, _KINDS)) else None
    country = lexicon.country(text) if (text := normalize_inline(fields.get("lead_country"))) else None
    lead = package.get("organization")
    parties: list[Party] = []
    if isinstance(lead, dict) and (name := normalize_inline(lead.get("title") or lead.get("name"))):
        parties.append(Party(Role.LEAD, parse_name(name), normalize_inline(lead.get("name") or lead.get("id")) or None, kind, country))
    else:
        names = [normalize_inline(it.get("name")) for it in _objects(fields.get("publisher")) if it.get("type") != "person"]
        names += [_first(fields, _LEADS), normalize_inline(lead)]
        parties += [Party(Role.LEAD, parse_name(name), None, kind, country) for name in names if name][:1]
    for role, keys in _ROLES:
        parties += [Party(role, parse_name(name)) for name in _texts(fields, keys)]
    return tuple(parties)


def _own(kind: type[Resource], fields: Fields, lexicon: CrosswalkLookup) -> dict[str, Any]:
    if kind is Document:
        return {"kind": _first(fields, _SORTS) or None}
    if kind not in {Initiative, Event}:
        return {}
    own: dict[str, Any] = {
        "start": parse_date(_first(fields, _START)),
        "end": parse_date(_first(fields, _END)),
        "places": tuple(_points(fields)),
    }
    if kind is Initiative:
        own["status"] = lexicon.status(text) if (text := normalize_inline(fields.get("status"))) else None
        own["coverage"] = lexicon.coverage(text) if (text := normalize_inline(fields.get("coverage"))) else None
        own["activity_types"] = tuple(map(lexicon.activity_type, _texts(fields, _ACTIVITIES)))
    return own


def _points(fields: Fields) -> Iterator[Place]:
    """Give the first point of GeoJSON; a polygon is no point and is not made one."""
    for name in _POINTS:
        if name not in fields:
            continue
        shape = _unpacked(fields.get(name))
        if isinstance(shape, dict) and shape.get("type") == "Point" and isinstance(shape.get("coordinates"), list):
            spot = [parse_number(it) for it in shape["coordinates"][:2]]
            if len(spot) == 2 and spot[0] is not None and spot[1] is not None:
                yield Place(None, latitude=spot[1], longitude=spot[0])
                return
