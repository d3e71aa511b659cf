"""Status: how each source fares, a small file beside the journal that is replaced whole and that no release contains."""

from __future__ import annotations

import os
import threading

from harvesters.ledger.account import State
from harvesters.means import Means
from vocab.chronicle import Standing, describe_standing
from vocab.describe import quads

_ENDED = (State.COMMITTED, State.UNCHANGED, State.INCOMPLETE, State.HELD, State.FAILED)
_GOOD = (State.COMMITTED, State.UNCHANGED)


def write(means: Means) -> None:
    """Write ``status.nq`` from the ledger: one graph, all sources that were ever tried."""
    found = [standing for source in means.ledger.sources() if (standing := _standing(means, source))]
    lines = quads(describe_standing(found, means.iris), means.iris.status)
    part = means.data / f"status.nq.{os.getpid()}.{threading.get_ident()}.part"  # runs of other sources may end at the same time
    part.write_text("".join(line + "\n" for line in sorted(lines)), encoding="utf-8")
    part.replace(means.data / "status.nq")


def _standing(means: Means, source: str) -> Standing | None:
    last = means.ledger.last_run(source, _ENDED)
    if last is None:
        return None
    good = means.ledger.last_run(source, _GOOD)
    success = (good.ended or good.started) if good else None
    return Standing(source, last.started, success, last.state.value, means.ledger.published(source), last.reason)
