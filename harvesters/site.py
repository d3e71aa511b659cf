"""Hold the resources of the harvesters' web applications, and authenticate requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import parse_qs

import structlog
from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.engine import make_url

from harvesters.errors import LedgerError, SourceDefinitionError
from harvesters.ledger import operators
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import MAX_NOTE_LENGTH as MAX_NOTE_LENGTH
from harvesters.ledger.operators import Key
from harvesters.notifications.delivery import Channels
from harvesters.problems import CSRFError, InvalidValue, NotFound, RateLimited, Unauthenticated
from harvesters.reasons import Reason
from harvesters.source import Source, load
from web.sessions import SessionCookie, is_own_form
from web.throttle import Throttle

LOCK_TIMEOUT = 2  # seconds to wait for a ledger that another process has locked
log = structlog.get_logger(component="admin")

Credentials = Annotated[
    HTTPAuthorizationCredentials | None,
    Security(
        HTTPBearer(
            auto_error=False,
            scheme_name="key",
            description="A key of `stocktake keys create` (RFC 6750).",
        )
    ),
]


def utc_now() -> datetime:
    """Return the present instant, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


@dataclass(slots=True)
class Site:
    """The resources that the applications share. The ledger at *url* is opened on first use, so that
    its failure affects these applications alone. *source_dir* has the source definitions.

    *now* returns UTC in whole seconds, *clock* monotonic seconds. With *demo* each page says that
    its data are made up; *channels* has the settings for messages.
    """

    data: Path
    source_dir: Path
    url: str
    base: str
    now: Callable[[], datetime] = utc_now
    clock: Callable[[], float] = time.monotonic
    lock_timeout: int = LOCK_TIMEOUT
    demo: bool = False
    channels: Channels = field(default_factory=Channels)
    throttle: Throttle = field(init=False)
    _ledger: Ledger | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        """Start without failed attempts."""
        self.throttle = Throttle(self.clock)

    @property
    def ledger(self) -> Ledger:
        """Return the ledger, opened on first use; raise LedgerError if it is missing or locked."""
        file = make_url(self.url).database if self.url.startswith("sqlite") else None
        if file and file != ":memory:" and not Path(file).exists():
            self.close()
            raise LedgerError(
                "there is no ledger yet: a harvest or `stocktake keys create` makes it"
            )
        if not self._lock.acquire(timeout=self.lock_timeout):
            raise LedgerError("another request is opening the ledger, which takes long")
        try:
            if self._ledger is None:
                self._ledger = Ledger(self.url, self.lock_timeout)
            return self._ledger
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            if self._ledger is not None:
                self._ledger.close()
            self._ledger = None

    def sources(self) -> list[Source]:
        """Return the valid source definitions as they are now, by name."""
        return [source for source in self._load_sources() if isinstance(source, Source)]

    def invalid_sources(self) -> list[Reason]:
        """Return the faults of all invalid source definitions."""
        return [source for source in self._load_sources() if isinstance(source, Reason)]

    def source(self, name: str) -> Source:
        """Return a source by its name; raise NotFound."""
        for source in self.sources():
            if source.name == name:
                return source
        raise NotFound(
            "There is no source with that name and a valid source definition. GET /admin/sources lists the sources."
        )

    def _load_sources(self) -> Iterator[Source | Reason]:
        for definition in sorted(self.source_dir.glob("*.toml")):
            try:
                yield load(definition)
            except SourceDefinitionError as error:
                yield from error.faults


def client_address(request: Request) -> str:
    """Return the client's address; behind a trusted proxy, the one that the proxy reports."""
    return request.client.host if request.client else "unknown"


def count_failure(site: Site, client: str) -> None:
    """Count a failed sign-in; raise RateLimited after too many from one network address."""
    if seconds := site.throttle.retry_after(client):
        raise RateLimited(
            "Too many failed sign-ins from this address. Try again in %(seconds)s seconds.",
            seconds=seconds,
        )
    site.throttle.record_failure(client)


def authenticate(request: Request, token: str) -> Key:
    """Return the key for *token* and record its use.

    Raises Unauthenticated for an invalid token, and RateLimited after too many of them. A valid key
    is never refused because of the failures of others at the same address.
    """
    site: Site = request.app.state.context
    key = operators.check_token(site.ledger, token, site.now())
    if key is None:
        count_failure(site, client_address(request))
        raise Unauthenticated(
            "Sign-in failed: the key is mistyped, revoked or expired.", token_sent=True
        )
    try:
        operators.record_use(site.ledger, key, site.now())
    except LedgerError as error:  # A read must not fail because the ledger is locked.
        log.warning("last use of the key not recorded", key=key.id, reason=str(error))
    return key


def check_same_site(request: Request) -> None:
    """Refuse a form sent by another site's page."""
    if not is_own_form(request):
        raise CSRFError("This form was not sent from an admin page.")


def check_session(session: SessionCookie, request: Request, sent: str) -> None:
    """Refuse a form of another session, which sends another token."""
    if not session.is_token(request, sent):
        raise CSRFError("This form belongs to another session. Reload the page.")


def render_errors_as_pages(request: Request) -> None:
    """Mark the request so that errors are rendered as pages."""
    request.state.page = True


async def read_fields(request: Request, longest: int, most: int) -> dict[str, list[str]]:
    """Read a form of this site (application/x-www-form-urlencoded) of at most *longest* bytes and
    *most* values. Raises CSRFError, InvalidValue.
    """
    check_same_site(request)
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > longest:
            raise InvalidValue("A form can have at most %(longest)s bytes.", longest=f"{longest:,}")
    try:
        return parse_qs(
            received.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(received),
            errors="strict",
            max_num_fields=most,
        )
    except ValueError as error:
        raise InvalidValue("The request body is not a valid form.") from error


def check_note(text: str, longest: int = MAX_NOTE_LENGTH) -> str:
    """Return a comment without space around it; raise InvalidValue if it is longer than *longest*
    characters.
    """
    if len(text) > longest:
        raise InvalidValue(
            "A comment can have at most %(longest)s characters; this one has %(length)s.",
            longest=f"{longest:,}",
            length=f"{len(text):,}",
        )
    return text.strip()
