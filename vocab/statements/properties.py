"""Define properties as ``<p> ``, so that an object can follow."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from vocab.terms import (
    ADMS,
    DCAT,
    DCT,
    FOAF,
    GEO,
    ORG,
    PROV,
    RDF,
    RDFS,
    SCHEMA,
    SH,
    SIOC,
    SKOS,
    SPDX,
    VCARD,
    VIVO,
    WGS,
)

TYPE = f"<{RDF}type> "
TITLE, DESCRIPTION, KEYWORD = f"<{DCT}title> ", f"<{DCT}description> ", f"<{DCAT}keyword> "
IDENTIFIER, LANGUAGE, LICENCE = f"<{DCT}identifier> ", f"<{DCT}language> ", f"<{DCT}license> "
DATE = f"<{DCT}date> "
ISSUED, MODIFIED, REVIEWED = f"<{DCT}issued> ", f"<{DCT}modified> ", f"<{SCHEMA}lastReviewed> "
SPATIAL, RELATION, PUBLISHER = f"<{DCT}spatial> ", f"<{DCT}relation> ", f"<{DCT}publisher> "
CREATOR, SORT = f"<{DCT}creator> ", f"<{DCT}type> "
PAGE, HOMEPAGE, TOPIC = f"<{FOAF}page> ", f"<{FOAF}homepage> ", f"<{FOAF}primaryTopic> "
START = f"<{SCHEMA}startDate> "
END = f"<{SCHEMA}endDate> "
STATUS = f"<{SCHEMA}eventStatus> "
FUNDER = f"<{SCHEMA}funder> "
LOCATION = f"<{SCHEMA}location> "
LATITUDE = f"<{WGS}lat> "
LONGITUDE = f"<{WGS}long> "
LABEL = f"<{RDFS}label> "
IMAGE, CAPTION = f"<{SCHEMA}image> ", f"<{SCHEMA}caption> "
GEOMETRY, WKT = f"<{GEO}hasGeometry> ", f"<{GEO}asWKT> "
PREFERRED, CLASSIFICATION = f"<{SKOS}prefLabel> ", f"<{ORG}classification> "
CONTENT = f"<{SIOC}content> "
CONTAINER = f"<{SIOC}has_container> "
RELATED_BY = f"<{VIVO}relatedBy> "
CATALOGUED, GENERATED, STATE = f"<{DCAT}record> ", f"<{PROV}wasGeneratedBy> ", f"<{ADMS}status> "
DERIVED = f"<{PROV}wasDerivedFrom> "
PRIMARY = f"<{PROV}hadPrimarySource> "
CREDIT = f"<{SCHEMA}creditText> "
ASSIGNED, NOTATION, AGENCY = f"<{ADMS}identifier> ", f"<{SKOS}notation> ", f"<{ADMS}schemaAgency> "
SAME_AS = "<http://www.w3.org/2002/07/owl#sameAs> "
THEME = f"<{DCAT}theme> "
DISTRIBUTION = f"<{DCAT}distribution> "
CONTACT = f"<{DCAT}contactPoint> "
FULL_NAME, EMAIL, WEB = f"<{VCARD}fn> ", f"<{VCARD}hasEmail> ", f"<{VCARD}hasURL> "
ACCESS = f"<{DCAT}accessURL> "
DOWNLOAD = f"<{DCAT}downloadURL> "
BYTES = f"<{DCAT}byteSize> "
CHECKSUM = f"<{SPDX}checksum> "
ALGORITHM = f"<{SPDX}algorithm> "
DIGITS = f"<{SPDX}checksumValue> "
PERIOD_START, PERIOD_END = f"<{DCAT}startDate> ", f"<{DCAT}endDate> "
TEMPORAL = f"<{DCT}temporal> "
CONFORMS = f"<{DCT}conformsTo> "
RIGHTS = f"<{DCT}accessRights> "
FORMAT = f"<{DCT}format> "
WHOLE, SOURCE, FREQUENCY = f"<{DCT}isPartOf> ", f"<{DCT}source> ", f"<{DCT}accrualPeriodicity> "
NAME, MONEY, CURRENCY = f"<{SCHEMA}name> ", f"<{SCHEMA}value> ", f"<{SCHEMA}currency> "
VALID_FROM, VALID_THROUGH = f"<{SCHEMA}validFrom> ", f"<{SCHEMA}validThrough> "
MESSAGE, SEVERITY = f"<{SH}resultMessage> ", f"<{SH}resultSeverity> "
COMPONENT, PATH = f"<{SH}sourceConstraintComponent> ", f"<{SH}resultPath> "
FOCUS, SHAPE = f"<{SH}focusNode> ", f"<{SH}sourceShape> "


class OntologyTerms(NamedTuple):
    """The properties of our own ontology that describe things."""

    action_line: str
    goal: str
    target: str
    coverage: str
    status: str
    activity_type: str
    planned_start_date: str
    planned_end_date: str
    developed_in: str
    amount: str
    project_outcome: str
    partner: str
    venue: str
    registration: str
    prize_category: str
    prize_stage: str
    prize_year: str
    classified: str
    concept: str
    basis: str
    source_word: str
    crosswalk: str
    confidence: str
    percentage: str
    evidence: str
    method: str
    method_version: str
    detected_of: str
    detected_in: str
    invalid_identifier: str


@lru_cache(maxsize=8)  # one base in a process, a few in tests
def ontology_terms(ns: str) -> OntologyTerms:
    """Return the properties of the ontology at *ns*.

    >>> ontology_terms("a:").action_line, ontology_terms("a:").goal
    ('<a:actionLine> ', '<a:goal> ')
    """
    words = (name.split("_") for name in OntologyTerms._fields)
    return OntologyTerms(
        *(f"<{ns}{first}{''.join(map(str.capitalize, rest))}> " for first, *rest in words)
    )
