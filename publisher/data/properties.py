"""The properties of records, of what they describe, and of the vocabulary: one row each in
``properties.toml``, which every format reads; and the facets by which things are counted and filtered,
each with its SPARQL pattern.

A *code* is the part of an IRI that identifies a concept, such as ``C7-ehea`` or ``404``; any other
IRI is its own code.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter

from publisher.rdf import namespaces
from vocab.initiative import Basis
from vocab.iris import BASE, KINDS, Iris
from vocab.lookup import AREA, SDG
from vocab.schemes import concepts, label
from vocab.terms import (
    FOAF,
    GEO,
    ORG,
    RDF,
    SCHEMA,
    SH,
    SIOC,
    XSD,
)  # fmt: skip

DATATYPES = {
    "date": f"{XSD}date",
    "time": f"{XSD}dateTime",
    "year": f"{XSD}gYear",
    "integer": f"{XSD}integer",
    "decimal": f"{XSD}decimal",
    "boolean": f"{XSD}boolean",
    "wkt": f"{GEO}wktLiteral",
    "hexadecimal": f"{XSD}hexBinary",
}


class FacetRow(BaseModel):
    """How the facet tables name a property; *counts* is "" if its values do not count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    of: tuple[Literal["record", "organization"], ...] = ("record",)
    counts: Literal["", "thing", "part"] = ""


class PropertyRow(BaseModel):
    """A row; the head of ``properties.toml`` says what each key means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    iri: str
    type: Literal[
        "text", "string", "link", "date", "time", "year", "integer", "decimal", "boolean", "wkt",
        "hexadecimal",
    ] = "link"  # fmt: skip
    many: bool = False
    nested: bool = False
    inverse: bool = False
    concept: Literal["", "action-line", "goal", "target"] = ""
    basis: Literal["", "declared", "crosswalked", "suggested"] = ""
    metadata: str = ""
    search: tuple[Literal["title", "text", "link", "party", "place"], ...] = ()
    facet: FacetRow | None = None
    label: str = ""
    reconcile: dict[str, str | tuple[str, ...]] = {}
    column: dict[str, str | list[str]] = {}
    schema_org: str | dict[str, str] = ""
    schema_org_type: str = ""

    def expand(self, spaces: Mapping[str, str]) -> str:
        """Return its IRI; *spaces* are the namespaces by prefix."""
        prefix, _, local = self.iri.partition(":")
        return spaces[prefix] + local

    def schema_org_name(self, kind: str) -> str:
        """Return the name that it has in schema.org for a *kind* of thing, "" if none."""
        named = self.schema_org
        return named if isinstance(named, str) else named.get(kind, "")


class PropertyTable:
    """All properties, in the order of the JSON."""

    def __init__(self, toml: str) -> None:
        """Raises pydantic.ValidationError, which names the row and the key."""
        rows = {name: {"name": name, **row} for name, row in tomllib.loads(toml).items()}
        self.by_name = TypeAdapter(dict[str, PropertyRow]).validate_python(rows)

    def __iter__(self) -> Iterator[PropertyRow]:
        return iter(self.by_name.values())


@cache
def published_properties() -> PropertyTable:
    file = Path(__file__).with_name("properties.toml")
    return PropertyTable(file.read_text(encoding="utf-8"))


ISO3 = 3  # letters of an ISO 3166-1 alpha-3 code
BITS = {Basis.DECLARED: 1, Basis.CROSSWALKED: 2, Basis.SUGGESTED: 4}
_PREFIX = {Basis.DECLARED: "", Basis.CROSSWALKED: "crosswalked", Basis.SUGGESTED: "suggested"}
_IS_IRI = "FILTER(isIRI(?value))"


class Facet(NamedTuple):
    """A facet: *pattern* links ?value to ?thing in SPARQL; *iri_prefix* is the start of a value's
    IRI, "" for plain texts.

    *scheme* is the concept scheme of its values, *link_property* the property if its values are
    declared, crosswalked or suggested.
    """

    name: str
    pattern: str
    iri_prefix: str = ""
    scheme: str = ""
    link_property: str = ""

    def code(self, value: str, iris: Iris) -> str:
        """Return the code of a value.

        >>> FACETS["goal"].code("http://metadata.un.org/sdg/4", Iris())
        '4'
        """
        if self.name == "kind":
            return next((kind for kind, iri in class_iris(iris).items() if iri == value), value)
        if self.name == "area":
            value = value.removeprefix(f"{iris.scheme(self.scheme)}/")
        return value.removeprefix(self.full_prefix(iris))

    def iri(self, code: str, iris: Iris) -> str:
        """Return the IRI of a code, "" if its values are plain texts."""
        if self.name == "kind":
            return class_iris(iris).get(code, code)
        if self.name == "area" and f"{BASE}scheme/{self.scheme}/{code}" in concepts(self.scheme):
            return f"{iris.scheme(self.scheme)}/{code}"
        return "" if not self.iri_prefix else code if ":" in code else self.full_prefix(iris) + code

    def full_prefix(self, iris: Iris) -> str:
        """Return the start of a value's IRI, "" for plain texts."""
        is_ours = self.iri_prefix and not self.iri_prefix.startswith("http")
        return iris.base + self.iri_prefix if is_ours else self.iri_prefix

    def to_sparql(self, bases: Iterable[Basis], variable: str = "") -> str:
        """Return its pattern for links with one of *bases*; ?value is renamed to *variable*
        (default: the facet's name).
        """
        path = (
            "|".join(f"wsis:{property_name(self.link_property, basis)}" for basis in bases)
            if self.link_property
            else ""
        )
        return self.pattern.replace("?tie", path).replace("?value", f"?{variable or self.name}")


def property_name(tie: str, basis: Basis) -> str:
    """Return the local name of the property that links with a basis.

    >>> property_name("actionLine", Basis.CROSSWALKED)
    'crosswalkedActionLine'
    """
    return tie if basis is Basis.DECLARED else f"{_PREFIX[basis]}{tie[0].upper()}{tie[1:]}"


def class_iris(iris: Iris) -> dict[str, str]:
    return {
        "initiative": f"{iris.ns}Initiative",
        "event": f"{SCHEMA}Event",
        "document": f"{FOAF}Document",
        "post": f"{SIOC}Post",
        "organization": f"{ORG}Organization",
    }


def _link_facet(name: str, tie: str, stem: str, scheme: str) -> Facet:
    return Facet(name, f"?thing ?tie ?value . {_IS_IRI}", stem, scheme, tie)


def _concept_facet(name: str, path: str, scheme: str) -> Facet:
    return Facet(name, f"?thing {path} ?value . {_IS_IRI}", f"scheme/{scheme}/", scheme)


_YEAR = (
    "OPTIONAL { ?thing schema:startDate ?began } OPTIONAL { ?thing dct:issued ?issued } "
    'BIND(SUBSTR(STR(COALESCE(?began, ?issued)), 1, 4) AS ?value) FILTER(REGEX(?value, "^[0-9]{4}$") && ?value != "0000")'
)
_LANGUAGE = (
    "?thing dct:title|skos:prefLabel|dct:description|sioc:content ?text . "
    'BIND(LCASE(STRBEFORE(CONCAT(IF(LANG(?text) = "", "en", LANG(?text)), "-"), "-")) AS ?value)'
)
_BASIS = " UNION ".join(
    f"{{ ?thing {'|'.join(f'wsis:{property_name(tie, basis)}' for tie in ('actionLine', 'goal', 'target'))} ?any . FILTER(isIRI(?any)) "
    f'BIND("{basis.value}" AS ?value) }}'
    for basis in Basis
)
_PARTY = "dct:publisher|wsis:partner|schema:funder"

FACETS: dict[str, Facet] = {
    item.name: item
    for item in (
        Facet("kind", "?thing a ?value ."),
        _link_facet("line", "actionLine", "scheme/action-line/", "action-line"),
        _link_facet("goal", "goal", SDG, "sdg"),
        _link_facet("target", "target", SDG, "sdg"),
        Facet("basis", _BASIS),
        # What a registry states: an initiative for Africa counts at Africa, one for Kenya at Kenya.
        # The facet "area" counts both at Africa.
        Facet("country", f"?thing dct:spatial ?value . {_IS_IRI}", AREA, "area"),
        Facet(
            "area",
            "?thing dct:spatial/skos:broader* ?value . FILTER EXISTS { ?within skos:broader ?value }",
            AREA,
            "area",
        ),
        Facet(
            "region",
            "?thing dct:spatial ?area . ?area wsis:ituRegion ?value . ?value skos:inScheme itu-region:",
            "scheme/itu-region/",
            "itu-region",
        ),
        Facet(
            "stakeholder",
            f"{{ ?thing ({_PARTY})/org:classification ?value }} UNION {{ ?thing org:classification ?value }} {_IS_IRI}",
            "scheme/stakeholder-type/",
            "stakeholder-type",
        ),
        _concept_facet("coverage", "wsis:coverage", "coverage"),
        _concept_facet("status", "wsis:status", "status"),
        _concept_facet("type", "wsis:activityType", "activity-type"),
        Facet("year", _YEAR),
        Facet(
            "source", 'BIND(STRBEFORE(STRAFTER(STRAFTER(STR(?thing), "/id/"), "/"), "/") AS ?value)'
        ),
        Facet("language", _LANGUAGE),
        Facet("document", "?thing a foaf:Document ; dct:type ?sort . BIND(STR(?sort) AS ?value)"),
        _concept_facet("prize", "vivo:relatedBy/wsis:prizeCategory", "prize-category"),
        _concept_facet("stage", "vivo:relatedBy/wsis:prizeStage", "prize-stage"),
        Facet(
            "remark", "?record foaf:primaryTopic ?thing ; ops:result/sh:resultSeverity ?value .", SH
        ),
        Facet(
            "prizeyear",
            "?thing vivo:relatedBy/wsis:prizeYear ?awarded . BIND(STR(?awarded) AS ?value)",
        ),
    )
}


@lru_cache(maxsize=1)
def areas_within() -> dict[str, frozenset[str]]:
    """Return the codes of the areas within each area that contains others, itself included:
    regions, continents, groups of countries.

    >>> "404" in areas_within()["002"], "404" in areas_within()["lldc"], "404" in areas_within()
    (True, False, False)
    """
    area, iris = FACETS["area"], Iris(BASE)
    within: dict[str, set[str]] = {}
    known = concepts("area")
    for iri in known:
        above = [iri]
        for container in above:
            above += [one for one in known[container].broader if one in known and one not in above]
        for container in above:
            within.setdefault(area.code(container, iris), set()).add(area.code(iri, iris))
    return {code: frozenset(codes) for code, codes in within.items() if len(codes) > 1}


@lru_cache(maxsize=10_000)
def describe_area(code: str, iris: Iris) -> tuple[str | None, str | None, str | None]:
    """Return the English name of an area, its ISO 3166-1 alpha-3 code, and the code of its ITU region.

    >>> describe_area("404", Iris())
    ('Kenya', 'KEN', 'africa')
    """
    address = FACETS["area"].iri(code, iris)
    area, stem = concepts("area", iris.base).get(address), iris.concept("itu-region", "")
    iso3 = next((code for code in area.codes if len(code) == ISO3), None) if area else None
    region = next((iri.removeprefix(stem) for iri in area.regions), None) if area else None
    return label(address, "en", iris.base), iso3, region


@lru_cache(maxsize=8192)
def concept_name(iri: str, language: str, base: str) -> str | None:
    """Return the name of a concept in *language*, else in English: of a goal the short one, since its
    preferred label is a sentence; None if it is no concept of ours.

    >>> concept_name("http://metadata.un.org/sdg/4", "es", "https://w3id.org/wsis-stocktaking/")
    'Educación de Calidad'
    """
    is_goal = iri.startswith(SDG) and "." not in iri.rpartition("/")[2]
    if is_goal and (concept := concepts("sdg", base).get(iri)):
        for tag in (language, "en"):
            if names := [name.value for name in concept.labels if name.language == tag]:
                return min(names, key=len)
    return label(iri, language, base)


@lru_cache(maxsize=10_000)  # more than there are concepts
def facet_of_concept(iri: str, iris: Iris) -> tuple[str, str] | None:
    """Return the facet and the code of a concept, None if things are not counted by it. An area
    that contains others counts theirs.

    >>> facet_of_concept("http://metadata.un.org/sdg/4.4", Iris()), facet_of_concept("http://metadata.un.org/sdg/codes/geoArea/404", Iris())
    (('target', '4.4'), ('country', '404'))
    >>> facet_of_concept("http://metadata.un.org/sdg/codes/geoArea/002", Iris())
    ('area', '002')
    """
    if (code := FACETS["area"].code(iri, iris)) != iri and code in areas_within():
        return "area", code
    ranked = sorted(
        (item for item in FACETS.values() if item.scheme), key=lambda item: -len(item.iri_prefix)
    )
    facet = next(
        (item for item in ranked if (code := item.code(iri, iris)) != iri and "/" not in code), None
    )
    if facet is None:
        return None
    code = facet.code(iri, iris)
    return (
        ("target" if "." in code else "goal", code)
        if facet.iri_prefix == SDG
        else (facet.name, code)
    )


# Sort keys of lists that continue after a key; things without a value (None) are in no such list.
KEYS = {
    "title": "CASE WHEN title IS NULL THEN '2' WHEN language = 'en' THEN '0' || sort_title ELSE '1' || sort_title END",
    "newest": "changed",
    "address": "''",
}
# The sort keys of the list of organizations; those with most initiatives come first.
ORGANIZATION_KEYS = {
    "initiatives": "printf('%012d', 999999999999 - initiatives)",
    "title": KEYS["title"],
    "address": "''",
}
# The keys of lists with pages, and whether the lowest come first.
ORDERS = {"newest": ("changed", False), "title": ("sort_title", True), "begins": ("begins", True)}


WITHOUT_TEXTS = ("description", "content")  # of their values only the languages count


def kind_number(kind: str) -> int:
    """Return the number of a kind in the tables."""
    return KINDS.index(kind) + 1


def named_properties(iris: Iris) -> list[tuple[str, str, bool, bool]]:
    """Return IRI and name of each property, whether it is read of organizations (else from the
    graphs of records), and whether its texts are stored.
    """
    spaces = namespaces(iris)
    return [
        (f"{RDF}type", "class", True, True),
        *(
            (
                row.expand(spaces),
                row.facet.name,
                of == "organization",
                row.facet.name not in WITHOUT_TEXTS,
            )
            for row in published_properties()
            if row.facet
            for of in row.facet.of
        ),
    ]


def coded_properties(iris: Iris) -> list[tuple[str, str, str, str, bool, int, str]]:
    """Return the properties whose values count in facets: name, of what (a thing or a part of it or
    of its record), facet, the prefix that the codes follow in IRIs, whether texts count too, the
    bits of its basis, and the basis, "" if it has none.
    """
    coded = list[tuple[str, str, str, str, bool, int, str]]()
    for row in published_properties():
        if row.facet and row.facet.counts:
            name = row.facet.name
            facet = "stakeholder" if name == "classification" else name.partition("-")[0]
            prefix = FACETS[facet].full_prefix(iris)
            bits = BITS[Basis(row.basis)] if row.basis else sum(BITS.values())
            coded.append((name, row.facet.counts, facet, prefix, not prefix, bits, row.basis))
    return coded
