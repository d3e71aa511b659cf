"""Combine the public portal, the admin pages and the submissions in one application, and serve it."""

from __future__ import annotations

import os
import signal
import subprocess
from asyncio import Lock
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from tempfile import TemporaryFile
from typing import Any
from urllib.parse import quote

import orjson
import structlog
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from command_line.services import subcommand
from command_line.settings import ALL_ADDRESSES, Settings
from command_line.workspace import network_settings, notification_channels, open_existing
from harvesters.admin.context import AdminContext
from harvesters.errors import HarvestError
from harvesters.ledger import outbox
from harvesters.ledger.integrity import has_ledger
from harvesters.ledger.participation import ProblemState, ReportedProblem, Subscription
from harvesters.network.fetch import utc_now
from harvesters.notifications.delivery import MAIL, WEBHOOK, derive_secret
from harvesters.notifications.reports import write_confirmation, write_digest
from harvesters.participation.check import Duplicate, DuplicateFinder
from harvesters.participation.comments import shown_comments
from harvesters.participation.submitters import SubmissionContext, parse_provider
from harvesters.runs.reported_problems import file_problem, problem_target, reported_problem
from harvesters.runs.run_log import is_schedule_running
from harvesters.source import Notify
from journal.processes import preload
from journal.store import read_origin
from publisher.apis.matching import Matcher
from publisher.app import SiteOptions, create_app
from publisher.errors import StoreBusy
from publisher.limits import read
from publisher.portal.feed_samples import suggest_fields
from publisher.portal.follow import ComparedResults, DueSubscription, PublicSubscription
from publisher.portal.problems import PublicProblem
from publisher.portal.quality import measure_record
from publisher.portal.suggestions import similar_titles
from publisher.portal.visitors import EXPLANATIONS, MEMORY, ClientQuota, VisitorCommand
from publisher.portal.wizard import fill_in
from publisher.store.process import configure_memory
from publisher.store.query_service import QueryService
from publisher.store.search.searcher import Searcher, open_searcher
from vocab.addresses import is_mail_address
from vocab.iris import Iris, is_web
from web.server import create_config, run


@contextmanager
def _or_busy(stored: str) -> Iterator[None]:
    """Raise StoreBusy if a method of the ledger fails, which this decorates."""
    try:
        yield
    except HarvestError as error:
        raise StoreBusy(f"{stored} cannot be stored or read now; try again in a minute") from error


@dataclass(frozen=True, slots=True)
class LedgerProblems:
    """Problems in the ledger of *admin*; implements ``publisher.portal.problems.ProblemStore``."""

    admin: AdminContext

    @_or_busy("Problems")
    def file(
        self, source: str, key: str, category: str, text: str, address: str, language: str
    ) -> int | None:
        """Store a problem; return its number, None if there is no such record or source. Raises
        StoreBusy.
        """
        definition = next((item for item in self.admin.sources() if item.name == source), None)
        if source and not key and definition is None:
            return None
        notify = definition.notify if definition else Notify()
        now, state = self.admin.now(), ProblemState.OPEN
        filed = ReportedProblem(
            0, source, key, category, text, address or None, language, state, "", now, now
        )
        return file_problem(self.admin.reader(), filed, notify)

    @_or_busy("Problems")
    def find(self, number: int) -> PublicProblem | None:
        """Return the public part of a problem, None if there is no such problem or no ledger yet.
        Raises StoreBusy.
        """
        problem = (
            reported_problem(self.admin.ledger, number) if has_ledger(self.admin.url) else None
        )
        if problem is None:
            return None
        return PublicProblem(
            problem.id,
            problem_target(problem, Iris(self.admin.base)),
            problem.category,
            problem.state.value,
            f"{problem.created:%Y-%m-%dT%H:%M:%SZ}",
            f"{problem.changed:%Y-%m-%dT%H:%M:%SZ}",
            problem.run or "",
        )


MAX_SUBSCRIPTIONS = 100_000  # subscriptions in all
MAX_OF_ADDRESS = 3  # new subscriptions of one address in an hour; more are not stored
_HOUR = timedelta(hours=1)
_LEASE = timedelta(minutes=30)  # longer than a round of comparisons can take
_BATCH = 50  # comparisons a round
_MAX_MAIL = 254  # characters of an address (RFC 5321)


@dataclass(frozen=True, slots=True)
class LedgerSubscriptions:
    """Subscriptions in the ledger of *admin*; implements
    ``publisher.portal.follow.SubscriptionStore``.
    """

    admin: AdminContext

    @property
    def channels(self) -> tuple[str, ...]:
        """Return how messages can be sent with the settings; a demo, which shows its links, has
        mail without a server.
        """
        mail = (MAIL,) if self.admin.channels.mail or self.admin.demo else ()
        return (*mail, *((WEBHOOK,) if self.admin.channels.secret else ()))

    def is_address(self, channel: str, address: str) -> bool:
        """Return whether an address is a single mail address, or the HTTPS address of a webhook; a
        demo permits HTTP.
        """
        if channel == MAIL:
            return len(address) <= _MAX_MAIL and is_mail_address(address)
        return is_web(address) and (address.startswith("https://") or self.admin.demo)

    @_or_busy("Subscriptions")
    def request(
        self, channel: str, address: str, search: str, title: str, language: str, frequency: str
    ) -> str:
        """Store a subscription and queue the link that confirms it; return the link in a demo
        without a mail server, else "".

        The answer is the same if the address has too many subscriptions, so that it reveals
        nothing. Raises StoreBusy.
        """
        address = address.lower() if channel == MAIL else address
        now, ledger = self.admin.now(), self.admin.ledger
        if outbox.count_subscriptions(ledger, address, now - _HOUR) >= MAX_OF_ADDRESS:
            return ""
        if outbox.count_subscriptions(ledger) >= MAX_SUBSCRIPTIONS:
            raise StoreBusy(
                "The limit of subscriptions is reached; use the feed of the search instead"
            )
        item = outbox.add_subscription(
            ledger, channel, address, search, title, language, frequency, now
        )
        if channel == MAIL and self.admin.channels.mail is None:
            return f"{self.admin.channels.public_url}/follow/confirm/{item.secret}"
        outbox.queue_messages(ledger, [write_confirmation(item, self.admin.channels)], now)
        return ""

    @_or_busy("Subscriptions")
    def _find(self, secret: str) -> Subscription | None:
        is_there = has_ledger(self.admin.url)
        return outbox.subscription(self.admin.ledger, secret) if is_there else None

    def find(self, secret: str) -> PublicSubscription | None:
        """Return the subscription of a link as its owner sees it, None if there is none. Raises
        StoreBusy.
        """
        if (item := self._find(secret)) is None:
            return None
        is_signed, signing = item.channel == WEBHOOK, self.admin.channels.secret
        return PublicSubscription(
            item.title,
            item.search,
            item.channel,
            item.frequency,
            item.confirmed is not None,
            derive_secret(signing, item.topic) if is_signed else "",
        )

    @_or_busy("Subscriptions")
    def confirm(self, secret: str) -> PublicSubscription | None:
        """Confirm a subscription and return it, None if there is none. Raises StoreBusy."""
        if item := self._find(secret):
            outbox.confirm_subscription(self.admin.ledger, item.id, self.admin.now())
        return self.find(secret)

    @_or_busy("Subscriptions")
    def end(self, secret: str) -> bool:
        """Delete a subscription and its messages; return whether there was one. Raises StoreBusy."""
        item = self._find(secret)
        return item is not None and outbox.end_subscription(self.admin.ledger, item.topic)

    @_or_busy("Subscriptions")
    def due(self, position: int) -> Sequence[DueSubscription]:
        """Claim the subscriptions to compare at a journal entry. Raises StoreBusy."""
        if not has_ledger(self.admin.url):
            return ()
        now, ledger = self.admin.now(), self.admin.ledger
        items = outbox.claim_subscriptions(ledger, position, now, now + _LEASE, _BATCH)
        return [DueSubscription(item, item.search, item.language, item.results) for item in items]

    @_or_busy("Subscriptions")
    def settle(self, key: Any, comparison: ComparedResults) -> None:
        """Store the results of a comparison, and queue the message if something has changed. Raises
        StoreBusy.
        """
        url, now = self.admin.channels.public_url, self.admin.now()
        changes = {
            kind: [
                {"id": row.iri, "title": row.title, "url": url + quote(row.path, safe="/%")}
                for row in rows
            ]
            for kind, rows in comparison.changes.items()
        }
        message = write_digest(key, changes, comparison.position, self.admin.channels, now)
        ledger, messages = self.admin.ledger, [message] if message else []
        outbox.settle_subscription(
            ledger, key, comparison.position, comparison.results, messages, now
        )


_SUBMISSION_LOCK_TIMEOUT = 20  # seconds: a person who sends a form waits while a harvest commits
_REMAP_SECONDS = 60.0  # longest time that a person waits for a source to be mapped again
_ORGANIZATIONS = 3  # organizations that one name of a draft may mean
# These are imported by the first request to one of them. An import takes more than half a second,
# and most requests are to the public portal.
_ADMIN, _PARTICIPATION = "harvesters.admin.app", "harvesters.participation.app"
# The modules that read uploads. If they were not preloaded, each upload would take half a second
# more; a server that takes none starts half a second earlier without them.
_UPLOADS = tuple(f"harvesters.participation.{name}" for name in ("tables", "uploads"))
INBOX = '</inbox>; rel="http://www.w3.org/ns/ldp#inbox"'
SUBMISSION_PATHS = ("/submissions", "/submit", "/inbox", "/picture")
# The number of things that the matcher compares, and the least similarity of their titles.
_CANDIDATES, _LIKE = 20, 0.5

log = structlog.get_logger()


def serve(settings: Settings, url: str, host: str, port: int) -> None:
    """Serve at *host* and *port*, which the public reaches at *url*, until SIGINT or SIGTERM."""
    if host in ALL_ADDRESSES and url == f"http://localhost:{port}":
        log.warning(
            "no public URL is set; absolute links begin with the listening address",
            url=url,
            action="set STOCKTAKE_PUBLIC_URL",
        )
    configure_memory()
    site = create_site(settings, url)
    log.info("server started", url=f"{url}/")
    run(create_config(site, host, port, settings.proxies))


def suggest_schedule(settings: Settings) -> None:
    """Log how to harvest on schedule if no schedule is running, unless this is a mirror."""
    if read_origin(settings.data / "journal"):
        return
    try:
        with open_existing(settings) as ledger:
            runs = is_schedule_running(ledger, settings.data)
    except HarvestError:  # without a ledger file there is no schedule; with a database there may be
        runs = not settings.ledger.startswith("sqlite")
    if not runs:
        log.info(
            "no schedule is running, so nothing is harvested by itself",
            action="stocktake up runs the server and the schedule",
        )


def create_site(settings: Settings, url: str, now: Callable[[], datetime] = utc_now) -> Starlette:
    """Return the whole application, which the public reaches at *url*; *now* is its clock."""
    iris, limits = Iris(settings.base), read(settings.limits)
    service = QueryService(settings.data, iris, limits, elsewhere=settings.elsewhere, now=now)
    place = (settings.data, settings.sources, settings.ledger, settings.base, now)
    channels = replace(notification_channels(settings), public_url=url)
    admin = AdminContext(
        *place,
        demo=settings.demo,
        channels=channels,
        network=network_settings(settings),
        positions=partial(portal_positions, service),
        suggest_fields=suggest_fields,
        fill_in=fill_in,
        remap=partial(remap_source, settings),
    )
    submissions = SubmissionContext(
        *place,
        lock_timeout=_SUBMISSION_LOCK_TIMEOUT,
        demo=settings.demo,
        channels=channels,
        duplicates=DuplicateFinder(partial(find_duplicates, service)),
        quality=partial(record_quality, service),
        provider=parse_provider(settings.oidc, settings.allow_hosts) if settings.oidc else None,
        organizations=partial(find_organizations, service),
        comments=settings.comments,
    )
    if submissions.is_open():
        preload(*_UPLOADS)
    is_mirror = read_origin(settings.data / "journal") is not None  # it has no ledger
    about = SiteOptions(
        settings.branding(settings.demo),
        settings.hub,
        settings.allow_hosts,
        visitor_commands(settings),
        url,
        None if is_mirror else LedgerProblems(admin),
        None if is_mirror else LedgerSubscriptions(admin),
    )
    public = create_app(service, about)
    public.state.waiting_submissions = submissions.waiting
    public.state.submissions_open = submissions.is_open
    public.state.comments = partial(shown_comments, submissions)
    return combine_apps(public, admin, submissions)


def find_duplicates(service: QueryService, title: str) -> list[Duplicate]:
    """Return the published things with a title similar to *title*; none until the text index
    exists.
    """
    search = _open_search(service)
    similar = similar_titles(search, title, _CANDIDATES, _LIKE) if search else []
    return [Duplicate(thing, text, "title") for thing, text in similar]


def find_organizations(service: QueryService, name: str) -> list[dict[str, Any]]:
    """Return the published organizations that *name* may mean, the likeliest first; none until the
    text index exists.
    """
    if (search := _open_search(service)) is None:
        return []
    matcher = Matcher(search, service.iris)
    return matcher.candidates(name, ("organization",), _ORGANIZATIONS, {})


def _open_search(service: QueryService) -> Searcher | None:
    return open_searcher(service.current.path) if service.snapshot else None


async def record_quality(service: QueryService, record: str) -> int | None:
    """Return the quality of a published record in percent; None if the store does not have it yet."""
    quality = await measure_record(service, record) if service.snapshot else None
    return quality.share if quality else None


def portal_positions(service: QueryService) -> dict[str, int]:
    """Return the newest journal entry that the store and each index of the portal show, by name."""
    store = {"store": service.snapshot.position} if service.snapshot else {}
    projections = {
        name: state.get("position") for name, state in service.follower.projections.items()
    }
    return store | {name: number for name, number in projections.items() if isinstance(number, int)}


def visitor_commands(settings: Settings) -> dict[str, VisitorCommand]:
    """Return the commands that visitors may run: previews of new registries and checks of feeds,
    explanations and reports. They refuse all private addresses.
    """
    strict = replace(settings, allow_hosts=frozenset(), ledger="", store="", elsewhere=None)
    environment, tests = replace(strict, ledger=settings.ledger).environment(), ClientQuota()
    preview = subcommand(["sources", "preview", "-", "--json", f"--memory={MEMORY}"])
    check = ["preflight", f"--memory={MEMORY >> 21}", "--seconds=30", "--max-size=16"]
    others = {"explain": ["explain"], "report": ["sources", "report"]}
    return {
        "preview": VisitorCommand((*preview,), strict.environment(), tests),
        "check": VisitorCommand((*subcommand(check),), environment, tests),
        **{
            name: VisitorCommand((*subcommand(words),), environment, ClientQuota(EXPLANATIONS))
            for name, words in others.items()
        },
    }


def remap_source(settings: Settings, name: str, is_dry_run: bool) -> Mapping[str, Any]:
    """Map the archived data of a source again in a child process; return its row of the run report.

    {} if that takes longer than a minute: a dry run is then stopped, another run continues.
    """
    command = subcommand(["remap", name, "--json", *(["--dry-run"] if is_dry_run else [])])
    with TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            env=settings.environment(),
            start_new_session=True,
        )
        try:
            code = process.wait(_REMAP_SECONDS)
        except subprocess.TimeoutExpired:
            if is_dry_run:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            return {}
        output.seek(0)
        rows: list[Mapping[str, Any]] = orjson.loads(output.read() or b"[]")
    return rows[0] if rows else {"reason": f"the process ended with exit code {code}"}


class LazyApp:
    """The application that *build* returns, built in a thread at the first request."""

    def __init__(self, build: Callable[[], ASGIApp]) -> None:
        self._build, self._building = build, Lock()
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._building:
            if self._app is None:
                self._app = await run_in_threadpool(self._build)
        await self._app(scope, receive, send)


class InboxLink:
    """Add the link to the inbox to the responses of the home page, things and records, while
    *is_open*.
    """

    def __init__(self, app: ASGIApp, is_open: Callable[[], bool]) -> None:
        self._app, self._is_open = app, is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", ""))

        async def send_with_link(message: Message) -> None:
            if message["type"] == "http.response.start" and self._is_open():
                MutableHeaders(scope=message).append("Link", INBOX)
            await send(message)

        is_advertised = scope["type"] == "http" and (
            path == "/" or path.startswith(("/id/", "/page/", "/record/"))
        )
        await self._app(scope, receive, send_with_link if is_advertised else send)


def combine_apps(public: FastAPI, admin: AdminContext, submissions: SubmissionContext) -> Starlette:
    """Combine the public portal, the admin pages and the submissions in one application, which
    closes the ledgers of *admin* and *submissions*. Each handles its own requests and errors.

    Public pages link to the inbox.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        try:
            async with public.router.lifespan_context(public):
                yield
        finally:
            submissions.close()
            admin.close()

    # It sees the whole path, which a mounted application does not.
    public_forms = LazyApp(lambda: import_module(_PARTICIPATION).create_submissions(submissions))
    routes = [
        Route("/admin", lambda _: RedirectResponse("/admin/", 308)),
        Mount("/admin", LazyApp(lambda: import_module(_ADMIN).create_admin(admin))),
        *(
            Route(path, public_forms)
            for name in SUBMISSION_PATHS
            for path in (name, f"{name}/{{_:path}}")
        ),
        Mount("", InboxLink(public, submissions.takes_notifications)),
    ]
    return Starlette(routes=routes, lifespan=lifespan)
