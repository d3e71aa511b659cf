"""The command line of Stocktake and its settings."""

from __future__ import annotations

import errno
import json
import os
import pwd
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, ClassVar
from urllib.request import urlopen

import structlog
import typer
from fastapi import FastAPI
from rich.console import Console
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from typer.models import OptionInfo

import harvesters.admin.cli
import harvesters.cli
import publisher.cli
import shapes.cli
import vocab.cli
from demo.folder import DemoFolder, FolderInUseError, is_demo, is_free, next_free
from demo.registries import SIZE, Demo
from demo.source_definitions import write_sources
from harvesters.admin.app import create_admin
from harvesters.admin.auth import is_operator
from harvesters.admin.context import AdminContext
from harvesters.commands import mirror as mirroring
from harvesters.errors import HarvestError
from harvesters.mirror import LARGEST, follow, sync
from harvesters.network.retry import install_retry_logging
from harvesters.pipeline.worker_pool import DEFAULT_WORKERS
from journal import mirror_origin
from journal import store as shared
from journal.errors import JournalError
from publisher.limits import read as read_limits
from publisher.logs import configure_logging
from publisher.pages.branding import DEMO_NAME, NAME, NO_CONTACT, check_logo
from publisher.portal.source_preview import MEMORY, PreviewRunner
from publisher.releases.schedule import trigger
from publisher.store.external.endpoint import StoreURLs, parse_settings
from publisher.store.process import exit_with_parent
from shapes.validate import EngineName
from vocab.iris import BASE, is_web

PORT, REGISTRIES_PORT = 8000, 8790  # of the demo; if a port is in use, another is chosen
_LONGEST_NAME = 80  # characters of the name of an installation; every page title contains it
_RESTART_DELAY = 2.0  # seconds before a process that exited is restarted
_STABLE_AFTER = 30.0  # seconds after which a restarted process counts as running
_STOP_TIMEOUT = 10.0  # seconds for a process to exit by itself

_HOST_NAME = re.compile(r"[A-Za-z0-9._-]+\Z|[0-9A-Fa-f:.]+\Z")  # a name, IPv4 or IPv6 address

_ALL_ADDRESSES = ("0.0.0.0", "::")  # all addresses of the machine
_SITE_URL = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?\Z")  # a whole host

_SCHEDULER_URL = re.compile(r"(?:tcp|tls)://[^\s/]+:\d{1,5}\Z")

_err = Console(stderr=True)
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings. Each is an option or an environment variable."""

    VARIABLES: ClassVar[Mapping[str, str]] = {
        "STOCKTAKE_DATA": "Data directory: journal, archive, ledger, store and dumps.",
        "STOCKTAKE_SOURCES": "Directory of the source definitions (one TOML file per registry).",
        "STOCKTAKE_BASE": "Prefix of every IRI. Set it once: changing it makes other data.",
        "STOCKTAKE_LEDGER": "SQLAlchemy URL of the ledger (the state database). Default: SQLite in the data directory.",
        "STOCKTAKE_ALLOW_HOSTS": "Hosts on private networks that may be accessed (comma-separated).",
        "STOCKTAKE_CONTACT": "Contact address of the operator, shown on every page and sent in the User-Agent.",
        "STOCKTAKE_NAME": "Name of this installation, shown on pages and in feeds.",
        "STOCKTAKE_LOGO": "Logo file shown on pages: SVG, PNG, WebP or JPEG.",
        "STOCKTAKE_SHAPES_ENGINE": "SHACL engine for harvests: rust (fast) or reference (pyshacl).",
        "STOCKTAKE_WORKER_PROCESSES": "Worker processes for mapping and validating large sources. Default: cores - 1; 0 = none.",
        "STOCKTAKE_DASK": "Dask scheduler whose workers map and validate large sources instead, e.g. tcp://host:8786.",
        "STOCKTAKE_QUERY_LIMITS": "Query limits, e.g. seconds=30,memory=2GiB,budget=60. Limits that are not named keep their default.",
        "STOCKTAKE_RELEASES": "Cron line (UTC) of the releases that `up` makes. Default: no automatic releases.",
        "STOCKTAKE_OBJECT_STORE_URL": "URL of an object store shared by several machines, e.g. s3://bucket/stocktake.",
        "STOCKTAKE_SPARQL_URL": "URL of an external SPARQL endpoint to use instead of the embedded store.",
        "STOCKTAKE_SPARQL_UPDATE_URL": "URL for SPARQL updates of the external store, with user and password. Default: the SPARQL URL.",
        "STOCKTAKE_GRAPH_STORE_URL": "Graph Store Protocol URL of the external store, for bulk loads. Default: load with SPARQL updates.",
        "STOCKTAKE_TRUSTED_PROXIES": "Trusted reverse proxies: addresses or networks, comma-separated (their X-Forwarded-For is honoured).",
        "STOCKTAKE_PUBLIC_URL": "Public URL of this server, e.g. https://stocktaking.example. Absolute links begin with it.",
        "STOCKTAKE_WEBSUB_HUB": "URL of the WebSub hub to notify of each change.",
    }

    data: Path
    sources: Path
    base: str
    ledger: str
    allow_hosts: frozenset[str]
    contact: str
    shapes_engine: EngineName
    limits: str = ""
    proxies: str = ""
    releases: str = ""
    hub: str = ""
    store: str = ""
    processes: int = DEFAULT_WORKERS
    dask: str = ""
    public_url: str = ""  # without a slash at its end
    elsewhere: StoreURLs | None = None  # the external store, if one is set
    is_base_set: bool = False  # whether the base was set
    name: str = NAME
    logo: Path | None = None
    demo: bool = False  # whether the data directory holds demo data

    def environment(self) -> dict[str, str]:
        """Return the environment for a child process with the same settings."""
        told = {
            "STOCKTAKE_DATA": str(self.data),
            "STOCKTAKE_SOURCES": str(self.sources),
            "STOCKTAKE_BASE": self.base,
            "STOCKTAKE_LEDGER": self.ledger,
            "STOCKTAKE_ALLOW_HOSTS": ",".join(sorted(self.allow_hosts)),
            "STOCKTAKE_CONTACT": self.contact,
            "STOCKTAKE_SHAPES_ENGINE": self.shapes_engine,
            "STOCKTAKE_WORKER_PROCESSES": str(self.processes),
            "STOCKTAKE_DASK": self.dask,
            "STOCKTAKE_QUERY_LIMITS": self.limits,
            "STOCKTAKE_TRUSTED_PROXIES": self.proxies,
            "STOCKTAKE_PUBLIC_URL": self.public_url,
            "STOCKTAKE_RELEASES": self.releases,
            "STOCKTAKE_WEBSUB_HUB": self.hub,
            "STOCKTAKE_OBJECT_STORE_URL": self.store,
            "STOCKTAKE_NAME": self.name,
            "STOCKTAKE_LOGO": str(self.logo or ""),
        }
        return {**os.environ, **told, **(self.elsewhere.environment() if self.elsewhere else {})}


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="Harvest registries and publish them as linked data.")
app.add_typer(harvesters.cli.app)
app.add_typer(publisher.cli.app)
app.add_typer(harvesters.admin.cli.app, name="keys")
app.add_typer(shapes.cli.app, name="shapes")
app.add_typer(vocab.cli.app, name="vocabulary")


def _option(variable: str, min: int | None = None, max: int | None = None) -> OptionInfo:
    flag = "--" + variable.removeprefix("STOCKTAKE_").lower().replace("_", "-")
    option: OptionInfo = typer.Option(flag, envvar=variable, help=Settings.VARIABLES[variable], min=min, max=max)
    return option


def _print_version(asked: bool) -> None:
    if asked:
        print(f"stocktake {version('stocktake')}")
        raise typer.Exit


@app.callback()
def configure(
    context: typer.Context,
    data: Annotated[Path, _option("STOCKTAKE_DATA")] = Path("data"),
    sources: Annotated[Path, _option("STOCKTAKE_SOURCES")] = Path("sources"),
    base: Annotated[str, _option("STOCKTAKE_BASE")] = BASE,
    ledger: Annotated[str, _option("STOCKTAKE_LEDGER")] = "",
    allow_hosts: Annotated[str, _option("STOCKTAKE_ALLOW_HOSTS")] = "",
    contact: Annotated[str, _option("STOCKTAKE_CONTACT")] = NO_CONTACT,
    name: Annotated[str, _option("STOCKTAKE_NAME")] = "",
    logo: Annotated[str, _option("STOCKTAKE_LOGO")] = "",
    shapes_engine: Annotated[str, _option("STOCKTAKE_SHAPES_ENGINE")] = "rust",
    processes: Annotated[int, _option("STOCKTAKE_WORKER_PROCESSES", min=0, max=512)] = DEFAULT_WORKERS,
    dask: Annotated[str, _option("STOCKTAKE_DASK")] = "",
    limits: Annotated[str, _option("STOCKTAKE_QUERY_LIMITS")] = "",
    sparql_url: Annotated[str, _option("STOCKTAKE_SPARQL_URL")] = "",
    sparql_update_url: Annotated[str, _option("STOCKTAKE_SPARQL_UPDATE_URL")] = "",
    graph_store_url: Annotated[str, _option("STOCKTAKE_GRAPH_STORE_URL")] = "",
    proxies: Annotated[str, _option("STOCKTAKE_TRUSTED_PROXIES")] = "",
    public_url: Annotated[str, _option("STOCKTAKE_PUBLIC_URL")] = "",
    releases: Annotated[str, _option("STOCKTAKE_RELEASES")] = "",
    hub: Annotated[str, _option("STOCKTAKE_WEBSUB_HUB")] = "",
    store: Annotated[str, _option("STOCKTAKE_OBJECT_STORE_URL")] = "",
    parent: Annotated[int, typer.Option("--parent", help="Process id of the parent: exit when it exits; 0 = run on.", min=0)] = 0,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Check the settings before any command runs."""
    configure_logging()
    if parent:
        exit_with_parent(parent, _STOP_TIMEOUT)
    for variable in sorted(os.environ):
        if variable.startswith("STOCKTAKE_") and variable not in Settings.VARIABLES:
            raise typer.BadParameter(f"unknown setting {variable}; known settings: {', '.join(Settings.VARIABLES)}")
    if shapes_engine not in ("rust", "reference"):
        raise typer.BadParameter(f"STOCKTAKE_SHAPES_ENGINE is {shapes_engine!r}; use rust or reference")
    context.obj = Settings(
        data=_folder(data),
        sources=sources,
        base=_base(base, data, given=_is_base_set(context)),
        ledger=_ledger(ledger, data),
        allow_hosts=_hosts(allow_hosts),
        contact=_contact(contact),
        shapes_engine="reference" if shapes_engine == "reference" else "rust",
        processes=processes,
        dask=_dask(dask),
        limits=_limits(limits),
        proxies=_proxies(proxies),
        public_url=_public_url(public_url),
        releases=_releases(releases),
        hub=_hub(hub),
        store=_store(store, data),
        elsewhere=_external_store(sparql_url, sparql_update_url, graph_store_url),
        is_base_set=_is_base_set(context),
        name=_name(name, demo=is_demo(data, sources)),
        logo=_logo(logo),
        demo=is_demo(data, sources),
    )


def _folder(data: Path) -> Path:
    """Check that this user can write the data directory and its files."""
    there = next(path for path in (data.absolute(), *data.absolute().parents) if os.path.exists(path))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise typer.BadParameter(f"STOCKTAKE_DATA is {str(data)!r}, but {there} is not a writable directory{_owner(there)}")
    for path in sorted(there.iterdir()) if there == data.absolute() else []:
        if os.path.exists(path) and not os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
            raise typer.BadParameter(f"STOCKTAKE_DATA is {str(data)!r}, but {path.name} in it is not writable{_owner(path)}")
    return data


def _owner(path: Path) -> str:
    """Return the owner of a file or directory and what to do, or "" if this user owns it."""
    if (number := path.stat().st_uid) == os.getuid():
        return ""
    try:
        owner = pwd.getpwuid(number).pw_name
    except KeyError:
        owner = f"user {number}"
    return f": it belongs to {owner}; run as {owner}, change the owner, or use another directory (--data)"


def _name(name: str, *, demo: bool) -> str:
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise typer.BadParameter(f"STOCKTAKE_NAME is {name!r}; use at most {_LONGEST_NAME} printable characters")
    return name.strip() or (DEMO_NAME if demo else NAME)


def _logo(path: str) -> Path | None:
    try:
        if path:
            check_logo(Path(path))
    except (ValueError, OSError) as error:
        raise typer.BadParameter(f"STOCKTAKE_LOGO is {path!r}: {error}") from error
    return Path(path).absolute() if path else None


def _store(url: str, data: Path) -> str:
    """Record the object store in the data directory, so that later commands use it without the setting."""
    if url:
        if "://" not in url:
            raise typer.BadParameter(f"STOCKTAKE_OBJECT_STORE_URL is {url!r}; use a URL such as s3://bucket/stocktake")
        try:
            shared.bind_replica(data / "journal", url)
        except JournalError as error:
            raise typer.BadParameter(f"STOCKTAKE_OBJECT_STORE_URL: {error}") from error
    return url


def _limits(text: str) -> str:
    try:
        read_limits(text)
    except ValueError as error:
        raise typer.BadParameter(f"STOCKTAKE_QUERY_LIMITS is {text!r}: {error}") from error
    return text


def _dask(url: str) -> str:
    if url and not _SCHEDULER_URL.match(url):
        raise typer.BadParameter(f"STOCKTAKE_DASK is {url!r}; use the URL of a Dask scheduler, e.g. tcp://host:8786")
    return url


def _proxies(text: str) -> str:
    for network in filter(None, (part.strip() for part in text.split(","))):
        try:
            ip_network(network, strict=False)
        except ValueError as error:
            raise typer.BadParameter(f"STOCKTAKE_TRUSTED_PROXIES contains {network!r}; use addresses and networks (10.0.0.0/8)") from error
    return text


def _public_url(url: str) -> str:
    """Check the public address; return it without a slash at its end."""
    if url and not _SITE_URL.match(url):
        told = "use a URL without a path, e.g. https://stocktaking.example"
        raise typer.BadParameter(f"STOCKTAKE_PUBLIC_URL is {url!r}; {told}")
    return url.rstrip("/")


def public_address(settings: Settings, host: str, port: int) -> str:
    """Return where the public reaches a server that listens on *host* and *port*, without a slash at the end.

    That is what is set; else the base of the IRIs where that is a whole host's, and not that of a mirror's origin; else the address itself.
    """
    if settings.public_url:
        return settings.public_url
    if _SITE_URL.match(settings.base) and mirror_origin.read(settings.data / "journal") is None:
        return settings.base.rstrip("/")
    name = "localhost" if host in _ALL_ADDRESSES else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _releases(text: str) -> str:
    try:
        return text and str(trigger(text)) and text
    except ValueError as error:
        raise typer.BadParameter(f"STOCKTAKE_RELEASES is {text!r}, which is not a cron line of five fields: {error}") from error


def _hub(url: str) -> str:
    if url and not is_web(url):
        raise typer.BadParameter(f"STOCKTAKE_WEBSUB_HUB is {url!r}; use the URL of a WebSub hub")
    return url


def _external_store(sparql_url: str, update: str, graphs: str) -> StoreURLs | None:
    try:
        return parse_settings(sparql_url, update, graphs)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _hosts(text: str) -> frozenset[str]:
    hosts = frozenset(host.strip() for host in text.split(",") if host.strip())
    for host in sorted(hosts):
        if not _HOST_NAME.match(host):
            raise typer.BadParameter(f"STOCKTAKE_ALLOW_HOSTS contains {host!r}; use host names or IP addresses, without scheme and port")
    return hosts


def _is_base_set(context: typer.Context) -> bool:
    """Return whether the base was set by an option or its variable."""
    source = context.get_parameter_source("base")
    return source is not None and source.name != "DEFAULT"


def _base(base: str, data: Path, *, given: bool) -> str:
    """Check the base. A mirror uses its origin's base, which need not be set."""
    if not is_web(base) or base[-1] not in "/#":
        raise typer.BadParameter(f"STOCKTAKE_BASE is {base!r}; use a URL that ends with a slash")
    of = mirror_origin.read(data / "journal")
    if of and given and of.base != base:
        told = f"but {data} is a mirror of {of.url}, whose IRIs begin with {of.base}; remove the setting"
        raise typer.BadParameter(f"STOCKTAKE_BASE is {base!r}, {told}")
    return of.base if of else base


def _ledger(url: str, data: Path) -> str:
    if not url:
        return f"sqlite:///{data}/ledger.sqlite"
    try:
        make_url(url)
    except ArgumentError as error:
        raise typer.BadParameter("STOCKTAKE_LEDGER is not a SQLAlchemy URL, e.g. postgresql+psycopg://user@host/name") from error
    return url


def _contact(text: str) -> str:
    if not text.isprintable() or not text.isascii():
        raise typer.BadParameter(f"STOCKTAKE_CONTACT is {text!r}; use plain ASCII, e.g. an e-mail address")
    return text


def _check_port(host: str, port: int) -> None:
    """Exit with code 2 if the port is in use: a restart of the server would not free it."""
    if not is_free(host, port):
        raise typer.BadParameter(f"port {port} of {host} is in use; stop the program that uses it, or choose another port with --port")


Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)]


@app.command()
def serve(context: typer.Context, host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Serve the published data (SPARQL, pages, linked data, dumps) and the admin pages."""
    settings: Settings = context.obj
    _check_port(host, port)
    admin_context = AdminContext(settings.data, settings.sources, settings.ledger, settings.base, demo=settings.demo)
    url = public_address(settings, host, port)
    if host in _ALL_ADDRESSES and url == f"http://localhost:{port}":
        log.warning("no public URL is set; absolute links begin with the listening address", url=url, action="set STOCKTAKE_PUBLIC_URL")
    public = publisher.cli.build_site(settings, url, partial(is_operator, admin_context), preview_runner(settings))
    publisher.cli.serve(combine_apps(public, create_admin(admin_context)), settings, host, port)


def preview_runner(settings: Settings) -> PreviewRunner:
    """Return the runner for previews of new registries. It refuses all private addresses."""
    strict = replace(settings, allow_hosts=frozenset(), ledger="", store="", elsewhere=None)
    return PreviewRunner((*_command_line(["sources", "preview", "-", "--json", f"--memory={MEMORY}"]),), strict.environment())


def combine_apps(public: FastAPI, admin: FastAPI) -> Starlette:
    """Combine the public portal and the admin pages in one application. Each handles its own requests and errors."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with admin.router.lifespan_context(admin), public.router.lifespan_context(public):
            yield

    routes = [Route("/admin", lambda _: RedirectResponse("/admin/", 308)), Mount("/admin", admin), Mount("", public)]
    return Starlette(routes=routes, lifespan=lifespan)


@app.command()
def up(context: typer.Context, host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Run the scheduler, the server and (if set) releases until Ctrl-C, restarting each process that exits."""
    settings: Settings = context.obj
    _check_port(host, port)
    processes = {"schedule": ["schedule"], "serve": ["serve", "--host", host, "--port", str(port)]}
    if make_url(settings.ledger).get_backend_name() == "postgresql":
        processes["worker"] = ["worker"]  # the schedule only queues what is due
    if settings.releases:
        processes["release"] = ["release", "--every", settings.releases]
    supervise(processes, settings)


@app.command()
def mirror(
    context: typer.Context,
    url: Annotated[str, typer.Argument(help="URL of the other Stocktake's home page.")],
    once: Annotated[bool, typer.Option("--once/--follow", help="Copy new entries once, or keep copying until Ctrl-C.")] = True,
    serving: Annotated[bool, typer.Option("--serve", help="Keep copying, and serve the copy.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between checks for new entries.", min=1)] = mirroring.CHECK_INTERVAL,
    pause: Annotated[float, typer.Option(help="Seconds between requests.", min=0)] = mirroring.PAUSE,
    largest: Annotated[int, typer.Option(help="Maximum size of an uncompressed entry, in bytes.", min=1)] = LARGEST,
    host: Host = "127.0.0.1",
    port: Port = 8000,
) -> None:
    """Mirror another Stocktake: copy its journal into this data directory, checking the hash of each entry."""
    settings: Settings = context.obj
    address = mirroring.address(url)
    with mirroring.open_mirror(settings, address, settings.base if settings.is_base_set else None, pause, largest) as it:
        if once and not serving:
            print(mirroring.summary(it, sync(it)))
        elif not serving:
            follow(it, every, threading.Event().wait)
        else:
            of = mirroring.handshake_or_cached(it)
    if serving:
        words = ["mirror", address, "--follow", f"--every={every}", f"--pause={pause}", f"--largest={largest}"]
        processes = {"mirror": words, "serve": ["serve", "--host", host, "--port", str(port)]}
        supervise(processes, replace(settings, base=of.base))


@app.command()
def demo(
    context: typer.Context,
    host: Host = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port to listen on. Default: 8000, or the next free port.", min=0, max=65535)] = None,
    size: Annotated[int, typer.Option(help="Total number of simulated records.", min=100)] = SIZE,
    seed: Annotated[int, typer.Option(help="Random seed of the simulated records.")] = 1,
    registries_port: Annotated[
        int | None, typer.Option(help="Port of the simulated registries. Default: 8790, or any free port.", min=0, max=65535)
    ] = None,
) -> None:
    """Run a demo: start the portal, harvest simulated registries and make a release. The portal shows the progress."""
    settings: Settings = context.obj
    data = settings.data / "demo"
    if port is not None:
        _check_port(host, port)
    if registries_port is not None:
        _check_port("127.0.0.1", registries_port)
    port = next_free(host, PORT) if port is None else port
    url = f"http://{host}:{port}/"
    with ExitStack() as stack:
        try:
            stack.enter_context(DemoFolder(_folder(data), url))
        except FolderInUseError as error:
            raise typer.BadParameter(str(error)) from error
        home, ledger, loopback = data / "sources", f"sqlite:///{data}/ledger.sqlite", frozenset({"127.0.0.1"})
        given = replace(settings, data=data, sources=home, ledger=ledger, allow_hosts=loopback, name=_demo_name(settings), demo=True)
        chosen = registries_port if registries_port is not None else REGISTRIES_PORT if is_free("127.0.0.1", REGISTRIES_PORT) else 0

        def begin() -> bool:
            registries = stack.enter_context(Demo(size=size, seed=seed, port=chosen))
            write_sources(registries.url, home)
            _err.print(f"The simulated registries are at {registries.url}; their data go into {data}.", soft_wrap=True, highlight=False)
            return True

        _err.print(f"Starting the demo. Open {url} to watch it; Ctrl-C ends it.", soft_wrap=True, highlight=False)
        released = any((data / "releases").glob("[0-9]*"))
        key = f"{sys.argv[0]} --data {data} keys create NAME --scope admin"
        jobs: list[Job] = [begin, ["harvest"], {"schedule": ["schedule"]}, *([] if released else [["release"]]), ["dump"]]
        jobs += [lambda: _announce_ready(url, data, key), ["examples", "run", "--json"]]
        supervise({"serve": ["serve", "--host", host, "--port", str(port)]}, given, jobs)


def _demo_name(settings: Settings) -> str:
    return settings.name if settings.name != NAME else DEMO_NAME


def _announce_ready(url: str, data: Path, key: str) -> bool:
    """Print the URLs of the demo and the next steps once it is complete; return False until then."""
    try:
        with urlopen(f"{url}health", timeout=2) as answer:
            told = json.load(answer)
    except (OSError, ValueError):
        return False
    if told.get("start") or told["lag"]:
        return False
    for line in (
        "",
        f"The demo is ready: {url}",
        f"  Search             {url}search",
        f"  SPARQL             {url}sparql",
        f"  Admin pages        {url}admin/   (create a key: {key})",
        f"  Add a registry     {url}join",
        f"  Own data           end the demo with Ctrl-C; then put source definitions into {Path('sources').absolute()}",
        "                     and run: stocktake harvest, stocktake serve (see README.md)",
        "Ctrl-C ends the demo. Its data stay in " + str(data),
    ):
        _err.print(line, soft_wrap=True, highlight=False, markup=False)
    return True


def _command_line(words: list[str]) -> list[str]:
    """Return the command line of a process of ours that ends with this one."""
    return [sys.executable, "-m", "stocktake", f"--parent={os.getpid()}", *words]


Job = list[str] | dict[str, list[str]] | Callable[[], bool]


def supervise(commands: Mapping[str, list[str]], settings: Settings, jobs: Sequence[Job] = ()) -> None:
    """Keep processes running until SIGINT or SIGTERM, then terminate them; kill those still running after ten seconds.

    *jobs* run meanwhile, one after the other: a command runs once, a mapping names more processes to keep running, and a
    function is called each second until it returns True.
    """
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopping.set())
    kept, waiting = dict(commands), deque(jobs)
    children: dict[str, subprocess.Popen[bytes]] = {}
    restarts: Counter[str] = Counter()
    began: dict[str, float] = {}
    job: subprocess.Popen[bytes] | None = None
    try:
        while not stopping.wait(0.2 if children else 0):
            for name, words in kept.items():
                if name in children and children[name].poll() is None:
                    if restarts[name] and time.monotonic() - began[name] > _STABLE_AFTER:
                        log.info("process recovered", process=name, restarts=restarts.pop(name))
                    continue
                if name in children:
                    log.error("process exited; restarting", process=name, code=children[name].returncode)
                    restarts[name] += 1
                    stopping.wait(_RESTART_DELAY)
                began[name] = time.monotonic()
                children[name] = _start_process(words, settings)
            if job is not None and (code := job.poll()) is not None:
                if code:
                    log.error("setup step failed; the portal keeps running", command=str(job.args), code=code)
                job = None
            if job is None and waiting:
                job = _start_next_job(waiting, kept, settings, stopping)
    finally:
        _stop_processes([*children.values(), *([job] if job else [])])


def _start_next_job(
    waiting: deque[Job], kept: dict[str, list[str]], settings: Settings, stopping: threading.Event
) -> subprocess.Popen[bytes] | None:
    """Start the next job and return its process, if any. A function that returns False is called again later."""
    job = waiting[0]
    if callable(job) and not job():
        stopping.wait(1)
        return None
    waiting.popleft()
    if isinstance(job, dict):
        kept.update(job)
    return _start_process(job, settings, quiet="--json" in job) if isinstance(job, list) else None


def _start_process(words: list[str], settings: Settings, *, quiet: bool = False) -> subprocess.Popen[bytes]:
    out = subprocess.DEVNULL if quiet else None
    return subprocess.Popen(_command_line(words), env=settings.environment(), start_new_session=True, stdout=out, stderr=out)


def _stop_processes(children: Sequence[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def main() -> None:
    """Run the command line. Exit with 1 after a known error, printed on one line, with 2 after a wrong setting or permission error."""
    install_retry_logging()
    for name in [name for name, value in os.environ.items() if name.startswith("STOCKTAKE_") and not value]:
        del os.environ[name]  # an empty variable counts as not set, so that a compose file can list all of them
    try:
        app()
    except PermissionError as error:
        if error.filename is None:
            raise
        _err.print(f"{error.filename}: {error.strerror}; run as its owner, or change the owner", style="red", markup=False)
        sys.exit(2)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f"{error.filename}: " if error.filename else ""
        _err.print(f"{where}{error.strerror}; free space, then run the command again", style="red", markup=False)
        sys.exit(1)
    except (HarvestError, JournalError) as error:
        _err.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_code if isinstance(error, HarvestError) else 1)


if __name__ == "__main__":
    main()
