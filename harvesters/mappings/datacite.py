"""DataCite's metadata in its versions 2 to 4, as OAI-PMH gives it, and the OpenAIRE guidelines that are made of it.

Source: https://schema.datacite.org/meta/kernel-4.5/ and https://openaire-guidelines-for-literature-repository-managers.readthedocs.io/
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
from vocab.initiative import Document, Event, Initiative, Party, Place, Resource, Role
from vocab.iris import is_web

OPTIONS: Mapping[str, Option] = {
    "kind": Option(str, "document", "What the resources are: `initiative`, `event`, `document` or `post`."),
}

_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_ISSUED, _MODIFIED = ("Issued", "Available", "Created", "Submitted"), ("Updated",)
_PERIOD = ("Coverage", "Collected", "Valid")
_WHOLE = "Organizational"  # what is not is taken for a person
# Contributors that are organizations by what they do, even where no one says so.
_ROLES = {"HostingInstitution": Role.PARTNER, "Sponsor": Role.FUNDER, "Funder": Role.FUNDER, "RegistrationAuthority": Role.PARTNER}
_RELATED = {"URL": "", "DOI": "https://doi.org/", "Handle": "https://hdl.handle.net/"}


def reader(source: Source, words: Crosswalks) -> Callable[[Record[_Element]], Resource]:
    """Give the function that reads a resource; it raises ParseError on an element that holds none."""
    lexicon = CrosswalkLookup(words)
    kind = KINDS[get_option(source, OPTIONS, "kind")]

    def read(record: Record[_Element]) -> Resource:
        root = _resource(record)
        tag = source.language
        titles = [(normalize_inline(it.text), _tag(it, tag)) for it in _all(root, "title") if not it.get("titleType")]
        told = [(normalize_inline(it.text), _tag(it, tag)) for it in _all(root, "subject")]
        subjects = lexicon.parse_subjects(text for text, _ in told)
        names = _identifiers(root)
        return kind(
            key=record.key,
            titles=parse_titles(titles or [(normalize_inline(it.text), _tag(it, tag)) for it in _all(root, "title")]),
            descriptions=parse_titles((normalize_block(it.text), _tag(it, tag)) for it in _descriptions(root)),
            identifiers=unique_non_contact(text for text in names if not is_web(text) and text != record.key),
            pages=unique_non_contact(unique_urls(names)),
            languages=tuple(
                dict.fromkeys(parse_language(text) or text for it in _all(root, "language") if (text := normalize_inline(it.text)))
            ),
            licence=_licence(root),
            issued=_date(root, _ISSUED)
            or next((normalize_inline(it.text) for it in _all(root, "publicationYear") if normalize_inline(it.text)), None),
            modified=_date(root, _MODIFIED),
            countries=tuple(
                dict.fromkeys(land for it in _all(root, "geoLocationPlace") if (land := lexicon.find_country(normalize_inline(it.text))))
            ),
            parties=tuple(dict.fromkeys(_parties(root, tag))),
            action_lines=subjects.lines,
            goals=subjects.goals,
            targets=subjects.targets,
            subjects=tuple(parse_name(word, dict(told).get(word)) for word in subjects.unmatched),
            related=unique_non_contact(unique_urls(_related(root))),
            **_own(kind, root, tag),
        )

    return read


def _resource(record: Record[_Element]) -> _Element:
    """Find the resource: OAI wraps it in a payload."""
    root = record.payload
    found = root if _local(root) == "resource" else next(root.iter("{*}resource"), None)
    if found is None or next(_all(found, "title"), None) is None:
        raise ParseError(f"{record.key}: no resource of DataCite but <{root.tag}>; set the option 'prefix' to datacite or oai_datacite")
    return found


def _local(node: _Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _all(root: _Element, name: str) -> Iterator[_Element]:
    """Give the elements of a name, in whatever version's namespace."""
    return root.iter(f"{{*}}{name}")


def _tag(node: _Element, otherwise: str | None) -> str | None:
    own = node.get(_LANG)
    return (parse_language(own) or own) if own else otherwise


def _descriptions(root: _Element) -> list[_Element]:
    """Give the abstracts, else whatever describes it."""
    found = [it for it in _all(root, "description") if normalize_block(it.text)]
    return [it for it in found if it.get("descriptionType") == "Abstract"] or found[:1]


def _identifiers(root: _Element) -> list[str]:
    """Give its identifiers; a DOI or handle as its address."""
    found: list[str] = []
    for name, kind in (("identifier", "identifierType"), ("alternateIdentifier", "alternateIdentifierType")):
        for node in _all(root, name):
            if text := normalize_inline(node.text):
                prefix = _RELATED.get(_spelled(node.get(kind) or ""), "")
                found.append(text if is_web(text) or not prefix else prefix + text)
    return found


def _spelled(kind: str) -> str:
    return next((name for name in _RELATED if name.lower() == kind.lower()), kind)


def _licence(root: _Element) -> str | None:
    nodes = [*_all(root, "rights"), *_all(root, "licenseCondition")]
    links = [link for it in nodes for link in (it.get("rightsURI"), it.get("uri")) if link and is_web(link)]
    return links[0] if links else next((normalize_inline(it.text) for it in nodes if normalize_inline(it.text)), None)


def _date(root: _Element, kinds: tuple[str, ...]) -> str | None:
    found = {it.get("dateType"): text for it in _all(root, "date") if (text := parse_date(normalize_inline(it.text)))}
    return next((found[kind] for kind in kinds if kind in found), None)


def _parties(root: _Element, tag: str | None) -> Iterator[Party]:
    """Give the publisher as lead, organizations among the creators and contributors as partners, and the funders; persons are left out."""
    for it in _all(root, "publisher"):
        if name := normalize_inline(it.text):
            yield Party(Role.LEAD, parse_name(name, _tag(it, tag)))
            break
    for kind in ("creatorName", "contributorName"):
        for it in _all(root, kind):
            parent = it.getparent()
            role = _ROLES.get(parent.get("contributorType") or "") if parent is not None else None
            if (name := normalize_inline(it.text)) and (role or it.get("nameType") == _WHOLE):
                yield Party(role or Role.PARTNER, parse_name(name, _tag(it, tag)))
    for it in _all(root, "funderName"):
        if name := normalize_inline(it.text):
            yield Party(Role.FUNDER, parse_name(name, _tag(it, tag)))


def _related(root: _Element) -> Iterator[str]:
    for it in _all(root, "relatedIdentifier"):
        prefix = _RELATED.get(_spelled(it.get("relatedIdentifierType") or ""))
        if prefix is not None and (text := normalize_inline(it.text)):
            yield text if is_web(text) else prefix + text


def _own(kind: type[Resource], root: _Element, tag: str | None) -> dict[str, Any]:
    if kind is Document:
        types = list(_all(root, "resourceType"))
        return {
            "kind": next(
                (text for it in types if (text := it.get("uri") or it.get("resourceTypeGeneral") or normalize_inline(it.text))), None
            )
        }
    if kind not in {Initiative, Event}:
        return {}
    period = _date(root, _PERIOD)
    start, end = parse_interval(period or "") or (period, None)
    return {"start": start, "end": end, "places": tuple(_places(root, tag))}


def _places(root: _Element, tag: str | None) -> Iterator[Place]:
    for it in _all(root, "geoLocation"):
        name = next(
            (parse_name(normalize_inline(node.text), tag) for node in _all(it, "geoLocationPlace") if normalize_inline(node.text)), None
        )
        latitude = parse_number(next((node.text for node in _all(it, "pointLatitude")), None))
        longitude = parse_number(next((node.text for node in _all(it, "pointLongitude")), None))
        if latitude is not None and longitude is not None:
            yield Place(name, latitude, longitude)
