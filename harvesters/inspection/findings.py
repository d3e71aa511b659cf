"""Convert the results of a run to findings: by rule, with record, line, field and remedy; and find the
fields of a feed that a mapping reads.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from dataclasses import fields as dataclass_fields
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
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
from harvesters.mappings.fields import unmatched_fields
from harvesters.page_model import Record
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
from vocab.terms import SH, literal

_POSITION = re.compile(r"\bline (\d+)(?:[,:]? column (\d+))?")
_WORD = re.compile(rb"[\w-]")
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


def find_word(body: bytes, word: bytes, start: int = 0) -> int:
    """Return the position of *word* as a whole word from *start* on, -1 if there is none."""
    while word and (start := body.find(word, start)) >= 0:
        end = start + len(word)
        if not _WORD.search(body[start - 1 : start] + body[end : end + 1]):
            return start
        start += 1
    return -1


def locate(content: bytes, *texts: str) -> tuple[int, int] | None:
    """Return line and column of the first of *texts* that is in a feed; a short one that occurs
    twice, and one in a binary file, has none.

    >>> locate(b'[{"id": "ab-1"},\\n {"id": "ab-12"}]', "ab-12")
    (2, 10)
    """
    for word in (text.encode("utf-8", "replace") for text in texts if b"\0" not in content[:4096]):
        start = find_word(content, word)
        if start >= 0 and (len(word) >= _MIN_UNIQUE or find_word(content, word, start + 1) < 0):
            line = content.rfind(b"\n", 0, start) + 1
            column = len(content[line:start].decode("utf-8", "replace")) + 1
            return content.count(b"\n", 0, start) + 1, column
    return None


def position_in(message: str) -> tuple[int | None, int | None]:
    """Return the line and column that a parser's message names.

    >>> position_in("not well-formed XML: mismatched tag, line 9, column 25"), position_in("empty response")
    ((9, 25), (None, None))
    """
    line, column = match.groups() if (match := _POSITION.search(message)) else (None, None)
    return max(int(line), 1) if line else None, (int(column) or None) if column else None


SAMPLE = 20  # records of a feed whose fields are listed
_MAX_PAGES = 3  # pages that are read for the sample


class FieldSample(NamedTuple):
    """The uses of the fields of a feed's first records, the charset that was guessed from the text,
    "" if it is stated, and the fields of the definition that no record has.
    """

    uses: tuple[FieldUse, ...] = ()
    guessed_charset: str = ""
    missing: tuple[str, ...] = ()


class MappedRecord:
    """A record that is mapped once, with notes of what the mapping reads: its *statements*, and the
    values of its *fields*, whose names are those of its publisher (``fields_of``).

    Raises ParseError, or one of MAPPING_ERRORS.
    """

    def __init__(self, record: Record[Any], task: ProcessingTask) -> None:
        source, iris = task.source.name, Iris(task.base)
        with noting() as self._reads:
            resource = create_processor(task).resource(record)
        self.payload = self._reads.records[0].payload
        self.fields = fields_of(self.payload)
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
            relations = (
                not {term, word}.isdisjoint(texts),
                bool(word) and any(word in text for text in texts),
                any(text in term or text in word for text in texts),
                True,
            )
            return relations.index(True)

        noted = {
            name: self._reads.members.get(name.rstrip("[]"), set[str]()) for name in self.fields
        }
        own = [name for name, read_for in noted.items() if not members.isdisjoint(read_for)]
        free = [name for name, read_for in noted.items() if read_for == {""}]
        for names in (own, free):
            distances = {name: distance(name) for name in names}
            nearest = min(distances.values(), default=3)
            if nearest < 3:
                return [name for name in names if distances[name] == nearest]
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
    replay = Replay(archive, f"{source.name}/{run.id}.warc.gz", is_complete=False)
    records, charset = list[Record[Any]](), ""
    with suppress(HarvestError):  # The error that ended the run is a finding already.
        for page in islice(archived_pages(source, base, replay.find), _MAX_PAGES):
            charset = charset or page.guessed_charset
            records += (item for item in page.items if isinstance(item, Record))
            if len(records) >= SAMPLE:
                break
    task = ProcessingTask(run, source, base, engine, rules_unchanged=False)
    mapped: list[tuple[str, MappedRecord]] = []
    for record in records[:SAMPLE]:
        with suppress(ParseError, *MAPPING_ERRORS):  # The run has a finding of this record already.
            mapped.append((record.key, MappedRecord(record, task)))
    missing = unmatched_fields(source, [record.payload for _, record in mapped]) if mapped else ()
    return FieldSample(tuple(_uses(mapped)), charset, tuple(missing))


def missing_fields(source: Source, sample: FieldSample) -> Iterator[Finding]:
    """Yield a finding for each field of the source definition that no record of the sample has:
    often it was renamed.
    """
    dropped = [use.name for use in sample.uses if not use.is_read]
    for ours in sample.missing:
        name = source.fields[ours]
        similar = get_close_matches(name, dropped, n=1, cutoff=0.5) or dropped[: len(dropped) == 1]
        question = f" Was it renamed to {similar[0]}?" if similar else ""
        message = f"No record of the sample has the field {name}, which is read as {ours}."
        remedy = f"Keep the field's name, or correct the source definition.{question}"
        yield Finding("field-missing", Level.WARNING, message, remedy, line=1, field=name)


def _uses(mapped: Sequence[tuple[str, MappedRecord]]) -> Iterator[FieldUse]:
    """Yield the use of each field of some records, which are with their keys. The protocol reads a
    field that has the key.
    """
    origins = [
        {
            (name, line.split(" ", 2)[1].strip("<>"))
            for line in record.statements
            for name in record.fields_behind(line)
        }
        for _, record in mapped
    ]
    properties = Counter(pair for pairs in origins for pair in pairs).most_common()
    for name in dict.fromkeys(name for _, record in mapped for name in record.fields):
        own = [
            (key, record, record.fields[name]) for key, record in mapped if name in record.fields
        ]
        is_read = any(record.is_read(name) or values == [key] for key, record, values in own)
        iris = tuple(iri for (field, iri), _ in properties if field == name)
        yield FieldUse(name, len(own), is_read, iris)


MAX_FINDINGS = 1000  # findings that are listed; all are counted
_NOTE = re.compile(r"^<([^>\n]+#result-\d+)> <([^>\n]+)> (.+)$", re.MULTILINE)
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
    """The findings of one feed; *fields* are the publisher's field names by property, *content* is
    the text in which the lines of records are searched.
    """

    base: str
    content: bytes
    fields: Mapping[str, Sequence[str]]
    listed: list[Finding] = field(default_factory=list)
    _counts: dict[tuple[str, str], list[Any]] = field(default_factory=dict)

    def add(self, finding: Finding, title: str = "") -> None:
        """Count a finding, and list it while there are not too many; *title* is that of its record."""
        first = self._counts.setdefault((finding.rule, finding.field), [finding, 0])
        first[1] += 1
        if len(self.listed) < MAX_FINDINGS:
            place = None if finding.line else locate(self.content, finding.record, title)
            line, column = place or (finding.line, finding.column)
            self.listed.append(replace(finding, line=line, column=column))

    def add_record(self, record: StagedRecord, description: str, number: int) -> None:
        """Add the findings of a staged record, the one with this *number* in the feed; its
        *description* has its warnings.
        """
        for finding in record_findings(record, description, self.base, number):
            path = finding.field
            names = [
                names
                for iri, names in self.fields.items()
                if path and path in (iri, re.split("[/#]", iri)[-1])
            ]
            named = replace(finding, field=", ".join(next(iter(names), ())))
            self.add(named, _title(description))

    @property
    def counts(self) -> tuple[RuleCount, ...]:
        """Return the number of findings of each rule and field: the most serious first, then the
        most frequent.
        """
        order = list(Level)
        counts = [
            RuleCount(first.rule, first.level, first.message, first.remedy, number, first.field)
            for first, number in self._counts.values()
        ]
        counts.sort(key=lambda count: (order.index(count.level), -count.records, count.rule))
        return tuple(counts)


def record_findings(
    record: StagedRecord, description: str, base: str, number: int = 0
) -> Iterator[Finding]:
    """Yield the findings of a staged record, the one with this *number* in the feed; its *description*
    has its warnings. The field of a finding is a property, by its IRI or its local name.
    """
    key, reason = record.key or f"#{number}", record.reason or ""
    if record.outcome in OUTCOMES:
        name, remedy = OUTCOMES[record.outcome]
        yield Finding(name, Level.ERROR, reason, remedy, key, *position_in(reason))
        return
    is_withheld = record.outcome is Outcome.WITHHELD
    broken = broken_rules(reason, base) if is_withheld else described_rules(description, base)
    for rule, path in broken:
        level = _LEVELS[rule.severity]
        yield Finding(rule.name, level, rule.message, rule.remedy, key, field=path)


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
    for node, name, value in _NOTE.findall(description):
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


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=select_autoescape(["xml"], default=False),
    )
    environment.filters["literal"] = literal
    return environment


def render(template: str, **values: object) -> bytes:
    """Write a report by its template."""
    return _templates().get_template(template).render(values).encode("utf-8", "replace")


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
    for outcome in filter(outcomes.get, _RESULTS):
        counts[_RESULTS[outcome]] += outcomes[outcome]
    return dict(counts)


def names_by_property(uses: Iterable[FieldUse]) -> dict[str, list[str]]:
    """Return the names of the fields from which each property (IRI) comes."""
    pairs = [(iri, use.name) for use in uses for iri in use.properties]
    return {iri: [name for known, name in pairs if known == iri] for iri, _ in pairs}


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
