"""HTTP client of an external store: one open connection, queries by POST, streamed responses."""

from __future__ import annotations

import http.client
import json
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

from publisher.store.external.endpoint import endpoint_of
from publisher.store.external.engine_quirks import ENGINE_ERRORS, Dialect, dialect_of

TABLE, TRIPLES = "application/sparql-results+json", "application/n-triples"
_MAX_ERROR_BYTES = 2_000  # of an error response that are read
SILENCE_TIMEOUT = 3_600.0  # seconds; the pool kills a worker long before


class EndpointError(Exception):
    """A request to the store failed; *reason* is the name of a class in ``publisher.errors``."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Client:
    """A client of the SPARQL endpoint *url*, which may contain a user and password (Basic
    authentication).
    """

    def __init__(self, url: str) -> None:
        endpoint = endpoint_of(url)
        parts = urlsplit(endpoint.url)
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self.host = parts.netloc
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._connection = kind(parts.netloc, timeout=SILENCE_TIMEOUT)
        self._headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if endpoint.user:
            self._headers["Authorization"] = (
                "Basic " + b64encode(f"{endpoint.user}:{endpoint.password}".encode()).decode()
            )
        self._open: http.client.HTTPResponse | None = None

    def dialect(self, seconds: float = SILENCE_TIMEOUT) -> Dialect:
        """Return the dialect of the engine. Raises EndpointError."""
        answer = self.ask("ASK { }", TABLE, seconds=seconds)
        answer.read()
        dialect = dialect_of(answer.headers.get("Server", ""))
        if dialect.engine_graphs:
            graphs = (row["graph"] for row in self.rows(dialect.engine_graphs, seconds))
            dialect = replace(dialect, aside=(*dialect.aside, *sorted(graphs)))
        return dialect

    def ask(
        self,
        query: str,
        accept: str,
        more: Sequence[tuple[str, str]] = (),
        *,
        seconds: float = SILENCE_TIMEOUT,
    ) -> http.client.HTTPResponse:
        """Send a query and return the response, a file to read. Raises EndpointError, also if the
        store sends nothing for *seconds*.
        """
        if self._open:
            self._open.close()  # discard the unread rest of the last response
            if not self._open.isclosed():
                self._connection.close()
        body = urlencode([("query", query), *more])
        answer = self._send(body, accept, seconds)
        self._open = answer
        if answer.status != 200:
            raise _error_of(
                answer.status, answer.read(_MAX_ERROR_BYTES).decode(errors="replace"), self.host
            )
        return answer

    def _send(self, body: str, accept: str, seconds: float) -> http.client.HTTPResponse:
        """Send a request; send it again once if the store had closed the connection."""
        self._connection.timeout = seconds
        if self._connection.sock:
            self._connection.sock.settimeout(seconds)
        for may_retry in (True, False):
            try:
                self._connection.request(
                    "POST", self._path, body, {**self._headers, "Accept": accept}
                )
                return self._connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if not may_retry or isinstance(error, (ConnectionRefusedError, TimeoutError)):
                    message = (
                        f"the store at {self.host} does not answer ({error}); try again in a moment"
                    )
                    raise EndpointError("NotReady", message) from error
        raise AssertionError("unreachable")

    def rows(self, query: str, seconds: float = SILENCE_TIMEOUT) -> list[dict[str, str]]:
        """Return the rows of a result, values by variable. Raises EndpointError, also if the
        response stops or stalls for *seconds*.
        """
        try:
            rows = json.load(self.ask(query, TABLE, seconds=seconds))["results"]["bindings"]
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            message = f"the response of the store at {self.host} was incomplete ({error}); try again in a moment"
            raise EndpointError("NotReady", message) from error
        return [{name: cell["value"] for name, cell in row.items()} for row in rows]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def require_complete(
    response: http.client.HTTPResponse, dialect: Dialect
) -> http.client.HTTPResponse:
    """Return the response if it is complete; raise EndpointError if the store truncated it."""
    max_rows = response.headers.get(dialect.cap) if dialect.cap else None
    if max_rows or (dialect.broken and response.headers.get(dialect.broken)):
        raise EndpointError(
            "StoreFailure",
            f"the store returned only {max_rows or 'some'} rows; raise its limits (docs/how-to/external-store.md)",
        )
    return response


def _error_of(status: int, text: str, host: str) -> EndpointError:
    message = next((line.strip() for line in text.splitlines() if line.strip()), "")
    for pattern in ENGINE_ERRORS:
        if pattern.mark.search(text):
            return EndpointError(
                pattern.reason, f"{pattern.advice} ({message})" if pattern.advice else message
            )
    return EndpointError(
        "QueryError" if status < 500 else "StoreFailure",
        f"the store at {host} answers {status}: {message}",
    )
