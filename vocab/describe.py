"""Serialize the model as sorted N-Triples statements; no other module does.

A statement is the text ``<s> <p> <o>`` without its closing dot; a description is a sorted list of
distinct statements, and ``quads`` adds the record's graph. There are no blank nodes: each part has
an IRI under its record's. The properties of each class of the model are rows of a table, which
``harvesters/mappings/stocktake_record.py`` reads in the other direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from vocab.identifiers import SCHEMES, parse_identifier
from vocab.initiative import (
    Basis,
    Claim,
    Coded,
    Document,
    Event,
    File,
    Initiative,
    Party,
    Place,
    Post,
    Resource,
    Role,
    Text,
    concept_of,
)
from vocab.iris import Iris, encode, slug
from vocab.terms import (
    ADMS,
    DCAT,
    DCT,
    FOAF,
    GEO,
    ORG,
    OWL,
    PROV,
    RDF,
    RDFS,
    SCHEMA,
    SIOC,
    SKOS,
    SPDX,
    VCARD,
    VIVO,
    WGS,
    date_literal,
    decimal,
    geo_point,
    hexadecimal,
    integer,
    iri_or_literal,
    literal,
)  # fmt: skip

Write = Callable[[Any], str]
# A member of a class, its property (":name" is of our ontology), and how a value is written.
Row = tuple[str, str, Write]
Rows = tuple[Row, ...]

_CACHE_SIZE = 16384  # Concepts, countries and licences of a registry: about 4 MB.
_MAX_CACHED_LENGTH = 300  # Characters: IRIs of concepts are shorter.
_NUMBERS = frozenset((int, float))  # A zero is written; anything else that is false is not.
_cached_iri = lru_cache(_CACHE_SIZE)(iri_or_literal)


def text(value: Text) -> str:
    return literal(*value)


def concept(value: str) -> str:
    """Write a value that occurs often: a concept, a country, a licence."""
    return _cached_iri(value) if len(value) <= _MAX_CACHED_LENGTH else iri_or_literal(value)


def _year(value: int) -> str:
    return date_literal(f"{value:04d}")


RESOURCE: Rows = (
    ("key", f"{DCT}identifier", literal),
    ("identifiers", f"{DCT}identifier", literal),
    ("titles", f"{DCT}title", text),
    ("descriptions", f"{DCT}description", text),
    ("pages", f"{FOAF}page", iri_or_literal),
    ("languages", f"{DCT}language", literal),
    ("licences", f"{DCT}license", concept),
    ("issued", f"{DCT}issued", date_literal),
    ("modified", f"{DCT}modified", date_literal),
    ("last_reviewed", f"{SCHEMA}lastReviewed", date_literal),
    ("subjects", f"{DCAT}keyword", text),
    ("themes", f"{DCAT}theme", concept),
    ("conforms_to", f"{DCT}conformsTo", concept),
    ("access_rights", f"{DCT}accessRights", concept),
    ("frequency", f"{DCT}accrualPeriodicity", concept),
    ("related", f"{DCT}relation", iri_or_literal),
    ("part_of", f"{DCT}isPartOf", iri_or_literal),
)
_SPAN: Rows = (
    ("start", f"{SCHEMA}startDate", date_literal),
    ("end", f"{SCHEMA}endDate", date_literal),
)
# The class of each kind of resource, and its own members.
KINDS: Mapping[type[Resource], tuple[str, Rows]] = {
    Initiative: (":Initiative", (
        *_SPAN,
        ("planned_start", ":plannedStartDate", date_literal),
        ("planned_end", ":plannedEndDate", date_literal),
        ("stage", f"{ADMS}status", concept),
        ("developed_in", ":developedIn", concept),
    )),
    Event: (f"{SCHEMA}Event", (
        *_SPAN,
        ("venue", ":venue", text),
        ("registration", ":registration", iri_or_literal),
        ("cancelled", f"{SCHEMA}eventStatus", lambda _: f"<{SCHEMA}EventCancelled>"),
    )),
    Document: (f"{FOAF}Document", (
        ("creators", f"{DCT}creator", text),
        ("kind", f"{DCT}type", concept),
    )),
    Post: (f"{SIOC}Post", (
        ("content", f"{SIOC}content", text),
        ("container", f"{SIOC}has_container", iri_or_literal),
    )),
}  # fmt: skip
KIND = {Initiative: "initiative", Event: "event", Document: "document", Post: "post"}
# Coded members, and claims: each basis has a property of its own, so that queries do not mix them by
# accident.
CODED = (
    ("countries", f"{DCT}spatial"),
    ("coverage", ":coverage"),
    ("status", ":status"),
    ("activity_types", ":activityType"),
)
CLAIMS = (("action_lines", "actionLine"), ("goals", "goal"), ("targets", "target"))
CLAIM: Rows = (
    ("word", ":sourceWord", literal),
    ("confidence", ":confidence", decimal),
    ("crosswalk", ":crosswalk", concept),
    ("percentage", ":percentage", decimal),
    ("evidence", ":evidence", text),
    ("evidence_page", f"{DCT}source", iri_or_literal),
    ("method", ":method", literal),
    ("method_version", ":methodVersion", literal),
    ("author", f"{DCT}creator", literal),
    ("day", f"{DCT}date", date_literal),
)
ROLES = {
    Role.LEAD: f"{DCT}publisher",
    Role.PARTNER: ":partner",
    Role.FUNDER: f"{SCHEMA}funder",
}
PARTY: Rows = (
    ("name", f"{SKOS}prefLabel", text),
    ("country", f"{DCT}spatial", concept),
    ("page", f"{FOAF}homepage", iri_or_literal),
)
CHECKSUM: Rows = (
    ("value", f"{SPDX}checksumValue", hexadecimal),
    ("algorithm", f"{SPDX}algorithm", iri_or_literal),
)
DETECTION: Rows = (
    ("language", f"{DCT}language", literal),
    ("confidence", ":confidence", decimal),
)
# The members whose values are parts, each with the property that leads to them, their name in IRIs,
# their class, and their own members.
PARTS: Mapping[str, tuple[str, str, str, Rows]] = {
    "periods": (f"{DCT}temporal", "period", f"{DCT}PeriodOfTime", (
        ("start", f"{DCAT}startDate", date_literal),
        ("end", f"{DCAT}endDate", date_literal),
    )),
    "files": (f"{DCAT}distribution", "file", f"{DCAT}Distribution", (
        ("access", f"{DCAT}accessURL", concept),
        ("download", f"{DCAT}downloadURL", concept),
        ("titles", f"{DCT}title", text),
        ("form", f"{DCT}format", concept),
        ("licence", f"{DCT}license", concept),
        ("descriptions", f"{DCT}description", text),
        ("size", f"{DCAT}byteSize", integer),
    )),
    "contacts": (f"{DCAT}contactPoint", "contact", f"{VCARD}Organization", (
        ("names", f"{VCARD}fn", text),
        ("email", f"{VCARD}hasEmail", lambda email: f"<mailto:{email}>"),
        ("page", f"{VCARD}hasURL", iri_or_literal),
    )),
    "amounts": (":amount", "amount", f"{SCHEMA}MonetaryAmount", (
        ("value", f"{SCHEMA}value", decimal),
        ("currency", f"{SCHEMA}currency", literal),
        ("name", f"{SCHEMA}name", text),
        ("start", f"{SCHEMA}validFrom", date_literal),
        ("end", f"{SCHEMA}validThrough", date_literal),
    )),
    "outcomes": (":projectOutcome", "outcome", ":ProjectOutcome", (
        ("titles", f"{DCT}title", text),
        ("descriptions", f"{DCT}description", text),
        ("kind", f"{DCT}type", concept),
    )),
    "places": (f"{SCHEMA}location", "place", f"{SCHEMA}Place", (
        ("name", f"{RDFS}label", text),
        ("latitude", f"{WGS}lat", decimal),
        ("longitude", f"{WGS}long", decimal),
    )),
    "prizes": (f"{VIVO}relatedBy", "prize", f"{VIVO}AwardReceipt", (
        ("category", ":prizeCategory", concept),
        ("stage", ":prizeStage", concept),
        ("year", ":prizeYear", _year),
        ("date", f"{DCT}date", date_literal),
        ("edition", f"{DCT}isPartOf", iri_or_literal),
        ("name", f"{RDFS}label", text),
    )),
}  # fmt: skip
# The properties of the texts whose language was detected; the venue's is ours.
DETECTED = {"title": f"{DCT}title", "description": f"{DCT}description", "content": f"{SIOC}content", "venue": ":venue"}  # fmt: skip


class Terms:
    """The table with the properties of the ontology at *ns*, each as ``<p> ``."""

    def __init__(self, ns: str) -> None:
        self.ns = ns
        self.claim, self.party = self._rows(CLAIM), self._rows(PARTY)
        self.checksum, self.detection = self._rows(CHECKSUM), self._rows(DETECTION)
        self.kinds = {
            kind: (self.term(name), self._rows((*RESOURCE, *rows)))
            for kind, (name, rows) in KINDS.items()
        }
        self.coded = [(member, self.property(name)) for member, name in CODED]
        self.parts = [
            (member, self.property(name), part, self.term(class_), self._rows(rows))
            for member, (name, part, class_, rows) in PARTS.items()
        ]
        self.roles = {role: self.property(name) for role, name in ROLES.items()}

    def term(self, name: str) -> str:
        """Return a term of the table as an IRI in brackets."""
        return f"<{self.ns}{name[1:]}>" if name[0] == ":" else f"<{name}>"

    def property(self, name: str) -> str:
        return f"{self.term(name)} "

    def _rows(self, rows: Rows) -> Rows:
        return tuple((member, self.property(name), write) for member, name, write in rows)


class _Description:
    """The statements on one record, in the order in which they are added."""

    def __init__(self, record: str, subject: str, organizations: str, terms: Terms) -> None:
        self.record, self.subject, self.organizations = record, subject, organizations
        self.terms, self.statements = terms, list[str]()

    def add(self, prefix: str, thing: Any, rows: Rows) -> None:
        """Add the members of a thing that *rows* name; *prefix* is ``<s> ``."""
        statements = self.statements
        for member, predicate, write in rows:
            value = getattr(thing, member)
            if type(value) is tuple:
                for each in value:
                    if each:
                        statements.append(prefix + predicate + write(each))
            elif value or type(value) in _NUMBERS:
                statements.append(prefix + predicate + write(value))

    def add_node(self, node: str, class_: str, thing: Any, rows: Rows, *statements: str) -> None:
        """Add a *thing* of a class as *node*, with the members that *rows* name."""
        self.statements += [f"{node} {_TYPE}{class_}", *statements]
        self.add(f"{node} ", thing, rows)

    def add_parts(self, resource: Any) -> None:
        """Add the parts of a resource, which most resources do not have."""
        for member, predicate, name, class_, rows in self.terms.parts:
            for number, part in enumerate(getattr(resource, member, ()), 1):
                node = f"<{self.record}#{name}-{number}>"
                self.add_node(node, class_, part, rows, f"{self.subject} {predicate}{node}")
                if isinstance(part, Place):
                    geometry = f"{node[:-1]}-point>"
                    point = geo_point(part.latitude, part.longitude)
                    self.statements += [
                        f"{node} <{GEO}hasGeometry> {geometry}",
                        f"{geometry} <{GEO}asWKT> {point}",
                    ]
                elif isinstance(part, File) and part.checksum:
                    # SPDX makes a checksum a thing of its own.
                    digits = f"{node[:-1]}-checksum>"
                    link = f"{node} <{SPDX}checksum> {digits}"
                    class_of = f"<{SPDX}Checksum>"
                    self.add_node(digits, class_of, part.checksum, self.terms.checksum, link)

    def add_coded(self, prefix: str, predicate: str, value: Coded) -> None:
        """Add the value of a coded field, and how it was translated if a crosswalk did, or its
        percentage.
        """
        self.statements.append(f"{prefix}{predicate}{concept(concept_of(value))}")
        if isinstance(value, Claim):
            self.add_classification(value, prefix[:-1])

    def add_claim(self, name: str, claim: Claim) -> None:
        """Add a claim with the property of its basis, and how it was made unless the source only
        declared it.
        """
        basis, is_declared = claim.basis.value, claim.basis is Basis.DECLARED
        own = name if is_declared else f"{basis}{name[0].upper()}{name[1:]}"
        self.statements.append(f"{self.subject} <{self.terms.ns}{own}> {concept(claim.concept)}")
        is_more = claim.percentage is not None or claim.evidence or claim.evidence_page
        if is_more or not is_declared:
            self.add_classification(claim, self.subject)

    def add_classification(self, claim: Claim, thing: str) -> None:
        """Add the part that says how a claim was made about the record's subject, or about an
        organization.
        """
        name, ns, basis = slug(claim.concept.rpartition("/")[2]), self.terms.ns, claim.basis.value
        own = "" if thing == self.subject else f"{slug(thing.rpartition('/')[2].rstrip('>'))}-"
        node = f"<{self.record}#{basis}-{own}{name}>"
        self.add_node(
            node,
            f"<{ns}Classification>",
            claim,
            self.terms.claim,
            f"{node} <{ns}classified> {thing}",
            f"{node} <{ns}concept> {iri_or_literal(claim.concept)}",
            f"{node} <{ns}basis> <{ns}{basis}>",
        )

    def add_party(self, party: Party) -> None:
        node = f"<{self.organizations}{encode(party.key or slug(party.name.value))}>"
        link = f"{self.subject} {self.terms.roles[party.role]}{node}"
        self.add_node(node, f"<{ORG}Organization>", party, self.terms.party, link)
        if party.kind:
            self.add_coded(f"{node} ", f"<{ORG}classification> ", party.kind)
        self.add_assigned(node, "organization", party.identifiers)

    def add_assigned(self, thing: str, kind: str, texts: Iterable[str]) -> None:
        """Add the identifiers among *texts* that another registry assigned to a *thing* of *kind*.

        Each is an ``adms:Identifier``, a part of the record. ``owl:sameAs`` is stated where the
        scheme has IRIs for the things themselves. An identifier whose form or check digits are
        wrong stays a text, which validation remarks.
        """
        for written in texts:
            identifier = parse_identifier(written, kind)
            if identifier and not identifier.is_valid:
                invalid = f"{thing} <{self.terms.ns}invalidIdentifier> {literal(written)}"
                self.statements.append(invalid)
            elif identifier:
                scheme, value = identifier.scheme, identifier.value
                node = f"<{self.record}#identifier-{scheme}-{encode(value)}>"
                same = [f"{thing} <{OWL}sameAs> <{iri}>" for iri in [identifier.same_as] if iri]
                self.add_node(
                    node,
                    f"<{ADMS}Identifier>",
                    identifier,
                    (),
                    f"{thing} <{ADMS}identifier> {node}",
                    f"{node} <{SKOS}notation> {literal(value)}",
                    f"{node} <{ADMS}schemaAgency> {literal(SCHEMES[scheme].title)}",
                    *same,
                )

    def add_origin(self, resource: Resource) -> None:
        """Add detected languages, a picture, and the records at other installations from which this
        record comes.
        """
        ns, record = self.terms.ns, f"<{self.record}>"
        for detected in resource.detected:
            node = f"<{self.record}#detected-{detected.field}-{slug(detected.language)}>"
            self.add_node(
                node,
                f"<{ns}LanguageDetection>",
                detected,
                self.terms.detection,
                f"{node} <{ns}detectedIn> {self.terms.term(DETECTED[detected.field])}",
                f"{node} <{ns}detectedOf> {self.subject}",
            )
        if picture := resource.picture:
            node = f"<{picture.address}>"
            link = f"{self.subject} <{SCHEMA}image> {node}"
            self.add_node(node, f"<{SCHEMA}ImageObject>", picture, _PICTURE, link)
        self.add(f"{record} ", resource, _ORIGIN)
        self.statements += [
            f"{record} <{PROV}hadPrimarySource> {iri_or_literal(origin)}"
            for origin in resource.lineage[:1]
        ]


_TYPE = f"<{RDF}type> "
_PICTURE: Rows = (("caption", f"<{SCHEMA}caption> ", text),)
_ORIGIN: Rows = (
    ("lineage", f"<{PROV}wasDerivedFrom> ", iri_or_literal),
    ("credit", f"<{SCHEMA}creditText> ", literal),
)


def describe(resource: Resource, iris: Iris, source: str) -> list[str]:
    """Return all statements of *source* on *resource*, sorted, without provenance
    (``vocab.provenance.describe_record``).
    """
    kind = type(resource)
    records, things, organizations, terms = _prefixes(iris, source, KIND[kind])
    segment = encode(resource.key)
    record, subject = records + segment, f"<{things}{segment}>"
    description, prefix = _Description(record, subject, organizations, terms), f"{subject} "
    class_, rows = terms.kinds[kind]
    topic = f"<{record}> <{FOAF}primaryTopic> {subject}"
    description.add_node(subject, class_, resource, rows, topic)
    for member, predicate in terms.coded:
        value = getattr(resource, member, None)
        for each in filter(None, value if type(value) is tuple else (value,)):
            description.add_coded(prefix, predicate, each)
    for member, name in CLAIMS:
        for claim in getattr(resource, member):
            description.add_claim(name, claim)
    for party in resource.parties:
        description.add_party(party)
    description.add_assigned(subject, KIND[kind], (*resource.identifiers, *resource.pages))
    description.add_parts(resource)
    description.add_origin(resource)
    return sorted(set(description.statements))


@lru_cache(maxsize=256)  # Sources in progress at once, by kind.
def _prefixes(iris: Iris, source: str, kind: str) -> tuple[str, str, str, Terms]:
    """Return the IRI prefixes of a source's records, things and organizations, and the table."""
    things, organizations = (iris.thing(name, source, "") for name in (kind, "organization"))
    return iris.record(source, ""), things, organizations, _terms(iris.ns)


_terms = lru_cache(maxsize=8)(Terms)  # A process has one base, tests have a few.


def quads(statements: Iterable[str], graph: str) -> list[str]:
    """Return statements as N-Quads lines in *graph* (an IRI), without line ends.

    >>> quads(["<a:s> <a:p> <a:o>"], "a:g")
    ['<a:s> <a:p> <a:o> <a:g> .']
    """
    tail = f" <{graph}> ."
    return [statement + tail for statement in statements]
