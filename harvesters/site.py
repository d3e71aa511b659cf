"""Hold the resources of the harvesters' web applications, authenticate requests, and refuse them with an
HTTP status (RFC 9110): a page for pages, else problem details (RFC 9457).

RequestRefused              reported to the client as a problem (RFC 9457)
├── Unauthenticated      401: no key, or no valid one
│   └── SessionRequired  401: no session; the page asks for the key
├── InsufficientScope    403: the key's scope does not allow this
├── CSRFError            403: the form was not sent by a page of this session
├── NotFound             404: no such source, plan, run or request
│   └── KeyNotFound
├── InvalidValue         422: a value is not allowed
├── RateLimited          429: too many invalid keys from one client
├── DatabaseUnavailable  503: in place of LedgerError, which may name hosts and files
├── DefinitionChanged    409: another person saved the source definition meanwhile
├── NotAllowed           409: the state of a submission does not permit this
├── LinkInvalid          410: a link that has expired, was used, or does not exist
├── VersionConflict      412: somebody else changed the submission meanwhile
├── TooLarge             413: a table with too many rows, or a picture with too many pixels
├── UnsupportedMedia     415: a media type that is not read
├── VersionRequired      428: a change does not say which version it changes (RFC 6585)
├── ProviderError        502: the provider that persons sign in with fails, or its answer is wrong
├── Closed               503: the source `submissions` is missing or disabled
└── (409)                the harvester's own PlanError and SourceLockedError
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import structlog
from fastapi import FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.engine import make_url
from starlette.exceptions import HTTPException
from starlette.responses import Response

from harvesters.errors import (
    HarvestError,
    InvalidInputError,
    LedgerError,
    PlanError,
    SourceDefinitionError,
    SourceLockedError,
    UnknownError,
    error_reason,
)
from harvesters.ledger import operators
from harvesters.ledger.ledger import Ledger
from harvesters.ledger.models import MAX_NOTE_LENGTH as MAX_NOTE_LENGTH
from harvesters.ledger.models import Key
from harvesters.network.fetch import utc_now
from harvesters.notifications.delivery import Channels
from harvesters.reasons import Reason
from harvesters.source import Source, load
from journal.errors import JournalError
from languages.translations import format_number, gettext
from web.middleware import Throttle
from web.respond import PROBLEM_MEDIA, Problem, install_error_handler
from web.sessions import SessionCookie, is_own_form
from web.templating import Pages

_BEARER = 'Bearer realm="stocktake"'  # RFC 6750, section 3


class RequestRefused(HarvestError):
    """A request that the application refuses; *headers* are added to the response.

    *text* is an English text of the catalogues, *values* replace its ``%(name)s``. The API and the
    log have it in English, pages in the language of the request. *extensions* are more members of
    the problem.

    >>> str(RequestRefused("There is no queued run %(number)s.", number=7))
    'There is no queued run 7.'
    """

    status = HTTPStatus.BAD_REQUEST
    headers: Mapping[str, str] = {}  # more headers of the response

    def __init__(
        self, text: str | Reason, extensions: Mapping[str, Any] | None = None, **values: object
    ) -> None:
        self.extensions = extensions or {}
        named = {
            name: value if isinstance(value, Reason) else str(value)
            for name, value in values.items()
        }
        # A process that reads a picture or table sends the error with its reason.
        super().__init__(text if isinstance(text, Reason) else Reason(text, **named))

    @property
    def localized(self) -> str:
        """Return the message in the language of the request."""
        return self.reason.describe(gettext, format_number)


class Unauthenticated(RequestRefused):
    """No key, or no valid one; *token_sent* says which."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, text: str, *, token_sent: bool) -> None:
        super().__init__(text)
        self.token_sent = token_sent
        # RFC 6750, section 3.1: an error only if a token was sent.
        self.headers = {
            "WWW-Authenticate": f'{_BEARER}, error="invalid_token"' if token_sent else _BEARER
        }


class SessionRequired(Unauthenticated):
    """The page needs a session."""


class InsufficientScope(RequestRefused):
    """The key with the scope *actual* is valid but does not allow this; *required* would."""

    status = HTTPStatus.FORBIDDEN

    def __init__(self, required: str, actual: str) -> None:
        super().__init__(
            "A key with the permission “%(needed)s” is required; yours has “%(yours)s”.",
            needed=Reason(required),
            yours=Reason(actual),
        )
        self.headers = {
            "WWW-Authenticate": f'{_BEARER}, error="insufficient_scope", scope="{required}"'
        }


class CSRFError(RequestRefused):
    status = HTTPStatus.FORBIDDEN


class NotFound(RequestRefused):
    status = HTTPStatus.NOT_FOUND


class KeyNotFound(NotFound):
    """There is no key with that id."""


class InvalidValue(RequestRefused):
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class DefinitionChanged(RequestRefused):
    status = HTTPStatus.CONFLICT


class DatabaseUnavailable(RequestRefused):
    status = HTTPStatus.SERVICE_UNAVAILABLE
    headers: Mapping[str, str] = {"Retry-After": "5"}


class RateLimited(RequestRefused):
    """Too many failed attempts; retry after *seconds*."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, text: str, *, seconds: int) -> None:
        super().__init__(text, seconds=seconds)
        self.headers = {"Retry-After": str(seconds)}


class Closed(RequestRefused):
    status = HTTPStatus.SERVICE_UNAVAILABLE


class LinkInvalid(RequestRefused):
    status = HTTPStatus.GONE


class VersionRequired(RequestRefused):
    status = HTTPStatus.PRECONDITION_REQUIRED


class VersionConflict(RequestRefused):
    status = HTTPStatus.PRECONDITION_FAILED


class NotAllowed(RequestRefused):
    status = HTTPStatus.CONFLICT


class TooLarge(RequestRefused):
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class UnsupportedMedia(RequestRefused):
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class ProviderError(RequestRefused):
    status = HTTPStatus.BAD_GATEWAY


_PROBLEM_SCHEMA = {
    "type": "object",
    "properties": {
        "type": {},
        "title": {},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
_ERRORS = {
    401: "No key, or no valid one.",
    403: "The key's scope does not allow this.",
    404: "Not found.",
    409: "The plan is no longer open, or another run of the source is in progress.",
    422: "A value is not allowed.",
    429: "Too many invalid keys from this client.",
    503: "The ledger is locked, missing or not reachable.",
}
# The error responses of each route of the API.
ERROR_RESPONSES: dict[int | str, dict[str, Any]] = {
    code: {"description": text, "content": {PROBLEM_MEDIA: {"schema": _PROBLEM_SCHEMA}}}
    for code, text in _ERRORS.items()
}
# No operator has to act on these, so they are logged as information.
_CLIENT_ERRORS = (
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
log = structlog.get_logger(component="admin")

# The first matching row applies.
_STATUS: tuple[tuple[type[Exception], HTTPStatus], ...] = (
    (PlanError, HTTPStatus.CONFLICT),
    (InvalidInputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnknownError, HTTPStatus.NOT_FOUND),
    (SourceLockedError, HTTPStatus.CONFLICT),
    (SourceDefinitionError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (HarvestError, HTTPStatus.INTERNAL_SERVER_ERROR),
    (JournalError, HTTPStatus.INTERNAL_SERVER_ERROR),
)


def install_error_handlers(app: FastAPI, pages: Pages) -> None:
    """Let *app* answer errors with a page of *pages*, or with problem details."""

    def render(request: Request, problem: Problem) -> Response | None:
        if not getattr(request.state, "page", False):
            return None
        values, query = dict(problem.values), request.url.query
        if problem.template == "sign-in.html":
            path = f"{request.url.path}?{query}" if query else request.url.path
            values["path"] = path if request.method == "GET" else f"{pages.root}/"
        return pages.render(problem.template, values, problem.status)

    kinds = (HarvestError, JournalError, RequestValidationError, HTTPException)
    install_error_handler(app, kinds, _describe_problem, render)


async def _describe_problem(request: Request, error: Exception) -> Problem:
    if isinstance(error, LedgerError):  # its text may name hosts and files
        log.error("ledger unavailable", reason=str(error))
        error = DatabaseUnavailable(
            "The database is locked, missing or unreachable. The server's log has details."
        )
    text, headers, extensions = str(error), dict[str, str](), dict[str, Any]()
    match error:
        case RequestRefused(status=status):
            headers, extensions = {**error.headers}, {**error.extensions}
        case HTTPException():
            status, text = HTTPStatus(error.status_code), error.detail
            headers.update(error.headers or {})
        case RequestValidationError():  # without the input, which may contain a key
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            text = "; ".join(
                f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
                for problem in error.errors()
            )
        case _:
            status = next(status for kind, status in _STATUS if isinstance(error, kind))
    _log_refusal(request, status, text)
    localized, template = _localized(error), "problem.html"
    values: dict[str, object] = {
        "title": status.phrase,
        "detail": localized or text,
        # Some messages of the harvester are not translated.
        "detail_language": None if localized else "en",
        "code": int(status),
    }
    if isinstance(error, SessionRequired):
        values, template = {"why": localized, "failed": error.token_sent}, "sign-in.html"
    return Problem(status, text, headers, "", extensions, template, values)


def describe_error(error: Exception) -> str:
    """Return the error's message, in the language of the request if it is translated."""
    return _localized(error) or str(error)


def _localized(error: Exception) -> str | None:
    """Return the error's message in the language of the request, None if it is in English only."""
    if not isinstance(error, HarvestError | JournalError):
        return None
    reason = error_reason(error)
    return None if reason.code == "other" else reason.describe(gettext, format_number)


def _log_refusal(request: Request, status: HTTPStatus, text: str) -> None:
    """Log a refused request with its route template instead of its path, which may contain a key by
    mistake.
    """
    route = getattr(request.scope.get("route"), "path", "none")
    client = request.client.host if request.client else "unknown"
    who = getattr(request.state, "who", None)
    write = log.info if status in _CLIENT_ERRORS else log.warning
    write(
        "refused",
        status=int(status),
        method=request.method,
        route=route,
        client=client,
        who=who,
        reason=text,
    )


# ---- resources of the applications

LOCK_TIMEOUT = 2  # seconds to wait for a ledger that another process has locked

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
