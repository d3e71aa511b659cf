"""Map CKAN packages, descriptions of datasets or projects with a portal's own fields as extras.

Source: https://docs.ckan.org/en/latest/api/#ckan.logic.action.create.package_create
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import orjson

from harvesters.errors import ParseError
from harvesters.mappings.mapping import RecordMapping
from harvesters.option_schema import Option, get_option
from harvesters.page_model import Payload, Record, Row
from harvesters.parsing import parser_errors
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup, Subjects, merge_subjects
from harvesters.payloads.value_parsing import (
    KINDS,
    as_list,
    normalize_block,
    normalize_inline,
    parse_checksum,
    parse_date,
    parse_email,
    parse_interval,
    parse_language,
    parse_languages,
    parse_name,
    parse_number,
    parse_size,
    parse_titles,
    split_words,
    unique_non_contact,
    unique_urls,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import (
    Contact,
    Document,
    Event,
    File,
    Initiative,
    Party,
    Period,
    Place,
    Resource,
    Role,
    Text,
)
from vocab.iris import is_web

OPTIONS: Mapping[str, Option] = {
    "kind": Option(
        str,
        None,
        "The class of all packages: `initiative`, `event`, `document` or `post`; without it, each package's type says it.",
    ),
}

# Names of fields in portals, in order of preference.
_LINES = ("action_lines", "action_line", "wsis_action_lines", "wsis_action_line")
_GOALS = ("sdgs", "sdg", "sdg_goals", "sdg_goal", "goals", "goal")
_TARGETS = ("sdg_targets", "sdg_target", "targets", "target")
_START, _END = ("start", "start_date"), ("end", "end_date")
_PERIOD_START = ("temporal_start", "temporal_coverage_from", "temporal_from")
_PERIOD_END = ("temporal_end", "temporal_coverage_to", "temporal_to")
_PERIODS = ("temporal_coverage", "temporal")
# The place that a package is about, else its country. The portal's own country (eu_country) is
# neither.
_PLACES = ("countries", "spatial_text", "spatial", "spatial_coverage")
_COUNTRIES = ("country", "country_code")
_PLACE_IRIS = ("spatial_uri",)
_THEMES, _STANDARDS = ("theme", "themes"), ("conforms_to",)
_RIGHTS = ("access_rights", "access_constraints")
_FREQUENCY = ("frequency", "accrual_periodicity", "frequency_of_update")
# Fields with a name, an e-mail address and a page of a contact. It may be a person's.
_CONTACTS = (
    ("contact_name", "contact_email", "contact_uri"),
    ("maintainer", "maintainer_email", "maintainer_url"),
    ("publisher_name", "publisher_email", "publisher_url"),
)
_CONTACT_LISTS = ("contact", "contact_point")  # of objects with name, email and url
_POINTS = ("spatial_centroid", "spatial")
_ISSUED, _MODIFIED = ("issued", "dcat_issued"), ("modified", "dcat_modified")
_DATES = "dataset_reference_date"  # of ISO 19115, each with its type
_CREATED, _CHANGED = ("metadata_created",), ("metadata_modified",)  # of the portal's record
_IDENTIFIERS = ("identifier", "guid", "alternate_identifier", "doi")
_PAGES = ("url", "landing_page", "documentation", "project_url", "website")
_LANGUAGES = ("language", "languages")
_LICENCES = ("license_url", "license", "license_id", "license_title")
_KINDS, _LEADS = ("lead_type", "publisher_type"), ("publisher_name",)
_ROLES = ((Role.PARTNER, ("partners", "partner")), (Role.FUNDER, ("funders", "funder")))
_ACTIVITIES, _SORTS = ("activity_types", "activity_type"), ("dcat_type", "type")
_ADDITIONS = "solr_additions"  # of HDX: JSON with the names of countries
_KNOWN_KEYS = frozenset((_ADDITIONS, "publisher", "lead_country", "status", "coverage", "author", "creator", _DATES)).union(
    _CONTACT_LISTS, *_CONTACTS,
    _PERIOD_START, _PERIOD_END, _PERIODS, _PLACES, _PLACE_IRIS, _THEMES, _STANDARDS, _RIGHTS, _FREQUENCY,
    _LINES, _GOALS, _TARGETS, _START, _END, _COUNTRIES, _POINTS, _ISSUED, _MODIFIED, _CREATED, _CHANGED,
    _IDENTIFIERS, _PAGES, _LANGUAGES, _LICENCES, _KINDS, _LEADS, *(names for _, names in _ROLES), _ACTIVITIES, _SORTS,
)  # fmt: skip
_EMPTY: Any = (None, "", [])
_LIST_SEPARATOR = ";"  # separates the items of a list in one text

Fields = Mapping[str, Any]


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[Row]], Resource]:
    """Return the function that maps a package. It raises ParseError for anything else."""
    lexicon = CrosswalkLookup(crosswalks)
    name = get_option(source, OPTIONS, "kind")
    fixed = KINDS[name] if name else None

    return partial(_map_package, lexicon=lexicon, tag=source.language, fixed=fixed)


def _map_package(
    record: Record[Row],
    lexicon: CrosswalkLookup,
    tag: str | None,
    fixed: type[Resource] | None,
) -> Resource:
    package = record.payload
    if not ("title" in package or "title_translated" in package or "name" in package):
        raise ParseError(
            f"{record.key}: not a CKAN package: neither title nor name, only {', '.join(map(str, package))[:200]}"
        )
    fields = _fields(package)
    tags, tagged = _tags(package)
    themes = list(_texts(fields, _THEMES))
    groups = _groups(package)
    places = [group for group in groups if lexicon.find_country(group)]
    words = [*tags, *(group for group in groups if group not in places)]
    subjects = _subjects(fields, words, themes, lexicon)
    kind = fixed or _kind(fields, lexicon)
    parties = _parties(package, fields, lexicon)
    return kind(
        key=record.key,
        titles=parse_titles(_translated(package, "title", tag, normalize_inline)),
        descriptions=parse_titles(_translated(package, "notes", tag, normalize_block)),
        identifiers=_identifiers(record.key, package, fields),
        pages=unique_non_contact(_collect(fields, _PAGES)),
        languages=parse_languages(_texts(fields, _LANGUAGES)),
        licences=_licences(fields),
        issued=_date(fields, _ISSUED, "publication", _CREATED),
        modified=_date(fields, _MODIFIED, "revision", _CHANGED),
        countries=_countries(fields, places, lexicon),
        parties=parties,
        action_lines=subjects.lines,
        goals=subjects.goals,
        targets=subjects.targets,
        subjects=tuple([parse_name(word, tagged.get(word)) for word in subjects.unmatched]),
        themes=tuple(theme for theme in themes if is_web(theme) and not _is_goal(lexicon, theme)),
        periods=tuple(_periods(fields)),
        conforms_to=tuple(_texts(fields, _STANDARDS)),
        access_rights=_first_text(fields, _RIGHTS) or None,
        frequency=_first_text(fields, _FREQUENCY) or None,
        files=tuple(_files(package, tag)),
        contacts=tuple(_contacts(fields, parties)),
        **_class_fields(kind, fields, lexicon),
    )


def _subjects(
    fields: Fields, tags: Iterable[str], themes: Iterable[str], lexicon: CrosswalkLookup
) -> Subjects:
    """Return what fields declare, and what *tags* and *themes* that are no addresses mean."""
    declared = lexicon.parse_declared(
        _texts(fields, _LINES), _texts(fields, _GOALS), _texts(fields, _TARGETS)
    )
    words = [*tags, *(theme for theme in themes if not is_web(theme) or _is_goal(lexicon, theme))]
    return merge_subjects(declared, lexicon.parse_subjects(words))


def _date(
    fields: Fields, own: tuple[str, ...], event: str, of_portal: tuple[str, ...]
) -> str | None:
    """Return the date in a field of the package, else that of an *event* of ISO 19115, else the
    portal's.
    """
    return parse_date(
        _first_text(fields, own) or _reference_date(fields, event) or _first_text(fields, of_portal)
    )


def _kind(fields: Fields, lexicon: CrosswalkLookup) -> type[Resource]:
    """Return the class of a package: an initiative if it states a type of activity, else what its
    type says.
    """
    return (
        Initiative
        if any(True for _ in _texts(fields, _ACTIVITIES))
        else lexicon.kind(_texts(fields, _SORTS))
    )


def _is_goal(lexicon: CrosswalkLookup, theme: str) -> bool:
    return bool(lexicon.goal(theme) or lexicon.target(theme))


def _countries(fields: Fields, groups: Iterable[str], lexicon: CrosswalkLookup) -> tuple[str, ...]:
    """Return the countries of the places, by IRI or name, else the package's country if no place
    has a name, else those of its *groups*.
    """
    codes = (text.rstrip("/#").rpartition("/")[2].upper() for text in _texts(fields, _PLACE_IRIS))
    by_code = [
        country for code in codes if code.isalpha() and (country := lexicon.find_country(code))
    ]
    added = _decode_json(fields.get(_ADDITIONS))
    added = added.get("countries") if isinstance(added, dict) else None
    names: tuple[Iterable[str], ...] = (
        [text for name in _PLACES if name in fields for text in _place_names(fields[name])],
        _texts(fields, _COUNTRIES),
        split_words(added, None),
        groups,
    )
    countries = by_code or next(
        (
            listed
            for texts in names
            if (listed := [country for text in texts for country in lexicon.countries(text)])
        ),
        [],
    )
    return tuple(dict.fromkeys(countries))


def _reference_date(fields: Fields, kind: str) -> str:
    """Return the date of a package by its type: publication, revision or creation.

    Source: https://docs.ckan.org/projects/ckanext-spatial/en/latest/harvesters.html
    """
    dates = _objects(_decode_json(fields.get(_DATES)))
    return next(
        (
            text
            for date in dates
            if date.get("type") == kind and (text := normalize_inline(date.get("value")))
        ),
        "",
    )


def _place_names(value: Any) -> Iterator[str]:
    """Yield the names of places in a field; a geometry has none."""
    for item in as_list(value):
        if isinstance(item, dict):
            yield from filter(None, [normalize_inline(item.get("text"))])
        else:
            yield from (text for text in split_words(item, _LIST_SEPARATOR) if text[0] != "{")


def _periods(fields: Fields) -> Iterator[Period]:
    """Yield the time that a package is about, which is not the time of a project."""
    start = parse_date(_first_text(fields, _PERIOD_START))
    end = parse_date(_first_text(fields, _PERIOD_END))
    if start or end:
        yield Period(start, end)
    for name in _PERIODS:
        for item in as_list(_decode_json(fields.get(name))):
            if isinstance(item, dict):
                start, end = (
                    parse_date(normalize_inline(item.get(key))) for key in ("start", "end")
                )
            else:
                start, end = parse_interval(normalize_inline(item)) or (
                    parse_date(normalize_inline(item)),
                    None,
                )
            if start or end:
                yield Period(start, end)


def _files(package: Row, tag: str | None) -> Iterator[File]:
    """Yield the resources of a package that have an address."""
    for resource in _objects(package.get("resources")):
        addresses = [
            normalize_inline(resource.get(name)) for name in ("access_url", "url", "download_url")
        ]
        access = next(iter(unique_urls(addresses[:2])), None)
        download = next(iter(unique_urls(addresses[2:])), None)
        if access or download:
            form = normalize_inline(resource.get("mimetype") or resource.get("format"))
            yield File(
                access,
                download,
                parse_titles(_translated(resource, "name", tag, normalize_inline)),
                form or None,
                next(iter(unique_urls([normalize_inline(resource.get("license"))])), None),
                parse_titles(_translated(resource, "description", tag, normalize_block)),
                parse_size(resource.get("size")),
                parse_checksum(resource.get("hash"), resource.get("hash_algorithm")),
            )


def _creators(fields: Fields) -> tuple[Text, ...]:
    """Return the names of the creators, else of the author, without their contacts."""
    names = [normalize_inline(creator.get("name")) for creator in _objects(fields.get("creator"))]
    names = list(filter(None, names)) or list(_collect(fields, ("author",)))
    return parse_titles((name, None) for name in names)


def _fields(package: Row) -> Fields:
    """Return the known fields of the package and its extras, with normalized keys (hyphens, case);
    own fields win.
    """
    fields: dict[str, Any] = {}
    for key, item in package.items():
        if key in _KNOWN_KEYS or not key.islower() or "-" in key:  # skips most unknown keys quickly
            name = _normalize_key(key)
            if name in _KNOWN_KEYS and (item or item not in _EMPTY):
                fields[name] = item
    for extra in _objects(package.get("extras")):
        word, item = extra.get("key"), extra.get("value")
        if isinstance(word, str):
            name = _normalize_key(word)
            if name in _KNOWN_KEYS and name not in fields and (item or item not in _EMPTY):
                fields[name] = (
                    _decode_json(item) if isinstance(item, str) and item[0] in "[{" else item
                )
    return fields


def _normalize_key(key: str) -> str:
    return key if key in _KNOWN_KEYS else key.replace("-", "_").lower()


def _decode_json(text: Any) -> Any:
    """Decode a list or object that is written as JSON in a text; return any other value as it is."""
    if not isinstance(text, str) or text[:1] not in {"[", "{"}:
        return text
    try:
        with parser_errors("JSON"):
            return orjson.loads(text)
    except ParseError:
        return text


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in as_list(value) if isinstance(item, dict)]


def _first_text(fields: Fields, names: tuple[str, ...]) -> str:
    """Return the text of the first of these fields that has one, the first of a list, else an empty
    text.
    """
    for name in names:
        if name in fields:
            value = _decode_json(fields[name])
            texts = (
                map(normalize_inline, value)
                if isinstance(value, list)
                else (normalize_inline(value),)
            )
            if text := next(filter(None, texts), ""):
                return text
    return ""


def _collect(fields: Fields, names: tuple[str, ...]) -> Iterable[str]:
    """Return the texts of all these fields without duplicates."""
    return dict.fromkeys(
        [word for name in names if name in fields for word in split_words(fields[name], None)]
    )


def _texts(fields: Fields, names: tuple[str, ...]) -> Iterable[str]:
    """Return the texts of all these fields without duplicates; lists written as one text are split."""
    texts = [split_words(fields[name], _LIST_SEPARATOR) for name in names if name in fields]
    if not texts or (len(texts) == 1 and len(texts[0]) == 1):  # the usual case
        return texts[0] if texts else ()
    return dict.fromkeys([word for texts_of_field in texts for word in texts_of_field])


def _identifiers(key: str, package: Row, fields: Fields) -> tuple[str, ...]:
    return unique_non_contact(
        [
            text
            for text in (normalize_inline(package.get("name")), *_collect(fields, _IDENTIFIERS))
            if text != key
        ]
    )


def _translated(
    package: Row, name: str, tag: str | None, form: Callable[[Any], str]
) -> list[tuple[str, str | None]]:
    """Return a text in all its languages; the untranslated one only if no translation has the same
    text or language.
    """
    translated = package.get(f"{name}_translated")
    texts = (
        [(form(text), parse_language(key) or key) for key, text in translated.items()]
        if isinstance(translated, dict)
        else []
    )
    if any(tag == key for _, key in texts):
        return texts
    text = form(package.get(name)) or (
        form(package.get("name")) if name == "title" and not texts else ""
    )
    if text and not any(text == other for other, _ in texts):
        texts.append((text, tag))
    return texts


def _tags(package: Row) -> tuple[list[str], dict[str, str | None]]:
    """Return the tags, and the language of translated ones. In most portals other tags are not in
    the package's language.
    """
    translated = package.get("tags_translated")
    if isinstance(translated, dict) and translated:
        tagged = {
            normalize_inline(item): parse_language(key) or key
            for key, texts in translated.items()
            for item in as_list(texts)
        }
        return list(tagged), dict(tagged)
    return [
        normalize_inline(
            item.get("display_name") or item.get("name") if isinstance(item, dict) else item
        )
        for item in as_list(package.get("tags"))
    ], {}


def _groups(package: Row) -> list[str]:
    return [
        normalize_inline(group.get("title") or group.get("display_name") or group.get("name"))
        for group in _objects(package.get("groups"))
    ]


def _licences(fields: Fields) -> tuple[str, ...]:
    """Return the addresses of the licences, else the portal's first name for one."""
    names = [
        text for name in _LICENCES if name in fields and (text := normalize_inline(fields[name]))
    ]
    return unique_urls(names) or tuple(names[:1])


def _parties(package: Row, fields: Fields, lexicon: CrosswalkLookup) -> tuple[Party, ...]:
    """Return the organization (else the publisher) as lead, partners and funders. Maintainers are
    left out.
    """
    kind = lexicon.stakeholder_type(text) if (text := _first_text(fields, _KINDS)) else None
    country = (
        lexicon.country(text) if (text := normalize_inline(fields.get("lead_country"))) else None
    )
    lead = package.get("organization")
    parties: list[Party] = []
    if isinstance(lead, dict) and (name := normalize_inline(lead.get("title") or lead.get("name"))):
        parties.append(
            Party(
                Role.LEAD,
                parse_name(name),
                normalize_inline(lead.get("name") or lead.get("id")) or None,
                kind,
                country,
            )
        )
    else:
        names = [
            normalize_inline(publisher.get("name"))
            for publisher in _objects(fields.get("publisher"))
            if publisher.get("type") != "person"
        ]
        names += [_first_text(fields, _LEADS), normalize_inline(lead)]
        parties += [
            Party(Role.LEAD, parse_name(name), None, kind, country) for name in names if name
        ][:1]
    for role, keys in _ROLES:
        parties += [Party(role, parse_name(name)) for name in _texts(fields, keys)]
    return tuple(parties)


def _contacts(fields: Fields, parties: Iterable[Party]) -> Iterator[Contact]:
    """Yield the contacts that have the name of one of *parties*; others may be persons."""
    known = {party.name.value.casefold(): party.name for party in parties}
    rows = [tuple(fields.get(name) for name in names) for names in _CONTACTS]
    rows += [
        (item.get("name"), item.get("email"), item.get("url"))
        for name in _CONTACT_LISTS
        for item in _objects(fields.get(name))
    ]
    contacts = dict[Text, Contact]()
    for row in rows:
        name, email, page = map(normalize_inline, row)
        if (called := known.get(name.casefold())) is not None:
            before = contacts.get(called, Contact((called,)))
            address = before.email or parse_email(email)
            contacts[called] = Contact(
                (called,), address, before.page or (page if is_web(page) else None)
            )
    yield from (contact for contact in contacts.values() if contact.email or contact.page)


def _class_fields(kind: type[Resource], fields: Fields, lexicon: CrosswalkLookup) -> dict[str, Any]:
    if kind is Document:
        return {"kind": _first_text(fields, _SORTS) or None, "creators": _creators(fields)}
    if kind not in {Initiative, Event}:
        return {}
    own: dict[str, Any] = {
        "start": parse_date(_first_text(fields, _START)),
        "end": parse_date(_first_text(fields, _END)),
        "places": tuple(_points(fields)),
    }
    if kind is Initiative:
        own["status"] = (
            lexicon.status(text) if (text := normalize_inline(fields.get("status"))) else None
        )
        own["coverage"] = (
            lexicon.coverage(text) if (text := normalize_inline(fields.get("coverage"))) else None
        )
        own["activity_types"] = tuple(map(lexicon.activity_type, _texts(fields, _ACTIVITIES)))
    return own


def _points(fields: Fields) -> Iterator[Place]:
    """Yield the first point in GeoJSON; a polygon is not converted to a point."""
    for name in _POINTS:
        if name not in fields:
            continue
        shape = _decode_json(fields.get(name))
        if (
            isinstance(shape, dict)
            and shape.get("type") == "Point"
            and isinstance(shape.get("coordinates"), list)
        ):
            coordinates = [parse_number(coordinate) for coordinate in shape["coordinates"][:2]]
            if len(coordinates) == 2 and coordinates[0] is not None and coordinates[1] is not None:
                yield Place(None, latitude=coordinates[1], longitude=coordinates[0])
                return


MAPPING = RecordMapping(build_mapper, frozenset({Payload.ROW}), options=OPTIONS)
