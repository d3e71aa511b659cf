"""Define the admin app's errors, each with its HTTP status (RFC 9110).

AdminError               reported to the client as a problem (RFC 9457)
├── Unauthenticated      401: no key, or no valid one
│   └── SessionRequired  401: no session; the page asks for the key
├── InsufficientScope    403: the key's scope does not allow this
├── CSRFError            403: the form was not sent by a page of this session
├── NotFound             404: no such source, plan, run or request
│   └── KeyNotFound
├── InvalidValue         422: a value is not allowed
├── RateLimited          429: too many invalid keys from one client
└── (409, 503)           the harvesters' own PlanError, SourceLockedError and LedgerError, see ``problems``
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from harvesters.errors import HarvestError

_BEARER = 'Bearer realm="stocktake"'  # RFC 6750, section 3


class AdminError(HarvestError):
    """A request that the admin app refuses; *headers* are added to the response."""

    status = HTTPStatus.BAD_REQUEST

    @property
    def headers(self) -> Mapping[str, str]:
        """Return additional response headers."""
        return {}


class Unauthenticated(AdminError):
    """No key, or no valid one; *token_sent* says which."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, text: str, *, token_sent: bool) -> None:
        super().__init__(text)
        self.token_sent = token_sent

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the challenge; `invalid_token` only if a token was sent (RFC 6750, section 3.1)."""
        return {"WWW-Authenticate": f'{_BEARER}, error="invalid_token"' if self.token_sent else _BEARER}


class SessionRequired(Unauthenticated):
    """The page needs a session."""


class InsufficientScope(AdminError):
    """The key is valid but does not allow this; *required_scope* would."""

    status = HTTPStatus.FORBIDDEN

    def __init__(self, text: str, required_scope: str) -> None:
        super().__init__(text)
        self.required_scope = required_scope

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the challenge that names the required scope."""
        return {"WWW-Authenticate": f'{_BEARER}, error="insufficient_scope", scope="{self.required_scope}"'}


class CSRFError(AdminError):
    """The form was not sent by a page of this session."""

    status = HTTPStatus.FORBIDDEN


class NotFound(AdminError):
    """The requested object does not exist."""

    status = HTTPStatus.NOT_FOUND


class KeyNotFound(NotFound):
    """There is no key with that id."""


class InvalidValue(AdminError):
    """A value is not allowed."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class RateLimited(AdminError):
    """Too many failed attempts; retry after *seconds*."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, text: str, seconds: int) -> None:
        super().__init__(text)
        self.seconds = seconds

    @property
    def headers(self) -> Mapping[str, str]:
        """Return Retry-After."""
        return {"Retry-After": str(self.seconds)}
