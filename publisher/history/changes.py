"""Changes: a graph's history as its page shows it: by which run, when, what came and what went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from publisher.history.graph_changes import Touch
from publisher.history.mementos import Memento, mementos
from publisher.history.versions import change
from publisher.store.descriptions import Description, Statement
from vocab.iris import Iris

MANY = 20  # changes that a page shows, the newest
ROWS = 60  # triples of a change that a page shows


@dataclass(frozen=True, slots=True)
class Change:
    """One change; *added* and *removed* are the first ROWS of what it brought and took, empty for that which brought the whole."""

    run: str
    time: str
    memento: str | None  # the path of the state after it, None where a later one fell in the same second
    came: int
    went: int
    added: tuple[Statement, ...]
    removed: tuple[Statement, ...]
    first: bool


def changes(found: Sequence[Touch], about: Description, iris: Iris) -> list[Change]:
    """Give the newest changes of the graph that *about* describes, the newest first."""
    graph = about.iri.removeprefix(iris.base)
    known = {it.entry: it for it in mementos(found)}
    return [_change(it, about, iris, known.get(it.entry), graph) for it in islice(reversed(found), MANY)]


def _change(it: Touch, about: Description, iris: Iris, memento: Memento | None, graph: str) -> Change:
    added, removed = change(it, about)
    time = datetime.fromtimestamp(it.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    address = memento.address(graph) if memento else None
    shown = (added.statements[:ROWS], removed.statements[:ROWS])
    return Change(iris.run(it.run), time, address, it.added, it.removed, *shown, it.rows is None)
