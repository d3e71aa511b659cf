"""What the command `mirror` needs: its arguments, its client, and its summary."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import structlog
import typer

from command_line.harvesting.terminal import network_settings
from command_line.settings import Settings
from harvesters.errors import HarvestError, MirrorError
from harvesters.mirror import Mirror, handshake
from harvesters.network.fetch import Fetch
from harvesters.network.settings import RetryPolicy
from harvesters.stored_response import Validator
from journal import mirror_origin
from journal.errors import JournalError
from journal.mirror_origin import Origin
from vocab.iris import is_web

CHECK_INTERVAL = 60.0  # seconds between checks: harvests publish a few times a day
PAUSE = 0.1  # seconds between requests: entries are static files
_MAX_ANSWER_BYTES = 64 << 20  # bytes of a response: four parts, for servers without range requests
log = structlog.get_logger(component="mirror")


def address(url: str) -> str:
    """Return the URL of the other home page with a slash at its end; exit with 2 if it is none."""
    parts = urlsplit(url)
    if not is_web(url) or parts.query or parts.fragment:
        raise typer.BadParameter(
            f"{url!r} is not the URL of a Stocktake home page, e.g. https://stocktaking.example/"
        )
    return url.removesuffix("journal/").rstrip("/") + "/"


@contextmanager
def open_mirror(
    settings: Settings, url: str, base: str | None, pause: float, largest: int
) -> Iterator[Mirror]:
    """Open a client for the other Stocktake, and yield the mirror."""
    validators: dict[str, Validator] = {}
    retry_policy = RetryPolicy(max_bytes=_MAX_ANSWER_BYTES)
    network = replace(network_settings(settings), retry_policy=retry_policy)
    with Fetch(network, pause, validators=validators) as client:
        yield Mirror(settings.data, url, client, base, largest, validators=validators)


def handshake_or_cached(mirror: Mirror) -> Origin:
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


def summary(mirror: Mirror, copied: int) -> str:
    """Return a line that says what a mirror holds after a sync."""
    head = mirror.journal.head
    content = f"{head.number} entries, the last {head.id}" if head else "no entries"
    return f"{mirror.data} is a mirror of {mirror.url}: {content}; {copied} copied now"
