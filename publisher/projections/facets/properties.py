"""The properties that the facet tables are made of, each with its name in the SQL files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from publisher.projections.facets.facets import BITS, FACETS, property_name
from vocab.initiative import Basis
from vocab.iris import KINDS, Iris
from vocab.terms import ADMS, DCT, FOAF, ORG, RDF, SCHEMA, SH, SIOC, SKOS, VIVO

_ALL = sum(BITS.values())  # of a mark without a basis
_TEXTS = {
    "title": f"{DCT}title",
    "name": f"{SKOS}prefLabel",
    "description": f"{DCT}description",
    "content": f"{SIOC}content",
}
WITHOUT_TEXTS = ("description", "content")  # of their values only the languages count
ORGANIZATION_PROPERTIES = _TEXTS | {
    "class": f"{RDF}type",
    "classification": f"{ORG}classification",
    "country": f"{DCT}spatial",
}


class CodedProperty(NamedTuple):
    """A property of a thing, of its record or of a part of these (*about*), whose values count in
    *facet*: their codes are what follows *prefix*.

    Only IRIs count, unless *with_texts*. *bits* are those of *basis*, "" if it has none.
    """

    property: str
    about: str
    facet: str
    prefix: str
    with_texts: bool
    bits: int
    basis: str


def kind_number(kind: str) -> int:
    """Return the number of a kind in the tables."""
    return KINDS.index(kind) + 1


def record_properties(iris: Iris) -> dict[str, str]:
    """Return the IRIs of the properties that are read from the graph of a record, by name."""
    own = {
        "venue": "venue",
        "coverage": "coverage",
        "status": "status",
        "type": "activityType",
        "partner": "partner",
        "prize": "prizeCategory",
        "stage": "prizeStage",
        "prizeyear": "prizeYear",
        **{name: local for name, _, _, local in _link_properties()},
    }
    return _TEXTS | {
        "topic": f"{FOAF}primaryTopic",
        "state": f"{ADMS}status",
        "begins": f"{SCHEMA}startDate",
        "ends": f"{SCHEMA}endDate",
        "event-status": f"{SCHEMA}eventStatus",
        "issued": f"{DCT}issued",
        "modified": f"{DCT}modified",
        "whole": f"{DCT}isPartOf",
        "page": f"{FOAF}page",
        "country": f"{DCT}spatial",
        "document": f"{DCT}type",
        "lead": f"{DCT}publisher",
        "funder": f"{SCHEMA}funder",
        "award": f"{VIVO}relatedBy",
        "result": f"{iris.operations}result",
        "remark": f"{SH}resultSeverity",
        **{name: f"{iris.ns}{local}" for name, local in own.items()},
    }


def coded_properties(iris: Iris) -> list[CodedProperty]:
    """Return the properties whose values count in facets."""

    def coded(
        name: str, about: str = "thing", facet: str = "", bits: int = _ALL, basis: str = ""
    ) -> CodedProperty:
        facet = facet or name
        prefix = FACETS[facet].full_prefix(iris)
        return CodedProperty(name, about, facet, prefix, not prefix, bits, basis)

    return [
        *map(coded, ("country", "coverage", "status", "type", "document")),
        *(coded(name, "part") for name in ("prize", "stage", "prizeyear", "remark")),
        coded("classification", facet="stakeholder"),
        *(
            coded(name, facet=facet, bits=BITS[basis], basis=basis.value)
            for name, facet, basis, _ in _link_properties()
        ),
    ]


def _link_properties() -> Iterator[tuple[str, str, Basis, str]]:
    """Yield name, facet, basis and local name of the properties that link to concepts."""
    for facet in FACETS.values():
        for basis in Basis if facet.link_property else ():
            local = property_name(facet.link_property, basis)
            yield f"{facet.name}-{basis.value}", facet.name, basis, local
