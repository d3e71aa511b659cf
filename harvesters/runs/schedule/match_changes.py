"""Match the new and changed records of a running service, and publish the clusters that result."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import structlog

from harvesters.errors import HarvestError
from harvesters.matching.match import has_changes, match_records
from harvesters.network.settings import NetworkSettings
from harvesters.pipeline.bounded_call import call_bounded
from harvesters.pipeline.process_limits import ProcessLimits
from harvesters.runs.context import HarvestContext, open_context
from harvesters.runs.publish_clusters import publish_clusters
from journal.errors import JournalError
from journal.outage import Outage

_LIMITS = ProcessLimits(seconds=3600.0, silence=7200.0)  # 100,000 records need 140 s and 0.3 GB
_SHARE = 10  # after a matching, the next waits this many times as long as it took

log = structlog.get_logger(component="identity")


def match_and_publish(data: Path, ledger: str, base: str) -> tuple[int, int]:
    """Match what is new or changed, and publish the clusters; return the number of records that
    were compared, and of clusters changed.
    """
    with (
        open_context(data, ledger, base, NetworkSettings()) as context,
        match_records(context.ledger, context.iris, only_changed=True) as matching,
    ):
        try:
            with publish_clusters(context, matching.entities) as (_, changes):
                return matching.records, len(changes)
        except JournalError as error:
            raise HarvestError(str(error)) from error


def create_matcher(
    context: HarvestContext, ledger: str, clock: Callable[[], float] = time.monotonic
) -> Callable[[], None]:
    """Return the function that matches what is new or changed, if anything is; it may be called
    every minute.

    Matching runs in a process of its own, whose memory is free again afterwards. *ledger* is the
    URL of the ledger.
    """
    outage, due = Outage("cannot match records", "records are matched again"), float("-inf")

    def match() -> None:
        nonlocal due
        started = clock()
        if started < due:
            return
        try:
            if has_changes(context.ledger):
                records, clusters = call_bounded(
                    match_and_publish, context.data, ledger, context.iris.base, limits=_LIMITS
                )
                log.info("records matched", records=records, clusters=clusters)
        except HarvestError as error:
            outage.failed(str(error))
        else:
            outage.over()
        due = clock() + _SHARE * (clock() - started)

    return match
