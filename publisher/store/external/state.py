"""The position of an external store, kept in a small graph in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from publisher.store.external.engine_quirks import STATE


@dataclass(frozen=True, slots=True)
class State:
    """The state: *position* and *entry* are the number and id of the last completely loaded journal
    entry, *quads* its number of quads.

    *applying* is the number of the entry that is being loaded, 0 if there is none. *writer* holds
    the lease until *until*, in seconds since 1970.
    """

    position: int = 0
    entry: str = ""
    quads: int = 0
    applying: int = 0
    writer: str = ""
    until: float = 0.0


ASK = f"SELECT ?name ?value {{ GRAPH <{STATE}> {{ <{STATE}> ?name ?value }} }}"
_FOREIGN = (
    "the SPARQL store follows another journal; rebuild it with stocktake store rebuild --whole"
)
ANY = "SELECT ?graph { GRAPH ?graph { ?s ?p ?o } } LIMIT 1"


def parse_state(rows: Iterable[tuple[str, str]]) -> State | None:
    """Return the state in rows of property IRIs and values; None if there is none.

    >>> parse_state([(f"{STATE}#position", "3"), (f"{STATE}#entry", "ab")]).position
    3
    """
    properties = {name.removeprefix(f"{STATE}#"): value for name, value in rows}
    if "position" not in properties:
        return None
    numbers = {name: int(properties.get(name, "0")) for name in ("position", "quads", "applying")}
    return State(
        entry=properties.get("entry", ""),
        writer=properties.get("writer", ""),
        until=float(properties.get("until", "0")),
        **numbers,
    )


def missing_data(state: State | None, position: int, entry: str) -> str:
    """Return why a store in *state* cannot answer as of the published entry number *position* with
    the id *entry*; "" if it can.

    >>> missing_data(State(2, "ab"), 3, "cd")
    'the SPARQL store has lost data: it is at entry 2 of 3; it is loaded again by itself'
    """
    if state is None:
        return "the SPARQL store is empty or not this publisher's; an empty one is loaded by itself"
    if state.position < position:
        return f"the SPARQL store has lost data: it is at entry {state.position} of {position}; it is loaded again by itself"
    if state.position == position and state.entry != entry:
        return _FOREIGN
    return ""


def foreign_data(state: State, entry: str | None) -> str:
    """Return why a store in *state* is not this publisher's, whose journal has *entry* at that
    position, None if it has none yet; "" if it is.
    """
    return _FOREIGN if state.position and entry not in (None, state.entry) else ""


def state_update(state: State) -> str:
    """Return the SPARQL update that stores *state*."""
    properties = {
        "position": state.position,
        "entry": state.entry,
        "quads": state.quads,
        "applying": state.applying,
        "writer": state.writer,
        "until": f"{state.until:.0f}",
    }
    values = " ; ".join(f'<{STATE}#{name}> "{value}"' for name, value in properties.items())
    return f"DELETE WHERE {{ GRAPH <{STATE}> {{ <{STATE}> ?name ?value }} }} ;\nINSERT DATA {{ GRAPH <{STATE}> {{ <{STATE}> {values} }} }}"
