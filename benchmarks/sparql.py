"""`/sparql` of `stocktake serve` next to `oxigraph serve` on the same data, with answers compared
equal first.

By hand: ``python benchmarks/sparql.py --records 20000``
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Annotated

import httpx
import typer
from pyoxigraph import QuerySolutions, Store

from benchmarks.end_to_end import harvested, ready, served, settings, settled
from benchmarks.endpoint import Endpoint, loaded, peer, rows
from benchmarks.processes import until
from benchmarks.result_table import Aim, Json, Line, Pair, err, pairs, show, timed
from demo.registries import Demo
from demo.source_definitions import write_sources
from vocab.iris import BASE

_ROWS = "rows"  # the query with 100,000 rows; the others are the small ones
# seconds that a small query takes natively at least: below that it is the connection that is
# measured
SMALL = 0.002
_AT_ONCE = 8
_TIMES = 15


def queries() -> dict[str, str]:
    """Read the queries, each under its file's name; they stand under our base."""
    results = sorted((Path(__file__).parent / "queries").glob("*.rq"))
    return {path.stem: f"BASE <{BASE}>\n{path.read_text(encoding='utf-8')}" for path in results}


def natively(store: Path, asked: Mapping[str, str]) -> dict[str, float]:
    """Return the seconds that each query takes inside the engine, the answer read to its end."""
    store_copy = Store.read_only(str(store))

    def ask(query: str) -> None:
        answer = store_copy.query(query)
        assert isinstance(answer, QuerySolutions)
        for _ in answer:
            pass

    return {
        name: median(timed(lambda query=query: ask(query)) for _ in range(5))  # type: ignore[misc]
        for name, query in asked.items()
    }


def alone(ours: str, theirs: str, query: str) -> Pair:
    """Ask both in turn, one question at a time."""
    a, b = Endpoint(ours), Endpoint(theirs)
    a.ask(query)
    b.ask(query)
    result = pairs(lambda: a.ask(query), lambda: b.ask(query), _TIMES)
    a.close()
    b.close()
    return result


def together(ours: str, theirs: str, asked: Mapping[str, str]) -> Pair:
    """Ask both in turn, eight clients at once, each with all the queries; the seconds are a
    question's.
    """
    durations = [(_crowd(ours, asked), _crowd(theirs, asked)) for _ in range(5)]
    return Pair(
        median(a for a, _ in durations),
        median(b for _, b in durations),
        median(b / a for a, b in durations),
    )


def _crowd(url: str, asked: Mapping[str, str]) -> float:
    """Return the mean seconds of a question among eight clients, each beginning with another query."""
    texts = list(asked.values())

    def client(number: int) -> float:
        endpoint = Endpoint(url)
        spent = sum(
            timed(lambda text=text: endpoint.ask(text))  # type: ignore[misc]
            for text in texts[number:] + texts[:number]
        )
        endpoint.close()
        return spent

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return sum(pool.map(client, range(_AT_ONCE))) / (_AT_ONCE * len(texts))


def _compare(ours: str, theirs: str, store: Path, asked: dict[str, str]) -> list[Line]:
    for name, query in asked.items():
        if rows(Endpoint(ours).ask(query)) != rows(Endpoint(theirs).ask(query)):
            raise SystemExit(f"the two answers to {name} differ: the benchmark compares nothing")
    inside = natively(store, asked)
    long = {_ROWS: asked.pop(_ROWS)}
    small = {name: query for name, query in asked.items() if inside[name] >= SMALL}
    each = {name: alone(ours, theirs, query) for name, query in asked.items()}
    lines = [_line(name, pair, None, f"natively {inside[name] * 1000:.1f} ms{'' if name in small else ', too quick to count'}")
             for name, pair in each.items()]  # fmt: skip
    counted = [each[name] for name in small]
    middle = Pair(
        *(
            median(values)
            for values in zip(
                *((pair.ours, pair.peer, pair.ratio) for pair in counted), strict=True
            )
        )
    )
    lines.append(_line(f"the middle of {len(small)} small queries, one client", middle, 1.5))
    lines.append(_line("the worst of them", min(counted, key=lambda pair: pair.ratio), 1.5))
    lines.append(
        _line(
            f"{len(small)} small queries, {_AT_ONCE} clients",
            together(ours, theirs, small),
            1.5,
            "mean of a question",
        )
    )
    return [*lines, _line("100,000 rows", alone(ours, theirs, long[_ROWS]), 1.2)]


def _line(what: str, pair: Pair, bound: float | None, note: str = "") -> Line:
    return Line(
        what,
        "ms",
        pair.ours * 1000,
        pair.peer * 1000,
        1 / pair.ratio,
        Aim("most", bound) if bound else None,
        note,
    )


def main(
    records: Annotated[
        int, typer.Option(help="Records to harvest and ask about.", min=4000)
    ] = 20_000,
    json: Json = False,
) -> None:
    """Harvest a simulated portal, serve it with both, and ask both the same."""
    with (
        tempfile.TemporaryDirectory(prefix="sparql-") as name,
        Demo(size=records, only=("ckan",), faults=()) as registry,
    ):
        folder = Path(name)
        data = folder / "data"
        write_sources(registry.url, data / "sources", ("ckan",))
        with served(data) as ours, httpx.Client(base_url=ours, timeout=600) as client:
            until(lambda: ready(client), 60)
            err.print(f"harvesting {records:,} records")
            harvested(data, client)
            subprocess.run(
                [sys.executable, "-m", "stocktake", "dump"],
                env=settings(data),
                check=True,
                stdout=subprocess.DEVNULL,
            )
            store = loaded(data / "dumps", folder)
            settled(data, client)
            with peer(store) as theirs:
                lines = _compare(f"{ours}/sparql", theirs, store, queries())
    show("SPARQL, next to oxigraph serve", lines, json)


if __name__ == "__main__":
    typer.run(main)
