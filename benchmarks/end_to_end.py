"""The walk: a registry's pages on loopback to an answer at /sparql, and once more when nothing has
changed.

Each process is a real one: the registry, `stocktake serve`, `stocktake harvest`.
By hand: ``python -m benchmarks.end_to_end --records 10000``
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import httpx
import typer

from benchmarks.processes import Watch, until
from benchmarks.result_table import Aim, Json, Line, err, show
from demo.registries import Demo
from demo.source_definitions import write_sources
from journal.journal import Journal
from publisher.projections.projection import read_position

# the aims: records a second, MB, times cheaper, times more memory
RATE, MEMORY, AGAIN, GROWTH = 2500, 500, 10, 1.2
_PATIENCE = 3600.0  # seconds
_CORES = 2  # the aim's
# so that one address may ask as much as many do
LIMITS = "budget=0, rows=2000000, seconds=60, wait=300"
_COUNT = "SELECT (COUNT(*) AS ?records) { ?record a <http://www.w3.org/ns/dcat#CatalogRecord> }"


@dataclass(frozen=True, slots=True)
class Harvest:
    """One harvest: seconds until it had committed and until the store answered; processor seconds
    and peaks in MB by role.
    """

    committed: float
    answered: float
    records: int
    quads: int
    processor: Mapping[str, float]
    peaks: Mapping[str, float]
    together: float


def settings(data: Path, limits: str = "", more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of our processes, with the settings *more*."""
    settings = {
        "STOCKTAKE_DATA": str(data),
        "STOCKTAKE_SOURCES": str(data / "sources"),
        "STOCKTAKE_ALLOW_HOSTS": "127.0.0.1",
    }
    # the one address that asks here stands for many
    settings["STOCKTAKE_QUERY_LIMITS"] = f"budget=0, each=0, share=0, {limits}"
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("STOCKTAKE_")},
        **settings,
        **(more or {}),
    }


@contextmanager
def served(
    data: Path,
    limits: str = "",
    more: Mapping[str, str] | None = None,
    module: str = "stocktake",
) -> Iterator[str]:
    """Serve *data* with the command `serve` of *module* and the settings *more*; return the
    address.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", module, "serve", "--port", str(port)]
    with subprocess.Popen(command, env=settings(data, limits, more)) as server:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            # else all that is seen is a connection that was refused
            if (code := server.poll()) is not None:
                err.print(f"the server ended by itself with code {code}")
            server.terminate()


def is_served(client: httpx.Client, journal: Journal) -> bool:
    """Return whether the server shows all that the journal holds."""
    try:
        health = client.get("/health").json()
    except httpx.TransportError:
        return False
    return bool(health["position"] == latest(journal))


def latest(journal: Journal) -> int:
    """Return the number of the journal's last entry, 0 where there is none."""
    head = journal.head
    return head.number if head else 0


def count(client: httpx.Client) -> int:
    """Ask /sparql how many records there are."""
    answer = client.get(
        "/sparql", params={"query": _COUNT}, headers={"Accept": "application/sparql-results+json"}
    )
    return int(answer.raise_for_status().json()["results"]["bindings"][0]["records"]["value"])


def harvested(data: Path, client: httpx.Client, *options: str) -> Harvest:
    """Harvest all sources once and wait for the answer."""
    journal = Journal(data / "journal")
    command = [sys.executable, "-m", "stocktake", "harvest", "--json", *options]
    with Watch() as watch:
        base, since = dict(watch.seconds()), time.perf_counter()
        subprocess.run(command, env=settings(data), check=True, stdout=subprocess.DEVNULL)
        committed = time.perf_counter() - since
        until(lambda: is_served(client, journal), _PATIENCE)
        records = count(client)
        answered = time.perf_counter() - since
        quads = int(client.get("/health").json()["quads"])
    spent = {role: seconds - base.get(role, 0.0) for role, seconds in watch.seconds().items()}
    return Harvest(committed, answered, records, quads, spent, watch.peaks(), watch.together)


def settled(data: Path, client: httpx.Client) -> None:
    """Wait until the indexes have followed the store, and it shows them so."""
    journal = Journal(data / "journal")
    published = [data / "store" / beside / "shown" for beside in ("text", "columns")]
    until(lambda: min(map(read_position, published)) == latest(journal), _PATIENCE)
    before, since = None, time.monotonic()
    while time.monotonic() - since < 2:  # seconds without a new snapshot
        now = client.get("/health").json().get("snapshot")
        before, since = now, since if now == before else time.monotonic()
        time.sleep(0.2)


def walk(registry: str, records: int, folder: Path) -> dict[str, Harvest]:
    """Harvest a new registry of *records*, then the same again: what changed, and in full."""
    with Demo(size=records, only=(registry,), faults=()) as portal:
        write_sources(portal.url, folder / "sources", (registry,))
        with served(folder) as address, httpx.Client(base_url=address, timeout=_PATIENCE) as client:
            until(lambda: ready(client), 60)
            harvests = {"first": harvested(folder, client)}
            settled(folder, client)  # or it would take the second harvest's time
            harvests["again"] = harvested(folder, client)
            harvests["again, all read"] = harvested(folder, client, "--full")
            return harvests


def ready(client: httpx.Client) -> bool:
    """Return whether the server answers."""
    try:
        return client.get("/health").is_success
    except httpx.TransportError:
        return False


def _ours(harvest: Harvest) -> float:
    return sum(seconds for role, seconds in harvest.processor.items() if role != "registry")


def _lines(records: int, harvests: Mapping[str, Harvest]) -> list[Line]:
    first, size = harvests["first"], f"{records:,} records: "
    lines = [
        Line(f"{size}page to answer at /sparql", "records/s", first.records / first.answered, aim=Aim("least", RATE, "ours"),
             note=f"{first.records:,} records answered, {first.quads / max(1, first.records):.0f} quads each, the vocabulary's in"),
        Line(f"{size}if it had two idle cores throughout", "records/s", first.records / (_ours(first) / _CORES),
             note="from the processor seconds below: what the machine's other work does not change much"),
        Line(f"{size}committed after", "s", first.committed),
        Line(f"{size}answered after", "s", first.answered),
        *(Line(f"{size}processor, {role}", "s", seconds) for role, seconds in sorted(first.processor.items())),
        *(Line(f"{size}peak memory, {role}", "MB", value, aim=Aim("most", MEMORY, "ours") if role != "registry" else None,
               note="the greatest process") for role, value in sorted(first.peaks.items())),
        Line(f"{size}memory of all processes at once", "MB", first.together, aim=Aim("most", MEMORY, "ours"), note="without the registry"),
    ]  # fmt: skip
    for name in ("again", "again, all read"):
        ratio = first.answered / harvests[name].committed
        spent, before = (_ours(item) for item in (harvests[name], first))
        lines.append(
            Line(
                f"{size}{name}, processor",
                "s",
                spent,
                before,
                before / max(spent, 0.01),
                note="all our processes",
            )
        )
        lines.append(
            Line(
                f"{size}{name}",
                "s",
                harvests[name].committed,
                first.answered,
                ratio,
                Aim("least", AGAIN),
                "peer: the first",
            )
        )
    return lines


def _growth(walks: Mapping[int, Mapping[str, Harvest]]) -> list[Line]:
    if len(walks) < 2:
        return []
    few, many = min(walks), max(walks)
    less, more = walks[few]["first"], walks[many]["first"]
    aim = Aim("most", GROWTH)
    named = [role for role in sorted(more.peaks) if role != "registry"]
    what = f"memory, {many:,} next to {few:,} records: "
    return [
        Line(
            what + role,
            "MB",
            more.peaks[role],
            less.peaks[role],
            more.peaks[role] / less.peaks[role],
            aim,
        )
        for role in named
    ]


def main(
    records: Annotated[
        list[int] | None,
        typer.Option(help="Records of the registry; may be given more than once.", min=100),
    ] = None,
    registry: Annotated[
        str,
        typer.Option(
            help="Which simulated registry: oai (39 statements a record), ckan, csv (49) ..."
        ),
    ] = "oai",
    json: Json = False,
) -> None:
    """Walk with 10,000 records and with 100,000, or with as many as are given."""
    walks: dict[int, Mapping[str, Harvest]] = {}
    for size in records or [10_000, 100_000]:
        err.print(f"walking with {size:,} records")
        with tempfile.TemporaryDirectory(prefix="walk-") as folder:
            walks[size] = walk(registry, size, Path(folder))
    lines = [line for size, harvests in walks.items() for line in _lines(size, harvests)]
    show(f"The whole run ({registry})", lines + _growth(walks), json)


if __name__ == "__main__":
    typer.run(main)
