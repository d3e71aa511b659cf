"""The command mirror: what it is given, and what it tells at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import structlog
import typer

from harvesters.errors import HarvestError, MirrorError
from harvesters.mirror import Mirror, handshake
from harvesters.network.fetch import Fetch, Validator
from harvesters.network.retry import RetryPolicy
from journal import mirror_origin
from journal.errors import JournalError
from journal.mirror_origin import Origin
from vocab.iris import is_web

CHECK_INTERVAL = 60.0  # seconds between looks: harvests bring something a few times a day
PAUSE = 0.1  # seconds between requests: an entry is a file, which costs its host next to nothing
_MAX_ANSWER_BYTES = 64 << 20  # bytes of an answer: four pieces, for hosts that know no parts
log = structlog.get_logger(component="mirror")


class Settings(Protocol):
    """What this command needs of the front door's settings."""

    @property
    def data(self) -> Path: ...  # noqa: D102
    @property
    def contact(self) -> str: ...  # noqa: D102
    @property
    def allow_hosts(self) -> frozenset[str]: ...  # noqa: D102


def address(url: str) -> str:
    """Give the address of the other's front page with a slash at its end; exit with 2 where it is none."""
    parts = urlsplit(url)
    if not is_web(url) or parts.query or parts.fragment:
        raise typer.BadParameter(f"{url!r} is not the URL of a Stocktake home page, e.g. https://stocktaking.example/")
    return url.removesuffix("journal/").rstrip("/") + "/"


@contextmanager
def open_mirror(settings: Settings, url: str, base: str | None, pause: float, largest: int) -> Iterator[Mirror]:
    """Open the door to the other Stocktake."""
    validators: dict[str, Validator] = {}
    patience = RetryPolicy(max_bytes=_MAX_ANSWER_BYTES)
    with Fetch(settings.contact, pause, settings.allow_hosts, validators=validators, retry_policy=patience) as door:
        yield Mirror(settings.data, url, door, base, largest, validators=validators)


def handshake_or_cached(it: Mirror) -> Origin:
    """Ask who the origin is before it is served; where it does not answer, the one that was followed before."""
    try:
        return handshake(it)
    except (HarvestError, JournalError) as error:
        known = mirror_origin.read(it.journal.folder)
        if known is None or isinstance(error, MirrorError | JournalError):
            raise
        log.warning("origin does not respond; serving the local copy", origin=it.url, reason=str(error))
        return known


def summary(it: Mirror, brought: int) -> str:
    """Tell what a mirror holds after it caught up."""
    head = it.journal.head
    held = f"{head.number} entries, the last {head.id}" if head else "no entries"
    return f"{it.data} is a mirror of {it.url}: {held}; {brought} came now"
