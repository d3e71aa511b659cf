"""Disturb harvesters, workers on PostgreSQL, publishers and a mirror at random, and compare their
results with those of an undisturbed run.

``make chaos MINUTES=10 SEED=3``. Each round is a day on which the registries change. One or two
disturbances, chosen by the seed, are applied while the day is harvested, published and mirrored,
and removed; then every installation must show that day's records. Repairs by hand are those of the
documentation: run again, start again, restore the file that ``stocktake verify`` names,
``verify --repair``. At the end ``verify`` finds every installation sound, and all dumps are equal
but for the times and numbers of runs.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from chaos_registries import Link, Registries
from installation import FAKETIME, SETTLE, Installation
from postgresql import Cluster, missing, running_cluster
from processes import Process, children
from rich.console import Console
from rich.table import Table
from waiting import wait_until

from harvesters.network.fetch import NetworkSettings
from harvesters.runs.context import open_context
from harvesters.runs.publish_graphs import publish_vocabulary
from harvesters.runs.run import harvest
from harvesters.source import load_all
from journal.journal import Journal
from publisher.releases.dump import write_dumps
from publisher.store.snapshots import newest_snapshot
from vocab.iris import BASE

SOURCES = ("one", "two")
FLIPPED = 64  # bytes that a flip inverts
ATTEMPTS = 8  # harvests until one must succeed, once nothing disturbs any more
AGAIN = 15.0  # seconds after which a run of a worker is queued again
ENDED = "('committed', 'unchanged')"
KEPT = ("journal", "archive", "ledger")  # parts of an installation that only a backup restores

_RUN_GRAPH = re.compile(r"/run/[^> ]+> \.$")

console = Console(width=120)


@dataclass(frozen=True)
class Disturbance:
    """A disturbance of *target*: *apply* starts it and returns a description, *lift* ends it."""

    kind: str
    target: str
    apply: Callable[[], str]
    lift: Callable[[], None] = lambda: None


@dataclass
class DisturbanceOutcome:
    """The results of one kind of disturbance: how often it was applied, was noticed, and needed
    repairs by hand, and the seconds until every installation was up to date again.
    """

    times: int = 0
    noticed: int = 0
    by_hand: int = 0
    seconds: list[float] = field(default_factory=list)


@dataclass
class ChaosWorld:
    """All installations, and the registries, links and database that they depend on; *cluster* is
    None if PostgreSQL is not installed.
    """

    registries: Registries
    links: dict[str, Link]
    single: Installation
    mirror: Installation
    shared: Installation | None = None
    cluster: Cluster | None = None

    def installations(self) -> list[Installation]:
        return [item for item in (self.single, self.shared, self.mirror) if item]


class Chaos:
    """A run of rounds; its dice decide everything but the times at which the processes work."""

    def __init__(self, world: ChaosWorld, seed: int) -> None:
        self.world, self.dice = world, random.Random(seed)
        self.outcomes: dict[tuple[str, str], DisturbanceOutcome] = {}
        self.harvester: Process | None = None
        self.log: list[str] = []

    def round(self, day: int) -> None:
        """Run one day with its disturbances, until every installation shows its records."""
        self.world.registries.day = day
        chosen = [self.choose() for _ in range(self.dice.choice([1, 1, 2]))] if day else []
        for kind, target in chosen:
            self.outcomes.setdefault((kind, target), DisturbanceOutcome()).times += 1
        flips = [target for kind, target in chosen if kind == "flip"]
        for target in flips:
            self.prepare_flip(target)
        self.begin()
        applied: list[Disturbance] = []
        for kind, target in chosen:
            time.sleep(self.dice.uniform(0, 2.5))
            item = self.disturbance(kind, target)
            self.log.append(f"day {day}: {kind} {target}: {item.apply()}")
            applied.append(item)
        time.sleep(self.dice.uniform(0, 3))
        for item in applied:
            item.lift()
        since = time.monotonic()
        for target in flips:
            self.repair(target)
        self.settle()
        for kind, target in chosen:
            self.outcomes[kind, target].seconds.append(time.monotonic() - since)

    def choose(self) -> tuple[str, str]:
        """Draw a kind first, so that each kind is as frequent as the others."""
        names = [item.name for item in self.world.installations()]
        servers = [f"server of {name}" for name in names] + [
            f"process of {name}'s server" for name in names
        ]
        kinds = {
            "kill": [
                "harvester",
                *servers,
                *(["worker", "PostgreSQL"] if self.world.shared else []),
            ],
            "network": [*self.world.links],
            "flip": [
                f"{part} of {name}" for name in names for part in ("journal", "store", "dumps")
            ]
            + ["ledger of single", *(f"archive of {name}" for name in names if name != "mirror")],
        }
        if all(item.has_disk for item in self.world.installations()):
            kinds["full disk"] = names
        if FAKETIME.exists():
            kinds["clock"] = names
        kind = self.dice.choice([*kinds])
        return kind, self.dice.choice(kinds[kind])

    def disturbance(self, kind: str, target: str) -> Disturbance:
        """Return the disturbance of that kind and target."""
        named = {item.name: item for item in self.world.installations()}
        if kind == "kill":
            return Disturbance(kind, target, lambda: self.kill(target, named))
        if kind == "network":
            return Disturbance(
                kind, target, lambda: self.world.links[target].cut() or "cut", self.world.links[target].restore,
            )  # fmt: skip
        if kind == "clock":
            hours = self.dice.choice([-24 * 400, -3, 3, 24 * 400])
            return Disturbance(
                kind,
                target,
                lambda: named[target].clock(hours) or f"{hours:+} hours",
                lambda: named[target].clock(0),
            )
        if kind == "full disk":
            spare = self.dice.choice([0, 4096, 100_000, 1_000_000])
            return Disturbance(
                kind,
                target,
                lambda: named[target].fill_disk(spare) or f"{spare} bytes left",
                named[target].empty_disk,
            )
        part, _, name = target.partition(" of ")
        return Disturbance(
            kind, target, lambda: "before" if part in KEPT else self.flip(part, named[name])
        )

    def kill(self, target: str, named: dict[str, Installation]) -> str:
        """Kill -9 a process, or PostgreSQL, which is started again at once."""
        if target == "PostgreSQL" and self.world.cluster:
            self.world.cluster.stop(signal.SIGKILL)
            self.world.cluster.start()
            return "killed and started"
        if target == "harvester":
            process = self.harvester
        elif target == "worker" and self.world.shared:
            process = self.dice.choice(self.world.shared.workers)
        else:
            process = named[re.split(r" of |'s ", target)[1]].server
        if process is None or process.poll() is not None:
            return "had ended"
        below = sorted(children(process.pid))
        pid = (
            self.dice.choice([process.pid, *below])
            if "process of" in target or target == "harvester"
            else process.pid
        )
        if "process of" in target:
            pid = self.dice.choice(below or [process.pid])
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return (
            f"process {pid}, the main one"
            if pid == process.pid
            else f"process {pid} below the main one"
        )

    def prepare_flip(self, target: str) -> None:
        """Back up, or write the dumps. A part that only a backup restores is flipped here, before
        the day is harvested.
        """
        part, _, name = target.partition(" of ")
        item = next(item for item in self.world.installations() if item.name == name)
        if part == "dumps":
            item.dump()
        elif part in KEPT:
            if item is not self.world.mirror:
                completed = item.run("backup", str(item.backup))
                assert completed.returncode == 0, completed.stderr
            self.log.append(f"flip {target}: {self.flip(part, item)}")
            # The ledger is repaired at once: the backup could not restore a later run.
            if part == "ledger":
                self.repair(target)

    def flip(self, part: str, item: Installation) -> str:
        """Invert some bytes at a random position in a random file of that part."""
        paths = [path for path in files(part, item) if path.exists() and path.stat().st_size]
        if not paths:
            return "no file yet"
        path = self.dice.choice(paths)
        at = self.dice.randrange(path.stat().st_size)
        # A file of a snapshot that is replaced meanwhile is missing.
        with suppress(FileNotFoundError), path.open("r+b") as file:
            file.seek(at)
            content = file.read(FLIPPED)
            file.seek(at)
            file.write(bytes(byte ^ 0xFF for byte in content))
        return f"{path.relative_to(item.data)} at {at}"

    def repair(self, target: str) -> None:
        """Do what ``stocktake verify`` says: restore the files that it names from the backup or the
        origin, rebuild all else.
        """
        item = next(
            item for item in self.world.installations() if item.name == target.partition(" of ")[2]
        )
        self.wait_for_harvester()
        code, report = item.verify()
        outcome = self.outcomes["flip", target]
        if not code:
            return
        outcome.noticed += 1
        outcome.by_hand += 1
        item.stop_server()
        for part in KEPT:
            if report[part]["state"] == "damaged":
                for fault in report[part]["faults"]:
                    self.restore(item, fault["name"], part)
                # The ledger is compared with the journal only once the journal is sound.
                _, report = item.verify()
        code, report = item.verify("--repair")
        assert code == 0, f"{target}: not repaired: {report}"

    def restore(self, item: Installation, name: str, part: str) -> None:
        """Copy a file from the backup; for a mirror, from its origin."""
        origin = self.world.single.data if item is self.world.mirror else item.backup
        if part == "ledger":
            name = "ledger.sqlite"
            for suffix in ("-wal", "-shm"):
                (item.data / f"{name}{suffix}").unlink(missing_ok=True)
        elif not name.startswith(f"{part}/"):
            name = f"{part}/{name}"
        if (origin / name).exists():
            shutil.copy2(origin / name, item.data / name)

    def begin(self) -> None:
        """Start to harvest the day in every installation."""
        for item in self.world.installations():
            item.serve()
        self.harvester = self.world.single.start("harvest", *SOURCES)
        if self.world.shared:
            self.world.shared.work(2)
            self.world.shared.enqueue(SOURCES)

    def wait_for_harvester(self) -> None:
        if self.harvester:
            self.harvester.wait(SETTLE)

    def settle(self) -> None:
        """Bring every installation up to the day, as an operator would: run failed harvests again,
        and start processes that have ended.
        """
        self.wait_for_harvester()
        for attempt in range(ATTEMPTS):
            completed = self.world.single.run("harvest", *SOURCES)
            if completed.returncode == 0:
                break
            assert attempt < ATTEMPTS - 1, (
                f"the harvest fails still: {completed.stdout}{completed.stderr}"
            )
            time.sleep(1)
        if self.harvester:
            self.harvester.discard()
        if self.world.shared:
            self.settle_workers(self.world.shared)
            self.world.shared.wait_for(self.world.shared.head())
        self.world.single.wait_for(self.world.single.head())
        self.world.mirror.wait_for(self.world.single.head())

    def settle_workers(self, item: Installation) -> None:
        """Wait until the workers have ended one more run of each source than when the disturbance
        was over.
        """
        before, queued = ended_runs(item), 0.0

        def is_done() -> bool:
            nonlocal queued
            item.work(2)
            if time.monotonic() - queued > AGAIN:
                queued = time.monotonic()
                item.enqueue(SOURCES)
            return {run.rpartition(".")[0] for run in ended_runs(item) - before} == set(SOURCES)

        wait_until(
            is_done, "the workers", SETTLE, lambda: "\n".join(worker.output() for worker in item.workers), pause=0.3,
        )  # fmt: skip


def ended_runs(item: Installation) -> set[str]:
    """Return the runs of the sources that published records, or had no changes."""
    with psycopg.connect(item.ledger.replace("+psycopg", "")) as connection:
        rows = connection.execute(f"SELECT id FROM run WHERE state IN {ENDED}").fetchall()
    return {run for (run,) in rows if run.rpartition(".")[0] in SOURCES}


def files(part: str, item: Installation) -> list[Path]:
    if part == "store":
        newest = newest_snapshot(item.data / "store" / "snapshots")
        return (
            [path for path in sorted(Path(newest.path).rglob("*")) if path.is_file()]
            if newest
            else []
        )
    patterns = {
        "journal": "journal/*.rdfp.gz",
        "archive": "archive/**/*.gz",
        "ledger": "ledger.sqlite",
    }
    return sorted(item.data.glob({**patterns, "dumps": "dumps/*.gz"}[part]))


def undisturbed(world: ChaosWorld, folder: Path, days: int) -> bytes:
    """Harvest the same days without disturbances, and return the dump."""
    with open_context(
        folder,
        f"sqlite:///{folder}/ledger.sqlite",
        BASE,
        NetworkSettings("", frozenset({"127.0.0.1"})),
    ) as context:
        publish_vocabulary(context)
        for day in range(days):
            world.registries.day = day
            for source in load_all(world.single.folder / "sources").sources.values():
                harvest(source, context)
    return write_dumps(Journal(folder / "journal"), folder / "dumps")[0].read_bytes()


def statements(dump: bytes) -> Counter[str]:
    """Return the statements of a dump without those about runs, and without the times and numbers
    of runs in the others.
    """
    text = re.sub(
        rf"(/run/(?:{'|'.join(SOURCES)}|vocabulary))\.\d+", r"\1", gzip.decompress(dump).decode()
    )
    lines = re.sub(
        r'"[^"]*"\^\^<http://www.w3.org/2001/XMLSchema#dateTime>', '"time"', text
    ).splitlines()
    return Counter(line for line in lines if not _RUN_GRAPH.search(line))


def differences(world: ChaosWorld, folder: Path, days: int) -> list[str]:
    """Verify every installation, and compare the dumps with one another and with an undisturbed
    run.
    """
    results: list[str] = []
    for item in world.installations():
        item.stop_server()
        code, report = item.verify()
        results += (
            [
                f"{item.name}: {part}: {result}"
                for part, result in report.items()
                if result["state"] != "sound"
            ]
            if code
            else []
        )
    dumps = {item.name: item.dump() for item in world.installations()}
    if dumps["mirror"] != dumps["single"]:
        results.append("the mirror's dump has not the bytes of its origin's")
    expected = statements(undisturbed(world, folder, days))
    for name, dump in dumps.items():
        ours = statements(dump)
        absent, added = list(expected - ours), list(ours - expected)
        results += [f"{name}: missing {line}" for line in absent[:5]] + [
            f"{name}: too many {line}" for line in added[:5]
        ]
    console.print(
        f"{sum(expected.values()):,} statements compared in {len(dumps) + 1} dumps", highlight=False
    )
    return results


def world(folder: Path, seed: int, stack: ExitStack) -> ChaosWorld:
    """Start the registries and all installations."""
    registries = Registries(seed)
    stack.callback(registries.close)
    links = {"registries": Link(registries.port)}
    single = Installation("single", folder / "single")
    links["origin of the mirror"] = Link(single.port)
    origin = f"http://127.0.0.1:{links['origin of the mirror'].port}/"
    mirror = Installation(
        "mirror",
        folder / "mirror",
        server_command=("mirror", origin, "--serve", "--every", "1", "--pause", "0"),
    )
    chaos_world = ChaosWorld(registries, links, single, mirror)
    if reason := missing():
        console.print(f"Without workers: {reason}", style="yellow")
    else:
        chaos_world.cluster = stack.enter_context(running_cluster())
        with chaos_world.cluster.admin() as admin:
            admin.execute("CREATE DATABASE chaos")
        links["database"] = Link(chaos_world.cluster.port)
        chaos_world.shared = Installation(
            "shared",
            folder / "shared",
            chaos_world.cluster.url("chaos", port=links["database"].port),
        )
    for item in chaos_world.installations():
        stack.callback(item.close)
        item.define(SOURCES, links["registries"].port)
    for link in links.values():
        stack.callback(link.close)
    return chaos_world


def table(chaos: Chaos) -> Table:
    """Return a table of the disturbances and their results."""
    result = Table(
        "disturbance", "of", "times", "noticed by verify", "longest until all was shown (s)"
    )
    for (kind, target), outcome in sorted(chaos.outcomes.items()):
        noticed = f"{outcome.noticed} of {outcome.times}" if kind == "flip" else ""
        result.add_row(
            kind, target, str(outcome.times), noticed, f"{max(outcome.seconds, default=0):.0f}"
        )
    return result


def days_until(end: float, rounds: int | None) -> Iterator[int]:
    """Yield the number of each day until the time *end*, or as many as *rounds*."""
    day = 0
    while day < rounds if rounds is not None else time.monotonic() < end:
        yield day
        day += 1


def main() -> int:
    """Run the rounds; return 0 if all results are those of an undisturbed run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rounds", type=int, help="so many days instead")
    parser.add_argument("--seed", type=int, default=1)
    words = parser.parse_args()
    # In a mount namespace of its own, the disks vanish with this process.
    if os.geteuid() == 0 and shutil.which("unshare") and "CHAOS_MOUNTS" not in os.environ:
        os.environ["CHAOS_MOUNTS"] = "private"
        os.execvp("unshare", ["unshare", "--mount", sys.executable, *sys.argv])
    results, day, reported = list[str](), 0, 0
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, ExitStack() as stack:
        chaos = Chaos(world(Path(name), words.seed, stack), words.seed)
        try:
            for day in days_until(time.monotonic() + words.minutes * 60, words.rounds):
                chaos.round(day)
                console.print(
                    f"day {day}", *chaos.log[reported:], sep="\n  ", highlight=False, soft_wrap=True
                )
                reported = len(chaos.log)
            results = differences(chaos.world, Path(name) / "undisturbed", day + 1)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            results = [f"on day {day}: {error}"]
        console.print(table(chaos))
    console.print(
        f"seed {words.seed}: {day + 1} days, {sum(item.times for item in chaos.outcomes.values())} disturbances"
    )
    for line in (
        [*chaos.log[-8:], *results]
        if results
        else ["All dumps are equal, and everything is sound."]
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    return int(bool(results))


if __name__ == "__main__":
    sys.exit(main())
