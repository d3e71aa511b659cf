"""Define the commands that run a service: serve, up, mirror and mcp; and query, which answers as it
without a server.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import structlog
import typer

from command_line.commands import import_quickly
from command_line.console import check_choice, fail, print_note
from command_line.settings import ALL_ADDRESSES, SITE_URL, Context, Settings
from command_line.workspace import network_settings
from demo.source_definitions import is_free
from harvesters.errors import HarvestError, MirrorError
from harvesters.mirror import LARGEST, Mirror, follow, handshake, sync
from harvesters.network.fetch import Fetch, RetryPolicy
from harvesters.page_model import Validator
from journal import mirror_origin
from journal.errors import JournalError
from journal.mirror_origin import Origin
from journal.processes import StopSignal, exit_on_sigterm
from publisher.errors import NoFormat, QuerySyntaxError
from publisher.limits import Limits, read
from publisher.sparql.rewriting import TEXT_HEADER, rewrite
from publisher.store.query_service import QueryService
from publisher.store.workers.query_request import QueryRequest, uses_service
from vocab.iris import Iris, is_web
from web.respond import GRAPHS, TABLES

_RESTART_DELAY = 2.0  # seconds before a process that exited is restarted
_STABLE_AFTER = 30.0  # seconds after which a restarted process counts as running
_STOP_TIMEOUT = 10.0  # seconds for a process to exit by itself

log = structlog.get_logger()

Job = list[str] | dict[str, list[str]] | Callable[[], bool]


def subcommand(command: list[str]) -> list[str]:
    """Return the command line of a process of this program that exits when this one does."""
    return [sys.executable, "-m", "stocktake", f"--parent={os.getpid()}", *command]


def supervise(
    commands: Mapping[str, list[str]], settings: Settings, jobs: Sequence[Job] = ()
) -> None:
    """Keep processes running until SIGINT or SIGTERM, then terminate them; kill those still running
    after ten seconds.

    *jobs* run meanwhile, one after the other: a command runs once, a mapping names more processes
    to keep running, and a function is called each second until it returns True.
    """
    stop = StopSignal()
    services, waiting = dict(commands), deque(jobs)
    children: dict[str, subprocess.Popen[bytes]] = {}
    restarts: Counter[str] = Counter()
    started_at: dict[str, float] = {}
    job: subprocess.Popen[bytes] | None = None
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
            if job is not None and (code := job.poll()) is not None:
                if code:
                    log.error(
                        "setup step failed; the portal keeps running",
                        command=str(job.args),
                        code=code,
                    )
                job = None
            if job is None and waiting:
                job = _start_next_job(waiting, services, settings, stop)
    finally:
        _stop_processes([*children.values(), *([job] if job else [])])


def _start_next_job(
    waiting: deque[Job],
    services: dict[str, list[str]],
    settings: Settings,
    stop: StopSignal,
) -> subprocess.Popen[bytes] | None:
    """Start the next job and return its process, if any. A function that returns False is called
    again later.
    """
    job = waiting[0]
    if callable(job) and not job():
        stop.wait(1)
        return None
    waiting.popleft()
    if isinstance(job, dict):
        services.update(job)
    return _start_process(job, settings, quiet="--json" in job) if isinstance(job, list) else None


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
_MAX_ANSWER_BYTES = 64 << 20  # bytes of a response: four parts, for servers without range requests

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
    if SITE_URL.match(settings.base) and mirror_origin.read(settings.data / "journal") is None:
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
    with _open_mirror(context.obj, address, base, pause, largest) as item:
        if once and not serving:
            print(_mirror_summary(item, sync(item)))
        elif not serving:
            exit_on_sigterm()
            follow(item, every, threading.Event().wait)
        else:
            origin = _handshake_or_cached(item)
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


@contextmanager
def _open_mirror(
    settings: Settings, url: str, base: str | None, pause: float, largest: int
) -> Iterator[Mirror]:
    """Open a client for the other Stocktake, and yield the mirror."""
    validators: dict[str, Validator] = {}
    retry_policy = RetryPolicy(max_bytes=_MAX_ANSWER_BYTES)
    network = replace(network_settings(settings), retry_policy=retry_policy)
    with Fetch(network, pause, validators=validators) as client:
        yield Mirror(settings.data, url, client, base, largest, validators=validators)


def _handshake_or_cached(mirror: Mirror) -> Origin:
    """Return the origin; if it does not respond, the one that was mirrored before."""
    try:
        return handshake(mirror)
    except (HarvestError, JournalError) as error:
        known = mirror_origin.read(mirror.journal.folder)
        if known is None or isinstance(error, MirrorError | JournalError):
            raise
        log.warning(
            "origin does not respond; serving the local copy", origin=mirror.url, reason=str(error)
        )
        return known


def _mirror_summary(mirror: Mirror, copied: int) -> str:
    """Return a line about the content of a mirror after a sync."""
    head = mirror.journal.head
    content = f"{head.number} entries, the last {head.id}" if head else "no entries"
    return f"{mirror.data} is a mirror of {mirror.url}: {content}; {copied} copied now"


def open_service(settings: Settings, limits: Limits) -> QueryService:
    """Return the service of the published data, with one worker."""
    iris = Iris(settings.base)
    return QueryService(settings.data, iris, limits, readers=1, elsewhere=settings.elsewhere)


@app.command()
def mcp(context: Context) -> None:
    """Answer an AI assistant on standard input and output, by the Model Context Protocol, until the
    input ends.
    """
    settings, server = context.obj, import_module("publisher.apis.mcp_server")  # a second's imports
    url = public_address(settings, "127.0.0.1", 8000)

    async def answer() -> None:
        async with open_service(settings, read(settings.limits)) as service:
            await server.create_server(service, url).run_stdio_async()

    asyncio.run(answer())


@app.command()
def query(
    context: Context,
    file: Annotated[
        Path, typer.Argument(help="A file with a SPARQL query.", exists=True, dir_okay=False)
    ],
    form: Annotated[
        str, typer.Option("--format", help=f"Result format: {', '.join([*TABLES, *GRAPHS])}.")
    ] = "",
    seconds: Annotated[
        float, typer.Option("--timeout", help="Time limit in seconds.", min=0.001)
    ] = 600.0,
) -> None:
    """Run a SPARQL query on the published data, without a server."""
    check_choice(form, ["", *TABLES, *GRAPHS])
    text = file.read_text(encoding="utf-8")
    if uses_service(text):
        fail("SERVICE is not supported: query the other endpoint yourself and join the results")
    table, graph = (
        (form if form in TABLES else None, form if form in GRAPHS else None)
        if form
        else ("tsv", "ttl")
    )
    try:
        asyncio.run(
            _run_query(context.obj, QueryRequest(text, table, graph, context.obj.base), seconds)
        )
    except NoFormat as error:
        kinds = "a table (SELECT, ASK)", TABLES, "a graph (CONSTRUCT, DESCRIBE)", GRAPHS
        kind, formats, *_ = kinds if table is None else kinds[2:]
        raise typer.BadParameter(
            f"--format {form}: the query returns {kind}, which has the formats {', '.join(formats)}"
        ) from error
    except QuerySyntaxError as fault:
        fail(f"{file}:{fault.line}:{fault.column}: {fault}" if fault.line else f"{file}: {fault}")


async def _run_query(settings: Settings, query_request: QueryRequest, seconds: float) -> None:
    async with open_service(settings, Limits(seconds=seconds)) as service:
        await service.wait_until_current(is_indexed=query_request.has_search)
        query_request = await rewrite(service, query_request)
        if query_request.note:
            print_note(f"{TEXT_HEADER}: {query_request.note}")
        answer = await service.query(query_request)
        try:
            async for chunk in answer.chunks():
                sys.stdout.buffer.write(chunk)
        finally:
            answer.close()
    sys.stdout.flush()
