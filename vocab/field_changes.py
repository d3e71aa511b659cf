"""Compare two descriptions of a record field by field, for pages that show a change to people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from urllib.parse import unquote

from pyoxigraph import Literal, NamedNode, RdfFormat, Triple, parse

from vocab.schemes import label
from vocab.terms import ADMS, DCAT, DCT, FOAF, GEO, ORG, PROV, RDF, RDFS, SCHEMA, SKOS, WGS

# English names of the properties of other vocabularies, as texts of the translation catalogues.
FIELD_NAMES: Mapping[str, str] = {
    f"{DCT}title": "Title",
    f"{DCT}description": "Description",
    f"{SCHEMA}startDate": "Start",
    f"{SCHEMA}endDate": "End",
    f"{DCT}spatial": "Country or region",
    f"{SCHEMA}location": "Place",
    f"{RDFS}label": "Name",
    f"{SKOS}prefLabel": "Name",
    f"{WGS}lat": "Latitude",
    f"{WGS}long": "Longitude",
    f"{DCT}publisher": "Lead organization",
    f"{SCHEMA}funder": "Funder",
    f"{ORG}classification": "Type of organization",
    f"{DCAT}keyword": "Keywords",
    f"{FOAF}page": "Website",
    f"{DCT}language": "Language",
    f"{DCT}license": "Licence",
    f"{DCT}identifier": "Identifier",
    f"{DCT}issued": "First published",
    f"{DCT}modified": "Last modified",
    f"{SCHEMA}lastReviewed": "Last confirmed",
    f"{SCHEMA}image": "Picture",
    f"{SCHEMA}caption": "What the picture shows",
    f"{RDF}type": "Type",
    f"{ADMS}status": "Status",
}
# Statements about the record itself that change with every run, and geometry that repeats latitude
# and longitude.
_HIDDEN = {
    f"{PROV}wasGeneratedBy",
    f"{FOAF}primaryTopic",
    f"{DCAT}record",
    f"{GEO}hasGeometry",
    f"{GEO}asWKT",
}
_RECORD_FIELDS = {f"{ADMS}status"}  # Fields of the record itself that people look for.
_NAME_PROPERTIES = {f"{SKOS}prefLabel", f"{RDFS}label", f"{DCT}title"}
_ORDER = {predicate: number for number, predicate in enumerate(FIELD_NAMES)}


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a field: an *iri* with the *text* that the description has for it, if any, or a
    literal's text.
    """

    text: str
    iri: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class FieldView:
    """A changed field with its label, and its removed and added values as text."""

    label: str
    removed: list[str]
    added: list[str]


def field_views(
    removed: Iterable[str],
    added: Iterable[str],
    base: str,
    language: str,
    translate: Callable[[str], str],
) -> list[FieldView]:
    """Return the changes of a record field by field, the best known fields first, labelled in
    *language*; *translate* translates the names of fields.

    *removed* and *added* are N-Triples statements without the full stop; those that cannot be read
    are left out.

    >>> before, after = (f'<x:a> <http://purl.org/dc/terms/title> "{title}"@en' for title in ("Old", "New"))
    >>> field_views([before], [after], "https://w3id.org/wsis-stocktaking/", "en", str)
    [FieldView(label='Title', removed=['Old'], added=['New'])]
    """
    old, new = ([*chain.from_iterable(map(_parse, side))] for side in (removed, added))
    known = {
        triple.subject.value: triple.object.value
        for triple in (*old, *new)
        if triple.predicate.value in _NAME_PROPERTIES
        and isinstance(triple.subject, NamedNode)
        and isinstance(triple.object, Literal)
    }
    fields: dict[tuple[str, str], tuple[list[Value], list[Value]]] = {}
    for side, triples in enumerate((old, new)):
        for triple in triples:
            if _is_shown(triple):
                key = (_part(triple.subject, known), triple.predicate.value)
                fields.setdefault(key, ([], []))[side].append(_value(triple.object, known))
    views = []
    for part, name in sorted(
        fields, key=lambda field: (field[0], _ORDER.get(field[1], len(_ORDER)), field[1])
    ):
        before, after = fields[part, name]
        if before != after and not _is_repeated(part, name, (*before, *after)):
            texts = (
                [value_text(value, base, language) for value in side] for side in (before, after)
            )
            views.append(FieldView(_label(part, name, base, language, translate), *texts))
    return views


def _label(
    part: str, predicate: str, base: str, language: str, translate: Callable[[str], str]
) -> str:
    """Return the name of a field: known, of the vocabulary, or the local name as words; after the
    *part* of the record that has the field, "" for the record's topic.
    """
    local = predicate.rstrip("/#").replace("#", "/").rpartition("/")[2]
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in local)
    known = FIELD_NAMES.get(predicate)
    name = translate(known) if known else label(predicate, language, base) or words.strip()
    return f"{part}: {name}" if part else f"{name[:1].upper()}{name[1:]}"


def value_text(value: Value, base: str, language: str) -> str:
    """Return a value as people read it: the name of an IRI in *language*, or a literal's text.

    >>> kenya = Value("", "http://metadata.un.org/sdg/codes/geoArea/404")
    >>> value_text(kenya, "https://w3id.org/wsis-stocktaking/", "en")
    'Kenya'
    """
    if value.text or not value.iri:
        return value.text
    name = label(value.iri, language, base)
    if name and "/sdg/codes/" not in value.iri and "/metadata.un.org/sdg/" in value.iri:
        return (
            f"{last_segment(value.iri)} {name}"  # People know goals and targets by their numbers.
        )
    return name or (last_segment(value.iri) if "/id/" in value.iri else value.iri)


def _is_repeated(part: str, predicate: str, values: Iterable[Value]) -> bool:
    """Return whether a part's change says no more than the part's name and kind."""
    texts = {value.text for value in values}
    return bool(part) and (texts == {part} or predicate == f"{RDF}type")


def _parse(statement: str) -> list[Triple]:
    try:
        quads = parse(f"{statement} .".encode(), format=RdfFormat.N_TRIPLES)
        return [quad.triple for quad in quads]
    except SyntaxError:
        return []


def _is_shown(triple: Triple) -> bool:
    subject, predicate = getattr(triple.subject, "value", ""), triple.predicate.value
    is_record = "/record/" in subject and "#" not in subject
    return predicate not in _HIDDEN and (not is_record or predicate in _RECORD_FIELDS)


def _part(subject: object, names: Mapping[str, str]) -> str:
    """Return the name of *subject* if it is an organization or a part, "" for a topic or a record."""
    iri = getattr(subject, "value", "")
    if "/record/" in iri:
        return names.get(iri, iri.partition("#")[2].rstrip("0123456789-"))
    return names.get(iri) or last_segment(iri) if "/id/organization/" in iri else ""


def _value(term: object, names: Mapping[str, str]) -> Value:
    if isinstance(term, Literal):
        return Value(term.value, language=term.language or "")
    iri = str(getattr(term, "value", ""))
    return Value(names.get(iri, ""), iri)


def last_segment(iri: str) -> str:
    """Return the last segment of an IRI, decoded.

    >>> last_segment("https://example.org/id/organization/demo/ict%20board")
    'ict board'
    """
    return unquote(iri.replace("#", "/").rstrip("/").rpartition("/")[2])
