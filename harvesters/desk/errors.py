"""The desk's errors, each with the status that RFC 9110 gives it.

DeskError            told to the client as RFC 9457 says
├── NoKey            401: no key, or none that is good
├── SignedOut        401: no session; a page asks for the key
├── TooLittle        403: the key allows less than that
├── Forged           403: a form that no page of this session sent
├── Missing          404: no such source, plan, run, errand
│   └── NoSuchKey
├── Wrong            422: a value that cannot be
├── TooMany          429: too many wrong keys from one client
└── (409, 503)       the harvesters' own PlanError, BusyError and LedgerError, see ``problems``
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from harvesters.errors import HarvestError

_BEARER = 'Bearer realm="stocktake"'  # RFC 6750, section 3


class DeskError(HarvestError):
    """A request that the desk refuses; *headers* go with the answer."""

    status = HTTPStatus.BAD_REQUEST

    @property
    def headers(self) -> Mapping[str, str]:
        """Give what the answer says beside its text."""
        return {}


class NoKey(DeskError):
    """There was no key, or none that is good; *shown* tells which."""

    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, text: str, *, shown: bool) -> None:
        super().__init__(text)
        self.shown = shown

    @property
    def headers(self) -> Mapping[str, str]:
        """Ask for a key; say that it was invalid only where one was shown, as RFC 6750 section 3.1 wants."""
        return {"WWW-Authenticate": f'{_BEARER}, error="invalid_token"' if self.shown else _BEARER}


class SignedOut(NoKey):
    """A page that wants a session."""


class TooLittle(DeskError):
    """A good key that does not allow this; *wanted* is the scope that does."""

    status = HTTPStatus.FORBIDDEN

    def __init__(self, text: str, wanted: str) -> None:
        super().__init__(text)
        self.wanted = wanted

    @property
    def headers(self) -> Mapping[str, str]:
        """Name the scope that is needed."""
        return {"WWW-Authenticate": f'{_BEARER}, error="insufficient_scope", scope="{self.wanted}"'}


class Forged(DeskError):
    """A form that no page of this session sent."""

    status = HTTPStatus.FORBIDDEN


class Missing(DeskError):
    """What was asked for is not there."""

    status = HTTPStatus.NOT_FOUND


class NoSuchKey(Missing):
    """There is no key with that id."""


class Wrong(DeskError):
    """A value that cannot be."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class TooMany(DeskError):
    """Too many wrong keys; *seconds* is how long to wait."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, text: str, seconds: int) -> None:
        super().__init__(text)
        self.seconds = seconds

    @property
    def headers(self) -> Mapping[str, str]:
        """Say how long to wait."""
        return {"Retry-After": str(self.seconds)}
