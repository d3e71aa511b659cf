"""Serialize the model as sorted N-Triples statements; no other module does.

A statement is the text ``<s> <p> <o>`` without its closing dot; a description is a sorted list of
distinct statements, and ``quads`` adds the record's graph. There are no blank nodes: each part has
an IRI under its record's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import lt
from typing import Any, NamedTuple

from vocab.identifiers import SCHEMES, parse_identifier
from vocab.initiative import (
    Amount,
    Basis,
    Claim,
    Coded,
    Contact,
    Detection,
    Document,
    Event,
    File,
    Initiative,
    Outcome,
    Party,
    Period,
    Picture,
    Place,
    Post,
    Prize,
    Resource,
    Role,
)
from vocab.iris import Iris, encode, slug
from vocab.statements import properties as p
from vocab.statements.properties import OntologyTerms, ontology_terms
from vocab.terms import (
    ADMS,
    DCAT,
    DCT,
    FOAF,
    ORG,
    SCHEMA,
    SIOC,
    SPDX,
    VCARD,
    VIVO,
    date_literal,
    decimal,
    geo_point,
    hexadecimal,
    integer,
    iri_or_literal,
    literal,
)  # fmt: skip

_CACHE_SIZE = 16384  # concepts, countries and licences of a registry, about 4 MB
_MAX_CACHED_LENGTH = 300  # characters; IRIs of concepts are shorter

# Tails: the main subject's statements without the subject. Part: the statements of another subject,
# in the order of its properties.
Tails = list[str]
Part = list[str]


class StatementContext(NamedTuple):
    """The IRIs that the statements of a description share."""

    record: str
    subject: str
    organizations: str  # prefix of their IRIs
    ns: str
    terms: OntologyTerms


@lru_cache(_CACHE_SIZE)
def _cached_statement(predicate: str, value: str) -> str:
    return predicate + iri_or_literal(value)


def _cached_iri(predicate: str, value: str) -> str:
    """Write a value that occurs often: a concept, a country, a licence."""
    return (
        _cached_statement(predicate, value)
        if len(value) <= _MAX_CACHED_LENGTH
        else predicate + iri_or_literal(value)
    )


_ORGANIZATION, _PLACE = f"{p.TYPE}<{ORG}Organization>", f"{p.TYPE}<{SCHEMA}Place>"

# Each basis has a property of its own, so that queries do not mix them by accident.
# looked up once, since access to an enum member is slow
_DECLARED, _LEAD, _FUNDER = Basis.DECLARED, Role.LEAD, Role.FUNDER
_CLAIM = {
    Basis.DECLARED: "declared",
    Basis.CROSSWALKED: "crosswalked",
    Basis.SUGGESTED: "suggested",
}


def _claims(
    tails: Tails,
    parts: list[Part],
    context: StatementContext,
    predicate: str,
    claims: Iterable[Claim],
) -> None:
    for claim in claims:
        if claim.basis is _DECLARED:
            tails.append(_cached_iri(predicate, claim.concept))
            if claim.percentage is not None or claim.evidence or claim.evidence_page:
                parts.append(_classification(context, "declared", claim))
        else:
            name = _CLAIM[claim.basis]
            start = len(context.ns) + 1  # after the < and the namespace
            tails.append(
                f"{predicate[:start]}{name}{predicate[start].upper()}{predicate[start + 1 :]}{iri_or_literal(claim.concept)}"
            )
            parts.append(_classification(context, name, claim))


def _classification(
    context: StatementContext, basis: str, claim: Claim, organization: str = ""
) -> Part:
    """Return the part that says how a claim was made about the record's subject, or about an
    *organization* (a term).
    """
    name = slug(claim.concept.rpartition("/")[2])
    if organization:
        name = f"{slug(organization.rpartition('/')[2].rstrip('>'))}-{name}"
    prefix, terms = f"<{context.record}#{basis}-{name}> ", context.terms
    part = [
        f"{prefix}{p.TYPE}<{context.ns}Classification>",
        f"{prefix}{terms.classified}{organization or context.subject}",
        f"{prefix}{terms.concept}{iri_or_literal(claim.concept)}",
        f"{prefix}{terms.basis}<{context.ns}{basis}>",
    ]
    if claim.word:
        part.append(f"{prefix}{terms.source_word}{literal(claim.word)}")
    if claim.confidence is not None:
        part.append(f"{prefix}{terms.confidence}{decimal(claim.confidence)}")
    if claim.crosswalk:
        part.append(prefix + _cached_iri(terms.crosswalk, claim.crosswalk))
    if claim.percentage is not None:
        part.append(f"{prefix}{terms.percentage}{decimal(claim.percentage)}")
    if claim.evidence:
        part.append(f"{prefix}{terms.evidence}{literal(*claim.evidence)}")
    if claim.evidence_page:
        part.append(f"{prefix}{p.SOURCE}{iri_or_literal(claim.evidence_page)}")
    if claim.method:
        part.append(f"{prefix}{terms.method}{literal(claim.method)}")
    if claim.method_version:
        part.append(f"{prefix}{terms.method_version}{literal(claim.method_version)}")
    if claim.author:
        part.append(f"{prefix}{p.CREATOR}{literal(claim.author)}")
    if claim.day:
        part.append(f"{prefix}{p.DATE}{date_literal(claim.day)}")
    return part


def _coded(
    tails: Tails, parts: list[Part], context: StatementContext, predicate: str, value: Coded
) -> None:
    """Write the value of a coded field, and how it was translated if a crosswalk did, or its
    percentage.
    """
    if isinstance(value, Claim):
        tails.append(_cached_iri(predicate, value.concept))
        parts.append(_classification(context, _CLAIM[value.basis], value))
    else:
        tails.append(_cached_iri(predicate, value))


def _parties(
    tails: Tails, parts: list[Part], context: StatementContext, parties: Iterable[Party]
) -> None:
    for role, name, key, kind, country, homepage, identifiers in parties:
        prefix = f"<{context.organizations}{encode(key or slug(name.value))}> "
        tails.append(
            (
                p.PUBLISHER
                if role is _LEAD
                else p.FUNDER
                if role is _FUNDER
                else context.terms.partner
            )
            + prefix[:-1]
        )
        part = [prefix + _cached_iri(p.SPATIAL, country)] if country else []
        part += (f"{prefix}{_ORGANIZATION}", f"{prefix}{p.PREFERRED}{literal(*name)}")
        if isinstance(kind, Claim):
            part.append(prefix + _cached_iri(p.CLASSIFICATION, kind.concept))
            parts.append(_classification(context, _CLAIM[kind.basis], kind, prefix[:-1]))
        elif kind:
            part.append(prefix + _cached_iri(p.CLASSIFICATION, kind))
        if homepage:
            part.append(f"{prefix}{p.HOMEPAGE}{iri_or_literal(homepage)}")
        if identifiers:
            part += (
                prefix + tail for tail in _assigned(parts, context, "organization", identifiers)
            )
            part.sort()
        parts.append(part)


def _assigned(
    parts: list[Part], context: StatementContext, kind: str, texts: Iterable[str]
) -> Tails:
    """Return the statements of the identifiers among *texts* that another registry assigned to a
    thing of *kind*.

    Each is an ``adms:Identifier``, a part of the record. ``owl:sameAs`` is stated where the scheme
    has IRIs for the things themselves. An identifier whose form or check digits are wrong stays a
    text, which validation remarks.
    """
    tails: Tails = []
    for text in texts:
        identifier = parse_identifier(text, kind)
        if identifier is None:
            continue
        if not identifier.is_valid:
            tails.append(context.terms.invalid_identifier + literal(text))
            continue
        node = f"<{context.record}#identifier-{identifier.scheme}-{encode(identifier.value)}>"
        tails.append(p.ASSIGNED + node)
        tails += [f"{p.SAME_AS}<{identifier.same_as}>"] if identifier.same_as else []
        parts.append([
            f"{node} {p.TYPE}<{ADMS}Identifier>",
            f"{node} {p.NOTATION}{literal(identifier.value)}",
            f"{node} {p.AGENCY}{literal(SCHEMES[identifier.scheme].title)}",
        ])  # fmt: skip
    return tails


def _places(
    tails: Tails, parts: list[Part], context: StatementContext, places: Iterable[Place]
) -> None:
    for number, place in enumerate(places, 1):
        prefix = f"<{context.record}#place-{number}> "
        geometry = f"<{context.record}#place-{number}-point>"
        latitude, longitude, wkt = geo_point(place.latitude, place.longitude)
        tails.append(p.LOCATION + prefix[:-1])
        parts.append([f"{geometry} {p.WKT}{wkt}"])
        part = [f"{prefix}{p.GEOMETRY}{geometry}", f"{prefix}{_PLACE}"]
        if place.name:
            part.append(f"{prefix}{p.LABEL}{literal(*place.name)}")
        part += (f"{prefix}{p.LATITUDE}{latitude}", f"{prefix}{p.LONGITUDE}{longitude}")
        parts.append(part)


def _picture(tails: Tails, parts: list[Part], picture: Picture) -> None:
    prefix = f"<{picture.address}> "
    tails.append(p.IMAGE + prefix[:-1])
    part = [f"{prefix}{p.TYPE}<{SCHEMA}ImageObject>"]
    parts.append(
        [*part, f"{prefix}{p.CAPTION}{literal(*picture.caption)}"] if picture.caption else part
    )


def _prizes(
    tails: Tails, parts: list[Part], context: StatementContext, prizes: Iterable[Prize]
) -> None:
    for number, prize in enumerate(prizes, 1):
        prefix, terms = f"<{context.record}#prize-{number}> ", context.terms
        tails.append(p.RELATED_BY + prefix[:-1])
        part = [
            f"{prefix}{p.TYPE}<{VIVO}AwardReceipt>",
            prefix + _cached_iri(terms.prize_category, prize.category),
            prefix + _cached_iri(terms.prize_stage, prize.stage),
        ]
        if prize.year is not None:
            part.append(f"{prefix}{terms.prize_year}{date_literal(f'{prize.year:04d}')}")
        part += [f"{prefix}{p.DATE}{date_literal(prize.date)}"] if prize.date else []
        part += [f"{prefix}{p.WHOLE}{iri_or_literal(prize.edition)}"] if prize.edition else []
        part += [f"{prefix}{p.LABEL}{literal(*prize.name)}"] if prize.name else []
        parts.append(sorted(part))


# the venue has a property of ours
_FIELDS = {"title": p.TITLE, "description": p.DESCRIPTION, "content": p.CONTENT}


def _detections(
    parts: list[Part], context: StatementContext, detected: Iterable[Detection]
) -> None:
    for field, language, confidence in detected:
        prefix, terms = f"<{context.record}#detected-{field}-{slug(language)}> ", context.terms
        parts.append([
            f"{prefix}{p.LANGUAGE}{literal(language)}",
            f"{prefix}{p.TYPE}<{context.ns}LanguageDetection>",
            f"{prefix}{terms.confidence}{decimal(confidence)}",
            f"{prefix}{terms.detected_in}{_FIELDS.get(field, terms.venue).rstrip()}",
            f"{prefix}{terms.detected_of}{context.subject}",
        ])  # fmt: skip


def _derivation(parts: list[Part], context: StatementContext, resource: Resource) -> None:
    prefix = f"<{context.record}> "
    part = [f"{prefix}{p.DERIVED}{iri_or_literal(record)}" for record in resource.lineage]
    part += [f"{prefix}{p.PRIMARY}{iri_or_literal(record)}" for record in resource.lineage[:1]]
    part += [f"{prefix}{p.CREDIT}{literal(resource.credit)}"] if resource.credit else []
    parts.append(part)


def _coverage(
    tails: Tails, parts: list[Part], context: StatementContext, resource: Resource
) -> None:
    """Write what a resource is about and what it consists of, which most resources do not state."""
    tails += [_cached_iri(p.THEME, theme) for theme in resource.themes]
    tails += [_cached_iri(p.CONFORMS, standard) for standard in resource.conforms_to]
    tails += [p.WHOLE + iri_or_literal(whole) for whole in resource.part_of]
    if resource.access_rights:
        tails.append(_cached_iri(p.RIGHTS, resource.access_rights))
    if resource.frequency:
        tails.append(_cached_iri(p.FREQUENCY, resource.frequency))
    for number, period in enumerate(resource.periods, 1):
        parts.append(_period(tails, f"<{context.record}#period-{number}> ", period))
    for number, file in enumerate(resource.files, 1):
        parts += _file(tails, f"{context.record}#file-{number}", file)
    for number, contact in enumerate(resource.contacts, 1):
        parts.append(_contact(tails, f"<{context.record}#contact-{number}> ", contact))


def _period(tails: Tails, prefix: str, period: Period) -> Part:
    tails.append(p.TEMPORAL + prefix[:-1])
    part = [f"{prefix}{p.TYPE}<{DCT}PeriodOfTime>"]
    part += [f"{prefix}{p.PERIOD_END}{date_literal(period.end)}"] if period.end else []
    part += [f"{prefix}{p.PERIOD_START}{date_literal(period.start)}"] if period.start else []
    return sorted(part)


def _contact(tails: Tails, prefix: str, contact: Contact) -> Part:
    tails.append(p.CONTACT + prefix[:-1])
    part = [f"{prefix}{p.TYPE}<{VCARD}Organization>"]
    part += [f"{prefix}{p.FULL_NAME}{literal(*text)}" for text in contact.names]
    part += [f"{prefix}{p.EMAIL}<mailto:{contact.email}>"] if contact.email else []
    part += [f"{prefix}{p.WEB}{iri_or_literal(contact.page)}"] if contact.page else []
    return sorted(part)


def _file(tails: Tails, iri: str, file: File) -> list[Part]:
    """Return the statements of a file, and those of its checksum, which SPDX makes a thing of its
    own.
    """
    prefix = f"<{iri}> "
    tails.append(p.DISTRIBUTION + prefix[:-1])
    part = [f"{prefix}{p.TYPE}<{DCAT}Distribution>"]
    part += [f"{prefix}{p.TITLE}{literal(*text)}" for text in file.titles]
    part += [f"{prefix}{p.DESCRIPTION}{literal(*text)}" for text in file.descriptions]
    for predicate, value in (
        (p.ACCESS, file.access),
        (p.DOWNLOAD, file.download),
        (p.FORMAT, file.form),
        (p.LICENCE, file.licence),
    ):
        part += [prefix + _cached_iri(predicate, value)] if value else []
    part += [f"{prefix}{p.BYTES}{integer(file.size)}"] if file.size is not None else []
    if file.checksum is None:
        return [sorted(part)]
    node = f"<{iri}-checksum>"
    return [
        sorted([*part, f"{prefix}{p.CHECKSUM}{node}"]),
        [
            f"{node} {p.ALGORITHM}{iri_or_literal(file.checksum.algorithm)}",
            f"{node} {p.DIGITS}{hexadecimal(file.checksum.value)}",
            f"{node} {p.TYPE}<{SPDX}Checksum>",
        ],
    ]


def _amounts(
    tails: Tails, parts: list[Part], context: StatementContext, amounts: Iterable[Amount]
) -> None:
    for number, amount in enumerate(amounts, 1):
        prefix = f"<{context.record}#amount-{number}> "
        tails.append(context.terms.amount + prefix[:-1])
        part = [
            f"{prefix}{p.TYPE}<{SCHEMA}MonetaryAmount>",
            f"{prefix}{p.MONEY}{decimal(amount.value)}",
        ]
        part += [f"{prefix}{p.CURRENCY}{literal(amount.currency)}"] if amount.currency else []
        part += [f"{prefix}{p.NAME}{literal(*amount.name)}"] if amount.name else []
        part += [f"{prefix}{p.VALID_FROM}{date_literal(amount.start)}"] if amount.start else []
        part += [f"{prefix}{p.VALID_THROUGH}{date_literal(amount.end)}"] if amount.end else []
        parts.append(sorted(part))


def _outcomes(
    tails: Tails, parts: list[Part], context: StatementContext, outcomes: Iterable[Outcome]
) -> None:
    for number, outcome in enumerate(outcomes, 1):
        prefix = f"<{context.record}#outcome-{number}> "
        tails.append(context.terms.project_outcome + prefix[:-1])
        part = [f"{prefix}{p.TYPE}<{context.ns}ProjectOutcome>"]
        part += [f"{prefix}{p.TITLE}{literal(*text)}" for text in outcome.titles]
        part += [f"{prefix}{p.DESCRIPTION}{literal(*text)}" for text in outcome.descriptions]
        part += [prefix + _cached_iri(p.SORT, outcome.kind)] if outcome.kind else []
        parts.append(sorted(part))


def _common(tails: Tails, parts: list[Part], context: StatementContext, resource: Resource) -> None:
    # Loops, since a comprehension is slower for one or two values.
    add = tails.append
    for text, tag in resource.descriptions:
        add(p.DESCRIPTION + literal(text, tag))
    add(p.IDENTIFIER + literal(resource.key))
    for word in resource.identifiers:
        add(p.IDENTIFIER + literal(word))
    if resource.identifiers or resource.pages:
        names = (*resource.identifiers, *resource.pages)
        tails += _assigned(parts, context, KIND[type(resource)], names)
    if resource.issued:
        add(p.ISSUED + date_literal(resource.issued))
    for word in resource.languages:
        add(p.LANGUAGE + literal(word))
    for word in resource.licences:
        add(_cached_iri(p.LICENCE, word))
    if resource.modified:
        add(p.MODIFIED + date_literal(resource.modified))
    if resource.last_reviewed:
        add(p.REVIEWED + date_literal(resource.last_reviewed))
    for word in resource.related:
        if word:
            add(p.RELATION + iri_or_literal(word))
    for country in resource.countries:
        if country:
            _coded(tails, parts, context, p.SPATIAL, country)
    for text, tag in resource.subjects:
        add(p.KEYWORD + literal(text, tag))
    for text, tag in resource.titles:
        add(p.TITLE + literal(text, tag))
    for word in resource.pages:
        if word:
            add(p.PAGE + iri_or_literal(word))
    _claims(tails, parts, context, context.terms.action_line, resource.action_lines)
    _claims(tails, parts, context, context.terms.goal, resource.goals)
    _claims(tails, parts, context, context.terms.target, resource.targets)
    _parties(tails, parts, context, resource.parties)
    _coverage(tails, parts, context, resource)
    if resource.detected:
        _detections(parts, context, resource.detected)
    if resource.picture:
        _picture(tails, parts, resource.picture)
    if resource.lineage or resource.credit:
        _derivation(parts, context, resource)


def _period_and_places(
    tails: Tails, parts: list[Part], context: StatementContext, resource: Initiative | Event
) -> None:
    if resource.start:
        tails.append(p.START + date_literal(resource.start))
    if resource.end:
        tails.append(p.END + date_literal(resource.end))
    _places(tails, parts, context, resource.places)


def _initiative(
    tails: Tails, parts: list[Part], context: StatementContext, resource: Initiative
) -> None:
    tails.append(f"{p.TYPE}<{context.ns}Initiative>")
    _period_and_places(tails, parts, context, resource)
    if resource.coverage:
        _coded(tails, parts, context, context.terms.coverage, resource.coverage)
    if resource.status:
        _coded(tails, parts, context, context.terms.status, resource.status)
    for activity_type in resource.activity_types:
        if activity_type:
            _coded(tails, parts, context, context.terms.activity_type, activity_type)
    if resource.planned_start:
        tails.append(context.terms.planned_start_date + date_literal(resource.planned_start))
    if resource.planned_end:
        tails.append(context.terms.planned_end_date + date_literal(resource.planned_end))
    if resource.stage:
        tails.append(_cached_iri(p.STATE, resource.stage))
    tails += [_cached_iri(context.terms.developed_in, country) for country in resource.developed_in]
    _amounts(tails, parts, context, resource.amounts)
    _outcomes(tails, parts, context, resource.outcomes)
    if resource.prizes:
        _prizes(tails, parts, context, resource.prizes)


def _event(tails: Tails, parts: list[Part], context: StatementContext, resource: Event) -> None:
    tails.append(f"{p.TYPE}<{SCHEMA}Event>")
    _period_and_places(tails, parts, context, resource)
    if resource.venue:
        tails.append(context.terms.venue + literal(*resource.venue))
    if resource.registration:
        tails.append(context.terms.registration + iri_or_literal(resource.registration))
    if resource.cancelled:
        tails.append(f"{p.STATUS}<{SCHEMA}EventCancelled>")


def _document(
    tails: Tails, parts: list[Part], context: StatementContext, resource: Document
) -> None:
    tails.append(f"{p.TYPE}<{FOAF}Document>")
    tails += [p.CREATOR + literal(text, tag) for text, tag in resource.creators]
    if resource.kind:
        tails.append(_cached_iri(p.SORT, resource.kind))


def _post(tails: Tails, parts: list[Part], context: StatementContext, resource: Post) -> None:
    tails.append(f"{p.TYPE}<{SIOC}Post>")
    if resource.content:
        tails.append(p.CONTENT + literal(*resource.content))
    if resource.container:
        tails.append(p.CONTAINER + iri_or_literal(resource.container))


KIND = {Initiative: "initiative", Event: "event", Document: "document", Post: "post"}
_WRITERS: Mapping[type[Resource], Callable[[Tails, list[Part], StatementContext, Any], None]] = {
    Initiative: _initiative, Event: _event, Document: _document, Post: _post,
}  # fmt: skip


def describe(resource: Resource, iris: Iris, source: str) -> list[str]:
    """Return all statements of *source* on *resource*, sorted, without provenance
    (``vocab.statements.provenance.describe_record``).
    """
    records, things, organizations, ns, terms = _prefixes(iris, source, KIND[type(resource)])
    segment = encode(resource.key)
    record, subject = records + segment, f"<{things}{segment}>"
    context = StatementContext(record, subject, organizations, ns, terms)
    tails: Tails = []
    parts: list[Part] = [[f"<{record}> {p.TOPIC}{subject}"]]
    _common(tails, parts, context, resource)
    _WRITERS[type(resource)](tails, parts, context, resource)
    prefix = subject + " "
    parts.append([prefix + tail for tail in sorted(tails)])
    return _sort_unique([statement for part in sorted(parts) for statement in part])


@lru_cache(maxsize=256)  # sources in progress at once, by kind
def _prefixes(iris: Iris, source: str, kind: str) -> tuple[str, str, str, str, OntologyTerms]:
    """Return the IRI prefixes of a source's records, things and organizations, and our namespace
    with its properties.
    """
    return (
        iris.record(source, ""),
        iris.thing(kind, source, ""),
        iris.thing("organization", source, ""),
        iris.ns,
        ontology_terms(iris.ns),
    )


def _sort_unique(statements: list[str]) -> list[str]:
    """Return the statements sorted and unique. They mostly are already, and checking is faster than
    sorting.
    """
    return statements if all(map(lt, statements, statements[1:])) else sorted(set(statements))


def quads(statements: Iterable[str], graph: str) -> list[str]:
    """Return statements as N-Quads lines in *graph* (an IRI), without line ends.

    >>> quads(["<a:s> <a:p> <a:o>"], "a:g")
    ['<a:s> <a:p> <a:o> <a:g> .']
    """
    tail = f" <{graph}> ."
    return [statement + tail for statement in statements]
