"""Map CKAN packages, descriptions of datasets or projects with a portal's own fields as extras.

Source: https://docs.ckan.org/en/latest/api/#ckan.logic.action.create.package_create
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import Field

from harvesters.errors import ParseError
from harvesters.mappings.mapping import Kind
from harvesters.mappings.schema import Entry, FieldTable, Part, Schema
from harvesters.options import Options
from harvesters.page_model import Payload, Record, Row
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.value_parsing import (
    as_list,
    decode_json,
    normalize_inline,
    parse_email,
    parse_language,
    split_words,
)
from vocab.initiative import Contact, Initiative, Party, Resource, Text
from vocab.iris import is_web


class PackageOptions(Options):
    """The options of a source with this mapping."""

    kind: Kind | None = Field(
        None,
        description="The class of all packages: `initiative`, `event`, `document` or `post`; without it, each package's type says it.",
    )


Fields = Mapping[str, Any]

_LIST_SEPARATOR = ";"  # It separates the items of a list that is one text.
# Fields of the places that a package is about, before those of its country. ``eu_country`` is the
# country of the portal and belongs to neither.
_PLACES = ("countries", "spatial_text", "spatial", "spatial_coverage")
_COUNTRIES = ("country", "country_code")
_ADDITIONS = "solr_additions"  # HDX lists the names of countries in its JSON.
# The fields of a contact's name, e-mail address and page. The contact may be a person.
_CONTACTS = (
    ("contact_name", "contact_email", "contact_uri"),
    ("maintainer", "maintainer_email", "maintainer_url"),
    ("publisher_name", "publisher_email", "publisher_url"),
)
_CONTACT_LISTS = ("contact", "contact_point")  # Their objects have a name, an email and a url.
_POINTS = ("spatial_centroid", "spatial")
_PERIODS = ("temporal_coverage", "temporal")
_DATES = "dataset_reference_date"  # The dates of ISO 19115 have a type each.


def _event_date(kind: str) -> Callable[[Fields], list[str]]:
    """Return the function that reads the dates of a type: publication, revision or creation.

    Source: https://docs.ckan.org/projects/ckanext-spatial/en/latest/harvesters.html
    """
    return lambda fields: [
        normalize_inline(date.get("value"))
        for date in _objects(fields.get(_DATES))
        if date.get("type") == kind
    ]


def _creators(fields: Fields) -> list[str]:
    """Return the names of the creators, else of the author, without their contacts."""
    names = [normalize_inline(creator.get("name")) for creator in _objects(fields.get("creator"))]
    return list(filter(None, names)) or list(split_words(fields.get("author"), None))


# The names that portals give to each field, in order of preference. ``_fields`` makes those that
# begin with an underscore.
_PATHS: Mapping[str, Entry] = {
    "title": ("_title", "name"),
    "description": "_notes",
    "identifiers": ["name", "identifier", "guid", "alternate_identifier", "doi"],
    "pages": ["url", "landing_page", "documentation", "project_url", "website"],
    "languages": ["language", "languages"],
    "licences": ["license_url", "license", "license_id", "license_title"],
    "issued": ("issued", "dcat_issued", _event_date("publication"), "metadata_created"),
    "modified": ("modified", "dcat_modified", _event_date("revision"), "metadata_modified"),
    "countries": "_countries",
    "lead": "_lead.name",
    "lead_key": "_lead.key",
    "lead_type": ("lead_type", "publisher_type"),
    "lead_country": "lead_country",
    "partners": ["partners", "partner"],
    "funders": ["funders", "funder"],
    "action_lines": ["action_lines", "action_line", "wsis_action_lines", "wsis_action_line"],
    "goals": ["sdgs", "sdg", "sdg_goals", "sdg_goal", "goals", "goal"],
    "targets": ["sdg_targets", "sdg_target", "targets", "target"],
    "keywords": "_keywords",
    "themes": "_themes",
    "conforms_to": ["conforms_to"],
    "access_rights": ("access_rights", "access_constraints"),
    "frequency": ("frequency", "accrual_periodicity", "frequency_of_update"),
    "start": ("start", "start_date"),
    "end": ("end", "end_date"),
    "status": "status",
    "coverage": "coverage",
    "activity_types": ["activity_types", "activity_type"],
    "type": ["dcat_type", "type"],
    "creators": _creators,
}
_PERIOD: Mapping[str, Entry] = {
    "start": ("temporal_start", "temporal_coverage_from", "temporal_from"),
    "end": ("temporal_end", "temporal_coverage_to", "temporal_to"),
}


def _fields(table: FieldTable, record: Record[Any]) -> Fields:
    """Return the fields of the package and its extras, with what several of them make."""
    package, lexicon = record.payload, table.lexicon
    if not ("title" in package or "title_translated" in package or "name" in package):
        raise ParseError(
            f"{record.key}: not a CKAN package: neither title nor name, only {', '.join(map(str, package))[:200]}"
        )
    fields = _all_fields(package)
    groups = [
        normalize_inline(group.get("title") or group.get("display_name") or group.get("name"))
        for group in _objects(package.get("groups"))
    ]
    places = [group for group in groups if lexicon.find_country(group)]
    themes = _texts(fields, ("theme", "themes"))
    words = [
        theme
        for theme in themes
        if not is_web(theme) or lexicon.goal(theme) or lexicon.target(theme)
    ]
    words += [group for group in groups if group not in places]
    fields |= {
        "_title": _translated(package, "title"),
        "_notes": _translated(package, "notes"),
        "_keywords": [*_tags(package), *words],
        "_themes": [theme for theme in themes if theme not in words],
        "_countries": _countries(fields, places, lexicon),
        "_lead": _lead(package, fields),
        "_files": [
            {
                **resource,
                "title": _translated(resource, "name"),
                "description": _translated(resource, "description"),
            }
            for resource in _objects(package.get("resources"))
        ],
    }
    return fields


def _all_fields(package: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with normalized keys (hyphens, case), and lists and objects in texts decoded;
    own fields win over extras.
    """
    fields: dict[str, Any] = {}
    extras = [(extra.get("key"), extra.get("value")) for extra in _objects(package.get("extras"))]
    # The copy notes which of the fields are read where a preview asks for it.
    for key, item in [*dict.items(package), *extras]:
        if isinstance(key, str) and (item or item not in (None, "", [])):
            is_json = isinstance(item, str) and item.startswith(("[", "{"))
            fields.setdefault(key.replace("-", "_").lower(), decode_json(item) if is_json else item)
    return type(package)(fields)


def _countries(fields: Fields, groups: Iterable[str], lexicon: CrosswalkLookup) -> list[str]:
    """Return the countries of the places, by IRI or name, else the package's country if no place
    has a name, else those of its *groups*.
    """
    codes = [text.rstrip("/#").rpartition("/")[2] for text in _texts(fields, ("spatial_uri",))]
    known = [lexicon.find_country(code.upper()) for code in codes if code.isalpha()]
    if by_code := [country for country in known if country]:
        return by_code
    added = fields.get(_ADDITIONS)
    places = (
        place
        for name in _PLACES
        for item in as_list(fields.get(name))
        for place in _place_names(item)
    )
    listed = added.get("countries") if isinstance(added, dict) else None
    for names in (places, _texts(fields, _COUNTRIES), split_words(listed, None), groups):
        if countries := [
            country
            for name in names
            for country in lexicon.list_countries(name) or (lexicon.country(name),)
        ]:
            return countries
    return []


def _place_names(place: Any) -> Iterable[str]:
    """Return the names of places in a field; a geometry has none."""
    if isinstance(place, dict):
        return filter(None, [normalize_inline(place.get("text"))])
    return (text for text in split_words(place, _LIST_SEPARATOR) if text[0] != "{")


def _lead(package: Row, fields: Fields) -> dict[str, str] | None:
    """Return the organization, else the publisher if it is no person. Maintainers are left out."""
    lead = package.get("organization")
    about = lead if isinstance(lead, dict) else {}
    key = normalize_inline(about.get("name") or about.get("id"))
    names = [(normalize_inline(about.get("title") or about.get("name")), key)]
    names += [
        (normalize_inline(publisher.get("name")), "")
        for publisher in _objects(fields.get("publisher"))
        if publisher.get("type") != "person"
    ]
    names += [(text, "") for text in split_words(fields.get("publisher_name"), None)]
    names += [(normalize_inline(lead), "")]
    return next(({"name": name, "key": key} for name, key in names if name), None)


def _translated(package: Row, name: str) -> Any:
    """Return a text, or if it is translated its languages by their tags and the text itself by ""."""
    translated, text = package.get(f"{name}_translated"), package.get(name)
    return {**translated, "": text} if translated and isinstance(translated, dict) else text


def _tags(package: Row) -> list[Any]:
    """Return the tags. In most portals those that are not translated are not in the package's
    language.
    """
    translated = package.get("tags_translated")
    if isinstance(translated, dict) and translated:
        return [
            Text(normalize_inline(item), parse_language(key) or key)
            for key, texts in translated.items()
            for item in as_list(texts)
        ]
    return [
        item.get("display_name") or item.get("name") if isinstance(item, dict) else item
        for item in as_list(package.get("tags"))
    ]


def _periods(fields: Fields) -> list[Fields]:
    """Return the time that a package is about, which is not the time of a project."""
    items = [item for name in _PERIODS for item in as_list(fields.get(name))]
    return [item if isinstance(item, dict) else {"start": item} for item in items]


def _point(fields: Fields) -> list[Fields]:
    """Return the first point in GeoJSON; a polygon is not converted to a point."""
    shapes = _objects([fields.get(name) for name in _POINTS])
    return [shape for shape in shapes if shape.get("type") == "Point"][:1]


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in as_list(value) if isinstance(item, dict)]


def _texts(fields: Fields, names: tuple[str, ...]) -> list[str]:
    """Return the texts of all these fields without duplicates; lists written as one text are split."""
    words = [word for name in names for word in split_words(fields.get(name), _LIST_SEPARATOR)]
    return list(dict.fromkeys(words))


def _kind(table: FieldTable, fields: Fields) -> type[Resource]:
    """Return the class of a package: an initiative if it states a type of activity, else what its
    type says.
    """
    is_activity = table.words("activity_types")(fields)
    return Initiative if is_activity else table.lexicon.kind(table.words("type")(fields))


def _edit(_: FieldTable, fields: Fields, kind: type[Resource], values: dict[str, Any]) -> None:
    values["contacts"] = tuple(_contacts(fields, values.get("parties", ())))


def _contacts(fields: Fields, parties: Iterable[Party]) -> Iterator[Contact]:
    """Yield the contacts that have the name of one of *parties*; others may be persons."""
    known = {party.name.value.casefold(): party.name for party in parties}
    rows = [tuple(map(fields.get, names)) for names in _CONTACTS if names[0] in fields]
    rows += [
        (item.get("name"), item.get("email"), item.get("url"))
        for name in _CONTACT_LISTS
        for item in _objects(fields.get(name))
    ]
    stated = [
        (known[name.casefold()], parse_email(email), page if is_web(page) else None)
        for name, email, page in (map(normalize_inline, row) for row in rows)
        if name.casefold() in known
    ]
    for called in dict.fromkeys(name for name, _, _ in stated):
        email = next((email for name, email, _ in stated if name == called and email), None)
        page = next((page for name, _, page in stated if name == called and page), None)
        if email or page:
            yield Contact((called,), email, page)


MAPPING = Schema(
    Payload.ROW,
    _PATHS,
    {
        "periods": [
            Part(lambda fields: [fields], _PERIOD),
            Part(_periods, {"start": "start", "end": "end"}),
        ],
        "places": [Part(_point, {"latitude": "coordinates[1]", "longitude": "coordinates[0]"})],
        "files": [
            Part(
                "_files",
                {
                    "access": ["access_url", "url"],
                    "download": "download_url",
                    "title": "title",
                    "form": ("mimetype", "format"),
                    "licence": "license",
                    "description": "description",
                    "size": "size",
                    "checksum": "hash",
                    "algorithm": "hash_algorithm",
                },
            )
        ],
    },
    root=_fields,
    edit=_edit,
    kind=_kind,
    options=PackageOptions,
    split=dict.fromkeys(
        (
            "action_lines",
            "goals",
            "targets",
            "languages",
            "partners",
            "funders",
            "activity_types",
            "conforms_to",
            "type",
        ),
        _LIST_SEPARATOR,
    ),
    untagged=frozenset({"keywords", "creators"}),
).mapping()
