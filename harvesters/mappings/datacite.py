"""DataCite metadata, versions 2 to 4, as OAI-PMH delivers it, and the OpenAIRE guidelines based on
it.

Source: https://schema.datacite.org/meta/kernel-4.5/ and
https://openaire-guidelines-for-literature-repository-managers.readthedocs.io/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from lxml.etree import _Element

from harvesters.errors import ParseError
from harvesters.mappings.mapping import RecordMapping
from harvesters.option_schema import Option, get_option
from harvesters.page_model import Payload, Record
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.payloads.value_parsing import (
    KINDS,
    normalize_block,
    normalize_inline,
    parse_date,
    parse_interval,
    parse_language,
    parse_name,
    parse_number,
    parse_titles,
    unique_non_contact,
    unique_urls,
)
from harvesters.source import Source
from vocab.crosswalks import Crosswalks
from vocab.initiative import Document, Event, Initiative, Party, Period, Place, Resource, Role
from vocab.iris import is_web

OPTIONS: Mapping[str, Option] = {
    "kind": Option(
        str, "document", "The class of the resources: `initiative`, `event`, `document` or `post`."
    ),
}

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ISSUED, _MODIFIED = ("Issued", "Available", "Created", "Submitted"), ("Updated",)
_VALID = ("Valid",)
_ABOUT = ("Coverage", "Collected")  # the time that a resource is about
_ORGANIZATION = "Organizational"  # others are treated as persons
# Contributor types that are organizations even if nameType is missing.
_ROLES = {
    "HostingInstitution": Role.PARTNER,
    "Sponsor": Role.FUNDER,
    "Funder": Role.FUNDER,
    "RegistrationAuthority": Role.PARTNER,
}
_RELATED = {"URL": "", "DOI": "https://doi.org/", "Handle": "https://hdl.handle.net/"}


def build_mapper(source: Source, crosswalks: Crosswalks) -> Callable[[Record[_Element]], Resource]:
    """Return the function that maps a resource. It raises ParseError for an element without one."""
    lexicon = CrosswalkLookup(crosswalks)
    kind = KINDS[get_option(source, OPTIONS, "kind")]
    return partial(_map_record, source, lexicon, kind)


def _map_record(
    source: Source, lexicon: CrosswalkLookup, kind: type[Resource], record: Record[_Element]
) -> Resource:
    root = _find_resource(record)
    tag = source.language
    titles = [node for node in _iterate(root, "title") if not node.get("titleType")]
    keywords = _texts(_iterate(root, "subject"), tag)
    countries = map(lexicon.find_country, _words(root, "geoLocationPlace"))
    subjects = lexicon.parse_subjects(text for text, _ in keywords)
    names = _identifiers(root)
    return kind(
        key=record.key,
        titles=parse_titles(_texts(titles or _iterate(root, "title"), tag)),
        descriptions=parse_titles(
            (normalize_block(node.text), _tag(node, tag)) for node in _descriptions(root)
        ),
        identifiers=unique_non_contact(
            text for text in names if not is_web(text) and text != record.key
        ),
        pages=unique_non_contact(unique_urls(names)),
        languages=tuple(
            dict.fromkeys(parse_language(text) or text for text in _words(root, "language"))
        ),
        licences=_licences(root),
        issued=_date(root, _ISSUED) or next(_words(root, "publicationYear"), None),
        modified=_date(root, _MODIFIED),
        countries=tuple(dict.fromkeys(filter(None, countries))),
        periods=tuple(_periods(root)),
        parties=tuple(dict.fromkeys(_parties(root, tag))),
        action_lines=subjects.lines,
        goals=subjects.goals,
        targets=subjects.targets,
        subjects=tuple(parse_name(word, dict(keywords).get(word)) for word in subjects.unmatched),
        related=unique_non_contact(unique_urls(_related(root))),
        **_class_fields(kind, root, tag),
    )


def _find_resource(record: Record[_Element]) -> _Element:
    """Return the resource, which OAI-PMH may wrap in a payload."""
    root = record.payload
    resource = root if _local_name(root) == "resource" else next(root.iter("{*}resource"), None)
    if resource is None or next(_iterate(resource, "title"), None) is None:
        raise ParseError(
            f"{record.key}: not a DataCite resource but <{root.tag}>; set the option 'prefix' to datacite or oai_datacite"
        )
    return resource


def _local_name(node: _Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _iterate(root: _Element, name: str) -> Iterator[_Element]:
    """Yield the elements with a name, in the namespace of any version."""
    return root.iter(f"{{*}}{name}")


def _words(root: _Element, name: str) -> Iterator[str]:
    """Yield the texts of the elements with a name, except empty ones."""
    return filter(None, (normalize_inline(node.text) for node in _iterate(root, name)))


def _texts(nodes: Iterable[_Element], tag: str | None) -> list[tuple[str, str | None]]:
    """Return the text of each element with its language, *tag* where it states none."""
    return [(normalize_inline(node.text), _tag(node, tag)) for node in nodes]


def _tag(node: _Element, default_language: str | None) -> str | None:
    own = node.get(_LANG)
    return (parse_language(own) or own) if own else default_language


def _descriptions(root: _Element) -> list[_Element]:
    """Return the abstracts, else the first other description."""
    descriptions = [node for node in _iterate(root, "description") if normalize_block(node.text)]
    return [
        node for node in descriptions if node.get("descriptionType") == "Abstract"
    ] or descriptions[:1]


def _identifiers(root: _Element) -> list[str]:
    """Return the identifiers; a DOI or handle as its address."""
    identifiers: list[str] = []
    for name, kind in (
        ("identifier", "identifierType"),
        ("alternateIdentifier", "alternateIdentifierType"),
    ):
        for node in _iterate(root, name):
            if text := normalize_inline(node.text):
                prefix = _RELATED.get(_identifier_type(node.get(kind) or ""), "")
                identifiers.append(text if is_web(text) or not prefix else prefix + text)
    return identifiers


def _identifier_type(kind: str) -> str:
    return next((name for name in _RELATED if name.lower() == kind.lower()), kind)


def _licences(root: _Element) -> tuple[str, ...]:
    """Return the web addresses of the licences, else the first name of one."""
    nodes = [*_iterate(root, "rights"), *_iterate(root, "licenseCondition")]
    links = unique_urls(
        link for node in nodes for link in (node.get("rightsURI"), node.get("uri")) if link
    )
    names = [text for node in nodes if (text := normalize_inline(node.text))]
    return links or tuple(names[:1])


def _date(root: _Element, kinds: tuple[str, ...]) -> str | None:
    dates = {
        node.get("dateType"): text
        for node in _iterate(root, "date")
        if (text := parse_date(normalize_inline(node.text)))
    }
    return next((dates[kind] for kind in kinds if kind in dates), None)


def _parties(root: _Element, tag: str | None) -> Iterator[Party]:
    """Yield the publisher as lead, organizations among creators and contributors as partners, and
    the funders. Persons are left out.
    """
    for node in _iterate(root, "publisher"):
        if name := normalize_inline(node.text):
            yield Party(Role.LEAD, parse_name(name, _tag(node, tag)))
            break
    for kind in ("creatorName", "contributorName"):
        for node in _iterate(root, kind):
            parent = node.getparent()
            role = _ROLES.get(parent.get("contributorType") or "") if parent is not None else None
            if (name := normalize_inline(node.text)) and (
                role or node.get("nameType") == _ORGANIZATION
            ):
                yield Party(
                    role or Role.PARTNER,
                    parse_name(name, _tag(node, tag)),
                    identifiers=tuple(_assigned(parent)),
                )
    for node in _iterate(root, "funderName"):
        if name := normalize_inline(node.text):
            yield Party(
                Role.FUNDER,
                parse_name(name, _tag(node, tag)),
                identifiers=tuple(_assigned(node.getparent())),
            )


def _assigned(parent: _Element | None) -> Iterator[str]:
    """Yield the identifiers of an organization, each with the scheme that the record names unless
    it is an address.
    """
    for name, scheme in (
        ("nameIdentifier", "nameIdentifierScheme"),
        ("funderIdentifier", "funderIdentifierType"),
    ):
        for node in _iterate(parent, name) if parent is not None else ():
            if text := normalize_inline(node.text):
                yield (
                    text if is_web(text) else f"{node.get(scheme) or ''}: {text}".removeprefix(": ")
                )


def _related(root: _Element) -> Iterator[str]:
    for node in _iterate(root, "relatedIdentifier"):
        prefix = _RELATED.get(_identifier_type(node.get("relatedIdentifierType") or ""))
        if prefix is not None and (text := normalize_inline(node.text)):
            yield text if is_web(text) else prefix + text


def _class_fields(kind: type[Resource], root: _Element, tag: str | None) -> dict[str, Any]:
    if kind is Document:
        types = list(_iterate(root, "resourceType"))
        creators = _texts(_iterate(root, "creatorName"), None)
        return {
            "creators": parse_titles(creators),
            "kind": next(
                (
                    text
                    for node in types
                    if (
                        text := node.get("uri")
                        or node.get("resourceTypeGeneral")
                        or normalize_inline(node.text)
                    )
                ),
                None,
            ),
        }
    if kind not in {Initiative, Event}:
        return {}
    start, end = _interval(_date(root, _VALID))
    return {"start": start, "end": end, "places": tuple(_places(root, tag))}


def _interval(text: str | None) -> tuple[str | None, str | None]:
    return parse_interval(text or "") or (text, None)


def _periods(root: _Element) -> Iterator[Period]:
    for node in _iterate(root, "date"):
        if node.get("dateType") in _ABOUT and (text := parse_date(normalize_inline(node.text))):
            yield Period(*_interval(text))


def _places(root: _Element, tag: str | None) -> Iterator[Place]:
    for location in _iterate(root, "geoLocation"):
        name = next(
            (
                parse_name(normalize_inline(node.text), tag)
                for node in _iterate(location, "geoLocationPlace")
                if normalize_inline(node.text)
            ),
            None,
        )
        latitude = parse_number(
            next((node.text for node in _iterate(location, "pointLatitude")), None)
        )
        longitude = parse_number(
            next((node.text for node in _iterate(location, "pointLongitude")), None)
        )
        if latitude is not None and longitude is not None:
            yield Place(name, latitude, longitude)


MAPPING = RecordMapping(build_mapper, frozenset({Payload.XML}), kind="document", options=OPTIONS)
