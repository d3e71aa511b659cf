"""Run the simulated registries in a child process: start, change and stop them.

Run it by hand: ``python -m demo.registries --port 8765 --size 4000 --seed 1``
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any
from urllib.request import Request, urlopen

import typer
import uvicorn

from demo.app import DemoState, create_app
from demo.publications import PUBLICATIONS
from demo.scenario import DEFAULT, SHARES, Fault, RawProtocol, ScenarioState, registries
from demo.source_definitions import write_sources

__all__ = ["DEFAULT", "SHARES", "Demo", "Fault"]

_STOP_TIMEOUT = 10.0  # seconds for the child to exit
SIZE = 4000  # records in all registries


@dataclass(slots=True)
class Demo:
    """Simulated registries in a child process on loopback; a context manager.

    *size* records are distributed over the registries, or over those named in *only* (keys of
    SHARES); *page* is the default number of records per page. Without *only*, the small registries
    of PUBLICATIONS are served too. The child ends with its parent, however that ends.
    """

    size: int = SIZE
    seed: int = 1
    faults: Collection[Fault] = DEFAULT
    only: Collection[str] = ()
    page: int = 100
    port: int = 0
    version: int = 1
    _child: subprocess.Popen[str] | None = field(default=None, init=False)

    def __enter__(self) -> Demo:
        """Start the child and wait until it responds; raises RuntimeError if it does not start."""
        options = {
            "port": self.port,
            "size": self.size,
            "seed": self.seed,
            "page": self.page,
            "version": self.version,
            "faults": ",".join(sorted(self.faults)),
            "only": ",".join(self.only),
        }
        command = [sys.executable, "-m", "demo.registries", "--attached"]
        command += [f"--{name}={value}" for name, value in options.items()]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        line = self._child.stdout.readline() if self._child.stdout else ""
        if not line.strip().isdecimal():
            self.stop()
            raise RuntimeError(
                f"the demo's registries did not start; try by hand: {' '.join(command[:3])}"
            )
        self.port = int(line)
        return self

    def stop(self) -> None:
        """Stop the child and wait for it; may be called twice."""
        if self._child is None:
            return
        child, self._child = self._child, None
        try:
            child.communicate(timeout=_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def evolve(
        self,
        version: int | None = None,
        faults: Collection[Fault] | None = None,
        *,
        stays: bool = False,
    ) -> dict[str, Any]:
        """Change to another version or other faults, and return the new state.

        With *stays*, faults of the second request also affect all later ones.
        """
        changed = {"version": version, "faults": None if faults is None else sorted(faults)}
        sent = {name: value for name, value in changed.items() if value is not None}
        return self._ask(json.dumps({**sent, "stays": stays}).encode())

    def counters(self) -> dict[str, Any]:
        return self._ask(None)

    def _ask(self, body: bytes | None) -> dict[str, Any]:
        with urlopen(Request(f"{self.url}/control", data=body), timeout=60) as reply:
            answer: dict[str, Any] = json.load(reply)
            return answer

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _end_with_input(server: uvicorn.Server) -> None:
    while os.read(0, 1024):  # with sys.stdin, the waiting thread would hold its lock at the exit
        pass
    server.should_exit = True


def main(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: a free one; the first line names it.")] = 0,
    size: Annotated[int, typer.Option(help="Records in all.")] = SIZE,
    seed: Annotated[int, typer.Option(help="What the records depend on.")] = 1,
    page: Annotated[int, typer.Option(help="Records a page by default.")] = 100,
    version: Annotated[int, typer.Option(help="Version of the registries.")] = 1,
    faults: Annotated[str, typer.Option(help=f"Some of {', '.join(Fault)}, by commas.")] = ",".join(
        sorted(DEFAULT)
    ),
    only: Annotated[str, typer.Option(help=f"Some of {', '.join(SHARES)}, by commas.")] = "",
    attached: Annotated[bool, typer.Option("--attached", help="End with the input.")] = False,
    write_to: Annotated[
        Path | None, typer.Option("--write-sources", help="Directory of source definitions.")
    ] = None,
    public_host: Annotated[str, typer.Option(help="Host in these definitions.")] = "",
) -> None:
    """Serve simulated registries until interrupted."""
    names = tuple(filter(None, only.split(",")))
    try:
        scenario = ScenarioState(version, frozenset(map(Fault, filter(None, faults.split(",")))))
        served = registries(size, seed, names)
    except ValueError as error:
        raise SystemExit(f"demo: {error}") from error
    state = DemoState(served, scenario, page, () if names else tuple(PUBLICATIONS), seed)
    config = uvicorn.Config(
        create_app(state), http=RawProtocol, log_level="warning", access_log=False, date_header=False, lifespan="off",
    )  # fmt: skip
    server = uvicorn.Server(config)
    with socket.create_server((host, port), backlog=128) as listener:
        port = listener.getsockname()[1]
        if write_to:
            write_sources(f"http://{public_host or host}:{port}", write_to, names)
        print(port, flush=True)
        if attached:
            threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
        with suppress(KeyboardInterrupt):  # uvicorn raises it again after its shutdown
            server.run(sockets=[listener])


if __name__ == "__main__":
    typer.run(main)
