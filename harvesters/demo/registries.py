"""Registries: the demo as a process of its own, and the handle that starts, moves and ends it.

Run it by hand: ``python -m harvesters.demo.registries --port 8765 --size 4000 --seed 1``
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

import uvicorn

from harvesters.demo.app import Playground, build
from harvesters.demo.cards import cards
from harvesters.demo.fate import DEFAULT, SHARES, Age, Counts, Fault, registries, truth
from harvesters.demo.wire import WireProtocol

__all__ = ["DEFAULT", "SHARES", "Counts", "Demo", "Fault", "truth"]

_PATIENCE = 10.0  # seconds that a child may take to end
SIZE = 4000  # records of the demo in all


@dataclass(slots=True)
class Demo:
    """Simulated registries in a child process on loopback; a context manager.

    *size* records are shared out to the registries, or to those named in *only* (keys of SHARES); *page* is how many
    records a page holds where the client does not say. The child ends with its parent, however that ends.
    """

    size: int = SIZE
    seed: int = 1
    faults: Collection[Fault] = DEFAULT
    only: Collection[str] = ()
    page: int = 100
    port: int = 0
    version: int = 1
    _child: subprocess.Popen[str] | None = field(default=None, init=False)

    def start(self) -> Demo:
        """Start the child and wait until it answers; raises RuntimeError when it does not start."""
        command = [sys.executable, "-m", "harvesters.demo.registries", "--attached", f"--port={self.port}", f"--size={self.size}"]
        command += [f"--seed={self.seed}", f"--page={self.page}", f"--version={self.version}"]
        command += [f"--faults={','.join(sorted(self.faults))}", f"--only={','.join(self.only)}"]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        line = self._child.stdout.readline() if self._child.stdout else ""
        if not line.strip().isdecimal():
            self.stop()
            raise RuntimeError(f"the demo's registries did not start; try by hand: {' '.join(command[:3])}")
        self.port = int(line)
        return self

    def stop(self) -> None:
        """End the child and wait for it; to stop twice is no harm."""
        if self._child is None:
            return
        child, self._child = self._child, None
        try:
            child.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()

    @property
    def host(self) -> str:
        """Give host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Give the address, without a slash at its end."""
        return f"http://{self.host}"

    def evolve(
        self, version: int | None = None, faults: Collection[Fault] | None = None, at: datetime | None = None, *, stays: bool = False
    ) -> dict[str, Any]:
        """Move to another version or other faults; *at* is when the version came (None: a fixed day). Tells the new age.

        With *stays*, faults that strike the second request strike all that follow it.
        """
        told: dict[str, Any] = {"at": at.isoformat() if at else None, "stays": stays}
        told |= {"version": version} if version is not None else {}
        told |= {"faults": sorted(faults)} if faults is not None else {}
        return self._ask(json.dumps(told).encode())

    def counters(self) -> dict[str, Any]:
        """Tell the age and how many requests each registry has had."""
        return self._ask(None)

    def _ask(self, body: bytes | None) -> dict[str, Any]:
        with urlopen(Request(f"{self.url}/control", data=body), timeout=60) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer

    def __enter__(self) -> Demo:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m harvesters.demo.registries", description="Serve simulated registries.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: a free one; the first line printed names it")
    parser.add_argument("--size", type=int, default=SIZE, help="records in all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--page", type=int, default=100, help="records a page where the client does not say")
    parser.add_argument("--version", type=int, default=1)
    parser.add_argument("--faults", default=",".join(sorted(DEFAULT)), help=f"some of {', '.join(Fault)}, by commas")
    parser.add_argument("--only", default="", help=f"some of {', '.join(SHARES)}, by commas; none: all")
    parser.add_argument("--attached", action="store_true", help="end when standard input ends")
    parser.add_argument("--write-sources", type=Path, metavar="DIR", help="write the registries' source definitions into this directory")
    parser.add_argument("--public-host", default="", help="host in these definitions; default: the address listened on")
    return parser.parse_args(words)


def _playground(given: argparse.Namespace) -> Playground:
    faults = frozenset(Fault(name) for name in given.faults.split(",") if name)
    only = [name for name in given.only.split(",") if name]
    return Playground(registries(given.size, given.seed, only), Age(given.version, faults), given.page)


def _end_with_input(server: uvicorn.Server) -> None:
    while os.read(0, 1024):  # not sys.stdin, whose lock a waiting thread would hold at the end
        pass
    server.should_exit = True


def main(words: list[str] | None = None) -> None:
    """Serve until interrupted."""
    given = _arguments(words)
    try:
        playground = _playground(given)
    except ValueError as error:
        raise SystemExit(f"demo: {error}") from error
    config = uvicorn.Config(build(playground), http=WireProtocol, log_level="warning", access_log=False, date_header=False, lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server((given.host, given.port), backlog=128) as listener:
        port = listener.getsockname()[1]
        if given.write_sources:
            cards(f"http://{given.public_host or given.host}:{port}", given.write_sources, tuple(filter(None, given.only.split(","))))
        print(port, flush=True)
        if given.attached:
            threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
        with suppress(KeyboardInterrupt):  # uvicorn raises it again once all is closed
            server.run(sockets=[listener])


if __name__ == "__main__":
    main()
