"""A SPARQL endpoint over one connection that is kept, and `oxigraph serve` as the peer to ask."""

from __future__ import annotations

import gzip
import http.client
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from benchmarks.processes import until

_TABLE = "application/sparql-results+json"
_BLOCK = 1 << 16


class Endpoint:
    """Ask a SPARQL endpoint by POST; one connection, so one thread."""

    def __init__(self, url: str) -> None:
        self._path = urlsplit(url).path
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)

    def ask(self, query: str) -> bytes:
        """Return the answer as SPARQL's JSON, read to its end."""
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": _TABLE}
        self._connection.request("POST", self._path, urlencode({"query": query}), headers)
        with self._connection.getresponse() as answer:
            if answer.status != 200:
                raise RuntimeError(
                    f"{self._path} answered {answer.status}: {answer.read()[:500]!r}"
                )
            parts = iter(lambda: answer.read(_BLOCK), b"")
            return b"".join(parts)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def rows(answer: bytes) -> list[bytes]:
    """Return an answer's rows in an order of their own, so that two answers can be compared."""
    result: dict[str, Any] = orjson.loads(answer)
    return sorted(
        orjson.dumps([_plain(row[name]) for name in sorted(row)])
        for row in result["results"]["bindings"]
    )


def _plain(term: dict[str, str]) -> list[str]:
    kind = term["type"].removeprefix("typed-")  # Virtuoso has the name of an early draft
    return [kind, term["value"], term.get("xml:lang", ""), term.get("datatype", "")]


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def oxigraph(*words: str | Path) -> list[str]:
    """Return the peer's command line."""
    return [str(Path(sys.executable).with_name("oxigraph")), *map(str, words)]


def unpack(dumps: Path, folder: Path) -> list[Path]:
    """Write our dumps into *folder*, not compressed: the named graphs, and their merge."""
    files = []
    for packed in sorted([*dumps.glob("*.nq.gz"), *dumps.glob("*.ttl.gz")]):
        files.append(folder / packed.name.removesuffix(".gz"))
        with gzip.open(packed) as source, files[-1].open("wb") as out:
            shutil.copyfileobj(source, out, _BLOCK)
    return files


def loaded(dumps: Path, folder: Path) -> Path:
    """Load our dumps into a store of the peer's: the named graphs, and their merge as the default
    graph, as our store holds them.
    """
    files = unpack(dumps, folder)
    store = folder / "oxigraph"
    subprocess.run(
        oxigraph("load", "--lenient", "--location", store, "--file", *files),
        check=True,
        capture_output=True,
    )
    subprocess.run(oxigraph("optimize", "--location", store), check=True, capture_output=True)
    return store


@contextmanager
def peer(store: Path) -> Iterator[str]:
    """Serve *store* with `oxigraph serve`; return the endpoint's address."""
    port = free_port()
    with subprocess.Popen(
        oxigraph("serve", "--location", store, "--bind", f"127.0.0.1:{port}"),
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            until(lambda: _listens(port), 60)
            yield f"http://127.0.0.1:{port}/query"
        finally:
            server.terminate()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
