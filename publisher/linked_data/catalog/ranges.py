"""Add the classes that DCAT-AP requires of the resources that a catalogue points to.

Source: https://semiceu.github.io/DCAT-AP/releases/3.0.0/ (the properties' ranges and controlled
vocabularies).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from publisher.rdf.results import Term
from publisher.store.descriptions import Statement
from vocab.terms import DCAT, DCT, FOAF, RDF, SKOS, SPDX, VCARD

DCATAP = "http://data.europa.eu/r5r/"
AUTHORITY = "http://publications.europa.eu/resource/authority/"

_RANGES = {
    f"{DCT}publisher": f"{FOAF}Agent",
    f"{DCT}license": f"{DCT}LicenseDocument",
    f"{DCT}language": f"{DCT}LinguisticSystem",
    f"{DCT}format": f"{DCT}MediaTypeOrExtent",
    f"{DCT}conformsTo": f"{DCT}Standard",
    f"{DCT}spatial": f"{DCT}Location",
    f"{DCT}temporal": f"{DCT}PeriodOfTime",
    f"{DCT}accrualPeriodicity": f"{DCT}Frequency",
    f"{FOAF}homepage": f"{FOAF}Document",
    f"{DCAT}landingPage": f"{FOAF}Document",
    f"{DCAT}mediaType": f"{DCT}MediaType",
    f"{DCAT}compressFormat": f"{DCT}MediaType",
    f"{DCAT}theme": f"{SKOS}Concept",
    f"{DCAT}themeTaxonomy": f"{SKOS}ConceptScheme",
    f"{DCAT}distribution": f"{DCAT}Distribution",
    f"{DCAT}accessService": f"{DCAT}DataService",
    f"{DCAT}inSeries": f"{DCAT}DatasetSeries",
    f"{DCAT}contactPoint": f"{VCARD}Kind",
    f"{DCATAP}availability": f"{SKOS}Concept",
    f"{SPDX}checksum": f"{SPDX}Checksum",
    f"{SPDX}algorithm": f"{SPDX}ChecksumAlgorithm",
}


def with_types(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Return *statements*, and the class of each thing that they point to; of a code of the
    European Union's lists also its list.
    """
    for statement in statements:
        yield statement
        if statement.predicate in _RANGES:
            yield Statement(
                statement.object.value, f"{RDF}type", Term(_RANGES[statement.predicate])
            )
            scheme, _, code = statement.object.value.removeprefix(AUTHORITY).partition("/")
            if code and statement.object.value.startswith(AUTHORITY):
                yield Statement(statement.object.value, f"{SKOS}inScheme", Term(AUTHORITY + scheme))
