"""Read and write what curators decided about the suggested topics of a source's records, and
suggestions that were computed elsewhere: a tab-separated table.

Its columns are record, concept, decision, author, day and comment, and for a suggestion confidence,
method and version. Concepts are short, as in ``curated_words``, so that the table does not depend
on the base of our IRIs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

from vocab.curated_words import RowFault, date_fault, read_table, resolve_concept, write_table

CONFIRMED, REFUSED, SUGGESTED = DECISIONS = ("confirmed", "refused", "suggested")
COLUMNS = (
    "record_id",
    "object_id",
    "decision",
    "author_label",
    "mapping_date",
    "comment",
    "confidence",
    "mapping_tool",
    "mapping_tool_version",
)
_KINDS = ("goal", "target", "action-line")


@dataclass(frozen=True, slots=True)
class TopicDecision:
    """The *decision* (one of ``DECISIONS``) of *author* on *day* (ISO 8601) about a *concept* that is
    suggested for the record *key*.

    A ``SUGGESTED`` concept is not decided yet: *method* in a *version* suggested it elsewhere with a
    *confidence* from 0 to 1. Its *comment* has the words of the record that led to it.
    """

    key: str
    concept: str
    decision: str
    author: str = ""
    day: str = ""
    comment: str = ""
    confidence: str = ""
    method: str = ""
    version: str = ""


def write_decisions(decisions: Iterable[TopicDecision]) -> str:
    """Return the table, in the order of the records."""
    ordered = sorted(decisions, key=lambda item: (item.key, item.concept))
    return write_table(COLUMNS, map(astuple, ordered))


def read_decisions(text: str) -> tuple[list[TopicDecision], list[RowFault]]:
    """Return the decisions of a table, and a fault with its line for each row that cannot be used."""
    return read_table(
        text,
        COLUMNS,
        COLUMNS[:3],
        lambda row: TopicDecision(*row.values()),
        fault_of,
        lambda item: (item.key, item.concept),
        lambda _: RowFault("an earlier line is about the same record and concept"),
    )


def fault_of(item: TopicDecision) -> RowFault | None:
    """Return the fault of a row, None if it has none."""
    if not item.key:
        return RowFault("the record is missing")
    resolved = resolve_concept(item.concept)
    if resolved is None or resolved[0] not in _KINDS:
        return RowFault(
            "unknown concept %(concept)s; write it as sdg:4, sdg:4.4 or action-line:C7-ehea",
            {"concept": repr(item.concept[:80])},
        )
    if item.decision not in DECISIONS:
        names = ", ".join(DECISIONS)
        return RowFault(
            "%(value)s is not a decision; write one of %(names)s",
            {"value": repr(item.decision[:80]), "names": names},
        )
    if item.decision == SUGGESTED and not (item.method and _is_confidence(item.confidence)):
        return RowFault(
            "a suggested topic needs its method in mapping_tool and a confidence from 0 to 1"
        )
    return date_fault(item.day)


def _is_confidence(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False
