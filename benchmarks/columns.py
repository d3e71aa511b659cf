"""Ask three endpoints the same questions over the same data: ours, `oxigraph serve` and Virtuoso.
Then change one record in a hundred: measure how soon our endpoint shows it, and how long readers
wait.

By hand: ``python -m benchmarks columns --records 100000``
"""

from __future__ import annotations

import gzip
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from contextlib import ExitStack, contextmanager, suppress
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
from benchmarks.measuring import Line, environment, free_port, served, settled, show, until
from command_line.console import err
from demo.registries import Demo
from demo.source_definitions import write_sources
from journal.journal import Journal
from publisher.store.external.client import MERGE, StoreURLs
from vocab.iris import BASE

_READY = 240.0  # seconds until a store must answer
_PACKAGED = Path("/etc/virtuoso-opensource-7/virtuoso.ini")
# Without these limits answers are complete; sorts still have at most 10,000 rows.
_CUTS = (
    "ResultSetMaxRows",
    "MaxConstructTriples",
    "MaxQueryCostEstimationTime",
    "MaxQueryExecutionTime",
)
OXIGRAPH = shutil.which("oxigraph", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
# The command of each engine, None if it is not here, and how it is installed.
_COMMANDS = {
    "oxigraph": (OXIGRAPH, "install the package oxigraph of PyPI"),
    "virtuoso": (
        shutil.which("virtuoso-t") if _PACKAGED.exists() else None,
        "install Debian's virtuoso-opensource",
    ),
}


@dataclass(frozen=True, slots=True)
class Engine:
    """A running store: its name, its process, and its addresses."""

    name: str
    process: subprocess.Popen[bytes]
    address: StoreURLs


def missing(name: str) -> str:
    """Return why the engine *name* cannot be started here, "" if it can."""
    command, remedy = _COMMANDS[name]
    return "" if command else f"no {name}: {remedy}"


@contextmanager
def started(
    name: str,
    folder: Path,
    memory: int = 256 << 20,
    start: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen,
    port: int = 0,
) -> Iterator[Engine]:
    """Start the engine *name* by calling *start*, with its store in *folder*, on *port* (0: a free
    one).

    Virtuoso gets buffers of *memory* bytes and higher limits; 0 leaves its settings as packaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    with (folder / "out.txt").open("wb") as out:
        process = start(_LINES[name](folder, port, memory), cwd=folder, stdout=out, stderr=out)
    address = _ADDRESSES[name](f"127.0.0.1:{port}")
    try:
        until(lambda: _responds(port) or process.poll() is not None, _READY)
        if process.poll() is not None:
            output = (folder / "out.txt").read_text(errors="replace")
            raise RuntimeError(f"{process.args!r} did not start:\n{output}")
        yield Engine(name, process, address)
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()  # Virtuoso would first write a checkpoint, which nobody needs
            process.wait()


def _responds(port: int) -> bool:
    with suppress(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=5)
        return True
    return False


def bulk_load(folder: Path, files: Sequence[Path]) -> None:
    """Load *files* into the Virtuoso that was started in *folder*; statements without a graph go to
    the graph with the merge of all.

    Raises RuntimeError with Virtuoso's message if a file could not be read.
    """
    incoming, ini = folder / "incoming", ConfigParser()
    incoming.mkdir()
    for file in files:
        (incoming / file.name).hardlink_to(file)
    ini.read(folder / "virtuoso.ini")
    command = [
        "isql-vt",
        ini["Parameters"]["ServerPort"],
        "dba",
        "dba",
        f"exec=ld_dir('{incoming}', '%', '{MERGE}'); rdf_loader_run(); checkpoint;"
        " select ll_error from DB.DBA.load_list where ll_state <> 2 or ll_error is not null;",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    if "\n0 Rows." not in result.stdout:
        raise RuntimeError(f"Virtuoso could not load {incoming}:\n{result.stdout}{result.stderr}")


def _oxigraph_line(folder: Path, port: int, memory: int) -> list[str]:
    address = ["--location", str(folder / "store"), "--bind", f"127.0.0.1:{port}"]
    # Without a timeout it would continue a query for hours after its client has disconnected.
    return [OXIGRAPH or "oxigraph", "serve", *address, "--timeout-s", "120"]


def _virtuoso_line(folder: Path, port: int, memory: int) -> list[str]:
    settings = ConfigParser(strict=False, inline_comment_prefixes=(";",), interpolation=None)
    settings.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    settings.read_string(
        _PACKAGED.read_text().replace("/var/lib/virtuoso-opensource-7/db", str(folder))
    )
    settings.read_dict(
        {
            "Parameters": {"ServerPort": f"127.0.0.1:{free_port()}"},
            "HTTPServer": {"ServerPort": f"127.0.0.1:{port}"},
        }
    )
    if memory:
        buffers = memory // 8500  # bytes of a buffer, according to the comments in Debian's file
        settings.read_dict(
            {
                "Parameters": {
                    "ServerThreads": "40",
                    "MaxQueryMem": "1G",
                    "NumberOfBuffers": buffers,
                    "MaxDirtyBuffers": buffers * 3 // 4,
                    "DirsAllowed": folder,
                },
                "HTTPServer": {"ServerThreads": "40", "MaxClientConnections": "40"},
            }
        )
        for name in _CUTS:
            del settings["SPARQL"][name]
    file = folder / "virtuoso.ini"
    with file.open("w") as output:
        settings.write(output)
    return ["virtuoso-t", "+foreground", "+configfile", str(file)]


_LINES: dict[str, Callable[[Path, int, int], list[str]]] = {
    "oxigraph": _oxigraph_line,
    "virtuoso": _virtuoso_line,
}
_ADDRESSES: dict[str, Callable[[str], StoreURLs]] = {
    "oxigraph": lambda at: StoreURLs(
        f"http://{at}/query", f"http://{at}/update", f"http://{at}/store"
    ),
    "virtuoso": lambda at: StoreURLs(
        f"http://{at}/sparql",
        f"http://dba:dba@{at}/sparql-auth",
        f"http://dba:dba@{at}/sparql-graph-crud-auth",
    ),
}


QUERIES = Path(__file__).parent / "queries"
_ROWS = "rows"  # the query of 100,000 rows; the others are small ones
_TABLE, _GRAPH = "application/sparql-results+json", "application/n-triples"
_TURNS = 3  # repetitions of a question that is asked alone; the median is reported
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
    """Ask all questions cold, then each alone."""
    client, figures = endpoint.connect(), endpoint.figures
    small = [query for name, query in asked.items() if name != _ROWS]
    figures["all once, cold, ms"] = sum(_times(endpoint, small, client))
    for name, query in asked.items():
        figures[f"{name}, ms"] = median(_times(endpoint, [query] * _TURNS, client))
        err.print(f"  {endpoint.name}: {name}: {figures[f'{name}, ms']:,.1f} ms")
    client.close()


def _times(
    endpoint: Endpoint, texts: Iterable[str], client: http.client.HTTPConnection
) -> Iterator[float]:
    """Yield the milliseconds of each answer."""
    for text in texts:
        since = time.perf_counter()
        endpoint.ask(text, client)
        yield (time.perf_counter() - since) * 1000


def change(data: Path, endpoint: Endpoint, records: int) -> None:
    """Change the title of one record in a hundred in the journal; measure the time until readers
    see it, and the longest wait of a reader meanwhile.
    """
    client = endpoint.connect()
    old = f"""SELECT ?s ?t ?g {{ GRAPH ?g {{ ?s a <{BASE}ns#Initiative> ; <{_TITLE}> ?t
        FILTER(LANG(?t) = 'en') }} }} LIMIT {records // _FEW}"""
    titles = orjson.loads(endpoint.ask(old, client))["results"]["bindings"]
    client.close()  # the server would close it, since it is idle while the entry is written
    patch = (
        line
        for row in titles
        for s, g, t in [(row["s"]["value"], row["g"]["value"], row["t"]["value"])]
        for line in (
            f"D <{s}> <{_TITLE}> {orjson.dumps(t).decode()}@en <{g}> .",
            f'A <{s}> <{_TITLE}> "{_NEW}"@en <{g}> .',
        )
    )
    Journal(data / "journal").append(patch, run="benchmark", time=datetime.now(UTC))
    client, since, waits, changed = endpoint.connect(), time.perf_counter(), [0.0], 0
    while changed < len(titles):
        began = time.perf_counter()
        answer = orjson.loads(endpoint.ask(_CHANGED, client))
        waits.append((time.perf_counter() - began) * 1000)
        changed = int(answer["results"]["bindings"][0]["n"]["value"])
    endpoint.figures["1 % changed, visible after, ms"] = (time.perf_counter() - since) * 1000
    endpoint.figures["longest wait of a reader meanwhile, ms"] = max(waits)


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
    for packed in (*dumps.glob("*.nq.gz"), *dumps.glob("*.ttl.gz")):
        with gzip.open(packed) as source, (folder / packed.stem).open("wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
    return sorted((*folder.glob("*.nq"), *folder.glob("*.ttl")))


def _oxigraph(open_: ExitStack, folder: Path, files: Sequence[Path]) -> Endpoint:
    store = folder / "oxigraph" / "store"
    store.parent.mkdir()
    line = [OXIGRAPH or "oxigraph", "load", "--lenient", f"--location={store}", "--file"]
    subprocess.run([*line, *map(str, files)], check=True, capture_output=True)
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
        ours.figures.clear()
        change(data, ours, records)
        lines += (
            Line(name.removesuffix(", ms"), "ms", figure) for name, figure in ours.figures.items()
        )
    show(f"Questions, {records:,} records", lines)


if __name__ == "__main__":
    typer.run(main)
