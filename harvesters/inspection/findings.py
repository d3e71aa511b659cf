"""Convert the results of a run to findings: by rule, with record, line, field and remedy."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

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
from harvesters.inspection.fields import FieldSample, traced_fields
from harvesters.inspection.report import Finding, Level, Locator, RuleCount, position_in
from harvesters.ledger.models import UPSERTED, Outcome, Run, StagedRecord
from harvesters.pipeline.processes import BoundedCallError, ProcessLimits, call_bounded
from harvesters.source import Source
from shapes.result import Severity
from shapes.rules import Rule, rules
from shapes.validate import EngineName
from vocab.terms import SH

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
