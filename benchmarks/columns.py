"""Ask three endpoints the same questions over the same data: ours, `oxigraph serve` and Virtuoso.
Then change one record in a hundred: measure how soon our endpoint shows it, and how long readers
wait.

By hand: ``python -m benchmarks columns --records 100000``
"""

from __future__ import annotations

import gzip
import http.client
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from math import exp, log
from pathlib import Path
from statistics import fmean, median
from typing import Annotated
from urllib.parse import urlencode, urlsplit

import httpx
import orjson
import typer

from benchmarks.end_to_end import harvested
from benchmarks.engines import bulk_load, missing, started
from benchmarks.measuring import Line, environment, served, settled, show
from command_line.console import Json, err
from demo.registries import Demo
from demo.source_definitions import write_sources
from journal.journal import Journal
from publisher.store.external.client import MERGE
from vocab.iris import BASE

QUERIES = Path(__file__).parent / "queries"
_ROWS = "rows"  # the query of 100,000 rows; the others are small ones
_TABLE, _GRAPH = "application/sparql-results+json", "application/n-triples"
_TURNS = 3  # repetitions of a question that is asked alone; the median is reported
_AT_ONCE = (1, 8, 32)
_SECONDS = 5.0  # duration of the questions of each number of clients
_BUFFERS = 4 << 30  # bytes of Virtuoso's buffers
_FEW = 100  # one record in this many changes
_TITLE, _NEW = "http://purl.org/dc/terms/title", "Changed by the benchmark"
_CHANGED = f'SELECT (COUNT(DISTINCT ?s) AS ?n) {{ ?s <{_TITLE}> "{_NEW}"@en }}'
_fresh = count()


@dataclass(slots=True)
class Endpoint:
    """An endpoint: *more* has parameters of each question, *figures* has results by their name."""

    name: str
    url: str
    more: Sequence[tuple[str, str]] = ()
    figures: dict[str, float] = field(default_factory=dict)

    def ask(self, query: str, client: http.client.HTTPConnection) -> bytes:
        """Return the whole answer to *query*, which is made unique so that no cache has it."""
        accept = _GRAPH if "CONSTRUCT" in query else _TABLE
        head = {"Content-Type": "application/x-www-form-urlencoded", "Accept": accept}
        text = f"{query}\n# {next(_fresh)}"
        # A request that names its default graph has no named graphs.
        body = urlencode([("query", text), *(() if "GRAPH" in query else self.more)])
        client.request("POST", urlsplit(self.url).path or "/", body, head)
        answer = client.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise OSError(f"{self.name} answered {answer.status}: {content[:300]!r}")
        return content

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that stays open between questions."""
        return http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=600)


def queries(folder: Path = QUERIES) -> dict[str, str]:
    """Return the queries in *folder* by name; their relative IRIs are below our base."""
    return {
        path.stem: f"BASE <{BASE}>\n{path.read_text(encoding='utf-8')}"
        for path in sorted(folder.glob("*.rq"))
    }


def rows(answer: bytes) -> list[bytes]:
    """Return the sorted rows of a table or lines of a graph, so that two answers can be compared."""
    if not answer.lstrip().startswith(b"{"):
        return sorted(b" ".join(line.split()) for line in answer.splitlines())
    bindings = orjson.loads(answer)["results"]["bindings"]
    return sorted(orjson.dumps([_plain(row[name]) for name in sorted(row)]) for row in bindings)


def _plain(term: dict[str, str]) -> list[str]:
    kind = term["type"].removeprefix("typed-")  # Virtuoso uses the name of an early draft
    return [kind, term["value"], term.get("xml:lang", ""), term.get("datatype", "")]


def measure(endpoint: Endpoint, asked: Mapping[str, str]) -> None:
    """Ask all questions cold, then each alone, then many clients at once."""
    client, figures = endpoint.connect(), endpoint.figures
    small = {name: query for name, query in asked.items() if name != _ROWS}
    figures["all once, cold, ms"] = sum(_times(endpoint, small.values(), client)) * 1000
    for name, query in asked.items():
        figures[f"{name}, ms"] = median(_times(endpoint, [query] * _TURNS, client)) * 1000
        err.print(f"  {endpoint.name}: {name}: {figures[f'{name}, ms']:,.1f} ms")
    client.close()
    for clients in _AT_ONCE:
        figures[f"{clients} at once, /s"] = _crowd(endpoint, list(small.values()), clients)


def _times(
    endpoint: Endpoint, texts: Iterable[str], client: http.client.HTTPConnection
) -> Iterator[float]:
    for text in texts:
        since = time.perf_counter()
        endpoint.ask(text, client)
        yield time.perf_counter() - since


def _crowd(endpoint: Endpoint, texts: Sequence[str], clients: int) -> float:
    """Return the answers a second to *clients*, each of which begins with another question."""
    end = time.perf_counter() + _SECONDS

    def work(number: int) -> int:
        client, answered = endpoint.connect(), 0
        while time.perf_counter() < end:
            endpoint.ask(texts[(number + answered) % len(texts)], client)
            answered += 1
        return answered

    since = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        answered = sum(pool.map(work, range(clients)))
    return answered / (time.perf_counter() - since)


def change(data: Path, endpoint: Endpoint, records: int) -> None:
    """Change the title of one record in a hundred in the journal; measure the time until readers
    see it, and the longest wait of a reader meanwhile.
    """
    client, reads, patch = endpoint.connect(), list[float](), list[str]()
    old = f"""SELECT ?s ?t ?g {{ GRAPH ?g {{ ?s a <{BASE}ns#Initiative> ; <{_TITLE}> ?t
        FILTER(LANG(?t) = 'en') }} }} LIMIT {records // _FEW}"""
    titles = orjson.loads(endpoint.ask(old, client))["results"]["bindings"]
    for row in titles:
        s, g, t = row["s"]["value"], row["g"]["value"], orjson.dumps(row["t"]["value"]).decode()
        patch += [f"D <{s}> <{_TITLE}> {t}@en <{g}> .", f'A <{s}> <{_TITLE}> "{_NEW}"@en <{g}> .']
    client.close()  # the server would close it, since it is idle while the entry is written
    Journal(data / "journal").append(patch, run="benchmark", time=datetime.now(UTC))
    client, since, changed = endpoint.connect(), time.perf_counter(), 0
    while changed < len(titles):
        began = time.perf_counter()
        answer = orjson.loads(endpoint.ask(_CHANGED, client))
        reads.append(time.perf_counter() - began)
        changed = int(answer["results"]["bindings"][0]["n"]["value"])
    endpoint.figures["1 % changed, visible after, ms"] = (time.perf_counter() - since) * 1000
    endpoint.figures["longest wait of a reader meanwhile, ms"] = max(reads) * 1000


def _ours(open_: ExitStack, data: Path, records: int) -> Endpoint:
    """Harvest a simulated portal into *data*, serve it, and dump it."""
    with Demo(size=records, only=("ckan",), faults=()) as registry:
        write_sources(registry.url, data / "sources", ("ckan",))
        client: httpx.Client = open_.enter_context(served(data))
        err.print(f"harvesting {records:,} records")
        harvested(data, client)
    command = [sys.executable, "-m", "stocktake", "dump"]
    subprocess.run(command, env=environment(data), check=True, stdout=subprocess.DEVNULL)
    settled(data, client)
    return Endpoint("ours", str(client.base_url.join("/sparql")))


def unpack(dumps: Path, folder: Path) -> list[Path]:
    """Decompress our dumps into *folder*: the named graphs, and their merge."""
    files = []
    for packed in sorted([*dumps.glob("*.nq.gz"), *dumps.glob("*.ttl.gz")]):
        files.append(folder / packed.name.removesuffix(".gz"))
        with gzip.open(packed) as source, files[-1].open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    return files


def _oxigraph(open_: ExitStack, folder: Path, files: Sequence[Path]) -> Endpoint:
    store = folder / "oxigraph" / "store"
    store.parent.mkdir()
    command = [str(Path(sys.executable).with_name("oxigraph")), "load", "--lenient"]
    line = [*command, "--location", str(store), "--file", *map(str, files)]
    subprocess.run(line, check=True, capture_output=True)
    engine = open_.enter_context(started("oxigraph", folder / "oxigraph"))
    return Endpoint("oxigraph serve", engine.address.query)


def _virtuoso(open_: ExitStack, folder: Path, files: Sequence[Path]) -> Endpoint:
    engine = open_.enter_context(started("virtuoso", folder / "virtuoso", _BUFFERS))
    bulk_load(folder / "virtuoso", files)
    return Endpoint("Virtuoso", engine.address.query, [("default-graph-uri", MERGE)])


PEERS = {"oxigraph": _oxigraph, "virtuoso": _virtuoso}


def _lines(ours: Endpoint, peer: Endpoint, asked: Iterable[str]) -> Iterator[Line]:
    for name, figure in ours.figures.items():
        what, _, unit = name.rpartition(", ")
        yield Line(what, unit, figure, peer.figures.get(name), note=f"peer: {peer.name}")
    ratios = [ours.figures[f"{name}, ms"] / peer.figures[f"{name}, ms"] for name in asked]
    yield Line("geometric mean of the questions", "", exp(fmean(map(log, ratios))), 1, aim=1)
    yield Line("the worst of them", "", max(ratios), 1, aim=3)


def main(
    records: Annotated[int, typer.Option(help="Records to harvest.", min=4000)] = 20_000,
    peers: Annotated[str, typer.Option(help="Peers, separated by commas.")] = "oxigraph,virtuoso",
    research: Annotated[bool, typer.Option(help="Researchers' questions, not the twelve.")] = False,
    json: Json = False,
) -> None:
    """Harvest a simulated portal, load the same data into each store, and ask all the same."""
    asked = queries(QUERIES / "research" if research else QUERIES)
    with tempfile.TemporaryDirectory(prefix="columns-") as name, ExitStack() as open_:
        folder, data = Path(name), Path(name) / "data"
        ours = _ours(open_, data, records)
        measure(ours, asked)
        files, lines = unpack(data / "dumps", folder), list[Line]()
        for peer in filter(None, peers.split(",")):
            if why := missing(peer):
                err.print(f"without {peer}: {why}")
                continue
            err.print(f"loading {peer}")
            other = PEERS[peer](open_, folder, files)
            unlike = [
                name
                for name, query in asked.items()  # while one answers, the other's connection ends
                if rows(ours.ask(query, ours.connect())) != rows(other.ask(query, other.connect()))
            ]
            err.print(f"answers that differ from ours: {', '.join(unlike) or 'none'}")
            measure(other, asked)
            lines += _lines(ours, other, asked)
        change(data, ours, records)
        lines += [
            Line(name.rpartition(", ")[0], "ms", figure)
            for name, figure in list(ours.figures.items())[-2:]
        ]
    show(f"Questions, {records:,} records", lines, json)


if __name__ == "__main__":
    typer.run(main)
