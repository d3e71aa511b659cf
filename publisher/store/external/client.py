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
_HEAD = 2_000  # bytes of an error's text that are read
SILENCE_TIMEOUT = 3_600.0  # seconds of silence: the pool ends a reader long before


class EndpointError(Exception):
    """The store did not answer: *reason* is its name in ``publisher.errors``."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Client:
    """Ask the endpoint at *url*, which may hold a user and password (Basic)."""

    def __init__(self, url: str) -> None:
        at = endpoint_of(url)
        parts = urlsplit(at.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.host = parts.netloc
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._connection = kind(parts.netloc, timeout=SILENCE_TIMEOUT)
        self._headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if at.user:
            self._headers["Authorization"] = "Basic " + b64encode(f"{at.user}:{at.password}".encode()).decode()
        self._open: http.client.HTTPResponse | None = None

    def dialect(self, seconds: float = SILENCE_TIMEOUT) -> Dialect:
        """Return how the engine is spoken to. Raises EndpointError."""
        answer = self.ask("ASK { }", TABLE, seconds=seconds)
        answer.read()
        dialect = dialect_of(answer.headers.get("Server", ""))
        if dialect.engine_graphs:
            graphs = (row["graph"] for row in self.rows(dialect.engine_graphs, seconds))
            dialect = replace(dialect, aside=(*dialect.aside, *sorted(graphs)))
        return dialect

    def ask(
        self, query: str, accept: str, more: Sequence[tuple[str, str]] = (), *, seconds: float = SILENCE_TIMEOUT
    ) -> http.client.HTTPResponse:
        """Send a query and return the response, a file to read. Raises EndpointError, also where the store is silent for *seconds*."""
        if self._open:
            self._open.close()  # what was not read of the last one
            if not self._open.isclosed():
                self._connection.close()
        body = urlencode([("query", query), *more])
        answer = self._sent(body, accept, seconds)
        self._open = answer
        if answer.status != 200:
            raise _refused(answer.status, answer.read(_HEAD).decode(errors="replace"), self.host)
        return answer

    def _sent(self, body: str, accept: str, seconds: float) -> http.client.HTTPResponse:
        """Send it, once more where the store has closed the connection meanwhile."""
        self._connection.timeout = seconds
        if self._connection.sock:
            self._connection.sock.settimeout(seconds)
        for again in (True, False):
            try:
                self._connection.request("POST", self._path, body, {**self._headers, "Accept": accept})
                return self._connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if not again or isinstance(error, (ConnectionRefusedError, TimeoutError)):
                    raise EndpointError("NotReady", f"the store at {self.host} does not answer ({error}); ask again in a moment") from error
        raise AssertionError("unreachable")

    def rows(self, query: str, seconds: float = SILENCE_TIMEOUT) -> list[dict[str, str]]:
        """Return the values of an answer by variable. Raises EndpointError, also where the answer breaks off or is silent for *seconds*."""
        try:
            rows = json.load(self.ask(query, TABLE, seconds=seconds))["results"]["bindings"]
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._connection.close()
            raise EndpointError("NotReady", f"the answer of the store at {self.host} broke off ({error}); ask again in a moment") from error
        return [{name: cell["value"] for name, cell in row.items()} for row in rows]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def require_complete(response: http.client.HTTPResponse, dialect: Dialect) -> http.client.HTTPResponse:
    """Return the response if it is complete; raises EndpointError where the store has ended it early."""
    most = response.headers.get(dialect.cap) if dialect.cap else None
    if most or (dialect.broken and response.headers.get(dialect.broken)):
        raise EndpointError(
            "StoreFailure", f"the store returned only {most or 'some'} rows; raise its limits (docs/how-to/external-store.md)"
        )
    return response


def _refused(status: int, text: str, host: str) -> EndpointError:
    said = next((line.strip() for line in text.splitlines() if line.strip()), "")
    for trouble in ENGINE_ERRORS:
        if trouble.mark.search(text):
            return EndpointError(trouble.reason, f"{trouble.advice} ({said})" if trouble.advice else said)
    return EndpointError("QueryError" if status < 500 else "StoreFailure", f"the store at {host} answers {status}: {said}")
