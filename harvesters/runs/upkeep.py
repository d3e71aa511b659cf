"""Upkeep between runs: delete old archived responses, and check the links of records.

Responses are deleted by age and size, except those that releases, remaps and explanations need.
Links are the web pages that records name. A check is one request through the client of harvests, so
that its guard, robots.txt, pauses and limits apply; the results are published.
"""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
import structlog

from harvesters.errors import (
    ArchiveError,
    BotProtectionError,
    FetchError,
    ForbiddenError,
    HarvestError,
    LimitedError,
    NotFoundError,
    QuietHoursError,
    RefusedError,
    RetryLaterError,
    RobotsError,
    TooLargeError,
)
from harvesters.ledger import tables as t
from harvesters.ledger.database import insert_all, insertable, select_objects
from harvesters.ledger.ledger import Ledger, batches
from harvesters.ledger.models import (
    LINKS,
    OPEN_STATES,
    PUBLISHED_RUNS,
    LinkCheck,
    LinkState,
    RecordLink,
    State,
    decompress,
)
from harvesters.network.fetch import Fetch, RetryPolicy
from harvesters.runs.context import HarvestContext
from harvesters.runs.publish_graphs import GraphChange, publish_graphs
from harvesters.source import Source
from journal.outage import Outage
from vocab.annotations import CheckedLink, describe_links
from vocab.iris import is_web
from vocab.terms import DCAT, FOAF, PROV

_SUFFIX = ".warc.gz"


@dataclass(frozen=True, slots=True)
class ArchiveFile:
    """The archived responses of one run: *bytes* long, last written at *written* (UTC)."""

    name: str
    run: str
    bytes: int
    written: datetime


@dataclass(frozen=True, slots=True)
class Pruning:
    """What a pruning deletes, oldest first, and what it keeps: *remaining* counts files by reason;
    *bytes_after* is what is left.
    """

    deleted: tuple[ArchiveFile, ...]
    remaining: Mapping[str, int]
    bytes_after: int


def plan_pruning(
    context: HarvestContext, *, before: datetime | None, max_bytes: int | None
) -> Pruning:
    """Return what to delete: files last written before *before*, then the oldest until *max_bytes*
    are left.

    Never deleted: files of runs that a release cites as the origin of a record, that published a
    current record, that a remap reads, and that are open. So more than *max_bytes* may be left.
    """
    needed = _needed_runs(context)
    files = sorted(_files(context.data / "archive"), key=lambda file: (file.written, file.name))
    total = sum(file.bytes for file in files)
    deleted, remaining = list[ArchiveFile](), Counter[str]()
    for file in files:
        is_old = before is not None and file.written < before
        is_surplus = max_bytes is not None and total > max_bytes
        if file.run not in needed and (is_old or is_surplus):
            deleted.append(file)
            total -= file.bytes
        else:
            remaining[needed.get(file.run, "within the limits")] += 1
    return Pruning(tuple(deleted), remaining, total)


def prune(context: HarvestContext, pruning: Pruning) -> None:
    """Delete the files of a pruning. Raises ArchiveError if one cannot be deleted."""
    for file in pruning.deleted:
        path = context.data / "archive" / file.name
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ArchiveError(
                f"archive {path}: {error.strerror}; make the directory writable, then run again"
            ) from error


def _files(folder: Path) -> Iterator[ArchiveFile]:
    for path in folder.glob(f"*/*{_SUFFIX}"):
        status = path.stat()
        written = datetime.fromtimestamp(status.st_mtime).astimezone()
        yield ArchiveFile(
            str(path.relative_to(folder)), path.name.removesuffix(_SUFFIX), status.st_size, written
        )


def _needed_runs(context: HarvestContext) -> dict[str, str]:
    """Return why the files of runs must be kept, by run."""
    ledger, needed = context.ledger, dict.fromkeys(_cited_runs(context), "cited by a release")
    queries = {
        "published a current record": sa.select(t.record.c.run).distinct(),
        "open": sa.select(t.run.c.id).where(t.run.c.state.in_(OPEN_STATES)),
    }
    for reason, query in queries.items():
        for run in ledger.scalars(query):
            needed.setdefault(run, reason)
    for source in ledger.sources():
        for fetched in ledger.fetched_runs(source, PUBLISHED_RUNS):
            needed.setdefault(fetched.id, "needed by a remap")
    return needed


def _cited_runs(context: HarvestContext) -> set[str]:
    """Return the runs that the records of a release with files name as their origin, by the journal
    up to each release.
    """
    positions = sorted(release["position"] for release in existing_releases(context.data))
    cited, runs = set[str](), dict[str, str]()
    prefix, start = f" <{PROV}wasGeneratedBy> <{context.iris.run('')}", len("A <")
    for entry in context.journal.entries():
        if not positions or entry.number > positions[-1]:
            break
        for row in entry.rows():
            at = row.find(prefix)
            if at < 0:
                continue
            record, run = row[start : at - 1], row[at + len(prefix) :].partition(">")[0]
            if row[0] == "A":
                runs[record] = run
            elif runs.get(record) == run:
                del runs[record]
        if entry.number in positions:
            cited |= set(runs.values())
    return cited


def existing_releases(data: Path) -> list[dict[str, Any]]:
    """Return the descriptions of the releases of a data directory that have files."""
    files = sorted((data / "releases").glob("*/release.json"))
    releases = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    return [release for release in releases if release["withdrawn"] is None]


# ---- links of records

ROUND_SECONDS = 50.0  # seconds of one call; the next follows within a minute
_BATCH = 100  # links that are checked at once
_STATEMENT_LINKS = 500  # links of one statement
_BYTES = 1024  # bytes of a page that are requested
# After a request that takes longer, the host rests for this many times as long.
_SLOW_SECONDS, _REST_FACTOR = 5.0, 20
# A host rests so long after 429 without Retry-After, and at most so long after any Retry-After.
_LIMITED, _LONGEST_REST = timedelta(hours=1), timedelta(days=1)
_PUBLISH_AGAIN = timedelta(days=1)
_POLICY = RetryPolicy(
    read_timeout=20.0,
    connect_timeout=10.0,
    response_timeout=30.0,
    max_bytes=2 * 1024 * 1024,
    max_attempts=1,
)
_PROPERTIES = (f"{FOAF}page", f"{FOAF}homepage", f"{DCAT}accessURL", f"{DCAT}downloadURL")
_LINK = re.compile(rf"^\S+ <(?:{'|'.join(map(re.escape, _PROPERTIES))})> <([^>]+)>$", re.MULTILINE)
# What an error says of a link, and an unexpected status: a page may have fewer bytes than are
# requested. Any other is a failed check.
_STATES = (
    (NotFoundError, None),
    (
        (LimitedError, RobotsError, BotProtectionError, RefusedError, ForbiddenError),
        LinkState.BLOCKED,
    ),
)
_STATUSES = {"416": LinkState.ALIVE, **dict.fromkeys(("405", "406", "451"), LinkState.BLOCKED)}

log = structlog.get_logger(component="links")


@dataclass(slots=True)
class LinkProgress:
    """The state between the rounds of one process.

    *runs* has the last run of each source whose links were read, *published* when its states were
    published last, *rests* until when a host gets no request.
    """

    runs: dict[str, str] = field(default_factory=dict)
    published: dict[str, datetime] = field(default_factory=dict)
    rests: dict[str, datetime] = field(default_factory=dict)


def check_due_links(
    context: HarvestContext,
    sources: Iterable[Source],
    progress: LinkProgress,
    outage: Outage,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Check due links for ROUND_SECONDS, of the sources with ``check_links``; log once while the
    ledger cannot be used.

    Each source has an equal share of the time, and the time that the sources before it left.
    """
    until = clock() + ROUND_SECONDS
    try:
        asking = [
            source
            for source in sources
            if source.check_links and not context.ledger.is_retired(source.name)
        ]
        for number, source in enumerate(asking):
            now = clock()
            end = now + (until - now) / (len(asking) - number)
            check_source(context, source, progress, lambda end=end: clock() < end)  # type: ignore[misc]
    except HarvestError as error:
        outage.failed(str(error))
    else:
        outage.over()


def check_source(
    context: HarvestContext,
    source: Source,
    progress: LinkProgress,
    may_go_on: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Check the links of a source that are due; return how many were checked.

    A host that limits requests, or answers slowly, rests: its other links are postponed, and those
    of other hosts go on. States are published when none is due any more, by one process at most
    once a day.
    """
    run = context.ledger.last_run(source.name, [State.COMMITTED])
    if run is None:
        return 0
    if progress.runs.get(source.name) != run.id:
        set_links(context.ledger, source.name, read_links(context, source.name), context.now())
        progress.runs[source.name] = run.id
    checked = 0
    network = replace(context.network, retry_policy=_POLICY)
    base = context.iris.base
    with Fetch(network, source.pause, quiet_hours=source.quiet, base=base) as client:
        for link in _due_links(context, source.name, may_go_on):
            host = urlsplit(link.url).netloc
            if (rest := progress.rests.get(host)) and rest > context.now():
                save_link(context.ledger, replace(link, due=rest))
                continue
            begun = clock()
            try:
                check = check_link(client, link.url)
            except QuietHoursError:
                return checked
            save_link(context.ledger, link.after(check, context.now()))
            progress.rests[host] = context.now() + max(check.rest, _rest_after(clock() - begun))
            checked += 1
    _publish_complete(context, source.name, progress)
    return checked


def _due_links(
    context: HarvestContext, source: str, may_go_on: Callable[[], bool]
) -> Iterator[RecordLink]:
    """Yield the links that are due, the longest due first; each must be checked or postponed before
    the next is taken.
    """
    while batch := due_links(context.ledger, source, context.now(), _BATCH):
        for link in batch:
            if not may_go_on():
                return
            yield link


def _rest_after(seconds: float) -> timedelta:
    """Return how long a host rests after a request that took *seconds*: a slow host takes a small
    share of the time.
    """
    return timedelta(seconds=seconds * _REST_FACTOR if seconds > _SLOW_SECONDS else 0)


def _publish_complete(context: HarvestContext, source: str, progress: LinkProgress) -> None:
    """Publish the states of a source unless one of its links is due or they were published less
    than a day ago.
    """
    now = context.now()
    last = progress.published.get(source)
    is_recent = last and now - last < _PUBLISH_AGAIN
    if not is_recent and not due_links(context.ledger, source, now, 1):
        publish_states(context, source)
        progress.published[source] = now


def set_links(ledger: Ledger, source: str, urls: Collection[str], now: datetime) -> None:
    """Store the links of a source's records: new ones are due, those that no record has any more
    are deleted.
    """
    link = t.link.c
    wanted = {sha256(url.encode()).hexdigest()[:32]: url for url in urls}
    with ledger.transaction() as connection:
        known = set(connection.scalars(sa.select(link.digest).where(link.source == source)))
        for part in batches(sorted(known - wanted.keys()), _STATEMENT_LINKS):
            connection.execute(
                sa.delete(t.link).where(link.source == source, link.digest.in_(part))
            )
        rows = [
            {"source": source, "digest": digest, "url": wanted[digest], "failures": 0, "due": now}
            for digest in sorted(wanted.keys() - known)
        ]
        insert_all(connection, t.link, rows)


def due_links(ledger: Ledger, source: str, now: datetime, limit: int) -> list[RecordLink]:
    """Return the links of a source to check, the longest due first."""
    c = t.link.c
    is_due = (c.source == source, c.due <= now)
    return ledger.select(RecordLink, *is_due, order=[c.due, c.digest], limit=limit)


def links(ledger: Ledger, source: str) -> Iterator[RecordLink]:
    """Return the links of a source by digest."""
    c = t.link.c
    rows = ledger.stream(select_objects(RecordLink).where(c.source == source).order_by(c.digest))
    return (RecordLink(**row._mapping) for row in rows)


def save_link(ledger: Ledger, link: RecordLink) -> None:
    """Store a link after a check."""
    c = t.link.c
    is_this = (c.source == link.source, c.digest == link.digest)
    ledger.update(t.link, *is_this, **insertable(link))


def read_links(context: HarvestContext, source: str) -> set[str]:
    """Return the web addresses that the published records of a source name as pages or downloads."""
    return {
        url
        for description in context.ledger.published_descriptions(source)
        for url in _LINK.findall(decompress(description))
        if is_web(url)
    }


def check_link(client: Fetch, url: str) -> LinkCheck:
    """Request the beginning of a page once. Raises QuietHoursError."""
    try:
        reply = client.get_range(url, range(_BYTES))
    except QuietHoursError:
        raise
    except TooLargeError:
        return LinkCheck(LinkState.ALIVE, "200")
    except FetchError as error:
        answer, rest = _answer(error), timedelta(0)
        state = next((state for kind, state in _STATES if isinstance(error, kind)), None)
        if isinstance(error, RetryLaterError):
            least = _LIMITED if isinstance(error, LimitedError) else rest
            rest = least if error.after is None else timedelta(seconds=error.after)
        return LinkCheck(_STATUSES.get(answer, state), answer, rest=min(rest, _LONGEST_REST))
    if _without_scheme(reply.url) == _without_scheme(url):
        return LinkCheck(LinkState.ALIVE, str(reply.status))
    return LinkCheck(LinkState.MOVED, str(reply.status), reply.url if is_web(reply.url) else "")


def _answer(error: FetchError) -> str:
    """Return the HTTP status of an error, or its kind: the name of its class without "Error"."""
    return str(error.reason.values.get("status") or type(error).__name__.removesuffix("Error"))


def _without_scheme(url: str) -> str:
    """Return an address without scheme, fragment and final slash: a page that moves from http to
    https is the same.
    """
    return url.partition("#")[0].partition("://")[2].rstrip("/")


def publish_states(context: HarvestContext, source: str) -> None:
    """Write the states of a source's links to the journal, as one entry, if they have changed since
    they were published.
    """

    def changes() -> list[GraphChange]:
        graph = context.iris.links(source)
        states = (
            CheckedLink(link.digest, link.url, link.state.value, link.since, link.location or "")
            for link in links(context.ledger, source)
            if link.state and link.since
        )
        before = context.ledger.graph(graph)
        after = "\n".join(describe_links(source, states, context.iris))
        return [GraphChange(graph, before, after)] if before != after else []

    run, _ = publish_graphs(LINKS, changes, context)
    if run is not None:
        log.info("link states published", source=source, entry=run.entry)
