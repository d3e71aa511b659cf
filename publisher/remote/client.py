"""Client: one connection to a store elsewhere, kept open; questions by POST, answers read as they come."""

from __future__ import annotations

import http.client
import json
from base64 import b64encode
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from publisher.remote.address import door
from publisher.remote.dialect import TROUBLES, Dialect, of

TABLE, TRIPLES = "application/sparql-results+json", "application/n-triples"
_HEAD = 2_000  # bytes of an error's text that are read
PATIENCE = 3_600.0  # seconds of silence: the pool ends a reader long before


class Refused(Exception):
    """The store did not answer: *reason* is its name in ``publisher.errors``."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Client:
    """Ask the endpoint at *url*, which may hold a user and password (Basic)."""

    def __init__(self, url: str) -> None:
        at = door(url)
        parts = urlsplit(at.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.host = parts.netloc
        self._path = parts.path + (f"?{parts.query}" if parts.query else "")
        self._connection = kind(parts.netloc, timeout=PATIENCE)
        self._headers = {"Content-Type": "application/x-www-form-urlencoded"}
        if at.user:
            self._headers["Authorization"] = "Basic " + b64encode(f"{at.user}:{at.password}".encode()).decode()
        self._open: http.client.HTTPResponse | None = None

    def dialect(self) -> Dialect:
        """Find out how the engine is spoken to."""
        answer = self.ask("ASK { }", TABLE)
        answer.read()
        return of(answer.headers.get("Server", ""))

    def ask(self, query: str, accept: str, more: Sequence[tuple[str, str]] = ()) -> http.client.HTTPResponse:
        """Put a query; its answer is a file to read. Raises Refused."""
        if self._open:
            self._open.close()  # what was not read of the last one
            if not self._open.isclosed():
                self._connection.close()
        body = urlencode([("query", query), *more])
        answer = self._sent(body, accept)
        self._open = answer
        if answer.status != 200:
            raise _refused(answer.status, answer.read(_HEAD).decode(errors="replace"), self.host)
        return answer

    def _sent(self, body: str, accept: str) -> http.client.HTTPResponse:
        """Send it, once more where the store has closed the connection meanwhile."""
        for again in (True, False):
            try:
                self._connection.request("POST", self._path, body, {**self._headers, "Accept": accept})
                return self._connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if not again or isinstance(error, ConnectionRefusedError):
                    raise Refused("NotReady", f"the store at {self.host} does not answer ({error}); ask again in a moment") from error
        raise AssertionError("unreachable")

    def rows(self, query: str) -> list[dict[str, str]]:
        """Give the values of an answer by variable."""
        found = json.load(self.ask(query, TABLE))["results"]["bindings"]
        return [{name: cell["value"] for name, cell in row.items()} for row in found]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def whole(found: http.client.HTTPResponse, dialect: Dialect) -> http.client.HTTPResponse:
    """Give an answer of which nothing may be missing; raises Refused where the store has ended it early."""
    most = found.headers.get(dialect.cap) if dialect.cap else None
    if most or (dialect.broken and found.headers.get(dialect.broken)):
        raise Refused("Broken", f"the store gives only {most or 'a part'} of the rows that are needed; raise its limits (docs/stores.md)")
    return found


def _refused(status: int, text: str, host: str) -> Refused:
    said = next((line.strip() for line in text.splitlines() if line.strip()), "")
    for trouble in TROUBLES:
        if trouble.mark.search(text):
            return Refused(trouble.reason, f"{trouble.advice} ({said})" if trouble.advice else said)
    return Refused("QueryError" if status < 500 else "Broken", f"the store at {host} answers {status}: {said}")
