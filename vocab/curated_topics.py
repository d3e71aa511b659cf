"""Read and write what curators decided about the suggested topics of a source's records: a tab-separated table.

Its columns are record, concept, decision, author, day and comment. Concepts are short, as in ``curated_words``, so that the table
does not depend on the base of our IRIs.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from vocab.curated_words import resolve_concept

CONFIRMED, REFUSED = DECISIONS = ("confirmed", "refused")
COLUMNS = ("record_id", "object_id", "decision", "author_label", "mapping_date", "comment")
_KINDS = ("goal", "target", "action-line")
_MAX_FIELD = 1 << 16  # characters of a cell


@dataclass(frozen=True, slots=True)
class TopicDecision:
    """What *author* decided on *day* (ISO 8601) about a *concept* that is suggested for the record *key*: one of ``DECISIONS``."""

    key: str
    concept: str
    decision: str
    author: str = ""
    day: str = ""
    comment: str = ""


def write_decisions(decisions: Iterable[TopicDecision]) -> str:
    """Return the table, in the order of the records."""
    output = io.StringIO()
    writer = csv.writer(output, dialect=csv.excel_tab, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in sorted(decisions, key=lambda item: (item.key, item.concept)):
        writer.writerow((item.key, item.concept, item.decision, item.author, item.day, item.comment))
    return output.getvalue()


def read_decisions(text: str, where: str) -> tuple[list[TopicDecision], list[str]]:
    """Return the decisions of a table, and a message with *where* and the line for each row that cannot be used."""
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=csv.excel_tab)
    decisions: dict[tuple[str, str], TopicDecision] = {}
    faults: list[str] = []
    try:
        if missing := set(COLUMNS[:3]) - set(reader.fieldnames or ()):
            return [], [f"{where}, line 1: no column {', '.join(sorted(missing))}; the columns are {', '.join(COLUMNS)}, separated by tabs"]
        for row in reader:
            item = TopicDecision(*((row.get(name) or "").strip() for name in COLUMNS))
            is_repeated = (item.key, item.concept) in decisions
            if fault := fault_of(item) or ("a line above is about the same record and concept" if is_repeated else ""):
                faults.append(f"{where}, line {reader.line_num}: {fault}")
            else:
                decisions[item.key, item.concept] = item
    except csv.Error as error:
        faults.append(f"{where}, line {reader.line_num}: {error}")
    return list(decisions.values()), faults


def fault_of(item: TopicDecision) -> str:
    """Return what is wrong with a row, "" if nothing is."""
    if not item.key:
        return "there is no record"
    resolved = resolve_concept(item.concept)
    if resolved is None or resolved[0] not in _KINDS:
        return f"unknown concept {item.concept[:80]!r}; write it as sdg:4, sdg:4.4 or action-line:C7-ehea"
    if item.decision not in DECISIONS:
        return f"{item.decision[:80]!r} is no decision; write {' or '.join(DECISIONS)}"
    try:
        date.fromisoformat(item.day or "2000-01-01")
    except ValueError:
        return f"{item.day[:80]!r} is no date; write it as 2026-01-31"
    return ""
