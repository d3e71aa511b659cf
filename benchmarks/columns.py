"""Columns: the same questions to five endpoints over the same data, side by side in one run.

They are ours on our own store, `oxigraph serve`, Virtuoso, ours on that Virtuoso by URL, and rdflib-endpoint. Then one in a hundred
records changes: how soon do both of ours show it, and do readers wait meanwhile?

By hand: ``python -m benchmarks.columns --records 20000``
"""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from statistics import median
from typing import Annotated
from urllib.parse import urlencode, urlsplit

import httpx
import orjson
import typer
from rich.table import Table

from benchmarks.endpoint import free_port, loaded, peer, rows
from benchmarks.engines import missing, started
from benchmarks.processes import until
from benchmarks.sparql import queries
from benchmarks.table import Json, err
from benchmarks.walk import harvested, ready, served, settings, settled
from harvesters.demo.cards import cards
from harvesters.demo.registries import Demo
from journal.log import Journal
from publisher.remote.dialect import MERGE
from vocab.iris import BASE

TABLE = "application/sparql-results+json"
PATIENCE = 60.0  # seconds that a question may take; what takes longer is told as that
SECONDS = 5.0  # that each number of clients asks
AT_ONCE = (1, 8, 32)
FEW = 100  # one in so many records changes
_fresh = count()


@dataclass(slots=True)
class Column:
    """An endpoint and what was measured of it; *more* are parameters of each question."""

    name: str
    url: str
    more: Sequence[tuple[str, str]] = ()
    found: dict[str, str] = field(default_factory=dict)


class Client:
    """One connection to an endpoint, kept open."""

    def __init__(self, it: Column) -> None:
        self._it, at = it, urlsplit(it.url)
        self._path = at.path or "/"
        self._connection = http.client.HTTPConnection(at.netloc, timeout=PATIENCE)

    def ask(self, query: str) -> tuple[bytes, float]:
        """Give the answer and the seconds to its first byte; raises OSError where it does not come, or is an error."""
        head = {"Content-Type": "application/x-www-form-urlencoded", "Accept": TABLE}
        since = time.perf_counter()
        self._connection.request("POST", self._path, urlencode([("query", query), *self._it.more]), head)
        answer = self._connection.getresponse()
        first = answer.read(1)
        begun = time.perf_counter() - since
        body = first + answer.read()
        if answer.status != 200:
            raise OSError(f"{answer.status} {body[:200]!r}")
        return body, begun

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def distinct(query: str) -> str:
    """Make a query that was never asked, which no cache holds."""
    return f"{query}\n# {next(_fresh)}"


def measure(it: Column, small: Mapping[str, str], large: str) -> None:
    """Ask an endpoint everything, and keep what it took."""
    it.found["twelve queries, cold, once each"] = _told(_sum(it, [distinct(query) for query in small.values()]))
    for name, query in small.items():
        it.found[name] = _told(_median(it, query))
    for clients in AT_ONCE:
        it.found[f"distinct, {clients} at once"] = _rate(_crowd(it, small, clients, distinct))
    it.found["repeated, 8 at once"] = _rate(_crowd(it, small, 8, lambda query: query))
    it.found["100,000 rows, to the first byte"], it.found["100,000 rows, to the last"] = _large(it, large)


def _sum(it: Column, texts: Sequence[str]) -> float | str:
    return _of([_once(it, text) for text in texts], sum)


def _median(it: Column, query: str) -> float | str:
    return _of([_once(it, distinct(query)) for _ in range(3)], median)


def _of(found: Sequence[float | str], joined: Callable[[list[float]], float]) -> float | str:
    """Join seconds; where a question had no answer, tell the first such trouble."""
    trouble = next((one for one in found if isinstance(one, str)), None)
    return trouble or joined([one for one in found if isinstance(one, float)])


def _once(it: Column, text: str) -> float | str:
    client, since = Client(it), time.perf_counter()
    try:
        client.ask(text)
        return time.perf_counter() - since
    except TimeoutError:
        return f"over {PATIENCE:.0f} s"
    except (OSError, http.client.HTTPException) as error:
        return f"error {str(error)[:3]}"
    finally:
        client.close()


def _crowd(it: Column, small: Mapping[str, str], clients: int, made: Callable[[str], str]) -> float:
    """Give the questions a second that an endpoint answers to some clients at once, each beginning with another question."""
    end, texts = time.perf_counter() + SECONDS, list(small.values())

    def work(number: int) -> tuple[int, float]:
        client, done = Client(it), 0
        try:
            while time.perf_counter() < end:
                client.ask(made(texts[(number + done) % len(texts)]))
                done += 1
        except (OSError, http.client.HTTPException):
            pass
        finally:
            client.close()
        return done, time.perf_counter()

    since = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        found = list(pool.map(work, range(clients)))
    return sum(done for done, _ in found) / (max(at for _, at in found) - since)


def _large(it: Column, query: str) -> tuple[str, str]:
    taken = []
    for _ in range(3):
        client, since = Client(it), time.perf_counter()
        try:
            body, first = client.ask(distinct(query))
        except (OSError, http.client.HTTPException) as error:
            return f"error {str(error)[:3]}", "-"
        finally:
            client.close()
        number = len(orjson.loads(body)["results"]["bindings"])
        if number != 100_000:
            return f"only {number:,} rows", "-"
        taken.append((first, time.perf_counter() - since))
    return _told(median(first for first, _ in taken)), _told(median(last for _, last in taken))


def _told(seconds: float | str) -> str:
    return seconds if isinstance(seconds, str) else f"{seconds * 1000:,.1f} ms"


def _rate(number: float) -> str:
    return f"{number:,.1f}/s"


def differing(columns: Sequence[Column], small: Mapping[str, str]) -> dict[str, list[str]]:
    """Compare the answers of all with the first one's; give by column the queries whose answers differ."""
    found: dict[str, list[str]] = {}
    for name, query in small.items():
        right = rows(Client(columns[0]).ask(query)[0])
        for it in columns[1:]:
            try:
                same = rows(Client(it).ask(query)[0]) == right
            except (OSError, http.client.HTTPException):
                same = False
            if not same:
                found.setdefault(it.name, []).append(name)
    return found


def changed(data: Sequence[Path], columns: Sequence[Column], records: int) -> None:
    """Give one record in a hundred another title, and tell how soon each column shows all, and its readers' longest wait meanwhile."""
    title = "http://purl.org/dc/terms/title"
    most = max(1, records // FEW)
    old = f"SELECT ?s ?t ?g {{ GRAPH ?g {{ ?s a <{BASE}ns#Initiative> ; <{title}> ?t FILTER(LANG(?t) = 'en') }} }} LIMIT {most}"
    found = orjson.loads(Client(columns[0]).ask(old)[0])["results"]["bindings"]
    patch = []
    for row in found:
        s, g, t = row["s"]["value"], row["g"]["value"], orjson.dumps(row["t"]["value"]).decode()
        patch += [f"D <{s}> <{title}> {t}@en <{g}> .", f'A <{s}> <{title}> "Changed by the benchmark"@en <{g}> .']
    wanted = f'SELECT (COUNT(DISTINCT ?s) AS ?n) {{ ?s <{title}> "Changed by the benchmark"@en }}'
    for folder, it in zip(data, columns, strict=True):
        reads: list[float] = []
        client, since = Client(it), time.perf_counter()
        Journal(folder / "journal").append(patch, run="benchmark", time=datetime.now(UTC))
        while time.perf_counter() - since < PATIENCE:
            began = time.perf_counter()
            number = int(orjson.loads(client.ask(distinct(wanted))[0])["results"]["bindings"][0]["n"]["value"])
            reads.append(time.perf_counter() - began)
            if number >= len(found):
                break
        it.found[f"{len(found)} records changed: shown after"] = _told(time.perf_counter() - since)
        it.found["the longest wait of a reader meanwhile"] = _told(max(reads))
        client.close()


@contextmanager
def rdflib_endpoint(file: Path) -> Iterator[str]:
    """Serve *file* with PyPI's rdflib-endpoint in an environment of its own; give the endpoint's address."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stocktake-benchmarks" / "rdflib-endpoint"
    command = home / "bin" / "rdflib-endpoint"
    if not command.exists():
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", "rdflib-endpoint[cli]"], check=True)
    port = free_port()
    line = [str(command), "serve", "--host", "127.0.0.1", "--port", str(port), str(file)]
    with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: _answers(f"http://127.0.0.1:{port}/"), 900)
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, params={"query": "ASK { ?s ?p ?o }"}, timeout=30, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _shown(columns: Sequence[Column], note: str) -> None:
    table = Table("", *(it.name for it in columns), title=f"Columns: {note}")
    for name in dict.fromkeys(name for it in columns for name in it.found):
        table.add_row(name, *(it.found.get(name, "") for it in columns))
    err.print(table)
    print("| |", " | ".join(it.name for it in columns), "|")
    print("|---|" + "---|" * len(columns))
    for name in dict.fromkeys(name for it in columns for name in it.found):
        print(f"| {name} |", " | ".join(it.found.get(name, "") for it in columns), "|")


def main(
    records: Annotated[int, typer.Option(help="Records to harvest and ask about.", min=4000)] = 20_000,
    rdflib: Annotated[bool, typer.Option(help="With rdflib-endpoint, which takes minutes to read a million triples.")] = True,
    json: Json = False,
) -> None:
    """Harvest a simulated portal, put the same into each store, and ask all of them the same."""
    small = queries()
    large = small.pop("rows")
    small = dict(list(small.items())[:12])
    limits = "budget=0, rows=2000000, seconds=60"
    with ExitStack() as open_, tempfile.TemporaryDirectory(prefix="columns-") as name:
        folder = Path(name)
        data, other = folder / "data", folder / "other"
        with Demo(size=records, only=("ckan",), faults=()) as registry:
            cards(registry.url, data / "sources", ("ckan",))
            ours = open_.enter_context(served(data, limits))
            client = open_.enter_context(httpx.Client(base_url=ours, timeout=600))
            until(lambda: ready(client), 60)
            harvested(data, client)
        subprocess.run([sys.executable, "-m", "stocktake", "dump"], env=settings(data), check=True, stdout=subprocess.DEVNULL)
        store = loaded(data / "dumps", folder)
        settled(data, client)
        columns = [Column("ours", f"{ours}/sparql"), Column("oxigraph serve", open_.enter_context(peer(store)))]
        if not missing("virtuoso"):
            engine = open_.enter_context(started("virtuoso", folder / "virtuoso", 1 << 30))
            shutil.copytree(data / "journal", other / "journal")
            theirs = open_.enter_context(served(other, limits, engine.address.environment()))
            there = open_.enter_context(httpx.Client(base_url=theirs, timeout=600))
            since = time.perf_counter()
            until(lambda: ready(there) and there.get("/health").json().get("lag") == 0, 3600, 1.0)
            columns.append(Column("Virtuoso", engine.address.query, [("default-graph-uri", MERGE)]))
            columns.append(Column("ours on Virtuoso", f"{theirs}/sparql", (), {"first load": _told(time.perf_counter() - since)}))
        if rdflib:
            files = sorted(folder.glob("*.ttl"))
            columns.append(Column("rdflib-endpoint", open_.enter_context(rdflib_endpoint(files[0]))))
        unlike = differing(columns, small)
        for it in columns:
            err.print(f"asking {it.name}")
            measure(it, small, large)
            it.found["answers that are not as ours"] = ", ".join(unlike.get(it.name, ())) or "none"
        own = [it for it in columns if it.name.startswith("ours")]
        changed([data, other][: len(own)], own, records)
    if json:
        print(orjson.dumps({"records": records, "columns": {it.name: it.found for it in columns}}).decode())
    else:
        _shown(columns, f"{records:,} records")


if __name__ == "__main__":
    typer.run(main)
