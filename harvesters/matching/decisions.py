"""Decide about many pairs at once: by a rule, or by an SSSOM table, of which all lines are stored or
none.

Source: https://mapping-commons.github.io/sssom/spec-model/. A negative decision has the predicate
modifier ``Not``, an unsure one the confidence 0.5.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from harvesters.errors import IdentityError
from harvesters.matching.clusters import ScoredPair, Status
from harvesters.matching.scoring import FEATURES
from harvesters.matching.stored import Decision, Judgement, Pair, StoredPair, ordered


@dataclass(frozen=True, slots=True)
class PairRule:
    """Selects the pairs that meet all conditions. "" and empty sets are no condition.

    *least* and *most* are bits of the score. *agree* are features with more than 0 bits, *differ*
    those with less, *silent* those that were not compared. Both sides are of one of *sources*.
    """

    kind: str = ""
    least: float = float("-inf")
    most: float = float("inf")
    agree: frozenset[str] = frozenset()
    differ: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()

    def covers(self, pair: StoredPair) -> bool:
        bits = {feature.name: feature.bits for feature in pair.score.features}
        return (
            (not self.kind or pair.kind == self.kind)
            and self.least <= pair.score.bits <= self.most
            and all(bits.get(name, 0) > 0 for name in self.agree)
            and all(bits.get(name, 0) < 0 for name in self.differ)
            and not self.silent & bits.keys()
            and (not self.sources or all(_source(iri) in self.sources for iri in pair.pair))
        )


def check_rule(rule: PairRule) -> None:
    """Raise IdentityError for a rule without a condition, and for one with an unknown feature."""
    named = rule.agree | rule.differ | rule.silent
    if unknown := sorted(named - FEATURES):
        raise IdentityError(
            f"no feature is called {unknown[0]!r}; the features are {', '.join(sorted(FEATURES))}"
        )
    if rule == PairRule(kind=rule.kind):
        raise IdentityError(
            "the rule has no condition and would decide all waiting pairs; name features, bits or registries"
        )


def covered_pairs(
    rule: PairRule,
    stored: Mapping[Pair, StoredPair],
    scored: Iterable[ScoredPair],
    decided: Collection[Pair],
) -> list[StoredPair]:
    """Return the pairs in the queue that a rule covers and nobody decided, the highest score first."""
    waiting = (
        stored[item.pair]
        for item in scored
        if item.status is Status.QUEUED and item.pair not in decided
    )
    return [pair for pair in waiting if rule.covers(pair)]


def _source(iri: str) -> str:
    return iri.partition("/id/")[2].split("/")[1]


COLUMNS = (
    *("subject_id", "predicate_id", "predicate_modifier", "object_id", "mapping_justification"),
    *("author_label", "mapping_date", "confidence", "comment"),
)
_SHOWN = 20  # faults that an error lists
_PREDICATE, _JUSTIFICATION = "skos:exactMatch", "semapv:ManualMappingCuration"
_UNSURE = "0.5"
_MAX_FIELD = 1 << 16  # characters of a cell


def write_table(decisions: Iterable[Decision]) -> str:
    """Return *decisions* as tab-separated values with a header, in the order of their pairs."""
    output = io.StringIO()
    writer = csv.writer(output, dialect=csv.excel_tab, lineterminator="\n")
    writer.writerow(COLUMNS)
    for decision in sorted(decisions, key=lambda item: item.pair):
        negative = decision.judgement is Judgement.NEGATIVE
        unsure = decision.judgement is Judgement.UNSURE
        writer.writerow((
            decision.pair[0],
            _PREDICATE,
            "Not" if negative else "",
            decision.pair[1],
            _JUSTIFICATION,
            decision.who,
            f"{decision.when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            _UNSURE if unsure else "1",
            decision.reason,
        ))  # fmt: skip
    return output.getvalue()


def read_table(text: str, known: Collection[str], who: str, now: datetime) -> list[Decision]:
    """Return the decisions of a table; *who* and *now* replace a missing author and date.

    *known* are the IRIs that exist. Raises IdentityError that lists the faults with their lines;
    then no line is to be used.
    """
    csv.field_size_limit(_MAX_FIELD)
    reader = csv.DictReader(io.StringIO(text, newline=""), dialect=csv.excel_tab)
    faults: list[str] = []
    decisions: list[Decision] = []
    try:
        missing = {"subject_id", "object_id"} - set(reader.fieldnames or ())
        if missing:
            raise IdentityError(
                f"line 1: no column {', '.join(sorted(missing))}; the columns are {', '.join(COLUMNS)}, separated by tabs"
            )
        for row in reader:
            fault = _fault(row, known)
            if fault:
                faults.append(f"line {reader.line_num}: {fault}")
            else:
                decisions.append(_decision(row, who, now))
    except csv.Error as error:
        raise IdentityError(f"line {reader.line_num}: {error}; nothing was stored") from error
    if faults:
        more = f"\n... and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise IdentityError(
            "\n".join(faults[:_SHOWN])
            + more
            + "\nnothing was stored; correct these lines and import the table again"
        )
    return decisions


def _fault(row: dict[str, str | None], known: Collection[str]) -> str:
    """Return the fault of a line, "" if it has none."""
    first, second = row.get("subject_id") or "", row.get("object_id") or ""
    unknown = [iri for iri in (first, second) if iri not in known]
    if unknown:
        return f"unknown record {', '.join(iri or 'without an IRI' for iri in unknown)}"
    if first == second:
        return "both sides are the same record"
    if first.split("/id/")[-1].partition("/")[0] != second.split("/id/")[-1].partition("/")[0]:
        return "an organization and an initiative are never one thing"
    if (row.get("predicate_id") or _PREDICATE) != _PREDICATE:
        return f"the predicate is {row.get('predicate_id')!r}; it must be {_PREDICATE}"
    if (row.get("predicate_modifier") or "") not in ("", "Not"):
        return (
            f"the predicate modifier is {row.get('predicate_modifier')!r}; it must be Not or empty"
        )
    if _parse_date(row) is None and row.get("mapping_date"):
        return f"{row.get('mapping_date')!r} is not a date; write it as 2026-01-31 or 2026-01-31T12:00:00Z"
    return ""


def _parse_date(row: dict[str, str | None]) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(row.get("mapping_date") or "")
    except ValueError:
        return None
    return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _decision(row: dict[str, str | None], who: str, now: datetime) -> Decision:
    negative, unsure = row.get("predicate_modifier") == "Not", row.get("confidence") == _UNSURE
    judgement = (
        Judgement.UNSURE if unsure else Judgement.NEGATIVE if negative else Judgement.POSITIVE
    )
    pair = ordered(row["subject_id"] or "", row["object_id"] or "")
    return Decision(
        pair,
        judgement,
        row.get("author_label") or who,
        _parse_date(row) or now,
        row.get("comment") or "",
    )
