"""Office: what a harvest of the benchmarks works with, under a folder and with a clock that is
handed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from harvesters.network.retry import RetryPolicy
from harvesters.network.settings import NetworkSettings
from harvesters.runs.context import HarvestContext, open_context
from vocab.iris import BASE

NAME = "projects"  # of the source
_HERE = frozenset({"127.0.0.1"})


@contextmanager
def office(home: Path, now: datetime) -> Iterator[HarvestContext]:
    """Open a data folder; registries on loopback may be asked, and are asked twice where they fail."""
    with open_context(
        home, f"sqlite:///{home}/ledger.sqlite", BASE, NetworkSettings(allow=_HERE)
    ) as context:
        yield replace(
            context,
            now=lambda: now,
            network=NetworkSettings(retry_policy=RetryPolicy(max_attempts=2)),
        )
