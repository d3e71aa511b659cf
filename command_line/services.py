"""Define the commands that run a service: serve, up and mirror, with few imports, since the process of
`up` only watches others.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Annotated
from urllib.parse import urlsplit

import structlog
import typer

from command_line.commands import import_quickly
from command_line.settings import ALL_ADDRESSES, SITE_URL, Context, Settings
from demo.source_definitions import is_free
from journal.processes import StopSignal, exit_on_sigterm
from journal.store import LARGEST, read_origin
from vocab.iris import is_web

_RESTART_DELAY = 2.0  # seconds before a process that exited is restarted
_STABLE_AFTER = 30.0  # seconds after which a restarted process counts as running
_STOP_TIMEOUT = 10.0  # seconds for a process to exit by itself

log = structlog.get_logger()


def subcommand(command: list[str]) -> list[str]:
    """Return the command line of a process of this program that exits when this one does."""
    return [sys.executable, "-m", "stocktake", f"--parent={os.getpid()}", *command]


def supervise(
    services: Mapping[str, list[str]], settings: Settings, steps: Iterable[list[str]] = ()
) -> None:
    """Keep processes running until SIGINT or SIGTERM, then terminate them; kill those still running
    after ten seconds.

    Meanwhile the commands that *steps* yields run one after the other; an empty one stands for a
    pause. It may add to *services*.
    """
    stop, restarts, pending = StopSignal(), Counter[str](), iter(steps)
    children: dict[str, subprocess.Popen[bytes]] = {}
    started_at: dict[str, float] = {}
    step: subprocess.Popen[bytes] | None = None
    try:
        while not stop.wait(0.2 if children else 0):
            for name, command in services.items():
                if name in children and children[name].poll() is None:
                    if restarts[name] and time.monotonic() - started_at[name] > _STABLE_AFTER:
                        log.info("process recovered", process=name, restarts=restarts.pop(name))
                    continue
                if name in children:
                    log.error(
                        "process exited; restarting", process=name, code=children[name].returncode
                    )
                    restarts[name] += 1
                    stop.wait(_RESTART_DELAY)
                started_at[name] = time.monotonic()
                children[name] = _start_process(command, settings)
            if step is None or step.poll() is not None:
                if step and step.returncode:
                    log.error(
                        "setup step failed; the portal keeps running",
                        command=str(step.args),
                        code=step.returncode,
                    )
                words = next(pending, [])
                step = _start_process(words, settings, quiet="--json" in words) if words else None
    finally:
        _stop_processes([*children.values(), *([step] if step else [])])


def _start_process(
    command: list[str], settings: Settings, *, quiet: bool = False
) -> subprocess.Popen[bytes]:
    out = subprocess.DEVNULL if quiet else None
    return subprocess.Popen(
        subcommand(command),
        env=settings.environment(),
        start_new_session=True,
        stdout=out,
        stderr=out,
    )


def _stop_processes(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


_CHECK_INTERVAL = 60.0  # seconds between checks: harvests publish a few times a day
_PAUSE = 0.1  # seconds between requests: entries are static files

app = typer.Typer()


def public_address(settings: Settings, host: str, port: int) -> str:
    """Return the public URL of a server that listens on *host* and *port*, without a slash at the
    end. Absolute links begin with it and not with the header Host, which whoever sends a request
    chooses: behind a shared cache, links to a foreign host would go to others.

    It is the setting; without one, the base of the IRIs if this is a whole host and not that of a
    mirror's origin, or else the address itself.
    """
    if settings.public_url:
        return settings.public_url
    if SITE_URL.match(settings.base) and read_origin(settings.data / "journal") is None:
        return settings.base.rstrip("/")
    name = "localhost" if host in ALL_ADDRESSES else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _check_port(host: str, port: int) -> None:
    """Exit with code 2 if the port is in use: a restart of the server would not free it."""
    if not is_free(host, port):
        raise typer.BadParameter(
            f"port {port} of {host} is in use; stop the program that uses it, or choose another port with --port"
        )


Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)]


@app.command()
def serve(context: Context, host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Serve the published data (SPARQL, pages, linked data, dumps) and the admin pages; to harvest
    on schedule too, run `stocktake up`.
    """
    _check_port(host, port)
    exit_on_sigterm()  # uvicorn raises the signal again after its shutdown
    site, url = import_quickly("command_line.site"), public_address(context.obj, host, port)
    if not context.find_root().params["parent"]:  # `up` and `demo` start a schedule beside it
        site.suggest_schedule(context.obj)
    site.serve(context.obj, url, host, port)


@app.command()
def up(context: Context, host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Run the scheduler, the server and (if set) releases until Ctrl-C, restarting each process
    that exits.
    """
    settings: Settings = context.obj
    _check_port(host, port)
    processes = {"schedule": ["schedule"], "serve": ["serve", "--host", host, "--port", str(port)]}
    if settings.ledger.startswith("postgresql"):
        processes["worker"] = ["worker"]  # the schedule only queues what is due
    if settings.releases:
        processes["release"] = ["release", "--every", settings.releases]
    url = public_address(settings, host, port)
    log.info("starting processes", processes=list(processes), url=f"{url}/")
    supervise(processes, replace(settings, public_url=url))  # links of mails begin with it


@app.command()
def mirror(
    context: Context,
    url: Annotated[str, typer.Argument(help="URL of the other Stocktake's home page.")],
    once: Annotated[
        bool,
        typer.Option(
            "--once/--follow", help="Copy new entries once, or keep copying until Ctrl-C."
        ),
    ] = True,
    serving: Annotated[
        bool, typer.Option("--serve", help="Keep copying, and serve the copy.")
    ] = False,
    every: Annotated[
        float, typer.Option(help="Seconds between checks for new entries.", min=1)
    ] = _CHECK_INTERVAL,
    pause: Annotated[float, typer.Option(help="Seconds between requests.", min=0)] = _PAUSE,
    largest: Annotated[
        int, typer.Option(help="Maximum size of an uncompressed entry, in bytes.", min=1)
    ] = LARGEST,
    host: Host = "127.0.0.1",
    port: Port = 8000,
) -> None:
    """Mirror another Stocktake: copy its journal into this data directory, checking the hash of
    each entry.
    """
    address = mirror_address(url)
    base = context.obj.base if context.obj.is_base_set else None
    # These are imported late: `up` and `serve` need none of them.
    mirrors, workspace = (
        import_module(name) for name in ("harvesters.mirror", "command_line.workspace")
    )
    network = workspace.network_settings(context.obj)
    with mirrors.open_mirror(context.obj.data, address, base, network, pause, largest) as item:
        if once and not serving:
            print(mirrors.describe_copy(item, mirrors.sync(item)))
        elif not serving:
            exit_on_sigterm()
            mirrors.follow(item, every, threading.Event().wait)
        else:
            origin = mirrors.handshake_or_cached(item)
    if serving:
        options = [f"--every={every}", f"--pause={pause}", f"--largest={largest}"]
        words = ["mirror", address, "--follow", *options]
        processes = {"mirror": words, "serve": ["serve", "--host", host, "--port", str(port)]}
        supervise(processes, replace(context.obj, base=origin.base))


def mirror_address(url: str) -> str:
    """Return the URL of the other home page with a slash at its end; exit with 2 if it is not one."""
    parts = urlsplit(url)
    if not is_web(url) or parts.query or parts.fragment:
        raise typer.BadParameter(
            f"{url!r} is not the URL of a Stocktake home page, e.g. https://stocktaking.example/"
        )
    return url.removesuffix("journal/").rstrip("/") + "/"
