"""The JSON-LD context of our JSON, and the frames that nest it.

Sources: https://www.w3.org/TR/json-ld11/#the-context and https://www.w3.org/TR/json-ld11-framing/.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from publisher.store.descriptions import namespaces
from vocab.iris import Iris
from vocab.terms import GEO, XSD

CONTEXT_PATH = "context.jsonld"  # below the base


class ValueKind(Enum):
    """The values of a term: datatype and container of its definition."""

    TEXT = (None, "@language")  # one or more by language, "@none" where it has none
    STRINGS = (None, "@set")  # without a language; always a list
    STRING = (None, None)
    LINK = ("@id", None)
    LINKS = ("@id", "@set")
    DATE = (f"{XSD}date", None)
    TIME = (f"{XSD}dateTime", None)
    YEAR = (f"{XSD}gYear", None)
    INTEGER = (f"{XSD}integer", None)
    DECIMAL = (f"{XSD}decimal", None)
    BOOLEAN = (f"{XSD}boolean", None)
    WKT = (f"{GEO}wktLiteral", None)
    HEXADECIMAL = (f"{XSD}hexBinary", None)

    @property
    def datatype(self) -> str | None:
        """Return the datatype of the values, ``@id`` for links."""
        datatype, _ = self.value
        return str(datatype) if datatype else None

    @property
    def definition(self) -> dict[str, str]:
        """Return its part of a term definition."""
        return {
            key: text for key, text in zip(("@type", "@container"), self.value, strict=True) if text
        }


class TermDefinition(NamedTuple):
    """A term of our JSON. *property* is prefixed; *nested*: the object is embedded; *inverse*: the
    property points the other way.
    """

    name: str
    property: str
    kind: ValueKind
    nested: bool = False
    inverse: bool = False


T, S, L, LS = ValueKind.TEXT, ValueKind.STRINGS, ValueKind.LINK, ValueKind.LINKS

# In the order of the JSON. If a property has two terms, the kind of value decides.
TERMS = (
    TermDefinition("title", "dct:title", T),
    TermDefinition("name", "skos:prefLabel", T),
    TermDefinition("label", "rdfs:label", T),
    TermDefinition("otherNames", "skos:altLabel", T),
    TermDefinition("notation", "skos:notation", ValueKind.STRING),
    TermDefinition("description", "dct:description", T),
    TermDefinition("content", "sioc:content", T),
    TermDefinition("definition", "skos:definition", T),
    TermDefinition("scopeNote", "skos:scopeNote", T),
    TermDefinition("editorialNote", "skos:editorialNote", T),
    TermDefinition("comment", "rdfs:comment", T),
    TermDefinition("identifier", "dct:identifier", S),
    TermDefinition("start", "schema:startDate", ValueKind.DATE),
    TermDefinition("startAt", "schema:startDate", ValueKind.TIME),
    TermDefinition("end", "schema:endDate", ValueKind.DATE),
    TermDefinition("endAt", "schema:endDate", ValueKind.TIME),
    TermDefinition("plannedStart", "wsis:plannedStartDate", ValueKind.DATE),
    TermDefinition("plannedStartAt", "wsis:plannedStartDate", ValueKind.TIME),
    TermDefinition("plannedEnd", "wsis:plannedEndDate", ValueKind.DATE),
    TermDefinition("plannedEndAt", "wsis:plannedEndDate", ValueKind.TIME),
    TermDefinition("startedAt", "prov:startedAtTime", ValueKind.TIME),
    TermDefinition("endedAt", "prov:endedAtTime", ValueKind.TIME),
    TermDefinition("lastReviewed", "schema:lastReviewed", ValueKind.DATE),
    TermDefinition("lastReviewedAt", "schema:lastReviewed", ValueKind.TIME),
    TermDefinition("issued", "dct:issued", ValueKind.DATE),
    TermDefinition("issuedAt", "dct:issued", ValueKind.TIME),
    TermDefinition("modified", "dct:modified", ValueKind.DATE),
    TermDefinition("modifiedAt", "dct:modified", ValueKind.TIME),
    TermDefinition("language", "dct:language", S),
    TermDefinition("license", "dct:license", L),
    TermDefinition("page", "foaf:page", LS),
    TermDefinition("homepage", "foaf:homepage", LS),
    TermDefinition("country", "dct:spatial", LS),
    TermDefinition("developedIn", "wsis:developedIn", LS),
    TermDefinition("actionLine", "wsis:actionLine", LS),
    TermDefinition("goal", "wsis:goal", LS),
    TermDefinition("target", "wsis:target", LS),
    *(
        TermDefinition(f"{basis}{concept}", f"wsis:{basis}{concept}", LS)
        for basis in ("crosswalked", "suggested")
        for concept in ("ActionLine", "Goal", "Target")
    ),
    TermDefinition("claims", "wsis:classified", LS, nested=True, inverse=True),
    TermDefinition("concept", "wsis:concept", L),
    TermDefinition("basis", "wsis:basis", L),
    TermDefinition("sourceWord", "wsis:sourceWord", ValueKind.STRING),
    TermDefinition("crosswalk", "wsis:crosswalk", L),
    TermDefinition("confidence", "wsis:confidence", ValueKind.DECIMAL),
    TermDefinition("percentage", "wsis:percentage", ValueKind.DECIMAL),
    TermDefinition("method", "wsis:method", ValueKind.STRING),
    TermDefinition("methodVersion", "wsis:methodVersion", ValueKind.STRING),
    TermDefinition("evidence", "wsis:evidence", T),
    TermDefinition("subject", "dcat:keyword", T),
    TermDefinition("theme", "dcat:theme", LS),
    TermDefinition("publisher", "dct:publisher", LS, nested=True),
    TermDefinition("partner", "wsis:partner", LS, nested=True),
    TermDefinition("funder", "schema:funder", LS, nested=True),
    TermDefinition("creator", "dct:creator", T),
    TermDefinition("classification", "org:classification", L),
    TermDefinition("coverage", "wsis:coverage", L),
    TermDefinition("status", "wsis:status", L),
    TermDefinition("activityType", "wsis:activityType", LS),
    TermDefinition("documentType", "dct:type", LS),
    TermDefinition("documentTypeName", "dct:type", S),
    TermDefinition("eventStatus", "schema:eventStatus", L),
    TermDefinition("venue", "wsis:venue", T),
    TermDefinition("registration", "wsis:registration", L),
    TermDefinition("container", "sioc:has_container", L),
    TermDefinition("relation", "dct:relation", LS),
    TermDefinition("partOf", "dct:isPartOf", LS),
    TermDefinition("partOfTitle", "dct:isPartOf", S),
    TermDefinition("amount", "wsis:amount", LS, nested=True),
    TermDefinition("amountName", "schema:name", T),
    TermDefinition("amountValue", "schema:value", ValueKind.DECIMAL),
    TermDefinition("currency", "schema:currency", ValueKind.STRING),
    TermDefinition("validFrom", "schema:validFrom", ValueKind.DATE),
    TermDefinition("validThrough", "schema:validThrough", ValueKind.DATE),
    TermDefinition("projectOutcome", "wsis:projectOutcome", LS, nested=True),
    TermDefinition("temporal", "dct:temporal", LS, nested=True),
    TermDefinition("periodStart", "dcat:startDate", ValueKind.DATE),
    TermDefinition("periodStartYear", "dcat:startDate", ValueKind.YEAR),
    TermDefinition("periodEnd", "dcat:endDate", ValueKind.DATE),
    TermDefinition("periodEndYear", "dcat:endDate", ValueKind.YEAR),
    TermDefinition("conformsTo", "dct:conformsTo", LS),
    TermDefinition("conformsToName", "dct:conformsTo", S),
    TermDefinition("accessRights", "dct:accessRights", L),
    TermDefinition("accessRightsText", "dct:accessRights", ValueKind.STRING),
    TermDefinition("accrualPeriodicity", "dct:accrualPeriodicity", L),
    TermDefinition("distribution", "dcat:distribution", LS, nested=True),
    TermDefinition("contactPoint", "dcat:contactPoint", LS, nested=True),
    TermDefinition("contactName", "vcard:fn", T),
    TermDefinition("email", "vcard:hasEmail", L),
    TermDefinition("contactPage", "vcard:hasURL", L),
    TermDefinition("accessUrl", "dcat:accessURL", L),
    TermDefinition("downloadUrl", "dcat:downloadURL", L),
    TermDefinition("format", "dct:format", L),
    TermDefinition("formatName", "dct:format", ValueKind.STRING),
    TermDefinition("byteSize", "dcat:byteSize", ValueKind.INTEGER),
    TermDefinition("checksum", "spdx:checksum", L, nested=True),
    TermDefinition("algorithm", "spdx:algorithm", L),
    TermDefinition("checksumValue", "spdx:checksumValue", ValueKind.HEXADECIMAL),
    TermDefinition("place", "schema:location", LS, nested=True),
    TermDefinition("lat", "wgs:lat", ValueKind.DECIMAL),
    TermDefinition("long", "wgs:long", ValueKind.DECIMAL),
    TermDefinition("geometry", "geo:hasGeometry", L, nested=True),
    TermDefinition("wkt", "geo:asWKT", ValueKind.WKT),
    TermDefinition("picture", "schema:image", L, nested=True),
    TermDefinition("caption", "schema:caption", T),
    TermDefinition("prize", "vivo:relatedBy", LS, nested=True),
    TermDefinition("prizeCategory", "wsis:prizeCategory", L),
    TermDefinition("prizeStage", "wsis:prizeStage", L),
    TermDefinition("prizeYear", "wsis:prizeYear", ValueKind.YEAR),
    TermDefinition("prizeDate", "dct:date", ValueKind.DATE),
    TermDefinition("inScheme", "skos:inScheme", LS),
    TermDefinition("topConceptOf", "skos:topConceptOf", LS),
    TermDefinition("broader", "skos:broader", LS),
    TermDefinition("narrower", "skos:narrower", LS),
    TermDefinition("exactMatch", "skos:exactMatch", LS),
    TermDefinition("closeMatch", "skos:closeMatch", LS),
    TermDefinition("broadMatch", "skos:broadMatch", LS),
    TermDefinition("relatedMatch", "skos:relatedMatch", LS),
    TermDefinition("concerns", "wsis:concerns", LS),
    TermDefinition("ituRegion", "wsis:ituRegion", LS),
    TermDefinition("topConcept", "skos:hasTopConcept", LS),
    TermDefinition("source", "dct:source", LS),
    TermDefinition("linkLine", "wsis:linkLine", L),
    TermDefinition("linkGoal", "wsis:linkGoal", L),
    TermDefinition("linkTarget", "wsis:linkTarget", L),
    TermDefinition("linkStatus", "wsis:linkStatus", L),
    TermDefinition("record", "foaf:primaryTopic", L, nested=True, inverse=True),
    TermDefinition("topic", "foaf:primaryTopic", L, nested=True),
    TermDefinition("registry", "dcat:record", L, nested=True, inverse=True),
    TermDefinition("state", "adms:status", L),
    TermDefinition("vanishedSince", "ops:vanishedSince", ValueKind.TIME),
    TermDefinition("goneSince", "prov:invalidatedAtTime", ValueKind.TIME),
    TermDefinition("goneBy", "prov:wasInvalidatedBy", L),
    TermDefinition("reason", "ops:reason", T),
    TermDefinition("replacedBy", "dct:isReplacedBy", L),
    TermDefinition("run", "prov:wasGeneratedBy", L),
    TermDefinition("mapping", "ops:mapping", ValueKind.STRING),
    TermDefinition("digest", "ops:digest", ValueKind.STRING),
    TermDefinition("remarks", "ops:result", LS, nested=True),
    TermDefinition("message", "sh:resultMessage", T),
    TermDefinition("severity", "sh:resultSeverity", L),
    TermDefinition("component", "sh:sourceConstraintComponent", L),
    TermDefinition("path", "sh:resultPath", L),
    TermDefinition("focusNode", "sh:focusNode", L),
    TermDefinition("sourceShape", "sh:sourceShape", L),
    TermDefinition("endpoint", "dcat:endpointURL", L),
    TermDefinition("landingPage", "dcat:landingPage", LS),
    TermDefinition("protocol", "ops:protocol", ValueKind.STRING),
    TermDefinition("schedule", "ops:schedule", ValueKind.STRING),
    TermDefinition("used", "prov:used", LS),
    TermDefinition("agent", "prov:wasAssociatedWith", LS),
    TermDefinition("outcome", "ops:outcome", ValueKind.STRING),
    TermDefinition("fullHarvest", "ops:fullHarvest", ValueKind.BOOLEAN),
    TermDefinition("journalEntry", "ops:journalEntry", ValueKind.INTEGER),
    TermDefinition("measurements", "prov:wasGeneratedBy", LS, nested=True, inverse=True),
    TermDefinition("metric", "dqv:isMeasurementOf", L),
    TermDefinition("value", "dqv:value", ValueKind.INTEGER),
    TermDefinition("computedOn", "dqv:computedOn", L),
    TermDefinition("concepts", "skos:inScheme", LS, nested=True, inverse=True),
    TermDefinition("terms", "rdfs:isDefinedBy", LS, nested=True, inverse=True),
)

CLASSES = {
    "Initiative": "wsis:Initiative",
    "Event": "schema:Event",
    "Document": "foaf:Document",
    "Post": "sioc:Post",
    "Organization": "org:Organization",
    "Record": "dcat:CatalogRecord",
    "Registry": "dcat:Catalog",
    "Run": "prov:Activity",
    "Claim": "wsis:Classification",
    "Place": "schema:Place",
    "Picture": "schema:ImageObject",
    "Award": "vivo:AwardReceipt",
    "Amount": "schema:MonetaryAmount",
    "ProjectOutcome": "wsis:ProjectOutcome",
    "Period": "dct:PeriodOfTime",
    "Distribution": "dcat:Distribution",
    "Checksum": "spdx:Checksum",
    "ContactPoint": "vcard:Organization",
    "Remark": "sh:ValidationResult",
    "Measurement": "dqv:QualityMeasurement",
    "Concept": "skos:Concept",
    "ConceptScheme": "skos:ConceptScheme",
    "MatrixLink": "wsis:MatrixLink",
}

Frame = dict[str, object]
# processors look for it at each property, not only at the top
_OMITTED: Frame = {"@omitDefault": True}
_NEVER: Frame = {"@embed": "@never", **_OMITTED}
_TEXTS = {item.name: item.property for item in TERMS if item.kind is ValueKind.TEXT}


def _only(*names: str, **nested: Frame) -> Frame:
    """Return a frame with these terms alone; otherwise the inverse statement would appear twice."""
    return {"@explicit": True, **_OMITTED, **dict.fromkeys(names, _OMITTED), **nested}


# The embedded nodes of each class that has a frame.
_REGISTRY = _only()
_TOMBSTONE = (
    "title",
    "page",
    "documentType",
    "vanishedSince",
    "goneSince",
    "goneBy",
    "reason",
    "replacedBy",
)
_RECORD = ("identifier", "issuedAt", "modifiedAt", "state", "run", "mapping", "digest", "remarks")
_CLAIMS = _only(
    "concept",
    "basis",
    "sourceWord",
    "crosswalk",
    "confidence",
    "percentage",
    "evidence",
    "source",
    "method",
    "methodVersion",
)
_CONCEPTS = _only(
    *(
        "name",
        "otherNames",
        "notation",
        "definition",
        "scopeNote",
        "editorialNote",
        "comment",
        "source",
        "exactMatch",
        "closeMatch",
    ),
    "broadMatch",
    "relatedMatch",
    "concerns",
    "ituRegion",
    **dict.fromkeys(("topConceptOf", "broader", "narrower"), _NEVER),
)
_THING: Frame = {"claims": _CLAIMS, "record": _only(*_RECORD, *_TOMBSTONE, registry=_REGISTRY)}
FRAMES: dict[str, Frame] = {
    "Initiative": _THING,
    "Event": _THING,
    "Document": _THING,
    "Post": _THING,
    "Organization": {},
    "Registry": {},
    "Record": {"topic": {"claims": _CLAIMS, **_OMITTED}, "registry": _REGISTRY},
    "Concept": {},
    "ConceptScheme": {"topConcept": _NEVER, "concepts": _CONCEPTS},
}


def jsonld_context(iris: Iris) -> dict[str, object]:
    """Return the value of ``@context``. It has no prefixes, so that properties without a term keep
    their full IRI.
    """
    prefixes = namespaces(iris)
    definitions: dict[str, object] = {
        "@version": 1.1,
        "id": "@id",
        "type": "@type",
        "included": "@included",
    }
    definitions |= {name: _expand(property_, prefixes) for name, property_ in CLASSES.items()}
    for term in TERMS:
        definitions[term.name] = {
            "@reverse" if term.inverse else "@id": _expand(term.property, prefixes),
            **term.kind.definition,
        }
    return definitions


def _expand(name: str, prefixes: Mapping[str, str]) -> str:
    prefix, _, local = name.partition(":")
    return prefixes[prefix] + local


def jsonld_frame(name: str, iris: Iris) -> Frame:
    """Return the frame of the class *name*, a key of FRAMES."""
    return {
        "@context": iris.base + CONTEXT_PATH,
        "@type": name,
        **_OMITTED,
        **_addressed(FRAMES[name], namespaces(iris)),
    }


def _addressed(definitions: Frame, prefixes: Mapping[str, str]) -> Frame:
    """Replace terms of texts by their properties: a frame cannot contain a language map."""
    return {
        _expand(_TEXTS[name], prefixes) if name in _TEXTS else name: _addressed(value, prefixes)
        if isinstance(value, dict)
        else value
        for name, value in definitions.items()
    }
