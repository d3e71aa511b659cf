"""The same questions to six endpoints over the same data, side by side in one run.

They are ours on our own store, `oxigraph serve`, Virtuoso, ours on that Virtuoso by URL, maplib and
rdflib-endpoint. Then one in a hundred records changes: how soon do both of ours show it, and do
readers wait meanwhile?

By hand: ``python -m benchmarks.columns --records 20000``; ``--records 1000000 --columns-only`` for
sizes that an RDF store loads in hours.
"""

from __future__ import annotations

import http.client
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import httpx
import orjson
import typer
from rich.table import Table

from benchmarks.columns_only import columns_only_endpoint, command
from benchmarks.concurrent_queries import (
    AT_ONCE,
    FIRST,
    LAST,
    REPEATED,
    Client,
    Column,
    Figure,
    crowded,
    format_figure,
    measure,
)
from benchmarks.end_to_end import LIMITS, harvested, ready, served, settled
from benchmarks.endpoint import loaded, peer, rows, unpack
from benchmarks.engines import bulk_load, missing, started
from benchmarks.processes import until
from benchmarks.python_peers import maplib_endpoint, rdflib_endpoint, share
from benchmarks.result_table import Aim, Json, Line, err
from benchmarks.sparql import SMALL, natively, queries
from benchmarks.update_latency import SHOWN, WAIT, changed
from demo.registries import Demo
from demo.source_definitions import write_sources
from publisher.store.external.client import MERGE
from publisher.store.snapshots import newest_snapshot

LOAD = "first load, s"
_BUFFERS = 4 << 30  # bytes that Virtuoso holds at most
_SLOW = 300.0  # seconds in all for rdflib-endpoint, which answers few of the questions
AIMS = {
    **{crowded(clients): Aim("least", 0.8) for clients in AT_ONCE},
    REPEATED: Aim("least", 10),
    FIRST: Aim("most", 20, "ours"),
    LAST: Aim("most", 1.2),
    SHOWN: Aim("most", 10_000, "ours"),
    WAIT: Aim("most", 100, "ours"),
}


def differing(columns: Sequence[Column], small: Mapping[str, str]) -> dict[str, list[str]]:
    """Compare the answers of all with the first one's; return by column the queries whose answers
    differ.
    """
    results: dict[str, list[str]] = {}
    for name, query in small.items():
        right = _rows(columns[0], query)
        for column in columns[1:]:
            if right is None or _rows(column, query) != right:
                results.setdefault(column.name, []).append(name)
    return results


def _rows(column: Column, query: str) -> list[bytes] | None:
    client = Client(column)
    try:
        return rows(client.ask(query)[0])
    except (OSError, http.client.HTTPException):
        return None
    finally:
        client.close()


def lines(columns: Sequence[Column]) -> list[Line]:
    """Put ours beside the second column, `oxigraph serve` if it is asked, with the aims."""
    ours, peers = columns[0].figures, columns[1].figures if len(columns) > 1 else {}
    results = []
    for name, figure in ours.items():
        a, b = (value if isinstance(value, float) else None for value in (figure, peers.get(name)))
        unit = name.rpartition(", ")[2] if "," in name else ""
        results.append(Line(name, unit, a, b, a / b if a and b else None, AIMS.get(name)))
    return results


def _print_table(columns: Sequence[Column], note: str) -> None:
    beside = {line.what: line for line in lines(columns)}
    heads = ["", *(column.name for column in columns), "ours by the second's", "aim", "met"]
    table = Table(*heads, title=f"Columns: {note}")
    print("|", " | ".join(heads), "|")
    print("|---" * len(heads) + "|")
    for name in dict.fromkeys(name for column in columns for name in column.figures):
        line = beside.get(name) or Line(name, "", None)
        ratio = f"{line.ratio:.2f}" if line.ratio else ""
        is_met = "" if line.aim is None else "yes" if line.aim.is_met(line) else "no"
        cells = [
            name,
            *(format_figure(column.figures.get(name, "")) for column in columns),
            ratio,
            str(line.aim or ""),
            is_met,
        ]
        table.add_row(*cells)
        print("|", " | ".join(cells), "|")
    err.print(table)


def _rows_of(columns: Sequence[Column], note: str) -> list[dict[str, object]]:
    """Return the lines as ``table.show`` does, each with all columns."""
    return [
        {
            "benchmark": f"Columns: {note}",
            **asdict(line),
            "met": line.aim.is_met(line) if line.aim else None,
            "columns": {column.name: column.figures.get(line.what) for column in columns},
        }
        for line in lines(columns)
    ]


def _ours(open_: ExitStack, data: Path, records: int) -> str:
    """Harvest a simulated portal into *data*, serve it, and dump it; return the address."""
    with Demo(size=records, only=("ckan",), faults=()) as registry:
        write_sources(registry.url, data / "sources", ("ckan",))
        ours = open_.enter_context(served(data, LIMITS))
        client = open_.enter_context(httpx.Client(base_url=ours, timeout=600))
        until(lambda: ready(client), 300)
        err.print(f"harvesting {records:,} records")
        harvested(data, client)
    err.print("dumping, and waiting until tables and texts have followed")
    command(data, "dump")
    settled(data, client)
    return ours


def _virtuoso(open_: ExitStack, folder: Path, journal: Path) -> tuple[Column, Column]:
    """Start Virtuoso, and ours on it with the same journal, which loads it."""
    engine = open_.enter_context(started("virtuoso", folder / "virtuoso", _BUFFERS))
    other = folder / "other"
    shutil.copytree(journal, other / "journal")
    theirs = open_.enter_context(served(other, LIMITS, engine.address.environment()))
    there = open_.enter_context(httpx.Client(base_url=theirs, timeout=600))
    err.print("loading Virtuoso")
    since = time.perf_counter()
    until(lambda: ready(there) and there.get("/health").json().get("lag") == 0, 7200, 1.0)
    results: dict[str, Figure] = {LOAD: time.perf_counter() - since}
    err.print(f"  {format_figure(results[LOAD])} s; waiting until tables and texts have followed")
    snapshots = other / "store" / engine.address.folder / "snapshots"
    until(
        lambda: (
            (item := newest_snapshot(snapshots)) is not None
            and item.text == item.columns == item.position
        ),
        7200,
        1.0,
    )
    return Column("Virtuoso", engine.address.query, [("default-graph-uri", MERGE)]), Column(
        "ours on Virtuoso", f"{theirs}/sparql", (), figures=results
    )


def _virtuoso_alone(open_: ExitStack, folder: Path) -> Column:
    """Start Virtuoso, and load what was dumped into *folder* with its own loader."""
    engine = open_.enter_context(started("virtuoso", folder / "virtuoso", _BUFFERS))
    err.print("loading Virtuoso")
    since = time.perf_counter()
    bulk_load(folder / "virtuoso", [*folder.glob("*.nq"), *folder.glob("*.ttl")])
    figures: dict[str, Figure] = {LOAD: time.perf_counter() - since}
    err.print(f"  {format_figure(figures[LOAD])} s")
    return Column("Virtuoso", engine.address.query, [("default-graph-uri", MERGE)], figures=figures)


def _rdflib(open_: ExitStack, dump: Path, folder: Path, most: int) -> Column | None:
    """Start rdflib-endpoint on at most *most* statements; None where it is not ready in time."""
    file, whole = share(dump, folder, most)
    name = "rdflib-endpoint" if whole else f"rdflib-endpoint, {most:,} statements"
    err.print(f"loading {name}")
    try:
        return Column(name, open_.enter_context(rdflib_endpoint(file)), patience=20, budget=_SLOW)
    except (TimeoutError, subprocess.CalledProcessError) as error:
        err.print(f"  left out: {error}")
        return None


def _maplib(open_: ExitStack, folder: Path) -> Column:
    """Start maplib on the default graph that was dumped into *folder*."""
    err.print("loading maplib")
    return Column("maplib", open_.enter_context(maplib_endpoint(next(folder.glob("*.ttl")))))


def _ask_all(
    columns: Sequence[Column], small: Mapping[str, str], slow: Mapping[str, str], large: str
) -> None:
    """Compare the answers of all, then ask each alone; the figures are kept in the columns. No
    *large* query: no large answer is asked for.
    """
    unlike = differing(columns, small)
    for column in columns:
        err.print(f"asking {column.name}")
        measure(column, small, slow, large)
        names = ", ".join(unlike.get(column.name, ()))
        column.figures["answers that are not as ours"] = names or "none"


def main(
    records: Annotated[
        int, typer.Option(help="Records to harvest and ask about.", min=4000)
    ] = 20_000,
    rdflib: Annotated[
        int,
        typer.Option(
            help="Statements for rdflib-endpoint, which holds them in memory; 0 leaves it out."
        ),
    ] = 500_000,
    virtuoso: Annotated[bool, typer.Option(help="With Virtuoso.")] = True,
    under: Annotated[
        bool, typer.Option(help="With ours on Virtuoso too, which takes another first load.")
    ] = True,
    maplib: Annotated[bool, typer.Option(help="With maplib, which holds all in memory.")] = False,
    columns_only: Annotated[
        bool,
        typer.Option(help="With nothing in our RDF store, without `oxigraph serve` and a change."),
    ] = False,
    json: Json = False,
) -> None:
    """Harvest a simulated portal, put the same into each store, and ask all of them the same."""
    small = queries()
    large = small.pop("rows")
    small = dict(list(small.items())[:12])
    with tempfile.TemporaryDirectory(prefix="columns-") as name, ExitStack() as open_:
        folder = Path(name)
        data = folder / "data"
        if columns_only:
            columns = [Column("ours", f"{columns_only_endpoint(open_, data, records)}/sparql")]
            unpack(data / "dumps", folder)
            slow, large, under = small, "", False
        else:
            columns = [Column("ours", f"{_ours(open_, data, records)}/sparql")]
            store = loaded(data / "dumps", folder)
            inside = natively(store, small)
            slow = {name: query for name, query in small.items() if inside[name] >= SMALL}
            columns.append(Column("oxigraph serve", open_.enter_context(peer(store))))
        if virtuoso and not missing("virtuoso"):
            columns += (
                _virtuoso(open_, folder, data / "journal")
                if under
                else [_virtuoso_alone(open_, folder)]
            )
        if maplib:
            columns.append(_maplib(open_, folder))
        if rdflib and (last := _rdflib(open_, next(folder.glob("*.nq")), folder, rdflib)):
            columns.append(last)
        _ask_all(columns, small, slow, large)
        own = [column for column in columns if column.name.startswith("ours")]
        if not columns_only:
            changed([data, folder / "other"][: len(own)], own, records)
    quick = ", ".join(sorted(small.keys() - slow.keys())) or "none"
    title = f"{records:,} records; too quick for the crowds: {quick}"
    if json:
        print(orjson.dumps(_rows_of(columns, title)).decode())
    else:
        _print_table(columns, title)


if __name__ == "__main__":
    typer.run(main)
