"""The journal of the demo: its registries, harvested twice in process with a fixed clock."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from in_process import InProcess, running
from world import count_minutes, run_harvest

from demo.app import DemoState, create_app
from demo.publications import PUBLICATIONS
from demo.scenario import Fault, ScenarioState, registries
from demo.source_definitions import write_sources
from journal.entry import Entry
from journal.journal import Journal
from vocab.iris import BASE

SIZE, SEED, PAGE = 60, 3, 20
FAULTS = frozenset({Fault.DATES, Fault.TITLES, Fault.COUNTRIES, Fault.DELETIONS})
BEGIN = datetime(2026, 3, 1, 6, tzinfo=UTC)
FIRST = 12  # rows of an entry that are written in full


def demo_journal() -> Iterator[str]:
    """Yield what each entry of the journal adds and deletes."""
    with TemporaryDirectory() as folder:
        data = Path(folder)
        written = write_sources("http://demo.test", data / "sources")
        for version in (1, 2):
            state = DemoState(
                registries(SIZE, SEED),
                ScenarioState(version, FAULTS),
                PAGE,
                tuple(PUBLICATIONS),
                SEED,
            )
            try:
                with running(lambda state=state: create_app(state)) as transport:
                    _harvest(data, sorted(path.stem for path in written), transport, version)
            finally:
                state.close()
        for entry in Journal(data / "journal").entries():
            yield from _entry(entry)


def _harvest(data: Path, sources: list[str], transport: InProcess, version: int) -> None:
    for number, source in enumerate(sources):
        clock = count_minutes(BEGIN + timedelta(days=version, hours=number))
        run_harvest(data, source, clock, transport)


def _entry(entry: Entry) -> Iterator[str]:
    """Yield the number of rows of each predicate, the number and digest of the rows of each graph,
    and the first rows.
    """
    rows = list(entry.rows())
    # The last part of a predicate is enough for a count.
    predicates = Counter(
        f"{row[0]} {re.split('[/#]', row.split(' ', 3)[2])[-1].rstrip('>')}" for row in rows
    )
    graphs: dict[str, list[str]] = {}
    for row in rows:
        graphs.setdefault(row.rsplit(" ", 2)[1], []).append(row)
    yield f"=== entry {entry.number} {entry.run} {entry.time:%Y-%m-%dT%H:%M:%SZ}\n"
    yield f"{len(rows)} rows in {len(graphs)} graphs\n"
    yield ", ".join(f"{number} {name}" for name, number in sorted(predicates.items())) + "\n"
    for graph, part in sorted(graphs.items()):
        digest = sha256("\n".join(sorted(part)).encode()).hexdigest()[:12]
        yield f"{graph.replace(BASE, '')} {len(part)} rows, SHA-256 {digest}\n"
    yield from (f"{row}\n" for row in sorted(rows)[:FIRST])
    yield "\n"
