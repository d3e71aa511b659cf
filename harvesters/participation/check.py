"""Validate a submission by the rules of all records, find records that it may repeat, quarantine
what looks like spam, and suggest goals and action lines from its texts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
import structlog
from cachetools import TTLCache, cachedmethod
from pyoxigraph import RdfFormat, parse
from rapidfuzz import fuzz

from harvesters.errors import HarvestError
from harvesters.ledger import submissions
from harvesters.ledger import tables as t
from harvesters.ledger.database import Database
from harvesters.ledger.models import RecordState, decompress
from harvesters.ledger.participation import Content, SubmissionState, Submitter
from harvesters.ledger.prizes import published_statements
from harvesters.ledger.submissions import has_picture, picture_of
from harvesters.mappings.mapping import MAPPINGS, detect_languages
from harvesters.mappings.topics import add_suggestions
from harvesters.matching.entities import Entity, name_words, parse_entities
from harvesters.matching.scoring import QUEUED, Score, WordWeights, score
from harvesters.page_model import Record
from harvesters.participation.model import MEMBERS, title_of
from harvesters.participation.uploads import property_iri
from harvesters.payloads.crosswalk_lookup import CrosswalkLookup
from harvesters.pipeline.record_processor import (
    MAPPING_ERRORS,
    content_fingerprint,
    load_crosswalks,
    page_fingerprint,
)
from harvesters.source import MENTIONS, MODEL, Source
from languages.translations import current_locale, gettext
from shapes.rules import Severity, message
from shapes.validate import Result, validate_many
from vocab.describe import KIND, describe
from vocab.initiative import Basis, Claim, Resource
from vocab.iris import Iris
from vocab.terms import DCT


@dataclass(frozen=True, slots=True)
class MemberFinding:
    """A fault of a *member*, with its *message* in the language of the request; a violation
    prevents publication.
    """

    member: str
    severity: str
    message: str
    rule: str | None = None


def violation(member: str, text: str) -> MemberFinding:
    return MemberFinding(member, Severity.VIOLATION.value, text)


@dataclass(frozen=True, slots=True)
class Check:
    findings: tuple[MemberFinding, ...]
    duplicates: tuple[Duplicate, ...]

    @property
    def is_valid(self) -> bool:
        return all(finding.severity != Severity.VIOLATION.value for finding in self.findings)

    @property
    def violations(self) -> str:
        """Return the messages that prevent publication, each with its member."""
        return "; ".join(
            f"{finding.member}: {finding.message}"
            for finding in self.findings
            if finding.severity == Severity.VIOLATION.value
        )


def check(
    ledger: Database,
    content: Content,
    key: str,
    source: Source,
    base: str,
    duplicates: DuplicateFinder,
    *,
    unpublished: bool = False,
) -> Check:
    """Return the faults of a submission by member, and the records that it may repeat.

    With *unpublished*, waiting submissions are among these, which only moderators may see.
    """
    return check_many(ledger, {key: content}, source, base, duplicates, unpublished=unpublished)[
        key
    ]


def check_many(
    ledger: Database,
    contents: Mapping[str, Content],
    source: Source,
    base: str,
    duplicates: DuplicateFinder,
    *,
    unpublished: bool = False,
) -> dict[str, Check]:
    """Return the check of each submission, by its key."""
    crosswalks = load_crosswalks(base)
    mapper = MAPPINGS[source.mapping].prepare(source, crosswalks)
    lexicon = CrosswalkLookup(crosswalks)
    iris, checks = Iris(base), dict[str, Check]()
    described: dict[str, tuple[list[str], str]] = {}
    for key, content in contents.items():
        try:
            resource = detect_languages(mapper(Record(key, content, b"")))
            thing = iris.thing(KIND[type(resource)], source.name, key)
            described[key] = describe(resource, iris, source.name), thing
        except MAPPING_ERRORS as error:
            text = f"the mapping failed ({type(error).__name__}: {error}): this is a bug, please report it"
            checks[key] = Check((violation("type", text),), ())
    validated = validate_many([statements for statements, _ in described.values()], base=base)
    for (key, (statements, thing)), results in zip(described.items(), validated, strict=True):
        content, record = contents[key], iris.record(source.name, key)
        of_rules = (_finding(result, base) for result in results)
        findings = (*_unknown_words(content, lexicon), *_of_picture(ledger, content), *of_rules)
        own = (record, thing, statements, title_of(content))
        checks[key] = Check(
            tuple(dict.fromkeys(findings)),
            duplicates.find(ledger, *own, base, unpublished=unpublished),
        )
    return checks


def _finding(result: Result, base: str) -> MemberFinding:
    text = message(result.shape, current_locale().language, base) or result.message
    return MemberFinding(
        _member(result, base), result.severity.value, text, result.shape.rpartition("#")[2] or None
    )


def _member(result: Result, base: str) -> str:
    by_iri = {property_iri(name, base): name for name in MEMBERS}
    if result.path in by_iri:
        return by_iri[result.path]
    # The name of a rule about several properties contains the member that it is about.
    rule = result.shape.rpartition("#")[2].lower()
    named = (name for name in sorted(MEMBERS, key=len, reverse=True) if name.lower() in rule)
    return next(named, "record")


def _unknown_words(content: Content, lexicon: CrosswalkLookup) -> Iterator[MemberFinding]:
    fields = {"actionLine": "action_lines", "goal": "goals", "target": "targets"}
    for name, member in fields.items():
        unknown = (w for w in content.get(name, ()) if w and not lexicon.declared[member](w))
        for word in dict.fromkeys(unknown):
            text = gettext("“%(word)s” is not known here; it would become a topic.") % {
                "word": word
            }
            yield MemberFinding(name, Severity.WARNING.value, text)


def _of_picture(ledger: Database, content: Content) -> Iterator[MemberFinding]:
    name = picture_of(content)
    if name is None:
        return
    if not has_picture(ledger, name):
        text = gettext(
            "There is no such picture: it was never sent, or nothing named it for a day. Send it again."
        )
        yield violation("picture", text)
    if not content["picture"].get("caption"):
        text = gettext("Say what the picture shows, for those who cannot see it.")
        yield violation("picture", text)


def differences(before: Content, after: Content) -> dict[str, dict[str, object]]:
    """Return the members that differ, each with its value in both.

    >>> differences({"goal": ["4"], "type": "Event"}, {"goal": ["5"], "type": "Event"})
    {'goal': {'before': ['4'], 'after': ['5']}}
    """
    names = sorted({*before, *after})
    return {
        name: {"before": before.get(name), "after": after.get(name)}
        for name in names
        if before.get(name) != after.get(name)
    }


THRESHOLD = 4  # points from which a submission is quarantined
FREE_LINKS = 2  # links without points in all texts together: web pages have their own field
# Few people read a dozen questions in so short a time, from the first page of the form to the last.
QUICK_SECONDS = 30
# Only many links reach the threshold alone: one other sign must not hold back what a person sends.
_LINK_POINTS, _TITLE_POINTS, _SCRIPT_POINTS, _SPEED_POINTS = 4, 2, 2, 2
_LETTERS = 40  # letters that show the script of a text
_LINK = re.compile(r"https?://|\bwww\.", re.IGNORECASE)
# The scripts of the languages of the form that are not written in Latin letters.
_SCRIPTS = {"ar": "ARABIC", "ru": "CYRILLIC", "zh": "CJK"}
_TEXTS = ("title", "description", "content", "venue")


def suspicions(content: Content, seconds: float | None) -> dict[str, int]:
    """Return the signs of spam in a submission, each with its points; *seconds* is the age of its
    draft, None without a draft.

    >>> title, text = {"en": "Buy at www.pills.example"}, {"ru": "Cheap pills for all who want to sleep, today and now."}
    >>> suspicions({"title": title, "description": text}, 9)
    {'link in the title': 2, 'script': 2, 'speed': 2}
    """
    texts = list(_texts(content))
    links = sum(len(_LINK.findall(text)) for _, text in texts)
    points = {
        "links": min(_LINK_POINTS, max(0, links - FREE_LINKS)),
        "link in the title": _TITLE_POINTS
        if any(_LINK.search(text) for text in content.get("title", {}).values())
        else 0,
        "script": _SCRIPT_POINTS
        if any(_is_foreign(language, text) for language, text in texts)
        else 0,
        "speed": _SPEED_POINTS if seconds is not None and seconds < QUICK_SECONDS else 0,
    }
    return {name: number for name, number in points.items() if number}


def triage(submitter: Submitter, content: Content, seconds: float | None = None) -> SubmissionState:
    """Return the state in which a submission waits. Only persons are scored: organizations have a
    key.
    """
    points = suspicions(content, seconds) if submitter.mail else {}
    is_suspicious = sum(points.values()) >= THRESHOLD
    return SubmissionState.QUARANTINED if is_suspicious else SubmissionState.SUBMITTED


def _texts(content: Content) -> Iterator[tuple[str, str]]:
    """Yield each text with its language."""
    reasons: Mapping[str, Any] = content.get("why") or {}
    for texts in (*(content.get(name) or {} for name in _TEXTS), *reasons.values()):
        yield from texts.items()


def _is_foreign(language: str, text: str) -> bool:
    """Return whether most letters of a text are not in the script of its language."""
    letters = [char for char in text[:2_000] if char.isalpha()]
    if len(letters) < _LETTERS or language not in ("en", "fr", "es", *_SCRIPTS):
        return False
    own = sum(
        unicodedata.name(char, "").startswith(_SCRIPTS.get(language, "LATIN")) for char in letters
    )
    return own < len(letters) / 2


log = structlog.get_logger(component="submissions")
# By member, the codes that the form offers, each with the words that suggest it.
Suggestions = Mapping[str, Mapping[str, str]]


def suggest_topics(content: Content, source: Source, base: str) -> Suggestions:
    """Return the goals, targets and action lines that the texts of a draft suggest and it does not
    name yet; a target suggests its goal too.

    The form offers them and ticks none, since what is ticked is declared by the person. A topic
    that a text names by its number is always suggested. The model classifies texts only if
    the definition of *source* says ``suggest = "model"``.
    """
    mapper, iris = MAPPINGS[source.mapping].prepare(source, load_crosswalks(base)), Iris(base)
    try:
        resource = detect_languages(mapper(Record("draft", content, b"")))
    except MAPPING_ERRORS:  # the summary reports what is wrong
        return {}
    try:
        result = add_suggestions(
            resource, iris, source if source.suggest == MODEL else replace(source, suggest=MENTIONS)
        )
    except HarvestError as error:  # the model is missing or damaged
        log.warning("model for suggestions not used", reason=str(error))
        result = add_suggestions(resource, iris, replace(source, suggest=MENTIONS))
    return _by_member(result)


def _by_member(resource: Resource) -> Suggestions:
    def suggested(claims: Sequence[Claim]) -> dict[str, str]:
        return {
            claim.concept.rpartition("/")[2]: claim.word or ""
            for claim in reversed(claims)
            if claim.basis is Basis.SUGGESTED
        }

    targets = suggested(resource.targets)
    of_targets = {code.partition(".")[0]: word for code, word in reversed(targets.items())}
    goals = of_targets | suggested(resource.goals)
    for claim in resource.goals:
        if claim.basis is not Basis.SUGGESTED:
            goals.pop(claim.concept.rpartition("/")[2], None)
    return {"goal": goals, "target": targets, "actionLine": suggested(resource.action_lines)}


_SHOWN = 5  # likely duplicates
_SAMPLE = 2_000  # published records whose titles show how rare a word is
_WEIGHTS_AGE = 600  # seconds
# The similarity of two titles, of 100, from which events, documents and posts may be the same.
_SAME_TITLE = 90.0
# The features that the matcher compares, in words for readers: texts of the catalogues.
REASONS = {
    "content": "the same text", "page": "the same web page", "title": "a similar title", "name": "a similar title",
    "identifier": "the same identifier", "country": "the same country", "start": "the same start", "parties": "the same organizations",
    "origin": "the same origin",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A record that may be the same: its *address*, its *title*, and why: the same ``page``,
    ``content`` or ``title``.

    *features* names the evidence, in the terms of the matcher, and *bits* is the matcher's score; 0
    where it has none.
    """

    address: str
    title: str
    why: str
    features: tuple[str, ...] = ()
    bits: float = 0.0

    @property
    def reasons(self) -> list[str]:
        """Return the evidence as English texts of the catalogues."""
        return list(
            dict.fromkeys(REASONS[name] for name in (self.why, *self.features) if name in REASONS)
        )


Similar = Callable[[str], Sequence[Duplicate]]  # finds published records by a title


class DuplicateFinder:
    """Find records that a submission may repeat; *similar* finds published records by a title.

    How rare words are is cached for ten minutes.
    """

    def __init__(self, similar: Similar = lambda title: ()) -> None:
        self._similar = similar
        self._weights: TTLCache[str, WordWeights] = TTLCache(1, _WEIGHTS_AGE)

    def find(
        self,
        ledger: Database,
        record: str,
        thing: str,
        statements: Sequence[str],
        title: str,
        base: str,
        *,
        unpublished: bool = False,
    ) -> tuple[Duplicate, ...]:
        """Return at most five records that a submission may repeat, the likeliest first; *record*
        is the IRI of its record, *thing* that of what it describes.

        With *unpublished*, waiting submissions are among these, which only moderators may see.
        """
        titled = _same_titles(ledger, record, title, base, unpublished=unpublished)
        same = _same_records(ledger, record, thing, statements, base)
        candidates = _unique([*same, *titled, *self._similar(title)], record)
        if not candidates:
            return ()
        entity, weights = _entities(record, statements, base).get(thing), self._word_weights(ledger)
        likely = [
            compared
            for candidate in candidates
            if (compared := _compare(ledger, title, entity, candidate, base, weights))
        ]
        likely.sort(key=lambda item: (item.why == "title", -item.bits, item.address))
        return tuple(likely[:_SHOWN])

    @cachedmethod(lambda self: self._weights, key=lambda *_: "")
    def _word_weights(self, ledger: Database) -> WordWeights:
        """Return how rare words are in the titles of published records, by a sample of them."""
        r, d = t.record.c, t.description.c
        # A fingerprint is a hash, so the first ones are a sample of all registries.
        query = (
            sa.select(d.statements)
            .join(t.record, sa.and_(d.run == r.run, d.seq == r.seq))
            .where(r.state == RecordState.PUBLISHED.value)
            .order_by(r.fingerprint)
            .limit(_SAMPLE)
        )
        return WordWeights.from_entities(
            Entity("", "initiative", "", names={record_title(decompress(text).split("\n")): None})
            for text in ledger.scalars(query)
        )


def _compare(
    ledger: Database,
    title: str,
    entity: Entity | None,
    candidate: Duplicate,
    base: str,
    weights: WordWeights,
) -> Duplicate | None:
    """Return a candidate with its score; None if only its title is similar and its score is low."""
    certain = candidate.why != "title" or candidate.title.casefold() == title.casefold()
    other = _published(ledger, candidate.address, base) if entity else None
    if entity is None or other is None:
        return candidate if certain or _likeness(title, candidate.title) >= _SAME_TITLE else None
    entity.source = ""  # a registry keeps its entities apart, but submissions may repeat each other
    scored: Score = score(entity, other, weights)
    if scored.bits < QUEUED and not certain:
        return None
    return replace(
        candidate,
        features=tuple(item.name for item in scored.features if item.bits > 0),
        bits=scored.bits,
    )


def _likeness(one: str, other: str) -> float:
    """Return the similarity of two titles, of 100, whatever the order of their words."""
    return fuzz.token_sort_ratio(" ".join(name_words(one)), " ".join(name_words(other)))


def _published(ledger: Database, address: str, base: str) -> Entity | None:
    """Return the initiative of a published record, by the record's IRI or the initiative's; None if
    the ledger has none.
    """
    source, key = _source_and_key(address)
    statements = published_statements(ledger, source, key)
    if statements is None:
        return None
    iris = Iris(base)
    return _entities(iris.record(source, key), statements, base).get(
        iris.thing("initiative", source, key)
    )


def _entities(record: str, statements: Iterable[str], base: str) -> Mapping[str, Entity]:
    return {item.iri: item for item in parse_entities(record, statements, Iris(base))}


def _same_records(
    ledger: Database, record: str, thing: str, statements: Sequence[str], base: str
) -> Iterator[Duplicate]:
    """Yield the records of the ledger with the same description or the same first web page."""
    r, d = t.record, t.description
    source, key = _source_and_key(record)
    fingerprint = content_fingerprint(sorted(statements), thing, record, source, key)
    page = page_fingerprint("\n".join(statements))
    same = [r.c.fingerprint == fingerprint, *([r.c.page == page] if page is not None else [])]
    query = (
        sa.select(r.c.source, r.c.key, r.c.fingerprint, d.c.statements)
        .join(d, sa.and_(d.c.run == r.c.run, d.c.seq == r.c.seq))
        .where(
            sa.or_(*same),
            r.c.state == RecordState.PUBLISHED.value,
            sa.or_(r.c.source != source, r.c.key != key),
        )
        .order_by(r.c.source, r.c.key)
        .limit(_SHOWN)
    )
    for row in ledger.rows(query):
        yield Duplicate(
            Iris(base).record(row.source, row.key),
            record_title(decompress(row.statements).split("\n")),
            "content" if row.fingerprint == fingerprint else "page",
        )


def record_title(statements: Iterable[str]) -> str:
    """Return the first title in the statements of a record, "" without one."""
    lines = "".join(f"{line} .\n" for line in statements if f"> <{DCT}title> " in line)
    return next((quad.object.value for quad in parse(lines.encode(), RdfFormat.N_TRIPLES)), "")


def _same_titles(
    ledger: Database, record: str, title: str, base: str, *, unpublished: bool
) -> Iterator[Duplicate]:
    source, key = _source_and_key(record)
    for other in (
        submissions.with_title(ledger, title, _SHOWN, unpublished=unpublished) if title else ()
    ):
        if other.id != key:
            yield Duplicate(Iris(base).record(source, other.id), other.title, "title")


def _unique(duplicates: Sequence[Duplicate], own: str) -> list[Duplicate]:
    """Return each record once, even if it is named by two IRIs, its own and its initiative's; leave
    out the submission *own*.
    """
    by_key = {_key(duplicate.address): duplicate for duplicate in reversed(duplicates)}
    return [duplicate for key, duplicate in by_key.items() if key != _key(own)]


def _source_and_key(address: str) -> list[str]:
    return [unquote(part) for part in _key(address).split("/")]


def _key(address: str) -> str:
    """Return the source and key at the end of an IRI."""
    return "/".join(address.rsplit("/", 2)[-2:])
