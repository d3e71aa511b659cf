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
from harvesters.payloads.crosswalk_lookup import Lexicon
from harvesters.payloads.value_parsing import KINDS, block, dated, interval, language, named, number, plain, public, titled, web
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
    lexicon = Lexicon(words)
    kind = KINDS[get_option(source, OPTIONS, "kind")]

    def read(record: Record[_Element]) -> Resource:
        root = _resource(record)
        tag = source.language
        titles = [(plain(it.text), _tag(it, tag)) for it in _all(root, "title") if not it.get("titleType")]
        told = [(plain(it.text), _tag(it, tag)) for it in _all(root, "subject")]
        subjects = lexicon.subjects(text for text, _ in told)
        names = _identifiers(root)
        return kind(
            key=record.key,
            titles=titled(titles or [(plain(it.text), _tag(it, tag)) for it in _all(root, "title")]),
            descriptions=titled((block(it.text), _tag(it, tag)) for it in _descriptions(root)),
            identifiers=public(text for text in names if not is_web(text) and text != record.key),
            pages=public(web(names)),
            languages=tuple(dict.fromkeys(language(text) or text for it in _all(root, "language") if (text := plain(it.text)))),
            licence=_licence(root),
            issued=_date(root, _ISSUED) or next((plain(it.text) for it in _all(root, "publicationYear") if plain(it.text)), None),
            modified=_date(root, _MODIFIED),
            countries=tuple(dict.fromkeys(land for it in _all(root, "geoLocationPlace") if (land := lexicon.land(plain(it.text))))),
            parties=tuple(dict.fromkeys(_parties(root, tag))),
            action_lines=subjects.lines,
            goals=subjects.goals,
            targets=subjects.targets,
            subjects=tuple(named(word, dict(told).get(word)) for word in subjects.left),
            related=public(web(_related(root))),
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
    return (language(own) or own) if own else otherwise


def _descriptions(root: _Element) -> list[_Element]:
    """Give the abstracts, else whatever describes it."""
    found = [it for it in _all(root, "description") if block(it.text)]
    return [it for it in found if it.get("descriptionType") == "Abstract"] or found[:1]


def _identifiers(root: _Element) -> list[str]:
    """Give its identifiers; a DOI or handle as its address."""
    found: list[str] = []
    for name, kind in (("identifier", "identifierType"), ("alternateIdentifier", "alternateIdentifierType")):
        for node in _all(root, name):
            if text := plain(node.text):
                prefix = _RELATED.get(_spelled(node.get(kind) or ""), "")
                found.append(text if is_web(text) or not prefix else prefix + text)
    return found


def _spelled(kind: str) -> str:
    return next((name for name in _RELATED if name.lower() == kind.lower()), kind)


def _licence(root: _Element) -> str | None:
    nodes = [*_all(root, "rights"), *_all(root, "licenseCondition")]
    links = [link for it in nodes for link in (it.get("rightsURI"), it.get("uri")) if link and is_web(link)]
    return links[0] if links else next((plain(it.text) for it in nodes if plain(it.text)), None)


def _date(root: _Element, kinds: tuple[str, ...]) -> str | None:
    found = {it.get("dateType"): text for it in _all(root, "date") if (text := dated(plain(it.text)))}
    return next((found[kind] for kind in kinds if kind in found), None)


def _parties(root: _Element, tag: str | None) -> Iterator[Party]:
    """Give the publisher as lead, organizations among the creators and contributors as partners, and the funders; persons are left out."""
    for it in _all(root, "publisher"):
        if name := plain(it.text):
            yield Party(Role.LEAD, named(name, _tag(it, tag)))
            break
    for kind in ("creatorName", "contributorName"):
        for it in _all(root, kind):
            parent = it.getparent()
            role = _ROLES.get(parent.get("contributorType") or "") if parent is not None else None
            if (name := plain(it.text)) and (role or it.get("nameType") == _WHOLE):
                yield Party(role or Role.PARTNER, named(name, _tag(it, tag)))
    for it in _all(root, "funderName"):
        if name := plain(it.text):
            yield Party(Role.FUNDER, named(name, _tag(it, tag)))


def _related(root: _Element) -> Iterator[str]:
    for it in _all(root, "relatedIdentifier"):
        prefix = _RELATED.get(_spelled(it.get("relatedIdentifierType") or ""))
        if prefix is not None and (text := plain(it.text)):
            yield text if is_web(text) else prefix + text


def _own(kind: type[Resource], root: _Element, tag: str | None) -> dict[str, Any]:
    if kind is Document:
        types = list(_all(root, "resourceType"))
        return {"kind": next((text for it in types if (text := it.get("uri") or it.get("resourceTypeGeneral") or plain(it.text))), None)}
    if kind not in {Initiative, Event}:
        return {}
    period = _date(root, _PERIOD)
    start, end = interval(period or "") or (period, None)
    return {"start": start, "end": end, "places": tuple(_places(root, tag))}


def _places(root: _Element, tag: str | None) -> Iterator[Place]:
    for it in _all(root, "geoLocation"):
        name = next((named(plain(node.text), tag) for node in _all(it, "geoLocationPlace") if plain(node.text)), None)
        latitude = number(next((node.text for node in _all(it, "pointLatitude")), None))
        longitude = number(next((node.text for node in _all(it, "pointLongitude")), None))
        if latitude is not None and longitude is not None:
            yield Place(name, latitude, longitude)
