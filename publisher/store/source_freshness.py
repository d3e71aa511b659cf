"""Compute the freshness of each source from the status graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from pyoxigraph import NamedNode, Quad

from vocab.freshness import Freshness, FreshnessInputs, freshness, next_change
from vocab.statements.provenance import check_source_status


def freshness_inputs(terms: Mapping[str, str]) -> FreshnessInputs:
    """Return the inputs of a source's freshness from its values in the status graph, by local names
    of our terms.
    """
    return FreshnessInputs(
        success=parse_time(terms.get("lastSuccess")),
        failures=int(terms.get("consecutiveFailures", "0")),
        late_from=parse_time(terms.get("lateFrom")),
        frozen_from=parse_time(terms.get("frozenFrom")),
        is_held="hold" in terms,
        retired=terms.get("freshness", "").endswith(f"#{Freshness.RETIRED.value}"),
    )


def parse_time(text: str | None) -> datetime | None:
    """Parse a timestamp of the status graph; None if *text* is None or empty."""
    return datetime.fromisoformat(text) if text else None


def terms_by_subject(
    statements: Iterable[tuple[str, str, str]], ns: str
) -> dict[str, dict[str, str]]:
    """Group the values of our terms by subject and by the local name of the term."""
    by_subject: dict[str, dict[str, str]] = {}
    for subject, predicate, value in statements:
        if predicate.startswith(ns):
            by_subject.setdefault(subject, {})[predicate.removeprefix(ns)] = value
    return by_subject


def recompute(quads: Iterable[Quad], ns: str, at: datetime) -> tuple[set[Quad], datetime | None]:
    """Return the status quads with the freshness of every source at *at*, and the time of the next
    change.

    Raises ValueError if a timestamp or a number cannot be parsed.
    """
    stored = list(quads)
    terms = terms_by_subject(
        ((_text(quad.subject), quad.predicate.value, _text(quad.object)) for quad in stored), ns
    )
    term = NamedNode(f"{ns}freshness")
    for values in terms.values():
        check_source_status(values)
    now = {
        source: freshness_inputs(values)
        for source, values in terms.items()
        if "freshness" in values
    }
    out = {
        Quad(
            quad.subject,
            term,
            NamedNode(ns + freshness(now[_text(quad.subject)], at).value),
            quad.graph_name,
        )
        if quad.predicate == term
        else quad
        for quad in stored
    }
    return out, min(
        (change for item in now.values() if (change := next_change(item, at))), default=None
    )


def _text(term: object) -> str:
    return str(getattr(term, "value", term))
