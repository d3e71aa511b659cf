"""Report the records that the last runs of a source did not publish, by rule, and the faults that
its publisher fixed since the run before.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from harvesters.inspection.findings import (
    OUTCOMES,
    FieldSample,
    Finding,
    described_rules,
    names_by_property,
    record_findings,
    sample_fields,
)
from harvesters.ledger.ledger import Ledger, batches
from harvesters.ledger.models import SEEN, SERVED, Outcome, Run, State, decompress
from harvesters.pipeline.processes import ProcessLimits
from harvesters.source import Source
from journal.journal import Journal
from shapes.validate import EngineName
from vocab.iris import Iris
from vocab.terms import SH

EXAMPLES = 3  # records that are named for each rule
_RUNS = 60  # newest runs that are examined; the ledger has the records of fewer
_KEYS = 500  # records whose descriptions are read at once
_REPORTED = (State.COMMITTED, State.UNCHANGED, State.INCOMPLETE, State.HELD, State.SUPERSEDED)
_FAILED = (Outcome.WITHHELD, *OUTCOMES)
_NO_RULES = frozenset(name for name, _ in OUTCOMES.values())
_SHAPE = re.compile(rf"^D <([^>]+)#result-\d+> <{re.escape(SH)}sourceShape> <([^>]+)> ")
Kind = tuple[str, str]  # a rule and the local name of its property
Faults = Mapping[Kind, Mapping[str, Finding]]  # the fault of each record that has it, by its key


@dataclass(frozen=True, slots=True)
class WithheldExample:
    """A record that is not published, and why, in English."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class WithheldRule:
    """A rule that keeps records from being published; *path* is the local name of its property, ""
    if it has none.

    *records* break it now, *fixed* broke it in the run before and do not now. *first_seen* and
    *last_seen* are the starts of the runs.
    """

    rule: str
    path: str
    message: str
    remedy: str
    records: int
    fixed: int
    first_seen: str
    last_seen: str
    examples: tuple[WithheldExample, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceReport:
    """The report on the newest *run* of a source, which started at *started* and ended as *outcome*.

    *fields* are the publisher's names of the fields from which each property (IRI) comes, *unread*
    those of the fields that the mapping does not read. *fixed*
    counts the published records that had a remark before the run and no longer have it, by the name
    of the rule; None if the run changed nothing that is published. *guessed_charset* is the charset
    of a text that states none, else "".
    """

    source: str
    run: str
    started: str
    outcome: str
    fields: Mapping[str, Sequence[str]]
    withheld: tuple[WithheldRule, ...]
    fixed: Mapping[str, int] | None
    guessed_charset: str = ""
    unread: tuple[str, ...] = ()


def _faults_after(runs: Iterable[Run], ledger: Ledger, base: str) -> Iterator[tuple[str, Faults]]:
    """Yield the start of each run and the faults after it: a full harvest lists every record, any
    other only those that changed.
    """
    faults: dict[str, list[Finding]] = {}
    for run in runs:
        is_whole = run.is_full and run.state is not State.INCOMPLETE
        faults = {} if is_whole else faults
        for record in ledger.staged_records(run, _FAILED if is_whole else SEEN):
            key = record.key or record.reason or ""
            faults.pop(key, None)
            if key and record.outcome in _FAILED:
                faults[key] = list(record_findings(record, "", base))
        kinds: dict[Kind, dict[str, Finding]] = {}
        for key, findings in faults.items():
            for fault in findings:
                kinds.setdefault((fault.rule, fault.field), {})[key] = fault
        yield _instant(run), kinds


def _instant(run: Run) -> str:
    return f"{run.started:%Y-%m-%dT%H:%M:%SZ}"


def report_source(
    source: Source,
    ledger: Ledger,
    journal: Journal,
    base: str,
    archive: Path,
    engine: EngineName = "rust",
) -> SourceReport | None:
    """Return the report on the newest run of *source* that reached a plan; None if there was none.

    The fields are found by mapping the first archived records again, in a process with limits.
    """
    runs = [
        run
        for run in ledger.runs(source.name, _RUNS)
        if run.state in _REPORTED and _is_listed(run, ledger)
    ]
    if not runs:
        return None
    newest = runs[0]
    fetched = next((run for run in runs if run.fetched and run.last_fetched is None), None)
    sample = FieldSample()
    if fetched:
        sample = sample_fields(source, fetched, base, engine, archive, ProcessLimits())
    fields = names_by_property(sample.uses)
    fixed = fixed_remarks(newest, ledger, journal, base)
    times = (newest.id, _instant(newest), newest.state.value)
    withheld = _withheld(_faults_after(reversed(runs), ledger, base))
    unread = tuple(use.name for use in sample.uses if not use.is_read)
    return SourceReport(
        source.name, *times, fields, withheld, fixed, sample.guessed_charset, unread
    )


def _is_listed(run: Run, ledger: Ledger) -> bool:
    """Return whether the records of a run are still stored: those of a source's last runs are."""
    return not run.fetched or any(ledger.outcomes(run).values())


def _withheld(history: Iterable[tuple[str, Faults]]) -> tuple[WithheldRule, ...]:
    """Return the broken rules of the newest run and those that were fixed with it, those of most
    records first.
    """
    now: Faults = {}
    before: Faults = {}
    times: dict[Kind, tuple[str, str]] = {}
    for time, faults in history:
        before, now = now, faults
        times |= {kind: (times.get(kind, (time,))[0], time) for kind in faults}
    listed = []
    for kind in {**now, **before}:
        records, earlier = now.get(kind, {}), before.get(kind, {})
        fault = next(iter((*records.values(), *earlier.values())))
        # The message of what is no rule is about one record.
        message = "" if fault.rule in _NO_RULES else fault.message
        examples = tuple(
            WithheldExample(key, one.message) for key, one in sorted(records.items())[:EXAMPLES]
        )
        counts = (len(records), len(earlier.keys() - records.keys()))
        texts = (message, fault.remedy)
        listed.append(WithheldRule(*kind, *texts, *counts, *times[kind], examples))
    listed.sort(key=lambda rule: (-rule.records, -rule.fixed, rule.rule, rule.path))
    return tuple(listed)


def fixed_remarks(run: Run, ledger: Ledger, journal: Journal, base: str) -> dict[str, int] | None:
    """Count the published records that lost a remark with the entry of *run*, by rule; None if it
    has no entry.

    Results are numbered, so that a row with another number may stand for the same remark: the
    current description decides.
    """
    entry = journal.entry(run.entry) if run.entry is not None else None
    if entry is None or entry.run != run.id:
        return None
    start, lost = Iris(base).record(run.source, ""), defaultdict[str, set[str]](set)
    for row in entry.rows():
        if row.startswith("D ") and (match := _SHAPE.match(row)) and match[1].startswith(start):
            lost[unquote(match[1].removeprefix(start))].add(match[2])
    counts = Counter[str]()
    for batch in batches(sorted(lost), _KEYS):
        states = ledger.stored_records(run.source, batch)
        current = ledger.current_descriptions(run.source, batch)
        for key in batch:
            if key in states and states[key].state in SERVED:
                left = {rule.iri for rule, _ in described_rules(decompress(current.get(key)), base)}
                counts.update(iri.rpartition("#")[2] for iri in lost[key] - left)
    return counts
