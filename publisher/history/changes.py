"""Changes: a graph's history as its page shows it: by which run, when, what came and what went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from publisher.history.graph_changes import GraphChange
from publisher.history.mementos import Memento, mementos
from publisher.history.versions import describe_change
from publisher.store.descriptions import Description, Statement
from vocab.iris import Iris

SHOWN_CHANGES = 20  # changes that a page shows, the newest
SHOWN_ROWS = 60  # triples of a change that a page shows


@dataclass(frozen=True, slots=True)
class GraphChangeView:
    """One change; *added* and *removed* are the first ROWS of what it brought and took, empty for that which brought the whole."""

    run: str
    time: str
    memento: str | None  # the path of the state after it, None where a later one fell in the same second
    added_count: int
    removed_count: int
    added: tuple[Statement, ...]
    removed: tuple[Statement, ...]
    first: bool


def recent_changes(found: Sequence[GraphChange], about: Description, iris: Iris) -> list[GraphChangeView]:
    """Return the newest changes of the graph that *about* describes, the newest first."""
    graph = about.iri.removeprefix(iris.base)
    known = {it.entry: it for it in mementos(found)}
    return [_change(it, about, iris, known.get(it.entry), graph) for it in islice(reversed(found), SHOWN_CHANGES)]


def _change(it: GraphChange, about: Description, iris: Iris, memento: Memento | None, graph: str) -> GraphChangeView:
    added, removed = describe_change(it, about)
    time = datetime.fromtimestamp(it.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    address = memento.address(graph) if memento else None
    shown = (added.statements[:SHOWN_ROWS], removed.statements[:SHOWN_ROWS])
    return GraphChangeView(iris.run(it.run), time, address, it.added, it.removed, *shown, it.rows is None)
