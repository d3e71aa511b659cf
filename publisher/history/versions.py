"""Versions of a graph after entries of the journal, its changes as pages show them, and the list of its
past states.

Source: https://www.rfc-editor.org/rfc/rfc7089 (sections 2.2, 4.5 and 5).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from itertools import islice
from typing import NamedTuple

from languages.translations import current_locale, gettext
from publisher.errors import NotReady
from publisher.history.change_reader import GraphChange, open_history, triples_of
from publisher.store.descriptions import Description, Statement, describe_triples, with_triples
from publisher.store.query_service import QueryService
from vocab.field_changes import FieldView, field_views
from vocab.iris import Iris
from web.respond import Link

MEDIA = "application/link-format"
_STAMP = "%Y%m%d%H%M%S"


class Memento(NamedTuple):
    """The state of a graph from *time* on (seconds since 1970), after the journal entry *entry*."""

    time: int
    entry: int

    @property
    def stamp(self) -> str:
        """Return its time in fourteen digits, UTC."""
        return datetime.fromtimestamp(self.time, UTC).strftime(_STAMP)

    @property
    def date(self) -> str:
        return formatdate(self.time, usegmt=True)

    def address(self, graph: str) -> str:
        """Return its path; *graph* is the path of the graph without the first slash."""
        return f"/memento/{self.stamp}/{graph}"


def mementos(changes: Sequence[GraphChange]) -> list[Memento]:
    """Return the states after each change, oldest first; of several in one second, the last."""
    return [
        Memento(time, entry) for time, entry in {item.time: item.entry for item in changes}.items()
    ]


def parse_stamp(stamp: str) -> int | None:
    """Parse fourteen digits to seconds since 1970; None if they are not a time.

    >>> parse_stamp("20260301080000"), parse_stamp("20261301080000"), parse_stamp("2026")
    (1772352000, None, None)
    """
    try:
        return (
            int(datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC).timestamp())
            if len(stamp) == 14 and stamp.isdecimal()
            else None
        )
    except ValueError:
        return None


def memento_at(known: Sequence[Memento], time: int) -> Memento | None:
    """Return the state at *time*, None before the first."""
    return next((item for item in reversed(known) if item.time <= time), None)


def links(
    host: str, graph: str, known: Sequence[Memento], current: Memento | None = None
) -> list[Link]:
    """Return the links of the memento *current* to its neighbours, or the links of the time map to
    all of *known* if it is None.
    """
    ends = (("from", known[0].date), ("until", known[-1].date)) if known else ()
    out = [
        Link("original", f"{host}/{graph}"),
        Link("timegate", f"{host}/timegate/{graph}"),
        Link(
            "timemap" if current else "self",
            f"{host}/timemap/{graph}",
            (("type", MEDIA), *ends),
        ),
    ]
    if current is None:
        return out + [_memento_link(host, graph, item, known) for item in known]
    position, roles = known.index(current), {-1: "prev", 0: "", 1: "next"}
    return out + [
        _memento_link(host, graph, item, known, roles.get(index - position, ""))
        for index, item in enumerate(known)
        if index - position in roles or item in (known[0], known[-1])
    ]


def _memento_link(
    host: str, graph: str, memento: Memento, known: Sequence[Memento], neighbour: str = ""
) -> Link:
    roles = ("first" * (memento == known[0]), "last" * (memento == known[-1]), neighbour, "memento")
    rel = " ".join(filter(None, roles))
    return Link(rel, host + memento.address(graph), (("datetime", memento.date),))


async def read_history(service: QueryService, graph: str) -> tuple[GraphChange, ...]:
    """Return the published changes of *graph*, oldest first; () if there are none, or while they are
    read from the journal.
    """
    try:
        return await asyncio.to_thread(lambda: open_history(service).graph_changes(graph))
    except NotReady:
        return ()


async def read_version(service: QueryService, graph: str, entry: int) -> Description:
    """Return the description of *graph* after *entry*; the names of other things are the current
    ones. Raises NotReady.
    """
    versions = [(graph, entry)]
    (triples,) = await asyncio.to_thread(
        lambda: [[*triples] for triples in open_history(service).states(versions)]
    )
    return await describe_triples(service, graph, triples)


async def compare_versions(
    service: QueryService, graph: str, before: int, after: int
) -> list[FieldView] | None:
    """Return the fields of *graph* that differ between two entries; None if it had no version by
    the later one. Raises NotReady.
    """
    versions = [(graph, before), (graph, after)]
    old, new = await asyncio.to_thread(
        lambda: [set(map(str, triples)) for triples in open_history(service).states(versions)]
    )
    if not old and not new:
        return None
    removed, added = sorted(old - new), sorted(new - old)
    return field_views(removed, added, service.iris.base, current_locale().language, gettext)


SHOWN_CHANGES = 20  # changes that a page shows, the newest
SHOWN_ROWS = 60  # triples of a change that a page shows


@dataclass(frozen=True, slots=True)
class GraphChangeView:
    """One change; *added* and *removed* are its first SHOWN_ROWS rows, empty for the change that created
    the graph.
    """

    run: str
    time: str
    memento: str | None  # the path of the state after it, None if a later one has the same second
    added_count: int
    removed_count: int
    added: tuple[Statement, ...]
    removed: tuple[Statement, ...]
    first: bool
    fields: tuple[FieldView, ...]  # what changed, as people read it


def recent_changes(
    changes: Sequence[GraphChange], about: Description, iris: Iris
) -> list[GraphChangeView]:
    """Return the newest changes of the graph that *about* describes, the newest first."""
    graph = about.iri.removeprefix(iris.base)
    known = {memento.entry: memento for memento in mementos(changes)}
    return [
        _change(item, about, iris, known.get(item.entry), graph)
        for item in islice(reversed(changes), SHOWN_CHANGES)
    ]


def _change(
    graph_change: GraphChange, about: Description, iris: Iris, memento: Memento | None, graph: str
) -> GraphChangeView:
    added, removed = (
        with_triples(triples_of(graph_change.rows or (), sign), about) for sign in "AD"
    )
    time = datetime.fromtimestamp(graph_change.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    old, new = (
        [row[2:] for row in graph_change.rows or () if row.startswith(sign)]
        for sign in ("D ", "A ")
    )
    return GraphChangeView(
        iris.run(graph_change.run),
        time,
        memento.address(graph) if memento else None,
        graph_change.added,
        graph_change.removed,
        added.statements[:SHOWN_ROWS],
        removed.statements[:SHOWN_ROWS],
        graph_change.rows is None,
        tuple(field_views(old, new, iris.base, current_locale().language, gettext)),
    )
