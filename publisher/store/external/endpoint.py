"""URLs of an external SPARQL store."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import unquote, urlsplit, urlunsplit

QUERY = "STOCKTAKE_SPARQL_URL"
UPDATE = "STOCKTAKE_SPARQL_UPDATE_URL"
GRAPHS = "STOCKTAKE_GRAPH_STORE_URL"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The URL of an endpoint, without the *user* and *password* that it may contain."""

    url: str
    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class StoreURLs:
    """URLs for queries and updates (SPARQL 1.1 Protocol) and for graphs (Graph Store Protocol; ""
    if not supported).
    """

    query: str
    update: str
    graphs: str = ""

    @property
    def folder(self) -> str:
        """Return the name of the folder with the snapshots and indexes of that store."""
        return (
            f"elsewhere-{blake2b(endpoint_of(self.query).url.encode(), digest_size=4).hexdigest()}"
        )

    def environment(self) -> dict[str, str]:
        """Return the same settings as environment variables for a subprocess."""
        return {QUERY: self.query, UPDATE: self.update, GRAPHS: self.graphs}


def parse_settings(query: str, update: str = "", graphs: str = "") -> StoreURLs | None:
    """Parse the settings; None if the store is embedded. Raises ValueError if they are not valid.

    >>> parse_settings("http://127.0.0.1:7878/query", "http://127.0.0.1:7878/update").update
    'http://127.0.0.1:7878/update'
    """
    for name, url in ((QUERY, query), (UPDATE, update), (GRAPHS, graphs)):
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError(f"{name} is not a URL, e.g. http://127.0.0.1:8890/sparql")
    if not query:
        if update or graphs:
            raise ValueError(f"{UPDATE} and {GRAPHS} need {QUERY}")
        return None
    return StoreURLs(query, update or query, graphs)


def from_environment(environment: Mapping[str, str] = os.environ) -> StoreURLs:
    """Return the URLs that ``StoreURLs.environment`` wrote. Raises ValueError if there are none."""
    urls = parse_settings(*(environment.get(name, "") for name in (QUERY, UPDATE, GRAPHS)))
    if urls is None:
        raise ValueError(f"{QUERY} is not set")
    return urls


def endpoint_of(url: str) -> Endpoint:
    """Return a URL with its user and password separated.

    >>> endpoint_of("http://dba:x%40y@host:8890/sparql-auth")
    Endpoint(url='http://host:8890/sparql-auth', user='dba', password='x@y')
    """
    parts = urlsplit(url)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return Endpoint(plain, unquote(parts.username or ""), unquote(parts.password or ""))
