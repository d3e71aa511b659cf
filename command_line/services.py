"""Define the commands that run a service: serve, up, mirror and demo."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.request import urlopen

import structlog
import typer
from fastapi import FastAPI
from rich.console import Console
from sqlalchemy.engine import make_url
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

import command_line.publishing.publish
from command_line.demo_submissions import ADDRESS, seed_submissions
from command_line.harvesting import mirror as mirroring
from command_line.harvesting.terminal import notification_channels
from command_line.problems import LedgerProblems
from command_line.settings import Settings
from command_line.subscriptions import LedgerSubscriptions
from command_line.supervisor import Job, subcommand, supervise
from command_line.validation import writable_directory
from demo.folder import DemoFolder, FolderInUseError, is_free, next_free
from demo.registries import SIZE, Demo
from demo.source_definitions import open_submissions, write_sources
from harvesters.admin.app import create_admin
from harvesters.admin.auth import is_operator
from harvesters.admin.context import LOCK_TIMEOUT, AdminContext
from harvesters.mirror import LARGEST, follow, sync
from harvesters.participation.comments.actions import shown_comments
from harvesters.participation.comments.admin_routes import routes as comment_moderation
from harvesters.participation.comments.page_routes import routes as comment_pages
from harvesters.participation.inbox.routes import InboxLink, takes_notifications
from harvesters.participation.inbox.routes import routes as inbox
from harvesters.participation.prizes.api import routes as prize_api
from harvesters.participation.prizes.page_routes import routes as prize_pages
from harvesters.participation.submissions.app import MODERATION, create_submissions
from harvesters.participation.submissions.app import PATHS as SUBMISSION_PATHS
from harvesters.participation.submissions.duplicates import Duplicate, DuplicateFinder
from harvesters.participation.submissions.identity import SubmissionContext
from harvesters.participation.submissions.organizations import KnownOrganization
from harvesters.participation.submissions.provider import parse_provider
from journal import mirror_origin
from journal.stop_signal import exit_on_sigterm
from publisher.apis.reconcile.batch import NameQuery
from publisher.apis.reconcile.matcher import Matcher
from publisher.http.pages.branding import DEMO_NAME, NAME
from publisher.portal.field_suggestions import suggest_fields
from publisher.portal.quality import measure_record
from publisher.portal.similar_titles import similar_titles
from publisher.portal.source_preview import EXPLANATIONS, MEMORY, PreviewRunner
from publisher.projections.search.searcher import open_searcher
from publisher.store.query_service import QueryService

_SUBMISSION_LOCK_TIMEOUT = 20  # seconds: a person who sends a form waits while a harvest commits
_ORGANIZATIONS = 3  # that one name of a draft may mean
_CANDIDATES, _LIKE = 20, 0.5  # things with a similar title that the matcher compares, and how like the titles must be
PORT, REGISTRIES_PORT = 8000, 8790  # of the demo; if a port is in use, another is chosen
_ALL_ADDRESSES = ("0.0.0.0", "::")  # all addresses of the machine
_SITE_URL = re.compile(
    r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?/?\Z"
)  # a whole host

app = typer.Typer()
_err = Console(stderr=True)
log = structlog.get_logger()


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


def _check_port(host: str, port: int) -> None:
    """Exit with code 2 if the port is in use: a restart of the server would not free it."""
    if not is_free(host, port):
        raise typer.BadParameter(
            f"port {port} of {host} is in use; stop the program that uses it, or choose another port with --port"
        )


Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int, typer.Option(help="Port to listen on.", min=0, max=65535)]


@app.command()
def serve(context: typer.Context, host: Host = "127.0.0.1", port: Port = 8000) -> None:
    """Serve the published data (SPARQL, pages, linked data, dumps) and the admin pages."""
    settings: Settings = context.obj
    _check_port(host, port)
    exit_on_sigterm()  # also after the shutdown, since uvicorn raises the signal again
    url = public_address(settings, host, port)
    admin_context = create_admin_context(settings, url)
    if host in _ALL_ADDRESSES and url == f"http://localhost:{port}":
        log.warning(
            "no public URL is set; absolute links begin with the listening address",
            url=url,
            action="set STOCKTAKE_PUBLIC_URL",
        )
    public = command_line.publishing.publish.build_site(
        settings, url, partial(is_operator, admin_context), preview_runner(settings), *_stores(admin_context)
    )
    admin_context.positions, admin_context.suggest_fields = partial(portal_positions, public), suggest_fields
    log.info("server started", url=f"{url}/")
    context_of_submissions = submission_context(settings, url, DuplicateFinder(partial(find_duplicates, public)))
    context_of_submissions.quality = partial(record_quality, public)
    context_of_submissions.organizations = partial(find_organizations, public)
    public.state.waiting_submissions, public.state.submissions_open = context_of_submissions.waiting, context_of_submissions.is_open
    public.state.comments = partial(shown_comments, context_of_submissions)
    submissions = create_submissions(context_of_submissions, (prize_api, prize_pages, comment_pages, inbox))
    combined = combine_apps(public, create_admin(admin_context, (*MODERATION, comment_moderation)), submissions, context_of_submissions)
    command_line.publishing.publish.serve(combined, settings, host, port)


def create_admin_context(settings: Settings, url: str, lock_timeout: int = LOCK_TIMEOUT) -> AdminContext:
    """Return what an app of the admin pages or of submissions works with; links in its messages begin with *url*."""
    return AdminContext(
        settings.data,
        settings.sources,
        settings.ledger,
        settings.base,
        lock_timeout=lock_timeout,
        demo=settings.demo,
        contact=settings.contact,
        allow_hosts=settings.allow_hosts,
        channels=replace(notification_channels(settings), public_url=url),
    )


def find_duplicates(public: FastAPI, title: str) -> list[Duplicate]:
    """Return the published things whose title is a little like *title*; none while the index of texts is not there."""
    service: QueryService = public.state.service
    search = open_searcher(service.current.path) if service.snapshot else None
    return [Duplicate(thing, text, "title") for thing, text in similar_titles(search, title, _CANDIDATES, _LIKE)] if search else []


def find_organizations(public: FastAPI, name: str) -> list[KnownOrganization]:
    """Return the published organizations that *name* may mean, the likeliest first; none while the index of texts is not there."""
    service: QueryService = public.state.service
    search = open_searcher(service.current.path) if service.snapshot else None
    if search is None:
        return []
    candidates = Matcher(search, service.iris).candidates(NameQuery(name, ("organization",), _ORGANIZATIONS))
    return [KnownOrganization(str(item["id"]), str(item["name"])) for item in candidates]


async def record_quality(public: FastAPI, record: str) -> int | None:
    """Return the quality of a published record in percent; None if the store does not have it yet."""
    service: QueryService = public.state.service
    quality = await measure_record(service, record) if service.snapshot else None
    return quality.share if quality else None


def submission_context(settings: Settings, url: str, duplicates: DuplicateFinder) -> SubmissionContext:
    """Return what the submissions app works with at the public address *url*.

    It waits for the ledger longer than the admin pages.
    """
    provider = parse_provider(settings.oidc, settings.allow_hosts) if settings.oidc else None
    admin = create_admin_context(settings, url, _SUBMISSION_LOCK_TIMEOUT)
    return SubmissionContext(admin, url, duplicates, provider=provider, comments=settings.comments)


@app.command()
def mcp(context: typer.Context) -> None:
    """Answer an AI assistant on standard input and output, by the Model Context Protocol, until the input ends."""
    settings: Settings = context.obj
    command_line.publishing.publish.run_mcp(settings, public_address(settings, "127.0.0.1", 8000))


def _stores(admin: AdminContext) -> tuple[LedgerProblems, LedgerSubscriptions] | tuple[None, None]:
    """Return where reported problems and those who follow a search are kept, None on a mirror, which has no ledger."""
    return (None, None) if mirror_origin.read(admin.data / "journal") else (LedgerProblems(admin), LedgerSubscriptions(admin))


def portal_positions(public: FastAPI) -> dict[str, int]:
    """Return the newest journal entry that the store and each index of the portal show, by name."""
    service: QueryService = public.state.service
    store = {"store": service.snapshot.position} if service.snapshot else {}
    projections = {
        name: state.get("position") for name, state in service.follower.projections.items()
    }
    return store | {name: number for name, number in projections.items() if isinstance(number, int)}


def preview_runner(settings: Settings) -> PreviewRunner:
    """Return the runner for previews of new registries and checks of feeds. It refuses all private addresses."""
    strict = replace(settings, allow_hosts=frozenset(), ledger="", store="", elsewhere=None)
    return PreviewRunner(
        (*subcommand(["sources", "preview", "-", "--json", f"--memory={MEMORY}"]),),
        strict.environment(),
        check_command=(*subcommand(["preflight", f"--memory={MEMORY >> 21}", "--seconds=30", "--max-size=16"]),),
        check_environment=(environment := replace(strict, ledger=settings.ledger).environment()),
        explainer=PreviewRunner((), {}, check_command=(*subcommand(["explain"]),), check_environment=environment, quota=EXPLANATIONS),
        reporter=PreviewRunner(
            (), {}, check_command=(*subcommand(["sources", "report"]),), check_environment=environment, quota=EXPLANATIONS
        ),
    )


class PathsRoute(BaseRoute):
    """Route some paths, and what is below them, to an app that sees the whole path."""

    def __init__(self, paths: tuple[str, ...], app: ASGIApp) -> None:
        self._paths, self._app = paths, app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the request's path is one of these."""
        path = str(scope.get("path", "")) + "/"
        is_match = scope["type"] == "http" and any(path.startswith(f"{prefix}/") for prefix in self._paths)
        return (Match.FULL if is_match else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        await self._app(scope, receive, send)


def combine_apps(public: FastAPI, admin: FastAPI, submissions: FastAPI, context: SubmissionContext | None = None) -> Starlette:
    """Combine the public portal, the admin pages and the submissions in one application. Each handles its own requests and errors.

    With the *context* of submissions, public pages link to the inbox.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for app in (admin, submissions, public):
                await stack.enter_async_context(app.router.lifespan_context(app))
            yield

    routes = [
        Route("/admin", lambda _: RedirectResponse("/admin/", 308)),
        Mount("/admin", admin),
        PathsRoute(SUBMISSION_PATHS, submissions),
        Mount("", InboxLink(public, partial(takes_notifications, context)) if context else public),
    ]
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
    log.info("starting processes", processes=list(processes), url=f"{public_address(settings, host, port)}/")
    supervise(processes, settings)


@app.command()
def mirror(
    context: typer.Context,
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
    ] = mirroring.CHECK_INTERVAL,
    pause: Annotated[
        float, typer.Option(help="Seconds between requests.", min=0)
    ] = mirroring.PAUSE,
    largest: Annotated[
        int, typer.Option(help="Maximum size of an uncompressed entry, in bytes.", min=1)
    ] = LARGEST,
    host: Host = "127.0.0.1",
    port: Port = 8000,
) -> None:
    """Mirror another Stocktake: copy its journal into this data directory, checking the hash of each entry."""
    settings: Settings = context.obj
    address = mirroring.address(url)
    base = settings.base if settings.is_base_set else None
    with mirroring.open_mirror(settings, address, base, pause, largest) as item:
        if once and not serving:
            print(mirroring.summary(item, sync(item)))
        elif not serving:
            exit_on_sigterm()
            follow(item, every, threading.Event().wait)
        else:
            origin = mirroring.handshake_or_cached(item)
    if serving:
        options = [f"--every={every}", f"--pause={pause}", f"--largest={largest}"]
        words = ["mirror", address, "--follow", *options]
        processes = {"mirror": words, "serve": ["serve", "--host", host, "--port", str(port)]}
        supervise(processes, replace(settings, base=origin.base))


@app.command()
def demo(
    context: typer.Context,
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
    """Run a demo: start the portal, harvest simulated registries and make a release. The portal shows the progress."""
    settings: Settings = context.obj
    if port is not None:
        _check_port(host, port)
    if registries_port is not None:
        _check_port("127.0.0.1", registries_port)
    if registries_port is None:
        registries_port = REGISTRIES_PORT if is_free("127.0.0.1", REGISTRIES_PORT) else 0
    _run_demo(
        _demo_settings(settings),
        host,
        next_free(host, PORT) if port is None else port,
        partial(Demo, size=size, seed=seed, port=registries_port),
    )


def _demo_settings(settings: Settings) -> Settings:
    data = settings.data / "demo"
    return replace(
        settings,
        data=data,
        sources=data / "sources",
        ledger=f"sqlite:///{data}/ledger.sqlite",
        allow_hosts=frozenset({"127.0.0.1"}),
        name=_demo_name(settings),
        demo=True,
    )


def _run_demo(settings: Settings, host: str, port: int, registries: Callable[[], Demo]) -> None:
    """Serve the portal, and run the other steps one after the other, until Ctrl-C."""
    data, url = settings.data, f"http://{host}:{port}/"
    with ExitStack() as stack:
        try:
            stack.enter_context(DemoFolder(writable_directory(data), url))
        except FolderInUseError as error:
            raise typer.BadParameter(str(error)) from error

        def begin() -> bool:
            simulated = stack.enter_context(registries())
            write_sources(simulated.url, settings.sources)
            open_submissions(settings.sources)
            seed_submissions(settings.ledger)
            text = f"The simulated registries are at {simulated.url}; their data go into {data}."
            _err.print(text, soft_wrap=True, highlight=False)
            return True

        start = f"Starting the demo. Open {url} to watch it; Ctrl-C ends it."
        _err.print(start, soft_wrap=True, highlight=False)
        key = f"{sys.argv[0]} --data {data} keys create NAME --scope admin"
        jobs: list[Job] = [begin, ["harvest"], ["identity", "match", "--changed", "--publish", "--json"], {"schedule": ["schedule"]}]
        if not any((data / "releases").glob("[0-9]*")):
            jobs.append(["release"])
        jobs += [["dump"], lambda: _announce_ready(url, data, key)]
        jobs.append(["examples", "run", "--json"])
        supervise({"serve": ["serve", "--host", host, "--port", str(port)]}, settings, jobs)


def _demo_name(settings: Settings) -> str:
    return settings.name if settings.name != NAME else DEMO_NAME


def _announce_ready(url: str, data: Path, key: str) -> bool:
    """Print the URLs of the demo and the next steps once it is complete; return False until then."""
    try:
        with urlopen(f"{url}health", timeout=2) as answer:
            health = json.load(answer)
    except (OSError, ValueError):
        return False
    if health.get("start") or health["lag"]:
        return False
    for line in (
        "",
        f"The demo is ready: {url}",
        f"  Search             {url}search",
        f"  SPARQL             {url}sparql",
        f"  Admin pages        {url}admin/   (create a key: {key})",
        f"  Add a registry     {url}join",
        f"  Report an initiative {url}submit   (what {ADDRESS} reported: {url}submit/mine)",
        f"  Own data           end the demo with Ctrl-C; then put source definitions into {Path('sources').absolute()}",
        "                     and run: stocktake harvest, stocktake serve (see README.md)",
        "Ctrl-C ends the demo. Its data stay in " + str(data),
    ):
        _err.print(line, soft_wrap=True, highlight=False, markup=False)
    return True
