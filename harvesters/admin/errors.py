"""Define the admin app's errors, each with its HTTP status (RFC 9110).

HTTPProblem              reported to the client as a problem (RFC 9457)
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
└── (409)                the harvester's own PlanError and SourceLockedError, see ``problems``
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from harvesters.errors import HarvestError
from harvesters.reasons import Reason
from languages.translations import format_number, gettext

_BEARER = 'Bearer realm="stocktake"'  # RFC 6750, section 3


class HTTPProblem(HarvestError):
    """A request that the application refuses; *headers* are added to the response.

    *text* is an English text of the catalogues, *values* replace its ``%(name)s``. The API and the
    log have it in English, pages in the language of the request.

    >>> str(HTTPProblem("There is no queued run %(number)s.", number=7))
    'There is no queued run 7.'
    """

    status = HTTPStatus.BAD_REQUEST

    def __init__(self, text: str | Reason, **values: object) -> None:
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

    @property
    def headers(self) -> Mapping[str, str]:
        """Return additional response headers."""
        return {}


class Unauthenticated(HTTPProblem):
    """No key, or no valid one; *token_sent* says which."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, text: str, *, token_sent: bool, **values: object) -> None:
        super().__init__(text, **values)
        self.token_sent = token_sent

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the challenge; `invalid_token` only if a token was sent (RFC 6750, section 3.1)."""
        return {
            "WWW-Authenticate": f'{_BEARER}, error="invalid_token"' if self.token_sent else _BEARER
        }


class SessionRequired(Unauthenticated):
    """The page needs a session."""


class InsufficientScope(HTTPProblem):
    """The key with the scope *actual* is valid but does not allow this; *required* would."""

    status = HTTPStatus.FORBIDDEN

    def __init__(self, required: str, actual: str) -> None:
        super().__init__(
            "A key with the permission “%(needed)s” is required; yours has “%(yours)s”.",
            needed=Reason(required),
            yours=Reason(actual),
        )
        self._required = required

    @property
    def headers(self) -> Mapping[str, str]:
        """Return the challenge that names the required scope."""
        return {
            "WWW-Authenticate": f'{_BEARER}, error="insufficient_scope", scope="{self._required}"'
        }


class CSRFError(HTTPProblem):
    """The form was not sent by a page of this session."""

    status = HTTPStatus.FORBIDDEN


class NotFound(HTTPProblem):
    """The requested object does not exist."""

    status = HTTPStatus.NOT_FOUND


class KeyNotFound(NotFound):
    """There is no key with that id."""


class InvalidValue(HTTPProblem):
    """A value is not allowed."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class DefinitionChanged(HTTPProblem):
    """The source definition was changed since it was read."""

    status = HTTPStatus.CONFLICT


class DatabaseUnavailable(HTTPProblem):
    """The ledger is locked, missing or unreachable."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class RateLimited(HTTPProblem):
    """Too many failed attempts; retry after *seconds*."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, text: str, *, seconds: int) -> None:
        super().__init__(text, seconds=seconds)
        self.seconds = seconds

    @property
    def headers(self) -> Mapping[str, str]:
        """Return Retry-After."""
        return {"Retry-After": str(self.seconds)}
