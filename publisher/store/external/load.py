"""Write to an external store: SPARQL Update through SPARQLWrapper, bulk loads by the Graph Store
Protocol, and the lease of the one process that may write.

Requests are sent one at a time and in order: two concurrent loads silently lost half of their data
in Virtuoso.
"""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from http.client import HTTPException
from pathlib import Path

import httpx
import structlog
from pyoxigraph import Quad
from SPARQLWrapper import BASIC, DIGEST, POST, SPARQLWrapper
from SPARQLWrapper.SPARQLExceptions import (
    EndPointInternalError,
    QueryBadFormed,
    SPARQLWrapperException,
)

from journal.journal import Journal
from publisher.errors import NotReady, StoreFailure
from publisher.projections.journal_reader import in_batches
from publisher.store.external.client import (
    FOREIGN,
    MERGE,
    STATE,
    Client,
    State,
    StoreURLs,
    without_password,
)

TIMEOUT = 600  # seconds for one update
BATCH = 1_000  # quads per update; Virtuoso's compiler fails at 5,000
MAX_BYTES = 500_000  # per update
LARGE = 3_000  # consecutive additions from which the Graph Store Protocol is faster
LEASE = 30  # seconds; another publisher may write this long after the last one died
_CLAIM = """DELETE {{ GRAPH <{state}> {{ <{state}> <{state}#writer> ?writer ; <{state}#until> ?until }} }}
INSERT {{ GRAPH <{state}> {{ <{state}> <{state}#writer> "{name}" ; <{state}#until> "{until}" }} }}
WHERE {{ GRAPH <{state}> {{ <{state}> <{state}#writer> ?writer ; <{state}#until> ?until }}
  FILTER(STR(?writer) = "{name}" || STR(?until) < "{now}") }}"""

log = structlog.get_logger(component="store")


class StoreWriter:
    """Writes to the store at *urls*; *merged* is the graph with the merge of all graphs, "" if that
    is the default graph.

    *skipped* is the number of quads that the store rejected.
    """

    def __init__(self, urls: StoreURLs, merged: str) -> None:
        self._merged, self.skipped = merged, 0
        self._url, update, self._graphs = (
            without_password(urls.update),
            httpx.URL(urls.update),
            httpx.URL(urls.graphs),
        )
        self._wrapper = SPARQLWrapper(self._url, updateEndpoint=self._url)
        self._wrapper.setMethod(POST)
        self._wrapper.setTimeout(TIMEOUT)
        # what Virtuoso's endpoints with authentication ask for; others take Basic
        self._wrapper.setHTTPAuth(DIGEST if merged else BASIC)
        self._wrapper.setCredentials(update.username, update.password)
        digest = httpx.DigestAuth(self._graphs.username, self._graphs.password)
        self._http = httpx.Client(timeout=TIMEOUT, trust_env=False, auth=digest if merged else None)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def update(self, text: str) -> None:
        """Send an update; raise StoreFailure if the store rejects it, NotReady if it does not
        answer.
        """
        self._wrapper.setQuery(text)
        try:
            self._wrapper.query().response.read()
        except (QueryBadFormed, EndPointInternalError) as error:
            raise StoreFailure(f"the store rejected an update: {str(error)[:500]}") from error
        except (SPARQLWrapperException, OSError, HTTPException) as error:
            raise NotReady(
                f"the store at {self._url} does not answer an update: {str(error)[:300]}"
            ) from error

    def add(self, lines: list[bytes]) -> None:
        """Add quads, lines of N-Quads; adding them again changes nothing."""
        if len(lines) < LARGE or not self._graphs.host or not self._load(lines):
            self._send(lines, insert_update)

    def remove(self, lines: list[bytes]) -> None:
        """Remove quads, lines of N-Quads."""
        self._send(lines, delete_update)

    def replace(self, old: set[Quad], new: set[Quad]) -> None:
        """Replace the quads *old*, which are in the store, by *new*."""
        self.remove(_lines(old - new))
        self.add(_lines(new - old))

    def _send(self, lines: list[bytes], write: Callable[[list[bytes], str], str]) -> None:
        """Send quads in batches. Of one that is rejected send the halves, down to the rejected quad,
        which is skipped.
        """
        for batch in in_batches(lines, BATCH, MAX_BYTES):
            try:
                self.update(write(batch, self._merged))
            except StoreFailure as error:
                if len(batch) == 1:
                    self.skipped += 1
                    line = batch[0].decode(errors="replace")[:500]
                    log.warning("store rejected a quad; skipping it", quad=line, error=str(error))
                else:
                    self._send(batch[: len(batch) // 2], write)
                    self._send(batch[len(batch) // 2 :], write)

    def _load(self, lines: list[bytes]) -> bool:
        """Bulk-load quads; return False if the store does not support that."""
        triples = b"".join(sorted({line[: line.rindex(b" <")] + b" .\n" for line in lines}))
        # Virtuoso stores each quad in its own graph although one is named
        merge = {"graph-uri": self._merged} if self._merged else {}
        return self._post(b"".join(lines), "application/n-quads", merge) and self._post(
            triples, "application/n-triples", merge or {"default": ""}
        )

    def _post(self, body: bytes, media: str, where: Mapping[str, str]) -> bool:
        headers = {"Content-Type": media}
        try:
            response = self._http.post(self._graphs, params=where, content=body, headers=headers)
        except httpx.TransportError as error:
            raise NotReady(
                f"the store at {self._graphs.host} does not answer a load: {error}"
            ) from error
        if not response.is_success:
            log.warning(
                "store rejected a bulk load; using updates",
                status=response.status_code,
                response=response.text[:300],
            )
        return response.is_success


def _lines(quads: set[Quad]) -> list[bytes]:
    return sorted(f"{quad} .\n".encode() for quad in quads)


def insert_update(lines: Iterable[bytes], merged: str) -> str:
    """Return the update that adds quads, each to its graph and to the merge."""
    return f"INSERT DATA {{\n{_graphs(lines, merged)}}}"


def delete_update(lines: list[bytes], merged: str) -> str:
    """Return the update that removes quads. Triples that another graph still contains are added to
    the merge again, in the same update.
    """
    pairs = {b" ".join(line.split(b" ", 2)[:2]).decode() for line in lines}
    values = f"VALUES (?s ?p) {{ {' '.join(f'({pair})' for pair in sorted(pairs))} }}"
    others = f"GRAPH ?g {{ ?s ?p ?o }} FILTER(?g NOT IN (<{MERGE}>, <{STATE}>))"
    return f"DELETE DATA {{\n{_graphs(lines, merged)}}} ;\nINSERT {{ {_into(merged, '?s ?p ?o .')} }} WHERE {{ {values} {others} }}"


def _graphs(lines: Iterable[bytes], merged: str) -> str:
    """Return quads as the data of an update, each in its graph and in the merge."""
    triples = defaultdict[str, list[str]](list)
    for line in lines:
        triple, _, graph = line.decode().rstrip(" .\n").rpartition(" ")
        triples[f"GRAPH {graph}"].append(f"{triple} .")
    groups = [f"{graph} {{ {' '.join(among)} }}\n" for graph, among in triples.items()]
    merge = dict.fromkeys(triple for among in triples.values() for triple in among)
    return "".join([*groups, _into(merged, " ".join(merge)), "\n"])


def _into(merged: str, triples: str) -> str:
    return f"GRAPH <{merged}> {{ {triples} }}" if merged else triples


class LeasedStore:
    """The store at *urls*, which follows *journal*; this process may write while it holds the lease.

    It holds the lease by a name that is the same after a restart with the same *folder*.
    """

    def __init__(self, urls: StoreURLs, journal: Journal, folder: Path) -> None:
        place = blake2b(str(folder.resolve()).encode(), digest_size=6).hexdigest()
        self._journal, self._name = journal, f"{socket.gethostname()}-{place}"
        self._until = 0
        self.client = Client(urls.query)
        self.writer = StoreWriter(urls, self.client.dialect.merged)

    def close(self) -> None:
        """Close the connections."""
        self.writer.close()
        self.client.close()

    def read(self) -> State:
        """Return the state of the store; initialize an empty store. Raises StoreFailure if it
        contains other data.
        """
        state = self.client.state()
        if state is None:
            if next(self.client.graphs(), None):
                raise StoreFailure(
                    "the store contains other data; use an empty one, or replace its content: stocktake store rebuild --whole"
                )
            state = State()
            self.writer.update(state.update())
        entry = self._journal.entry(state.position)
        if state.position and (entry is None or entry.id != state.entry):
            raise StoreFailure(FOREIGN)
        return state

    def claim(self, now: datetime) -> bool:
        """Return whether we may write now, and for LEASE seconds from now on; the store compares
        and sets the lease in one update.
        """
        seconds = int(now.timestamp())
        if seconds >= self._until - LEASE / 2:
            until = seconds + LEASE
            self.writer.update(
                _CLAIM.format(state=STATE, name=self._name, until=until, now=seconds)
            )
            state = self.client.state()
            self._until = until if state and state.writer == self._name else 0
        return bool(self._until)

    def renew(self, now: datetime) -> None:
        """Renew the lease; raises StoreFailure if another process holds it."""
        if not self.claim(now):
            raise StoreFailure(
                f"another publisher holds the lease of the store; stop it, and try again {LEASE} seconds later"
            )

    def write_state(self, state: State, now: datetime) -> None:
        """Write *state* to the store. Raises StoreFailure as ``renew`` does."""
        self.renew(now)
        self.writer.update(replace(state, writer=self._name, until=self._until).update())
