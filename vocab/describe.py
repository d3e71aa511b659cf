"""Description: the only writer of triples, from the model to sorted N-Triples statements.

A statement is the text ``<s> <p> <o>`` without its closing dot; a description is a sorted list of them without
doubles, and ``quads`` puts it into its record's graph. There are no blank nodes: a part gets an IRI under its record's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from operator import lt
from typing import Any, NamedTuple

from vocab import properties as p
from vocab.initiative import Basis, Claim, Detection, Document, Event, Initiative, Party, Place, Post, Prize, Resource, Role
from vocab.iris import Iris, encode, slug
from vocab.properties import Ours, ours
from vocab.terms import FOAF, ORG, SCHEMA, SIOC, VIVO, decimal, literal, moment, node, point

_MEMO = 16384  # coded values: a registry's concepts, countries and licences, some 4 MB
_LONGEST = 300  # characters of a value that is remembered: concepts' addresses are shorter

# Statements grow by subject: the subject's own as what follows it, each other subject's as a part, in the order of its properties.
Tails = list[str]
Part = list[str]


class _At(NamedTuple):
    """Where a description is: the addresses that its statements share."""

    record: str
    subject: str
    organizations: str  # what their addresses begin with
    ns: str
    ours: Ours


@lru_cache(_MEMO)
def _remembered(predicate: str, value: str) -> str:
    return predicate + node(value)


def _coded(predicate: str, value: str) -> str:
    """Write a value that comes often: a concept, a country, a licence."""
    return _remembered(predicate, value) if len(value) <= _LONGEST else predicate + node(value)


_ORGANIZATION, _PLACE = f"{p.TYPE}<{ORG}Organization>", f"{p.TYPE}<{SCHEMA}Place>"

# The three bases have a property each, so that no query mixes them unless it asks to.
_DECLARED, _LEAD, _FUNDER = Basis.DECLARED, Role.LEAD, Role.FUNDER  # looked up once: an enum's member costs as much as to write a statement
_CLAIM = {Basis.CROSSWALKED: "crosswalked", Basis.SUGGESTED: "suggested"}


def _claims(tails: Tails, parts: list[Part], at: _At, predicate: str, claims: Iterable[Claim]) -> None:
    for claim in claims:
        if claim.basis is _DECLARED:
            tails.append(_coded(predicate, claim.concept))
        else:
            name = _CLAIM[claim.basis]
            first = len(at.ns) + 1  # behind the < and the namespace
            tails.append(f"{predicate[:first]}{name}{predicate[first].upper()}{predicate[first + 1 :]}{node(claim.concept)}")
            parts.append(_classification(at, name, claim))


def _classification(at: _At, basis: str, claim: Claim) -> Part:
    its, our = f"<{at.record}#{basis}-{slug(claim.concept.rpartition('/')[2])}> ", at.ours
    part = [
        f"{its}{p.TYPE}<{at.ns}Classification>",
        f"{its}{our.classified}{at.subject}",
        f"{its}{our.concept}{node(claim.concept)}",
        f"{its}{our.basis}<{at.ns}{basis}>",
    ]
    if claim.word:
        part.append(f"{its}{our.source_word}{literal(claim.word)}")
    if claim.confidence is not None:
        part.append(f"{its}{our.confidence}{decimal(claim.confidence)}")
    return part


def _parties(tails: Tails, parts: list[Part], at: _At, parties: Iterable[Party]) -> None:
    for role, name, key, kind, country, page in parties:
        its = f"<{at.organizations}{encode(key or slug(name.value))}> "
        tails.append((p.PUBLISHER if role is _LEAD else p.FUNDER if role is _FUNDER else at.ours.partner) + its[:-1])
        part = [its + _coded(p.SPATIAL, country)] if country else []
        part += (f"{its}{_ORGANIZATION}", f"{its}{p.PREFERRED}{literal(*name)}")
        if kind:
            part.append(its + _coded(p.CLASSIFICATION, kind))
        if page:
            part.append(f"{its}{p.HOMEPAGE}{node(page)}")
        parts.append(part)


def _places(tails: Tails, parts: list[Part], at: _At, places: Iterable[Place]) -> None:
    for number, place in enumerate(places, 1):
        its, spot = f"<{at.record}#place-{number}> ", f"<{at.record}#place-{number}-point>"
        latitude, longitude, wkt = point(place.latitude, place.longitude)
        tails.append(p.LOCATION + its[:-1])
        parts.append([f"{spot} {p.WKT}{wkt}"])
        part = [f"{its}{p.GEOMETRY}{spot}", f"{its}{_PLACE}"]
        if place.name:
            part.append(f"{its}{p.LABEL}{literal(*place.name)}")
        part += (f"{its}{p.LATITUDE}{latitude}", f"{its}{p.LONGITUDE}{longitude}")
        parts.append(part)


def _prizes(tails: Tails, parts: list[Part], at: _At, prizes: Iterable[Prize]) -> None:
    for number, prize in enumerate(prizes, 1):
        its, our = f"<{at.record}#prize-{number}> ", at.ours
        tails.append(p.RELATED_BY + its[:-1])
        part = [
            f"{its}{p.TYPE}<{VIVO}AwardReceipt>",
            its + _coded(our.prize_category, prize.category),
            its + _coded(our.prize_stage, prize.stage),
        ]
        if prize.year is not None:
            part.append(f"{its}{our.prize_year}{moment(f'{prize.year:04d}')}")
        parts.append(part)


_FIELDS = {"title": p.TITLE, "description": p.DESCRIPTION, "content": p.CONTENT}  # the venue's property is our own


def _detections(parts: list[Part], at: _At, detected: Iterable[Detection]) -> None:
    for field, language, confidence in detected:
        its, our = f"<{at.record}#detected-{field}-{slug(language)}> ", at.ours
        parts.append([
            f"{its}{p.LANGUAGE}{literal(language)}",
            f"{its}{p.TYPE}<{at.ns}LanguageDetection>",
            f"{its}{our.confidence}{decimal(confidence)}",
            f"{its}{our.detected_in}{_FIELDS.get(field, our.venue).rstrip()}",
            f"{its}{our.detected_of}{at.subject}",
        ])  # fmt: skip


def _lineage(parts: list[Part], at: _At, it: Resource) -> None:
    its = f"<{at.record}> "
    part = [f"{its}{p.DERIVED}{node(record)}" for record in it.lineage]
    part += [f"{its}{p.PRIMARY}{node(record)}" for record in it.lineage[:1]]
    part += [f"{its}{p.CREDIT}{literal(it.credit)}"] if it.credit else []
    parts.append(part)


def _common(tails: Tails, parts: list[Part], at: _At, it: Resource) -> None:
    # Loops, since a comprehension of one or two values costs more than to append them.
    add = tails.append
    for text, tag in it.descriptions:
        add(p.DESCRIPTION + literal(text, tag))
    add(p.IDENTIFIER + literal(it.key))
    for word in it.identifiers:
        add(p.IDENTIFIER + literal(word))
    if it.issued:
        add(p.ISSUED + moment(it.issued))
    for word in it.languages:
        add(p.LANGUAGE + literal(word))
    if it.licence:
        add(_coded(p.LICENCE, it.licence))
    if it.modified:
        add(p.MODIFIED + moment(it.modified))
    for word in it.related:
        if word:
            add(p.RELATION + node(word))
    for word in it.countries:
        if word:
            add(_coded(p.SPATIAL, word))
    for text, tag in it.subjects:
        add(p.SUBJECT + literal(text, tag))
    for text, tag in it.titles:
        add(p.TITLE + literal(text, tag))
    for word in it.pages:
        if word:
            add(p.PAGE + node(word))
    _claims(tails, parts, at, at.ours.action_line, it.action_lines)
    _claims(tails, parts, at, at.ours.goal, it.goals)
    _claims(tails, parts, at, at.ours.target, it.targets)
    _parties(tails, parts, at, it.parties)
    if it.detected:
        _detections(parts, at, it.detected)
    if it.lineage or it.credit:
        _lineage(parts, at, it)


def _span(tails: Tails, parts: list[Part], at: _At, it: Initiative | Event) -> None:
    if it.start:
        tails.append(p.START + moment(it.start))
    if it.end:
        tails.append(p.END + moment(it.end))
    _places(tails, parts, at, it.places)


def _initiative(tails: Tails, parts: list[Part], at: _At, it: Initiative) -> None:
    tails.append(f"{p.TYPE}<{at.ns}Initiative>")
    _span(tails, parts, at, it)
    if it.coverage:
        tails.append(_coded(at.ours.coverage, it.coverage))
    if it.status:
        tails.append(_coded(at.ours.status, it.status))
    for text in it.activity_types:
        if text:
            tails.append(_coded(at.ours.activity_type, text))
    if it.prizes:
        _prizes(tails, parts, at, it.prizes)


def _event(tails: Tails, parts: list[Part], at: _At, it: Event) -> None:
    tails.append(f"{p.TYPE}<{SCHEMA}Event>")
    _span(tails, parts, at, it)
    if it.venue:
        tails.append(at.ours.venue + literal(*it.venue))
    if it.cancelled:
        tails.append(f"{p.STATUS}<{SCHEMA}EventCancelled>")


def _document(tails: Tails, parts: list[Part], at: _At, it: Document) -> None:
    tails.append(f"{p.TYPE}<{FOAF}Document>")
    tails += [p.CREATOR + literal(text, tag) for text, tag in it.creators]
    if it.kind:
        tails.append(_coded(p.SORT, it.kind))


def _post(tails: Tails, parts: list[Part], at: _At, it: Post) -> None:
    tails.append(f"{p.TYPE}<{SIOC}Post>")
    if it.content:
        tails.append(p.CONTENT + literal(*it.content))
    if it.container:
        tails.append(p.CONTAINER + node(it.container))


KIND = {Initiative: "initiative", Event: "event", Document: "document", Post: "post"}
_OWN: Mapping[type[Resource], Callable[[Tails, list[Part], _At, Any], None]] = {
    Initiative: _initiative, Event: _event, Document: _document, Post: _post,
}  # fmt: skip


def describe(it: Resource, iris: Iris, source: str) -> list[str]:
    """Write all that *source* says of *it*, as sorted statements; the record's own provenance is apart (``vocab.chronicle.attest``)."""
    records, things, organizations, ns, our = _roots(iris, source, KIND[type(it)])
    segment = encode(it.key)
    record, subject = records + segment, f"<{things}{segment}>"
    at = _At(record, subject, organizations, ns, our)
    tails: Tails = []
    parts: list[Part] = [[f"<{record}> {p.TOPIC}{subject}"]]
    _common(tails, parts, at, it)
    _OWN[type(it)](tails, parts, at, it)
    its = subject + " "
    parts.append([its + tail for tail in sorted(tails)])
    return _ordered([statement for part in sorted(parts) for statement in part])


@lru_cache(maxsize=256)  # sources under way at once, by kind
def _roots(iris: Iris, source: str, kind: str) -> tuple[str, str, str, str, Ours]:
    """Give what the addresses of a source's records, things and organizations begin with, and our namespace with its properties."""
    return iris.record(source, ""), iris.thing(kind, source, ""), iris.thing("organization", source, ""), iris.ns, ours(iris.ns)


def _ordered(statements: list[str]) -> list[str]:
    """Sort statements that mostly are in order, and give each once: to see that nothing is to be done is quicker than to do it."""
    return statements if all(map(lt, statements, statements[1:])) else sorted(set(statements))


def quads(statements: Iterable[str], graph: str) -> list[str]:
    """Put statements into *graph* (an IRI), as N-Quads lines without line ends.

    >>> quads(["<a:s> <a:p> <a:o>"], "a:g")
    ['<a:s> <a:p> <a:o> <a:g> .']
    """
    tail = f" <{graph}> ."
    return [statement + tail for statement in statements]
