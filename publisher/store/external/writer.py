"""Write to an external store: SPARQL Update through SPARQLWrapper, bulk loads by the Graph Store Protocol.

One at a time and in order: two loads at once have lost half of their data in Virtuoso, without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from http.client import HTTPException
from urllib.error import URLError

import httpx
import structlog
from SPARQLWrapper import BASIC, DIGEST, POST, SPARQLWrapper
from SPARQLWrapper.SPARQLExceptions import EndPointInternalError, EndPointNotFound, QueryBadFormed, SPARQLWrapperException

from publisher.errors import NotReady, StoreFailure
from publisher.store.external import update_batches
from publisher.store.external.endpoint import Endpoint, StoreURLs, endpoint_of
from publisher.store.external.engine_quirks import Dialect

log = structlog.get_logger(component="store")

SECONDS = 600  # that one update may take


class StoreWriter:
    """Change the store at *address*, an engine of *dialect*."""

    def __init__(self, address: StoreURLs, dialect: Dialect) -> None:
        self._dialect = dialect
        self._update = endpoint_of(address.update)
        self._graphs = endpoint_of(address.graphs) if address.graphs else None
        self._http = httpx.Client(timeout=SECONDS, trust_env=False)
        self._digest = _wants_digest(self._http, self._update)
        self.left_out = 0  # quads that the store did not take

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def update(self, text: str) -> None:
        """Send an update; raises StoreFailure where the store refuses it, NotReady where it does not answer."""
        wrapper = SPARQLWrapper(self._update.url, updateEndpoint=self._update.url)
        wrapper.setMethod(POST)
        wrapper.setTimeout(SECONDS)
        if self._update.user:
            wrapper.setHTTPAuth(DIGEST if self._digest else BASIC)
            wrapper.setCredentials(self._update.user, self._update.password)
        wrapper.setQuery(text)
        try:
            wrapper.query().response.read()
        except (QueryBadFormed, EndPointInternalError) as error:
            raise StoreFailure(f"the store does not take an update: {str(error)[:500]}") from error
        except (SPARQLWrapperException, EndPointNotFound, URLError, OSError, HTTPException) as error:
            raise NotReady(f"the store at {self._update.url} does not answer an update: {str(error)[:300]}") from error

    def add(self, lines: list[bytes]) -> None:
        """Add quads, lines of N-Quads; doing it again changes nothing."""
        if len(lines) < update_batches.LARGE or not self._graphs or not self._load(lines):
            self._in_batches(lines, update_batches.insert_update)

    def remove(self, lines: list[bytes]) -> None:
        """Take quads out."""
        self._in_batches(lines, update_batches.delete_update)

    def _in_batches(self, lines: list[bytes], write: Callable[[list[bytes], str], str]) -> None:
        for batch in update_batches.batches(lines):
            self._try(batch, write)

    def _try(self, lines: list[bytes], write: Callable[[list[bytes], str], str]) -> None:
        """Put a batch; where it is refused, its halves, down to the quad that the store does not take."""
        try:
            return self.update(write(lines, self._dialect.merged))
        except StoreFailure as error:
            if len(lines) == 1:
                self.left_out += 1
                line = lines[0].decode(errors="replace")[:500]
                log.warning("store rejected a quad; skipping it", quad=line, error=str(error))
                return
        half = len(lines) // 2
        self._try(lines[:half], write)
        self._try(lines[half:], write)

    def _load(self, lines: list[bytes]) -> bool:
        """Load quads at once; False where the store does not take them so."""
        triples = b"".join(sorted({line[: line.rindex(b" <")] + b" .\n" for line in lines}))
        return self._post(b"".join(lines), "application/n-quads", self._dialect.everything) and self._post(
            triples, "application/n-triples", (self._dialect.default,)
        )

    def _post(self, body: bytes, media: str, where: tuple[tuple[str, str], ...]) -> bool:
        assert self._graphs
        at, digest = self._graphs, self._digest
        kind: type[httpx.DigestAuth] | type[httpx.BasicAuth] = httpx.DigestAuth if digest else httpx.BasicAuth
        secret = kind(at.user, at.password) if at.user else httpx.USE_CLIENT_DEFAULT
        try:
            answer = self._http.post(at.url, params=dict(where), content=body, headers={"Content-Type": media}, auth=secret)
        except httpx.TransportError as error:
            raise NotReady(f"the store at {at.url} does not answer a load: {error}") from error
        if answer.is_success:
            return True
        log.warning("store rejected a bulk load; using updates", status=answer.status_code, response=answer.text[:300])
        return False


def _wants_digest(client: httpx.Client, at: Endpoint) -> bool:
    try:
        answer = client.get(at.url, params={"query": "ASK { }"})
    except httpx.TransportError as error:
        raise NotReady(f"the store at {at.url} does not answer: {error}") from error
    asked = answer.headers.get("www-authenticate", "") if answer.status_code == HTTPStatus.UNAUTHORIZED else ""
    return str(asked).lower().startswith("digest")
