"""Open a temporary ledger for one preflight, with the published records of one source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlalchemy as sa

from harvesters.ledger import tables as t
from harvesters.ledger.ledger import Ledger
from harvesters.network.settings import NetworkSettings
from harvesters.pipeline.process_limits import ChildProcesses, ProcessLimits
from harvesters.runs.context import HarvestContext, open_context
from shapes.validate import EngineName

_ROWS = 500  # rows copied at once


@contextmanager
def scratch_context(
    base: str,
    engine: EngineName,
    network: NetworkSettings,
    limits: ProcessLimits,
) -> Iterator[HarvestContext]:
    """Open a context of runs in a temporary folder. Responses are read, and records mapped, in
    processes with *limits*.
    """
    with TemporaryDirectory(prefix="stocktake-preflight-") as folder:
        url, children = f"sqlite:///{folder}/ledger.sqlite", ChildProcesses(limits)
        with open_context(
            Path(folder), url, base, network, engine, workers=0, children=children
        ) as context:
            yield context


def copy_source(ledger: Ledger, scratch: Ledger, source: str) -> None:
    """Copy the rows of a source: its runs, its records with their descriptions, hold and overrides."""
    described = t.description.join(
        t.record,
        sa.and_(t.record.c.run == t.description.c.run, t.record.c.seq == t.description.c.seq),
    )
    queries: dict[sa.Table, sa.Select[Any]] = {
        table: sa.select(table).where(table.c.source == source)
        for table in (t.run, t.record, t.hold, t.override)
    }
    queries[t.description] = (
        sa.select(t.description).select_from(described).where(t.record.c.source == source)
    )
    for table, query in queries.items():
        with ledger.transaction() as reading, scratch.transaction() as writing:
            rows = reading.execution_options(yield_per=_ROWS).execute(query).mappings()
            for batch in rows.partitions(_ROWS):
                writing.execute(sa.insert(table), [dict(row) for row in batch])
