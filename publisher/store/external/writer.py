"""Write to an external store: SPARQL Update through SPARQLWrapper, bulk loads by the Graph Store
Protocol.

Requests are sent one at a time and in order: two concurrent loads silently lost half of their data
in Virtuoso.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from urllib.error import URLError

import httpx
import structlog
from SPARQLWrapper import BASIC, DIGEST, POST, SPARQLWrapper
from SPARQLWrapper.SPARQLExceptions import (
    EndPointInternalError,
    EndPointNotFound,
    QueryBadFormed,
    SPARQLWrapperException,
)

from publisher.errors import NotReady, StoreFailure
from publisher.store.external import update_batches
from publisher.store.external.endpoint import Endpoint, StoreURLs, endpoint_of
from publisher.store.external.engine_quirks import Dialect

log = structlog.get_logger(component="store")

TIMEOUT = 600  # seconds for one update


class StoreWriter:
    """Writes to the store endpoint *urls*, an engine of *dialect*."""

    def __init__(self, urls: StoreURLs, dialect: Dialect) -> None:
        self._dialect = dialect
        self._update = endpoint_of(urls.update)
        self._graphs = endpoint_of(urls.graphs) if urls.graphs else None
        self._http = httpx.Client(timeout=TIMEOUT, trust_env=False)
        self._digest = _wants_digest(self._http, self._update)
        self.skipped = 0  # number of quads that the store rejected

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def update(self, text: str) -> None:
        """Send an update; raise StoreFailure if the store rejects it, NotReady if it does not
        answer.
        """
        wrapper = SPARQLWrapper(self._update.url, updateEndpoint=self._update.url)
        wrapper.setMethod(POST)
        wrapper.setTimeout(TIMEOUT)
        if self._update.user:
            wrapper.setHTTPAuth(DIGEST if self._digest else BASIC)
            wrapper.setCredentials(self._update.user, self._update.password)
        wrapper.setQuery(text)
        try:
            wrapper.query().response.read()
        except (QueryBadFormed, EndPointInternalError) as error:
            raise StoreFailure(f"the store rejected an update: {str(error)[:500]}") from error
        except (
            SPARQLWrapperException,
            EndPointNotFound,
            URLError,
            OSError,
            HTTPException,
        ) as error:
            raise NotReady(
                f"the store at {self._update.url} does not answer an update: {str(error)[:300]}"
            ) from error

    def add(self, lines: list[bytes]) -> None:
        """Add quads, lines of N-Quads; adding them again changes nothing."""
        if len(lines) < update_batches.LARGE or not self._graphs or not self._load(lines):
            self._send_batches(lines, update_batches.insert_update)

    def remove(self, lines: list[bytes]) -> None:
        """Remove quads, lines of N-Quads."""
        self._send_batches(lines, update_batches.delete_update)

    def _send_batches(self, lines: list[bytes], write: Callable[[list[bytes], str], str]) -> None:
        for batch in update_batches.batches(lines):
            self._send_or_split(batch, write)

    def _send_or_split(self, lines: list[bytes], write: Callable[[list[bytes], str], str]) -> None:
        """Send a batch. If it is rejected, send its halves, down to the rejected quad, which is
        skipped.
        """
        try:
            return self.update(write(lines, self._dialect.merged))
        except StoreFailure as error:
            if len(lines) == 1:
                self.skipped += 1
                line = lines[0].decode(errors="replace")[:500]
                log.warning("store rejected a quad; skipping it", quad=line, error=str(error))
                return
        half = len(lines) // 2
        self._send_or_split(lines[:half], write)
        self._send_or_split(lines[half:], write)

    def _load(self, lines: list[bytes]) -> bool:
        """Bulk-load quads; return False if the store does not support that."""
        triples = b"".join(sorted({line[: line.rindex(b" <")] + b" .\n" for line in lines}))
        return self._post(
            b"".join(lines), "application/n-quads", self._dialect.everything
        ) and self._post(triples, "application/n-triples", (self._dialect.default,))

    def _post(self, body: bytes, media: str, where: tuple[tuple[str, str], ...]) -> bool:
        assert self._graphs
        endpoint, digest = self._graphs, self._digest
        kind: type[httpx.DigestAuth] | type[httpx.BasicAuth] = (
            httpx.DigestAuth if digest else httpx.BasicAuth
        )
        auth = kind(endpoint.user, endpoint.password) if endpoint.user else httpx.USE_CLIENT_DEFAULT
        try:
            response = self._http.post(
                endpoint.url,
                params=dict(where),
                content=body,
                headers={"Content-Type": media},
                auth=auth,
            )
        except httpx.TransportError as error:
            raise NotReady(
                f"the store at {endpoint.url} does not answer a load: {error}"
            ) from error
        if response.is_success:
            return True
        log.warning(
            "store rejected a bulk load; using updates",
            status=response.status_code,
            response=response.text[:300],
        )
        return False


def _wants_digest(client: httpx.Client, endpoint: Endpoint) -> bool:
    try:
        response = client.get(endpoint.url, params={"query": "ASK { }"})
    except httpx.TransportError as error:
        raise NotReady(f"the store at {endpoint.url} does not answer: {error}") from error
    challenge = (
        response.headers.get("www-authenticate", "")
        if response.status_code == HTTPStatus.UNAUTHORIZED
        else ""
    )
    return str(challenge).lower().startswith("digest")
