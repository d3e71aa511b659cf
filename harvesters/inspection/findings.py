"""Convert the results of a run to findings: by rule, with record, line, field and remedy; and find the
fields of a feed that a mapping reads.
"""

from __future__ import annotations

import bisect
import codecs
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from difflib import get_close_matches
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from pyoxigraph import RdfFormat, parse

from harvesters.archive import Replay
from harvesters.errors import (
    CharsetError,
    ForbiddenError,
    HarvestError,
    ParseError,
    RefusedError,
    TemporaryFetchError,
    TooLargeError,
    WebPageError,
)
from harvesters.ledger.models import UPSERTED, Outcome, Run, StagedRecord
from harvesters.page_model import Page, Record
from harvesters.payloads.paths import fields_of, noting
from harvesters.pipeline.processes import BoundedCallError, ProcessLimits, call_bounded
from harvesters.pipeline.record_processor import MAPPING_ERRORS, ProcessingTask, create_processor
from harvesters.runs.collect import archived_pages
from harvesters.source import Source
from shapes.rules import Rule, Severity, rules
from shapes.validate import EngineName
from vocab.describe import describe
from vocab.initiative import Claim
from vocab.iris import Iris
from vocab.terms import SH

_POSITION = re.compile(r"\bline (\d+)(?:[,:]? column (\d+))?")
_MIN_UNIQUE = 4  # A shorter key must occur once for its place to be known.


class Level(StrEnum):
    """The level of a finding: with an error, a record or the whole feed would not be published."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault: its rule, a message and a remedy; the key of its *record* (``#3`` is the third one,
    which has no key), *line* and *column* from 1, and the publisher's own name of the *field*. ""
    and None where they are not known.
    """

    rule: str
    level: Level
    message: str
    remedy: str
    record: str = ""
    line: int | None = None
    column: int | None = None
    field: str = ""


@dataclass(frozen=True, slots=True)
class RuleCount:
    """A rule with the number of records that break it."""

    rule: str
    level: Level
    message: str
    remedy: str
    records: int
    field: str = ""


@dataclass(frozen=True, slots=True)
class FieldUse:
    """A field of the feed, by its publisher's own name: *records* of the sample have it, and
    *properties* (IRIs) come from it, none if it is dropped.
    """

    name: str
    records: int
    is_read: bool
    properties: tuple[str, ...] = ()
    example: str = ""


@dataclass(frozen=True, slots=True)
class PlannedChanges:
    """The changes of the published records of *source* that a harvest of the feed would make.

    *counts* has the number of records by outcome, *identities* pairs of an old and a new key, and
    *missing* some keys that the feed lacks. *hold_reasons*: why the change would wait for a person;
    empty if it would be published. *note* says why missing records cannot be known, "" if they are.
    """

    source: str
    published_before: int
    published_after: int
    counts: Mapping[str, int]
    identities: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    hold_reasons: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class PreflightReport:
    """The result of a preflight. *counts* has the records of the feed by result: publishable,
    withheld, unreadable, duplicate, deleted.

    *rules* counts all findings, the most serious first; *findings* lists the first ones. *plan* is
    None if no source was named, or if there is no ledger with it (*plan_note* says why).
    """

    feed: str
    protocol: str
    mapping: str
    counts: Mapping[str, int] = field(default_factory=dict)
    fields: tuple[FieldUse, ...] = ()
    rules: tuple[RuleCount, ...] = ()
    findings: tuple[Finding, ...] = ()
    plan: PlannedChanges | None = None
    plan_note: str = ""

    @property
    def records(self) -> int:
        """Return the number of records that were found."""
        return sum(self.counts.values())

    @property
    def level(self) -> Level | None:
        """Return the level of the worst finding, None without any."""
        levels = {rule.level for rule in self.rules}
        return next((level for level in Level if level in levels), None)


class Locator:
    """Finds the line and column of a record in the text of a feed, none in a binary file."""

    def __init__(self, content: bytes) -> None:
        self._text = (
            ""
            if b"\0" in content[:4096]
            and not content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            else (content.decode("utf-8", "replace"))
        )
        self._starts = [0, *(match.end() for match in re.finditer("\n", self._text))]

    def locate(self, key: str, title: str = "") -> tuple[int, int] | None:
        """Return line and column of the first occurrence of *key*, else of *title*; None if there is
        none, or if a short text occurs twice.

        >>> Locator(b'[{"id": "ab-1"},\\n {"id": "ab-12"}]').locate("ab-12")
        (2, 10)
        """
        return next((position for text in (key, title) if (position := self._first(text))), None)

    def _first(self, text: str) -> tuple[int, int] | None:
        if not text or not self._text:
            return None
        start = self._find(text, 0)
        if start < 0 or (len(text) < _MIN_UNIQUE and self._find(text, start + 1) >= 0):
            return None
        line = bisect.bisect_right(self._starts, start)
        return line, start - self._starts[line - 1] + 1

    def _find(self, text: str, start: int) -> int:
        """Return the position of *text* as a whole word from *start* on, -1 if there is none."""
        while (start := self._text.find(text, start)) >= 0:
            if not (
                _is_part(self._text[start - 1 : start])
                or _is_part(self._text[start + len(text) : start + len(text) + 1])
            ):
                return start
            start += 1
        return -1


def _is_part(letter: str) -> bool:
    return letter.isalnum() or letter in ("_", "-")


def position_in(message: str) -> tuple[int | None, int | None]:
    """Return the line and column that a parser's message names.

    >>> position_in("not well-formed XML: mismatched tag, line 9, column 25"), position_in("empty response")
    ((9, 25), (None, None))
    """
    match = _POSITION.search(message)
    if match is None:
        return None, None
    return max(int(match.group(1)), 1), int(match.group(2)) if match.group(2) and int(
        match.group(2)
    ) else None


SAMPLE = 20  # records of a feed whose fields are listed
_MAX_LENGTH = 300  # characters of the example of a field
_MAX_PAGES = 3  # pages that are read for the sample
_NAME = re.compile(r'([^\W\d]\w*)\Z|"([^"\\]+)"\Z')  # a field's name, plain or quoted (JMESPath)


class FieldSample(NamedTuple):
    """The uses of the fields of a feed's first records, and the charset that was guessed from the
    text, "" if it is stated.
    """

    uses: tuple[FieldUse, ...] = ()
    guessed_charset: str = ""


class MappedRecord:
    """A record that is mapped once, with notes of what the mapping reads: its *statements*, and the
    values of its *fields*, whose names are those of its publisher (``fields_of``).

    Raises ParseError, or one of MAPPING_ERRORS.
    """

    def __init__(self, record: Record[Any], task: ProcessingTask) -> None:
        source, iris = task.source.name, Iris(task.base)
        with noting() as self._reads:
            resource = create_processor(task).resource(record)
        self.fields = fields_of(self._reads.records[0].payload)
        self.statements = frozenset(describe(resource, iris, source))

        def describe_members(*members: str) -> frozenset[str]:
            values = {name: getattr(resource, name) for name in members if hasattr(resource, name)}
            return frozenset(describe(type(resource)(key=resource.key, **values), iris, source))

        own = describe_members()
        noted = {member for members in self._reads.members.values() for member in members}
        self._lines = {name: describe_members(*name.split()) - own for name in noted}
        values = [getattr(resource, item.name) for item in dataclass_fields(resource)]
        coded = [each for value in values for each in (value if type(value) is tuple else (value,))]
        claims = [*coded, *(party.kind for party in resource.parties)]
        self._claims = {claim.concept: claim for claim in claims if isinstance(claim, Claim)}

    def is_read(self, name: str) -> bool:
        return self._reads.has(name)

    def claim(self, statement: str) -> Claim | None:
        """Return the claim of the concept that a statement has as its object."""
        return self._claims.get(getattr(object_of(statement), "value", ""))

    def fields_behind(self, statement: str) -> list[str]:
        """Return the fields from which a statement is made, by what was read for its member: those
        with its value or the word that it translates, else all of them.
        """
        members = {name for name, lines in self._lines.items() if statement in lines}
        term = " ".join(str(getattr(object_of(statement), "value", "")).split())
        word = (claim.word if (claim := self.claim(statement)) else None) or ""

        def distance(name: str) -> int:
            texts = list(filter(None, (" ".join(text.split()) for text in self.fields[name])))
            if not {term, word}.isdisjoint(texts):
                return 0
            if word and any(word in text for text in texts):
                return 1
            return 2 if any(text in term or text in word for text in texts) else 3

        own, free = list[str](), list[str]()
        for name in self.fields:
            noted = self._reads.members.get(name.rstrip("[]"), set())
            if not members.isdisjoint(noted):
                own.append(name)
            elif noted == {""}:
                free.append(name)
        for names in (own, free):
            nearest = min(map(distance, names), default=3)
            if nearest < 3:
                return [name for name in names if distance(name) == nearest]
        return own

    @property
    def has_free_reads(self) -> bool:
        """Return whether functions of the mapping read fields by themselves."""
        return any(members == {""} for members in self._reads.members.values())


def traced_fields(
    source: Source, run: Run, base: str, engine: EngineName, archive: Path
) -> FieldSample:
    """Return how the fields of the first records of *run* are used; its responses are read from
    *archive* again.
    """
    pages = list(_pages(source, run, base, archive))
    records = (item for page in pages for item in page.items if isinstance(item, Record))
    task = ProcessingTask(run, source, base, engine, rules_unchanged=False)
    mapped: list[tuple[str, MappedRecord]] = []
    for record in islice(records, SAMPLE):
        with suppress(ParseError, *MAPPING_ERRORS):  # The run has a finding of this record already.
            mapped.append((record.key, MappedRecord(record, task)))
    return FieldSample(_merge(mapped), next((page.guessed_charset for page in pages), ""))


def missing_fields(source: Source, uses: Sequence[FieldUse]) -> Iterator[Finding]:
    """Yield a finding for each field of the source definition that no record of the sample has:
    often it was renamed.

    Only fields that are named as such are looked for, not expressions.
    """
    if source.mapping != "fields" or not uses:
        return
    names = {part for use in uses for part in (use.name, re.split(r"[.\[]", use.name)[0])}
    dropped = [use.name for use in uses if not use.is_read]
    for ours, expression in source.fields.items():
        match = _NAME.match(expression)
        if match is None or (name := match.group(1) or match.group(2)) in names:
            continue
        similar = get_close_matches(name, dropped, n=1, cutoff=0.5) or (
            dropped if len(dropped) == 1 else []
        )
        question = f" Was it renamed to {similar[0]}?" if similar else ""
        message = f"No record of the sample has the field {name}, which is read as {ours}."
        remedy = f"Keep the field's name, or correct the source definition.{question}"
        yield Finding("field-missing", Level.WARNING, message, remedy, line=1, field=name)


def _pages(source: Source, run: Run, base: str, archive: Path) -> Iterator[Page[Any]]:
    """Yield the first pages of a run's archived responses, until they have enough records."""
    replay = Replay(archive, f"{source.name}/{run.id}.warc.gz", is_complete=False)
    count = 0
    try:
        for page in islice(archived_pages(source, base, replay.find), _MAX_PAGES):
            yield page
            count += sum(isinstance(item, Record) for item in page.items)
            if count >= SAMPLE:
                return
    except HarvestError:
        return  # The error that ended the run is a finding already.


def _merge(mapped: list[tuple[str, MappedRecord]]) -> tuple[FieldUse, ...]:
    """Return the use of each field of some records, which are with their keys. The protocol reads a
    field that has the key.
    """
    records: Counter[str] = Counter()
    read: set[str] = set()
    examples: dict[str, str] = {}
    properties: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for key, record in mapped:
        for name, values in record.fields.items():
            records[name] += 1
            examples.setdefault(name, values[0][:_MAX_LENGTH])
            if record.is_read(name) or values == [key]:
                read.add(name)
        used = {
            (name, statement.split(" ", 2)[1].strip("<>"))
            for statement in record.statements
            for name in record.fields_behind(statement)
        }
        for name, iri in used:
            properties[name][iri] += 1
    return tuple(
        FieldUse(
            name,
            records[name],
            name in read,
            tuple(iri for iri, _ in properties[name].most_common()),
            examples[name],
        )
        for name in records
    )


MAX_FINDINGS = 1000  # findings that are listed; all are counted
_NOTE = re.compile(r"^<([^>]+#result-\d+)> <([^>]+)> (.+)$")
_TITLE = re.compile(r'^<[^>]+> <http://purl\.org/dc/terms/title> "([^"]*)"', re.MULTILINE)
_LEVELS = {
    Severity.VIOLATION: Level.ERROR,
    Severity.WARNING: Level.WARNING,
    Severity.INFO: Level.NOTE,
}
REMEDIES: tuple[tuple[type[HarvestError], str, str], ...] = (
    (
        CharsetError,
        "feed-charset",
        "Export the file in UTF-8, or name its charset in the options of the source definition.",
    ),
    (WebPageError, "feed-web-page", "Name the address of the data itself, not that of a web page."),
    (TooLargeError, "feed-too-large", "Offer the records in pages or in smaller files."),
    (ForbiddenError, "feed-denied", "Correct the address, and permit it to our user agent."),
    (RefusedError, "feed-refused", "Name a public address, or check a file."),
    (
        ParseError,
        "feed-unreadable",
        "Correct the file at this place, and check it by a parser of its format before it is published.",
    ),
    (
        TemporaryFetchError,
        "feed-unreachable",
        "Check that the address answers, then run this again.",
    ),
    (HarvestError, "feed-failed", "Run this again."),
)
OUTCOMES = {
    Outcome.UNREADABLE: ("record-unreadable", "Correct this record; the others are not affected."),
    Outcome.DUPLICATE: (
        "record-duplicate",
        "Each record needs a key of its own; only the first record with a key counts.",
    ),
}


def failure(error: HarvestError, name: str = "") -> Finding:
    """Return the finding of an error that ended the reading of a feed; *name* is that of the file
    that was read, if it was one.
    """
    rule, remedy = next(
        (rule, remedy) for kind, rule, remedy in REMEDIES if isinstance(error, kind)
    )
    line, column = position_in(str(error))
    if line is None and rule in ("feed-unreadable", "feed-charset", "feed-web-page"):
        line = 1
    message = (
        re.sub(r"https?://registry\.example/\S*?(?=[:\s]|$)", name, str(error))
        if name
        else str(error)
    )
    return Finding(rule, Level.ERROR, message, remedy, line=line, column=column)


def guessed_charset(name: str) -> Finding:
    """Return the finding of a text whose charset *name* is stated nowhere."""
    return Finding(
        "feed-charset",
        Level.WARNING,
        f"The text states no charset and was read as {name}.",
        "Export the file in UTF-8, or set the option charset in the source definition.",
        line=1,
    )


@dataclass(slots=True)
class Findings:
    """The findings of one feed; *fields* are the publisher's field names by property, *locator*
    finds the lines of records.
    """

    base: str
    locator: Locator | None
    fields: Mapping[str, Sequence[str]]
    listed: list[Finding] = field(default_factory=list)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _samples: dict[tuple[str, str], Finding] = field(default_factory=dict)

    def add(self, finding: Finding, title: str = "") -> None:
        """Count a finding, and list it while there are not too many; *title* is that of its record."""
        kind = (finding.rule, finding.field)
        self._counts[kind] += 1
        self._samples.setdefault(kind, finding)
        if len(self.listed) < MAX_FINDINGS:
            position = (
                self.locator.locate(finding.record, title)
                if self.locator and finding.line is None
                else None
            )
            self.listed.append(
                replace(finding, line=position[0], column=position[1]) if position else finding
            )

    def add_record(self, record: StagedRecord, description: str, number: int) -> None:
        """Add the findings of a staged record, the one with this *number* in the feed; its
        *description* has its warnings.
        """
        key = record.key or f"#{number}"
        if record.outcome in OUTCOMES:
            rule, remedy = OUTCOMES[record.outcome]
            line, column = position_in(record.reason or "")
            self.add(Finding(rule, Level.ERROR, record.reason or "", remedy, key, line, column))
            return
        is_withheld = record.outcome is Outcome.WITHHELD
        notes = (
            broken_rules(record.reason or "", self.base)
            if is_withheld
            else described_rules(description, self.base)
        )
        title = _title(description)
        for note, path in notes:
            self.add(
                Finding(
                    note.name,
                    _LEVELS[note.severity],
                    note.message,
                    note.remedy,
                    key,
                    field=self._field(path),
                ),
                title,
            )

    def _field(self, path: str) -> str:
        """Return the names of the fields from which a property comes; *path* is its IRI or local name."""
        names = next(
            (
                names
                for iri, names in self.fields.items()
                if path and (iri == path or re.split("[/#]", iri)[-1] == path)
            ),
            (),
        )
        return ", ".join(names)

    @property
    def counts(self) -> tuple[RuleCount, ...]:
        """Return the number of findings of each rule and field: the most serious first, then the
        most frequent.
        """
        order = list(Level)
        listed = [
            RuleCount(
                sample.rule,
                sample.level,
                sample.message,
                sample.remedy,
                self._counts[kind],
                sample.field,
            )
            for kind, sample in self._samples.items()
        ]
        return tuple(
            sorted(listed, key=lambda count: (order.index(count.level), -count.records, count.rule))
        )


def _title(description: str) -> str:
    """Return the first title in a description, "" if it has none, or one that cannot be searched as
    it is.
    """
    match = _TITLE.search(description)
    return match.group(1) if match and "\\" not in match.group(1) else ""


def broken_rules(reason: str, base: str) -> Iterator[tuple[Rule, str]]:
    """Yield the rules that a withheld record breaks, by the messages in *reason*, with the local
    names of their properties.

    >>> from vocab.iris import BASE
    >>> [(rule.name, path) for rule, path in broken_rules("It has no title. (title)", BASE)]
    [('ResourceTitle', 'title')]
    """
    for rule in rules(base).values():
        for part in reason.split(f"{rule.message} (")[1:]:
            yield rule, part.partition(")")[0]


def described_rules(description: str, base: str) -> Iterator[tuple[Rule, str]]:
    """Yield the rules that a published record breaks, by the results in its *description*, with the
    IRIs of their properties.
    """
    results: dict[str, dict[str, str]] = {}
    for line in description.split("\n"):
        if match := _NOTE.match(line):
            node, name, value = match.groups()
            results.setdefault(node, {})[name] = value.strip("<>")
    known = rules(base)
    for about in results.values():
        if rule := known.get(about.get(f"{SH}sourceShape", "")):
            yield rule, about.get(f"{SH}resultPath", "")


_RESULTS = {
    **dict.fromkeys((*UPSERTED, Outcome.UNCHANGED, Outcome.RETURNED), "publishable"),
    Outcome.WITHHELD: "withheld",
    Outcome.UNREADABLE: "unreadable",
    Outcome.DUPLICATE: "duplicate",
    **dict.fromkeys((Outcome.DELETED, Outcome.ABSENT), "deleted"),
}


def parse_statements(statements: Iterable[str]) -> Iterator[Any]:
    """Yield the quads of a description's *statements*: N-Triples without the dot."""
    lines = "".join(f"{line} .\n" for line in statements if line)
    return parse(lines, format=RdfFormat.N_TRIPLES)


def object_of(statement: str) -> Any:
    """Return the object of a statement, None if its text has no RDF term there."""
    with suppress(SyntaxError, StopIteration):
        return next(parse_statements([statement])).object


def count_results(outcomes: Mapping[Outcome, int]) -> dict[str, int]:
    """Return the number of records of a feed by result, without results that no record has, and
    without records that the feed lacks.
    """
    counts: Counter[str] = Counter()
    for outcome, number in outcomes.items():
        if outcome in _RESULTS and number:
            counts[_RESULTS[outcome]] += number
    return dict(counts)


def names_by_property(uses: Iterable[tuple[str, Iterable[str]]]) -> dict[str, list[str]]:
    """Return the names of the fields from which each property (IRI) comes; *uses* are pairs of a
    name and its properties.
    """
    names: defaultdict[str, list[str]] = defaultdict(list)
    for name, properties in uses:
        for iri in properties:
            names[iri].append(name)
    return dict(names)


def sample_fields(
    source: Source, run: Run, base: str, engine: EngineName, archive: Path, limits: ProcessLimits
) -> FieldSample:
    """Return how the fields of a run's first records are used; an empty sample if the process that
    maps them ends at its limits.
    """
    try:
        return call_bounded(traced_fields, source, run, base, engine, archive, limits=limits)
    except BoundedCallError:
        return FieldSample()
