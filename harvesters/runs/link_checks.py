"""Check in the background whether the web pages that records name still answer, and publish what was found.

One request for each link and check, through the client of harvests: its guard, robots.txt, pauses and limits apply.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, MutableMapping

import structlog

from harvesters.errors import (
    BotProtectionError,
    FetchError,
    ForbiddenError,
    HarvestError,
    LimitedError,
    NotFoundError,
    QuietHoursError,
    RefusedError,
    RobotsError,
    TooLargeError,
    UnexpectedStatusError,
)
from harvesters.ledger.compression import decompress
from harvesters.ledger.links import LinkCheck, LinkState, due_links, links, save_link, set_links
from harvesters.ledger.models import LINKS, State
from harvesters.network.fetch import Fetch
from harvesters.network.retry import RetryPolicy
from harvesters.runs.context import HarvestContext
from harvesters.runs.publish_graphs import GraphChange, publish_graphs
from harvesters.source import Source
from journal.outage import Outage
from vocab.iris import is_web
from vocab.link_states import CheckedLink, describe_links
from vocab.terms import DCAT, FOAF

ROUND_SECONDS = 50.0  # of one call: the next follows within a minute
_BATCH = 100  # links that are read at once
_BYTES = 1024  # of a page that are asked for
_POLICY = RetryPolicy(read_timeout=20.0, connect_timeout=10.0, response_timeout=30.0, max_bytes=2 * 1024 * 1024, max_attempts=1)
_PROPERTIES = (f"{FOAF}page", f"{FOAF}homepage", f"{DCAT}accessURL", f"{DCAT}downloadURL")
_LINK = re.compile(rf"^\S+ <(?:{'|'.join(map(re.escape, _PROPERTIES))})> <([^>]+)>$", re.MULTILINE)
_THERE = {"416"}  # statuses of a page that has fewer bytes than were asked for
_NOT_TO_US = {"405", "406", "451"}

log = structlog.get_logger(component="links")


def check_due_links(
    context: HarvestContext,
    sources: Iterable[Source],
    seen: MutableMapping[str, str],
    outage: Outage,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Check the links that are due of the sources that ask for it, for ROUND_SECONDS; log once while the ledger cannot be used.

    *seen* has the last run of each source whose links were read. States are published when nothing of a source is due any more.
    """
    until = clock() + ROUND_SECONDS
    try:
        for source in sources:
            if source.check_links and not context.ledger.is_retired(source.name):
                check_source(context, source, seen, lambda: clock() < until)
    except HarvestError as error:
        outage.failed(str(error))
    else:
        outage.over()


def check_source(context: HarvestContext, source: Source, seen: MutableMapping[str, str], may_go_on: Callable[[], bool]) -> int:
    """Check the links of a source that are due; return how many were checked. Publish the states when none is due any more."""
    run = context.ledger.last_run(source.name, [State.COMMITTED])
    if run is None:
        return 0
    if seen.get(source.name) != run.id:
        set_links(context.ledger, source.name, read_links(context, source.name), context.now())
        seen[source.name] = run.id
    checked = 0
    client = Fetch(
        context.contact, source.pause, context.allow_hosts, None, {}, _POLICY, context.transport, context.rate_limiter,
        quiet_hours=source.quiet, base=context.iris.base,
    )  # fmt: skip
    with client:
        while may_go_on():
            due = due_links(context.ledger, source.name, context.now(), _BATCH)
            if not due:
                if checked:
                    publish_states(context, source.name)
                return checked
            for link in due:
                if not may_go_on():
                    return checked
                try:
                    found = check_link(client, link.url)
                except QuietHoursError:
                    return checked
                save_link(context.ledger, link, link.after(found, context.now()))
                checked += 1
    return checked


def read_links(context: HarvestContext, source: str) -> set[str]:
    """Return the web addresses that the published records of a source name as pages or downloads."""
    found = set[str]()
    for description in context.ledger.published_descriptions(source):
        found.update(url for url in _LINK.findall(decompress(description)) if is_web(url))
    return found


def check_link(client: Fetch, url: str) -> LinkCheck:
    """Request the beginning of a page once. Raises QuietHoursError."""
    try:
        reply = client.get_range(url, range(_BYTES))
    except QuietHoursError:
        raise
    except (RobotsError, BotProtectionError, LimitedError, RefusedError) as error:
        return LinkCheck(LinkState.BLOCKED, _answer(error))
    except TooLargeError:
        return LinkCheck(LinkState.ALIVE, "200")
    except NotFoundError as error:
        return LinkCheck(None, _answer(error))
    except ForbiddenError as error:
        return LinkCheck(LinkState.BLOCKED, _answer(error))
    except UnexpectedStatusError as error:
        status = _answer(error)
        state = LinkState.ALIVE if status in _THERE else LinkState.BLOCKED if status in _NOT_TO_US else None
        return LinkCheck(state, status)
    except FetchError as error:
        return LinkCheck(None, _answer(error))
    if _without_scheme(reply.url) == _without_scheme(url):
        return LinkCheck(LinkState.ALIVE, str(reply.status))
    return LinkCheck(LinkState.MOVED, str(reply.status), reply.url if is_web(reply.url) else "")


def _answer(error: FetchError) -> str:
    """Return the HTTP status of an error, or its kind: the name of its class without "Error"."""
    return str(error.reason.values.get("status") or type(error).__name__.removesuffix("Error"))


def _without_scheme(url: str) -> str:
    """Return an address without scheme, fragment and final slash: a page that moves from http to https is the same."""
    return url.partition("#")[0].partition("://")[2].rstrip("/")


def publish_states(context: HarvestContext, source: str) -> None:
    """Write the states of a source's links to the journal, as one entry, if they have changed since they were published."""

    def changes() -> list[GraphChange]:
        graph = context.iris.links(source)
        states = (
            CheckedLink(link.digest, link.url, link.state.value, link.since, link.location or "")
            for link in links(context.ledger, source)
            if link.state and link.since
        )
        before, after = context.ledger.graph(graph), "\n".join(describe_links(source, states, context.iris))
        return [GraphChange(graph, before, after)] if before != after else []

    run, _ = publish_graphs(LINKS, changes, context)
    if run is not None:
        log.info("link states published", source=source, entry=run.entry)
