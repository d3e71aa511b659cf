"""Simulation: ten thousand registries with a hundred million records, day by day, from costs that
were measured here.

Registries fall due, wait for a worker, for their host's turn and for a processor, commit one after
the other, and the store follows. Source of the engine: https://simpy.readthedocs.io/. By hand:
``python -m benchmarks.simulate``; the costs are those that ``python -m benchmarks.costs`` has
measured.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from math import ceil
from statistics import quantiles
from typing import Annotated, Any

import simpy
import typer

from benchmarks.model import Costs, load_costs
from benchmarks.result_table import Json, Line, err, show

Steps = Generator[simpy.Event, Any, Any]
DAY = 86_400.0  # seconds
_PAGE = 100  # records an answer brings
_CHUNK = 50  # pages between two looks at the clock: the simulation's grain
_SLOTS = 4  # runs at once a worker process: they mostly wait for their hosts


@dataclass(frozen=True, slots=True)
class World:
    """What is simulated: *changing* is the share of records that change a day, *reporting* that of
    registries that report changes.
    """

    registries: int = 10_000
    records: int = 100_000_000
    changing: float = 0.01
    reporting: float = 0.6
    hosts: float = 0.8  # hosts a registry: some platforms hold several
    pause: float = 1.0  # seconds between two requests to a host
    answer: float = 0.4  # seconds until an answer is there
    machines: int = 4
    cores: int = 4
    days: int = 3
    first: bool = False  # whether all begins with a first harvest of everything
    seed: int = 1
    # registries, with their hosts and workers, that each one stands for at the two stations that
    # all of them share
    scale: int = 1

    @property
    def slots(self) -> int:
        """Return how many runs go on at once: a worker a core."""
        return self.machines * self.cores * _SLOTS


@dataclass(slots=True)
class Result:
    """What came of it: seconds of work by station, and how long things took."""

    busy: dict[str, float] = field(default_factory=dict)
    waited: list[float] = field(default_factory=list)  # from due to begun
    took: list[float] = field(default_factory=list)  # from due to committed
    publication_delays: list[float] = field(default_factory=list)  # from committed to shown
    ended: list[float] = field(default_factory=list)  # when first harvests were committed
    missed: int = 0  # due again before the last run had ended

    def work(self, station: str, seconds: float) -> None:
        """Count work."""
        self.busy[station] = self.busy.get(station, 0.0) + seconds


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry: its records, its host, whether it reports changes, its minute of the day, the day
    of its full harvest.
    """

    records: int
    host: int
    reports: bool
    due: float
    full_day: int


def registries(world: World) -> list[Registry]:
    """Draw the registries: a few are huge, most are small (Pareto), as catalogues of repositories
    are.
    """
    chance = random.Random(world.seed)
    weights = [min(chance.paretovariate(1.1), 5_000) for _ in range(world.registries)]
    per, hosts = world.records / sum(weights), max(1, int(world.registries * world.hosts))
    sizes = [max(1, round(weight * per)) for weight in weights]
    return [
        Registry(
            size,
            chance.randrange(hosts),
            chance.random() < world.reporting,
            chance.uniform(0, DAY),
            chance.randrange(7),
        )
        for size in sizes
    ]


class Simulation:
    """One run of the world; ``result`` has what it measured."""

    def __init__(self, world: World, costs: Costs) -> None:
        self._world, self._costs, self.result = world, costs, Result()
        self._env = simpy.Environment()
        self._slots = simpy.Resource(self._env, world.slots)
        self._cores = simpy.Resource(self._env, world.machines * world.cores)
        self._hosts: dict[int, Any] = {}
        self._journal = simpy.Resource(self._env, 1)
        self._store = simpy.Resource(self._env, 1)

    def run(self) -> Result:
        """Let the days pass."""
        for registry in registries(self._world):
            self._env.process(self._live(registry))
        self._env.run(until=self._world.days * DAY)
        return self.result

    def _live(self, registry: Registry) -> Steps:
        yield self._env.timeout(registry.due)
        for day in range(self._world.days):
            due = registry.due + day * DAY
            if self._env.now > due + DAY / 2:
                self.result.missed += 1
                continue
            if self._env.now < due:
                yield self._env.timeout(due - self._env.now)
            yield from self._harvest(registry, day, due)

    def _harvest(self, registry: Registry, day: int, due: float) -> Steps:
        first = self._world.first and day == 0
        changed = registry.records * (1.0 if first else self._world.changing)
        read = (
            registry.records
            if first or not registry.reports or day % 7 == registry.full_day
            else changed
        )
        with self._slots.request() as slot:
            yield slot
            self.result.waited.append(self._env.now - due)
            begun = self._env.now
            yield from self._read(registry, read, changed)
            self.result.work("workers", self._env.now - begun)
            yield from self._commit(changed)
        self.result.took.append(self._env.now - due)
        if first:
            self.result.ended.append(self._env.now)
        self._env.process(
            self._show(changed * (self._costs.first if first else self._costs.shelved))
        )

    def _read(self, registry: Registry, read: float, changed: float) -> Steps:
        host = self._hosts.setdefault(registry.host, simpy.Resource(self._env, 1))
        pages, costs = ceil(read / _PAGE), self._costs
        each = (changed * costs.new + (read - changed) * costs.same) / max(1, pages)
        for at in range(0, max(1, pages), _CHUNK):
            chunk = min(_CHUNK, max(1, pages) - at)
            with host.request() as turn:
                yield turn
                yield self._env.timeout(chunk * max(self._world.pause, self._world.answer))
            with self._cores.request() as core:
                yield core
                yield self._env.timeout(chunk * each)
            self.result.work("hosts", chunk * max(self._world.pause, self._world.answer))
            self.result.work("processors", chunk * each)

    def _commit(self, changed: float) -> Steps:
        with self._journal.request() as turn:
            yield turn
            spent = (self._costs.entry + changed * self._costs.commit) * self._world.scale
            yield self._env.timeout(spent)
        self.result.work("journal", spent)

    def _show(self, spent: float) -> Steps:
        since, spent = self._env.now, spent * self._world.scale
        with self._store.request() as turn:
            yield turn
            yield self._env.timeout(spent)
        self.result.work("store", spent)
        self.result.publication_delays.append(self._env.now - since)


def lines(world: World, costs: Costs, result: Result) -> list[Line]:
    """Return the lines of a simulated world."""
    what = f"{world.registries * world.scale:,} registries, {'first harvest' if world.first else 'every day'}: "
    span = world.days * DAY
    room = {
        "workers": world.slots,
        "processors": world.machines * world.cores,
        "journal": 1,
        "store": 1,
    }
    shares = {
        station: result.busy.get(station, 0.0) / span / places for station, places in room.items()
    }
    fullest = max(shares, key=lambda item: shares[item])
    results = [Line(f"{what}{station}", "% busy", 100 * share, note=f"of {room[station]}" + (", the fullest" if station == fullest else ""))
             for station, share in shares.items()]  # fmt: skip
    delays = (
        ("due to begun", result.waited),
        ("due to committed", result.took),
        ("committed to shown", result.publication_delays),
    )
    for name, times in delays:
        if len(times) > 1:
            cut = quantiles(times, n=100)
            results.append(
                Line(
                    f"{what}{name}, median",
                    "s",
                    cut[49],
                    note=f"95 %: {cut[94]:,.0f} s, longest {max(times):,.0f} s",
                )
            )
    results.append(
        Line(f"{what}runs left out, the last one still going", "a day", result.missed / world.days)
    )
    if world.first:
        results.append(
            Line(f"{what}all committed after", "days", max(result.ended, default=0.0) / DAY)
        )
        results += [Line(f"{what}{name} of a first harvest", "GB", world.records * world.scale * size / 1e9)
                  for name, size in costs.sizes.items()]  # fmt: skip
    return results


def saturation(world: World, costs: Costs, result: Result) -> list[Line]:
    """Return at how many times the first world each station is full, and the time that rate limits
    alone take.
    """
    span = world.days * DAY
    places = {
        "workers": world.slots,
        "processors": world.machines * world.cores,
        "journal": 1,
        "store": 1,
    }
    full = {
        station: world.scale * span * room / result.busy[station]
        for station, room in places.items()
        if result.busy.get(station)
    }
    largest = max(registry.records for registry in registries(world))
    hours = ceil(largest / _PAGE) * (world.pause + world.answer) / 3600
    what = f"{world.registries * world.scale:,} registries, {'first harvest' if world.first else 'every day'}: "
    ordered = sorted(full.items(), key=lambda item: item[1])
    results = [
        Line(f"{what}{station} full at", "times the world", times, note=f"{places[station]} of it")
        for station, times in ordered
    ]
    return [
        *results,
        Line(
            f"{what}full harvest of the largest registry",
            "h",
            hours,
            note=f"{largest:,} records, {_PAGE} a page, politeness alone",
        ),
    ]


def main(
    times: Annotated[
        list[int] | None,
        typer.Option(help="How many times the world; may be given more than once."),
    ] = None,
    machines: Annotated[
        int, typer.Option(help="Machines with workers, for each of these times.", min=1)
    ] = 4,
    json: Json = False,
) -> None:
    """Simulate the world once, ten times and a hundred times as large, or as many times as are
    given.
    """
    costs, results = load_costs(), list[Line]()
    for factor in times or [1, 10, 100]:
        world = World(machines=machines, scale=factor)
        for item in (replace(world, first=True, days=14), world):
            err.print(f"simulating {item.registries * factor:,} registries, {item.days} days")
            result = Simulation(item, costs).run()
            results += lines(item, costs, result) + saturation(item, costs, result)
    show("Simulation", results, json)


if __name__ == "__main__":
    typer.run(main)
