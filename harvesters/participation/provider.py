"""The provider of OpenID Connect that persons may sign in with, from the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    import httpx

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class OpenIDProvider:
    """A provider: its issuer, the id and secret of this installation there, and the private hosts
    that requests may reach (*allow*).

    *transport* replaces the network in tests.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    allow: frozenset[str] = frozenset()
    transport: httpx.BaseTransport | None = None

    @property
    def host(self) -> str:
        """Return the host by which a person knows the provider."""
        return urlsplit(self.issuer).netloc


def parse_provider(url: str, allow: frozenset[str] = frozenset()) -> OpenIDProvider:
    """Parse the URL of a provider: its issuer with the client's id and secret as user and password.
    Raises ValueError.

    >>> parse_provider("https://stocktake:s%40fe@login.example/realms/all").issuer
    'https://login.example/realms/all'
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if not parts.username or not parts.password or not host or parts.query or parts.fragment:
        raise ValueError(
            "use https://CLIENT:SECRET@HOST/PATH, the issuer with the id and secret of the client"
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise ValueError("an issuer begins with https:")
    issuer = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return OpenIDProvider(issuer, unquote(parts.username), unquote(parts.password), allow)
