"""Each kind of page cold and warm against 200 ms, then a hundred visitors at once with pauses; the
server is a real one.

The store, the index of texts and the journal hold some things; the tables, from which facets,
counts and lists come, hold as many as are asked for: the others are copies of those in the tables
alone. First pages of lists show things of the store.

By hand: ``python -m benchmarks portal --records 100000 --visitors 100``; with ``--swarm 2000 --each
0`` beside crawlers.
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Annotated

import httpx
import typer

from benchmarks.end_to_end import ready, served
from benchmarks.large_tables import filled
from benchmarks.payloads import SOURCE
from benchmarks.processes import below, processor, until
from benchmarks.result_table import Aim, Json, Line, err, show
from publisher.projections.facets.facets import FACETS

READY = 200.0  # ms: the aim
ORGANIZATIONS_READY = 300.0  # ms of processor time: the aim for all organizations, once
SWARM_READY = 500.0  # ms: the aim beside a swarm
CONNECTIONS = 300  # requests of a swarm at once
# things in the store: more of them take their time to load, and change what SPARQL answers, not the
# tables
STORED = 20_000
AGAIN = 3  # times that an address is asked once its answer is kept
HTML = {"Accept": "text/html", "Accept-Encoding": "gzip"}
TROUBLE = 300  # characters of an answer that is no page
# How often each kind of page is asked: people come by search engines to things, and search here.
MIX = {"initiative": 30,
       "search, a facet": 14, "search, words": 10, "home": 8, "search": 6, "goal": 4, "line": 4, "country": 5, "target": 2,
       "organization": 4, "source": 1, "region": 2, "map": 2, "matrix": 2, "trends": 1, "gaps": 1, "calendar": 2, "library": 2, "prizes": 1,
       "search, two facets": 4, "search, words and a facet": 3, "search, by title": 1, "search, page 40": 1, "registries": 1,
       "organizations": 1}  # fmt: skip

Addresses = Mapping[str, Sequence[str]]


@dataclass(slots=True)
class Found:
    """What was measured of a kind of page: milliseconds of each answer."""

    times: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    troubles: list[str] = field(default_factory=list)
    spent: float = 0.0  # ms of processor time a page

    def took(self, kind: str, since: float, address: str, answer: httpx.Response) -> None:
        """Note an answer; one that is no page is a fault and is reported."""
        self.times[kind].append((time.perf_counter() - since) * 1000)
        if answer.status_code != httpx.codes.OK:
            text = " ".join(answer.text.split())[:TROUBLE]
            self.troubles.append(f"{answer.status_code} {address}: {text}")


def addresses(things: Mapping[str, Sequence[str]], codes: Mapping[str, Sequence[str]]) -> Addresses:
    """Return the addresses of each kind of page; *things* are pages by kind of thing, *codes* are
    by facet, the most frequent first.
    """
    concept = {"line": "/scheme/action-line/{}", "goal": "/concept?iri=http://metadata.un.org/sdg/{}",
               "target": "/concept?iri=http://metadata.un.org/sdg/{}", "region": "/scheme/itu-region/{}",
               "country": "/concept?iri=http://metadata.un.org/sdg/codes/geoArea/{}", "source": "/source/{}"}  # fmt: skip
    words = (
        "health",
        "rural schools",
        "telecentre",
        "training for women",
        "satellite",
        "e-government",
        "youth",
        "internet",
    )
    pairs = [
        f"/search?goal={goal}&country={country}"
        for goal, country in zip(codes["goal"], codes["country"], strict=False)
    ]
    return {
        "home": ["/"],
        "search": ["/search"],
        "search, a facet": [
            f"/search?{name}={code}" for name in FACETS for code in codes.get(name, ())[:3]
        ],
        "search, two facets": pairs,
        "search, words": [f"/search?q={word}" for word in words],
        "search, words and a facet": [
            f"/search?q={word}&goal={goal}"
            for word, goal in zip(words, codes["goal"], strict=False)
        ],
        "search, by title": [
            "/search?sort=title",
            *(f"/search?sort=title&kind=initiative&goal={goal}" for goal in codes["goal"][:3]),
        ],
        "search, page 40": [
            "/search?page=40",
            *(f"/search?page=40&goal={goal}" for goal in codes["goal"][:3]),
        ],
        "initiative": things["initiative"],
        "organization": things["organization"],
        "organizations": ["/organizations"],
        **{
            name: [
                form.format(code)
                for code in codes.get(name, ())
                if name != "source" or code == SOURCE.name
            ]
            for name, form in concept.items()
        },
        "matrix": ["/matrix", *(f"/matrix?country={code}" for code in codes["country"][:2])],
        "map": ["/map", *(f"/map?goal={code}" for code in codes["goal"][:2])],
        "trends": ["/trends", "/trends?by=goal", "/trends?by=source"],
        "gaps": ["/gaps", *(f"/gaps?region={code}" for code in codes["region"][:2])],
        "calendar": ["/events", "/events?month=2026-03", "/events?month=2026-07"],
        "library": ["/documents", "/posts", "/documents?page=3"],
        "prizes": ["/prizes", "/prizes?prizeyear=2025"],
        "registries": ["/sources"],
    }


def alone(client: httpx.Client, every: Addresses, most: int) -> list[Line]:
    """Ask at most *most* addresses of each kind for the first time, then again, one visitor at a
    time.
    """
    lines: list[Line] = []
    for kind, result in every.items():
        cold, warm, sample = Found(), Found(), result[:most]
        for item, times in ((cold, 1), (warm, AGAIN)):
            before = _spent()
            for address in [*sample] * times:
                since = time.perf_counter()
                item.took(kind, since, address, client.get(address))
            item.spent = (_spent() - before) / (len(sample) * times)
        lines += [
            _line(f"{kind}, {name}", item.times[kind], item)
            for name, item in (("cold", cold), ("warm", warm))
        ]
        err.print(f"{kind}: {lines[-2].ours:,.0f} ms cold, {lines[-1].ours:,.0f} ms warm")
        if kind == "organizations":
            aim = Aim("most", ORGANIZATIONS_READY, "ours")
            note = "the first view of the page; --records 8000 --stored 8000 has 13,000 of them"
            lines.append(
                Line("organizations, cold, processor time", "ms", cold.spent, aim=aim, note=note)
            )
    return lines


def _spent() -> float:
    """Return the milliseconds of processor time that the server has taken, with its readers and
    followers, to 10 ms.
    """
    return sum(processor(pid) for pid in below(os.getpid())) * 1000


def _line(what: str, times: Sequence[float], tally: Found) -> Line:
    note = f"worst of {len(times)}; median {median(times):,.0f} ms; {tally.spent:,.0f} ms of processor time a page"
    note += "".join(f"; {trouble}" for trouble in tally.troubles)
    return Line(what, "ms", max(times), aim=Aim("most", READY, "ours"), note=note)


@dataclass(slots=True)
class Swarm:
    """Crawlers at *addresses* addresses that follow facets, *rate* pages a second together, and a
    bot that obeys robots.txt.
    """

    addresses: int
    rate: float
    codes: Mapping[str, Sequence[str]]
    pages: Sequence[str]  # of the sitemaps
    answers: Counter[int] = field(default_factory=Counter)
    bot: Counter[int] = field(default_factory=Counter)

    async def crawl(self, address: str, until_: float) -> None:
        """Crawl until then; a proxy passes at most CONNECTIONS requests of the swarm at once."""
        dice, tasks = random.Random(9), set[asyncio.Task[None]]()
        limits = httpx.Limits(max_connections=CONNECTIONS)
        async with httpx.AsyncClient(
            base_url=address, timeout=120, limits=limits, headers=HTML
        ) as client:
            polite = asyncio.create_task(self._obey(client, until_))
            while time.perf_counter() < until_:
                if len(tasks) < CONNECTIONS:
                    tasks.add(task := asyncio.create_task(self._follow(client, dice)))
                    task.add_done_callback(tasks.discard)
                await asyncio.sleep(1 / self.rate)
            await asyncio.gather(polite, *tasks)

    async def _follow(self, client: httpx.AsyncClient, dice: random.Random) -> None:
        facets = dice.sample([name for name in FACETS if self.codes.get(name)], dice.randint(3, 5))
        page = "/search?" + "&".join(f"{name}={dice.choice(self.codes[name])}" for name in facets)
        number = dice.randrange(self.addresses)
        answer = await client.get(
            page,
            headers={
                "X-Forwarded-For": f"10.{number // 65536}.{number // 256 % 256}.{number % 256}"
            },
        )
        self.answers[answer.status_code] += 1

    async def _obey(self, client: httpx.AsyncClient, until_: float) -> None:
        while time.perf_counter() < until_:
            answer = await client.get(
                self.pages[sum(self.bot.values()) % len(self.pages)],
                headers={"X-Forwarded-For": "192.0.2.33"},
            )
            self.bot[answer.status_code] += 1
            await asyncio.sleep(1)

    def lines(self) -> Iterator[Line]:
        """Return what the crawlers and the bot met."""
        refused = sum(count for code, count in self.answers.items() if code in (429, 503))
        note = f"of {sum(self.answers.values()):,} from {self.addresses:,} addresses: {dict(self.answers)}"
        yield Line("pages that the swarm was refused", "pages", refused, note=note)
        bad = sum(count for code, count in self.bot.items() if code != httpx.codes.OK)
        aim = Aim("most", 0, "ours")
        yield Line(
            "pages that a bot which obeys robots.txt was refused",
            "pages",
            bad,
            aim=aim,
            note=f"{dict(self.bot)}",
        )


async def crowd(
    address: str,
    every: Addresses,
    visitors: int,
    pause: float,
    seconds: float,
    swarm: Swarm | None = None,
) -> tuple[Found, float]:
    """Let *visitors* come and read for *seconds*, each with a *pause* of about so many seconds
    between pages; return what they met.

    Each has an address of its own, as a trusted proxy reports it. A *swarm* crawls beside them.
    """
    tally, dice, until_ = Found(), random.Random(8), time.perf_counter() + seconds
    kinds, weights = list(MIX), list(MIX.values())

    async def visitor(client: httpx.AsyncClient, number: int) -> None:
        own = {**HTML, "X-Forwarded-For": f"198.51.{number // 250}.{number % 250}"}
        await asyncio.sleep(dice.uniform(0, pause))
        while time.perf_counter() < until_:
            kind = dice.choices(kinds, weights)[0]
            # the first ones more often
            page = every[kind][
                min(int(dice.expovariate(6 / len(every[kind]))), len(every[kind]) - 1)
            ]
            since = time.perf_counter()
            tally.took(kind, since, page, await client.get(page, headers=own))
            await asyncio.sleep(dice.expovariate(1 / pause))

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=visitors)
    async with httpx.AsyncClient(base_url=address, timeout=120, limits=limits) as client:
        since = time.perf_counter()
        everyone = [visitor(client, number) for number in range(visitors)]
        await asyncio.gather(*everyone, *([swarm.crawl(address, until_)] if swarm else []))
        return tally, time.perf_counter() - since


def together(tally: Found, seconds: float, aim: float = READY) -> Iterator[Line]:
    """Return what the visitors measured: the percentiles of each kind of page, and of all."""
    every = [time_ for times in tally.times.values() for time_ in times]
    for kind, times in (("all pages", every), *sorted(tally.times.items())):
        at = quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
        note = f"p95 of {len(times)}; p50 {at[49]:,.0f}, p90 {at[89]:,.0f}, p99 {at[98]:,.0f}, worst {max(times):,.0f} ms"
        yield Line(
            f"{kind}, in the crowd",
            "ms",
            at[94],
            aim=Aim("most", aim, "ours") if kind == "all pages" else None,
            note=note,
        )
    yield Line("pages a second, in the crowd", "pages/s", len(every) / seconds)
    yield Line(
        "answers that were no page",
        "answers",
        len(tally.troubles),
        aim=Aim("most", 0, "ours"),
        note="; ".join(tally.troubles[:5]),
    )


def main(
    records: Annotated[int, typer.Option(help="Things in the tables.", min=2_000)] = 1_000_000,
    stored: Annotated[
        int, typer.Option(help="Things in the store, of those; at most all.", min=1_000)
    ] = STORED,
    visitors: Annotated[int, typer.Option(help="Visitors at once.", min=1)] = 100,
    pause: Annotated[
        float, typer.Option(help="Seconds that a visitor looks at a page, on average.", min=0.01)
    ] = 5.0,
    seconds: Annotated[float, typer.Option(help="Seconds that they keep coming.", min=1)] = 60.0,
    each: Annotated[
        int,
        typer.Option(
            help="Addresses of a kind that are asked one after the other at most; 0: none.", min=0
        ),
    ] = 20,
    keep: Annotated[
        Path | None, typer.Option(help="Folder to fill, or one that was filled before.")
    ] = None,
    swarm: Annotated[
        int, typer.Option(help="Addresses that crawl facets beside the visitors.", min=0)
    ] = 0,
    rate: Annotated[
        float, typer.Option(help="Pages a second that they ask for together.", min=0.1)
    ] = 50.0,
    limits: Annotated[str, typer.Option(help="Limits of the server, such as deep=0.")] = "",
    json: Json = False,
) -> None:
    """Fill the tables, serve, and measure."""
    with tempfile.TemporaryDirectory(prefix="portal-") as folder:
        data = keep or Path(folder)
        things, codes = filled(data, min(stored, records), records, lambda text: err.print(text))
        every = addresses(things, codes)
        with (
            served(data) as address,
            httpx.Client(base_url=address, timeout=120, headers=HTML) as client,
        ):
            until(lambda: ready(client), 120)
            client.get("/sources.json").raise_for_status()  # the readers are up
            lines = alone(client, every, each) if each else []
        err.print(f"{visitors} visitors, {seconds:,.0f} s")
        crawlers = Swarm(swarm, rate, codes, things["initiative"]) if swarm else None
        trusted = {"STOCKTAKE_TRUSTED_PROXIES": "127.0.0.1"}
        # anew: nothing is kept; one page of each kind was opened, since all that a server reads
        # once for all pages is no matter of a crowd
        with (
            served(data, limits, trusted) as address,
            httpx.Client(base_url=address, timeout=120) as client,
        ):
            until(lambda: ready(client) and client.get("/prizes", headers=HTML).is_success, 120)
            for pages in every.values():
                client.get(pages[-1], headers=HTML).raise_for_status()
            tally = asyncio.run(crowd(address, every, visitors, pause, seconds, crawlers))
    lines += (
        [*together(*tally, SWARM_READY), *crawlers.lines()] if crawlers else [*together(*tally)]
    )
    show(
        f"The portal, {records:,} things in the tables, {min(stored, records):,} in the store",
        lines,
        json,
    )


if __name__ == "__main__":
    typer.run(main)
