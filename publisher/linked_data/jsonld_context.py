"""Context: the names by which our JSON tells properties and classes, as a JSON-LD context, and the frames that nest it.

Sources: https://www.w3.org/TR/json-ld11/#the-context and https://www.w3.org/TR/json-ld11-framing/.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from publisher.store.descriptions import spaces
from vocab.iris import Iris
from vocab.terms import GEO, XSD

PATH = "context.jsonld"  # below the base


class Kind(Enum):
    """What the values of a name are: the datatype that its definition tells, and its container."""

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

    @property
    def datatype(self) -> str | None:
        """Give the datatype of its values, ``@id`` of links."""
        datatype, _ = self.value
        return str(datatype) if datatype else None

    @property
    def definition(self) -> dict[str, str]:
        """Give what it adds to the definition of a name."""
        return {key: text for key, text in zip(("@type", "@container"), self.value, strict=True) if text}


class Name(NamedTuple):
    """A name of our JSON: *property* is prefixed; *nested*: what it points to stands inside; *back*: it points the other way."""

    name: str
    property: str
    kind: Kind
    nested: bool = False
    back: bool = False


T, S, L, LS = Kind.TEXT, Kind.STRINGS, Kind.LINK, Kind.LINKS

# In the order in which the JSON tells them. Where a property stands twice, the value decides by its kind.
NAMES = (
    Name("title", "dct:title", T),
    Name("name", "skos:prefLabel", T),
    Name("label", "rdfs:label", T),
    Name("otherNames", "skos:altLabel", T),
    Name("notation", "skos:notation", Kind.STRING),
    Name("description", "dct:description", T),
    Name("content", "sioc:content", T),
    Name("definition", "skos:definition", T),
    Name("scopeNote", "skos:scopeNote", T),
    Name("editorialNote", "skos:editorialNote", T),
    Name("comment", "rdfs:comment", T),
    Name("identifier", "dct:identifier", S),
    Name("start", "schema:startDate", Kind.DATE),
    Name("startAt", "schema:startDate", Kind.TIME),
    Name("end", "schema:endDate", Kind.DATE),
    Name("endAt", "schema:endDate", Kind.TIME),
    Name("startedAt", "prov:startedAtTime", Kind.TIME),
    Name("endedAt", "prov:endedAtTime", Kind.TIME),
    Name("issued", "dct:issued", Kind.DATE),
    Name("issuedAt", "dct:issued", Kind.TIME),
    Name("modified", "dct:modified", Kind.DATE),
    Name("modifiedAt", "dct:modified", Kind.TIME),
    Name("language", "dct:language", S),
    Name("license", "dct:license", L),
    Name("page", "foaf:page", LS),
    Name("homepage", "foaf:homepage", LS),
    Name("country", "dct:spatial", LS),
    Name("actionLine", "wsis:actionLine", LS),
    Name("goal", "wsis:goal", LS),
    Name("target", "wsis:target", LS),
    *(
        Name(f"{basis}{concept}", f"wsis:{basis}{concept}", LS)
        for basis in ("crosswalked", "suggested")
        for concept in ("ActionLine", "Goal", "Target")
    ),
    Name("claims", "wsis:classified", LS, nested=True, back=True),
    Name("concept", "wsis:concept", L),
    Name("basis", "wsis:basis", L),
    Name("sourceWord", "wsis:sourceWord", Kind.STRING),
    Name("confidence", "wsis:confidence", Kind.DECIMAL),
    Name("subject", "dct:subject", T),
    Name("publisher", "dct:publisher", LS, nested=True),
    Name("partner", "wsis:partner", LS, nested=True),
    Name("funder", "schema:funder", LS, nested=True),
    Name("creator", "dct:creator", T),
    Name("classification", "org:classification", L),
    Name("coverage", "wsis:coverage", L),
    Name("status", "wsis:status", L),
    Name("activityType", "wsis:activityType", LS),
    Name("documentType", "dct:type", LS),
    Name("eventStatus", "schema:eventStatus", L),
    Name("venue", "wsis:venue", T),
    Name("container", "sioc:has_container", L),
    Name("relation", "dct:relation", LS),
    Name("place", "schema:location", LS, nested=True),
    Name("lat", "wgs:lat", Kind.DECIMAL),
    Name("long", "wgs:long", Kind.DECIMAL),
    Name("geometry", "geo:hasGeometry", L, nested=True),
    Name("wkt", "geo:asWKT", Kind.WKT),
    Name("prize", "vivo:relatedBy", LS, nested=True),
    Name("prizeCategory", "wsis:prizeCategory", L),
    Name("prizeStage", "wsis:prizeStage", L),
    Name("prizeYear", "wsis:prizeYear", Kind.YEAR),
    Name("inScheme", "skos:inScheme", LS),
    Name("topConceptOf", "skos:topConceptOf", LS),
    Name("broader", "skos:broader", LS),
    Name("narrower", "skos:narrower", LS),
    Name("exactMatch", "skos:exactMatch", LS),
    Name("closeMatch", "skos:closeMatch", LS),
    Name("broadMatch", "skos:broadMatch", LS),
    Name("topConcept", "skos:hasTopConcept", LS),
    Name("source", "dct:source", LS),
    Name("linkLine", "wsis:linkLine", L),
    Name("linkGoal", "wsis:linkGoal", L),
    Name("linkTarget", "wsis:linkTarget", L),
    Name("linkStatus", "wsis:linkStatus", L),
    Name("record", "foaf:primaryTopic", L, nested=True, back=True),
    Name("topic", "foaf:primaryTopic", L, nested=True),
    Name("registry", "dcat:record", L, nested=True, back=True),
    Name("state", "adms:status", L),
    Name("vanishedSince", "wsis:vanishedSince", Kind.TIME),
    Name("goneSince", "prov:invalidatedAtTime", Kind.TIME),
    Name("goneBy", "prov:wasInvalidatedBy", L),
    Name("reason", "wsis:reason", T),
    Name("replacedBy", "dct:isReplacedBy", L),
    Name("run", "prov:wasGeneratedBy", L),
    Name("mapping", "wsis:mapping", Kind.STRING),
    Name("digest", "wsis:digest", Kind.STRING),
    Name("remarks", "wsis:result", LS, nested=True),
    Name("message", "sh:resultMessage", T),
    Name("severity", "sh:resultSeverity", L),
    Name("component", "sh:sourceConstraintComponent", L),
    Name("path", "sh:resultPath", L),
    Name("endpoint", "dcat:endpointURL", L),
    Name("landingPage", "dcat:landingPage", LS),
    Name("protocol", "wsis:protocol", Kind.STRING),
    Name("frequency", "dct:accrualPeriodicity", Kind.STRING),
    Name("used", "prov:used", LS),
    Name("agent", "prov:wasAssociatedWith", LS),
    Name("outcome", "wsis:outcome", Kind.STRING),
    Name("sweep", "wsis:sweep", Kind.BOOLEAN),
    Name("journalEntry", "wsis:journalEntry", Kind.INTEGER),
    Name("measurements", "prov:wasGeneratedBy", LS, nested=True, back=True),
    Name("metric", "dqv:isMeasurementOf", L),
    Name("value", "dqv:value", Kind.INTEGER),
    Name("computedOn", "dqv:computedOn", L),
    Name("concepts", "skos:inScheme", LS, nested=True, back=True),
    Name("terms", "rdfs:isDefinedBy", LS, nested=True, back=True),
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
    "Award": "vivo:AwardReceipt",
    "Remark": "sh:ValidationResult",
    "Measurement": "dqv:QualityMeasurement",
    "Concept": "skos:Concept",
    "ConceptScheme": "skos:ConceptScheme",
    "MatrixLink": "wsis:MatrixLink",
}

Frame = dict[str, object]
_OMITTED: Frame = {"@omitDefault": True}  # a processor looks for it at each property, not only atop
_NEVER: Frame = {"@embed": "@never", **_OMITTED}
_TEXTS = {it.name: it.property for it in NAMES if it.kind is Kind.TEXT}


def _only(*names: str, **nested: Frame) -> Frame:
    """Frame a node with these names alone, or its statement that points back to where it stands would be told twice."""
    return {"@explicit": True, **_OMITTED, **dict.fromkeys(names, _OMITTED), **nested}


# What each class that has a frame holds inside.
_REGISTRY = _only()
_TOMBSTONE = ("title", "page", "documentType", "vanishedSince", "goneSince", "goneBy", "reason", "replacedBy")
_RECORD = ("identifier", "issuedAt", "modifiedAt", "state", "run", "mapping", "digest", "remarks")
_CLAIMS = _only("concept", "basis", "sourceWord", "confidence")
_CONCEPTS = _only(
    *("name", "otherNames", "notation", "definition", "scopeNote", "editorialNote", "comment", "source", "exactMatch", "closeMatch"),
    "broadMatch",
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


def context(iris: Iris) -> dict[str, object]:
    """Give the context, to stand under ``@context``; it has no prefixes, so that what has no name of ours is told by its whole address."""
    known = spaces(iris)
    told: dict[str, object] = {"@version": 1.1, "id": "@id", "type": "@type", "included": "@included"}
    told |= {name: _whole(property_, known) for name, property_ in CLASSES.items()}
    for it in NAMES:
        told[it.name] = {"@reverse" if it.back else "@id": _whole(it.property, known), **it.kind.definition}
    return told


def _whole(name: str, known: Mapping[str, str]) -> str:
    prefix, _, local = name.partition(":")
    return known[prefix] + local


def frame(name: str, iris: Iris) -> Frame:
    """Give the frame of the class *name*, one of FRAMES."""
    return {"@context": iris.base + PATH, "@type": name, **_OMITTED, **_addressed(FRAMES[name], spaces(iris))}


def _addressed(told: Frame, known: Mapping[str, str]) -> Frame:
    """Call texts by their properties: under the name of a map of languages no frame could stand."""
    return {
        _whole(_TEXTS[name], known) if name in _TEXTS else name: _addressed(value, known) if isinstance(value, dict) else value
        for name, value in told.items()
    }
