"""The lease of the one process that may write to an external store, kept in that store with its
position.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from journal.journal import Journal
from publisher.errors import StoreFailure
from publisher.store.external.client import Client
from publisher.store.external.engine_quirks import STATE
from publisher.store.external.state import ANY, ASK, State, parse_state, state_update
from publisher.store.external.variable_binding import hide_graphs
from publisher.store.external.writer import StoreWriter

SILENCE = 30.0  # seconds without a response to a small query, after which the store counts as down
LEASE = 30.0  # seconds; another publisher may write this long after the last one died
_CLAIM = """DELETE {{ GRAPH <{state}> {{ <{state}> <{state}#writer> ?writer ; <{state}#until> ?until }} }}
INSERT {{ GRAPH <{state}> {{ <{state}> <{state}#writer> "{name}" ; <{state}#until> "{until}" }} }}
WHERE {{ GRAPH <{state}> {{ <{state}> <{state}#writer> ?writer ; <{state}#until> ?until }}
  FILTER(STR(?writer) = "{name}" || STR(?until) < "{now}") }}"""


class WriterLease:
    """The lease and state of a store that follows *journal*; *client* reads them, *writer* writes
    them, *name* holds the lease.
    """

    def __init__(self, client: Client, writer: StoreWriter, journal: Journal, name: str) -> None:
        self._client, self._writer, self._journal, self._name = client, writer, journal, name
        self._until = 0.0

    def read(self, now: datetime) -> State:
        """Return the state of the store; initialize an empty store. Raises StoreFailure if it
        contains other data.
        """
        state = self._read()
        if state is None:
            if self._client.rows(hide_graphs(ANY, self._client.dialect(SILENCE).hidden), SILENCE):
                raise StoreFailure(
                    "the store contains other data; use an empty one, or replace its content: stocktake store rebuild --whole"
                )
            state = State()
            self._writer.update(state_update(state))
        if state.position and not self._continues(state):
            raise StoreFailure(
                "the external store belongs to another journal; rebuild it with stocktake store rebuild --whole"
            )
        return replace(state, writer="", until=0.0)

    def claim(self, now: datetime) -> bool:
        """Return whether we may write now, and for LEASE seconds from now on; the store compares
        and sets the lease in one update.
        """
        if now.timestamp() < self._until - LEASE / 2:
            return True
        until = now.timestamp() + LEASE
        parameters = {
            "state": STATE,
            "name": self._name,
            "until": f"{until:.0f}",
            "now": f"{now.timestamp():.0f}",
        }
        self._writer.update(_CLAIM.format(**parameters))
        state = self._read()
        is_holder = state is not None and state.writer == self._name
        self._until = until if is_holder else 0.0
        return is_holder

    def renew(self, now: datetime) -> None:
        """Renew the lease; raises StoreFailure if another process holds it."""
        if not self.claim(now):
            raise StoreFailure(
                "another publisher has taken the lease of the store and writes to it"
            )

    def write_state(self, state: State, now: datetime) -> None:
        """Write *state* to the store. Raises StoreFailure as ``renew`` does."""
        self.renew(now)
        self._writer.update(state_update(replace(state, writer=self._name, until=self._until)))

    def _read(self) -> State | None:
        return parse_state([(row["name"], row["value"]) for row in self._client.rows(ASK, SILENCE)])

    def _continues(self, state: State) -> bool:
        entry = next(iter(self._journal.entries(after=state.position - 1)), None)
        return entry is not None and entry.id == state.entry
