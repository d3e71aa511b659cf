"""Define the commands that run a service: serve, up, mirror and demo."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from urllib.request import urlopen

import structlog
import typer

from command_line.console import err
from command_line.harvesting.terminal import network_settings
from command_line.lazy_group import import_quickly
from command_line.settings import ALL_ADDRESSES, SITE_URL, Context, Settings, program_path
from command_line.supervisor import Job, supervise
from demo.folder import FolderInUseError, demo_folder, is_free, next_free
from demo.registries import SIZE, Demo
from demo.source_definitions import open_submissions, write_sources
from harvesters.errors import HarvestError, MirrorError
from harvesters.mirror import LARGEST, Mirror, follow, handshake, sync
from harvesters.network.fetch import Fetch
from harvesters.network.settings import RetryPolicy
from harvesters.stored_response import Validator
from journal import mirror_origin
from journal.errors import JournalError
from journal.mirror_origin import Origin
from journal.stop_signal import exit_on_sigterm
from vocab.iris import is_web
from web.branding import DEMO_NAME, NAME

PORT, REGISTRIES_PORT = 8000, 8790  # ports of the demo; if one is in use, another is chosen

_CHECK_INTERVAL = 60.0  # seconds between checks: harvests publish a few times a day
_PAUSE = 0.1  # seconds between requests: entries are static files
_MAX_ANSWER_BYTES = 64 << 20  # bytes of a response: four parts, for servers without range requests

app = typer.Typer()
log = structlog.get_logger()


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
        site.suggest_schedule(context.obj, url)
    site.serve(context.obj, url, host, port)


@app.command()
def mcp(context: Context) -> None:
    """Answer an AI assistant on standard input and output, by the Model Context Protocol, until the
    input ends.
    """
    import_module("command_line.publishing.publish").run_mcp(
        context.obj, public_address(context.obj, "127.0.0.1", 8000)
    )


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


@app.command()
def demo(
    context: Context,
    host: Host = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            help="Port to listen on. Default: 8000, or the next free port.", min=0, max=65535
        ),
    ] = None,
    size: Annotated[int, typer.Option(help="Total number of simulated records.", min=100)] = SIZE,
    seed: Annotated[int, typer.Option(help="Random seed of the simulated records.")] = 1,
    registries_port: Annotated[
        int | None,
        typer.Option(
            help="Port of the simulated registries. Default: 8790, or any free port.",
            min=0,
            max=65535,
        ),
    ] = None,
) -> None:
    """Run a demo: start the portal, harvest simulated registries and make a release. The portal
    shows the progress.
    """
    if port is not None:
        _check_port(host, port)
    else:
        port = next_free(host, PORT)
    if registries_port is None:
        is_usable = port != REGISTRIES_PORT and is_free("127.0.0.1", REGISTRIES_PORT)
        registries_port = REGISTRIES_PORT if is_usable else 0
    elif registries_port == port != 0:
        raise typer.BadParameter(f"portal and registries cannot both use port {port}")
    else:
        _check_port("127.0.0.1", registries_port)
    registries = partial(Demo, size=size, seed=seed, port=registries_port)
    _run_demo(_demo_settings(context.obj), host, port, registries)


def _demo_settings(settings: Settings) -> Settings:
    data = settings.data / "demo"
    return replace(
        settings,
        data=data,
        sources=data / "sources",
        ledger=f"sqlite:///{data}/ledger.sqlite",
        allow_hosts=frozenset({"127.0.0.1"}),
        name=settings.name if settings.name != NAME else DEMO_NAME,
        demo=True,
    )


def _run_demo(settings: Settings, host: str, port: int, registries: Callable[[], Demo]) -> None:
    """Serve the portal, and run the other steps one after the other, until Ctrl-C."""
    data, url = settings.data, f"http://{host}:{port}/"
    # These are imported late, since they import the ledger.
    submissions = import_module("command_line.demo_submissions")
    validation = import_module("command_line.validation")
    with ExitStack() as stack:
        try:
            stack.enter_context(demo_folder(validation.writable_directory(data), url))
        except FolderInUseError as error:
            raise typer.BadParameter(str(error)) from error

        def begin() -> bool:
            simulated = stack.enter_context(registries())
            write_sources(simulated.url, settings.sources)
            open_submissions(settings.sources)
            submissions.seed_submissions(settings.ledger)
            text = (
                f"The simulated registries are at {simulated.url}; their data are stored in {data}."
            )
            err.print(text, soft_wrap=True, highlight=False)
            return True

        start = f"Starting the demo. Open {url} to watch it; Ctrl-C ends it."
        err.print(start, soft_wrap=True, highlight=False)
        jobs: list[Job] = [
            begin,
            ["harvest"],
            ["identity", "match", "--changed", "--publish", "--json"],
            {"schedule": ["schedule"]},
        ]
        if not any((data / "releases").glob("[0-9]*")):
            jobs.append(["release"])
        jobs += [["dump"], lambda: _announce_ready(url, settings, submissions.ADDRESS)]
        jobs.append(["examples", "run", "--json"])
        services = {"serve": ["serve", "--host", host, "--port", str(port)]}
        supervise(
            services, replace(settings, public_url=public_address(settings, host, port)), jobs
        )


def _announce_ready(url: str, settings: Settings, reporter: str) -> bool:
    """Print the URLs of the demo and the next steps once it is complete; return False until then."""
    try:
        with urlopen(f"{url}health", timeout=2) as answer:
            health = json.load(answer)
    except (OSError, ValueError):
        return False
    if health.get("start") or health["lag"]:
        return False
    path = program_path()
    for line in (
        "",
        f"The demo is ready: {url}",
        f"  Search             {url}search",
        f"  SPARQL             {url}sparql",
        f"  Admin pages        {url}admin/   (create a key: {settings.program()} keys create NAME --scope admin)",
        f"  Add a registry     {url}join",
        f"  Report an initiative {url}submit   (what {reporter} reported: {url}submit/mine)",
        f"  Own data           end the demo with Ctrl-C; then put source definitions into {Path('sources').absolute()}",
        f"                     and run: {path} harvest, {path} up (see README.md)",
        "Ctrl-C ends the demo. Its data stay in " + str(settings.data),
    ):
        err.print(line, soft_wrap=True, highlight=False, markup=False)
    return True
