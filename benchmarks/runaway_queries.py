"""Runaways: what 31 small queries feel while a runaway join, a runaway sort and a hog of memory
run, through `stocktake serve`.

By hand: ``python -m benchmarks.runaway_queries --records 20000``
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import httpx
import typer

from benchmarks.end_to_end import harvested, ready, served, settled
from benchmarks.processes import until
from benchmarks.result_table import Json, Line, err, show
from demo.registries import Demo
from demo.source_definitions import write_sources
from vocab.iris import BASE

_PREFIXES = f"PREFIX wsis: <{BASE}ns#> PREFIX dct: <http://purl.org/dc/terms/> "
_RUNAWAYS = {
    "join": "SELECT (COUNT(*) AS ?n) { ?a dct:title ?x . ?b dct:title ?y . ?c dct:title ?z FILTER(STRLEN(?x) < STRLEN(?y)) }",
    "sort": """SELECT ?a { { SELECT ?a ?x { ?a dct:title ?x . ?b a wsis:Initiative } LIMIT 2000000 } }
        ORDER BY DESC(STRLEN(REPLACE(STR(?x), '(a|e|i|o|u)+', STR(?a)))) LIMIT 1""",
    "memory": "SELECT (COUNT(*) AS ?n) { SELECT DISTINCT ?a ?b ?c { ?a dct:title ?x . ?b dct:title ?y . ?c dct:title ?z } }",
}
_SMALL = 31
_LIMITS = "memory=1GiB"  # which the hog reaches before its time is over


@dataclass(frozen=True, slots=True)
class _Asked:
    status: int
    seconds: float
    outcome: str = ""


def _ask(url: str, query: str) -> _Asked:
    since = time.perf_counter()
    answer = httpx.get(f"{url}/sparql", params={"query": _PREFIXES + query}, timeout=120)
    seconds = time.perf_counter() - since
    problem = answer.headers.get("content-type", "") == "application/problem+json"
    return _Asked(answer.status_code, seconds, answer.json()["detail"] if problem else "")


def small(number: int) -> str:
    """Return a small query that no other is, so that none is answered from the cache."""
    return f"SELECT ?s ?t {{ ?s a wsis:Initiative ; dct:title ?t }} OFFSET {number} LIMIT 10"


def crowd(url: str, first: int) -> list[_Asked]:
    """Ask 31 small queries by eight clients at once."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda number: _ask(url, small(first + number)), range(_SMALL)))


def _figures(name: str, alone: Sequence[_Asked], together: Sequence[_Asked]) -> list[Line]:
    good = f"{sum(asked.status == 200 for asked in together)} of {len(together)} answered"
    middles = median(asked.seconds for asked in alone), median(asked.seconds for asked in together)
    worst = max(asked.seconds for asked in alone), max(asked.seconds for asked in together)
    return [
        Line(
            f"{name}: median, together and alone",
            "ms",
            middles[1] * 1000,
            middles[0] * 1000,
            middles[1] / middles[0],
            note=good,
        ),
        Line(
            f"{name}: slowest, together and alone",
            "ms",
            worst[1] * 1000,
            worst[0] * 1000,
            worst[1] / worst[0],
        ),
    ]


def _measured(url: str) -> list[Line]:
    crowd(url, 0)  # the readers are warm then
    alone = crowd(url, 1000)
    with ThreadPoolExecutor(len(_RUNAWAYS)) as pool:
        running = {name: pool.submit(_ask, url, query) for name, query in _RUNAWAYS.items()}
        at_once = crowd(url, 2000)
        time.sleep(2)  # by now they have been set aside
        later = crowd(url, 3000)
        ended = {name: future.result() for name, future in running.items()}
    after = crowd(url, 4000)
    lines = _figures("31 small, at once with three runaways", alone, at_once) + _figures(
        "31 small, 2 s later", alone, later
    )
    lines += _figures("31 small, afterwards", alone, after)
    return lines + [
        Line(f"runaway {name}", "s", asked.seconds, note=f"{asked.status}: {asked.outcome}")
        for name, asked in ended.items()
    ]


def main(
    records: Annotated[
        int, typer.Option(help="Records to harvest and ask about.", min=4000)
    ] = 20_000,
    json: Json = False,
) -> None:
    """Harvest a simulated portal, serve it, and let three queries run away."""
    with (
        tempfile.TemporaryDirectory(prefix="runaways-") as name,
        Demo(size=records, only=("ckan",), faults=()) as registry,
    ):
        data = Path(name) / "data"
        write_sources(registry.url, data / "sources", ("ckan",))
        with served(data, _LIMITS) as url, httpx.Client(base_url=url, timeout=600) as client:
            until(lambda: ready(client), 300)
            err.print(f"harvesting {records:,} records")
            harvested(data, client)
            settled(data, client)
            lines = _measured(url)
    show("Runaways, next to small queries", lines, json)


if __name__ == "__main__":
    typer.run(main)
