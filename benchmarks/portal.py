"""Ask each kind of page for the first time and again, one visitor at a time; then let a hundred
visitors read at once, with pauses. The server is a real process.

The store, the text index and the journal have only some of the things. The tables, from which
facets, counts and lists come, have as many as are asked for; the others are copies.

By hand: ``python -m benchmarks portal --records 100000 --visitors 100``
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated

import httpx
import typer

from benchmarks.measuring import Line, below, processor, served, show, until
from benchmarks.worlds import SOURCE, filled
from command_line.console import err
from publisher.data.properties import FACETS

READY = 200.0  # aim in ms
AGAIN = 3  # repetitions of an address whose answer is cached
HTML = {"Accept": "text/html", "Accept-Encoding": "gzip"}
# The frequency of each kind of page: people come to things from search engines, and search here.
MIX = {"initiative": 30,
       "search, a facet": 14, "search, words": 10, "home": 8, "search": 6, "goal": 4, "line": 4, "country": 5, "target": 2,
       "organization": 4, "source": 1, "region": 2, "map": 2, "matrix": 2, "trends": 1, "gaps": 1, "calendar": 2, "library": 2, "prizes": 1,
       "search, two facets": 4, "search, words and a facet": 3, "search, by title": 1, "search, page 40": 1, "registries": 1,
       "organizations": 1}  # fmt: skip
WORDS = ("health", "rural schools", "telecentre", "training for women", "satellite", "youth")
_CONCEPT = "/concept?iri=http://metadata.un.org/sdg/"

Addresses = Mapping[str, Sequence[str]]


def addresses(things: Addresses, codes: Addresses) -> Addresses:
    """Return the addresses of each kind of page; *things* are pages by kind of thing, *codes* are
    by facet, the most frequent first.
    """
    goals, countries = codes["goal"], codes["country"]
    return {
        **things,
        "home": ["/"],
        "search": ["/search"],
        "search, a facet": [
            f"/search?{name}={code}" for name in FACETS for code in codes.get(name, ())[:3]
        ],
        "search, two facets": [
            f"/search?goal={goal}&country={country}"
            for goal, country in zip(goals, countries, strict=False)
        ],
        "search, words": [f"/search?q={word}" for word in WORDS],
        "search, words and a facet": [
            f"/search?q={word}&goal={goal}" for word, goal in zip(WORDS, goals, strict=False)
        ],
        "search, by title": [
            f"/search?sort=title&kind=initiative&goal={goal}" for goal in goals[:3]
        ],
        "search, page 40": [
            "/search?page=40",
            *(f"/search?page=40&goal={goal}" for goal in goals[:3]),
        ],
        "organizations": ["/organizations"],
        "line": [f"/scheme/action-line/{code}" for code in codes["line"]],
        "goal": [f"{_CONCEPT}{code}" for code in goals],
        "target": [f"{_CONCEPT}{code}" for code in codes["target"]],
        "region": [f"/scheme/itu-region/{code}" for code in codes["region"]],
        "country": [f"{_CONCEPT}codes/geoArea/{code}" for code in countries],
        "source": [f"/source/{SOURCE.name}"],
        "matrix": ["/matrix", *(f"/matrix?country={code}" for code in countries[:2])],
        "map": ["/map", *(f"/map?goal={code}" for code in goals[:2])],
        "trends": ["/trends", "/trends?by=goal", "/trends?by=source"],
        "gaps": ["/gaps", *(f"/gaps?region={code}" for code in codes["region"][:2])],
        "calendar": ["/events", "/events?month=2026-03", "/events?month=2026-07"],
        "library": ["/documents", "/posts", "/documents?page=3"],
        "prizes": ["/prizes", "/prizes?prizeyear=2025"],
        "registries": ["/sources"],
    }


def alone(client: httpx.Client, every: Addresses, most: int) -> Iterator[Line]:
    """Ask at most *most* addresses of each kind for the first time, then again."""
    for kind, known in every.items():
        for name, times in (("cold", 1), ("warm", AGAIN)):
            before, took = _spent(), list[float]()
            for address in [*known[:most]] * times:
                since = time.perf_counter()
                client.get(address, headers=HTML).raise_for_status()
                took.append((time.perf_counter() - since) * 1000)
            spent = (_spent() - before) * 1000 / len(took)
            note = f"worst of {len(took)}; median {median(took):,.0f} ms; {spent:,.0f} ms of processor time"
            yield Line(f"{kind}, {name}", "ms", max(took), aim=READY, note=note)
        err.print(kind)


def _spent() -> float:
    """Return the processor seconds of the server, its readers and followers, to 10 ms."""
    return sum(processor(pid) for pid in below(os.getpid()))


async def crowd(
    url: httpx.URL, every: Addresses, visitors: int, pause: float, seconds: float
) -> tuple[dict[str, list[float]], list[str]]:
    """Let *visitors* read for *seconds*, each with a mean *pause* in seconds between pages and its
    own address, as a trusted proxy reports it.

    Return the milliseconds of each page by kind, and the responses that are not pages.
    """
    times, troubles = defaultdict[str, list[float]](list), list[str]()
    dice, end = random.Random(8), time.perf_counter() + seconds
    kinds, weights = list(MIX), list(MIX.values())

    async def visitor(client: httpx.AsyncClient, number: int) -> None:
        own = {**HTML, "X-Forwarded-For": f"198.51.{number // 250}.{number % 250}"}
        await asyncio.sleep(dice.uniform(0, pause))
        while time.perf_counter() < end:
            kind = dice.choices(kinds, weights)[0]
            # The first addresses are asked more often.
            page = every[kind][
                min(int(dice.expovariate(6 / len(every[kind]))), len(every[kind]) - 1)
            ]
            since = time.perf_counter()
            answer = await client.get(page, headers=own)
            times[kind].append((time.perf_counter() - since) * 1000)
            if answer.status_code != httpx.codes.OK:
                troubles.append(f"{answer.status_code} {page}")
            await asyncio.sleep(dice.expovariate(1 / pause))

    # The server closes a connection after five seconds without a request.
    limits = httpx.Limits(max_keepalive_connections=visitors, keepalive_expiry=2.0)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
        await asyncio.gather(*(visitor(client, number) for number in range(visitors)))
    return times, troubles


def together(times: Mapping[str, list[float]], troubles: Sequence[str]) -> Iterator[Line]:
    """Yield the percentiles of each kind of page, and of all pages."""
    every = [time_ for kind in times.values() for time_ in kind]
    for kind, took in (("all pages", every), *sorted(times.items())):
        at = quantiles(took, n=100, method="inclusive") if len(took) > 1 else took * 99
        note = (
            f"p95 of {len(took)}; p50 {at[49]:,.0f}, p99 {at[98]:,.0f}, worst {max(took):,.0f} ms"
        )
        aim = READY if kind == "all pages" else None
        yield Line(f"{kind}, in the crowd", "ms", at[94], aim=aim, note=note)
    yield Line("not a page", "answers", len(troubles), aim=0, note="; ".join(troubles[:5]))


def main(
    records: Annotated[int, typer.Option(help="Things in the tables.", min=2_000)] = 1_000_000,
    stored: Annotated[int, typer.Option(help="Things in the store, of those.", min=1_000)] = 20_000,
    visitors: Annotated[int, typer.Option(help="Visitors at once.", min=1)] = 100,
    pause: Annotated[float, typer.Option(help="Seconds that a page is read.", min=0.01)] = 5.0,
    seconds: Annotated[float, typer.Option(help="Seconds that they keep coming.", min=1)] = 60.0,
    most: Annotated[int, typer.Option(help="Addresses of a kind, one after another.", min=1)] = 20,
    keep: Annotated[Path | None, typer.Option(help="A folder to fill, or that is filled.")] = None,
) -> None:
    """Fill the tables, serve, and measure."""
    with tempfile.TemporaryDirectory(prefix="portal-") as folder:
        data = keep or Path(folder)
        err.print(f"filling {data}")
        every = addresses(*filled(data, min(stored, records), records))
        with served(data, {"STOCKTAKE_TRUSTED_PROXIES": "127.0.0.1/32"}) as client:
            until(lambda: client.get("/prizes", headers=HTML).is_success)
            lines = list(alone(client, every, most))
            err.print(f"{visitors} visitors, {seconds:,.0f} s")
            lines += together(*asyncio.run(crowd(client.base_url, every, visitors, pause, seconds)))
    show(f"The portal, {records:,} things in the tables, {stored:,} in the store", lines)


if __name__ == "__main__":
    typer.run(main)
