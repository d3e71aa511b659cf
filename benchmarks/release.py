"""A cut next to `oxigraph dump | sort | gzip` of the same data, a pinned query next to the newest
data, a mirror of changes.

Each process is a real one. By hand: ``python -m benchmarks.release --records 20000``
"""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import Process
from pathlib import Path
from statistics import median
from typing import Annotated

import httpx
import structlog
import typer
from isal import igzip

from benchmarks.end_to_end import is_served, ready, served, settings, settled
from benchmarks.endpoint import oxigraph
from benchmarks.payloads import IRIS, SOURCE, payloads, reader, record, statements
from benchmarks.processes import Watch, until
from benchmarks.result_table import Aim, Json, Line, err, pairs, show, timed
from benchmarks.sparql import queries
from command_line.harvesting.mirror import open_mirror
from command_line.settings import Settings
from harvesters.mirror import LARGEST, sync
from journal.journal import Journal
from publisher.rdf.gzip_files import gzip_writer
from publisher.releases.dump import canonical_quads
from vocab.iris import BASE
from vocab.schemes import statements as vocabulary
from vocab.statements.describe import quads
from vocab.statements.provenance import Registry, describe_source

MEMORY = 500  # MB: the aim
_TIME = datetime(2026, 1, 1, tzinfo=UTC)
_SUBJECT = "http://purl.org/dc/terms/abstract"  # what a change adds to a record
_PATIENCE = 1800.0  # seconds


def write(journal: Journal, records: int) -> None:
    """Write a journal of the vocabulary, a registry and *records* records."""
    journal.append(
        (f"A {row}" for graph, triples in vocabulary(IRIS.base) for row in quads(triples, graph)),
        run="vocabulary",
        time=_TIME,
    )
    journal.append(_rows(records), run=f"{SOURCE.name}.1", time=_TIME)


def _rows(records: int) -> Iterator[str]:
    registry = Registry(
        SOURCE.name,
        SOURCE.title,
        "",
        SOURCE.url,
        SOURCE.licence,
        SOURCE.protocol,
        SOURCE.mapping,
        SOURCE.every,
    )
    yield from (
        f"A {row}" for row in quads(describe_source(registry, IRIS), IRIS.source(SOURCE.name))
    )
    read = reader()
    for raw in payloads(records):
        thing = read(record(raw))
        yield from (
            f"A {row}" for row in quads(statements(thing), IRIS.record(SOURCE.name, thing.key))
        )


def change(journal: Journal, first: int, count: int) -> None:
    """Write an entry that changes the records numbered from *first*: one statement goes, one comes,
    as after an edit.
    """
    number = (journal.head.number if journal.head else 0) + 1

    def rows() -> Iterator[str]:
        for position in range(first, first + count):
            graph = IRIS.record(SOURCE.name, f"changed-{position}")
            if number > 3:
                yield f'D <{graph}> <{_SUBJECT}> "state {number - 1}" <{graph}> .'
            yield f'A <{graph}> <{_SUBJECT}> "state {number}" <{graph}> .'

    journal.append(rows(), run=f"{SOURCE.name}.{number}", time=_TIME + timedelta(hours=number))


@dataclass(frozen=True, slots=True)
class Cut:
    """A release and its report, by the command: *seconds* in all and by stage; *peaks* of its
    processes, and of all *together*, in MB.
    """

    seconds: float
    stages: Mapping[str, float]
    peaks: Mapping[str, float]
    together: float


def cut(data: Path) -> Cut:
    """Cut a release and make its report, as the command does; the command writes the beginning of
    each stage to standard error.
    """
    line = [sys.executable, "-m", "stocktake", "release"]
    begun, begins = time.perf_counter(), [("start", 0.0)]
    with Watch() as watch:
        quiet = subprocess.DEVNULL
        with subprocess.Popen(
            line, env=settings(data), stdout=quiet, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr
            for message in process.stderr:
                if message.endswith(" ...\n"):
                    begins.append((message.removesuffix(" ...\n"), time.perf_counter() - begun))
    if process.returncode:
        raise SystemExit("no release made")
    duration = time.perf_counter() - begun
    ends = [*(at for _, at in begins[1:]), duration]
    stages = {name: end - at for (name, at), end in zip(begins, ends, strict=True)}
    return Cut(duration, stages, watch.peaks(), watch.together)


def quads_alone(data: Path, folder: Path) -> None:
    """Write the canonical N-Quads of a journal, packed, and nothing else."""
    journal = Journal(data / "journal")
    head = journal.head
    with gzip_writer(folder / "alone.nq.gz") as out:
        out.writelines(canonical_quads(journal, head.number if head else 0, folder))


def loaded(data: Path, folder: Path) -> Path:
    """Load the newest release's quads into a store of the peer's."""
    text, store = folder / "quads.nq", folder / "oxigraph"
    with (
        igzip.open(max((data / "releases").glob("*/stocktake-*.nq.gz")), "rb") as source,
        text.open("wb") as out,
    ):
        while block := source.read(1 << 20):
            out.write(block)
    subprocess.run(
        oxigraph("load", "--lenient", "--location", store, "--file", text),
        check=True,
        capture_output=True,
    )
    subprocess.run(oxigraph("optimize", "--location", store), check=True, capture_output=True)
    text.unlink()
    return store


def theirs(store: Path, out: Path) -> tuple[float, float]:
    """Dump, sort and pack by the system's tools; return the seconds and the greatest peak of memory
    in MB.
    """
    line = (
        " ".join(oxigraph("dump", "--location", store, "--format", "nq"))
        + f" | sort | gzip > {out}"
    )
    with Watch() as watch:
        duration = timed(
            lambda: subprocess.run(
                ["/bin/sh", "-c", line],
                env=os.environ | {"LC_ALL": "C"},
                check=True,
                stderr=subprocess.DEVNULL,
            )
        )
    return duration, max(watch.peaks().values())


def digest(path: Path) -> str:
    """Return the SHA-256 of a gzip file's content."""
    total = hashlib.sha256()
    with igzip.open(path, "rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def releases(data: Path, folder: Path, records: int) -> list[Line]:
    """Cut a release next to the peer, and compare the bytes."""
    created = cut(data)
    duration, memory = created.seconds, max(created.peaks.values())
    err.print("loading the peer's store")
    store = loaded(data, folder)
    other, their_memory = theirs(store, folder / "theirs.nq.gz")
    alone = timed(lambda: quads_alone(data, folder))
    ours = next((data / "releases/1").glob("*.nq.gz"))
    if len({digest(path) for path in (ours, folder / "theirs.nq.gz", folder / "alone.nq.gz")}) != 1:
        raise SystemExit("the quads differ: the benchmark compares nothing")
    size, files = f"{records:,} records: ", len(list((data / "releases/1").iterdir()))
    return [
        Line(
            f"{size}canonical N-Quads alone",
            "s",
            alone,
            other,
            other / alone,
            note="peer: oxigraph dump | sort | gzip; the same bytes",
        ),
        Line(
            f"{size}the whole command",
            "s",
            duration,
            other,
            other / duration,
            note=f"{files} files: four forms, tables, sums, signatures; and the report",
        ),
        *(Line(f"of it: {stage}", "s", seconds) for stage, seconds in created.stages.items()),
        Line(
            f"{size}its greatest process",
            "MB",
            memory,
            their_memory,
            aim=Aim("most", MEMORY, "ours"),
            note="; ".join([f"{role} {peak:.0f}" for role, peak in created.peaks.items()])
            + "; peer: its greatest process",
        ),
        Line(
            f"{size}all its processes at once",
            "MB",
            created.together,
            note="pages that they share counted once",
        ),
    ]


def pinned(data: Path, url: str) -> list[Line]:
    """Ask a release and the newest data the same, in turn; each text is new, so that no answer was
    held.
    """
    asked = {name: query for name, query in queries().items() if name != "rows"}
    with httpx.Client(base_url=url, timeout=120) as client:

        def ask(query: str, **more: str) -> bytes:
            return (
                client.get(
                    "/sparql",
                    params={
                        "query": f"{query}\n# {time.perf_counter_ns()}",
                        "format": "tsv",
                        **more,
                    },
                )
                .raise_for_status()
                .content
            )

        for query in asked.values():
            ask(query)
            ask(query, release="2")
        results = [
            pairs(lambda query=query: ask(query, release="2"), lambda query=query: ask(query), 7)  # type: ignore[misc]
            for query in asked.values()
        ]
    ratios = [1 / pair.ratio for pair in results]
    ours, peer = (
        median(seconds) * 1000
        for seconds in ([pair.ours for pair in results], [pair.peer for pair in results])
    )
    return [
        Line(
            f"{len(results)} queries of a release, the middle",
            "ms",
            ours,
            peer,
            median(ratios),
            note="peer: the same on the newest data",
        ),
        Line("the worst of them", "", None, None, max(ratios)),
    ]


def mirrored(data: Path, url: str, folder: Path, changes: int) -> list[Line]:
    """Follow a journal: all of it, one entry of many changes, and as many changes in a hundred
    entries.
    """
    mirror, journal, results = folder / "mirror", Journal(data / "journal"), list[Line]()
    here = Settings(mirror, folder, BASE, "", frozenset({"127.0.0.1"}), "no contact given", "rust")

    def bring() -> float:
        with open_mirror(here, f"{url}/", None, 0.0, LARGEST) as item:
            return timed(lambda: sync(item))

    plain = sum(1 for entry in journal.entries() for _ in entry.lines())
    whole = bring()
    results.append(
        Line(
            "a mirror's first copy, each entry proved",
            "rows/s",
            plain / whole,
            note=f"{plain:,} rows in {whole:.1f} s",
        )
    )
    change(journal, 0, changes)
    one = bring()
    results.append(
        Line(f"{changes:,} changes in one entry", "s", one, note=f"{changes / one:,.0f} a second")
    )
    for first in range(0, changes, changes // 100):
        change(journal, first, changes // 100)
    many = bring()
    results.append(
        Line(
            f"{changes:,} changes in 100 entries",
            "s",
            many,
            one,
            many / one,
            note="peer: in one entry",
        )
    )
    if Journal(mirror / "journal").verify() != journal.verify() or digest_of(mirror) != digest_of(
        data
    ):
        raise SystemExit("the mirror holds another journal than its origin")
    return results


def digest_of(data: Path) -> str | None:
    """Return the id of a journal's newest entry."""
    head = Journal(data / "journal").head
    return head.id if head else None


def main(
    records: Annotated[
        int, typer.Option(help="Records of the generated store.", min=1000)
    ] = 20_000,
    changes: Annotated[
        int, typer.Option(help="Records that change, for the mirror.", min=100)
    ] = 10_000,
    serving: Annotated[
        bool,
        typer.Option("--serving/--cut-only", help="Measure pinned queries and the mirror too."),
    ] = True,
    json: Json = False,
) -> None:
    """Write a journal, cut a release of it, ask it again, and mirror it."""
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        folder = Path(name)
        data = folder / "data"
        journal = Journal(data / "journal")
        err.print(f"writing {records:,} records")
        # not a line for each entry
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        # or a process that is started below it would count its memory
        writer = Process(target=write, args=(journal, records))
        writer.start()
        writer.join()
        result = releases(data, folder, records)
        if serving:
            with (
                served(data, "seconds=600") as url,
                httpx.Client(base_url=url, timeout=_PATIENCE) as client,
            ):
                err.print("the store is made")
                until(lambda: ready(client) and is_served(client, journal), _PATIENCE)
                change(journal, 0, 10)
                until(lambda: is_served(client, journal), _PATIENCE)
                settled(data, client)
                cut(data)
                result += pinned(data, url) + mirrored(data, url, folder, changes)
    show("Releases, pinned queries and mirrors", result, json)


if __name__ == "__main__":
    typer.run(main)
