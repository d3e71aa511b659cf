"""Changing: one record in a hundred gets another title; how soon that is shown, and whether readers
wait meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from benchmarks.concurrent_queries import Client, Column, distinct
from journal.journal import Journal
from vocab.iris import BASE

FEW = 100  # one in so many records changes
SHOWN = "1 % changed: shown after, ms"
WAIT = "longest wait of a reader meanwhile, ms"
ALONE = "longest wait before it, ms"
_PATIENCE = 120.0  # seconds
_QUIET = 5.0  # seconds that the same is asked before
_TITLE, _NEW = "http://purl.org/dc/terms/title", "Changed by the benchmark"
_WANTED = f'SELECT (COUNT(DISTINCT ?s) AS ?n) {{ ?s <{_TITLE}> "{_NEW}"@en }}'


def changed(data: Sequence[Path], columns: Sequence[Column], records: int) -> None:
    """Change the titles in the journal of each column's data, and keep what was seen of it."""
    number, patch = _patch(columns[0], max(1, records // FEW))
    for folder, item in zip(data, columns, strict=True):
        client, reads = Client(item), list[float]()
        since = time.perf_counter()
        while time.perf_counter() - since < _QUIET:
            _asked(client, reads)
        item.figures[ALONE], reads = max(reads) * 1000, []
        client.close()  # the server closes a connection that is idle while the journal is checked
        Journal(folder / "journal").append(patch, run="benchmark", time=datetime.now(UTC))
        client = Client(item)
        since = time.perf_counter()
        while (
            result := _asked(client, reads)
        ) < number and time.perf_counter() - since < _PATIENCE:
            pass
        item.figures[SHOWN] = (
            (time.perf_counter() - since) * 1000
            if result >= number
            else f"{result} of {number} after {_PATIENCE:.0f} s"
        )
        while time.perf_counter() - since < _QUIET:  # what follows the change is felt too
            _asked(client, reads)
        item.figures[WAIT] = max(reads) * 1000
        client.close()


def _patch(column: Column, most: int) -> tuple[int, list[str]]:
    """Return how many titles change, and the rows of a patch that changes them."""
    old = f"SELECT ?s ?t ?g {{ GRAPH ?g {{ ?s a <{BASE}ns#Initiative> ; <{_TITLE}> ?t FILTER(LANG(?t) = 'en') }} }} LIMIT {most}"
    client, patch = Client(column), []
    result = orjson.loads(client.ask(old)[0])["results"]["bindings"]
    client.close()
    for row in result:
        s, g, t = row["s"]["value"], row["g"]["value"], orjson.dumps(row["t"]["value"]).decode()
        patch += [f"D <{s}> <{_TITLE}> {t}@en <{g}> .", f'A <{s}> <{_TITLE}> "{_NEW}"@en <{g}> .']
    return len(result), patch


def _asked(client: Client, reads: list[float]) -> int:
    """Count what is shown as changed; note how long that took."""
    began = time.perf_counter()
    answer = client.ask(distinct(_WANTED))[0]
    reads.append(time.perf_counter() - began)
    return int(orjson.loads(answer)["results"]["bindings"][0]["n"]["value"])
