"""Closing: a run's row in the ledger as the account that is published."""

from __future__ import annotations

from harvesters.ledger.models import Run
from vocab.run_statistics import METRICS, RunStatistics


def account(run: Run) -> RunStatistics:
    """Give the account of a run that has been planned or has ended; what the ledger does not know of it is not told."""
    counts = {"fetched": run.fetched} | {name: count for name, count in run.counts.items() if name in METRICS and name != "claimed"}
    return RunStatistics(
        run=run.id,
        source=run.source,
        started=run.started,
        ended=run.ended or run.planned or run.started,
        state=run.state.value,
        sweep=run.sweep,
        claimed=run.claimed,
        **counts,
        quads_added=run.added,
        quads_removed=run.removed,
        quads_after=run.after,
        network=run.network,
        reason=run.reason,
        entry=run.entry,
    )
