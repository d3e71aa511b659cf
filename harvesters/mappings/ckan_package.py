"""CKAN's package: a dataset's or project's description, with a portal's own fields as extras.

Source: https://docs.ckan.org/en/latest/api/#ckan.logic.action.create.package_create
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from harvesters.errors import ParseError
from harvesters.lexicon import Lexicon, joined
from harvesters.protocols.option import Option, value
from harvesters.reading import KINDS, block, date, language, many, number, parted, plain, private, public, titled, web
from harvesters.record import Record, Row
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Document, Event, Initiative, Party, Place, Resource, Role, Text

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
_MARK = ";"  # what parts a list that is written as one text

Fields = Mapping[str, Any]


def reader(source: Source, words: Crosswalks) -> Callable[[Record[Row]], Resource]:
    """Give the function that reads a package; it raises ParseError on one that is none."""
    lexicon = Lexicon(words)
    kind = KINDS[value(source, OPTIONS, "kind")]

    def read(record: Record[Row]) -> Resource:
        package = record.payload
        if not any(name in package for name in ("title", "title_translated", "name")):
            raise ParseError(f"{record.key}: no CKAN package: neither title nor name, only {', '.join(map(str, package))[:200]}")
        fields = _fields(package)
        tag = _own_language(fields) or source.language
        groups = [plain(it.get("title") or it.get("display_name") or it.get("name")) for it in _objects(package.get("groups"))]
        tags, tagged = _tags(package)
        said = lexicon.declared(_texts(fields, _LINES), _texts(fields, _GOALS), _texts(fields, _TARGETS))
        subjects = joined(said, lexicon.subjects([*tags, *groups]))
        lands = [lexicon.country(text) for text in _places(fields)]
        return kind(
            key=record.key,
            titles=titled(_translated(package, "title", tag, plain)),
            descriptions=titled(_translated(package, "notes", tag, block)),
            identifiers=public([text for text in (plain(package.get("name")), *_whole(fields, _IDENTIFIERS)) if text != record.key]),
            pages=public(_whole(fields, _PAGES)),
            languages=tuple(dict.fromkeys(language(word) or word for word in _texts(fields, ("language", "languages")))),
            licence=_licence(fields),
            issued=date(_first(fields, _ISSUED)),
            modified=date(_first(fields, _MODIFIED)),
            countries=tuple(dict.fromkeys(lands)),
            parties=_parties(package, fields, lexicon),
            action_lines=subjects.lines,
            goals=subjects.goals,
            targets=subjects.targets,
            subjects=tuple(Text(private(word), tagged.get(word)) for word in subjects.left),
            **_own(kind, fields, lexicon),
        )

    return read


def _fields(package: Row) -> Fields:
    """Lay the extras over the package's own fields; keys differ by hyphens, lists may be written as JSON in a text."""
    fields: dict[str, Any] = {key.replace("-", "_").lower(): it for key, it in package.items() if it not in (None, "", [])}
    for extra in _objects(package.get("extras")):
        key, it = extra.get("key"), extra.get("value")
        if isinstance(key, str) and it not in (None, "", []):
            fields.setdefault(key.replace("-", "_").lower(), _unpacked(it))
    return fields


def _unpacked(text: Any) -> Any:
    if not isinstance(text, str) or text[:1] not in {"[", "{"}:
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _objects(found: Any) -> Iterator[Mapping[str, Any]]:
    return (it for it in many(found) if isinstance(it, dict))


def _first(fields: Fields, names: tuple[str, ...]) -> Any:
    return next((fields[name] for name in names if plain(fields.get(name))), None)


def _whole(fields: Fields, names: tuple[str, ...]) -> list[str]:
    """Give the texts of all these fields, each once."""
    return list(dict.fromkeys(text for name in names for it in many(fields.get(name)) if (text := plain(it))))


def _texts(fields: Fields, names: tuple[str, ...]) -> list[str]:
    """Give the texts of all these fields, each once, lists that are written as one text taken apart."""
    return list(dict.fromkeys(parted(_whole(fields, names), _MARK)))


def _places(fields: Fields) -> list[str]:
    return [text for text in _texts(fields, _COUNTRIES) if not text.startswith("{")]


def _own_language(fields: Fields) -> str | None:
    """Give the package's language where it names just one."""
    named = {language(word) for word in _texts(fields, ("language",))}
    return named.pop() if len(named) == 1 else None


def _translated(package: Row, name: str, tag: str | None, form: Callable[[Any], str]) -> Iterator[tuple[str, str | None]]:
    """Give a text in all its languages; the plain one only where no translation says the same."""
    translated = package.get(f"{name}_translated")
    texts = [(form(text), language(key) or key) for key, text in translated.items()] if isinstance(translated, dict) else []
    yield from texts
    text = form(package.get(name)) or (form(package.get("name")) if name == "title" and not texts else "")
    if text and text not in {other for other, _ in texts} and tag not in {key for _, key in texts}:
        yield text, tag


def _tags(package: Row) -> tuple[list[str], dict[str, str | None]]:
    """Give the tags, and the language of those that are translated; the others' is not the package's, in most portals."""
    translated = package.get("tags_translated")
    if isinstance(translated, dict) and translated:
        tagged = {plain(it): language(key) or key for key, texts in translated.items() for it in many(texts)}
        return list(tagged), dict(tagged)
    tags = [plain(it.get("display_name") or it.get("name") if isinstance(it, dict) else it) for it in many(package.get("tags"))]
    return tags, {}


def _licence(fields: Fields) -> str | None:
    """Give the licence's address, else the portal's name for it."""
    named = [plain(fields.get(name)) for name in ("license_url", "license", "license_id", "license_title")]
    return next(iter(web(named)), None) or next((name for name in named if name), None)


def _parties(package: Row, fields: Fields, lexicon: Lexicon) -> tuple[Party, ...]:
    """Give organization (else publisher) as lead, partners and funders; author and maintainer are persons, who are not published."""
    kind = lexicon.stakeholder_type(text) if (text := plain(_first(fields, ("lead_type", "publisher_type")))) else None
    country = lexicon.country(text) if (text := plain(fields.get("lead_country"))) else None
    lead = package.get("organization")
    parties: list[Party] = []
    if isinstance(lead, dict) and (name := plain(lead.get("title") or lead.get("name"))):
        parties.append(Party(Role.LEAD, Text(private(name)), plain(lead.get("name") or lead.get("id")) or None, kind, country))
    else:
        named = [plain(it.get("name")) for it in _objects(fields.get("publisher")) if it.get("type") != "person"]
        named += [plain(_first(fields, ("publisher_name",))), plain(lead)]
        parties += [Party(Role.LEAD, Text(private(name)), None, kind, country) for name in named if name][:1]
    for role, names in ((Role.PARTNER, ("partners", "partner")), (Role.FUNDER, ("funders", "funder"))):
        parties += [Party(role, Text(private(name))) for name in _texts(fields, names)]
    return tuple(parties)


def _own(kind: type[Resource], fields: Fields, lexicon: Lexicon) -> dict[str, Any]:
    if kind is Document:
        return {"kind": plain(_first(fields, ("dcat_type", "type"))) or None}
    if kind not in {Initiative, Event}:
        return {}
    own: dict[str, Any] = {"start": date(_first(fields, _START)), "end": date(_first(fields, _END)), "places": tuple(_points(fields))}
    if kind is Initiative:
        own["status"] = lexicon.status(text) if (text := plain(fields.get("status"))) else None
        own["coverage"] = lexicon.coverage(text) if (text := plain(fields.get("coverage"))) else None
        own["activity_types"] = tuple(map(lexicon.activity_type, _texts(fields, ("activity_types", "activity_type"))))
    return own


def _points(fields: Fields) -> Iterator[Place]:
    """Give the first point of GeoJSON; a polygon is no point and is not made one."""
    for name in _POINTS:
        shape = _unpacked(fields.get(name))
        if isinstance(shape, dict) and shape.get("type") == "Point" and isinstance(shape.get("coordinates"), list):
            spot = [number(it) for it in shape["coordinates"][:2]]
            if len(spot) == 2 and spot[0] is not None and spot[1] is not None:
                yield Place(None, latitude=spot[1], longitude=spot[0])
                return
