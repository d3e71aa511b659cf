"""Context: the names by which our JSON tells properties and classes, as a JSON-LD context, and the frames that nest it.

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


class TermDefinition(NamedTuple):
    """A name of our JSON: *property* is prefixed; *nested*: what it points to stands inside; *back*: it points the other way."""

    name: str
    property: str
    kind: ValueKind
    nested: bool = False
    back: bool = False


T, S, L, LS = ValueKind.TEXT, ValueKind.STRINGS, ValueKind.LINK, ValueKind.LINKS

# In the order in which the JSON tells them. Where a property stands twice, the value decides by its kind.
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
    TermDefinition("startedAt", "prov:startedAtTime", ValueKind.TIME),
    TermDefinition("endedAt", "prov:endedAtTime", ValueKind.TIME),
    TermDefinition("issued", "dct:issued", ValueKind.DATE),
    TermDefinition("issuedAt", "dct:issued", ValueKind.TIME),
    TermDefinition("modified", "dct:modified", ValueKind.DATE),
    TermDefinition("modifiedAt", "dct:modified", ValueKind.TIME),
    TermDefinition("language", "dct:language", S),
    TermDefinition("license", "dct:license", L),
    TermDefinition("page", "foaf:page", LS),
    TermDefinition("homepage", "foaf:homepage", LS),
    TermDefinition("country", "dct:spatial", LS),
    TermDefinition("actionLine", "wsis:actionLine", LS),
    TermDefinition("goal", "wsis:goal", LS),
    TermDefinition("target", "wsis:target", LS),
    *(
        TermDefinition(f"{basis}{concept}", f"wsis:{basis}{concept}", LS)
        for basis in ("crosswalked", "suggested")
        for concept in ("ActionLine", "Goal", "Target")
    ),
    TermDefinition("claims", "wsis:classified", LS, nested=True, back=True),
    TermDefinition("concept", "wsis:concept", L),
    TermDefinition("basis", "wsis:basis", L),
    TermDefinition("sourceWord", "wsis:sourceWord", ValueKind.STRING),
    TermDefinition("confidence", "wsis:confidence", ValueKind.DECIMAL),
    TermDefinition("subject", "dct:subject", T),
    TermDefinition("publisher", "dct:publisher", LS, nested=True),
    TermDefinition("partner", "wsis:partner", LS, nested=True),
    TermDefinition("funder", "schema:funder", LS, nested=True),
    TermDefinition("creator", "dct:creator", T),
    TermDefinition("classification", "org:classification", L),
    TermDefinition("coverage", "wsis:coverage", L),
    TermDefinition("status", "wsis:status", L),
    TermDefinition("activityType", "wsis:activityType", LS),
    TermDefinition("documentType", "dct:type", LS),
    TermDefinition("eventStatus", "schema:eventStatus", L),
    TermDefinition("venue", "wsis:venue", T),
    TermDefinition("container", "sioc:has_container", L),
    TermDefinition("relation", "dct:relation", LS),
    TermDefinition("place", "schema:location", LS, nested=True),
    TermDefinition("lat", "wgs:lat", ValueKind.DECIMAL),
    TermDefinition("long", "wgs:long", ValueKind.DECIMAL),
    TermDefinition("geometry", "geo:hasGeometry", L, nested=True),
    TermDefinition("wkt", "geo:asWKT", ValueKind.WKT),
    TermDefinition("prize", "vivo:relatedBy", LS, nested=True),
    TermDefinition("prizeCategory", "wsis:prizeCategory", L),
    TermDefinition("prizeStage", "wsis:prizeStage", L),
    TermDefinition("prizeYear", "wsis:prizeYear", ValueKind.YEAR),
    TermDefinition("inScheme", "skos:inScheme", LS),
    TermDefinition("topConceptOf", "skos:topConceptOf", LS),
    TermDefinition("broader", "skos:broader", LS),
    TermDefinition("narrower", "skos:narrower", LS),
    TermDefinition("exactMatch", "skos:exactMatch", LS),
    TermDefinition("closeMatch", "skos:closeMatch", LS),
    TermDefinition("broadMatch", "skos:broadMatch", LS),
    TermDefinition("topConcept", "skos:hasTopConcept", LS),
    TermDefinition("source", "dct:source", LS),
    TermDefinition("linkLine", "wsis:linkLine", L),
    TermDefinition("linkGoal", "wsis:linkGoal", L),
    TermDefinition("linkTarget", "wsis:linkTarget", L),
    TermDefinition("linkStatus", "wsis:linkStatus", L),
    TermDefinition("record", "foaf:primaryTopic", L, nested=True, back=True),
    TermDefinition("topic", "foaf:primaryTopic", L, nested=True),
    TermDefinition("registry", "dcat:record", L, nested=True, back=True),
    TermDefinition("state", "adms:status", L),
    TermDefinition("vanishedSince", "wsis:vanishedSince", ValueKind.TIME),
    TermDefinition("goneSince", "prov:invalidatedAtTime", ValueKind.TIME),
    TermDefinition("goneBy", "prov:wasInvalidatedBy", L),
    TermDefinition("reason", "wsis:reason", T),
    TermDefinition("replacedBy", "dct:isReplacedBy", L),
    TermDefinition("run", "prov:wasGeneratedBy", L),
    TermDefinition("mapping", "wsis:mapping", ValueKind.STRING),
    TermDefinition("digest", "wsis:digest", ValueKind.STRING),
    TermDefinition("remarks", "wsis:result", LS, nested=True),
    TermDefinition("message", "sh:resultMessage", T),
    TermDefinition("severity", "sh:resultSeverity", L),
    TermDefinition("component", "sh:sourceConstraintComponent", L),
    TermDefinition("path", "sh:resultPath", L),
    TermDefinition("endpoint", "dcat:endpointURL", L),
    TermDefinition("landingPage", "dcat:landingPage", LS),
    TermDefinition("protocol", "wsis:protocol", ValueKind.STRING),
    TermDefinition("frequency", "dct:accrualPeriodicity", ValueKind.STRING),
    TermDefinition("used", "prov:used", LS),
    TermDefinition("agent", "prov:wasAssociatedWith", LS),
    TermDefinition("outcome", "wsis:outcome", ValueKind.STRING),
    TermDefinition("sweep", "wsis:sweep", ValueKind.BOOLEAN),
    TermDefinition("journalEntry", "wsis:journalEntry", ValueKind.INTEGER),
    TermDefinition("measurements", "prov:wasGeneratedBy", LS, nested=True, back=True),
    TermDefinition("metric", "dqv:isMeasurementOf", L),
    TermDefinition("value", "dqv:value", ValueKind.INTEGER),
    TermDefinition("computedOn", "dqv:computedOn", L),
    TermDefinition("concepts", "skos:inScheme", LS, nested=True, back=True),
    TermDefinition("terms", "rdfs:isDefinedBy", LS, nested=True, back=True),
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
_TEXTS = {it.name: it.property for it in TERMS if it.kind is ValueKind.TEXT}


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


def jsonld_context(iris: Iris) -> dict[str, object]:
    """Give the context, to stand under ``@context``; it has no prefixes, so that what has no name of ours is told by its whole address."""
    known = namespaces(iris)
    told: dict[str, object] = {"@version": 1.1, "id": "@id", "type": "@type", "included": "@included"}
    told |= {name: _whole(property_, known) for name, property_ in CLASSES.items()}
    for it in TERMS:
        told[it.name] = {"@reverse" if it.back else "@id": _whole(it.property, known), **it.kind.definition}
    return told


def _whole(name: str, known: Mapping[str, str]) -> str:
    prefix, _, local = name.partition(":")
    return known[prefix] + local


def jsonld_frame(name: str, iris: Iris) -> Frame:
    """Give the frame of the class *name*, one of FRAMES."""
    return {"@context": iris.base + CONTEXT_PATH, "@type": name, **_OMITTED, **_addressed(FRAMES[name], namespaces(iris))}


def _addressed(told: Frame, known: Mapping[str, str]) -> Frame:
    """Call texts by their properties: under the name of a map of languages no frame could stand."""
    return {
        _whole(_TEXTS[name], known) if name in _TEXTS else name: _addressed(value, known) if isinstance(value, dict) else value
        for name, value in told.items()
    }
